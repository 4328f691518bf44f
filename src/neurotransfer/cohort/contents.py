"""What a store of volumes holds, scan by scan, and how that differs from what a cohort needs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from neurotransfer.cohort.cohort import Cohort
from neurotransfer.cohort.contract import Contract, Input
from neurotransfer.cohort.volumes import RECIPE, way_of
from neurotransfer.errors import ImageError

COLUMNS = ("participant_id", "session_id", "image", "files")
NAMED = 3


@dataclass(frozen=True, eq=False)
class Contents:
    """The scans of a store in their order, and how they were laid on the grid.

    `table` has one row a volume, all text: participant_id, session_id, image (the name of the file) and files (a hash of
    path, size and time of change of image and mask; empty where they were not looked at).

    Example:
        >>> from neurotransfer.cohort import Grid
        >>> Contents(pd.DataFrame([["sub-1", "ses-2", "a.nii", "0f"]], columns=COLUMNS), Grid()).scans
        ['sub-1 ses-2']
    """

    table: pd.DataFrame = field(repr=False)
    grid: Input
    alignment: str = "world"
    bits: int = 16
    recipe: str = RECIPE

    @property
    def fingerprint(self) -> str:
        """A hash of all of it: what a store has to be made again for when it changes."""
        facts = (self.recipe, self.grid, self.alignment, self.bits, self.table[list(COLUMNS)].to_numpy().tolist())
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    @property
    def scans(self) -> list[str]:
        """Participant and session of every row."""
        return [f"{person} {session}".strip() for person, session in self.keys]

    @property
    def keys(self) -> list[tuple[str, str]]:
        """Participant and session of every row, apart."""
        return list(zip(self.table["participant_id"], self.table["session_id"], strict=True))


def contents_of(cohort: Cohort, grid: Input, bits: int = 16, *, files: bool = True) -> Contents:
    """What a store of a cohort's volumes on a grid has to hold.

    Args:
        cohort: with images.
        grid: of the volumes.
        bits: 8 or 16, of a voxel.
        files: False to leave the image files alone, which may lie on another machine.

    Raises:
        ImageError: when an image or a mask is not there.
    """
    sessions = cohort.table["session_id"] if "session_id" in cohort.table else [""] * len(cohort)
    rows = zip(cohort.table["participant_id"], sessions, cohort.images, strict=True)
    table = [
        (_text(person), _text(session), _text(pair[0].name), _hash_of(pair) if files else "")
        for person, session, pair in rows
    ]
    return Contents(
        pd.DataFrame(table, columns=list(COLUMNS), dtype=object), grid, cohort.alignment, bits, way_of(grid)
    )


def _text(value: object) -> str:
    # a file name need not be valid text, and no reader of tables agrees with another on what ends a line
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in str(value))


def _hash_of(pair: Sequence[Path | None]) -> str:
    states = "\n".join(_state(path) for path in pair)
    return hashlib.blake2b(states.encode(errors="surrogateescape"), digest_size=12).hexdigest()


def _state(path: Path | None) -> str:
    if path is None:
        return "no mask"
    try:
        status = path.stat()
    except OSError:
        raise ImageError(f"no such image {str(path)!r}") from None
    return f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"


def differences(found: Contents, wanted: Contents) -> list[str]:
    """What keeps a store from being used for a cohort, in words; empty when nothing does.

    Example:
        >>> from neurotransfer.cohort import Grid
        >>> scans = pd.DataFrame([["a", "", "a.nii", "0f"]], columns=COLUMNS)
        >>> differences(Contents(scans, Grid()), Contents(scans, Grid(), bits=8))
        ['its volumes have 16 bits a voxel, asked for are 8']
    """
    problems = _of_making(found, wanted) + _of_scans(found, wanted)
    if not problems and not wanted.table["files"].eq("").all():
        were, are = found.table["files"].tolist(), wanted.table["files"].tolist()
        changed = [scan for scan, old, new in zip(wanted.scans, were, are, strict=True) if old != new]
        problems = [f"the image or mask of {_some(changed)} has changed or moved since it was made"] if changed else []
    return problems


def _of_making(found: Contents, wanted: Contents) -> list[str]:
    problems = []
    if found.recipe != wanted.recipe:
        problems.append(f"its volumes were made by recipe {found.recipe!r}, this version makes {wanted.recipe!r}")
    if found.grid != wanted.grid:
        problems.append(f"its volumes lie on {_of_grid(found.grid)}, asked for is {_of_grid(wanted.grid)}")
    if found.alignment != wanted.alignment:
        problems.append(f"its volumes have alignment {found.alignment!r}, the cohort has {wanted.alignment!r}")
    if found.bits != wanted.bits:
        problems.append(f"its volumes have {found.bits} bits a voxel, asked for are {wanted.bits}")
    return problems


def _of_scans(found: Contents, wanted: Contents) -> list[str]:
    there, needed = found.keys, wanted.keys
    if there == needed:
        return []
    held, asked = set(there), set(needed)
    missing = [scan for scan, key in zip(wanted.scans, needed, strict=True) if key not in held]
    extra = [scan for scan, key in zip(found.scans, there, strict=True) if key not in asked]
    problems = [f"it lacks {_some(missing)} of the cohort"] if missing else []
    problems += [f"it holds {_some(extra)}, not in the cohort"] if extra else []
    return problems or [f"it holds the scans of the cohort in another order: {_some(found.scans)}"]


def _some(scans: Sequence[str]) -> str:
    more = f" and {len(scans) - NAMED} more" if len(scans) > NAMED else ""
    return ", ".join(scans[:NAMED]) + more


def _of_grid(grid: Input) -> str:
    made = f" as recipe {grid.recipe!r} makes them" if isinstance(grid, Contract) else ""
    return f"{' x '.join(map(str, grid.shape))} voxels of {grid.voxel_size_mm:g} mm{made}"
