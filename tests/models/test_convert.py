"""Converted networks give the numbers of the networks that they were converted from, for every kind, format and size."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import ModelError
from neurotransfer.models import load_model, save_model
from neurotransfer.models.checks import check_volumes
from neurotransfer.models.conversions import KINDS
from neurotransfer.models.convert import convert, converted
from neurotransfer.models.published import RELEASES
from published_networks import (
    HIGHEST_UKB,
    KERAS,
    NARROW,
    WIDE,
    keras_network,
    keras_outputs,
    of_many_gpus,
    peng_network,
    scans,
    write_keras_2,
)

DATA = Path(__file__).parents[1] / "data"
FIXTURES = DATA / "tensorflow"
# the second leaves 2 x 1 x 3 voxels to the last pooling
ODD, LONG = (33, 47, 41), (65, 33, 99)
RELATIVE = 1e-4
UKB = {"sfcn-ukb-age": 40, "sfcn-ukb-sex": 2}
UKB_SEX_FILTERS = (28, 58, 128, 256, 256, 64)

pytest.importorskip("keras")
pytest.importorskip("h5py")


def predictions(model, volumes):
    """What a model of ours predicts for volumes (n, x, y, z), 0 to 1, as (n, n_targets), the heads in their order."""
    with torch.no_grad():
        outputs = model.network(torch.from_numpy(volumes)[:, None])
    return np.column_stack([target.decode(outputs[name].numpy())[0] for name, target in model.network.targets.items()])


def assert_equal(found, expected, *, varied=True):
    """Equal up to a relative error: that of a target whose value is near zero for one scan is by its values for the others."""
    expected = np.asarray(expected, float)
    scale = np.abs(expected).max(0)
    assert (np.abs(found - expected) <= RELATIVE * scale).all(), np.abs(found - expected) / scale
    # numbers that are all alike would be equal whatever the network saw
    assert not varied or np.ptp(expected, axis=0).max() > 10 * RELATIVE * scale.max()


def written(network, path, form):
    """Weights of a Keras network in one of the forms that Keras has had."""
    if form == "keras-3":
        network.save_weights(path := path.with_suffix(".weights.h5"), overwrite=True)
    elif form == "numbered":
        network.save_weights(path := path.with_suffix(".weights.h5"), overwrite=True)
        import h5py

        # as Keras 2.13 to 2.15 wrote it: the layers are numbered, and nothing says their names
        with h5py.File(path, "a") as file:
            file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    else:
        write_keras_2(
            network, path := path.with_suffix(".h5"), "model_weights" if form == "whole" else None, form != "flat"
        )
    return path


# --- Keras


@pytest.mark.parametrize(
    ("kind", "shape"), [(kind, ODD) for kind in KERAS] + [("sfcn-reg-2022", LONG), ("multi-2025", LONG)]
)
def test_a_network_of_keras_gives_the_same_numbers_for_an_odd_size(kind, shape, tmp_path):
    network = keras_network(kind, seed=3)
    model = convert(written(network, tmp_path / "weights", "keras-2"), kind)
    volumes = scans(shape, n=3)
    assert_equal(predictions(model, volumes), keras_outputs(kind, network, volumes))


@pytest.mark.parametrize("form", ["keras-2", "flat", "whole", "keras-3", "numbered"])
@pytest.mark.parametrize("kind", ["sfcn-reg-2022", "multi-2025"])
def test_every_form_of_a_file_gives_the_same_numbers(form, kind, tmp_path):
    shape = (32, 34, 38)
    network = keras_network(kind, seed=4)
    found = converted(written(network, tmp_path / "weights", form), kind)
    volumes = scans(shape, seed=1)
    assert_equal(predictions(found.model, volumes), keras_outputs(kind, network, volumes))
    assert found.report.is_whole
    assert found.ignored == ()


@pytest.mark.parametrize("n_ranks", [91, 92])
def test_the_number_of_ranks_is_that_of_the_file(n_ranks, tmp_path):
    network = keras_network("sfcn-rank-2022", seed=5, n_ranks=n_ranks)
    model = convert(written(network, tmp_path / "weights", "keras-2"), "sfcn-rank-2022")
    volumes = scans(ODD, n=3, seed=6)
    assert_equal(predictions(model, volumes), keras_outputs("sfcn-rank-2022", network, volumes))
    target = model.card.targets[0]
    assert target.levels == tuple(range(3, 3 + n_ranks + 1))


def test_the_limits_of_an_age_are_reached_and_kept(tmp_path):
    network = keras_network("sfcn-reg-2022", seed=3)
    volumes = scans(ODD)
    for bias, age in ((-1e4, 3.0), (1e4, 95.0)):
        head = network.get_layer("sfcn-reg_predictions")
        head.set_weights([head.get_weights()[0], np.array([bias])])
        model = convert(written(network, tmp_path / "weights", "keras-2"), "sfcn-reg-2022")
        assert (keras_outputs("sfcn-reg-2022", network, volumes) == age).all()
        assert (predictions(model, volumes) == age).all()


def test_another_epsilon_axis_order_or_pooling_would_be_seen(tmp_path):
    network = keras_network("sfcn-reg-2022", seed=3)
    model = convert(written(network, tmp_path / "weights", "keras-2"), "sfcn-reg-2022")
    volumes = scans(ODD, n=1)
    expected = keras_outputs("sfcn-reg-2022", network, volumes)
    assert (
        abs(predictions(model, volumes.transpose(0, 3, 2, 1).copy()) - expected).max() > 10 * RELATIVE * expected.max()
    )
    for norm in (module for module in model.network.modules() if isinstance(module, torch.nn.BatchNorm3d)):
        assert norm.eps == 1e-3
        norm.eps = 1e-5
    assert abs(predictions(model, volumes) - expected).max() > 10 * RELATIVE * expected.max()
    other, volumes = keras_network("multi-2025", seed=3), scans(LONG, n=1)
    model = convert(written(other, tmp_path / "other", "keras-2"), "multi-2025")
    model.network.encoder.pooling = "average"
    assert not np.allclose(predictions(model, volumes), keras_outputs("multi-2025", other, volumes), rtol=1e-2)


def test_heads_find_their_targets_by_name_in_whatever_order_they_come(tmp_path):
    import h5py

    network = keras_network("multi-2025", seed=8)
    path = written(network, tmp_path / "weights", "keras-3")
    with h5py.File(path, "a") as file:
        file.move("layers/dense", "layers/first")
        file.move("layers/dense_3", "layers/dense")
        file.move("layers/first", "layers/dense_3")
    volumes = scans(ODD)
    assert_equal(predictions(convert(path, "multi-2025"), volumes), keras_outputs("multi-2025", network, volumes))


# --- what TensorFlow itself wrote


@pytest.fixture(scope="module")
def drawn():
    sys.path.insert(0, str(DATA))
    import make_tensorflow_fixtures

    sys.path.remove(str(DATA))
    return make_tensorflow_fixtures.volumes()


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("multi-2025", "multi-2025.index"),
        ("multi-2025", "multi-2025.data-00000-of-00001"),
        ("multi-2025", "multi-2025"),
        ("reg-2025", "reg-2025.index"),
        ("sfcn-reg-2022", "sfcn-reg-2022.h5"),
    ],
)
def test_files_of_tensorflow_give_what_tensorflow_gave(kind, file, drawn):
    found = converted(FIXTURES / file, kind)
    expected = np.load(FIXTURES / f"{kind}.npz")["outputs"]
    assert_equal(predictions(found.model, drawn), expected)
    assert found.is_published is False
    trained = kind == "reg-2025"
    assert bool(found.ignored) == trained
    assert all(name.startswith(("optimizer", "save_counter")) for name in found.ignored)


# --- PyTorch


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", UKB)
def test_a_network_of_peng_gives_the_same_numbers(kind, legacy, tmp_path):
    shape = (64, 96, 65)
    filters = NARROW if kind == "sfcn-ukb-age" else (3, 2, 4, 3, 2, 5)
    network = peng_network(UKB[kind], filters, shape, seed=7)
    torch.save(of_many_gpus(network), tmp_path / "run.p", _use_new_zipfile_serialization=not legacy)
    found = converted(tmp_path / "run.p", kind)
    volumes = scans(shape, n=3)
    with torch.no_grad():
        chance = network(torch.from_numpy(volumes)[:, None] * HIGHEST_UKB).exp().numpy()
    expected = chance @ np.arange(42.5, 82) if kind == "sfcn-ukb-age" else chance[:, 1]
    assert_equal(predictions(found.model, volumes)[:, 0], expected)
    assert found.model.card.arguments == {
        "pooling": "average", "epsilon": 1e-5, "unit": 20.0, "filters": list(filters)
    }  # fmt: skip
    assert found.model.network.encoder.blocks[0][1].num_batches_tracked == 1234


def test_the_spread_is_that_of_the_bins_of_peng(tmp_path):
    network = peng_network(shape=(64, 64, 64), seed=7)
    torch.save(of_many_gpus(network), tmp_path / "run.p")
    model = convert(tmp_path / "run.p", "sfcn-ukb-age")
    volumes = scans((64, 64, 64), n=3)
    with torch.no_grad():
        outputs = model.network(torch.from_numpy(volumes)[:, None])["age"].numpy()
        chance = network(torch.from_numpy(volumes)[:, None] * HIGHEST_UKB).exp().numpy()
    centres = np.arange(42.5, 82)
    variance = chance @ centres**2 - (chance @ centres) ** 2
    np.testing.assert_allclose(model.card.targets[0].spread(outputs), np.sqrt(variance), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("wrapped", ["", "state_dict", "model"])
def test_a_state_may_lie_in_a_checkpoint_without_the_prefix_of_many_gpus(wrapped, tmp_path):
    network = peng_network(shape=(32, 32, 32), seed=2)
    state = network.state_dict()
    optimiser = {"state": {0: {"momentum_buffer": torch.ones(2)}}}
    torch.save({wrapped: state, "optimizer": optimiser, "epoch": 3} if wrapped else state, tmp_path / "run.pt")
    found = converted(tmp_path / "run.pt", "sfcn-ukb-age")
    assert found.ignored == (("optimizer/state/0/momentum_buffer",) if wrapped else ())
    volumes = scans((32, 32, 32))
    with torch.no_grad():
        expected = network(torch.from_numpy(volumes)[:, None] * HIGHEST_UKB).exp().numpy() @ np.arange(42.5, 82)
    assert_equal(predictions(found.model, volumes)[:, 0], expected)


# --- the card


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_says_all_and_a_folder_gives_the_same_numbers(kind, tmp_path):
    path = small_file(kind, tmp_path)
    found = converted(path, kind)
    card, release, row = found.model.card, RELEASES[kind], KINDS[kind]
    assert card.input == RECIPES[row.recipe].contract
    assert card.preparation["Recipe"] == row.recipe
    assert (card.licence, card.citation) == (release.licence, release.citation)
    facts = card.provenance
    assert facts["page"] == release.page
    assert facts["kind"] == kind
    assert {"torch", "numpy", "neurotransfer"} <= set(facts["versions"])
    assert [each["name"] for each in facts["files"]] == [path.name]
    assert len(facts["files"][0]["sha256"]) == 64
    assert facts["is_published"] is (False if any(file.is_checked for file in release.files) else None)
    save_model(tmp_path / "model", found.model)
    again = load_model(tmp_path / "model")
    assert again.card == card
    volumes = scans((32, 33, 36))
    np.testing.assert_array_equal(predictions(again, volumes), predictions(found.model, volumes))
    assert release.page in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    json.dumps(facts)


@pytest.mark.parametrize("kind", KINDS)
def test_every_array_of_a_file_is_used_once_and_every_weight_comes_from_one(kind, tmp_path):
    from neurotransfer.models.arrays import read_arrays

    path = small_file(kind, tmp_path)
    found = converted(path, kind)
    assert sorted(found.tensors.values()) == sorted(read_arrays(path))
    left = set(found.model.network.state_dict()) - set(found.tensors)
    assert all(name.endswith("num_batches_tracked") for name in left)
    assert set(found.report.loaded) == set(found.model.network.state_dict())


def test_volumes_of_another_shape_do_not_meet_a_converted_network(tmp_path):
    model = convert(small_file("multi-2025", tmp_path), "multi-2025")
    check_volumes(model.card, np.zeros((1, 224, 192, 224), np.float32))
    with pytest.raises(ModelError, match="fastsurfer"):
        check_volumes(model.card, np.zeros((1, 160, 192, 160), np.float32))


def test_a_file_that_was_published_is_known_by_its_checksum(tmp_path, monkeypatch):
    from dataclasses import replace

    from neurotransfer.models.contents import fingerprint

    path = small_file("sfcn-reg-2022", tmp_path)
    release = RELEASES["sfcn-reg-2022"]
    files = (replace(release.files[0], git_blob=fingerprint(path)[2]),)
    monkeypatch.setitem(RELEASES, "sfcn-reg-2022", replace(release, files=files))
    found = converted(path, "sfcn-reg-2022")
    assert found.is_published is True
    assert found.model.card.provenance["files"][0]["published_as"] == release.files[0].name
    half = tmp_path / "multi-2025.index"
    for name in ("multi-2025.index", "multi-2025.data-00000-of-00001"):
        shutil.copy(FIXTURES / name, tmp_path)
    release = RELEASES["multi-2025"]
    index = replace(release.files[0], git_blob=fingerprint(half)[2])
    monkeypatch.setitem(RELEASES, "multi-2025", replace(release, files=(index, release.files[1])))
    assert converted(half, "multi-2025").is_published is False


def small_file(kind, folder):
    if kind in UKB:
        torch.save(of_many_gpus(peng_network(UKB[kind], NARROW, (32, 32, 32))), folder / "run.p")
        return folder / "run.p"
    return written(keras_network(kind), folder / "weights", "keras-2")


# --- the sizes of the releases


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "shape"), [("sfcn-reg-2022", (167, 212, 160)), ("multi-2025", (224, 192, 224))])
def test_full_size_of_keras(kind, shape, tmp_path):
    network = keras_network(kind, WIDE, seed=1)
    model = convert(written(network, tmp_path / "weights", "keras-2"), kind)
    assert model.card.input.shape == shape
    assert "filters" not in model.card.arguments
    volumes = scans(shape, n=1)
    assert_equal(predictions(model, volumes), keras_outputs(kind, network, volumes), varied=False)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "filters"), [("sfcn-ukb-age", WIDE), ("sfcn-ukb-sex", UKB_SEX_FILTERS)])
def test_full_size_of_peng(kind, filters, tmp_path):
    network = peng_network(UKB[kind], filters, seed=1)
    torch.save(of_many_gpus(network), tmp_path / "run.p")
    model = convert(tmp_path / "run.p", kind)
    volumes = scans(model.card.input.shape, n=1)
    with torch.no_grad():
        chance = network(torch.from_numpy(volumes)[:, None] * HIGHEST_UKB).exp().numpy()
    expected = chance @ np.arange(42.5, 82) if kind == "sfcn-ukb-age" else chance[:, 1]
    assert_equal(predictions(model, volumes)[:, 0], expected, varied=False)
