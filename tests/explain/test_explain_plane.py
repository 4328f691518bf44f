"""Maps of scans: components against scikit-learn, signs, and UMAP where it is installed."""

import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from neurotransfer.errors import InputError
from neurotransfer.explain.plane import neighbour_plane, principal_plane


def draws(seed):
    return np.random.default_rng(seed)


@given(st.integers(3, 30), st.integers(2, 12), st.integers(0, 20))
def test_components_are_those_of_scikit_learn(n, p, seed):
    features = draws(seed).normal(size=(n, p)) * np.arange(1, p + 1)
    found = principal_plane(features)
    values = (features - features.mean(0)) / features.std(0)
    expected = PCA(2).fit_transform(values)
    for axis in range(2):
        sign = np.sign(found.points[:, axis] @ expected[:, axis])
        np.testing.assert_allclose(found.points[:, axis], sign * expected[:, axis], atol=1e-6)


def test_signs_do_not_depend_on_the_order_of_scans_and_turn_with_the_features():
    features = draws(1).normal(size=(20, 5)) @ draws(2).normal(size=(5, 5))
    found, order = principal_plane(features), draws(3).permutation(20)
    np.testing.assert_allclose(principal_plane(features[order]).points, found.points[order], atol=1e-9)
    values = (features - features.mean(0)) / features.std(0)
    weights = values.T @ found.points
    for axis in range(2):
        assert weights[np.abs(weights[:, axis]).argmax(), axis] > 0


def test_shares_are_named():
    found = principal_plane(np.column_stack([np.arange(9.0), np.arange(9.0), np.tile([1, 0, -1], 3)]))
    assert found.method == "PCA"
    shares = [int(text.split("(")[1].split(" ")[0]) for text in found.axes]
    assert 66 <= shares[0] <= 80
    assert sum(shares) == 100


def test_one_feature_has_a_flat_map_and_two_scans_have_none():
    found = principal_plane(np.arange(6.0)[:, None])
    assert np.ptp(found.points[:, 1]) == 0
    assert found.points.shape == (6, 2)
    with pytest.raises(InputError, match="three scans or more, got 2"):
        principal_plane(np.zeros((2, 4)))


def test_without_umap_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    assert neighbour_plane(draws(0).normal(size=(20, 3))) is None


def test_umap_is_seeded_and_asked_for_what_there_is(monkeypatch):
    """What is asked of umap-learn; with the package itself, the next test."""
    asked = []

    class UMAP:
        def __init__(self, **options):
            asked.append(options)

        def fit_transform(self, values):
            asked.append(values)
            return values[:, :2]

    module = ModuleType("umap")
    module.UMAP = UMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    features = draws(0).normal(size=(9, 3))
    first, again, other = (neighbour_plane(features, seed) for seed in (1, 1, 2))
    assert asked[0] == asked[2]
    assert asked[0]["random_state"] != asked[4]["random_state"]
    assert asked[0]["n_neighbors"] == 8
    assert first.method == other.method == "UMAP"
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_allclose(asked[1].std(0), 1)


def test_umap_itself():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    features = np.concatenate([draws(0).normal(size=(20, 5)), draws(1).normal(size=(20, 5)) + 20])
    found, again = neighbour_plane(features), neighbour_plane(features)
    np.testing.assert_array_equal(found.points, again.points)
    apart = np.linalg.norm(found.points[:20].mean(0) - found.points[20:].mean(0))
    assert apart > found.points[:20].std(0).max()
