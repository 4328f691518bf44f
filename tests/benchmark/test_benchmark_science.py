"""The answers of whole runs where the truth is known: a planted effect is found, nothing is found where nothing is."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.cohort import Grid, read_cohort
from neurotransfer.pretrain import Pretraining, pretrain
from neurotransfer.simulate import simulate
from neurotransfer.statistics.permutation import holm, paired_test
from neurotransfer.training import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SHAPE, VOXEL_MM = (32, 38, 32), 192 / 38
LR = {"lr": [3e-3, 1e-3]}
NETWORKS = [
    {"strategy": "finetuned", "model": "multi", "grid": LR},
    {"strategy": "baseline", "grid": LR},
]
STANDING = [
    {"strategy": "transferred", "model": "multi"},
    {"strategy": "frozen", "model": "multi"},
    {"strategy": "random-frozen"},
    {"strategy": "linear"},
    {"strategy": "voxels"},
]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A network that has learnt age and sex from 160 people whose heads show both."""
    folder = tmp_path_factory.mktemp("science")
    heads = simulate(folder / "heads", 160, shape=SHAPE, seed=11, effect=2.0, prefix="pre", missing=0.0)
    options = Pretraining(grid=Grid(SHAPE, VOXEL_MM), arguments={"width": 0.125}, recipe=Recipe(epochs=12, lr=3e-3))
    pretrain(read_cohort(heads), ["age", "sex"], folder / "multi", options)
    return folder / "multi"


def run_on(cohort, folder, target, strategies, pretrained=None, epochs=5, **protocol):
    values = {
        "name": "science",
        "seed": 7,
        "cohort": {"path": str(cohort)},
        "grid": {"shape": list(SHAPE), "voxel_size_mm": VOXEL_MM},
        "network": {"width": 0.125},
        "tasks": {target: {"target": target}},
        "protocol": {"test": "rest", **protocol},
        "training": {"epochs": epochs, "batch_size": 8},
        "strategies": strategies,
    }
    if pretrained is not None:
        values["models"] = {"multi": {"path": str(pretrained)}}
    fits = benchmark(parse_study(values), folder, workers=2).results
    assert fits["error"].isna().all()
    return fits[fits["selected"]].set_index(["n", "replicate"])


def test_finetuning_beats_training_from_scratch_where_the_pretraining_knows_the_effect(pretrained, tmp_path):
    heads = simulate(tmp_path / "heads", 100, shape=SHAPE, seed=12, effect=2.0, prefix="study", missing=0.0)
    fits = run_on(heads, tmp_path / "run", "age", NETWORKS, pretrained, epochs=20, sizes=[20], replicates=16)
    finetuned, baseline = (
        fits[fits["strategy"] == name].loc[20, "test_mae"].sort_index() for name in ("multi-finetuned", "baseline")
    )
    assert list(finetuned.index) == list(baseline.index) == list(range(16))
    found = paired_test(finetuned.to_numpy(), baseline.to_numpy(), higher_is_better=False)
    assert found.difference < -1.0, found
    assert found.p < 0.05, found


def test_nothing_differs_from_chance_where_there_is_nothing(pretrained, tmp_path):
    # replicates of one pool share its accidents: only the mean of each of eight independent pools counts
    pools = []
    for seed in range(8):
        heads = simulate(tmp_path / f"heads-{seed}", 50, shape=SHAPE, seed=100 + seed, effect=0.0, missing=0.0)
        protocol = {"sizes": [20], "replicates": 3}
        fits = run_on(heads, tmp_path / f"run-{seed}", "sex", [*NETWORKS, *STANDING], pretrained, **protocol)
        pools.append(fits.groupby("strategy")["test_auc"].mean())
    table = pd.DataFrame(pools)
    assert table.shape == (8, 7)
    p_values = np.array([ttest_1samp(table[name], 0.5).pvalue for name in table])
    assert (holm(p_values) > 0.01).all(), table.describe()
    assert table.mean().between(0.4, 0.6).all(), table.describe()


def test_two_sessions_of_a_person_on_both_sides_would_show(tmp_path):
    heads = simulate(tmp_path / "heads", 50, shape=SHAPE, seed=21, effect=0.0, missing=0.0, second_sessions=1.0)
    table = pd.read_csv(heads, sep="\t")
    assert len(table) == 100
    strangers = tmp_path / "heads" / "strangers.tsv"
    # the trap: every session becomes a person of its own, so that the splits cannot keep them together
    names = table["participant_id"] + table["session_id"].str.replace("-", "")
    table.assign(participant_id=names, session_id="ses-1").to_csv(strangers, sep="\t", index=False)
    honest, leaking = (
        run_on(cohort, tmp_path / name, "sex", STANDING[-1:], sizes=[50], replicates=20)["test_auc"].mean()
        for name, cohort in (("honest", heads), ("leaking", strangers))
    )
    assert honest < 0.6
    assert leaking > honest + 0.1
