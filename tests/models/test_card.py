"""Cards: there and back, every format that there was, and what cannot be."""

import json

import pytest

from neurotransfer.cohort import Grid
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import InputError, ModelError
from neurotransfer.models.card import FORMAT, MIGRATIONS, Card, card_from_json, card_to_json, migrated
from neurotransfer.targets import Target

INPUTS = {"grid": Grid((32, 38, 32), 5.0), "none": None} | {name: recipe.contract for name, recipe in RECIPES.items()}
SUMS = {"weights_sha256": "", "reference_sha256": ""}


def card_of(taken):
    from neurotransfer.cohort.contract import Contract
    from neurotransfer.cohort.volumes import AS_PREPARED, RECIPE

    recipe = AS_PREPARED if isinstance(taken, Contract) else RECIPE
    return Card("toy", "sfcn", {"width": 0.5}, (Target("age", "continuous"),), taken, recipe, images=("ff",))


@pytest.mark.parametrize("name", INPUTS)
def test_a_card_comes_back_from_json(name):
    card = card_of(INPUTS[name])
    values = json.loads(json.dumps(card_to_json(card)))
    assert values["format"] == FORMAT
    assert card_from_json(values | SUMS) == card


@pytest.mark.parametrize("name", INPUTS)
def test_a_grid_is_given_where_there_is_one(name):
    card = card_of(INPUTS[name])
    if name == "grid":
        assert card.grid == INPUTS[name]
        return
    said = "columns of a table" if name == "none" else f"scans as recipe '{name}' leaves them"
    with pytest.raises(ModelError, match=f"model 'toy' takes {said}, no volumes on a grid"):
        card.grid  # noqa: B018


def test_there_is_a_way_from_every_format_to_the_newest():
    assert sorted(MIGRATIONS) == list(range(1, FORMAT))


def test_the_first_format_is_brought_up():
    new = card_to_json(card_of(INPUTS["grid"])) | SUMS
    old = {
        key: value for key, value in new.items() if key not in ("input", "images", "reference_sha256", "preparation")
    }
    found = migrated(old | {"format": 1, "grid": new["input"]}, "model.json")
    assert found == new | {"images": []}
    assert migrated(new, "model.json") is new


@pytest.mark.parametrize("number", [0, -1, FORMAT + 1, 1.0, "1", None, True, [1]])
def test_other_formats_are_refused(number):
    with pytest.raises(ModelError, match=r"'model.json' is not a model card of format 1 to 2") as caught:
        migrated({"format": number}, "model.json")
    assert ("update neurotransfer" in str(caught.value)) == (number == FORMAT + 1)
    with pytest.raises(ModelError, match="is not a model card"):
        migrated([number], "model.json")


def test_a_contract_goes_with_its_way_only():
    values = card_to_json(card_of(INPUTS["sfcn-ukb"])) | SUMS
    with pytest.raises(InputError, match="unusable recipe"):
        card_from_json(values | {"recipe": "grid-1"})


def test_all_that_is_wrong_is_said_at_once():
    values = card_to_json(card_of(INPUTS["grid"])) | SUMS
    with pytest.raises(InputError, match="unusable licence, provenance, people, intensity_range"):
        card_from_json(values | {"licence": 3, "provenance": [], "people": [1], "intensity_range": [1, 1]})
    with pytest.raises(InputError, match="no salt, weights_sha256"):
        card_from_json({key: value for key, value in values.items() if key not in ("salt", "weights_sha256")})
