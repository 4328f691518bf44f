"""CRC-32C, the checksum of TensorFlow's files, quick on arrays of bytes: many lanes side by side, then put together."""

import numpy as np

# reversed polynomial of Castagnoli (1993, IEEE Trans Commun 41:883)
_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
_MASK = 0xA282EAD8
# with fewer bytes than this a lane does not pay
_SHORT = 4096


def _table() -> np.ndarray:
    found = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        found = np.where(found & 1, (found >> 1) ^ np.uint32(_POLYNOMIAL), found >> 1).astype(np.uint32)
    return found


_TABLE = _table()
_WHOLE = _TABLE.tolist()


def crc32c(data: bytes | np.ndarray, before: int = 0) -> int:
    """The checksum of bytes; `before` is that of what comes before them.

    Example:
        >>> hex(crc32c(b"123456789")), crc32c(b"6789", crc32c(b"12345")) == crc32c(b"123456789")
        ('0xe3069283', True)
    """
    values = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data.reshape(-1).view(np.uint8)
    n_lanes = 1 << (max(len(values) // _SHORT, 1).bit_length() - 1)
    n_steps = len(values) // n_lanes if n_lanes > 1 else 0
    state = before ^ _ALL
    if n_steps:
        state = _of_lanes(values[: n_lanes * n_steps].reshape(n_lanes, n_steps), state)
    for value in values[n_lanes * n_steps :].tolist():
        state = _WHOLE[(state ^ value) & 0xFF] ^ (state >> 8)
    return state ^ _ALL


def _of_lanes(rows: np.ndarray, state: int) -> int:
    """The state after rows (n_lanes, n_steps) that follow one another, n_lanes a power of two."""
    lanes = np.zeros(len(rows), np.uint32)
    lanes[0] = state
    for column in np.ascontiguousarray(rows.T):
        lanes = _TABLE[(lanes ^ column) & 0xFF] ^ (lanes >> 8)
    shift = _shift_by(rows.shape[1])
    while len(lanes) > 1:
        lanes = _applied(shift, lanes[0::2]) ^ lanes[1::2]
        shift = _applied(shift, shift)
    return int(lanes[0])


def masked(checksum: int) -> int:
    """A checksum as it is stored beside what it is of, which itself may hold checksums.

    Example:
        >>> masked(0) == 0xA282EAD8
        True
    """
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def _applied(columns: np.ndarray, states: np.ndarray) -> np.ndarray:
    """A linear map over bits, given by what it makes of each bit (32,), of states (n,)."""
    found = np.zeros_like(states)
    for bit in range(32):
        found ^= np.where((states >> np.uint32(bit)) & 1, columns[bit], np.uint32(0))
    return found


def _shift_by(n: int) -> np.ndarray:
    """What n bytes of zero make of every bit of a state, (32,)."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    found, step = bits, _TABLE[bits & 0xFF] ^ (bits >> 8)
    while n:
        if n & 1:
            found = _applied(step, found)
        step = _applied(step, step)
        n >>= 1
    return found
