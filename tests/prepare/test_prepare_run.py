"""A whole preparation: what lies where, nothing done twice, nothing lost, nothing personal, whatever is killed."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer.artifacts import read_json
from neurotransfer.cohort import Grid, load_volume, read_cohort
from neurotransfer.cohort.preparation import preparation_of
from neurotransfer.cohort.recipes import RECIPES, get_recipe
from neurotransfer.errors import CohortError, InputError, ModelError, StorageError
from neurotransfer.models.card import Card
from neurotransfer.models.checks import require_preparation
from neurotransfer.prepare import pool
from neurotransfer.prepare.inputs import Choice
from neurotransfer.prepare.run import prepare
from neurotransfer.simulate import simulate

# simulated heads are all of it, and saying so saves deepbet and the bias field
DECLARED = ("stripped", "unbiased", "registered")
SECRET = "Jane Doe 1970-01-01"


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A BIDS dataset of three simulated people whose headers and tables say more than they should."""
    made = simulate(tmp_path_factory.mktemp("made") / "heads", 3, shape=(32, 38, 32), seed=2, second_sessions=0)
    root = tmp_path_factory.mktemp("bids") / "raw"
    for number, image in enumerate(sorted((made.parent / "heads").glob("*.nii.gz")), start=1):
        folder = root / f"sub-{number:02d}" / "anat"
        folder.mkdir(parents=True)
        nifti = nibabel.load(image)
        nifti.header["descrip"] = SECRET.encode()
        nifti.header["aux_file"] = b"Doe"
        nifti.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", SECRET.encode()))
        nibabel.save(nifti, folder / f"sub-{number:02d}_T1w.nii.gz")
    people = {"participant_id": ["sub-01", "sub-02", "sub-03"], "age": [20, 30, 40], "name": [SECRET] * 3}
    pd.DataFrame(people).to_csv(root / "participants.tsv", sep="\t", index=False)
    return root


@pytest.fixture(scope="module")
def prepared(heads, tmp_path_factory):
    return prepare(heads, tmp_path_factory.mktemp("out") / "ready", declared=DECLARED, columns=["age"])


@pytest.fixture
def again(heads, prepared, tmp_path):
    """Copies of the input and of what was made of it, to be changed; files keep their times."""
    shutil.copytree(heads, tmp_path / "raw")
    shutil.copytree(prepared.folder, tmp_path / "ready")
    # an input that was only moved is known by its scans
    assert prepare(tmp_path / "raw", tmp_path / "ready", declared=DECLARED, columns=["age"]).kept == 3
    return tmp_path / "raw", tmp_path / "ready"


def state(folder):
    return {
        path: path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "lock" not in path.name
    }


def sidecars(folder):
    return sorted(folder.glob("sub-*/**/*_T1w.json"))


def run(*arguments, **options):
    command = [sys.executable, "-m", "neurotransfer", "prepare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, **options)


def test_the_files_are_derivatives_of_bids(prepared):
    folder = prepared.folder
    description = read_json(folder / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "neurotransfer"
    start = "sub-01/anat/sub-01_space-MNI152NLin2009aSym_res-2_desc"
    for name in (f"{start}-template_T1w.nii.gz", f"{start}-template_T1w.json", f"{start}-brain_mask.nii.gz",
                 "sub-01/figures/sub-01_desc-template_T1w.jpg"):  # fmt: skip
        assert (folder / name).is_file(), name
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "dataset_description.json", "prepared.json", "cohort.tsv", "quality.tsv", "regional_volumes.tsv", "failed.tsv",
        "quality.html", ".prepare.lock",
    }  # fmt: skip
    assert (prepared.made, prepared.kept, prepared.failed) == (3, 0, ())


def test_every_volume_keeps_the_contract_and_its_sidecar_says_all(prepared):
    recipe = RECIPES["template"]
    for path in sidecars(prepared.folder):
        image = nibabel.load(path.with_name(path.name.replace(".json", ".nii.gz")))
        assert recipe.contract.problems(image.get_fdata(dtype=np.float32), image.affine) == []
        sidecar = read_json(path)
        assert (sidecar["Recipe"], sidecar["RecipeVersion"]) == ("template", recipe.version)
        assert sidecar["Steps"] == json.loads(json.dumps(recipe.facts()["Steps"]))
        assert [line["Step"] for line in sidecar["Log"]] == [step.name for step in recipe.steps]
        assert not any(line["Done"] for line in sidecar["Log"] if line["Step"] in ("brain", "bias_field", "register"))
        assert sidecar["SkullStripped"] is True
        assert sidecar["Approximation"] == ""
        assert np.array(sidecar["ScanToTemplate"]).shape == (4, 4)


def test_the_tables_have_a_row_a_scan(prepared):
    cohort = pd.read_csv(prepared.cohort, sep="\t")
    assert cohort["participant_id"].tolist() == ["sub-01", "sub-02", "sub-03"]
    assert list(cohort.columns) == ["participant_id", "session_id", "image", "age"]
    quality = pd.read_csv(prepared.folder / "quality.tsv", sep="\t")
    assert sorted(quality["scan"]) == ["sub-01", "sub-02", "sub-03"]
    assert quality["overlap"].between(0.8, 1).all()
    regional = pd.read_csv(prepared.folder / "regional_volumes.tsv", sep="\t")
    assert regional.filter(like="_mm3").notna().all().all()
    assert regional["total_grey_mm3"].between(3e5, 1.2e6).all()
    page = prepared.page.read_text()
    assert page.count("<img") == 3
    assert "http" not in page.replace("http-equiv", "")


def test_what_was_prepared_is_a_cohort_that_knows_its_recipe(prepared):
    cohort = read_cohort(prepared.folder, targets=["age"])
    assert len(cohort) == 3
    assert cohort.preparation["Recipe"] == "template"
    assert cohort.rows(np.array([0])).preparation == cohort.preparation
    volume = load_volume(cohort.images[0][0], Grid())
    assert 0.05 < (volume > 0.2).mean() < 0.6


def test_a_prepared_cohort_and_a_model_of_another_recipe_are_kept_apart(prepared):
    cohort = read_cohort(prepared.folder)
    card = {"name": "model", "architecture": "sfcn", "arguments": {}, "targets": (), "input": Grid()}
    require_preparation(Card(**card), cohort)
    require_preparation(Card(**card, preparation=RECIPES["template"].facts()), cohort)
    with pytest.raises(
        ModelError, match=r"sfcn-ukb-1, those of 'ready' were by template-1 at 2 mm; run .* --recipe sfcn-ukb"
    ):
        require_preparation(Card(**card, preparation=RECIPES["sfcn-ukb"].facts()), cohort)


def test_nothing_is_done_again(again):
    raw, ready = again
    before = state(ready)
    done = prepare(raw, ready, declared=DECLARED, columns=["age"])
    assert (done.made, done.kept) == (0, 3)
    assert state(ready) == before


def test_other_columns_make_the_table_and_no_volume(again):
    raw, ready = again
    volumes = state(ready / "sub-01")
    done = prepare(raw, ready, declared=DECLARED)
    assert (done.made, done.kept) == (0, 3)
    assert list(pd.read_csv(ready / "cohort.tsv", sep="\t").columns) == ["participant_id", "session_id", "image"]
    assert state(ready / "sub-01") == volumes


def test_a_table_that_was_mended_reaches_the_cohort(again):
    raw, ready = again
    people = raw / "participants.tsv"
    people.write_text(people.read_text().replace("30", "31"))
    done = prepare(raw, ready, declared=DECLARED, columns=["age"])
    assert (done.made, done.kept) == (0, 3)
    assert pd.read_csv(done.cohort, sep="\t")["age"].tolist() == [20, 31, 40]


def test_a_scan_that_changed_is_made_again_alone(again):
    raw, ready = again
    os.utime(raw / "sub-02/anat/sub-02_T1w.nii.gz")
    done = prepare(raw, ready, declared=DECLARED, columns=["age"])
    assert (done.made, done.kept) == (1, 2)


@pytest.mark.parametrize("ending", ["T1w.nii.gz", "mask.nii.gz", "T1w.json"])
def test_an_output_that_is_gone_or_cut_is_made_again(again, ending):
    raw, ready = again
    lost = next((ready / "sub-03/anat").glob(f"*{ending}"))
    lost.write_bytes(lost.read_bytes()[:100])
    assert prepare(raw, ready, declared=DECLARED, columns=["age"]).made == 1
    lost.unlink()
    assert prepare(raw, ready, declared=DECLARED, columns=["age"]).made == 1


@pytest.mark.slow
def test_a_new_declaration_is_another_preparation(again):
    raw, ready = again
    assert prepare(raw, ready, declared=("stripped", "registered"), columns=["age"]).made == 3


def test_one_scan_that_fails_stops_no_other_and_is_told(again):
    raw, ready = again
    bad = raw / "sub-02/anat/sub-02_T1w.nii.gz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    done = prepare(raw, ready, declared=DECLARED)
    assert (done.made, done.kept) == (0, 2)
    [(scan, why)] = done.failed
    assert scan == "sub-02"
    assert "cannot read" in why
    assert pd.read_csv(ready / "failed.tsv", sep="\t")["scan"].tolist() == ["sub-02"]
    assert pd.read_csv(ready / "cohort.tsv", sep="\t")["participant_id"].tolist() == ["sub-01", "sub-03"]
    assert "cannot read" in (ready / "quality.html").read_text()
    bad.write_bytes(whole)
    done = prepare(raw, ready, declared=DECLARED)
    assert (done.made, done.kept, done.failed) == (1, 2, ())


def test_a_scan_that_is_gone_is_told_too(again):
    raw, ready = again
    gone = raw / "sub-02/anat/sub-02_T1w.nii.gz"
    gone.unlink()
    gone.symlink_to(gone)
    done = prepare(raw, ready, declared=DECLARED)
    [(scan, why)] = done.failed
    assert scan == "sub-02"
    assert "no such image" in why


@pytest.mark.slow
def test_a_failure_of_ours_is_told_and_stops_nothing(heads, tmp_path, monkeypatch):
    from neurotransfer.prepare import one

    def fails(*_):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(one, "picture", fails)
    done = prepare(heads, tmp_path / "out", declared=DECLARED)
    assert len(done.failed) == 3
    assert all("please report it: ZeroDivisionError: of all things" in why for _, why in done.failed)
    # nothing that looks finished is left
    assert sidecars(tmp_path / "out") == []


def test_a_full_disk_is_no_fault_of_a_scan(heads, tmp_path, monkeypatch):
    from neurotransfer.prepare import one

    def full(*_, **__):
        raise StorageError("no space left")

    monkeypatch.setattr(one, "write_image", full)
    with pytest.raises(StorageError, match="no space"):
        prepare(heads, tmp_path / "out", declared=DECLARED)


@pytest.mark.slow
def test_several_processes_make_the_same_bytes(heads, prepared, tmp_path):
    done = prepare(heads, tmp_path / "two", declared=DECLARED, columns=["age"], workers=2)
    assert done.made == 3
    one = {path.relative_to(prepared.folder): path.read_bytes() for path in state(prepared.folder)}
    two = {path.relative_to(done.folder): path.read_bytes() for path in state(done.folder)}
    assert one == two


def test_nothing_personal_leaves_the_input(prepared):
    for path in state(prepared.folder):
        content = path.read_bytes()
        content = gzip.decompress(content) if path.name.endswith(".gz") else content
        for secret in (SECRET, "Jane D", "-01-01", str(prepared.folder.parent)):
            assert secret.encode() not in content, (path, secret)


def test_a_column_that_is_not_there_is_refused(heads, tmp_path):
    with pytest.raises(InputError, match="unknown column 'agee'; allowed: age, name; did you mean 'age'"):
        prepare(heads, tmp_path / "out", columns=["agee"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "templat"}, "did you mean 'template'"),
        ({"voxel_size_mm": 3}, "1 or 2 mm, got 3"),
        ({"recipe": "sfcn-ukb", "voxel_size_mm": 2}, "has its own voxel size"),
        ({"declared": ["striped"]}, "did you mean 'stripped'"),
        ({"workers": 0}, "1 or more"),
        ({"atlas": Path("nowhere.nii.gz")}, "no atlas"),
        ({"choice": Choice(space="MNI")}, "found: no space"),
        ({"choice": Choice(run="7")}, "has run '7'"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_written(heads, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        prepare(heads, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_output_is_of_one_recipe(again):
    raw, ready = again
    with pytest.raises(InputError, match=r"recipe template-1 at 2 mm \(other parameters than sfcn-ukb-1\)"):
        prepare(raw, ready, recipe="sfcn-ukb")
    with pytest.raises(InputError, match="one for each recipe and voxel size"):
        prepare(raw, ready, voxel_size_mm=1)


def test_the_scans_of_another_input_are_not_written_over(again, heads, tmp_path):
    raw, ready = again
    other = tmp_path / "other"
    shutil.copytree(heads, other)
    os.utime(other / "sub-02/anat/sub-02_T1w.nii.gz")
    before = state(ready)
    with pytest.raises(InputError, match="scans of another input"):
        prepare(other, ready, declared=DECLARED)
    with pytest.raises(InputError, match="scans of another input"):
        prepare(raw / "sub-01/anat/sub-01_T1w.nii.gz", ready, declared=("stripped", "registered"))
    assert state(ready) == before


def test_an_interrupted_rerun_is_no_finished_cohort(again, monkeypatch):
    from neurotransfer.prepare import one

    def interrupted(*_):
        raise KeyboardInterrupt

    raw, ready = again
    os.utime(raw / "sub-02/anat/sub-02_T1w.nii.gz")
    monkeypatch.setattr(one, "picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, ready, declared=DECLARED, columns=["age"])
    with pytest.raises(InputError, match="not come to its end"):
        read_cohort(ready)


def test_images_know_their_recipe_wherever_they_are_listed(prepared, heads, tmp_path):
    images = [str(image) for image, _ in read_cohort(prepared.folder).images]
    table = tmp_path / "mine.tsv"
    pd.DataFrame({"participant_id": ["a", "b", "c"], "image": images}).to_csv(table, sep="\t", index=False)
    assert read_cohort(table).preparation["Recipe"] == "template"
    mixed = [*images[:2], str(heads / "sub-01/anat/sub-01_T1w.nii.gz")]
    pd.DataFrame({"participant_id": ["a", "b", "c"], "image": mixed}).to_csv(table, sep="\t", index=False)
    with pytest.raises(InputError, match=r"different recipes \(none, template-1 at 2 mm\)"):
        read_cohort(table)


def test_reasons_say_nothing_of_where_the_input_lies(again):
    raw, ready = again
    (raw / "sub-03/anat/sub-03_T1w.nii.gz").write_bytes(b"no image")
    done = prepare(raw, ready, declared=DECLARED)
    assert str(raw) in done.failed[0][1]
    for name in ("failed.tsv", "quality.html", "prepared.json"):
        assert str(raw.parent) not in (ready / name).read_text()
    assert "cannot read 'sub-03_T1w.nii.gz'" in (ready / "failed.tsv").read_text()


def test_bytes_that_are_none_are_not_believed(heads, tmp_path):
    image = nibabel.load(heads / "sub-01/anat/sub-01_T1w.nii.gz")
    voxels = image.get_fdata(dtype=np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels / voxels.max(), image.affine), tmp_path / "a.nii.gz")
    declared = ("stripped", "conformed", "normalised")
    done = prepare(tmp_path / "a.nii.gz", tmp_path / "out", recipe="fastsurfer", declared=declared)
    assert "do not declare it normalised" in done.failed[0][1]


def test_an_output_that_is_somebody_elses_is_refused(heads, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not prepared here"):
        prepare(heads, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "dataset_description.json").write_text('{"Name": "mine"}')
    with pytest.raises(InputError, match="another dataset"):
        prepare(heads, other)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="not prepared here"):
        prepare(heads, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_input_is_no_output(heads):
    for out in (heads, heads.parent, heads / "sub-01" / ".."):
        with pytest.raises(InputError, match="holds the input itself"):
            prepare(heads, out)


@pytest.mark.slow
def test_an_output_below_the_input_is_no_input_the_next_time(again):
    raw, _ = again
    out = raw / "derivatives" / "ready"
    assert prepare(raw, out, declared=DECLARED).made == 3
    assert prepare(raw, out, declared=DECLARED).kept == 3


def test_a_place_that_cannot_be_written_is_told_at_once(heads, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="cannot write"):
        prepare(heads, tmp_path / "file" / "out")


def test_two_at_once_are_refused(again):
    from filelock import FileLock

    raw, ready = again
    with FileLock(ready / ".prepare.lock"), pytest.raises(InputError, match="another process"):
        prepare(raw, ready, declared=DECLARED)


def test_a_preparation_that_has_not_ended_is_no_cohort(again):
    _, ready = again
    (ready / "prepared.json").unlink()
    with pytest.raises(InputError, match="not come to its end; run the same"):
        preparation_of(ready)
    with pytest.raises(InputError, match="not come to its end"):
        read_cohort(ready)


@pytest.mark.slow
def test_native_space_is_not_taken_for_mni(heads, tmp_path):
    done = prepare(heads, tmp_path / "out", recipe="fastsurfer", declared=("stripped", "conformed", "normalised"))
    assert ["said to be normalised (0 to 255" in why for _, why in done.failed] == [True] * 3
    done = prepare(heads, tmp_path / "said", recipe="fastsurfer", declared=("stripped", "conformed"))
    # heads of 5 mm are not what FastSurfer's models know: the contract says so
    assert ["voxels of [5.053, 5.053, 5.053] mm" in why for _, why in done.failed] == [True] * 3
    done = prepare(heads, tmp_path / "two", recipe="fastsurfer", declared=("stripped",))
    assert done.made == 3
    sidecar = read_json(sidecars(done.folder)[0])
    assert sidecar["Approximation"].startswith("made without FastSurfer: conform, to_bytes")
    assert sidecar["SpatialReference"] == "native"
    with pytest.raises(InputError, match='say so with alignment = "centre"'):
        read_cohort(done.folder)
    cohort = read_cohort(done.folder, alignment="centre")
    image = nibabel.load(cohort.images[0][0])
    assert image.get_data_dtype() == np.uint8
    assert get_recipe("fastsurfer").contract.problems(image.get_fdata(dtype=np.float32), image.affine) == []


@pytest.mark.slow
def test_prepared_volumes_can_be_prepared_again_and_stay(prepared, tmp_path):
    """By their names they are registered."""
    done = prepare(prepared.folder / "cohort.tsv", tmp_path / "out", declared=("stripped", "unbiased"))
    first = nibabel.load(read_cohort(prepared.folder).images[0][0]).get_fdata()
    second = nibabel.load(read_cohort(done.folder).images[0][0]).get_fdata()
    assert np.abs(first - second).max() < 1e-3


def die_once(source, job):
    """What a worker does to the first scan that is asked of it, the first time."""
    mark = job.out / "killed"
    if source.stem == "sub-01" and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return pool_prepared(source, job)


pool_prepared = pool._prepared


def die_always(source, job):
    if source.stem == "sub-01":
        os.kill(os.getpid(), signal.SIGKILL)
    return pool_prepared(source, job)


@pytest.mark.slow
@pytest.mark.parametrize(("dies", "lost"), [(die_once, 0), (die_always, 1)])
def test_a_worker_that_is_killed_costs_no_other_scan(heads, tmp_path, monkeypatch, dies, lost):
    monkeypatch.setattr(pool, "_prepared", dies)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    done = prepare(heads, tmp_path / "out", declared=DECLARED, workers=2)
    assert done.made == 3 - lost
    assert [scan for scan, _ in done.failed] == ["sub-01"] * lost
    assert all("died twice" in why for _, why in done.failed)


@pytest.mark.slow
def test_kill_9_loses_at_most_the_scans_in_flight(heads, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    for number in range(12):
        shutil.copy(heads / "sub-01/anat/sub-01_T1w.nii.gz", raw / f"sub-{number:02d}_T1w.nii.gz")
    command = [
        sys.executable,
        "-m",
        "neurotransfer",
        "prepare",
        raw,
        out,
        "--workers",
        "2",
        "--declare",
        ",".join(DECLARED),
    ]
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    ended = time.monotonic() + 120
    while len(sidecars(out)) < 3 and time.monotonic() < ended:
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(1)
    finished = len(sidecars(out))
    assert 3 <= finished < 12
    assert not (out / "prepared.json").exists()
    # the workers ended with their parent and hold no lock
    done = prepare(raw, out, declared=DECLARED)
    assert done.kept == finished
    assert done.made == 12 - finished
    assert not [path for path in out.rglob(".*") if path.name.startswith(".sub-")]


def test_the_command_says_what_was_done_and_what_failed(again):
    raw, ready = again
    (raw / "sub-03/anat/sub-03_T1w.nii.gz").write_bytes(b"no image")
    done = run(raw, ready, "--declare", ",".join(DECLARED), "--columns", "age", "--workers", 1)
    assert done.returncode == 2
    assert "0 scans prepared, 2 kept from before, 1 failed" in done.stdout
    assert "sub-03: cannot read" in done.stderr
    assert "Traceback" not in done.stderr
    assert "what was prepared is kept" in done.stderr


@pytest.mark.slow
def test_the_command_ends_with_0_when_all_is_well(again):
    raw, ready = again
    began = time.monotonic()
    done = run(raw, ready, "--declare", ",".join(DECLARED), "--columns", "age")
    assert (done.returncode, done.stderr) == (0, "prepare: 0 done\n")
    assert "0 scans prepared, 3 kept from before, 0 failed" in done.stdout
    assert time.monotonic() - began < 60


def test_two_scans_of_one_name_are_refused_together(tmp_path, heads):
    for name in ("a b.nii.gz", "ab.nii.gz", "a-b.nii", "c.nii.gz"):
        image = nibabel.load(heads / "sub-01/anat/sub-01_T1w.nii.gz")
        nibabel.save(image, tmp_path / name)
    with pytest.raises(CohortError, match="would all be written as 'sub-ab'"):
        prepare(tmp_path, tmp_path.parent / f"{tmp_path.name}-out")
