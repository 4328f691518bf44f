"""Recipes: what they hold, and everything that cannot be, said at once."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.training import Recipe
from neurotransfer.training.augment import preset
from neurotransfer.training.examples import batches
from neurotransfer.training.recipe import _RANGES, _WHOLE

WRONG = {
    "epochs": [0, -1, 1.5], "batch_size": [0, 2.5], "micro_batch": [-1, 0.5], "lr": [-1e-3, float("nan"), float("inf")],
    "weight_decay": [-1, float("inf")], "patience": [0, 0.5], "warm_up": [-0.5, float("nan")], "ema": [-0.1, 1.0],
    "layer_decay": [-0.1, 1.1], "steps": [-1, 0.5], "lr_growth": [-2.1, 2.1, float("nan")], "settle": [2, 0.5, -1],
    "head_first": [-1, 0.5], "anchor": [-0.1, float("inf")], "early_stopping": [2, 0.5, -1],
}  # fmt: skip


def test_every_number_of_a_recipe_has_a_range():
    numbers = {field.name for field in fields(Recipe) if field.name not in ("learned_weights", "augmentation")}
    assert numbers == set(_RANGES) == set(WRONG)
    assert set(_WHOLE) <= numbers


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_cannot_be_is_refused_by_name_with_what_can(name, value):
    with pytest.raises(InputError, match=f"{name} is") as error:
        Recipe(**{name: value})
    assert _RANGES[name][2] in str(error.value)


def test_all_problems_come_in_one_message():
    with pytest.raises(InputError) as error:
        Recipe(**{name: values[0] for name, values in WRONG.items()})
    assert all(f"{name} is" in str(error.value) for name in WRONG)


def test_a_warm_up_longer_than_the_training_is_refused():
    with pytest.raises(InputError, match="longer than the training"):
        Recipe(epochs=2, warm_up=3)


def test_heads_first_leave_room_for_the_warm_up():
    assert Recipe(epochs=4, head_first=4).head_first == 4
    with pytest.raises(
        InputError, match=r"head_first \(3 epochs\), with warm_up \(2\), is longer than the training \(4"
    ):
        Recipe(epochs=4, warm_up=2, head_first=3)


@given(n=st.integers(1, 500), batch_size=st.integers(1, 64), steps=st.integers(1, 2000), epochs=st.integers(1, 100),
       patience=st.integers(1, 100), warm_up=st.floats(0, 0.5), head=st.floats(0, 0.5))  # fmt: skip
def test_steps_are_whole_epochs_of_as_many_and_no_more_than_one_above(
    n, batch_size, steps, epochs, patience, warm_up, head
):
    recipe = Recipe(
        epochs, batch_size, patience=patience, warm_up=warm_up * epochs, head_first=int(head * epochs), steps=steps
    )
    found = recipe.on(n)
    an_epoch = len(batches(n, batch_size, np.random.default_rng(0)))
    assert steps <= found.epochs * an_epoch < steps + an_epoch
    # what comes with the epochs keeps its share of them
    share = found.epochs / epochs
    assert found.warm_up <= warm_up * epochs * share + 1e-9
    assert abs(found.head_first - recipe.head_first * share) <= 0.5
    assert patience * share - 1e-9 <= found.patience < patience * share + 1 + 1e-9
    # what is resolved stays so, also for other images
    assert (found.steps, found.on(n), found.on(3 * n)) == (0, found, found)


@pytest.mark.parametrize(("growth", "n", "lr"), [(0.5, 400, 2e-3), (1, 50, 5e-4), (-1, 50, 2e-3), (0.5, 100, 1e-3)])
def test_the_rate_grows_with_the_images(growth, n, lr):
    found = Recipe(lr=1e-3, lr_growth=growth).on(n)
    assert found.lr == pytest.approx(lr)
    assert found.on(n) == found.on(9) == found
    assert Recipe(lr=1e-3).on(n) == Recipe(lr=1e-3)


def test_a_training_of_so_many_epochs_has_no_other_length():
    found = Recipe(epochs=30, steps=1000, head_first=5, warm_up=4.0, patience=2).lasting(7)
    assert (found.epochs, found.steps, found.head_first, found.warm_up, found.patience) == (7, 0, 5, 2, 7)
    assert Recipe(head_first=5).lasting(2).head_first == 2


def test_what_early_checkpoints_do_not_know_is_left_out_where_it_is_off():
    early = {"epochs", "batch_size", "lr", "weight_decay", "patience", "warm_up", "micro_batch", "ema", "layer_decay",
             "learned_weights", "augmentation"}  # fmt: skip
    assert set(Recipe().facts) == early
    assert set(Recipe(anchor=0.1, settle=False).facts) == early | {"anchor", "settle"}
    assert set(Recipe(early_stopping=False).facts) == early | {"early_stopping"}


@given(
    epochs=st.integers(1, 1000), batch_size=st.integers(1, 512), lr=st.floats(0, 10), ema=st.floats(0, 0.9999),
    layer_decay=st.floats(0, 1), warm_up=st.floats(0, 1),
)  # fmt: skip
def test_everything_in_range_is_taken(epochs, batch_size, lr, ema, layer_decay, warm_up):
    recipe = Recipe(epochs, batch_size, lr, warm_up=warm_up, ema=ema, layer_decay=layer_decay)
    assert recipe == Recipe(**{field.name: getattr(recipe, field.name) for field in fields(Recipe)})


def test_without_flips_everything_else_stays():
    plain, augmented = Recipe(), Recipe(augmentation=preset("standard"))
    assert plain.without_flip() is plain
    assert augmented.without_flip().augmentation == preset("standard").without_flip()
    assert augmented.without_flip().augmentation != augmented.augmentation
    assert augmented.without_flip().epochs == augmented.epochs
