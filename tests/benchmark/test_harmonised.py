"""Harmonised features of a cell: by its training people alone, for those who learn from features, and nobody else."""

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark import cell as cell_module
from neurotransfer.benchmark.harmonised import (
    RowsOfSplit,
    covariates_of,
    harmonised,
    notes_of_harmonise,
    takes_harmonised,
)
from neurotransfer.benchmark.plan import make_plan
from neurotransfer.benchmark.workspace import open_workspace
from neurotransfer.cohort import Cohort, Split, read_cohort
from neurotransfer.errors import InputError, StudyError
from neurotransfer.statistics.harmonise import fit_combat
from neurotransfer.targets import Target
from neurotransfer.transfer import STRATEGIES, fit_settings, get_strategy, make_source, predict_rows

COLUMNS = ["a", "b", "c"]
SITES = np.array(["oslo", "turku", "oslo", "turku"] * 15 + ["lund"] * 4)
SPLIT = Split(np.array([*range(20), 0, 3]), np.arange(20, 40), np.arange(50, 64))
LINEAR = make_source(
    get_strategy("linear"), model=None, grid=None, target=Target("age", "continuous"), columns=tuple(COLUMNS)
)


def people(seed=0):
    """Regional volumes of 64 people; those of turku are measured higher and wider."""
    generator = np.random.default_rng(seed)
    age = generator.uniform(20, 80, 64)
    regions = generator.normal(size=(64, 3)) + np.outer(age - 50, [0.05, -0.03, 0.0])
    regions[SITES == "turku"] = 20 + 4 * regions[SITES == "turku"]
    table = pd.DataFrame(regions, columns=COLUMNS)
    return table.assign(
        participant_id=[f"p{index:02d}" for index in range(64)],
        age=age,
        sex=["F", "M"] * 32,
        site=SITES,
        image="",
        mask="",
    )


def study(harmonise="site", **more):
    protocol = {"sizes": [20], "replicates": 2} | ({} if harmonise is None else {"harmonise": harmonise})
    values = {
        "name": "sites",
        "cohort": {"path": "regions.csv", "images": False},
        "tasks": {"age": {"target": "age"}},
        "regional_columns": COLUMNS,
        "strategies": [{"strategy": "linear"}, {"strategy": "perceptron", "grid": {"lr": [1e-2]}}],
        "training": {"epochs": 2},
        "protocol": protocol | more.pop("protocol", {}),
    }
    return parse_study(values | more)


def cohort(table=None):
    return Cohort("regions", people() if table is None else table)


def values_of(table):
    return table[COLUMNS].to_numpy(np.float32)


EVERYBODY = np.unique(np.concatenate([SPLIT.train, SPLIT.validation, SPLIT.test]))


@pytest.mark.parametrize("keep", [(), ("age",), ("age", "sex")])
def test_it_is_combat_of_the_training_rows_applied_to_all_of_the_split(keep):
    table = people()
    inputs = values_of(table)
    asked = study({"column": "site", "keep": list(keep)}, tasks={"vol": {"target": "d"}})
    found = harmonised(asked, cohort(table), LINEAR, inputs, SPLIT)
    given = {"age": table["age"].to_numpy(), "sex": (table["sex"] == "M").to_numpy(float)}
    covariates = np.column_stack([given[name] for name in keep]) if keep else None
    some = [None if covariates is None else covariates[rows] for rows in (SPLIT.train, EVERYBODY)]
    combat = fit_combat(inputs[SPLIT.train], SITES[SPLIT.train], some[0])
    expected = combat.apply(inputs[EVERYBODY], SITES[EVERYBODY], some[1])
    np.testing.assert_allclose(found[EVERYBODY], expected, rtol=1e-6)
    assert found[SPLIT.train].dtype == np.float32
    # what was drawn twice is there twice
    np.testing.assert_array_equal(found[SPLIT.train][20], found[SPLIT.train][0])


def test_a_shift_and_a_stretch_of_a_site_are_gone_and_one_that_training_lacks_stays():
    inputs = values_of(people())
    found = harmonised(study(), cohort(), LINEAR, inputs, SPLIT)
    assert not np.isin("lund", SITES[SPLIT.train])
    for rows in (SPLIT.train, SPLIT.validation):
        here = [found[rows[SITES[rows] == site]] for site in ("oslo", "turku")]
        before = [inputs[rows[SITES[rows] == site]] for site in ("oslo", "turku")]
        # of several standard deviations, and four times the spread
        assert np.abs(before[0].mean(0) - before[1].mean(0)).min() > 10
        assert np.abs(here[0].mean(0) - here[1].mean(0)).max() < 4
        assert (before[1].std(0) / before[0].std(0)).mean() > 3
        assert (here[1].std(0) / here[0].std(0)).mean() < 1.5
    lund = np.flatnonzero(SITES == "lund")
    np.testing.assert_array_equal(found[lund], inputs[lund])


@pytest.mark.parametrize("part", ["validation", "test"])
def test_whoever_is_validated_or_tested_teaches_nothing(part):
    table = people()
    inputs = values_of(table)
    others = inputs.copy()
    others[getattr(SPLIT, part)] = 1e6 * np.random.default_rng(1).random((len(getattr(SPLIT, part)), 3))
    clean = harmonised(study(), cohort(table), LINEAR, inputs, SPLIT)
    poisoned = harmonised(study(), cohort(table), LINEAR, others, SPLIT)
    rest = np.setdiff1d(EVERYBODY, getattr(SPLIT, part))
    np.testing.assert_array_equal(clean[rest], poisoned[rest])


def test_without_the_key_and_for_volumes_the_inputs_are_handed_on():
    inputs = values_of(people())
    assert harmonised(study(None), cohort(), LINEAR, inputs, SPLIT) is inputs
    volumes = np.zeros((64, 2, 2, 2), np.float32)
    for name in ("finetuned", "baseline", "transferred"):
        source = type(LINEAR)(get_strategy(name), "sfcn", {}, LINEAR.encoder)
        assert harmonised(study(), cohort(), source, volumes, SPLIT) is volumes


def test_who_is_harmonised_is_who_learns_from_features():
    are = {"frozen", "random-frozen", "linear", "voxels", "perceptron"}
    for name in are | {"transferred", "finetuned", "baseline"}:
        assert takes_harmonised(STRATEGIES[name]) == (name in are)


def test_rows_of_other_people_are_not_there():
    found = harmonised(study(), cohort(), LINEAR, values_of(people()), SPLIT)
    assert isinstance(found, RowsOfSplit)
    assert (len(found), found.shape, found.ndim) == (64, (64, 3), 2)
    with pytest.raises(IndexError, match="not of the split"):
        found[np.array([0, 45])]


def test_missing_sites_are_left_as_they_are_and_missing_covariates_are_refused():
    table = people()
    table.loc[[2, 25, 55], "site"] = None
    inputs = values_of(table)
    found = harmonised(study(), cohort(table), LINEAR, inputs, SPLIT)
    rows = np.array([2, 25, 55])
    np.testing.assert_array_equal(found[rows], inputs[rows])
    assert not np.array_equal(found[np.array([1])], inputs[[1]])
    table.loc[3, "sex"] = None
    assert np.isnan(covariates_of(cohort(table), ["sex"])[3, 0])
    asked = study({"column": "site", "keep": ["sex"]})
    with pytest.raises(InputError, match=r"covariates of .* rows are not finite"):
        harmonised(asked, cohort(table), LINEAR, inputs, SPLIT)
    with pytest.raises(StudyError, match=r"harmonise.keep, column 'sex': 1 of 64 rows have no value"):
        make_plan(asked, cohort(table), {})


def test_classes_are_covariates_of_0_and_1():
    table = people().assign(group=["b", "c", "a", None] * 16, score=["1", "2.5", "3", "4"] * 16)
    found = covariates_of(cohort(table), ["group", "score"])
    np.testing.assert_array_equal(found[:3], [[1, 0, 1], [0, 1, 2.5], [0, 0, 3]])
    assert np.isnan(found[3]).tolist() == [True, True, False]
    assert covariates_of(cohort(table), []).shape == (64, 0)


@pytest.mark.parametrize(
    ("harmonise", "said"),
    [
        ("sites", "unknown column of harmonise 'sites'.*did you mean 'site'"),
        ({"column": "site", "keep": ["agee"]}, "unknown column of harmonise.keep 'agee'"),
        ("age", "harmonise, column 'age', is a target"),
        ({"column": "site", "keep": ["age"]}, "harmonise.keep, column 'age', is a target"),
        ({"column": "site", "keep": ["a"]}, "harmonise.keep, column 'a', is a regional column"),
    ],
)
def test_what_cannot_be_harmonised_is_refused_in_the_plan(harmonise, said):
    with pytest.raises(StudyError, match=f"(?s){said}"):
        make_plan(study(harmonise), cohort(), {})


@pytest.mark.parametrize(
    ("harmonise", "more", "said"),
    [
        ("site", {"validation": "folds"}, "harmonise needs one validation set.*leak between their folds"),
        ("site", {"name": "independent-people"}, "harmonise needs one validation set"),
        ({"keep": ["age"]}, {}, "harmonise.column is missing"),
        ({"column": "site", "kept": []}, {}, r"unknown key in \[protocol.harmonise\] 'kept'.*did you mean 'keep'"),
        ({"column": "site", "keep": ["site"]}, {}, "names a column twice, or the one that is harmonised"),
        ({"column": "site", "keep": ["sex", "sex"]}, {}, "names a column twice"),
        (3, {}, "protocol.harmonise"),
    ],
)
def test_what_cannot_be_is_refused_with_the_study(harmonise, more, said):
    with pytest.raises(StudyError, match=f"(?s){said}"):
        study(harmonise, protocol=more)


def test_a_column_alone_is_a_table_of_it():
    assert study("site") == study({"column": "site"})
    assert study("site").protocol.model_dump(mode="json")["harmonise"] == {"column": "site", "keep": []}
    assert parse_study(study("site").model_dump(mode="json")) == study("site")


def test_the_plan_says_who_is_harmonised_and_who_is_not():
    strategies = [{"strategy": "linear"}, {"strategy": "baseline"}, {"strategy": "voxels", "label": "all voxels"}]
    notes = list(notes_of_harmonise(study({"column": "site", "keep": ["sex"]}, strategies=strategies)))
    assert notes == [
        "harmonised between values of 'site', by ComBat on the training people of every cell, with the effects of sex kept: "
        "linear, all voxels; not harmonised, as no features are learnt from anew: baseline"
    ]
    assert list(notes_of_harmonise(study(None))) == []
    assert notes[0].split(":")[0].startswith(next(notes_of_harmonise(study())).split(",")[0])
    assert list(make_plan(study(), cohort(), {}).notes) == list(notes_of_harmonise(study()))


def test_cells_of_a_run_learn_from_harmonised_features(tmp_path):
    """By hand: draw, fit ComBat, fit the nine penalties, predict the test; and a network on the same columns runs."""
    people().drop(columns=["image", "mask"]).to_csv(tmp_path / "regions.csv", index=False)
    run = benchmark(study(), tmp_path / "run", data=tmp_path)
    assert run.results["error"].isna().all()
    assert set(run.results.groupby("strategy")["selected"].sum()) == {2}
    workspace = open_workspace(run.folder)
    cell = next(cell for cell in run.plan.cells if cell.strategy == "linear")
    target, labels = workspace.targets["age"], cell_module.labels_of(workspace, "age")
    split = cell_module.split_of(workspace.study, workspace.cohort, "age", target, 20, cell.replicate, labels)
    inputs = values_of(workspace.cohort.table.astype(dict.fromkeys(COLUMNS, float)))
    sites = workspace.cohort.table["site"].to_numpy(str)
    changed = fit_combat(inputs[split.train], sites[split.train]).apply(inputs, sites).astype(np.float32)
    assert not np.allclose(changed, inputs, atol=0.1)
    rows = run.results[(run.results["strategy"] == "linear") & (run.results["replicate"] == cell.replicate)]
    chosen = int(rows[rows["selected"]]["setting_index"].iloc[0])
    tried = cell_module.settings(get_strategy("linear"))
    source = workspace.source("linear", "age")
    fits = list(fit_settings(source, changed, target, labels, split, tried, workspace.study.training.recipe, 0))
    expected = predict_rows(fits[chosen], changed, split.test)[0]
    own = pd.read_parquet(run.folder / "predictions.parquet")
    own = own[(own["strategy"] == "linear") & (own["replicate"] == cell.replicate)]
    found = own.set_index("row")["predicted"][split.test]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # the table is as it was given
    assert len(read_cohort(tmp_path / "regions.csv", images=False)) == 64
