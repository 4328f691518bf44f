"""Relevance adds up, equals what is known of it, and refuses what it is not defined for."""

from dataclasses import replace

import pytest
import torch
from networks_for_maps import BY_SPEED, ENCODERS, SEX, TARGETS, head_volume, network_of
from torch import nn

from neurotransfer.errors import InputError
from neurotransfer.explain.layers import Weighted
from neurotransfer.explain.lrp import relevance
from neurotransfer.explain.readout import explained_of
from neurotransfer.explain.rules import COMPOSITES, AlphaBeta, Composite, Epsilon, Flat, Gamma
from neurotransfer.explain.unfolded import folded, unfolded
from neurotransfer.models.network import ENCODERS as ALL_ENCODERS
from neurotransfer.models.network import Network, build_encoder, seeded

PURE = Composite("pure", Epsilon(0.0), Epsilon(0.0))


def error_of(explained, volume, composite) -> float:
    found, number = relevance(explained, volume, composite).double().sum(), explained(volume).detach().double()
    return float((found - number).abs() / number.abs())


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", BY_SPEED)
def test_relevance_adds_up_to_the_explained_number(name, composite):
    explained = explained_of(network_of(name))
    assert error_of(explained, head_volume(), composite) < 0.01


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.kind}-{target.reading}")
def test_relevance_adds_up_whatever_is_read_of_a_head(target, composite):
    assert error_of(explained_of(network_of("joined", target)), head_volume(), composite) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_relevance_adds_up_for_other_weights_and_scans(seed):
    explained = explained_of(network_of("mirrored", seed=seed))
    for composite in COMPOSITES:
        assert error_of(explained, head_volume(seed + 10), composite) < 0.01


@pytest.mark.parametrize("name", ENCODERS)
def test_unfolded_layers_give_the_features_of_the_encoder(name):
    encoder, volume = network_of(name).encoder, head_volume()
    found, _ = unfolded(encoder, COMPOSITES["gamma"]).forward(volume)
    if name == "normalised":
        found = ((found.double() - encoder.centre) @ encoder.mixing.double().T).float()
    with torch.no_grad():
        expected = encoder(volume)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_a_folded_convolution_is_the_convolution_and_its_batch_norm():
    with seeded(3):
        convolution, norm = (
            nn.Conv3d(2, 5, 3, stride=2, padding=1).double(),
            nn.BatchNorm3d(5, eps=1e-3).double().eval(),
        )
        norm.weight.data.normal_(), norm.bias.data.normal_()
        norm.running_mean.normal_(), norm.running_var.uniform_(0.1, 2)
        volume = torch.randn(1, 2, 9, 8, 7, dtype=torch.float64)
    weight, bias = folded(convolution, norm)
    found = nn.functional.conv3d(volume, weight, bias, 2, 1)
    assert torch.allclose(found, norm(convolution(volume)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["average", "maximum", "joined", "mirrored", "resnet10"])
def test_epsilon_without_biases_is_gradient_times_input(name):
    network = network_of(name, biased=False).double()
    explained, volume = explained_of(network), head_volume().double().requires_grad_()
    (gradient,) = torch.autograd.grad(explained(volume).sum(), volume)
    expected = gradient * volume.detach()
    found = relevance(explained, volume.detach(), PURE)
    assert torch.allclose(found, expected, atol=1e-6 * float(expected.abs().max()))


def test_without_biases_the_voxels_of_a_linear_layer_get_weight_times_input():
    layer = Weighted(torch.tensor([[2.0, -1.0, 3.0]]), torch.zeros(1), Epsilon(0.0))
    inputs = torch.tensor([[1.0, 4.0, 2.0]])
    assert layer.back(inputs, torch.tensor([[4.0]])).tolist() == [[2.0, -4.0, 6.0]]


# x = (1, 2), weights (3, -1), bias 1: contributions 3 and -2, z = 2, of which the rules make, with R = 2:
BY_HAND = {
    # the bias of 1 is parted 3/5 and 2/5 by size
    "epsilon": (Epsilon(0.0), [3.6, -1.6]),
    # gamma 1: contributions 6 and -2, bias 2, z = 6; R / z = 1/3; the bias is parted 6/8 and 2/8
    "gamma": (Gamma(1.0, 0.0), [(6 + 1.5) / 3, (-2 + 0.5) / 3]),
    "alpha1": (AlphaBeta(1.0), [2.0, 0.0]),
    "alpha2": (AlphaBeta(2.0), [4.0, -2.0]),
    "flat": (Flat(), [1.0, 1.0]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_layer_gives_what_was_worked_out_by_hand(name):
    rule, expected = BY_HAND[name]
    layer = Weighted(torch.tensor([[3.0, -1.0]]), torch.ones(1), rule)
    found = layer.back(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0]]))
    assert torch.allclose(found, torch.tensor([expected]), atol=1e-6)


def test_a_unit_that_sees_only_air_spreads_its_relevance_evenly():
    for rule in (Epsilon(), Gamma(), AlphaBeta(), Flat()):
        layer = Weighted(torch.tensor([[3.0, -1.0]]), torch.ones(1), rule)
        assert layer.back(torch.zeros(1, 2), torch.tensor([[5.0]])).tolist() == [[2.5, 2.5]]


def test_z_plus_everywhere_gives_nothing_below_zero_for_a_positive_output():
    plus = Composite("plus", AlphaBeta(1.0), AlphaBeta(1.0))
    n_positive = 0
    for seed in range(6):
        explained, volume = explained_of(network_of("joined", seed=seed)), head_volume(seed)
        sign = float(torch.sign(explained(volume).detach()))
        n_positive += sign > 0
        assert (sign * relevance(explained, volume, plus)).min() >= 0
    assert 0 < n_positive < 6


def test_gamma_without_end_is_z_plus():
    volume = head_volume()
    for name in ("average", "resnet10"):
        explained = explained_of(network_of(name).double())
        found, expected = (
            relevance(explained, volume.double(), Composite("", rule, Epsilon(0.01)))
            for rule in (Gamma(1e9, 0.0), AlphaBeta(1.0))
        )
        assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


def test_gamma_of_zero_is_epsilon():
    explained, volume = explained_of(network_of("joined").double()), head_volume().double()
    found, expected = (
        relevance(explained, volume, Composite("", rule, Epsilon(0.01))) for rule in (Gamma(0.0, 0.01), Epsilon(0.01))
    )
    assert torch.allclose(found, expected, atol=1e-9 * float(expected.abs().max()))


def test_a_mirrored_panel_gives_a_mirrored_map():
    explained, volume = explained_of(network_of("mirrored").double()), head_volume().double()
    found, turned = (relevance(explained, each, "gamma") for each in (volume, volume.flip(2)))
    assert torch.allclose(found, turned.flip(2), atol=1e-8 * float(found.abs().max()))


def test_relevance_is_in_proportion_to_the_head():
    network, volume = network_of("average"), head_volume()
    once = relevance(explained_of(network), volume)
    network.head("age").weight.data *= 2
    network.head("age").bias.data *= 2
    assert torch.allclose(relevance(explained_of(network), volume), 2 * once, rtol=1e-4, atol=1e-6)


def test_air_around_the_head_gets_little():
    volume = head_volume(shape=(48, 48, 48))
    found = relevance(explained_of(network_of("average")), volume, "gamma").abs()
    assert float(found[volume == 0].sum() / found.sum()) < 0.2


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("densenet121", {"width": 0.125}),
        ("vit", {"shape": (32, 32, 32), "patch": 8, "channels": 24, "layers": 1, "heads": 3}),
        ("swin", {"channels": 12, "depths": (1, 1, 1, 1)}),
        ("voxels", {"shape": (32, 32, 32)}),
        (
            "several",
            {
                "parts": [{"architecture": "sfcn", "arguments": {"width": 0.0625}, "layered": False}],
                "shape": (32, 32, 32),
            },
        ),
    ],
)
def test_other_encoders_are_refused_with_those_that_work(name, arguments):
    network = Network(build_encoder(name, arguments), [SEX]).eval()
    with pytest.raises(InputError, match=r"not defined here.*sfcn-panel.*gradient-x-input"):
        relevance(explained_of(network), torch.rand(1, 1, 32, 32, 32))


def test_every_encoder_either_has_relevance_or_is_refused_here():
    has = {architecture for architecture, _ in ENCODERS.values()} | {"resnet18"}
    assert has | {
        "densenet121",
        "vit",
        "swin",
        "voxels",
        "tissue",
        "columns",
        "perceptron",
        "several",
        "networks",
    } == set(ALL_ENCODERS)


def test_the_rules_of_a_composite_are_those_that_it_says():
    found = unfolded(network_of("average").encoder, COMPOSITES["gamma-flat"])
    rules = [block.layers[0].rule for block in found.blocks]
    assert rules == [Flat(), *[Gamma(0.25)] * 4]
    assert replace(COMPOSITES["gamma-flat"], first=None, name="gamma", description="") == replace(
        COMPOSITES["gamma"], description=""
    )
