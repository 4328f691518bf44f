"""Every change of brightness by its own formula, and in words where nothing is bright."""

from dataclasses import replace

import numpy as np
import pytest
from prepare_phantoms import head, known_affine, line_of, simple

from neurotransfer.errors import ImageError
from neurotransfer.prepare import brightness, steps


def test_divide_divides():
    scan = replace(simple(), voxels=np.array([0, 51, 110, 255, 300], np.float32).reshape(5, 1, 1))
    np.testing.assert_array_equal(
        brightness.divide(scan, 255.0).voxels.ravel(), np.float32([0, 51 / 255, 110 / 255, 1, 1])
    )


def test_divide_by_mean_makes_the_mean_of_all_voxels_one():
    scan = steps.masked(simple())
    made = brightness.divide_by_mean(scan)
    assert made.voxels.mean(dtype=float) == pytest.approx(1, abs=1e-6)
    assert line_of(made, "divide_by_mean")["Mean"] == pytest.approx(scan.voxels.mean(), rel=1e-4)


def test_scale_takes_its_percentile_of_what_is_above_zero():
    scan = steps.masked(simple())
    made = brightness.scale(scan, 99.0)
    top = np.percentile(scan.voxels[scan.voxels > 0], 99)
    np.testing.assert_allclose(made.voxels, np.clip(scan.voxels / top, 0, 1), atol=1e-6)


def test_bytes_are_whole_numbers_up_to_255():
    scan = simple()
    made = brightness.to_bytes(scan, 99.9).voxels
    np.testing.assert_array_equal(made, np.rint(made))
    assert (made.min(), made.max()) == (0, 255)
    low, high = scan.voxels.min(), np.percentile(scan.voxels[scan.voxels > scan.voxels.min()], 99.9)
    np.testing.assert_allclose(made, np.clip((scan.voxels - low) / (high - low), 0, 1) * 255, atol=0.51)


@pytest.mark.parametrize("level", [110.0, 55.0])
def test_white_matter_has_its_level(level):
    phantom = head(known_affine((5, 0, 5), 1.0, (3, 3, 3)), 2.0)
    made = brightness.white_to(replace(phantom.scan(), to_template=phantom.to_template), level)
    assert np.median(made.voxels[phantom.tissues[2] > 0.95]) == pytest.approx(level, rel=0.03)


def test_no_white_matter_is_refused_in_words():
    far = replace(simple(), to_template=known_affine(shift_mm=(900, 0, 0)))
    with pytest.raises(ImageError, match="no white matter lies where MNI152 has it"):
        brightness.white_to(far, 110.0)
