"""Files that come over real HTTP, whole and checked, whatever happens on the way."""

import errno
import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from local_server import Cut, Part, Served, Stall, Status, serving, unused_url
from neurotransfer.errors import InputError, ModelError, StorageError
from neurotransfer.models.contents import BLOCK, Contents, fingerprint
from neurotransfer.models.download import MOST_TRIES, download
from neurotransfer.models.transport import Transport

DATA = random.Random(3).randbytes(200_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
GIT = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()
OTHER = random.Random(4).randbytes(200_000)


@pytest.fixture
def waited():
    return []


@pytest.fixture
def quick(waited):
    return Transport(timeout_s=5, waits=(0.25, 0.5, 1.0), sleep=waited.append)


@pytest.fixture
def host():
    with serving(files={"/weights": Served(DATA)}) as server:
        yield server


def ranges(host):
    return [headers.get("Range") for _, headers in host.requests]


def left(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"sha256": SHA256},
        {"git_blob": GIT},
        {"size": len(DATA)},
        {"sha256": SHA256, "git_blob": GIT, "size": len(DATA)},
    ],
    ids=str,
)
def test_a_file_comes_whole_under_its_name(host, tmp_path, quick, known):
    path = tmp_path / "deep" / "weights.h5"
    assert download(f"{host.url}/weights", path, **known, transport=quick) == path
    assert path.read_bytes() == DATA
    assert left(path.parent) == ["weights.h5"]
    headers = host.requests[0][1]
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"] == "neurotransfer"


def test_the_form_that_is_asked_for_is_the_callers(host, tmp_path, quick):
    download(f"{host.url}/weights", tmp_path / "a", accept="application/vnd.github.raw", transport=quick)
    assert host.requests[0][1]["Accept"] == "application/vnd.github.raw"


def test_what_lies_there_is_not_fetched_again(host, tmp_path, quick):
    path = tmp_path / "weights"
    path.write_bytes(DATA)
    download(f"{host.url}/weights", path, SHA256, transport=quick)
    download(f"{host.url}/weights", path, transport=quick)
    assert host.requests == []


def test_another_file_of_the_same_name_is_not_touched(host, tmp_path, quick):
    path = tmp_path / "weights"
    path.write_bytes(b"mine")
    with pytest.raises(ModelError, match="another file has its name: remove it") as error:
        download(f"{host.url}/weights", path, SHA256, transport=quick)
    assert SHA256 in str(error.value)
    assert hashlib.sha256(b"mine").hexdigest() in str(error.value)
    assert path.read_bytes() == b"mine"
    assert host.requests == []


@pytest.mark.parametrize(
    ("known", "said"),
    [({"sha256": "0" * 64}, "SHA-256"), ({"git_blob": "0" * 40}, "SHA-1 of git")],
)
def test_wrong_contents_are_removed_and_both_checksums_said(host, tmp_path, quick, known, said):
    with pytest.raises(ModelError, match=f"{said}: expected 0000") as error:
        download(f"{host.url}/weights", tmp_path / "weights", **known, transport=quick)
    assert {"SHA-256": SHA256, "SHA-1 of git": GIT}[said] in str(error.value)
    assert left(tmp_path) == []
    assert len(host.requests) == 1


def test_a_file_that_is_too_short_is_no_file(host, tmp_path, quick):
    with pytest.raises(ModelError, match=f"size in bytes: expected 200001, found {len(DATA)}"):
        download(f"{host.url}/weights", tmp_path / "weights", size=len(DATA) + 1, transport=quick)
    assert left(tmp_path) == []


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize("how", ["size", "bound"])
def test_a_file_that_is_too_large_is_stopped(host, tmp_path, quick, has_length, how):
    host.files["/weights"].has_length = has_length
    size, most = (1000, 1 << 30) if how == "size" else (None, 1000)
    transport = Transport(waits=(), most_bytes=most)
    with pytest.raises(ModelError, match="at most 1000 were expected"):
        download(f"{host.url}/weights", tmp_path / "weights", size=size, transport=transport)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><p>Sorry", b"\n<html>", b"version https://git-lfs.github.com/spec/v1\n", b""]
)
def test_a_page_in_place_of_a_file_without_checksum_is_refused(tmp_path, quick, page):
    with serving(files={"/weights": Served(page)}) as host, pytest.raises(ModelError, match=r"web page|empty"):
        download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert left(tmp_path) == []


def test_a_busy_host_is_asked_again_after_growing_waits(host, tmp_path, quick, waited):
    host.files["/weights"].faults = [Status(503), Status(500)]
    download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    assert waited == [0.25, 0.5]


def test_the_patience_that_a_host_asks_for_is_given(host, tmp_path, quick, waited):
    host.files["/weights"].faults = [Status(429, {"Retry-After": "7"})]
    download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    assert waited == [7.0]


@pytest.mark.parametrize(
    "status",
    [
        Status(429, {"Retry-After": "3000"}),
        Status(503, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}),
        Status(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4102444800"}),
    ],
    ids=lambda status: str(status.code),
)
def test_a_host_that_asks_for_too_much_patience_is_left(host, tmp_path, quick, waited, status):
    host.files["/weights"].faults = [status]
    with pytest.raises(InputError, match="asks to wait for"):
        download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert waited == []


@pytest.mark.parametrize(
    ("code", "said"), [(404, "no such file"), (401, "login"), (403, "not allowed"), (410, "gone"), (418, "refuses")]
)
def test_a_refusal_is_final(host, tmp_path, quick, waited, code, said):
    host.files["/weights"].faults = [Status(code)]
    with pytest.raises(InputError, match=said) as error:
        download(f"{host.url}/weights", tmp_path / "weights", advice="look at the page", transport=quick)
    assert str(error.value).endswith("look at the page")
    assert waited == []
    assert left(tmp_path) == []


def test_a_host_that_stays_busy_is_given_up_with_the_way_out(host, tmp_path, quick, waited):
    host.files["/weights"].faults = [Status(503)] * 9
    with pytest.raises(InputError, match=r"fetch http.*by hand") as error:
        download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert "127.0.0.1" in str(error.value)
    assert waited == [0.25, 0.5, 1.0]


def test_a_host_out_of_reach_is_named(tmp_path, quick, waited):
    url = unused_url()
    with pytest.raises(InputError, match=r"nothing can be fetched from 127.0.0.1: out of reach \(.*refused"):
        download(f"{url}/weights", tmp_path / "weights", transport=quick)
    assert waited == [0.25, 0.5, 1.0]


def test_an_unknown_name_is_not_waited_for(tmp_path, quick, waited, monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(InputError, match=r"fetched from no.example: its name is not known here"):
        download("https://no.example/weights", tmp_path / "weights", transport=quick)
    assert waited == []


def test_a_host_that_says_nothing_is_not_waited_for_long(host, tmp_path, waited):
    host.files["/weights"].faults = [Stall()]
    transport = Transport(timeout_s=0.2, waits=(0.1,), sleep=waited.append)
    download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=transport)
    assert waited == [0.1]


def test_what_was_cut_goes_on_from_there(host, tmp_path, quick):
    host.files["/weights"].faults = [Cut(70_000), Cut(50_000)]
    path = download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    assert path.read_bytes() == DATA
    assert ranges(host) == [None, "bytes=70000-", "bytes=120000-"]
    assert host.requests[1][1]["If-Range"] == host.files["/weights"].etag
    assert left(tmp_path) == ["weights"]


def test_a_later_call_goes_on_where_the_first_was_given_up(host, tmp_path, quick):
    host.files["/weights"].faults = [Cut(70_000)]
    with pytest.raises(InputError, match="70000 bytes are kept, and the same command goes on"):
        download(f"{host.url}/weights", tmp_path / "weights", transport=Transport(waits=()))
    assert left(tmp_path) == ["weights.part", "weights.part.etag"]
    download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert (tmp_path / "weights").read_bytes() == DATA
    assert ranges(host) == [None, "bytes=70000-"]


def test_a_host_that_sends_no_parts_begins_again(host, tmp_path, quick):
    host.files["/weights"].has_ranges = False
    host.files["/weights"].faults = [Cut(70_000)]
    download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert (tmp_path / "weights").read_bytes() == DATA


def test_another_file_at_the_host_is_begun_anew(host, tmp_path, quick):
    host.files["/weights"].faults = [Cut(70_000)]
    with pytest.raises(InputError):
        download(f"{host.url}/weights", tmp_path / "weights", transport=Transport(waits=()))
    host.files["/weights"] = Served(OTHER)
    download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert (tmp_path / "weights").read_bytes() == OTHER


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_mark_or_a_checksum_nothing_is_resumed(host, tmp_path, quick, etag):
    host.files["/weights"].etag = etag
    host.files["/weights"].faults = [Cut(70_000)]
    download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert ranges(host) == [None, None]
    assert (tmp_path / "weights").read_bytes() == DATA


def test_a_checksum_is_enough_to_resume(host, tmp_path, quick):
    host.files["/weights"].etag = None
    host.files["/weights"].faults = [Cut(70_000)]
    download(f"{host.url}/weights", tmp_path / "weights", git_blob=GIT, transport=quick)
    assert ranges(host) == [None, "bytes=70000-"]
    assert (tmp_path / "weights").read_bytes() == DATA


@pytest.mark.parametrize("text", ["bytes 5-9/200000", "bytes 7000-", "items 1-2/3", ""])
def test_a_part_that_was_not_asked_for_is_not_taken(host, tmp_path, quick, text):
    host.files["/weights"].faults = [Cut(70_000), Part(text)]
    download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert (tmp_path / "weights").read_bytes() == DATA
    assert ranges(host) == [None, "bytes=70000-", None]


def test_a_short_part_is_no_end(host, tmp_path, quick):
    start = 70_000
    text = f"bytes {start}-{start + 9}/{len(DATA)}"
    host.files["/weights"].faults = [Cut(start), Part(text, DATA[start : start + 10])]
    download(f"{host.url}/weights", tmp_path / "weights", transport=quick)
    assert (tmp_path / "weights").read_bytes() == DATA
    assert ranges(host)[-1] == "bytes=70010-"


def test_a_part_that_is_whole_needs_only_its_name(host, tmp_path, quick):
    (tmp_path / "weights.part").write_bytes(DATA)
    download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    assert (tmp_path / "weights").read_bytes() == DATA
    assert left(tmp_path) == ["weights"]


@pytest.mark.parametrize("stale", [OTHER[:70_000], OTHER, OTHER + b"more"], ids=["short", "whole", "long"])
def test_a_part_of_another_file_is_replaced(host, tmp_path, quick, stale):
    (tmp_path / "weights.part").write_bytes(stale)
    download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    assert (tmp_path / "weights").read_bytes() == DATA
    assert left(tmp_path) == ["weights"]


def test_a_mark_that_is_no_mark_is_not_sent(host, tmp_path, quick):
    (tmp_path / "weights.part").write_bytes(DATA[:10])
    (tmp_path / "weights.part.etag").write_bytes(b'"a"\r\nX-Evil: 1\xff')
    download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    assert "If-Range" not in host.requests[0][1]
    assert "X-Evil" not in host.requests[0][1]


def test_a_host_that_sends_a_crumb_each_time_is_left(host, tmp_path, waited):
    host.files["/weights"].faults = [Cut(1)] * (2 * MOST_TRIES)
    transport = Transport(waits=(0.1,), sleep=waited.append)
    with pytest.raises(InputError, match=f"cut .* off {MOST_TRIES} times"):
        download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=transport)
    assert len(host.requests) == MOST_TRIES


@settings(max_examples=15)
@given(
    cuts=some.lists(some.integers(0, 120_000), max_size=4),
    has_ranges=some.booleans(),
    etag=some.sampled_from(["", None]),
)
def test_whatever_is_cut_the_file_is_the_same(tmp_path_factory, cuts, has_ranges, etag):
    folder = tmp_path_factory.mktemp("cut")
    served = Served(DATA, etag, has_ranges, faults=[Cut(n) for n in cuts])
    transport = Transport(waits=(0.0,) * 6, sleep=lambda wait: None)
    with serving(files={"/weights": served}) as host:
        download(f"{host.url}/weights", folder / "weights", SHA256, transport=transport)
    assert (folder / "weights").read_bytes() == DATA


@settings(max_examples=25)
@given(data=some.binary(max_size=300))
def test_fingerprints_are_those_of_the_standard(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("print") / "file"
    path.write_bytes(data)
    git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    assert fingerprint(path) == (len(data), hashlib.sha256(data).hexdigest(), git)
    assert Contents(hashlib.sha256(data).hexdigest(), git, len(data)).problems(path) == []
    assert len(Contents("0" * 64, "0" * 40, len(data) + 1).problems(path)) == 3


def test_git_itself_names_a_file_so(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    named = subprocess.run(["git", "hash-object", "--no-filters", path], capture_output=True, text=True, check=False)
    if named.returncode:
        pytest.skip("git is not here")
    assert named.stdout.strip() == fingerprint(path)[2]


@pytest.mark.parametrize("has_length", [True, False])
def test_progress_tells_every_mebibyte_once(tmp_path, quick, has_length):
    data, told = bytes(BLOCK * 2 + 5), []
    served = Served(data, has_length=has_length, has_ranges=False, faults=[Cut(BLOCK + 1)] if has_length else [])
    with serving(files={"/weights": served}) as host:
        download(
            f"{host.url}/weights",
            tmp_path / "a",
            transport=quick,
            on_size=told.append,
            on_mebibyte=lambda: told.append("+"),
        )
    assert told == [3 if has_length else 0, "+", "+", "+"]


def refused_sockets(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("value", ["1", "true", " YES ", "on"])
def test_without_network_no_socket_is_opened(tmp_path, monkeypatch, value):
    refused_sockets(monkeypatch)
    monkeypatch.setenv("NEUROTRANSFER_OFFLINE", value)
    with pytest.raises(InputError, match="the network is not to be used"):
        download("https://example.org/weights", tmp_path / "weights")
    assert left(tmp_path) == []


def test_the_argument_forbids_the_network_too(tmp_path, monkeypatch):
    refused_sockets(monkeypatch)
    with pytest.raises(InputError, match=r"put it there: https://example.org/weights"):
        download("https://example.org/weights", tmp_path / "weights", transport=Transport(is_offline=True))
    with pytest.raises(InputError, match="is set\\): ask a friend"):
        download("https://example.org/weights", tmp_path / "weights", advice="ask a friend", transport=Transport(True))


def test_what_lies_there_needs_no_network(tmp_path, monkeypatch):
    refused_sockets(monkeypatch)
    (tmp_path / "weights").write_bytes(DATA)
    download("https://example.org/weights", tmp_path / "weights", SHA256, transport=Transport(is_offline=True))


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_the_network_may_be_used_otherwise(host, tmp_path, quick, monkeypatch, value):
    monkeypatch.setenv("NEUROTRANSFER_OFFLINE", value)
    download(f"{host.url}/weights", tmp_path / "weights", transport=quick)


def test_a_full_disk_is_said_and_what_came_is_kept(host, tmp_path, quick, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    monkeypatch.undo()
    download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
    assert (tmp_path / "weights").read_bytes() == DATA


def test_a_really_full_disk_is_said(host, tmp_path, quick):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / "weights.part").symlink_to(full)
    with pytest.raises(StorageError, match="no space left"):
        download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)


def test_a_place_that_cannot_be_written_is_said(host, tmp_path, quick):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        download(f"{host.url}/weights", tmp_path / "file" / "weights", transport=quick)
    assert host.requests == []


def test_two_threads_fetch_once(host, tmp_path, quick):
    failures = []

    def fetch():
        try:
            download(f"{host.url}/weights", tmp_path / "weights", SHA256, transport=quick)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert len(host.requests) == 1
    assert left(tmp_path) == ["weights"]


@pytest.mark.slow
def test_two_processes_fetch_once(host, tmp_path):
    code = (
        "import sys, pathlib\nfrom neurotransfer.models.download import download\n"
        f"download({host.url + '/weights'!r}, pathlib.Path({str(tmp_path / 'weights')!r}), {SHA256!r})"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=60)[1] for process in started] == [b"", b""]
    assert len(host.requests) == 1
    assert (tmp_path / "weights").read_bytes() == DATA
