"""Linear heads against scikit-learn, against the conditions of an optimum, and against sums done by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from neurotransfer.statistics.standardise import standardiser
from neurotransfer.targets import Target
from neurotransfer.transfer import exact
from neurotransfer.transfer.exact import LEAST_SHARE, fold, solve_path

AGE = Target("age", "continuous", location=3.0, scale=2.0)
ILL = Target("ill", "binary", classes=("no", "yes"))
GROUP = Target("group", "categorical", classes=("a", "b", "c"))
STAGE = Target("stage", "ordinal", classes=("1", "2", "3"))
KINDS = [AGE, ILL, GROUP, STAGE]
SHAPES = [(30, 5), (30, 30), (20, 300)]
PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)


def name_of(target):
    return target.kind


def problem(n, n_features, seed=0):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, n_features))
    return features, features[:, 0] + generator.normal(size=n)


def labels_for(target, latent):
    if target.kind == "continuous":
        return latent
    return np.digitize(latent, [0.0] if target.kind == "binary" else [-0.5, 0.5]).astype(float)


def strength(features, penalty):
    """What |w|^2 is multiplied with."""
    return penalty * max(1, np.count_nonzero(features.any(axis=0)))


def losses(features, labels, target, weights, bias):
    """The sum of losses, written out anew: halves of squares for a continuous target."""
    outputs = features @ weights.T + bias
    if target.kind == "continuous":
        return ((outputs[:, 0] - (labels - target.location) / target.scale) ** 2).sum() / 2
    if target.kind == "categorical":
        known = np.take_along_axis(outputs, labels.astype(int)[:, None], 1)
        return np.logaddexp.reduce(outputs - known, axis=1).sum()
    signs = np.where(labels[:, None] > np.arange(target.n_outputs), 1, -1)
    return np.logaddexp(0, -signs * outputs).sum()


def residuals(features, labels, target, weights, bias):
    """What every output of every person pulls, (n, n_outputs): the derivatives of `losses`."""
    outputs = features @ weights.T + bias
    if target.kind == "continuous":
        return outputs - ((labels - target.location) / target.scale)[:, None]
    if target.kind == "categorical":
        shares = np.exp(outputs - outputs.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True) - np.eye(target.n_outputs)[labels.astype(int)]
    return 1 / (1 + np.exp(-outputs)) - (labels[:, None] > np.arange(target.n_outputs))


def assert_optimal(features, labels, target, penalties, found, tolerance=1e-7):
    """The gradient is zero: in the weights against the penalty, in the bias without one."""
    for penalty, weights, bias in zip(penalties, *found, strict=True):
        pulls = residuals(features, labels, target, weights, bias)
        size = tolerance * (1 + np.abs(features).max()) * len(features)
        np.testing.assert_allclose(pulls.T @ features, -strength(features, penalty) * weights, atol=size)
        np.testing.assert_allclose(pulls.sum(0), 0, atol=size)


@pytest.mark.parametrize(("n", "n_features"), SHAPES)
def test_ridge_is_scikit_learn_s(n, n_features):
    features, latent = problem(n, n_features)
    every, every_bias = solve_path(features, latent, AGE, PENALTIES)
    assert (every.shape, every_bias.shape) == ((5, 1, n_features), (5, 1))
    for penalty, weights, bias in zip(PENALTIES, every, every_bias, strict=True):
        reference = Ridge(alpha=penalty * n_features).fit(features, (latent - 3) / 2)
        np.testing.assert_allclose(weights[0], reference.coef_, atol=1e-8)
        assert bias[0] == pytest.approx(reference.intercept_)


@pytest.mark.parametrize(("n", "n_features"), SHAPES)
@pytest.mark.parametrize("target", [ILL, GROUP, STAGE], ids=name_of)
def test_logistic_regression_is_scikit_learn_s(n, n_features, target):
    features, latent = problem(n, n_features)
    labels = labels_for(target, latent)
    every, every_bias = solve_path(features, labels, target, PENALTIES)
    assert (every.shape, every_bias.shape) == ((5, target.n_outputs, n_features), (5, target.n_outputs))
    questions = [labels > level for level in range(target.n_outputs)] if target is STAGE else [labels]
    for penalty, weights, bias in zip(PENALTIES, every, every_bias, strict=True):
        for index, question in enumerate(questions):
            reference = LogisticRegression(C=1 / (penalty * n_features), max_iter=20000, tol=1e-10)
            reference.fit(features, question)
            rows = slice(index, index + 1) if target is STAGE else slice(None)
            np.testing.assert_allclose(weights[rows], reference.coef_, atol=2e-5)
            np.testing.assert_allclose(bias[rows], reference.intercept_, atol=2e-5)


def test_five_classes_are_scikit_learn_s_too():
    features, latent = problem(80, 6)
    target = Target("site", "categorical", classes=tuple("abcde"))
    labels = np.digitize(latent, [-1.5, -0.5, 0.5, 1.5]).astype(float)
    (weights,), (bias,) = solve_path(features, labels, target, [0.05])
    reference = LogisticRegression(C=1 / 0.3, max_iter=20000, tol=1e-10).fit(features, labels)
    np.testing.assert_allclose(weights, reference.coef_, atol=2e-5)
    np.testing.assert_allclose(bias, reference.intercept_, atol=2e-5)
    np.testing.assert_allclose(weights.sum(0), 0, atol=1e-12)


def test_ridge_by_hand():
    """Two people at -1 and 1 with values 0 and 4, standardised to -1.5 and 0.5: w = 2 / (2 + penalty)."""
    weights, bias = solve_path(np.array([[-1.0], [1.0]]), np.array([0.0, 4.0]), AGE, [1e-9, 0.5, 2.0])
    np.testing.assert_allclose(weights[:, 0, 0], [1.0, 0.8, 0.5], rtol=1e-8)
    np.testing.assert_allclose(bias[:, 0], -0.5, rtol=1e-14)


def test_logistic_regression_by_hand():
    """Two people at -1 and 1 of two classes: 2 / (1 + exp(w)) = penalty * w, so that w = 1 for 2 / (1 + e)."""
    penalty = 2 / (1 + np.e)
    weights, bias = solve_path(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), ILL, [penalty])
    assert weights[0, 0, 0] == pytest.approx(1, rel=1e-12)
    assert bias[0, 0] == pytest.approx(0, abs=1e-12)


def test_the_bias_is_free():
    """However strong the penalty, the bias is the mean, the log odds, or the shares of the classes."""
    features, latent = problem(50, 4)
    for target, expected in (
        (AGE, lambda labels: np.array([(labels.mean() - 3) / 2])),
        (ILL, lambda labels: np.log(labels.mean() / (1 - labels.mean()))[None]),
        (STAGE, lambda labels: np.log([(labels > k).mean() / (labels <= k).mean() for k in range(2)])),
        (GROUP, lambda labels: (logs := np.log(np.bincount(labels.astype(int)))) - logs.mean()),
    ):
        labels = labels_for(target, latent)
        weights, bias = solve_path(features, labels, target, [1e9, 1e300])
        np.testing.assert_allclose(weights, 0, atol=1e-7)
        np.testing.assert_allclose(bias, np.broadcast_to(expected(labels), bias.shape), atol=1e-7)


@pytest.mark.parametrize("target", KINDS, ids=name_of)
def test_an_offset_of_the_features_moves_the_bias_alone(target):
    features, latent = problem(40, 6)
    labels = labels_for(target, latent)
    weights, bias = solve_path(features, labels, target, PENALTIES)
    moved, moved_bias = solve_path(features + 5, labels, target, PENALTIES)
    np.testing.assert_allclose(moved, weights, atol=1e-8)
    np.testing.assert_allclose(moved_bias + 5 * moved.sum(2), bias, atol=1e-7)


@pytest.mark.parametrize("target", KINDS, ids=name_of)
@pytest.mark.parametrize(("n", "n_features"), SHAPES)
def test_all_penalties_at_once_are_each_alone_in_any_order(target, n, n_features):
    features, latent = problem(n, n_features, seed=3)
    labels = labels_for(target, latent)
    weights, bias = solve_path(features, labels, target, PENALTIES[::-1])
    for penalty, at_once, at_once_bias in zip(PENALTIES[::-1], weights, bias, strict=True):
        (alone,), (alone_bias,) = solve_path(features, labels, target, [penalty])
        np.testing.assert_allclose(at_once, alone, atol=1e-9)
        np.testing.assert_allclose(at_once_bias, alone_bias, atol=1e-9)


@pytest.mark.parametrize("target", [ILL, GROUP, STAGE], ids=name_of)
def test_little_memory_changes_nothing(target, monkeypatch):
    features, latent = problem(40, 6)
    labels = labels_for(target, latent)
    whole = solve_path(features, labels, target, PENALTIES)
    monkeypatch.setattr(exact, "MOST_NUMBERS", 1)
    for one, other in zip(whole, solve_path(features, labels, target, PENALTIES), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


@st.composite
def small_problems(draw, target):
    """Few people or many, features that are constant, repeated, zero or tell the target; every class or some only."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    n, n_features = draw(st.integers(4, 20)), draw(st.integers(1, 25))
    features = generator.normal(size=(n, n_features)) * draw(st.sampled_from([1.0, 1.0, 0.01, 30.0]))
    labels = generator.integers(0, 2 if target is ILL else 3, n).astype(float)
    if target is AGE:
        labels = generator.normal(3, 2, n)
    what = draw(st.sampled_from(["", "constant", "zero", "repeated features", "repeated people", "separable"]))
    if what in ("constant", "zero"):
        features[:, 0] = 1.5 if what == "constant" else 0.0
    elif what == "repeated features":
        features = np.column_stack([features, features])
    elif what == "repeated people":
        chosen = generator.integers(0, n, n)
        features, labels = features[chosen], labels[chosen]
    elif what == "separable":
        features[:, 0] = labels * 2 + generator.uniform(0, 0.1, n)
    return features, labels


def has_all(target, labels):
    return target is AGE or len(set(labels)) == max(2, len(target.classes))


@pytest.mark.parametrize("target", KINDS, ids=name_of)
@given(data=st.data())
def test_the_gradient_is_zero_whatever_the_data(target, data):
    features, labels = data.draw(small_problems(target))
    if not has_all(target, labels):
        return
    penalties = sorted(data.draw(st.lists(st.floats(1e-5, 1e3), min_size=1, max_size=4)))
    assert_optimal(features, labels, target, penalties, solve_path(features, labels, target, penalties))


@pytest.mark.parametrize("target", KINDS, ids=name_of)
@given(data=st.data())
def test_no_change_of_the_head_is_better(target, data):
    features, labels = data.draw(small_problems(target))
    if not has_all(target, labels):
        return
    (weights,), (bias,) = solve_path(features, labels, target, [0.01])

    def objective(weights, bias):
        return losses(features, labels, target, weights, bias) + strength(features, 0.01) * (weights**2).sum() / 2

    generator = np.random.default_rng(0)
    best = objective(weights, bias)
    for size in (1e-3, 1e-1, 1.0):
        change, change_bias = size * generator.normal(size=weights.shape), size * generator.normal(size=bias.shape)
        assert objective(weights + change, bias + change_bias) >= best - 1e-9 * (1 + abs(best))


@pytest.mark.parametrize("target", [ILL, GROUP, STAGE], ids=name_of)
@pytest.mark.parametrize("penalty", [1e-300, 1e-12, 1e-9, 1e-6])
@pytest.mark.parametrize("gap", [0.01, 1.0, 100.0])
def test_tiny_penalties_on_separable_classes_end_at_a_finite_optimum(target, penalty, gap):
    generator = np.random.default_rng(0)
    labels = np.arange(24) % len(target.classes) * 1.0
    features = np.column_stack([labels * gap + generator.uniform(0, gap / 10, 24), generator.normal(size=(24, 3))])
    (weights,), (bias,) = solve_path(features, labels, target, [penalty])
    assert np.isfinite(weights).all()
    outputs = features @ weights.T + bias
    if target is GROUP:
        assert (outputs.argmax(1) == labels).all()
    else:
        assert ((outputs > 0) == (labels[:, None] > np.arange(target.n_outputs))).all()
    squares = np.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    held = max(penalty, LEAST_SHARE * squares.max() / 4)
    assert_optimal(features, labels, target, [held], (weights[None], bias[None]), tolerance=1e-8)


@pytest.mark.parametrize("target", KINDS, ids=name_of)
def test_features_that_say_nothing_leave_the_bias(target):
    _, latent = problem(30, 1)
    labels = labels_for(target, latent)
    for features in (np.zeros((30, 3)), np.full((30, 3), 0.7), np.zeros((30, 50)), np.full((30, 50), 0.7)):
        weights, bias = solve_path(features, labels, target, PENALTIES)
        np.testing.assert_allclose(weights, 0, atol=1e-9)
        assert np.isfinite(bias).all()


def test_features_that_are_all_zero_do_not_count():
    features, latent = problem(30, 10)
    padded = np.column_stack([features, np.zeros((30, 90))])
    weights, bias = solve_path(padded, latent, AGE, [0.1])
    expected, expected_bias = solve_path(features, latent, AGE, [0.1])
    np.testing.assert_allclose(weights[..., :10], expected, atol=1e-8)
    np.testing.assert_allclose(weights[..., 10:], 0, atol=1e-15)
    assert bias == pytest.approx(expected_bias)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("target", KINDS, ids=name_of)
def test_what_is_not_finite_is_refused(target, wrong):
    features, latent = problem(20, 3)
    labels = labels_for(target, latent)
    spoilt = features.copy()
    spoilt[4, 1] = wrong
    with pytest.raises(FloatingPointError, match="not finite"):
        solve_path(spoilt, labels, target, [1.0])
    labels[3] = wrong
    with pytest.raises(FloatingPointError, match="not finite"):
        solve_path(features, labels, target, [1.0])


def test_one_class_in_training_predicts_that_class():
    features, _ = problem(20, 4)
    for target in (ILL, STAGE):
        for label in (0.0, 1.0):
            (weights,), (bias,) = solve_path(features, np.full(20, label), target, [0.1])
            assert not weights.any()
            predicted = target.decode(features @ weights.T + bias)[0]
            np.testing.assert_allclose(predicted, label, atol=0.1)


def test_a_level_that_nobody_is_above_leaves_the_other_levels_as_they_are():
    features, latent = problem(30, 4)
    labels = (latent > 0).astype(float)
    weights, bias = solve_path(features, labels, STAGE, PENALTIES)
    expected, expected_bias = solve_path(features, labels, ILL, PENALTIES)
    np.testing.assert_allclose(weights[:, :1], expected, atol=1e-10)
    np.testing.assert_allclose(bias[:, :1], expected_bias, atol=1e-10)
    assert not weights[:, 1].any()
    np.testing.assert_allclose(bias[:, 1], -np.log(31))


@pytest.mark.parametrize("present", [(0,), (1,), (0, 2), (1, 2)])
def test_classes_that_training_never_saw_are_not_predicted(present):
    features, latent = problem(40, 4)
    labels = np.where(latent > 0, present[0], present[-1]).astype(float)
    (weights,), (bias,) = solve_path(features, labels, GROUP, [0.1])
    predicted, probabilities = GROUP.decode(features @ weights.T + bias)
    assert set(predicted) <= set(map(float, present))
    np.testing.assert_allclose(probabilities.sum(1), 1)
    if len(present) == 2:
        assert np.mean(predicted == labels) > 0.7


def test_two_classes_of_three_are_told_apart_as_a_binary_target_is():
    features, latent = problem(40, 4)
    weights, bias = solve_path(features, np.where(latent > 0, 2.0, 0.0), GROUP, PENALTIES)
    expected, expected_bias = solve_path(features, (latent > 0) * 1.0, ILL, PENALTIES)
    np.testing.assert_allclose(weights[:, 2] - weights[:, 0], expected[:, 0], atol=1e-10)
    np.testing.assert_allclose(bias[:, 2] - bias[:, 0], expected_bias[:, 0], atol=1e-10)


@given(st.integers(2, 20), st.integers(1, 8), st.integers(0, 100))
def test_folding_a_standardisation_into_a_head(n, n_features, seed):
    generator = np.random.default_rng(seed)
    features = generator.normal(3, 5, (n, n_features))
    weights, bias = generator.normal(size=(2, n_features)), generator.normal(size=2)
    mean, scale = standardiser(features)
    folded, folded_bias = fold(weights, bias, mean, scale)
    np.testing.assert_allclose(
        features @ folded.T + folded_bias, ((features - mean) / scale) @ weights.T + bias, atol=1e-8
    )


def test_a_constant_feature_is_not_blown_up():
    features = np.column_stack([np.full(10, 0.1), np.arange(10.0)]).astype(np.float32)
    mean, scale = standardiser(features)
    assert scale[0] == 1
    assert np.abs((features - mean) / scale)[:, 0].max() < 1e-6


def saturated(n=20, n_features=40, seed=0):
    """Features of which the first moves in the fifth decimal among the people of the training, and by 0.2 in others."""
    generator = np.random.default_rng(seed)
    features = generator.uniform(0.3, 0.7, (2 * n, n_features))
    features[:n, 0] = 1 - 1e-5 * generator.random(n)
    features[n:, 0] = 1 - 0.2 * generator.random(n)
    return features[:n], features[n:]


def test_a_feature_that_nearly_stands_still_in_training_is_not_blown_up_in_others():
    train, others = saturated()
    mean, scale = standardiser(train, alike=True)
    assert np.abs((others - mean) / scale).max() < 20
    mean, scale = standardiser(train)
    assert np.abs((others - mean) / scale).max() > 1000


def test_alike_features_that_vary_alike_are_standardised_as_ever_and_constant_ones_stay_small():
    features = np.random.default_rng(1).normal(5, 2, (50, 8))
    for plain, alike in zip(standardiser(features), standardiser(features, alike=True), strict=True):
        np.testing.assert_array_equal(plain, alike)
    features[:, 3] = 0.7
    mean, scale = standardiser(features, alike=True)
    assert 0 < scale[3] < 1
    assert np.abs((features - mean) / scale)[:, 3].max() < 1e-6
    constant = np.full((5, 3), 0.7)
    assert (standardiser(constant, alike=True)[1] == 1).all()


def test_the_floor_does_not_depend_on_the_unit():
    train, _ = saturated()
    _, scale = standardiser(train, alike=True)
    _, tenfold = standardiser(10 * train, alike=True)
    np.testing.assert_allclose(tenfold, 10 * scale)
