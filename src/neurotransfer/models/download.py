"""Fetch one file: resumed where it was cut, tried again where a host is busy, checked before it has its name."""

import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from neurotransfer.artifacts import is_file, storage
from neurotransfer.errors import InputError, ModelError, listed
from neurotransfer.models.contents import BLOCK, Contents
from neurotransfer.models.transport import Answer, Transport, UnansweredError, answer, host_of, is_offline, require_url

# a host that sends a little every time is not asked for ever
MOST_TRIES = 100


class _Told:
    """Tells of every mebibyte once, also where a file is begun anew."""

    def __init__(self, on_size: Callable[[int], object], on_mebibyte: Callable[[], object]) -> None:
        self.on_size, self.on_mebibyte = on_size, on_mebibyte
        self.told, self.is_sized = 0, False

    def size(self, total: int | None) -> None:
        if not self.is_sized:
            self.is_sized = True
            self.on_size(-(-total // BLOCK) if total else 0)

    def at(self, n: int, end: bool = False) -> None:
        reached = -(-n // BLOCK) if end else n // BLOCK
        for _ in range(reached - self.told):
            self.on_mebibyte()
        self.told = max(self.told, reached)


def download(
    url: str,
    path: Path,
    sha256: str | None = None,
    git_blob: str | None = None,
    size: int | None = None,
    *,
    accept: str = "*/*",
    advice: str = "",
    transport: Transport | None = None,
    on_size: Callable[[int], object] = lambda total: None,
    on_mebibyte: Callable[[], object] = lambda: None,
) -> Path:
    """Fetch a file, so that it lies at `path` whole and checked, or not at all; nothing is fetched when it lies there already.

    What has come is kept in `path.part`, and the next try (or the next call) asks for the rest. Where the host has another file
    by then, or cannot send a part, it begins anew. A process that fetches the same file waits for the first one.

    Args:
        url: https; http of this machine only.
        path: of the new file; its folder is made.
        sha256: 64 hexadecimal digits, or None when it is not known.
        git_blob: the SHA-1 by which git names it, or None.
        size: in bytes, or None.
        accept: the form in which the host is asked for it.
        advice: what a person can do when the host is out of reach; ends messages.
        transport: time-outs, waits, limits; whether the network may be used at all.
        on_size: called once with the size in mebibytes, 0 when it is not known.
        on_mebibyte: called for each of them.

    Raises:
        InputError: when the network is not to be used, the host is out of reach or refuses, or the URL is not allowed.
        ModelError: when what came is not the expected file (it is removed), is too large, or another file lies at `path`.
        StorageError: when the disk is full or the place cannot be written.

    Example:
        >>> download("https://example.org/weights.h5", Path("weights.h5"), transport=Transport(is_offline=True))
        Traceback (most recent call last):
        ...
        neurotransfer.errors.InputError: 'weights.h5' is not here, and the network is not to be used (...
    """
    require_url(url)
    transport = transport or Transport()
    expected = Contents(sha256, git_blob, size)
    if is_file(path):
        return _kept(path, expected)
    if is_offline(transport):
        text = "allow the network (NEUROTRANSFER_OFFLINE=0), or fetch it elsewhere and put it there"
        raise InputError(
            f"{str(path)!r} is not here, and the network is not to be used (NEUROTRANSFER_OFFLINE or offline is set): "
            f"{advice or f'{text}: {url}'}"
        )
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire()
    try:
        # another process may have fetched it while this one waited
        if is_file(path):
            return _kept(path, expected)
        part = path.with_name(path.name + ".part")
        was_begun = is_file(part)
        told = _Told(on_size, on_mebibyte)
        _receive(url, part, expected, accept, advice, transport, told)
        if was_begun and expected.problems(part):
            # what was begun may have been of another file
            _forget(part)
            _receive(url, part, expected, accept, advice, transport, told)
        return _checked(url, part, path, expected)
    finally:
        lock.release()


def _kept(path: Path, expected: Contents) -> Path:
    if problems := expected.problems(path):
        text = "another file has its name: remove it, or choose another folder, and run it again"
        raise ModelError(listed(str(path), problems, text))
    return path


def _checked(url: str, part: Path, path: Path, expected: Contents) -> Path:
    if problems := expected.problems(part):
        _forget(part)
        text = "what came was removed: run it again; if it stays so, the release was changed or the network alters it"
        raise ModelError(listed(url, problems, text))
    with storage(path):
        part.replace(path)
        _mark(part).unlink(missing_ok=True)
    return path


def _mark(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _receive(
    url: str, part: Path, expected: Contents, accept: str, advice: str, transport: Transport, told: _Told
) -> None:
    waits, reached = list(transport.waits), 0
    for _ in range(MOST_TRIES):
        try:
            _receive_once(url, part, expected, accept, transport, told)
            return
        except UnansweredError as error:
            now = part.stat().st_size if is_file(part) else 0
            # a host that sends something is worth all tries again
            waits, reached = (list(transport.waits), now) if now > reached else (waits, reached)
            if not (waits and (error.is_passing or now) and error.wait_s <= transport.most_wait_s):
                raise InputError(_given_up(url, error, now, advice)) from None
            transport.sleep(max(waits.pop(0), error.wait_s))
    raise InputError(f"{host_of(url)} cut {url} off {MOST_TRIES} times; {_by_hand(url, advice)}")


def _given_up(url: str, error: UnansweredError, n: int, advice: str) -> str:
    patience = f", and asks to wait for {error.wait_s:.0f} s" if error.wait_s else ""
    kept = f" ({n} bytes are kept, and the same command goes on from there)" if n else ""
    return f"nothing can be fetched from {host_of(url)}: {error}{patience}{kept}; {_by_hand(url, advice)}"


def _by_hand(url: str, advice: str) -> str:
    return advice or f"try again later, or fetch {url} by hand and put it there"


def _receive_once(url: str, part: Path, expected: Contents, accept: str, transport: Transport, told: _Told) -> None:
    have, mark = _begun(part, expected)
    headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": "neurotransfer"}
    headers |= {"Range": f"bytes={have}-"} | ({"If-Range": mark} if mark else {}) if have else {}
    with answer(url, headers, transport) as response:
        if response.status == 416:
            if _total(response) == have:
                return
            _forget(part)
            raise UnansweredError("it has another file than the one begun")
        start = _start(response, have, mark, part)
        most = expected.size if expected.size is not None else transport.most_bytes
        total = _total(response) if response.status == 206 else _number(response.headers.get("Content-Length"))
        _require_size(url, part, total, most)
        with storage(part):
            _mark(part).write_text(_usable(response.headers.get("ETag", "")), encoding="utf-8")
        told.size(total)
        reached = _write(url, response, part, start, most, told)
    if total is not None and reached < total:
        raise UnansweredError(f"cut off after {reached} of {total} bytes")
    told.at(reached, end=True)


def _begun(part: Path, expected: Contents) -> tuple[int, str]:
    """How many bytes have come, and what tells whether the host still has the same file; 0 where nothing would tell."""
    have = part.stat().st_size if is_file(part) else 0
    mark = _usable(_mark(part).read_text(encoding="utf-8", errors="replace")) if is_file(_mark(part)) else ""
    return (have, mark) if mark or expected.is_checked else (0, "")


def _usable(mark: str) -> str:
    # a weak mark does not promise the same bytes
    return "" if mark.startswith("W/") or not (mark.isprintable() and mark.isascii()) else mark


def _start(response: Answer, have: int, mark: str, part: Path) -> int:
    """Where the bytes that come belong."""
    if response.status != 206:
        return 0
    new = _usable(response.headers.get("ETag", ""))
    if response.headers.get("Content-Range", "").startswith(f"bytes {have}-") and (not mark or new in ("", mark)):
        return have
    _forget(part)
    raise UnansweredError("it sent another part than the one asked for")


def _total(response: Answer) -> int | None:
    return _number(response.headers.get("Content-Range", "").rpartition("/")[2])


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None


def _require_size(url: str, part: Path, n: int | None, most: int) -> None:
    if n is not None and n > most:
        _forget(part)
        raise ModelError(
            f"{url} has {n} bytes or more, at most {most} were expected: it is another file, and nothing is kept; look at its page"
        )


def _write(url: str, response: Answer, part: Path, start: int, most: int, told: _Told) -> int:
    reached = start
    # what the network does is no OSError here
    with storage(part), part.open("r+b" if start else "wb") as opened:
        opened.seek(start)
        while block := _block(response):
            reached += len(block)
            _require_size(url, part, reached, most)
            opened.write(block)
            told.at(reached)
        opened.truncate()
        opened.flush()
        os.fsync(opened.fileno())
    return reached


def _block(response: Answer) -> bytes:
    try:
        return response.read(BLOCK)
    except (OSError, HTTPException) as error:
        raise UnansweredError(f"the connection broke: {type(error).__name__}") from None
