"""One seed, many independent named streams: the same names give the same numbers in any process and any order."""

import hashlib

import numpy as np

from neurotransfer.errors import InputError


def _words(names: tuple[object, ...]) -> list[int]:
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return [int.from_bytes(digest[start : start + 4], "little") for start in range(0, 16, 4)]


def stream(seed: int, *names: object) -> np.random.Generator:
    """A random generator that belongs to `seed` and the names, independent of every other stream.

    Raises:
        InputError: when the seed is negative.

    Example:
        >>> first, again = stream(1, "split", 3).random(), stream(1, "split", 3).random()
        >>> bool(first == again), bool(first == stream(1, "split", 4).random())
        (True, False)
    """
    if seed < 0:
        raise InputError(f"a seed is a whole number of 0 or more, got {seed!r}")
    return np.random.default_rng(np.random.SeedSequence([seed, *_words(names)]))


def integer_seed(seed: int, *names: object) -> int:
    """An integer below 2**63 for libraries that take a seed and not a generator (torch, scikit-learn).

    Example:
        >>> integer_seed(1, "weights") == integer_seed(1, "weights")
        True
    """
    return int(stream(seed, *names).integers(2**63 - 1))
