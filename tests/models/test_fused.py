"""Fused blocks are the modules one after another: outputs, gradients and statistics, whatever the sides, signs and types."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from neurotransfer.models import SFCN, fused
from neurotransfer.models.fused import PreciseConv3d, block, fits, is_stem, stems

EVEN, ODD = (8, 6, 10), (7, 9, 6)
BFLOAT16_ERROR = 0.03


def layers(before, after, seed=0, negative=True, kind=torch.float64):
    """A convolution and a batch norm as after some training: every value its own, some scales negative."""
    generator = torch.Generator().manual_seed(seed)
    convolution, norm = nn.Conv3d(before, after, 3, padding=1), nn.BatchNorm3d(after)
    with torch.no_grad():
        for value in (convolution.weight, convolution.bias, norm.weight, norm.bias, norm.running_mean):
            value.copy_(torch.randn(value.shape, generator=generator))
        norm.running_var.copy_(torch.rand(after, generator=generator) + 0.3)
        if not negative:
            norm.weight.abs_()
        elif after > 2:
            norm.weight[1] = -norm.weight[1].abs()
    return convolution.to(kind), norm.to(kind)


def one_by_one(convolution, norm, volumes):
    """What the block must be."""
    return functional.max_pool3d(functional.relu(norm(convolution(volumes))), 2)


def images(n, channels, shape, seed=1, kind=torch.float64):
    return torch.randn((n, channels, *shape), generator=torch.Generator().manual_seed(seed)).to(kind)


def compared(function, convolution, norm, volumes, training, seed=2):
    """Outputs, gradients of everything, and running statistics of a function of the two layers."""
    convolution, norm = copy.deepcopy(convolution).train(training), copy.deepcopy(norm).train(training)
    inputs = volumes.clone().requires_grad_(volumes.shape[1] > 1 or any(side % 2 for side in volumes.shape[2:]))
    out = function(convolution, norm, inputs)
    coming = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed)).to(out.dtype)
    out.backward(coming)
    found = {"out": out, "weight": convolution.weight.grad, "scale": norm.weight.grad, "shift": norm.bias.grad}
    if not training:
        found["bias"] = convolution.bias.grad
    if inputs.requires_grad:
        found["inputs"] = inputs.grad
    found |= {"running_mean": norm.running_mean, "running_var": norm.running_var, "seen": norm.num_batches_tracked}
    return {name: value.detach() for name, value in found.items()}


def agree(found, expected, rtol=1e-9, atol=1e-10):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [EVEN, ODD, (2, 2, 2), (3, 2, 5), (4, 12, 2)])
@pytest.mark.parametrize("before", [1, 2, 5])
@pytest.mark.parametrize("negative", [True, False])
def test_a_block_is_its_modules_in_float64(before, shape, training, negative):
    convolution, norm = layers(before, 4, negative=negative)
    volumes = images(3, before, shape)
    agree(
        compared(block, convolution, norm, volumes, training),
        compared(one_by_one, convolution, norm, volumes, training),
    )


@settings(max_examples=30)
@given(
    n=st.integers(1, 3), before=st.integers(1, 3), after=st.integers(1, 5), training=st.booleans(),
    shape=st.tuples(*[st.integers(2, 9)] * 3), seed=st.integers(0, 1000),
)  # fmt: skip
def test_a_block_is_its_modules_for_any_size(n, before, after, training, shape, seed):
    convolution, norm = layers(before, after, seed)
    volumes = images(n, before, shape, seed)
    agree(
        compared(block, convolution, norm, volumes, training),
        compared(one_by_one, convolution, norm, volumes, training), rtol=1e-7, atol=1e-8,
    )  # fmt: skip


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize("training", [True, False])
def test_a_scale_of_zero_gives_its_modules_outputs_and_gradients_but_that_of_the_scale(before, training):
    """All places of a window are then its maximum, and the gradient of the scale may be that of any of them."""
    convolution, norm = layers(before, 4)
    with torch.no_grad():
        norm.weight[2], norm.bias[2] = 0.0, 1.0
    found, expected = (
        compared(function, convolution, norm, images(2, before, EVEN), training) for function in (block, one_by_one)
    )
    assert found["scale"].isfinite().all()
    for each in (found, expected):
        each["scale"][2] = 0
    agree(found, expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, 0.9, None])
@pytest.mark.parametrize("before", [1, 3])
def test_statistics_move_as_the_module_moves_them_step_after_step(before, momentum, training):
    convolution, norm = layers(before, 4)
    norm.momentum = momentum
    other = copy.deepcopy(norm)
    for step in range(3):
        volumes = images(2, before, EVEN, seed=step)
        with torch.no_grad():
            block(convolution, norm.train(training), volumes)
            one_by_one(convolution, other.train(training), volumes)
    torch.testing.assert_close(norm.state_dict(), other.state_dict())


def test_the_bias_of_a_convolution_before_a_batch_norm_in_training_moves_nothing():
    convolution, norm = layers(3, 4)
    block(convolution, norm.train(), images(2, 3, EVEN)).square().sum().backward()
    exact = copy.deepcopy(convolution)
    exact.zero_grad()
    one_by_one(exact, copy.deepcopy(norm).train(), images(2, 3, EVEN)).square().sum().backward()
    assert exact.bias.grad.abs().max() < 1e-9
    assert convolution.bias.grad is None or convolution.bias.grad.abs().max() < 1e-9


@pytest.mark.parametrize("training", [True, False])
def test_several_first_blocks_at_once_are_each_alone(training):
    pairs = [layers(1, after, seed=after) for after in (3, 5, 1)]
    for _, norm in pairs:
        norm.train(training)
    volumes = images(2, 1, EVEN)
    alone = copy.deepcopy(pairs)
    found, expected = stems(pairs, volumes), [block(*pair, volumes) for pair in alone]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    sum((out * (place + 1)).square().sum() for place, out in enumerate(found)).backward()
    sum((out * (place + 1)).square().sum() for place, out in enumerate(expected)).backward()
    for (one, norm), (other, its_norm) in zip(pairs, alone, strict=True):
        torch.testing.assert_close(one.weight.grad, other.weight.grad, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(norm.weight.grad, its_norm.weight.grad, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(norm.state_dict(), its_norm.state_dict())


def test_volumes_of_several_slabs_are_one(monkeypatch):
    convolution, norm = layers(1, 4)
    volumes = images(2, 1, (12, 8, 6))
    whole = compared(block, convolution, norm, volumes, True)
    monkeypatch.setattr("neurotransfer.models.stem.SLAB_VOXELS", 20)
    agree(compared(block, convolution, norm, volumes, True), whole)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("before", [1, 8])
@pytest.mark.parametrize("shape", [(16, 12, 16), (9, 12, 10)])
def test_bfloat16_is_float64_up_to_its_rounding(before, shape, training):
    convolution, norm = layers(before, 8, kind=torch.float32)
    volumes = images(4, before, shape, kind=torch.float32)
    exact = compared(
        one_by_one, copy.deepcopy(convolution).double(), copy.deepcopy(norm).double(), volumes.double(), training
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = compared(block, convolution, norm, volumes, training)
        plain = compared(one_by_one, convolution, norm, volumes, training)
    for name, value in exact.items():
        if name == "seen":
            continue
        largest = value.abs().max()
        error, theirs = ((each[name].double() - value).abs().mean() / largest for each in (found, plain))
        assert error <= max(1.5 * theirs, BFLOAT16_ERROR / 10), (name, error, theirs)
        assert torch.isfinite(found[name].double()).all()


def test_what_comes_out_has_the_type_of_autocast_and_the_statistics_stay_float32():
    for before in (1, 2):
        convolution, norm = layers(before, 4, kind=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            out = block(convolution, norm, images(2, before, EVEN, kind=torch.float32))
        assert out.dtype == torch.bfloat16
        assert norm.running_mean.dtype == norm.running_var.dtype == torch.float32
        assert block(convolution, norm, images(2, before, EVEN, kind=torch.float32)).dtype == torch.float32


def test_a_precise_convolution_is_float32_under_autocast():
    torch.manual_seed(0)
    convolution, volumes = PreciseConv3d(2, 3, 3, padding=1), images(1, 2, EVEN, kind=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = convolution(volumes)
        rough = nn.functional.conv3d(volumes, convolution.weight, convolution.bias, padding=1)
    exact = nn.functional.conv3d(volumes, convolution.weight, convolution.bias, padding=1)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
    assert not torch.equal(rough.float(), exact)


@pytest.mark.parametrize("before", [1, 2])
def test_a_precise_convolution_in_a_block_is_float32_under_autocast(before):
    convolution, norm = layers(before, 4, kind=torch.float32)
    volumes = images(2, before, EVEN, kind=torch.float32)
    expected = block(convolution, copy.deepcopy(norm), volumes)
    convolution.__class__ = PreciseConv3d
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(block(convolution, copy.deepcopy(norm), volumes), expected)


@pytest.mark.parametrize(
    ("change", "norm"),
    [({"kernel_size": 1, "padding": 0}, nn.BatchNorm3d), ({"padding": 0}, nn.BatchNorm3d), ({"stride": 2}, nn.BatchNorm3d),
     ({"dilation": 2, "padding": 2}, nn.BatchNorm3d), ({"groups": 2}, nn.BatchNorm3d), ({}, nn.SyncBatchNorm),
     ({}, nn.Identity)],
)  # fmt: skip
def test_other_layers_are_left_to_their_modules(change, norm):
    arguments = {"kernel_size": 3, "padding": 1} | change
    assert not fits(nn.Conv3d(2, 4, **arguments), norm(4), images(2, 2, EVEN))
    assert fits(nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), images(2, 2, EVEN))


def test_what_the_matrix_product_takes():
    assert is_stem(images(1, 1, EVEN))
    assert not is_stem(images(1, 1, ODD))
    assert not is_stem(images(1, 2, EVEN))
    assert not is_stem(images(1, 1, EVEN).requires_grad_())


def test_a_gradient_with_respect_to_the_scan_itself_is_right():
    """Maps of what a network sees need it: the block then goes by its convolution."""
    convolution, norm = layers(1, 4)
    volumes = [images(2, 1, EVEN).requires_grad_() for _ in range(2)]
    block(convolution, norm.eval(), volumes[0]).square().sum().backward()
    one_by_one(convolution, norm.eval(), volumes[1]).square().sum().backward()
    torch.testing.assert_close(volumes[0].grad, volumes[1].grad)


def test_training_after_inference_in_the_same_process_works():
    """What is kept between calls must not be made under inference mode."""
    from neurotransfer.models import stem

    stem._TAPS.clear()
    convolution, norm = layers(1, 3, kind=torch.float32)
    with torch.inference_mode():
        block(convolution, norm.eval(), images(2, 1, EVEN, kind=torch.float32))
    block(convolution, norm.train(), images(2, 1, EVEN, kind=torch.float32)).sum().backward()
    assert torch.isfinite(convolution.weight.grad).all()


class _Plain(nn.Module):
    """The network of the paper by its modules alone."""

    def __init__(self, network: SFCN):
        super().__init__()
        self.blocks = nn.Sequential(*[nn.Sequential(*copy.deepcopy(part)) for part in network.blocks])
        self.top = copy.deepcopy(network.top)
        self.pooling = network.pooling

    def forward(self, volumes):
        maps = self.top(self.blocks(volumes))
        return maps.mean((2, 3, 4)) if self.pooling == "average" else maps.amax((2, 3, 4))


@pytest.mark.parametrize("pooling", ["average", "maximum"])
@pytest.mark.parametrize("shape", [(32, 40, 36), (33, 32, 35), (48, 33, 34)])
@pytest.mark.parametrize("training", [True, False])
def test_the_whole_network_is_its_modules(pooling, shape, training):
    torch.manual_seed(3)
    network = SFCN(width=0.125, pooling=pooling).double().train(training)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.weight.uniform_(-1, 1)
                module.bias.uniform_(-0.5, 0.5)
    plain = _Plain(network).train(training)
    volumes = images(3, 1, shape)
    found, expected = network(volumes), plain(volumes)
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-5, atol=1e-6)
    found.double().square().sum().backward()
    expected.square().sum().backward()
    theirs = dict(plain.named_parameters())
    for name, value in network.named_parameters():
        if value.grad is not None:
            scale = theirs[name].grad.abs().max().clamp(min=1e-3)
            torch.testing.assert_close(value.grad / scale, theirs[name].grad / scale, rtol=1e-4, atol=1e-5)
    for (name, one), (_, other) in zip(network.named_buffers(), plain.named_buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


def test_the_modules_are_used_where_a_block_cannot_be(monkeypatch):
    """Another device, for one: there the modules run as they are."""
    network = SFCN(width=0.0625).eval()
    volumes = images(1, 1, (32, 32, 32), kind=torch.float32)
    expected = network(volumes)
    called = []
    monkeypatch.setattr(fused, "block", lambda *given: called.append(given))
    monkeypatch.setattr(fused, "fits", lambda *_: False)
    torch.testing.assert_close(network(volumes), expected, rtol=1e-4, atol=1e-5)
    assert not called
