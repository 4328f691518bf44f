"""A setting that is fitted once more is the fit of the run, whatever validates, chooses or harmonises."""

import json

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark.cell import fit_again
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.workspace import open_workspace

COLUMNS = ["c0", "c1", "c2", "c3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    draws = np.random.default_rng(0)
    features = draws.normal(size=(200, len(COLUMNS)))
    table = pd.DataFrame(features.round(4), columns=COLUMNS).assign(
        participant_id=[f"p{place:03d}" for place in range(200)],
        site=np.where(np.arange(200) % 3, "a", "b"),
        target=np.where(features[:, 0] + draws.normal(size=200) > 0, "y", "n"),
    )
    folder = tmp_path_factory.mktemp("again")
    table.to_csv(folder / "people.tsv", sep="\t", index=False)
    return folder


@pytest.mark.parametrize(
    "protocol",
    [{}, {"validation": "folds", "folds": 3}, {"harmonise": "site"}, {"search": "halving"}, {"label_noise": 0.2}],
    ids=["fifth", "folds", "harmonised", "halving", "wrong labels"],
)
def test_test_scores_are_those_of_the_run(data, tmp_path, protocol):
    study = {
        "name": "again", "seed": 3, "fit_seed": 8, "cohort": {"path": "people.tsv", "images": False},
        "tasks": {"target": {"target": "target"}},
        "strategies": [
            {"strategy": "linear", "grid": {"penalty": [0.1, 10.0]}},
            {"strategy": "perceptron", "grid": {"lr": [0.03, 0.003], "width": [4, 8]}},
        ],
        "protocol": {"sizes": [30], "replicates": 2, **protocol},
        "training": {"epochs": 9, "batch_size": 8},
        "regional_columns": COLUMNS,
    }  # fmt: skip
    benchmark(parse_study(study), tmp_path / "run", data=data)
    workspace = open_workspace(tmp_path / "run")
    chosen = pd.read_parquet(tmp_path / "run" / "results.parquet").query("selected")
    assert len(chosen) == 4
    for row in chosen.to_dict("records"):
        cell = Cell(row["task"], row["n"], row["replicate"], row["strategy"])
        again = fit_again(workspace, cell, json.loads(row["setting"]))
        assert again.test["auc"] == pytest.approx(row["test_auc"], abs=1e-3)
        assert len(again.split.test) == row["n_test_images"]
        assert again.source.columns == tuple(COLUMNS)
