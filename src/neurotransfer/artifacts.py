"""Files that are whole or absent: atomic writes, tables, provenance; a manifest that is written last."""

import errno
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.errors import InputError, StorageError

MANIFEST = "manifest.json"
# what the user lets nobody do with new files; it can only be read by setting it
UMASK = os.umask(0o077)
os.umask(UMASK)
PACKAGES = ("neurotransfer", "torch", "numpy", "scipy", "pandas", "scikit-learn", "nibabel", "nilearn")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def is_full(error: OSError) -> bool:
    """Whether the file system refused to write more: disk full, quota reached, file too large."""
    return error.errno in _FULL


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn a failure of the file system while writing `path` into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StorageError(
                f"no space left while writing {str(path)!r} ({error.strerror}); what was finished is kept: "
                "free some space, or give another --out, and run the same command again"
            ) from error
        if error.errno in _REFUSED:
            raise StorageError(f"cannot write {str(path)!r}: {error.strerror}; choose another place") from error
        raise


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path` and move it there; `path` is never half written.

    Raises:
        StorageError: when the disk is full or the place cannot be written.
    """
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            temporary.chmod(0o666 & ~UMASK)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_whole(path: Path) -> None:
    """Take a file away, and what a process that was killed while it wrote the file has left beside it.

    Raises:
        StorageError: when the place cannot be written.
    """
    with storage(path):
        for left in [path, *path.parent.glob(f".{path.name}.*{path.suffix}")]:
            left.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Make a folder and try to write in it, before anything long begins.

    Raises:
        StorageError: when the disk is full or the place cannot be written.
    """
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def require_no_file(path: Path) -> None:
    """Refuse to write over a file that is there, and a place that cannot be written, before anything long begins.

    Raises:
        InputError: when something lies at `path`.
        StorageError: when its folder cannot be written.
    """
    if os.path.lexists(path):
        raise InputError(f"{str(path)!r} is there already; give another --out, or remove it")
    require_writable(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, sort_keys=False, default=str, allow_nan=True) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Read JSON; raises InputError when the file is absent or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file {str(path)!r}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{str(path)!r} cannot be read as JSON ({error}); write it again, or remove what a command makes anew"
        ) from None


def is_file(path: Path) -> bool:
    """Whether `path` is a file; False also where pathlib raises (a name that is too long, say)."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False also where pathlib raises."""
    return os.path.isdir(path)  # noqa: PTH112


TABLE_SUFFIXES = (".tsv", ".csv", ".parquet")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table by its suffix (.tsv, .csv, .parquet), whole or not at all; missing values are `n/a` in text."""
    suffix = table_suffix(path)
    if suffix == ".parquet":
        write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))
    else:
        separator = "\t" if suffix == ".tsv" else ","
        write_atomically(path, lambda temporary: table.to_csv(temporary, sep=separator, index=False, na_rep="n/a"))


def table_suffix(path: Path) -> str:
    """The suffix of a table's path; raises InputError when it is none of .tsv, .csv, .parquet."""
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise InputError(f"cannot tell the format of table {str(path)!r}; allowed endings: {', '.join(TABLE_SUFFIXES)}")
    return path.suffix.lower()


def provenance(**facts: Any) -> dict[str, Any]:
    """What is needed to do it again: the given facts, Python, the platform's kind and the versions of the packages."""
    versions = {package: package_version(package) for package in PACKAGES}
    return {**facts, "python": platform.python_version(), "machine": platform.machine(), "versions": versions}


def package_version(package: str) -> str:
    """The version of an installed package, `not installed` when it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
