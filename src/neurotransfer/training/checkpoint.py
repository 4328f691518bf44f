"""A fit on disk, whole or absent, so that it goes on exactly where it was killed."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from neurotransfer.artifacts import is_file, remove_whole, write_atomically
from neurotransfer.errors import InputError

FORMAT = 1
# letters of a fact that is worth being told in full
LONGEST = 20


class Checkpoint:
    """The file of a fit that is under way: weights, optimiser, place in the epoch, random streams, the best epoch.

    It is written after every epoch, and within an epoch when `seconds` have passed since the last time. A fit that finds
    one goes on from it and ends with the same weights, bit by bit, as one that was never stopped.

    Args:
        path: of the file.
        seconds: between two within an epoch.
    """

    def __init__(self, path: Path, seconds: float = 300.0) -> None:
        self.path, self.seconds = path, seconds
        self.key = ""
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.seconds

    def load(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was kept, None when there is nothing; `facts` are what it must belong to.

        Raises:
            InputError: when the file is damaged, or belongs to another network, other data or another recipe.
        """
        self.key = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
        if not is_file(self.path):
            return None
        try:
            # nothing but tensors and plain values: a checkpoint runs no code
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            found, known = kept["facts"], kept["format"] == FORMAT
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"the checkpoint {str(self.path)!r} is damaged ({reason}); remove it to begin anew"
            ) from None
        if not known or kept["key"] != self.key:
            now = {name: str(value) for name, value in facts.items()}
            differing = [
                f"{name} ({found[name]} then, {now[name]} now)"
                if len(found.get(name, "")) in range(1, LONGEST)
                else name
                for name in now
                if found.get(name) != now[name]
            ]
            raise InputError(
                f"the checkpoint {str(self.path)!r} is of another training: {', '.join(differing or ['its format'])} differ; "
                "give another --out, restore what was given then, or remove it to begin anew"
            )
        return kept["state"]

    def save(self, state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Keep a state of tensors and plain values in place of the one before.

        Raises:
            StorageError: when the disk is full; the one before stays.
        """
        known = {name: str(value) for name, value in facts.items()}
        whole = {"format": FORMAT, "key": self.key, "facts": known, "state": dict(state)}
        write_atomically(self.path, lambda path: _write(whole, path))
        self._last = time.monotonic()

    def remove(self) -> None:
        """Take the file away when the fit is done, and halves of it that a killed process left."""
        remove_whole(self.path)


def _write(whole: Mapping[str, Any], path: Path) -> None:
    # torch's own writing reports a full disk as an internal error
    with path.open("wb") as file:
        torch.save(dict(whole), file)
