"""Figures as values: what they show is what pandas makes of the raw tables, under every choice."""

import dataclasses
import itertools
import json
import math
import subprocess
import sys

import fake_run
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from neurotransfer.pages.contents import as_data, figures_of
from neurotransfer.pages.looks import COLOURS, MARKERS, looks
from neurotransfer.pages.model import Figure
from neurotransfer.pages.shown import shown
from neurotransfer.published import published_curves
from neurotransfer.report.choices import edge_notes, setting_figure
from neurotransfer.report.curves import is_logarithmic, learning_curves
from neurotransfer.report.evidence import evidence_of
from neurotransfer.report.folder import read_run
from neurotransfer.report.pairs import difference_figure, pair_figure
from neurotransfer.report.people import OTHERS, people_items, pyramid_figure, pyramid_table
from neurotransfer.statistics import SCORES, holm, paired_test

RESULTS, PREDICTIONS, COHORT = fake_run.tables()
STRATEGIES = fake_run.STRATEGIES
LOOKS = looks(STRATEGIES)
TASKS = ("age", "sex")


def figure_called(page, name):
    return {figure.name: figure for figure in figures_of(page)}[name]


def rows_of(figure, layer=-1, **chosen):
    """The rows of a layer under a choice, the layer counted among all."""
    found = {id(each): rows for each, rows in shown(figure, chosen).layers}
    return found.get(id(figure.layers[layer]), figure.layers[layer].table)


def wide(task, n, column):
    rows = RESULTS[RESULTS["selected"] & (RESULTS["task"] == task) & (RESULTS["n"] == n)]
    return rows.pivot(index="replicate", columns="strategy", values=column)


def scores_of(task):
    kind = fake_run.TASKS[task]["kind"]
    return [name for name, score in SCORES.items() if kind in score.kinds]


def curve_layer(figure):
    return next(index for index, layer in enumerate(figure.layers) if layer.mark == "line" and not layer.quiet)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_learning_curves_show_the_statistic_of_every_score(fake_page, task, statistic):
    figure = figure_called(fake_page, f"{task}-curves")
    assert [next(iter(choice.options)) for choice in figure.choices] == ["mean", fake_run.TASKS[task]["score"]]
    for score in scores_of(task):
        rows = rows_of(figure, curve_layer(figure), statistic=statistic, score=score).set_index(["n", "strategy"])
        assert len(rows) == len(fake_run.SIZES) * len(STRATEGIES)
        for n in fake_run.SIZES:
            table = wide(task, n, f"test_{score}")
            expected, sem = table.agg(statistic), table.sem()
            for name in STRATEGIES:
                row = rows.loc[(n, name)]
                assert row["shown"] == pytest.approx(expected[name])
                assert row["replicates"] == table[name].notna().sum()
                assert row["low"] <= row["shown"] <= row["high"]
                if statistic == "mean":
                    assert row["high"] - row["shown"] == pytest.approx(1.96 * sem[name])


@pytest.mark.parametrize("task", TASKS)
def test_markers_are_filled_exactly_where_the_next_best_is_beaten(fake_page, task):
    figure = figure_called(fake_page, f"{task}-curves")
    score = fake_run.TASKS[task]["score"]
    rows, every = rows_of(figure, curve_layer(figure)), []
    for n in fake_run.SIZES:
        table = wide(task, n, f"test_{score}")
        order = table.mean().sort_values(ascending=not SCORES[score].higher_is_better).index
        for name, below in itertools.pairwise(order):
            row = rows[(rows["n"] == n) & (rows["strategy"] == name)].iloc[0]
            test = paired_test(
                table[name].to_numpy(), table[below].to_numpy(), higher_is_better=SCORES[score].higher_is_better
            )
            assert (row["next_best"], row["p"], row["better"]) == (below, test.p, test.p < 0.05)
            every.append(row)
        last = rows[(rows["n"] == n) & (rows["strategy"] == order[-1])].iloc[0]
        assert not last["better"]
    adjusted = holm(np.array([row["p"] for row in every]))
    np.testing.assert_allclose([row["p_holm"] for row in every], adjusted)
    assert 0 < rows["better"].sum() < len(rows)


def test_every_replicate_is_a_dot_that_is_hidden_at_first(fake_page):
    figure = figure_called(fake_page, "age-curves")
    layer = figure.layers[-1]
    assert (layer.label, layer.shown, layer.mark) == ("Replicates", False, "dot")
    chosen = RESULTS[RESULTS["selected"] & (RESULTS["task"] == "age")]
    for score in scores_of("age"):
        rows = layer.table[layer.table["score"] == score]
        expected = chosen.set_index(["n", "strategy", "replicate"])[f"test_{score}"].dropna()
        found = rows.set_index(["n", "strategy", "replicate"])["value"]
        pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_names=False)
    assert set(layer.table["setting"]) == {"lr 0.001"}


def test_axes_say_what_they_show_and_can_be_switched(fake_page):
    figure = figure_called(fake_page, "age-curves")
    assert (figure.x.label, figure.x.scale, figure.x.switch) == ("n, training images", "log", True)
    assert figure.x.ticks == tuple(map(float, fake_run.SIZES))
    assert figure.y.labels["score"]["mae"] == "Mean absolute error (years)"
    assert figure.y.switch
    levels = next(layer.table for layer in figure.layers if layer.label == "chance")
    assert dict(zip(levels["score"], levels["level"], strict=True)) == {"rae": 1.0, "r": 0.0, "r2": 0.0}


def test_the_axis_says_whether_images_or_participants_are_counted(evidences):
    for counted in ("images", "participants"):
        evidence = dataclasses.replace(
            evidences["sex"], task=dataclasses.replace(evidences["sex"].task, counted=counted)
        )
        assert learning_curves(evidence, LOOKS, "x").x.label == f"n, training {counted}"
        assert difference_figure(evidence, LOOKS, "x").x.label == f"n, training {counted}"


@pytest.mark.parametrize(
    ("sizes", "expected"), [([100, 500], False), ([100, 501], True), ([50], False), ([0, 9], False)]
)
def test_axis_is_logarithmic_only_for_a_wide_span(sizes, expected):
    assert is_logarithmic(sizes) == expected


def test_one_very_bad_strategy_does_not_press_the_others_together(tmp_path):
    for worst, expected in ((1.0, ()), (4.0, ("rae",))):
        run = read_run(
            fake_run.write_crafted(tmp_path / str(worst), {"a": [0.4, 0.5], "b": [worst, worst]}, task="age")
        )
        figure = learning_curves(evidence_of(run, run.tasks[0]), LOOKS, "x")
        assert figure.y.logarithmic == {"score": expected}


def test_published_curves_are_laid_under_where_score_and_statistic_fit(evidences):
    overlay = pd.concat([published_curves("april_ad"), published_curves("november_ad"), published_curves("april_age")])
    figure = learning_curves(evidences["sex"], LOOKS, "x", overlay)
    layer = figure.layers[2]
    assert (layer.quiet, layer.label) == (True, "Published curves")
    assert set(layer.table["score"]) == {"auc"}
    mean = rows_of(figure, 2, statistic="mean", score="auc")
    assert set(mean["curve"]) == {f"{name} (April 2025)" for name in ("baseline", "finetuned", "frozen")}
    median = rows_of(figure, 2, statistic="median", score="auc")
    assert sum("November 2025" in name for name in set(median["curve"])) == 5
    assert len(rows_of(figure, 2, score="brier")) == 0


def test_small_studies_stay_readable_beside_large_published_ones(evidences):
    ticks = learning_curves(evidences["age"], LOOKS, "x", published_curves("april_age")).x.ticks
    assert set(fake_run.SIZES) <= set(ticks)
    assert max(ticks) == 2500
    assert all(later >= 1.6 * tick for tick, later in itertools.pairwise(ticks))


@pytest.mark.parametrize("task", TASKS)
def test_pairs_are_tests_of_every_pair_raw_and_corrected(fake_page, task):
    figure = figure_called(fake_page, f"{task}-pairs")
    size, score, correction = figure.choices
    assert list(size.options) == ["n100", "n25", "n10"]
    assert (next(iter(score.options)), list(correction.options)) == (fake_run.TASKS[task]["score"], ["holm", "raw"])
    for n, name in itertools.product((10, 100), scores_of(task)[:2]):
        table = wide(task, n, f"test_{name}")
        raw = {
            (a, b): paired_test(
                table[a].to_numpy(), table[b].to_numpy(), higher_is_better=SCORES[name].higher_is_better
            ).p
            for a, b in itertools.permutations(STRATEGIES, 2)
        }
        adjusted = dict(zip(raw, holm(np.array(list(raw.values()))), strict=True))
        for which, expected in (("raw", raw), ("holm", adjusted)):
            rows = rows_of(figure, 0, size=f"n{n}", score=name, correction=which)
            found = rows.dropna(subset=["p"]).set_index(["strategy", "than"])["p"].to_dict()
            assert found == pytest.approx(expected)
            assert len(rows) == 25
            assert set(rows.loc[rows["strategy"] == rows["than"], "text"]) == {""}


@pytest.mark.parametrize("task", TASKS)
def test_differences_are_those_to_the_chosen_reference(fake_page, task):
    figure = figure_called(fake_page, f"{task}-differences")
    assert next(iter(figure.choices[0].options)) == "baseline"
    score = scores_of(task)[0]
    for reference in ("baseline", "linear"):
        rows = rows_of(figure, 1, reference=reference, score=score).set_index(["n", "strategy"])
        assert len(rows) == len(fake_run.SIZES) * (len(STRATEGIES) - 1)
        for (n, name), row in rows.iterrows():
            table = wide(task, n, f"test_{score}")
            assert row["difference"] == pytest.approx((table[name] - table[reference]).mean())
    assert "above 0 is better" in figure.y.labels["score"]["auc" if task == "sex" else "r"]
    assert "below 0 is better" in figure.y.labels["score"]["brier" if task == "sex" else "mae"]


def test_nothing_to_compare_gives_no_pairs(tmp_path):
    run = read_run(fake_run.write_crafted(tmp_path, {"a": [0.5, 0.6]}))
    evidence = evidence_of(run, run.tasks[0])
    assert pair_figure(evidence, "x") is None
    assert difference_figure(evidence, LOOKS, "x") is None


def test_epochs_and_seconds_are_means_of_chosen_fits(fake_page):
    for column in ("epochs", "seconds"):
        rows = rows_of(figure_called(fake_page, f"age-{column}")).set_index(["n", "strategy"])["mean"]
        expected = RESULTS[RESULTS["selected"] & (RESULTS["task"] == "age")].groupby(["n", "strategy"])[column].mean()
        assert rows.to_dict() == pytest.approx(expected[expected > 0].to_dict())


def test_settings_are_shares_of_replicates(tmp_path):
    folder = fake_run.write_crafted(tmp_path, {"a": np.linspace(0.5, 0.9, 10)})
    fits = pd.read_parquet(folder / "results.parquet")
    tried = [json.dumps({"penalty": value}) for value in (0.1, 1.0, 10.0)]
    chosen = [fits["replicate"] < 7, fits["replicate"] >= 7, fits["replicate"] < 0]
    every = pd.concat(
        [fits.assign(setting=text, selected=is_chosen) for text, is_chosen in zip(tried, chosen, strict=True)]
    )
    every.to_parquet(folder / "results.parquet")
    run = read_run(folder)
    evidence = evidence_of(run, run.tasks[0])
    rows = rows_of(setting_figure(evidence, "x"))
    assert rows[["setting", "share", "text"]].to_numpy().tolist() == [
        ["penalty 0.1", 0.7, "70 %*"], ["penalty 1", 0.3, "30 %"], ["penalty 10", 0.0, ""],
    ]  # fmt: skip
    (note,) = edge_notes(evidence)
    assert note.kind == "caution"
    assert "a, penalty (lowest), at n = 10 (70 %)" in note.text


def test_optimism_compares_validation_with_test(fake_page):
    # the fake run gives both parts the same scores
    rows = rows_of(figure_called(fake_page, "sex-optimism"))
    assert len(rows) == 15
    assert (rows["optimism"] == 0).all()


@pytest.mark.parametrize("n", fake_run.SIZES)
def test_roc_curves_have_the_areas_of_scikit_learn(fake_page, n):
    figure = figure_called(fake_page, "sex-roc")
    assert "'M'" in figure.y.label
    rows = rows_of(figure, size=f"n{n}")
    for name in STRATEGIES:
        part, own = rows[rows["strategy"] == name], PREDICTIONS.query("task == 'sex' and n == @n and strategy == @name")
        expected = sklearn.metrics.roc_auc_score(own["observed"], own["predicted"])
        assert set(part["area"]) == {round(expected, 4)}
        assert np.trapezoid(part["recognised"], part["others"]) == pytest.approx(expected, abs=0.005)


def test_calibration_shows_bins_of_one_size_and_strategy(fake_page):
    figure = figure_called(fake_page, "sex-calibration")
    rows = rows_of(figure, size="n10", strategy="linear")
    own = PREDICTIONS.query("task == 'sex' and n == 10 and strategy == 'linear'")
    assert rows["predictions"].sum() == len(own)
    assert set(rows["brier"]) == {round(sklearn.metrics.brier_score_loss(own["observed"], own["predicted"]), 4)}


def test_agreement_is_counted_in_bins_and_shows_nobody(fake_page):
    figure = figure_called(fake_page, "age-agreement")
    for n, name in itertools.product(fake_run.SIZES, STRATEGIES):
        rows = rows_of(figure, size=f"n{n}", strategy=name)
        own = PREDICTIONS.query("task == 'age' and n == @n and strategy == @name")
        assert rows["predictions"].sum() == len(own)
        assert len(rows) < len(own)
        assert rows["mae"].iloc[0] == pytest.approx((own["observed"] - own["predicted"]).abs().mean(), abs=1e-4)
    text = json.dumps([as_data(each) for each in figures_of(fake_page)], default=bool)
    assert "sub-" not in text


def test_figures_of_a_page_are_plain_values_with_unlike_names(fake_page):
    names = [figure.name for figure in figures_of(fake_page)]
    assert len(set(names)) == len(names) == 16
    for figure in figures_of(fake_page):
        assert isinstance(figure, Figure)
        assert figure.title
        assert figure.description.endswith(".")
        assert figure.x.label
        assert figure.y.label
        json.dumps(as_data(figure), allow_nan=False, default=bool)


def test_no_two_strategies_look_alike():
    many = looks([str(index) for index in range(math.lcm(len(COLOURS), len(MARKERS)))])
    assert len(set(many.values())) == len(many) == 40
    assert len({look.colour for look in looks("12345678").values()}) == 8


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
    figure = pyramid_figure(table)
    assert [name for name in figure.looks if name.startswith(OTHERS)] == [list(figure.looks)[-1]]


def test_pyramid_is_mirrored():
    people = fake_run.cohort()
    figure = pyramid_figure(pyramid_table(people))
    rows = figure.layers[0].table
    assert rows.loc[rows["shown"] > 0, "shown"].sum() == (people["sex"] == "F").sum()
    assert -rows.loc[rows["shown"] < 0, "shown"].sum() == (people["sex"] == "M").sum()
    bins = pd.cut(people["age"], np.arange(0, 100, 5), right=False)
    counted = people.groupby(["sex", bins], observed=True).size()
    drawn = rows.groupby([rows["sex"].str[0].str.upper(), rows["age"] - 2.5])["scans"].sum()
    assert sorted(drawn) == sorted(counted)
    low, high = figure.y.ends
    assert low == -high


def test_who_was_left_out_is_listed_with_numbers(tmp_path):
    folder = fake_run.write_run(tmp_path, strategies=("baseline", "linear"))
    people = fake_run.cohort().astype({"sex": object})
    people.loc[:6, "sex"] = None
    people.to_parquet(folder / "cohort.parquet")
    (folder / "cohort.json").write_text(json.dumps({"notes": ["3 scans without a mask are left out"]}))
    facts = json.loads((folder / "study.json").read_text())
    facts["study"] = {"tasks": {"age": {"target": "age", "where": {"subgroup": "adult"}}}}
    (folder / "study.json").write_text(json.dumps(facts))
    (table,) = [item for item in people_items(read_run(folder)) if getattr(item, "name", "") == "left-out"]
    assert [list(row) for row in table.rows] == [
        ["Age", "the task takes subgroup = adult alone", "60", "60"],
        ["Sex", "sex is not known", "7", "7"],
        ["cohort", "3 scans without a mask are left out", "–", "–"],
        ["model multi", "in its pretraining; kept: its scores are too good for them", "–", "4"],
    ]


def test_effective_numbers_are_shown_where_results_have_them(tmp_path):
    run = read_run(fake_run.write_crafted(tmp_path, {"a": [0.5, 0.6]}, n_effective_participants=7.25))
    (table,) = [item for item in people_items(run) if getattr(item, "name", "") == "effective"]
    assert [list(row) for row in table.rows] == [["Sex, n = 10", "10.0", "10.0", "7.2"]]


def test_report_imports_neither_torch_nor_pyplot():
    code = "import sys, neurotransfer.report; assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
