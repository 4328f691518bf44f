"""The scale of features: what training gives, never blown up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.statistics.standardise import LEAST_SCALE, standardiser

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
