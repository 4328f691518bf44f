"""The tables of a run: the order of the plan, all predictions where they are kept, and nothing chosen on test by mistake."""

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark.records import FIT_FIELDS, KEY
from neurotransfer.benchmark.results import EVERY, EVERY_TABLE, PREDICTION_TABLE, write_results
from neurotransfer.benchmark.rules import RULES, apply_rules, compare_rules
from neurotransfer.benchmark.workspace import open_workspace
from neurotransfer.errors import InputError
from neurotransfer.statistics.metrics import SCORES, scores


@pytest.fixture(scope="module")
def values(tiny_values):
    penalties = {"penalty": [0.001, 0.1, 10.0]}
    return tiny_values | {
        "tasks": {"sex": {"target": "sex"}, "age": {"target": "age", "score": "mae"}},
        "strategies": [{"strategy": "voxels", "grid": penalties}, {"strategy": "linear", "grid": penalties}],
        "models": {},
        "protocol": {"sizes": [10, 15], "replicates": 5, "keep": "all"},
    }


@pytest.fixture(scope="module")
def kept(values, tmp_path_factory):
    """A run that keeps what every setting predicts: (folder, run)."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    return folder, benchmark(parse_study(values), folder)


def test_the_rows_stand_in_the_order_of_the_plan(kept):
    folder, run = kept
    fits = pd.read_parquet(folder / "results.parquet")
    assert list(fits) == FIT_FIELDS.names
    order = [(cell.task, cell.n, cell.replicate, cell.strategy) for cell in run.plan.cells]
    expected = [(*key, index) for key in order for index in range(3)]
    assert list(fits[[*KEY, "setting_index"]].itertuples(index=False, name=None)) == expected
    for name, fields in (("predictions.parquet", PREDICTION_TABLE), (EVERY, EVERY_TABLE)):
        table = pd.read_parquet(folder / name)
        assert list(table) == fields.names
        assert list(dict.fromkeys(table[list(KEY)].itertuples(index=False, name=None))) == order


def test_writing_the_tables_again_gives_the_same_bytes(kept):
    folder, run = kept
    before = {name: (folder / name).read_bytes() for name in ("results.parquet", "predictions.parquet", EVERY)}
    workspace = open_workspace(folder)
    write_results(folder, run.plan, workspace.cohort)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_keeping_all_changes_no_number_of_the_table(kept, values, tmp_path):
    values = values | {"protocol": values["protocol"] | {"keep": "chosen"}}
    chosen = benchmark(parse_study(values), tmp_path / "chosen").results
    pd.testing.assert_frame_equal(
        chosen.drop(columns="seconds"), kept[1].results.drop(columns="seconds"), check_exact=True
    )
    one, other = (pd.read_parquet(folder / "predictions.parquet") for folder in (tmp_path / "chosen", kept[0]))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert not (tmp_path / "chosen" / EVERY).exists()


def test_only_the_chosen_setting_has_test_scores_in_the_table(kept):
    fits = kept[1].results
    tested = fits[[f"test_{score}" for score in SCORES]].notna().any(axis=1)
    assert (tested == fits["selected"]).all()


def test_every_setting_s_scores_follow_from_the_predictions_that_are_kept(kept):
    folder, run = kept
    fits = run.results.set_index([*KEY, "setting_index"])
    for key, rows in pd.read_parquet(folder / EVERY).groupby([*KEY, "setting_index", "part"]):
        kind = "continuous" if key[0] == "age" else "binary"
        shares = None if kind == "continuous" else np.stack(rows["probabilities"].to_list())
        found = scores(kind, rows["observed"].to_numpy(), rows["predicted"].to_numpy(), shares)
        if key[-1] == "validation" or fits.loc[key[:-1], "selected"]:
            for name, value in found.items():
                np.testing.assert_equal(fits.loc[key[:-1], f"{key[-1]}_{name}"], value)


def test_how_many_people_trained_is_told(kept):
    fits = kept[1].results
    assert (fits["n_effective_participants"] <= fits["n_train_participants"] + 1e-9).all()
    assert (fits["n_train_participants"] <= fits["n_train_images"]).all()
    # with replacement some are drawn twice
    assert (fits["n_effective_participants"] < fits["n_train_images"]).mean() > 0.6


def test_the_rule_of_the_study_gives_its_own_scores_and_the_oracle_none_worse(kept):
    folder, run = kept
    table = apply_rules(folder)
    chosen = run.results[run.results["selected"]].set_index(list(KEY))
    for _, row in table[table["rule"] == "score"].iterrows():
        for name in SCORES:
            np.testing.assert_equal(row[name], chosen.loc[tuple(row[list(KEY)]), f"test_{name}"])
    by_rule = table.pivot(index=list(KEY), columns="rule", values=["auc", "mae"])
    oracle_auc, oracle_mae = by_rule["auc"]["oracle"], by_rule["mae"]["oracle"]
    for rule in ("score", "loss"):
        assert not (by_rule["auc"][rule] > oracle_auc + 1e-12).any()
        assert not (by_rule["mae"][rule] < oracle_mae - 1e-12).any()
    assert set(table["rule"]) == set(RULES)
    assert len(table) == len(run.plan.cells) * len(RULES)


def test_an_ensemble_is_the_mean_of_the_predictions(kept):
    folder, _ = kept
    table = apply_rules(folder, ["mean"]).set_index(list(KEY))
    every = pd.read_parquet(folder / EVERY)
    for key, rows in every[(every["part"] == "test") & (every["task"] == "age")].groupby(list(KEY)):
        mean = rows.groupby("row")["predicted"].mean()
        observed = rows.groupby("row")["observed"].first()
        assert table.loc[key, "mae"] == pytest.approx(np.abs(observed - mean).mean(), rel=1e-12)


def test_the_greedy_ensemble_is_no_worse_on_validation_than_the_best_setting(kept):
    from neurotransfer.benchmark import rules

    for _, settings in rules._cells(kept[0]):
        shares = RULES["greedy"].shares(settings)
        assert shares.sum() == pytest.approx(1)
        best = max(settings.good("validation", settings.one(place)) for place in range(3))
        assert settings.good("validation", shares) >= best
        assert RULES["best three"].shares(settings).tolist() == pytest.approx([1 / 3] * 3)


def test_test_labels_change_no_rule_but_the_oracle(kept):
    from neurotransfer.benchmark import rules

    settings = next(found for key, found in rules._cells(kept[0]) if key[0] == "age")
    before = {name: rule.shares(settings) for name, rule in RULES.items()}
    settings.observed["test"] = settings.observed["test"][::-1] * 1e6
    for name, rule in RULES.items():
        if name != "oracle":
            np.testing.assert_array_equal(rule.shares(settings), before[name])


def test_rules_are_compared_in_pairs(kept):
    compared = compare_rules(apply_rules(kept[0]), {"age": "mae", "sex": "auc"})
    own = compared[compared["rule"] == "score"]
    assert (own["difference"].dropna() == 0).all()
    assert set(zip(compared["task"], compared["score"], strict=True)) == {("age", "mae"), ("sex", "auc")}
    assert (compared.loc[compared["task"] == "age", "replicates"] == 5).all()
    assert len(compared) == 2 * 2 * 2 * len(RULES)


def test_rules_need_what_was_not_kept(tmp_path, kept):
    with pytest.raises(InputError, match=r'give \[protocol\] keep = "all"'):
        apply_rules(tmp_path)
    with pytest.raises(InputError, match=r"unknown rule 'orcale'.*did you mean 'oracle'"):
        apply_rules(kept[0], ["orcale"])


def test_the_command_shows_what_each_rule_changes(kept, called, tmp_path):
    code, said, _ = called("benchmark", "rules", kept[0], "--out", tmp_path / "rules.tsv")
    assert code == 0
    assert "oracle: the setting with the best TEST score: what choosing could give at most, and no result" in said
    assert "age, linear: mean mae on test" in said
    table = pd.read_csv(tmp_path / "rules.tsv", sep="\t")
    assert len(table) == 2 * 2 * 5 * 2 * len(RULES)
    code, _, errors = called("benchmark", "rules", kept[0], "--out", tmp_path / "rules.tsv")
    assert code == 2
    assert "there already" in errors


def test_choosing_by_loss_and_folds_go_through_a_whole_run(values, tmp_path):
    protocol = {"name": "independent-people", "sizes": [10], "replicates": 3, "choose": "loss", "keep": "all"}
    run = benchmark(parse_study(values | {"protocol": protocol}), tmp_path / "run")
    fits = run.results
    assert fits["error"].isna().all()
    cells = fits.groupby(list(KEY))
    assert (cells["selected"].sum() == 1).all()
    chosen = fits.loc[cells["validation_loss"].idxmin()]
    assert chosen["selected"].all()
    assert (fits["n_train_images"] == 10).all()
    assert (fits["n_effective_participants"] == 10).all()
    assert (fits["n_validation_images"] == 0).all()
    every = pd.read_parquet(tmp_path / "run" / EVERY)
    # out of fold each of the ten is predicted once by every setting
    assert (every[every["part"] == "validation"].groupby([*KEY, "setting_index"]).size() == 10).all()
    people = pd.read_parquet(tmp_path / "run" / "predictions.parquet").groupby("replicate")["participant_id"]
    assert len({frozenset(found) for _, found in people}) == 1
