"""The picture of a scan: three slices, left on the left, outlines where masks are, and never an error."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from prepare_phantoms import head, known_affine

from neurotransfer.cohort.mni import average_brain
from neurotransfer.prepare.figure import CYAN, RED, SLICES_MM, ZOOM, picture

SHAPE = average_brain(2).mask.shape
WIDTHS = np.array([SHAPE[1], SHAPE[0], SHAPE[0]]) * ZOOM


def seen(scan, to_template):
    content = picture(scan, to_template)
    assert content[:2] == b"\xff\xd8"
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(float)


def panel(image, number):
    start = int(WIDTHS[:number].sum())
    return image[:, start : start + WIDTHS[number]]


def near(image, colour):
    """Where a picture is rather red, or rather cyan; a JPEG blurs colours."""
    redness = image[..., 0] - image[..., 1:].mean(-1)
    return redness > 50 if colour is RED else redness < -50


@pytest.fixture(scope="module")
def phantom():
    return head(known_affine((6, -4, 8), 1.05, (4, 9, -6)), 2.5)


@pytest.fixture(scope="module")
def image(phantom):
    return seen(phantom.scan(), phantom.to_template)


def test_three_slices_side_by_side(image):
    assert image.shape == (max(SHAPE[2], SHAPE[1]) * ZOOM, WIDTHS.sum(), 3)
    assert len(SLICES_MM) == 3
    for number in range(3):
        assert panel(image, number).std() > 20


def test_the_picture_is_the_same_for_the_same_scan(phantom):
    assert picture(phantom.scan(), phantom.to_template) == picture(phantom.scan(), phantom.to_template)


def test_the_picture_is_small(phantom):
    assert len(picture(phantom.scan(), phantom.to_template)) < 100_000


def test_where_masks_agree_the_red_line_covers_the_other(image):
    for number in range(3):
        assert near(panel(image, number), RED).sum() > 300
        assert near(panel(image, number), CYAN).sum() < 0.35 * near(panel(image, number), RED).sum()


def test_where_masks_part_both_are_seen(phantom):
    moved = known_affine(shift_mm=(0, 14, 14)) @ phantom.to_template
    image = seen(phantom.scan(), moved)
    for number in range(3):
        assert near(panel(image, number), CYAN).sum() > 200
        assert near(panel(image, number), RED).sum() > 200


@pytest.mark.parametrize("codes", ["LPS", "ASR"])
def test_the_order_of_voxels_does_not_matter(phantom, image, codes):
    other = seen(phantom.reoriented(codes).scan(), phantom.to_template)
    assert np.abs(other - image).mean() < 1


def bright_at(place_mm):
    """A head in MNI152 with a bright ball somewhere, and where in the picture it is seen."""
    phantom = head(sides_mm=2.0, noise=0.0)
    places = np.moveaxis(np.indices(phantom.voxels.shape), 0, -1) @ phantom.affine[:3, :3].T + phantom.affine[:3, 3]
    voxels = np.where(phantom.brain, np.float32(20), np.float32(0))
    voxels[np.linalg.norm(places - np.array(place_mm), axis=-1) < 20] = 200
    image = seen(replace(phantom.scan(), voxels=voxels), np.eye(4))
    return [(panel(image, number).min(-1) > 150) for number in range(3)]


def middle_of(mask):
    # from the middle of its panel: to the right and downwards
    rows, columns = np.nonzero(mask)
    return columns.mean() - mask.shape[1] / 2, rows.mean() - SHAPE[2] * ZOOM / 2


def test_the_left_is_on_the_left_and_up_is_up():
    sagittal, coronal, axial = bright_at((-30, SLICES_MM[1], SLICES_MM[2]))
    assert not sagittal.any()
    for mask in (coronal, axial):
        assert middle_of(mask)[0] < -20
    _, coronal, _ = bright_at((0, SLICES_MM[1], 50))
    assert middle_of(coronal)[1] < -10
    _, _, axial = bright_at((0, 40, SLICES_MM[2]))
    _, _, behind = bright_at((0, -80, SLICES_MM[2]))
    assert np.nonzero(axial)[0].mean() < np.nonzero(behind)[0].mean()


@pytest.mark.slow
def test_slices_lie_where_they_say():
    for number, millimetres in enumerate(SLICES_MM):
        place = [10.0, 10.0, 10.0]
        place[number] = millimetres
        assert bright_at(place)[number].any()
        place[number] = millimetres + 26
        assert not bright_at(place)[number].any()


@pytest.mark.parametrize("change", ["dark", "no brain", "one bright voxel", "elsewhere"])
def test_a_bad_scan_has_a_picture_too(phantom, change):
    scan, to_template = phantom.scan(), phantom.to_template
    voxels = scan.voxels.copy()
    if change == "dark":
        scan = replace(scan, voxels=np.zeros_like(voxels))
    elif change == "no brain":
        scan = replace(scan, brain=np.zeros_like(scan.brain))
    elif change == "one bright voxel":
        voxels[20, 20, 20] = 1e20
        scan = replace(scan, voxels=voxels)
    else:
        to_template = known_affine(shift_mm=(900, 0, 0))
    assert seen(scan, to_template).shape[2] == 3
