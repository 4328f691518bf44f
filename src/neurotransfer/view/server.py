"""The server of the page: on this machine only, one thread a connection, silent, and never writing where data lie."""

import secrets
import socket
import socketserver
import time
from contextlib import suppress
from http import HTTPStatus
from threading import BoundedSemaphore, Thread
from typing import BinaryIO

from neurotransfer.errors import InputError
from neurotransfer.view.answers import HEADERS, Answer, Answers
from neurotransfer.view.request import METHODS, PATIENCE_S, RefusedError, Request, parse, receive, require_own

HOST = "127.0.0.1"
MOST_CONNECTIONS = 64
# of the random part of the address
TOKEN_BYTES = 24
CHUNK = 2**18
SEND_S = 30.0
DRAIN_BYTES, DRAIN_S = 2**20, 1.0


class Server(socketserver.ThreadingTCPServer):
    """The server of some scans; `address` is where a browser finds it.

    Args:
        answers: what can be asked for.
        port: to listen on; any that is free when 0.
        patience_s: how long the head of a request may take.

    Raises:
        InputError: when the port is taken or not allowed.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answers: Answers, port: int = 0, patience_s: float = PATIENCE_S) -> None:
        self.answers, self.patience_s = answers, patience_s
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._room = BoundedSemaphore(MOST_CONNECTIONS)
        try:
            super().__init__((HOST, port), _Connection)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"cannot listen on port {port} ({reason}); give another --port, or none") from None
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="view", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """The address of the page, which nobody can guess."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Give a connection a thread of its own, or close it where there are too many."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Answer a connection and make room for another."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that goes away is no error, and an address with its token belongs in no log."""


class _Connection(socketserver.BaseRequestHandler):
    """One request and its answer; then the connection is closed."""

    server: Server
    request: socket.socket

    def handle(self) -> None:
        """Answer a request."""
        request = None
        try:
            head = receive(self.request, self.server.patience_s)
            if head is None:
                return
            request = parse(head)
            asked = require_own(request, self.server.port, self.server.token)
            answer = self.server.answers.answer(asked)
        except RefusedError as refused:
            self._refuse(refused, request)
            return
        except OSError:
            # the browser has gone
            return
        except Exception:
            self._refuse(RefusedError(500, "something went wrong here"), request)
            return
        self._send(HTTPStatus.OK, answer, request)

    def _refuse(self, refused: RefusedError, request: Request | None) -> None:
        content = refused.said.encode()
        answer = Answer("text/plain; charset=utf-8", content, len(content))
        with suppress(OSError):
            self._send(refused.status, answer, request)
            self._drain()

    def _send(self, status: int, answer: Answer, request: Request | None) -> None:
        lines = [f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}"]
        fields = {"Content-Type": answer.kind, "Content-Length": str(answer.n_bytes), "Connection": "close"}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            fields["Allow"] = ", ".join(METHODS)
        lines += [f"{name}: {value}" for name, value in {**fields, **HEADERS}.items()]
        try:
            self.request.settimeout(SEND_S)
            self.request.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
            if request is None or request.method != "HEAD":
                self._send_content(answer.content, answer.n_bytes)
        except OSError:
            return
        finally:
            if not isinstance(answer.content, bytes):
                answer.content.close()

    def _send_content(self, content: bytes | BinaryIO, n_bytes: int) -> None:
        if isinstance(content, bytes):
            self.request.sendall(content)
            return
        # no more than was promised, also when the file grows now
        while n_bytes > 0 and (part := content.read(min(CHUNK, n_bytes))):
            self.request.sendall(part)
            n_bytes -= len(part)

    def _drain(self) -> None:
        """Read what a refused client still sends, so that it gets to read why."""
        self.request.shutdown(socket.SHUT_WR)
        end, left = time.monotonic() + DRAIN_S, DRAIN_BYTES
        while left > 0 and (seconds := end - time.monotonic()) > 0:
            self.request.settimeout(seconds)
            part = self.request.recv(2**16)
            if not part:
                return
            left -= len(part)
