"""What `simulate` was asked for, checked at once, and the folder that it may fill."""

import math
import numbers
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.artifacts import provenance, read_json, storage, write_json
from neurotransfer.cohort.grid import BRAIN_CENTRE_MM, Grid
from neurotransfer.errors import InputError, listed

MARKER = "simulated.json"
MADE_BY = "neurotransfer simulate"
COHORT, TRUTH, COMPLETE, HEADS = "cohort.tsv", "truth.tsv", "truth.json", "heads"
IMAGE_ENDING = "_T1w.nii.gz"
FIELD_OF_VIEW_MM = (160, 192, 160)


@dataclass(frozen=True)
class Arguments:
    """The arguments of `simulate`, without the place; `problems` says what is wrong with them."""

    participants: int
    shape: tuple[int, int, int]
    seed: int
    effect: float
    sites: int
    missing: float
    second_sessions: float
    prefix: str

    def problems(self) -> list[str]:
        """All that is wrong, each with the value that was found and what is allowed."""
        return [
            *_below("participants", self.participants, 1),
            *_shape_problems(self.shape),
            *_below("seed", self.seed, 0),
            *_outside("effect", self.effect, math.inf),
            *_below("sites", self.sites, 1),
            *_outside("missing", self.missing, 1),
            *_outside("second_sessions", self.second_sessions, 1),
            *_prefix_problems(self.prefix),
        ]

    @property
    def grid(self) -> Grid:
        """The grid of the heads: the finest isotropic voxels with which a whole brain fits.

        Example:
            >>> Arguments(1, (32, 40, 32), 0, 1.0, 1, 0.0, 0.0, "sim").grid.voxel_size_mm
            5.0

        """
        sides = zip(FIELD_OF_VIEW_MM, self.shape, strict=True)
        return Grid(self.shape, max(extent / side for extent, side in sides))

    def to_dict(self) -> dict[str, Any]:
        """The arguments as plain values."""
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in asdict(self).items()}
        return plain | {"shape": [int(side) for side in self.shape]}


def check_arguments(arguments: Arguments) -> None:
    """Refuse arguments that cannot be used; raises InputError with ALL problems in one message.

    Example:
        >>> check_arguments(Arguments(0, (40, 48, 40), 0, -1.0, 1, 0.0, 0.0, "sim"))
        Traceback (most recent call last):
        ...
        neurotransfer.errors.InputError: 2 problems in the arguments of simulate:
          participants is 0; allowed: a whole number, 1 or more
          effect is -1.0; allowed: a finite number, 0 or more

    """
    problems = arguments.problems()
    if problems:
        raise InputError(listed("the arguments of simulate", problems))


def claim_folder(out: Path, arguments: Arguments) -> None:
    """Make `out` ready: created or, when it holds a simulated cohort that was interrupted, emptied of that cohort.

    A marker is written first, so that an interrupted cohort can be replaced; other files beside a cohort are kept.

    Raises:
        InputError: when `out` is a file, or holds a finished cohort, or files but no simulated cohort.
        StorageError: when it cannot be written.

    """
    with storage(out):
        if out.exists() and not out.is_dir():
            raise InputError(f"{str(out)!r} is a file; simulate needs a folder: give another place")
        if out.is_dir() and any(out.iterdir()):
            _empty(out)
        (out / HEADS).mkdir(parents=True, exist_ok=True)
    write_json(out / MARKER, {"made_by": MADE_BY, **provenance(arguments=arguments.to_dict())})


def _empty(out: Path) -> None:
    if not _is_ours(out / MARKER):
        found = ", ".join(sorted(path.name for path in out.iterdir())[:5])
        raise InputError(
            f"{str(out)!r} is not empty and holds no simulated cohort (found: {found}); "
            "give a new or an empty folder, or remove what is in it"
        )
    if (out / COMPLETE).exists():
        raise InputError(
            f"{str(out)!r} holds a finished simulated cohort; give another folder, or remove that one, to simulate anew"
        )
    for name in (COHORT, TRUTH):
        (out / name).unlink(missing_ok=True)
    for image in (out / HEADS).glob(f"*{IMAGE_ENDING}*"):
        image.unlink()


def _is_ours(marker: Path) -> bool:
    try:
        content = read_json(marker)
    except InputError:
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY


def _below(name: str, value: Any, lowest: int) -> list[str]:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return [] if whole and value >= lowest else [f"{name} is {value!r}; allowed: a whole number, {lowest} or more"]


def _outside(name: str, value: Any, highest: float) -> list[str]:
    allowed = f"from 0 to {highest}" if math.isfinite(highest) else "0 or more"
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if math.isfinite(number) and 0 <= number <= highest:
        return []
    return [f"{name} is {value!r}; allowed: a finite number, {allowed}"]


def _shape_problems(shape: object) -> list[str]:
    sides = list(shape) if isinstance(shape, tuple | list) else []
    if len(sides) == 3 and not any(_below("side", side, 32) for side in sides):
        return []
    middle = " ".join(str(round(value)) for value in BRAIN_CENTRE_MM)
    return [f"shape is {shape!r}; allowed: three whole numbers of 32 or more, a grid centred on {middle} mm"]


def _prefix_problems(prefix: object) -> list[str]:
    if isinstance(prefix, str) and prefix.isascii() and prefix.isalnum():
        return []
    return [f"prefix is {prefix!r}; allowed: letters and digits, as in 'sim'"]
