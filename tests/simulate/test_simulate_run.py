import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import neurotransfer.simulate as stage
from neurotransfer.artifacts import read_json
from neurotransfer.cohort import read_cohort
from neurotransfer.errors import InputError, StorageError
from neurotransfer.simulate import run, simulate
from neurotransfer.simulate.arguments import Arguments
from neurotransfer.simulate.people import LATENTS, TARGETS, draw_people
from neurotransfer.simulate.run import image_of, plan_scans

SMALL = (32, 40, 32)
MANY = Arguments(400, SMALL, 0, 1.0, 3, 0.1, 0.25, "sim")


@pytest.fixture(autouse=True)
def quick_oracle(monkeypatch):
    def few(seed, effect):
        return run_best(seed, effect, 400)

    run_best = run.best_attainable
    monkeypatch.setattr(run, "best_attainable", few)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("cohort") / "new", 12, shape=SMALL, seed=4, second_sessions=0.4)


def read(path):
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_public_face():
    assert stage.__all__ == ["simulate"]


def test_it_returns_the_table_and_writes_everything(cohort):
    assert cohort.name == "cohort.tsv"
    names = {path.name for path in cohort.parent.iterdir()}
    assert names == {"cohort.tsv", "heads", "simulated.json", "truth.json", "truth.tsv"}
    table = read(cohort)
    assert list(table) == ["participant_id", "session_id", "image", "site", *TARGETS]
    assert {path.name for path in (cohort.parent / "heads").iterdir()} == {Path(image).name for image in table["image"]}


def test_rows_are_named_as_in_bids(cohort):
    table = read(cohort)
    assert table["participant_id"].iloc[0] == "sim-0001"
    assert set(table["session_id"]) == {"ses-1", "ses-2"}
    assert table["image"].iloc[0] == "heads/sim-0001_ses-1_T1w.nii.gz"
    assert set(table["site"]) <= {"site-1", "site-2", "site-3"}


def test_the_cohort_can_be_read_by_the_other_stages(cohort):
    assert len(read_cohort(cohort).table) == len(read(cohort))


def test_heads_are_brains_in_mni_space(cohort):
    for name in read(cohort)["image"]:
        head = nib.load(cohort.parent / name)
        voxels = np.asarray(head.dataobj)
        assert head.shape == SMALL
        assert voxels.dtype == np.int16
        assert nib.aff2axcodes(head.affine) == ("R", "A", "S")
        assert head.header.get_zooms() == (5, 5, 5)
        np.testing.assert_allclose(head.affine @ [*(np.array(SMALL) - 1) / 2, 1], [0, -18, 10, 1])
        assert 1.4e6 < (voxels > 0).sum() * 125 < 2.6e6
        assert (voxels[[0, -1]] > 0).mean() < 0.01
        assert voxels.min() == 0


def test_the_truth_of_each_scan(cohort):
    table, truth = read(cohort), read(cohort.parent / "truth.tsv")
    scanner = ["fluid", "grey", "white", "blur_mm", "unevenness", "noise", "gain"]
    assert list(truth) == ["participant_id", "session_id", "site", *LATENTS, *scanner]
    for column in ("participant_id", "session_id", "site"):
        assert (truth[column] == table[column]).all()
    assert (truth.groupby("site")[scanner].nunique() == 1).all().all()
    assert truth.notna().all().all()


def test_truth_json_says_what_was_asked_and_what_can_be_attained(cohort):
    truth = read_json(cohort.parent / "truth.json")
    assert truth["seed"] == 4
    assert truth["arguments"]["shape"] == list(SMALL)
    assert truth["arguments"]["participants"] == 12
    assert truth["scans"] == len(read(cohort))
    assert set(truth["targets"]) == set(TARGETS)
    assert {effect["latent"] for effect in truth["effects"]} == set(LATENTS)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    first, again, other = (
        simulate(tmp_path / name, 3, shape=SMALL, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert files(first.parent) == files(again.parent)
    assert first.read_bytes() != other.read_bytes()


def test_the_first_people_of_a_larger_cohort_are_those_of_a_smaller_one(tmp_path):
    small, large = (simulate(tmp_path / str(n), n, shape=SMALL, seed=1).parent for n in (3, 6))
    smaller, larger = files(small), files(large)
    assert larger["cohort.tsv"].startswith(smaller["cohort.tsv"])
    assert larger["truth.tsv"].startswith(smaller["truth.tsv"])
    heads = [name for name in smaller if name.startswith("heads/")]
    assert len(heads) >= 3
    assert all(smaller[name] == larger[name] for name in heads)


def test_a_finished_cohort_is_kept_and_an_unfinished_one_replaced(tmp_path):
    simulate(tmp_path, 3, shape=SMALL, seed=1)
    before = files(tmp_path)
    with pytest.raises(InputError, match="holds a finished simulated cohort"):
        simulate(tmp_path, 1, shape=SMALL, seed=2)
    assert files(tmp_path) == before
    (tmp_path / "truth.json").unlink()
    table = read(simulate(tmp_path, 1, shape=SMALL, seed=2, prefix="new", second_sessions=0))
    assert [path.name for path in (tmp_path / "heads").iterdir()] == ["new-0001_ses-1_T1w.nii.gz"]
    assert len(table) == 1


def test_arguments_are_checked_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="2 problems"):
        simulate(tmp_path / "out", 0, missing=3)
    assert not (tmp_path / "out").exists()


def test_a_shape_may_be_a_list(tmp_path):
    assert simulate(tmp_path, 1, shape=list(SMALL), second_sessions=0).is_file()


def test_progress_is_told_of_every_scan(tmp_path):
    told = []
    simulate(tmp_path, 2, shape=SMALL, second_sessions=1, on_scan=lambda: told.append(1))
    assert len(told) == 4


def test_second_sessions_are_the_same_person_a_year_or_two_later():
    scans = {(planned.participant_id, planned.session): planned for planned in plan_scans(MANY)}
    seconds = [planned for planned in scans.values() if planned.session == 2]
    assert len(seconds) / 400 == pytest.approx(0.25, abs=0.07)
    for second in seconds:
        first = scans[second.participant_id, 1]
        assert 0.9 <= second.labels["age"] - first.labels["age"] <= 2.1
        assert second.scanner == first.scanner
        assert all(second.labels[name] == first.labels[name] for name in ("sex", "handedness", "diagnosis"))
        assert second.latents["ventricles"] > first.latents["ventricles"]
        assert second.latents["head_size"] == first.latents["head_size"]


def test_second_sessions_share_the_anatomy_and_not_the_noise():
    second = next(planned for planned in plan_scans(MANY) if planned.session == 2)
    images = [image_of(replace(second, session=n), MANY.grid, 0).astype(float) for n in (1, 2)]
    assert ((images[0] > 0) == (images[1] > 0)).all()
    assert (images[0] != images[1]).any()
    assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] > 0.98


@pytest.mark.parametrize(("share", "sessions"), [(0.0, 1), (1.0, 2)])
def test_nobody_or_everybody_comes_again(share, sessions):
    scans = list(plan_scans(replace(MANY, participants=20, second_sessions=share)))
    assert len(scans) == 20 * sessions


def test_targets_are_missing_as_often_as_asked():
    arguments = replace(MANY, missing=0.5, second_sessions=0.0)
    table = pd.DataFrame([run._cohort_row(planned, arguments) for planned in plan_scans(arguments)])
    for name in TARGETS:
        expected = 0.1 if name in ("age", "sex") else 0.5
        assert table[name].isna().mean() == pytest.approx(expected, abs=0.08), name
    assert table["site"].notna().all()


def test_nothing_is_missing_when_so_asked(tmp_path):
    assert read(simulate(tmp_path, 5, shape=SMALL, missing=0.0)).notna().all().all()


def test_missing_values_are_written_as_na(tmp_path):
    text = simulate(tmp_path, 2, shape=SMALL, missing=1.0).read_text()
    assert "\tn/a" in text
    assert "nan" not in text


def test_there_are_as_many_sites_as_asked():
    sites = {planned.scanner.site for planned in plan_scans(replace(MANY, sites=5))}
    assert sites == {f"site-{n}" for n in range(1, 6)}


def test_without_effect_images_do_not_depend_on_the_targets(monkeypatch):
    arguments = replace(MANY, participants=3, effect=0.0, second_sessions=0.0)
    before = list(plan_scans(arguments))

    def somebody_else(generator, n):
        return {name: -values for name, values in draw_people(generator, n).items()}

    monkeypatch.setattr(run, "draw_people", somebody_else)
    after = list(plan_scans(arguments))
    for first, second in zip(before, after, strict=True):
        assert first.labels != second.labels
        np.testing.assert_array_equal(image_of(first, arguments.grid, 0), image_of(second, arguments.grid, 0))


def test_with_effect_images_depend_on_the_targets(monkeypatch):
    arguments = replace(MANY, participants=1, second_sessions=0.0)
    before = next(plan_scans(arguments))
    monkeypatch.setattr(run, "draw_people", lambda *a: {name: -values for name, values in draw_people(*a).items()})
    after = next(plan_scans(arguments))
    assert (image_of(before, arguments.grid, 0) != image_of(after, arguments.grid, 0)).any()


def test_age_and_sex_can_be_read_from_the_images():
    arguments = replace(MANY, participants=60, second_sessions=0.0)
    scans = list(plan_scans(arguments))
    heads = [image_of(planned, arguments.grid, 0).astype(float) for planned in scans]
    sizes = np.array([(head > 0).sum() for head in heads])
    dark = np.array([(head[head > 0] < 0.55 * np.median(head[head > 0])).mean() for head in heads])
    ages = np.array([planned.labels["age"] for planned in scans])
    is_male = np.array([planned.labels["sex"] == "M" for planned in scans])
    assert np.corrcoef(ages, dark)[0, 1] > 0.5
    assert sizes[is_male].mean() > 1.05 * sizes[~is_male].mean()


@pytest.mark.parametrize("after", [1, 3])
def test_a_full_disk_is_said_and_the_cohort_is_not_complete(tmp_path, monkeypatch, after):
    written = []
    write = Path.write_bytes

    def fill(path, content):
        written.append(path)
        if len(written) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(StorageError, match=r"no space left while writing .*heads.*run the same command again"):
        simulate(tmp_path, 6, shape=SMALL)
    assert len(list((tmp_path / "heads").iterdir())) == after
    assert not (tmp_path / "cohort.tsv").exists()
    assert not (tmp_path / "truth.json").exists()
    monkeypatch.undo()
    assert simulate(tmp_path, 1, shape=SMALL).is_file()


def test_it_never_imports_torch_and_nilearn_only_when_needed():
    code = "import sys, neurotransfer.simulate; print('torch' in sys.modules, 'nilearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_another_prefix_means_other_people(tmp_path):
    tables = [
        simulate(tmp_path / prefix, 3, shape=SMALL, seed=4, prefix=prefix, missing=0.0, second_sessions=0.0)
        for prefix in ("pretraining", "study")
    ]
    heads = [{image.read_bytes() for image in (table.parent / "heads").iterdir()} for table in tables]
    assert len(heads[0]) == len(heads[1]) == 3
    assert not heads[0] & heads[1]
    ages = [set(read(table)["age"]) for table in tables]
    assert not ages[0] & ages[1]
