"""One request over the network: where it may go, how long it waits, and what answers mean."""

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from neurotransfer.errors import InputError

OFFLINE = "NEUROTRANSFER_OFFLINE"
HERE = ("127.0.0.1", "localhost", "::1")
Answer: TypeAlias = HTTPResponse | HTTPError
# answers after which the same request may be granted a little later
PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Transport:
    """How the network is used.

    Attributes:
        is_offline: no connection is opened; so too where the environment has NEUROTRANSFER_OFFLINE=1.
        timeout_s: of one connection, and of one read.
        waits: seconds before each further try; when they are used up, it is given up.
        most_wait_s: a host that asks for more patience is not waited for.
        most_bytes: of a file whose size is not known.
        sleep: waits; another function in tests.
    """

    is_offline: bool = False
    timeout_s: float = 30.0
    waits: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    most_wait_s: float = 120.0
    most_bytes: int = 1 << 30
    sleep: Callable[[float], object] = time.sleep


class UnansweredError(Exception):
    """A host that gives no file; `is_passing` where it may a little later, in `wait_s` seconds if it asks for that."""

    def __init__(self, reason: str, wait_s: float = 0.0, is_passing: bool = True) -> None:
        super().__init__(reason)
        self.wait_s, self.is_passing = wait_s, is_passing


def is_offline(transport: Transport | None = None) -> bool:
    """Whether the network must not be used."""
    said = os.environ.get(OFFLINE, "").strip().lower() in ("1", "true", "yes", "on")
    return said or (transport is not None and transport.is_offline)


def host_of(url: str) -> str:
    """The host of a URL.

    Example:
        >>> host_of("https://example.org/a/b")
        'example.org'
    """
    return urlsplit(url).hostname or url


def require_url(url: str) -> None:
    """Refuse a URL that is not https, unless its host is this machine.

    Raises:
        InputError: saying what is allowed.

    Example:
        >>> require_url("https://example.org/a"), require_url("http://127.0.0.1:80/a")
        (None, None)
        >>> require_url("file:///etc/passwd")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.InputError: 'file:///etc/passwd' cannot be fetched; allowed: https, without a name or password in it
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in HERE)
    is_plain = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    if not (host and is_safe and is_plain):
        raise InputError(f"{url!r} cannot be fetched; allowed: https, without a name or password in it")


class _Redirects(HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        require_url(newurl)
        if host_of(newurl) in HERE and host_of(req.full_url) not in HERE:
            raise InputError(
                f"{host_of(req.full_url)} sends on to {newurl!r}, which is this machine; it is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> OpenerDirector:
    # that of urllib also opens files and FTP; no proxy lies between this machine and itself
    opener = OpenerDirector()
    opener.add_handler(ProxyHandler({} if host_of(url) in HERE else None))
    for handler in (HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor, _Redirects):
        opener.add_handler(handler())
    return opener


@contextmanager
def answer(url: str, headers: dict[str, str], transport: Transport) -> Iterator[Answer]:
    """The answer of a host to a GET: 200, 206 or 416; its body is yet to be read.

    Raises:
        UnansweredError: when there is no connection, or the host refuses.
        InputError: when it sends on to a URL that is not allowed.
    """
    try:
        response = _opener(url).open(Request(url, headers=headers), timeout=transport.timeout_s)
    except HTTPError as error:
        if error.code != 416:
            error.close()
            raise _refusal(error) from None
        response = error
    except (OSError, HTTPException) as error:
        raise _failure(error) from None
    with response:
        yield response


def _failure(error: Exception) -> UnansweredError:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        text = f"its certificate is not trusted ({reason.verify_message}; look at the clock, proxy and certificates)"
        return UnansweredError(text, is_passing=False)
    if isinstance(reason, socket.gaierror):
        return UnansweredError("its name is not known here, or there is no network", is_passing=False)
    return UnansweredError(f"out of reach ({str(reason) or type(reason).__name__})")


def _refusal(error: HTTPError) -> UnansweredError:
    is_spent = error.code == 429 or (error.code == 403 and error.headers.get("X-RateLimit-Remaining") == "0")
    if error.code in PASSING or is_spent:
        text = "its limit of requests is reached" if is_spent else f"it is busy (answer {error.code})"
        return UnansweredError(text, _asked(error.headers))
    reasons = {
        404: "there is no such file",
        410: "the file is gone",
        401: "it asks for a login",
        403: "it is not allowed",
    }
    return UnansweredError(f"{reasons.get(error.code, 'it refuses')} (answer {error.code})", is_passing=False)


def _asked(headers: Message) -> float:
    """The seconds that a host asks to wait."""
    text = headers.get("Retry-After", "").strip()
    if not text and headers.get("X-RateLimit-Remaining") == "0":
        reset = headers.get("X-RateLimit-Reset", "")
        return max(float(reset) - time.time(), 0.0) if reset.isdigit() and len(reset) < 15 else 0.0
    if text.isdigit() and text.isascii():
        return float(text[:15])
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return 0.0
