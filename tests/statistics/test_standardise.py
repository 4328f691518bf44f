"""The scale of features: what training gives, never blown up; what two scans of one person disagree about counts less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics.standardise import LEAST_SCALE, standardiser, within_person_normaliser

FEATURES = arrays(float, st.tuples(st.integers(2, 8), st.integers(1, 6)), elements=st.floats(-100, 100, width=32))


@given(features=FEATURES, alike=st.booleans())
def test_scaled_features_are_centred_and_never_wider_than_one(features, alike):
    mean, scale = standardiser(features, alike=alike)
    found = (features - mean) / scale
    assert np.allclose(found.mean(0), 0, atol=1e-6)
    assert (found.std(0) <= 1 + 1e-9).all() or not alike
    assert (scale > 0).all()


def test_a_constant_feature_is_left_at_its_own_scale():
    mean, scale = standardiser(np.array([[3.0, 1.0], [3.0, 2.0]]))
    assert mean.tolist() == [3.0, 1.5]
    assert scale.tolist() == [1.0, 0.5]


def test_where_features_are_alike_a_silent_one_has_a_tenth_of_the_median_scale():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((50, 9)) * np.r_[1e-3, np.ones(8)]
    _, scale = standardiser(features, alike=True)
    assert scale[0] == pytest.approx(LEAST_SCALE * np.median(features.std(0)))
    assert np.allclose(scale[1:], features.std(0)[1:])
    assert standardiser(features)[1][0] == pytest.approx(features.std(0)[0])


@given(features=FEATURES, factor=st.floats(0.5, 50))
def test_units_do_not_matter(features, factor):
    features = features + np.arange(len(features))[:, None]
    (mean, scale), (other_mean, other_scale) = standardiser(features), standardiser(features * factor)
    assert np.allclose(other_mean, mean * factor, rtol=1e-6, atol=1e-6)
    kept = (scale != 1) & (other_scale != 1)
    assert np.allclose(other_scale[kept], scale[kept] * factor, rtol=1e-5)


def people(n=4000, seed=0):
    """Two scans each: a trait in all features, and a scanner's effect along one direction, five times as strong."""
    generator = np.random.default_rng(seed)
    trait, along = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, -1.0, 1.0, -1.0])
    level = generator.standard_normal(n)
    scans = [
        np.outer(level, trait) + 5 * np.outer(generator.standard_normal(n), along)
        + 0.1 * generator.standard_normal((n, 4))
        for _ in range(2)
    ]  # fmt: skip
    return level, scans, trait, along


def within(first, second):
    return np.cov((first - second).T, bias=True) / 2


def test_with_a_small_floor_scans_of_a_person_differ_alike_in_all_directions():
    _, (first, second), *_ = people()
    centre, matrix = within_person_normaliser(first, second, floor=1e-6)
    one, other = ((scan - centre) @ matrix.T for scan in (first, second))
    assert np.allclose(within(one, other), np.eye(4), atol=0.05)
    assert np.allclose(np.concatenate([one, other]).mean(0), 0, atol=1e-9)


def test_it_is_the_inverse_root_of_what_is_within_people():
    """Against scipy's root of the matrix, written from the formula."""
    from scipy.linalg import fractional_matrix_power

    _, (first, second), *_ = people(300)
    centre, matrix = within_person_normaliser(first, second, floor=0.2)
    pooled = np.concatenate([first, second])
    scale = pooled.std(0)
    variance = sum(np.outer(d, d) for d in (first - second) / scale) / (2 * len(first))
    expected = fractional_matrix_power(variance + 0.2 * np.trace(variance) / 4 * np.eye(4), -0.5) / scale
    assert np.allclose(matrix, expected)
    assert np.allclose(centre, pooled.mean(0))


def test_a_direction_of_the_scanner_counts_less_than_one_of_the_person():
    level, (first, second), trait, along = people()
    centre, matrix = within_person_normaliser(first, second)
    assert np.linalg.norm(matrix @ along) < 0.7 * np.linalg.norm(matrix @ trait)

    # ridge regression with few people and a penalty finds the trait, features standardised as strategies do it or not
    def error(features, standardised=False):
        if standardised:
            mean, scale = standardiser(features[:12], alike=True)
            features = (features - mean) / scale
        learn, rest = features[:12] - features[:12].mean(0), features[12:] - features[:12].mean(0)
        weights = np.linalg.solve(
            learn.T @ learn + np.trace(learn.T @ learn) / 4 * np.eye(4), learn.T @ (level[:12] - level[:12].mean())
        )
        return np.abs(rest @ weights + level[:12].mean() - level[12:]).mean()

    scaled = (first - centre) / np.concatenate([first, second]).std(0)
    assert error((first - centre) @ matrix.T) < 0.7 * error(scaled)
    assert error((first - centre) @ matrix.T, standardised=True) < 0.7 * error(scaled, standardised=True)


def test_a_large_floor_leaves_the_scale_alone():
    _, (first, second), *_ = people(100)
    _, matrix = within_person_normaliser(first, second, floor=1e9)
    scale = np.concatenate([first, second]).std(0)
    assert np.allclose(matrix / matrix[0, 0], np.diag(scale[0] / scale), atol=1e-6)


@given(shift=st.floats(-50, 50), factor=st.floats(0.1, 20), swapped=st.booleans())
def test_neither_units_nor_the_order_of_scans_matter(shift, factor, swapped):
    _, (first, second), *_ = people(40)
    centre, matrix = within_person_normaliser(first, second)
    pair = [scan * factor + shift for scan in ((second, first) if swapped else (first, second))]
    other_centre, other = within_person_normaliser(*pair)
    assert np.allclose((pair[swapped] - other_centre) @ other.T, (first - centre) @ matrix.T, atol=1e-6)


def test_scans_that_agree_and_silent_features_give_finite_numbers():
    first = np.array([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
    for second in (first, first[::-1]):
        centre, matrix = within_person_normaliser(first, second)
        assert np.isfinite(centre).all()
        # numbers of 16 bits, as models keep them, end at 65504
        assert np.isfinite(matrix.astype(np.float16)).all()


@pytest.mark.parametrize(
    ("first", "second", "floor", "said"),
    [
        (np.ones((3, 2)), np.ones((3, 1)), 0.3, "same two or more people"),
        (np.ones((1, 2)), np.ones((1, 2)), 0.3, "got shapes"),
        (np.ones(3), np.ones(3), 0.3, "got shapes"),
        (np.ones((3, 2)), np.ones((3, 2)), 0.0, "floor above 0"),
        (np.ones((3, 2)), np.ones((3, 2)), np.inf, "finite"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), 0.3, "finite"),
    ],
)
def test_what_cannot_be_normalised_is_refused(first, second, floor, said):
    with pytest.raises(InputError, match=said):
        within_person_normaliser(first, second, floor)
