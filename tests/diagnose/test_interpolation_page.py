"""A sweep in words, figures and tables: what is shown is what was found."""

import made_up
import made_up_sweep
import numpy as np
import pandas as pd
import pytest

from neurotransfer.diagnose.interpolation import DOUBLE, verdicts_of
from neurotransfer.diagnose.interpolation_page import (
    TESTED,
    TRAINING,
    complexity_table,
    errors_figure,
    found_by_sweeps,
    map_figure,
    sentence_of,
    sweep_sections,
    thresholds_table,
)
from neurotransfer.diagnose.sweep import DECAY, EARLY, PLAIN
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Page, Table
from neurotransfer.pages.written import write_page


def verdict(*args, **more):
    (found,) = verdicts_of(made_up_sweep.errors(*args, **more))
    return found


@pytest.fixture(scope="module")
def several():
    """Two sizes, two lengths of training, and weight decay with the longer one."""
    parts = [
        made_up_sweep.errors(n=n, epochs=epochs, seed=n + epochs, decay=made_up_sweep.HELD if epochs == 90 else None,
                             early=made_up_sweep.HELD if epochs == 90 else None)
        for n in (40, 80) for epochs in (30, 90)
    ]  # fmt: skip
    (found,) = verdicts_of(pd.concat(parts))
    return found


def test_double_descent_in_words():
    text = sentence_of(verdict(decay=made_up_sweep.PEAKED, spread=0.001))
    assert text.startswith(
        "double descent: along width at n = 40, epochs 100 and 20 % wrong labels on purpose, training people are fitted"
    )
    assert "from width 8 and not at 4, and the test error has a peak at width 4: 2.00 times (" in text
    assert "It lies at the threshold. The error there is 2.08 times (" in text
    assert ") that with early stopping and 1.00 times (1.00 to 1.00) that with weight decay" in text


@pytest.mark.parametrize(
    ("test", "more", "said"),
    [
        (made_up_sweep.FALLING, {}, "the test error has no peak beyond chance."),
        ((0.8, 1.6, 0.9, 0.8, 0.8, 0.8), {"train": (0.9, 0.8, 0.7, 0.6, 0.01, 0.0)}, "It lies away from the threshold."),
        (made_up_sweep.PEAKED, {"train": [0.5] * 6}, "cannot be told whether there is double descent, as training people are never"),
        (made_up_sweep.PEAKED, {"early": None}, "No other arm was fitted there."),
        (made_up_sweep.PEAKED, {"early": made_up_sweep.PEAKED}, "a peak at the threshold that nothing lessens: along width"),
        ((0.9,), {"train": (0.0,), "early": (0.8,), "values": (4,)}, "nothing was varied"),
    ],
)  # fmt: skip
def test_every_verdict_has_its_words(test, more, said):
    assert said in sentence_of(verdict(test, **more))


def test_along_n_the_threshold_is_up_to_where():
    found = verdict((1.0, 1.1, 2.0, 0.8), (0.0, 0.02, 0.09, 0.4), early=(0.7,) * 4, axis="n", values=(20, 40, 80, 160), width=0,
                    epochs=0)  # fmt: skip
    assert (
        "along n at 20 % wrong labels on purpose, training people are fitted up to n 80 and not at 160"
        in sentence_of(found)
    )


def test_an_arm_that_may_help_by_chance_alone_is_said_to():
    text = sentence_of(verdict(decay=made_up_sweep.PEAKED))
    assert "that with weight decay, which may be chance." in text
    assert "that with early stopping and" in text


def test_the_page_says_which_task_and_strategy():
    found = found_by_sweeps([verdict()], [made_up.AGE])
    assert found[0].startswith("Age, sweep of perceptron: double descent")


def test_errors_are_drawn_with_their_intervals_and_the_threshold(several):
    figure = errors_figure(several, made_up.AGE, "width", "errors")
    rules, lines = figure.layers
    assert (rules.mark, lines.mark) == ("rule", "line")
    shown = lines.table
    assert set(shown["series"]) == {TESTED, TRAINING, EARLY, DECAY}
    assert set(figure.looks) == set(shown["series"])
    one = shown[(shown["series"] == TESTED) & (shown["place"] == "n 40, epochs 90")].set_index("width")["error"]
    errors = several.errors
    own = errors[(errors["arm"] == PLAIN) & (errors["n"] == 40) & (errors["epochs"] == 90)]
    np.testing.assert_allclose(one, own.groupby("width")["test"].mean())
    assert (shown["low"] < shown["high"]).sum() == (shown["series"] != TRAINING).sum()
    assert set(rules.table["width"]) == {8}
    assert set(rules.table["place"]) == {f"n {n}, epochs {epochs}" for n in (40, 80) for epochs in (30, 90)}
    assert figure.x.scale == "log"


def test_the_curve_that_decides_is_shown_first(several):
    first = several.judged[0].curve
    assert several.kind == DOUBLE
    for figure in (
        errors_figure(several, made_up.AGE, "width", "errors"),
        map_figure(several, made_up.AGE, "width", "map"),
    ):
        for choice in figure.choices:
            assert set(choice.options) == set(figure.layers[-1].table[choice.column])
    place, noise = errors_figure(several, made_up.AGE, "width", "errors").choices
    assert next(iter(place.options)) == f"n {first.fixed['n']:g}, epochs {first.fixed['epochs']:g}"
    assert next(iter(noise.options)) == "20 % wrong labels"


def test_the_map_has_a_cell_a_point(several):
    figure = map_figure(several, made_up.AGE, "width", "map")
    (cells,) = figure.layers
    shown = cells.table
    plain = shown[(shown["people"] == TESTED) & (shown["arm"] == PLAIN)]
    assert len(plain) == 4 * 6
    assert not plain.duplicated(["across", "place"]).any()
    assert list(dict.fromkeys(plain["across"])) == ["1", "2", "4", "8", "16", "32"]
    assert [next(iter(choice.options)) for choice in figure.choices] == [TESTED, PLAIN, "20 % wrong labels"]


def test_tables_hold_thresholds_peaks_and_complexity(several):
    table = thresholds_table(several, "thresholds")
    assert all(len(row) == len(table.headings) for row in table.rows)
    assert len(table.rows) == len(several.judged)
    assert table.headings[5:7] == ["Against early stopping", "Against weight decay"]
    first = table.rows[0]
    assert first[1:3] == ["from 8, not at 4", "4"]
    assert first[-1] == DOUBLE
    unknown = next(row for row in table.rows if row[-1].startswith("cannot be told"))
    assert unknown[1] in ("nowhere", "everywhere")
    assert unknown[2] == "–"
    found = complexity_table(several, "complexity")
    by_width = {row[1]: row[3] for row in found.rows}
    assert by_width["1"] == "below the smallest"
    assert by_width["8"] == "80 or more"


def test_a_complexity_inside_the_grid_is_a_number():
    found = verdict((1.0, 1.1, 2.0, 0.8), (0.0, 0.02, 0.09, 0.4), early=None, axis="n", values=(20, 40, 80, 160))
    assert [row[3] for row in complexity_table(found, "complexity").rows] == ["80"]


def test_a_section_a_task_and_strategy_that_can_be_drawn(several, tmp_path):
    (other,) = verdicts_of(made_up_sweep.errors(made_up_sweep.FALLING, strategy="linear", early=None))
    sections = sweep_sections([several, other], [made_up.AGE])
    assert [section.title for section in sections] == ["Age: sweep of perceptron", "Age: sweep of linear"]
    page = Page(title="sweeps", found=["something"], sections=sections)
    assert len(figures_of(page)) == 4
    names = [item.name for section in sections for item in section.items if isinstance(item, Table)]
    assert len(set(names)) == 4
    write_page(page, tmp_path / "page.html", tmp_path / "figures")
    assert len(list((tmp_path / "figures").rglob("*.png"))) >= 4


def test_a_sweep_in_which_nothing_varied_has_a_section_all_the_same(tmp_path):
    found = verdict((0.9,), (0.0,), early=(0.8,), values=(4,))
    page = Page(title="sweeps", found=["something"], sections=sweep_sections([found], [made_up.AGE]))
    write_page(page, tmp_path / "page.html", tmp_path / "figures")
    assert "Nothing was varied" in (tmp_path / "page.html").read_text()
