"""Opening images: what is read as the same, and everything that is refused."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
from cohort_phantoms import ORIENTATIONS, SHARED, noise, phantom, reoriented, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurotransfer.cohort.images import IMAGE_SUFFIXES, describe_image, examine_scan, opened, read_image
from neurotransfer.errors import ImageError, InputError

AFFINE = np.diag([4.0, 4, 4, 1])


def made(voxels, affine=AFFINE):
    return nibabel.Nifti1Image(voxels, affine)


def raw(path, image):
    """The bytes of a valid uncompressed file."""
    return bytearray(save(image, path.with_name("whole.nii")).read_bytes())


def write_text(path):
    path.write_text("participant_id\tage\n")


def write_truncated(path):
    whole = save(noise(0, (30, 30, 30)), path.with_name(f"whole{''.join(path.suffixes)}")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def write_with(values):
    def write(path):
        voxels = np.ones((5, 6, 7), np.float32)
        voxels.flat[: len(values)] = values
        nibabel.save(made(voxels), path)

    return write


def write_voxels(voxels, affine=AFFINE):
    return lambda path: nibabel.save(made(voxels, affine), path)


def write_header(**fields):
    def write(path):
        image = noise(0)
        image.header["sform_code"] = 1
        content = raw(path, image)
        offsets = {
            "dim": (40, "8h"),
            "offset": (108, "f"),
            "codes": (252, "2h"),
            "srow": (280, "12f"),
            "slope": (112, "2f"),
            "type": (70, "h"),
        }
        for name, values in fields.items():
            place, form = offsets[name]
            struct.pack_into(f"<{form}", content, place, *values)
        path.write_bytes(content if path.suffix == ".nii" else gzip.compress(content))

    return write


def write_damaged_gzip(path):
    content = bytearray(gzip.compress(bytes(raw(path, noise(0))), compresslevel=0))
    content[-100] ^= 1
    path.write_bytes(content)


def write_gzip_without_its_end(path):
    path.write_bytes(gzip.compress(bytes(raw(path, noise(0))))[:-8])


RGB = np.zeros((5, 6, 7), [("R", "u1"), ("G", "u1"), ("B", "u1")])
REFUSED = {
    "text": (write_text, "cannot read .* may be truncated or no NIfTI"),
    "truncated": (write_truncated, "cannot read"),
    "without a byte": (lambda path: path.write_bytes(b""), "cannot read"),
    "a header alone": (lambda path: path.write_bytes(bytes(raw(path, noise(0))[:352])), "cannot read"),
    "constant": (write_voxels(np.full((5, 6, 7), 3, np.int16)), "is constant, every voxel is 3"),
    "zero": (write_voxels(np.zeros((5, 6, 7), np.int16)), "is constant, every voxel is 0"),
    "one voxel": (write_voxels(np.ones((1, 1, 1), np.int16)), "single slice"),
    "NaN": (write_with([np.nan]), "has NaN or infinite values; mend it"),
    "infinite": (write_with([np.inf]), "has NaN or infinite values; mend it"),
    "minus infinite": (write_with([-np.inf]), "has NaN or infinite values; mend it"),
    "huge": (write_with([1e36]), "has values from 1 to 1e[+]36; its header or its scaling is damaged"),
    "4D": (write_voxels(np.ones((4, 4, 4, 2), np.int16)), "three dimensions: choose one volume"),
    "5D": (write_voxels(np.ones((4, 4, 4, 1, 3), np.int16)), "three dimensions: choose one volume"),
    "2D": (write_voxels(np.ones((4, 4), np.int16)), "three dimensions"),
    "empty": (write_voxels(np.ones((4, 0, 4), np.int16)), "is empty|three dimensions"),
    "colour": (write_voxels(RGB), "allowed: numbers"),
    "complex": (write_voxels((noise(0).get_fdata() * 1j).astype(np.complex64)), "allowed: numbers"),
    "flat affine": (write_header(srow=(4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)), "affine that maps no volume|cannot read"),
    "sheared flat": (write_header(srow=(4, 4, 0, 0, 4, 4, 0, 0, 0, 0, 4, 0)), "affine that maps no volume|cannot read"),
    "NaN affine": (
        write_header(srow=(4, 0, 0, np.nan, 0, 4, 0, 0, 0, 0, 4, 0)),
        "affine that maps no volume|cannot read",
    ),
    "in metres": (
        write_voxels(noise(0).get_fdata(), np.diag([1e-3, 1e-3, 1e-3, 1])),
        "0.001 x 0.001 x 0.001 mm; allowed",
    ),
    "in micrometres": (
        write_voxels(noise(0).get_fdata(), np.diag([1e3, 1e3, 1e3, 1])),
        "1e[+]03 x 1e[+]03 x 1e[+]03 mm",
    ),
    "no orientation": (write_header(codes=(0, 0)), "does not say where left is"),
    "NaN intercept": (write_header(slope=(2, np.nan)), "cannot read|NaN"),
    "more voxels than bytes": (
        write_header(dim=(3, 150, 150, 150, 1, 1, 1, 1)),
        "cannot read .*its header promises 6750000 bytes of voxels from byte 352 on, and the file has",
    ),
    "more bytes than voxels, a few": (write_header(dim=(3, 6, 7, 9, 1, 1, 1, 1)), "cannot read .*(promises|it ends)"),
    "voxels before the file": (write_header(offset=(-64,)), "cannot read .*vox offset -64 too low"),
    "voxels after the file": (write_header(offset=(8000,)), "cannot read .*(promises|it ends)"),
    "no header": (lambda path: path.write_bytes(gzip.compress(b"")), "cannot read"),
    "no such type": (write_header(type=(9999,)), "cannot read"),
}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_scan_is_refused_and_named(tmp_path, kind, suffix):
    write, message = REFUSED[kind]
    path = tmp_path / f"scan{suffix}"
    write(path)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ImageError):
        examine_scan(path)


@pytest.mark.parametrize("name", ["absent.nii", "x" * 300 + ".nii", "nul\0.nii", ".", "", "a/b/c.nii.gz"])
def test_a_path_that_is_no_file_is_no_image(tmp_path, name):
    with pytest.raises(ImageError, match="no such image"):
        read_image(tmp_path / name)


def write_folder(path):
    path.mkdir()


def write_loop(path):
    other = path.with_name("other.nii.gz")
    other.symlink_to(path)
    path.symlink_to(other)


def write_link_to_nothing(path):
    path.symlink_to("nothing.nii.gz")


def write_link_to_itself_as_a_folder(path):
    path.symlink_to(path / "within")


def write_link_to_a_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_folder, "it is a folder; give a file"),
        (os.mkfifo, "it is a pipe or a device; give a file"),
        (write_link_to_a_device, "it is a pipe or a device; give a file"),
        (write_loop, "or it cannot be reached: Too many levels of symbolic links"),
        (write_link_to_itself_as_a_folder, "or it cannot be reached: Too many levels of symbolic links"),
        (write_link_to_nothing, ""),
    ],
)
def test_what_is_no_regular_file_is_told_and_does_not_hang(tmp_path, write, message):
    path = tmp_path / "a.nii.gz"
    write(path)
    with pytest.raises(ImageError, match=f"no such image .*a.nii.gz'.*{message}"):
        read_image(path)


@contextmanager
def somebody_else():
    """Root may read everything: be nobody for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_no_right_to_read_is_told():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "within" / "a.nii.gz"
        save(noise(0), path)
        Path(folder).chmod(0o755)
        path.chmod(0)
        with somebody_else(), pytest.raises(ImageError, match=r"cannot read .*: Permission denied; ask its owner"):
            read_image(path)
        path.parent.chmod(0)
        with somebody_else(), pytest.raises(ImageError, match=r"no such image .* cannot be reached: Permission denied"):
            read_image(path)
        path.parent.chmod(0o755)


NAMES = [
    "with spaces.nii",
    "Größe 頭.nii.gz",
    os.fsdecode(b"\xff\xfe.nii.gz"),
    "quo'te\"s.mgz",
    "new\nline.nii",
    "UP.NII.GZ",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read_and_can_be_printed_when_it_is_refused(tmp_path, name):
    path, image = tmp_path / name, noise(0)
    kind = nibabel.MGHImage if name.endswith(".mgz") else nibabel.Nifti1Image
    content = kind(np.asarray(image.dataobj, np.int16), image.affine).to_bytes()
    path.write_bytes(content if name.endswith(".nii") else gzip.compress(content))
    np.testing.assert_array_equal(opened(path)[1], image.dataobj)
    assert examine_scan(path).remark == ""
    path.write_bytes(b"no image")
    with pytest.raises(ImageError, match="cannot read") as caught:
        read_image(path)
    assert len(str(caught.value).encode().splitlines()) == 1


@pytest.mark.parametrize("name", ["a.img", "a.hdr", "a.img.gz", "a.mnc", "a.dcm", "a.nii.bz2", "a"])
def test_another_format_is_refused_with_advice(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(nibabel.Nifti1Image(noise(0).dataobj, AFFINE).to_bytes())
    with pytest.raises(ImageError, match=r"is no image that can be read; allowed: .*: convert it to NIfTI"):
        read_image(path)


def test_a_pair_of_header_and_voxels_is_refused_with_advice(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(noise(0).dataobj, AFFINE), tmp_path / "a.img")
    for name in ("a.img", "a.hdr"):
        with pytest.raises(ImageError, match="convert it to NIfTI"):
            read_image(tmp_path / name)
    (tmp_path / "a.hdr").rename(tmp_path / "a.nii")
    with pytest.raises(ImageError, match="convert the pair to one NIfTI file"):
        read_image(tmp_path / "a.nii")


def test_an_image_with_extensions_is_read_without_them(tmp_path):
    image = noise(0)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"who was scanned"))
    path = save(image, tmp_path / "scan.nii.gz")
    content = bytearray(gzip.decompress(path.read_bytes()))
    # a size of an extension that would read the file to its end, or nothing
    for size in (-5, 0, 7, 2**31 - 1):
        struct.pack_into("<i", content, 352, size)
        path.write_bytes(gzip.compress(bytes(content)))
        found, voxels = opened(path)
        np.testing.assert_array_equal(voxels, image.dataobj)
        assert not found.header.extensions


# in a process of its own, whose memory it measures: each file must be told apart without ever taking 2 GiB
MEMORY = r"""
import gzip, json, sys
from pathlib import Path
import nibabel, numpy as np
from neurotransfer.cohort.images import examine_scan
from neurotransfer.errors import ImageError

folder = Path(sys.argv[1])
zeros = gzip.compress(bytes(2**24), compresslevel=9, mtime=0)

def header(shape, dtype):
    fields = nibabel.Nifti2Header()
    fields["dim"][:4] = 3, *shape
    fields["pixdim"][:4] = 1
    fields.set_data_dtype(dtype)
    fields.set_sform(np.diag([0.4, 0.4, 0.4, 1]), 1)
    fields["vox_offset"] = 544
    return fields.binaryblock + bytes(4)

def sparse(name, shape, dtype, values):
    with (folder / name).open("wb") as file:
        file.write(header(shape, dtype))
        file.seek(544 + 2**26 * np.dtype(dtype).itemsize)
        file.write((1 + np.arange(values) % 99).astype(dtype).tobytes())
        file.truncate(544 + 2**27 * np.dtype(dtype).itemsize)

def packed(name, shape, dtype, members):
    (folder / name).write_bytes(gzip.compress(header(shape, dtype)) + members * zeros)

packed("promise.nii.gz", (30000,) * 3, "u1", 1)
packed("small.nii.gz", (512,) * 3, "f8", 1)
packed("bomb.nii.gz", (3,) * 3, "u1", 1000)
packed("zeros.nii.gz", (512,) * 3, "u1", 8)
sparse("promise.nii", (30000,) * 3, "u1", 9)
sparse("beyond.nii", (512, 512, 513), "u1", 9)
sparse("largest.nii", (512,) * 3, "f8", 2**23)
found = {}
for path in sorted(folder.iterdir()):
    try:
        found[path.name] = examine_scan(path).remark
    except ImageError as error:
        found[path.name] = str(error)
# of this process alone: ru_maxrss begins with what the one had that started it
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
found["GiB"] = int(peak.split()[1]) / 2**20
print(json.dumps(found))
"""


@pytest.mark.slow
def test_no_file_takes_more_memory_than_a_head_may(tmp_path):
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found.pop("GiB") < 1.75
    assert re.search(r"promise.nii.gz' has 30000 x 30000 x 30000 voxels; allowed: 134217728", found["promise.nii.gz"])
    assert re.search(r"promise.nii' has 30000 x 30000 x 30000 voxels", found["promise.nii"])
    assert re.search(r"512 x 512 x 513 voxels", found["beyond.nii"])
    assert re.search(r"promises 1073741824 bytes .*, which hold at most \d+ when", found["small.nii.gz"])
    assert re.search(r"goes on for more than 67108864 bytes after its last voxel", found["bomb.nii.gz"])
    assert re.search(r"is constant, every voxel is 0", found["zeros.nii.gz"])
    assert found["largest.nii"] == ""


@pytest.mark.parametrize("write", [write_damaged_gzip, write_gzip_without_its_end])
def test_a_compressed_file_whose_checksum_fails_is_refused(tmp_path, write):
    path = tmp_path / "scan.nii.gz"
    write(path)
    nibabel.load(path).get_fdata()
    with pytest.raises(ImageError, match="cannot read"):
        read_image(path)


def test_a_text_file_named_mgz_and_a_truncated_mgz_are_refused(tmp_path):
    for write in (write_text, lambda path: path.write_bytes(gzip.compress(b"\0" * 400))):
        path = tmp_path / "scan.mgz"
        write(path)
        with pytest.raises(ImageError, match="cannot read"):
            read_image(path)
    whole = save(nibabel.MGHImage(noise(0, (9, 9, 9)).get_fdata(dtype=np.float32), AFFINE), tmp_path / "good.mgz")
    path.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(ImageError, match="cannot read"):
        read_image(path)


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_format_gives_the_same_voxels_and_place(tmp_path, suffix):
    image = noise(1, affine=np.array([[-4.0, 0, 0, 10], [0, 0, 3, -5], [0, 2, 0, 7], [0, 0, 0, 1]]))
    kind = nibabel.MGHImage if suffix.startswith(".mg") else nibabel.Nifti1Image
    path = save(kind(np.asarray(image.dataobj, np.int16), image.affine), tmp_path / f"scan{suffix}")
    found, voxels = opened(path)
    np.testing.assert_array_equal(voxels, image.dataobj)
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    assert describe_image(path) == ((6, 7, 8), "LSA")


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_the_orientation_is_told_as_it_is_stored(tmp_path, codes):
    path = save(reoriented(noise(0), codes), tmp_path / "scan.nii")
    shape, found = describe_image(path)
    assert found == codes
    assert sorted(shape) == [6, 7, 8]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_every_type_of_numbers_is_read(tmp_path, dtype):
    voxels = np.random.default_rng(0).integers(0, 100, (5, 6, 7)).astype(dtype)
    path = save(nibabel.Nifti1Image(voxels, AFFINE, dtype=dtype), tmp_path / "scan.nii.gz")
    found = opened(path)[1]
    np.testing.assert_array_equal(found, voxels)
    assert found.dtype == (dtype if dtype[0] in "iu" else "f4")


@pytest.mark.parametrize("dtype", [">u1", ">i2", ">u4", ">f4", ">f8", "<i8", "<u8"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_order_of_bytes_is_read_and_64_bits_become_float32(tmp_path, dtype, suffix):
    voxels = np.random.default_rng(0).integers(0, 200, (5, 6, 7)).astype(dtype)
    header = nibabel.Nifti1Header(endianness=dtype[0])
    header.set_data_dtype(voxels.dtype)
    found = opened(save(nibabel.Nifti1Image(voxels, AFFINE, header), tmp_path / f"scan{suffix}"))[1]
    np.testing.assert_array_equal(found, voxels)
    assert found.dtype == (dtype[1:] if dtype[1] in "iu" and dtype[2] != "8" else "f4")
    assert found.dtype.isnative


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_slope_and_intercept_of_the_header_are_applied(tmp_path, dtype, suffix):
    image = made(np.asarray(noise(3).dataobj, dtype))
    image.header.set_slope_inter(0.37, -10.1)
    path = save(image, tmp_path / f"scan{suffix}")
    expected = np.asarray(nibabel.load(path).dataobj).astype(np.float32)
    found = opened(path)[1]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_an_image_of_many_parts_is_read_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("neurotransfer.cohort.images.VOXELS_AT_ONCE", 37)
    image = noise(3)
    for suffix in (".nii", ".nii.gz"):
        np.testing.assert_array_equal(opened(save(image, tmp_path / f"scan{suffix}"))[1], image.dataobj)


@pytest.mark.parametrize("slope", [0, np.nan, np.inf])
def test_a_slope_that_is_none_leaves_the_values_as_they_are(tmp_path, slope):
    path = tmp_path / "scan.nii"
    write_header(slope=(slope, 0))(path)
    np.testing.assert_array_equal(opened(path)[1], noise(0).dataobj)


def test_the_extremes_of_int16_do_not_overflow(tmp_path):
    voxels = np.zeros((5, 6, 7), np.int16)
    voxels[0, 0, 0], voxels[1, 1, 1] = -32768, 32767
    found = opened(save(made(voxels), tmp_path / "scan.nii"))[1]
    assert (found.min(), found.max()) == (-32768, 32767)


def test_the_sform_is_preferred_and_the_qform_is_used_without_it(tmp_path):
    image = noise(0)
    sform, qform = np.diag([-2.0, 2, 2, 1]), np.diag([-3.0, 3, 3, 1])
    image.set_sform(sform, 4)
    image.set_qform(qform, 1)
    np.testing.assert_allclose(read_image(save(image, tmp_path / "both.nii")).affine, sform)
    image.set_sform(None, 0)
    path = save(image, tmp_path / "qform.nii")
    np.testing.assert_allclose(read_image(path).affine, qform)
    assert describe_image(path)[1] == "LAS"


def test_one_volume_of_a_fourth_dimension_is_three_dimensions(tmp_path):
    voxels = noise(0).get_fdata()[..., None].astype(np.int16)
    path = save(made(voxels), tmp_path / "scan.nii")
    assert describe_image(path)[0] == (6, 7, 8)
    assert examine_scan(path)[:2] == (((6, 7, 8), "RAS"), "")


def half_mask(affine=AFFINE, shape=(6, 7, 8)):
    inside = np.zeros(shape, np.uint8)
    inside[: shape[0] // 2] = 1
    return made(inside, affine)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (half_mask(), ""),
        (half_mask(AFFINE + np.eye(4, k=3)), ""),
        (half_mask(np.diag([-4.0, 4, 4, 1])), "image and mask differ in shape or orientation: .* LAS, .* RAS"),
        (half_mask(shape=(7, 7, 8)), "image and mask differ in shape or orientation"),
        (half_mask(AFFINE + 9 * np.eye(4, k=3)), "image and mask lie 9 mm apart"),
        (half_mask(np.diag([4.5, 4, 4, 1])), "image and mask lie 2.5 mm apart"),
        (made(np.ones((6, 7, 8), np.uint8)), "mask.nii' is constant"),
    ],
)
def test_a_mask_must_lie_where_its_image_lies(tmp_path, mask, message):
    scan, inside = save(noise(0), tmp_path / "scan.nii"), save(mask, tmp_path / "mask.nii")
    described, remark, _ = examine_scan(scan, inside)
    assert described == ((6, 7, 8), "RAS")
    assert re.search(message, remark)
    assert bool(message) == bool(remark)


def test_a_mask_that_leaves_nothing_is_told(tmp_path):
    voxels = np.zeros((6, 7, 8), np.int16)
    voxels[3:] = 5
    scan, mask = save(made(voxels), tmp_path / "scan.nii"), save(half_mask(), tmp_path / "mask.nii")
    assert "no voxel above zero inside its mask" in examine_scan(scan, mask)[1]
    assert "no such image" in examine_scan(scan, tmp_path / "absent.nii")[1]
    below = save(made(-voxels - 1), tmp_path / "below.nii")
    assert "has no voxel above zero" in examine_scan(below)[1]


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(content=st.binary(max_size=1500), suffix=st.sampled_from(IMAGE_SUFFIXES), compress=st.booleans())
def test_random_bytes_give_nothing_but_our_error(tmp_path, content, suffix, compress):
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(gzip.compress(content) if compress else content)
    with pytest.raises(InputError):
        read_image(path)


@FUZZ
@given(
    changes=st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(300, 1024),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
def test_a_damaged_header_gives_an_image_or_our_error(tmp_path, changes, cut, suffix):
    content = raw(tmp_path / "scan.nii", noise(0))
    for place, value in changes:
        content[place] = value
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(bytes(content[:cut]) if suffix == ".nii" else gzip.compress(bytes(content[:cut])))
    try:
        (shape, orientation), remark, _ = examine_scan(path)
    except InputError:
        return
    assert len(shape) == len(orientation) == 3
    assert isinstance(remark, str)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real heads in ../shared/data are not here")
def test_real_heads_are_opened():
    paths = sorted(SHARED.glob("ds*/sub-*/anat/*_T1w.nii.gz"))[::25]
    assert paths
    for path in paths:
        (shape, orientation), remark, _ = examine_scan(path)
        assert min(shape) > 50
        assert (orientation, remark) == ("LAS", "")


def test_the_phantom_is_what_the_tests_of_volumes_think_it_is(tmp_path):
    assert describe_image(save(phantom(), tmp_path / "scan.nii")) == ((36, 40, 34), "RAS")


def test_litres_are_those_of_the_bright_tissue_inside_the_mask(tmp_path):
    voxels = np.zeros((20, 20, 20), np.int16)
    voxels[2:12, 2:12, 2:12] = 700
    voxels[14:18] = 30
    affine = np.diag([-5.0, 10, 4, 1])
    scan = save(made(voxels, affine), tmp_path / "scan.nii")
    assert examine_scan(scan).litres == pytest.approx(1000 * 200 / 1e6)
    inside = np.zeros((20, 20, 20), np.uint8)
    inside[:7] = 1
    assert examine_scan(scan, save(made(inside, affine), tmp_path / "mask.nii")).litres == pytest.approx(0.1)
