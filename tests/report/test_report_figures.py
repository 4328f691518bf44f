"""Figures: what is drawn follows the tables, and the SVG can stand inside a page."""

import dataclasses
import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import fake_run
import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from test_report_tables import AGE, PREDICTIONS, RESULTS, SEX, STRATEGIES

from neurotransfer.pages.looks import COLOURS, MARKERS, looks
from neurotransfer.pages.style import svg
from neurotransfer.report import published_curves, tables
from neurotransfer.report.cohort_figures import OTHERS, pyramid_figure, pyramid_table
from neurotransfer.report.curves import epochs_figure, is_logarithmic, learning_curves
from neurotransfer.report.prediction_figures import agreement_figure, roc_figure
from neurotransfer.report.prediction_tables import agreement, axis_ends, predictions_of

LOOKS = looks(STRATEGIES)
WHITE = (1.0, 1.0, 1.0, 1.0)


def curve(task, statistic="mean"):
    return tables.curve_table(RESULTS, task, STRATEGIES, tables.p_matrices(RESULTS, task, STRATEGIES), statistic)


def markers(figure):
    return {mark.get_gid(): mark for mark in figure.axes[0].collections if mark.get_gid()}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("task", [AGE, SEX])
def test_markers_are_filled_exactly_where_the_next_best_is_beaten(task, statistic):
    table = curve(task, statistic)
    drawn = markers(learning_curves(table, task, LOOKS, statistic))
    assert set(drawn) == set(STRATEGIES)
    for name, mark in drawn.items():
        rows = table[table["strategy"] == name].sort_values("n")
        colour = matplotlib.colors.to_rgba(LOOKS[name].colour)
        expected = [colour if better else WHITE for better in rows["p"] < 0.05]
        assert [tuple(face) for face in mark.get_facecolors()] == expected
        np.testing.assert_allclose(mark.get_offsets()[:, 1], rows["value"])
        np.testing.assert_allclose(mark.get_offsets()[:, 0], rows["n"], rtol=0.05)


def test_some_markers_are_filled_and_some_are_not():
    better = curve(AGE)["better"]
    assert better.any()
    assert not better.all()


def test_axes_say_what_they_show():
    ax = learning_curves(curve(AGE), AGE, LOOKS, "mean").axes[0]
    assert ax.get_ylabel() == "Relative absolute error"
    assert ax.get_xscale() == "log"
    assert list(ax.get_xticks()) == list(fake_run.SIZES)
    assert any(text.get_text() == "chance" for text in ax.texts)
    assert any(np.allclose(line.get_ydata(), 1.0) for line in ax.lines)


def test_the_axis_says_whether_images_or_participants_are_counted():
    for counted in ("images", "participants"):
        task = dataclasses.replace(AGE, counted=counted)
        drawn = [learning_curves(curve(AGE), task, LOOKS, "mean")]
        drawn += [epochs_figure(tables.epochs_table(RESULTS, AGE, STRATEGIES), task, LOOKS)]
        assert [figure.axes[0].get_xlabel() for figure in drawn] == [f"n, training {counted}"] * 2


@pytest.mark.parametrize(("sizes", "expected"), [([100, 500], False), ([100, 501], True), ([50], False)])
def test_axis_is_logarithmic_only_for_a_wide_span(sizes, expected):
    assert is_logarithmic(sizes) == expected


@pytest.mark.parametrize(("worst", "scale"), [(1.0, "linear"), (4.0, "log")])
def test_one_very_bad_strategy_does_not_press_the_others_together(worst, scale):
    table = curve(AGE)
    table["value"] = table["value"].clip(lower=0.4)
    table.loc[table["strategy"] == "baseline", ["value", "low", "high"]] = worst
    ax = learning_curves(table, AGE, LOOKS, "mean").axes[0]
    assert ax.get_yscale() == scale
    assert learning_curves(curve(SEX), SEX, LOOKS, "mean").axes[0].get_yscale() == "linear"


def test_bars_stand_in_the_mean_panel_only():
    mean = learning_curves(curve(AGE), AGE, LOOKS, "mean").axes[0]
    median = learning_curves(curve(AGE, "median"), AGE, LOOKS, "median").axes[0]
    assert len(mean.collections) == 2 * len(STRATEGIES)
    assert len(median.collections) == len(STRATEGIES)


def test_published_curves_are_laid_under_where_score_and_statistic_fit():
    overlay = pd.concat([published_curves("april_ad"), published_curves("november_ad"), published_curves("april_age")])
    names = legend(learning_curves(curve(SEX), SEX, LOOKS, "mean", overlay))
    published = [name for name in names if name.startswith("published")]
    assert published == [f"published: {name} (April 2025)" for name in ("baseline", "finetuned", "frozen")]
    names = legend(learning_curves(curve(SEX, "median"), SEX, LOOKS, "median", overlay))
    assert sum("November 2025" in name for name in names) == 5


def test_small_studies_stay_readable_beside_large_published_ones():
    ax = learning_curves(curve(AGE), AGE, LOOKS, "mean", published_curves("april_age")).axes[0]
    assert ax.get_xscale() == "log"
    ticks = sorted(ax.get_xticks())
    assert set(curve(AGE)["n"]) <= set(ticks)
    assert max(ticks) == 2500
    assert all(later >= 1.6 * tick for tick, later in itertools.pairwise(ticks))


def test_legend_has_every_strategy_and_explains_markers():
    names = legend(learning_curves(curve(AGE), AGE, LOOKS, "mean"))
    assert set(STRATEGIES) <= set(names)
    assert any("hollow" in name for name in names)


def test_no_two_strategies_look_alike():
    many = looks([str(index) for index in range(math.lcm(len(COLOURS), len(MARKERS)))])
    assert len(set(many.values())) == len(many) == 40
    assert len({look.colour for look in looks("12345678").values()}) == 8
    assert len({look.colour for look in LOOKS.values()}) == len({look.marker for look in LOOKS.values()}) == 5


def test_epochs_are_drawn_for_what_trains():
    figure = epochs_figure(tables.epochs_table(RESULTS, AGE, STRATEGIES), AGE, LOOKS)
    assert legend(figure) == ["baseline", "multi-frozen", "multi-finetuned"]
    assert figure.axes[0].get_ylim()[0] == 0


def test_agreement_draws_bins_and_the_identity_line():
    rows = predictions_of(PREDICTIONS, AGE, 100, "linear")
    found = agreement(rows, axis_ends(rows))
    ax = agreement_figure(found, AGE, "linear", LOOKS["linear"]).axes[0]
    assert sum(len(line.get_xdata()) for line in ax.lines[1:]) == len(found.counts) < len(rows)
    widths = [line.get_markersize() for line in ax.lines[1:]]
    assert len(set(widths)) == len(widths)
    assert list(ax.lines[0].get_xdata()) == list(ax.lines[0].get_ydata())
    assert ax.get_xlim() == ax.get_ylim()
    assert f"MAE {found.mae:.2f}, r {found.r:.2f}" in ax.get_title()


def test_roc_legend_gives_areas():
    figure = roc_figure(predictions_of(PREDICTIONS, SEX, 100), SEX, LOOKS)
    names = legend(figure)
    assert len(names) == len(STRATEGIES) + 1
    assert re.fullmatch(r"baseline \(0\.\d\d\)", names[0])
    assert "'M'" in figure.axes[0].get_ylabel()


def test_roc_leaves_out_who_predicted_one_class_only():
    rows = predictions_of(PREDICTIONS, SEX, 100)
    rows = rows[(rows["strategy"] == "linear") | (rows["observed"] == 1)]
    assert len(legend(roc_figure(rows, SEX, LOOKS))) == 2


def test_pyramid_counts_every_scan_once():
    table = pyramid_table(fake_run.cohort())
    assert table["scans"].sum() == 120
    assert set(table["sex"]) == {"female", "male"}
    assert set(table["group"]) == {f"site-{letter}" for letter in "ABCD"}
    assert set(table["width"]) == {5}
    assert (table["age"] % 5 == 0).all()


def test_pyramid_leaves_out_what_is_not_known():
    people = fake_run.cohort().astype({"sex": object})
    people.loc[:9, "sex"] = None
    people.loc[10:14, "age"] = np.nan
    assert pyramid_table(people)["scans"].sum() == 105
    assert len(pyramid_table(people.drop(columns="age"))) == 0
    assert len(pyramid_table(people.assign(sex=None))) == 0


def test_pyramid_prefers_cohorts_and_gathers_small_ones():
    people = fake_run.cohort()
    people["cohort"] = [f"c{min(index // 10, 11)}" for index in range(120)]
    table = pyramid_table(people)
    assert OTHERS in set(table["group"])
    assert table["group"].nunique() == len(COLOURS)
    assert set(pyramid_table(people.drop(columns=["cohort", "site"]))["group"]) == {"all"}


def test_pyramid_is_mirrored_and_stacked():
    table = pyramid_table(fake_run.cohort())
    ax = pyramid_figure(table).axes[0]
    low, high = ax.get_ylim()
    assert low == -high
    heights = pd.DataFrame([(bar.get_height(), bar.get_y()) for bar in ax.patches], columns=["height", "bottom"])
    females = table.loc[table["sex"] == "female", "scans"].sum()
    assert heights["height"].clip(lower=0).sum() == females
    assert -heights["height"].clip(upper=0).sum() == 120 - females
    tallest = table[table["sex"] == "female"].groupby("age")["scans"].sum().max()
    assert (heights["height"] + heights["bottom"]).max() == tallest


def test_svg_is_the_same_every_time_and_has_a_title():
    first, second = (svg(learning_curves(curve(AGE), AGE, LOOKS, "mean"), "one", 'a "b" <c>') for _ in range(2))
    assert first == second
    assert "<title>a &quot;b&quot; &lt;c&gt;</title>" in first
    assert "<metadata" not in first
    assert "DejaVu" not in first
    root = ElementTree.fromstring(first)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Relative absolute error" in texts


def test_svg_identifiers_are_all_used_and_do_not_collide():
    figures = [svg(learning_curves(curve(AGE), AGE, LOOKS, "mean"), name, "t") for name in ("one", "two")]
    names = [set(re.findall(r' id="([^"]+)"', text)) for text in figures]
    assert not names[0] & names[1]
    for text, identifiers in zip(figures, names, strict=True):
        used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
        assert used == identifiers


def test_report_imports_neither_torch_nor_pyplot():
    code = "import sys, neurotransfer.report; assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
