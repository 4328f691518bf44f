"""A server of files on 127.0.0.1 for tests: real HTTP, with answers that go wrong when a test says so."""

import hashlib
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file, and what goes wrong with the next requests for it, one entry a request; None: nothing."""

    data: bytes
    etag: str | None = ""
    has_ranges: bool = True
    has_length: bool = True
    faults: list = field(default_factory=list)

    def __post_init__(self):
        if self.etag == "":
            self.etag = '"' + hashlib.sha256(self.data).hexdigest()[:16] + '"'


@dataclass(frozen=True)
class Status:
    """An answer without a file."""

    code: int
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of the body."""

    after: int


@dataclass(frozen=True)
class Part:
    """An answer 206 with another range than the one that was asked for."""

    text: str
    body: bytes = b"wrong"


@dataclass(frozen=True)
class Stall:
    """Nothing comes until the test is over."""


class FileHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        served = self.server.files.get(self.path)
        if served is None:
            return self.send_status(Status(404))
        fault = served.faults.pop(0) if served.faults else None
        if isinstance(fault, Status):
            return self.send_status(fault)
        if isinstance(fault, Stall):
            self.server.is_over.wait(30)
            self.close_connection = True
            return None
        if isinstance(fault, Part):
            return self.send_body(206, fault.body, {"Content-Range": fault.text, "ETag": served.etag or ""})
        return self.send_file(served, fault)

    def send_status(self, status):
        self.send_response(status.code)
        for name, value in status.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_file(self, served, fault):
        start = self.start_of(served)
        headers = {"ETag": served.etag} if served.etag else {}
        if start is None:
            return self.send_body(416, b"", {"Content-Range": f"bytes */{len(served.data)}"})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(served.data) - 1}/{len(served.data)}"
        body, code = served.data[start:], 206 if start else 200
        return self.send_body(code, body, headers, fault.after if isinstance(fault, Cut) else None, served.has_length)

    def start_of(self, served):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not asked or not served.has_ranges or self.headers.get("If-Range", served.etag) != served.etag:
            return 0
        start = int(asked[1])
        return None if start >= len(served.data) else start

    def send_body(self, code, body, headers, cut=None, has_length=True):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if has_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        self.close_connection = self.close_connection or cut is not None or not has_length


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *arguments):
        # a client that was told to stop closes its connection in the middle
        pass


@contextmanager
def serving(handler=FileHandler, **state):
    """A server with these attributes; its `url` begins what it serves."""
    server = QuietServer(("127.0.0.1", 0), handler)
    server.requests, server.is_over = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in state.items():
        setattr(server, name, value)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def unused_url():
    """The URL of a port at which nobody listens."""
    with serving() as server:
        return server.url
