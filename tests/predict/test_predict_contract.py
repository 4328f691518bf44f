"""A model that takes what a recipe leaves: held to its contract in predict, embed, transfer and benchmark."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.cohort import read_cohort
from neurotransfer.cohort.contract import Contract
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.cohort.volumes import AS_PREPARED
from neurotransfer.errors import CohortError, InputError, ModelError
from neurotransfer.models import load_model, save_model
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.predict import AUTO, embed, predict, predicted, raw, read_scans, ready_scans
from neurotransfer.prepare.inputs import Choice
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.transfer import transfer
from neurotransfer.workflow import learning_curve

NAME = "sfcn-ukb"
SMALL = Contract("MNI152", "LAS", (32, 34, 33), (5.0, 5.0), (0, 50), 20.0, (2.5, 6.0), (80.0, -110.0, -70.0), NAME)
TARGETS = (
    Target("age", "continuous", location=50, scale=10, unit="years"),
    Target("sex", "binary", classes=("F", "M")),
)


@pytest.fixture(autouse=True)
def small_recipe(monkeypatch):
    """The recipe as if it made small volumes."""
    monkeypatch.setitem(RECIPES, NAME, replace(RECIPES[NAME], contract=SMALL))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with seeded(0):
        network = Network(build_encoder("sfcn", {"width": 0.125, "unit": SMALL.unit}), TARGETS).eval()
    card = Card("theirs", "sfcn", {"width": 0.125, "unit": SMALL.unit}, TARGETS, SMALL, AS_PREPARED, licence="MIT")
    return save_model(tmp_path_factory.mktemp("models") / "theirs", Model(network, card))


def head(seed):
    """A ball whose voxels have a mean of about 4, as the recipe leaves it."""
    random = np.random.default_rng(seed)
    places = np.indices(SMALL.shape) - np.array([15, 16, 16]).reshape(3, 1, 1, 1)
    ball = (places**2).sum(0) < random.uniform(11, 14) ** 2
    affine = np.diag([-5.0, 5, 5, 1])
    affine[:3, 3] = SMALL.corner_mm
    return np.where(ball, random.normal(4, 1, SMALL.shape).clip(0.1, 19), 0).astype(np.float32), affine


def table_of(folder, n, change=None):
    """A cohort of n heads; `change` makes of the third what it should not be."""
    folder.mkdir()
    rows = []
    for seed in range(n):
        voxels, affine = head(seed)
        if change is not None and seed == 2:
            voxels, affine = change(voxels, affine)
        nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / f"{seed}.nii.gz")
        rows.append(
            {"participant_id": f"p{seed:02d}", "image": f"{seed}.nii.gz", "age": 20 + seed, "sex": "FM"[seed % 2]}
        )
    pd.DataFrame(rows).to_csv(folder / "cohort.tsv", sep="\t", index=False)
    return folder / "cohort.tsv"


def test_what_keeps_the_contract_is_predicted_as_the_network_says(model, tmp_path):
    table = predict(model, read_cohort(table_of(tmp_path / "c", 4)))
    import torch

    volumes = torch.from_numpy(np.stack([head(seed)[0] for seed in range(4)]))[:, None]
    network = load_model(model).network
    # the network multiplies by the unit that volumes are divided by: it sees what the recipe left
    with torch.inference_mode():
        expected = 50 + 10 * network(volumes / SMALL.unit)["age"][:, 0]
    np.testing.assert_allclose(table["age"], expected, rtol=1e-3)
    assert (table["contract"] == "kept").all()


def test_axes_in_another_order_are_turned(model, tmp_path):
    def other_axes(voxels, affine):
        image = nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, affine))
        return np.asarray(image.dataobj), image.affine

    one = read_cohort(table_of(tmp_path / "a", 3))
    other = read_cohort(table_of(tmp_path / "b", 3, other_axes), check=False)
    np.testing.assert_allclose(predict(model, other)["age"], predict(model, one)["age"], rtol=1e-5)


def moved(affine, millimetres):
    found = affine.copy()
    found[:3, 3] += millimetres
    return found


BREACHES = {
    "another scale": (lambda voxels, affine: (voxels / 20, affine), "another scale"),
    "values beyond": (lambda voxels, affine: (voxels * 30, affine), "values from 0 to"),
    "another place": (lambda voxels, affine: (voxels, moved(affine, 4)), "beside its place in MNI152"),
    "another voxel size": (lambda voxels, affine: (voxels, affine @ np.diag([0.8, 0.8, 0.8, 1])), "voxels of"),
    "below zero": (lambda voxels, affine: (voxels - 1, affine), "values from -1"),
}  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES)
def test_what_breaks_it_is_refused_with_the_command_and_the_others_go_on(model, tmp_path, breach):
    change, said = BREACHES[breach]
    cohort = read_cohort(table_of(tmp_path / "c", 4, change), check=False)
    found = predicted(model, cohort)
    assert [scan for scan, _ in found.refused] == ["p02"]
    assert said in found.refused[0][1]
    assert "neurotransfer prepare INPUT OUT --recipe sfcn-ukb" in found.refused[0][1]
    assert found.table["age"].isna().tolist() == [False, False, True, False]
    for stage in (predict, embed):
        with pytest.raises(CohortError, match="p02"):
            stage(model, cohort)
    with pytest.raises(InputError, match=said):
        transfer(model, cohort, "age", "frozen", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_another_shape_is_refused_by_every_stage(model, tmp_path):
    cohort = read_cohort(table_of(tmp_path / "c", 3, lambda voxels, affine: (voxels[:-1], affine)), check=False)
    with pytest.raises(CohortError, match=r"shape \(31, 34, 33\), wanted \(32, 34, 33\)"):
        predict(model, cohort)


# --- raw scans


def test_scans_that_keep_the_contract_are_ready(model, tmp_path, monkeypatch):
    monkeypatch.setattr(raw, "prepare", lambda *_, **__: pytest.fail("they were prepared again"))
    path = table_of(tmp_path / "c", 3)
    assert ready_scans(path, load_model(model).card, tmp_path / "out", Choice(), mode=AUTO) is None


@pytest.mark.parametrize("breach", BREACHES)
def test_others_are_raw_and_prepared_by_the_recipe_of_the_contract(model, tmp_path, monkeypatch, breach):
    asked = {}

    class AskedError(Exception):
        pass

    def prepare(path, folder, **options):
        asked.update(options)
        raise AskedError

    monkeypatch.setattr(raw, "prepare", prepare)
    path = table_of(tmp_path / "c", 3, BREACHES[breach][0])
    with pytest.raises(AskedError):
        ready_scans(path, load_model(model).card, tmp_path / "out", Choice())
    assert (asked["recipe"], asked["voxel_size_mm"]) == (NAME, None)


def test_a_contract_that_this_version_does_not_make_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, NAME, replace(RECIPES[NAME], contract=replace(SMALL, shape=(40, 40, 40))))
    path = table_of(tmp_path / "c", 3, BREACHES["another scale"][0])
    with pytest.raises(ModelError, match="use the version that made the model"):
        ready_scans(path, load_model(model).card, tmp_path / "out", Choice())


# --- new heads


def test_a_model_that_was_made_from_it_takes_the_same(model, tmp_path):
    cohort = read_cohort(table_of(tmp_path / "c", 12))
    made = transfer(model, cohort, "age", "frozen", tmp_path / "m", grid={"penalty": [1.0]})
    card = load_model(made.folder).card
    assert (card.input, card.recipe, card.licence) == (SMALL, AS_PREPARED, "MIT")
    assert np.isfinite(predict(made.folder, read_scans(tmp_path / "c"))["age"]).all()
    voxels = transfer(model, cohort, "age", "voxels", tmp_path / "v", grid={"penalty": [1.0]})
    assert np.isfinite(predict(voxels.folder, cohort)["age"]).all()
    with pytest.raises(InputError, match="tissue cannot be measured on volumes as recipe 'sfcn-ukb' leaves them"):
        transfer(model, cohort, "age", "linear", tmp_path / "l")
    tuned = transfer(
        model, cohort, "age", "finetuned", tmp_path / "f", grid={"lr": [1e-3]}, recipe=Recipe(epochs=1, batch_size=4)
    )
    assert load_model(tuned.folder).card.arguments["unit"] == SMALL.unit


def test_a_study_of_such_volumes(model, tmp_path):
    values = {
        "name": "theirs",
        "cohort": {"path": str(table_of(tmp_path / "c", 30))},
        "grid": {"recipe": NAME},
        "models": {"theirs": {"path": str(model)}},
        "tasks": {"age": {"target": "age"}},
        "protocol": {"sizes": [10], "replicates": 2},
        "strategies": [
            {"strategy": "transferred", "model": "theirs"},
            {"strategy": "frozen", "model": "theirs", "grid": {"penalty": [1.0]}},
            {"strategy": "voxels", "grid": {"penalty": [1.0]}},
        ],
    }
    run = benchmark(parse_study(values), tmp_path / "run")
    assert run.results["error"].isna().all()
    assert run.results["test_mae"].notna().sum() == 6
    # transferred predicts in a study what `predict` says
    whole = predict(model, read_cohort(tmp_path / "c" / "cohort.tsv")).set_index("participant_id")["age"]
    rows = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    rows = rows[rows["strategy"] == "theirs-transferred"]
    np.testing.assert_allclose(rows["predicted"], whole.loc[rows["participant_id"]], rtol=1e-4)
    with pytest.raises(ModelError, match='recipe = "sfcn-ukb"'):
        benchmark(parse_study(values | {"grid": {}}), tmp_path / "other")


def test_a_learning_curve_takes_the_volumes_of_its_model(model, tmp_path):
    options = {"tasks": {"age": {"target": "age"}}, "training": {"epochs": 1}}
    run = learning_curve(
        table_of(tmp_path / "c", 30), "age", model=model, sizes=[10], replicates=1, out=tmp_path / "run", study=options
    )
    strategies = set(run.results["strategy"])
    # tissue is not measured on such volumes
    assert "linear" not in strategies
    assert {"model-transferred", "model-frozen", "voxels"} <= strategies
    assert run.results["error"].isna().all()


# --- volumes in native space, as `neurotransfer prepare` leaves them in a folder

SHAPED = Contract("native", "LIA", (32, 33, 34), (4.0, 6.0), (0, 255), 255.0, (30.0, 160.0), None, "fastsurfer")


@pytest.fixture
def native(monkeypatch, tmp_path):
    """A model of native volumes, and a folder of such that was prepared for it."""
    monkeypatch.setitem(RECIPES, "fastsurfer", replace(RECIPES["fastsurfer"], contract=SHAPED))
    facts = json.loads(json.dumps(RECIPES["fastsurfer"].facts()))
    with seeded(0):
        network = Network(build_encoder("sfcn", {"width": 0.125, "unit": 255.0}), TARGETS[:1]).eval()
    card = Card("shaped", "sfcn", {"width": 0.125, "unit": 255.0}, TARGETS[:1], SHAPED, AS_PREPARED, preparation=facts)
    folder = tmp_path / "ready"
    folder.mkdir()
    random, rows = np.random.default_rng(0), []
    for place in range(14):
        voxels = np.zeros(SHAPED.shape, np.uint8)
        voxels[6:26, 6:26, 6:26] = random.integers(60, 120, (20, 20, 20))
        # left, inferior, anterior; every head lies elsewhere
        affine = np.array([[-5.0, 0, 0, place], [0, 0, 5, -60], [0, -5, 0, 3 * place], [0, 0, 0, 1]])
        nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / f"{place}.nii.gz")
        rows.append({"participant_id": f"p{place}", "session_id": "", "image": f"{place}.nii.gz", "age": 20 + place})
    pd.DataFrame(rows).to_csv(folder / "cohort.tsv", sep="\t", index=False)
    description = {"Name": "ready", "BIDSVersion": "1.8.0", "Preparation": facts}
    (folder / "dataset_description.json").write_text(json.dumps(description))
    (folder / "prepared.json").write_text("{}")
    return save_model(tmp_path / "shaped", Model(network, card)), folder


def test_prepared_native_scans_are_taken_without_a_word_on_their_alignment(native, tmp_path, called):
    model, folder = native
    code, _, said = called("predict", model, folder, "--out", tmp_path / "p.tsv")
    assert code == 0, said
    assert len(pd.read_csv(tmp_path / "p.tsv", sep="\t")) == 14
    code, shown, said = called("models", "check", model, "--scans", folder)
    assert (code, "all 14 scans keep the input contract" in shown) == (0, True), said
    words = ["--target", "age", "--strategy", "frozen", "--out", tmp_path / "m"]
    code, _, said = called("transfer", model, folder, *words)
    assert code == 0, said
    study = {
        "name": "native", "cohort": {"path": str(folder)}, "grid": {"recipe": "fastsurfer"}, "models": {"m": {"path": str(model)}},
        "tasks": {"age": {"target": "age"}}, "protocol": {"sizes": [8], "replicates": 1},
        "strategies": [{"strategy": "frozen", "model": "m", "grid": {"penalty": [1.0]}}],
    }  # fmt: skip
    assert benchmark(parse_study(study), tmp_path / "run").results["error"].isna().all()


def test_native_scans_and_a_model_on_a_grid_are_kept_apart(native, tiny_model, tmp_path, called):
    code, _, said = called("predict", tiny_model, native[1], "--out", tmp_path / "p.tsv")
    assert (code, "was prepared in native space" in said) == (2, True)
