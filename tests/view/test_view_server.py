"""The server: only its own page on this machine is answered, only files of the run are sent, whatever is asked."""

import http.client
import os
import re
import socket
import string
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_client import Client, exchanged, opened, parsed
from view_data import write_cohort, write_scan

from neurotransfer.errors import InputError
from neurotransfer.view import viewed
from neurotransfer.view.answers import MODULES, PAGES, Answers
from neurotransfer.view.gather import gather
from neurotransfer.view.server import MOST_CONNECTIONS, Server
from neurotransfer.view.sources import find_source

SECRET = b"this is nobody's business"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    write_cohort(folder / "data")
    (folder / "data" / "secret.txt").write_bytes(SECRET)
    (folder / "secret.nii.gz").write_bytes(SECRET)
    return folder / "data"


@pytest.fixture(scope="module")
def client(people):
    with opened(people / "cohort.tsv") as found:
        yield found


def test_the_page_and_all_of_its_parts_are_sent(client):
    page = client.get("")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    parts = re.findall(rb'(?:src|href)="([^"#]+)"', page.content)
    assert {b"viewer.js", b"viewer.css", b"page.css"} <= set(parts)
    modules = re.findall(rb'from "\./([^"]+)"', b"".join(client.get(name).content for name in PAGES))
    assert set(modules) == {f"{name}.js".encode() for name in MODULES} - {b"viewer.js"}
    parts += [*modules, b"niivue.js"]
    for part in parts:
        if not part.startswith(b"data:"):
            assert client.get(part.decode()).status == 200


def test_a_volume_is_the_file_byte_for_byte(client, people):
    for index in range(6):
        stem = people / f"sub-{index:02d}" / "ses-1" / "anat" / f"sub-{index:02d}_ses-1"
        assert (
            client.get(f"scans/{index}/scan.nii.gz").content == stem.with_name(f"{stem.name}_T1w.nii.gz").read_bytes()
        )
        mask = stem.with_name(f"{stem.name}_desc-brain_mask.nii.gz")
        assert client.get(f"scans/{index}/mask.nii.gz").content == mask.read_bytes()


def test_it_listens_on_this_machine_only(client):
    assert client.server.server_address[0] == "127.0.0.1"
    assert client.server.socket.getsockname() == ("127.0.0.1", client.port)
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", client.port), timeout=2):
        pass
    with pytest.raises(OSError), socket.create_connection(("::1", client.port), timeout=2):
        pass


def test_the_token_is_long_random_and_another_one_each_time(people):
    scans = gather(find_source(people / "cohort.tsv"), people / "cohort.tsv")
    servers = [Server(Answers(scans, None, None)) for _ in range(3)]
    tokens = {server.token for server in servers}
    for server in servers:
        server.server_close()
    assert len(tokens) == 3
    for token in tokens:
        assert len(token) >= 32
        assert set(token) <= set(string.ascii_letters + string.digits + "-_")


@pytest.mark.parametrize(
    "asked", ["", "scans.json", "scans/0.json", "scans/0/scan.nii.gz", "scans/0/picture.jpg", "nothing"]
)
def test_without_the_token_nothing_is_told(client, asked):
    wrong = [
        f"/{asked}",
        f"/x/{asked}",
        f"/{client.token[:-1]}/{asked}",
        f"/{client.token}x/{asked}",
        f"/{client.token.swapcase()}/{asked}",
        f"/{asked}?token={client.token}",
        f"//{client.token}/{asked}",
        f"/./{client.token}/{asked}",
        f"/%{ord(client.token[0]):02x}{client.token[1:]}/{asked}",
    ]
    answers = {(reply.status, reply.content) for reply in map(client.raw, wrong)}
    assert answers == {(403, b"open the address that the command printed")}


def test_the_token_in_a_header_or_cookie_is_no_token(client):
    for line in (
        f"Authorization: Bearer {client.token}",
        f"Cookie: token={client.token}",
        f"Referer: {client.server.address}",
    ):
        assert client.raw("/scans.json", line).status == 403


def test_no_answer_holds_the_token(client):
    for asked in ("", "viewer.js", "scans.json", "scans/0.json", "nothing", "numbers/0.json"):
        reply = client.get(asked)
        assert client.token.encode() not in reply.head + reply.content
    for reply in (client.raw("/"), client.get("", method="POST"), client.get("", host="elsewhere")):
        assert client.token.encode() not in reply.head + reply.content


def test_nothing_is_logged(client, capfd):
    client.get("")
    client.get("nothing")
    exchanged(client.port, b"\x00\xff\r\n\r\n")
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(f"GET /{client.token}/scans/0/scan.nii.gz HTTP/1.1\r\n".encode())
    time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


HOSTS = ["localhost", "127.0.0.1", "example.org", "example.org:{port}", "127.0.0.1:{other}", "localhost:{other}", "0.0.0.0:{port}",
         "[::1]:{port}", "127.0.0.1:{port}.example.org", "127.0.0.1.nip.io:{port}", "localhost.:{port}", "evil@127.0.0.1:{port}",
         "127.0.0.1:{port}, example.org", "127.1:{port}", "2130706433:{port}", "127.0.0.1:0{port}", ""]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_other_hosts_are_refused(client, host):
    reply = client.get("scans.json", host=host.format(port=client.port, other=client.port + 1))
    assert reply.status == 403
    assert b"participant" not in reply.content


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}"])
def test_its_own_names_are_answered(client, host):
    assert client.get("scans.json", host=host.format(port=client.port)).status == 200


def test_a_host_that_stands_there_twice_is_refused(client):
    assert client.get("scans.json", "Host: example.org").status == 400
    assert client.get("scans.json", f"host: 127.0.0.1:{client.port}").status == 400


OTHERS = ["Origin: http://example.org", "Origin: null", "Origin: http://localhost:{port}", "Origin: https://127.0.0.1:{port}",
          "Origin: http://127.0.0.1:{other}", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
          "Sec-Fetch-Site: elsewhere"]  # fmt: skip


@pytest.mark.parametrize("line", OTHERS)
@pytest.mark.parametrize("asked", ["", "scans.json", "scans/0/scan.nii.gz"])
def test_requests_of_other_sites_are_refused(client, line, asked):
    line = line.format(port=client.port, other=client.port + 1)
    reply = client.get(asked, line)
    assert reply.status == 403
    assert b"another site" in reply.content
    framed = client.get(asked, line, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe")
    assert framed.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_only_the_page_itself_may_be_opened_from_elsewhere(client, site):
    lines = (f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert client.get("", *lines).status == 200
    assert client.get("", *lines, "Origin: http://example.org").status == 403
    assert client.get("", *lines, "Origin: null").status == 403
    assert client.get("scans.json", *lines).status == 403
    assert client.get("scans/0/scan.nii.gz", *lines).status == 403
    assert client.raw("/wrong/", *lines).status == 403


def test_its_own_requests_are_answered(client):
    for site in ("same-origin", "none"):
        assert client.get("scans.json", f"Sec-Fetch-Site: {site}").status == 200
    assert client.get("scans.json", f"Origin: http://127.0.0.1:{client.port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_nothing_can_be_changed(client, method):
    reply = client.get("scans.json", method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD"


def test_head_says_what_get_would_without_it(client):
    for asked in ("", "scans.json", "scans/0/scan.nii.gz", "scans/0/picture.jpg"):
        full, head = client.get(asked), client.get(asked, method="HEAD")
        assert (head.status, head.content) == (200, b"")
        assert head.headers == full.headers
        assert int(head.headers["content-length"]) == len(full.content)


def test_every_answer_keeps_the_page_to_itself(client):
    replies = [
        client.get(asked) for asked in ("", "scans.json", "scans/0/scan.nii.gz", "scans/0/picture.jpg", "nothing")
    ]
    for reply in [*replies, client.raw("/"), client.raw("/", host="x"), client.get("", method="POST")]:
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "http:" not in policy
        assert "frame-ancestors 'none'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert not {name for name in reply.headers if name.startswith("access-control")} | {"server"} & set(
            reply.headers
        )
        assert "set-cookie" not in reply.headers


TRAVERSALS = ["../secret.nii.gz", "..", "../", "../../etc/passwd", "%2e%2e/secret.nii.gz", "%2e%2e%2fsecret.nii.gz",
              "..%2fsecret.nii.gz", "..%5csecret.nii.gz", "..\\secret.nii.gz", "scans/0/../../secret.nii.gz", "scans/0/%2e%2e/1.json",
              "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "scans/0/scan.nii.gz%00.jpg",
              "scans/0%00/scan.nii.gz", "scans/0/scan.nii.gz/", "scans/0/scan.nii.gz/..", "scans/-1/scan.nii.gz",
              "scans/00/scan.nii.gz", "scans/+0/scan.nii.gz", "scans/0x0/scan.nii.gz", "scans/6/scan.nii.gz",
              "scans/999999999999999/scan.nii.gz", "scans/0/SCAN.nii.gz", "scans/0/map-0.nii.gz", "scans/0/map--1.nii.gz",
              "scans/0/image.nii.gz", "scans/0/", "scans/", "scans", "numbers/99.json", "numbers/-1.json", "scans.json?x=1",
              "scans.json#x", "scans.json;x", "scans%2ejson", "scans/0/scan.nii.gz?a", "secret.txt", "cohort.tsv", ".view/",
              "viewer.html", "__init__.py", "viewer.js/../run.py", "assets/viewer.js", "scans/\xb2/scan.nii.gz",
              "scans/%EF%BC%90/scan.nii.gz", "scans/0/scan%E2%80%AE.nii.gz", "~root", "scans/0/scan.nii.gz\x00"]  # fmt: skip


@pytest.mark.parametrize("asked", TRAVERSALS)
def test_no_path_leads_anywhere(client, asked, people):
    reply = client.get(asked)
    assert reply.status in (400, 404)
    assert len(reply.content) < 100
    assert str(people).encode() not in reply.content
    assert SECRET not in reply.content
    assert b"root:" not in reply.content


def test_a_target_in_full_form_is_refused(client):
    for target in (f"http://127.0.0.1:{client.port}/{client.token}/scans.json", "*", f"{client.token}/scans.json"):
        assert client.raw(target).status == 400


MALFORMED = [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"GET / HTTP/1.1 \r\n\r\n", b"get / HTTP/1.1\r\n\r\n",
             b"GET  / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
             b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", b"GET / HTTP/1.1\r\nA: b\nHost: x\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n",
             b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n",
             b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n"]  # fmt: skip


@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_no_request_is_refused(client, sent):
    assert parsed(exchanged(client.port, sent)).status == 400


def test_a_request_with_a_body_is_refused(client):
    assert client.get("scans.json", "Content-Length: 5").status == 400
    assert client.get("scans.json", "Transfer-Encoding: chunked").status == 400
    assert client.get("scans.json", "Content-Length: 0").status == 200
    assert client.get("scans.json", "Content-Length: 0", "Content-Length: 9").status == 400


def test_a_second_request_on_one_connection_is_not_answered(client):
    one = f"GET /{client.token}/scans.json HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode()
    received = exchanged(client.port, one * 3)
    assert received.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in received


@pytest.mark.parametrize("line", ["A" * 20_000 + ": b", "A: " + "b" * 200_000])
def test_large_headers_are_refused(client, line):
    assert client.get("scans.json", line).status == 431


def test_many_headers_and_long_targets_are_refused(client):
    assert client.get("scans.json", *[f"A{n}: b" for n in range(5000)]).status == 431
    assert client.get("a" * 100_000).status == 431


def test_slow_clients_do_not_block_others_and_are_let_go(people):
    scans = gather(find_source(people / "cohort.tsv"), people / "cohort.tsv")
    with Server(Answers(scans, None, None), patience_s=0.5) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(20)]
        for connection in slow:
            connection.sendall(b"GET / HT")
        begun = time.monotonic()
        assert Client(server).get("scans.json").status == 200
        # one after the other they would hold it up for ten seconds
        assert time.monotonic() - begun < 5
        for connection in slow[:3]:
            with connection:
                assert connection.recv(2**16).startswith(b"HTTP/1.1 408")
        # a byte now and then gains no time
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as dripping:
            begun = time.monotonic()
            with pytest.raises(OSError):  # noqa: PT012
                for _ in range(100):
                    dripping.sendall(b"a")
                    time.sleep(0.1)
            assert time.monotonic() - begun < 5
        for connection in slow:
            connection.close()


def test_too_many_connections_at_once_are_closed(people):
    scans = gather(find_source(people / "cohort.tsv"), people / "cohort.tsv")
    with Server(Answers(scans, None, None), patience_s=5) as server:
        held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(MOST_CONNECTIONS + 8)]
        assert any(connection.recv(1) == b"" for connection in held[-8:])
        assert threading.active_count() < MOST_CONNECTIONS + 30
        for connection in held:
            connection.close()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                if Client(server).get("scans.json").status == 200:
                    return
            except (IndexError, OSError):
                time.sleep(0.1)
        pytest.fail("there is no room again")


def test_a_client_that_goes_away_harms_nobody(client):
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", client.port))
        connection.sendall(
            f"GET /{client.token}/scans/0/scan.nii.gz HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode()
        )
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()
    assert client.get("scans.json").status == 200


def test_a_real_client_can_read_it(client):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    connection.request("GET", f"/{client.token}/scans.json", headers={"Accept": "*/*"})
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("Content-Type")) == (200, "application/json")
    assert len(reply.read()) == int(reply.getheader("Content-Length"))
    connection.close()


def test_a_port_in_use_is_an_error_that_says_so(client, people):
    with (
        pytest.raises(InputError, match=rf"cannot listen on port {client.port} .*give another --port"),
        viewed(people / "cohort.tsv", port=client.port),
    ):
        pass


def test_a_port_that_is_asked_for_is_taken(people):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with opened(people / "cohort.tsv", port=port) as found:
        assert found.port == port


def test_a_link_that_is_turned_elsewhere_is_no_longer_sent(tmp_path):
    table = write_cohort(tmp_path / "data")
    image = tmp_path / "data" / "sub-00" / "ses-1" / "anat" / "sub-00_ses-1_T1w.nii.gz"
    other = write_scan(tmp_path / "other.nii.gz", 7)
    with opened(table) as found:
        assert found.get("scans/0/scan.nii.gz").status == 200
        image.unlink()
        image.symlink_to(other)
        reply = found.get("scans/0/scan.nii.gz")
        assert reply.status == 410
        assert b"other" not in reply.content
        assert found.get("scans/0/picture.jpg").status == 410
        folder = tmp_path / "data" / "sub-01"
        folder.rename(tmp_path / "moved")
        folder.symlink_to(tmp_path / "moved")
        assert found.get("scans/1/scan.nii.gz").status == 410
        (tmp_path / "data" / "sub-02" / "ses-1" / "anat" / "sub-02_ses-1_T1w.nii.gz").unlink()
        assert found.get("scans/2/scan.nii.gz").status == 410
        assert found.get("scans/3/scan.nii.gz").status == 200


def test_a_pipe_in_place_of_a_scan_holds_nobody_up(tmp_path):
    table = write_cohort(tmp_path / "data")
    image = tmp_path / "data" / "sub-00" / "ses-1" / "anat" / "sub-00_ses-1_T1w.nii.gz"
    with opened(table) as found:
        found.get("scans/0/scan.nii.gz")
        image.unlink()
        os.mkfifo(image)
        assert found.get("scans/0/scan.nii.gz").status in (410, 422)
        assert found.get("scans/1/scan.nii.gz").status == 200


def test_what_is_no_image_is_not_sent_under_the_name_of_one(tmp_path):
    table = write_cohort(tmp_path / "data")
    anat = tmp_path / "data" / "sub-00" / "ses-1" / "anat"
    (tmp_path / "password.txt").write_bytes(SECRET)
    (anat / "sub-00_ses-1_T1w.nii.gz").unlink()
    (anat / "sub-00_ses-1_T1w.nii.gz").symlink_to(tmp_path / "password.txt")
    (tmp_path / "data" / "sub-01" / "ses-1" / "anat" / "sub-01_ses-1_T1w.nii.gz").write_bytes(SECRET * 100)
    with opened(table) as found:
        # a link of the table may lead elsewhere, but not to what is no image
        assert found.get("scans/0/scan.nii.gz").status in (404, 422)
        reply = found.get("scans/1/scan.nii.gz")
        assert reply.status == 422
        assert SECRET not in reply.content
        assert str(tmp_path).encode() not in reply.content
        picture = found.get("scans/1/picture.jpg")
        assert picture.status == 422
        assert str(tmp_path).encode() not in picture.content


def test_what_goes_wrong_inside_is_told_without_details(client, monkeypatch):
    monkeypatch.setattr(client.server.answers, "answer", lambda asked: 1 / 0)
    reply = client.get("scans.json")
    assert (reply.status, reply.content) == (500, b"something went wrong here")


def test_many_at_once_all_get_their_own(client, people):
    wanted = {
        index: (people / f"sub-{index:02d}/ses-1/anat/sub-{index:02d}_ses-1_T1w.nii.gz").read_bytes()
        for index in range(6)
    }
    wrong = []

    def ask(index):
        for _ in range(10):
            if client.get(f"scans/{index}/scan.nii.gz").content != wanted[index]:
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


PIECES = st.sampled_from(["scans", "numbers", "0", "1", "5", "6", "..", ".", "", "scan.nii.gz", "mask.nii.gz", "map-0.nii.gz",
                          "picture.jpg", ".json", "scans.json", "%2e%2e", "%00", "viewer.js", "etc", "passwd", "\\", "~", "?a=b",
                          "#", "secret.txt", "cohort.tsv"])  # fmt: skip
TARGETS = st.one_of(
    st.lists(PIECES, max_size=7).map("/".join),
    st.lists(PIECES, max_size=7).map("".join),
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60),
)


@settings(max_examples=300)
@given(target=TARGETS)
def test_every_answer_is_a_known_file_or_a_refusal(client, people, known, target):
    reply = client.get(target)
    if reply.status == 200:
        assert target in known
        assert reply.content == known[target]
    else:
        assert reply.status in (400, 403, 404)
        assert reply.content not in known.values()


@pytest.fixture(scope="module")
def known(client, people):
    """All that there is to be had, each by its address; the volumes from their files."""
    fixed = [*PAGES, "scans.json"]
    fixed += [f"numbers/{index}.json" for index in range(len(client.server.answers.scans.numbers))]
    fixed += [f"scans/{index}{part}" for index in range(6) for part in (".json", "/picture.jpg")]
    found = {asked: client.get(asked).content for asked in fixed if client.get(asked).status == 200}
    for index in range(6):
        stem = f"sub-{index:02d}/ses-1/anat/sub-{index:02d}_ses-1"
        found[f"scans/{index}/scan.nii.gz"] = (people / f"{stem}_T1w.nii.gz").read_bytes()
        found[f"scans/{index}/mask.nii.gz"] = (people / f"{stem}_desc-brain_mask.nii.gz").read_bytes()
    return found


@settings(max_examples=100)
@given(sent=st.binary(max_size=300))
def test_any_bytes_are_refused(client, sent):
    received = exchanged(client.port, sent + b"\r\n\r\n")
    assert received == b"" or parsed(received).status in (400, 403, 431)


def test_a_cache_closes_with_its_server(people):
    with opened(people / "cohort.tsv") as found:
        found.get("scans/0/picture.jpg")
        folder = found.server.answers.pictures.folder
        assert len(list(folder.iterdir())) == 1
    assert not folder.exists()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", found.port), timeout=2):
        pass


def test_nothing_is_written_beside_the_data(people):
    before = sorted((path, path.stat().st_mtime_ns) for path in people.rglob("*"))
    with opened(people / "cohort.tsv") as found:
        for index in range(6):
            found.get(f"scans/{index}/picture.jpg")
            found.get(f"scans/{index}/mask.nii.gz")
    assert sorted((path, path.stat().st_mtime_ns) for path in people.rglob("*")) == before
