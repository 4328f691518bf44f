"""Models that come with the package: small, free, made by the committed study, and the same numbers for ever."""

import json
from pathlib import Path

import numpy as np
import pytest

from neurotransfer.models.folder import SHIPPED, WEIGHTS, find_model, load_model
from neurotransfer.pretrain.study import parse_simulated_study, read_simulated_study
from neurotransfer.simulate.synthesis import Heads
from neurotransfer.training import features, outputs

STUDIES = Path(__file__).resolve().parents[2] / "studies"


@pytest.fixture(scope="module", params=SHIPPED)
def model(request):
    return load_model(request.param)


@pytest.fixture(scope="module")
def heads(model):
    return Heads(model.card.input, seed=20_000_000).make(range(12))


def test_a_shipped_model_is_small_and_free(model):
    folder = find_model(model.card.name)
    assert (folder / WEIGHTS).stat().st_size < 8 * 2**20
    assert model.card.licence == "BSD-3-Clause"
    assert model.card.citation
    assert model.card.provenance["people"] == "none: simulated heads alone"
    assert not model.card.people


def test_its_card_holds_the_committed_study(model):
    committed = read_simulated_study(STUDIES / f"{model.card.name.replace('-', '_')}.toml")
    assert parse_simulated_study(model.card.provenance["study"]) == committed


def test_no_path_of_a_machine_is_in_the_folder(model):
    for path in find_model(model.card.name).iterdir():
        if path.suffix != ".safetensors":
            text = path.read_text(encoding="utf-8")
            assert not any(place in text for place in ("/home", "/root", "/tmp", "/work", "sub-"))


def test_heads_of_the_panel_know_what_they_learnt(model, heads):
    """Simulated heads that nobody has seen: the pretraining's targets are read off them."""
    from neurotransfer.simulate.measures import measure

    found = outputs(model.network, heads.volumes[:, 0].numpy(), np.arange(12))
    truth = measure(heads, ["volumes", "contrast", "age"])
    correlations = [
        np.corrcoef(target.decode(found[target.name])[0], truth[target.name])[0, 1]
        for target in model.card.targets
        if target.name in truth and np.isfinite(truth[target.name]).all()
    ]
    assert np.median(correlations) > 0.8
    ages = next(target for target in model.card.targets if target.name == "age").decode(found["age"])[0]
    assert np.corrcoef(ages, truth["age"])[0, 1] > 0.6


def test_golden_features(model, heads):
    golden = json.loads((Path(__file__).parent / f"golden_{model.card.name}.json").read_text())
    found = features(model.network.encoder, heads.volumes[:, 0].numpy(), np.arange(2))
    assert found.shape[1] == golden["n_features"]
    np.testing.assert_allclose(found[:, golden["places"]], golden["values"], rtol=2e-3, atol=2e-3)
