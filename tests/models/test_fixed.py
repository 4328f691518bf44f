"""Encoders without weights: tissue volumes on phantoms, smoothing against scipy, columns."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from neurotransfer.errors import InputError
from neurotransfer.models.fixed import TISSUES, Columns, SmoothedVoxels, TissueVolumes

SHAPE = (32, 35, 33)


def phantom(counts: tuple[int, int, int], values=(0.2, 0.5, 0.9), noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A volume (40, 40, 40) with `counts` voxels of every value at random places, zero elsewhere."""
    generator = np.random.default_rng(seed)
    flat = np.zeros(40**3, np.float32)
    places = generator.permutation(len(flat))[: sum(counts)]
    flat[places] = np.repeat(values, counts) + noise * generator.standard_normal(len(places))
    return flat.reshape(40, 40, 40)


def test_tissue_volumes_of_a_phantom_are_the_known_ones():
    counts = [(5_000, 12_000, 9_000), (15_000, 9_000, 8_000)]
    volumes = torch.from_numpy(np.stack([phantom(count) for count in counts]))[:, None]
    found = TissueVolumes(voxel_litres=0.001)(volumes)
    assert len(TISSUES) == 3
    assert TissueVolumes.n_features == 4
    np.testing.assert_allclose(found, [[5, 12, 9, 26], [15, 9, 8, 32]], rtol=1e-5)


def test_tissue_volumes_bear_noise_and_do_not_depend_on_batch_mates():
    volumes = torch.from_numpy(np.stack([phantom((8_000, 8_000, 8_000), noise=0.03, seed=seed) for seed in (1, 2)]))
    together = TissueVolumes(voxel_litres=0.001)(volumes[:, None])
    alone = TissueVolumes(voxel_litres=0.001)(volumes[1][None, None])
    np.testing.assert_allclose(together, [[8, 8, 8, 24]] * 2, rtol=0.02)
    assert torch.equal(together[1:], alone)


def test_tissue_volumes_of_empty_volumes_are_zero_beside_a_full_one():
    volumes = torch.zeros(3, 1, 40, 40, 40)
    volumes[1, 0] = torch.from_numpy(phantom((100, 100, 100)))
    found = TissueVolumes(voxel_litres=1.0)(volumes)
    np.testing.assert_allclose(found, [[0] * 4, [100, 100, 100, 300], [0] * 4])


@pytest.mark.parametrize("value", [1e-6, 0.3, 1.0])
@pytest.mark.parametrize("count", [1, 1000])
def test_tissue_volumes_of_a_single_grey_add_up(value, count):
    volume = np.zeros(40**3, np.float32)
    volume[:count] = value
    found = TissueVolumes(voxel_litres=1.0)(torch.from_numpy(volume).reshape(1, 1, 40, 40, 40))[0]
    assert torch.isfinite(found).all()
    assert found[:3].sum() == found[3] == count
    assert found[:3].max() == count


def smoothed(volumes: np.ndarray, **arguments) -> np.ndarray:
    return SmoothedVoxels(shape=volumes.shape[1:], **arguments)(torch.from_numpy(volumes)[:, None]).numpy()


@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0, 1.6, 2.0])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_smoothing_is_that_of_scipy(sigma, stride):
    volumes = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    radius = max(1, round(3 * sigma))
    expected = [
        ndimage.gaussian_filter(volume, sigma, mode="constant", truncate=radius / sigma)[::stride, ::stride, ::stride]
        for volume in volumes.astype(float)
    ]
    found = smoothed(volumes, sigma=sigma, stride=stride)
    assert found.shape == (2, np.prod([-(-side // stride) for side in SHAPE]))
    assert found.shape[1] == SmoothedVoxels(SHAPE, sigma, stride).n_features
    np.testing.assert_allclose(found, np.reshape(expected, (2, -1)), atol=1e-5)


def test_smoothing_a_point_gives_the_kernel_along_every_axis():
    volumes = np.zeros((1, *SHAPE), np.float32)
    volumes[0, 15, 16, 17] = 1.0
    found = smoothed(volumes, sigma=1.5, stride=1).reshape(SHAPE)
    for axis in range(3):
        line = np.zeros(SHAPE[axis])
        line[15 + axis] = 1.0
        expected = ndimage.gaussian_filter1d(line, 1.5, mode="constant", radius=round(3 * 1.5))
        others = tuple({0, 1, 2} - {axis})
        np.testing.assert_allclose(found.sum(others), expected, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_without_sigma_voxels_stay_as_they_are(stride):
    volumes = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    expected = volumes[:, ::stride, ::stride, ::stride].reshape(2, -1)
    np.testing.assert_array_equal(smoothed(volumes, sigma=0.0, stride=stride), expected)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32, 32), (2, 1, 35, 32, 33), (2, 32, 35, 33)])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match="expected \\(32, 35, 33\\)"):
        SmoothedVoxels(shape=SHAPE)(torch.zeros(shape))


def test_no_encoder_here_has_anything_to_learn():
    for encoder in (TissueVolumes(1.0), SmoothedVoxels(SHAPE), Columns(["a"])):
        assert not list(encoder.parameters())
        assert not encoder.state_dict()


def test_columns_are_handed_on():
    values = torch.rand(3, 2)
    encoder = Columns(("left", "right"))
    assert torch.equal(encoder(values), values)
    assert encoder.columns == ["left", "right"]
    assert encoder.n_features == 2
