"""A source to a scan: the right image with the right mask, what it is known to be, and everything odd about it told."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from input_files import lia, scan, subject, voxels

from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import ImageError, InputError
from neurotransfer.prepare import fastsurfer, reading
from neurotransfer.prepare.dicom import Converted
from neurotransfer.prepare.reading import opened_source
from neurotransfer.prepare.source import DICOM, SUBJECT, Source

TEMPLATE, FASTSURFER, FREESURFER = (RECIPES[name] for name in ("template", "fastsurfer", "freesurfer-fsl"))


@pytest.fixture(autouse=True)
def no_fastsurfer(monkeypatch):
    monkeypatch.setattr(fastsurfer, "find_fastsurfer", lambda: None)


def read(source, recipe=TEMPLATE):
    with opened_source(source, recipe) as opened:
        return opened


def of(path, mask=None, *declared):
    return Source("p", "", path, mask=mask, declared=frozenset(declared))


def subject_of(folder, *declared):
    return Source("p", "", folder, SUBJECT, declared=frozenset(declared))


# ---- images


@pytest.mark.parametrize("name", ["a.nii", "a b.nii.gz", "ä.mgz", "-a.mgh"])
def test_an_image_is_read_as_it_is(tmp_path, name):
    affine = np.diag([2.0, 2, 2, 1])
    opened = read(of(scan(tmp_path / name, 3, affine)))
    np.testing.assert_array_equal(opened.scan.voxels, voxels(3))
    np.testing.assert_allclose(opened.scan.affine, affine)
    assert opened.scan.voxels.dtype == np.float32
    assert (opened.scan.brain, opened.scan.properties, opened.by) == (None, frozenset(), "")
    assert (opened.warnings, opened.remarks, opened.facts) == ((), (), {})


def test_below_zero_is_air_and_a_ct_is_told(tmp_path):
    values = voxels().astype(np.int16)
    values[0, 0, 0] = -20
    opened = read(of(scan(tmp_path / "mri.nii", values=values)))
    assert opened.scan.voxels.min() == 0
    assert opened.warnings == ()
    values[0] = -20
    [said] = read(of(scan(tmp_path / "standardised.nii", values=values))).warnings
    assert "of its voxels are below zero and count as nothing: was it standardised?" in said
    values[0] = -1024
    opened = read(of(scan(tmp_path / "ct.nii", values=values)))
    assert opened.warnings == ("values down to -1024: is it a CT?",)


def test_a_ct_with_an_intercept_is_told_too(tmp_path):
    raw = bytearray(scan(tmp_path / "ct.nii", values=voxels() * 10).read_bytes())
    # slope and intercept, as converters write them
    raw[112:120] = np.array([1, -1024], "<f4").tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)
    assert "is it a CT?" in read(of(tmp_path / "ct.nii")).warnings[0]


def test_an_image_without_anything_above_zero_is_refused(tmp_path):
    path = scan(tmp_path / "a.nii", values=-voxels())
    with pytest.raises(ImageError, match=r"has no voxel above zero$"):
        read(of(path))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x1f\x8b"])
def test_what_is_no_image_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "a b.nii").write_bytes(content)
    with pytest.raises(ImageError, match=r"a b.nii"):
        read(of(tmp_path / "a b.nii"))


def test_oblique_axes_are_only_remarked_and_forms_that_differ_are_warnings(tmp_path):
    turn, shift = np.radians(10), np.eye(4)
    affine = np.diag([2.0, 2, 2, 1])
    affine[:2, :2] = 2 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    opened = read(of(scan(tmp_path / "oblique.nii", affine=affine)))
    assert opened.remarks == ("its axes are oblique, turned by up to 10 degrees",)
    assert opened.warnings == ()
    image = nibabel.Nifti1Image(voxels(), np.diag([2.0, 2, 2, 1]))
    shift[0, 3] = 5
    image.set_qform(image.affine, 1)
    image.set_sform(shift @ image.affine, 1)
    nibabel.save(image, tmp_path / "apart.nii")
    opened = read(of(tmp_path / "apart.nii"))
    assert opened.warnings == ("its sform and its qform are up to 5 mm apart; its sform was used",)
    assert opened.scan.affine[0, 3] == 5
    image.set_sform(np.eye(4), 0)
    nibabel.save(image, tmp_path / "qform.nii")
    assert read(of(tmp_path / "qform.nii")).warnings == ()


def test_declarations_are_properties(tmp_path):
    path = scan(tmp_path / "a.nii")
    assert read(of(path, None, "stripped", "unbiased")).scan.properties == {"stripped", "unbiased"}
    # a header that says MNI152 is no proof: rigid registrations say so too
    image = nibabel.load(path)
    image.set_sform(image.affine, 4)
    nibabel.save(image, tmp_path / "mni.nii")
    assert read(of(tmp_path / "mni.nii")).scan.properties == set()


def test_what_was_erased_from_a_brainmask_by_hand_stays_erased(tmp_path):
    values = voxels()
    edited = np.where(values > 100, 110, 1).astype(np.uint8)
    mask = tmp_path / "brainmask.mgz"
    nibabel.save(nibabel.MGHImage(edited, nibabel.load(scan(tmp_path / "a.nii")).affine), mask)
    np.testing.assert_array_equal(read(of(tmp_path / "a.nii", mask)).scan.brain, values > 100)


# ---- masks


def test_a_mask_is_the_brain_and_leaves_the_voxels(tmp_path):
    values = voxels()
    mask = scan(tmp_path / "m.nii", values=(values > 100).astype(np.uint8))
    opened = read(of(scan(tmp_path / "a.nii"), mask))
    np.testing.assert_array_equal(opened.scan.brain, values > 100)
    np.testing.assert_array_equal(opened.scan.voxels, values)


@pytest.mark.parametrize(
    ("shape", "affine"), [((6, 7, 9), np.diag([2.0, 2, 2, 1])), ((6, 7, 8), np.diag([-2.0, 2, 2, 1]))]
)
def test_a_mask_of_another_shape_or_orientation_is_refused(tmp_path, shape, affine):
    mask = scan(tmp_path / "m.nii", affine=affine, values=voxels(1, shape))
    with pytest.raises(ImageError, match=r"image and mask differ in shape or orientation: .*m.nii"):
        read(of(scan(tmp_path / "a.nii"), mask))


def test_a_mask_of_another_place_is_refused(tmp_path):
    affine = np.diag([2.0, 2, 2, 1])
    affine[0, 3] = 30
    mask = scan(tmp_path / "m.nii", affine=affine)
    with pytest.raises(ImageError, match="lie 30 mm apart"):
        read(of(scan(tmp_path / "a.nii"), mask))


def test_a_mask_that_leaves_nothing_is_refused(tmp_path):
    values, inside = voxels(), np.zeros((6, 7, 8), np.uint8)
    values[0], inside[0] = 0, 1
    with pytest.raises(ImageError, match="no voxel above zero inside its mask"):
        read(of(scan(tmp_path / "a.nii", values=values), scan(tmp_path / "m.nii", values=inside)))


# ---- conformed


def conformed(path, shape=(256, 256, 256), dtype=np.uint8, affine=None):
    """A large image that is nearly all zero; it is small on disk."""
    values = np.zeros(shape, dtype)
    values[100:104, 100:104, 100:104] = 9
    return scan(path, affine=lia() if affine is None else affine, values=values)


def test_a_conformed_image_is_recognised(tmp_path):
    path = conformed(tmp_path / "a.mgz")
    assert read(of(path)).scan.properties == {"conformed"}
    # only FastSurfer's recipe wants the bytes as they are
    assert read(of(path), FASTSURFER).scan.properties == {"conformed", "normalised"}


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (255, 255, 255)},
        {"shape": (256, 256, 260)},
        {"dtype": np.int16},
        {"affine": np.diag([1.0, 1, 1, 1])},
        {"affine": lia() * np.array([1, 1.1, 1, 1])},
    ],
)
def test_what_is_not_wholly_so_is_not_conformed(tmp_path, changes):
    assert read(of(conformed(tmp_path / "a.mgz", **changes)), FASTSURFER).scan.properties == frozenset()


# ---- subjects


def test_freesurfers_recipe_takes_its_brain(tmp_path):
    folder = subject(tmp_path / "A", ("orig", "brainmask", "norm"), ["scripts/recon-all.done"])
    brain = scan(folder / "mri" / "brainmask.mgz", affine=lia(), values=voxels(5, (8, 8, 8), np.uint8))
    (folder / "scripts" / "build-stamp.txt").write_text("freesurfer-7.4.1\n")
    opened = read(subject_of(folder), FREESURFER)
    np.testing.assert_array_equal(opened.scan.voxels, np.asarray(nibabel.load(brain).dataobj))
    assert opened.scan.properties >= {"stripped", "unbiased", "normalised"}
    assert opened.scan.brain is None
    assert (opened.by, opened.facts) == ("FreeSurfer", {"Tool": "FreeSurfer", "ToolVersion": "freesurfer-7.4.1"})


def test_freesurfers_recipe_takes_norm_where_there_is_no_brainmask_and_tells_where_there_is_neither(tmp_path):
    folder = subject(tmp_path / "A", ("orig", "norm"))
    assert "stripped" in read(subject_of(folder), FREESURFER).scan.properties
    (folder / "mri" / "norm.mgz").unlink()
    with pytest.raises(
        ImageError, match=r"no mri/brainmask.mgz and no mri/norm.mgz, which recipe 'freesurfer-fsl' needs"
    ):
        read(subject_of(folder), FREESURFER)


def test_the_brain_of_fastsurfer_is_not_freesurfers(tmp_path):
    folder = subject(tmp_path / "A", ("orig", "mask", "norm"))
    assert read(subject_of(folder), FREESURFER).by == "FastSurfer"


def test_fastsurfers_recipe_takes_the_head_with_its_mask(tmp_path):
    folder = subject(tmp_path / "A", ("orig", "mask", "brainmask"), ["scripts/deep-seg.log"])
    opened = read(subject_of(folder), FASTSURFER)
    assert opened.by == FASTSURFER.tool == "FastSurfer"
    np.testing.assert_array_equal(opened.scan.voxels, voxels(0, (8, 8, 8), np.uint8))
    assert opened.scan.brain.sum() == 64
    assert opened.scan.properties == {"conformed", "normalised"}


@pytest.mark.parametrize("recipe", ["template", "sfcn-ukb"])
def test_other_recipes_take_the_head_with_the_mask_too(tmp_path, recipe):
    opened = read(subject_of(subject(tmp_path / "A"), "unbiased"), RECIPES[recipe])
    assert opened.scan.properties == {"conformed", "unbiased"}
    assert opened.scan.brain.sum() == 64


def test_freesurfers_brain_is_a_mask_where_there_is_no_other(tmp_path):
    folder = subject(tmp_path / "A", ("orig", "brainmask"))
    values = np.zeros((8, 8, 8), np.uint8)
    values[2:4] = 110
    scan(folder / "mri" / "brainmask.mgz", affine=lia(), values=values)
    opened = read(subject_of(folder), FASTSURFER)
    assert opened.by == "FreeSurfer"
    np.testing.assert_array_equal(opened.scan.brain, values > 0)


def test_a_head_that_fastsurfer_left_on_its_own_axes_is_not_conformed(tmp_path):
    folder = subject(tmp_path / "A")
    for name, values in (("orig", voxels(0) * 9), ("mask", (voxels(0) > 100).astype(np.uint8))):
        scan(folder / "mri" / f"{name}.mgz", affine=np.diag([1.0, 1, 1, 1]), values=values)
    assert read(subject_of(folder), FASTSURFER).scan.properties == frozenset()


@pytest.mark.parametrize(
    ("lost", "message"),
    [("orig", "has no mri/orig.mgz; finish"), ("mask", "no mri/mask.mgz and no mri/brainmask.mgz;")],
)
def test_what_a_subject_lacks_is_told(tmp_path, lost, message):
    folder = subject(tmp_path / "A")
    (folder / "mri" / f"{lost}.mgz").unlink()
    with pytest.raises(ImageError, match=message):
        read(subject_of(folder))


def test_a_subject_that_is_gone_is_told(tmp_path):
    with pytest.raises(InputError, match="is no subject"):
        read(subject_of(tmp_path / "A"))


# ---- FastSurfer and DICOM


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """A FastSurfer of ours; the paths that it was run on."""
    from neurotransfer.prepare.subjects import read_subject

    called = []
    monkeypatch.setattr(fastsurfer, "find_fastsurfer", lambda: Path("run_fastsurfer.sh"))

    def run(image, folder):
        called.append(image)
        return read_subject(subject(folder / "scan", others=["scripts/deep-seg.log"]))

    monkeypatch.setattr(reading, "run_fastsurfer", run)
    return called


def test_a_raw_head_is_what_fastsurfer_makes_of_it(tmp_path, runs):
    values = voxels()
    values[0] = -1024
    path = scan(tmp_path / "a.nii", values=values)
    opened = read(of(path), FASTSURFER)
    assert runs == [path]
    assert opened.by == "FastSurfer"
    assert opened.scan.brain.sum() == 64
    # what is odd of the raw head is told of what was made of it
    assert opened.warnings == ("values down to -1024: is it a CT?",)
    assert read(of(path)).by == ""
    assert len(runs) == 1


def test_fastsurfer_is_not_run_on_what_cannot_be_read(tmp_path, runs):
    (tmp_path / "a.nii").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a.nii"):
        read(of(tmp_path / "a.nii"), FASTSURFER)
    assert runs == []


def test_fastsurfer_is_not_run_on_a_head_with_a_mask_or_without_a_skull(tmp_path, runs):
    path = scan(tmp_path / "a.nii")
    assert read(of(path, scan(tmp_path / "m.nii")), FASTSURFER).by == ""
    assert read(of(path, None, "stripped"), FASTSURFER).by == ""
    assert runs == []


@pytest.fixture
def converts(monkeypatch):
    places = []

    def convert(folder, out, series=None):
        places.append(out)
        return Converted(scan(out / "T1w.nii", 7), 3, {"EchoTime": 0.003}, "v1")

    monkeypatch.setattr(reading, "convert_dicom", convert)
    return places


def test_dicom_is_converted_to_a_place_that_is_removed(tmp_path, converts):
    with opened_source(Source("p", "", tmp_path, DICOM, declared=frozenset({"unbiased"})), TEMPLATE) as opened:
        assert converts[0].is_dir()
    assert not converts[0].exists()
    np.testing.assert_array_equal(opened.scan.voxels, voxels(7))
    assert opened.scan.properties == {"unbiased"}
    assert opened.facts == {"Converter": "dcm2niix v1", "EchoTime": 0.003}
    assert str(tmp_path) not in repr(opened.facts)


def test_dicom_goes_through_fastsurfer_too_and_tells_both(tmp_path, converts, runs):
    opened = read(Source("p", "", tmp_path, DICOM), FASTSURFER)
    assert [path.name for path in runs] == ["T1w.nii"]
    assert opened.by == "FastSurfer"
    assert set(opened.facts) == {"Converter", "EchoTime", "Tool", "ToolVersion"}


def test_the_place_is_removed_where_something_fails(tmp_path, converts):
    with pytest.raises(RuntimeError), opened_source(Source("p", "", tmp_path, DICOM), TEMPLATE):
        raise RuntimeError
    assert not converts[0].exists()
