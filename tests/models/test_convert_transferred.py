"""Converted networks in the strategies: as they are they predict as their authors read them; new heads are plain ones."""

import numpy as np
import pytest
import torch

from neurotransfer.cohort import Split
from neurotransfer.models.convert import convert
from neurotransfer.models.network import Network
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.transfer import fit_setting, get_strategy, predict_rows, whole_network
from neurotransfer.transfer.source import make_source
from published_networks import HIGHEST_UKB, of_many_gpus, peng_network, scans

SHAPE, N = (32, 34, 33), 12
SPLIT = Split(np.arange(8), np.arange(8, N), np.array([], int))
AGE = Target("age", "continuous", unit="years")
AGES = 50 + 2.5 * np.arange(N)


@pytest.fixture(scope="module")
def volumes():
    return np.concatenate([scans(SHAPE, 1, seed) / (1 + seed % 4) for seed in range(N)])


@pytest.fixture(scope="module")
def peng():
    return peng_network(shape=SHAPE, seed=7)


@pytest.fixture
def model(peng, tmp_path):
    torch.save(of_many_gpus(peng), tmp_path / "run.p")
    return convert(tmp_path / "run.p", "sfcn-ukb-age")


def source_of(strategy, model):
    return make_source(get_strategy(strategy), model=model, grid=model.card.input, target=AGE)


def features_of(model, volumes):
    with torch.no_grad():
        return model.network.encoder(torch.from_numpy(volumes)[:, None]).numpy()


def test_transferred_as_it_is_predicts_the_mean_of_the_bins(model, peng, volumes):
    source = source_of("transferred", model)
    fitted = fit_setting(source, features_of(model, volumes), AGE, AGES, SPLIT, {}, Recipe(), 0)
    found, _ = predict_rows(fitted, features_of(model, volumes), np.arange(N))
    with torch.no_grad():
        chance = peng(torch.from_numpy(volumes)[:, None] * HIGHEST_UKB).exp().numpy()
    np.testing.assert_allclose(found, chance @ np.arange(42.5, 82), rtol=1e-4)
    assert np.ptp(found) > 0.1
    whole = whole_network(source, fitted)
    assert whole.targets["age"] == model.card.targets[0]


def test_a_new_head_on_features_that_stand_still_is_plain(model, volumes):
    source = source_of("frozen", model)
    fitted = fit_setting(source, features_of(model, volumes), AGE, AGES, SPLIT, {"penalty": 1.0}, Recipe(), 0)
    target = whole_network(source, fitted).targets["age"]
    assert (target.reading, target.levels, target.limits, target.n_outputs) == ("value", (), None, 1)


def test_everything_can_be_trained_from_the_published_weights(model, volumes):
    before = {name: value.clone() for name, value in model.network.encoder.state_dict().items()}
    recipe = Recipe(epochs=2, batch_size=4, lr=1e-3)
    fitted = fit_setting(source_of("finetuned", model), volumes, AGE, AGES, SPLIT, {}, recipe, 0)
    assert isinstance(fitted.network, Network)
    assert fitted.network.targets["age"].reading == "value"
    encoder = fitted.network.encoder
    assert encoder.blocks[0].unit == HIGHEST_UKB
    assert not torch.equal(encoder.blocks[0][0].weight, before["blocks.0.0.weight"])
    # the model itself stays what it was
    assert all(torch.equal(value, before[name]) for name, value in model.network.encoder.state_dict().items())
    found, _ = predict_rows(fitted, volumes, np.arange(N))
    assert np.isfinite(found).all()


def test_random_weights_in_its_architecture_keep_unit_and_epsilon(model):
    source = source_of("baseline", model)
    assert source.encoder.blocks[0].unit == HIGHEST_UKB
    assert source.encoder.blocks[0][1].eps == 1e-5
    assert not torch.equal(source.encoder.blocks[0][0].weight, model.network.encoder.blocks[0][0].weight)
