"""Model folders: what is saved comes back, and whatever is damaged is refused by an error of ours."""

import errno
import json
import pickle
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from neurotransfer.cohort import Cohort, Grid
from neurotransfer.errors import InterruptedRunError, ModelError, StorageError
from neurotransfer.models import ENCODERS, Card, Model, Network, build_encoder, load_model, save_model
from neurotransfer.models import folder as module
from neurotransfer.models.folder import (
    CARD,
    README,
    REFERENCE,
    SHIPPED,
    WEIGHTS,
    find_model,
    inspected,
    new_folder,
    read_card,
)
from neurotransfer.models.readme import readme_of
from neurotransfer.models.reference import Reference, reference_of
from neurotransfer.targets import Target

ARGUMENTS = {
    "sfcn": {"width": 0.0625, "pooling": "maximum", "dropout": 0.25},
    "sfcn-panel": {"members": 2, "mirrored": True, "width": 0.0625, "joined": 1},
    "tissue": {"voxel_litres": 0.001},
    "voxels": {"shape": [32, 34, 33], "sigma": 1.0, "stride": 4},
    "columns": {"columns": ["left", "right"]},
    "resnet10": {"width": 0.0625, "dropout": 0.25},
    "vit": {"shape": [32, 34, 33], "patch": 16, "channels": 12, "layers": 1, "heads": 2},
}
GRID = Grid((32, 34, 33), 5.25)
TARGETS = (
    Target("age", "continuous", unit="years", weight=0.5, location=51.25, scale=9.5),
    Target("sex", "binary", classes=("F", "M")),
    Target("site.of.scan", "categorical", column="site", classes=("x", "ü", "z")),
    Target("severity", "ordinal", classes=("0", "1", "2")),
)


def made(architecture: str = "sfcn", **values) -> Model:
    """A model whose every number, the running statistics of batch norms too, is a random one."""
    network = Network(build_encoder(architecture, ARGUMENTS[architecture]), TARGETS).eval()
    generator = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        value.copy_(torch.rand(value.shape, generator=generator) + 1)
    grid = None if architecture == "columns" else GRID
    values = {"salt": "00ff", "people": ("a", "b"), "input": grid} | values
    return Model(network, Card("toy", architecture, ARGUMENTS[architecture], TARGETS, **values))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with a model, not to be changed."""
    return save_model(tmp_path_factory.mktemp("kept") / "toy", made())


@pytest.fixture
def folder(tmp_path):
    """A folder with a model, to be damaged."""
    return save_model(tmp_path / "toy", made())


def edit(folder, change) -> None:
    values = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(change(values)))


def test_every_case_is_an_encoder():
    # the whole table is tested in test_encoder_contract.py
    assert set(ARGUMENTS) <= set(ENCODERS)


@pytest.mark.parametrize("architecture", ARGUMENTS)
def test_a_model_comes_back_bit_for_bit(tmp_path, architecture):
    model = made(architecture)
    assert save_model(tmp_path / "deep" / "toy", model) == tmp_path / "deep" / "toy"
    loaded = load_model(str(tmp_path / "deep" / "toy"))
    before, after = model.network.state_dict(), loaded.network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    assert not loaded.network.training
    assert loaded.card == model.card
    assert {path.name for path in (tmp_path / "deep" / "toy").iterdir()} == {CARD, WEIGHTS, README}
    inputs = torch.rand(2, 2) if architecture == "columns" else torch.rand(2, 1, *GRID.shape)
    with torch.no_grad():
        expected, found = model.network(inputs), loaded.network(inputs)
    assert list(found) == [target.name for target in TARGETS]
    assert all(torch.equal(expected[name], found[name]) for name in found)


def test_a_card_comes_back_with_its_types(tmp_path):
    facts = {"seed": 3, "cohorts": [{"name": "a", "n": 2}], "validation": {"loss": 0.125}}
    model = made(
        recipe="other",
        skull_stripped=False,
        intensity_range=(-1.0, 2.5),
        strategy="finetuned",
        provenance=facts,
        licence="CC0",
        citation="Müller 2020",
    )
    card = load_model(save_model(tmp_path / "toy", model)).card
    assert card == model.card
    assert isinstance(card.targets, tuple)
    assert isinstance(card.people, tuple)
    assert isinstance(card.intensity_range, tuple)
    assert isinstance(card.input, Grid)
    assert isinstance(card.input.shape, tuple)
    assert card.targets[2].classes == ("x", "ü", "z")
    assert (card.targets[0].location, card.targets[0].scale, card.targets[0].weight) == (51.25, 9.5, 0.5)


def test_weights_in_another_memory_layout_are_saved(tmp_path):
    model = made()
    model.network.to(memory_format=torch.channels_last_3d)
    after = load_model(save_model(tmp_path / "toy", model)).network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in model.network.state_dict().items())


def test_saving_never_overwrites_a_model(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ModelError, match="a model lies already"):
        save_model(folder, made("tissue"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_in_the_place_of_the_card_is_refused(tmp_path):
    (tmp_path / "toy" / CARD).mkdir(parents=True)
    with pytest.raises(ModelError, match="a model lies already"):
        save_model(tmp_path / "toy", made())
    with pytest.raises(ModelError, match="no model folder"):
        load_model(tmp_path / "toy")


def test_saving_goes_over_what_an_interrupted_save_left(folder):
    (folder / CARD).unlink()
    save_model(folder, made("tissue"))
    assert load_model(folder).card.architecture == "tissue"


@pytest.mark.parametrize("name", ["toy", "x" * 300])
def test_a_folder_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(ModelError, match="no model folder"):
        load_model(tmp_path / name)


def test_a_file_is_no_model_folder(kept):
    with pytest.raises(ModelError, match="no model folder"):
        load_model(kept / WEIGHTS)


def delete(path):
    path.unlink()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def garbage(path):
    path.write_bytes(b"\xff" * 1000)


def lose_a_key(path):
    state = load_file(path)
    save_file({key: value for key, value in state.items() if key != "heads.age.bias"}, path)


def gain_a_key(path):
    save_file(load_file(path) | {"heads.bmi.bias": torch.zeros(1)}, path)


def another_shape(path):
    save_file(load_file(path) | {"heads.age.bias": torch.zeros(2)}, path)


def not_a_number(path):
    save_file(load_file(path) | {"heads.age.bias": torch.full((1,), torch.nan)}, path)


def infinite(path):
    save_file(
        load_file(path) | {"heads.sex.weight": torch.full_like(load_file(path)["heads.sex.weight"], torch.inf)}, path
    )


def one_bit(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGES = [
    delete, one_bit, truncate, empty, garbage, lose_a_key, gain_a_key, another_shape, not_a_number, infinite
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_refused(folder, damage):
    damage(folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"(?s)the weights in .*toy.*(damaged|missing|unexpected|reshaped)") as caught:
        load_model(folder)
    if damage in (lose_a_key, another_shape):
        assert "heads.age.bias" in str(caught.value)
    if damage is gain_a_key:
        assert "1 unexpected (heads.bmi.bias)" in str(caught.value)


def test_new_folder_tries_the_place_first_and_takes_an_empty_folder_away(tmp_path, monkeypatch):
    with (
        pytest.raises(InterruptedRunError, match=r"no model was kept in .*mine.*begins anew"),
        new_folder(tmp_path / "mine"),
    ):
        raise KeyboardInterrupt
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(ValueError, match="x"), new_folder(tmp_path / "mine"):
        raise ValueError("x")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"
    with new_folder(tmp_path / "mine"):
        save_model(tmp_path / "mine", made())
    with pytest.raises(ModelError, match="a model lies already"), new_folder(tmp_path / "mine"):
        pytest.fail("an occupied place was given")


def test_new_folder_refuses_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("neurotransfer.artifacts.tempfile.TemporaryFile", read_only)
    with pytest.raises(StorageError, match=r"cannot write .*Read-only"), new_folder(tmp_path / "mine"):
        pytest.fail("a place that cannot be written was given")


def test_a_card_of_another_network_is_refused(folder):
    edit(folder, lambda card: card | {"arguments": {"width": 0.125}})
    with pytest.raises(ModelError, match=r"(?s)reshaped.*of another network, or damaged"):
        load_model(folder)


@pytest.mark.parametrize("damage", [truncate, empty, garbage])
def test_a_card_that_is_not_json_is_refused(folder, damage):
    damage(folder / CARD)
    with pytest.raises(ModelError, match=r"model\.json"):
        load_model(folder)


@pytest.mark.parametrize("number", [None, 0, 3, 999, "1", True, [], {}])
def test_another_format_is_refused(folder, number):
    edit(folder, lambda card: card | {"format": number})
    with pytest.raises(ModelError, match="not a model card of format 1 to 2"):
        load_model(folder)


KEYS = ["format", *Card.__dataclass_fields__, "weights_sha256", "reference_sha256"]


@pytest.mark.parametrize("key", KEYS)
def test_a_card_that_lacks_a_key_is_refused(folder, key):
    edit(folder, lambda card: {name: value for name, value in card.items() if name != key})
    with pytest.raises(ModelError, match=r"model\.json"):
        load_model(folder)


def test_a_card_with_a_foreign_key_is_refused(folder):
    edit(folder, lambda card: card | {"colour": "blue"})
    with pytest.raises(ModelError, match="colour"):
        load_model(folder)


def test_a_target_with_a_foreign_key_is_refused(folder):
    edit(folder, lambda card: card | {"targets": [card["targets"][0] | {"colour": "blue"}]})
    with pytest.raises(ModelError, match=r"model\.json.*colour"):
        load_model(folder)


@pytest.mark.parametrize("key", ["name", "kind"])
def test_a_target_that_lacks_a_key_is_refused(folder, key):
    edit(folder, lambda card: card | {"targets": [{k: v for k, v in card["targets"][0].items() if k != key}]})
    with pytest.raises(ModelError, match=key):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "resnet"},
        {"architecture": []},
        {"arguments": {"width": -1}},
        {"arguments": {"width": 1e12}},
        {"arguments": {"depth": 1}},
        {"arguments": []},
        {"arguments": None},
        {"input": {"shape": [8, 8, 8], "voxel_size_mm": 4.0}},
        {"input": {"shape": [40, 48, float("nan")], "voxel_size_mm": 4.0}},
        {"input": {"shape": [40, 48, 40]}},
        {"input": {"shape": [40, 48, 40], "voxel_size_mm": None}},
        {"input": []},
        {"input": 4},
        {"targets": [[]]},
        {"targets": [3]},
        {"targets": 3},
        {"targets": [{"name": "age", "kind": "number"}]},
        {"targets": [{"name": "age", "kind": []}]},
        {"targets": [{"name": 3, "kind": "continuous"}]},
        {"targets": [{"name": "age", "kind": "continuous", "scale": "10"}]},
        {"targets": [{"name": "age", "kind": "continuous", "scale": 0}]},
        {"targets": [{"name": "sex", "kind": "binary", "classes": 2}]},
        {"targets": [{"name": "sex", "kind": "binary", "classes": ["F", "F"]}]},
        {"targets": [TARGETS[0].to_dict()] * 2},
        {"people": 3},
        {"people": [3]},
        {"intensity_range": [0]},
        {"intensity_range": [1, 0]},
        {"intensity_range": ["a", 1]},
        {"intensity_range": None},
        {"provenance": []},
        {"name": None},
        {"name": "../toy"},
        {"name": "a/b"},
        {"name": "a\\b"},
        {"name": ".."},
        {"name": ""},
        {"name": "a\nb"},
        {"images": [3]},
        {"images": 3},
        {"preparation": []},
        {"salt": 3},
    ],
    ids=str,
)
def test_a_card_with_a_wrong_value_is_refused(folder, change):
    edit(folder, lambda card: card | change)
    with pytest.raises(ModelError):
        load_model(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 50) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from([None, *KEYS]), value=JSON)
def test_random_json_in_a_card_loads_or_is_refused(kept, key, value):
    values = json.loads((kept / CARD).read_text())
    folder = kept.parent / "fuzzed"
    folder.mkdir(exist_ok=True)
    (folder / WEIGHTS).write_bytes((kept / WEIGHTS).read_bytes())
    (folder / CARD).write_text(json.dumps(value if key is None else values | {key: value}))
    try:
        model = load_model(folder)
    except ModelError:
        return
    assert key is not None
    model.card.overlap(Cohort("a", pd.DataFrame({"participant_id": ["p"]})))


def full_of_safetensors(state, path):
    path.write_bytes(b"half")
    raise SafetensorError("Error while serializing: IoError(Os { ... }): No space left on device (os error 28)")


def full_of_the_system(state, path):
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fail", [full_of_safetensors, full_of_the_system])
def test_a_full_disk_leaves_no_model(tmp_path, monkeypatch, fail):
    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(StorageError, match="no space left"):
        save_model(tmp_path / "toy", made())
    assert not list((tmp_path / "toy").iterdir())
    monkeypatch.undo()
    save_model(tmp_path / "toy", made())
    load_model(tmp_path / "toy")


def test_another_failure_of_safetensors_is_not_taken_for_a_full_disk(tmp_path, monkeypatch):
    def fail(state, path):
        raise SafetensorError("something else")

    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(SafetensorError, match="something else"):
        save_model(tmp_path / "toy", made())
    assert not list((tmp_path / "toy").iterdir())


def test_a_disk_that_fills_before_the_card_leaves_no_card(tmp_path, monkeypatch):
    def fail(path, value):
        raise StorageError("no space left")

    monkeypatch.setattr(module, "write_json", fail)
    with pytest.raises(StorageError):
        save_model(tmp_path / "toy", made())
    assert not (tmp_path / "toy" / CARD).exists()


@pytest.mark.parametrize("name", ["file", "file/toy", "x" * 300])
def test_a_place_that_cannot_hold_a_folder_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        save_model(tmp_path / name, made())


def test_numbers_that_half_the_space_does_not_hold_are_refused(tmp_path):
    model = made()
    next(model.network.parameters()).data[0] = 7e4
    with pytest.raises(ModelError, match="largest of 16 bits"):
        save_model(tmp_path / "half", model, half=True)
    assert not (tmp_path / "half").exists()
    assert save_model(tmp_path / "whole", model).is_dir()


@pytest.mark.parametrize("architecture", ["sfcn", "sfcn-panel"])
def test_half_of_the_space_costs_three_digits(tmp_path, architecture):
    model = made(architecture)
    whole, half = save_model(tmp_path / "whole", model), save_model(tmp_path / "half", model, half=True)
    assert (half / WEIGHTS).stat().st_size < 0.7 * (whole / WEIGHTS).stat().st_size
    found = load_model(half).network.state_dict()
    for name, value in model.network.state_dict().items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-6)


def test_a_folder_of_one_s_own_goes_before_a_shipped_model_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside = find_model("sim-base")
    assert inside.parent.name == "shipped"
    (tmp_path / "sim-base").mkdir()
    # a folder that holds no model hides nothing
    assert find_model("sim-base") == inside
    save_model(tmp_path / "sim-base", made())
    assert find_model("sim-base") == Path("sim-base")
    assert load_model("sim-base").card.name == "toy"


def test_a_name_that_is_neither_is_told_what_comes_along():
    with pytest.raises(ModelError, match="sim-base"):
        load_model("sim-bass")
    assert SHIPPED == ("sim-base",)


# --- what a whole folder says of itself


def test_every_tensor_is_reported(kept):
    model, report = inspected(kept)
    assert set(report.loaded) == set(model.network.state_dict())
    assert report.is_whole
    assert report.text == f"{len(report.loaded)} loaded"


def test_weights_that_are_not_numbers_are_not_saved(tmp_path):
    model = made()
    next(model.network.parameters()).data[0] = torch.nan
    with pytest.raises(ModelError, match=r"1 unusable \(encoder.blocks.0.0.weight\)"):
        save_model(tmp_path / "toy", model)
    assert not (tmp_path / "toy").exists()


def test_a_card_is_read_without_its_weights(folder):
    (folder / WEIGHTS).unlink()
    assert read_card(folder) == made().card
    with pytest.raises(ModelError, match="no model folder"):
        read_card(folder.parent)


def test_a_readme_lies_beside_the_weights(folder):
    text = (folder / README).read_text(encoding="utf-8")
    assert text == readme_of(made().card)
    # it is for people: nothing reads it
    (folder / README).unlink()
    load_model(folder)


def reference(n_features: int = 4) -> Reference:
    random = np.random.default_rng(0)
    held_out = np.arange(60) >= 40
    return reference_of(random.normal(size=(60, n_features)), random.random((60, 22)), held_out)


def test_a_reference_comes_back(tmp_path):
    model = replace(made(), reference=reference())
    folder = save_model(tmp_path / "toy", model)
    found = load_model(folder).reference
    expected = model.reference.to_arrays()
    assert {name: value.tolist() for name, value in found.to_arrays().items()} == {
        name: value.tolist() for name, value in expected.items()
    }
    rows = np.random.default_rng(1).normal(size=(5, 4))
    np.testing.assert_allclose(found.features.strangeness(rows), model.reference.features.strangeness(rows), rtol=1e-4)


@pytest.mark.parametrize("damage", [delete, one_bit, truncate, empty, garbage])
def test_a_damaged_reference_is_refused(tmp_path, damage):
    folder = save_model(tmp_path / "toy", replace(made(), reference=reference()))
    damage(folder / REFERENCE)
    with pytest.raises(ModelError, match=r"reference numbers in .*toy.* damaged.*copy the model folder again"):
        load_model(folder)


def test_a_reference_of_another_kind_is_refused(tmp_path):
    folder = save_model(tmp_path / "toy", replace(made(), reference=reference()))
    arrays = load_file(folder / REFERENCE)
    save_file({name: value for name, value in arrays.items() if name != "n"}, folder / REFERENCE)
    edit(folder, lambda card: card | {"reference_sha256": sha256((folder / REFERENCE).read_bytes()).hexdigest()})
    with pytest.raises(ModelError, match="the arrays are not n"):
        load_model(folder)


# --- what somebody may put into a folder to do harm


class Exploit:
    """Writes a file when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (Path.write_text, (self.place, "this ran"))


@pytest.mark.parametrize("write", [
    lambda exploit, path: path.write_bytes(pickle.dumps(exploit)),
    lambda exploit, path: torch.save({"heads.age.bias": exploit}, path),
    lambda exploit, path: torch.save(exploit, path, _use_new_zipfile_serialization=False),
    lambda exploit, path: np.save(path.with_suffix(".npy"), np.array([exploit], object), allow_pickle=True),
])  # fmt: skip
def test_code_in_a_pickle_does_not_run(folder, tmp_path, write):
    proof = tmp_path / "proof.txt"
    write(Exploit(proof), folder / WEIGHTS)
    if (folder / "weights.npy").exists():
        (folder / "weights.npy").replace(folder / WEIGHTS)
    # it would: this is how others load models
    pickle.loads(pickle.dumps(Exploit(proof)))
    assert proof.read_text() == "this ran"
    proof.unlink()
    with pytest.raises(ModelError, match="absent or damaged"):
        load_model(folder)
    assert not proof.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_bits_that_flip_and_files_that_end_early_are_refused(kept, place, bit, cut):
    folder = kept.parent / "flipped"
    folder.mkdir(exist_ok=True)
    content = bytearray((kept / WEIGHTS).read_bytes())
    # half of the places in the header, where shapes and offsets are
    where = int(place * (len(content) if bit % 2 else 600))
    content = content[:where] if cut else content[:where] + bytes([content[where] ^ 1 << bit]) + content[where + 1 :]
    (folder / WEIGHTS).write_bytes(content)
    (folder / CARD).write_bytes((kept / CARD).read_bytes())
    with pytest.raises(ModelError):
        load_model(folder)


def test_a_card_of_the_first_format_is_still_read(folder):
    """As the first versions wrote it: a grid, no images, no reference."""

    def old(card):
        kept = {key: value for key, value in card.items() if key not in ("input", "images", "reference_sha256")}
        return kept | {"format": 1, "grid": card["input"]}

    edit(folder, old)
    assert load_model(folder).card == made().card
    edit(folder, lambda card: {key: value for key, value in card.items() if key != "preparation"})
    assert load_model(folder).card == made().card


def test_a_readme_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / README).write_text("# My notes of ten years")
    with (
        pytest.raises(ModelError, match=r"has a README.md of its own.*give another --out"),
        new_folder(tmp_path / "toy"),
    ):
        pytest.fail("it was fitted")
    with pytest.raises(ModelError, match=r"has a README.md of its own"):
        save_model(tmp_path / "toy", made())
    assert (tmp_path / "toy" / README).read_text() == "# My notes of ten years"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\tb"])
def test_a_model_that_could_not_be_read_again_is_not_saved(tmp_path, name):
    with pytest.raises(ModelError, match="cannot be the name of a model"):
        save_model(tmp_path / "toy", replace(made(), card=replace(made().card, name=name)))
    assert not (tmp_path / "toy").exists()
