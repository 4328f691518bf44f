"""The command as people call it; 2,000 scans; real heads."""

import gc
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from view_client import exchanged, opened, parsed
from view_data import write_benchmark, write_cohort, write_maps, write_prepared, write_scan

from neurotransfer.errors import InputError
from neurotransfer.view import view

# whether or not the command is registered by the package itself
COMMAND = [
    sys.executable,
    "-c",
    "from neurotransfer.cli import viewing; from neurotransfer.__main__ import main; main()",
    "view",
]
N = 2000


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("run") / "data")


def started(*arguments, **environment):
    """The command, and the first line that it prints, in which the address stands."""
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **environment})  # fmt: skip
    line = process.stdout.readline()
    assert process.stdout.readline() == "Ctrl-C closes the page\n" or process.poll() is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", line)
    if found is None:
        pytest.fail(f"{line!r} {process.communicate()}")
    return process, int(found[1]), found[2], line


def fetched(port, token, asked):
    return parsed(exchanged(port, f"GET /{token}/{asked} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()))


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_command_shows_a_page_until_it_is_interrupted(cohort, number):
    process, port, token, line = started(cohort, "--no-browser")
    assert line.startswith("6 scans: http://127.0.0.1:")
    assert fetched(port, token, "scans.json").json["n"] == 6
    assert fetched(port, token, "scans/0/picture.jpg").status == 200
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (out, error) == ("", "")
    with pytest.raises(OSError):
        fetched(port, token, "scans.json")


@pytest.mark.slow
def test_the_command_ends_by_itself_after_some_seconds(tmp_path):
    begun = time.monotonic()
    process, *_ = started(write_prepared(tmp_path / "prepared"), "--no-browser", "--for-seconds", "0.5")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert error == "note: 1 of 7 scans have no image that can be found\n"
    assert time.monotonic() - begun < 50


@pytest.mark.slow
def test_the_browser_is_opened_without_telling_others_the_address(cohort, tmp_path):
    script = tmp_path / "browser"
    script.write_text(
        f"""#!/bin/sh
        echo "$@" > {tmp_path}/called
        cp "${{1#file://}}" {tmp_path}/page.html
        ls -ld "$(dirname "${{1#file://}}")" > {tmp_path}/rights\n"""
    )
    script.chmod(0o700)
    process, port, token, _ = started(cohort, "--for-seconds", "3", BROWSER=f"{script} %s")
    process.communicate(timeout=60)
    called, page = (tmp_path / "called").read_text(), (tmp_path / "page.html").read_text()
    assert called.startswith("file://")
    assert token not in called
    assert f"url=http://127.0.0.1:{port}/{token}/" in page
    assert (tmp_path / "rights").read_text().startswith("drwx------")
    assert not Path(called.strip().removeprefix("file://")).exists()


def test_what_a_user_can_mend_is_said_without_a_traceback(called, tmp_path):
    import neurotransfer.cli.viewing  # noqa: F401

    code, out, error = called("view", tmp_path / "nothing", "--no-browser")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: there is no '.*nothing'; give a folder .*\n", error)
    code, out, error = called("view", tmp_path, "--no-browser", "--port", "70000")
    assert (code, out) == (2, "")
    assert "Invalid value for '--port'" in error


@pytest.mark.slow
def test_the_port_of_another_is_not_taken(cohort):
    with opened(cohort) as client:
        done = subprocess.run([*COMMAND, str(cohort), "--no-browser", "--port", str(client.port)], capture_output=True, text=True,
                              check=False)  # fmt: skip
    assert done.returncode == 2
    assert f"cannot listen on port {client.port}" in done.stderr


@pytest.mark.slow
def test_no_torch_is_loaded():
    code = "import sys, neurotransfer.view, neurotransfer.cli.viewing\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_must_be_shown_for_a_while(cohort):
    with pytest.raises(InputError, match="--for-seconds is more than 0, got 0"):
        view(cohort, for_seconds=0, browser=False)


def test_on_ready_gets_the_address_and_the_scans(cohort):
    told = []
    view(cohort, for_seconds=0.05, browser=False, on_ready=lambda *what: told.append(what))
    assert told[0][0].startswith("http://127.0.0.1:")
    assert len(told[0][1]) == 6


def test_every_kind_of_run_can_be_looked_at(cohort, tmp_path):
    runs = [write_prepared(tmp_path / "prepared"), write_benchmark(tmp_path / "run", cohort), write_maps(tmp_path / "maps", cohort),
            cohort, cohort.parent, next(cohort.parent.rglob("*_T1w.nii.gz"))]  # fmt: skip
    for run in runs:
        with opened(run) as client:
            found = client.get("scans.json").json
            assert found["n"] >= 1
            for index in range(found["n"]):
                facts = client.get(f"scans/{index}.json").json
                for file in facts["files"]:
                    assert client.get(f"scans/{index}/{file['role']}.nii.gz").status == 200
                assert client.get(f"scans/{index}/picture.jpg").status == (200 if found["has_image"][index] else 404)
            for place, _ in enumerate(found["numbers"]):
                assert len(client.get(f"numbers/{place}.json").json) == found["n"]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A table of 2,000 scans, whose files are links to one."""
    folder = tmp_path_factory.mktemp("many")
    one = write_scan(folder / "one.nii.gz", shape=(40, 48, 40))
    rows = []
    for index in range(N):
        (folder / f"scan{index}.nii.gz").hardlink_to(one)
        rows.append(
            (
                f"sub-{index:04d}",
                f"scan{index}.nii.gz",
                f"site-{index % 7}",
                20 + index % 60,
                "FM"[index % 2],
                index / 7,
            )
        )
    names = ["participant_id", "image", "site", "age", "sex", "score"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "cohort.tsv", sep="\t", index=False)
    return folder / "cohort.tsv"


def test_two_thousand_scans_are_listed_at_once_and_drawn_when_seen(many):
    with opened(many) as client:
        reply = client.get("scans.json")
        assert reply.json["n"] == N
        assert len(reply.content) < 200_000
        pictures = client.server.answers.pictures.folder
        assert list(pictures.iterdir()) == []
        for index in range(0, N, 100):
            assert client.get(f"scans/{index}/picture.jpg").status == 200
        assert len(list(pictures.iterdir())) == N // 100


@pytest.mark.slow
def test_memory_stays_flat_whatever_is_looked_at(many):
    with opened(many) as client:
        for index in range(20):
            client.get(f"scans/{index}/picture.jpg")
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for index in range(20, 220):
            assert client.get(f"scans/{index}/picture.jpg").status == 200
        for index in range(100):
            assert client.get(f"scans/{index}/scan.nii.gz").status == 200
        # kilobytes; one head in memory for each scan would be 60 MB
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.shared
def test_real_heads_are_shown(shared_data):
    with opened(shared_data / "ds002748") as client:
        found = client.get("scans.json").json
        assert found["n"] == 48
        assert all(found["has_image"])
        image = sorted((shared_data / "ds002748").glob("sub-*/anat/*_T1w.nii.gz"))[7]
        assert client.get("scans/7/scan.nii.gz").content == image.read_bytes()
        picture = client.get("scans/7/picture.jpg")
        assert 5_000 < len(picture.content) < 60_000
        assert client.get("scans/7/mask.nii.gz").status == 404
    assert not (shared_data / "ds002748" / ".view").exists()


@pytest.mark.shared
def test_real_masks_are_found_beside_their_heads(shared_data):
    with opened(shared_data / "ds000228") as client:
        for index in (0, 50, 122):
            facts = client.get(f"scans/{index}.json").json
            assert [file["role"] for file in facts["files"]] == ["scan", "mask"]
            assert client.get(f"scans/{index}/mask.nii.gz").status == 200


@pytest.mark.shared
def test_the_command_on_real_heads(shared_data):
    process, port, token, line = started(shared_data / "ds002748", "--no-browser")
    try:
        assert line.startswith("48 scans")
        assert fetched(port, token, "scans/0/picture.jpg").status == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
