"""What is sent for what is asked: pages of ours, the list, pictures and volumes by the number of a scan and a role."""

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import BinaryIO

from neurotransfer.artifacts import is_file
from neurotransfer.errors import NeurotransferError
from neurotransfer.view.cache import Cache
from neurotransfer.view.pictures import write_picture
from neurotransfer.view.request import RefusedError
from neurotransfer.view.scans import SCAN, Scans, facts_of, listing, plain
from neurotransfer.view.volumes import can_be_shown_as_it_is, write_small

HTML, CSS, JS = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
JSON, JPEG, NIFTI = "application/json", "image/jpeg", "application/octet-stream"
MODULES = ("viewer", "choice", "dom", "grid", "marks", "one", "scene")
# name in the address: package, file, type
PAGES = {
    "": ("neurotransfer.view", "viewer.html", HTML),
    "viewer.css": ("neurotransfer.view", "viewer.css", CSS),
    **{f"{name}.js": ("neurotransfer.view", f"{name}.js", JS) for name in MODULES},
    "page.css": ("neurotransfer.pages", "page.css", CSS),
    "niivue.js": ("neurotransfer.pages", "niivue.js", JS),
}
_NUMBER = r"(0|[1-9]\d{0,8})"
# follow no link, wait for no pipe, change no line ending: where the system knows such
SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
GONE = "the file has changed its place since the page was opened: run the command again"


@dataclass(frozen=True)
class Answer:
    """What is sent: its type, and the bytes or the open file that has them."""

    kind: str
    content: bytes | BinaryIO
    n_bytes: int


class Answers:
    """All that can be asked for; whatever has no route here is not there.

    Args:
        scans: of the run.
        pictures: where thumbnails are kept.
        volumes: where volumes are kept that had to be made smaller.
    """

    def __init__(self, scans: Scans, pictures: Cache, volumes: Cache) -> None:
        self.scans, self.pictures, self.volumes = scans, pictures, volumes
        self._list = _as_json(listing(scans))
        self._as_it_is: dict[tuple[Path, int, int], bool] = {}
        self.routes: tuple[tuple[re.Pattern[str], Callable[..., Answer]], ...] = (
            (re.compile(r"scans\.json"), self._all),
            (re.compile(rf"numbers/{_NUMBER}\.json"), self._number),
            (re.compile(rf"scans/{_NUMBER}\.json"), self._facts),
            (re.compile(rf"scans/{_NUMBER}/picture\.jpg"), self._picture),
            (re.compile(rf"scans/{_NUMBER}/(scan|mask|map-(?:0|[1-9]\d{{0,3}}))\.nii\.gz"), self._volume),
        )

    def answer(self, asked: str) -> Answer:
        """The answer to what is asked for.

        Raises:
            RefusedError: when there is no such thing, or it cannot be shown, without a word of where anything lies.
        """
        if asked in PAGES:
            return _page(*PAGES[asked])
        for pattern, make in self.routes:
            found = pattern.fullmatch(asked)
            if found is not None:
                return make(*found.groups())
        raise RefusedError(404, "there is no such thing")

    def _all(self) -> Answer:
        return Answer(JSON, self._list, len(self._list))

    def _number(self, number: str) -> Answer:
        if int(number) >= len(self.scans.numbers):
            raise RefusedError(404, "there is no such number")
        return _json(plain(self.scans.numbers[int(number)].values))

    def _facts(self, number: str) -> Answer:
        return _json(facts_of(self.scans, self._scan(number)))

    def _picture(self, number: str) -> Answer:
        path = self._file(number, SCAN)
        with _said_without_path():
            return _opened(self.pictures.get(path, write_picture), JPEG)

    def _volume(self, number: str, role: str) -> Answer:
        path = self._file(number, role)
        with _said_without_path():
            if self._fits(path):
                return _opened(path, NIFTI)
            return _opened(self.volumes.get(path, write_small), NIFTI)

    def _scan(self, number: str) -> int:
        if int(number) >= len(self.scans):
            raise RefusedError(404, "there is no such scan")
        return int(number)

    def _file(self, number: str, role: str) -> Path:
        """The file of a scan, which must still be where it was when the page was opened."""
        file = self.scans.files[self._scan(number)].get(role)
        if file is None:
            raise RefusedError(404, f"this scan has no {role}")
        if os.path.realpath(file.path) != str(file.path) or not is_file(file.path):
            raise RefusedError(410, GONE)
        return file.path

    def _fits(self, path: Path) -> bool:
        state = path.stat()
        key = (path, state.st_size, state.st_mtime_ns)
        if key not in self._as_it_is:
            self._as_it_is[key] = can_be_shown_as_it_is(path)
        return self._as_it_is[key]


@contextmanager
def _said_without_path() -> Iterator[None]:
    """Turn what goes wrong with a file into a refusal that does not say where it lies."""
    try:
        yield
    except NeurotransferError as error:
        raise RefusedError(422, f"this image cannot be shown: {without_paths(str(error))}") from None
    except OSError:
        raise RefusedError(410, GONE) from None
    except MemoryError:
        raise RefusedError(503, "there is not enough memory to show this image") from None


def without_paths(text: str) -> str:
    """A message without what stands in quotes and has a slash: where files lie is nobody's business.

    Example:
        >>> without_paths("'/home/ada/sub-01_T1w.nii.gz' is constant, every voxel is 0")
        'the file is constant, every voxel is 0'
    """
    return re.sub(r"\S*/\S*", "the file", re.sub(r"(['\"]).*?/.*?\1", "the file", text))


def _page(package: str, name: str, kind: str) -> Answer:
    file = resources.files(package) / "assets" / name
    if not file.is_file():
        raise RefusedError(404, "this part of the page is not installed")
    content = file.read_bytes()
    return Answer(kind, content, len(content))


def _opened(path: Path, kind: str) -> Answer:
    """An open file, if it is one and no link."""
    try:
        handle = os.open(path, os.O_RDONLY | SAFELY)
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise RefusedError(503, "too many files are open: try again") from None
        raise
    file = os.fdopen(handle, "rb")
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode):
        file.close()
        raise RefusedError(410, GONE)
    return Answer(kind, file, state.st_size)


def _json(value: object) -> Answer:
    content = _as_json(value)
    return Answer(JSON, content, len(content))


def _as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
