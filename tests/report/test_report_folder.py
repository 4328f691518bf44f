"""Reading a run folder: what is refused, and how the message helps."""

import json

import fake_run
import pandas as pd
import pytest

from neurotransfer.errors import InputError
from neurotransfer.report import report, wording
from neurotransfer.report.folder import read_run
from neurotransfer.report.page import page_of


def changed_study(tmp_path, change):
    facts = json.loads(json.dumps(fake_run.study()))
    change(facts)
    return fake_run.write_run(tmp_path, study_facts=facts)


def changed_results(tmp_path, change):
    run = fake_run.write_run(tmp_path)
    change(pd.read_parquet(run / "results.parquet")).to_parquet(run / "results.parquet")
    return run


def test_fake_run_is_read(tmp_path):
    run = read_run(fake_run.write_run(tmp_path))
    assert [task.name for task in run.tasks] == ["age", "sex"]
    assert run.strategies == fake_run.STRATEGIES
    assert run.tasks[0].unit == "years"
    assert len(run.results) == 480


def test_absent_folder_is_told(tmp_path):
    with pytest.raises(InputError, match=r"gone.* is not there.*neurotransfer benchmark"):
        report(tmp_path / "gone")


def test_folder_without_results_is_told(tmp_path):
    (tmp_path / "cells").mkdir()
    with pytest.raises(InputError, match=r"no results in .*run `neurotransfer benchmark STUDY --out .*` first"):
        report(tmp_path)


def test_broken_results_are_told(tmp_path):
    run = fake_run.write_run(tmp_path)
    (run / "results.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"results\.parquet.*cannot be read as Parquet"):
        report(run)


def test_absent_columns_are_named(tmp_path):
    run = changed_results(tmp_path, lambda table: table.drop(columns=["test_auc", "error"]))
    with pytest.raises(InputError, match="no column 'test_auc', 'error'; found: task, n"):
        report(run)


def test_empty_results_are_told(tmp_path):
    with pytest.raises(InputError, match="has no rows"):
        report(changed_results(tmp_path, lambda table: table.iloc[:0]))


def test_two_selected_fits_are_told(tmp_path):
    run = changed_results(tmp_path, lambda table: table.assign(selected=table["error"].isna()))
    with pytest.raises(InputError, match="age, 10, 0, baseline: two selected fits"):
        report(run)


def test_task_that_the_study_lacks_is_told(tmp_path):
    run = changed_results(tmp_path, lambda table: table.replace({"task": {"sex": "sexx"}}))
    with pytest.raises(InputError, match=r"unknown task 'sexx'.*did you mean 'sex'"):
        report(run)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_broken_study_is_told(tmp_path, text):
    run = fake_run.write_run(tmp_path)
    (run / "study.json").unlink()
    if text is not None:
        (run / "study.json").write_text(text)
    with pytest.raises(InputError, match=r"study\.json"):
        report(run)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("kind", "binari", "task 'sex'.*did you mean 'binary'"), ("score", "auk", "task 'sex'.*did you mean 'auc'")],
)
def test_wrong_task_is_told(tmp_path, key, value, message):
    with pytest.raises(InputError, match=message):
        report(changed_study(tmp_path, lambda facts: facts["tasks"]["sex"].update({key: value})))


def test_predictions_without_columns_are_told(tmp_path):
    run = fake_run.write_run(tmp_path)
    pd.read_parquet(run / "predictions.parquet").drop(columns="observed").to_parquet(run / "predictions.parquet")
    with pytest.raises(InputError, match=r"predictions\.parquet.*no column 'observed'"):
        report(run)


def test_missing_facts_have_plain_defaults(tmp_path):
    def strip(facts):
        for key in ("title", "description", "strategies", "sizes", "replicates", "seed", "subgroup"):
            del facts[key]
        facts["tasks"] = {name: {"kind": task["kind"]} for name, task in facts["tasks"].items()}

    run = changed_study(tmp_path, strip)
    (run / "manifest.json").write_text("{}")
    found = read_run(run)
    assert [task.score for task in found.tasks] == ["rae", "auc"]
    assert found.strategies == fake_run.STRATEGIES
    assert page_of(run).title == "fake"


def test_tasks_without_results_are_left_out(tmp_path):
    run = changed_results(tmp_path, lambda table: table[table["task"] == "age"])
    assert [task.name for task in read_run(run).tasks] == ["age"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (119, "119 seconds"), (121, "2 minutes"), (7199, "120 minutes"), (7200, "2.0 hours")],
)
def test_durations(seconds, text):
    assert wording.duration(seconds) == text


def test_lists_in_sentences():
    assert [wording.joined(list(text)) for text in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
