"""A browser without a browser: what was sent, byte for byte, and what came back."""

import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass

from neurotransfer.view import viewed


@dataclass
class Reply:
    status: int
    headers: dict
    content: bytes
    head: bytes

    @property
    def json(self):
        return json.loads(self.content)


def exchanged(port, sent, seconds=20):
    """What a server answers to some bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(sent)
        parts = []
        try:
            while part := connection.recv(2**16):
                parts.append(part)
        except ConnectionResetError:
            pass
    return b"".join(parts)


def parsed(received):
    head, _, content = received.partition(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    headers = {}
    for line in rest:
        name, _, value = line.decode("ascii").partition(": ")
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value
    return Reply(int(first.split()[1]), headers, content, head)


class Client:
    def __init__(self, server):
        self.server, self.port, self.token = server, server.port, server.token

    def raw(self, target, *lines, method="GET", host=None, version="1.1"):
        host = f"127.0.0.1:{self.port}" if host is None else host
        head = [f"{method} {target} HTTP/{version}", *([f"Host: {host}"] if host else []), *lines, "", ""]
        return parsed(exchanged(self.port, "\r\n".join(head).encode("latin-1")))

    def get(self, asked, *lines, **options):
        return self.raw(f"/{self.token}/{asked}", *lines, **options)


@contextmanager
def opened(run, **options):
    with viewed(run, **options) as (server, _):
        yield Client(server)
