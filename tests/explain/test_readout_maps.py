"""The number that is explained: its weights add up to it, it is what the target decodes, and it is said in words."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks_for_maps import AGE, BINS, RANKS, SCANNER, SEX, STAGE, TARGETS, network_of

from neurotransfer.errors import InputError
from neurotransfer.explain.readout import Readout, explained_of


def outputs_of(target, seed, size):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, size, (5, target.n_outputs)))


@given(st.sampled_from(TARGETS), st.integers(0, 10**6), st.sampled_from([1e-6, 0.1, 1.0, 10.0, 100.0]))
def test_weights_times_outputs_add_up_to_the_number(target, seed, size):
    outputs, readout = outputs_of(target, seed, size), Readout(target)
    found = (readout.weights(outputs) * outputs).sum(1)
    # a mean of levels near 60 is rounded at 1e-14, however small the outputs are
    assert torch.allclose(found, readout.value(outputs), rtol=1e-6, atol=1e-9 * size + 1e-13)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.kind}-{target.reading}")
def test_the_number_is_zero_where_outputs_are(target):
    assert float(Readout(target).value(torch.zeros(1, target.n_outputs)).abs()) < 1e-6


def test_the_number_is_what_the_target_decodes_less_what_is_said():
    outputs = outputs_of(AGE, 0, 1.0)
    assert np.allclose(Readout(AGE).value(outputs) + 50, AGE.decode(outputs.numpy())[0])
    outputs = outputs_of(BINS, 0, 3.0)
    assert np.allclose(Readout(BINS).value(outputs) + np.mean(BINS.levels), BINS.decode(outputs.numpy())[0])
    outputs = 1e6 * outputs_of(RANKS, 0, 1.0).sort(1, descending=True)[0]
    middle = (RANKS.levels[0] + RANKS.levels[-1]) / 2
    assert np.allclose(Readout(RANKS).value(outputs) + middle, RANKS.decode(outputs.numpy())[0])
    outputs = outputs_of(SEX, 0, 1.0)
    assert np.allclose(torch.sigmoid(Readout(SEX).value(outputs)), SEX.decode(outputs.numpy())[0])


def test_a_class_is_the_most_probable_one_or_the_one_that_is_named():
    outputs = torch.tensor([[1.0, 3.0, 2.0], [5.0, 3.0, 4.0]])
    assert Readout(SCANNER).value(outputs).tolist() == [3.0, 5.0]
    assert Readout(SCANNER, "c").value(outputs).tolist() == [2.0, 4.0]


def test_gradients_go_through_the_number():
    for target in TARGETS:
        outputs = outputs_of(target, 1, 1.0).requires_grad_()
        (gradient,) = torch.autograd.grad(Readout(target).value(outputs).sum(), outputs)
        assert float(gradient.abs().max()) > 0


@pytest.mark.parametrize(
    ("target", "words", "unit"),
    [
        (AGE, "predicted age, years, less 50", "years"),
        (BINS, "over 40 bins", "years"),
        (RANKS, "by 19 ranks", "years"),
        (SEX, "logit of sex = M", "logit"),
        (SCANNER, "the most probable class", "logit"),
        (STAGE, "levels of stage", "logit"),
    ],
)
def test_the_number_is_said_in_words(target, words, unit):
    assert words in Readout(target).words
    assert Readout(target).unit == unit


def test_what_a_model_does_not_have_is_refused_with_what_it_has():
    network = network_of("average")
    assert explained_of(network).readout.target.name == "age"
    with pytest.raises(InputError, match="age"):
        explained_of(network, "agee")
    with pytest.raises(InputError, match="class of target"):
        Readout(SCANNER, "d")
    with pytest.raises(InputError, match="only a categorical one"):
        Readout(SEX, "M")
