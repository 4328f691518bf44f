"""Real heads: found again after known affines, the same whatever they were stored as, and overlapping MNI152.

A few of each, for time; `benchmarks/preparation.py` does all of them and prints the numbers that docs/preparation.md has.
"""

import importlib.util
import itertools
import socket
from pathlib import Path

import nibabel
import nibabel.processing
import numpy as np
import pytest

from neurotransfer.cohort.images import opened
from neurotransfer.prepare.registration import displacement_mm

pytestmark = pytest.mark.shared
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "preparation.py"
BAR_MM = 1.5


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("benchmark_of_preparation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refused)


def heads_of(shared_data, cohort):
    return sorted((shared_data / cohort).glob("sub-*/anat/*_T1w.nii.gz"))


@pytest.fixture(scope="module")
def low(shared_data):
    """A head with its skull at 3 mm."""
    image = nibabel.load(heads_of(shared_data, "ds000011")[0])
    found = nibabel.processing.resample_to_output(image, (3, 3, 3), order=1)
    return nibabel.Nifti1Image(found.get_fdata(dtype=np.float32), found.affine)


@pytest.fixture(scope="module")
def first(low, script, tmp_path_factory):
    path = tmp_path_factory.mktemp("low") / "low.nii.gz"
    nibabel.save(low, path)
    return script.prepared(path)[0]


def difference(script, path, first):
    other, sidecar = script.prepared(path)
    return float(np.abs(other - first)[first > 0].mean()), sidecar


@pytest.mark.parametrize(("cohort", "number"), [("ds000011", 0), ("ds000011", 2), ("ds002748", 7)])
def test_a_known_affine_is_found_again(shared_data, script, cohort, number):
    image, voxels = opened(heads_of(shared_data, cohort)[number])
    voxels, affine = voxels.astype(np.float32), np.asarray(image.affine, float)
    known = script.known_affine(
        np.random.default_rng([1, number]), affine[:3, :3] @ np.array(voxels.shape) / 2 + affine[:3, 3]
    )
    again = script.found_again(*script.moved(voxels, affine, known))
    assert displacement_mm(again @ known, script.found_again(voxels, affine)) < BAR_MM


@pytest.mark.parametrize("cohort", ["ds000011", "ds002748"])
def test_a_prepared_head_overlaps_mni152(shared_data, script, cohort):
    _, sidecar = script.prepared(heads_of(shared_data, cohort)[-1])
    assert sidecar["Quality"]["overlap"] >= 0.93
    assert 1.0 < sidecar["Quality"]["brain_litres"] < 1.8
    assert sidecar["Quality"]["contrast"] > 0.1
    skipped = [line["Step"] for line in sidecar["Log"] if not line["Done"]]
    assert skipped == (["brain"] if cohort == "ds002748" else [])


ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


@pytest.mark.parametrize("number", [5, 18, 30, 47])
def test_orientation_is_no_matter(low, first, script, tmp_path, number):
    order, flips = ORIENTATIONS[number]
    turned = low.as_reoriented(np.column_stack([order, flips]))
    nibabel.save(nibabel.Nifti1Image(turned.get_fdata(dtype=np.float32), turned.affine), tmp_path / "turned.nii.gz")
    apart, _ = difference(script, tmp_path / "turned.nii.gz", first)
    assert apart < 0.001


@pytest.mark.parametrize("file", ["uint8.nii.gz", "int16_with_slope.nii.gz", "float64.nii", "mgz.mgz"])
def test_the_type_of_file_is_no_matter(low, first, script, tmp_path, file):
    nibabel.save(script.typed(low)[file], tmp_path / file)
    apart, _ = difference(script, tmp_path / file, first)
    assert apart < 0.01


def test_a_t2_is_told_by_its_contrast(low, script, tmp_path):
    """Brightness turned round inside the head, as T2 has it: it is prepared, and flagged."""
    from neurotransfer.prepare.run import prepare

    voxels = low.get_fdata(dtype=np.float32)
    top = np.percentile(voxels, 99.5)
    inverted = np.where(voxels > 0.15 * top, np.clip(1.2 * top - voxels, 0, None), voxels).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(inverted, low.affine), tmp_path / "t2.nii.gz")
    done = prepare(tmp_path / "t2.nii.gz", tmp_path / "out")
    if done.failed:
        [(_, why)] = done.failed
        assert "brain" in why or "like a head" in why
    else:
        assert "is it T1-weighted" in (done.folder / "quality.tsv").read_text()
        assert done.n_flagged == 1


def test_a_head_that_is_cut_off_is_told(low, script, tmp_path):
    from neurotransfer.prepare.run import prepare

    cut = low.slicer[:, :, low.shape[2] // 2 - 4 :]
    nibabel.save(nibabel.Nifti1Image(cut.get_fdata(dtype=np.float32), cut.affine), tmp_path / "cut.nii.gz")
    done = prepare(tmp_path / "cut.nii.gz", tmp_path / "out")
    assert done.failed or done.n_flagged == 1
    said = done.failed[0][1] if done.failed else (done.folder / "quality.tsv").read_text()
    assert any(word in said for word in ("cuts the brain off", "litres", "overlap little"))
