"""Headers: what is read of them, what is refused before a voxel is read, and what is worth a remark."""

import re
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from cohort_phantoms import noise
from nibabel.orientations import inv_ornt_aff, io_orientation

from neurotransfer.cohort.header import (
    HEADER_BYTES,
    apart_mm,
    problem_of_affine,
    problem_of_shape,
    read_header,
    require_fitting,
)
from neurotransfer.cohort.images import opened
from neurotransfer.cohort.remarks import remarks_of_header
from neurotransfer.errors import ImageError

AFFINE = np.diag([4.0, 4, 4, 1])
NIFTI, MGH = Path("scan.nii.gz"), Path("scan.mgz")
PLACES = {
    "dim": (40, "8h"),
    "type": (70, "h"),
    "pixdim": (76, "4f"),
    "offset": (108, "f"),
    "slope": (112, "2f"),
    "codes": (252, "2h"),
    "quaternion": (256, "3f"),
    "srow": (280, "12f"),
    "magic": (344, "4s"),
}
MGH_PLACES = {
    "version": (0, "i"),
    "dim": (4, "4i"),
    "type": (20, "i"),
    "good": (28, "h"),
    "delta": (30, "3f"),
    "cosines": (42, "9f"),
}


def both(sform=AFFINE, qform=AFFINE, codes=(1, 1), shape=(6, 7, 8)):
    """An image with these forms, whatever they are."""
    image = nibabel.Nifti1Image(np.asanyarray(noise(0, shape).dataobj), sform)
    image.set_qform(qform, codes[0])
    image.set_sform(sform, codes[1])
    return image


def nifti(image=None, **fields):
    """The bytes of an image whose header has these fields."""
    content = bytearray((both() if image is None else image).to_bytes())
    for name, values in fields.items():
        place, form = PLACES[name]
        values = (*values, *(1,) * (8 - len(values))) if name == "dim" else values
        struct.pack_into(f"<{form}", content, place, *values)
    return bytes(content)


def mgh(**fields):
    content = bytearray(nibabel.MGHImage(np.asarray(noise(0).dataobj, np.int16), AFFINE).to_bytes())
    for name, values in fields.items():
        place, form = MGH_PLACES[name]
        struct.pack_into(f">{form}", content, place, *values)
    return bytes(content)


def swapped():
    image = both()
    return nibabel.Nifti1Image(image.dataobj, None, image.header.as_byteswapped(">"))


@pytest.mark.parametrize(
    ("content", "path", "offset"),
    [
        (nifti(), NIFTI, 352),
        (swapped().to_bytes(), Path("a.NII"), 352),
        (nibabel.Nifti2Image.from_image(both()).to_bytes(), NIFTI, 544),
        (mgh(), MGH, 284),
        (mgh(), Path("scan.mgh"), 284),
    ],
)
def test_what_the_header_of_each_format_says(content, path, offset):
    header = read_header(content[:HEADER_BYTES], path)
    assert (header.shape, header.offset, header.n_bytes) == ((6, 7, 8), offset, 2 * 6 * 7 * 8)
    assert (header.dtype.kind, header.dtype.itemsize) == ("i", 2)
    np.testing.assert_allclose(header.affine, AFFINE, atol=1e-5)


DAMAGED = {
    "as many voxels as dimensions can say": (
        {"dim": (3, 30000, 30000, 30000)},
        "30000 x 30000 x 30000 voxels; allowed",
    ),
    "negative dimensions": ({"dim": (3, -6, 7, 8)}, "is empty, shape [(]-6, 7, 8[)]"),
    "no dimensions": ({"dim": (0, 6, 7, 8)}, "three dimensions"),
    "a surface of FreeSurfer": ({"dim": (3, 27307, 1, 6)}, "single slice"),
    "a slice": ({"dim": (3, 6, 56, 1)}, "single slice"),
    "two dimensions": ({"dim": (2, 6, 56, 1)}, "three dimensions"),
    "two volumes": ({"dim": (4, 6, 7, 4, 2)}, "has shape .*choose one volume"),
    "zero voxel size": ({"pixdim": (1, 4, 0, 4)}, "voxel sizes of 4 x 0 x 4 mm in its header; allowed: 0.05 to 30"),
    "negative voxel size": ({"pixdim": (1, -4, 4, 4)}, "voxel sizes of -4 x 4 x 4 mm"),
    "NaN voxel size": ({"pixdim": (1, 4, 4, np.nan)}, "voxel sizes of 4 x 4 x nan mm"),
    "infinite voxel size": ({"pixdim": (1, np.inf, 4, 4)}, "voxel sizes of inf x 4 x 4 mm"),
    "NaN handedness": ({"pixdim": (np.nan, 4, 4, 4)}, "pixdim.0. of nan; allowed: 1 or -1"),
    "no such handedness": ({"pixdim": (-3, 4, 4, 4)}, "pixdim.0. of -3; allowed: 1 or -1"),
    "voxels in the header": ({"offset": (0,)}, "voxels from byte 0 on; allowed: 352 to"),
    "voxels far away": ({"offset": (1e9,)}, "voxels from byte 1000000000 on; allowed: 352 to 67108864"),
    "colour": ({"type": (128,)}, "values of type .*; allowed: numbers"),
    "colour with opacity": ({"type": (2304,)}, "values of type .*; allowed: numbers"),
    "complex": ({"type": (32,)}, "values of type complex64; allowed: numbers"),
    "complex of 128 bits": ({"type": (1792,)}, "values of type complex128; allowed: numbers"),
    "flat": ({"srow": (4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)}, "affine that maps no volume"),
    "nowhere": ({"srow": (4, 0, 0, np.nan, 0, 4, 0, 0, 0, 0, 4, 0)}, "affine that maps no volume"),
    "no codes": ({"codes": (0, 0)}, "does not say where left is .*set_sform"),
    "codes that do not exist": ({"codes": (77, -5)}, "does not say where left is"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_nifti_header_is_refused_and_named(kind):
    fields, message = DAMAGED[kind]
    with pytest.raises(ImageError, match=message) as caught:
        read_header(nifti(**fields), NIFTI)
    assert repr(str(NIFTI)) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin with the header of a NIfTI file"),
        (b"participant_id\tage\n" * 40, "does not begin with the header of a NIfTI file"),
        (nifti()[:300], "does not begin with"),
        (b"\x1f\x8b" + nifti()[:20], "does not end in .gz: rename it"),
        (nifti(magic=(b"ni1\0",)), "convert the pair to one NIfTI file"),
        (nifti(offset=(np.nan,)), "NaN"),
    ],
)
def test_what_is_no_nifti_header_says_why(content, message):
    with pytest.raises(ValueError, match=message):
        read_header(content, NIFTI)


DAMAGED_MGH = {
    "no orientation": ({"good": (0,)}, "does not say where left is .its goodRASFlag is 0."),
    "a negative flag": ({"good": (-1,)}, "does not say where left is"),
    "too many voxels": ({"dim": (30000, 30000, 30000, 1)}, "30000 x 30000 x 30000 voxels"),
    "most voxels": ({"dim": (2**31 - 1,) * 3 + (1,)}, "voxels; allowed: 134217728 in all"),
    "negative dimensions": ({"dim": (6, -7, 8, 1)}, "is empty"),
    "empty": ({"dim": (6, 7, 0, 1)}, "is empty"),
    "two frames": ({"dim": (6, 7, 4, 2)}, "choose one volume"),
    "zero voxel size": ({"delta": (4, 0, 4)}, "voxel sizes of 4 x 0 x 4 mm"),
    "negative voxel size": ({"delta": (4, 4, -4)}, "voxel sizes of 4 x 4 x -4 mm"),
    "NaN voxel size": ({"delta": (np.nan, 4, 4)}, "voxel sizes of nan"),
    "NaN cosines": ({"cosines": (np.nan,) * 9}, "maps no volume"),
    "flat": ({"cosines": (1, 0, 0, 1, 0, 0, 0, 0, 1)}, "maps no volume"),
    "infinite cosines": ({"cosines": (np.inf, 0, 0, 0, 1, 0, 0, 0, 1)}, "maps no volume"),
}


@pytest.mark.parametrize("kind", DAMAGED_MGH)
def test_a_damaged_mgh_header_is_refused_and_named(kind):
    fields, message = DAMAGED_MGH[kind]
    with pytest.raises(ImageError, match=message) as caught:
        read_header(mgh(**fields), MGH)
    assert repr(str(MGH)) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mgh()[:80], "it has 80 bytes; the header alone has 90"),
        (mgh(version=(2,)), "version is 2"),
        (mgh(type=(2,)), "type with number 2"),
        (mgh(type=(-7,)), "type with number -7"),
    ],
)
def test_what_is_no_mgh_header_says_why(content, message):
    with pytest.raises(ValueError, match=message):
        read_header(content, MGH)


@pytest.mark.parametrize("fields", [{"codes": (77, 1)}, {"offset": (353,)}])
def test_what_is_mended_in_silence_does_not_speak(fields, caplog):
    header = read_header(nifti(**fields), NIFTI)
    assert header.image(NIFTI).shape == (6, 7, 8)
    assert "nibabel.global" not in [record.name for record in caplog.records]
    nibabel.Nifti1Header(nifti(**fields)[:348])
    assert "nibabel.global" in [record.name for record in caplog.records]


def test_an_image_reads_its_header_without_its_voxels():
    header = read_header(nifti(dim=(5, 6, 7, 8, 1, 1)), NIFTI)
    assert header.shape == (6, 7, 8)
    image = header.image(Path("there/is/no/such/file.nii"))
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert image.header["sform_code"] == 1


@pytest.mark.parametrize(
    ("file_bytes", "compressed", "fits"),
    [(352 + 672, False, True), (352 + 671, False, False), (1, True, True), (0, True, False)],
)
def test_a_file_must_have_room_for_what_its_header_promises(file_bytes, compressed, fits):
    header = read_header(nifti(), NIFTI)
    if fits:
        require_fitting(header, file_bytes, compressed)
    else:
        with pytest.raises(ValueError, match=f"promises 672 bytes of voxels from byte 352 on.* has {file_bytes} bytes"):
            require_fitting(header, file_bytes, compressed)


@pytest.mark.parametrize(
    ("shape", "wrong"),
    [((512, 512, 512), False), ((513, 512, 512), True), ((2, 2, 2), False), ((6, 7, 1), True), ((6, 7, 8, 2), True)],
)
def test_a_head_has_so_many_voxels(shape, wrong):
    assert bool(problem_of_shape(shape)) == wrong


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (AFFINE, "^$"),
        (np.diag([-0.05, 30, 1, 1]), "^$"),
        (np.diag([0.04, 1, 1, 1]), "0.04 x 1 x 1 mm; allowed: 0.05 to 30"),
        (np.diag([1.0, 31, 1, 1]), "1 x 31 x 1 mm"),
        (np.zeros((4, 4)), "maps no volume"),
        (np.full((4, 4), np.inf), "maps no volume"),
        (np.full((4, 4), np.nan), "maps no volume"),
        (np.diag([1e300, 1, 1, 1]), "maps no volume"),
    ],
)
def test_an_affine_maps_a_volume_of_millimetres(affine, message):
    assert re.search(message, problem_of_affine(affine))


FLIPPED = np.diag([-4.0, 4, 4, 1])
TURNED = np.array([[0, 4.0, 0, 0], [4, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("other", [FLIPPED, np.diag([4.0, -4, 4, 1]), np.diag([-4.0, -4, 4, 1]), TURNED])
@pytest.mark.parametrize("order", [1, -1])
def test_forms_that_disagree_on_left_and_right_or_on_axes_are_refused(tmp_path, other, order):
    image = both(*(AFFINE, other)[::order])
    path = tmp_path / "scan.nii"
    path.write_bytes(image.to_bytes())
    with pytest.raises(ImageError, match=r"by its sform that its axes are .*; mend its header by the DICOM"):
        opened(path)


def test_axes_of_the_same_names_have_the_same_hand():
    random = np.random.default_rng(0)
    for _ in range(500):
        affine = np.eye(4)
        affine[:3, :3] = random.normal(size=(3, 3))
        if abs(np.linalg.det(affine)) > 0.01:
            axes = inv_ornt_aff(io_orientation(affine), (1, 1, 1))[:3, :3]
            assert np.linalg.det(axes) * np.linalg.det(affine) > 0


@pytest.mark.parametrize("number", [1e300, -1e155, np.nan, np.inf, 1e-300])
def test_numbers_of_64_bits_overflow_in_silence(number):
    fields = nibabel.Nifti2Image.from_image(both()).header
    fields["srow_x"][0], fields["vox_offset"] = number, 544
    with pytest.raises(ImageError, match=r"scan.nii.gz' has an affine that maps no volume|has voxels of"):
        read_header(fields.binaryblock, NIFTI)


@pytest.mark.parametrize("codes", [(0, 1), (1, 0), (2, 0), (0, 4)])
def test_a_form_whose_code_is_zero_contradicts_nothing(codes):
    used = FLIPPED if codes[0] else AFFINE
    image = both(AFFINE, FLIPPED, codes)
    np.testing.assert_allclose(read_header(image.to_bytes(), NIFTI).affine, used, atol=1e-6)
    assert remarks_of_header(image)[:1] == ("its voxels are coarse, 4 x 4 x 4 mm; small structures may be lost in sides "
                                            "above 2.5 mm",)  # fmt: skip


def turned(degrees, sides_mm=(1, 1, 1)):
    affine, angle = np.eye(4), np.radians(degrees)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine @ np.diag([*sides_mm, 1])


def test_forms_on_both_sides_of_45_degrees_that_lie_together_are_read():
    image = both(turned(44.99), turned(45.01))
    np.testing.assert_allclose(read_header(image.to_bytes(), NIFTI).affine, turned(44.99), atol=1e-6)


SHEARED = np.eye(4) + 0.1 * np.eye(4, k=1) * (np.arange(4) < 1)[:, None]
CASES = {
    "nothing": (both(np.eye(4), np.eye(4)), ()),
    "together": (both(np.eye(4), np.eye(4) + 0.9 * np.eye(4, k=3)), ()),
    "apart": (both(np.eye(4), np.eye(4) + 7 * np.eye(4, k=3)), ("sform and its qform are up to 7 mm apart; its sform",)),
    "a code is zero": (both(np.eye(4), np.eye(4) + 7 * np.eye(4, k=3), (0, 1)), ()),
    "larger": (both(np.eye(4), np.diag([1.2, 1, 1, 1]), shape=(11, 7, 8)), ("are up to 2 mm apart",)),
    "thick slices": (both(np.diag([1, 1, 4.0, 1]), np.diag([1, 1, 4.0, 1])), ("coarse, 1 x 1 x 4 mm",)),
    "long voxels": (both(np.diag([0.5, 0.5, 2, 1]), np.diag([0.5, 0.5, 2, 1])), ("more than 3 times as long",)),
    "at the limits": (both(np.diag([1, 1, 2.5, 1]), np.diag([1, 1, 2.5, 1])), ()),
    "oblique": (both(turned(12), turned(12)), ("turned by up to 12 degrees",)),
    "hardly oblique": (both(turned(4.9), turned(4.9)), ()),
    "sheared": (both(SHEARED, SHEARED, (0, 1)), ("turned by up to 5.71 degrees", "sheared, by up to 5.71 degrees")),
    "no NIfTI": (nibabel.MGHImage(np.zeros((6, 7, 8), np.int16), turned(12)), ("turned by up to 12 degrees",)),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_remarks_tell_what_is_odd_but_can_be_used(kind):
    image, expected = CASES[kind]
    found = remarks_of_header(image)
    assert len(found) == len(expected)
    assert all(part in remark for part, remark in zip(expected, found, strict=True))


@pytest.mark.parametrize("fields", [{"quaternion": (0.9, 0.9, 0.9)}, {"quaternion": (np.nan, 0, 0)}])
def test_a_damaged_qform_beside_an_sform_is_remarked(tmp_path, fields):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(**fields))
    image, _ = opened(path)
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert "its qform is damaged; its sform was used" in remarks_of_header(image)
    path.write_bytes(nifti(codes=(1, 0), **fields))
    with pytest.raises(ImageError, match=r"cannot read|maps no volume"):
        opened(path)


def test_how_far_two_affines_are_apart():
    assert apart_mm((5, 5, 5), AFFINE, AFFINE) == 0
    assert apart_mm((5, 6, 7), AFFINE, AFFINE + 3 * np.eye(4, k=3)) == 3
    assert apart_mm((5, 5, 5, 1), AFFINE, FLIPPED) == 32
