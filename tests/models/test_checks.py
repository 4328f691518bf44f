"""No volume meets a network unchecked."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import Cohort, Grid
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.cohort.volumes import AS_PREPARED, RECIPE
from neurotransfer.errors import ModelError, NeurotransferError
from neurotransfer.models.card import Card
from neurotransfer.models.checks import check_volumes, require_preparation, require_volumes
from neurotransfer.targets import Target

GRID = Grid((32, 34, 33), 5.25)
SMALL = replace(RECIPES["freesurfer-fsl"].contract, shape=(32, 34, 33))


def card_of(taken=GRID, **values) -> Card:
    return Card("toy", "sfcn", {}, (Target("age", "continuous"),), taken, **values)


def test_volumes_that_fit_pass():
    card = card_of()
    for dtype in (np.float16, np.float32, np.float64):
        volumes = np.random.default_rng(0).random((3, *GRID.shape)).astype(dtype)
        volumes[0, 0, 0, :2] = 0, 1
        assert check_volumes(card, volumes) is None
    check_volumes(card, np.zeros((0, *GRID.shape), np.float32))


@pytest.mark.parametrize("shape", [(2, 32, 33, 34), (32, 34, 33), (2, 1, 32, 34, 33), (2, 32, 34, 32), (2,), ()])
def test_volumes_of_another_shape_are_refused(shape):
    with pytest.raises(ModelError, match=r"takes volumes of shape \(32, 34, 33\) at 5.25 mm"):
        check_volumes(card_of(), np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 4])
def test_values_out_of_range_are_refused(value, row):
    volumes = np.zeros((5, *GRID.shape), np.float32)
    volumes[row, 3, 3, 3] = value
    with pytest.raises(ModelError, match="values from 0 to 1"):
        check_volumes(card_of(), volumes)


def test_the_range_is_that_of_the_card():
    volumes = np.full((1, *GRID.shape), 100.0, np.float32)
    check_volumes(replace(card_of(), intensity_range=(0.0, 255.0)), volumes)


def test_a_model_of_columns_takes_no_volumes():
    with pytest.raises(NeurotransferError, match="columns of a table"):
        check_volumes(card_of(None), np.zeros((1, *GRID.shape), np.float32))


@pytest.mark.parametrize("recipe", ["grid-0", "grid-2", AS_PREPARED])
def test_volumes_that_another_version_makes_are_refused(recipe):
    with pytest.raises(ModelError, match=f"takes volumes of recipe {recipe!r}, this version makes 'grid-1'"):
        require_volumes(card_of(recipe=recipe))
    with pytest.raises(ModelError, match="this version makes"):
        check_volumes(card_of(recipe=recipe), np.zeros((1, *GRID.shape), np.float32))


def test_a_model_of_what_a_recipe_leaves_names_the_recipe():
    card = card_of(SMALL, recipe=AS_PREPARED)
    assert check_volumes(card, np.full((2, 32, 34, 33), 0.5, np.float32)) is None
    with pytest.raises(ModelError, match="as recipe 'freesurfer-fsl' makes them"):
        check_volumes(card, np.zeros((2, 32, 34, 34), np.float32))
    with pytest.raises(ModelError, match="takes volumes of recipe 'grid-1', this version makes 'as-prepared-1'"):
        require_volumes(card_of(SMALL, recipe=RECIPE))


FACTS = {name: RECIPES[name].facts() for name in RECIPES}


@pytest.mark.parametrize("known", ["", *RECIPES])
@pytest.mark.parametrize("found", ["", *RECIPES])
def test_scans_of_another_recipe_are_refused_and_what_is_not_known_passes(known, found):
    cohort = Cohort("a", pd.DataFrame({"participant_id": ["p"]}), preparation=FACTS.get(found, {}))
    card = card_of(preparation=FACTS.get(known, {}))
    if known == found or "" in (known, found):
        assert require_preparation(card, cohort) is None
        return
    with pytest.raises(ModelError, match=f"knows scans prepared by recipe {known}.* --recipe {known}` on the raw"):
        require_preparation(card, cohort)
