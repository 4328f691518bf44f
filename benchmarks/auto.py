"""The regret of `auto` and of every single strategy on simulated tables whose best attainable score is known.

    python benchmarks/auto.py [--replicates 20] [--sizes 16 50 120]

A simulated person has three kinds of features, as a study has them: a few columns (`linear`), features of a network that was
pretrained on something else (`frozen`) and many voxels; and in one study the network has learnt the very target (`transferred`).
What is to be predicted is seen by one of them, by several in part, or by none: eight studies, each with a continuous and a binary
target. Training rows are drawn as in the talk, with replacement, from people who are neither validated on nor tested; the test
people are many, so that what varies is the strategy. The best attainable score is that of who knows the signal and not the noise.
Regret is what a strategy falls short of it: in points of AUC (0.01) and in standard deviations of the target (MAE, in hundredths).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.cohort import Split
from neurotransfer.models.network import Identity, Network
from neurotransfer.seeding import stream
from neurotransfer.statistics.metrics import scores
from neurotransfer.statistics.permutation import holm, paired_test
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.transfer import STRATEGIES, best_of, predict_rows, settings
from neurotransfer.transfer.members import views_of
from neurotransfer.transfer.search import search
from neurotransfer.transfer.source import Source

KINDS = ("linear", "frozen", "voxels")
SIZES = {"linear": 12, "frozen": 64, "voxels": 200}
FACTORS = {"linear": 4, "frozen": 16, "voxels": 40}
STUDIES = {
    "linear": {"linear": 1.0},
    "frozen": {"frozen": 1.0},
    "voxels": {"voxels": 1.0},
    "linear and frozen": {"linear": 1.0, "frozen": 1.0},
    "mostly linear": {"linear": 2.0, "frozen": 1.0},
    "all three": dict.fromkeys(KINDS, 1.0),
    "known target": {"frozen": 1.0},
    "nothing": {},
}
N_TEST = 1000
STRENGTH = {"binary": 2.0, "continuous": 0.8}
SINGLES = ("transferred", *KINDS)


@dataclass(frozen=True)
class Drawn:
    """One replicate of a study: where strategies start, what they learn from, and the score that could be had."""

    source: Source
    inputs: np.ndarray
    target: Target
    labels: np.ndarray
    split: Split
    best: float


def drawn(study: str, kind: str, n: int, replicate: int) -> Drawn:
    """A replicate of a study at n training rows."""
    fixed, generator = stream(0, "auto", study), stream(replicate, "auto", study, kind, n)
    pool = int(1.5 * n) + 40
    size = pool + N_TEST
    blocks, parts, before = [], {}, np.zeros(0)
    for name in KINDS:
        decay = {"linear": 1.0, "frozen": 0.8, "voxels": 0.93}[name] ** np.arange(FACTORS[name])
        loadings = fixed.normal(size=(FACTORS[name], SIZES[name])) * decay[:, None]
        weights = fixed.normal(size=FACTORS[name])
        factors = generator.normal(size=(size, FACTORS[name]))
        if name == "voxels":
            # a part of what the network sees is seen in voxels too
            factors[:, : FACTORS["frozen"]] = (factors[:, : FACTORS["frozen"]] + before) / np.sqrt(2)
        before = factors
        parts[name] = factors @ weights / np.linalg.norm(weights)
        blocks.append(factors @ loadings + 0.5 * generator.normal(size=(size, SIZES[name])))
    signal = sum((share * parts[name] for name, share in STUDIES[study].items()), np.zeros(size))
    signal /= np.sqrt(sum(share**2 for share in STUDIES[study].values())) or 1.0
    if kind == "binary":
        target = Target("y", "binary", classes=("a", "b"))
        labels = (generator.random(size) < 1 / (1 + np.exp(-STRENGTH[kind] * signal))).astype(float)
    else:
        target = Target("y", "continuous", location=0.0, scale=float(np.hypot(1, STRENGTH[kind])))
        labels = STRENGTH[kind] * signal + generator.normal(size=size)
    # what the network has learnt: the target, with an error, or something else
    learnt = (signal if study == "known target" else 0.0) + 0.6 * generator.normal(size=size)
    inputs = np.column_stack([blocks[0], learnt, *blocks[1:]]).astype(np.float32)
    # a voxel lies in the brain where it is bright
    inputs[:, -SIZES["voxels"] :] += 5
    split = _split(labels, pool, n, kind, generator)
    known = 1 / (1 + np.exp(-STRENGTH[kind] * signal)) if kind == "binary" else STRENGTH[kind] * signal
    best = score(target, labels[split.test], known[split.test], np.column_stack([1 - known, known])[split.test])
    return Drawn(_source(target, kind), inputs, target, labels, split, best)


def _split(labels: np.ndarray, pool: int, n: int, kind: str, generator: np.random.Generator) -> Split:
    while True:
        train = generator.choice(pool, n)
        rest = np.setdiff1d(np.arange(pool), train)
        validation = generator.permutation(rest)[: max(2, n // 5)]
        if kind == "continuous" or all(len(set(labels[part])) == 2 for part in (train, validation)):
            return Split(train, validation, np.arange(pool, len(labels)))


def _source(target: Target, kind: str) -> Source:
    network = Network(Identity(1 + SIZES["frozen"]), [target])
    head = network.head(target.name)
    head.weight.data.zero_()
    head.weight.data[0, 0] = STRENGTH[kind] / target.scale
    head.bias.data.zero_()
    parts = tuple(
        Source(
            STRATEGIES[name],
            name,
            {},
            Identity(SIZES[name] + (name == "frozen")),
            network if name == "frozen" else None,
        )
        for name in KINDS
    )
    return Source(STRATEGIES["auto"], "several", {}, Identity(1 + sum(SIZES.values())), parts=parts)


def score(target: Target, labels: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray) -> float:
    """AUC, or minus the MAE in standard deviations of the target: higher is better."""
    if target.kind == "continuous":
        return -scores(target.kind, labels, predicted, np.zeros((len(labels), 0)))["mae"] / target.scale
    return scores(target.kind, labels, predicted, probabilities)["auc"]


def tested(case: Drawn, name: str) -> float:
    """The test score of a strategy whose setting is chosen on the validation rows, as in a study."""
    source, inputs = case.source, case.inputs
    if name != "auto":
        # of the whole part: the column of the learnt target is one of the network's features
        part = next(
            part for part in source.parts if part.strategy.name == ("frozen" if name == "transferred" else name)
        )
        inputs = inputs[:, views_of(source, case.target)["frozen" if name == "transferred" else name].columns]
        source = Source(STRATEGIES[name], part.architecture, {}, part.encoder, part.network)
    trials = list(search(source, inputs, case.target, case.labels, case.split, settings(source.strategy), Recipe(), 0))
    labels = case.labels[case.split.validation]
    found = [scores(case.target.kind, labels, trial.predicted, trial.probabilities) for trial in trials]
    chosen = trials[max(0, best_of(case.target.kind, found))]
    return score(case.target, case.labels[case.split.test], *predict_rows(chosen.final(), inputs, case.split.test))


def measured(sizes: list[int], replicates: int) -> Iterator[dict[str, object]]:
    """The regret of every strategy in every replicate of every study."""
    for n in sizes:
        for study in STUDIES:
            for kind in STRENGTH:
                for replicate in range(replicates):
                    case = drawn(study, kind, n, replicate)
                    for name in ("auto", *SINGLES):
                        regret = 100 * (case.best - tested(case, name))
                        yield {
                            "kind": kind,
                            "n": n,
                            "study": study,
                            "replicate": replicate,
                            "strategy": name,
                            "regret": regret,
                        }


def behind(table: pd.DataFrame) -> pd.DataFrame:
    """Where `auto` is behind the best single strategy of a study and size, and how sure that is (Holm over all of them)."""
    rows = []
    for key, part in table.groupby(["kind", "study", "n"], sort=False):
        wide = part.pivot(index="replicate", columns="strategy", values="regret")
        best = wide[list(SINGLES)].mean().idxmin()
        pair = (wide["auto"].to_numpy(), wide[best].to_numpy())
        rows.append((*key, best, float((pair[0] - pair[1]).mean()), paired_test(*pair).p, paired_test(*pair[::-1]).p))
    found = pd.DataFrame(rows, columns=["kind", "study", "n", "best single", "behind", "p behind", "p ahead"])
    return found.assign(**{name: holm(found[name].to_numpy()) for name in ("p behind", "p ahead")})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 50, 120])
    options = parser.parse_args()
    table = pd.DataFrame(measured(options.sizes, options.replicates))
    pd.set_option("display.width", 140)
    for kind, part in table.groupby("kind", sort=False):
        print(
            f"\n{kind}: mean regret over the studies by n (hundredths of {'AUC' if kind == 'binary' else 'a standard deviation'})"
        )
        means = part.pivot_table(index="strategy", columns="n", values="regret").assign(
            mean=lambda rows: rows.mean(axis=1)
        )
        print(means.loc[["auto", *SINGLES]].round(1).to_string())
        print(f"\n{kind}: regret by study, over all n")
        print(
            part.pivot_table(index="study", columns="strategy", values="regret", sort=False)[["auto", *SINGLES]]
            .round(1)
            .to_string()
        )
    gaps = behind(table)
    print("\nfurthest behind the best single strategy of a study and size (which nobody knows beforehand)")
    print(gaps.sort_values("behind", ascending=False).head(8).round(3).to_string(index=False))
    counts = {name: int((gaps[f"p {name}"] < 0.05).sum()) for name in ("behind", "ahead")}
    print(f"\nof {len(gaps)}, significantly (Holm, 0.05) behind: {counts['behind']}, ahead: {counts['ahead']}")


if __name__ == "__main__":
    main()
