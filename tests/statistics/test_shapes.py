"""Every shape keeps the contract of the table: linear in all parameters but one, never falling, within its stated bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.statistics.growth import fit_growth
from neurotransfer.statistics.shapes import SHAPES, Shape

SIZES = np.array([100.0, 250.0, 600.0, 1000.0, 2500.0])


@pytest.mark.parametrize("name", SHAPES)
def test_the_table_is_whole(name):
    shape = SHAPES[name]
    columns = shape.columns(SIZES, shape.starts(SIZES), SIZES[0])
    n_nonlinear = int(len(shape.starts(SIZES)) > 1)
    assert columns.shape == (len(shape.starts(SIZES)), 5, len(shape.parameters) - n_nonlinear)
    assert len(shape.bounds) == len(shape.parameters)
    assert (columns[..., 0] == 1).all()
    assert (np.diff(shape.starts(SIZES)) > 0).all()


@pytest.mark.parametrize("name", SHAPES)
def test_gains_never_make_a_curve_fall(name):
    shape, sizes = SHAPES[name], np.geomspace(10, 1e6, 200)
    columns = shape.columns(sizes, shape.starts(SIZES), SIZES[0])
    assert (np.diff(columns, axis=1) >= 0).all()


@pytest.mark.parametrize("name", SHAPES)
def test_every_parameter_can_be_told_from_the_others(name):
    """Five sizes move differently under each parameter, at every start within the grid."""
    shape = SHAPES[name]
    linear = np.array([0.7, 0.1, 0.02])[: shape.columns(SIZES, np.ones(1), SIZES[0]).shape[2]]
    for nonlinear in shape.starts(SIZES)[1:-1]:
        if name == "two-phase" and np.isclose(nonlinear, SIZES).any():
            continue
        columns = shape.columns(SIZES, np.array([nonlinear]), SIZES[0])[0]
        step = nonlinear * 1e-5
        ahead, behind = (shape.columns(SIZES, np.array([nonlinear + d]), SIZES[0])[0] for d in (step, -step))
        slopes = np.column_stack([columns, (ahead - behind) @ linear / (2e-5)])
        assert np.linalg.matrix_rank(slopes, tol=1e-4) == len(shape.parameters)


@given(st.floats(0.05, 3), st.floats(1, 1e5))
def test_power_and_exponential_lack_all_at_the_first_size_and_nothing_at_the_end(exponent, first):
    for name, nonlinear in [("power", exponent), ("exponential", exponent * first)]:
        columns = SHAPES[name].columns(np.array([first, first * 1e300]), np.array([nonlinear]), first)[0]
        np.testing.assert_allclose(columns, [[1, -1], [1, 0]], atol=1e-12)


def test_two_phases_meet_at_the_break():
    columns = SHAPES["two-phase"].columns(np.array([149.999, 150.0, 150.001, 300.0, 75.0]), np.array([150.0]), 100.0)[0]
    np.testing.assert_allclose(columns, [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1], [1, -1, 0]], atol=1e-4)


def test_a_break_has_two_sizes_on_each_side():
    breaks = SHAPES["two-phase"].starts(SIZES)
    assert (breaks[0], breaks[-1]) == pytest.approx((250, 1000))
    assert set(SIZES[1:-1]) <= set(breaks)


def test_asymptotes_by_hand():
    linear = np.array([[0.7, 0.1, 0.0], [0.7, 0.1, 0.01]])
    np.testing.assert_array_equal(SHAPES["two-phase"].asymptote(linear, 1.0), [0.7, 1.0])
    np.testing.assert_array_equal(SHAPES["power"].asymptote(linear[:, :2], 1.0), [0.7, 0.7])


def test_ones_own_shape_is_a_row_like_any_other():
    def columns(sizes, nonlinear, first):
        ones = np.ones(np.broadcast_shapes(sizes.shape, (len(nonlinear), 1)))
        return np.stack([ones, -((sizes / first) ** -0.5) * ones], axis=-1)

    root = Shape(
        "theory", "a - b (n / n_1)^-0.5", ("asymptote", "missing"), ("", ""), columns, lambda _: np.ones(1), _level
    )
    found = fit_growth(
        SIZES[:3],
        0.8 - 0.3 * (SIZES[:3] / 100) ** -0.5,
        np.full(3, 0.01),
        higher_is_better=True,
        shapes={"flat": SHAPES["flat"], "root": root},
    )
    assert found.shape == "root"
    assert found.fits["root"].parameters["missing"].value == pytest.approx(0.3)


def _level(linear, best):
    return linear[:, 0]
