"""Model-ready volumes against analytic phantoms and independent resampling."""

import nibabel
import numpy as np
import pytest
from cohort_phantoms import (
    GRID,
    ORIENTATIONS,
    SHARED,
    affine_around,
    brightness,
    phantom,
    points_of,
    reoriented,
    save,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.processing import resample_from_to
from nilearn.image import resample_img, smooth_img

from neurotransfer.cohort import Grid, load_volume, read_cohort
from neurotransfer.cohort.volumes import ALIGNMENTS, IMAGE_SUFFIXES, resample
from neurotransfer.errors import ImageError, InputError

SMALL = Grid((32, 32, 32), 6.0)
AFFINE = np.diag([4.0, 4, 4, 1])
QUIET = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def scaled(volume):
    """What `load_volume` promises after resampling: the 99th percentile of the voxels above zero is 1."""
    return np.clip(volume / np.percentile(volume[volume > 0], 99), 0, 1)


def loaded(image, tmp_path, grid=GRID, **options):
    return load_volume(save(image, tmp_path / "scan.nii"), grid, **options)


def test_a_volume_that_lies_on_the_grid_is_unchanged_up_to_its_scale(tmp_path):
    voxels = np.random.default_rng(0).integers(1, 1000, GRID.shape).astype(np.int16)
    found = loaded(nibabel.Nifti1Image(voxels, GRID.affine), tmp_path)
    np.testing.assert_allclose(found, scaled(voxels), atol=1e-6)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_the_same_head_in_any_orientation_gives_the_same_volume(tmp_path, codes):
    voxels = np.random.default_rng(0).integers(1, 1000, SMALL.shape).astype(np.int16)
    image = nibabel.Nifti1Image(voxels, SMALL.affine)
    np.testing.assert_allclose(loaded(reoriented(image, codes), tmp_path, SMALL), scaled(voxels), atol=1e-5)


@pytest.mark.parametrize("codes", ORIENTATIONS[::5])
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_turned_head_of_uneven_voxels_is_the_same_in_any_orientation(tmp_path, codes, alignment):
    image = phantom((34, 50, 30), (5, 3, 6), turn=0.3, centre=(4, -20, 12))
    straight = loaded(image, tmp_path, SMALL, alignment=alignment)
    np.testing.assert_allclose(
        loaded(reoriented(image, codes), tmp_path, SMALL, alignment=alignment), straight, atol=1e-4
    )


@pytest.mark.parametrize("codes", ["LAS", "RAS", "PIR", "LPI", "ASL"])
def test_left_stays_left(tmp_path, codes):
    voxels = np.zeros((40, 40, 40), np.int16)
    voxels[10:30, 10:30, 10:30] = 100
    voxels[26:30, 18:22, 18:22] = 900
    image = reoriented(nibabel.Nifti1Image(voxels, affine_around((40, 40, 40), 4.0)), codes)
    for alignment in ALIGNMENTS:
        found = loaded(image, tmp_path, alignment=alignment)
        right = np.array(np.unravel_index(found.argmax(), found.shape)) - (np.array(GRID.shape) - 1) / 2
        assert right[0] > 4
        assert np.abs(right[1:]).max() < 2


def test_every_voxel_shows_its_place_in_the_world(tmp_path):
    truth = brightness(points_of(GRID.shape, GRID.affine))
    image = phantom((70, 80, 70), 2.5, turn=-0.2, centre=(3, -10, 8))
    direct = resample(np.asarray(image.dataobj), image.affine, Grid(GRID.shape, 2.5))
    np.testing.assert_allclose(direct, 1000 * brightness(points_of(GRID.shape, Grid(GRID.shape, 2.5).affine)), atol=25)
    found = loaded(image, tmp_path)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_resampling_agrees_with_nibabel_and_nilearn(turn):
    image = phantom((40, 44, 38), 5.0, turn=turn, centre=(2, -15, 9))
    found = resample(np.asarray(image.dataobj), image.affine, GRID)
    inner = (slice(2, -2),) * 3
    by_nibabel = resample_from_to(image, (GRID.shape, GRID.affine), order=1).get_fdata()
    np.testing.assert_allclose(found[inner], by_nibabel[inner], atol=1e-2)
    by_nilearn = resample_img(image, GRID.affine, GRID.shape, interpolation="linear", copy_header=True)
    np.testing.assert_allclose(found[inner], by_nilearn.get_fdata()[inner], atol=1e-2)


def test_smoothing_before_a_coarser_grid_agrees_with_nilearn():
    image = phantom((90, 66, 88), (2, 3, 2.5), turn=0.1)
    found = resample(np.asarray(image.dataobj), image.affine, GRID)
    widths = np.sqrt(GRID.voxel_size_mm**2 - np.array([2, 3, 2.5]) ** 2)
    by_nilearn = resample_img(
        smooth_img(image, widths), GRID.affine, GRID.shape, interpolation="linear", copy_header=True
    )
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(found[inner], by_nilearn.get_fdata()[inner], atol=2)


def test_a_fine_pattern_does_not_alias():
    stripes = np.zeros((160, 160, 160), np.float32)
    stripes[::2] = 1
    found = resample(stripes, affine_around((160, 160, 160), 1.0), Grid((32, 32, 32), 4.0))
    np.testing.assert_allclose(found[2:-2, 2:-2, 2:-2], 0.5, atol=0.02)


@QUIET
@given(shift=st.tuples(*[st.floats(-500, 500)] * 3))
def test_the_place_of_a_scanner_does_not_matter_when_centred(tmp_path, shift):
    image = phantom()
    moved = nibabel.Nifti1Image(
        np.asarray(image.dataobj), image.affine + np.pad(np.array(shift)[:, None], ((0, 1), (3, 0)))
    )
    np.testing.assert_allclose(
        loaded(moved, tmp_path, alignment="centre"), loaded(image, tmp_path, alignment="centre"), atol=2e-4
    )


def box_image(low, high, shape=(60, 64, 58), spike=None):
    voxels = np.zeros(shape, np.int16)
    voxels[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))] = 300
    if spike is not None:
        voxels[spike] = 32767
    return nibabel.Nifti1Image(voxels, np.diag([-3.0, 3, 3, 1]))


def middle_of(volume):
    inside = np.argwhere(volume > 0.5)
    return (inside.min(0) + inside.max(0)) / 2


@pytest.mark.parametrize("low", [(0, 0, 0), (10, 20, 5), (20, 14, 8)])
def test_the_middle_of_the_head_comes_to_the_middle_of_the_grid(tmp_path, low):
    image = box_image(low, np.add(low, (40, 50, 50)))
    np.testing.assert_allclose(
        middle_of(loaded(image, tmp_path, alignment="centre")), (np.array(GRID.shape) - 1) / 2, atol=0.5
    )


def test_one_bright_voxel_does_not_move_the_head(tmp_path):
    calm = loaded(box_image((5, 5, 5), (45, 55, 55)), tmp_path, alignment="centre")
    spiked = loaded(box_image((5, 5, 5), (45, 55, 55), spike=(40, 50, 50)), tmp_path, alignment="centre")
    np.testing.assert_allclose(middle_of(spiked), middle_of(calm), atol=0.5)


@QUIET
@given(factor=st.floats(1e-6, 1e6))
def test_the_unit_of_the_intensities_does_not_matter(tmp_path, factor):
    image = phantom()
    found = loaded(nibabel.Nifti1Image(np.asarray(image.dataobj) * np.float64(factor), image.affine), tmp_path)
    np.testing.assert_allclose(found, loaded(image, tmp_path), atol=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_the_type_of_the_voxels_on_disk_matters_only_as_rounding(tmp_path, dtype):
    image = phantom(scale=100)
    voxels = np.asarray(image.dataobj)
    kept = voxels if dtype.startswith("f") else np.round(voxels)
    found = loaded(nibabel.Nifti1Image(kept.astype(dtype), image.affine, dtype=dtype), tmp_path)
    np.testing.assert_allclose(found, loaded(image, tmp_path), atol=0.01)


def test_a_slope_in_the_header_does_not_change_the_volume(tmp_path):
    image = nibabel.Nifti1Image(np.round(np.asarray(phantom().dataobj)).astype(np.int16), phantom().affine)
    plain = loaded(image, tmp_path)
    image.header.set_slope_inter(0.01, 0)
    np.testing.assert_allclose(loaded(image, tmp_path), plain, atol=1e-6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_format_gives_the_same_volume(tmp_path, suffix):
    image = phantom()
    kind = nibabel.MGHImage if suffix.startswith(".mg") else nibabel.Nifti1Image
    path = save(kind(np.asarray(image.dataobj), image.affine), tmp_path / f"scan{suffix}")
    np.testing.assert_allclose(load_volume(path, GRID), loaded(image, tmp_path), atol=1e-5)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("low", [0, -500])
def test_values_lie_between_zero_and_one(tmp_path, alignment, low):
    voxels = np.random.default_rng(0).normal(low, 300, (40, 40, 40)).astype(np.float32)
    found = loaded(nibabel.Nifti1Image(voxels, affine_around((40, 40, 40), 4.0)), tmp_path, alignment=alignment)
    assert (found.dtype, found.shape) == (np.float32, GRID.shape)
    assert found.min() == 0
    assert found.max() == 1
    assert np.isfinite(found).all()


def test_the_mask_is_applied_before_anything_else(tmp_path):
    image = phantom()
    inside = np.zeros(image.shape, np.uint8)
    inside[: image.shape[0] // 2] = 1
    mask = save(nibabel.Nifti1Image(inside, image.affine), tmp_path / "mask.nii.gz")
    cut = nibabel.Nifti1Image(np.asarray(image.dataobj) * inside, image.affine)
    for alignment in ALIGNMENTS:
        np.testing.assert_array_equal(
            loaded(image, tmp_path, mask=mask, alignment=alignment), loaded(cut, tmp_path, alignment=alignment)
        )
    assert not loaded(image, tmp_path, mask=mask)[GRID.shape[0] // 2 + 1 :].any()
    assert loaded(image, tmp_path)[GRID.shape[0] // 2 + 1 :].any()


@pytest.mark.parametrize("codes", ["LAS", "PIR"])
def test_a_mask_stored_in_another_orientation_is_refused(tmp_path, codes):
    image = phantom((36, 36, 36))
    inside = (np.asarray(image.dataobj) > 100).astype(np.uint8)
    mask = save(reoriented(nibabel.Nifti1Image(inside, image.affine), codes), tmp_path / "mask.nii")
    with pytest.raises(ImageError, match="image and mask differ in shape or orientation"):
        loaded(image, tmp_path, mask=mask)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_an_image_with_nothing_above_zero_is_refused(tmp_path, alignment):
    voxels = -np.random.default_rng(0).integers(1, 9, (9, 9, 9)).astype(np.int16)
    with pytest.raises(ImageError, match="no voxel above zero"):
        loaded(nibabel.Nifti1Image(voxels, AFFINE), tmp_path, alignment=alignment)


def test_an_image_outside_of_the_grid_is_refused_with_the_way_out(tmp_path):
    far = phantom(centre=(900, 0, 0))
    voxels = nibabel.Nifti1Image(np.asarray(phantom().dataobj), far.affine)
    with pytest.raises(ImageError, match=r'does not meet the grid of the model .* needs alignment = "centre"'):
        loaded(voxels, tmp_path)
    assert loaded(voxels, tmp_path, alignment="centre").max() == 1


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("voxel_size_mm", [0.01, 1.0])
def test_a_grid_that_is_too_small_for_a_head_is_refused(tmp_path, alignment, voxel_size_mm):
    with pytest.raises(ImageError, match=r"only \d+% of the head .* lies inside the grid.*give more or larger voxels"):
        loaded(phantom(), tmp_path, Grid((40, 48, 40), voxel_size_mm), alignment=alignment)


def test_a_head_that_is_half_outside_of_the_grid_is_refused_with_the_way_out(tmp_path):
    image = phantom()
    moved = image.affine.copy()
    moved[0, 3] += 120
    beside = nibabel.Nifti1Image(np.asarray(image.dataobj), moved)
    with pytest.raises(ImageError, match=r'of the head .* lies inside the grid.*native space, alignment = "centre"'):
        loaded(beside, tmp_path)
    np.testing.assert_allclose(
        loaded(beside, tmp_path, alignment="centre"), loaded(image, tmp_path, alignment="centre")
    )


@pytest.mark.parametrize("codes", ORIENTATIONS[:4])
@pytest.mark.parametrize("sides_mm", [1.0, (2.0, 3.0, 4.0), 6.0])
def test_the_share_inside_the_grid_does_not_depend_on_how_a_head_is_stored(tmp_path, codes, sides_mm):
    shape = tuple(int(180 / side) for side in np.broadcast_to(sides_mm, 3))
    assert loaded(reoriented(phantom(shape, sides_mm), codes), tmp_path).max() == 1


def test_an_unknown_alignment_is_refused(tmp_path):
    with pytest.raises(InputError, match="unknown alignment 'center'; allowed: world, centre; did you mean 'centre'"):
        loaded(phantom(), tmp_path, alignment="center")


# --- real heads


def likeness(volume, grid):
    """The correlation with the MNI152 brain that nilearn brings along."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=2)
    return np.corrcoef(volume.ravel(), resample(template.get_fdata(), template.affine, grid).ravel())[0, 1]


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "ds000228").is_dir(), reason="../shared/data/ds000228 is not here")
def test_real_heads_in_mni_space_look_like_the_template():
    cohort = read_cohort(SHARED / "ds000228", space="MNI152", mask="brain", check=False)
    for image, mask in cohort.images[::40]:
        volume = load_volume(image, Grid(), mask)
        assert likeness(volume, Grid()) > 0.85
        for axis in (1, 2):
            assert likeness(np.flip(volume, axis), Grid()) < likeness(volume, Grid()) - 0.03


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "ds002748").is_dir(), reason="../shared/data/ds002748 is not here")
def test_real_heads_in_native_space_are_centred():
    cohort = read_cohort(SHARED / "ds002748", alignment="centre", check=False)
    for image, mask in cohort.images[::16]:
        volume = load_volume(image, Grid(), mask, cohort.alignment)
        assert likeness(volume, Grid()) > 0.7
        np.testing.assert_allclose(middle_of(np.where(volume > 0.05, 1, 0)), (np.array(Grid().shape) - 1) / 2, atol=1.5)
