"""Networks trained together are each as trained alone: same weights, epochs and losses, whatever the others do."""

import copy

import numpy as np
import pytest
import torch

from neurotransfer.errors import InputError
from neurotransfer.models import SFCN
from neurotransfer.models.network import Identity, Network, seeded
from neurotransfer.targets import Target
from neurotransfer.training import Engine, Examples, Recipe, fit, fit_together, using
from neurotransfer.training import together as module
from neurotransfer.training.augment import preset
from neurotransfer.training.recipe import Recipe as AnyRecipe
from neurotransfer.training.together import SHARED, most_together, same_batches

AGE, SEX = Target("age", "continuous"), Target("sex", "binary", classes=("F", "M"))
EVEN, ODD = (32, 34, 36), (33, 32, 35)


def data(shape, n=9, seed=0):
    generator = np.random.default_rng(seed)
    volumes = generator.random((n, *shape), np.float32)
    sex = (generator.random(n) > 0.5).astype(float)
    sex[2] = np.nan
    labels = {"age": generator.normal(size=n), "sex": sex}
    return [Examples(volumes, rows, {name: values[rows] for name, values in labels.items()})
            for rows in (np.arange(6), np.arange(6, n))]  # fmt: skip


def networks(seeds, **arguments):
    made = []
    for seed in seeds:
        with seeded(seed):
            made.append(Network(SFCN(width=0.0625, **arguments), [AGE, SEX]))
    return made


def like(found, expected, exactly):
    for (name, one), (_, other) in zip(found.state_dict().items(), expected.state_dict().items(), strict=True):
        if exactly:
            assert torch.equal(one, other), name
        else:
            torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-3, msg=name)


RECIPES = [
    Recipe(epochs=3, batch_size=3, lr=1e-2),
    Recipe(epochs=3, batch_size=3, lr=1e-3, weight_decay=0.1, ema=0.5),
    Recipe(epochs=3, batch_size=3, lr=3e-3, warm_up=1.0, layer_decay=0.5, patience=1),
    Recipe(epochs=3, batch_size=3, lr=1e-3, learned_weights=True),
]


@pytest.mark.parametrize("shape", [EVEN, ODD])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_each_is_as_it_is_alone(shape, dropout):
    train, validation = data(shape)
    together = networks(range(4), dropout=dropout)
    alone = copy.deepcopy(together)
    histories = fit_together(together, train, validation, RECIPES, seed=5)
    for network, other, recipe, history in zip(together, alone, RECIPES, histories, strict=True):
        expected = fit(other, train, validation, recipe, seed=5)
        # one matrix product of several filters may round in another way than that of one
        like(network, other, exactly=shape == ODD)
        assert history.best_epoch == expected.best_epoch
        assert history.epochs == expected.epochs
        for row, its in zip(history.table, expected.table, strict=True):
            assert row.keys() == its.keys()
            assert row["train_loss"] == pytest.approx(its["train_loss"], rel=1e-3)
            assert row["validation_loss"] == pytest.approx(its["validation_loss"], rel=1e-3)


@pytest.mark.parametrize("shape", [EVEN, ODD])
def test_heads_first_anchors_and_statistics_are_each_network_s_own(shape):
    train, validation = data(shape)
    recipes = [
        Recipe(epochs=2, batch_size=3, lr=1e-3, head_first=1, anchor=30.0, lr_growth=0.1),
        Recipe(epochs=2, batch_size=3, lr=1e-3, anchor=300.0),
        Recipe(epochs=2, batch_size=3, lr=1e-3, settle=False),
    ]
    together = networks([0, 0, 0])
    alone = copy.deepcopy(together)
    fit_together(together, train, validation, recipes, seed=5)
    for network, other, recipe in zip(together, alone, recipes, strict=True):
        fit(other, train, validation, recipe, seed=5)
        like(network, other, exactly=shape == ODD)
    # and they are not without effect
    firsts = [network.encoder.blocks[0][0].weight for network in together]
    assert not any(torch.equal(one, other) for one, other in ((firsts[0], firsts[1]), (firsts[1], firsts[2])))


def test_the_order_of_the_others_does_not_matter():
    train, validation = data(EVEN)
    first, second = networks(range(3)), networks(range(3))
    fit_together(first, train, validation, RECIPES[:3], seed=1)
    fit_together(second[::-1], train, validation, RECIPES[:3][::-1], seed=1)
    for one, other in zip(first, second, strict=True):
        like(one, other, exactly=False)


def test_augmentation_is_the_same_for_all_and_for_one_alone():
    train, validation = data(EVEN)
    recipes = [Recipe(epochs=2, batch_size=3, lr=lr, augmentation=preset("standard")) for lr in (1e-2, 1e-3)]
    together = networks(range(2))
    alone = copy.deepcopy(together)
    fit_together(together, train, validation, recipes, seed=5)
    for network, other, recipe in zip(together, alone, recipes, strict=True):
        fit(other, train, validation, recipe, seed=5)
        like(network, other, exactly=False)


def test_one_that_diverges_costs_the_others_nothing():
    train, validation = data(EVEN)
    recipes = [Recipe(epochs=3, batch_size=3, lr=lr) for lr in (1e-3, 1e30, 1e-2)]
    together = networks(range(3))
    alone = copy.deepcopy(together)
    histories = fit_together(together, train, validation, recipes, seed=5)
    assert histories[0].error is histories[2].error is None
    assert "lr 1e+30" in str(histories[1].error)
    for place in (0, 2):
        fit(alone[place], train, validation, recipes[place], seed=5)
        like(together[place], alone[place], exactly=False)


def test_one_that_stops_early_leaves_the_others_going():
    train, validation = data(EVEN)
    recipes = [Recipe(epochs=6, batch_size=3, lr=0.0, patience=1), Recipe(epochs=6, batch_size=3, lr=1e-3, patience=6)]
    histories = fit_together(networks([0, 1]), train, validation, recipes, seed=5)
    assert histories[0].epochs < 6
    assert histories[1].epochs == 6


@pytest.mark.parametrize("name", SHARED)
def test_what_networks_share_must_be_alike(name):
    other = {"epochs": 2, "batch_size": 2, "micro_batch": 1, "augmentation": preset("light")}[name]
    recipes = [Recipe(), AnyRecipe(**{name: other})]
    assert not same_batches(*recipes)
    train, validation = data(EVEN)
    with pytest.raises(InputError, match=f"the same .*{name}"):
        fit_together(networks([0, 1]), train, validation, recipes, seed=0)


def test_the_first_block_is_shared_where_it_can_be(monkeypatch):
    used = []
    original = module.share_first_block
    monkeypatch.setattr(module, "share_first_block", lambda *given: used.append(original(*given)) or used[-1])
    for shape, shared in ((EVEN, True), (ODD, False)):
        used.clear()
        train, validation = data(shape)
        fit_together(networks([0, 1]), train, validation, [Recipe(epochs=1, batch_size=3)] * 2, seed=0)
        assert all((each is not None) == shared for each in used)
        assert used


def test_heads_on_features_are_trained_together_too():
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(12, 4)).astype(np.float32)
    labels = {"age": inputs[:, 0] * 2.0}
    train, validation = (
        Examples(inputs, rows, {"age": labels["age"][rows]}) for rows in (np.arange(8), np.arange(8, 12))
    )
    together = [Network(Identity(4), [AGE]) for _ in range(3)]
    alone = copy.deepcopy(together)
    recipes = [Recipe(epochs=5, lr=lr) for lr in (0.1, 0.01, 0.001)]
    fit_together(together, train, validation, recipes, seed=0)
    for network, other, recipe in zip(together, alone, recipes, strict=True):
        fit(other, train, validation, recipe, seed=0)
        like(network, other, exactly=True)


def test_bfloat16_together_is_bfloat16_alone():
    train, validation = data(EVEN)
    together = networks(range(2))
    alone = copy.deepcopy(together)
    recipes = [Recipe(epochs=1, batch_size=6, lr=lr) for lr in (1e-3, 1e-2)]
    with using(Engine(device="cpu", precision="bfloat16")):
        found = fit_together(together, train, validation, recipes, seed=5)
        for other, recipe, history in zip(alone, recipes, found, strict=True):
            expected = fit(other, train, validation, recipe, seed=5)
            assert history.table[0]["train_loss"] == pytest.approx(expected.table[0]["train_loss"], rel=0.02)


def test_how_many_are_trained_together():
    small, large = SFCN(width=0.125), SFCN()
    assert most_together(small, 8, (40, 48, 40)) > most_together(large, 8, (40, 48, 40)) >= 1
    assert most_together(small, 8, (40, 48, 40)) > most_together(small, 8, (80, 96, 80))
    assert most_together(large, 8, (160, 192, 160)) == 1
    for shape in ((41, 48, 40), (40, 48, 41), (5,), ()):
        assert most_together(small, 8, shape) == 1
    assert most_together(Identity(3), 8, (40, 48, 40)) == 1


def test_on_a_gpu_they_are_trained_one_by_one(monkeypatch):
    monkeypatch.setattr(module, "current", lambda: type("Chosen", (), {"device": torch.device("cuda")}))
    assert most_together(SFCN(width=0.125), 8, (40, 48, 40)) == 1
