"""Experiments for real: a study of a table again with one choice changed, in folders below its run."""

import json

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.study import parse_study
from neurotransfer.diagnose.planted import linear_people
from neurotransfer.diagnose.run import diagnose
from neurotransfer.diagnose.trials import (
    FOLDER,
    Asked,
    experiments_of,
    finished_experiments,
    forecast_of,
    names_of,
    run_experiments,
    study_of,
)
from neurotransfer.errors import InputError

N_COLUMNS = 4


def values(**more):
    return {
        "name": "small",
        "seed": 5,
        "cohort": {"path": "people.tsv", "images": False},
        "tasks": {"target": {"target": "target"}},
        "strategies": [
            {"strategy": "linear", "grid": {"penalty": [0.01, 0.1, 1.0]}},
            {"strategy": "linear", "label": "weak", "grid": {"penalty": [1e-6, 1e-4]}},
        ],
        "protocol": {"sizes": [20, 40], "replicates": 6},
        "regional_columns": [f"c{place:03d}" for place in range(N_COLUMNS)],
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    linear_people(np.random.default_rng(0), 500, N_COLUMNS).to_csv(folder / "people.tsv", sep="\t", index=False)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    benchmark(parse_study(values()), folder, data=data)
    return folder


def test_an_experiment_is_the_same_study_with_one_choice_changed(run, data):
    asked = Asked(("wider-grid",), data=data, replicates=4)
    varied = experiments_of(run, asked)["wider-grid"]
    before = study_of(run, Asked())
    assert varied["protocol"]["replicates"] == 4
    assert [len(part["grid"]["penalty"]) for part in varied["strategies"]] == [7, 6]
    assert {name: value for name, value in varied.items() if name not in ("strategies", "protocol")} == {
        name: value for name, value in before.items() if name not in ("strategies", "protocol")
    }
    assert before["protocol"]["replicates"] == 6


def test_experiments_lie_below_the_run_and_train_on_the_same_people(run, data):
    asked = Asked(("wider-grid",), data=data)
    fits = run_experiments(run, asked)["wider-grid"]
    assert (run / FOLDER / "wider-grid" / "manifest.json").is_file()
    base = pd.read_parquet(run / "results.parquet")
    same = ["task", "n", "replicate", "strategy"]
    people = [table.drop_duplicates(same).set_index(same)["n_train_participants"] for table in (base, fits)]
    pd.testing.assert_series_equal(*people)
    # the settings of the run are among those of the experiment and give the same
    both = base.merge(fits, on=[*same, "setting"], suffixes=("", "_again"))
    assert len(both) == len(base)
    np.testing.assert_allclose(both["validation_auc"], both["validation_auc_again"])
    assert set(finished_experiments(run)) == {"wider-grid"}


def test_a_finished_experiment_is_not_done_again_and_is_in_the_page(run, data, monkeypatch):
    asked = Asked(("wider-grid",), data=data)
    run_experiments(run, asked)
    monkeypatch.setattr("neurotransfer.benchmark.work.run_cell", lambda *_: pytest.fail("done again"))
    run_experiments(run, asked)
    path, analyses = diagnose(run)
    assert all("wider-grid" in each.gains for each in analyses)
    assert "wider-grid" in path.read_text()
    facts = json.loads((run / "diagnosis.json").read_text())
    sources = {finding["cause"]: finding["source"] for finding in facts["curves"][0]["causes"]}
    assert sources["edge"] == "wider-grid"


def test_one_strategy_alone(run, data):
    varied = experiments_of(run, Asked(("wider-grid",), strategies=("weak",), data=data))["wider-grid"]
    assert [part["label"] for part in varied["strategies"]] == ["weak"]


def test_all_problems_are_said_at_once(run, data):
    with pytest.raises(InputError) as error:
        experiments_of(run, Asked(("longer", "harmonised", "wide-grid"), data=data))
    for part in (
        "'wide-grid'",
        "did you mean 'wider-grid'",
        "'longer' has nothing to change",
        "give --sites",
        "possible are",
    ):
        assert part in str(error.value)


def test_names_for_all_and_for_those_of_causes(run):
    every, causes = names_of(["all"], run, Asked()), names_of(["causes"], run, Asked())
    assert set(causes) < set(every)
    assert {"wider-grid", "regularised", "folds"} == set(causes)
    assert names_of(["folds", "folds", "causes"], run, Asked())[0] == "folds"


def test_what_experiments_take_is_said_and_nothing_is_done(run, data):
    before = sorted(path.name for path in run.iterdir())
    forecast = forecast_of(run, Asked(("folds",), data=data))["folds"]
    assert forecast.fits == 2 * 6 * 5
    assert forecast.total.best > 0
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.fixture(scope="module")
def of_sites(data, tmp_path_factory):
    """A run on 100, 60 and 40 people of three sites."""
    folder = tmp_path_factory.mktemp("of-sites")
    table = pd.read_csv(data / "people.tsv", sep="\t").iloc[:200]
    table.assign(site=["a"] * 100 + ["b"] * 60 + ["c"] * 40).to_csv(folder / "people.tsv", sep="\t", index=False)
    given = values(protocol={"sizes": [20, 60, 120], "replicates": 3}, strategies=[{"strategy": "linear"}])
    benchmark(parse_study(given), folder / "run", data=folder)
    return folder


def who_was(run, name):
    """The sites of whom an experiment has tested."""
    cohort = pd.read_parquet(run / "cohort.parquet").set_index("participant_id")
    people = pd.read_parquet(run / FOLDER / name / "predictions.parquet")["participant_id"]
    return set(cohort.loc[people, "site"]), people


def test_one_site_alone_at_the_sizes_that_it_has_people_for(of_sites):
    heard = []
    asked = Asked(("one-site",), sites="site", data=of_sites)
    fits = run_experiments(of_sites / "run", asked, tell=heard.append)["one-site"]
    assert sorted(fits["n"].unique()) == [20, 60]
    assert who_was(of_sites / "run", "one-site")[0] == {"a"}
    assert any("one-site" in text and "site = a alone; n = 20, 60" in text for text in heard)
    (analysis,) = diagnose(of_sites / "run")[1]
    gained = analysis.gains["one-site"].points
    assert np.isfinite(gained[:2]).all()
    assert np.isnan(gained[2])
    assert "one-site" not in {finding.source for finding in analysis.verdict.findings}


def test_a_site_held_out_is_tested_whole_and_never_trained_on(of_sites):
    asked = Asked(("site-held-out",), sites="site", data=of_sites)
    fits = run_experiments(of_sites / "run", asked)["site-held-out"]
    sites, people = who_was(of_sites / "run", "site-held-out")
    assert sites == {"b"}
    assert people.nunique() == 60
    assert set(fits["n_test_images"]) == {60}
    page = diagnose(of_sites / "run")[0].read_text()
    assert "Experiment site-held-out: tested on site = b, trained on the others." in page
    # 140 people are left to train on
    assert sorted(fits["n"].unique()) == [20, 60, 120]


def test_a_site_that_is_too_small_for_every_size_is_said(of_sites, tmp_path):
    given = values(protocol={"sizes": [120], "replicates": 2}, strategies=[{"strategy": "linear"}])
    benchmark(parse_study(given), tmp_path / "run", data=of_sites)
    with pytest.raises(InputError, match=r"'one-site' has too few people for every size .* n = 120; leave it out"):
        experiments_of(tmp_path / "run", Asked(("one-site",), sites="site", data=of_sites))


def test_a_column_of_sites_that_the_run_does_not_have_is_refused(of_sites):
    with pytest.raises(InputError, match="unknown column of sites 'scanner'"):
        names_of(["all"], of_sites / "run", Asked(sites="scanner"))
    every = names_of(["all"], of_sites / "run", Asked(sites="site"))
    assert {"one-site", "site-held-out", "harmonised"} <= set(every)
    assert not {"one-site", "site-held-out", "harmonised"} & set(names_of(["all"], of_sites / "run", Asked()))


def test_people_who_have_changed_are_refused(data, tmp_path):
    moved = tmp_path / "data"
    moved.mkdir()
    table = pd.read_csv(data / "people.tsv", sep="\t")
    table.to_csv(moved / "people.tsv", sep="\t", index=False)
    benchmark(parse_study(values()), tmp_path / "run", data=moved)
    table.assign(c000=table["c000"] + 1).to_csv(moved / "people.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match="the cohort is not what"):
        run_experiments(tmp_path / "run", Asked(("wider-grid",), data=moved))


def test_models_that_a_run_has_pretrained_are_not_pretrained_again(tmp_path):
    given = {
        **values(),
        "models": {
            "own": {"cohort": {"path": "other.tsv"}, "targets": ["age"]},
            "given": {"path": "sim-base"},
            "unused": {"path": "sim-base"},
        },
        "strategies": [{"strategy": "frozen", "model": "own"}, {"strategy": "frozen", "model": "given"}],
    }
    (tmp_path / "study.json").write_text(json.dumps({"study": parse_study(given).model_dump(mode="json")}))
    models = study_of(tmp_path, Asked())["models"]
    assert models == {"own": {"path": str((tmp_path / "models" / "own").resolve())}, "given": {"path": "sim-base"}}
    assert parse_study(study_of(tmp_path, Asked())).models["own"].path is not None


def test_a_run_of_an_earlier_version_has_its_experiments_and_one_that_cannot_be_read_has_curves_alone(
    run, data, tmp_path
):
    facts = json.loads((run / "study.json").read_text())
    early = tmp_path / "early"
    early.mkdir()
    (early / "results.parquet").write_bytes((run / "results.parquet").read_bytes())
    del facts["study"]["protocol"]["validation"]
    del facts["study"]["protocol"]["label_noise"]
    (early / "study.json").write_text(json.dumps(facts))
    assert "folds" in experiments_of(early, Asked(("folds",), data=data))
    assert diagnose(early)[0].is_file()
    facts["study"]["protocol"]["magic"] = 1
    (early / "study.json").write_text(json.dumps(facts))
    assert diagnose(early)[0].is_file()
    with pytest.raises(InputError, match="cannot be read by this version"):
        experiments_of(early, Asked(("folds",), data=data))
