"""A map laid back on a scan lies where the model saw it: on grids, centred, turned, and through a preparation."""

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer.artifacts import write_json
from neurotransfer.cohort import Cohort, Grid
from neurotransfer.cohort.contract import Contract
from neurotransfer.cohort.orientation import reoriented
from neurotransfer.cohort.volumes import laid_on, load_volume
from neurotransfer.cohort.writing import write_image
from neurotransfer.errors import ImageError, InputError
from neurotransfer.explain.places import is_in_mni152, place_of

GRID = Grid((32, 40, 32), 5.0)
SIDES = (60, 64, 58)
# axes in another order, one backwards, voxels of 3 mm and turned by ten degrees
TURN = np.radians(10)
OBLIQUE = np.array(
    [
        [0, -3 * np.cos(TURN), 3 * np.sin(TURN), 60],
        [3.0, 0, 0, -105],
        [0, 3 * np.sin(TURN), 3 * np.cos(TURN), -110],
        [0, 0, 0, 1],
    ]
)
BLOB = (38, 30, 40)


def cohort_of(image, alignment="world"):
    table = pd.DataFrame({"participant_id": ["a"], "session_id": "", "image": [str(image)], "mask": "", "site": ""})
    return Cohort("blobs", table, alignment)


def head_with_blob(path, affine=OBLIQUE, blob=BLOB, level=1.0):
    """A head of voxels of 0.3 with a bright blob of 11 x 11 x 11 voxels."""
    places = np.indices(SIDES)
    far = sum(((each - middle) / 24) ** 2 for each, middle in zip(places, (30, 32, 29), strict=True))
    voxels = np.where(far < 1, 0.3, 0.0).astype(np.float32)
    # more than a hundredth of the head, so that it is not cut off with the brightest
    around = tuple(slice(at - 5, at + 6) for at in blob)
    voxels[around] = level
    write_image(path, voxels, affine)
    return path


def centre_of(values):
    size = np.where(values > 0.5 * values.max(), values, 0)
    return np.array([(each * size).sum() / size.sum() for each in np.indices(values.shape)])


def blob_seen(volume):
    """What a model would mark: the blob alone."""
    return np.where(volume > 0.6 * volume.max(), volume, 0).astype(np.float32)


@pytest.mark.parametrize("alignment", ["world", "centre"])
def test_a_blob_on_a_grid_lands_where_it_was_within_a_voxel(tmp_path, alignment):
    affine = OBLIQUE.copy()
    if alignment == "centre":
        affine[:3, 3] += (40, -25, 60)
    cohort = cohort_of(head_with_blob(tmp_path / "a.nii.gz", affine), alignment)
    volume = load_volume(cohort.images[0][0], GRID, None, alignment)
    place = place_of(cohort, 0, GRID)
    own = place.own(blob_seen(volume))
    assert own.shape == SIDES
    assert np.linalg.norm(centre_of(own) - BLOB) * 3 < GRID.voxel_size_mm
    assert np.allclose(place.affine, nibabel.load(tmp_path / "a.nii.gz").affine)
    assert np.allclose(place.to_space, GRID.affine)


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LIA", "PSR"])
def test_a_blob_in_a_volume_that_is_only_turned_lands_on_its_very_voxel(tmp_path, orientation):
    cohort = cohort_of(head_with_blob(tmp_path / "a.nii.gz"), "centre")
    voxels, turned = reoriented(nibabel.load(tmp_path / "a.nii.gz").get_fdata(dtype=np.float32), OBLIQUE, orientation)
    taken = Contract("native", orientation, voxels.shape, (2.9, 3.1), (0, 1), recipe="none")
    volume = load_volume(cohort.images[0][0], taken)
    place = place_of(cohort, 0, taken)
    assert np.allclose(place.to_scan, turned)
    assert np.abs(centre_of(place.own(blob_seen(volume))) - BLOB).max() < 1e-3


def prepared_from(raw, folder, to_template):
    """A volume on the grid as `prepare` writes it: laid by a transform that its sidecar tells."""
    image = nibabel.load(raw)
    voxels = laid_on(image.get_fdata(dtype=np.float32), to_template @ image.affine, GRID.shape, GRID.affine)
    path = folder / "sub-a_space-MNI152NLin2009aSym_res-5_desc-template_T1w.nii.gz"
    write_image(path, np.clip(voxels, 0, 1), GRID.affine, space="MNI152")
    facts = {"SpatialReference": "MNI152NLin2009aSym", "ScanToTemplate": np.round(to_template, 6).tolist()}
    write_json(path.with_name(path.name.replace(".nii.gz", ".json")), facts)
    return path


def to_template():
    matrix = np.diag([1.1, 0.95, 1.05, 1.0])
    matrix[0, 1], matrix[:3, 3] = 0.1, (5, -20, 12)
    return matrix


def test_a_blob_in_a_raw_head_lands_in_the_raw_head_through_the_preparation(tmp_path):
    raw = head_with_blob(tmp_path / "raw.nii.gz")
    image = prepared_from(raw, tmp_path, to_template())
    cohort = cohort_of(image)
    volume = load_volume(image, GRID)
    place = place_of(cohort, 0, GRID, str(raw))
    own = place.own(blob_seen(volume))
    assert place.scan == raw
    assert own.shape == SIDES
    assert np.linalg.norm(centre_of(own) - BLOB) * 3 < GRID.voxel_size_mm


def test_a_preparation_in_native_space_has_moved_nothing(tmp_path):
    raw = head_with_blob(tmp_path / "raw.nii.gz")
    image = prepared_from(raw, tmp_path, np.eye(4))
    sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
    write_json(sidecar, {"SpatialReference": "native", "ScanToTemplate": to_template().tolist()})
    place = place_of(cohort_of(image), 0, GRID, str(raw))
    assert np.allclose(place.to_scan, GRID.affine)


def test_a_subject_is_its_conformed_head_and_dicom_its_prepared_volume(tmp_path):
    (tmp_path / "subject" / "mri").mkdir(parents=True)
    raw = head_with_blob(tmp_path / "raw.nii.gz")
    image = prepared_from(raw, tmp_path, to_template())
    (tmp_path / "dicom").mkdir()
    place = place_of(cohort_of(image), 0, GRID, str(tmp_path / "dicom"))
    assert place.scan == image
    assert place.shape == GRID.shape
    nibabel.save(
        nibabel.MGHImage(nibabel.load(raw).get_fdata(dtype=np.float32), OBLIQUE), tmp_path / "subject/mri/orig.mgz"
    )
    place = place_of(cohort_of(image), 0, GRID, str(tmp_path / "subject"))
    assert place.scan.name == "orig.mgz"
    assert place.shape == SIDES


def test_a_sidecar_that_does_not_say_how_is_refused(tmp_path):
    raw = head_with_blob(tmp_path / "raw.nii.gz")
    image = prepared_from(raw, tmp_path, to_template())
    sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
    write_json(sidecar, {"SpatialReference": "MNI152"})
    with pytest.raises(ImageError, match="prepare it again"):
        place_of(cohort_of(image), 0, GRID, str(raw))
    sidecar.unlink()
    with pytest.raises(InputError, match="there is no file"):
        place_of(cohort_of(image), 0, GRID, str(raw))


def test_only_what_lies_in_mni152_has_regions():
    native = Contract("native", "LIA", (32, 32, 32), (1, 1), (0, 255), recipe="fastsurfer")
    there = Contract("MNI152NLin2009aSym", "LAS", (32, 32, 32), (1, 1), (0, 1), recipe="sfcn-ukb")
    assert not is_in_mni152(native, "centre")
    assert is_in_mni152(there, "world")
    assert is_in_mni152(GRID, "world")
    assert not is_in_mni152(GRID, "centre")
