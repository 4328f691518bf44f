"""Scans in blocks: the same numbers however they are cut, kept or interrupted, and nothing wrong is used."""

import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import read_cohort
from neurotransfer.errors import InputError, ModelError
from neurotransfer.models import load_model
from neurotransfer.predict import Asked, embed, embed_into, predict, predicted, read_scans
from neurotransfer.predict import blocks as module
from neurotransfer.predict.blocks import Block, Wanted, blocks, key_of


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def cohort(tiny_cohort):
    return read_cohort(tiny_cohort, check=False).rows(np.arange(9))


@pytest.fixture
def counted(monkeypatch):
    """How often a scan was read."""
    calls, real = [], module.load_volume
    monkeypatch.setattr(module, "load_volume", lambda path, *rest: (calls.append(path), real(path, *rest))[1])
    return calls


def joined(found):
    return {name: np.concatenate([block.outputs[name] for block in found]) for name in found[0].outputs}


@pytest.mark.parametrize("most", [1, 2, 4, 100])
@pytest.mark.parametrize("workers", [1, 3])
def test_blocks_of_any_size_give_the_same(model, cohort, monkeypatch, most, workers):
    expected = joined(list(blocks(model, cohort, Wanted())))
    monkeypatch.setattr(module, "MOST_SCANS", most)
    found = list(blocks(model, cohort, Wanted(workers=workers)))
    assert [len(block.rows) for block in found] == [most] * (9 // most) + [9 % most] * (9 % most > 0)
    assert np.concatenate([block.rows for block in found]).tolist() == list(range(9))
    for name, values in joined(found).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5)


def test_no_more_volumes_than_memory_allows_are_read_together(model, cohort, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 3 * 4 * int(np.prod(model.card.input.shape)) + 1)
    assert [len(block.rows) for block in blocks(model, cohort, Wanted())] == [3, 3, 3]


def test_what_is_kept_is_not_made_again_and_has_the_same_numbers(model, cohort, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(module, "MOST_SCANS", 2)
    wanted = Wanted(views=2)
    first = list(blocks(model, cohort, wanted, tmp_path))
    assert len(counted) == 9
    second = list(blocks(model, cohort, wanted, tmp_path))
    assert len(counted) == 9
    for one, other in zip(first, second, strict=True):
        for name in ("rows", "problems", "features", "values"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for kind in ("outputs", "views"):
            assert list(getattr(one, kind)) == list(getattr(other, kind))
            for name, values in getattr(one, kind).items():
                np.testing.assert_array_equal(values, getattr(other, kind)[name])


def test_an_interruption_keeps_what_was_finished(model, cohort, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(module, "MOST_SCANS", 2)
    running = blocks(model, cohort, Wanted(), tmp_path)
    next(running), next(running)
    running.close()
    assert len(list(tmp_path.glob("part-*.npz"))) == 2
    counted.clear()
    told = []
    assert len(list(blocks(model, cohort, Wanted(), tmp_path, lambda: told.append(1)))) == 5
    assert len(counted) == 5
    assert len(told) == 9


DAMAGES = {
    "cut": lambda content: content[:-40],
    "empty": lambda content: b"",
    "of another kind": lambda content: b"these are no arrays",
    "flipped": lambda content: content[:200] + bytes([content[200] ^ 255]) + content[201:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_parts_are_made_again(model, cohort, tmp_path, damage, counted):
    expected = joined(list(blocks(model, cohort, Wanted(), tmp_path)))
    (part,) = tmp_path.glob("part-*.npz")
    part.write_bytes(DAMAGES[damage](part.read_bytes()))
    counted.clear()
    for name, values in joined(list(blocks(model, cohort, Wanted(), tmp_path))).items():
        np.testing.assert_array_equal(values, expected[name])
    assert len(counted) == 9


def test_a_key_changes_with_all_that_numbers_depend_on(model, cohort, tmp_path):
    expected = key_of(model, cohort, Wanted())
    assert key_of(model, cohort, Wanted(workers=7)) == expected
    other = load_model.__globals__["Model"](
        model.network, replace(model.card, preparation={"Recipe": "x", "RecipeVersion": 1})
    )
    moved = cohort.table.copy()
    shutil.copy(moved["image"].iloc[0], tmp_path / "same.nii.gz")
    moved.loc[moved.index[0], "image"] = str(tmp_path / "same.nii.gz")
    keys = {
        expected,
        key_of(model, cohort, Wanted(views=2)),
        key_of(model, cohort, Wanted(seed=1)),
        key_of(model, cohort.rows(np.arange(8)), Wanted()),
        key_of(model, replace(cohort, alignment="centre"), Wanted()),
        key_of(other, cohort, Wanted()),
        key_of(model, replace(cohort, table=moved), Wanted()),
    }
    assert len(keys) == 7


def test_a_scan_that_changed_is_predicted_anew(model, tiny_cohort, tmp_path):
    heads = tmp_path / "heads"
    heads.mkdir()
    for image in sorted((tiny_cohort.parent / "heads").iterdir())[:2]:
        shutil.copy(image, heads / image.name)
    cohort = read_scans(heads)
    before = predicted(model, cohort, folder=tmp_path / "kept").table
    first = sorted(heads.iterdir())[0]
    image = nibabel.load(first)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1].copy(), image.affine), first)
    after = predicted(model, cohort, folder=tmp_path / "kept").table
    assert abs(after["age"][0] - before["age"][0]) > 0
    np.testing.assert_allclose(after["age"][1], before["age"][1], rtol=1e-6)


def test_a_block_has_no_code_in_it(tmp_path):
    np.savez(tmp_path / "x.npz", rows=np.array([{}], object), allow_pickle=True)
    assert Block.from_file(tmp_path / "x.npz", []) is None


def test_scans_of_another_preparation_are_refused_before_any_is_read(model, cohort, counted):
    known = {"Recipe": "template", "RecipeVersion": 1, "Steps": [{"voxel_size_mm": 2.0}]}
    other = replace(model, card=replace(model.card, preparation=known))
    with pytest.raises(ModelError, match="knows scans prepared by recipe template-1 at 2 mm"):
        predict(other, replace(cohort, preparation={"Recipe": "sfcn-ukb", "RecipeVersion": 1}))
    assert not counted


# --- features into a file


@pytest.mark.parametrize("name", ["e.parquet", "e.tsv", "e.csv"])
def test_a_file_of_features_holds_those_of_embed(model, cohort, tmp_path, name, monkeypatch):
    monkeypatch.setattr(module, "MOST_SCANS", 4)
    expected = embed(model, cohort)
    made = embed_into(tmp_path / name, model, cohort)
    if name.endswith("parquet"):
        found = pd.read_parquet(tmp_path / name)
    else:
        found = pd.read_csv(tmp_path / name, sep="\t" if name.endswith("tsv") else ",", keep_default_na=False)
    assert made.n_rows == len(found) == 9
    assert list(found) == list(expected) == list(made.columns)
    assert found["image"].tolist() == expected["image"].tolist()
    features = [column for column in expected if column.startswith("feature_")]
    np.testing.assert_allclose(found[features], expected[features], rtol=1e-5)


def test_refused_scans_have_no_row_and_are_told(model, cohort, tmp_path):
    table = cohort.table.copy()
    (tmp_path / "broken.nii.gz").write_bytes(b"x")
    table.loc[table.index[2], "image"] = str(tmp_path / "broken.nii.gz")
    made = embed_into(tmp_path / "e.parquet", model, replace(cohort, table=table))
    assert made.n_rows == len(pd.read_parquet(tmp_path / "e.parquet")) == 8
    assert [scan for scan, _ in made.refused] == [cohort.participants[2]]


def test_numbers_do_not_depend_on_threads(model, cohort):
    pd.testing.assert_frame_equal(embed(model, cohort, workers=1), embed(model, cohort, workers=4), check_exact=True)


def test_images_may_be_named_otherwise(model, cohort, tmp_path):
    names = [f"raw-{place}.nii" for place in range(9)]
    embed_into(tmp_path / "e.parquet", model, cohort, more={"image": names, "flags": names[::-1]})
    found = pd.read_parquet(tmp_path / "e.parquet")
    assert found["image"].tolist() == names
    assert found["flags"].tolist() == names[::-1]


def test_nothing_is_asked_that_cannot_be(model, cohort):
    with pytest.raises(InputError, match="views is 0"):
        predicted(model, cohort, Asked(views=1))
