"""The checksum of TensorFlow's files, against the polynomial itself and numbers of the standard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.models import crc32c as module
from neurotransfer.models.crc32c import crc32c, masked


def bit_by_bit(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


# RFC 3720, appendix B.4
STANDARD = {
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    b"123456789": 0xE3069283,
}


@pytest.mark.parametrize("data", STANDARD)
def test_numbers_of_the_standard(data):
    assert crc32c(data) == STANDARD[data]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_it_is_that_of_the_polynomial_in_one_piece_or_two(data, cut):
    assert crc32c(data) == bit_by_bit(data)
    assert crc32c(data[cut:], crc32c(data[:cut])) == bit_by_bit(data)


@pytest.mark.parametrize("short", [1, 3, 16])
@pytest.mark.parametrize("n", [1, 2, 7, 31, 64, 65, 1000, 1023])
def test_the_number_of_lanes_changes_nothing(n, short, monkeypatch):
    data = np.random.default_rng(n).integers(0, 256, n, np.uint8)
    monkeypatch.setattr(module, "_SHORT", short)
    assert crc32c(data) == bit_by_bit(data.tobytes())


@pytest.mark.parametrize("n", [8191, 8192, 16387])
def test_long_data_go_through_lanes(n):
    data = np.random.default_rng(n).integers(0, 256, n, np.uint8)
    assert crc32c(data) == bit_by_bit(data.tobytes())


def test_numbers_are_taken_as_their_bytes():
    numbers = np.arange(12, dtype="<f4").reshape(3, 4)
    assert crc32c(numbers) == crc32c(numbers.tobytes())
    assert crc32c(b"") == 0


@given(st.integers(0, 2**32 - 1))
def test_a_mask_can_be_taken_off_again(checksum):
    rotated = (masked(checksum) - 0xA282EAD8) & 0xFFFFFFFF
    assert ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF == checksum
