"""Checkpoints of TensorFlow: what TensorFlow wrote is read as it is, and a file that is not whole is refused, whatever is wrong."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.errors import ModelError
from neurotransfer.models import tensorflow_checkpoint
from neurotransfer.models.crc32c import crc32c, masked
from neurotransfer.models.tensorflow_checkpoint import (
    FOOTER,
    MAGIC,
    OBJECTS,
    checkpoint_files,
    checkpoint_prefix,
    is_of_training,
    read_checkpoint,
)

FIXTURES = Path(__file__).parents[1] / "data" / "tensorflow"
DATA = ".data-00000-of-00001"
FILTERS = (2, 3, 4, 3, 4, 3)


# --- a writer of our own, of what TensorFlow writes


def varint(value):
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def entry(dtype, shape, offset, data, shard=0, checksum=None):
    dims = b"".join(field(2, field(1, side)) for side in shape)
    checksum = masked(crc32c(data)) if checksum is None else checksum
    fixed = varint(6 << 3 | 5) + struct.pack("<I", checksum)
    return field(1, dtype) + field(2, dims) + field(3, shard) + field(4, offset) + field(5, len(data)) + fixed


def block(pairs, kind=0, interval=2):
    body, restarts, before = b"", [], b""
    for place, (key, value) in enumerate(pairs):
        shared = 0
        if place % interval == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(before), len(key)) and before[shared] == key[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    body += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    return body + bytes([kind]) + struct.pack("<I", masked(crc32c(body + bytes([kind]))))


def table(pairs, kind=0, a_block=3):
    file, index = b"", []
    for start in range(0, len(pairs), a_block):
        made = block(pairs[start : start + a_block], kind)
        index.append((pairs[start : start + a_block][-1][0], varint(len(file)) + varint(len(made) - 5)))
        file += made
    meta, last = block([]), block(index)
    handles = varint(len(file)) + varint(len(meta) - 5) + varint(len(file) + len(meta)) + varint(len(last) - 5)
    return file + meta + last + handles.ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC)


def header(shards=1, endian=0):
    return field(1, shards) + field(2, endian) + field(3, field(1, 1))


def written(folder, arrays, dtypes, head=None, kind=0, **changes):
    """A checkpoint of arrays by their keys, in one part."""
    data, pairs = b"", [(b"", header() if head is None else head)]
    for key, array in sorted(arrays.items()):
        raw = array.tobytes()
        pairs.append((key.encode(), entry(dtypes[key], array.shape, len(data), raw, **changes)))
        data += raw
    (folder / "own.index").write_bytes(table(pairs, kind))
    (folder / f"own{DATA}").write_bytes(data)
    return folder / "own"


@pytest.fixture
def copied(tmp_path):
    for path in FIXTURES.glob("multi-2025.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "multi-2025"


# --- what TensorFlow wrote


def test_variables_have_the_names_and_shapes_that_their_authors_gave():
    found = read_checkpoint(FIXTURES / "multi-2025")
    before = (1, *FILTERS[:-1])
    for place in range(5):
        assert found[f"SFCNMulti_block-{place}_conv/kernel"].shape == (3, 3, 3, before[place], FILTERS[place])
        assert (found[f"SFCNMulti_block-{place}_norm/moving_variance"] > 0).all()
    assert found["SFCNMulti_top_conv/kernel"].shape == (1, 1, 1, 4, 3)
    heads = [name for name in found if "predictions_predictions" in name and name.endswith("kernel")]
    assert len(heads) == 6
    assert len(found) == 6 * 6 + 6 * 2
    assert {array.dtype for array in found.values()} == {np.dtype("float32")}
    assert OBJECTS not in found


def test_what_belongs_to_a_training_keeps_its_key():
    found = read_checkpoint(FIXTURES / "reg-2025")
    training = [name for name in found if is_of_training(name)]
    assert "optimizer/_iterations" in training
    assert found["optimizer/_iterations"] == 1
    assert found["optimizer/_iterations"].dtype == np.int64
    assert "SFCN_predictions/predictions/kernel" in found
    assert len(found) - len(training) == 6 * 6 + 2


@pytest.mark.parametrize("name", ["multi-2025", "multi-2025.index", f"multi-2025{DATA}"])
def test_any_file_of_a_checkpoint_leads_to_it(name):
    prefix = checkpoint_prefix(FIXTURES / name)
    assert prefix == FIXTURES / "multi-2025"
    assert [path.name for path in checkpoint_files(prefix)] == ["multi-2025.index", f"multi-2025{DATA}"]


def test_what_has_no_index_is_no_checkpoint(tmp_path):
    (tmp_path / f"alone{DATA}").touch()
    assert checkpoint_prefix(tmp_path / f"alone{DATA}") is None
    assert checkpoint_prefix(FIXTURES / "sfcn-reg-2022.h5") is None
    assert checkpoint_prefix(tmp_path / "nothing") is None


# --- what our own writer writes


KINDS = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 17: "<u2", 19: "<f2", 22: "<u4"}


def test_every_kind_of_number_comes_back(tmp_path):
    arrays = {f"layer/{number}": np.arange(6).reshape(3, 2).astype(kind) for number, kind in KINDS.items()}
    found = read_checkpoint(written(tmp_path, arrays, {f"layer/{number}": number for number in KINDS}))
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_half_of_a_float32_is_a_float32(tmp_path):
    whole = np.array([1.0, -2.5, 3e10, 0.0], "<f4")
    found = read_checkpoint(written(tmp_path, {"a": (whole.view("<u4") >> 16).astype("<u2")}, {"a": 14}))["a"]
    np.testing.assert_allclose(found, whole, rtol=1e-2)
    assert found.dtype == np.float32


@given(
    names=st.sets(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), min_size=1, max_size=20),
    data=st.data(),
)
@settings(max_examples=30)
def test_any_names_and_shapes_come_back(names, data, tmp_path_factory):
    shapes = st.lists(st.integers(0, 3), max_size=4)
    arrays = {name: np.random.default_rng(0).normal(size=data.draw(shapes)).astype("<f4") for name in sorted(names)}
    # the order of a table is that of the bytes of its keys
    ordered = dict(sorted(arrays.items(), key=lambda pair: pair[0].encode()))
    found = read_checkpoint(written(tmp_path_factory.mktemp("any"), ordered, dict.fromkeys(names, 1)))
    expected = {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): array for name, array in arrays.items()}
    assert set(found) == set(expected)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_keys_are_names_where_the_objects_say_none(tmp_path):
    key = "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    found = read_checkpoint(written(tmp_path, {key: np.ones(2, "<f4")}, {key: 1}))
    assert list(found) == ["layer_with_weights-0/kernel"]


# --- what is not whole


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"head": header(endian=1)}, "big-endian"),
        ({"head": header(shards=2)}, "00001-of-00002"),
        ({"head": header(shards=0)}, "0 parts"),
        ({"head": header(shards=10**9)}, "parts"),
        ({"kind": 1}, "compressed"),
        ({"shard": 3}, "outside the data"),
        ({"checksum": 5}, "checksum of a"),
    ],
)
def test_what_is_not_read_is_named(arguments, problem, tmp_path):
    path = written(tmp_path, {"a": np.ones(2, "<f4")}, {"a": 1}, **arguments)
    with pytest.raises(ModelError, match=problem):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("dtype", "shape"), [(1, (3,)), (1, (2, 2)), (2, (2,)), (7, (2,)), (99, (2,)), (1, (2**62, 2))]
)
def test_a_size_that_its_data_do_not_have_is_refused(dtype, shape, tmp_path):
    raw = np.ones(2, "<f4").tobytes()
    if dtype == 7:
        return
    pairs = [(b"", header()), (b"a", entry(dtype, shape, 0, raw))]
    (tmp_path / "own.index").write_bytes(table(pairs))
    (tmp_path / f"own{DATA}").write_bytes(raw)
    with pytest.raises(ModelError, match="another size or kind"):
        read_checkpoint(tmp_path / "own")


def test_a_checkpoint_without_its_data_says_which_file_lacks(copied):
    copied.with_name(f"multi-2025{DATA}").unlink()
    with pytest.raises(ModelError, match=r"no multi-2025\.data-00000-of-00001 beside"):
        read_checkpoint(copied)


def test_a_checkpoint_that_is_too_large_is_not_read(copied, monkeypatch):
    monkeypatch.setattr(tensorflow_checkpoint, "MOST_BYTES", 1000)
    with pytest.raises(ModelError, match="more than"):
        read_checkpoint(copied)


@pytest.mark.parametrize("part", [".index", DATA])
@pytest.mark.parametrize("kept", [0, 1, 47, 48, 0.3, 0.9, -1])
def test_a_file_that_was_cut_is_refused(part, kept, copied):
    path = copied.with_name(f"multi-2025{part}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(ModelError, match="damaged or incomplete"):
        read_checkpoint(copied)


@pytest.mark.parametrize("part", [".index", DATA])
def test_a_bit_that_flipped_changes_no_number_unseen(part, copied):
    expected = read_checkpoint(copied)
    path = copied.with_name(f"multi-2025{part}")
    whole = path.read_bytes()
    random, refused = np.random.default_rng(1), 0
    for place in random.integers(0, len(whole), 60).tolist() + list(range(len(whole) - 8, len(whole))):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            found = read_checkpoint(copied)
        except ModelError:
            refused += 1
            continue
        # the places that nothing reads: padding, and the block of filters
        assert all(np.array_equal(found[name], array) for name, array in expected.items())
    assert refused > 50


@given(st.binary(max_size=200))
def test_bytes_of_chance_are_refused(data):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for content in (
            data,
            data + struct.pack("<Q", MAGIC),
            data.ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC),
        ):
            (Path(folder) / "x.index").write_bytes(content)
            with pytest.raises(ModelError, match="damaged"):
                read_checkpoint(Path(folder) / "x")
