"""Scans as estimators are given them: read a batch at a time, as a store keeps them, and refused all at once."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer import BrainEmbedder, TransferRegressor
from neurotransfer.cohort import Grid, load_volume, store_volumes
from neurotransfer.errors import ImageError, InputError, ModelError
from neurotransfer.estimators import scans as module
from neurotransfer.estimators.arguments import ArgumentError
from neurotransfer.estimators.scans import ScansOnDisk, image_paths, input_of, scans_of
from neurotransfer.models import load_model
from neurotransfer.training import features


@pytest.fixture(scope="module")
def card(tiny_model):
    return load_model(tiny_model).card


@pytest.fixture(scope="module")
def paths(cohort):
    return [image for image, _ in cohort.images]


@pytest.fixture
def mixed(paths, tmp_path):
    """Two good scans, and three that cannot be used: damaged, blank, a mask."""
    (tmp_path / "broken.nii.gz").write_bytes(paths[0].read_bytes()[:3000])
    image = nibabel.load(paths[0])
    voxels = np.asarray(image.dataobj)
    nibabel.save(nibabel.Nifti1Image(np.zeros_like(voxels), image.affine), tmp_path / "blank.nii.gz")
    nibabel.save(nibabel.Nifti1Image((voxels > 0).astype(np.uint8), image.affine), tmp_path / "mask.nii.gz")
    return [paths[0], tmp_path / "broken.nii.gz", paths[1], tmp_path / "blank.nii.gz", tmp_path / "mask.nii.gz"]


def test_scans_are_read_as_a_store_keeps_them(paths, volumes, card):
    scans = ScansOnDisk(paths[:5], input_of(card), "world")
    assert (scans.shape, scans.ndim, len(scans)) == ((5, *card.input.shape), 4, 5)
    np.testing.assert_array_equal(scans[np.arange(5)], volumes[:5])
    assert scans[np.arange(5)].dtype == np.float32
    assert abs(scans[2] - load_volume(paths[2], card.input)).max() <= 0.5 / 65535 + 1e-7


@pytest.mark.parametrize(
    "rows",
    [0, -1, slice(1, 4), slice(None, None, 2), np.array([3, 1, 1]), np.array([], int), np.arange(5) > 2],
    ids=str,
)
def test_rows_are_those_of_numpy(rows, paths, volumes, card):
    found = ScansOnDisk(paths[:5], input_of(card), "world")[rows]
    np.testing.assert_array_equal(found, volumes[:5][rows])


def test_a_store_of_scans_holds_the_same(paths, card, tmp_path):
    scans = ScansOnDisk([*paths[:3], paths[0]], input_of(card), "centre")
    np.testing.assert_array_equal(scans.stored(tmp_path)[:], scans[:])
    assert scans.cohort.alignment == "centre"
    assert scans.cohort.n_participants == 4


def test_no_more_than_a_batch_is_read_at_once(paths, tiny_model, card, monkeypatch):
    read, alive = [], []
    real = ScansOnDisk.__getitem__

    def noted(self, rows):
        found = real(self, rows)
        read.extend(np.atleast_1d(rows).tolist())
        alive.append(found.nbytes)
        return found

    monkeypatch.setattr(ScansOnDisk, "__getitem__", noted)
    found = BrainEmbedder(tiny_model).fit_transform(paths)
    assert read == list(range(len(paths)))
    assert max(alive) <= 16 * np.prod(card.input.shape) * 4
    np.testing.assert_array_equal(
        found, features(load_model(tiny_model).network.encoder, scans_of(paths, card, "world"))
    )


def test_memory_does_not_grow_with_the_number_of_scans(paths, tiny_model, card):
    embedder = BrainEmbedder(tiny_model).fit(paths[:1])

    def peak(n):
        tracemalloc.start()
        embedder.transform([paths[row % 4] for row in range(n)])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(96) < peak(32) + 2 * np.prod(card.input.shape) * 4


@pytest.mark.parametrize("name", ["frozen", "finetuned", "linear"])
def test_a_fit_on_paths_never_holds_all_volumes(name, paths, tiny_model, monkeypatch, ages):
    largest = []
    real = np.empty

    def noted(shape, *rest, **more):
        largest.append(shape[0] if isinstance(shape, tuple) and len(shape) == 4 else 0)
        return real(shape, *rest, **more)

    monkeypatch.setattr(module.np, "empty", noted)
    grid = {"penalty": [1.0]} if name != "finetuned" else {"lr": [1e-3], "epochs": [1], "batch_size": [8]}
    regressor = TransferRegressor(tiny_model, name, grid=grid).fit(paths, ages)
    assert regressor.predict(paths).shape == (len(paths),)
    assert 0 < max(largest) <= 20


def test_the_volumes_of_a_fit_are_taken_away_again(paths, ages, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []
    real = ScansOnDisk.stored
    monkeypatch.setattr(ScansOnDisk, "stored", lambda self, folder: seen.append(folder) or real(self, folder))
    grid = {"lr": [1e-3], "epochs": [1]}
    TransferRegressor(tiny_model, "finetuned", grid=grid).fit(paths[:12], ages[:12])
    assert [folder.parent for folder in seen] == [tmp_path]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("X", "names"),
    [
        (["a.nii", Path("b.nii")], ["a.nii", "b.nii"]),
        (("a.nii",), ["a.nii"]),
        (np.array(["a.nii", "b.nii"]), ["a.nii", "b.nii"]),
        (np.array([["a.nii"], ["b.nii"]], object), ["a.nii", "b.nii"]),
        (pd.Series(["a.nii"], index=[7]), ["a.nii"]),
        (pd.Series(["a.nii"], dtype="category"), ["a.nii"]),
        (pd.DataFrame({"image": ["a.nii", "b.nii"]}), ["a.nii", "b.nii"]),
        ([], None),
        ([[1.0, 2.0], [3.0, 4.0]], None),
        (np.zeros((2, 3, 4, 5)), None),
        (np.array(["a", "b", "c", "d"]).reshape(2, 2), None),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), None),
        (pd.DataFrame({"volume": [1.0, 2.0]}), None),
        (None, None),
        ("a.nii", None),
        ({"a.nii": 1}, None),
    ],
    ids=str,
)
def test_paths_are_found_wherever_they_lie(X, names):
    found = image_paths(X)
    assert (found and [path.name for path in found]) == names
    assert found is None or all(isinstance(path, Path) for path in found)


@pytest.mark.parametrize("other", [None, np.nan, 3, np.zeros((32, 32, 32))], ids=["none", "nan", "3", "volume"])
def test_paths_among_other_things_are_refused(other):
    with pytest.raises(
        ArgumentError, match=r"X holds image paths, but not in rows 2, 4, there is .* give a path a scan"
    ):
        image_paths(["a.nii", other, "b.nii", other])


def test_images_that_are_not_there_are_named_before_any_is_read(paths, card, monkeypatch):
    monkeypatch.setattr(module, "load_volume", lambda *_, **__: pytest.fail("an image was read"))
    absent = [Path("lost.nii.gz"), paths[0], paths[0].parent]
    with pytest.raises(
        ImageError, match=r"(?s)2 problems in X:\n  row 1: no such image 'lost.nii.gz'\n  row 3: no such.*leave"
    ):
        scans_of(absent, card, "world")
    with pytest.raises(
        ImageError, match=r"^no such image 'lost.nii.gz' \(row 1 of X\); mend these scans, or leave them"
    ):
        scans_of(absent[:2], card, "world")


def test_all_scans_that_cannot_be_used_come_in_one_message(mixed, card):
    scans = scans_of(mixed, card, "world")
    with pytest.raises(ImageError) as caught:
        scans[np.array([1])]
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 problems in X:"
    assert lines[1].startswith("  row 2: cannot read")
    assert "broken.nii.gz" in lines[1]
    assert "row 4" in lines[2]
    assert "is constant" in lines[2]
    assert "row 5" in lines[3]
    assert "is a mask and no scan: most of its voxels above zero have one value" in lines[3]
    assert lines[4].startswith("mend these scans")
    np.testing.assert_array_equal(scans[0], scans_of(mixed[:1], card, "world")[0])


@pytest.mark.parametrize("name", ["frozen", "finetuned", "linear", "voxels"])
def test_a_fit_and_a_prediction_name_every_bad_scan(name, mixed, paths, tiny_model):
    regressor = TransferRegressor(tiny_model, name, grid={"penalty": [1.0]} if name != "finetuned" else {"epochs": [1]})
    with pytest.raises(ImageError, match=r"(?s)3 problems in X.*row 2: .*broken.*row 4: .*blank.*row 5: .*mask"):
        regressor.fit(mixed, np.arange(5.0))
    if name != "finetuned":
        regressor.fit(paths[:8], np.arange(8.0))
        with pytest.raises(ImageError, match="3 problems in X"):
            regressor.predict(mixed)


def test_a_disk_that_fails_once_is_told_as_it_was(paths, card, monkeypatch):
    calls = []

    def fails_once(path, *rest, **more):
        calls.append(path)
        if len(calls) == 1:
            raise ImageError("the disk hiccuped")
        return load_volume(path, *rest, **more)

    monkeypatch.setattr(module, "load_volume", fails_once)
    with pytest.raises(ImageError, match="the disk hiccuped"):
        scans_of(paths[:2], card, "world")[0]


PREPARED = {"Recipe": "template", "RecipeVersion": 1, "SpatialReference": "MNI152NLin2009cAsym", "Steps": []}


def prepared(paths, folder, *facts):
    copies = []
    for row, (path, fact) in enumerate(zip(paths, facts, strict=False)):
        copies.append(folder / f"sub-{row}_T1w.nii.gz")
        copies[-1].write_bytes(path.read_bytes())
        if fact is not None:
            (folder / f"sub-{row}_T1w.json").write_text(json.dumps(fact))
    return copies


def test_scans_of_another_recipe_than_the_model_knows_are_refused(paths, card, tmp_path):
    copies = prepared(paths, tmp_path, PREPARED, PREPARED)
    assert len(scans_of(copies, replace(card, preparation=PREPARED), "world")) == 2
    assert len(scans_of(copies, card, "world")) == 2
    other = PREPARED | {"Recipe": "fastsurfer"}
    with pytest.raises(
        ModelError, match="knows scans prepared by recipe fastsurfer-1, those of 'X' were by template-1"
    ):
        scans_of(copies, replace(card, preparation=other), "world")


def test_scans_of_several_recipes_are_refused(paths, card, tmp_path):
    with pytest.raises(InputError, match=r"different recipes \(none, template-1\)"):
        scans_of(prepared(paths, tmp_path, PREPARED, None), card, "world")


def test_scans_that_were_prepared_in_native_space_are_centred(paths, card, tmp_path):
    copies = prepared(paths, tmp_path, PREPARED | {"Recipe": "fastsurfer", "SpatialReference": "native"})
    with pytest.raises(ArgumentError, match="native space by recipe fastsurfer-1; say so with alignment = 'centre'"):
        scans_of(copies, card, "world")
    assert len(scans_of(copies, card, "centre")) == 1


def head(n=3, **changes):
    volumes = np.full((n, 32, 32, 32), 0.5, np.float32)
    for place, value in changes.items():
        volumes[int(place[1:]), 3, 4, 5] = value
    return volumes


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (head()[0], r"got \(32, 32, 32\). Reshape your data: one volume \(x, y, z\) is volume\[None\]"),
        (head()[None], r"got \(1, 3, 32, 32, 32\)"),
        (np.zeros(5), r"got \(5,\)"),
        (head(0), "X holds 0 scans; give one or more"),
        (head(r1=np.nan), r"X has missing or infinite values \(NaN\) in row 2"),
        (head(r0=-np.inf, r2=np.inf), "in rows 1, 3"),
        (head(r2=1.5), r"volumes have values from 0 to 1, got 0.5 to 1.5 \(row 3\); make them with"),
        (head(r0=-0.1), r"got -0.1 to 0.5 \(row 1\)"),
        (head() * np.array([1, 0, 0])[:, None, None, None], "empty volumes, without a voxel above zero, in rows 2, 3"),
        (head().astype(object), "X with four axes holds volumes of numbers, got object; give np.float32"),
        (head().astype(complex), "Complex data not supported"),
        (["a.nii"], "image paths need a model, whose grid they are laid on; give model, or an array of volumes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "X",
)
def test_what_are_no_volumes_is_refused(X, said):
    with pytest.raises(ArgumentError, match=said):
        scans_of(X, None, "world")


def test_one_voxel_that_does_not_fit_a_model_is_found_wherever_it_is(volumes, card):
    every = np.asarray(volumes[:], np.float32)
    for row in range(0, len(every), 7):
        wrong = every.copy()
        wrong[row, 1, 1, 1] = 1.25
        with pytest.raises(InputError, match=r"values from 0 to 1, got 0 to 1\.25"):
            scans_of(wrong, card, "world")
    assert scans_of(every, card, "world") is every


def test_a_model_of_columns_takes_no_scans(card, paths, volumes):
    of_columns = replace(card, **{"input" if hasattr(card, "input") else "grid": None})
    for X in (paths[:2], volumes, volumes[:2]):
        with pytest.raises(ModelError, match="takes columns of a table, not scans; columns go as they are to Transfer"):
            scans_of(X, of_columns, "world")


def test_a_store_on_another_grid_than_the_model_takes_is_refused(cohort, card, tmp_path):
    other = Grid(card.input.shape, card.input.voxel_size_mm * 1.1)
    store = store_volumes(tmp_path, cohort.rows(np.arange(2)), other)
    assert scans_of(store, None, "world") is store
    with pytest.raises(
        ArgumentError, match=r"X is a store of volumes on Grid.* make the store with the input of the model"
    ):
        scans_of(store, card, "world")
