"""How far scans are from those that a model knows: distances by an independent formula, and how often it errs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis

from neurotransfer.errors import InputError
from neurotransfer.models.reference import (
    ALIKE,
    FAR,
    OTHER,
    PARTLY,
    UNKNOWN,
    Reference,
    Strangeness,
    drift_of,
    gauge_of,
    reference_of,
    values_of,
)

N_FEATURES = 40


def people(n, seed, shift=0.0, scale=1.0):
    """Features that vary together in six ways, and a little each."""
    shared = np.random.default_rng(99).normal(size=(6, N_FEATURES)) * np.linspace(3, 1, 6)[:, None]
    random = np.random.default_rng(seed)
    return scale * (random.normal(size=(n, 6)) @ shared + random.normal(size=(n, N_FEATURES))) + 5 + shift


def spreads(n, seed):
    return np.clip(0.5 + 0.05 * np.random.default_rng(seed).normal(size=(n, 22)), 0, 1)


def reference(n=300, seed=0):
    held_out = np.arange(n) >= 2 * n // 3
    return reference_of(people(n, seed), spreads(n, seed), held_out)


def test_the_distance_is_that_of_mahalanobis_under_the_model():
    gauge = gauge_of(people(300, 0), people(100, 1))
    # the covariance that principal components with noise stand for
    covariance = gauge.noise * (np.eye(N_FEATURES) - gauge.components.T @ gauge.components)
    covariance += gauge.components.T @ np.diag(gauge.variances) @ gauge.components
    inverse = np.linalg.inv(covariance)
    rows = gauge.standardised(people(5, 2))
    expected = [mahalanobis(row, np.zeros(N_FEATURES), inverse) / np.sqrt(N_FEATURES) for row in rows]
    np.testing.assert_allclose(gauge.distances(people(5, 2)), expected, rtol=1e-6)


def test_components_are_orthonormal_and_explain_what_varies_together():
    gauge = gauge_of(people(500, 0), people(100, 1))
    np.testing.assert_allclose(gauge.components @ gauge.components.T, np.eye(len(gauge.components)), atol=1e-10)
    assert (np.diff(gauge.variances) <= 1e-12).all()
    assert gauge.variances[:6].sum() > 0.8 * N_FEATURES


@pytest.mark.parametrize("n", [40, 100, 400])
def test_scans_of_the_same_kind_are_hardly_ever_outside(n):
    """In 60 cohorts of 50: about one scan in 700 by the normal law, more from few scans, and no verdict against them."""
    known = reference(n)
    drifts = [drift_of(known, people(50, 100 + seed), spreads(50, 100 + seed)) for seed in range(60)]
    assert np.mean([drift.outside.mean() for drift in drifts]) < 0.02
    assert np.mean([drift.verdict == ALIKE for drift in drifts]) > 0.95
    assert np.mean([drift.shifted > 2 for drift in drifts]) < 0.05


CHANGES = {
    "another mean": lambda features, values: (features + 12, values),
    "another scale": lambda features, values: (5 + 3 * (features - 5), values),
    "what never went together": lambda features, values: (
        np.random.default_rng(7).permuted(features, axis=0), values
    ),
    "another brightness": lambda features, values: (features, values + 0.3),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_another_kind_of_scans_is_found(change):
    drift = drift_of(reference(), *CHANGES[change](people(40, 5), spreads(40, 5)))
    assert drift.verdict == OTHER
    assert "another kind of scans" in drift.text
    assert "not to be trusted" in drift.text


def test_single_scans_outside_are_found_among_others():
    features = people(40, 5)
    features[[3, 17, 20, 30, 33]] += 12
    drift = drift_of(reference(), features, spreads(40, 5))
    assert np.flatnonzero(drift.outside).tolist() == [3, 17, 20, 30, 33]
    assert drift.verdict == PARTLY
    assert "5 of 40 scans lie outside" in drift.text
    # one of many is no verdict on all, and still listed
    alone = drift_of(reference(), features[:30][[3, *range(4, 17)]], spreads(14, 5))
    assert (alone.outside.sum(), alone.verdict) == (1, ALIKE)
    assert drift_of(reference(), features[[3]], spreads(1, 5)).verdict == OTHER


def test_features_that_shifted_are_counted():
    features = people(60, 5)
    features[:, :4] += 4 * people(300, 0).std(0)[:4]
    assert drift_of(reference(), features, spreads(60, 5)).shifted == 4


def test_without_a_reference_nothing_is_said():
    drift = drift_of(None, people(4, 0), spreads(4, 0))
    assert (drift.verdict, drift.outside.any(), np.isnan(drift.features).all()) == (UNKNOWN, False, True)
    assert "cannot be told" in drift.text


@settings(max_examples=30, deadline=None)
@given(cut=st.lists(st.integers(1, 39), max_size=4, unique=True), lost=st.sets(st.integers(0, 39), max_size=5))
def test_blocks_give_what_all_at_once_gives(cut, lost):
    features, values = people(40, 3), spreads(40, 3)
    features[10:14] += 12
    features[sorted(lost)] = np.nan
    counted = Strangeness(reference())
    for rows in np.split(np.arange(40), sorted(cut)):
        counted.add(features[rows], values[rows])
    found, expected = counted.drift(), drift_of(reference(), features, values)
    np.testing.assert_array_equal(found.outside, expected.outside)
    np.testing.assert_array_equal(np.isnan(found.features), np.isnan(features).any(1))
    assert (found.verdict, found.shifted) == (expected.verdict, expected.shifted)
    assert not found.outside[sorted(lost)].any()


def test_no_scans_have_no_verdict_against_them():
    assert Strangeness(reference()).drift().verdict == ALIKE
    assert len(drift_of(reference(), np.zeros((0, N_FEATURES)), np.zeros((0, 22))).outside) == 0


@pytest.mark.parametrize("f", [1, 3, 500])
def test_more_features_than_scans_and_silent_ones_do_no_harm(f):
    random = np.random.default_rng(0)
    values, others = random.normal(size=(30, f)), random.normal(size=(10, f))
    if f > 1:
        values[:, 0] = others[:, 0] = 0.25
    gauge = gauge_of(values, others)
    assert np.isfinite(gauge.distances(others)).all()
    fresh = random.normal(size=(20, f))
    if f > 1:
        fresh[:, 0] = 0.25
    assert (gauge.strangeness(fresh) < FAR).mean() > 0.8
    if f == 3:
        # a trifle in a silent feature is no great distance
        near = others.copy()
        near[:, 0] += 1e-6
        np.testing.assert_allclose(gauge.distances(near), gauge.distances(others), rtol=1e-3)


def test_it_comes_back_from_its_arrays():
    known = reference()
    again = Reference.from_arrays(known.to_arrays())
    assert again.n == known.n
    found, expected = (one.features.strangeness(people(9, 4)) for one in (again, known))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert all(array.dtype == np.float32 for array in known.to_arrays().values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features.mean": None}, "the arrays are not features.mean"),
        ({"foreign": np.zeros(1)}, "the arrays are not foreign"),
        ({"features.mean": np.zeros(3)}, "features do not fit together"),
        ({"values.components": np.zeros((2, 2))}, "values do not fit together"),
        ({"values.deviation": np.zeros(22)}, "values do not fit together"),
        ({"features.usual": np.array([0.0, 0.0])}, "do not fit together"),
        ({"features.noise": np.array([-1.0])}, "do not fit together"),
        ({"features.mean": np.full(N_FEATURES, np.nan)}, "missing or infinite"),
        ({"n": np.zeros(2)}, "missing or infinite"),
    ],
)
def test_arrays_that_cannot_be_are_refused(change, said):
    arrays = {name: value for name, value in (reference().to_arrays() | change).items() if value is not None}
    with pytest.raises(InputError, match=said):
        Reference.from_arrays(arrays)


@given(seed=st.integers(0, 100), share=st.floats(0, 1))
def test_values_are_quantiles_of_what_is_above_zero(seed, share):
    volume = (0.2 + 0.6 * np.random.default_rng(seed).random((6, 7, 8))).astype(np.float32)
    volume[np.random.default_rng(seed + 1).random(volume.shape) < share] = 0
    found = values_of(volume[None])[0]
    inside = volume[volume > 0]
    assert found[-1] == pytest.approx(len(inside) / volume.size)
    if len(inside):
        # none farther from the quantile than the values on both its sides
        below, above = (np.quantile(inside, np.linspace(0, 1, 21), method=way) for way in ("lower", "higher"))
        step = np.diff(np.sort(inside), prepend=inside.min()).max(initial=0) + 1e-3
        assert (found[:-1] >= below - step).all()
        assert (found[:-1] <= above + step).all()
        np.testing.assert_allclose(found[[0, 20]], [inside.min(), inside.max()], atol=1e-3)
    assert (np.diff(found[:-1]) >= 0).all()


def test_empty_volumes_have_no_values():
    np.testing.assert_array_equal(values_of(np.zeros((2, 4, 4, 4))), np.zeros((2, 22)))
    assert values_of(np.zeros((0, 4, 4, 4))).shape == (0, 22)


def test_a_reference_tells_of_so_many_scans():
    assert reference(60).n == 60
    assert replace(reference(60), n=1).to_arrays()["n"].tolist() == [1]
