"""Learning curves of known shape: recovered, chosen, and with intervals that hold what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from neurotransfer.errors import InputError
from neurotransfer.published import published_curves
from neurotransfer.statistics.growth import fit_growth
from neurotransfer.statistics.shapes import SHAPES

SIZES = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])
TRUE = {
    "flat": ({"asymptote": 0.7}, lambda n: 0 * n + 0.7),
    "power": (
        {"asymptote": 0.85, "missing at the smallest size": 0.25, "exponent": 0.6},
        lambda n: 0.85 - 0.25 * (n / 100) ** -0.6,
    ),
    "exponential": (
        {"asymptote": 0.8, "missing at the smallest size": 0.2, "scale in scans": 350.0},
        lambda n: 0.8 - 0.2 * np.exp(-(n - 100) / 350),
    ),
    "two-phase": (
        {"score at the break": 0.62, "gain a doubling before": 0.01, "gain a doubling after": 0.08, "break": 300.0},
        lambda n: np.where(n < 300, 0.62 + 0.01 * np.log2(n / 300), 0.62 + 0.08 * np.log2(n / 300)),
    ),
}


def draws(seed):
    return np.random.default_rng(seed)


def noise(n, sem, seed=0):
    return draws(seed).normal(size=(n, 5)) * sem


def fitted(curve, sem=0.01, sizes=SIZES, higher_is_better=True, bounds=(0, 1), **options):
    sem = np.broadcast_to(np.asarray(sem, float), np.shape(sizes))
    return fit_growth(sizes, curve, sem, higher_is_better=higher_is_better, bounds=bounds, **options)


@pytest.mark.parametrize("shape", TRUE)
def test_a_curve_without_noise_is_recovered(shape):
    parameters, curve = TRUE[shape]
    found = fitted(curve(SIZES), 0.0005)
    assert found.shape == shape
    assert {name: value.value for name, value in found.fits[shape].parameters.items()} == pytest.approx(
        parameters, rel=1e-4
    )
    assert found.fits[shape].chi_square == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(found.at(np.array([300, 1200])).value, curve(np.array([300, 1200])), rtol=1e-4)


@pytest.mark.parametrize("shape", TRUE)
def test_an_error_is_a_score_turned_over(shape):
    curve, deviations = TRUE[shape][1](SIZES), noise(400, 0.003)
    score = fitted(curve, 0.003, deviations=deviations)
    error = fitted(1 - curve, 0.003, higher_is_better=False, deviations=-deviations)
    assert error.shape == score.shape
    assert error.asymptote.value == pytest.approx(1 - score.asymptote.value, abs=1e-6)
    assert (error.rate.value, error.rate.high) == pytest.approx((score.rate.value, score.rate.high), abs=1e-6)
    np.testing.assert_allclose(error.at(SIZES).low, 1 - score.at(SIZES).high, atol=0.001)
    assert {name: fit.share for name, fit in error.fits.items()} == pytest.approx(
        {name: fit.share for name, fit in score.fits.items()}, abs=0.01
    )


FORMULAS = {
    "power": (lambda n, a, b, c: a - b * n**-c, (0.8, 1.0, 0.5)),
    "exponential": (lambda n, a, b, c: a - b * np.exp(-n / c), (0.8, 0.3, 400.0)),
    "two-phase": (
        lambda n, a, b, d, c: a + b * np.log2(np.minimum(n, c) / c) + d * np.log2(np.maximum(n, c) / c),
        (0.6, 0.01, 0.05, 350.0),
    ),
}


@pytest.mark.parametrize("shape", FORMULAS)
@pytest.mark.parametrize("seed", range(3))
def test_an_independent_search_finds_the_same_curve(shape, seed):
    sem = np.array([0.012, 0.009, 0.007, 0.005, 0.004])
    curve = TRUE[shape][1](SIZES) + sem / 2 * draws(seed).normal(size=5)
    formula, start = FORMULAS[shape]
    found = fitted(curve, sem, bounds=None, deviations=noise(20, sem))
    expected, _ = curve_fit(formula, SIZES, curve, p0=start, sigma=sem, maxfev=20_000)
    np.testing.assert_allclose(
        found.fits[shape].chi_square, (((curve - formula(SIZES, *expected)) / sem) ** 2).sum(), atol=1e-4
    )
    fit = found.chosen.fits[shape].some(np.array([0]))
    np.testing.assert_allclose(fit.at(SHAPES[shape], SIZES, SIZES[0])[0], formula(SIZES, *expected), atol=1e-4)


def test_a_flat_fit_is_the_weighted_mean():
    sem, curve = np.array([0.02, 0.01, 0.01, 0.005, 0.005]), np.array([0.62, 0.60, 0.61, 0.60, 0.605])
    flat = fitted(curve, sem).fits["flat"]
    weights = sem**-2 / (sem**-2).sum()
    assert flat.parameters["asymptote"].value == pytest.approx(weights @ curve)
    assert flat.chi_square == pytest.approx((((curve - weights @ curve) / sem) ** 2).sum())
    width = flat.parameters["asymptote"].high - flat.parameters["asymptote"].low
    assert width == pytest.approx(2 * 1.96 * (sem**-2).sum() ** -0.5, rel=0.1)


@pytest.mark.parametrize(
    ("n_sizes", "shapes"), [(2, {"flat"}), (3, {"flat"}), (4, {"flat", "power", "exponential"}), (5, set(SHAPES))]
)
def test_shapes_with_too_many_parameters_are_left_out_with_a_reason(n_sizes, shapes):
    found = fitted(TRUE["power"][1](SIZES[:n_sizes]), sizes=SIZES[:n_sizes])
    assert set(found.fits) == shapes
    assert set(found.left_out) == set(SHAPES) - shapes
    for name, reason in found.left_out.items():
        count = len(SHAPES[name].parameters)
        assert reason == f"{count} parameters need {count + 1} sizes or more, the curve has {n_sizes}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": SIZES[:1], "curve": SIZES[:1], "sem": SIZES[:1]}, "one size has no shape"),
        ({"sizes": SIZES[::-1]}, "increasing numbers above 0"),
        ({"sizes": SIZES - 100}, "increasing numbers above 0"),
        ({"curve": np.array([0.5, 0.6, np.nan, 0.7, 0.7])}, "leave out sizes without a score"),
        ({"curve": np.ones(4)}, "three arrays"),
        ({"sem": np.array([0.1, 0.1, np.nan, 0.1, 0.1])}, "a size with one replicate has none"),
        ({"sem": np.zeros(5)}, "one of them above 0"),
        ({"sem": np.full(5, -0.1)}, "0 or more"),
        ({"bounds": (0.65, 1)}, "hold every value"),
        ({"bounds": (1, 0)}, "hold every value"),
        ({"shapes": {}}, "no shape can be fitted"),
        ({"deviations": np.zeros((19, 5))}, "20 redrawn curves or more"),
        ({"deviations": np.zeros((50, 4))}, r"\(n_redrawn, 5\)"),
        ({"deviations": np.full((50, 5), np.inf)}, "finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_a_reason(change, message):
    arguments = {"sizes": SIZES, "curve": TRUE["power"][1](SIZES), "sem": np.full(5, 0.01), "bounds": (0, 1)}
    with pytest.raises(InputError, match=message):
        fit_growth(**{**arguments, **change}, higher_is_better=True)


@pytest.mark.parametrize("sizes", [np.array([0.0]), np.array([[1.0]]), np.array([np.nan])])
def test_a_prediction_needs_sizes_above_0(sizes):
    with pytest.raises(InputError, match="numbers above 0"):
        fitted(TRUE["flat"][1](SIZES), deviations=noise(20, 0.01)).at(sizes)


@given(st.lists(st.floats(0.01, 0.99), min_size=5, max_size=5), st.floats(0.002, 0.05), st.booleans())
@settings(max_examples=8, deadline=None)
def test_no_shape_falls_and_none_leaves_the_bounds(curve, sem, higher_is_better):
    found = fitted(np.array(curve), sem, higher_is_better=higher_is_better, deviations=noise(20, sem))
    scores = found.chosen.at(np.geomspace(20, 1e6, 50))
    assert (np.diff(scores, axis=1) >= -1e-12).all()
    for values in (found.asymptote.value, found.asymptote.low, found.asymptote.high, found.at(SIZES).value):
        assert np.all((np.asarray(values) >= 0) & (np.asarray(values) <= 1))
    best = found.chosen.asymptotes()
    assert (scores[:, -1] <= best + 1e-12).all()


@given(st.floats(0.1, 50), st.floats(0.2, 20), st.floats(-3, 3))
@settings(max_examples=8, deadline=None)
def test_units_of_sizes_and_scores_do_not_matter(size_unit, score_unit, origin):
    curve, deviations = np.array([0.55, 0.63, 0.66, 0.70, 0.71]), noise(20, 0.01)
    one = fitted(curve, bounds=None, deviations=deviations)
    other = fitted(
        origin + score_unit * curve,
        0.01 * score_unit,
        SIZES * size_unit,
        bounds=None,
        deviations=score_unit * deviations,
    )
    assert other.shape == one.shape
    assert other.rate.value == pytest.approx(score_unit * one.rate.value, rel=1e-4)
    assert other.asymptote.value == pytest.approx(origin + score_unit * one.asymptote.value, rel=1e-3)
    assert [fit.p for fit in other.fits.values()] == [fit.p for fit in one.fits.values()]


def test_two_phases_without_bounds_have_no_asymptote():
    curve, deviations = TRUE["two-phase"][1](SIZES), noise(50, 0.002)
    score = fitted(curve, 0.002, bounds=None, deviations=deviations)
    error = fitted(-curve, 0.002, bounds=None, deviations=-deviations, higher_is_better=False)
    assert (score.shape, score.asymptote.value, score.asymptote.high) == ("two-phase", np.inf, np.inf)
    assert (error.shape, error.asymptote.value, error.asymptote.low) == ("two-phase", -np.inf, -np.inf)
    assert score.rate.value == error.rate.value == pytest.approx(0.08, abs=1e-4)
    assert np.isfinite(score.at(np.array([1e6])).high).all()


def test_the_same_call_gives_the_same_numbers_and_another_generator_others():
    curve = TRUE["power"][1](SIZES)
    one, again, other = fitted(curve), fitted(curve), fitted(curve, generator=draws(1))
    assert one.asymptote == again.asymptote
    assert one.asymptote.high != other.asymptote.high


def test_as_many_redrawn_curves_as_are_enough_are_used():
    curve, deviations = TRUE["power"][1](SIZES), noise(500, 0.01)
    many, enough = fitted(curve, deviations=deviations), fitted(curve, deviations=deviations[:400])
    assert (many.asymptote, many.rate, len(many.chosen.names)) == (enough.asymptote, enough.rate, 401)


def test_a_size_without_spread_does_not_decide_alone():
    curve, sem = np.array([0.9, 0.95, 1.0, 0.98, 0.99]), np.array([0.01, 0.01, 0.0, 0.01, 0.01])
    assert fitted(curve, sem).asymptote == fitted(curve, np.maximum(sem, 0.001)).asymptote


def published(name, strategy):
    table = published_curves(name).query("strategy == @strategy")
    return table["n"].to_numpy(), table["value"].to_numpy(), table["sem"].to_numpy()


def test_published_autism_curves():
    n, curve, sem = published("april_linear_asd", "linear")
    linear = fitted(curve, sem, n)
    n, curve, sem = published("april_asd", "finetuned")
    finetuned = fitted(curve, sem, n)
    # the linear model still rises, where the finetuned one may have ended
    assert linear.fits["flat"].p == 0
    assert linear.rate.low > 0 == finetuned.rate.low
    assert 0.70 < linear.asymptote.low < linear.asymptote.high <= 1
    assert 0.60 < finetuned.asymptote.low < 0.66
    assert linear.at(np.array([1500])).low[0] > finetuned.at(np.array([1500])).value[0]


def test_published_alzheimer_curve_of_the_linear_model_shows_no_growth():
    n, curve, sem = published("april_linear_ad", "linear")
    found = fitted(curve, sem, n)
    assert (found.shape, found.rate.value) == ("flat", 0)
    # it falls first, which no shape does
    assert found.fits["flat"].p < 0.05
    assert 0.895 < found.asymptote.low < 0.905 < found.asymptote.high < 0.915
