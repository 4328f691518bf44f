"""Sweeps of constructed errors: thresholds, peaks, complexity and verdicts are what was put in."""

import made_up_sweep as made_up
import numpy as np
import pandas as pd
import pytest

from neurotransfer.diagnose.interpolation import (
    DOUBLE,
    ELSEWHERE,
    EPSILON,
    FACTOR,
    KINDS,
    LEAST_ERROR,
    NO_PEAK,
    STAYS,
    UNKNOWN,
    Curve,
    Threshold,
    complexity_of,
    curves_of,
    judge,
    of_curve,
    ratio_of,
    threshold_of,
    verdicts_of,
)
from neurotransfer.diagnose.sweep import DECAY, EARLY, PLAIN
from neurotransfer.statistics.estimates import Estimate


def verdict(*args, **more):
    (found,) = verdicts_of(made_up.errors(*args, **more))
    return found


def curve(train, axis="width", values=None):
    train = np.atleast_2d(np.asarray(train, float))
    values = np.arange(1.0, train.shape[1] + 1) if values is None else np.asarray(values, float)
    return Curve(axis, {"noise": 0.0}, values, train, {PLAIN: np.zeros_like(train)})


def test_a_peak_at_the_threshold_that_early_stopping_takes_away_is_double_descent():
    found = verdict()
    assert found.kind == DOUBLE
    (judged,) = found.judged
    assert judged.curve.axis == "width"
    assert judged.curve.fixed == {"noise": 0.2, "n": 40, "epochs": 100}
    assert (judged.threshold.fitted, judged.threshold.beyond) == (8, 4)
    assert judged.curve.values[judged.peak.place] == 4
    assert judged.peak.rise.value == pytest.approx(np.log(1.6 / 0.8), abs=0.1)
    assert judged.peak.fall.value == pytest.approx(np.log(1.6 / 0.9), abs=0.1)
    assert set(judged.lessened) == {EARLY}
    assert judged.lessened[EARLY].value == pytest.approx(np.log(1.6 / 0.77), abs=0.1)
    assert judged.lessened[EARLY].above_zero


@pytest.mark.parametrize(
    ("test", "more", "kind"),
    [
        (made_up.PEAKED, {"early": made_up.PEAKED}, STAYS),
        (made_up.PEAKED, {"early": made_up.PEAKED, "decay": made_up.HELD}, DOUBLE),
        (made_up.PEAKED, {"early": None}, DOUBLE),
        (made_up.FALLING, {}, NO_PEAK),
        (made_up.HELD, {}, NO_PEAK),
        # fitted from 16 on only, and worst at 2
        ((0.8, 1.6, 0.9, 0.8, 0.8, 0.8), {"train": (0.9, 0.8, 0.7, 0.6, 0.01, 0.0)}, ELSEWHERE),
        (made_up.PEAKED, {"train": [0.5] * 6}, UNKNOWN),
        (made_up.PEAKED, {"train": [0.01] * 6}, UNKNOWN),
        (made_up.PEAKED, {"n_replicates": 2}, UNKNOWN),
    ],
)
def test_every_verdict_has_its_curve(test, more, kind):
    found = verdict(test, **more)
    assert found.kind == kind
    assert all(each.kind in KINDS for each in found.judged)


def test_what_cannot_be_told_says_why():
    assert "never fitted" in verdict(train=[0.5] * 6).judged[0].why
    assert "everywhere" in verdict(train=[0.01] * 6).judged[0].why
    assert "fewer than 3" in verdict(n_replicates=2).judged[0].why
    assert verdict().judged[0].why == ""


def test_noise_that_hides_a_peak_leaves_none():
    assert verdict(spread=2.0).kind == NO_PEAK


def test_along_n_the_threshold_is_the_largest_size_that_is_fitted():
    sizes = (20, 40, 80, 160)
    found = verdict((1.0, 1.1, 2.0, 0.8), (0.0, 0.02, 0.09, 0.4), early=(0.7,) * 4, axis="n", values=sizes, width=16.0)
    (judged,) = found.judged
    assert judged.curve.axis == "n"
    assert (judged.threshold.fitted, judged.threshold.beyond) == (80, 160)
    assert found.kind == DOUBLE
    assert found.complexity[["width", "epochs", "n"]].values.tolist() == [[16, 100, 80]]


@pytest.mark.parametrize(
    ("axis", "train", "fitted", "beyond"),
    [
        ("width", [0.5, 0.2, 0.1, 0.0], 3, 2),
        ("width", [0.05, 0.2, 0.1, 0.0], 1, np.nan),
        ("width", [0.5, 0.4, 0.3, 0.2], np.nan, np.nan),
        ("epochs", [0.5, 0.0, 0.0, 0.0], 2, 1),
        ("n", [0.0, 0.05, 0.3, 0.5], 2, 3),
        ("n", [0.0, 0.3, 0.05, 0.5], 3, 4),
        ("n", [0.0, 0.0, 0.0, 0.0], 4, np.nan),
    ],
)
def test_thresholds_by_hand(axis, train, fitted, beyond):
    found = threshold_of(curve(train, axis))
    np.testing.assert_equal((found.fitted, found.beyond), (fitted, beyond))
    assert found.is_crossed == np.isfinite(beyond)


def test_the_mean_over_replicates_is_what_is_fitted_and_failed_fits_are_left_out():
    train = [[0.3, 0.15, 0.0], [0.3, 0.04, 0.0], [0.3, np.nan, 0.0]]
    assert threshold_of(curve(train)).fitted == 2
    assert threshold_of(curve(np.array(train) + np.array([0, 2 * EPSILON, 0]))).fitted == 3


def test_near_the_threshold_is_within_a_factor_of_its_two_values():
    threshold = Threshold(8.0, 4.0)
    for value in (4 / FACTOR, 4, 6, 8, 8 * FACTOR):
        assert threshold.is_near(value)
    for value in (4 / FACTOR - 0.1, 8 * FACTOR + 0.1):
        assert not threshold.is_near(value)


def test_the_verdict_is_that_of_the_curve_that_says_most():
    both = pd.concat(
        [
            made_up.errors(made_up.FALLING, n=80, seed=1),
            made_up.errors(n=40),
            made_up.errors(train=[0.5] * 6, n=160, seed=2),
        ]
    )
    (found,) = verdicts_of(both)
    kinds = [each.kind for each in found.judged if each.curve.axis == "width"]
    assert kinds == [DOUBLE, NO_PEAK, UNKNOWN]
    assert found.kind == DOUBLE
    assert found.judged[0].curve.fixed["n"] == 40


def test_of_equal_verdicts_one_that_was_compared_with_other_arms_decides():
    both = pd.concat([made_up.errors(early=None, epochs=50, spread=0.001), made_up.errors(epochs=100)])
    (found,) = verdicts_of(both)
    doubles = [each for each in found.judged if each.kind == DOUBLE]
    assert [each.curve.fixed["epochs"] for each in doubles] == [100, 50]
    assert not doubles[1].lessened


def test_intervals_widen_with_the_number_of_curves_on_which_the_threshold_lies():
    alone = verdict().judged[0].peak
    many = [made_up.errors(n=n, seed=seed) for seed, n in enumerate((40, 80, 160, 320))]
    (found,) = verdicts_of(pd.concat(many))
    same = next(each for each in found.judged if each.curve.axis == "width" and each.curve.fixed["n"] == 40).peak
    assert same.rise.value == alone.rise.value
    assert same.rise.low < alone.rise.low
    # those on which it does not lie are no tests
    never = [made_up.errors(train=[0.5] * 6, noise=noise, seed=5) for noise in (0.0, 0.1, 0.3)]
    (more,) = verdicts_of(pd.concat([made_up.errors(), *never]))
    assert more.judged[0].peak.rise == alone.rise


def test_pairs_of_the_same_people_make_the_differences_sharp():
    # people differ by far more than arms do
    errors = made_up.errors(spread=0.02)
    errors["test"] *= np.exp(errors["replicate"] % 5)
    (found,) = verdicts_of(errors)
    assert found.kind == DOUBLE
    assert found.judged[0].lessened[EARLY].high - found.judged[0].lessened[EARLY].low < 0.2


def test_tasks_and_strategies_are_judged_by_themselves():
    errors = [made_up.errors(), made_up.errors(made_up.FALLING, strategy="linear"), made_up.errors(task="sex")]
    found = verdicts_of(pd.concat(errors))
    assert [(each.task, each.strategy, each.kind) for each in found] == [
        ("age", "perceptron", DOUBLE), ("age", "linear", NO_PEAK), ("sex", "perceptron", DOUBLE),
    ]  # fmt: skip
    assert of_curve(found, "sex", "perceptron") is found[2]
    assert of_curve(found, "sex", "linear") is None
    assert verdicts_of(made_up.errors()[:0]) == []


def test_a_sweep_in_which_nothing_varies_has_no_curve():
    found = verdict((0.9,), (0.0,), early=(0.8,), values=(4,))
    assert found.judged == ()
    assert found.kind == UNKNOWN
    assert found.complexity["n"].tolist() == [40]


def test_curves_go_along_every_axis_with_the_other_arms_beside_them():
    parts = [
        made_up.errors(n=n, epochs=epochs, decay=made_up.HELD if epochs == 60 else None)
        for n in (40, 80)
        for epochs in (20, 60)
    ]
    curves = list(curves_of(pd.concat(parts)))
    assert [sum(each.axis == axis for each in curves) for axis in ("width", "n", "epochs")] == [4, 12, 12]
    longest = next(each for each in curves if each.axis == "width" and each.fixed["epochs"] == 60)
    assert list(longest.test) == [PLAIN, EARLY, DECAY]
    assert longest.train.shape == longest.test[PLAIN].shape == (8, 6)
    np.testing.assert_allclose(longest.train.mean(axis=0), made_up.TRAIN)
    along = next(each for each in curves if each.axis == "epochs")
    # weight decay was fitted for the most epochs alone
    assert np.isnan(along.test[DECAY][:, 0]).all()
    assert np.isfinite(along.test[DECAY][:, 1]).all()


def test_a_failed_fit_is_a_gap_and_its_replicate_tells_nothing_of_the_peak():
    errors = made_up.errors()
    gone = errors[~((errors["arm"] == PLAIN) & (errors["width"] == 4) & (errors["replicate"] == 3))]
    (found,) = verdicts_of(gone)
    (only,) = (each for each in curves_of(gone) if each.axis == "width")
    assert np.isnan(only.test[PLAIN]).sum() == 1
    assert found.kind == DOUBLE
    (whole,) = verdicts_of(errors[errors["replicate"] != 3])
    assert found.judged[0].peak == whole.judged[0].peak


def test_the_complexity_is_the_largest_n_that_is_fitted_on_average():
    rows = [
        (width, n, replicate, train)
        for width, of_width in (
            (2.0, (0.05, 0.4, 0.6)),
            (8.0, (0.0, 0.08, 0.3)),
            (32.0, (0.0, 0.0, 0.02)),
            (1.0, (0.5, 0.6, 0.7)),
        )
        for n, train in zip((20, 40, 80), of_width, strict=True)
        for replicate in range(2)
    ]
    table = pd.DataFrame(rows, columns=["width", "n", "replicate", "train"]).assign(noise=0.1, epochs=30, arm=PLAIN)
    found = complexity_of(table).set_index("width")
    assert found["n"].to_dict() == {1.0: 0, 2.0: 20, 8.0: 40, 32.0: 80}
    assert found["is_open"].to_dict() == {1.0: False, 2.0: False, 8.0: False, 32.0: True}
    # more is fitted with more units: rising, as it is for whatever can be widened
    assert list(found["n"]) == sorted(found["n"])
    # the arms that hold back have none
    assert len(complexity_of(table.assign(arm=EARLY))) == 0


def test_judging_needs_no_other_arm():
    errors = made_up.errors(early=None)
    (only,) = curves_of(errors)
    found = judge(only, threshold_of(only))
    assert (found.kind, found.lessened) == (DOUBLE, {})


def test_errors_are_compared_as_ratios_whatever_their_scale():
    one, other = made_up.errors(), made_up.errors()
    other["test"] *= 7
    first, second = (verdicts_of(errors)[0].judged[0] for errors in (one, other))
    np.testing.assert_allclose(
        [first.peak.rise.low, first.lessened[EARLY].high], [second.peak.rise.low, second.lessened[EARLY].high]
    )
    ratio = ratio_of(first.peak.rise)
    assert ratio.value == pytest.approx(2, rel=0.1)
    assert 1 < ratio.low < ratio.value < ratio.high
    assert np.isnan(ratio_of(Estimate(1.0, np.nan, np.nan)).low)


def test_one_fit_that_goes_wild_at_the_threshold_does_not_hide_the_peak():
    errors = made_up.errors()
    wild = (errors["arm"] == PLAIN) & (errors["width"] == 4) & (errors["replicate"] == 0)
    errors.loc[wild, "test"] = 30.0
    assert verdicts_of(errors)[0].kind == DOUBLE


def test_errors_next_to_none_are_as_good_as_none():
    tiny = made_up.errors([0.0, 1e-9, LEAST_ERROR, 1e-12, 0.0, 0.0], spread=0.0, early=None)
    assert verdicts_of(tiny)[0].kind == NO_PEAK
