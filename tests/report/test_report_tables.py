"""Every table of the report against an independent computation from the raw rows."""

import itertools
import json
from dataclasses import replace

import fake_run
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics

from neurotransfer.report import choice_tables, tables
from neurotransfer.report.cautions import cautions, progress
from neurotransfer.report.folder import Task, read_run
from neurotransfer.report.prediction_tables import (
    agreement,
    axis_ends,
    confusion,
    predictions_of,
    roc_curve,
    subgroup_table,
)
from neurotransfer.report.score_tables import score_items
from neurotransfer.seeding import stream
from neurotransfer.statistics import SCORES, paired_test, pairwise_matrix

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


def test_medians_have_bootstrap_intervals():
    matrices = tables.p_matrices(RESULTS, AGE, STRATEGIES)
    medians = tables.curve_table(RESULTS, AGE, STRATEGIES, matrices, "median", seed=1).set_index(["n", "strategy"])
    draws = np.random.default_rng(0)
    for key in itertools.product(fake_run.SIZES, STRATEGIES):
        values = raw(AGE, *key, "test_rae")
        values = values[~np.isnan(values)]
        row = medians.loc[key]
        assert values.min() <= row["low"] <= row["value"] <= row["high"] <= values.max()
        expected = np.quantile(np.median(draws.choice(values, (20_000, len(values))), axis=1), [0.025, 0.975])
        assert np.abs(expected - [row["low"], row["high"]]).max() <= np.ptp(values) / 3


def test_other_scores_have_matrices_and_curves_of_their_own():
    matrices = tables.p_matrices(RESULTS, AGE, STRATEGIES, score="r")
    curve = tables.curve_table(RESULTS, AGE, STRATEGIES, matrices, score="r")
    for n in fake_run.SIZES:
        a, b = raw(AGE, n, "multi-finetuned", "test_r"), raw(AGE, n, "voxels", "test_r")
        assert matrices[n].loc["multi-finetuned", "voxels"] == paired_test(a, b).p
        rows = curve[curve["n"] == n]
        assert list(rows["value"]) == sorted(rows["value"], reverse=True)
        assert rows["value"].iloc[0] == pytest.approx(
            max(raw(AGE, n, name, "test_r").mean() for name in STRATEGIES[1:])
        )


def test_the_headline_has_the_same_p_as_before():
    """The draws of the score that is shown first do not depend on how many other scores are tested."""
    results = results_of({"a": np.linspace(0.1, 0.9, 20), "b": np.linspace(0.8, 0.2, 20) ** 2})
    matrix = tables.p_matrices(results, AGE, "ab", seed=4)[10]
    expected = pairwise_matrix(
        pd.DataFrame({"a": np.linspace(0.1, 0.9, 20), "b": np.linspace(0.8, 0.2, 20) ** 2}),
        higher_is_better=False,
        generator=stream(4, "report", "age", 10),
    )
    pd.testing.assert_frame_equal(matrix, expected)


@pytest.mark.parametrize("task", [AGE, SEX])
def test_differences_are_those_of_the_pairs(task):
    matrices = tables.p_matrices(RESULTS, task, STRATEGIES)
    table = tables.difference_table(RESULTS, task, STRATEGIES, task.score, matrices)
    assert len(table) == len(fake_run.SIZES) * 20
    for row in table.to_dict("records"):
        a, b = (raw(task, row["n"], row[name], f"test_{task.score}") for name in ("strategy", "reference"))
        pairs = (a - b)[~np.isnan(a - b)]
        assert row["difference"] == pytest.approx(pairs.mean())
        assert row["pairs"] == len(pairs)
        assert row["p"] == matrices[row["n"]].loc[row["strategy"], row["reference"]]
        assert row["better"] == (row["p"] < 0.05)
        assert pairs.min() - 1e-12 <= row["low"] <= row["difference"] <= row["high"] <= pairs.max() + 1e-12


def test_a_difference_and_its_reverse_mirror_each_other():
    matrices = tables.p_matrices(RESULTS, SEX, STRATEGIES)
    table = tables.difference_table(RESULTS, SEX, STRATEGIES, "auc", matrices).set_index(["n", "strategy", "reference"])
    for (n, one, other), row in table.iterrows():
        back = table.loc[(n, other, one)]
        assert (row["difference"], row["low"], row["high"]) == (-back["difference"], -back["high"], -back["low"])


def test_intervals_of_differences_cover_what_is_true():
    draws, covered = np.random.default_rng(3), 0
    for _ in range(100):
        results = results_of({"a": draws.normal(0.3, 1, 40), "b": draws.normal(0, 1, 40)})
        matrix = {10: pd.DataFrame(1.0, index=list("ab"), columns=list("ab"))}
        row = tables.difference_table(results, AGE, "ab", "rae", matrix).set_index("strategy").loc["a"]
        covered += row["low"] < 0.3 < row["high"]
    assert 86 <= covered <= 100


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


def test_epochs_leave_out_what_does_not_train():
    table = choice_tables.effort_table(RESULTS, AGE, STRATEGIES, "epochs")
    assert set(table["strategy"]) == {"baseline", "multi-frozen", "multi-finetuned"}
    row = table.set_index(["n", "strategy"]).loc[(100, "baseline")]
    values = raw(AGE, 100, "baseline", "epochs")
    assert row["mean"] == pytest.approx(values.mean())
    assert row["high"] - row["mean"] == pytest.approx(1.96 * scipy.stats.sem(values))
    assert set(choice_tables.effort_table(RESULTS, AGE, STRATEGIES, "seconds")["mean"]) == {1.5}


def test_optimism_is_positive_where_validation_looked_better():
    results = results_of({"a": np.full(4, 0.5)}).assign(validation_rae=[0.4, 0.3, 0.2, np.nan], validation_auc=np.nan)
    row = choice_tables.optimism_table(results, AGE, "a").iloc[0]
    assert row["optimism"] == pytest.approx(0.2)
    assert (row["validation"], row["test"], row["replicates"]) == (pytest.approx(0.3), pytest.approx(0.5), 3)
    results = results_of({"a": np.full(4, 0.5)}, "sex", "auc").assign(validation_auc=0.9)
    row = choice_tables.optimism_table(results, SEX, "a").iloc[0]
    assert (row["score"], row["optimism"]) == ("auc", pytest.approx(0.4))


def settings_of(chosen, tried, n=10):
    """A table of fits in which replicate i chose `chosen[i]` among the settings `tried`."""
    return pd.DataFrame(
        {
            "task": "age",
            "n": n,
            "replicate": replicate,
            "strategy": "a",
            "setting": json.dumps(setting),
            "selected": setting == one,
        }
        for replicate, one in enumerate(chosen)
        for setting in tried
    )


def test_settings_are_counted_and_edges_are_told():
    tried = [{"penalty": value} for value in (0.1, 1.0, 10.0)]
    table = choice_tables.setting_table(settings_of([tried[2]] * 3 + [tried[1]], tried), AGE, "a")
    assert table["setting"].tolist() == ["penalty 0.1", "penalty 1", "penalty 10"]
    assert table["share"].tolist() == [0, 0.25, 0.75]
    assert table["edge"].tolist() == ["penalty (lowest)", "", "penalty (highest)"]
    often = choice_tables.edge_table(table).to_dict("records")
    assert often == [{"strategy": "a", "n": 10, "edge": "penalty (highest)", "share": 0.75}]
    rarely = choice_tables.setting_table(settings_of([tried[2], tried[1]], tried), AGE, "a")
    assert len(choice_tables.edge_table(rarely)) == 0


def test_an_edge_needs_three_values_and_room_beyond():
    tried = [{"lr": lr, "dropout": dropout} for lr in (0.1, 0.01) for dropout in (0.0, 0.2, 0.5)]
    edges = {str(each): choice_tables.edge_words(each, tried) for each in tried}
    assert set(edges.values()) == {"", "dropout (highest)"}
    assert edges[str({"lr": 0.1, "dropout": 0.5})] == "dropout (highest)"


def test_a_single_setting_is_no_choice():
    assert len(choice_tables.setting_table(settings_of([{}], [{}]), AGE, "a")) == 0


def test_effective_numbers_are_means_over_replicates():
    fits = pd.DataFrame({"task": "age", "n": [10, 10, 10, 10], "replicate": [0, 0, 1, 1], "strategy": list("abab"),
                         "n_train_images": 10, "n_train_participants": [8, 8, 9, 9],
                         "n_effective_participants": [7.0, 7.0, 8.0, 8.0]})  # fmt: skip
    (row,) = choice_tables.effective_table(fits, AGE).to_dict("records")
    assert row == {"n": 10, "images": 10.0, "participants": 8.5, "effective": 7.5}
    assert choice_tables.effective_table(fits.drop(columns="n_effective_participants"), AGE)["effective"].isna().all()


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


def test_confusion_counts_as_scikit_learn_does():
    draws = np.random.default_rng(2)
    rows = pd.DataFrame(
        {"observed": draws.integers(0, 3, 60).astype(float), "predicted": draws.integers(0, 3, 60).astype(float)}
    )
    found = confusion(rows, Task("g", "G", "categorical", ("a", "b", "c"), "", "auc", "g"))
    expected = sklearn.metrics.confusion_matrix(rows["observed"], rows["predicted"])
    assert found["predictions"].to_numpy().reshape(3, 3).tolist() == expected.tolist()
    np.testing.assert_allclose(found["share"].to_numpy().reshape(3, 3).sum(axis=1), 1)


def test_score_items_show_the_headline_first_and_the_unit():
    table = score_items(tables.score_table(RESULTS, AGE, STRATEGIES), AGE, "scores")
    assert list(table.headings[3:5]) == ["Relative absolute error", "Mean absolute error (years)"]
    assert len(table.rows) == len(fake_run.SIZES) * len(STRATEGIES)
    assert list(table.rows[0][:3]) == ["baseline", "10", "7"]
    assert table.rows[0][3].startswith(f"{np.nanmean(raw(AGE, 10, 'baseline', 'test_rae')):.3f} (")


def test_cautions_of_the_fake_run(tmp_path):
    run = read_run(fake_run.write_run(tmp_path))
    text = "\n".join(cautions(run))
    assert "Only 8 replicates" in text
    assert "0.0039, or 0.078 after Holm" in text
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
