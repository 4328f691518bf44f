"""Checkpoints of TensorFlow as plain arrays, without TensorFlow: `NAME.index` says what lies where in `NAME.data-...`.

The index is a table of LevelDB: blocks of sorted keys that share their beginnings, each with a checksum. Its values are
messages of protocol buffers (dtype, shape, place and checksum of a tensor). Every length is checked before it is used, every
checksum before anything is given back, and nothing in a file is ever run.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from neurotransfer.errors import ModelError
from neurotransfer.models.crc32c import crc32c, masked

INDEX, DATA = ".index", ".data-"
FOOTER, MAGIC = 48, 0xDB4775248B80FB57
TRAILER = 5
MOST_BYTES = 1 << 30
# numbers of `tensorflow/core/framework/types.proto`
DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
BFLOAT16, STRING = 14, 7
OBJECTS, VALUE = "_CHECKPOINTABLE_OBJECT_GRAPH", "/.ATTRIBUTES/VARIABLE_VALUE"


def checkpoint_prefix(path: Path) -> Path | None:
    """The common beginning of the files of a checkpoint, from it or from any of them; None where there is no such index."""
    name = path.name
    if DATA in name:
        name = name[: name.rindex(DATA)]
    prefix = path.with_name(name.removesuffix(INDEX))
    return prefix if prefix.with_name(prefix.name + INDEX).is_file() else None


def checkpoint_files(prefix: Path) -> list[Path]:
    """The index and the data of a checkpoint, as far as they are there."""
    data = sorted(each for each in prefix.parent.iterdir() if each.name.startswith(prefix.name + DATA))
    return [prefix.with_name(prefix.name + INDEX), *data]


def read_checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint, by the names of their variables (`LAYER/kernel`), or by its keys where it names none.

    Args:
        prefix: of `checkpoint_prefix`.

    Raises:
        ModelError: when a file is absent, damaged, or of a kind that is not read here.
    """
    index = prefix.with_name(prefix.name + INDEX)
    try:
        entries = dict(_entries(index.read_bytes()))
        return _tensors(prefix, entries)
    except (_DamagedError, struct.error, IndexError, OSError, ValueError, OverflowError) as error:
        raise ModelError(
            f"the checkpoint {str(prefix)!r} is damaged or incomplete ({error}); fetch {index.name} and {prefix.name}{DATA}... "
            "again, both of the same release"
        ) from None


class _DamagedError(Exception):
    pass


def _damaged(reason: str) -> NoReturn:
    raise _DamagedError(reason)


# --- the table


def _entries(table: bytes) -> Iterator[tuple[str, bytes]]:
    if len(table) < FOOTER or struct.unpack("<Q", table[-8:])[0] != MAGIC:
        _damaged("the index does not end as one does")
    footer = table[-FOOTER:]
    _, at = _handle(footer, 0)
    place, _ = _handle(footer, at)
    for _, value in _block(table, place):
        for key, entry in _block(table, _handle(value, 0)[0]):
            yield key.decode("utf-8"), entry


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _block(table: bytes, place: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    offset, size = place
    end = offset + size
    if end + TRAILER > len(table) or size < 4:
        _damaged("a block lies outside the index")
    if masked(crc32c(table[offset : end + 1])) != struct.unpack("<I", table[end + 1 : end + TRAILER])[0]:
        _damaged("a checksum of the index does not hold")
    if table[end]:
        _damaged("the index is compressed, which TensorFlow does not do")
    block = table[offset:end]
    n_restarts = struct.unpack("<I", block[-4:])[0]
    stop, at, key = size - 4 * (n_restarts + 1), 0, b""
    if stop < 0:
        _damaged("a block has more restarts than bytes")
    while at < stop:
        shared, at = _varint(block, at)
        rest, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + rest + length > stop:
            _damaged("a key lies outside its block")
        key = key[:shared] + block[at : at + rest]
        yield key, block[at + rest : at + rest + length]
        at += rest + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    _damaged("a number does not end")


# --- messages


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message of protocol buffers: their numbers, and whole numbers or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            whole, at = _varint(message, at)
            yield number, whole
            continue
        size = {1: 8, 5: 4}.get(wire, -1)
        if wire == 2:
            size, at = _varint(message, at)
        if size < 0 or at + size > len(message):
            _damaged("a message does not hold what it says")
        part = message[at : at + size]
        yield number, part if wire == 2 else int.from_bytes(part, "little")
        at += size


def _numbers(message: bytes) -> dict[int, int]:
    return {number: value for number, value in _fields(message) if isinstance(value, int)}


def _parts(message: bytes, wanted: int) -> list[bytes]:
    return [value for number, value in _fields(message) if number == wanted and isinstance(value, bytes)]


def _text(message: bytes, wanted: int) -> str:
    return b"".join(_parts(message, wanted)[-1:]).decode("utf-8")


def _shape(entry: bytes) -> tuple[int, ...]:
    return tuple(_numbers(dim).get(1, 0) for shape in _parts(entry, 2) for dim in _parts(shape, 2))


# --- the tensors


def _tensors(prefix: Path, entries: dict[str, bytes]) -> dict[str, np.ndarray]:
    header = _numbers(entries.pop("", b""))
    if header.get(2, 0):
        _damaged("its numbers are big-endian, which is not read here")
    shards = _shards(prefix, header.get(1, 1))
    found, objects = {}, b""
    for key, entry in entries.items():
        if _parts(entry, 7):
            _damaged(f"{key} is kept in slices, which is not read here")
        numbers = _numbers(entry)
        data = _data(shards, numbers, key)
        if numbers.get(1) != STRING:
            found[key] = _array(data, numbers, _shape(entry), key)
        elif key == OBJECTS:
            objects = _string(data, numbers)
    return _named(found, objects)


def _shards(prefix: Path, n: int) -> list[np.ndarray]:
    if not 1 <= n <= 1000:
        _damaged(f"it says that it has {n} parts")
    paths = [prefix.with_name(f"{prefix.name}{DATA}{part:05d}-of-{n:05d}") for part in range(n)]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        _damaged(f"there is no {', '.join(absent)} beside the index")
    if sum(path.stat().st_size for path in paths) > MOST_BYTES:
        _damaged(f"it has more than {MOST_BYTES >> 20} MiB, which no network that is known here has")
    return [np.fromfile(path, np.uint8) for path in paths]


def _data(shards: list[np.ndarray], numbers: dict[int, int], key: str) -> np.ndarray:
    shard, offset, size = (numbers.get(field, 0) for field in (3, 4, 5))
    if shard >= len(shards) or offset + size > len(shards[shard]):
        _damaged(f"{key} lies outside the data")
    return shards[shard][offset : offset + size]


def _array(data: np.ndarray, numbers: dict[int, int], shape: tuple[int, ...], key: str) -> np.ndarray:
    if masked(crc32c(data)) != numbers.get(6, 0):
        _damaged(f"the checksum of {key} does not hold")
    number = numbers.get(1, 0)
    dtype = np.dtype("<u2" if number == BFLOAT16 else DTYPES.get(number, "V1"))
    if dtype.kind == "V" or len(data) != math.prod(shape) * dtype.itemsize:
        _damaged(f"{key} has another size or kind than it says")
    # a part of a file may begin at any byte; a copy of its own lies where processors like it
    array = data.copy().view(dtype).reshape(shape)
    return (array.astype("<u4") << 16).view("<f4") if number == BFLOAT16 else array


def _string(data: np.ndarray, numbers: dict[int, int]) -> bytes:
    """The only string of a scalar: its length, a checksum of the length, itself."""
    raw = data.tobytes()
    length, at = _varint(raw, 0)
    text = raw[at + 4 :]
    checksum = crc32c(text, crc32c(raw[at : at + 4], crc32c(struct.pack("<I", length))))
    if len(text) != length or masked(checksum) != numbers.get(6, 0):
        _damaged("the checksum of the names does not hold")
    return text


def _named(found: dict[str, np.ndarray], objects: bytes) -> dict[str, np.ndarray]:
    """Tensors of layers by the names of their variables; all others by their keys."""
    names = {}
    for node in _parts(objects, 1):
        for attribute in _parts(node, 2):
            name, key = _text(attribute, 2), _text(attribute, 3)
            if name and key in found and not is_of_training(key):
                names[key] = name
    if len(set(names.values())) < len(names):
        names = {}
    return {names.get(key, key.removesuffix(VALUE)): array for key, array in found.items()}


def is_of_training(key: str) -> bool:
    """Whether a key belongs to an optimiser or a counter, and not to a network.

    Example:
        >>> is_of_training("optimizer/_variables/1"), is_of_training("layer_with_weights-0/kernel")
        (True, False)
    """
    return key.startswith(("optimizer", "_optimizer", "save_counter")) or ".OPTIMIZER_SLOT" in key
