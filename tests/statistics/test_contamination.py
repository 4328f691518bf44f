"""Label noise as a parameter: found where it was planted, not where classes overlap, by plain likelihoods."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from neurotransfer.errors import InputError
from neurotransfer.statistics.contamination import checked_classes, contamination


def draws(seed=0):
    return np.random.default_rng(seed)


def cohort(seed, n, gap, share, n_classes=2):
    """Given labels, true labels and the probabilities of a model that knows the classes, a little too sure of itself."""
    generator = draws(seed)
    truth = np.arange(n) % n_classes
    x = generator.normal(size=(n, n_classes)) + gap * np.eye(n_classes)[truth]
    scores = 1.5 * gap * x
    probabilities = np.exp(scores - scores.max(1, keepdims=True))
    given = truth.copy()
    wrong = generator.permutation(n)[: round(share * n)]
    given[wrong] = (truth[wrong] + generator.integers(1, n_classes, len(wrong))) % n_classes
    return given, truth, probabilities / probabilities.sum(1, keepdims=True)


def plain_loss(labels, probabilities, slope, intercepts, share):
    """The negative log-likelihood, a person at a time."""
    total = 0.0
    for label, row in zip(labels, probabilities, strict=True):
        powers = [math.exp(b) * p**slope for p, b in zip(row, [0.0, *intercepts], strict=True)]
        q = [power / sum(powers) for power in powers]
        total -= math.log((1 - share) * q[label] + share * (1 - q[label]) / (len(row) - 1))
    return total


@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_grid_point_has_a_greater_likelihood(n_classes):
    labels, _, probabilities = cohort(1, 60, 1.5, 0.15, n_classes)
    found = contamination(labels, probabilities)
    losses = {
        (slope, first, share): plain_loss(labels, probabilities, slope, [first] + [0.0] * (n_classes - 2), share)
        for slope in (0.3, 0.5, 0.7, 1, 1.5, 3)
        for first in (-0.5, 0.0, 0.5)
        for share in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
    }
    without = min(loss for (_, _, share), loss in losses.items() if share == 0)
    own = -np.log(found.calibrated[np.arange(60), labels]).sum()
    assert own <= without + 1e-6
    assert own - found.likelihood_ratio / 2 <= min(losses.values()) + 1e-6


def test_recalibrated_probabilities_are_as_frequent_as_they_say():
    labels, _, probabilities = cohort(2, 2000, 1.0, 0.0)
    found = contamination(labels, probabilities).calibrated
    # the model was made one and a half times too sure
    slope = np.polyfit(np.log(probabilities[:, 1] / probabilities[:, 0]), np.log(found[:, 1] / found[:, 0]), 1)[0]
    assert slope == pytest.approx(1 / 1.5, abs=0.06)
    assert found.mean(0) == pytest.approx(np.bincount(labels) / 2000, abs=1e-3)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("gap", "n_classes", "n_studies"),
    [(1.5, 2, 20), *(pytest.param(*each, 60, marks=SLOW) for each in ((0.5, 2), (1.5, 2), (4.0, 2), (1.5, 3)))],
)
def test_overlap_is_not_called_noise(gap, n_classes, n_studies):
    found = [contamination(*cohort(seed, 150, gap, 0.0, n_classes)[::2]) for seed in range(n_studies)]
    # at 5 %, and three standard errors more
    most = n_studies * 0.05 + 3 * math.sqrt(n_studies * 0.05 * 0.95)
    assert sum(each.p < 0.05 for each in found) <= most
    assert sum(each.share.low > 0 for each in found) <= most


@pytest.mark.parametrize(
    ("gap", "n_classes", "share", "n_studies"),
    [
        (2.5, 2, 0.15, 8),
        *(pytest.param(*each, 25, marks=SLOW) for each in ((3.0, 2, 0.1), (2.0, 2, 0.2), (3.0, 3, 0.15))),
    ],
)
def test_planted_noise_is_found_where_predictions_are_sharp(gap, n_classes, share, n_studies):
    found = [contamination(*cohort(100 + seed, 300, gap, share, n_classes)[::2]) for seed in range(n_studies)]
    assert np.mean([each.share.value for each in found]) == pytest.approx(share, abs=0.03)
    assert np.mean([each.p < 0.05 for each in found]) > 0.85
    assert np.mean([each.share.low <= share <= each.share.high for each in found]) > 0.8


def test_where_no_prediction_is_sharp_the_interval_says_so():
    labels, _, probabilities = cohort(3, 200, 0.4, 0.1)
    found = contamination(labels, probabilities)
    assert found.share.low == 0
    assert found.share.high > 0.3


def test_clean_sharp_classes_bound_the_noise():
    labels, _, probabilities = cohort(4, 300, 4.0, 0.0)
    found = contamination(labels, probabilities)
    assert found.share.value < 0.01
    assert found.share.high < 0.03


def test_predictions_without_a_doubt_are_taken_and_without_grades_tell_nothing():
    labels = np.arange(40) % 2
    sure = np.eye(2)[labels]
    clean = contamination(labels, sure).share
    assert clean.value == pytest.approx(0, abs=1e-6)
    assert clean.high < 0.1
    wrong = labels.copy()
    wrong[:4] = 1 - wrong[:4]
    # a smaller slope explains the four as well as their exchange does
    found = contamination(wrong, sure)
    assert found.likelihood_ratio < 0.1
    assert found.share.low == 0
    assert found.share.high > 0.1


@given(some.integers(0, 500), some.sampled_from([2, 3]))
@settings(deadline=None, max_examples=5)
def test_neither_the_order_of_people_nor_the_names_of_classes_matter(seed, n_classes):
    labels, _, probabilities = cohort(seed, 80, 2.0, 0.1, n_classes)
    there = contamination(labels, probabilities)
    order, names = draws(seed).permutation(80), draws(seed).permutation(n_classes)
    back = contamination(np.argsort(names)[labels][order], probabilities[order][:, names])
    assert back.share.value == pytest.approx(there.share.value, abs=0.01)
    assert back.likelihood_ratio == pytest.approx(there.likelihood_ratio, abs=0.02)


def test_classes_are_checked():
    sums = checked_classes(np.array([0, 1]), np.array([[0.2, 0.8004], [0.9, 0.1]]))[1].sum(1)
    assert sums == pytest.approx([1, 1])
    with pytest.raises(InputError, match=r"got shapes \(3,\) and \(2, 2\)"):
        checked_classes(np.zeros(3), np.full((2, 2), 0.5))
    with pytest.raises(InputError, match="whole numbers from 0 to 1"):
        checked_classes(np.array([0, 2]), np.full((2, 2), 0.5))
    with pytest.raises(InputError, match="add up to 1"):
        checked_classes(np.array([0, 1]), np.full((2, 2), 0.6))


def test_too_few_people_are_refused():
    labels, _, probabilities = cohort(5, 19, 2.0, 0.0)
    with pytest.raises(InputError, match="20 people or more of two classes or more, got 19 of 2"):
        contamination(labels, probabilities)
    with pytest.raises(InputError, match="got 30 of 1"):
        contamination(np.zeros(30), np.full((30, 2), 0.5))


@pytest.mark.parametrize("seed", range(6))
def test_predictions_that_hardly_leave_the_middle_say_what_the_same_ones_say_when_sharp(seed):
    """A slope and intercepts are fitted anyway, so that squeezed and shifted scores hold the same."""
    labels, _, probabilities = cohort(seed, 400, 1.0, 0.0)
    scores = 0.02 * np.log(probabilities) + np.array([0.0, -0.03])
    squeezed = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    sharp, dull = contamination(labels, probabilities), contamination(labels, squeezed)
    assert dull.likelihood_ratio == pytest.approx(sharp.likelihood_ratio, abs=0.02)
    assert dull.share.value == pytest.approx(sharp.share.value, abs=0.01)
    assert dull.p == pytest.approx(sharp.p, abs=0.02)


@pytest.mark.parametrize("seed", [2, 3])
def test_where_one_fit_ends_lower_from_another_start_nothing_breaks(seed):
    """Scores so close that the slope is at its bound: the fit without noise once ended above the same one begun elsewhere."""
    labels, _, probabilities = cohort(seed, 400, 1.0, 0.0)
    scores = 0.01 * np.log(probabilities) + np.array([0.0, -0.04])
    found = contamination(labels, np.exp(scores) / np.exp(scores).sum(1, keepdims=True))
    assert found.share.low == 0
    assert found.p > 0.05
    assert found.share.low <= found.share.value <= found.share.high
