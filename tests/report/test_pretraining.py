"""The page of a model folder: what its card and record say, of models of every origin, damaged ones refused in words."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kinds_files import figure_names, table_of, words_of
from sklearn.metrics import mean_absolute_error, roc_auc_score

import neurotransfer
from neurotransfer.artifacts import read_json, write_json
from neurotransfer.cohort import Grid, holdout_split, read_cohort
from neurotransfer.errors import InputError
from neurotransfer.pages.contents import as_data, figures_of
from neurotransfer.report.pretraining import page_of, recognises
from neurotransfer.seeding import stream

SHIPPED = Path(neurotransfer.__file__).parent / "shipped" / "sim-base"
GRID = Grid((32, 38, 32), 192 / 38)


@pytest.fixture(scope="module")
def model(tiny_cohort, tmp_path_factory):
    """A model that was pretrained for two epochs, half of the people choosing the epoch: enough of them for curves."""
    from neurotransfer.pretrain import Pretraining, pretrain
    from neurotransfer.training import Recipe

    folder = tmp_path_factory.mktemp("pretrained") / "ours"
    options = Pretraining(
        grid=GRID, arguments={"width": 0.0625}, recipe=Recipe(epochs=2), seed=1, validation_fraction=0.55
    )
    pretrain(read_cohort(tiny_cohort), ["age", "sex"], folder, options)
    return folder


@pytest.fixture(scope="module")
def page(model):
    return page_of(model)


@pytest.fixture
def copy(model, tmp_path):
    shutil.copytree(model, tmp_path / "ours")
    return tmp_path / "ours"


def figure_of(page, name):
    return next(figure for figure in figures_of(page) if figure.name == name)


def changed(folder, **values):
    write_json(folder / "model.json", read_json(folder / "model.json") | values)
    return page_of(folder)


def test_only_a_model_folder_is_recognised(model, tmp_path):
    assert recognises(model)
    assert recognises(SHIPPED)
    assert not recognises(tmp_path)
    assert not recognises(model / "model.json")


def test_the_scores_are_those_of_the_network_that_is_kept(model, page, tiny_cohort):
    from neurotransfer.predict import predict

    cohort = read_cohort(tiny_cohort)
    _, rows = holdout_split(cohort.participants, 0.55, stream(1, "pretrain", "holdout"))
    table = predict(model, cohort.rows(rows))
    aged, sexed = table.dropna(subset=["age_observed"]), table.dropna(subset=["sex_observed"])
    shown = {(row[0], row[1]): float(row[2].replace("−", "-")) for row in table_of(page, "validation-scores").rows}
    assert shown["age", "Mean absolute error (years)"] == pytest.approx(
        mean_absolute_error(aged["age_observed"], aged["age"]), abs=2e-3
    )
    assert shown["sex", "Area under the ROC curve"] == pytest.approx(
        roc_auc_score(sexed["sex_observed"] == "M", sexed["sex_probability_M"]), abs=2e-3
    )
    people = len(set(cohort.participants[rows]))
    assert (
        f"On the {people} people who chose its epoch: age is wrong by {shown['age', 'Mean absolute error (years)']:.2f} years"
        in page.found[2]
    )
    bubbles = figure_of(page, "target-0-agreement").layers[0].table
    assert bubbles["scans"].sum() == len(aged)
    assert (
        figure_of(page, "pyramid").layers[0].table["scans"].sum()
        == cohort.table[["age", "sex"]].replace("", None).dropna().shape[0]
    )


def test_losses_are_those_of_the_table(model, page):
    table = pd.read_csv(model / "training.tsv", sep="\t")
    losses = figure_of(page, "losses")
    rows = losses.layers[0].table
    for target, column in (("all together", "validation_loss"), ("age", "validation_loss_age")):
        shown = rows[(rows["target"] == target) & (rows["part"] == "not learnt from")]
        np.testing.assert_allclose(shown["loss"], table[column])
    np.testing.assert_allclose(rows.loc[rows["part"] == "learnt from", "loss"], table["train_loss"])
    best = table["epoch"][table["validation_loss"].idxmin()]
    assert losses.layers[1].table["epoch"].tolist() == [best]
    assert f"epoch {best} (loss {table['validation_loss'].min():.3f})" in words_of(page)
    scores = figure_of(page, "scores").layers[0].table
    np.testing.assert_allclose(scores.loc[scores["target"] == "sex", "score"], table["sex_auc"])


def test_what_it_is_and_whom_it_has_seen_is_told(page, model):
    assert page.found[0] == (
        "ours is a network (sfcn) that takes volumes of 32 x 38 x 32 voxels of 5.05263 mm and predicts age (years) and sex (F, M)."
    )
    facts = read_json(model / "model.json")["provenance"]
    assert (
        f"{facts['n_train_images']} to learn from and {facts['n_validation_images']} to choose the epoch"
        in page.found[1]
    )
    assert "40 people are kept in the card as salted hashes" in words_of(page)
    assert "--targets age,sex --out ours --architecture sfcn --shape 32,38,32" in words_of(page)
    assert f"--voxel-size {192 / 38!r}" in words_of(page)
    assert any("chose the epoch" in note for note in page.cautions)


def test_nobody_stands_on_the_page(page, tiny_cohort):
    text = words_of(page) + json.dumps([as_data(figure) for figure in figures_of(page)], default=str)
    assert not re.search(r"tiny-\d{4}", text)


def test_a_model_that_was_shared_has_no_record_and_says_so(copy):
    for name in ("training.tsv", "training.json"):
        (copy / name).unlink()
    page = page_of(copy)
    assert figure_names(page) == ["targets", "cohorts"]
    assert "This folder has no training.tsv" in words_of(page)
    assert "This folder has no training.json" in words_of(page)
    # what the card knows is shown
    assert "age mae: " in words_of(page)


def test_the_shipped_model_is_a_page():
    page = page_of(SHIPPED)
    assert "and 115 more" in page.found[0]
    assert "simulated heads and from nobody real" in page.found[1]
    assert "a mean absolute error of 2.67 from 20 people and 2.36 from 40 people" in page.found[2]
    history = pd.read_csv(SHIPPED / "training.tsv", sep="\t")
    rows = figure_of(page, "real").layers[0].table
    np.testing.assert_allclose(rows.loc[rows["people"] == "20", "error"], history["real_mae_20"])
    assert len(table_of(page, "targets").rows) == 118
    assert "neurotransfer pretrain STUDY.toml --out sim-base" in words_of(page)


def test_a_converted_model_says_where_it_is_from(copy):
    for name in ("training.tsv", "training.json", "reference.safetensors"):
        (copy / name).unlink()
    page = changed(
        copy, strategy="converted", provenance={"page": "https://example.org/release", "people": "those of the release"}
    )
    assert "converted from a published release (https://example.org/release)" in page.found[1]
    assert "models convert FILE --as ours" in words_of(page)
    assert any("no reference" in note for note in page.cautions)
    assert "validation" not in [section.name for section in page.sections]


def test_a_transferred_model_says_what_it_was_made_of(copy):
    for name in ("training.tsv", "training.json"):
        (copy / name).unlink()
    facts = {"from": "base", "cohorts": [{"name": "clinic", "n_images": 30, "n_participants": 28}], "seed": 4,
             "validation_scores": {"auc": 0.8}, "from_provenance": {"seed": 1}}  # fmt: skip
    page = changed(copy, strategy="finetuned", provenance=facts)
    assert (
        page.found[1] == "It was made of model base by strategy finetuned, with 30 scans of 28 people of cohort clinic."
    )
    assert "transfer MODEL COHORT --target age,sex --strategy finetuned --out ours --seed 4" in words_of(page)
    assert "auc: 0.8" in words_of(page)


def test_a_model_of_columns_takes_no_volumes(copy):
    page = changed(copy, input=None, architecture="columns", arguments={"columns": ["left", "right"]})
    assert "takes columns of a table" in page.found[0]
    assert "columns of a table: left and right" in words_of(page)


def test_the_first_format_of_cards_is_read(copy):
    card = read_json(copy / "model.json")
    card["grid"] = card.pop("input")
    write_json(copy / "model.json", card | {"format": 1})
    assert "32 x 38 x 32 voxels" in page_of(copy).found[0]


def test_few_people_have_scores_without_curves(tiny_model):
    page = page_of(tiny_model)
    assert "validation-scores" in figure_names(page)
    assert "of so few people no curves are kept" in words_of(page)
    assert "There was one epoch" in words_of(page)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.json", "{", "cannot be read as JSON"),
        ("model.json", "[]", "is not a model card"),
        (
            "model.json",
            '{"name": "a", "architecture": "b", "targets": [{"name": 3}], "provenance": {}}',
            "no valid model card",
        ),
        ("training.tsv", "a\tb\n1\t2\n", "has no column 'epoch', 'train_loss'"),
        ("training.json", "{", "cannot be read as JSON"),
    ],
)
def test_what_is_damaged_is_refused_in_words(copy, name, content, said):
    (copy / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(said)):
        page_of(copy)


def test_a_damaged_record_names_its_target(copy):
    record = read_json(copy / "training.json")
    record["Targets"]["age"]["Agreement"].pop("Observed")
    write_json(copy / "training.json", record)
    with pytest.raises(InputError, match=r"the record of target 'age' in .* is damaged"):
        page_of(copy)


def test_the_same_folder_gives_the_same_page(model, page):
    assert words_of(page_of(model)) == words_of(page)
    assert replace(page_of(model), sections=()) == replace(page, sections=())


def test_no_two_things_of_the_page_have_one_name(page):
    names = [*figure_names(page), *(section.name for section in page.sections)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)
