"""Representations on tiny simulated heads: fits made again are those of the run, layers that stand still have a CKA of one."""

import copy
import json
import subprocess
import sys

import made_up
import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.study import parse_study
from neurotransfer.diagnose.case import cases_of
from neurotransfer.diagnose.contained import contained_of
from neurotransfer.diagnose.model_page import drift_table
from neurotransfer.diagnose.representations import (
    DRIFT_COLUMNS,
    KEPT,
    as_json,
    cells_of,
    from_json,
    frozen_features,
    kept_representations,
    representations_of,
    seconds_of,
)
from neurotransfer.diagnose.run import diagnose
from neurotransfer.errors import InputError
from neurotransfer.report.folder import read_run

STILL, MOVED = "still", "moved"


@pytest.fixture(scope="module")
def run(tiny_values, tmp_path_factory):
    """Two networks that are finetuned from one model, one of which hardly learns, beside a linear model and a frozen one."""
    values = copy.deepcopy(tiny_values)
    values["strategies"] = [
        {"strategy": "linear", "grid": {"penalty": [1.0]}},
        {"strategy": "frozen", "model": "multi", "grid": {"penalty": [1.0]}},
        {"strategy": "finetuned", "model": "multi", "label": STILL, "grid": {"lr": [1e-8]}},
        {"strategy": "finetuned", "model": "multi", "label": MOVED, "grid": {"lr": [0.1, 0.03]}},
    ]
    values["tasks"] = {"age": {"target": "age"}}
    values["protocol"] = {"sizes": [10, 15], "replicates": 4, "test": "rest"}
    values["training"] = {"epochs": 4, "batch_size": 8, "settle": False}
    folder = tmp_path_factory.mktemp("represented") / "run"
    benchmark(parse_study(values), folder)
    return folder


@pytest.fixture(scope="module")
def cases(run):
    return cases_of(read_run(run))


@pytest.fixture(scope="module")
def found(run, cases):
    return representations_of(read_run(run), cases)


def test_three_replicates_of_each_size_are_made_again_with_the_setting_that_was_chosen(cases):
    cells = cells_of(cases)
    assert len(cells) == 2 * 2 * 3
    assert {cell.strategy for cell in cells} == {STILL, MOVED}
    assert {cell.replicate for cell in cells} == {0, 1, 2}
    results = {case.strategy: case.fits for case in cases}
    for cell, setting in cells.items():
        fits = results[cell.strategy]
        own = fits[(fits["n"] == cell.n) & (fits["replicate"] == cell.replicate) & fits["selected"]]
        assert json.loads(own["setting"].iloc[0]) == setting
    seconds = sum(
        fits.loc[fits["selected"] & (fits["replicate"] < 3), "seconds"].sum()
        for label, fits in results.items()
        if label in (STILL, MOVED)
    )
    assert seconds_of(cases) == pytest.approx(seconds)


def test_smallest_middle_and_largest_size_alone(cases):
    case = next(case for case in cases if case.strategy == STILL)
    more = [case.fits.assign(n=n) for n in (10, 20, 30, 40, 50)]
    many = type(case)(
        case.task, case.strategy, case.kind, case.score, np.array([10, 20, 30, 40, 50]), np.tile(case.goods[:, :1], 5),
        pd.concat(more).drop_duplicates(["n", "replicate", "setting_index"]), case.visible,
    )  # fmt: skip
    assert sorted({cell.n for cell in cells_of([many])}) == [10, 30, 50]


def test_fits_that_are_made_again_are_those_of_the_run(found):
    np.testing.assert_allclose(found.drift["score_again"], found.drift["score_before"], rtol=1e-3)


def test_a_network_that_hardly_learns_stays_what_it_was_and_one_that_does_moves(found):
    assert list(found.drift) == list(DRIFT_COLUMNS)
    means = drift_table(found.drift)
    assert set(means["fits"]) == {3}
    still = means[means["strategy"] == STILL]
    assert list(dict.fromkeys(still["layer"])) == [*(f"layer {place}" for place in range(1, 7)), "features"]
    moved = means[means["strategy"] == MOVED]
    assert still["low"].min() > 0.95
    assert moved["mean"].min() < still["low"].min()
    assert moved.groupby("n")["mean"].mean().max() < 0.95
    assert (found.drift["people"] >= 12).all()
    # an untrained network is less alike than one that stands still
    assert (found.drift["untrained"] < 0.98).any()


def test_what_was_computed_is_kept_and_used_again(found, run, cases, monkeypatch):
    assert (run / "diagnosis" / KEPT).is_file()
    kept = kept_representations(run)
    pd.testing.assert_frame_equal(kept.drift, found.drift, check_dtype=False)
    assert kept.contained == found.contained
    monkeypatch.setattr(
        "neurotransfer.diagnose.representations.fit_again", lambda *_: pytest.fail("a fit was made again twice")
    )
    again = representations_of(read_run(run), cases)
    pd.testing.assert_frame_equal(again.drift, found.drift, check_dtype=False)


def test_missing_numbers_survive_json(found):
    holed = found.drift.copy()
    holed.loc[0, "cka"] = np.nan
    text = json.dumps(as_json(type(found)(found.contained, holed, ("why",))), allow_nan=False)
    again = from_json(json.loads(text))
    assert np.isnan(again.drift.loc[0, "cka"])
    assert again.untold == ("why",)


def test_what_features_contain_is_of_people_and_no_more_than_the_linear_model_itself(found, run):
    (contained,) = found.contained
    assert (contained.task, contained.strategy, contained.model) == ("age", "linear", "multi")
    predictions = pd.read_parquet(run / "predictions.parquet").query("strategy == 'linear' and n == 15")
    assert contained.n_people == predictions["participant_id"].nunique()
    assert contained.share.value < 1
    assert contained.own.low <= contained.own.value <= contained.own.high <= 1


def test_what_the_features_are_made_of_is_contained_whole(run, cases):
    """Predictions that are a straight line of the features of the model."""
    import dataclasses

    from neurotransfer.benchmark.workspace import open_workspace
    from neurotransfer.diagnose.contained import model_features

    workspace, given = open_workspace(run), read_run(run)
    features = model_features(workspace, "multi", "age")
    line = features @ np.linspace(-1, 1, features.shape[1]) / features.std()
    own = given.predictions[given.predictions["strategy"] == "linear"]
    every = pd.concat([own.iloc[:1].assign(row=row, participant_id=name, predicted=line[row], observed=50.0, n=15)
                       for row, name in enumerate(workspace.cohort.participants)])  # fmt: skip
    made = dataclasses.replace(given, predictions=every)
    untold = []
    (contained,) = contained_of(made, cases, workspace, untold)
    assert untold == []
    assert contained.n_people == workspace.cohort.n_participants
    # forty people and eight features, of scans whose features nearly agree
    assert contained.share.value > 0.7


def test_the_page_has_the_model_and_says_what_was_made_again(found, run):
    path, _ = diagnose(run)
    page = path.read_text()
    assert "how finetuning moves the layers" in page
    assert "12 fits were made again" in page
    assert "the run has no strategy perceptron" in page
    facts = json.loads((run / "diagnosis.json").read_text())["model"]
    assert len(facts["representations"]["drift"]) == len(found.drift)
    assert facts["against_linear"] == []


def test_features_of_every_scan_compare_people_without_columns(run):
    features = frozen_features(read_run(run))
    assert len(features) == len(pd.read_parquet(run / "cohort.parquet"))
    assert np.isfinite(features).all()


@pytest.mark.slow
def test_the_command_forecasts_and_then_computes_what_is_not_there(found, run):
    kept = json.loads((run / "diagnosis" / KEPT).read_text())
    last = [row for row in kept["drift"] if (row["strategy"], row["n"], row["replicate"]) == (STILL, 15, 2)]
    kept["drift"] = [row for row in kept["drift"] if row not in last]
    (run / "diagnosis" / KEPT).write_text(json.dumps(kept))

    def called(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "neurotransfer", "diagnose", str(run), *arguments],
            capture_output=True, text=True, timeout=500,
        )  # fmt: skip

    said = called("--representations", "--dry-run")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("representations: 12 fits, about ")
    done = called("--representations", "--list-people", "--sites", "site", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert (run / "doubtful-people.tsv").is_file()
    again = kept_representations(run).drift
    assert len(again) == len(found.drift)
    own = again[(again["strategy"] == STILL) & (again["n"] == 15) & (again["replicate"] == 2)]
    np.testing.assert_allclose(own["cka"], [row["cka"] for row in last], rtol=1e-4)
    facts = json.loads((run / "diagnosis.json").read_text())
    assert facts["people"]["sites"]["column"] == "site"
    # people were compared by features, as far as those of so small a network can tell them apart
    assert not any("regional_columns" in text for text in facts["people"]["untold"])
    wrong = called("--sites", "scaner")
    assert wrong.returncode == 2
    assert "unknown column of sites 'scaner'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_run_without_images_says_that_no_network_has_features_of_it(tmp_path):
    from neurotransfer.diagnose.planted import linear_people

    linear_people(np.random.default_rng(0), 300, 3).to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    study = {
        "name": "columns", "seed": 2, "cohort": {"path": "people.tsv", "images": False},
        "tasks": {"target": {"target": "target"}},
        "strategies": [{"strategy": "linear"}],
        "protocol": {"sizes": [20], "replicates": 2},
        "regional_columns": ["c000", "c001", "c002"],
    }  # fmt: skip
    benchmark(parse_study(study), tmp_path / "run", data=tmp_path)
    diagnose(tmp_path / "run", representations=True)
    page = (tmp_path / "run" / "diagnosis.html").read_text()
    assert "this run has no images" in page
    assert frozen_features(read_run(tmp_path / "run")) is None


def test_representations_need_a_run():
    with pytest.raises(InputError, match="--representations needs a run folder"):
        diagnose("published:april_asd", "x.html", representations=True)


def test_tables_alone_have_no_representations(tmp_path):
    """As a folder of committed results is: results and study, and no cohort."""
    run = made_up.write_run(tmp_path / "run", {"linear": made_up.fits(made_up.replicates(made_up.RISING))})
    with pytest.raises(InputError, match=r"lacks cohort\.parquet, cohort\.json; give that folder"):
        diagnose(run, representations=True)
