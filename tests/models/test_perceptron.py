"""The perceptron: what its layers are, that units of columns do not matter, and what it refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neurotransfer.errors import InputError
from neurotransfer.models.network import Network, build_encoder, seeded, takes
from neurotransfer.models.perceptron import NORMS, Perceptron
from neurotransfer.statistics.standardise import standardiser
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, features, fit, outputs

COLUMNS = ["left", "right", "whole"]
AGE = Target("age", "continuous", location=0.0, scale=1.0)


def built(seed=0, **arguments):
    with seeded(seed):
        return Perceptron(COLUMNS, **arguments).eval()


def test_two_layers_are_what_they_are_by_hand():
    encoder, values = built(width=4, norm="layer"), torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.5]])
    found = values
    for layer in encoder.layers:
        linear = layer[0]
        found = found @ linear.weight.T + linear.bias
        found = (found - found.mean(1, keepdim=True)) / torch.sqrt(found.var(1, correction=0, keepdim=True) + 1e-5)
        found = found.clamp(min=0)
    torch.testing.assert_close(encoder(values), found)


def test_a_batch_norm_is_by_unit_over_people():
    encoder, values = built(width=4, depth=1).train(), torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    found = values @ encoder.layers[0][0].weight.T
    found = (found - found.mean(0)) / torch.sqrt(found.var(0, correction=0) + 1e-5)
    torch.testing.assert_close(encoder(values), found.clamp(min=0))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("width", "depth"), [(1, 1), (8, 1), (8, 4)])
def test_it_is_as_wide_and_as_deep_as_asked(norm, width, depth):
    encoder = built(width=width, depth=depth, norm=norm, dropout=0.5)
    linear = [module for module in encoder.modules() if isinstance(module, nn.Linear)]
    assert [tuple(each.weight.shape) for each in linear] == [(width, n) for n in [3, *[width] * (depth - 1)]]
    assert len(encoder.layer_groups()) == depth
    assert sum(isinstance(module, nn.Dropout) and module.p == 0.5 for module in encoder.modules()) == depth
    # a batch norm has its own shift: none before it that would never learn
    assert all((each.bias is None) == (norm == "batch") for each in linear)
    assert encoder(torch.zeros(5, 3)).shape == (5, width)


def test_columns_are_standardised_by_those_who_were_learnt_from():
    generator = np.random.default_rng(0)
    values = generator.normal([4000, 0.03, 7], [300, 0.01, 0], (40, 3)).astype(np.float32)
    encoder = built()
    mean, scale = standardiser(values)
    encoder.standardise(mean, scale)
    np.testing.assert_allclose(encoder.centre, mean, rtol=1e-6)
    np.testing.assert_allclose(encoder.scale, scale, rtol=1e-6)
    assert encoder.scale[2] == 1
    seen = []
    encoder.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(torch.from_numpy(values))
    np.testing.assert_allclose(seen[0].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(seen[0].std(0, correction=0), [1, 1, 0], atol=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_missing_values_are_no_scale(wrong):
    encoder, mean = built(), np.array([1.0, wrong, 0.0])
    with pytest.raises(FloatingPointError, match="columns of the training rows are not finite"):
        encoder.standardise(mean, np.ones(3))
    assert encoder.centre.tolist() == [0, 0, 0]


def trained(values, labels, norm, **options):
    rows = np.arange(len(values))
    with seeded(1):
        network = Network(Perceptron(COLUMNS, width=16, norm=norm), [AGE])
    network.encoder.standardise(*standardiser(values[:60]))
    parts = [Examples(values, part, {"age": labels[part]}) for part in (rows[:60], rows[60:80])]
    history = fit(network, *parts, Recipe(**({"epochs": 15, "lr": 1e-2, "patience": 15} | options)), seed=0)
    return network, history


def people(seed=0):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(120, 3)).astype(np.float32)
    return values, np.abs(values[:, 0]) + 0.3 * values[:, 1] - 0.8


@pytest.mark.parametrize("norm", NORMS)
def test_litres_train_as_cubic_millimetres(norm):
    """The unit and the origin of a column change nothing that is learnt."""
    values, labels = people()
    volumes = (4.0 + 0.5 * values).astype(np.float32)
    one, first = trained(volumes, labels, norm)
    other, second = trained((1e6 * volumes).astype(np.float32), labels, norm)
    rows = np.arange(80, 120)
    expected = outputs(one, volumes, rows)["age"]
    np.testing.assert_allclose(outputs(other, 1e6 * volumes, rows)["age"], expected, atol=0.02)
    assert [row["validation_loss"] for row in second.table] == pytest.approx(
        [row["validation_loss"] for row in first.table], abs=0.01
    )
    assert second.best_epoch == first.best_epoch


@pytest.mark.parametrize("norm", NORMS)
def test_it_learns_what_is_not_linear(norm):
    values, labels = people()
    network, _ = trained(values, labels, norm, epochs=30)
    rows = np.arange(80, 120)
    linear = np.column_stack([values, np.ones(120)])
    line = linear @ np.linalg.lstsq(linear[:60], labels[:60], rcond=None)[0]
    error = np.abs(outputs(network, values, rows)["age"][:, 0] - labels[rows]).mean()
    assert error < 0.6 * np.abs(line[rows] - labels[rows]).mean()


def test_a_batch_of_one_and_a_last_batch_of_one_can_be_taken():
    values, labels = people()
    _, history = trained(values, labels, "batch", epochs=2, batch_size=1)
    assert np.isfinite([row["train_loss"] for row in history.table]).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(1, 7))
def test_whoever_comes_along_does_not_matter_to_a_person(seed, n):
    encoder = built(width=5)
    values = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    together = features(encoder, values)
    for row in range(n):
        np.testing.assert_allclose(features(encoder, values[[row]])[0], together[row], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"columns": []}, r"columns \[\], which is a list of names"),
        ({"columns": "age"}, "columns 'age', which is a list of names"),
        ({"columns": [1, 2]}, "columns .1, 2., which is a list of names"),
        ({"width": 0}, "width 0, which is a whole number of 1 or more"),
        ({"width": 2.5}, "width 2.5, which is a whole number"),
        ({"depth": True}, "depth True, which is a whole number"),
        ({"depth": 0, "norm": "group"}, "depth 0, .*; norm 'group', which is batch or layer"),
        ({"dropout": 1.0}, "dropout 1.0, which is from 0 to below 1"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, said):
    with pytest.raises(InputError, match=f"perceptron: got .*{said}"):
        build_encoder("perceptron", {"columns": COLUMNS, **arguments})


@pytest.mark.parametrize("shape", [(2, 2), (3,), (1, 3, 1)])
def test_other_columns_are_refused(shape):
    with pytest.raises(InputError, match=r"takes values \(n, 3\) of its columns, got"):
        built()(torch.zeros(shape))


def test_it_is_told_which_arguments_there_are():
    assert [name for name in ("width", "depth", "norm", "dropout", "pooling") if takes("perceptron", name)] == [
        "width", "depth", "norm", "dropout",
    ]  # fmt: skip
