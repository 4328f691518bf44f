"""Every method of METHODS: laws, closed forms, brute force, and what it says when it cannot be done."""

import builtins

import numpy as np
import pytest
import torch
from networks_for_maps import AGE, BY_SPEED, SEX, head_volume, network_of
from torch import nn

from neurotransfer.errors import InputError
from neurotransfer.explain.attribution import DEFAULT, METHODS, Around, asked
from neurotransfer.explain.readout import Explained, Readout, explained_of
from neurotransfer.models.network import Network, build_encoder, seeded

QUICK = {"smoothgrad": ":samples=2", "integrated-gradients": ":steps=4", "occlusion": ":patch_mm=16,stride_mm=16"}


class Quadratic(nn.Module):
    """One output, the sum of a x + b x^2 over voxels, times the volume's mean where `mixed`."""

    n_features = 1

    def __init__(self, shape=(8, 8, 8)):
        super().__init__()
        with seeded(1):
            self.linear, self.square = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.randn(shape))

    def forward(self, volumes):
        return (self.linear * volumes + self.square * volumes**2).sum((1, 2, 3, 4))[:, None]


def quadratic() -> Explained:
    network = Network(Quadratic(), [SEX]).double().eval()
    network.head("sex").weight.data.fill_(1.0)
    network.head("sex").bias.data.fill_(3.0)
    return Explained(network, Readout(SEX))


def small(seed=0) -> torch.Tensor:
    with seeded(seed):
        return torch.rand(1, 1, 8, 8, 8, dtype=torch.float64)


def test_the_default_methods_are_there():
    assert set(DEFAULT) <= set(METHODS)
    assert all(name == method.name and method.citation and method.title for name, method in METHODS.items())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "encoder", ["mirrored", *(pytest.param(name, marks=pytest.mark.slow) for name in ("average", "resnet10"))]
)
def test_every_method_gives_a_map_of_the_volume_the_same_each_time(name, encoder):
    explained, volume = explained_of(network_of(encoder)), head_volume(shape=(32, 32, 32))
    how, around = asked(name + QUICK.get(name, "")), Around(voxel_mm=1.0, seed=3)
    found = how.map_of(explained, volume, around)
    assert found.shape == volume.shape
    assert bool(found.isfinite().all())
    assert float(found.abs().max()) > 0
    assert not found.requires_grad
    assert torch.equal(found, how.map_of(explained, volume, around))


@pytest.mark.parametrize("name", BY_SPEED)
def test_gradients_through_fused_blocks_are_those_of_the_modules(name, monkeypatch):
    explained, volume = explained_of(network_of(name)), head_volume(shape=(32, 32, 32))
    found = asked("gradient-x-input").map_of(explained, volume)
    monkeypatch.setattr("neurotransfer.models.fused.fits", lambda *_: False)
    plain = asked("gradient-x-input").map_of(explained, volume)
    assert torch.allclose(found, plain, atol=2e-4 * float(plain.abs().max()))


def test_gradient_x_input_is_the_derivative_times_the_voxel():
    explained, volume = quadratic(), small()
    encoder = explained.network.encoder
    expected = (encoder.linear + 2 * encoder.square * volume) * volume
    assert torch.allclose(asked("gradient-x-input").map_of(explained, volume), expected)


def test_integrated_gradients_have_the_closed_form():
    explained, volume, mean = quadratic(), small(), small(1)
    linear, square = explained.network.encoder.linear, explained.network.encoder.square
    found = asked("integrated-gradients:steps=4").map_of(explained, volume)
    assert torch.allclose(found, linear * volume + square * volume**2)
    found = asked("integrated-gradients:steps=4,baseline=mean").map_of(explained, volume, Around(mean=mean))
    assert torch.allclose(found, linear * (volume - mean) + square * (volume**2 - mean**2))


@pytest.mark.parametrize("target", [AGE, SEX])
def test_integrated_gradients_are_complete(target):
    explained, volume = explained_of(network_of("joined", target)), head_volume(shape=(32, 32, 32))
    found = float(asked("integrated-gradients:steps=64").map_of(explained, volume).sum())
    with torch.no_grad():
        expected = float(explained(volume) - explained(torch.zeros_like(volume)))
    assert found == pytest.approx(expected, rel=0.05)


def test_smoothgrad_is_the_mean_gradient_of_noisy_volumes():
    explained, volume = quadratic(), small()
    linear, square = explained.network.encoder.linear, explained.network.encoder.square
    found = asked("smoothgrad:samples=400,noise=0.2").map_of(explained, volume, Around(seed=5))
    expected = linear + 2 * square * volume
    # 2 square noise / sqrt(400), noise 0.2 of the range
    apart = ((found - expected) / square.abs()).detach()
    assert float(apart.std()) == pytest.approx(2 * 0.2 * float(volume.max() - volume.min()) / 20, rel=0.15)
    other = asked("smoothgrad:samples=400,noise=0.2").map_of(explained, volume, Around(seed=6))
    assert not torch.equal(found, other)


@pytest.mark.parametrize(("patch", "stride", "baseline"), [(4, 2, "air"), (3, 3, "air"), (4, 3, "mean")])
def test_occlusion_is_what_brute_force_gives(patch, stride, baseline):
    explained, volume, mean = quadratic(), small(), small(1)
    filling = mean if baseline == "mean" else torch.zeros_like(volume)
    total, count = torch.zeros_like(volume), torch.zeros_like(volume)
    starts = [*range(0, 8 - patch, stride), 8 - patch] if (8 - patch) % stride else range(0, 8 - patch + 1, stride)
    with torch.no_grad():
        whole = explained(volume)
        for corner in np.ndindex(*[len(list(starts))] * 3):
            at = [list(range(0, 8, stride))[place] for place in corner]
            window = (0, 0, *(slice(start, start + patch) for start in at))
            hidden = volume.clone()
            hidden[window] = filling[window]
            total[window] += float(whole - explained(hidden))
            count[window] += 1
    found = asked(f"occlusion:patch_mm={2 * patch},stride_mm={2 * stride},baseline={baseline}")
    found = found.map_of(explained, volume, Around(voxel_mm=2.0, mean=mean))
    assert torch.allclose(found.double(), total / count.clamp(min=1), atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("densenet121", {"width": 0.125}),
        ("vit", {"shape": (32, 32, 32), "patch": 8, "channels": 24, "layers": 1, "heads": 3}),
        ("swin", {"channels": 12, "depths": (1, 1, 1, 1)}),
        ("voxels", {"shape": (32, 32, 32)}),
    ],
)
def test_methods_without_rules_work_for_every_encoder_of_volumes(architecture, arguments):
    with seeded(0):
        network = Network(build_encoder(architecture, arguments), [SEX]).eval()
    for name in ("gradient-x-input", "integrated-gradients:steps=2", "occlusion:patch_mm=32,stride_mm=32"):
        found = asked(name).map_of(explained_of(network), head_volume(shape=(32, 32, 32)))
        assert bool(found.isfinite().all())
        assert float(found.abs().max()) > 0


def test_a_method_is_written_as_it_is_read():
    for text in ("lrp-gamma", "occlusion:patch_mm=30.0", "integrated-gradients:steps=8,baseline=mean"):
        assert asked(text).text == text
    assert asked("smoothgrad:samples=16") == asked("smoothgrad")
    labels = [asked(name).label for name in METHODS]
    assert len(set(labels)) == len(labels)
    assert all(label.isalnum() for label in labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lpr-gamma", "did you mean"),
        ("occlusion:patch=3", "patch_mm=24.0"),
        ("occlusion:patch_mm=-3", "above 0"),
        ("integrated-gradients:steps=1.5", "whole number"),
        ("integrated-gradients:baseline=black", "air"),
        ("lrp-gamma:epsilon=1", "none"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text, message):
    with pytest.raises(InputError, match=message):
        asked(text)


def test_gaps_between_patches_and_a_mean_of_nothing_are_refused():
    explained = quadratic()
    with pytest.raises(InputError, match="leaves gaps"):
        asked("occlusion:patch_mm=2,stride_mm=4").map_of(explained, small())
    with pytest.raises(InputError, match="baseline=air"):
        asked("integrated-gradients:baseline=mean").map_of(explained, small())


def test_without_captum_the_command_that_installs_it_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("captum"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    explained = quadratic()
    for name in ("integrated-gradients", "smoothgrad", "occlusion"):
        with pytest.raises(InputError, match=r"neurotransfer\[explain\]"):
            asked(name).map_of(explained, small())
    assert asked("gradient-x-input").map_of(explained, small()).shape == (1, 1, 8, 8, 8)
