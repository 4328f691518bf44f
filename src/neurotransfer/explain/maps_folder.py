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


def claim(out: Path, key: str) -> bool:
    """Make a folder ready for maps of this fingerprint; whether they are all there already.

    Raises:
        InputError: when it holds something else, or maps of another call.
        StorageError: when it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{str(out)!r} is a file; give another --out")
    require_writable(out)
    if not is_file(out / BEGUN):
        found = sorted(path.name for path in out.iterdir() if path.name != PARTS)
        if found:
            raise InputError(
                f"{str(out)!r} holds something else ({', '.join(found[:3])}); give a new or an empty folder"
            )
        write_json(out / BEGUN, {"made_by": MADE_BY, "key": key})
    if read_json(out / BEGUN).get("key") != key:
        raise InputError(
            f"{str(out)!r} holds maps of another call: another model, other scans, methods or options; give another --out"
        )
    return is_file(out / MANIFEST)


def finish(out: Path, manifest: dict[str, Any]) -> None:
    """Take away what was kept for going on, and write the manifest, whose existence means that all is there."""
    with storage(out):
        if (out / PARTS).is_dir():
            shutil.rmtree(out / PARTS)
    write_json(out / MANIFEST, manifest)
