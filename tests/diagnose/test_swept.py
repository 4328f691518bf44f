"""Sweeps for real: a linear model through the command, networks in small, what is kept, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.study import parse_study
from neurotransfer.diagnose.interpolation import DOUBLE, UNKNOWN, verdicts_of
from neurotransfer.diagnose.planted import linear_people
from neurotransfer.diagnose.run import diagnose
from neurotransfer.diagnose.sweep import DECAY, EARLY, PLAIN, Sweep
from neurotransfer.diagnose.swept import COLUMNS, ERRORS, SWEEP, forecast_sweep, read_sweeps, run_sweep, studies_asked
from neurotransfer.diagnose.trials import FOLDER, Asked
from neurotransfer.errors import InputError
from neurotransfer.report.folder import read_run
from neurotransfer.targets import KINDS

N_COLUMNS = 10
SIZES = (8, 12, 20, 60, 120)


def values(**more):
    return {
        "name": "small",
        "seed": 2,
        "cohort": {"path": "people.tsv", "images": False},
        "tasks": {"target": {"target": "target"}},
        "strategies": [{"strategy": "linear", "grid": {"penalty": [0.1, 1.0]}}],
        "protocol": {
            "sizes": [20, 60], "replicates": 12, "replacement": False, "test": "people", "held_out": {"role": "test"},
        },
        "training": {"epochs": 2, "batch_size": 64},
        "regional_columns": [f"c{place:03d}" for place in range(N_COLUMNS)],
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    people = linear_people(np.random.default_rng(0), 900, N_COLUMNS, kind="continuous")
    people.to_csv(folder / "people.tsv", sep="\t", index=False)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    benchmark(parse_study(values()), folder, data=data)
    return folder


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "neurotransfer", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def linear(run, data):
    """The sweep of the linear model through the command."""
    sizes = ",".join(map(str, SIZES))
    return command("diagnose", run, "--data", data, "--sweep", "--strategies", "linear", "--label-noise", "0.2", "--sizes", sizes,
                   "--workers", 1, "--replicates", 12)  # fmt: skip


def test_a_least_squares_fit_is_worst_where_it_just_fits_everybody(run, linear):
    assert linear.returncode == 0, linear.stderr
    assert "sweep of linear: double descent: along n" in linear.stderr.replace("\n", " ")
    facts = json.loads((run / "diagnosis.json").read_text())
    (found,) = facts["sweeps"]
    assert (found["task"], found["strategy"], found["verdict"]) == ("target", "linear", DOUBLE)
    (along,) = found["along"]
    assert along["axis"] == "n"
    assert along["values"] == list(SIZES)
    # ten features and a constant: as many equations as unknowns at 11 people
    assert (along["fitted"], along["not_fitted"]) == (8, 12)
    assert along["peak"]["at"] == 12
    assert along["peak"]["rise"]["low"] > 1
    assert along["peak"]["fall"]["low"] > 1
    assert along["times_that_of"][DECAY]["low"] > 1
    assert along["test"][PLAIN][1] > 1.5 * max(along["test"][DECAY])
    assert found["effective_model_complexity"] == [{"noise": 0.2, "width": 0, "epochs": 0, "n": 8, "is_open": False}]


def test_the_page_has_the_sweep_and_the_cause_its_words(run, linear):
    assert linear.returncode == 0
    text = (run / "diagnosis.html").read_text()
    assert "target: sweep of linear" in text
    assert "Interpolation thresholds and peaks of the test error" in text
    (curve,) = json.loads((run / "diagnosis.json").read_text())["curves"]
    (why,) = (cause["why"] for cause in curve["causes"] if cause["cause"] == "interpolation")
    assert why.endswith("; the sweep says: double descent")


def test_a_finished_sweep_is_read_by_a_later_call_and_not_done_again(run, data, linear, monkeypatch):
    assert linear.returncode == 0
    monkeypatch.setattr("neurotransfer.benchmark.work.run_cell", lambda *_: pytest.fail("done again"))
    before = (run / "diagnosis.json").read_text()
    diagnose(run)
    assert (run / "diagnosis.json").read_text() == before
    sweep = Sweep(sizes=SIZES, label_noise=(0.2,))
    run_sweep(run, Asked(strategies=("linear",), data=data, replicates=12, sweep=sweep))


def test_errors_are_those_of_the_results(run, linear):
    assert linear.returncode == 0
    found = read_sweeps(run, read_run(run).tasks)
    assert list(found) == COLUMNS
    assert len(found) == 2 * len(SIZES) * 12
    results = pd.read_parquet(run / FOLDER / SWEEP / "linear" / "noise-0.2" / "results.parquet")
    assert results["selected"].all()
    for arm in (PLAIN, DECAY):
        own = found[found["arm"] == arm].sort_values(["n", "replicate"])
        fits = results[results["strategy"] == arm].sort_values(["n", "replicate"])
        np.testing.assert_array_equal(own["test"], fits["test_rae"])
        np.testing.assert_array_equal(own["train"], fits["train_rae"])


def test_other_values_in_the_same_place_are_refused_with_what_to_do(run, data, linear):
    assert linear.returncode == 0
    asked = Asked(strategies=("linear",), data=data, replicates=12, sweep=Sweep(sizes=(8, 40), label_noise=(0.2,)))
    with pytest.raises(InputError, match=r"another study.*ask for the same values again, or remove .*linear"):
        run_sweep(run, asked)


@pytest.fixture(scope="module")
def networks(run, data, tmp_path_factory):
    """A run without any network, and a tiny sweep of one on its columns."""
    folder = tmp_path_factory.mktemp("networks") / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(FOLDER))
    sweep = Sweep(widths=(1, 3), epochs=(1, 2), sizes=(20,), label_noise=(0.0, 0.3))
    return folder, Asked(data=data, replicates=3, sweep=sweep)


def test_a_perceptron_is_swept_where_the_run_has_columns_alone(networks):
    folder, asked = networks
    told = []
    path, analyses = diagnose(folder, asked=asked, tell=told.append)
    assert [each.case.strategy for each in analyses] == ["linear"]
    found = read_sweeps(folder, read_run(folder).tasks)
    assert set(found["strategy"]) == {"perceptron"}
    points = found.drop_duplicates(["noise", "arm", "width", "epochs"])
    # two epochs in the plain arm and the longer one in both others, twice as wide, twice as noisy
    assert len(points) == (2 + 1 + 1) * 2 * 2
    assert set(found["width"]) == {1, 3}
    assert set(found["noise"]) == {0.0, 0.3}
    assert set(found.loc[found["arm"] != PLAIN, "epochs"]) == {2}
    (verdict,) = verdicts_of(found)
    assert verdict.kind == UNKNOWN
    assert "never fitted without error" in told[-1]
    assert "sweep of perceptron" in path.read_text()


def test_without_early_stopping_the_last_epoch_is_kept_and_measured(networks):
    folder, asked = networks
    run_sweep(folder, asked)
    results = pd.read_parquet(folder / FOLDER / SWEEP / "perceptron" / "noise-0.3" / "results.parquet")
    kept = results[~results["strategy"].str.startswith(EARLY)]
    assert (kept["best_epoch"] == kept["epochs"]).all()
    assert np.isfinite(results[["train_rae", "validation_rae", "test_rae"]]).all(axis=None)


def test_arms_and_widths_learn_from_the_same_people(networks):
    folder, asked = networks
    run_sweep(folder, asked)
    results = pd.read_parquet(folder / FOLDER / SWEEP / "perceptron" / "noise-0" / "results.parquet")
    predictions = pd.read_parquet(folder / FOLDER / SWEEP / "perceptron" / "noise-0" / "predictions.parquet")
    assert (results.groupby("replicate")["n_train_participants"].nunique() == 1).all()
    tested = predictions.groupby(["replicate", "strategy"])["participant_id"].agg(lambda people: tuple(sorted(people)))
    assert (tested.groupby("replicate").nunique() == 1).all()


@pytest.mark.slow
def test_the_network_of_a_study_on_scans_is_swept_by_its_multiples(tiny_values, tmp_path):
    baseline = [part for part in tiny_values["strategies"] if part["strategy"] == "baseline"]
    study = tiny_values | {"models": {}, "strategies": baseline, "tasks": {"diagnosis": {"target": "diagnosis"}}}
    benchmark(parse_study(study), tmp_path / "run")
    sweep = Sweep(widths=(0.0625, 0.125), epochs=(1,), sizes=(10,), label_noise=(0.0,))
    run_sweep(tmp_path / "run", Asked(replicates=1, sweep=sweep))
    found = read_sweeps(tmp_path / "run", read_run(tmp_path / "run").tasks)
    assert set(found["strategy"]) == {"baseline"}
    assert sorted(zip(found["width"], found["arm"], strict=True)) == [
        (width, arm) for width in sweep.widths for arm in (EARLY, PLAIN, DECAY)
    ]
    assert found[["train", "test"]].stack().between(0, 1).all()


@pytest.mark.slow
def test_a_forecast_says_what_every_study_takes_and_does_nothing(run, data):
    asked = Asked(data=data, replicates=2, sweep=Sweep(widths=(1,), epochs=(1, 3), sizes=(20,), label_noise=(0.1,)))
    found = forecast_sweep(run, asked)
    assert list(found) == ["sweep/perceptron/noise-0.1"]
    assert found["sweep/perceptron/noise-0.1"].fits == (2 + 1 + 1) * 2
    assert not (run / FOLDER / SWEEP / "perceptron" / "noise-0.1" / "results.parquet").exists()


def test_ten_replicates_are_enough_unless_more_are_asked_for(run):
    (ten,) = {each["protocol"]["replicates"] for each in studies_asked(run, Asked(sweep=Sweep())).values()}
    (more,) = {
        each["protocol"]["replicates"] for each in studies_asked(run, Asked(sweep=Sweep(), replicates=99)).values()
    }
    assert (ten, more) == (10, 12)


def test_every_kind_of_target_has_an_error():
    assert set(ERRORS) == set(KINDS)


def test_a_run_without_a_sweep_has_none(run, tmp_path):
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns(FOLDER))
    assert len(read_sweeps(tmp_path / "run", read_run(tmp_path / "run").tasks)) == 0
    diagnose(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "diagnosis.json").read_text())["sweeps"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sweep", "--widths", "2,1"], "widths are 2, 1; allowed: above 0, rising, each once"),
        (["--sweep", "--sizes", "3"], "sizes must rise and be 8 or more"),
        (
            ["--sweep", "--strategies", "linear", "--widths", "2"],
            "strategy 'linear' has no width to vary; leave out --widths",
        ),
    ],
)
def test_a_sweep_that_cannot_be_ends_with_a_sentence(run, data, called, options, said):
    code, _, err = called("diagnose", run, "--data", data, *options)
    assert code == 2
    assert "Traceback" not in err
    assert said in " ".join(err.split())


def test_a_table_of_means_has_nothing_to_sweep(tmp_path):
    (tmp_path / "means.csv").write_text("strategy,n,value,sem\na,10,0.6,0.01\na,20,0.7,0.01\n")
    with pytest.raises(InputError, match="--sweep needs a run folder"):
        diagnose(tmp_path / "means.csv", asked=Asked(sweep=Sweep()))


def test_a_cohort_that_has_changed_is_refused(run, data, tmp_path):
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns(FOLDER))
    people = pd.read_csv(data / "people.tsv", sep="\t", dtype={"session_id": str}, keep_default_na=False)
    people.assign(target=people["target"].to_numpy()[::-1]).to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    asked = Asked(strategies=("linear",), data=tmp_path, replicates=2, sweep=Sweep(sizes=(20,), label_noise=(0.0,)))
    with pytest.raises(InputError, match="the cohort is not what"):
        run_sweep(tmp_path / "run", asked)
