"""Figures of single tables hold the numbers that other code finds, and nobody by themselves where that was not asked for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import roc_auc_score, roc_curve

from neurotransfer.report.scatter import (
    MOST_BARS,
    MOST_DOTS,
    agreement_figure,
    axis_label,
    bars_of,
    calibration_figure,
    distribution,
    roc_figure,
    roc_table,
    round_width,
)
from neurotransfer.statistics.calibration import calibration_of_classes, calibration_of_values

numbers = some.lists(some.floats(-1e6, 1e6).map(lambda value: round(value, 6)), min_size=1, max_size=80)


def rows_of(n, seed=0):
    generator = np.random.default_rng(seed)
    observed = generator.uniform(20, 80, n)
    return pd.DataFrame(
        {"observed": observed, "predicted": observed + generator.normal(0, 5, n), "scan": np.arange(n).astype(str)}
    )


@given(numbers)
def test_bars_count_every_value_once_and_where_it_lies(values):
    bars = bars_of(np.array(values))
    assert bars.table["scans"].sum() == len(values)
    assert len(bars.table) <= MOST_BARS + 1
    np.testing.assert_allclose(bars.table["end"] - bars.table["start"], bars.width, rtol=1e-6, atol=1e-9)
    slack = 1e-6 * bars.width
    for start, end in zip(bars.table["start"], bars.table["end"], strict=True):
        assert any(start - slack <= value <= end + slack for value in values)


def test_bars_are_those_of_numpy_by_group():
    generator = np.random.default_rng(1)
    values, groups = generator.normal(100, 15, 300), generator.choice(["A", "B"], 300)
    values[:5] = np.nan
    bars = bars_of(values, groups.tolist())
    for group, table in bars.table.groupby("group"):
        edges = np.append(table["start"], table["end"].iloc[-1])
        whole = np.arange(edges[0], edges[-1] + bars.width / 2, bars.width)
        counts, _ = np.histogram(values[groups == group], whole)
        np.testing.assert_array_equal(counts[counts > 0], table["scans"])
    assert bars.table["scans"].sum() == 295


@given(some.floats(1e-3, 1e5), some.floats(-1e3, 1e3))
def test_the_width_is_one_two_or_five_times_a_power_of_ten(span, start):
    width = round_width(np.array([start, start + span]))
    mantissa = width / 10 ** np.floor(np.log10(width) + 1e-9)
    assert min(abs(mantissa - each) for each in (1, 2, 5, 10)) < 1e-6
    assert span / width <= MOST_BARS


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0, 3.0]])
def test_few_or_equal_values_make_a_figure_too(values):
    figure = distribution("a", "A", "x", np.array(values, float), rules={"limit": 2.0})
    assert figure.layers[0].table["scans"].sum() == np.isfinite(values).sum()
    assert figure.layers[1].table["at"].tolist() == [2.0]


def test_groups_have_one_colour_in_every_figure():
    values = np.arange(6.0)
    one, other = (
        distribution("a", "A", "x", values, groups=groups)
        for groups in (["B", "A", "A", "A", "A", "A"], ["A", "B", "B", "B", "B", "B"])
    )
    assert one.looks == other.looks
    assert distribution("a", "A", "x", values, groups=["A"] * 6).looks == {}


def test_dots_are_the_scans_only_where_that_was_asked_for():
    rows = rows_of(50)
    shown = agreement_figure("a", "A", rows, "years", {"scan": "scan"})
    pd.testing.assert_frame_equal(shown.layers[0].table, rows)
    hidden = agreement_figure("a", "A", rows, "years")
    assert hidden.layers[0].size == "scans"
    assert "scan" not in hidden.layers[0].table
    assert hidden.layers[0].table["scans"].sum() == 50
    assert (hidden.x.label, hidden.y.label) == ("observed (years)", "predicted (years)")


def test_very_many_scans_are_counted_in_bins():
    figure = agreement_figure("a", "A", rows_of(MOST_DOTS + 1), tips={"scan": "scan"})
    assert len(figure.layers[0].table) < 500
    assert figure.layers[0].table["scans"].sum() == MOST_DOTS + 1


def test_rows_that_are_not_known_are_not_drawn():
    rows = rows_of(10)
    rows.loc[0, "predicted"], rows.loc[1, "observed"] = np.nan, np.nan
    assert len(agreement_figure("a", "A", rows, tips={"scan": "scan"}).layers[0].table) == 8


def test_curves_are_those_of_scikit_learn():
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 2, 120)
    given_ = np.round(np.clip(0.3 * truth + generator.uniform(0, 0.7, 120), 0, 1), 2)
    table = roc_table({"M": truth == 1}, {"M": given_})
    across, up, _ = roc_curve(truth, given_, drop_intermediate=False)
    np.testing.assert_allclose(table["others"], across)
    np.testing.assert_allclose(table["recognised"], up)
    assert table["class"].unique().tolist() == [f"M (area {roc_auc_score(truth, given_):.2f})"]
    assert list(roc_figure("a", "A", table).looks) == table["class"].unique().tolist()


def test_a_class_that_nobody_or_everybody_is_of_has_no_curve():
    table = roc_table({"a": np.ones(5, bool), "b": np.zeros(5, bool)}, {"a": np.ones(5), "b": np.ones(5)})
    assert list(table) == ["class", "others", "recognised"]
    assert not len(table)


def test_calibration_keeps_the_table_and_says_what_its_axes_are():
    values = calibration_of_values(np.arange(20.0), np.arange(20.0) + 1, np.arange(20))
    figure = calibration_figure("a", "A", values, "years", of_classes=False)
    pd.testing.assert_frame_equal(figure.layers[0].table, values)
    assert "(years)" in figure.x.label
    classes = calibration_of_classes(np.array([0, 1, 1]), np.array([0.1, 0.8, 0.9]), np.arange(3)).assign(
        **{"class": "M"}
    )
    figure = calibration_figure("a", "A", classes, of_classes=True)
    assert (figure.x.ends, figure.layers[0].series) == ((0.0, 1.0), None)


def test_an_axis_has_its_unit():
    assert axis_label("age", "years") == "age (years)"
    assert axis_label("age", "") == "age"
