"""The page of a run as values: honest about what is missing, complete about what was run; and as a file, the same every time."""

import json

import fake_run
import numpy as np
import pandas as pd
import pytest

from neurotransfer.errors import InputError
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Code, Facts, Row, Table, Text
from neurotransfer.published import CITATION, published_curves, published_names
from neurotransfer.report import page as page_module
from neurotransfer.report.folder import Task
from neurotransfer.report.page import page_of
from neurotransfer.report.predictions import subgroup_items
from neurotransfer.report.record import plain, record_items

FEW = ("baseline", "linear")
AGE = Task("age", "Age", "continuous", (), "years", "rae", "age")


def items_of(page, kind=object):
    flat = [item for section in page.sections for item in section.items]
    flat = [each for item in flat for each in (item.items if isinstance(item, Row) else [item])]
    return [item for item in flat if isinstance(item, kind)]


def words_of(page):
    """All text of a page that is neither figure nor JSON."""
    parts = [page.title, page.lead, page.banner, *page.found, *page.cautions]
    for item in items_of(page):
        if isinstance(item, Text | Code):
            parts.append(item.text)
        elif isinstance(item, Facts):
            parts += [f"{name}: {value}" for name, value in item.pairs]
        elif isinstance(item, Table):
            parts += [item.caption, *item.headings, *(cell for row in item.rows for cell in row)]
    return "\n".join(map(str, parts))


def names_of(page):
    return [figure.name for figure in figures_of(page)]


def changed(folder, change, **options):
    facts = json.loads(json.dumps(fake_run.study()))
    change(facts)
    return fake_run.write_run(folder, study_facts=facts, strategies=FEW, **options)


def test_sections_are_tasks_people_and_record(fake_page):
    assert [section.name for section in fake_page.sections] == ["task-age", "task-sex", "reading", "people", "record"]
    assert [section.title for section in fake_page.sections][:2] == ["Age", "Sex"]
    assert fake_page.title == "A fake study & its <curves>"
    assert [text.split(":")[0] for text in fake_page.found] == ["Age", "Sex"]
    assert fake_page.banner == ""


def test_a_task_has_every_figure_in_order(fake_page):
    assert names_of(fake_page) == [
        "age-curves", "age-pairs", "age-differences", "age-agreement", "age-optimism", "age-epochs", "age-seconds",
        "sex-curves", "sex-pairs", "sex-differences", "sex-roc", "sex-calibration", "sex-optimism", "sex-epochs",
        "sex-seconds", "pyramid",
    ]  # fmt: skip


def test_names_of_tables_and_figures_are_unlike(fake_page):
    names = names_of(fake_page) + [table.name for table in items_of(fake_page, Table)]
    assert len(names) == len(set(names))
    for table in items_of(fake_page, Table):
        assert {len(row) for row in table.rows} == {len(table.headings)}
        assert all(isinstance(cell, str) for row in table.rows for cell in row)


def test_page_says_what_to_be_careful_about(fake_page):
    text = "\n".join(fake_page.cautions)
    assert "Only 8 replicates" in text
    assert "in the pretraining of model multi" in text
    assert "no interval and no p on this page says how the result would vary" in words_of(fake_page)


def test_page_says_what_was_run_and_how_to_run_it_again(fake_page):
    text = words_of(fake_page)
    for part in (
        "neurotransfer benchmark fake.toml --out RUN\nneurotransfer report RUN",
        "The seed of everything random is 3",
        "time of the last session: 5 minutes",
        "What voxels does.",
        "age: mae: 3.25",
        "torch 2.13.0",
        "patience: 7",
        "fits: 480",
        "of these failed: 2",
        "RuntimeError: loss is <nan> & gone",
    ):
        assert part in text
    study = items_of(fake_page, Code)[-1]
    assert json.loads(study.text) == fake_run.study()
    assert study.folded


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        ("neurotransfer benchmark s.toml --out 'my runs/a'", "'my runs/a'"),
        ("neurotransfer benchmark s.toml", "runs/fake"),
        ("neurotransfer demo", "RUN"),
        ("broken 'quote", "RUN"),
    ],
)
def test_the_report_is_asked_of_the_folder_that_the_command_wrote(tmp_path, command, folder):
    run = fake_run.write_crafted(tmp_path, {"linear": [0.7]})
    (run / "manifest.json").write_text(json.dumps({"command": command}))
    code = next(item for item in record_items(page_module.read_run(run)) if isinstance(item, Code))
    assert code.text.splitlines()[1] == f"neurotransfer report {folder}"


def test_subgroups_and_their_reference_are_shown(fake_page):
    (table,) = [table for table in items_of(fake_page, Table) if table.name == "age-subgroups"]
    assert table.headings[-1] == "MAE of the group's own mean"
    assert "predicting the group's own mean" in table.caption
    row = next(row for row in table.rows if row[:2] == ["child", "linear"])
    own = fake_run.tables()[1].query("task == 'age' and n == 100 and strategy == 'linear' and subgroup == 'child'")
    assert row[2:4] == [str(len(own)), str(own["participant_id"].nunique())]
    assert row[-1] == f"{(own['observed'] - own['observed'].mean()).abs().mean():.2f}"


def test_run_that_is_not_complete_says_so_at_the_top(tmp_path):
    page = page_of(fake_run.write_crafted(tmp_path, {"baseline": [0.6, 0.7, 0.8]}, complete=False))
    assert page.banner.startswith("This run is not complete: 3 of 4 fits")
    assert "The command is not known" in words_of(page)


def test_run_without_predictions_and_cohort_says_so(tmp_path):
    page = page_of(fake_run.write_crafted(tmp_path, {"baseline": [0.6, 0.7], "linear": [0.8, 0.7]}))
    assert "The table of predictions is not in this folder" in words_of(page)
    assert "The table of scans is not in this folder" in words_of(page)
    assert not {"sex-calibration", "sex-roc", "pyramid"} & set(names_of(page))


def test_run_without_subgroups_has_no_such_table():
    predictions = fake_run.tables()[1].assign(subgroup=None)
    assert subgroup_items(predictions, AGE, 100, FEW, "group", "age") == []


def test_published_curves_come_from_the_study_or_the_call(tmp_path):
    run = fake_run.write_crafted(tmp_path, {"baseline": [0.6, 0.7, 0.8]})
    facts = json.loads((run / "study.json").read_text())

    def laid(page):
        layers = [layer for layer in figures_of(page)[0].layers if layer.quiet and "curve" in layer.table]
        return {name for layer in layers for name in layer.table["curve"]}

    assert not laid(page_of(run))
    assert CITATION not in words_of(page_of(run))
    facts["tasks"]["sex"]["published"] = ["april_ad"]
    (run / "study.json").write_text(json.dumps(facts))
    page = page_of(run)
    assert "frozen (April 2025)" in laid(page)
    assert CITATION in words_of(page)
    assert "linear (November 2025)" in laid(page_of(run, {"sex": "november_ad"}))
    assert "frozen (April 2025)" in laid(page_of(run, {"sex": published_curves("april_ad")}))


def test_unknown_published_curve_or_task_is_refused(tmp_path):
    run = fake_run.write_crafted(tmp_path, {"baseline": [0.6, 0.7, 0.8]})
    with pytest.raises(InputError, match="did you mean 'april_ad'"):
        page_of(run, {"sex": "april_da"})
    with pytest.raises(InputError, match=r"unknown task 'sax'.*did you mean 'sex'"):
        page_of(run, {"sax": "april_ad"})


def test_single_replicate_size_and_strategy_make_a_page(tmp_path):
    page = page_of(fake_run.write_crafted(tmp_path, {"linear": [0.7]}))
    assert "nothing to compare it with" in words_of(page)
    assert not any(name.endswith(("pairs", "differences")) for name in names_of(page))


def test_run_where_everything_failed_makes_a_page(tmp_path):
    run = fake_run.write_crafted(tmp_path, {"linear": [np.nan] * 3, "baseline": [np.nan] * 3}, sizes=(10, 20))
    results = pd.read_parquet(run / "results.parquet").assign(selected=False, error="ValueError: no")
    results.to_parquet(run / "results.parquet")
    page = page_of(run)
    assert "With 10 scans no fit has a score." in words_of(page)
    assert "12 of 12 fits failed" in words_of(page)


def three_classes(folder, kind):
    """The fake run with a target of three classes in place of sex."""

    def change(facts):
        facts["tasks"]["sex"] |= {"kind": kind, "score": "balanced_accuracy", "classes": ["a", "b", "c"]}

    run = changed(folder, change)
    for name in ("results", "predictions"):
        rows = pd.read_parquet(run / f"{name}.parquet").query("task == 'sex' and n == 25")
        rows.to_parquet(run / f"{name}.parquet", index=False)
    table = pd.read_parquet(run / "predictions.parquet")
    of_task, draws = table["task"] == "sex", np.random.default_rng(0)
    table.loc[of_task, "observed"] = table.loc[of_task, "row"] % 3
    shares = draws.dirichlet([1, 1, 1], int(of_task.sum()))
    table.loc[of_task, "predicted"] = shares.argmax(axis=1) if kind == "categorical" else shares @ [0, 1, 2]
    table["probabilities"] = [None] * int((~of_task).sum()) + shares.tolist()
    table.to_parquet(run / "predictions.parquet")
    return run


def test_categorical_targets_have_confusion_and_a_curve_a_class(tmp_path):
    page = page_of(three_classes(tmp_path, "categorical"))
    known = {figure.name: figure for figure in figures_of(page)}
    assert {"sex-confusion", "sex-roc", "sex-calibration"} <= set(known)
    assert [choice.column for choice in known["sex-roc"].choices] == ["size", "class"]
    shares = known["sex-confusion"].layers[0].table.groupby(["size", "strategy", "observed"])["share"].sum()
    np.testing.assert_allclose(shares, 1)


def test_ordinal_targets_have_bubbles_and_confusion(tmp_path):
    page = page_of(three_classes(tmp_path, "ordinal"))
    assert {"sex-agreement", "sex-confusion"} <= set(names_of(page))


def test_long_lists_of_a_model_are_counted():
    assert plain([str(index) for index in range(40)]).endswith("11 and 28 more")
    assert plain({}) == plain([]) == plain(None) == "none"


@pytest.mark.parametrize(
    ("curve", "strategy", "n", "value"),
    [
        ("november_ad", "linear", 100, 0.945),
        ("november_ad", "multi-finetuned", 500, 0.949),
        ("november_ad", "reg-finetuned", 300, 0.910),
        ("november_scz", "linear", 100, 0.5),
        ("november_age", "baseline", 2500, 0.229),
        ("november_age_top", "multi-frozen", 100, 0.518),
        ("april_asd", "finetuned", 800, 0.666),
        ("april_linear_asd", "linear", 1500, 0.701),
        ("april_age", "transferred", 100, 0.149),
    ],
)
def test_published_values_are_those_of_the_talks(curve, strategy, n, value):
    table = published_curves(curve)
    found = table[(table["strategy"] == strategy) & (table["n"] == n)]
    assert len(found) == 1
    assert found["value"].iloc[0] == pytest.approx(value, abs=6e-4)


def test_published_names_are_the_documented_ones():
    april = ["ad", "age", "age_top", "asd", "scz", "reg", "linear_ad", "linear_asd", "linear_scz"]
    assert published_names() == [f"april_{name}" for name in april] + [
        f"november_{name}" for name in ("ad", "scz", "age", "age_top")
    ]


@pytest.mark.parametrize("name", published_names())
def test_published_tables_are_complete(name):
    table = published_curves(name)
    assert list(table.columns) == ["curve", "talk", "task", "strategy", "statistic", "score", "n", "value", "sem"]
    assert set(table["score"]) == {"rae" if "age" in name else "auc"}
    assert set(table["statistic"]) == {"mean" if name.startswith("april") else "median"}
    assert not table.duplicated(["strategy", "n"]).any()
    assert table["value"].between(0, 1.1).all()
    assert table["sem"].notna().all() == name.startswith("april")
