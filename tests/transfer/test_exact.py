"""Linear heads against scikit-learn on the raw problem."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from neurotransfer.targets import Target
from neurotransfer.transfer.exact import fold, solve, standardiser

AGE = Target("age", "continuous", location=3.0, scale=2.0)
ILL = Target("ill", "binary", classes=("no", "yes"))
GROUP = Target("group", "categorical", classes=("a", "b", "c"))
STAGE = Target("stage", "ordinal", classes=("1", "2", "3"))
SHAPES = [(30, 5), (30, 30), (20, 300)]


def problem(n, n_features, seed=0):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, n_features))
    return features, features[:, 0] + generator.normal(size=n)


@pytest.mark.parametrize(("n", "n_features"), SHAPES)
@pytest.mark.parametrize("penalty", [0.001, 0.1, 10.0])
def test_ridge_is_scikit_learn_s(n, n_features, penalty):
    features, latent = problem(n, n_features)
    weights, bias = solve(features, latent, AGE, penalty)
    reference = Ridge(alpha=penalty * n_features).fit(features, (latent - 3) / 2)
    np.testing.assert_allclose(weights[0], reference.coef_, atol=1e-8)
    assert bias[0] == pytest.approx(reference.intercept_)


@pytest.mark.parametrize(("n", "n_features"), SHAPES)
@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize("target", [ILL, GROUP, STAGE], ids=lambda target: target.kind)
def test_logistic_regression_is_scikit_learn_s(n, n_features, penalty, target):
    features, latent = problem(n, n_features)
    labels = np.digitize(latent, [0.0] if target is ILL else [-0.5, 0.5]).astype(float)
    weights, bias = solve(features, labels, target, penalty)
    questions = [labels > level for level in range(target.n_outputs)] if target.kind == "ordinal" else [labels]
    for index, question in enumerate(questions):
        reference = LogisticRegression(C=1 / (penalty * n_features), max_iter=5000, tol=1e-8).fit(features, question)
        rows = slice(index, index + 1) if target.kind == "ordinal" else slice(None)
        np.testing.assert_allclose(weights[rows], reference.coef_, atol=5e-3)
        np.testing.assert_allclose(bias[rows], reference.intercept_, atol=5e-2)


def test_features_that_are_all_zero_do_not_count():
    features, latent = problem(30, 10)
    padded = np.column_stack([features, np.zeros((30, 90))])
    weights, bias = solve(padded, latent, AGE, 0.1)
    expected, expected_bias = solve(features, latent, AGE, 0.1)
    np.testing.assert_allclose(weights[:, :10], expected, atol=1e-8)
    assert not weights[:, 10:].any()
    assert bias == pytest.approx(expected_bias)


def test_one_class_in_training_predicts_that_class():
    features, _ = problem(20, 4)
    for label in (0.0, 1.0):
        weights, bias = solve(features, np.full(20, label), ILL, 0.1)
        predicted = ILL.decode(features @ weights.T + bias)[0]
        assert ((predicted > 0.9) if label else (predicted < 0.1)).all()


@pytest.mark.parametrize("present", [(0,), (1,), (0, 2), (1, 2)])
def test_classes_that_training_never_saw_are_not_predicted(present):
    features, latent = problem(40, 4)
    labels = np.where(latent > 0, present[0], present[-1]).astype(float)
    weights, bias = solve(features, labels, GROUP, 0.1)
    predicted, probabilities = GROUP.decode(features @ weights.T + bias)
    assert set(predicted) <= set(map(float, present))
    np.testing.assert_allclose(probabilities.sum(1), 1)
    if len(present) == 2:
        assert np.mean(predicted == labels) > 0.7


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
