"""Confident learning: by hand, by plain loops, planted noise recovered, overlap not called noise, outliers by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from neurotransfer.errors import InputError
from neurotransfer.statistics.mislabelled import confident_joint, outlying


def draws(seed=0):
    return np.random.default_rng(seed)


def cohort(seed, n, gap, share, n_classes=2):
    """Given labels, those that were exchanged, and calibrated probabilities of the true classes."""
    generator = draws(seed)
    truth = np.arange(n) % n_classes
    x = generator.normal(size=(n, n_classes)) + gap * np.eye(n_classes)[truth]
    probabilities = np.exp(gap * (x - x.max(1, keepdims=True)))
    labels = truth.copy()
    wrong = np.sort(generator.permutation(n)[: round(share * n)])
    labels[wrong] = (truth[wrong] + generator.integers(1, n_classes, len(wrong))) % n_classes
    return labels, wrong, probabilities / probabilities.sum(1, keepdims=True)


def plain_joint(labels, probabilities):
    """As the paper's pseudocode has it."""
    n, k = probabilities.shape
    thresholds = [
        np.mean([row[j] for row, label in zip(probabilities, labels, strict=True) if label == j]) for j in range(k)
    ]
    counts = np.zeros((k, k))
    for row, label in zip(probabilities, labels, strict=True):
        above = [j for j in range(k) if row[j] >= thresholds[j]]
        if above:
            counts[label, max(above, key=lambda j: row[j])] += 1
    joint = np.zeros((k, k))
    for i in range(k):
        n_given = sum(labels == i)
        joint[i] = counts[i] / counts[i].sum() * n_given / n if counts[i].sum() else np.eye(k)[i] * n_given / n
    return joint, thresholds


def test_by_hand():
    labels = np.repeat([0, 1], 10)
    ones = np.r_[np.full(8, 0.1), np.full(2, 0.9), np.full(9, 0.8), 0.2]
    found = confident_joint(labels, np.column_stack([1 - ones, ones]), n_draws=20)
    # thresholds (8 * 0.9 + 2 * 0.1) / 10 and (9 * 0.8 + 0.2) / 10
    assert found.thresholds == pytest.approx([0.74, 0.74])
    assert found.joint == pytest.approx(np.array([[8, 2], [1, 9]]) / 20)
    assert found.noise_share.value == pytest.approx(3 / 20)
    assert found.flagged.tolist() == [8, 9, 19]
    assert found.likely.tolist() == [1, 1, 0]


@given(some.integers(0, 10_000), some.integers(2, 4), some.floats(0.2, 3))
@settings(deadline=None, max_examples=10)
def test_it_agrees_with_plain_loops(seed, n_classes, gap):
    labels, _, probabilities = cohort(seed, 40, gap, 0.1, n_classes)
    found = confident_joint(labels, probabilities, n_draws=1)
    joint, thresholds = plain_joint(labels, probabilities)
    np.testing.assert_allclose(found.joint, joint, atol=1e-12)
    assert found.thresholds == pytest.approx(thresholds)
    assert found.joint.sum(1) == pytest.approx(np.bincount(labels) / 40)
    assert found.noise_share.value == pytest.approx(1 - np.trace(joint))


@pytest.mark.parametrize(("n_classes", "share"), [(2, 0.1), (2, 0.2), (3, 0.15)])
def test_planted_noise_is_recovered_where_classes_are_apart(n_classes, share):
    shares, covered, hits = [], [], []
    for seed in range(8):
        labels, wrong, probabilities = cohort(seed, 300, 4.0, share, n_classes)
        found = confident_joint(labels, probabilities, n_draws=100)
        shares.append(found.noise_share.value)
        covered.append(found.noise_share.low <= share <= found.noise_share.high)
        hits.append(len(set(found.flagged) & set(wrong)) / len(wrong))
        truth = (np.arange(300) % n_classes)[found.flagged]
        assert np.mean(found.likely == truth) > 0.8
    assert np.mean(shares) == pytest.approx(share, abs=0.02)
    assert sum(covered) >= 6
    assert np.mean(hits) > 0.95


def test_clean_classes_that_are_apart_have_none():
    labels, _, probabilities = cohort(1, 300, 5.0, 0.0)
    found = confident_joint(labels, probabilities, n_draws=100)
    assert found.noise_share.value < 0.01
    assert found.noise.share.high < 0.03
    assert len(found.flagged) <= 3


@pytest.mark.parametrize(("gap", "n_studies"), [(1.0, 12), pytest.param(0.7, 40, marks=pytest.mark.slow)])
def test_overlap_has_a_share_and_is_not_called_noise(gap, n_studies):
    found = [confident_joint(*cohort(seed, 150, gap, 0.0)[::2], n_draws=100) for seed in range(n_studies)]
    shares, expected = (
        np.array([getattr(each, name).value for each in found]) for name in ("noise_share", "expected_share")
    )
    assert shares.mean() > 0.08
    assert shares.mean() == pytest.approx(expected.mean(), abs=0.025)
    # at 5 %, and three standard errors more
    most = n_studies * 0.05 + 3 * math.sqrt(n_studies * 0.05 * 0.95)
    assert sum(each.p < 0.05 for each in found) <= most
    assert sum(each.noise.share.low > 0 for each in found) <= most
    assert all(each.expected_share.low < each.expected_share.value < each.expected_share.high for each in found)


def test_noise_that_recalibration_takes_in_is_expected_too():
    labels, _, probabilities = cohort(2, 400, 2.5, 0.15)
    found = confident_joint(labels, probabilities, n_draws=100)
    # predictions without any grading: the labels are just what such probabilities give
    flat = np.where(probabilities > 0.5, 0.85, 0.15)
    flat /= flat.sum(1, keepdims=True)
    blurred = confident_joint(labels, flat, n_draws=100)
    assert blurred.expected_share.low < blurred.noise_share.value < blurred.expected_share.high
    assert blurred.noise.share.low == 0
    assert found.noise.share.low > 0.05


def test_rows_of_one_person_are_one():
    labels, _, probabilities = cohort(3, 60, 2.0, 0.1)
    once = confident_joint(labels, probabilities, n_draws=200)
    rows = np.repeat(np.arange(60), 4)
    again = confident_joint(labels[rows], probabilities[rows], rows, n_draws=200)
    np.testing.assert_allclose(again.joint, once.joint)
    assert again.noise_share.low == pytest.approx(once.noise_share.low, abs=0.03)
    # counts of four times as many rows are rounded more finely
    assert len(set(rows[again.flagged]) ^ set(once.flagged)) <= 2
    apart = confident_joint(labels[rows], probabilities[rows], n_draws=200)
    width = again.noise_share.high - again.noise_share.low
    assert apart.noise_share.high - apart.noise_share.low < 0.7 * width


def test_a_person_with_two_labels_stays_two():
    labels, _, probabilities = cohort(4, 40, 2.0, 0.0)
    people = np.array([f"p{row // 2}" for row in range(40)])
    found = confident_joint(labels, probabilities, people, n_draws=20)
    np.testing.assert_allclose(found.joint, plain_joint(labels, probabilities)[0])


@given(some.integers(0, 500))
@settings(deadline=None, max_examples=4)
def test_the_order_of_people_does_not_matter(seed):
    labels, _, probabilities = cohort(seed, 60, 2.0, 0.1, 3)
    order = draws(seed).permutation(60)
    there = confident_joint(labels, probabilities, n_draws=1)
    back = confident_joint(labels[order], probabilities[order], n_draws=1)
    np.testing.assert_allclose(back.joint, there.joint)
    assert order[back.flagged].tolist() == there.flagged.tolist()


def test_a_label_that_nobody_has_is_no_matter():
    labels, _, probabilities = cohort(5, 60, 2.0, 0.0)
    wider = np.column_stack([probabilities * 0.99, np.full(60, 0.01)])
    found = confident_joint(labels, wider, n_draws=20)
    assert found.joint[2].tolist() == [0, 0, 0]
    assert found.joint[:, 2].tolist() == [0, 0, 0]
    assert math.isinf(found.thresholds[2])


def test_it_is_the_same_every_time():
    labels, _, probabilities = cohort(6, 60, 2.0, 0.1)
    first, again = (confident_joint(labels, probabilities, n_draws=50) for _ in range(2))
    assert (first.noise_share, first.expected_share, first.p) == (again.noise_share, again.expected_share, again.p)


def test_what_cannot_be_used_is_said():
    labels, _, probabilities = cohort(7, 40, 2.0, 0.0)
    with pytest.raises(InputError, match="people has 39 rows"):
        confident_joint(labels, probabilities, np.arange(39))
    with pytest.raises(InputError, match="is no class"):
        confident_joint(labels + 1, probabilities)


def test_outlying_by_hand():
    found = outlying(np.array([1.0, 2.0, 3.0, 4.0, 50.0]), np.zeros(5))
    # residuals about the median 3: 2, 1, 0, 1, 47, of which the median is 1
    assert found.deviation == pytest.approx(0.6744897 * np.array([-2, -1, 0, 1, 47]))
    assert (found.rows.tolist(), found.share) == ([4], 0.2)


def test_normal_residuals_have_hardly_any_and_planted_ones_are_found():
    generator = draws(8)
    truth = generator.uniform(20, 80, 20_000)
    predicted = truth + generator.normal(0, 5, 20_000)
    assert outlying(truth, predicted).share == pytest.approx(0.000465, abs=0.0005)
    wrong = truth.copy()
    wrong[:200] += 40
    found = outlying(wrong, predicted)
    assert set(range(200)) <= set(found.rows)
    assert len(found.rows) < 230
    distance = np.abs(found.deviation[found.rows])
    assert (np.diff(distance) <= 0).all()


@given(some.integers(0, 500), some.floats(0.1, 10), some.floats(-50, 50))
@settings(deadline=None, max_examples=20)
def test_the_unit_of_values_does_not_matter(seed, factor, offset):
    generator = draws(seed)
    observed, predicted = generator.normal(0, 1, 30), generator.standard_cauchy(30)
    there = outlying(observed, predicted)
    back = outlying(factor * observed + offset, factor * predicted - offset)
    assert back.deviation == pytest.approx(there.deviation, rel=1e-6, abs=1e-6)


def test_residuals_that_are_mostly_the_same():
    found = outlying(np.array([5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 9.0]), np.full(8, 5.0))
    assert found.deviation[-1] == pytest.approx(4 / (0.5 / 0.7978845608))
    assert found.rows.tolist() == [7]
    assert outlying(np.full(4, 5.0), np.full(4, 3.0)).rows.tolist() == []


def test_missing_values_are_no_outliers():
    found = outlying(np.array([1.0, np.nan, 3.0, 2.0, 99.0, 4.0]), np.array([1.1, 2.0, 3.2, np.nan, 2.0, 4.3]))
    assert np.isnan(found.deviation[[1, 3]]).all()
    assert (found.rows.tolist(), found.share) == ([4], pytest.approx(1 / 4))
    assert outlying(np.array([np.nan]), np.array([1.0])).share == 0
    with pytest.raises(InputError, match=r"observed has shape \(2,\)"):
        outlying(np.zeros(2), np.zeros(3))
