"""What a study says of whom its models have seen, and of scans unlike those that they know."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurotransfer.artifacts import MANIFEST, read_json
from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark.known import drift_facts, require_alike, require_input, without_seen
from neurotransfer.benchmark.workspace import arguments_of, open_workspace
from neurotransfer.cohort import Cohort, Grid, read_cohort
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import InputError, ModelError, StudyError
from neurotransfer.models import load_model, save_model
from neurotransfer.models.card import Card, people_of
from neurotransfer.report import report

N_SEEN = 8


@pytest.fixture(scope="module")
def knows_some(tiny_model, tiny_cohort, tmp_path_factory):
    """The tiny model as if it had been trained on eight people alone, and without numbers of their scans."""
    model, cohort = load_model(tiny_model), read_cohort(tiny_cohort)
    people = np.unique(cohort.participants)[:N_SEEN]
    salt, hashes = people_of([cohort.rows(np.flatnonzero(np.isin(cohort.participants, people)))])
    card = replace(model.card, salt=salt, people=hashes, images=())
    folder = save_model(tmp_path_factory.mktemp("some") / "model", replace(model, card=card))
    return folder, set(people)


def study_of(tiny_values, folder, **protocol):
    values = {**tiny_values, "models": {name: {"path": str(folder)} for name in tiny_values["models"]}}
    return parse_study(values | {"protocol": values["protocol"] | protocol})


def test_those_who_were_seen_are_kept_and_counted_or_left_out(tiny_values, tiny_cohort, knows_some):
    folder, people = knows_some
    cohort = read_cohort(tiny_cohort)
    kept, seen = without_seen(study_of(tiny_values, folder), cohort, {"m": folder})
    assert (len(kept), seen) == (len(cohort), {"m": N_SEEN})
    left, seen = without_seen(study_of(tiny_values, folder, seen="leave out"), cohort, {"m": folder})
    assert seen == {"m": N_SEEN}
    assert set(left.participants) == set(cohort.participants) - people
    assert f"{N_SEEN} of {cohort.n_participants} participants were in the pretraining" in left.notes[-1]
    assert without_seen(study_of(tiny_values, folder, seen="leave out"), cohort, {})[0] is cohort


def test_a_study_of_nobody_new_is_refused(tiny_values, tiny_cohort, tiny_model):
    study = study_of(tiny_values, tiny_model, seen="leave out")
    with pytest.raises(StudyError, match=r'everybody in cohort .* or seen = "keep"'):
        without_seen(study, read_cohort(tiny_cohort), {"m": tiny_model})


@pytest.mark.slow
def test_a_run_leaves_them_out_of_every_strategy(tiny_values, tiny_cohort, knows_some, tmp_path):
    folder, people = knows_some
    small = {"sizes": [20], "replicates": 2, "seen": "leave out"}
    run = benchmark(study_of(tiny_values, folder, **small), tmp_path / "run")
    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert set(predictions["participant_id"]) <= set(read_cohort(tiny_cohort).participants) - people
    assert run.results["error"].isna().all()
    facts = next(iter(read_json(tmp_path / "run" / MANIFEST)["models"].values()))
    assert (facts["overlap_participants"], facts["overlap_left_out"]) == (N_SEEN, True)
    assert set(facts["drift"]["outside"]) <= {
        f"{person} {session}"
        for person, session in read_cohort(tiny_cohort).table[["participant_id", "session_id"]].to_numpy()
    }
    page = report(tmp_path / "run").read_text(encoding="utf-8")
    assert "are left out" in page
    assert "its scores are too good for them" not in page
    # the same command finds all done
    again = benchmark(study_of(tiny_values, folder, **small), tmp_path / "run")
    pd.testing.assert_frame_equal(again.results.drop(columns="seconds"), run.results.drop(columns="seconds"))


CARD = Card("toy", "sfcn", {}, (), Grid((32, 38, 32), 5.0))


@pytest.mark.parametrize(
    ("taken", "grid", "advice"),
    [
        (
            Grid((40, 48, 40), 4.0),
            {"shape": [32, 38, 32], "voxel_size_mm": 5.0},
            r"shape = \[40, 48, 40\], voxel_size_mm = 4",
        ),
        (RECIPES["sfcn-ukb"].contract, {}, 'recipe = "sfcn-ukb"'),
        (RECIPES["sfcn-ukb"].contract, {"recipe": "template"}, 'recipe = "sfcn-ukb"'),
        (Grid((40, 48, 40), 4.0), {"recipe": "template"}, r"shape = \[40, 48, 40\]"),
        (None, {}, "takes columns of a table"),
    ],
)
def test_other_volumes_than_those_of_the_model_are_refused_with_the_line_that_mends_it(
    tiny_values, taken, grid, advice
):
    study = parse_study(tiny_values | {"grid": grid})
    with pytest.raises(ModelError, match=advice):
        require_input("toy", replace(CARD, input=taken), study)


@pytest.mark.parametrize("name", RECIPES)
def test_a_study_may_take_volumes_as_a_recipe_leaves_them(tiny_values, name):
    study = parse_study(tiny_values | {"grid": {"recipe": name}})
    assert study.grid.input == RECIPES[name].contract
    assert require_input("toy", replace(CARD, input=RECIPES[name].contract), study) is None
    # as it is kept in a run folder
    assert type(study).model_validate(study.model_dump(mode="json")) == study


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"recipe": "template", "voxel_size_mm": 1.0}, "a recipe has its own"),
        ({"recipe": "sfcn"}, "unknown recipe 'sfcn'.*did you mean 'sfcn-ukb'"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(tiny_values, grid, said):
    with pytest.raises(StudyError, match=said):
        parse_study(tiny_values | {"grid": grid})


def test_scans_outside_are_named_and_none_where_there_is_none(tiny_values, tmp_path):
    run = benchmark(
        parse_study(tiny_values | {"protocol": {"sizes": [10], "replicates": 1}, "tasks": {"age": {"target": "age"}}}),
        tmp_path / "run",
    )
    workspace = open_workspace(run.folder)
    facts = drift_facts(workspace, "multi")
    assert facts["verdict"] == "alike"
    assert len(facts["outside"]) <= 5
    model = replace(workspace.models["multi"], reference=None)
    assert drift_facts(replace(workspace, models={"multi": model}), "multi")["outside"] == []
    moved = replace(model, reference=replace(load_model(tiny_values["models"]["multi"]["path"]).reference))
    moved.reference.features.mean[:] += 100
    facts = drift_facts(replace(workspace, models={"multi": moved}), "multi")
    assert facts["verdict"] == "another kind"
    assert len(facts["outside"]) == len(workspace.cohort)
    assert all(scan.split()[0] in set(workspace.cohort.participants) for scan in facts["outside"])


def own_model(tiny_values, tiny_cohort, **protocol):
    """The study with a model that it pretrains on its own people."""
    model = {"cohort": {"path": str(tiny_cohort)}, "targets": ["age"], "training": {"epochs": 1}}
    return {**tiny_values, "models": {"multi": model}, "protocol": tiny_values["protocol"] | protocol}


def test_a_dry_run_knows_whom_a_model_is_yet_to_see(tiny_values, tiny_cohort, tmp_path):
    benchmark(parse_study(own_model(tiny_values, tiny_cohort)), tmp_path / "run", dry_run=True)
    for dry in (True, False):
        with pytest.raises(StudyError, match="everybody in cohort"):
            benchmark(parse_study(own_model(tiny_values, tiny_cohort, seen="leave out")), tmp_path / "run", dry_run=dry)
    # and nothing was pretrained
    assert not (tmp_path / "run" / "models").exists()


def test_models_that_are_yet_to_be_pretrained_on_other_recipes_are_refused():
    cohorts = {
        name: Cohort(name, pd.DataFrame({"participant_id": ["p"]}), preparation=RECIPES[name].facts())
        for name in RECIPES
    }
    for name, cohort in cohorts.items():
        assert require_alike("m", cohort, cohort) is None
        assert require_alike("m", replace(cohort, preparation={}), cohort) is None
        others = [other for other in cohorts if other != name]
        with pytest.raises(StudyError, match=f"model 'm' is to be pretrained on scans prepared by recipe {name}"):
            require_alike("m", cohort, cohorts[others[0]])


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"architecture": "resnet"}, "unknown architecture 'resnet'"),
        ({"architecture": "vit", "options": {"patch": 0}}, "patch is a whole number of 1 or more"),
        ({"architecture": "resnet10", "options": {"patch": 8}}, "does not take"),
        ({"architecture": "resnet10", "pooling": "average"}, "has no pooling"),
        ({"architecture": "swin", "width": 0.5}, "has no width"),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_a_dry_run(tiny_values, tmp_path, network, said):
    with pytest.raises(InputError, match=said):
        benchmark(parse_study(tiny_values | {"network": network}), tmp_path / "run", dry_run=True)


def test_a_network_that_is_made_for_a_shape_has_that_of_the_volumes(tiny_values):
    options = {"patch": 16, "channels": 12, "layers": 1, "heads": 2}
    study = parse_study(tiny_values | {"network": {"architecture": "vit", "options": options}})
    assert arguments_of(study) == {"shape": tiny_values["grid"]["shape"], "dropout": 0.0, **options}
    study = parse_study(tiny_values | {"network": {"architecture": "resnet10", "width": 0.5}})
    assert arguments_of(study) == {"width": 0.5, "dropout": 0.0}
