"""What moves the weights: rates by depth, the course of the learning rate, the moving average, learned weights."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurotransfer.models import SFCN
from neurotransfer.models.network import Identity, Network
from neurotransfer.targets import Target
from neurotransfer.training.optimiser import Anchor, LearnedWeights, MovingAverage, make_optimiser, set_lr, share_of_lr
from neurotransfer.training.recipe import Recipe

AGE, SEX = Target("age", "continuous"), Target("sex", "binary", classes=("F", "M"))


def network():
    return Network(SFCN(width=0.0625), [AGE, SEX])


def rates(optimiser):
    return {id(value): group["lr"] for group in optimiser.param_groups for value in group["params"]}


@pytest.mark.parametrize("decay", [1.0, 0.9, 0.5, 0.0])
def test_every_weight_learns_once_and_deeper_ones_slower(decay):
    net = network()
    optimiser = make_optimiser(net, Recipe(lr=0.1, layer_decay=decay))
    set_lr(optimiser, 1.0)
    found = rates(optimiser)
    assert found.keys() == {id(value) for value in net.parameters()}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(found)
    parts = [net.heads, *reversed(net.encoder.layer_groups())]
    assert len(parts) == 7
    for depth, part in enumerate(parts):
        for value in part.parameters():
            assert found[id(value)] == pytest.approx(0.1 * decay**depth)


def test_layer_groups_are_all_weights_of_the_encoder_once_from_input_to_output():
    encoder = SFCN(width=0.0625)
    groups = [id(value) for part in encoder.layer_groups() for value in part.parameters()]
    assert groups == [id(value) for value in encoder.parameters()]


def test_an_encoder_that_names_no_groups_is_one():
    net = Network(Identity(3), [AGE])
    optimiser = make_optimiser(net, Recipe(lr=0.1, layer_decay=0.5))
    assert len(optimiser.param_groups) == 1
    assert rates(optimiser).keys() == {id(value) for value in net.parameters()}


def test_weights_that_do_not_learn_do_not_move():
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    optimiser = make_optimiser(net, Recipe(lr=0.1, layer_decay=0.0, weight_decay=0.5))
    set_lr(optimiser, 1.0)
    for value in net.parameters():
        value.grad = torch.ones_like(value)
    optimiser.step()
    moved = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("heads")}


def test_one_step_is_adamw_of_its_paper():
    net = Network(Identity(2), [AGE])
    optimiser = make_optimiser(net, Recipe(lr=0.1, weight_decay=0.3))
    set_lr(optimiser, 0.5)
    value = net.heads[0].weight if not isinstance(net.heads, nn.ModuleDict) else next(net.heads.parameters())
    before = value.detach().clone()
    for each in net.parameters():
        each.grad = torch.full_like(each, 2.0)
    optimiser.step()
    lr = 0.05
    expected = before * (1 - lr * 0.3) - lr * 2.0 / (math.sqrt(4.0) + 1e-8)
    torch.testing.assert_close(value.detach(), expected)


@given(
    epochs=st.integers(1, 30), steps=st.integers(1, 20), warm_up=st.floats(0, 1), layer_decay=st.floats(0, 1)
)  # fmt: skip
def test_the_course_rises_to_one_and_falls_to_nearly_zero(epochs, steps, warm_up, layer_decay):
    recipe = Recipe(epochs=epochs, warm_up=warm_up * epochs * 0.9, layer_decay=layer_decay)
    course = [share_of_lr(step, steps, recipe) for step in range(epochs * steps)]
    assert all(0 <= share <= 1 for share in course)
    highest = course.index(max(course))
    assert course[: highest + 1] == sorted(course[: highest + 1])
    assert course[highest:] == sorted(course[highest:], reverse=True)
    rising = recipe.warm_up * steps
    assert highest <= rising + 1
    if not recipe.warm_up:
        assert course[0] == 1.0


@given(head=st.integers(0, 5), epochs=st.integers(1, 9), steps=st.integers(1, 7), warm_up=st.floats(0, 1))
def test_while_the_heads_learn_the_rate_is_full_and_the_course_comes_after_it(head, epochs, steps, warm_up):
    later = Recipe(epochs=epochs, warm_up=warm_up)
    recipe = Recipe(epochs=head + epochs, warm_up=warm_up, head_first=head)
    course = [share_of_lr(step, steps, recipe) for step in range((head + epochs) * steps)]
    assert course[: head * steps] == [1.0] * (head * steps)
    assert course[head * steps :] == [share_of_lr(step, steps, later) for step in range(epochs * steps)]


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_an_anchor_pulls_the_encoder_to_its_start_at_the_rate_of_each_group(decay):
    net = network()
    optimiser = make_optimiser(net, Recipe(lr=0.2, layer_decay=decay))
    anchor = Anchor(net.encoder, optimiser, 2.0)
    start = [value.detach().clone() for value in net.parameters()]
    heads = {id(value) for value in net.heads.parameters()}
    rates = {id(value): group["base"] for group in optimiser.param_groups for value in group["params"]}
    with torch.no_grad():
        for value in net.parameters():
            value += 1
    set_lr(optimiser, 0.5)
    anchor.pull()
    for value, began in zip(net.parameters(), start, strict=True):
        share = 0.0 if id(value) in heads else 2.0 * 0.5 * rates[id(value)]
        torch.testing.assert_close(value.detach(), began + 1 - share)
    # never beyond the start
    anchor.strength = 1e6
    anchor.pull()
    for value, began in zip(net.parameters(), start, strict=True):
        torch.testing.assert_close(value.detach(), began + 1 if id(value) in heads else began)


def test_without_warm_up_it_is_half_a_cosine():
    recipe = Recipe(epochs=4)
    for step in range(8):
        assert share_of_lr(step, 2, recipe) == pytest.approx((1 + math.cos(math.pi * step / 8)) / 2)


def test_a_warm_up_that_takes_the_whole_training_ends_at_the_full_rate():
    assert [share_of_lr(step, 2, Recipe(epochs=2, warm_up=2)) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_the_average_is_that_of_its_formula_and_swaps_back():
    net = Network(Identity(3), [AGE])
    average = MovingAverage(net, 0.9)
    expected = [value.detach().clone() for value in net.parameters()]
    generator = torch.Generator().manual_seed(0)
    for step in range(1, 30):
        with torch.no_grad():
            for value in net.parameters():
                value.add_(torch.randn(value.shape, generator=generator))
        average.update(net)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [
            old * decay + value.detach() * (1 - decay) for old, value in zip(expected, net.parameters(), strict=True)
        ]
    weights = [value.detach().clone() for value in net.parameters()]
    average.swap(net)
    torch.testing.assert_close([value.detach() for value in net.parameters()], expected)
    average.swap(net)
    assert all(torch.equal(value, kept) for value, kept in zip(net.parameters(), weights, strict=True))


def test_learned_weights_are_those_of_their_formula():
    weights = LearnedWeights({"age": "continuous", "sex": "binary"})
    with torch.no_grad():
        weights.log_variances.copy_(torch.tensor([0.5, -1.0]))
    loss = weights({"age": torch.tensor(3.0), "sex": torch.tensor(2.0)}, {"age": 1.0, "sex": 0.25})
    expected = math.exp(-0.5) * 3 / 2 + 0.5 / 2 + math.exp(1) * 2 + 0.25 * -1 / 2
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert weights.log_variances.grad.tolist() == pytest.approx(
        [-math.exp(-0.5) * 3 / 2 + 0.5, -math.exp(1) * 2 + 0.125]
    )


def test_a_missing_target_leaves_its_learned_weight_alone():
    weights = LearnedWeights({"age": "continuous", "sex": "binary"})
    weights({"age": torch.tensor(3.0)}, {"age": 1.0}).backward()
    assert weights.log_variances.grad[1] == 0
    weights({}, {}).backward()


def test_the_learned_weight_ends_where_its_loss_says():
    """At its best a log variance of a continuous target is log of the loss: exp(-s) L / 2 + s / 2 has its minimum there."""
    weights = LearnedWeights({"age": "continuous"})
    optimiser = torch.optim.Adam(weights.parameters(), lr=0.05)
    for _ in range(600):
        optimiser.zero_grad()
        weights({"age": torch.tensor(4.0)}, {"age": 1.0}).backward()
        optimiser.step()
    assert weights.log_variances.item() == pytest.approx(math.log(4.0), abs=1e-2)


def test_learned_weights_learn_and_do_not_decay():
    net, weights = network(), LearnedWeights({"age": "continuous", "sex": "binary"})
    groups = make_optimiser(net, Recipe(weight_decay=0.3, layer_decay=0.5), weights).param_groups
    assert groups[-1]["params"] == list(weights.parameters())
    assert groups[-1]["weight_decay"] == 0
    assert all(group["weight_decay"] == 0.3 for group in groups[:-1])
