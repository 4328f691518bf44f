"""Studies in which exactly one cause is planted, and clean ones: what `diagnose` must name, and what it must not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark.study import Study, parse_study
from neurotransfer.diagnose.interpolation import SweepVerdict, verdicts_of
from neurotransfer.diagnose.run import diagnose
from neurotransfer.diagnose.sweep import Sweep
from neurotransfer.diagnose.swept import read_sweeps
from neurotransfer.diagnose.trials import Asked, names_of
from neurotransfer.report.folder import read_run
from neurotransfer.seeding import stream

TABLE = "people.tsv"
HELD = "role"
N_TEST = 400
# choose by people enough, so that choosing itself costs nothing
ENOUGH = {"validation": "fixed", "validation_size": 200}
FIXED_TEST = {"test": "people", "held_out": {HELD: "test"}, "replacement": False}


@dataclass(frozen=True)
class Planted:
    """A simulated study with one cause.

    Attributes:
        cause: that is planted, a name of CAUSES; empty for a clean study.
        description: how.
        people: the table of people, by a generator.
        study: values of the study that differ from `STUDY`.
        sites: the column of sites.
        strategy: the one that has the cause.
    """

    cause: str
    description: str
    people: Callable[[np.random.Generator], pd.DataFrame]
    study: Mapping[str, Any]
    sites: str = ""
    strategy: str = "linear"


def table_of(
    features: np.ndarray, target: np.ndarray, generator: np.random.Generator, **columns: object
) -> pd.DataFrame:
    """A table of people: features c000, c001, ..., the target, and who is only tested."""
    n = len(features)
    role = np.where(np.arange(n) < N_TEST, "test", "pool")
    names = [f"c{place:03d}" for place in range(features.shape[1])]
    frame = pd.DataFrame(features.round(5), columns=names)
    first = pd.DataFrame(
        {
            "participant_id": [f"sub-{place:05d}" for place in generator.permutation(n)],
            "session_id": "",
            HELD: role,
            **columns,
        }
    )
    return pd.concat([first, frame.assign(target=target)], axis=1)


def linear_people(
    generator: np.random.Generator, n: int = 2400, n_features: int = 30, signal: float = 1.0, kind: str = "binary"
) -> pd.DataFrame:
    """People whose target is a straight line of all features with noise."""
    features = generator.standard_normal((n, n_features))
    weights = generator.standard_normal(n_features)
    line = features @ (weights / np.linalg.norm(weights))
    return table_of(features, _target(signal * line + generator.standard_normal(n), kind), generator)


def _target(values: np.ndarray, kind: str) -> np.ndarray:
    if kind == "binary":
        return np.where(values > np.median(values), "patient", "control")
    return values.round(5)


def _wild(generator: np.random.Generator) -> pd.DataFrame:
    return linear_people(generator, n_features=60, signal=2.0, kind="continuous")


def _values(generator: np.random.Generator) -> pd.DataFrame:
    return linear_people(generator, n_features=40, signal=1.0, kind="continuous")


def _noisy(generator: np.random.Generator) -> pd.DataFrame:
    return linear_people(generator, n_features=10, signal=2.0, kind="continuous")


def _exact(generator: np.random.Generator) -> pd.DataFrame:
    return linear_people(generator, n_features=10, signal=1e6, kind="continuous")


def _nuisance(
    generator: np.random.Generator, n: int = 2400, n_features: int = 60, n_nuisances: int = 4
) -> pd.DataFrame:
    """A weak signal under strong nuisances that all features share: a penalty that is too strong cannot take them out."""
    features = generator.standard_normal((n, n_features))
    nuisances = generator.standard_normal((n, n_nuisances))
    loadings = generator.standard_normal((n_nuisances, n_features))
    target = generator.standard_normal(n)
    weights = generator.standard_normal(n_features)
    mixed = features + 3 * nuisances @ loadings + np.outer(target, weights) * 0.5
    return table_of(mixed, _target(target + 0.5 * generator.standard_normal(n), "binary"), generator)


def _bent(generator: np.random.Generator, n: int = 2400, n_features: int = 8) -> pd.DataFrame:
    """A target that rises with the size of several directions, whatever their sign: no straight line sees it."""
    features = generator.standard_normal((n, n_features))
    values = np.abs(features[:, :4]).sum(1) + 0.3 * generator.standard_normal(n)
    return table_of(features, _target(values, "binary"), generator)


def _two_sites(generator: np.random.Generator, n: int = 2400, n_features: int = 30, first: int = 700) -> pd.DataFrame:
    """A small first site; then a large one, mostly of patients, whose scanner moves features to where controls are."""
    features = generator.standard_normal((n, n_features))
    weights = generator.standard_normal(n_features)
    direction = weights / np.linalg.norm(weights)
    values = 1.5 * features @ direction + generator.standard_normal(n)
    site = np.where(np.arange(n) < N_TEST + first, "a", "b")
    is_patient = values > 0
    features[site == "b"] -= 2 * direction
    frame = table_of(features, np.where(is_patient, "patient", "control"), generator, site=site)
    keep = (site == "a") | is_patient | (generator.random(n) < 0.25)
    return frame[keep].reset_index(drop=True)


STUDY: Mapping[str, Any] = {
    "name": "planted",
    "cohort": {"path": TABLE, "images": False},
    "tasks": {"target": {"target": "target"}},
    "strategies": [{"strategy": "linear"}],
    "protocol": {"sizes": [40, 80, 160, 320, 640], "replicates": 30, **FIXED_TEST, **ENOUGH},
}
_PROTOCOL: Mapping[str, Any] = STUDY["protocol"]
_NETWORK = {"strategy": "perceptron", "grid": {"lr": [0.03], "depth": [1], "width": [8]}}
_SMALL_TESTS = {"sizes": [40, 60, 80, 100, 120], "replicates": 10, **ENOUGH}

PLANTED: dict[str, Planted] = {
    "clean": Planted("", "a straight line, tests of 400 people, 30 replicates", linear_people, {}),
    "luck": Planted(
        "luck", "tests of n / 5 people, 10 replicates", linear_people, {"protocol": _SMALL_TESTS}
    ),
    "interpolation": Planted(
        "interpolation", "60 features and next to no penalty, three labels in ten wrong", _wild,
        {
            "strategies": [{"strategy": "linear", "grid": {"penalty": [1e-9]}}],
            "protocol": {**_PROTOCOL, "sizes": [20, 30, 60, 160, 640], "label_noise": 0.3},
        },
    ),
    "sites": Planted(
        "sites", "from n = 640 on people of a second site enter", _two_sites,
        {"protocol": {**_PROTOCOL, "sizes": [40, 80, 160, 320, 1000], "enter": {"column": "site", "order": ["a", "b"]}}},
        sites="site",
    ),
    "capacity": Planted(
        "capacity", "a network of two units for a target that bends in four directions", _bent,
        {
            "strategies": [{"strategy": "linear"}, {"strategy": "perceptron", "grid": {"width": [2]}}],
            "protocol": {**_PROTOCOL, "sizes": [80, 320], "replicates": 6},
            "training": {"epochs": 20, "batch_size": 32, "patience": 20, "lr": 1e-2},
        },
        strategy="perceptron",
    ),
    "selection": Planted(
        "selection", "four people choose among nine penalties from far too weak to far too strong", _values,
        {
            "strategies": [{"strategy": "linear", "grid": {"penalty": [10.0**power for power in range(-6, 3)]}}],
            "protocol": {**_PROTOCOL, "validation_size": 4},
        },
    ),
    "edge": Planted(
        "edge", "penalties that are all too strong", _nuisance,
        {"strategies": [{"strategy": "linear", "grid": {"penalty": [300.0, 1000.0, 3000.0]}}]},
    ),
}  # fmt: skip


# what a sweep is tried on: all widths and epochs that it takes are those of SWEEP
SWEPT: dict[str, Planted] = {
    "double-descent": Planted(
        "interpolation", "ten features, a noisy straight line, one label in five wrong, all people in one batch", _noisy,
        {
            "strategies": [{"strategy": "linear"}, _NETWORK],
            "protocol": {**_PROTOCOL, "sizes": [20, 40, 80], "replicates": 10, "validation_size": 40, "label_noise": 0.2},
            "training": {"epochs": 30, "batch_size": 100, "patience": 10},
        },
        strategy="perceptron",
    ),
    "nothing-to-overfit": Planted(
        "", "ten features, a straight line without noise, right labels", _exact,
        {
            "strategies": [{"strategy": "linear"}, _NETWORK],
            "protocol": {**_PROTOCOL, "sizes": [20, 40, 80], "replicates": 10, "validation_size": 40},
            "training": {"epochs": 30, "batch_size": 100, "patience": 10},
        },
        strategy="perceptron",
    ),
}  # fmt: skip
SWEEP = Sweep(widths=(1, 2, 4, 8, 16, 64), epochs=(30, 300))


def planted_study(name: str, seed: int) -> Study:
    """The study of a planted cause, or of SWEPT, whose cohort is the table that `run_planted` writes."""
    planted = (PLANTED | SWEPT)[name]
    return parse_study({**STUDY, **planted.study, "seed": seed, "regional_columns": _columns(name, seed)})


def _columns(name: str, seed: int) -> list[str]:
    return [column for column in people_of(name, seed) if column[:1] == "c" and column[1:].isdigit()]


def people_of(name: str, seed: int) -> pd.DataFrame:
    """The people of a planted study."""
    return (PLANTED | SWEPT)[name].people(stream(seed, "planted", name))


def run_planted(name: str, seed: int, folder: Path, workers: int = 1) -> Path:
    """Write the people of a planted study and run it, or what is left of it; gives the run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    people_of(name, seed).to_csv(folder / TABLE, sep="\t", index=False)
    benchmark(planted_study(name, seed), folder / "run", data=folder, workers=workers)
    return folder / "run"


def swept(name: str, seed: int, folder: Path, sweep: Sweep = SWEEP, workers: int = 1) -> SweepVerdict:
    """What the sweep of a study of SWEPT says, at its own label noise; its page lies in the run folder."""
    run, planted = run_planted(name, seed, folder, workers), SWEPT[name]
    noise = float(planted_study(name, seed).protocol.label_noise)
    asked = Asked(
        strategies=(planted.strategy,),
        data=folder,
        workers=workers,
        sweep=replace(sweep, label_noise=sweep.label_noise or (noise,)),
    )
    diagnose(run, asked=asked)
    (verdict,) = verdicts_of(read_sweeps(run, read_run(run).tasks))
    return verdict


def diagnosed(name: str, seed: int, folder: Path, workers: int = 1) -> list[str]:
    """The causes that are named of a planted study with all experiments on causes, first things first."""
    run, planted = run_planted(name, seed, folder, workers), PLANTED[name]
    asked = Asked(strategies=(planted.strategy,), sites=planted.sites, data=folder, workers=workers)
    _, analyses = diagnose(run, asked=replace(asked, names=names_of(["causes"], run, asked)))
    return [finding.cause for finding in analyses[0].verdict.named]
