"""What the cells of a run share: volumes that are those of the cohort and whole, or nothing is begun."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.run import require_same_kind
from neurotransfer.benchmark.study import parse_study
from neurotransfer.benchmark.workspace import engine_of, open_workspace
from neurotransfer.cohort import VolumeStore, storing
from neurotransfer.cohort.store import DamagedStoreError
from neurotransfer.errors import CohortError, InputError


@pytest.fixture
def run(tiny_study, tmp_path):
    """A small run on images: the study, its folder, and the file of its volumes."""
    tiny_study["strategies"] = [{"strategy": "voxels", "grid": {"penalty": [1.0]}}]
    study = parse_study(tiny_study)
    benchmark(study, tmp_path / "run")
    return study, tmp_path / "run", tmp_path / "run" / "cache" / "volumes.npy"


def test_the_volumes_of_a_run_are_a_store_of_its_cohort(run):
    workspace = open_workspace(run[1])
    assert isinstance(workspace.volumes, VolumeStore)
    assert workspace.volumes.shape == (len(workspace.cohort), *workspace.grid.shape)
    workspace.volumes.verify()


def test_volumes_of_other_people_are_refused(run):
    table = pd.read_parquet(run[1] / "cohort.parquet")
    table.iloc[::-1].to_parquet(run[1] / "cohort.parquet", index=False)
    with pytest.raises(CohortError, match="in another order"):
        open_workspace(run[1])


def test_images_that_are_gone_do_not_matter_once_volumes_are_made(run):
    table = pd.read_parquet(run[1] / "cohort.parquet")
    table.assign(image="/elsewhere/a.nii").to_parquet(run[1] / "cohort.parquet", index=False)
    assert open_workspace(run[1]).volumes is not None


def test_a_damaged_volume_stops_the_run_and_is_not_the_fault_of_a_fit(run):
    study, folder, volumes = run
    for file in [*folder.rglob("*.json"), *(folder / "cache").glob("features*")]:
        if "cells" in file.parts or file.name.startswith("features"):
            file.unlink()
    content = bytearray(volumes.read_bytes())
    content[-1] ^= 1
    volumes.write_bytes(content)
    with pytest.raises(DamagedStoreError, match="has a damaged volume, tiny-"):
        benchmark(study, folder)


@pytest.fixture
def old(run):
    """The run as the version before left it: volumes in float16, hashed as such."""
    study, folder, volumes = run
    facts = json.loads((folder / "cohort.json").read_text())
    facts["depends_on"]["volumes"] = 64 * "a"
    (folder / "cohort.json").write_text(json.dumps(facts))
    np.save(volumes, (np.load(volumes) / 65535).astype(np.float16))
    (volumes.parent / "volumes.json").write_text('{"fingerprint": "a", "n": 3, "recipe": "grid-1"}')
    return study, folder, volumes


def test_a_run_of_the_version_before_is_refused_before_anything_is_made_or_written(old, monkeypatch):
    study, folder, _ = old
    monkeypatch.setattr(storing, "load_volume", lambda *_: pytest.fail("a volume was made"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(
        InputError, match=r"begun by an earlier version .*; finish it with that version, or give another"
    ):
        benchmark(study, folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_run_that_has_not_begun_or_has_no_images_is_of_no_other_kind(tmp_path):
    require_same_kind(tmp_path)
    (tmp_path / "cohort.json").write_text('{"depends_on": {"volumes": ""}}')
    require_same_kind(tmp_path)
    (tmp_path / "cohort.json").write_text("{}")
    require_same_kind(tmp_path)


def test_a_run_keeps_the_precision_that_it_began_with(run, monkeypatch):
    study, folder, _ = run
    assert json.loads((folder / "study.json").read_text())["precision"] == "float32"
    monkeypatch.setenv("NEUROTRANSFER_PRECISION", "bfloat16")
    assert engine_of(folder, study).chosen().kind == torch.float32
    assert engine_of(folder / "elsewhere", study).chosen().kind == torch.bfloat16
