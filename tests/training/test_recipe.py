"""Recipes: what they hold, and everything that cannot be, said at once."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.training import Recipe
from neurotransfer.training.augment import preset
from neurotransfer.training.recipe import _RANGES, _WHOLE

WRONG = {
    "epochs": [0, -1, 1.5], "batch_size": [0, 2.5], "micro_batch": [-1, 0.5], "lr": [-1e-3, float("nan"), float("inf")],
    "weight_decay": [-1, float("inf")], "patience": [0, 0.5], "warm_up": [-0.5, float("nan")], "ema": [-0.1, 1.0],
    "layer_decay": [-0.1, 1.1],
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
