"""A store of volumes in a folder: compact, memory-mapped, read by rows, and checked when it is read."""

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import read_json
from neurotransfer.cohort.cohort import Cohort
from neurotransfer.cohort.contents import COLUMNS, Contents, contents_of, differences
from neurotransfer.cohort.contract import Input, input_from_dict
from neurotransfer.errors import CohortError, ImageError, InputError, StorageError

ARRAY, STORE, SCANS = "volumes.npy", "volumes.json", "scans.tsv"
FORMAT = "neurotransfer-volumes-2"
DTYPES: dict[int, np.dtype[Any]] = {8: np.dtype("u1"), 16: np.dtype("<u2")}
NAMED = 5

if TYPE_CHECKING:
    # to a type checker a store is the array that it stands for: code that reads rows of volumes takes either
    _Array = np.ndarray
else:
    _Array = object


class DamagedStoreError(ImageError, StorageError):
    """A store of volumes that is not whole, or whose bytes are no longer those that were written.

    It is a fault of the machine and not of a scan, so it stops a run as a full disk does.
    """


class VolumeStore(_Array):
    """The volumes of a cohort, (n, x, y, z) with values 0 to 1, read by rows from one memory-mapped file.

    A voxel is kept as a whole number of 8 or 16 bits and read as float32: `kept / (2**bits - 1)`, wrong by no more than
    0.002 or 7.7e-6. The folder holds `volumes.npy` (any numpy reads it), `scans.tsv` (a row a volume) and `volumes.json`,
    which is written last. A volume's checksum is verified when a process first reads from it. Any number of processes may
    read at once; a store that is sent to another process opens the file again there.

    Args:
        folder: that `store_volumes` has filled.

    Raises:
        DamagedStoreError: an ImageError: when the store is not whole; when reading, a volume that is damaged.

    Example:
        >>> VolumeStore(Path("nowhere"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        neurotransfer.cohort.store.DamagedStoreError: 'nowhere' holds no whole store of volumes (there is no file ...
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            facts = _facts_of(self.folder)
            self.contents = _contents_of(self.folder, facts)
            self._offset, self._header = int(facts["offset"]), int(facts["header"])
            self._checksums = np.array(facts["checksums"], np.uint32)
            self._open()
        except (InputError, OSError, LookupError, TypeError, ValueError) as error:
            raise self._damaged(f"holds no whole store of volumes ({_reason(error)})") from None

    def _open(self) -> None:
        path, kept = self.folder / ARRAY, DTYPES[self.bits]
        expected, found = self._offset + kept.itemsize * self.size, path.stat().st_size
        if found != expected or len(self._checksums) != len(self):
            raise ValueError(f"{ARRAY} has {found} bytes for {len(self._checksums)} volumes, expected {expected}")
        with path.open("rb") as file:
            if zlib.crc32(file.read(self._offset)) != self._header:
                raise ValueError(f"the header of {ARRAY} is damaged")
        self._kept: np.ndarray = np.zeros(self.shape, kept)
        if len(self):
            self._kept = np.asarray(np.memmap(path, kept, "r", self._offset, self.shape))
        self._verified = np.zeros(len(self), bool)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_kept", "_verified")}

    def __setstate__(self, state: dict[str, Any]) -> None:  # type: ignore[override]
        vars(self).update(state)
        try:
            self._open()
        except (OSError, ValueError) as error:
            raise self._damaged(f"is not the store that it was ({_reason(error)})") from None

    def __repr__(self) -> str:
        return f"VolumeStore({str(self.folder)!r}, {self.shape}, {self.bits} bits)"

    @property
    def bits(self) -> int:
        """Of a voxel, 8 or 16."""
        return self.contents.bits

    @property  # type: ignore[misc]
    def shape(self) -> tuple[int, ...]:
        """(n, x, y, z)."""
        return (len(self.contents.table), *self.contents.grid.shape)

    @property
    def ndim(self) -> int:
        """The number of axes, 4."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """What a volume is read as: float32."""
        return np.dtype(np.float32)

    @property
    def size(self) -> int:
        """The number of voxels of all volumes."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of all volumes in the file."""
        return self.size * DTYPES[self.bits].itemsize

    @property
    def checksums(self) -> np.ndarray:
        """The CRC-32 of every volume as it was written, uint32 (n,)."""
        return self._checksums.copy()

    def __len__(self) -> int:
        return len(self.contents.table)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Volumes as float32: (x, y, z) for one row, (n, x, y, z) for a slice, a mask or several rows, as in numpy."""
        return self._read(rows, np.dtype(np.float32))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # type: ignore[override]
        return self[:].astype(dtype or np.float32, copy=False)

    def raw(self, rows: Any) -> np.ndarray:
        """The whole numbers that are kept, uint8 or uint16, shaped as by `store[rows]`; divide by `2**bits - 1`."""
        return self._read(rows, DTYPES[self.bits])

    def patch(self, row: int, part: tuple[slice, slice, slice]) -> np.ndarray:
        """A part of one volume as float32; no more than the part is read, once the volume has been verified."""
        if len(part) != 3 or not all(isinstance(side, slice) for side in part):
            raise InputError(f"a part of a volume is three slices, one an axis, got {part!r}")
        row = int(self._rows(int(row)))
        self._verify(row)
        return np.divide(self._kept[row][part], np.float32(2**self.bits - 1), dtype=np.float32)

    def _rows(self, rows: Any) -> np.ndarray:
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            # how scikit-learn takes rows of an array
            rows = rows[0]
        if isinstance(rows, tuple):
            raise IndexError(f"a store is read by rows, got {rows!r}; read store[rows], or a part by store.patch")
        return np.asarray(np.arange(len(self))[rows])

    def _read(self, rows: Any, dtype: np.dtype) -> np.ndarray:
        chosen = self._rows(rows)
        flat, result = chosen.ravel(), np.empty((chosen.size, *self.shape[1:]), dtype)
        # volume by volume in the order of the file: nothing is copied twice, and a disk is read forwards
        for place in np.argsort(flat, kind="stable"):
            row = int(flat[place])
            self._verify(row)
            if dtype.kind == "f":
                np.divide(self._kept[row], dtype.type(2**self.bits - 1), out=result[place])
            else:
                result[place] = self._kept[row]
        return result.reshape(*chosen.shape, *self.shape[1:])

    def _is_whole(self, row: int) -> bool:
        return zlib.crc32(self._kept[row]) == self._checksums[row]

    def _verify(self, row: int) -> None:
        if not self._verified[row]:
            if not self._is_whole(row):
                raise self._damaged(f"has a damaged volume, {self._name(row)}, in {ARRAY}")
            self._verified[row] = True

    def verify(self) -> None:
        """Read every volume and compare its checksum, also of those that were verified before.

        Raises:
            DamagedStoreError: naming the volumes that are damaged.
        """
        damaged = [row for row in range(len(self)) if not self._is_whole(row)]
        if damaged:
            more = f" and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
            names = ", ".join(self._name(row) for row in damaged[:NAMED])
            raise self._damaged(f"has {len(damaged)} damaged volumes, {names}{more}, in {ARRAY}")
        self._verified[:] = True

    def _name(self, row: int) -> str:
        return f"{self.contents.scans[row]} (row {row + 1})"

    def _damaged(self, what: str) -> DamagedStoreError:
        return DamagedStoreError(
            f"{str(self.folder)!r} {what}; remove {STORE}, {ARRAY} and {SCANS} there and run the same command again, which "
            "makes them anew from the scans"
        )

    def require(self, cohort: Cohort, grid: Input, bits: int | None = None, *, files: bool = True) -> None:
        """Refuse a store that does not hold just the scans of a cohort, in their order, on this grid.

        Args:
            cohort: whose rows will be read.
            grid: that the volumes must lie on.
            bits: of a voxel; either when not given.
            files: False to leave the image files alone, which may lie on another machine.

        Raises:
            CohortError: with who is missing or too many, and what else differs.
            ImageError: when an image file of the cohort is not there.
        """
        self.require_contents(contents_of(cohort, grid, bits or self.bits, files=files))

    def require_contents(self, wanted: Contents) -> None:
        """As `require`, of contents that are known."""
        problems = differences(self.contents, wanted)
        if problems:
            advice = "remove that folder to have it made again, name another folder, or give the cohort it was made of"
            raise CohortError(f"the store of volumes {str(self.folder)!r}", problems, advice)


def self_checksum(facts: dict[str, Any]) -> int:
    """The CRC-32 of a manifest without its own checksum, however it is laid out."""
    return zlib.crc32(json.dumps({name: facts[name] for name in sorted(facts) if name != "checksum"}).encode())


def _facts_of(folder: Path) -> dict[str, Any]:
    facts = read_json(folder / STORE)
    if facts["format"] != FORMAT:
        raise ValueError(f"{STORE} has format {facts['format']!r}, this version reads {FORMAT!r}")
    if facts["checksum"] != self_checksum(facts):
        raise ValueError(f"{STORE} is damaged")
    return facts


def _contents_of(folder: Path, facts: dict[str, Any]) -> Contents:
    path = folder / SCANS
    if zlib.crc32(path.read_bytes()) != facts["table"]:
        raise ValueError(f"{SCANS} is damaged, or of another store")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")[list(COLUMNS)]
    return Contents(table, input_from_dict(facts["grid"]), facts["alignment"], facts["bits"], facts["recipe"])


def _reason(error: Exception) -> str:
    if isinstance(error, LookupError):
        return f"{STORE} does not say its {error}"
    return str(error)
