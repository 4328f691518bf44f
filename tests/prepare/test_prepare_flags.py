"""Which scans to look at again: robust z as statistics defines it, limits, directions, order; nothing hidden by NaN."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from neurotransfer.prepare.flags import (
    BOTH,
    HIGH,
    LEAST_SCANS,
    LIMITS,
    LOW,
    UNUSUAL,
    WORSE,
    count_of,
    flagged,
    limits_of,
    robust_z,
)

NUMBERS = st.floats(-1e3, 1e3).map(lambda number: round(number, 3))
SAMPLES = st.lists(NUMBERS, min_size=1, max_size=30).map(np.array)
MANY = LEAST_SCANS + 5


def quality(n=MANY, **columns):
    """n good scans; columns are for all or a list with one value a scan."""
    good = {
        "overlap": 0.95,
        "inside": 1.0,
        "brain_litres": 1.3,
        "turned_degrees": 0.0,
        "contrast": 0.1,
        "similarity": 0.8,
    }
    return pd.DataFrame({"scan": [f"s{index}" for index in range(n)], "warnings": [""] * n, **good, **columns})


def with_one(column, value, others=None, n=MANY):
    values = np.linspace(0.99, 1.01, n) if others is None else np.full(n, others, float)
    values[3] = value
    return quality(n, **{column: values})


# ---- robust z


@given(SAMPLES)
def test_robust_z_is_that_of_scipy_where_there_is_spread(values):
    spread = median_abs_deviation(values, scale="normal")
    middle = np.median(values)
    assume(spread > 0.011 * abs(middle))
    np.testing.assert_allclose(robust_z(values), (values - middle) / spread, rtol=1e-4, atol=1e-9)


@given(SAMPLES, st.floats(0.01, 100))
def test_a_unit_does_not_matter_and_a_sign_turns(values, unit):
    z = robust_z(values)
    np.testing.assert_allclose(robust_z(unit * values), z, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(robust_z(-values), -z, rtol=1e-9, atol=1e-9)


@given(SAMPLES, NUMBERS)
def test_a_shift_does_not_matter_where_there_is_spread(values, shift):
    spread = median_abs_deviation(values, scale="normal")
    assume(spread > 0.02 * max(abs(np.median(values)), abs(np.median(values + shift))))
    np.testing.assert_allclose(robust_z(values + shift), robust_z(values), rtol=1e-6, atol=1e-6)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_scans_does_not_matter(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    np.testing.assert_array_equal(robust_z(values[order]), robust_z(values)[order])


@given(SAMPLES, st.integers(0, 5))
def test_what_is_missing_is_missing_and_changes_nothing_else(values, n_missing):
    z = robust_z(np.r_[values, np.full(n_missing, np.nan)])
    np.testing.assert_array_equal(z[: len(values)], robust_z(values))
    assert np.isnan(z[len(values) :]).all()


@given(SAMPLES)
def test_larger_values_have_no_smaller_z_and_the_middle_has_none(values):
    z = robust_z(values)
    assert (np.diff(z[np.argsort(values)]) >= 0).all()
    assert abs(np.median(z)) < 1e-9


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-9])
def test_what_does_not_vary_is_not_unusual(value):
    np.testing.assert_array_equal(robust_z(np.full(12, value)), np.zeros(12))


def test_rounding_is_not_unusual_and_a_doubled_voxel_is():
    sides = np.full(20, 1.0)
    sides[0], sides[1] = 1.0001, 2.0
    z = robust_z(sides)
    assert z[0] == pytest.approx(0.01)
    assert z[1] == pytest.approx(100)


def test_nothing_known_is_nothing():
    assert np.isnan(robust_z(np.full(3, np.nan))).all()
    assert robust_z(np.array([])).shape == (0,)


# ---- limits


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.column)
def test_limits_hold_for_any_number_of_scans(limit):
    within = quality(1, **{limit.column: limit.least})
    assert flagged(within)["flags"].tolist() == [""]
    assert flagged(quality(1, **{limit.column: limit.most}))["flags"].tolist() == [""]
    for value in (limit.least - 0.01, limit.most + 0.01):
        [said] = flagged(quality(1, **{limit.column: value}))["flags"]
        assert said == f"{limit.says} ({limit.column} {value:.3g})"


@pytest.mark.parametrize("missing", [np.nan, None, "n/a", np.inf])
def test_what_a_limit_needs_and_could_not_be_measured_is_a_flag(missing):
    table = quality(2)
    table["contrast"] = [missing, 0.1]
    assert flagged(table)["flags"].tolist() == ["contrast could not be measured", ""]


def test_columns_that_are_not_there_flag_nothing():
    table = flagged(pd.DataFrame({"scan": ["a", "b"]}))
    assert table["flags"].tolist() == ["", ""]
    assert table["badness"].tolist() == [0, 0]


def test_limits_are_of_columns_with_a_direction_that_fits():
    for limit in LIMITS:
        assert limit.least < limit.most
        assert WORSE.get(limit.column, BOTH) in (LOW, HIGH, BOTH)


# ---- what the cohort says


@pytest.mark.parametrize("n", [LEAST_SCANS - 1, LEAST_SCANS])
def test_nothing_is_learned_from_few_scans(n):
    table = flagged(with_one("snr_grey", 0.1, n=n))
    assert (table["flags"] != "").sum() == (n >= LEAST_SCANS)


DIRECTIONS = [(column, side) for column in WORSE for side in (-1, 1)]


@pytest.mark.parametrize(("column", "side"), DIRECTIONS)
def test_only_the_worse_direction_is_flagged(column, side):
    limits = {limit.column: limit for limit in LIMITS}
    middle = {"overlap": 0.95, "similarity": 0.8, "inside": 0.985, "brain_litres": 1.3, "contrast": 0.1}.get(
        column, 10.0
    )
    value = middle * (1 + side * 0.05)
    table = flagged(with_one(column, value, others=middle))
    said = [flag for flag in table["flags"] if "unusual here" in flag]
    is_bad = WORSE[column] == BOTH or (WORSE[column] == LOW) == (side < 0)
    assert bool(said) == is_bad
    if is_bad:
        assert f"{column} {value:.3g} is unusual here (robust z 5.0)" in said[0]
        assert table["scan"][0] == "s3"
    assert column not in limits or limits[column].least <= middle <= limits[column].most


def test_the_worst_is_first_and_badness_is_flags_and_the_largest_z():
    table = with_one("cjv", 1.1)
    table.loc[5, "warnings"] = "odd"
    table.loc[6, ["warnings", "overlap"]] = ["odd", 0.5]
    z = robust_z(table["cjv"].to_numpy())
    ordered = flagged(table)
    assert ordered["scan"].tolist()[:2] == ["s6", "s3"]
    rows = ordered.set_index("scan")
    assert rows.loc["s3", "badness"] == pytest.approx(1 + z[3] / UNUSUAL, abs=1e-3)
    # overlap of the others does not vary: a hundredth of it counts as its spread
    assert rows.loc["s6", "badness"] == pytest.approx(3 + (0.95 - 0.5) / 0.0095 / UNUSUAL, abs=1e-3)
    assert rows.loc["s6", "flags"].startswith("odd; mask and MNI152 overlap little")
    assert (np.diff(ordered["badness"]) <= 0).all()


def test_scans_that_are_equally_bad_stay_in_their_order():
    assert flagged(quality())["scan"].tolist() == quality()["scan"].tolist()
    table = quality(warnings=["odd" if index % 2 else "" for index in range(MANY)])
    odd, even = ([f"s{index}" for index in range(start, MANY, 2)] for start in (1, 0))
    assert flagged(table)["scan"].tolist() == odd + even


def test_a_constant_column_flags_nothing():
    table = flagged(quality(snr_white=7.0, cnr=0.0, cjv=[0.5] * MANY))
    assert (table["flags"] == "").all()
    assert (table["badness"] == 0).all()


def test_missing_values_are_no_reason_and_hide_none():
    snr = np.linspace(9.9, 10.1, MANY)
    snr[:4] = np.nan
    snr[4] = 1.0
    table = flagged(quality(snr_dietrich=snr, efc=[np.nan] * MANY))
    assert [scan for scan, said in zip(table["scan"], table["flags"], strict=True) if said] == ["s4"]


def test_numbers_that_are_text_are_numbers():
    values = ["10.0"] * MANY
    values[2] = "1.0"
    table = flagged(quality(cnr=values))
    assert "cnr 1 is unusual here" in table["flags"][0]


def test_nothing_is_lost_or_changed_but_the_order():
    table = with_one("cjv", 3.0)
    before = table.copy()
    after = flagged(table)
    pd.testing.assert_frame_equal(table, before)
    back = after.drop(columns=["flags", "badness"]).sort_values("scan", key=lambda names: names.str[1:].astype(int))
    pd.testing.assert_frame_equal(back.reset_index(drop=True), before)
    assert list(after.columns[-2:]) == ["flags", "badness"]


@given(st.lists(st.sampled_from(["", "a", "b; c"])))
def test_scans_with_a_flag_are_counted(flags):
    assert count_of(flags) == len([said for said in flags if said])


# ---- limits as they are shown


@pytest.mark.parametrize("n", [LEAST_SCANS - 1, MANY])
@pytest.mark.parametrize("column", WORSE)
def test_what_lies_outside_the_limits_shown_is_what_is_flagged(column, n):
    generator = np.random.default_rng(n)
    values = generator.standard_t(2, n) * 0.05 + 1.0
    table = quality(n, **{column: values})
    shown = limits_of(table).get(column, {})
    outside = (values < shown.get("Least", -np.inf)) | (values > shown.get("Most", np.inf))
    of_column = [limit.says for limit in LIMITS if limit.column == column]
    said = flagged(table).set_index("scan")["flags"]
    words = [f"{column} ", *of_column]
    assert [any(word in said[f"s{index}"] for word in words) for index in range(n)] == outside.tolist()


def test_no_limits_are_shown_of_what_was_not_measured():
    assert limits_of(quality(1))["overlap"] == {"Least": 0.9, "Most": 1.0}
    assert limits_of(quality(MANY, cnr=np.nan)).keys() == limits_of(quality(MANY)).keys()
    assert "snr_grey" not in limits_of(quality(LEAST_SCANS - 1, snr_grey=3.0))
