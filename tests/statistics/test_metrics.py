"""Scores against hand-worked cases, scikit-learn and scipy, and the laws that they obey."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics import HEADLINE, SCORES, SELECTION, metrics, scores
from neurotransfer.targets import KINDS

TIED = st.integers(0, 8).map(lambda level: level / 8)


@st.composite
def binary_samples(draw):
    n = draw(st.integers(2, 40))
    observed = draw(arrays(float, n, elements=st.sampled_from([0.0, 1.0])))
    return observed, draw(arrays(float, n, elements=TIED))


@st.composite
def numeric_samples(draw):
    n = draw(st.integers(2, 40))
    values = st.floats(-100, 100, width=32) | st.integers(-3, 3).map(float)
    return draw(arrays(float, n, elements=values)), draw(arrays(float, n, elements=values))


@st.composite
def categorical_samples(draw):
    n, k = draw(st.integers(2, 30)), draw(st.integers(2, 5))
    observed = draw(arrays(int, n, elements=st.integers(0, k - 1)))
    weights = draw(arrays(float, (n, k), elements=st.integers(1, 6).map(float)))
    return observed, weights / weights.sum(1, keepdims=True)


def defined(found):
    return {name for name, value in found.items() if not math.isnan(value)}


def test_table_is_complete_and_in_order():
    assert list(SCORES) == ["auc", "balanced_accuracy", "brier", "mae", "rae", "r", "r2"]
    assert all(name == score.name and score.label for name, score in SCORES.items())
    assert {kind for score in SCORES.values() for kind in score.kinds} == set(KINDS)


def test_selection_and_headline_exist_for_every_kind():
    for choice in (SELECTION, HEADLINE):
        assert set(choice) == set(KINDS)
        assert all(kind in SCORES[name].kinds for kind, name in choice.items())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_exactly_the_scores_that_the_table_promises(kind):
    observed = np.array([0, 1, 1, 0, 1])
    predicted = np.array([0.0, 1.0, 0.0, 0.0, 1.0])
    found = scores(kind, observed, predicted, np.column_stack([1 - predicted, predicted]))
    assert list(found) == list(SCORES)
    assert defined(found) == {name for name, score in SCORES.items() if kind in score.kinds}
    assert all(type(value) is float for value in found.values())


def test_continuous_by_hand():
    found = scores("continuous", np.array([1.0, 2.0, 3.0, 6.0]), np.array([2.0, 2.0, 2.0, 5.0]))
    assert found["mae"] == pytest.approx(3 / 4)
    assert found["rae"] == pytest.approx(3 / (2 + 1 + 0 + 3))
    assert found["r2"] == pytest.approx(1 - 3 / (4 + 1 + 0 + 9))
    assert found["r"] == pytest.approx((-2 * -0.75 - 1 * -0.75 + 3 * 2.25) / math.sqrt(14 * 6.75))


def test_binary_by_hand():
    found = scores("binary", np.array([0, 0, 1, 1]), np.array([0.1, 0.5, 0.5, 0.8]))
    assert found["auc"] == 3.5 / 4
    assert found["balanced_accuracy"] == 0.75
    assert found["brier"] == pytest.approx((0.01 + 0.25 + 0.25 + 0.04) / 4)


def test_categorical_by_hand():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8]])
    found = scores("categorical", np.array([0, 1, 0, 2]), probabilities.argmax(1), probabilities)
    assert found["balanced_accuracy"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found["auc"] == 1.0
    assert found["brier"] == pytest.approx((0.26 + 0.38 + 0.74 + 0.06) / 4)


def test_ordinal_rounds_the_expected_level_half_up():
    found = scores("ordinal", np.array([0, 1, 2, 3]), np.array([0.4, 0.5, 2.5, 3.2]))
    assert found["balanced_accuracy"] == 0.75
    assert found["mae"] == pytest.approx((0.4 + 0.5 + 0.5 + 0.2) / 4)


@given(binary_samples())
def test_binary_agrees_with_scikit_learn(sample):
    observed, predicted = sample
    found = scores("binary", observed, predicted)
    assert found["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(observed, predicted, pos_label=1))
    if len(np.unique(observed)) < 2:
        assert math.isnan(found["auc"])
        assert math.isnan(found["balanced_accuracy"])
    else:
        assert found["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(observed, predicted), abs=1e-12)
        expected = sklearn.metrics.balanced_accuracy_score(observed, predicted >= 0.5)
        assert found["balanced_accuracy"] == pytest.approx(expected)


@given(numeric_samples())
def test_continuous_agrees_with_scikit_learn_and_scipy(sample):
    observed, predicted = sample
    assume(np.ptp(observed) > 1e-3)
    found = scores("continuous", observed, predicted)
    assert found["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(observed, predicted))
    assert found["r2"] == pytest.approx(sklearn.metrics.r2_score(observed, predicted), rel=1e-9, abs=1e-9)
    assert found["rae"] == pytest.approx(sum(abs(observed - predicted)) / sum(abs(observed - np.mean(observed))))
    if np.ptp(predicted) == 0:
        assert math.isnan(found["r"])
    elif np.ptp(predicted) > 1e-3:
        assert found["r"] == pytest.approx(scipy.stats.pearsonr(observed, predicted).statistic, abs=1e-9)


@given(categorical_samples())
@settings(deadline=None)
def test_categorical_agrees_with_scikit_learn(sample):
    observed, probabilities = sample
    found = scores("categorical", observed, probabilities.argmax(1), probabilities)
    happened = np.eye(probabilities.shape[1])[observed]
    assert found["brier"] == pytest.approx(np.mean(np.sum((happened - probabilities) ** 2, 1)))
    present = np.unique(observed)
    if len(present) < 2:
        assert defined(found) == {"brier"}
        return
    one_vs_rest = [sklearn.metrics.roc_auc_score(observed == k, probabilities[:, k]) for k in present]
    assert found["auc"] == pytest.approx(np.mean(one_vs_rest))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn.metrics.balanced_accuracy_score(observed, probabilities.argmax(1))
    assert found["balanced_accuracy"] == pytest.approx(expected)


@given(binary_samples())
def test_binary_agrees_with_two_class_categorical(sample):
    observed, predicted = sample
    # at 0.5 itself a class is a matter of taste
    predicted = np.where(predicted == 0.5, 0.25, predicted)
    both = np.column_stack([1 - predicted, predicted])
    one, two = scores("binary", observed, predicted), scores("categorical", observed, predicted > 0.5, both)
    assert one["auc"] == pytest.approx(two["auc"], nan_ok=True)
    assert one["balanced_accuracy"] == pytest.approx(two["balanced_accuracy"], nan_ok=True)
    assert 2 * one["brier"] == pytest.approx(two["brier"])


@given(binary_samples())
def test_auc_depends_on_order_alone_and_mirrors(sample):
    observed, predicted = sample
    found = metrics.auc(observed, predicted)
    assert metrics.auc(observed, np.exp(3 * predicted) - 7) == pytest.approx(found, nan_ok=True)
    assert metrics.auc(observed, -predicted) == pytest.approx(1 - found, nan_ok=True)
    assert metrics.auc(1 - observed, predicted) == pytest.approx(1 - found, nan_ok=True)
    assert math.isnan(found) or 0 <= found <= 1


@given(numeric_samples(), st.floats(0.1, 10), st.floats(-50, 50))
def test_rae_r_and_r2_do_not_depend_on_the_unit(sample, scale, shift):
    observed, predicted = sample
    assume(np.ptp(observed) > 0.1)
    assume(np.ptp(predicted) > 0.1)
    plain = scores("continuous", observed, predicted)
    changed = scores("continuous", scale * observed + shift, scale * predicted + shift)
    assert changed["mae"] == pytest.approx(scale * plain["mae"], rel=1e-6)
    for name in ("rae", "r", "r2"):
        assert changed[name] == pytest.approx(plain[name], rel=1e-6, abs=1e-6)


@given(numeric_samples(), st.randoms())
def test_order_of_rows_does_not_matter(sample, random):
    observed, predicted = sample
    order = list(range(len(observed)))
    random.shuffle(order)
    first, second = scores("continuous", observed, predicted), scores("continuous", observed[order], predicted[order])
    for name in SCORES:
        assert second[name] == pytest.approx(first[name], rel=1e-6, abs=1e-6, nan_ok=True)


def test_predicting_the_mean_gives_chance():
    observed = np.array([1.0, 4.0, 7.0, 20.0])
    found = scores("continuous", observed, np.full(4, observed.mean()))
    assert found["rae"] == SCORES["rae"].chance == 1
    assert found["r2"] == SCORES["r2"].chance == 0
    assert math.isnan(found["r"])


def test_constant_up_to_rounding_has_no_correlation():
    noisy = 0.3 + np.array([0, 1, -1, 1]) * 1e-17
    assert math.isnan(metrics.r(np.array([1.0, 2.0, 3.0, 4.0]), noisy + 1e-16 * np.arange(4)))


def test_huge_and_tiny_numbers_do_not_overflow():
    observed = np.array([1.0, 2.0, 3.0])
    assert metrics.r(observed, observed * 1e300) == pytest.approx(1)
    assert metrics.r(observed, observed * 1e-300) == pytest.approx(1)
    assert metrics.r2(observed, observed * 1e300) == -math.inf


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_fewer_than_two_give_nothing(kind, n):
    assert defined(scores(kind, np.zeros(n), np.zeros(n), np.ones((n, 2)))) == set()


def test_missing_observations_are_left_out_and_missing_predictions_spoil_all():
    observed, predicted = np.array([1.0, np.nan, 3.0, 5.0]), np.array([1.0, 9.0, 3.0, 4.0])
    assert scores("continuous", observed, predicted)["mae"] == pytest.approx(1 / 3)
    assert defined(scores("continuous", predicted, observed)) == set()


def test_categorical_without_probabilities_has_accuracy_only():
    assert defined(scores("categorical", np.array([0, 1, 2]), np.array([0, 1, 1]))) == {"balanced_accuracy"}


def test_chance_of_balanced_accuracy_depends_on_the_classes():
    assert SCORES["balanced_accuracy"].chance_level(4) == 0.25
    assert SCORES["auc"].chance_level(4) == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("binari", [0, 1], [0, 1]), "did you mean 'binary'"),
        (("binary", [0, 1, 1], [0, 1]), r"\(3,\).*\(2,\)"),
        (("binary", [0, 2], [0, 1]), "2.0"),
        (("ordinal", [0, 1.5], [0, 1]), "1.5"),
        (("categorical", [0, 3], [0, 1], np.ones((2, 3))), "3.0"),
        (("categorical", [0, 1], [0, 1], np.ones((3, 2))), r"\(2, K\)"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        scores(*arguments)
