"""Writing images: what is read again is what was written, the same bytes every time, and what is refused."""

import errno
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from neurotransfer.cohort import Grid
from neurotransfer.cohort.images import opened
from neurotransfer.cohort.writing import write_image
from neurotransfer.errors import ImageError, StorageError
from neurotransfer.simulate.run import write_head

AFFINE = np.array([[-1.0, 0, 0, 90.5], [0, 1.25, 0, -126.3], [0, 0, 2.0, -72.7], [0, 0, 0, 1]])


def values(dtype="int16", shape=(6, 7, 8)):
    return np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 200, shape).astype(dtype)


def turned(affine, degrees):
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ affine


STORED = {"bool": "u1", "uint8": "u1", "int16": "i2", ">i2": "i2", "float16": "f4", "float32": "f4", "float64": "f4"}


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_read_again_is_what_was_written(tmp_path, dtype, order):
    path, voxels = tmp_path / "new" / "scan.nii.gz", np.asarray(values(dtype), order=order)
    write_image(path, voxels, AFFINE)
    image, found = opened(path)
    np.testing.assert_array_equal(found, voxels)
    assert found.dtype == STORED[dtype]
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-4)
    assert [entry.name for entry in path.parent.iterdir()] == ["scan.nii.gz"]


@pytest.mark.parametrize("space", ["", "MNI152NLin2009cAsym", "MNI152", "mni", "T1w"])
def test_the_header_says_the_space_and_nothing_else(tmp_path, space):
    path = tmp_path / "scan.nii.gz"
    write_image(path, values(), AFFINE, space=space)
    image = nibabel.load(path)
    code = 4 if space.lower().startswith("mni") else 1
    assert (image.header["sform_code"], image.header["qform_code"]) == (code, code)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert all(image.header[name].item() == b"" for name in ("descrip", "aux_file", "intent_name", "db_name"))
    assert not image.header.extensions
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    np.testing.assert_allclose(image.header.get_zooms(), (1, 1.25, 2), rtol=1e-6)


def test_the_same_image_gives_the_same_bytes_wherever_it_is_written(tmp_path):
    first, second = tmp_path / "a.nii.gz", tmp_path / "other" / "b.nii.gz"
    write_image(first, values("float64"), AFFINE)
    write_image(second, np.asfortranarray(values("float32")), AFFINE.tolist())
    assert first.read_bytes() == second.read_bytes()
    write_image(first, values("float64") + 1, AFFINE)
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize("degrees", [0, 3, 44, 90, 170])
@pytest.mark.parametrize("hand", [1, -1])
def test_a_turned_affine_stands_in_both_forms(tmp_path, degrees, hand):
    path, affine = tmp_path / "scan.nii.gz", turned(AFFINE @ np.diag([hand, 1, 1, 1]), degrees)
    write_image(path, values(shape=(60, 70, 80)), affine)
    image, _ = opened(path)
    assert image.header["qform_code"] == 1
    for form in (image.affine, image.get_qform()):
        np.testing.assert_allclose(form, affine, atol=1e-4)


def test_a_sheared_affine_stands_in_the_sform_alone(tmp_path):
    path, affine = tmp_path / "scan.nii.gz", AFFINE.copy()
    affine[0, 1] = 0.2
    write_image(path, values(), affine)
    image, _ = opened(path)
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 0)
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)


NAN, HUGE = values("float32"), values("float64")
NAN[0, 0, 0], HUGE[0, 0, 0] = np.nan, 1e300
REFUSED = {
    "int32": (values("int32"), AFFINE, "of type int32; allowed: bool, uint8, int16 and floats"),
    "uint16": (values("uint16"), AFFINE, "of type uint16"),
    "complex": (values("complex64"), AFFINE, "of type complex64"),
    "text": (values().astype(str), AFFINE, "of type <U"),
    "objects": (values().astype(object), AFFINE, "of type object"),
    "2D": (values(shape=(6, 7)), AFFINE, "three dimensions"),
    "a slice": (values(shape=(6, 7, 1)), AFFINE, "single slice"),
    "4D": (values(shape=(6, 7, 8, 1)), AFFINE, "three dimensions"),
    "empty": (values(shape=(6, 0, 8)), AFFINE, "is empty"),
    "too long": (values(shape=(40000, 2, 2)), AFFINE, "at most 32767 voxels"),
    "too large": (np.broadcast_to(np.uint8(1), (600, 600, 600)), AFFINE, "600 x 600 x 600 voxels; allowed: 134217728"),
    "NaN": (NAN, AFFINE, "NaN, infinite or beyond float32"),
    "beyond float32": (HUGE, AFFINE, "NaN, infinite or beyond float32"),
    "a flat affine": (values(), np.diag([1.0, 0, 1, 1]), "maps no volume"),
    "a NaN affine": (values(), AFFINE * np.nan, r"allowed: \(4, 4\)"),
    "a 3 x 3 affine": (values(), np.eye(3), r"allowed: \(4, 4\)"),
    "a huge affine": (values(), np.diag([1e300, 1, 1, 1]), "maps no volume"),
    "metres": (values(), np.diag([1e-3, 1e-3, 1e-3, 1]), "not in mm"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_again_is_not_written(tmp_path, kind):
    voxels, affine, message = REFUSED[kind]
    with pytest.raises(ImageError, match=f"cannot write .*scan.nii.gz.*{message}"):
        write_image(tmp_path / "scan.nii.gz", voxels, affine)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["scan.nii", "scan.mgz", "scan", "scan.nii.gz.txt"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(ImageError, match=r"does not end in \.nii\.gz"):
        write_image(tmp_path / name, values(), AFFINE)


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "scan.nii.gz"
    write_image(path, values(), AFFINE)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="no space left"):
        write_image(path, values() + 1, AFFINE)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan.nii.gz"]


@pytest.mark.parametrize("grid", [Grid(), Grid((32, 40, 33), 3.3), Grid((32, 38, 32), 192 / 38)])
def test_a_simulated_head_has_the_bytes_that_it_always_had(tmp_path, grid):
    voxels = values(shape=grid.shape)
    image = nibabel.Nifti1Image(voxels, grid.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code="mni")
    image.set_qform(grid.affine, code="mni")
    write_head(tmp_path / "head.nii.gz", voxels, grid)
    assert (tmp_path / "head.nii.gz").read_bytes() == gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
