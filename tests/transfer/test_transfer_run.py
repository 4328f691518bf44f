"""`transfer` end to end: every strategy from a model folder and a cohort to a model folder that predicts."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import read_cohort
from neurotransfer.errors import ImageError, InputError, ModelError
from neurotransfer.models import load_model, overlap
from neurotransfer.models.card import people_of
from neurotransfer.models.overlap import image_hashes
from neurotransfer.predict import predict
from neurotransfer.training import Recipe
from neurotransfer.transfer import STRATEGIES, get_strategy, settings, transfer
from neurotransfer.transfer import run as run_module

REGIONS = ["hippocampus", "ventricles"]


@pytest.fixture(scope="module")
def cohort(tiny_cohort):
    """The tiny cohort with regional volumes in mm3."""
    found = read_cohort(tiny_cohort)
    noise = np.random.default_rng(0).normal(size=(len(found), 2))
    age = pd.to_numeric(found.table["age"], errors="coerce").fillna(50)
    volumes = {"hippocampus": 4000 - 20 * age + 90 * noise[:, 0], "ventricles": 30000 + 4000 * noise[:, 1]}
    return replace(found, table=found.table.assign(**volumes))


def small_grid(name):
    return {key: values[:1] for key, values in get_strategy(name).grid.items()}


@pytest.mark.parametrize("name", tuple(STRATEGIES))
def test_every_strategy_gives_a_model_that_predicts(name, cohort, tiny_model, tmp_path):
    columns = REGIONS if get_strategy(name).needs_columns else ()
    options = {"grid": small_grid(name), "recipe": Recipe(epochs=1), "columns": columns}
    made = transfer(tiny_model, cohort, "age", name, tmp_path / "m", **options)
    card = load_model(tmp_path / "m").card
    assert card.strategy == name
    assert card.provenance["from"] == "tiny"
    # random weights have seen nobody
    assert made.overlap == (cohort.n_participants if get_strategy(name).knows_more else 0)
    assert (made.drift is None) == (not get_strategy(name).knows_more)
    assert len(card.images) == len(cohort)
    nothing_known = name == "transferred" and load_model(tiny_model).reference is None
    assert (load_model(tmp_path / "m").reference is None) == (nothing_known or bool(columns))
    assert made.validation_scores["mae"] > 0
    table = predict(tmp_path / "m", cohort)
    assert np.isfinite(table["age"]).all()
    assert len(table) == len(cohort)
    if name == "transferred":
        np.testing.assert_allclose(table["age"], predict(tiny_model, cohort)["age"], rtol=1e-5)


def test_no_name_stands_in_a_model(cohort, tiny_model, tmp_path):
    transfer(tiny_model, cohort, "sex", "frozen", tmp_path / "m", grid=small_grid("frozen"), recipe=Recipe(epochs=1))
    text = (tmp_path / "m" / "model.json").read_text()
    assert not any(person in text for person in set(cohort.participants))
    assert len(json.loads(text)["people"]) == cohort.n_participants


def test_the_people_of_the_pretraining_are_remembered(cohort, tiny_model, tmp_path):
    half = cohort.rows(np.arange(len(cohort) // 2))
    others = type(cohort)("others", half.table)
    for name, expected in (("frozen", cohort.n_participants), ("voxels", 0)):
        transfer(tiny_model, others, "age", name, tmp_path / name, grid=small_grid(name), recipe=Recipe(epochs=1))
        card = load_model(tmp_path / name).card
        assert len(card.overlap(cohort)) == expected
        assert len(card.overlap(others)) == others.n_participants


@pytest.fixture
def knows_some(tiny_model, cohort, tmp_path):
    """The tiny model as if it had been trained on the first ten people by name, and on two images of another."""
    model = load_model(tiny_model)
    people = cohort.rows(np.flatnonzero(np.isin(cohort.participants, np.unique(cohort.participants)[:10])))
    salt, hashes = people_of([people])
    images = image_hashes(cohort.rows(np.array([len(cohort) - 1])), salt)
    return replace(model, card=replace(model.card, salt=salt, people=hashes, images=tuple(images)))


def test_those_who_were_seen_are_left_out_when_asked(cohort, knows_some, tmp_path):
    options = {"grid": small_grid("frozen"), "recipe": Recipe(epochs=1)}
    kept = transfer(knows_some, cohort, "age", "frozen", tmp_path / "kept", **options)
    assert kept.overlap == 11
    assert kept.model.card.provenance["cohorts"][0]["n_participants"] == cohort.n_participants
    left = transfer(knows_some, cohort, "age", "frozen", tmp_path / "left", leave_out_seen=True, **options)
    assert left.overlap == 11
    facts = left.model.card.provenance["cohorts"][0]
    assert facts["n_participants"] == cohort.n_participants - 11
    seen = cohort.participants[-1]
    assert facts["n_images"] == len(cohort) - sum(
        person == seen or person in np.unique(cohort.participants)[:10] for person in cohort.participants
    )
    # and they are remembered all the same
    assert set(knows_some.card.people) <= set(left.model.card.people)


def test_a_model_that_has_seen_everybody_leaves_nobody(cohort, tiny_model, tmp_path):
    with pytest.raises(InputError, match="was trained on everybody in cohort"):
        transfer(tiny_model, cohort, "age", "frozen", tmp_path / "m", leave_out_seen=True)
    assert not (tmp_path / "m").exists()


def test_linear_on_regional_volumes(tiny_model, tmp_path):
    generator = np.random.default_rng(0)
    regions = generator.normal(size=(60, 2))
    table = pd.DataFrame({"participant_id": [f"p{index}" for index in range(60)], "hippocampus": regions[:, 0]})
    table["ventricles"], table["age"] = regions[:, 1], 50 + 9 * regions[:, 0]
    table.to_csv(tmp_path / "regions.csv", index=False)
    cohort = read_cohort(tmp_path / "regions.csv", images=False)
    made = transfer(tiny_model, cohort, "age", "linear", tmp_path / "m", columns=["hippocampus", "ventricles"])
    assert made.validation_scores["r"] > 0.99
    assert len(settings(get_strategy("linear"))) == 9
    found = predict(tmp_path / "m", cohort)["age"]
    assert np.corrcoef(found, table["age"])[0, 1] > 0.99
    with pytest.raises(InputError, match="lacks regional columns"):
        transfer(tiny_model, cohort, "age", "linear", tmp_path / "n", columns=["amygdala"])
    with pytest.raises(InputError, match="regional column 'age' is the target itself"):
        transfer(tiny_model, cohort, "age", "linear", tmp_path / "n", columns=["hippocampus", "age"])
    with pytest.raises(InputError, match="strategy 'voxels' takes no columns; leave out hippocampus"):
        transfer(tiny_model, cohort, "age", "voxels", tmp_path / "n", columns=["hippocampus"])
    assert not (tmp_path / "n").exists()


def test_a_perceptron_on_regional_volumes(tiny_model, tmp_path):
    """What a linear model cannot tell; the model folder is built as the chosen setting says, and is not of its unit."""
    generator = np.random.default_rng(0)
    regions = generator.normal(size=(150, 2)).astype(np.float32)
    table = pd.DataFrame(
        {"participant_id": [f"p{index}" for index in range(150)], "age": 50 + 12 * np.abs(regions[:, 0])}
    )
    table = table.assign(hippocampus=4000 + 500 * regions[:, 0], ventricles=30 + 9 * regions[:, 1])
    table.to_csv(tmp_path / "regions.csv", index=False)
    cohort = read_cohort(tmp_path / "regions.csv", images=False)
    options = {"columns": REGIONS, "recipe": Recipe(epochs=20)}
    grid = {"width": [16], "depth": [3, 1], "lr": [1e-2]}
    made = transfer(tiny_model, cohort, "age", "perceptron", tmp_path / "m", grid=grid, **options)
    linear = transfer(tiny_model, cohort, "age", "linear", tmp_path / "n", columns=REGIONS)
    assert made.validation_scores["r"] > linear.validation_scores["r"] + 0.3
    model = load_model(tmp_path / "m")
    assert (model.card.architecture, model.card.input) == ("perceptron", None)
    assert model.card.arguments == {"columns": REGIONS, "width": 16, "depth": made.setting["depth"]}
    assert len(model.network.encoder.layers) == made.setting["depth"]
    # the folder keeps what columns were standardised by
    assert model.network.encoder.centre[0] == pytest.approx(4000, abs=150)
    found = predict(tmp_path / "m", cohort)["age"]
    assert np.corrcoef(found, table["age"])[0, 1] > 0.9
    with pytest.raises(InputError, match=r"'perceptron' takes columns of the table and none are given.*--regional"):
        transfer(tiny_model, cohort, "age", "perceptron", tmp_path / "o")
    holed = replace(cohort, table=cohort.table.assign(ventricles=[np.nan] + [1.0] * 149))
    with pytest.raises(InputError, match="columns of the training rows are not finite"):
        transfer(tiny_model, holed, "age", "perceptron", tmp_path / "o", grid=grid, **options)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("target", "strategy", "kind", "said"),
    [
        ("agee", "frozen", InputError, "did you mean 'age'"),
        ("bmi", "transferred", ModelError, "it predicts age, sex"),
        ("age", "froze", InputError, "did you mean 'frozen'"),
    ],
)
def test_what_cannot_be_is_refused(cohort, tiny_model, tmp_path, target, strategy, kind, said):
    with pytest.raises(kind, match=said):
        transfer(tiny_model, cohort, target, strategy, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_class_with_one_person_is_refused(cohort, tiny_model, tmp_path):
    table = cohort.table.assign(ill=["yes"] + ["no"] * (len(cohort) - 1))
    rare = type(cohort)(cohort.name, table)
    with pytest.raises(InputError, match=r"too few people .*: (train|validation) has nobody of 'yes'"):
        transfer(tiny_model, rare, "ill", "frozen", tmp_path / "m")


def test_an_existing_model_is_refused_before_any_fit(cohort, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "fit_best", lambda *_: pytest.fail("it was fitted"))
    with pytest.raises(ModelError, match="lies already"):
        transfer(tiny_model, cohort, "age", "frozen", tiny_model)


def test_no_participant_is_in_train_and_validation(cohort, tiny_model, tmp_path, monkeypatch):
    seen = []
    real = run_module.fit_best

    def spy(source, inputs, target, labels, split, *rest):
        seen.append(split)
        return real(source, inputs, target, labels, split, *rest)

    monkeypatch.setattr(run_module, "fit_best", spy)
    transfer(tiny_model, cohort, "age", "voxels", tmp_path / "m", grid={"penalty": [1.0]})
    people = cohort.participants
    assert not set(people[seen[0].train]) & set(people[seen[0].validation])
    assert len(set(people[seen[0].validation])) == pytest.approx(0.2 * cohort.n_participants, abs=2)


def test_a_model_in_the_folder_that_one_is_in_bears_its_name(cohort, tiny_model, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    transfer(tiny_model, cohort, "age", "frozen", ".", grid={"penalty": [1.0]})
    assert load_model(tmp_path / "mine").card.name == "mine"


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "..."])
def test_a_folder_whose_name_no_model_can_bear_is_refused_before_the_fit(
    cohort, tiny_model, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(run_module, "fit_best", lambda *_, **__: pytest.fail("it was fitted"))
    with pytest.raises(ModelError, match="cannot be the name of a model"):
        transfer(tiny_model, cohort, "age", "frozen", tmp_path / name, grid={"penalty": [1.0]})
    assert not (tmp_path / name).exists()


def test_an_image_that_has_gone_bad_costs_no_fit(cohort, tiny_model, tmp_path, monkeypatch):
    def bad(*_):
        raise ImageError("cannot read it")

    monkeypatch.setattr(run_module, "image_hashes", bad)
    monkeypatch.setattr(run_module, "fit_best", lambda *_, **__: pytest.fail("it was fitted"))
    with pytest.raises(ImageError, match="cannot read it"):
        transfer(tiny_model, cohort, "age", "frozen", tmp_path / "m", grid={"penalty": [1.0]})


def test_images_are_read_once_for_whom_a_model_has_seen_and_for_the_new_card(cohort, knows_some, tmp_path, monkeypatch):
    read, real = [], overlap.image_hash
    monkeypatch.setattr(overlap, "image_hash", lambda path, salt: (read.append(path), real(path, salt))[1])
    made = transfer(knows_some, cohort, "age", "frozen", tmp_path / "m", grid={"penalty": [1.0]})
    assert len(read) == len(cohort)
    assert made.overlap == 11
