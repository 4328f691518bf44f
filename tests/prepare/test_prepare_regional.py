"""Parcels share out all of the tissue, both sides alike; an atlas of the user's own, and what is none."""

import nibabel
import numpy as np
import pytest
from prepare_phantoms import head, known_affine

from neurotransfer.cohort.mni import average_brain
from neurotransfer.cohort.regions import REGIONS
from neurotransfer.errors import ImageError
from neurotransfer.prepare.regional import MOST_PARCELS, measured_volumes
from neurotransfer.prepare.tissue import TISSUES, Tissues, find_tissues


def planted(scale=1.0):
    """The tissues of the average brain itself, of a head that is `scale` times as long."""
    average = average_brain(2)
    shares = np.stack([average.fluid, average.grey, average.white])
    return Tissues(shares, np.arange(3.0), np.ones(3), float(scale) ** 3)


@pytest.fixture(scope="module")
def volumes():
    return measured_volumes(planted())


def near(volumes, tissue):
    return {
        name: value for name, value in volumes.items() if name.startswith("near_") and name.endswith(f"_{tissue}_mm3")
    }


@pytest.mark.parametrize("tissue", ["grey", "white"])
def test_parcels_cover_the_tissue(volumes, tissue):
    assert sum(near(volumes, tissue).values()) == pytest.approx(volumes[f"total_{tissue}_mm3"], rel=1e-5)
    assert len(near(volumes, tissue)) == len([name for name in REGIONS if "ventricle" not in name])


def test_fluid_is_told_of_ventricles_only(volumes):
    assert set(near(volumes, "fluid")) == {f"near_{side}_ventricle_fluid_mm3" for side in ("left", "right")}
    assert 0 < sum(near(volumes, "fluid").values()) < volumes["total_fluid_mm3"]


def test_totals_are_those_of_the_maps(volumes):
    average = average_brain(2)
    for name, share in zip(TISSUES, (average.fluid, average.grey, average.white), strict=True):
        assert volumes[f"total_{name}_mm3"] == pytest.approx(share.sum(dtype=float) * 8, rel=1e-6)


@pytest.mark.parametrize("name", [name for name in REGIONS if name.startswith("left_")])
def test_left_and_right_of_a_symmetric_brain_are_equal(volumes, name):
    other = name.replace("left_", "right_")
    for tissue in TISSUES:
        if f"near_{name}_{tissue}_mm3" in volumes:
            left, right = volumes[f"near_{name}_{tissue}_mm3"], volumes[f"near_{other}_{tissue}_mm3"]
            assert left == pytest.approx(right, rel=0.01, abs=30)


def test_a_side_that_lost_tissue_is_the_side_that_is_told():
    tissues = planted()
    shares = tissues.shares.copy()
    middle = -average_brain(2).affine[:3, 3] / 2
    # a hole at the left hippocampus
    x, y, z = np.rint(middle + np.array(REGIONS["left_hippocampus"]) / 2).astype(int)
    shares[:, x - 4 : x + 5, y - 4 : y + 5, z - 4 : z + 5] = 0
    values = measured_volumes(Tissues(shares, tissues.means, tissues.deviations, 1.0))
    left, right = (values[f"near_{side}_hippocampus_grey_mm3"] for side in ("left", "right"))
    assert left < 0.7 * right


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.15])
def test_every_volume_scales_with_the_head(volumes, scale):
    values = measured_volumes(planted(scale))
    assert values["etiv_mm3"] == pytest.approx(average_brain(1).litres * 1e6 * scale**3)
    assert set(values) == set(volumes)
    for name, value in values.items():
        assert value == pytest.approx(volumes[name] * scale**3, rel=1e-9)


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_the_size_of_a_phantom_is_found(scale):
    phantom = head(known_affine((5, 0, 0), scale), 2.5)
    values = measured_volumes(find_tissues(phantom.voxels, phantom.affine, phantom.brain, phantom.to_template))
    assert values["etiv_mm3"] == pytest.approx(phantom.brain.sum() * phantom.voxel_mm3, rel=0.02)
    assert sum(near(values, "grey").values()) == pytest.approx(values["total_grey_mm3"], rel=1e-5)


def test_names_and_values_are_plain(volumes):
    assert all(name.endswith("_mm3") and name.isidentifier() for name in volumes)
    assert all(type(value) is float and value >= 0 for value in volumes.values())


# --- an atlas of the user's own


def atlas_file(path, labels, affine=None, dtype=np.int16):
    nibabel.save(nibabel.Nifti1Image(labels.astype(dtype), average_brain(2).affine if affine is None else affine), path)
    return path


def halves(size=2):
    """Left of the middle is 3, right of it 70, and nothing outside the brain."""
    average = average_brain(size)
    x = np.arange(average.mask.shape[0]) * size + average.affine[0, 3]
    return np.where(average.mask, np.where(x < 0, 3, np.where(x > 0, 70, 0))[:, None, None], 0), average.affine


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz"])
def test_an_atlas_of_labels_is_used(tmp_path, size, suffix):
    labels, affine = halves(size)
    path = tmp_path / f"atlas{suffix}"
    if suffix == ".mgz":
        nibabel.save(nibabel.MGHImage(labels.astype(np.int32), affine), path)
    else:
        atlas_file(path, labels, affine)
    values = measured_volumes(planted(), path)
    assert not [name for name in values if name.startswith("near_")]
    names = [f"atlas_{label}_{tissue}_mm3" for label in (3, 70) for tissue in TISSUES]
    assert {name for name in values if name.startswith("atlas_")} == set(names)
    share = np.where(np.arange(99) * 2 - 98 < 0, 1, 0)[:, None, None]
    wanted = (average_brain(2).grey * share).sum(dtype=float) * 8
    assert values["atlas_3_grey_mm3"] == pytest.approx(wanted, rel=0.01 if size == 1 else 1e-5)
    assert values["atlas_3_grey_mm3"] == pytest.approx(values["atlas_70_grey_mm3"], rel=0.01)


def test_an_atlas_may_be_stored_in_any_order(tmp_path):
    labels, affine = halves()
    straight = measured_volumes(planted(), atlas_file(tmp_path / "straight.nii", labels, affine))
    image = nibabel.Nifti1Image(labels.astype(np.uint8), affine)
    turned = image.as_reoriented(np.array([[1, -1], [2, 1], [0, -1]]))
    nibabel.save(turned, tmp_path / "turned.nii")
    assert measured_volumes(planted(), tmp_path / "turned.nii") == pytest.approx(straight)


def test_whole_numbers_stored_as_floats_are_labels(tmp_path):
    labels, affine = halves()
    one = measured_volumes(planted(), atlas_file(tmp_path / "float.nii", labels, affine, np.float32))
    assert "atlas_3_white_mm3" in one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels * 0.5, "its values are not whole numbers of 0 and more"),
        (lambda labels: labels - 1.0, "its values are not whole numbers of 0 and more"),
        (
            lambda labels: np.where(labels > 0, 0, 1) * (np.indices(labels.shape)[0] < 3),
            "no label lies inside the brain",
        ),
    ],
)
def test_what_is_no_atlas_is_refused(tmp_path, change, message):
    labels, affine = halves()
    with pytest.raises(ImageError, match=message):
        measured_volumes(planted(), atlas_file(tmp_path / "no.nii", change(labels), affine, np.float32))


def test_an_atlas_of_another_place_is_refused(tmp_path):
    labels, affine = halves()
    far = affine.copy()
    far[:3, 3] += 900
    with pytest.raises(ImageError, match="no label lies inside the brain of MNI152"):
        measured_volumes(planted(), atlas_file(tmp_path / "far.nii", labels, far))


def test_a_scan_is_no_atlas(tmp_path):
    scan = np.random.default_rng(0).integers(1, 4000, average_brain(2).mask.shape)
    with pytest.raises(ImageError, match=rf"labels in the brain \(allowed: {MOST_PARCELS} or less\); is it a scan"):
        measured_volumes(planted(), atlas_file(tmp_path / "scan.nii", scan))
