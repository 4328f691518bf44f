"""Pretraining from a table of scans to a model folder, and what is refused before the long part begins."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from neurotransfer.cohort import Cohort, Grid, holdout_split, read_cohort, store_volumes
from neurotransfer.errors import (
    ImageError,
    InputError,
    InterruptedRunError,
    ModelError,
    NeurotransferError,
    StorageError,
)
from neurotransfer.models import load_model
from neurotransfer.pretrain import Pretraining, pretrain
from neurotransfer.pretrain import run as module
from neurotransfer.seeding import stream
from neurotransfer.statistics.metrics import scores
from neurotransfer.training import Examples, Recipe, masked_loss, outputs

GRID = Grid((32, 38, 32), 192 / 38)
OPTIONS = Pretraining(
    grid=GRID, arguments={"width": 0.0625, "pooling": "maximum"}, recipe=Recipe(epochs=3, lr=3e-2), seed=4
)
MISSING_AGE, MISSING_SEX = slice(0, 40, 5), slice(2, 40, 7)


def rewritten(table, folder, change):
    """A copy of a cohort table, beside it so that its images are found, with some of its values changed."""
    values = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
    change(values)
    path = table.parent / f"{folder.name}.tsv"
    values.to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture(scope="module")
def people(tiny_cohort, tmp_path_factory) -> Cohort:
    """The tiny cohort without the ages of some and the sexes of others."""

    def change(values):
        values.loc[values.index[MISSING_AGE], "age"] = "n/a"
        values.loc[values.index[MISSING_SEX], "sex"] = ""

    return read_cohort(rewritten(tiny_cohort, tmp_path_factory.mktemp("gaps"), change), targets=["age", "sex"])


@pytest.fixture(scope="module")
def volumes(people, tmp_path_factory):
    return store_volumes(tmp_path_factory.mktemp("store"), people, GRID)


@pytest.fixture
def stored(monkeypatch, volumes):
    """Volumes that are made once and not by every pretraining of this file."""
    monkeypatch.setattr(module, "store_volumes", lambda *_, **__: volumes)


@pytest.fixture
def no_fit(monkeypatch):
    """The long part must not begin."""

    def fail(*_, **__):
        pytest.fail("something was trained")

    monkeypatch.setattr(module, "fit", fail)
    monkeypatch.setattr(module, "store_volumes", fail)


@pytest.fixture(scope="module")
def made(people, tmp_path_factory):
    """A pretrained model: the folder, what was returned, and the rows that `on_epoch` was given."""
    folder, rows = tmp_path_factory.mktemp("pretrained") / "ours", []
    model = pretrain(people, ["age", "sex"], folder, OPTIONS, on_epoch=rows.append)
    return folder, model, rows


def parts(people, seed=OPTIONS.seed):
    return holdout_split(people.participants, 0.2, stream(seed, "pretrain", "holdout"))


def test_the_table_has_a_row_an_epoch_with_losses_and_scores(made):
    folder, _, rows = made
    table = pd.read_csv(folder / "training.tsv", sep="\t", na_values=["n/a"])
    assert table["epoch"].tolist() == [1, 2, 3]
    losses = ["train_loss", "validation_loss", "validation_loss_age", "validation_loss_sex"]
    assert {*losses, "age_mae", "sex_auc"} <= set(table.columns)
    assert np.isfinite(table[losses].to_numpy()).all()
    np.testing.assert_allclose(table["validation_loss"], table["validation_loss_age"] + table["validation_loss_sex"])
    pd.testing.assert_frame_equal(table, pd.DataFrame(rows), check_dtype=False)


def test_what_is_returned_is_what_is_saved(made):
    folder, model, _ = made
    loaded = load_model(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "model.json",
        "reference.safetensors",
        "training.json",
        "training.tsv",
        "weights.safetensors",
    ]
    assert loaded.card == replace(model.card, provenance=loaded.card.provenance)
    assert loaded.card.provenance == json.loads(json.dumps(model.card.provenance))
    before, after = model.network.state_dict(), loaded.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_model_saved_is_that_of_the_best_epoch(made, people, volumes):
    folder, _, rows = made
    model = load_model(folder)
    _, validation = parts(people)
    labels = {target.name: people.labels(target)[validation] for target in model.card.targets}
    found = outputs(model.network, volumes, validation)
    loss, _ = masked_loss(
        {name: torch.from_numpy(value) for name, value in found.items()},
        {name: torch.from_numpy(value).float() for name, value in labels.items()},
        model.network.targets,
    )
    best = min(rows, key=lambda row: row["validation_loss"])
    assert best["epoch"] < len(rows), "choose a recipe whose last epoch is not its best: else this shows nothing"
    facts = model.card.provenance
    assert float(loss) == pytest.approx(best["validation_loss"], rel=1e-5)
    assert facts["validation"]["validation_loss"] == best["validation_loss"]
    assert facts["best_epoch"] == best["epoch"]
    for name, target in model.network.targets.items():
        known = ~np.isnan(labels[name])
        expected = scores(target.kind, labels[name][known], *target.decode(found[name][known]))
        for score, value in expected.items():
            assert facts["validation"].get(f"{name}_{score}", math.nan) == pytest.approx(value, rel=1e-4, nan_ok=True)


def test_the_card_says_how_the_model_was_made(made, people):
    card = load_model(made[0]).card
    train, validation = parts(people)
    assert (card.name, card.architecture, card.input) == ("ours", "sfcn", GRID)
    assert card.arguments == OPTIONS.arguments
    assert card.strategy == "pretrained"
    assert card.provenance["seed"] == 4
    assert card.provenance["recipe"] == vars(OPTIONS.recipe)
    assert (card.provenance["n_train_images"], card.provenance["n_validation_images"]) == (len(train), len(validation))
    assert len(train) + len(validation) == len(people)
    assert card.provenance["cohorts"] == [
        {"name": "people", "alignment": "world", "n_images": 50, "n_participants": 40}
    ]
    assert card.overlap(people) == set(people.participants)
    assert not [person for person in people.participants if person in (made[0] / "model.json").read_text()]


def test_age_is_standardised_by_the_known_ages_of_the_training_part_alone(made, people):
    train, _ = parts(people)
    age, sex = load_model(made[0]).card.targets
    known = pd.to_numeric(people.table["age"], errors="coerce").to_numpy(float)[train]
    assert np.isnan(known).any()
    assert age.location == pytest.approx(np.nanmean(known))
    assert age.scale == pytest.approx(np.nanstd(known))
    assert (sex.kind, sex.location, sex.scale) == ("binary", 0.0, 1.0)


@pytest.mark.usefixtures("stored")
def test_the_same_seed_makes_the_same_weights_and_another_seed_others(made, people, tmp_path):
    first = made[1].network.state_dict()
    torch.manual_seed(99)
    np.random.default_rng().random()
    again = pretrain(people, ["age", "sex"], tmp_path / "again", OPTIONS).network.state_dict()
    one = replace(OPTIONS, recipe=Recipe(epochs=1), seed=5)
    other = pretrain(people, ["age", "sex"], tmp_path / "other", one).network.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["encoder.blocks.0.0.weight"], other["encoder.blocks.0.0.weight"])


@pytest.mark.usefixtures("stored")
def test_pretraining_leaves_the_random_numbers_of_the_caller(people, tmp_path):
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    pretrain(people, ["age"], tmp_path / "m", replace(OPTIONS, recipe=Recipe(epochs=1)))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.usefixtures("stored")
def test_a_weight_of_zero_leaves_the_head_as_it_was(people, tmp_path, monkeypatch):
    fit, started = module.fit, {}

    def spy(network, *arguments, **options):
        started.update({key: value.clone() for key, value in network.state_dict().items()})
        return fit(network, *arguments, **options)

    monkeypatch.setattr(module, "fit", spy)
    options = replace(OPTIONS, weights={"age": 0}, recipe=Recipe(epochs=1, lr=3e-3))
    model = pretrain(people, ["age", "sex"], tmp_path / "m", options)
    ended = model.network.state_dict()
    assert torch.equal(started["heads.age.weight"], ended["heads.age.weight"])
    assert torch.equal(started["heads.age.bias"], ended["heads.age.bias"])
    assert not torch.equal(started["heads.sex.weight"], ended["heads.sex.weight"])
    row = model.card.provenance["validation"]
    assert row["validation_loss"] == pytest.approx(row["validation_loss_sex"])
    assert [target.weight for target in load_model(tmp_path / "m").card.targets] == [0, 1]


@pytest.mark.usefixtures("stored")
def test_a_column_with_a_dot_in_its_name_can_be_learnt(people, tmp_path):
    table = people.table.assign(**{"volume.left": np.arange(len(people)) * 0.5})
    cohort = replace(people, table=table)
    pretrain(cohort, ["volume.left"], tmp_path / "m", replace(OPTIONS, recipe=Recipe(epochs=1)))
    assert list(load_model(tmp_path / "m").network.targets) == ["volume.left"]


@pytest.mark.parametrize("seed", range(8))
def test_no_participant_is_in_both_parts(people, tmp_path, monkeypatch, seed):
    found = []

    class Stop(Exception):  # noqa: N818
        pass

    def spy(network, train, validation, *_, **__):
        found.extend([train, validation])
        raise Stop

    split, splits = module.holdout_split, []

    def spied(*arguments, **options):
        splits.append(split(*arguments, **options))
        return splits[-1]

    monkeypatch.setattr(module, "fit", spy)
    monkeypatch.setattr(module, "holdout_split", spied)
    monkeypatch.setattr(module, "store_volumes", lambda *_, **__: np.zeros((len(people), 1)))
    with pytest.raises(Stop):
        pretrain(people, ["age", "sex"], tmp_path / "m", replace(OPTIONS, seed=seed))
    train, validation = found
    assert len(splits) == 1
    assert isinstance(train, Examples)
    np.testing.assert_array_equal(train.rows, splits[0][0])
    np.testing.assert_array_equal(validation.rows, splits[0][1])
    assert sorted([*train.rows, *validation.rows]) == list(range(len(people)))
    assert not set(people.participants[train.rows]) & set(people.participants[validation.rows])
    for part in found:
        for target in module.infer_target("age", people.table), module.infer_target("sex", people.table):
            np.testing.assert_array_equal(part.labels[target.name], people.labels(target)[part.rows])


def test_some_people_come_twice(people):
    assert people.n_participants < len(people)


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "no target"),
        ((), "no target"),
        (["shoe_size"], "unknown target column 'shoe_size'"),
        (["age", "shoe_size"], "shoe_size"),
        (["agee"], "did you mean 'age'"),
        (["age", "age"], "'age' is given twice"),
        (["nothing"], "no value at all"),
        (["same"], "only the value '3'"),
    ],
)
def test_wrong_targets_are_refused_before_training(people, tmp_path, targets, message):
    cohort = replace(people, table=people.table.assign(nothing=np.nan, same=3))
    with pytest.raises(InputError, match=message):
        pretrain(cohort, targets, tmp_path / "m", OPTIONS)
    assert not (tmp_path / "m").exists()


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("part", [0, 1])
def test_a_target_without_labels_in_one_part_is_refused_before_training(people, tmp_path, part):
    values = np.arange(len(people), dtype=float)
    values[parts(people)[part]] = np.nan
    cohort = replace(people, table=people.table.assign(bmi=values))
    with pytest.raises(InputError, match="no label of bmi in the training or in the validation part"):
        pretrain(cohort, ["age", "bmi"], tmp_path / "m", OPTIONS)


@pytest.mark.usefixtures("no_fit")
def test_a_target_that_is_missing_for_all_is_refused_by_the_table(tiny_cohort, tmp_path):
    path = rewritten(tiny_cohort, tmp_path, lambda values: values.__setitem__("age", "n/a"))
    with pytest.raises(NeurotransferError, match="age"):
        pretrain(read_cohort(path), ["age"], tmp_path / "m", OPTIONS)


@pytest.mark.usefixtures("no_fit")
def test_a_model_that_lies_there_is_never_overwritten(made, people):
    before = {path.name: path.read_bytes() for path in made[0].iterdir()}
    with pytest.raises(ModelError, match="a model lies already"):
        pretrain(people, ["age"], made[0], OPTIONS)
    assert {path.name: path.read_bytes() for path in made[0].iterdir()} == before


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("name", ["file", "file/m", "x" * 300])
def test_a_place_that_cannot_hold_a_model_is_refused_before_training(people, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        pretrain(people, ["age"], tmp_path / name, OPTIONS)


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet"}, "unknown architecture"),
        ({"architecture": "columns", "arguments": {"columns": ["age"]}}, "takes no volumes"),
        ({"arguments": {"depth": 3}}, "does not take"),
        ({"arguments": {"width": 0}}, "width"),
        ({"validation_fraction": 0.0}, "validation fraction"),
        ({"validation_fraction": 1.0}, "validation fraction"),
        ({"validation_fraction": 0.001}, "validation fraction"),
        ({"weights": {"agee": 2.0}}, "did you mean 'age'"),
        ({"weights": {"age": -1.0}}, "0 or more"),
        ({"weights": {"age": math.nan}}, "0 or more"),
        ({"weights": {"age": math.inf}}, "0 or more"),
    ],
)
def test_wrong_options_are_refused_before_training(people, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        pretrain(people, ["age"], tmp_path / "m", replace(OPTIONS, **change))


@pytest.mark.usefixtures("stored")
def test_a_loss_that_is_never_finite_is_an_error_of_ours(people, tmp_path):
    options = replace(OPTIONS, recipe=Recipe(epochs=1, lr=1e30))
    with pytest.raises(InputError, match="smaller lr"):
        pretrain(people, ["age", "sex"], tmp_path / "m", options)
    assert not (tmp_path / "m" / "model.json").exists()


@pytest.mark.usefixtures("stored")
def test_training_ends_early_when_the_validation_loss_does_not_fall(people, tmp_path):
    rows = []
    options = replace(OPTIONS, recipe=Recipe(epochs=4, lr=0.0, patience=1))
    model = pretrain(people, ["sex"], tmp_path / "m", options, on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert model.card.provenance["best_epoch"] == 1


def test_images_are_read_before_the_fit_and_once_for_all_tries(people, tmp_path, monkeypatch):
    """So that one that has gone bad costs no fit, and several processes do not wait for one."""
    calls, real = [], module.image_hashes
    monkeypatch.setattr(module, "image_hashes", lambda *arguments: (calls.append(1), real(*arguments))[1])

    def stop(*_, **__):
        assert calls
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fit", stop)
    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            pretrain(people, ["age"], tmp_path / "m", OPTIONS)
    assert len(calls) == 1
    kept = json.loads((tmp_path / "m" / "images.json").read_text())
    assert len(kept["hashes"]) == len(people)
    monkeypatch.undo()
    model = pretrain(people, ["age"], tmp_path / "m", OPTIONS)
    assert sorted(kept["hashes"]) == list(model.card.images)
    assert (model.card.salt, (tmp_path / "m" / "images.json").exists()) == (kept["salt"], False)


def test_a_bad_image_leaves_no_folder(people, tmp_path, monkeypatch):
    def bad(*_):
        raise ImageError("cannot read it")

    monkeypatch.setattr(module, "image_hashes", bad)
    with pytest.raises(ImageError):
        pretrain(people, ["age"], tmp_path / "m", OPTIONS)
    assert not (tmp_path / "m").exists()
