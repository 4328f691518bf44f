"""Models that go to a hub and come back, over real HTTP, and all that a hub may answer."""

import ast
import errno
import json
import os
import pickle
import socket
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from local_hub import READER, WRITER, Repository, Wrong, hub, routes
from local_server import Cut, Status, unused_url
from neurotransfer.cohort import Grid
from neurotransfer.errors import InputError, ModelError, StorageError
from neurotransfer.models import Card, Model, Network, build_encoder, load_model, save_model
from neurotransfer.models import hub_access as access
from neurotransfer.models.folder import CARD, FILES, README, REFERENCE, WEIGHTS
from neurotransfer.models.hub import _PLACE, pull, push
from neurotransfer.models.hub_access import Hub
from neurotransfer.models.reference import reference_of, values_of
from neurotransfer.models.transport import Transport
from neurotransfer.targets import Target

pytest.importorskip("huggingface_hub")
NAME = "me/model"
WAITED = []
QUICK = Transport(waits=(0.25, 0.5), sleep=WAITED.append)


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No token or cache of whoever runs the tests; large files by git-lfs, which the stand-in speaks; no real waits."""
    from huggingface_hub import constants

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "NEUROTRANSFER_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    clock = SimpleNamespace(**vars(time) | {"sleep": lambda seconds: None})
    for name in ("utils._http", "file_download"):
        monkeypatch.setattr(import_module(f"huggingface_hub.{name}"), "time", clock)
    WAITED.clear()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(4)
    card = Card(
        "small", "sfcn", {"width": 0.0625}, (Target("age", "continuous"),), Grid((32, 38, 32), 5.0), licence="MIT"
    )
    folder = tmp_path_factory.mktemp("hub") / "small"
    save_model(folder, Model(Network(build_encoder("sfcn", card.arguments), card.targets), card))
    (folder / "training.tsv").write_text("epoch\tloss\n")
    return folder


@pytest.fixture
def copied(model, tmp_path):
    folder = tmp_path / "copied"
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def host():
    with hub() as server:
        yield server


@pytest.fixture
def filled(host, model):
    """A hub that has the model, and a pickle beside it."""
    send(host, model)
    host.repositories[NAME].put({"pytorch_model.bin": pickle.dumps(_Exploit())})
    host.requests.clear()
    return host


class _Exploit:
    def __reduce__(self):
        return os.system, ("exit 1",)


def send(host, folder, token=WRITER, **options):
    return push(folder, NAME, token, endpoint=host.url, transport=QUICK, **options)


def take(host, folder, **options):
    return pull(NAME, folder, endpoint=host.url, transport=QUICK, **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(call, kind=InputError):
    with pytest.raises(kind) as error:
        call()
    said = str(error.value)
    assert WRITER not in said
    assert "hf_secret" not in said
    assert "Traceback" not in said
    return said


def test_the_reference_numbers_travel_too(host, model, tmp_path):
    random = np.random.default_rng(0)
    values = values_of(random.random((24, 6, 6, 6), np.float32))
    known = load_model(model)
    reference = reference_of(random.random((24, 4)), values, random.permutation(24) < 6)
    save_model(tmp_path / "known", Model(known.network, known.card, reference))
    assert send(host, tmp_path / "known").files == FILES
    take(host, tmp_path / "back", token=WRITER)
    assert contents(tmp_path / "back") == contents(tmp_path / "known")
    assert load_model(tmp_path / "back").reference is not None
    send(host, model)
    assert REFERENCE not in host.repositories[NAME].files


@pytest.mark.parametrize("chunk", [0, 5000], ids=["one part", "several parts"])
def test_a_model_comes_back_byte_by_byte(model, tmp_path, chunk):
    with hub(chunk) as host:
        sent = send(host, model)
        taken = take(host, tmp_path / "back", token=WRITER)
    assert contents(tmp_path / "back") == {name: data for name, data in contents(model).items() if name in FILES}
    assert sent.files == taken.files == (WEIGHTS, CARD, README)
    assert sent.commit == taken.commit
    assert sent.left == ("training.tsv",)
    assert taken.left == ()
    assert sent.url == f"{host.url}/{NAME}"
    state, back = load_model(model).network.state_dict(), load_model(tmp_path / "back").network.state_dict()
    assert all(torch.equal(state[name], back[name]) for name in state)
    assert [path.name for path in tmp_path.iterdir()] == ["back"]


def test_nothing_but_the_files_of_a_model_is_sent(host, copied):
    (copied / "scan.nii.gz").write_bytes(b"a head")
    (copied / "people.tsv").write_text("participant_id\n")
    (copied / "deep").mkdir()
    (copied / "deep" / WEIGHTS).write_bytes(b"other")
    sent = send(host, copied)
    assert set(host.repositories[NAME].files) == {WEIGHTS, CARD, README}
    assert sent.left == ("deep", "people.tsv", "scan.nii.gz", "training.tsv")


@pytest.mark.parametrize("is_private", [True, False])
def test_a_new_repository_is_as_private_as_was_said(host, model, is_private):
    send(host, model, is_private=is_private)
    assert host.repositories[NAME].is_private == is_private


def test_it_is_private_where_nothing_was_said(host, model):
    send(host, model)
    assert host.repositories[NAME].is_private


def test_all_is_one_commit_with_its_message(host, model):
    send(host, model, message="A better one")
    assert host.repositories[NAME].messages == ["initial commit", "A better one"]
    assert routes(host).count("commit") == 1


def test_what_did_not_change_is_not_sent_again(host, model):
    first = send(host, model)
    assert send(host, model).commit == first.commit
    assert routes(host).count("put") == 1


def test_what_an_earlier_version_had_more_is_taken_away_and_the_rest_stays(host, copied):
    host.repositories[NAME] = Repository()
    host.repositories[NAME].put({REFERENCE: b"old", "notes.md": b"mine"})
    send(host, copied)
    assert set(host.repositories[NAME].files) == {WEIGHTS, CARD, README, "notes.md"}
    assert host.repositories[NAME].files["notes.md"] == b"mine"


def test_a_model_of_the_package_can_be_sent_by_its_name(host):
    assert set(send(host, Path("sim-base")).files) >= {WEIGHTS, CARD}


@pytest.mark.parametrize("what", ["absent", "no weights", "damaged weights", "damaged card", "empty"])
def test_what_is_no_whole_model_is_not_sent(host, copied, what):
    if what == "absent":
        copied = copied.parent / "nowhere"
    elif what == "no weights":
        (copied / WEIGHTS).unlink()
    elif what == "damaged weights":
        (copied / WEIGHTS).write_bytes((copied / WEIGHTS).read_bytes()[:-3] + b"abc")
    elif what == "damaged card":
        (copied / CARD).write_text("{}")
    else:
        for path in copied.iterdir():
            path.unlink()
    refused(lambda: send(host, copied), ModelError)
    assert host.requests == []


@pytest.mark.parametrize("name", [WEIGHTS, README])
def test_a_link_is_not_followed(host, copied, tmp_path, name):
    (copied / name).rename(tmp_path / "elsewhere")
    (copied / name).symlink_to(tmp_path / "elsewhere")
    assert f"{name} is a link" in refused(lambda: send(host, copied), ModelError)
    assert host.requests == []


@pytest.mark.parametrize("name", [CARD, README])
@pytest.mark.parametrize("place", ["/home/jane.doe/study/scans.tsv", "C:\\Users\\jane\\study", "~/study/scans.tsv"])
def test_a_place_on_a_disk_is_not_shared(host, copied, name, place):
    if name == CARD:
        values = json.loads((copied / CARD).read_text())
        values["provenance"]["cohorts"] = [{"path": place}]
        (copied / CARD).write_text(json.dumps(values))
    else:
        (copied / README).write_text(f"made of {place}")
    said = refused(lambda: send(host, copied), ModelError)
    assert f"{name} names a place on a disk: {place!r}" in said
    assert "nothing was sent" in said
    assert host.requests == []


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a/b",
        "mm/s and mL/min/1.73",
        "and/or",
        "doi:10.1/x/y",
        "2 / 3 / 4",
        "sub-01/anat",
        "</p>",
        "./a/b",
        "",
    ],
)
def test_a_slash_is_not_always_a_place(text):
    assert _PLACE.findall(text) == []


def test_a_hub_that_refuses_the_card_is_heard(host, copied):
    (copied / README).write_text("---\nlicense: wrong\n---\n")
    assert "answer 400: Invalid metadata in README.md. - license is wrong" in refused(lambda: send(host, copied))
    assert routes(host).count("put") == 0


def test_an_empty_message_is_no_message(host, model):
    assert "is empty" in refused(lambda: send(host, model, message=" "))
    assert host.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "model",
        "me/",
        "/model",
        "me/a/b",
        "me/mo del",
        "../model",
        "me/..",
        "me/a--b",
        "me/mödel",
        "https://x.org/a",
    ],
)
def test_what_is_no_name_is_refused_before_anything(model, tmp_path, name):
    assert "allowed: OWNER/NAME" in refused(lambda: push(model, name, WRITER))
    assert "allowed: OWNER/NAME" in refused(lambda: pull(name, tmp_path / "back"))


def test_nobody_writes_without_a_token(host, model):
    said = refused(lambda: send(host, model, token=None))
    assert "HF_TOKEN" in said
    assert f"{host.url}/settings/tokens" in said
    assert host.requests == []


def test_the_token_is_that_of_the_environment(host, model, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setenv("HF_ENDPOINT", host.url + "/")
    push(model, NAME)
    pull(NAME, tmp_path / "back")
    assert {
        headers.get("authorization", headers.get("Authorization"))
        for _, path, headers in host.requests
        if "/api/" in path
    } == {f"Bearer {WRITER}"}


def test_where_files_lie_elsewhere_the_token_is_not_told(filled, tmp_path):
    take(filled, tmp_path / "back", token=WRITER)
    elsewhere = [headers for name, _, headers in filled.requests if name == "cdn"]
    assert elsewhere
    assert not any("authorization" in map(str.lower, headers) for headers in elsewhere)


def test_a_wrong_token_is_said_without_it(host, model):
    said = refused(lambda: send(host, model, token="hf_secret"))
    assert "does not know the token" in said
    assert WAITED == []


@pytest.mark.parametrize("token", ["hf_secret\nX-Evil: 1", "hf_sécret"])
def test_a_token_that_is_none_is_not_sent(host, model, token):
    assert "no token has" in refused(lambda: send(host, model, token=token))
    assert host.requests == []


def test_a_token_without_the_right_is_said(host, model):
    assert "no right" in refused(lambda: send(host, model, token=READER))


def test_a_token_is_in_no_message_whatever_the_hub_says(host, model):
    host.faults["create"] = [Status(400, {"X-Error-Message": f"bad {WRITER}"})] * 3
    assert "(token)" in refused(lambda: send(host, model))


def test_a_missing_repository_is_said(host, tmp_path):
    assert "set HF_TOKEN" in refused(lambda: take(host, tmp_path / "back"))
    assert "sees no private one" in refused(lambda: take(host, tmp_path / "back", token=READER))
    assert list(tmp_path.iterdir()) == []


def test_a_private_repository_needs_a_token(filled, tmp_path):
    assert "it is private: set HF_TOKEN" in refused(lambda: take(filled, tmp_path / "back"))
    assert take(filled, tmp_path / "back", token=READER).files


def test_a_wrong_token_reads_nothing(filled, tmp_path):
    assert "does not know the token" in refused(lambda: take(filled, tmp_path / "back", token="hf_secret"))


def test_a_gated_repository_is_asked_for(filled, tmp_path):
    filled.repositories[NAME].is_gated = True
    assert "ask for it at" in refused(lambda: take(filled, tmp_path / "back", token=READER))


def test_a_revision_is_taken_by_its_commit(filled, model, tmp_path):
    earlier = filled.repositories[NAME].commits[1]
    filled.repositories[NAME].put({README: b"another text"})
    assert take(filled, tmp_path / "new", token=WRITER).commit != earlier
    assert take(filled, tmp_path / "old", token=WRITER, revision=earlier).commit == earlier
    assert (tmp_path / "old" / README).read_bytes() == (model / README).read_bytes()
    assert (tmp_path / "new" / README).read_bytes() == b"another text"


def test_a_revision_that_is_not_there_is_said(filled, tmp_path):
    assert "no such revision" in refused(lambda: take(filled, tmp_path / "back", token=WRITER, revision="v2"))
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_never_fetched(filled, tmp_path):
    taken = take(filled, tmp_path / "back", token=WRITER)
    assert taken.left == ("pytorch_model.bin",)
    assert not any("pytorch_model" in path for _, path, _ in filled.requests)
    assert set(contents(tmp_path / "back")) == {WEIGHTS, CARD, README}


def test_a_repository_of_others_is_no_model(host, tmp_path):
    host.repositories[NAME] = Repository()
    host.repositories[NAME].put({"pytorch_model.bin": b"", "model.safetensors": b""})
    said = refused(lambda: take(host, tmp_path / "back"), ModelError)
    assert f"no {CARD} and no {WEIGHTS}" in said
    assert routes(host) == ["info"]


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_what_is_no_whole_model_is_not_kept(filled, tmp_path, name):
    filled.repositories[NAME].put({name: b"{}"})
    said = refused(lambda: take(filled, tmp_path / "back", token=WRITER), ModelError)
    assert f"what lies in {NAME!r} is no whole model" in said
    assert str(tmp_path) not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("route", ["cdn", "get"])
def test_wrong_bytes_are_not_kept(filled, tmp_path, route):
    filled.faults[route] = [Wrong()] * 4
    said = refused(lambda: take(filled, tmp_path / "back", token=WRITER), ModelError)
    assert "expected" in said
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_breaks_is_resumed(filled, model, tmp_path):
    filled.faults["cdn"] = [Cut(1000), Cut(10)]
    take(filled, tmp_path / "back", token=WRITER)
    assert (tmp_path / "back" / WEIGHTS).read_bytes() == (model / WEIGHTS).read_bytes()
    assert routes(filled).count("cdn") == 3


@pytest.mark.parametrize("route", ["info", "head", "get"])
def test_a_busy_hub_is_asked_again_to_take(filled, tmp_path, route):
    filled.faults[route] = [Status(503)] * 2
    take(filled, tmp_path / "back", token=WRITER)
    assert load_model(tmp_path / "back").card.name == "small"


@pytest.mark.parametrize("route", ["create", "info", "preupload", "batch", "put", "verify", "commit"])
def test_a_busy_hub_is_asked_again_to_send(host, model, route):
    host.faults[route] = [Status(503)] * 2
    sent = send(host, model)
    assert host.repositories[NAME].commits[-1] == sent.commit
    assert set(host.repositories[NAME].files) == {WEIGHTS, CARD, README}


def test_a_hub_that_stays_busy_is_left_after_growing_waits(host, model):
    host.faults["create"] = [Status(503)] * 9
    assert "is busy (it answers 503" in refused(lambda: send(host, model))
    assert WAITED == [0.25, 0.5]


def test_a_hub_out_of_reach_is_named(model, tmp_path):
    url = unused_url()
    for call in (
        lambda: push(model, NAME, WRITER, endpoint=url, transport=QUICK),
        lambda: pull(NAME, tmp_path / "back", endpoint=url, transport=QUICK),
    ):
        said = refused(call)
        assert "127.0.0.1 is out of reach" in said
        assert "HF_ENDPOINT" in said
    assert WAITED == [0.25, 0.5] * 2


def test_a_hub_that_does_not_speak_xet_is_helped(host, model, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(import_module("huggingface_hub.constants"), "HF_HUB_DISABLE_XET", False)
    assert "a hub without xet needs HF_HUB_DISABLE_XET=1" in refused(lambda: send(host, model))
    assert host.repositories[NAME].files == {}


def test_an_answer_that_is_none_is_no_crash(host, tmp_path):
    host.faults["info"] = [Status(200)]
    assert "no answer that can be used" in refused(lambda: take(host, tmp_path / "back"))


@pytest.mark.parametrize("endpoint", ["http://example.org", "ftp://example.org", "hub"])
def test_an_endpoint_that_reads_along_is_refused(model, endpoint):
    assert "allowed: https" in refused(lambda: push(model, NAME, WRITER, endpoint=endpoint))


def test_what_is_there_is_never_written_over(filled, tmp_path):
    folder = tmp_path / "back"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    said = refused(lambda: take(filled, folder, token=WRITER), ModelError)
    assert "something lies already" in said
    assert "give another --out, or remove it" in said
    assert contents(folder) == {"mine.txt": b"mine"}
    (tmp_path / "file").write_text("mine")
    refused(lambda: take(filled, tmp_path / "file", token=WRITER), ModelError)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(lambda: take(filled, tmp_path / "link", token=WRITER), ModelError)
    assert filled.requests == []


def test_an_empty_folder_is_used(filled, tmp_path):
    (tmp_path / "back").mkdir()
    take(filled, tmp_path / "back", token=WRITER)
    assert load_model(tmp_path / "back").card.name == "small"


def test_a_folder_that_appears_meanwhile_is_left_alone(filled, tmp_path, monkeypatch):
    from neurotransfer.models import hub as module

    def appear(folder):
        (tmp_path / "back").mkdir()
        (tmp_path / "back" / "mine.txt").write_text("mine")
        return load_model(folder)

    monkeypatch.setattr(module, "load_model", appear)
    refused(lambda: take(filled, tmp_path / "back", token=WRITER), ModelError)
    assert contents(tmp_path / "back") == {"mine.txt": b"mine"}


def test_a_place_that_cannot_be_written_is_found_before_the_transfer(filled, tmp_path):
    (tmp_path / "file").write_text("")
    refused(lambda: take(filled, tmp_path / "file" / "back", token=WRITER), StorageError)
    assert routes(filled) == ["info"]


def test_a_full_disk_is_said(filled, tmp_path, monkeypatch):
    from huggingface_hub import HfApi

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(HfApi, "hf_hub_download", full)
    assert "no space left" in refused(lambda: take(filled, tmp_path / "back", token=WRITER), StorageError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["NEUROTRANSFER_OFFLINE", "HF_HUB_OFFLINE"])
def test_without_network_no_socket_is_opened(model, tmp_path, monkeypatch, name):
    def refuse(*arguments, **options):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv(name, "1")
    assert "not to be used" in refused(lambda: push(model, NAME, WRITER))
    assert "copy the model folder by hand" in refused(lambda: pull(NAME, tmp_path / "back"))
    monkeypatch.delenv(name)
    assert "not to be used" in refused(lambda: pull(NAME, tmp_path / "back", transport=Transport(is_offline=True)))


def test_without_the_client_its_extra_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: push(model, NAME, WRITER), lambda: pull(NAME, tmp_path / "back")):
        assert "pip install 'neurotransfer[hub]'" in refused(call)


def test_the_client_is_imported_only_when_it_is_used():
    source = Path(access.__file__).parents[1]
    for path in source.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("huggingface_hub") for name in names), path


def test_faults_of_ours_are_not_dressed_as_the_hubs(host):
    def broken():
        raise AssertionError("ours")

    with pytest.raises(AssertionError, match="ours"):
        Hub.of(NAME, WRITER, host.url).ask(broken)


def test_what_an_error_comes_from_is_found():
    inner = ConnectionResetError("reset")
    outer = RuntimeError("failed")
    outer.__cause__ = inner
    assert access._root(outer) is inner
    assert access._may_pass(outer)
    assert not access._may_pass(ValueError("no"))
    assert access._first_line("") == "str"
    assert access._first_line(ValueError(" a\nb")) == "a"


def test_the_folder_that_one_is_in_is_used(filled, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    take(filled, Path(), token=WRITER)
    assert load_model(tmp_path / "here").card.name == "small"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


@pytest.mark.parametrize("place", ["file:///home/ann/scans", "data:/home/ann/scans", "~/scans/x", "/home/ann/scans"])
def test_places_are_found_whatever_stands_before_them(place):
    assert _PLACE.findall(f'"from {place} and"')


@pytest.mark.parametrize(
    "text", ["https://github.com/a/b", "http://x.org/y/z", "a/b/c", "1/2", "and/or", "doi:10.1016/j.x.2022"]
)
def test_addresses_are_no_places(text):
    assert not _PLACE.findall(f'"see {text} for"')
