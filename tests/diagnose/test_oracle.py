"""The chosen setting against the best and an average one: exact levels of constructed settings, and a run that keeps all."""

import made_up
import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.rules import apply_rules
from neurotransfer.benchmark.study import parse_study
from neurotransfer.diagnose.case import case_of, cases_of
from neurotransfer.diagnose.oracle import LEVELS, by_test_of, oracle_figure
from neurotransfer.diagnose.planted import linear_people
from neurotransfer.diagnose.run import diagnose
from neurotransfer.report.folder import read_run

SETTINGS = ({"penalty": 0.1}, {"penalty": 1.0}, {"penalty": 10.0})
OFF = (1.0, 2.0, 6.0)
N_PEOPLE, REPLICATES = 20, 8


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """Three settings that are 1, 2 and 6 years off; validation takes the second in half of the replicates."""
    folder = tmp_path_factory.mktemp("oracle")
    validation = np.tile(np.array([[3.0, 4.0, 5.0], [4.0, 3.0, 5.0]]), (REPLICATES // 2, 1))[:, None, :]
    fits = made_up.fits(
        np.full((REPLICATES, 1), 1.5), made_up.AGE, sizes=(50,), settings=SETTINGS, validation=validation
    )
    rows = [
        pd.DataFrame(
            {"task": "age", "n": 50, "replicate": replicate, "strategy": "linear", "setting_index": index, "part": "test",
             "observed": np.arange(20.0, 20 + N_PEOPLE), "predicted": np.arange(20.0, 20 + N_PEOPLE) + off,
             "probabilities": None}
        )
        for replicate in range(REPLICATES)
        for index, off in enumerate(OFF)
    ]  # fmt: skip
    pd.concat(rows, ignore_index=True).to_parquet(folder / "predictions_of_settings.parquet")
    return folder, case_of(fits, made_up.AGE, "linear", "linear")


def test_levels_are_those_of_the_settings(errors):
    folder, case = errors
    found = by_test_of(case, folder)[50]
    # errors have a minus
    assert found.oracle.value == pytest.approx(-1)
    assert found.chosen.value == pytest.approx(-1.5)
    assert found.average.value == pytest.approx(-3)
    assert found.best_fixed.value == pytest.approx(-1)
    assert found.regret.value == pytest.approx(0.5)
    assert found.gain.value == pytest.approx(1.5)


def test_the_figure_turns_errors_back(errors):
    folder, case = errors
    figure = oracle_figure([(case, by_test_of(case, folder))], "age-oracle")
    table = figure.layers[0].table.set_index("setting")
    assert set(table.index) == set(LEVELS.values())
    assert table.loc[LEVELS["oracle"], "shown"] == pytest.approx(1)
    assert table.loc[LEVELS["average"], "shown"] == pytest.approx(3)
    assert (table["low"] <= table["high"]).all()
    assert "lower is better" in figure.y.label


def test_a_run_that_kept_the_chosen_alone_has_no_such_figure(errors, tmp_path):
    _, case = errors
    assert by_test_of(case, tmp_path) == {}
    assert oracle_figure([(case, {})], "x") is None


def test_a_replicate_without_a_choice_does_not_count(errors):
    folder, case = errors
    fits = case.fits.assign(selected=case.fits["selected"] & (case.fits["replicate"] > 1))
    some = case_of(fits, made_up.AGE, "linear", "linear")
    assert by_test_of(some, folder)[50].chosen.value == pytest.approx(-1.5)
    none = case_of(case.fits.assign(selected=False), made_up.AGE, "linear", "linear")
    assert by_test_of(none, folder) == {}


def test_a_run_that_kept_all_has_the_levels_that_rules_give_and_the_figure(tmp_path):
    linear_people(np.random.default_rng(0), 300, 4).to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    study = {
        "name": "all", "seed": 2, "cohort": {"path": "people.tsv", "images": False},
        "tasks": {"target": {"target": "target"}},
        "strategies": [{"strategy": "linear", "grid": {"penalty": [1e-3, 1.0, 1e3]}}],
        "protocol": {"sizes": [20, 40], "replicates": 6, "keep": "all"},
        "regional_columns": [f"c{place:03d}" for place in range(4)],
    }  # fmt: skip
    folder = tmp_path / "run"
    benchmark(parse_study(study), folder, data=tmp_path)
    (case,) = cases_of(read_run(folder))
    rules = apply_rules(folder, ["score", "oracle"]).groupby(["n", "rule"])["auc"].mean()
    for n, found in by_test_of(case, folder).items():
        assert found.oracle.value == pytest.approx(rules[n, "oracle"])
        assert found.chosen.value == pytest.approx(rules[n, "score"])
        assert found.average.value <= found.oracle.value
    path, (analysis,) = diagnose(folder)
    assert set(analysis.by_test) == {20, 40}
    assert "the chosen setting against the best and an average one" in path.read_text()
