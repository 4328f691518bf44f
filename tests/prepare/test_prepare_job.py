"""When a scan is done again: with everything that its outputs depend on, and with nothing else."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_files import job_in, pretend, scan, subject

from neurotransfer.cohort.bids import entities
from neurotransfer.cohort.recipes import RECIPES, Step, get_recipe
from neurotransfer.errors import ImageError
from neurotransfer.prepare.job import IN_SIDECAR, Job, fingerprint_of, finished, outputs_of
from neurotransfer.prepare.source import DECLARABLE, DICOM, SUBJECT, Source


@pytest.fixture
def source(tmp_path):
    return Source("p", "1", scan(tmp_path / "in" / "a b.nii"), mask=scan(tmp_path / "in" / "m.nii", 1), name="a b.nii")


@pytest.fixture
def job(tmp_path):
    return job_in(tmp_path)


# ---- where outputs lie


@given(st.text("aZ09", min_size=1), st.text("aZ09"), st.dictionaries(st.sampled_from(["acq", "run"]), st.just("1")),
       st.sampled_from(sorted(RECIPES)))  # fmt: skip
def test_outputs_are_named_as_derivatives_of_bids(person, session, labels, recipe):
    job = Job(get_recipe(recipe), Path("out"))
    outputs = outputs_of(Source(person, session, Path("a.nii"), labels=labels), job)
    space = job.recipe.contract.space
    expected = {"sub": person} | ({"ses": session} if session else {}) | labels
    expected |= {} if space == "native" else {"space": space, "res": f"{job.recipe.contract.sides_mm[0]:g}"}
    assert entities(outputs.image) == expected | {"desc": recipe.replace("-", "")}
    assert entities(outputs.mask) == expected | {"desc": "brain"}
    assert outputs.sidecar.name == outputs.image.name.replace(".nii.gz", ".json")
    folder = Path("out", f"sub-{person}", *([f"ses-{session}"] if session else []), "anat")
    assert {path.parent for path in (outputs.image, outputs.mask, outputs.sidecar)} == {folder}
    assert outputs.figure.parent == Path("out", f"sub-{person}", "figures")


def test_scans_of_a_session_have_outputs_of_their_own(job):
    sources = [Source("p", session, Path("a.nii"), labels={"run": run}) for session in ("", "1") for run in "12"]
    paths = [path for one in sources for path in vars(outputs_of(one, job)).values()]
    assert len(set(paths)) == len(paths)


# ---- fingerprints


def test_a_fingerprint_does_not_change_by_itself(source, job):
    assert fingerprint_of(source, job) == fingerprint_of(
        replace(source), Job(get_recipe("template"), Path("elsewhere"))
    )
    assert len(fingerprint_of(source, job)) == 32


def other_recipe(recipe):
    steps = (*recipe.steps[:-1], Step(recipe.steps[-1].name, {"percentile": 99.8}))
    return replace(recipe, steps=steps)


@pytest.mark.parametrize("what", ["recipe", "version", "size", "parameter", "declared", "no mask", "atlas"])
def test_a_fingerprint_changes_with_what_is_asked_for(source, job, tmp_path, what):
    before = fingerprint_of(source, job)
    recipes = {"recipe": get_recipe("sfcn-ukb"), "version": replace(job.recipe, version=2),
               "size": get_recipe("template", 1), "parameter": other_recipe(job.recipe)}  # fmt: skip
    job = replace(job, recipe=recipes.get(what, job.recipe))
    if what == "atlas":
        job = replace(job, atlas=scan(tmp_path / "atlas.nii"))
    if what == "declared":
        source = replace(source, declared=frozenset({"stripped"}))
    if what == "no mask":
        source = replace(source, mask=None)
    assert fingerprint_of(source, job) != before


@pytest.mark.parametrize("which", ["path", "mask", "atlas"])
@pytest.mark.parametrize("how", ["time", "size", "name"])
def test_a_fingerprint_changes_with_every_file(source, job, tmp_path, which, how):
    job = replace(job, atlas=scan(tmp_path / "atlas.nii"))
    before = fingerprint_of(source, job)
    path = job.atlas if which == "atlas" else getattr(source, which)
    status = path.stat()
    if how == "time":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    elif how == "size":
        path.write_bytes(path.read_bytes() + b"\0")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        other = path.rename(path.with_name("other.nii"))
        source, job = (
            (source, replace(job, atlas=other)) if which == "atlas" else (replace(source, **{which: other}), job)
        )
    assert fingerprint_of(source, job) != before


@pytest.mark.parametrize("what", ["read", "moved", "columns", "name", "beside", "order"])
def test_a_fingerprint_changes_with_nothing_else(source, job, tmp_path, what):
    source = replace(source, declared=frozenset(DECLARABLE[:3]))
    before = fingerprint_of(source, job)
    if what == "read":
        source.path.read_bytes()
    if what == "moved":
        moved = shutil.move(tmp_path / "in", tmp_path / "disk 2")
        source = replace(source, path=Path(moved) / "a b.nii", mask=Path(moved) / "m.nii")
    if what == "columns":
        source = replace(source, columns={"age": "31"})
    if what == "name":
        source = replace(source, name="called otherwise")
    if what == "beside":
        scan(source.path.with_name("c.nii"))
    if what == "order":
        source = replace(source, declared=frozenset(reversed(DECLARABLE[:3])))
    assert fingerprint_of(source, job) == before


def test_a_name_that_is_no_text_has_a_fingerprint(tmp_path, job):
    path = scan(tmp_path / "a.nii").rename(tmp_path / os.fsdecode(b"\xff.nii"))
    assert fingerprint_of(Source("p", "", path), job)


@pytest.mark.parametrize("lost", ["path", "mask"])
def test_a_file_that_is_not_there_is_told(source, job, lost):
    getattr(source, lost).unlink()
    with pytest.raises(ImageError, match=r"no such image .*No such file"):
        fingerprint_of(source, job)


def test_a_subject_depends_on_its_images_alone(tmp_path, job):
    folder = subject(
        tmp_path / "A", ("orig", "mask", "brainmask", "norm", "aseg"), ["stats/aseg.stats", "scripts/x.log"]
    )
    source = Source("A", "", folder, SUBJECT)
    before = fingerprint_of(source, job)
    for name in ("mri/aseg.mgz", "stats/aseg.stats", "scripts/x.log"):
        (folder / name).write_text("changed")
    assert fingerprint_of(source, job) == before
    found = {before}
    for name in ("orig", "mask", "brainmask", "norm"):
        (folder / "mri" / f"{name}.mgz").write_text("changed")
        found.add(fingerprint_of(source, job))
    (folder / "mri" / "norm.mgz").unlink()
    assert len(found | {fingerprint_of(source, job)}) == 6


def test_a_dicom_folder_depends_on_all_of_its_files(tmp_path, job):
    folder = tmp_path / "Anna"
    for name in ("1/a", "1/b", "2/a"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    source = Source("Anna", "", folder, DICOM)
    before = fingerprint_of(source, job)
    # what a file manager leaves, a loop and a link that leads nowhere are no DICOM
    (folder / "1" / ".DS_Store").touch()
    (folder / "1" / "loop").symlink_to(folder)
    (folder / "2" / "gone").symlink_to(tmp_path / "nowhere")
    assert fingerprint_of(source, job) == before
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "c").touch()
    (folder / "3").symlink_to(tmp_path / "disk")
    linked = fingerprint_of(source, job)
    (folder / "2" / "a").write_text("longer than it was")
    assert len({before, linked, fingerprint_of(source, job)}) == 3


def test_a_dicom_folder_does_not_depend_on_what_is_made_of_it(tmp_path):
    (tmp_path / "a").touch()
    source, job = Source("Anna", "", tmp_path, DICOM), job_in(tmp_path)
    before = fingerprint_of(source, job)
    pretend(source, job)
    assert fingerprint_of(source, job) == before
    assert finished(source, job)


def test_a_dicom_folder_that_is_gone_is_told(tmp_path, job):
    with pytest.raises(ImageError, match="cannot read the folder"):
        fingerprint_of(Source("Anna", "", tmp_path / "Anna", DICOM), job)


# ---- what is finished


def test_what_was_made_from_the_same_files_is_finished(source, job):
    assert finished(source, job) is None
    _, sidecar = pretend(source, job)
    assert finished(source, job) == sidecar


@pytest.mark.parametrize("which", ["image", "mask", "figure", "sidecar"])
def test_nothing_is_finished_without_all_of_its_files(source, job, which):
    outputs, _ = pretend(source, job)
    getattr(outputs, which).unlink()
    assert finished(source, job) is None


@pytest.mark.parametrize("which", ["image", "mask"])
def test_nothing_is_finished_whose_files_were_cut(source, job, which):
    outputs, _ = pretend(source, job)
    getattr(outputs, which).write_bytes(b"vol")
    assert finished(source, job) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"3", b'"text"', b"{}", b'{"Fingerprint": 3}', b"\xff\xfe", b"[" * 100000]
)
def test_a_damaged_or_foreign_sidecar_is_none(source, job, content):
    outputs, _ = pretend(source, job)
    outputs.sidecar.write_bytes(content)
    assert finished(source, job) is None


@pytest.mark.parametrize("key", [*IN_SIDECAR, "Fingerprint", "Bytes"])
@pytest.mark.parametrize("value", ["absent", None, 7])
def test_a_sidecar_that_lacks_what_tables_need_is_none(source, job, key, value):
    outputs, sidecar = pretend(source, job)
    changed = {name: said for name, said in sidecar.items() if name != key}
    outputs.sidecar.write_text(json.dumps(changed if value == "absent" else changed | {key: value}))
    assert finished(source, job) is None


def test_other_inputs_are_not_finished(source, job):
    pretend(source, job)
    assert finished(replace(source, declared=frozenset({"stripped"})), job) is None
    os.utime(source.path)
    assert finished(source, job) is None
    source.path.unlink()
    assert finished(source, job) is None


def test_a_sidecar_in_the_place_of_a_folder_is_none(source, job):
    outputs_of(source, job).sidecar.mkdir(parents=True)
    assert finished(source, job) is None


def test_an_approximation_is_made_again_once_fastsurfer_is_installed(source, tmp_path, monkeypatch):
    job, source = job_in(tmp_path, "fastsurfer"), replace(source, mask=None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FASTSURFER_HOME", raising=False)
    pretend(source, job, Approximation="made without FastSurfer")
    masked = replace(source, participant_id="q", declared=frozenset({"stripped"}))
    pretend(masked, job, Approximation="made without FastSurfer")
    assert finished(source, job)
    script = tmp_path / "run_fastsurfer.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert finished(source, job) is None
    # what FastSurfer is not run for stays as it is, and so does what it made
    assert finished(masked, job)
    pretend(source, job, Approximation="")
    assert finished(source, job)
