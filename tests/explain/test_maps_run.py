"""A folder of maps on simulated heads: what lies there is what was computed, it goes on, and says what was refused."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch

from neurotransfer.cohort import read_cohort
from neurotransfer.cohort.regions import ONE_SIDED
from neurotransfer.errors import CohortError, InputError
from neurotransfer.explain import maps as maps_module
from neurotransfer.explain.attribution import as_map, asked
from neurotransfer.explain.maps import MapsAsked, explain_maps
from neurotransfer.explain.maps_scans import chosen_rows, names_of
from neurotransfer.explain.readout import explained_of
from neurotransfer.models import load_model

ASKED = MapsAsked(target="sex", group="sex", most=4, checked=1, label_check=False)


@pytest.fixture(scope="module")
def cohort(tiny_cohort):
    return read_cohort(tiny_cohort, check=False)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def made(model, cohort, tiny_cohort, tmp_path_factory):
    return explain_maps(model, cohort, tmp_path_factory.mktemp("maps") / "out", ASKED, source=tiny_cohort)


def test_everything_is_there_and_the_manifest_says_what(made):
    out = made.folder
    assert len(list((out / "maps").rglob("*_space-scan_map-*.nii.gz"))) == 4 * 2
    assert len(list((out / "maps").rglob("*_space-model_map-*.nii.gz"))) == 4 * 2
    assert not (out / ".parts").exists()
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["explained"] == "logit of sex = M"
    assert manifest["scans"] == 4
    assert set(manifest["randomised_weights"]) == {"lrp-gamma", "gradient-x-input"}
    assert "head_size" in manifest["planted_region"]


def test_maps_are_those_of_the_methods_and_rows_tell_of_them(made, model, cohort):
    table = pd.read_parquet(made.folder / "maps.parquet")
    assert len(table) == 8
    row = table[table["method"] == "lrp-gamma"].iloc[0]
    (path,) = (made.folder / "maps").rglob(f"{row['stem']}_space-model_map-LrpGamma.nii.gz")
    head = nibabel.load(next((made.folder / "maps").rglob(f"{row['stem']}_space-model_T1w.nii.gz"))).get_fdata()
    volume = torch.from_numpy(head.astype(np.float32))[None, None]
    explained = explained_of(model.network, "sex")
    found = nibabel.load(path)
    assert np.allclose(found.get_fdata(), as_map(asked("lrp-gamma").map_of(explained, volume)), atol=1e-6)
    assert np.allclose(found.affine, model.card.input.affine)
    assert row["sum"] == pytest.approx(found.get_fdata().sum(), rel=1e-3, abs=1e-5)
    assert row["explained"] == pytest.approx(float(explained(volume).detach()), rel=1e-4, abs=1e-5)
    assert row["predicted"] == pytest.approx(1 / (1 + np.exp(-row["explained"])), rel=1e-5)
    assert table.loc[table["method"] == "lrp-gamma", "conservation_error"].max() < 0.01
    assert table.loc[table["method"] == "gradient-x-input", "conservation_error"].isna().all()
    shares = table[[f"share_{name}" for name in ONE_SIDED]].sum(axis=1)
    assert np.allclose(shares, 1)
    assert table["inside_head"].between(0, 1).all()


def test_maps_in_the_space_of_the_scan_have_its_voxels(made, cohort):
    row = made.table.iloc[0]
    (path,) = (made.folder / "maps").rglob(f"{row['stem']}_space-scan_map-LrpGamma.nii.gz")
    image, own = nibabel.load(row["image"]), nibabel.load(path)
    assert own.shape == image.shape
    assert np.allclose(own.affine, image.affine)


def test_averages_are_means_of_maps_and_their_difference(made, cohort):
    groups = made.folder / "groups"
    read = lambda path: nibabel.load(path).get_fdata()  # noqa: E731
    sex = dict(zip(cohort.participants, cohort.table["sex"], strict=True))
    own = {name: [] for name in ("F", "M")}
    for path in sorted((made.folder / "maps").rglob("*_space-model_map-LrpGamma.nii.gz")):
        row = made.table[made.table["stem"] == path.name.split("_space")[0]].iloc[0]
        own[sex[row["participant_id"]]].append(read(path))
    assert all(own.values())
    for name, found in own.items():
        assert np.allclose(read(groups / f"group-{name}_map-LrpGamma.nii.gz"), np.mean(found, 0), atol=1e-6)
    (difference,) = groups.glob("difference-*_map-LrpGamma.nii.gz")
    first, second = (name for name in dict.fromkeys(sex[each] for each in made.table["participant_id"]))
    expected = np.mean(own[second], 0) - np.mean(own[first], 0)
    assert np.allclose(read(difference), expected, atol=1e-6)
    everyone = np.mean([each for found in own.values() for each in found], 0)
    assert np.allclose(read(groups / "group-all_map-LrpGamma.nii.gz"), everyone, atol=1e-6)


def test_the_checks_have_their_tables(made):
    weights = pd.read_parquet(made.folder / "randomised.parquet")
    first = weights[weights["randomised"] == 0]
    assert np.allclose(first[["rank_correlation", "structural_similarity"]], 1)
    assert weights["randomised"].max() == weights["of"].iloc[0] == 7
    region = pd.read_parquet(made.folder / "localisation.parquet")
    assert set(region["method"]) == {
        "lrp-gamma",
        "gradient-x-input",
        "control: the head itself",
        "control: head less mean head",
    }
    assert len(pd.read_parquet(made.folder / "shuffled.parquet")) == 0
    assert set(made.checks.region_scores["score"]) == {"pointing game", "relevance mass", "relevance rank"}
    rows = made.checks.region_scores
    assert (rows["low"] <= rows["mean"]).all()
    assert (rows["mean"] <= rows["high"]).all()


def test_what_was_interrupted_goes_on_to_the_same_and_workers_do_not_matter(
    made, model, cohort, tiny_cohort, tmp_path, monkeypatch
):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(maps_module, "run_checks", fail)
    with pytest.raises(KeyboardInterrupt):
        explain_maps(model, cohort, tmp_path / "out", ASKED, source=tiny_cohort)
    monkeypatch.undo()
    assert not (tmp_path / "out" / "manifest.json").exists()
    looked = []
    real = maps_module.Looker.look
    monkeypatch.setattr(maps_module.Looker, "look", lambda *given: looked.append(1) or real(*given))
    lost = next((tmp_path / "out" / "maps").rglob("*_space-scan_map-LrpGamma.nii.gz"))
    lost.unlink()
    wanted = MapsAsked(target="sex", group="sex", most=4, checked=1, label_check=False, workers=3)
    again = explain_maps(model, cohort, tmp_path / "out", wanted, source=tiny_cohort)
    assert looked == [1]
    for path in sorted(made.folder.rglob("*.nii.gz")):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(made.folder)).read_bytes()
    pd.testing.assert_frame_equal(again.table, made.table)
    pd.testing.assert_frame_equal(again.checks.weights, made.checks.weights)


def test_a_finished_folder_and_one_of_others_are_refused(made, model, cohort, tmp_path):
    with pytest.raises(InputError, match="finished"):
        explain_maps(model, cohort, made.folder, ASKED)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"something else \(mine.txt\)"):
        explain_maps(model, cohort, tmp_path, ASKED)
    (tmp_path / "mine.txt").unlink()
    (tmp_path / "explained.json").write_text('{"key": "other"}')
    with pytest.raises(InputError, match="another call"):
        explain_maps(model, cohort, tmp_path, ASKED)


def test_scans_that_cannot_be_used_are_told_and_the_others_go_on(model, cohort, tmp_path):
    few = cohort.rows(np.arange(3))
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no image")
    few.table.loc[1, "image"] = str(bad)
    wanted = MapsAsked(methods=("gradient-x-input",), most=3, checked=1, label_check=False)
    found = explain_maps(model, few, tmp_path / "out", wanted)
    assert [who for who, _ in found.refused] == [few.participants[1]]
    assert found.table["stem"].nunique() == 2
    assert "no heads of" in found.checks.region_words
    few.table["image"] = str(bad)
    with pytest.raises(CohortError, match="cannot read"):
        explain_maps(model, few, tmp_path / "none", wanted)


def test_scans_are_chosen_in_turn_from_every_group(cohort):
    rows = chosen_rows(cohort, "diagnosis", 6)
    assert cohort.table["diagnosis"].iloc[rows].value_counts().to_dict() == {"control": 3, "patient": 3}
    assert chosen_rows(cohort, "", 5).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="column of --group"):
        chosen_rows(cohort, "diagnosi", 5)
    with pytest.raises(InputError, match="different values"):
        chosen_rows(cohort, "participant_id", 5)


def test_files_of_one_person_have_names_of_their_own(cohort):
    table = pd.concat([cohort.table.iloc[[0]]] * 3)
    names = names_of(maps_module.Cohort("same", table.reset_index(drop=True)), range(3))
    stems = [name.stem for name in names]
    assert len(set(stems)) == 3
    assert stems[1] == f"{stems[0]}_run-2"
    assert len({name.folder for name in names}) == 1


def test_numbers_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="most, epochs"):
        MapsAsked(most=0, epochs=0)
    with pytest.raises(InputError, match="unknown method"):
        MapsAsked(methods=("lrp",))
