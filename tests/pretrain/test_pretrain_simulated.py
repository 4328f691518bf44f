"""Pretraining on simulated heads: labels that are measured, members of their own, real people who only look, kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from neurotransfer.cohort import is_selection, read_cohort
from neurotransfer.errors import InputError, InterruptedRunError, ModelError
from neurotransfer.models import SFCN, Network, load_model
from neurotransfer.models.folder import CARD, README, WEIGHTS
from neurotransfer.models.network import seeded
from neurotransfer.pretrain.judges import SCANNERS, RealPeople, finished
from neurotransfer.pretrain.simulated import SimulatedExamples, pretrain_simulated, targets_of
from neurotransfer.pretrain.study import parse_simulated_study
from neurotransfer.simulate.measures import GROUPS, measure
from neurotransfer.simulate.synthesis import Heads, SimulatedVolumes
from neurotransfer.targets import Target, infer_target
from neurotransfer.training import features, outputs

VALUES = {
    "name": "tiny-sim",
    "licence": "BSD-3-Clause",
    "seed": 3,
    "grid": {"shape": [32, 38, 32], "voxel_size_mm": 5.0526315789473681},
    "network": {"width": 0.0625, "pooling": "average", "members": 2, "joined": 2, "mirrored": True},
    "heads": {"an_epoch": 24, "validation": 8},
    "targets": {"tissue": 0.7, "age": 0.2, "sex": 0.1},
    "training": {"epochs": 2, "batch_size": 8, "lr": 3e-3},
}
REAL = {"path": "cohort.tsv", "target": "age", "share": 0.6, "sizes": [8], "draws": 3}
PROGRAM = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
import test_pretrain_simulated as test
from neurotransfer.pretrain.simulated import pretrain_simulated
from neurotransfer.pretrain.study import parse_simulated_study
pretrain_simulated(parse_simulated_study(test.VALUES), sys.argv[1], on_epoch=lambda row: print(row["epoch"], flush=True))
"""


def study(**more):
    return parse_simulated_study(VALUES | more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "model"
    pretrain_simulated(study(), folder)
    return folder


def test_the_model_folder_holds_a_panel_its_card_and_every_epoch(undisturbed):
    assert sorted(path.name for path in undisturbed.iterdir()) == [
        README,
        CARD,
        "training.json",
        "training.tsv",
        WEIGHTS,
    ]
    model = load_model(undisturbed)
    assert model.card.architecture == "sfcn-panel"
    assert model.card.licence == "BSD-3-Clause"
    assert {target.name for target in model.card.targets} == {"fluid_ml", "grey_ml", "white_ml", "age", "sex"}
    assert model.card.provenance["people"].startswith("none")
    assert model.card.provenance["n_train_images"] == 2 * 2 * 24
    table = pd.read_csv(undisturbed / "training.tsv", sep="\t")
    assert table[["member", "epoch", "heads_seen"]].to_numpy().tolist() == [
        [1, 1, 24],
        [1, 2, 48],
        [2, 1, 24],
        [2, 2, 48],
    ]
    assert np.isfinite(table.to_numpy(float)).all()


def test_weights_are_kept_in_half_the_space_and_read_as_float32(undisturbed):
    network = load_model(undisturbed).network
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    n_bytes = sum(value.numel() for value in network.parameters()) * 2
    assert (undisturbed / WEIGHTS).stat().st_size < 1.5 * n_bytes + 20_000


def test_the_model_predicts_heads_that_it_has_not_seen(undisturbed):
    part = study().heads
    heads = Heads(study().volume_grid, part.values, seed=99).make(range(6))
    found = outputs(load_model(undisturbed).network, heads.volumes[:, 0].numpy(), np.arange(6))
    assert all(np.isfinite(values).all() for values in found.values())


def test_members_learn_from_heads_of_their_own(monkeypatch, tmp_path):
    seen = []
    make = Heads.make

    def watched(self, indices, number=0):
        seen.append([int(index) for index in indices])
        return make(self, indices, number)

    monkeypatch.setattr(Heads, "make", watched)
    pretrain_simulated(study(training=VALUES["training"] | {"epochs": 1}), tmp_path / "model")
    drawn = [set(batch) for batch in seen]
    assert set(range(8)) in drawn
    learnt = set().union(*drawn) - set(range(8))
    assert learnt == set(range(8, 8 + 2 * 24))


def test_people_who_are_scanned_twice_were_not_learnt_from(monkeypatch):
    seen = []
    make = Heads.make

    def watched(self, indices, number=0):
        seen.append((number, self.variety.sites, [int(index) for index in indices]))
        return make(self, indices, number)

    wanted = study(network=VALUES["network"] | {"normalised": True}, heads=VALUES["heads"] | {"twice": 20})
    with seeded(1):
        networks = [
            Network(SFCN(width=0.0625, pooling="average"), [Target("age", "continuous")]).eval() for _ in range(2)
        ]
    monkeypatch.setattr(Heads, "make", watched)
    network = finished(wanted, networks)
    assert network.encoder.normalised
    learnt = 8 + 2 * 2 * 24
    for number in (0, 1):
        assert sorted(row for this, _, rows in seen if this == number for row in rows) == list(
            range(learnt, learnt + 20)
        )
    assert {sites for _, sites, _ in seen} == {SCANNERS}


@pytest.mark.slow
def test_a_normalised_model_predicts_as_the_plain_one_and_has_other_features(undisturbed, tmp_path):
    changes = {"network": VALUES["network"] | {"normalised": True}, "heads": VALUES["heads"] | {"twice": 40}}
    pretrain_simulated(study(**changes), tmp_path / "model")
    plain, normalised = load_model(undisturbed).network, load_model(tmp_path / "model").network
    assert normalised.encoder.normalised
    heads = Heads(study().volume_grid, study().heads.values, seed=99).make(range(6)).volumes[:, 0].numpy()
    for name, values in outputs(plain, heads, np.arange(6)).items():
        np.testing.assert_allclose(outputs(normalised, heads, np.arange(6))[name], values, rtol=0.05, atol=0.05)
    first, second = features(plain.encoder, heads), features(normalised.encoder, heads)
    assert first.shape == second.shape
    assert not np.allclose(first, second, atol=0.1)


def test_another_seed_is_another_model(undisturbed, tmp_path):
    pretrain_simulated(study(seed=4), tmp_path / "other")
    assert (tmp_path / "other" / WEIGHTS).read_bytes() != (undisturbed / WEIGHTS).read_bytes()


def test_a_finished_model_is_not_written_over(undisturbed):
    with pytest.raises(ModelError):
        pretrain_simulated(study(), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("epochs_before_the_kill", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_killed_and_called_again_it_ends_with_the_same_bytes(undisturbed, tmp_path, epochs_before_the_kill):
    folder = tmp_path / "model"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NEUROTRANSFER_PRECISION": "float32"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(Path(__file__).parent)],
                               stdout=subprocess.PIPE, text=True, env=environment)  # fmt: skip
    for _ in range(epochs_before_the_kill):
        assert process.stdout.readline().strip()
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (folder / CARD).exists()
    epochs = []
    pretrain_simulated(study(), folder, on_epoch=lambda row: epochs.append(row["epoch"]))
    assert len(epochs) <= 4 - epochs_before_the_kill + 1
    assert (folder / WEIGHTS).read_bytes() == (undisturbed / WEIGHTS).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == [README, CARD, "training.json", "training.tsv", WEIGHTS]


def test_an_interrupt_says_that_it_goes_on(tmp_path):
    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="goes on from there"):
        pretrain_simulated(study(), tmp_path / "model", on_epoch=stop)
    assert not (tmp_path / "model" / CARD).exists()


def test_a_checkpoint_of_another_study_is_refused(tmp_path):
    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        pretrain_simulated(study(), tmp_path / "model", on_epoch=stop)
    with pytest.raises(InputError, match="of another training"):
        pretrain_simulated(study(heads={"an_epoch": 24, "validation": 8, "variety": "plain"}), tmp_path / "model")


def test_labels_are_measured_on_the_very_heads():
    heads = Heads(study().volume_grid, seed=1)
    examples = SimulatedExamples(
        SimulatedVolumes(heads, 10, 6), np.arange(6), {}, heads=heads, groups=("tissue", "age"), first=10
    )
    chosen, mine = np.array([4, 0, 5]), np.array([0, 2])
    volumes, labels = examples.load(chosen, mine, epoch=2)
    made = heads.make([10 + 6 + 4, 10 + 6 + 5])
    torch.testing.assert_close(volumes, made.volumes, atol=1e-4, rtol=1e-4)
    for name, values in measure(made, ["tissue", "age"]).items():
        np.testing.assert_allclose(labels[name][mine], values, rtol=1e-3)
        # what another process makes counts as a label and is no gap
        assert labels[name].shape == (3,)
        assert np.isfinite(labels[name]).all()


def test_every_epoch_has_other_heads_and_settling_looks_at_heads_of_the_first():
    heads = Heads(study().volume_grid, seed=1)
    volumes = SimulatedVolumes(heads, 10, 6)
    examples = SimulatedExamples(volumes, np.arange(6), {}, heads=heads, groups=("age",), first=10)
    first, second = (examples.load(np.arange(6), np.arange(6), epoch)[1]["age"] for epoch in (1, 2))
    assert not np.isin(first, second).any()
    np.testing.assert_allclose(volumes[np.arange(6)], heads.make(range(10, 16)).volumes[:, 0].numpy(), atol=1e-4)


def test_what_identifies_examples_tells_seeds_and_varieties_apart():
    grid = study().volume_grid
    digests = {
        SimulatedExamples(
            SimulatedVolumes(heads, 0, 6), np.arange(6), {}, heads=heads, groups=groups, first=first
        ).digest
        for heads in (Heads(grid, seed=1), Heads(grid, seed=2), Heads(grid, VARIED, seed=1))
        for groups in (("age",), ("age", "sex"))
        for first in (0, 6)
    }
    assert len(digests) == 12


VARIED = study(heads={"changes": {"noise": 0.5}}).heads.values


def test_targets_have_kinds_units_and_the_weight_of_their_group():
    groups = [name for name in GROUPS if name != "volumes_by_side"]
    asked = study(targets=dict.fromkeys(groups, 1.0))
    made = Heads(asked.volume_grid, seed=1).make(range(12))
    targets = {target.name: target for target in targets_of(asked, made)}
    assert targets["sex"].classes == ("F", "M")
    assert targets["handedness"].kind == "binary"
    assert targets["age"].unit == "years"
    assert targets["grey_ml"].unit == "ml"
    assert targets["left_hippocampus_moved_x_mm"].unit == "mm"
    assert sum(target.weight for target in targets.values()) == pytest.approx(len(groups))
    assert targets["age"].location == pytest.approx(made.people.targets["age"].mean(), abs=0.1)


@pytest.fixture
def people(tiny_cohort):
    return study(real=REAL), tiny_cohort.parent


@pytest.mark.slow
def test_real_people_are_looked_at_and_change_nothing(people, undisturbed, tmp_path):
    asked, data = people
    rows = []
    model = pretrain_simulated(asked, tmp_path / "model", data=data, on_epoch=rows.append)
    assert (tmp_path / "model" / WEIGHTS).read_bytes() == (undisturbed / WEIGHTS).read_bytes()
    assert all(0 < row["real_mae_8"] < 60 for row in rows)
    assert 0 < model.card.provenance["validation"]["real_mae_8"] < 60
    assert "real_mae_8" in pd.read_csv(tmp_path / "model" / "training.tsv", sep="\t")
    assert "tiny-00" not in (tmp_path / "model" / CARD).read_text(encoding="utf-8")


def test_only_the_selected_share_of_people_judges(people, tmp_path):
    asked, data = people
    judges = RealPeople(asked.real, data, asked, tmp_path)
    cohort = read_cohort(data / "cohort.tsv", targets=["age"])
    known = ~np.isnan(cohort.labels(infer_target("age", cohort.table)))
    assert len(judges.values) == (is_selection(cohort.participants, 0.6, asked.seed) & known).sum()


def test_features_that_hold_the_target_have_no_error_and_noise_has(people, tmp_path):
    judges = RealPeople(people[0].real, people[1], people[0], tmp_path)
    generator = np.random.default_rng(0)
    told = np.column_stack([judges.values] * 3) + 0.01 * generator.standard_normal((len(judges.values), 3))
    noise = generator.standard_normal((len(judges.values), 5))
    assert judges._error(told, 8) < 1
    assert judges._error(noise, 8) > 5


def test_too_few_people_are_refused_before_anything_is_learnt(people, tmp_path):
    asked = study(real=REAL | {"sizes": [60]})
    with pytest.raises(InputError, match="too few for sizes up to 60"):
        pretrain_simulated(asked, tmp_path / "model", data=people[1])
    assert not (tmp_path / "model").exists()
