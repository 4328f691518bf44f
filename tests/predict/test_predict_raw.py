"""Raw scans given to predict: recognised, prepared by the model's recipe, and never when they are ready."""

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import Grid, read_cohort
from neurotransfer.cohort.recipes import RECIPES, get_recipe
from neurotransfer.errors import CohortError, InputError
from neurotransfer.models import load_model
from neurotransfer.models.card import Card
from neurotransfer.predict import ALWAYS, AUTO, NEVER, predict, raw, ready_scans
from neurotransfer.prepare.inputs import Choice


@pytest.fixture
def heads(tiny_cohort, tmp_path):
    """A folder of two simulated heads in MNI152, without skull."""
    folder = tmp_path / "heads"
    folder.mkdir()
    for name, (image, _) in zip(("a", "b"), read_cohort(tiny_cohort, check=False).images, strict=False):
        (folder / f"{name}.nii.gz").write_bytes(image.read_bytes())
    return folder


@pytest.fixture
def card(tiny_model):
    return load_model(tiny_model).card


def moved(path, out, shift_mm=(60.0, -40.0, 30.0)):
    image = nibabel.load(path)
    affine = image.affine.copy()
    affine[:3, 3] += shift_mm
    nifti = nibabel.Nifti1Image(image.get_fdata(dtype=np.float32), affine)
    nibabel.save(nifti, out)
    return out


def with_skull(path, out):
    """A shell of bright voxels two voxels away from the brain: more litres than any brain."""
    from scipy import ndimage

    image = nibabel.load(path)
    voxels = image.get_fdata(dtype=np.float32)
    brain = ndimage.binary_fill_holes(voxels > 0)
    shell = ndimage.binary_dilation(brain, iterations=4) & ~ndimage.binary_dilation(brain, iterations=1)
    nibabel.save(nibabel.Nifti1Image(np.where(shell, voxels.max() * 0.9, voxels), image.affine), out)
    return out


def test_heads_in_mni152_without_skull_are_left_as_they_are(heads, card, tmp_path):
    assert ready_scans(heads, card, tmp_path / "out", Choice()) is None
    assert ready_scans(heads / "a.nii.gz", card, tmp_path / "out", Choice()) is None
    assert not (tmp_path / "out").exists()


def test_a_head_elsewhere_or_with_skull_is_raw(heads, tmp_path):
    assert raw._raw_scan(moved(heads / "a.nii.gz", tmp_path / "moved.nii.gz"), None)
    assert raw._raw_scan(with_skull(heads / "a.nii.gz", tmp_path / "skull.nii.gz"), None)
    assert not raw._raw_scan(heads / "a.nii.gz", None)


def test_nothing_is_prepared_when_that_was_said(heads, card, tmp_path):
    moved(heads / "a.nii.gz", heads / "c.nii.gz")
    assert ready_scans(heads, card, tmp_path / "out", Choice(), mode=NEVER) is None
    assert not (tmp_path / "out").exists()


def test_a_scan_that_cannot_be_read_is_left_to_the_checks_of_predict(heads, card, tmp_path):
    (heads / "c.nii.gz").write_bytes(b"no image")
    assert ready_scans(heads, card, tmp_path / "out", Choice()) is None


def test_what_is_nothing_at_all_is_refused(card, tmp_path):
    with pytest.raises(InputError, match="there is no"):
        ready_scans(tmp_path / "nowhere", card, tmp_path / "out", Choice())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no scan"):
        ready_scans(tmp_path / "empty", card, tmp_path / "out", Choice())


def test_the_recipe_and_voxel_size_are_those_of_the_model():
    values = {"name": "m", "architecture": "sfcn", "arguments": {}, "targets": ()}
    assert raw._voxel_size_mm(Card(**values, input=Grid())) == 2.0
    assert raw._voxel_size_mm(Card(**values, input=Grid((160, 192, 160), 1.0))) == 1.0
    for size in (1, 2):
        card = Card(**values, input=Grid(), preparation=get_recipe("template", size).facts())
        assert raw._voxel_size_mm(card) == size
    assert raw._voxel_size_mm(Card(**values, input=Grid(), preparation=RECIPES["sfcn-ukb"].facts())) is None


@pytest.mark.slow
def test_a_head_elsewhere_is_prepared_and_predicted_as_prepare_would(heads, card, tiny_model, tmp_path):
    raw_folder = tmp_path / "raw"
    raw_folder.mkdir()
    for name in ("a", "b"):
        moved(heads / f"{name}.nii.gz", raw_folder / f"{name}.nii.gz")
    found = []
    ready = ready_scans(raw_folder, card, tmp_path / "out", Choice(), mode=AUTO, on_found=found.append)
    assert found == [2]
    assert [image.split("/")[-1] for image in ready.images] == ["a.nii.gz", "b.nii.gz"]
    assert ready.failed == ()
    assert "prepared by recipe 'template-1'" in ready.notes[0]
    first = predict(tiny_model, ready.cohort)
    # what was kept is ready the next time, with the same numbers
    assert ready_scans(tmp_path / "out", card, tmp_path / "other", Choice()) is None
    pd.testing.assert_frame_equal(predict(tiny_model, read_cohort(tmp_path / "out")), first)


@pytest.mark.slow
def test_all_that_fail_are_told_together(card, tmp_path):
    folder = tmp_path / "noise"
    folder.mkdir()
    voxels = np.random.default_rng(0).uniform(1, 9, (40, 40, 40)).astype(np.float32)
    for name in ("a", "b"):
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([12.0, 12, 12, 1])), folder / f"{name}.nii.gz")
    with pytest.raises(CohortError, match="2 problems") as caught:
        ready_scans(folder, card, tmp_path / "out", Choice(), mode=ALWAYS)
    assert all("brain" in problem for problem in caught.value.problems)


@pytest.fixture
def asked(monkeypatch):
    """What `prepare` is asked for, which is then not done."""
    found = {}

    class AskedError(Exception):
        pass

    def prepare(path, folder, **options):
        found.update(options)
        raise AskedError

    monkeypatch.setattr(raw, "prepare", prepare)

    def ask(*arguments, **options):
        with pytest.raises(AskedError):
            ready_scans(*arguments, mode=ALWAYS, **options)
        return found

    return ask


def test_what_is_known_of_raw_scans_comes_along(heads, card, tmp_path, asked):
    pd.DataFrame(
        {"participant_id": ["a", "b"], "image": ["a.nii.gz", "b.nii.gz"], "age": [30, 40], "group": ["x", "y"]}
    ).to_csv(heads / "cohort.tsv", sep="\t", index=False)
    found = asked(heads / "cohort.tsv", card, tmp_path / "out", Choice(), columns=("age",), needed=("group",))
    assert found["columns"] == ("age", "group")
    assert asked(heads / "cohort.tsv", card, tmp_path / "out", Choice())["columns"] == ()


def test_scans_without_a_table_have_no_ages_and_need_none(heads, card, tmp_path, asked):
    assert asked(heads, card, tmp_path / "out", Choice(), columns=("age",))["columns"] == ()


def test_a_column_that_is_needed_is_missed_before_anything_is_prepared(heads, card, tmp_path, monkeypatch):
    monkeypatch.setattr(raw, "prepare", lambda *_, **__: pytest.fail("it was prepared"))
    with pytest.raises(InputError, match=r"there is no column 'group'.*has no table"):
        ready_scans(heads, card, tmp_path / "out", Choice(), mode=ALWAYS, needed=("group",))
    pd.DataFrame({"participant_id": ["a"], "image": ["a.nii.gz"], "groups": ["x"]}).to_csv(
        heads / "cohort.tsv", sep="\t", index=False
    )
    with pytest.raises(InputError, match=r"unknown column 'group'.*did you mean 'groups'"):
        ready_scans(heads / "cohort.tsv", card, tmp_path / "out", Choice(), mode=ALWAYS, needed=("group",))


@pytest.mark.slow
def test_ages_of_raw_scans_give_a_gap(heads, tiny_model, tmp_path):
    pd.DataFrame({"participant_id": ["a", "b"], "image": ["a.nii.gz", "b.nii.gz"], "age": [30, 40]}).to_csv(
        heads / "cohort.tsv", sep="\t", index=False
    )
    card = load_model(tiny_model).card
    ready = ready_scans(heads / "cohort.tsv", card, tmp_path / "out", Choice(), mode=ALWAYS, columns=("age",))
    table = predict(tiny_model, ready.cohort)
    np.testing.assert_allclose(table["age_gap"], table["age"] - [30, 40])
