"""Patches, their moments and the taps of filters, against loops that anyone can read."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.models import stem

SHAPE = (4, 6, 8)


def volumes(n=2, shape=SHAPE, seed=0):
    return torch.randn((n, 1, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def windows(images):
    """Every 4x4x4 patch with a border of zeros, image after image, window after window: (m, 4, 4, 4)."""
    bordered = torch.nn.functional.pad(images[:, 0], (1,) * 6)
    n, *sides = images[:, 0].shape
    corners = list(product(range(n), *(range(0, side, 2) for side in sides)))
    return torch.stack([bordered[i, x : x + 4, y : y + 4, z : z + 4] for i, x, y, z in corners])


def in_lattice_order(patches):
    """The 64 voxels of (m, 4, 4, 4) patches in the order of `patches_of`: shifts of two voxels first, then parities."""
    return patches.reshape(-1, 2, 2, 2, 2, 2, 2).permute(1, 3, 5, 2, 4, 6, 0).reshape(64, -1)


def test_a_lattice_holds_every_voxel_once_and_zeros_around():
    images = volumes()
    lattice = stem.lattice_of(images)
    assert lattice.shape == (2, 2, 2, 2, *(side // 2 + 1 for side in SHAPE))
    assert lattice.is_contiguous()
    torch.testing.assert_close(lattice.sum(), images.sum())
    for x, y, z in product(range(4), range(6), range(8)):
        at = [(side + 1) // 2 for side in (x, y, z)]
        parity = [(side + 1) % 2 for side in (x, y, z)]
        assert torch.equal(lattice[parity[0], parity[1], parity[2], :, at[0], at[1], at[2]], images[:, 0, x, y, z])


@pytest.mark.parametrize("most", [1, 30, 8192])
def test_slabs_are_all_windows_once_and_their_patches_those_of_a_loop(most, monkeypatch):
    monkeypatch.setattr(stem, "SLAB_VOXELS", most)
    images = volumes()
    lattice = stem.lattice_of(images)
    parts = stem.slabs(lattice)
    assert sum(end - start for _, start, end in parts) == len(images) * SHAPE[0] // 2
    found = torch.cat([stem.patches_of(lattice, *part) for part in parts], 1)
    torch.testing.assert_close(found, in_lattice_order(windows(images)))


def test_the_taps_of_a_filter_are_those_of_a_convolution():
    images, filters = volumes(), torch.randn(3, 1, 3, 3, 3, dtype=torch.float64)
    spread = torch.einsum("kot,ct->kco", stem.taps(torch.float64), filters.reshape(3, -1)).reshape(-1, 64)
    found = (spread @ in_lattice_order(windows(images))).reshape(8, 3, -1)
    maps = torch.nn.functional.conv3d(images, filters, padding=1)
    for place, (x, y, z) in enumerate(product((0, 1), repeat=3)):
        torch.testing.assert_close(found[place], maps[:, :, x::2, y::2, z::2].permute(1, 0, 2, 3, 4).reshape(3, -1))


def test_every_tap_meets_one_voxel_at_every_place():
    taps = stem.taps(torch.float32)
    assert taps.shape == (8, 64, 27)
    assert torch.equal(taps.sum(1), torch.ones(8, 27))
    assert set(taps.unique().tolist()) == {0.0, 1.0}
    assert stem.taps(torch.float32) is taps


def test_moments_and_statistics_are_those_of_the_outputs():
    images, filters = volumes(3), torch.randn(5, 1, 3, 3, 3, dtype=torch.float64)
    spread = torch.einsum("kot,ct->kco", stem.taps(torch.float64), filters.reshape(5, -1)).reshape(-1, 64)
    mean, variance = stem.statistics_of(spread, *stem.moments_of(stem.lattice_of(images), torch.float64))
    maps = torch.nn.functional.conv3d(images, filters, padding=1)
    torch.testing.assert_close(mean, maps.mean((0, 2, 3, 4)))
    torch.testing.assert_close(variance, maps.var((0, 2, 3, 4), unbiased=False))


def test_the_variance_of_a_filter_that_sees_a_constant_is_not_negative():
    images = torch.full((1, 1, 8, 8, 8), 1000.0)
    filters = torch.zeros(1, 1, 3, 3, 3)
    filters[0, 0, 1, 1, 1] = 1.0
    spread = torch.einsum("kot,ct->kco", stem.taps(torch.float32), filters.reshape(1, -1)).reshape(-1, 64)
    mean, variance = stem.statistics_of(spread, *stem.moments_of(stem.lattice_of(images), torch.float32))
    assert mean.item() == pytest.approx(1000)
    assert 0 <= variance.item() < 10


@settings(max_examples=25)
@given(rows=st.integers(1, 50), channels=st.integers(1, 7), most=st.integers(1, 20))
def test_sums_are_those_of_torch_however_they_are_parted(rows, channels, most):
    generator = torch.Generator().manual_seed(rows)
    gradients, values = (torch.randn(rows, channels, generator=generator, dtype=torch.float64) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stem, "SLAB_VOXELS", most)
        total, weighted = stem.sums_of(gradients, values)
    torch.testing.assert_close(total, gradients.sum(0))
    torch.testing.assert_close(weighted, (gradients * values).sum(0))


def test_sums_of_bfloat16_are_kept_in_float32():
    gradients = torch.full((5000, 2), 1.0, dtype=torch.bfloat16)
    total, weighted = stem.sums_of(gradients, gradients)
    assert total.dtype == torch.float32
    assert total.tolist() == weighted.tolist() == [5000.0, 5000.0]


def test_the_gradient_of_a_window_goes_to_its_first_maximum_only():
    made = torch.tensor([[1.0, 5, 5, 2, 0, 0, 0, 0], [9.0, 1, 1, 1, 1, 1, 1, 9]]).reshape(2, 8)
    view = stem._windows(made, 1)
    highest, places = torch.nn.functional.max_pool2d(view, (1, 8), return_indices=True)
    assert highest.flatten().tolist() == [5.0, 9.0]
    back = stem._unpooled(torch.tensor([[2.0], [3.0]]), places)
    assert back.tolist() == [[0, 2, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]]


def test_autograd_agrees_by_finite_differences():
    lattice = stem.lattice_of(volumes(1, (4, 4, 4)))
    moments = stem.moments_of(lattice, torch.float64)
    generator = torch.Generator().manual_seed(5)
    taps = stem.taps(torch.float64)
    weight = torch.randn(2, 27, generator=generator, dtype=torch.float64, requires_grad=True)
    scale = (torch.rand(2, generator=generator, dtype=torch.float64) + 0.5).requires_grad_()
    shift = torch.randn(2, generator=generator, dtype=torch.float64, requires_grad=True)

    def run(weight, scale, shift):
        filters = torch.einsum("kot,ct->kco", taps, weight).reshape(-1, 64)
        with torch.no_grad():
            mean, variance = stem.statistics_of(filters, *moments)
        return stem.Stem.apply(filters, scale, shift, mean, torch.rsqrt(variance + 1e-5), lattice, moments)

    out = run(weight, scale, shift)
    coming = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    (out * coming).sum().backward()
    for value in (weight, scale, shift):
        flat, gradient = value.detach().reshape(-1), value.grad.reshape(-1)
        for place in range(0, len(flat), 5):
            step, kept = 1e-6, flat[place].item()
            sides = []
            for sign in (1, -1):
                flat[place] = kept + sign * step
                with torch.no_grad():
                    sides.append((run(weight, scale, shift) * coming).sum().item())
            flat[place] = kept
            assert gradient[place].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4, abs=1e-6)
