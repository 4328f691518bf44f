"""Every table of the report against an independent computation from the raw rows."""

import itertools
from dataclasses import replace

import fake_run
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics

from neurotransfer.report import cells, tables
from neurotransfer.report.cautions import cautions, progress
from neurotransfer.report.findings import Evidence, finding
from neurotransfer.report.folder import Task, read_run
from neurotransfer.report.prediction_tables import agreement, axis_ends, predictions_of, roc_curve, subgroup_table
from neurotransfer.statistics import SCORES, paired_test

AGE = Task("age", "Age", "continuous", (), "years", "rae", "age")
SEX = Task("sex", "Sex", "binary", ("F", "M"), "", "auc", "sex")
RESULTS, PREDICTIONS, COHORT = fake_run.tables()
STRATEGIES = fake_run.STRATEGIES


def raw(task, n, strategy, column):
    """The selected values in the order of the replicates, by a plain loop."""
    found = {}
    for row in RESULTS.to_dict("records"):
        if (row["task"], row["n"], row["strategy"]) == (task.name, n, strategy) and row["selected"]:
            found[row["replicate"]] = row[column]
    return np.array([found.get(replicate, np.nan) for replicate in range(fake_run.REPLICATES)])


def results_of(values, task="age", score="rae", sizes=(10,)):
    """A table of fits from strategy -> scores of the replicates, the same at every size."""
    rows = [
        {"task": task, "n": n, "replicate": replicate, "strategy": name, "selected": True, "error": None, "epochs": 3}
        | {f"test_{other}": np.nan for other in SCORES}
        | {f"test_{score}": value}
        for n in sizes
        for name, column in values.items()
        for replicate, value in enumerate(column)
    ]
    return pd.DataFrame(rows)


def evidence(results, task, names):
    matrices = tables.p_matrices(results, task, names)
    curve = tables.curve_table(results, task, names, matrices)
    return Evidence(task, curve, tables.score_table(results, task, names), matrices)


def test_sizes_are_ascending():
    assert tables.sizes_of(RESULTS.sample(frac=1, random_state=0), AGE) == list(fake_run.SIZES)


@pytest.mark.parametrize(("task", "n"), itertools.product([AGE, SEX], fake_run.SIZES))
def test_replicate_table_holds_the_selected_scores(task, n):
    table = tables.replicate_table(RESULTS, task, n, STRATEGIES)
    assert list(table.columns) == list(STRATEGIES)
    for name in STRATEGIES:
        np.testing.assert_array_equal(table[name].reindex(range(8)), raw(task, n, name, f"test_{task.score}"))


def test_matrices_hold_paired_tests_in_the_right_direction():
    for task in (AGE, SEX):
        matrix = tables.p_matrices(RESULTS, task, STRATEGIES)[10]
        for row, column in itertools.permutations(STRATEGIES, 2):
            a, b = (raw(task, 10, name, f"test_{task.score}") for name in (row, column))
            assert matrix.loc[row, column] == paired_test(a, b, higher_is_better=task is SEX).p


def test_holm_matrix_counts_every_pair_in_both_directions():
    matrix = pd.DataFrame([[1, 0.001, 0.9], [0.999, 1, 0.01], [0.1, 0.99, 1]], index=list("abc"), columns=list("abc"))
    found = tables.holm_matrix(matrix)
    assert found.loc["a", "b"] == pytest.approx(6 * 0.001)
    assert found.loc["b", "c"] == pytest.approx(5 * 0.01)
    assert found.loc["c", "a"] == pytest.approx(4 * 0.1)
    assert np.isnan(np.diag(found)).all()
    assert matrix.loc["a", "a"] == 1


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("task", [AGE, SEX])
def test_curve_table_against_raw_rows(task, statistic):
    matrices = tables.p_matrices(RESULTS, task, STRATEGIES)
    curve = tables.curve_table(RESULTS, task, STRATEGIES, matrices, statistic)
    for n in fake_run.SIZES:
        rows = curve[curve["n"] == n].reset_index(drop=True)
        values = {name: raw(task, n, name, f"test_{task.score}") for name in STRATEGIES}
        shown = {name: getattr(np, f"nan{statistic}")(column) for name, column in values.items()}
        assert list(rows["strategy"]) == sorted(shown, key=shown.get, reverse=task is SEX)
        for place, row in rows.iterrows():
            assert row["value"] == pytest.approx(shown[row["strategy"]])
            if place == len(rows) - 1:
                assert np.isnan(row["p"])
                assert not row["better"]
                continue
            below = rows.loc[place + 1, "strategy"]
            assert row["next_best"] == below
            test = paired_test(values[row["strategy"]], values[below], higher_is_better=task is SEX)
            assert row["p"] == test.p
            assert row["better"] == (test.p < 0.05)
            assert row["difference"] == pytest.approx(test.difference)


def test_curve_bars_are_196_standard_errors():
    matrices = tables.p_matrices(RESULTS, AGE, STRATEGIES)
    curve = tables.curve_table(RESULTS, AGE, STRATEGIES, matrices).set_index(["n", "strategy"])
    values = raw(AGE, 10, "baseline", "test_rae")
    row = curve.loc[(10, "baseline")]
    assert row["replicates"] == 7
    assert row["high"] - row["value"] == pytest.approx(1.96 * scipy.stats.sem(values, nan_policy="omit"))
    medians = tables.curve_table(RESULTS, AGE, STRATEGIES, matrices, "median")
    assert medians[["low", "high"]].isna().all(axis=None)


def test_curve_is_corrected_over_all_sizes_of_the_task():
    matrices = tables.p_matrices(RESULTS, AGE, STRATEGIES)
    curve = tables.curve_table(RESULTS, AGE, STRATEGIES, matrices)
    n_tests = int(curve["p"].notna().sum())
    assert n_tests == 12
    assert curve["p_holm"].min() == pytest.approx(n_tests * curve["p"].min())


def test_score_table_has_every_score_of_the_kind():
    for task in (AGE, SEX):
        scored = tables.score_table(RESULTS, task, STRATEGIES)
        names = [name for name, score in SCORES.items() if task.kind in score.kinds]
        assert len(scored) == len(fake_run.SIZES) * len(STRATEGIES) * len(names)
        row = scored.set_index(["n", "strategy", "score"]).loc[(25, "linear", names[-1])]
        values = raw(task, 25, "linear", f"test_{names[-1]}")
        assert row["mean"] == pytest.approx(values.mean())
        assert row["median"] == pytest.approx(np.median(values))
        assert row["sem"] == pytest.approx(scipy.stats.sem(values))
        assert values.min() <= row["low"] < row["mean"] < row["high"] <= values.max()


def test_chance_is_judged_by_the_bootstrap_interval():
    good, poor, worse = np.linspace(0.4, 0.6, 9), np.linspace(0.7, 1.3, 9), np.linspace(1.4, 1.5, 9)
    results = results_of({"good": good, "poor": poor, "worse": worse, "gone": np.full(9, np.nan)})
    scored = tables.score_table(results, AGE, ["good", "poor", "worse", "gone"])
    assert tables.no_better_than_chance(scored, AGE, 10) == ["poor", "worse"]


def test_chance_of_a_mean_error_is_asked_of_the_relative_error():
    assert tables.chance_score(Task("a", "A", "ordinal", ("x", "y"), "", "mae", "a")) == "rae"
    assert tables.chance_score(Task("a", "A", "binary", ("x", "y"), "", "brier", "a")) == "auc"
    assert tables.chance_score(SEX) == "auc"


def test_beaten_by_a_bar():
    matrix = pd.DataFrame([[1, 0.01, 0.2], [0.9, 1, 0.9], [0.8, 0.04, 1]], index=list("vab"), columns=list("vab"))
    assert tables.beaten_by("v", matrix) == ["a"]
    assert tables.beaten_by("voxels", matrix) == []


def test_epochs_leave_out_what_does_not_train():
    table = tables.epochs_table(RESULTS, AGE, STRATEGIES)
    assert set(table["strategy"]) == {"baseline", "multi-frozen", "multi-finetuned"}
    row = table.set_index(["n", "strategy"]).loc[(100, "baseline")]
    values = raw(AGE, 100, "baseline", "epochs")
    assert (row["mean"], row["sem"]) == (pytest.approx(values.mean()), pytest.approx(scipy.stats.sem(values)))


def test_failures_are_grouped():
    found = tables.failure_table(RESULTS).to_dict("records")
    expected = {"task": "age", "strategy": "baseline", "error": fake_run.FAILURE, "fits": 2, "sizes": "10"}
    assert found == [expected]
    assert len(tables.failure_table(RESULTS[RESULTS["error"].isna()])) == 0


def test_subgroups_are_scored_by_themselves():
    table = subgroup_table(PREDICTIONS, AGE, 100, STRATEGIES).set_index(["subgroup", "strategy"])
    assert set(table.index) == set(itertools.product(["adult", "child"], STRATEGIES))
    rows = PREDICTIONS.query("task == 'age' and n == 100 and strategy == 'linear' and subgroup == 'child'")
    found = table.loc[("child", "linear")]
    assert found["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(rows["observed"], rows["predicted"]))
    assert found["r"] == pytest.approx(scipy.stats.pearsonr(rows["observed"], rows["predicted"]).statistic)
    assert found["reference"] == pytest.approx(np.mean(abs(rows["observed"] - rows["observed"].mean())))
    assert found["rae"] == pytest.approx(found["mae"] / found["reference"])
    assert (found["predictions"], found["participants"]) == (len(rows), rows["participant_id"].nunique())


def test_subgroups_of_a_binary_target_have_no_reference():
    table = subgroup_table(PREDICTIONS, SEX, 10, STRATEGIES)
    assert {"auc", "balanced_accuracy", "brier"} <= set(table.columns)
    assert "reference" not in table
    assert len(subgroup_table(PREDICTIONS.assign(subgroup=None), SEX, 10, STRATEGIES)) == 0


def test_agreement_counts_every_prediction_once():
    rows = predictions_of(PREDICTIONS, AGE, 100, "baseline")
    ends = axis_ends(predictions_of(PREDICTIONS, AGE, 100))
    found = agreement(rows, ends)
    assert found.counts.sum() == len(rows) == 8 * 40
    assert len(found.x) == len(found.y) == len(found.counts) < len(rows)
    assert found.mae == pytest.approx(np.mean(abs(rows["observed"] - rows["predicted"])))
    assert ends[0] <= rows["observed"].min()
    assert ends[1] >= rows["observed"].max()


def test_agreement_puts_wild_predictions_at_the_edge():
    rows = pd.DataFrame({"observed": np.arange(400.0), "predicted": np.r_[1e9, np.arange(399.0)]})
    found = agreement(rows, axis_ends(rows))
    assert found.counts.sum() == 400
    assert found.ends[1] < 1e9
    assert axis_ends(pd.DataFrame({"observed": [2.0, 2.0], "predicted": [2.0, 2.0]})) == (1.5, 2.5)


def test_roc_curve_agrees_with_scikit_learn():
    draws = np.random.default_rng(0)
    observed, predicted = draws.integers(0, 2, 90).astype(float), draws.integers(0, 12, 90) / 12
    across, up = roc_curve(observed, predicted)
    expected = sklearn.metrics.roc_curve(observed, predicted, drop_intermediate=False)
    np.testing.assert_allclose(across, expected[0])
    np.testing.assert_allclose(up, expected[1])
    assert np.trapezoid(up, across) == pytest.approx(sklearn.metrics.roc_auc_score(observed, predicted))


def test_long_roc_curves_are_thinned_and_keep_their_ends():
    draws = np.random.default_rng(1)
    across, up = roc_curve(draws.integers(0, 2, 5000).astype(float), draws.normal(size=5000))
    assert len(across) == 200
    assert (across[0], up[0], across[-1], up[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(up, across) == pytest.approx(0.5, abs=0.03)


def test_finding_names_the_best_by_how_much_and_how_surely():
    text = finding(evidence(RESULTS, AGE, STRATEGIES))
    gap = np.mean(raw(AGE, 100, "multi-frozen", "test_rae") - raw(AGE, 100, "multi-finetuned", "test_rae"))
    assert "At n = 10, multi-finetuned is best" in text
    assert f"ahead of multi-frozen by {gap:.3f}, and significantly so (p = 0.004; p = 0.047 after Holm" in text
    assert "voxels (a linear model on smoothed voxels), beats baseline at n = 10; no other strategy at n = 100" in text
    assert "n = 25" not in text


def test_finding_says_when_a_difference_may_be_chance():
    noise = np.linspace(-0.1, 0.1, 8)
    results = results_of({"a": 0.5 + noise, "b": 0.51 - noise})
    assert "which may be chance (p = " in finding(evidence(results, AGE, "ab"))


def test_finding_does_not_turn_the_sign_of_a_comparison_of_other_replicates():
    good, bad, nothing = np.full(6, 0.1), np.full(6, 0.5), np.full(6, np.nan)
    results = results_of({"few": np.r_[good + 0.05, nothing], "all": np.r_[good, bad]})
    text = finding(evidence(results, AGE, ["few", "all"]))
    assert "few is best" in text
    assert "on those that both have a score for it is behind by 0.05" in text
    assert "significantly" not in text


def test_finding_says_when_holm_takes_it_back():
    base = np.linspace(0.8, 0.9, 5)
    results = results_of({"a": base - 0.2, "b": base, "c": base + 0.2}, sizes=(10, 20))
    assert "does not survive Holm's correction (p = 0.031; p = 0.125 after it)" in finding(
        evidence(results, AGE, "abc")
    )


def test_finding_says_when_nothing_beats_chance():
    noise = np.linspace(-0.3, 0.3, 8)
    text = finding(evidence(results_of({"a": 1 + noise, "b": 1.01 - noise}), AGE, "ab"))
    assert "Nothing beats chance (relative absolute error 1) reliably there." in text
    text = finding(evidence(results_of({"a": 0.2 + noise / 9, "b": 1.01 - noise}), AGE, "ab"))
    assert "Not reliably better than chance (relative absolute error 1) there: b." in text


def test_finding_of_one_strategy_and_of_none():
    assert "nothing to compare it with" in finding(evidence(results_of({"a": [0.5, 0.6]}), AGE, "a"))
    assert finding(evidence(results_of({"a": [np.nan, np.nan]}), AGE, "a")) == "At n = 10 no fit has a score."


def test_matrix_cells_say_how_sure():
    matrix = pd.DataFrame([[1, 0.0001, 0.03], [1, 1, 0.4], [1, 0.6, 1]], index=list("abc"), columns=list("abc"))
    grid = cells.matrix_grid(50, matrix)
    (_, first), (_, second), _ = grid["rows"]
    assert [cell[:2] for cell in first] == [("", "self"), ("< 0.001*", "sure"), ("0.030", "likely")]
    assert second[2][:2] == ("0.400", "open")
    assert first[2][2] == "a beats c: p 0.030; after Holm 0.150"


def test_score_cells_show_the_headline_first_and_the_unit():
    grid = cells.score_grid(tables.score_table(RESULTS, AGE, STRATEGIES), AGE)
    assert grid["headings"][:2] == ["Relative absolute error", "Mean absolute error (years)"]
    assert [row["first"] for row in grid["rows"]] == ([True] + [False] * 4) * 3
    row = grid["rows"][0]
    values = raw(AGE, 10, "baseline", "test_rae")
    assert (row["n"], row["strategy"], row["replicates"]) == (10, "baseline", 7)
    assert row["cells"][0][0].startswith(f"{np.nanmean(values):.3f} ± ")


def test_cautions_of_the_fake_run(tmp_path):
    run = read_run(fake_run.write_run(tmp_path))
    text = "\n".join(cautions(run))
    assert "Only 8 replicates" in text
    assert "0.0039, or 0.047 after Holm" in text
    assert "2 of 480 fits failed; 1 replicate of a strategy has no score" in text
    assert "Age: the values look like two groups" in text
    assert "4 participants of this study were in the pretraining of model multi" in text
    assert "sex at n = 10: one class is rare." in text
    assert progress(run) == ""


def test_replicates_without_a_score_are_counted_even_where_nothing_failed(tmp_path):
    folder = fake_run.write_run(tmp_path)
    fits = pd.read_parquet(folder / "results.parquet")
    fits["error"] = None
    fits.loc[fits["replicate"] == 0, "selected"] = False
    fits.to_parquet(folder / "results.parquet")
    lost = len(fits[fits["replicate"] == 0].drop_duplicates(["task", "n", "strategy"]))
    (note,) = [note for note in cautions(read_run(folder)) if "validation images" in note]
    assert int(note.split()[0]) >= lost


def test_cautions_do_without_a_cohort(tmp_path):
    run = read_run(fake_run.write_run(tmp_path, with_cohort=False))
    assert any("two groups" in note for note in cautions(run))
    run = read_run(fake_run.write_run(tmp_path / "bare", with_cohort=False, with_predictions=False))
    assert not any("two groups" in note for note in cautions(run))


def test_progress_counts_what_is_there(tmp_path):
    run = read_run(fake_run.write_run(tmp_path, complete=False))
    assert progress(run) == "240 of 240 fits with their settings are there"
    fewer = replace(run, results=run.results[run.results["replicate"] > 0])
    assert progress(fewer).startswith(f"{240 - 240 // run.results['replicate'].nunique()} of 240")
