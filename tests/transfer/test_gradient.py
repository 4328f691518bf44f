"""Settings trained in step: who is dropped when, that it costs the others nothing, and that grouping decides nothing."""

import copy
import importlib

import numpy as np
import pytest
import torch

from neurotransfer.models.network import Identity, build_encoder
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, Training
from neurotransfer.training.learner import Learner
from neurotransfer.transfer.gradient import Job, recipe_of, train_jobs
from neurotransfer.transfer.source import Source
from neurotransfer.transfer.strategies import get_strategy

module = importlib.import_module("neurotransfer.transfer.gradient")
loop = importlib.import_module("neurotransfer.training.fit")
AGE = Target("age", "continuous")
RATES = [{"lr": lr} for lr in (0.3, 0.1, 3e-2, 1e-2, 3e-3, 1e-3, 1.0, 1e-4, 1e-5)]
RECIPE = Recipe(epochs=9, batch_size=7, patience=9)


def job(tried=RATES, recipe=RECIPE, n=24, seed=0):
    """Heads on features that stand still, trained as whole networks are: quick, and the same in every group."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(n, 5)).astype(np.float32)
    labels = inputs @ np.array([1.0, -2, 0, 0.5, 0]) + 0.5 * generator.normal(size=n)
    train, validation = (Examples(inputs, rows, {"age": labels[rows]}) for rows in (np.arange(14), np.arange(14, n)))
    source = Source(get_strategy("finetuned"), "identity", {}, Identity(5))
    return Job(source, AGE, tried, [recipe_of(recipe, setting) for setting in tried], train, validation, seed + 7)


def volume_job(recipe, tried=RATES[1:5], side=32, **arguments):
    generator = np.random.default_rng(0)
    volumes, labels = generator.random((8, 32, 32, side), np.float32), generator.normal(size=8)
    train, validation = (Examples(volumes, rows, {"age": labels[rows]}) for rows in (np.arange(6), np.arange(6, 8)))
    arguments = {"width": 0.0625, **arguments}
    source = Source(get_strategy("baseline"), "sfcn", arguments, build_encoder("sfcn", arguments))
    return Job(source, AGE, tried, [recipe_of(recipe, setting) for setting in tried], train, validation, 3)


def together(most, monkeypatch):
    monkeypatch.setattr(module, "most_together", lambda *_: most)


def same(one, other):
    first, second = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(first[name], second[name]) for name in second)


def facts(found):
    return [(each.dropped, each.history.epochs, each.history.best_epoch) for each in found]


@pytest.mark.parametrize(
    ("epochs", "n", "expected"),
    [
        (18, 4, [2] * 2 + [6] + [18]),
        (9, 9, [1] * 6 + [3] * 2 + [9]),
        (3, 9, [1] * 6 + [3] * 3),
        (1, 9, [1] * 9),
        (10, 4, [2] * 2 + [4] + [10]),
        (9, 2, [1, 9]),
        (9, 1, [9]),
    ],
)
def test_as_many_epochs_are_trained_as_the_rungs_say(epochs, n, expected, monkeypatch):
    real, counted = Learner.finish_epoch, {}

    def counting(self, *given):
        counted[id(self)] = counted.get(id(self), 0) + 1
        return real(self, *given)

    monkeypatch.setattr(Learner, "finish_epoch", counting)
    recipe = Recipe(epochs=epochs, batch_size=4, patience=epochs)
    kept = []
    monkeypatch.setattr(module, "Training", lambda *given, **more: kept.append(Training(*given, **more)) or kept[-1])
    found = list(train_jobs([job(RATES[:n], recipe)], halving=True))
    assert sorted(each.history.epochs for each in found) == expected
    assert sorted(counted.values()) == expected
    assert sum(each.dropped for each in found) == sum(each < epochs for each in expected)


def test_those_with_the_least_loss_so_far_go_on():
    found, full = (list(train_jobs([job()], halving=halving)) for halving in (True, False))
    going = list(range(9))
    for epoch, left in ((1, 3), (3, 1)):
        losses = {place: min(row["validation_loss"] for row in full[place].history.table[:epoch]) for place in going}
        going = sorted(sorted(going, key=losses.__getitem__)[:left])
        assert [place for place in range(9) if found[place].history.epochs > epoch] == going
    assert not any(each.dropped for each in full)


@pytest.mark.parametrize("most", [1, 9])
def test_who_goes_on_is_as_in_the_full_search_bit_by_bit(most, monkeypatch):
    together(most, monkeypatch)
    found, full = (list(train_jobs([job()], halving=halving)) for halving in (True, False))
    for one, other in zip(found, full, strict=True):
        assert one.history.table == other.history.table[: one.history.epochs]
        if not one.dropped:
            assert same(one, other)


def test_who_is_dropped_has_the_weights_of_its_best_epoch_so_far():
    task = job()
    found = list(train_jobs([task], halving=True))
    for place, one in enumerate(found):
        networks, training = task.start([place])
        training.until(one.history.epochs)
        training.end()
        for name, value in networks[0].state_dict().items():
            assert torch.equal(value, one.network.state_dict()[name])
        assert not one.network.training


@pytest.mark.parametrize("most", [2, 4, 9])
def test_grouping_decides_nothing(most, monkeypatch):
    expected = list(train_jobs([job()], halving=True))
    together(most, monkeypatch)
    groups = []
    monkeypatch.setattr(
        module, "Training", lambda *given, **more: groups.append(len(given[0])) or Training(*given, **more)
    )
    found = list(train_jobs([job()], halving=True))
    assert max(groups) == most
    assert facts(found) == facts(expected)
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("after", [0, 3])
def test_groups_that_memory_has_no_room_for_are_trained_one_by_one_to_the_same_end(after, monkeypatch):
    """Short at once, or on the way, when some have been dropped already."""
    expected = list(train_jobs([job()], halving=True))
    together(9, monkeypatch)
    original, calls, short = loop.forward_together, [], []

    def forward(learners, given):
        calls.append(len(learners))
        if len(calls) > after and len(learners) > 1:
            short.append(len(learners))
            raise RuntimeError("CUDA out of memory")
        return original(learners, given)

    monkeypatch.setattr(loop, "forward_together", forward)
    found = list(train_jobs([job()], halving=True))
    assert short[0] == (3 if after else 9)
    assert facts(found) == facts(expected)
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    assert all(each.history.notes == [] for each in found)


def test_settings_with_other_epochs_and_batches_are_compared_at_their_own_share():
    tried = [
        {"epochs": 9, "lr": 0.1},
        {"epochs": 27, "lr": 0.1},
        {"epochs": 18, "batch_size": 2},
        {"epochs": 9, "lr": 1e-4},
    ]
    found = list(train_jobs([job(tried)], halving=True))
    full = list(train_jobs([job(tried)]))
    rungs = [(1, 3, 9), (3, 9, 27), (2, 6, 18), (1, 3, 9)]
    assert all(each.history.epochs in its for each, its in zip(found, rungs, strict=True))
    losses = [
        min(row["validation_loss"] for row in each.history.table[: its[0]])
        for each, its in zip(full, rungs, strict=True)
    ]
    passed = [place for place in range(4) if found[place].history.epochs > rungs[place][0]]
    assert passed == sorted(np.argsort(losses)[:2])
    assert sum(not each.dropped for each in found) == 1


def test_patience_stays_and_who_ended_by_it_was_not_dropped():
    recipe = Recipe(epochs=27, batch_size=4, patience=1)
    tried = [{"lr": 0.0}, {"lr": 0.1}, {"lr": 0.03}]
    found = list(train_jobs([job(tried, recipe)], halving=True))
    assert found[0].history.epochs == 2
    assert not found[0].dropped
    assert found[1].history.epochs > 3 or found[2].history.epochs > 3


def test_one_that_diverges_goes_on_before_nobody():
    tried = [{"lr": 1e30}, *RATES[:5]]
    found = list(train_jobs([job(tried)], halving=True))
    assert "lr 1e+30" in str(found[0])
    alone = list(train_jobs([job(RATES[:5])], halving=True))
    assert facts(found[1:]) == facts(alone)


def test_one_that_diverges_after_a_good_beginning_takes_no_place(monkeypatch):
    recipe = Recipe(epochs=18, batch_size=7, patience=18)
    tried = [{"lr": 0.05}, {"lr": 0.1}, {"lr": 0.03}, {"lr": 0.01}]
    full, real = list(train_jobs([job(tried, recipe)])), Learner.loss
    first = [each.history.table[0]["validation_loss"] for each in full]
    assert np.argmin(first) == 1

    def loss(self, *given):
        broken = self.recipe.lr == 0.1 and self.history.epochs == 1
        return real(self, *given) * (np.nan if broken else 1)

    monkeypatch.setattr(Learner, "loss", loss)
    found = list(train_jobs([job(tried, recipe)], halving=True))
    assert "the loss became nan in epoch 2" in str(found[1])
    assert [found[place].history.epochs > 2 for place in (0, 2, 3)] == [True, True, False]


def test_one_that_fails_in_another_way_leaves_other_groups_alone(monkeypatch):
    real = module._network

    def network(source, target, setting, seed):
        if setting["lr"] == RATES[1]["lr"]:
            raise ValueError("planted")
        return real(source, target, setting, seed)

    monkeypatch.setattr(module, "_network", network)
    for halving in (False, True):
        found = list(train_jobs([job()], halving=halving))
        assert [str(each) for each in found if isinstance(each, Exception)] == ["planted"]
        assert any(not each.dropped for each in found if not isinstance(each, Exception))


@pytest.mark.parametrize(
    ("sizes", "seeds", "unlike"), [((20, 20), (1, 6), ([1, 0], [0, 1])), ((16, 40), (5, 2), ([1, 0], [1, 1]))]
)
def test_jobs_decide_together_and_the_larger_one_counts_more(sizes, seeds, unlike):
    """By the mean over all validation rows, where other ways to weigh the two would choose others."""
    jobs = [job(n=n, seed=seed) for n, seed in zip(sizes, seeds, strict=True)]
    found = list(train_jobs(jobs, halving=True))
    assert [each.dropped for each in found[:9]] == [each.dropped for each in found[9:]]
    assert [each.history.epochs for each in found[:9]] == [each.history.epochs for each in found[9:]]
    losses = np.array([each.history.table[0]["validation_loss"] for each in found]).reshape(2, 9)
    passed = [place for place in range(9) if found[place].history.epochs > 1]
    assert passed == sorted(np.argsort((np.array(sizes) - 14) @ losses)[:3])
    for weights in unlike:
        assert passed != sorted(np.argsort(weights @ losses)[:3])


def test_without_halving_a_setting_begins_when_the_one_before_has_ended(monkeypatch):
    begun = []
    monkeypatch.setattr(module, "Training", lambda *given, **more: begun.append(1) or Training(*given, **more))
    coming = train_jobs([job(), job()])
    for place in range(3):
        next(coming)
        assert len(begun) == place + 1


def test_nothing_is_changed_in_what_they_start_from():
    task = job()
    before = copy.deepcopy(task.source.encoder.state_dict())
    list(train_jobs([task], halving=True))
    assert all(torch.equal(value, before[name]) for name, value in task.source.encoder.state_dict().items())


@pytest.mark.parametrize("side", [32, pytest.param(33, marks=pytest.mark.slow)])
def test_networks_on_volumes_are_halved_alike_in_one_group_and_alone(side, monkeypatch):
    recipe = Recipe(epochs=4, batch_size=3, patience=4, warm_up=0.5)
    task = volume_job(recipe, side=side)
    found = list(train_jobs([task], halving=True))
    together(1, monkeypatch)
    alone, full = (list(train_jobs([task], halving=halving)) for halving in (True, False))
    assert sorted(each.history.epochs for each in alone) == [1, 1, 2, 4]
    assert facts(found) == facts(alone)
    for one, each, other in zip(found, alone, full, strict=True):
        for row, its in zip(one.history.table, each.history.table, strict=True):
            assert row["validation_loss"] == pytest.approx(its["validation_loss"], rel=1e-2)
        if not each.dropped:
            # alone it is the same bit by bit; together one matrix product may round in another way
            assert same(each, other)
