"""The folder of maps: claimed by one call, gone on with by the same, and complete when its manifest is there."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from neurotransfer.artifacts import MANIFEST, is_file, read_json, require_writable, storage, write_json
from neurotransfer.errors import InputError

BEGUN, PARTS, PAGE, TABLE = "explained.json", ".parts", "report.html", "maps.parquet"
MADE_BY = "neurotransfer explain maps"


def fingerprint(*facts: object) -> str:
    """A hash of all that maps depend on.

    Example:
        >>> fingerprint(1, "a") == fingerprint(1, "a"), fingerprint(1) == fingerprint(2)
        (True, False)
    """
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def require_open(out: Path) -> None:
    """Refuse a folder that cannot take maps, before anything long begins.

    Raises:
        InputError: when it is a file, or holds something else or finished maps.
        StorageError: when it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{str(out)!r} is a file; give another --out")
    require_writable(out)
    if is_file(out / MANIFEST):
        raise InputError(f"{str(out)!r} holds finished maps or another run; give another --out, or remove it")
    found = sorted(path.name for path in out.iterdir() if path.name != PARTS)
    if found and not is_file(out / BEGUN):
        raise InputError(f"{str(out)!r} holds something else ({', '.join(found[:3])}); give a new or an empty folder")


def claim(out: Path, key: str) -> None:
    """Make a folder ready for maps of this fingerprint, or for going on with them.

    Raises:
        InputError: as `require_open`, or when maps of another call were begun in it.
        StorageError: when it cannot be written.
    """
    require_open(out)
    if not is_file(out / BEGUN):
        write_json(out / BEGUN, {"made_by": MADE_BY, "key": key})
    if read_json(out / BEGUN).get("key") != key:
        raise InputError(
            f"{str(out)!r} holds maps of another call that was interrupted: another model, other scans, methods or options; give "
            "another --out, or remove it"
        )


def finish(out: Path, manifest: dict[str, Any]) -> None:
    """Take away what was kept for going on, and write the manifest, whose existence means that all is there."""
    with storage(out):
        if (out / PARTS).is_dir():
            shutil.rmtree(out / PARTS)
    write_json(out / MANIFEST, manifest)
