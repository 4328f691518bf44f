"""Pictures that are made once: beside the run where neurotransfer made it, else in a folder that goes when the page does."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from neurotransfer.artifacts import require_writable
from neurotransfer.errors import InputError, StorageError

FOLDER = ".view"
FORMAT = "1"
# each may take as much memory as the largest head
WORKERS = 2


class Cache:
    """Files that are made when they are first asked for, once, by a few threads.

    A file is known by where its source lies, and by the source's size and time of change: when these change it is made anew,
    and the old one goes.

    Args:
        folder: where to keep them; a temporary folder when None, or when it cannot be written.
        ending: of the files.
    """

    def __init__(self, folder: Path | None, ending: str) -> None:
        self.ending, self.note = ending, ""
        self._temporary: TemporaryDirectory[str] | None = None
        self._pool = ThreadPoolExecutor(WORKERS, "picture")
        self._lock, self._making = Lock(), dict[Path, Future[None]]()
        if folder is not None and not _is_ready(folder):
            self.note = f"{str(folder)!r} cannot be written: pictures are kept only as long as the page is open"
            folder = None
        if folder is None:
            self._temporary = TemporaryDirectory(prefix="neurotransfer-view-", ignore_cleanup_errors=True)
            folder = Path(self._temporary.name)
        self.folder = folder

    def get(self, source: Path, make: Callable[[Path, Path], object]) -> Path:
        """The file made of `source`; `make`, called with `source` and the file, writes it whole, unless it is there.

        Raises:
            InputError: when `source` is not there, or what `make` raises.
        """
        path = self._path(source)
        with self._lock:
            if path.is_file():
                return path
            future = self._making.get(path)
            if future is None:
                future = self._making[path] = self._pool.submit(self._make, source, path, make)
        try:
            future.result()
        finally:
            with self._lock:
                self._making.pop(path, None)
        return path

    def close(self) -> None:
        """Make nothing more, and take a temporary folder away."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _path(self, source: Path) -> Path:
        try:
            state = source.stat()
        except OSError:
            raise InputError("the file is no longer there") from None
        name = hashlib.sha256(os.fsencode(source)).hexdigest()[:16]
        facts = hashlib.sha256(repr((FORMAT, state.st_size, state.st_mtime_ns)).encode()).hexdigest()[:16]
        return self.folder / f"{name}-{facts}{self.ending}"

    def _make(self, source: Path, path: Path, make: Callable[[Path, Path], object]) -> None:
        make(source, path)
        for old in self.folder.glob(f"{path.name.split('-')[0]}-*{self.ending}"):
            if old != path:
                old.unlink(missing_ok=True)


def _is_ready(folder: Path) -> bool:
    try:
        if folder.is_symlink():
            return False
        folder.mkdir(mode=0o700, exist_ok=True)
        require_writable(folder)
    except (OSError, StorageError):
        return False
    return True
