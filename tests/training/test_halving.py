"""Who goes on in successive halving; trainings that are paused, dropped, or have nobody to choose their epoch."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.models import SFCN
from neurotransfer.models.network import Identity, Network, seeded
from neurotransfer.targets import Target
from neurotransfer.training import Checkpoint, Examples, Recipe, Training, fit, fit_together
from neurotransfer.training.augment import preset
from neurotransfer.training.halving import best_third, rungs

AGE = Target("age", "continuous")


def line(n=20, seed=0):
    """Features with a linear relation to a label: 12 to learn from, 8 to choose by."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(n, 5)).astype(np.float32)
    labels = inputs @ np.array([1.0, -2, 0, 0.5, 0]) + 0.1 * generator.normal(size=n)
    return [Examples(inputs, rows, {"age": labels[rows]}) for rows in (np.arange(12), np.arange(12, n))]


def heads(n=1):
    made = []
    for seed in range(n):
        with seeded(seed):
            made.append(Network(Identity(5), [AGE]))
    return made


def same(first, second):
    found, expected = first.state_dict(), second.state_dict()
    return all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ([30] * 2, [[4, 4], [10, 10]]),
        ([9], [[1], [3]]),
        ([10], [[2], [4]]),
        ([4], [[1], [2]]),
        ([3], [[1]]),
        ([2], [[1]]),
        ([1], []),
        ([1, 1], []),
        ([1, 30], [[1, 4], [1, 10]]),
        ([30, 90, 3], [[4, 10, 1], [10, 30, 1]]),
        ([], []),
    ],
)
def test_rungs_are_a_ninth_and_a_third_of_ones_own_epochs(epochs, expected):
    assert rungs(epochs) == expected


@given(epochs=st.lists(st.integers(1, 200), min_size=1, max_size=6))
def test_rungs_are_distinct_rise_and_come_before_the_end(epochs):
    found = [*rungs(epochs), epochs]
    for one, other in pairwise(found):
        assert one != other
        assert all(1 <= low <= high for low, high in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3.0, 1.0, 2.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0], [0, 1, 2]),
        ([3.0, 1.0, 2.0, 4.0], [1, 2]),
        ([1.0, 1.0, 1.0], [0]),
        ([2.0, 1.0], [1]),
        ([2.0], [0]),
        ([np.nan, np.inf, 5.0], [2]),
        ([np.nan, np.inf], [0]),
        ([np.nan, -1.0, -np.inf], [1]),
        ([], []),
    ],
)
def test_the_third_with_the_least_losses_goes_on(losses, expected):
    assert best_third(dict(enumerate(losses))) == expected


@given(
    losses=st.dictionaries(st.integers(0, 20), st.floats(-3, 3) | st.just(float("nan")), max_size=12),
    seed=st.integers(0, 5),
)
def test_nobody_who_goes_on_is_worse_than_anybody_who_does_not(losses, seed):
    kept = best_third(losses)
    assert len(kept) == -(-len(losses) // 3)
    known = {place: loss if np.isfinite(loss) else np.inf for place, loss in losses.items()}
    left = [known[place] for place in losses if place not in kept]
    assert all(known[place] <= min(left, default=np.inf) for place in kept)
    order = np.random.default_rng(seed).permutation(list(losses)).tolist()
    assert best_third({place: losses[place] for place in order}) == kept


LIVELY = Recipe(epochs=4, batch_size=3, lr=1e-2, warm_up=1.5, ema=0.5, augmentation=preset("light"), patience=9)


def test_a_training_that_is_paused_ends_as_one_that_runs_through():
    """With everything that has a state: moving average, warm-up, augmentation, dropout, batch norm, batches."""
    generator = np.random.default_rng(0)
    volumes, labels = generator.random((8, 32, 32, 33), np.float32), generator.normal(size=8)
    train, validation = (Examples(volumes, rows, {"age": labels[rows]}) for rows in (np.arange(6), np.arange(6, 8)))
    with seeded(0):
        through = [Network(SFCN(width=0.0625, dropout=0.5), [AGE])]
    paused, other = copy.deepcopy(through), copy.deepcopy(through)
    expected = fit_together(through, train, validation, [LIVELY], seed=3)[0]
    one = Training(paused, train, validation, [LIVELY], seed=3)
    another = Training(other, train, validation, [LIVELY], seed=4)
    for epoch in (1, 1, 3, None):
        one.until(epoch)
        another.until(epoch)
        torch.rand(5)
    history = one.end()[0]
    assert same(paused[0], through[0])
    assert history.table == expected.table
    assert not same(other[0], through[0])
    assert not paused[0].training


def test_a_training_goes_as_far_as_it_is_told_to():
    train, validation = line()
    training = Training(heads(), train, validation, [Recipe(epochs=5, patience=9)], seed=0)
    for epoch, done in ((2, 2), (1, 2), (4, 4), (99, 5), (None, 5)):
        training.until(epoch)
        assert training.histories[0].epochs == done
        assert training.is_going(0) == (done < 5)


def test_who_is_dropped_keeps_its_best_epoch_and_the_others_go_on():
    train, validation = line()
    recipes = [Recipe(epochs=9, lr=lr, patience=9) for lr in (0.5, 0.05, 0.01)]
    networks, alone, short = heads(3), heads(3), heads(3)
    training = Training(networks, train, validation, recipes, seed=1)
    training.until(4)
    training.drop(0)
    assert [training.is_going(place) for place in range(3)] == [False, True, True]
    training.until()
    histories = training.end()
    assert [history.epochs for history in histories] == [4, 9, 9]
    for place in (1, 2):
        fit(alone[place], train, validation, recipes[place], seed=1)
        assert same(networks[place], alone[place])
    first = Training(short[:1], train, validation, recipes[:1], seed=1)
    first.until(4)
    assert first.end()[0].best_epoch == histories[0].best_epoch
    assert same(networks[0], short[0])
    assert histories[0].error is None


def test_patience_ends_a_training_that_is_paused():
    train, validation = line()
    training = Training(heads(), train, validation, [Recipe(epochs=9, lr=0.0, patience=2)], seed=0)
    training.until(2)
    assert training.is_going(0)
    training.until()
    assert training.histories[0].epochs == 3
    assert not training.is_going(0)


def test_a_paused_training_goes_on_from_its_checkpoint(tmp_path):
    train, validation = line()
    recipe, (through,), (begun,), (again,) = Recipe(epochs=6, lr=0.05), heads(), heads(), heads()
    fit(through, train, validation, recipe, seed=2)
    first = Training([begun], train, validation, [recipe], seed=2, checkpoint=Checkpoint(tmp_path / "fit"))
    first.until(3)
    rest = Training([again], train, validation, [recipe], seed=2, checkpoint=Checkpoint(tmp_path / "fit"))
    assert rest.histories[0].epochs == 3
    rest.until()
    rest.end()
    assert same(again, through)


@pytest.mark.parametrize("ema", [0.0, 0.7])
def test_without_validation_the_last_epoch_is_kept(ema):
    """As with people to choose by who find the last epoch best."""
    train, _ = line()
    recipe, rows = Recipe(epochs=6, lr=0.05, batch_size=4, ema=ema, patience=1), []
    (network,), (judged,) = heads(), heads()
    history = fit(network, train, None, recipe, seed=5, on_epoch=lambda row, found: rows.append((row, found)))
    expected = fit(judged, train, train, Recipe(epochs=6, lr=0.05, batch_size=4, ema=ema, patience=6), seed=5)
    assert expected.best_epoch == history.best_epoch == history.epochs == 6
    assert same(network, judged)
    assert np.isnan(history.best_loss)
    assert [row["train_loss"] for row in history.table] == [row["train_loss"] for row in expected.table]
    assert all(np.isnan(row["validation_loss"]) and found == {} for row, found in rows)


def test_without_validation_a_divergence_is_an_error():
    train, _ = line()
    history = fit_together(heads(), train, None, [Recipe(epochs=3, lr=1e30)], seed=0)[0]
    assert "the loss became" in str(history.error)


def test_nobody_to_choose_by_is_said_and_not_left_empty():
    train, validation = line()
    for rows, others in ((12, 0), (0, 8)):
        some = [Examples(part.inputs, part.rows[:n], {"age": part.labels["age"][:n]})
                for part, n in ((train, rows), (validation, others))]  # fmt: skip
        with pytest.raises(InputError, match=f"{rows} for training and {others} for validation"):
            Training(heads(), *some, [Recipe()], seed=0)
    with pytest.raises(InputError, match="0 for training and 0 for validation"):
        fit(heads()[0], Examples(train.inputs, train.rows[:0], {"age": np.zeros(0)}), None, Recipe(), seed=0)


@pytest.mark.parametrize(
    ("recipe", "epochs", "expected"),
    [
        (Recipe(epochs=30, patience=10), 4, Recipe(epochs=4, patience=10)),
        (Recipe(epochs=30, patience=2), 20, Recipe(epochs=20, patience=20)),
        (Recipe(epochs=30, warm_up=5.0), 3, Recipe(epochs=3, warm_up=3)),
        (Recipe(epochs=3, warm_up=1.5, lr=0.1), 9, Recipe(epochs=9, warm_up=1.5, lr=0.1)),
    ],
)
def test_a_recipe_for_just_so_many_epochs(recipe, epochs, expected):
    assert recipe.lasting(epochs) == expected
