"""What a row adds to a score: against leaving it out, against repeating it, against the variance of new samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics.influence import _BY_NAME, influences
from neurotransfer.statistics.metrics import SCORES, scores
from neurotransfer.targets import KINDS

PAIRS = [(name, kind) for name, score in SCORES.items() for kind in score.kinds]
MEANS = ("auc", "balanced_accuracy", "brier", "mae")
N_CLASSES = 3


def sample(kind, seed, n=40):
    """Observed, predicted and probabilities; every class is there several times, and predictions have ties."""
    rng = np.random.default_rng(seed)
    if kind == "continuous":
        observed = rng.normal(50, 10, n)
        return observed, observed + np.round(rng.normal(0, 6, n)), None
    observed = np.arange(n) % (2 if kind == "binary" else N_CLASSES)
    raw = rng.random((n, N_CLASSES)) + 0.5 * np.eye(N_CLASSES)[observed]
    probabilities = np.round(raw / raw.sum(axis=1, keepdims=True), 2)
    predicted = {
        "binary": np.round(np.clip(0.3 * observed + 0.6 * rng.random(n), 0, 1), 1),
        "categorical": probabilities.argmax(axis=1).astype(float),
        "ordinal": np.clip(observed + rng.normal(0, 0.7, n), 0, N_CLASSES - 1),
    }[kind]
    return observed.astype(float), predicted, probabilities


def without(name, kind, row, observed, predicted, probabilities):
    kept = np.arange(len(observed)) != row
    return scores(kind, observed[kept], predicted[kept], None if probabilities is None else probabilities[kept])[name]


def by_repeating(name, kind, observed, predicted, probabilities, times=2000):
    """The derivative by the weight of each row: all rows stand `times` times in the sample, and one of them once more."""
    found = []
    for row in range(len(observed)):
        counts = np.full(len(observed), times)
        ends = []
        for counts[row] in (times - 1, times + 1):
            rows = np.repeat(np.arange(len(observed)), counts)
            ends.append(
                scores(kind, observed[rows], predicted[rows], None if probabilities is None else probabilities[rows])[
                    name
                ]
            )
        found.append((ends[1] - ends[0]) / 2 * times)
    return np.array(found)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_score_is_that_of_metrics_and_influences_sum_to_zero(name, kind):
    observed, predicted, probabilities = sample(kind, 1)
    value, added = influences(name, kind, observed, predicted, probabilities)
    assert value == scores(kind, observed, predicted, probabilities)[name]
    assert added.shape == (40,)
    assert added.sum() == pytest.approx(0, abs=1e-12 * np.abs(added).sum())
    assert np.abs(added).max() > 0


@pytest.mark.parametrize(
    ("name", "kind"), [pair for pair in PAIRS if pair[0] in MEANS and pair != ("auc", "categorical")]
)
@pytest.mark.parametrize("seed", range(3))
def test_scores_that_are_means_lose_exactly_this_without_the_row(name, kind, seed):
    rows = sample(kind, seed, n=12)
    value, added = influences(name, kind, *rows)
    expected = [value - without(name, kind, row, *rows) for row in range(12)]
    np.testing.assert_allclose(added, expected, atol=1e-12)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_derivative_by_the_weight_of_a_row(name, kind):
    rows = sample(kind, 5, n=9)
    _, added = influences(name, kind, *rows)
    by_class = name in ("auc", "balanced_accuracy")
    counts = np.array([(rows[0] == value).sum() for value in rows[0]]) if by_class else np.full(9, 9)
    if (name, kind) == ("auc", "categorical"):
        # one class against the others: each of its parts has a count of its own, so only the sign and size are like
        assert np.corrcoef(added, by_repeating(name, kind, *rows, times=400))[0, 1] > 0.95
        return
    np.testing.assert_allclose(added, by_repeating(name, kind, *rows) * counts / (counts - 1), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_area_of_several_classes_is_the_mean_of_areas_of_one_against_the_others(seed):
    observed, predicted, probabilities = sample("categorical", seed)
    _, added = influences("auc", "categorical", observed, predicted, probabilities)
    each = [influences("auc", "binary", 1.0 * (observed == k), probabilities[:, k])[1] for k in range(N_CLASSES)]
    np.testing.assert_allclose(added, np.mean(each, axis=0), atol=1e-14)


@pytest.mark.parametrize(("name", "kind"), [("auc", "binary"), ("mae", "continuous"), ("r", "continuous"), ("r2", "continuous"),
                                            ("rae", "continuous"), ("balanced_accuracy", "binary"), ("brier", "binary")])  # fmt: skip
def test_the_sum_of_squares_is_the_variance_over_new_samples(name, kind):
    rng, values, squares = np.random.default_rng(7), [], []
    for _ in range(400):
        if kind == "binary":
            observed = rng.integers(0, 2, 80).astype(float)
            predicted = np.clip(0.4 + 0.2 * observed + rng.normal(0, 0.2, 80), 0, 1)
        else:
            observed = rng.normal(0, 1, 80)
            predicted = 0.7 * observed + rng.normal(0, 0.5, 80)
        value, added = influences(name, kind, observed, predicted)
        values.append(value)
        squares.append((added**2).sum())
    # a variance of 400 values has a standard error of 7 %
    assert np.mean(squares) == pytest.approx(np.var(values), rel=0.25)


def test_by_hand():
    observed, predicted = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])
    value, added = influences("auc", "binary", observed, predicted)
    # placements: the zeros lie below 1 and 0.75 of the ones, the ones above 0.75 and 1 of the zeros
    assert value == 0.875
    np.testing.assert_allclose(added, [0.125, -0.125, -0.125, 0.125])
    value, added = influences("balanced_accuracy", "binary", observed, predicted)
    assert value == 0.75
    np.testing.assert_allclose(added, [0, 0, -0.25, 0.25])


@given(
    arrays(float, st.integers(3, 12), elements=st.integers(-8, 8).map(float)),
    st.integers(0, 99),
    st.sampled_from([0.25, 3.0, -2.0]),
    st.integers(-5, 5),
)
@settings(deadline=None, max_examples=40)
def test_another_unit_scales_errors_and_leaves_the_rest(observed, seed, factor, shift):
    predicted = np.random.default_rng(seed).integers(-8, 8, len(observed)).astype(float)
    for name in ("mae", "rae", "r", "r2"):
        plain = influences(name, "continuous", observed, predicted)[1]
        other = influences(name, "continuous", factor * observed + shift, factor * predicted + shift)[1]
        np.testing.assert_allclose(other, plain * (abs(factor) if name == "mae" else 1), atol=1e-9)


def test_rows_without_an_observation_add_nothing():
    observed, predicted = np.array([1.0, np.nan, 2, 3]), np.array([1.0, 99, 3, 5])
    value, added = influences("mae", "continuous", observed, predicted)
    assert value == 1
    np.testing.assert_allclose(added, [-0.5, 0, 0, 0.5])
    probabilities = np.array([[0.8, 0.2], [0.5, 0.5], [0.3, 0.7], [0.6, 0.4]])
    observed = np.array([0, np.nan, 1, 1])
    _, added = influences("brier", "categorical", observed, observed, probabilities)
    errors = np.array([0.08, 0.18, 0.72])
    np.testing.assert_allclose(added[[0, 2, 3]], (errors - errors.mean()) / 2)
    assert added[1] == 0


@pytest.mark.parametrize(
    ("name", "kind", "observed", "predicted"),
    [
        ("auc", "binary", [1.0, 1, 1], [0.1, 0.2, 0.3]),
        ("r", "continuous", [1.0, 2, 3], [5.0, 5, 5]),
        ("r2", "continuous", [2.0, 2, 2], [1.0, 2, 3]),
        ("mae", "continuous", [1.0, 2, 3], [1.0, 2, np.inf]),
        ("mae", "continuous", [1.0], [1.0]),
        ("auc", "categorical", [0.0, 1, 2], [0.0, 1, 2]),
    ],
)
def test_a_score_that_does_not_exist_has_no_influences(name, kind, observed, predicted):
    value, added = influences(name, kind, np.array(observed), np.array(predicted))
    assert np.isnan(value)
    assert np.isnan(added).all()
    assert added.shape == (len(observed),)


def test_the_only_one_of_a_class_says_nothing_of_how_others_would_do():
    _, added = influences("balanced_accuracy", "binary", np.array([1.0, 0, 0]), np.array([0.9, 0.8, 0.1]))
    np.testing.assert_allclose(added, [0, -0.25, 0.25])


def test_every_score_has_its_influences():
    assert set(_BY_NAME) == set(SCORES)
    assert {kind for _, kind in PAIRS} == set(KINDS)


def test_what_makes_no_sense_is_refused():
    ones = np.ones(3)
    with pytest.raises(InputError, match="score"):
        influences("f1", "binary", ones, ones)
    with pytest.raises(InputError, match="'auc'"):
        influences("auc", "continuous", ones, ones)
    with pytest.raises(InputError, match=r"\(3,\)"):
        influences("mae", "continuous", ones, np.ones(2))
