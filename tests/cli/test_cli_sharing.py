"""The commands that fetch and share models: in processes of their own against a hub on this machine, and every refusal."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from local_hub import READER, WRITER, hub
from local_server import Cut, Served, Status, serving
from neurotransfer import __main__
from neurotransfer.cohort import Grid
from neurotransfer.models import Card, Model, Network, build_encoder, load_model, published, save_model
from neurotransfer.models.published import RELEASES
from neurotransfer.targets import Target

NAME = "me/model"
TAKEN = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "NEUROTRANSFER_OFFLINE")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    card = Card("small", "sfcn", {"width": 0.0625}, (Target("age", "continuous"),), Grid((32, 38, 32), 5.0))
    folder = tmp_path_factory.mktemp("sharing") / "small"
    save_model(folder, Model(Network(build_encoder("sfcn", card.arguments), card.targets), card))
    (folder / "training.tsv").write_text("epoch\tloss\n")
    return folder


@pytest.fixture
def host():
    with hub() as server:
        yield server


def run(*arguments, home, **environment):
    """The command in a process of its own, with no token or cache of whoever runs the tests."""
    clean = {name: value for name, value in os.environ.items() if name not in TAKEN}
    clean |= {"HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1,localhost"} | environment
    command = [sys.executable, "-m", "neurotransfer", "models", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=clean)


@pytest.fixture
def here(monkeypatch, capsys, tmp_path):
    """The command in this process: its exit code, output and messages."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    for name in TAKEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)

    def call(*arguments, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["neurotransfer", "models", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            __main__.main()
        said = capsys.readouterr()
        assert WRITER not in said.out + said.err
        return stopped.value.code or 0, said.out, said.err

    return call


@pytest.mark.slow
def test_a_model_goes_to_a_hub_and_comes_back(host, model, tmp_path):
    pytest.importorskip("huggingface_hub")
    sent = run("push", model, NAME, "--message", "First", home=tmp_path, HF_ENDPOINT=host.url, HF_TOKEN=WRITER)
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.strip() == f"{host.url}/{NAME}"
    assert "sent weights.safetensors, model.json, README.md as version" in sent.stderr
    assert "not sent: training.tsv" in sent.stderr
    assert "the card states no licence" in sent.stderr
    assert host.repositories[NAME].messages[-1] == "First"
    assert host.repositories[NAME].is_private
    host.repositories[NAME].put({"evil.pkl": b"cos\nsystem\n."})
    host.faults["cdn"] = [Cut(500)]
    taken = run("pull", NAME, "--out", tmp_path / "back", home=tmp_path, HF_ENDPOINT=host.url, HF_TOKEN=READER)
    assert taken.returncode == 0, taken.stderr
    assert taken.stdout.strip() == str(tmp_path / "back")
    assert "not taken: evil.pkl" in taken.stderr
    for name in ("weights.safetensors", "model.json", "README.md"):
        assert (tmp_path / "back" / name).read_bytes() == (model / name).read_bytes()
    assert not (tmp_path / "back" / "evil.pkl").exists()
    assert load_model(tmp_path / "back").card.name == "small"
    for done in (sent, taken):
        assert "hf_" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "said"), [("hf_wrong", "does not know the token"), (READER, "no right"), (None, "without a token")]
)
def test_a_process_without_the_right_ends_with_2(host, model, tmp_path, token, said):
    done = run("push", model, NAME, home=tmp_path, HF_ENDPOINT=host.url, **({"HF_TOKEN": token} if token else {}))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "hf_wrong" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_process_without_network_ends_with_2(model, tmp_path):
    for arguments in (
        ("push", model, NAME),
        ("pull", NAME, "--out", tmp_path / "back"),
        ("download", "multi-2025", "--out", tmp_path / "files"),
    ):
        done = run(*arguments, home=tmp_path, NEUROTRANSFER_OFFLINE="1")
        assert done.returncode == 2
        assert "the network is not to be used" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--public", "--private"])
def test_the_flag_says_who_may_see_it(here, host, model, flag):
    code, out, _ = here("push", model, NAME, flag, HF_ENDPOINT=host.url, HF_TOKEN=WRITER)
    assert (code, out.strip()) == (0, f"{host.url}/{NAME}")
    assert host.repositories[NAME].is_private == (flag == "--private")
    assert host.repositories[NAME].messages[-1] == "Upload a model of neurotransfer"


def test_a_revision_is_taken(here, host, model, tmp_path):
    here("push", model, NAME, HF_ENDPOINT=host.url, HF_TOKEN=WRITER)
    commit = host.repositories[NAME].commits[-1]
    host.repositories[NAME].put({"README.md": b"newer"})
    code, out, said = here("pull", NAME, "--out", tmp_path / "old", "--revision", commit)
    assert (code, out.strip()) == (0, str(tmp_path / "old"))
    assert commit in said
    assert "licence unstated; please cite as its makers say" in said
    assert (tmp_path / "old" / "README.md").read_bytes() == (model / "README.md").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        (("push", "{model}", NAME), "hf_wrong", "does not know the token"),
        (("push", "{model}", NAME), READER, "no right"),
        (("push", "{model}", NAME), "", "without a token"),
        (("push", "{model}", "no name"), WRITER, "allowed: OWNER/NAME"),
        (("push", "{folder}/nowhere", NAME), WRITER, "is no model folder"),
        (("pull", NAME, "--out", "{folder}/back"), READER, "there is no model"),
        (("pull", NAME, "--out", "{folder}/back"), "", "set HF_TOKEN"),
        (("pull", NAME, "--out", "{model}"), READER, "something lies already in"),
        (("pull", "me/../you", "--out", "{folder}/back"), READER, "allowed: OWNER/NAME"),
        (("pull", NAME), READER, "--out"),
        (("download", "sfcn-reg-2020", "--out", "{folder}/files"), "", "did you mean 'sfcn-reg-2022'"),
        (("download", "multi-2025"), "", "--out"),
    ],
)
def test_what_cannot_be_is_one_message_and_code_2(here, host, model, tmp_path, arguments, token, said):
    filled = [argument.format(model=model, folder=tmp_path) for argument in arguments]
    code, out, message = here(*filled, HF_ENDPOINT=host.url, HF_TOKEN=token)
    assert code == 2
    assert out == ""
    assert said in message
    assert "hf_wrong" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("endpoint", ["http://example.org", "http://127.0.0.1:1"])
def test_a_hub_that_cannot_be_asked_is_said(here, tmp_path, monkeypatch, endpoint):
    monkeypatch.setattr("neurotransfer.models.hub_access._DEFAULT", replace(published.Transport(), waits=()))
    code, _, message = here("pull", NAME, "--out", tmp_path / "back", HF_ENDPOINT=endpoint)
    assert code == 2
    assert "allowed: https" in message or "127.0.0.1 is out of reach" in message


def test_without_network_nothing_is_asked(here, model, tmp_path):
    code, _, message = here("push", model, NAME, NEUROTRANSFER_OFFLINE="1", HF_TOKEN=WRITER)
    assert code == 2
    assert "NEUROTRANSFER_OFFLINE" in message
    code, _, message = here("download", "reg-2025", "--out", tmp_path / "files")
    assert code == 2
    assert "neurotransfer models convert" in message
    assert RELEASES["reg-2025"].page in message
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize("kind", ["multi-2025", "sfcn-ukb-age"])
def test_a_published_release_is_fetched_with_its_licence(here, tmp_path, monkeypatch, kind):
    release, served, files = RELEASES[kind], {}, []
    with serving(files=served) as host:
        for file in release.files:
            data = file.name.encode() * 100
            served[f"/{file.name}"] = Served(data)
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() if file.git_blob else None
            files.append(replace(file, url=f"{host.url}/{file.name}", git_blob=git))
        monkeypatch.setitem(RELEASES, kind, replace(release, files=tuple(files)))
        code, out, said = here("download", kind, "--out", tmp_path / "files")
    assert code == 0
    assert out.split() == [str(tmp_path / "files" / file.name) for file in files]
    for words in (release.title, release.page, f"licence {release.licence}", release.citation, release.note):
        assert words in said
    assert f"next: neurotransfer models convert {out.split()[0]} --as {kind} --out MODEL" in said
    unchecked = [file for file in files if not file.is_checked]
    assert re.findall("SHA-256 of .*: ([0-9a-f]{64})", said) == [
        hashlib.sha256(file.name.encode() * 100).hexdigest() for file in unchecked
    ]
    assert f"fetch {kind}: {len(files)} done" in said


def test_a_release_that_is_gone_is_code_2(here, tmp_path, monkeypatch):
    with serving(files={"/a": Served(b"", faults=[Status(404)])}) as host:
        file = replace(RELEASES["reg-2025"].files[0], url=f"{host.url}/a")
        monkeypatch.setitem(RELEASES, "reg-2025", replace(RELEASES["reg-2025"], files=(file,)))
        code, out, message = here("download", "reg-2025", "--out", tmp_path / "files")
    assert (code, out) == (2, "")
    assert "there is no such file (answer 404)" in message


@pytest.mark.parametrize("command", ["push", "pull", "download"])
def test_every_command_explains_itself(here, command):
    code, out, _ = here(command, "--help")
    assert code == 0
    assert "Usage" in out
