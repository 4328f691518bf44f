"""Fields through knots, and displacements that do not fold space."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.simulate.atlas import FIELD_KNOTS, FIELD_MM, places_along
from neurotransfer.simulate.fields import BANK, Bank, everywhere, exponential, spread

CENTRE = (0.0, -18.0, 10.0)
CPU = torch.device("cpu")


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 12), st.floats(-1, 1))
def test_a_constant_stays_a_constant(knots, value):
    places = [np.linspace(middle - 60, middle + 60, 7) for middle in CENTRE]
    found = everywhere(torch.full((1, 2, knots, knots, knots), value), spread((knots,) * 3, places, CENTRE))
    assert found.shape == (1, 2, 7, 7, 7)
    assert torch.allclose(found, torch.full_like(found, value), atol=1e-5)


def test_a_knot_counts_most_at_its_own_place():
    x, y, z = spread(FIELD_KNOTS, places_along(FIELD_KNOTS), CENTRE)
    for weights in (x, y, z):
        assert torch.equal(weights.argmax(1), torch.arange(len(weights)))
        assert torch.allclose(weights.sum(1), torch.ones(len(weights)))


def test_axes_are_kept_apart():
    values = torch.zeros(1, 1, 4, 5, 6)
    values[0, 0, 3, 0, 2] = 1
    places = [
        CENTRE[axis] - FIELD_MM[axis] / 2 + FIELD_MM[axis] * np.linspace(0, 1, side)
        for axis, side in enumerate((4, 5, 6))
    ]
    found = everywhere(values, spread((4, 5, 6), places, CENTRE))[0, 0]
    assert np.unravel_index(int(found.argmax()), found.shape) == (3, 0, 2)


def test_everywhere_is_the_sum_over_knots():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(2, 3, 4, 5, 4, generator=generator)
    places = [np.linspace(-40, 40, 6) + middle for middle in CENTRE]
    weights = spread((4, 5, 4), places, CENTRE)
    assert torch.allclose(
        everywhere(values, weights), torch.einsum("nckml,xk,ym,zl->ncxyz", values, *weights), atol=1e-5
    )


def test_a_still_velocity_moves_nothing():
    assert not exponential(torch.zeros(1, 3, 4, 4, 4)).any()


def test_a_flow_and_its_reverse_undo_each_other():
    bank = Bank(CPU)
    places = places_along((10, 12, 10))
    velocity = 6 * everywhere(bank.take(np.array([0.1]), (3, 4, 5, 4)), spread((4, 5, 4), places, CENTRE))
    there, back = exponential(velocity), exponential(-velocity)
    at = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, side) for side in (10, 12, 10)], indexing="ij"), -1)
    scale = torch.tensor([2 / extent for extent in FIELD_MM])
    moved = (at + there[0].permute(1, 2, 3, 0) * scale).flip(-1)[None]
    returned = there + torch.nn.functional.grid_sample(back, moved, align_corners=True, padding_mode="border")
    inner = returned[..., 2:-2, 2:-2, 2:-2]
    assert inner.abs().max() < 0.25 * there.abs().max()
    # two squarings, for speed, leave a small part of what they move
    assert inner.abs().mean() < 0.05 * there.abs().mean()


def test_space_is_not_folded_by_a_strong_velocity():
    bank = Bank(CPU)
    velocity = 10 * everywhere(
        bank.take(np.array([0.3]), (3, 4, 5, 4)), spread((4, 5, 4), places_along((22, 26, 22)), CENTRE)
    )
    moved = exponential(velocity)[0].numpy()
    step = [extent / (side - 1) for extent, side in zip(FIELD_MM, (22, 26, 22), strict=True)]
    jacobian = (
        np.stack([np.stack(np.gradient(moved[axis], *step)) for axis in range(3)]) + np.eye(3)[:, :, None, None, None]
    )
    assert np.linalg.det(jacobian.transpose(2, 3, 4, 0, 1)).min() > 0


def test_the_bank_is_normal_and_the_same_every_time():
    bank = Bank(CPU)
    assert len(bank.numbers) == BANK
    assert abs(float(bank.numbers.mean())) < 0.002
    assert abs(float(bank.numbers.std()) - 1) < 0.002
    assert torch.equal(Bank(CPU).numbers, bank.numbers)


@pytest.mark.parametrize("place", [0.0, 0.999999])
def test_a_run_of_the_bank_stays_within_it(place):
    assert Bank(CPU).take(np.array([place]), (5, 7)).shape == (1, 5, 7)
