"""What a browser asks: read with limits of size and time, and refused unless it comes from this page on this machine."""

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest

LARGEST = 16 * 1024
PATIENCE_S = 10.0
METHODS = ("GET", "HEAD")
_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
# of which a second one would be a trick
ONCE = ("host", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "content-length")


class RefusedError(Exception):
    """A request that gets no answer but a status and a sentence."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


@dataclass(frozen=True)
class Request:
    """The method, the target as it was sent (nothing is decoded), and the headers with names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


def receive(connection: socket.socket, patience_s: float = PATIENCE_S) -> bytes | None:
    """The head of a request, without the empty line; None when nothing came.

    Raises:
        RefusedError: when it is larger than `LARGEST`, or takes longer than `patience_s` altogether.
    """
    content, end = b"", time.monotonic() + patience_s
    while b"\r\n\r\n" not in content:
        if len(content) > LARGEST:
            raise RefusedError(431, "the request is too large")
        left = end - time.monotonic()
        if left <= 0:
            raise RefusedError(408, "the request took too long")
        connection.settimeout(left)
        try:
            part = connection.recv(4096)
        except TimeoutError:
            raise RefusedError(408, "the request took too long") from None
        if not part:
            if content:
                raise RefusedError(400, "the request ends before its end")
            return None
        content += part
    head = content.partition(b"\r\n\r\n")[0]
    if len(head) > LARGEST:
        raise RefusedError(431, "the request is too large")
    return head


def parse(head: bytes) -> Request:
    r"""A request from its head.

    Raises:
        RefusedError: when it is not plain HTTP/1, has a body, or says something twice.

    Example:
        >>> parse(b"GET /a HTTP/1.1\r\nHost: localhost:1").headers
        {'host': 'localhost:1'}
    """
    first, *rest = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise RefusedError(400, "the request is not one of HTTP/1")
    headers: dict[str, str] = {}
    for each in rest:
        field = _FIELD.fullmatch(each)
        if field is None:
            raise RefusedError(400, "a header of the request is malformed")
        name = field[1].decode("ascii").lower()
        if name in headers and name in ONCE:
            raise RefusedError(400, "a header of the request stands there twice")
        headers[name] = field[2].decode("latin-1").strip()
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise RefusedError(400, "a request has no body here")
    return Request(line[1].decode("ascii"), line[2].decode("ascii"), headers)


def require_own(request: Request, port: int, token: str) -> str:
    """What is asked for below the token, for a request of this page on this machine.

    A page of another site cannot know the token, and is refused before it is looked at: by the name of the host, which a site
    that points its own name at this machine cannot change, and by what browsers say of where a request comes from. Only the
    page itself, which holds no data, may be opened from elsewhere, by whoever has its address: from a terminal in a browser, say.

    Raises:
        RefusedError: when the host, the origin, the token or the method is another.

    Example:
        >>> require_own(Request("GET", "/abc/scans.json", {"host": "127.0.0.1:80"}), 80, "abc")
        'scans.json'
    """
    host = request.headers.get("host", "").lower()
    if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        raise RefusedError(403, "this page is shown under 127.0.0.1 and its own port only")
    given, slash, asked = request.target[1:].partition("/")
    is_known = compare_digest(given.encode(), token.encode()) and bool(slash)
    if _is_of_another_site(request.headers, host) and not (is_known and not asked and _opens_a_tab(request.headers)):
        raise RefusedError(
            403, "another site has asked for this: open the address that the command printed in a new tab"
        )
    if not is_known:
        raise RefusedError(403, "open the address that the command printed")
    if request.method not in METHODS:
        raise RefusedError(405, "nothing can be changed here")
    return asked


def _is_of_another_site(headers: Mapping[str, str], host: str) -> bool:
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "none")
    return bool(origin and origin.lower() != f"http://{host}") or site not in ("none", "same-origin")


def _opens_a_tab(headers: Mapping[str, str]) -> bool:
    return (
        "origin" not in headers
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
