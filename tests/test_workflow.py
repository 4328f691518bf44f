"""Stages in a row: a learning curve in one call, resumed and refused as it should be, and the demo at a tiny size."""

import json

import numpy as np
import pandas as pd
import pytest

from neurotransfer import learning_curve, workflow
from neurotransfer.benchmark import read_study
from neurotransfer.benchmark.workspace import open_workspace
from neurotransfer.cohort import read_cohort
from neurotransfer.errors import InputError, ModelError, StudyError
from neurotransfer.models import load_model
from neurotransfer.transfer import STRATEGIES
from neurotransfer.workflow import demo, shipped_study

REGIONS = ["hippocampus", "ventricles", "thalamus"]
OF_COLUMNS = {"cohort": {"images": False}, "regional_columns": REGIONS}


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """A table of 90 people without scans, whose age two regional volumes tell."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=(90, 3))
    table = pd.DataFrame(values, columns=REGIONS).assign(
        participant_id=[f"p{row}" for row in range(90)],
        age=60 + 8 * values[:, 0] - 4 * values[:, 1] + generator.normal(size=90),
        diagnosis=np.where(values[:, 2] + generator.normal(size=90) > 0, "patient", "control"),
    )
    path = tmp_path_factory.mktemp("regions") / "regions.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def finished(regions, tmp_path_factory):
    """A learning curve of the linear strategy: its folder, the run, and the progress that was told."""
    folder, told = tmp_path_factory.mktemp("runs") / "curve", []

    class Bar:
        def __init__(self, description, total):
            told.append((description, total))

        def __enter__(self):
            return lambda *_: None

        def __exit__(self, *_):
            return False

    options = {"strategies": ["linear"], "sizes": [20, 50], "replicates": 4, "seed": 3, "study": OF_COLUMNS}
    return folder, learning_curve(regions, "age", out=folder, progress=Bar, **options), told


def curve(regions, out, **options):
    """The same learning curve again, unless `options` say otherwise."""
    given = {"strategies": ["linear"], "sizes": [20, 50], "replicates": 4, "seed": 3, "study": OF_COLUMNS} | options
    return learning_curve(regions, given.pop("target", "age"), out=out, **given)


def parts(folder):
    return {part["label"]: part for part in json.loads((folder / "study.json").read_text())["strategies"]}


def test_a_learning_curve_has_a_fit_a_setting_and_a_page(finished):
    folder, run, _ = finished
    assert run.folder == folder
    assert len(run.results) == 2 * 4 * 9
    assert run.results["error"].isna().all()
    page = (folder / "report.html").read_text()
    assert "Learning curve of age" in page
    assert "<svg" in page


def test_what_was_planted_is_found_up_to_its_noise(finished):
    chosen = finished[1].results[finished[1].results["selected"]]
    assert chosen.groupby("n")["test_mae"].mean().between(0.4, 1.4).all()
    assert (chosen["test_r"] > 0.8).all()


def test_progress_is_told_stage_by_stage(finished):
    assert ("fits (cells of all settings)", 8) in finished[2]


def test_a_finished_curve_is_not_fitted_again(finished, regions, monkeypatch):
    monkeypatch.setattr("neurotransfer.benchmark.work.run_cell", lambda *_: pytest.fail("it was fitted again"))
    again = curve(regions, finished[0])
    pd.testing.assert_frame_equal(again.results, finished[1].results)


def test_the_seed_decides(finished, regions, tmp_path):
    for seed, same in ((3, True), (4, False)):
        run = curve(regions, tmp_path / str(seed), seed=seed)
        assert (run.results["test_mae"].dropna().tolist() == finished[1].results["test_mae"].dropna().tolist()) == same


def test_a_run_with_other_sizes_is_not_mixed_in(finished, regions):
    with pytest.raises(StudyError, match="another study: protocol differs"):
        curve(regions, finished[0], sizes=[20, 40])


def test_all_who_remain_may_be_tested(regions, tmp_path):
    run = curve(regions, tmp_path / "run", test="rest", sizes=[20], replicates=1)
    tested = pd.read_parquet(run.folder / "predictions.parquet")
    assert len(tested) > 90 - 20 - 4 - 1


def test_a_study_may_say_more_and_keeps_the_rest(regions, tmp_path):
    study = OF_COLUMNS | {"title": "Mine", "protocol": {"replicates": 2}, "training": {"epochs": 3}}
    study["strategies"] = [{"strategy": "linear", "label": "ridge", "grid": {"penalty": [1.0]}}]
    run = curve(regions, tmp_path / "run", study=study)
    values = run.plan.study
    assert (values.title, values.training.epochs, values.cohort.images) == ("Mine", 3, False)
    assert (values.protocol.replicates, values.protocol.sizes) == (2, (20, 50))
    assert set(run.results["strategy"]) == {"ridge"}
    assert len(run.results) == 2 * 2


def test_what_was_given_is_left_as_it_was(regions, tmp_path):
    study, sizes, strategies = {**OF_COLUMNS, "protocol": {"stratify": True}}, [20], ["linear"]
    curve(regions, tmp_path / "run", target="diagnosis", study=study, sizes=sizes, strategies=strategies, replicates=1)
    assert study == {**OF_COLUMNS, "protocol": {"stratify": True}}
    assert (sizes, strategies) == ([20], ["linear"])


def test_a_cohort_is_found_from_where_the_call_was_made(regions, tmp_path, monkeypatch):
    monkeypatch.chdir(regions.parent)
    run = curve("regions.csv", tmp_path / "run", sizes=np.array([20]), replicates=1)
    monkeypatch.chdir(tmp_path)
    assert len(curve(regions, "run", sizes=[20], replicates=1).results) == len(run.results)


@pytest.fixture(scope="module")
def with_model(tiny_cohort, tiny_model, tmp_path_factory):
    """Every strategy with a model, one fit a cell."""
    study = {"training": {"epochs": 1}, "protocol": {"test": "fifth"}}
    folder = tmp_path_factory.mktemp("model") / "run"
    names = ["transferred", "frozen", "baseline", "random-frozen", "voxels"]
    return learning_curve(
        tiny_cohort, "age", out=folder, model=tiny_model, sizes=[10], replicates=1, strategies=names, study=study
    )


def test_the_strategies_with_a_model_are_named_after_it_and_the_others_by_themselves(with_model):
    assert with_model.results["error"].isna().all()
    expected = ["model-transferred", "model-frozen", "baseline", "random-frozen", "voxels"]
    assert list(parts(with_model.folder)) == expected
    assert set(with_model.results["strategy"]) == set(expected)


def test_random_weights_take_the_architecture_of_the_model(with_model, tiny_model):
    """Else a large network would be compared with a small one, and the difference be called transfer."""
    workspace, card = open_workspace(with_model.folder), load_model(tiny_model).card
    for title in ("baseline", "random-frozen", "model-frozen"):
        source = workspace.source(title, "age")
        assert (source.architecture, dict(source.arguments)) == (card.architecture, card.arguments)
    frozen, random = (
        workspace.source(title, "age").encoder.state_dict() for title in ("model-frozen", "random-frozen")
    )
    assert {name: value.shape for name, value in frozen.items()} == {
        name: value.shape for name, value in random.items()
    }
    assert not np.array_equal(frozen["top.0.weight"], random["top.0.weight"])


def test_the_grid_is_that_of_the_model(with_model, tiny_model):
    assert open_workspace(with_model.folder).grid == load_model(tiny_model).card.input


@pytest.fixture
def planned(monkeypatch):
    """The studies that would be run, without running them."""
    seen = []

    def stop(study, out, **options):
        seen.append((study, options))
        raise InputError("only planned")

    monkeypatch.setattr(workflow, "benchmark", stop)

    def plan(*arguments, **options):
        with pytest.raises(InputError, match="only planned"):
            learning_curve(*arguments, out="nowhere", **options)
        return seen[-1]

    return plan


def test_without_a_model_all_strategies_that_need_none_are_run(planned):
    study, options = planned("cohort.tsv", "age", workers=2)
    wanted = [name for name, row in STRATEGIES.items() if not row.needs_model and not row.needs_columns]
    assert [part.strategy for part in study.strategies] == wanted
    assert study.models == {}
    assert options["workers"] == 2


def test_with_regional_columns_a_network_on_them_is_run_too(planned):
    study, _ = planned("cohort.tsv", "age", study={"regional_columns": ["hippocampus"]})
    assert [part.strategy for part in study.strategies] == [
        name for name, row in STRATEGIES.items() if not row.needs_model
    ]


def test_with_a_model_all_strategies_are_run(planned, tiny_model):
    study, _ = planned("cohort.tsv", "age", model=tiny_model)
    assert [part.strategy for part in study.strategies] == [
        name for name, row in STRATEGIES.items() if not row.needs_columns
    ]
    for part in study.strategies:
        assert (part.model == "model") == (STRATEGIES[part.strategy].takes_model)
    assert (study.protocol.sizes, study.protocol.replicates) == ((50, 100), 100)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"target": "agee"}, InputError, "did you mean 'age'"),
        ({"sizes": [5000]}, InputError, "n = 5000 is not possible: allowed are 2 to 90"),
        ({"sizes": [50, 20]}, StudyError, "sizes must .*rise"),
        ({"sizes": []}, StudyError, "sizes"),
        ({"replicates": 0}, StudyError, "replicates"),
        ({"test": "half"}, StudyError, "test"),
        ({"seed": -1}, StudyError, "seed"),
        ({"workers": 0}, InputError, "workers is a whole number of 1 or more"),
        ({"strategies": ["linaer"]}, StudyError, "did you mean 'linear'"),
        ({"strategies": ["linear", "linear"]}, StudyError, "two strategies are called 'linear'"),
        ({"strategies": []}, StudyError, "strategies"),
        ({"strategies": ["frozen"]}, StudyError, "strategy 'frozen' needs model"),
        ({"study": OF_COLUMNS | {"protocoll": {}}}, StudyError, "did you mean 'protocol'"),
        ({"study": OF_COLUMNS | {"regional_columns": ["amygdala"]}}, InputError, "lacks regional columns"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_fitted(regions, tmp_path, options, kind, said):
    with pytest.raises(kind, match=said):
        curve(regions, tmp_path / "run", **options)
    assert not (tmp_path / "run" / "cells").exists()


def test_a_cohort_or_a_model_that_is_not_there_is_refused(regions, tmp_path):
    with pytest.raises(InputError, match=r"there is no cohort at .*nowhere\.tsv"):
        curve(tmp_path / "nowhere.tsv", tmp_path / "run")
    with pytest.raises(ModelError, match="is no model folder"):
        curve(regions, tmp_path / "run", model=tmp_path / "nowhere")


def test_a_folder_that_is_no_run_is_not_touched(regions, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and no run of ours"):
        curve(regions, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_study_of_the_demo_comes_with_the_package():
    study = read_study(shipped_study("demo"))
    assert study.name == "demo"
    wanted = {n for n, row in STRATEGIES.items() if not row.needs_columns and not row.trains_beside}
    assert {part.strategy for part in study.strategies} == wanted
    assert tuple(study.grid.shape) == workflow.DEMO_SHAPE


def test_a_study_that_does_not_come_with_the_package_is_refused():
    with pytest.raises(InputError, match=r"nothing\.toml is not part of this installation"):
        shipped_study("nothing")


@pytest.fixture
def tiny_demo(monkeypatch):
    """A demo of few people, one epoch and three quick strategies."""

    def smaller(path):
        study = read_study(path)
        model = study.models["multi"]
        model = model.model_copy(update={"training": model.training.model_copy(update={"epochs": 1})})
        quick = tuple(part for part in study.strategies if part.strategy in ("transferred", "random-frozen", "linear"))
        protocol = study.protocol.model_copy(update={"sizes": (10,), "replicates": 2})
        training = study.training.model_copy(update={"epochs": 1})
        changes = {"models": {"multi": model}, "strategies": quick, "protocol": protocol, "training": training}
        return study.model_copy(update=changes)

    monkeypatch.setattr(workflow, "read_study", smaller)
    monkeypatch.setattr(workflow, "DEMO_PARTICIPANTS", {"pretraining": 24, "study": 24})


def test_a_demo_goes_from_nothing_to_a_page_and_goes_on_where_it_was(tiny_demo, tmp_path, monkeypatch):
    page = demo(tmp_path / "demo", seed=2)
    assert page == tmp_path / "demo" / "run" / "report.html"
    assert "<svg" in page.read_text()
    people = [
        set(pd.read_csv(tmp_path / "demo" / "data" / name / "cohort.tsv", sep="\t")["participant_id"])
        for name in ("pretraining", "study")
    ]
    assert not people[0] & people[1]
    results = pd.read_parquet(tmp_path / "demo" / "run" / "results.parquet")
    assert set(results["strategy"]) == {"multi-transferred", "random-frozen", "linear"}
    manifest = json.loads((tmp_path / "demo" / "run" / "manifest.json").read_text())
    assert (manifest["command"], manifest["models"]["multi"]["overlap_participants"]) == ("neurotransfer demo", 0)
    monkeypatch.setattr(workflow, "simulate", lambda *_, **__: pytest.fail("it was simulated again"))
    page.unlink()
    assert demo(tmp_path / "demo", seed=2).is_file()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "demo" / "run" / "results.parquet"), results)
    with pytest.raises(StudyError, match="another study: seed differs"):
        demo(tmp_path / "demo", seed=3)


def test_a_demo_does_not_take_a_folder_that_holds_something_else(tiny_demo, tmp_path):
    (tmp_path / "data" / "pretraining").mkdir(parents=True)
    (tmp_path / "data" / "pretraining" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds no simulated cohort \(found: thesis\.txt\)"):
        demo(tmp_path)
    assert (tmp_path / "data" / "pretraining" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sizes": 20}, r"protocol.sizes: must be a list, for example \[50, 100\], found 20"),
        ({"sizes": "20"}, r"protocol.sizes: must be a list"),
        ({"workers": "2"}, r"whole number of 1 or more, got '2'"),
        ({"workers": 0}, r"whole number of 1 or more, got 0"),
        ({"target": ["age"]}, r"target is one column, got \['age'\]"),
        ({"study": "studies/demo.toml"}, r"study is a dictionary of keys of a study file, got 'studies/demo.toml'"),
        ({"strategies": "linaer"}, r"unknown strategy 'linaer'.*did you mean 'linear'"),
        ({"model": 3}, r"model is a path, got int"),
    ],
)
def test_slips_in_the_call_are_said_in_words(regions, tmp_path, wrong, said):
    with pytest.raises(InputError, match=said):
        curve(regions, tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_cohort_that_was_read_is_refused_with_the_way_out(regions, tmp_path):
    with pytest.raises(InputError, match=r"cohort is a path, got Cohort: give the path of the table"):
        curve(read_cohort(regions, images=False), tmp_path / "out")


def test_one_strategy_may_be_given_as_a_word_and_a_target_may_have_any_name(regions, tmp_path):
    table = pd.read_csv(regions).rename(columns={"age": "age/years"})
    table.to_csv(tmp_path / "regions.csv", index=False)
    run = curve(
        tmp_path / "regions.csv", tmp_path / "out", strategies="linear", target="age/years", sizes=np.array([20])
    )
    assert run.results["task"].unique().tolist() == ["age_years"]
    assert run.results["error"].isna().all()
    assert "age/years" in (tmp_path / "out" / "report.html").read_text()
