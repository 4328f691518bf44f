"""Scans as estimators are given them: image paths, which are read a batch at a time, or volumes; checked in either case."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file
from neurotransfer.cohort import Cohort, VolumeStore, load_volume, store_volumes
from neurotransfer.cohort.contract import NATIVE, Contract, Input
from neurotransfer.cohort.preparation import identity_of, preparation_of_images
from neurotransfer.cohort.storing import quantised
from neurotransfer.errors import ImageError, ModelError, listed
from neurotransfer.estimators.arguments import ALLOWED, ArgumentError, array_of, rows_named, shown
from neurotransfer.models import Card
from neurotransfer.models.checks import check_volumes, require_preparation

BITS = 16
ADVICE = "mend these scans, or leave them and their labels out"


class ScansOnDisk:
    """Volumes (n, x, y, z) of image paths, float32, read from the images whenever rows of them are asked for.

    A voxel has the value that a store of volumes gives it (16 bits), so that the numbers are those of `neurotransfer
    transfer` and `predict`.

    Args:
        images: the paths.
        taken: the input of a model.
        alignment: see `neurotransfer.cohort.load_volume`.

    Raises:
        ImageError: when images are not there; when reading, with all scans that cannot be used.
    """

    def __init__(self, images: Sequence[Path], taken: Input, alignment: str) -> None:
        self.images, self.taken, self.alignment = list(images), taken, alignment
        absent = [(row, f"no such image {str(path)!r}") for row, path in enumerate(self.images) if not is_file(path)]
        if absent:
            raise _refusal(absent)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, x, y, z)."""
        return (len(self.images), *self.taken.shape)

    @property
    def ndim(self) -> int:
        """The number of axes, 4."""
        return 4

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Volumes of rows: (x, y, z) for one, (n, x, y, z) for a slice, a mask or several, as in numpy."""
        chosen = np.asarray(np.arange(len(self))[rows])
        found = np.empty((chosen.size, *self.shape[1:]), np.float32)
        for place, row in enumerate(chosen.ravel()):
            try:
                found[place] = self._volume(int(row))
            except ImageError as error:
                raise self._every_problem(error) from None
        return found.reshape(*chosen.shape, *self.shape[1:])

    def _volume(self, row: int) -> np.ndarray:
        volume = load_volume(self.images[row], self.taken, alignment=self.alignment)
        inside = volume[volume > 0]
        if np.median(inside) >= inside.max():
            raise ImageError(
                f"{str(self.images[row])!r} is a mask and no scan: most of its voxels above zero have one value; give "
                "T1-weighted scans"
            )
        return quantised(volume, BITS) / np.float32(2**BITS - 1)

    def _every_problem(self, first: ImageError) -> ImageError:
        problems = []
        for row in range(len(self)):
            try:
                self._volume(row)
            except ImageError as error:
                problems.append((row, str(error)))
        # a disk may fail once only
        return _refusal(problems) if problems else first

    @property
    def cohort(self) -> Cohort:
        """The scans as a cohort, every one of another person.

        Raises:
            InputError: when they were prepared by several recipes.
        """
        names = [str(row) for row in range(len(self))]
        table = {"participant_id": names, "session_id": "", "image": [str(path) for path in self.images], "mask": ""}
        return Cohort("X", pd.DataFrame(table), self.alignment, preparation=preparation_of_images(self.images))

    def stored(self, folder: Path) -> VolumeStore:
        """The volumes in a folder, for what reads each of them often."""
        try:
            return store_volumes(folder, self.cohort, self.taken, bits=BITS)
        except ImageError as error:
            raise self._every_problem(error) from None


def scans_of(X: Any, card: Card | None, alignment: str) -> Any:
    """What holds the volumes (n, x, y, z) of X: an array, a store of volumes or `ScansOnDisk`; none is copied.

    Args:
        X: image paths, or volumes.
        card: of the model that they have to fit, where there is one.
        alignment: of image paths.

    Raises:
        ArgumentError: when X is neither.
        ImageError: when images are not there.
        ModelError: when the scans do not fit the model.
    """
    paths = image_paths(X)
    if paths is not None:
        return _on_disk(paths, card, alignment)
    if isinstance(X, VolumeStore):
        _require_same_input(X, card)
        return X
    values = array_of(X)
    if values.ndim != 4:
        raise ArgumentError(
            f"X is {ALLOWED}, got {values.shape}. Reshape your data: one volume (x, y, z) is volume[None], one row of "
            "columns X.reshape(1, -1)"
        )
    if values.dtype.kind not in "fiub":
        raise ArgumentError(f"X with four axes holds volumes of numbers, got {values.dtype}; give np.float32 arrays")
    _require_values(values, card)
    return values


def image_paths(X: Any) -> list[Path] | None:
    """The paths that X holds: a list, an array, a Series, or a table of one column of them; None when it holds none.

    Raises:
        ArgumentError: when X holds paths and something else.

    Example:
        >>> [path.name for path in image_paths(["a.nii", Path("b.nii")])], image_paths(np.zeros((2, 3)))
        (['a.nii', 'b.nii'], None)
    """
    items: list[Any]
    if isinstance(X, list | tuple):
        items = list(X)
    elif isinstance(X, pd.DataFrame | pd.Series) or (isinstance(X, np.ndarray) and X.dtype.kind in "OU"):
        values = np.asarray(X) if not isinstance(X, pd.DataFrame) or X.shape[1] == 1 else np.empty((0, 0))
        items = list(values.ravel()) if values.shape in {(len(values),), (len(values), 1)} else []
    else:
        items = []
    others = [row for row, item in enumerate(items) if not isinstance(item, str | Path)]
    if len(others) == len(items):
        return None
    if others:
        raise ArgumentError(
            f"X holds image paths, but not in {rows_named(np.array(others))}, there is "
            f"{shown(items[others[0]])}; give a path a scan"
        )
    return [Path(item) for item in items]


def input_of(card: Card) -> Input:
    """The input of a model of scans.

    Raises:
        ModelError: when the model takes columns of a table.
    """
    taken = card.input
    if taken is None:
        raise ModelError(
            f"model {card.name!r} takes columns of a table, not scans; columns go as they are to TransferClassifier(strategy="
            "'linear') without a model, or to any estimator of scikit-learn"
        )
    return taken


def _on_disk(paths: list[Path], card: Card | None, alignment: str) -> ScansOnDisk:
    if card is None:
        raise ArgumentError(
            "image paths need a model, whose grid they are laid on; give model, or an array of volumes "
            "(neurotransfer.cohort.load_volume)"
        )
    taken = input_of(card)
    check_volumes(card, np.zeros((0, *taken.shape), np.float32))
    scans = ScansOnDisk(paths, taken, alignment)
    cohort = scans.cohort
    require_preparation(card, cohort)
    native = cohort.preparation.get("SpatialReference") == NATIVE
    if native and alignment == "world" and not isinstance(taken, Contract):
        raise ArgumentError(
            f"X was prepared in native space by recipe {identity_of(cohort.preparation)}; say so with alignment = 'centre'"
        )
    return scans


def _require_same_input(store: VolumeStore, card: Card | None) -> None:
    if card is None:
        return
    taken = input_of(card)
    check_volumes(card, store)
    if store.contents.grid != taken:
        raise ArgumentError(
            f"X is a store of volumes on {store.contents.grid}, model {card.name!r} takes {taken}; make the store "
            "with the input of the model"
        )


def _require_values(values: np.ndarray, card: Card | None) -> None:
    if not len(values):
        raise ArgumentError("X holds 0 scans; give one or more")
    lows, highs = values.min((1, 2, 3)), values.max((1, 2, 3))
    # a NaN comes through both, and no array of all voxels is made to look for it
    missing = np.flatnonzero(~(np.isfinite(lows) & np.isfinite(highs)))
    if len(missing):
        raise ArgumentError(
            f"X has missing or infinite values (NaN) in {rows_named(missing)}; leave those scans out, or fill them in first"
        )
    if card is not None:
        input_of(card)
        check_volumes(card, values)
    low, high = card.intensity_range if card is not None else (0.0, 1.0)
    beyond = np.flatnonzero((lows < low) | (highs > high))
    if len(beyond):
        raise ArgumentError(
            f"volumes have values from {low:g} to {high:g}, got {lows.min():g} to {highs.max():g} ({rows_named(beyond)}); make "
            "them with neurotransfer.cohort.load_volume"
        )
    empty = np.flatnonzero(highs <= 0)
    if len(empty):
        raise ArgumentError(f"X has empty volumes, without a voxel above zero, in {rows_named(empty)}; {ADVICE}")


def _refusal(problems: list[tuple[int, str]]) -> ImageError:
    if len(problems) == 1:
        return ImageError(f"{problems[0][1]} (row {problems[0][0] + 1} of X); {ADVICE}")
    return ImageError(listed("X", [f"row {row + 1}: {problem}" for row, problem in problems], ADVICE))
