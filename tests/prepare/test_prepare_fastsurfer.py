"""FastSurfer where it is installed: found, run, ended in time, and its failures told in its own words."""

import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from input_files import scan, subject

from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import InputError
from neurotransfer.prepare import fastsurfer as module
from neurotransfer.prepare.fastsurfer import SCRIPT, find_fastsurfer, run_fastsurfer, runs_fastsurfer
from neurotransfer.prepare.source import DICOM, SUBJECT, Source

# what a FastSurfer of ours does: --sd and --sid say where
WRITES = """
while [ $# -gt 0 ]; do
  case "$1" in --sd) sd="$2";; --sid) sid="$2";; --t1) t1="$2";; esac; shift
done
mkdir -p "$sd/$sid"; cp -r {made}/. "$sd/$sid"; echo "$t1" > "$sd/t1"
"""


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """No FastSurfer but ours; sh itself is found."""
    monkeypatch.delenv("FASTSURFER_HOME", raising=False)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), "/usr/bin", "/bin"]))


def install(folder, body, mode=0o755, first="#!/bin/sh"):
    script = folder / SCRIPT
    folder.mkdir(parents=True, exist_ok=True)
    script.write_text(f"{first}\n{body}\n")
    script.chmod(mode)
    return script


@pytest.fixture
def made(tmp_path):
    """What FastSurfer would have made."""
    return subject(tmp_path / "made by", others=["scripts/deep-seg.log"])


@pytest.fixture
def head(tmp_path):
    return scan(tmp_path / "heads" / "-a b ä.nii")


def out(tmp_path):
    folder = tmp_path / "work place"
    folder.mkdir(exist_ok=True)
    return folder


# ---- found


def test_it_is_found_on_path_first_and_else_at_home(tmp_path, monkeypatch):
    assert find_fastsurfer() is None
    home = install(tmp_path / "home", "exit 0")
    monkeypatch.setenv("FASTSURFER_HOME", str(tmp_path / "home"))
    assert find_fastsurfer() == home
    on_path = install(tmp_path / "bin", "exit 0")
    assert find_fastsurfer() == on_path
    on_path.chmod(0o644)
    assert find_fastsurfer() == home


@pytest.mark.parametrize("home", ["", "nowhere", "."])
def test_a_home_without_it_is_none(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSURFER_HOME", home)
    assert find_fastsurfer() is None
    (tmp_path / SCRIPT).mkdir()
    assert find_fastsurfer() is None


def test_a_home_that_is_relative_is_run_all_the_same(tmp_path, monkeypatch, head, made):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSURFER_HOME", ".")
    install(tmp_path, WRITES.format(made=f"'{made}'"))
    assert find_fastsurfer().is_absolute()
    assert run_fastsurfer(head, out(tmp_path)).orig is not None


# ---- for whom


@pytest.mark.parametrize(
    ("recipe", "changes", "wanted"),
    [
        ("fastsurfer", {}, True),
        ("fastsurfer", {"kind": DICOM}, True),
        ("fastsurfer", {"declared": frozenset({"registered"})}, True),
        ("fastsurfer", {"kind": SUBJECT}, False),
        ("fastsurfer", {"mask": Path("m.nii")}, False),
        ("fastsurfer", {"declared": frozenset({"stripped"})}, False),
        ("fastsurfer", {"declared": frozenset({"conformed"})}, False),
        ("freesurfer-fsl", {}, False),
        ("template", {}, False),
        ("sfcn-ukb", {}, False),
    ],
)
def test_it_is_run_for_whole_raw_heads_of_its_recipe_where_it_is_installed(tmp_path, recipe, changes, wanted):
    source = replace(Source("p", "", Path("a.nii")), **changes)
    assert not runs_fastsurfer(source, RECIPES[recipe])
    install(tmp_path / "bin", "exit 0")
    assert runs_fastsurfer(source, RECIPES[recipe]) == wanted


# ---- run


def test_its_subject_is_read(tmp_path, head, made):
    install(tmp_path / "bin", WRITES.format(made=f"'{made}'"))
    work = out(tmp_path)
    found = run_fastsurfer(head, work)
    assert (found.tool, found.folder) == ("FastSurfer", work / "scan")
    assert found.orig.is_file()
    assert found.mask.is_file()
    assert (work / "t1").read_text().strip() == str(head.resolve())


def test_paths_are_absolute_wherever_it_goes(tmp_path, head, made, monkeypatch):
    monkeypatch.chdir(tmp_path)
    install(tmp_path / "bin", "cd /\n" + WRITES.format(made=f"'{made}'"))
    out(tmp_path)
    assert run_fastsurfer(head.relative_to(tmp_path), Path("work place")).mask is not None


def test_it_is_told_what_to_do(tmp_path, head):
    install(tmp_path / "bin", 'echo "$@"; exit 1')
    with pytest.raises(InputError) as caught:
        run_fastsurfer(head, out(tmp_path))
    said = str(caught.value).split("its last lines: ")[1]
    assert said == (
        f"--t1 {head} --sid scan --sd {tmp_path}/work place --seg_only --no_cereb --no_hypothal --threads 1"
    )


def test_where_it_is_not_installed_this_is_told(tmp_path, head):
    with pytest.raises(InputError, match="not on PATH and not in FASTSURFER_HOME; install FastSurfer"):
        run_fastsurfer(head, out(tmp_path))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "echo one; echo two >&2; exit 3",
            r"ended with exit code 3 and made no mri/orig.mgz and no mri/mask.mgz; .* one \| two",
        ),
        ("exit 0", "ended with exit code 0 and made no .*; its last lines: nothing"),
        (
            "for i in 1 2 3 4 5 6 7; do echo line $i; done; exit 1",
            r"lines: line 3 \| line 4 \| line 5 \| line 6 \| line 7$",
        ),
        (r"printf '\377broken'; exit 1", "lines: \ufffdbroken"),
        ("kill -9 $$", "ended with exit code -9"),
        ("read answer; echo no answer; exit 4", "exit code 4 .*: no answer"),
    ],
)
def test_a_failure_is_told_with_its_last_lines(tmp_path, head, body, message):
    install(tmp_path / "bin", body)
    with pytest.raises(InputError, match=message):
        run_fastsurfer(head, out(tmp_path))


def test_a_failure_that_made_everything_is_no_success(tmp_path, head, made):
    install(tmp_path / "bin", WRITES.format(made=f"'{made}'") + "exit 2")
    with pytest.raises(InputError, match="ended with exit code 2; its last lines: nothing"):
        run_fastsurfer(head, out(tmp_path))


@pytest.mark.parametrize("lost", ["orig", "mask"])
def test_what_was_not_made_is_told(tmp_path, head, made, lost):
    (made / "mri" / f"{lost}.mgz").unlink()
    install(tmp_path / "bin", WRITES.format(made=f"'{made}'"))
    with pytest.raises(InputError, match=f"exit code 0 and made no mri/{lost}.mgz;"):
        run_fastsurfer(head, out(tmp_path))


@pytest.mark.parametrize(("mode", "first"), [(0o644, "#!/bin/sh"), (0o755, "#!/no/such/shell"), (0o755, "\0")])
def test_a_script_that_cannot_be_run_is_told(tmp_path, head, monkeypatch, mode, first):
    script = install(tmp_path / "home", "exit 0", mode, first)
    monkeypatch.setenv("FASTSURFER_HOME", str(tmp_path / "home"))
    assert bool(script.stat().st_mode & stat.S_IXUSR) == (mode == 0o755)
    with pytest.raises(InputError, match=r"cannot be run .*; mend it, or take it off PATH and FASTSURFER_HOME"):
        run_fastsurfer(head, out(tmp_path))


def is_running(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_one_that_does_not_end_is_ended_with_all_that_it_started(tmp_path, head, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 0.5)
    work = out(tmp_path)
    install(tmp_path / "bin", f"sleep 60 & echo $! > '{work}/child'; wait")
    begin = time.perf_counter()
    with pytest.raises(InputError, match=r"did not end within .* hours; run it yourself and give its folder"):
        run_fastsurfer(head, work)
    assert time.perf_counter() - begin < 10
    child = int((work / "child").read_text())
    deadline = time.perf_counter() + 5
    while is_running(child) and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert not is_running(child)
