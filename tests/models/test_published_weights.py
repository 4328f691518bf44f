"""The table of published weights, and how its files are fetched."""

import hashlib
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from local_server import Served, Status, serving
from neurotransfer.errors import InputError, ModelError
from neurotransfer.models import published
from neurotransfer.models.published import MOST_BYTES, RELEASES, PublishedFile, fetch, find_release
from neurotransfer.models.readme import LICENCES
from neurotransfer.models.transport import Transport, require_url

KINDS = (
    "sfcn-reg-2022",
    "sfcn-sm-2022",
    "sfcn-rank-2022",
    "sfcn-bin-2024",
    "multi-2025",
    "reg-2025",
    "sfcn-ukb-age",
    "sfcn-ukb-sex",
)
FILES = [(kind, file) for kind, release in RELEASES.items() for file in release.files]
QUICK = Transport(waits=(0.0, 0.0), sleep=lambda wait: None)


def test_every_kind_of_the_design_is_in_the_table():
    assert tuple(RELEASES) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_says_what_a_user_must_know(kind):
    release = RELEASES[kind]
    assert release.kind == kind
    assert release.licence.lower() in LICENCES
    assert re.search(r"\(20\d\d\).*doi:10\.\d{4,}/", release.citation)
    require_url(release.page)
    assert release.title
    assert release.files
    if "NC" in release.licence:
        assert "Not for commercial use" in release.note
    if not all(file.is_checked for file in release.files):
        assert "No checksum" in release.note


@pytest.mark.parametrize(("kind", "file"), FILES, ids=[file.name for _, file in FILES])
def test_a_file_lies_where_its_page_is_and_its_checksum_is_one(kind, file):
    require_url(file.url)
    assert file.url.startswith("https://")
    assert Path(file.name).name == file.name
    owner = re.fullmatch(r"https://github.com/([\w-]+/[\w-]+)", RELEASES[kind].page)
    assert owner
    assert owner[1] in file.url
    if file.git_blob:
        assert re.fullmatch("[0-9a-f]{40}", file.git_blob)
        assert file.url.endswith(f"/{file.git_blob}")
        assert file.accept == "application/vnd.github.raw"
    if file.sha256:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_no_two_files_are_one():
    assert len({file.url for _, file in FILES}) == len(FILES)
    assert len({(kind, file.name) for kind, file in FILES}) == len(FILES)
    blobs = [file.git_blob for _, file in FILES if file.git_blob]
    assert len(set(blobs)) == len(blobs) == 12


def test_a_checkpoint_has_both_of_its_files_by_one_stem():
    for kind in ("multi-2025", "reg-2025"):
        assert [file.name for file in RELEASES[kind].files] == [f"{kind}.index", f"{kind}.data-00000-of-00001"]


def test_the_folds_are_in_order():
    names = [file.name for file in RELEASES["sfcn-bin-2024"].files]
    assert [re.search(r"fold_(\d)", name)[1] for name in names] == list("01234")


def test_an_unknown_kind_is_refused_with_the_closest():
    with pytest.raises(ModelError, match="did you mean 'sfcn-reg-2022'"):
        find_release("sfcn-reg-2020")
    with pytest.raises(ModelError, match="allowed: sfcn-reg-2022, sfcn-sm-2022"):
        fetch("nothing", Path("nowhere"))


@pytest.mark.parametrize("kind", KINDS)
def test_without_network_a_person_learns_how_to_go_on(tmp_path, kind):
    release = RELEASES[kind]
    with pytest.raises(InputError) as error:
        fetch(kind, tmp_path / "files", Transport(is_offline=True))
    said = str(error.value)
    assert release.page in said
    assert release.files[0].url in said
    assert f"neurotransfer models convert {tmp_path / 'files' / release.files[0].name} --as {kind} --out MODEL" in said
    assert not (tmp_path / "files").exists()


@pytest.fixture
def host(monkeypatch):
    """A host that has every file of the table, and a table that names it."""
    files, table = {}, {}
    for kind, release in RELEASES.items():
        local = []
        for number, file in enumerate(release.files):
            data = random.Random(file.name).randbytes(3000 + number)
            files[f"/{kind}/{file.name}"] = Served(data)
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            local.append(replace(file, url=f"/{kind}/{file.name}", git_blob=git if file.git_blob else None))
        table[kind] = replace(release, files=tuple(local))
    with serving(files=files) as server:
        for kind, release in table.items():
            there = tuple(replace(file, url=server.url + file.url) for file in release.files)
            monkeypatch.setitem(published.RELEASES, kind, replace(release, files=there))
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_is_fetched_whole(host, tmp_path, kind):
    told = []
    paths = fetch(kind, tmp_path, QUICK, told.append, lambda: told.append("+"))
    assert [path.name for path in paths] == [file.name for file in RELEASES[kind].files]
    for path in paths:
        assert path.read_bytes() == host.files[f"/{kind}/{path.name}"].data
    assert told == [1, "+"] * len(paths)
    assert {headers["Accept"] for _, headers in host.requests} == {RELEASES[kind].files[0].accept}


def test_what_was_fetched_is_not_fetched_again(host, tmp_path):
    fetch("sfcn-bin-2024", tmp_path, QUICK)
    fetch("sfcn-bin-2024", tmp_path, QUICK)
    assert len(host.requests) == 5


def test_a_release_that_was_changed_is_refused(host, tmp_path):
    name = "/multi-2025/multi-2025.data-00000-of-00001"
    host.files[name] = Served(b"changed")
    with pytest.raises(ModelError, match="SHA-1 of git: expected"):
        fetch("multi-2025", tmp_path, QUICK)
    assert not (tmp_path / "multi-2025.data-00000-of-00001").exists()
    assert (tmp_path / "multi-2025.index").exists()


def test_a_file_that_was_fetched_by_hand_is_checked_and_kept(host, tmp_path):
    served = host.files["/sfcn-reg-2022/regression_sfcn_brain_age_weights.h5"]
    path = tmp_path / "regression_sfcn_brain_age_weights.h5"
    path.write_bytes(served.data)
    assert fetch("sfcn-reg-2022", tmp_path, Transport(is_offline=True)) == [path]
    path.write_bytes(served.data[:-1])
    with pytest.raises(ModelError, match="another file has its name"):
        fetch("sfcn-reg-2022", tmp_path, Transport(is_offline=True))


def test_a_web_page_in_place_of_weights_without_checksum_is_refused(host, tmp_path):
    host.files["/sfcn-ukb-age/run_20190719_00_epoch_best_mae.p"] = Served(b"<!doctype html>")
    with pytest.raises(ModelError, match="web page"):
        fetch("sfcn-ukb-age", tmp_path, QUICK)


def test_a_host_that_has_moved_is_told_with_the_page(host, tmp_path):
    host.files["/reg-2025/reg-2025.index"].faults = [Status(404)]
    with pytest.raises(InputError, match="no such file") as error:
        fetch("reg-2025", tmp_path, QUICK)
    assert RELEASES["reg-2025"].page in str(error.value)
    assert "models convert" in str(error.value)


def test_files_have_a_bound(host, tmp_path, monkeypatch):
    assert 12_000_000 * 4 < MOST_BYTES < 1 << 30
    monkeypatch.setattr(published, "MOST_BYTES", 100)
    with pytest.raises(ModelError, match="at most 100 were expected"):
        fetch("sfcn-sm-2022", tmp_path, QUICK)


def test_a_kind_that_lies_nowhere_names_its_page(monkeypatch, tmp_path):
    monkeypatch.setitem(published.RELEASES, "reg-2025", replace(RELEASES["reg-2025"], files=()))
    with pytest.raises(ModelError, match=r"ask for them at https://github.com/estenhl/pyment-public, then run"):
        fetch("reg-2025", tmp_path)


def test_a_file_is_checked_when_one_checksum_is_known():
    file = PublishedFile("a", "https://example.org/a")
    assert not file.is_checked
    assert replace(file, sha256="0" * 64).is_checked
    assert replace(file, git_blob="0" * 40).is_checked
