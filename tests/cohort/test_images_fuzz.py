"""Whatever is done to the bytes of an image, what comes of it is checked voxels or our own error, and little memory."""

import gzip
import resource
import struct
import zlib

import nibabel
import numpy as np
import pytest
from cohort_phantoms import noise

from neurotransfer.cohort.images import examine_scan, opened
from neurotransfer.cohort.remarks import remarks_of_header
from neurotransfer.errors import ImageError

AFFINE = np.array([[-1.0, 0, 0, 9], [0, 1, 0.02, -7], [0, -0.02, 1, 3], [0, 0, 0, 1]])
VOXELS = np.asarray(noise(0).dataobj)
MIB = 2**10


def nifti(dtype="i2", header=None):
    image = nibabel.Nifti1Image(VOXELS.astype(dtype), AFFINE, header, dtype=dtype)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 1)
    return image


WHOLE = {
    "small-endian": (nifti().to_bytes(), ".nii", 352),
    "big-endian": (nifti("f4", nibabel.Nifti1Header(endianness=">")).to_bytes(), ".nii", 352),
    "of 64 bits": (nibabel.Nifti2Image.from_image(nifti("f8")).to_bytes(), ".nii", 544),
    "of FreeSurfer": (nibabel.MGHImage(VOXELS.astype(np.int16), AFFINE).to_bytes(), ".mgh", 90),
}
COMPRESSED = {".nii": ".nii.gz", ".mgh": ".mgz"}
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def flipped(content, random, first, last, most):
    damaged = bytearray(content)
    for place in random.integers(first, last, random.integers(1, most + 1)):
        damaged[place] ^= 1 << random.integers(8)
    return bytes(damaged)


def in_header(content, n_header, random):
    return flipped(content, random, 0, n_header, 3)


def in_body(content, n_header, random):
    return flipped(content, random, n_header, len(content), 9)


def truncated(content, n_header, random):
    return content[: random.integers(0, len(content))]


def cut_in_header(content, n_header, random):
    return content[: random.integers(0, n_header)]


def a_word(content, n_header, random):
    """Two, four or eight bytes in a row, of the values that stand for the extremes of a number."""
    damaged, place = bytearray(content), int(random.integers(0, n_header - 8))
    length = int(2 ** random.integers(1, 4))
    damaged[place : place + length] = bytes(random.choice(EXTREMES, length).tolist())
    return bytes(damaged)


def a_float(content, n_header, random):
    damaged = bytearray(content)
    value = random.choice([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e38, 1e-38, -1e20])
    struct.pack_into(random.choice(["<f", ">f"]), damaged, 2 * int(random.integers(0, n_header // 2 - 2)), value)
    return bytes(damaged)


def lengthened(content, n_header, random):
    return content + random.bytes(int(random.integers(1, 999)))


DAMAGES = [in_header, in_body, truncated, cut_in_header, a_word, a_float, lengthened]


def refusal_of(path):
    try:
        opened(path)
    except ImageError as error:
        return str(error)
    return ""


def outcome(path):
    """The error that a file gives, empty when it gives checked voxels."""
    refusal = refusal_of(path)
    if refusal:
        assert str(path) in refusal
        assert "\n" not in refusal
        return refusal
    image, voxels = opened(path)
    assert voxels.ndim == 3 == len(image.shape[:3])
    assert voxels.shape == image.shape[:3]
    assert voxels.dtype.kind in "iuf"
    assert np.isfinite(voxels).all()
    assert np.isfinite(image.affine).all()
    assert voxels.min() < voxels.max()
    assert all(isinstance(remark, str) for remark in remarks_of_header(image))
    return ""


@pytest.fixture
def little_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * MIB


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("form", WHOLE)
def test_a_damaged_file_gives_voxels_or_our_error(tmp_path, form, damage, capfd):
    content, suffix, n_header = WHOLE[form]
    random = np.random.default_rng([DAMAGES.index(damage), list(WHOLE).index(form)])
    for _ in range(120):
        damaged = damage(content, n_header, random)
        (tmp_path / f"scan{suffix}").write_bytes(damaged)
        (tmp_path / f"scan{COMPRESSED[suffix]}").write_bytes(gzip.compress(damaged, compresslevel=1))
        plain, packed = outcome(tmp_path / f"scan{suffix}"), outcome(tmp_path / f"scan{COMPRESSED[suffix]}")
        assert bool(plain) == bool(packed), f"{plain} / {packed}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("damage", [in_header, in_body, truncated, lengthened], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("form", WHOLE)
def test_a_damaged_compressed_file_gives_the_voxels_or_our_error(tmp_path, form, level, damage):
    content, suffix, _ = WHOLE[form]
    path, random = tmp_path / f"scan{COMPRESSED[suffix]}", np.random.default_rng(level)
    packed = gzip.compress(content, compresslevel=level, mtime=0)
    path.write_bytes(packed)
    assert outcome(path) == ""
    expected = opened(path)[1]
    for _ in range(60):
        path.write_bytes(damage(packed, 10, random))
        # its name, time and flags are no part of the checksum
        if not outcome(path):
            np.testing.assert_array_equal(opened(path)[1], expected)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz"])
def test_a_stream_without_an_end_gives_our_error(tmp_path, suffix):
    content = next(whole for whole, ending, _ in WHOLE.values() if COMPRESSED[ending] == suffix)
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    endless = stream.compress(content + bytes(2**20)) + stream.flush(zlib.Z_SYNC_FLUSH)
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(endless)
    assert "cannot read" in outcome(path)
    path.write_bytes(endless + stream.flush())
    assert outcome(path) == ""


@pytest.mark.parametrize("form", WHOLE)
def test_a_scan_that_passes_can_be_examined(tmp_path, form):
    content, suffix, n_header = WHOLE[form]
    path, random = tmp_path / f"scan{suffix}", np.random.default_rng(7)
    passed = 0
    for _ in range(60):
        path.write_bytes(in_header(content, n_header, random))
        try:
            described, remark, litres = examine_scan(path)
        except ImageError:
            continue
        passed += 1
        assert (len(described[0]), len(described[1])) == (3, 3)
        assert remark or litres > 0
    assert 5 < passed < 60
