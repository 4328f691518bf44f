"""The regret of `auto` and of every single strategy on simulated tables whose best attainable score is known.

    python benchmarks/auto.py [--replicates 12] [--sizes 50 200 800] [--seed 0] [--workers 1]

A simulated person has three kinds of features, as a study has them: a few columns (`linear`, `perceptron`), features of a network that
was pretrained on something else (`frozen`) and many voxels; and in one study the network has learnt the very target (`transferred`).
What is to be predicted is seen by one of them, by several in part, or by none, on a straight line or (`bent`) not: ten studies, each
with a continuous and a binary target. Training rows are drawn as in the talk, with replacement, from people who are neither validated
on nor tested; the test people are many, so that what varies is the strategy. `perceptron` tries three settings, the others nine.
The best attainable score is that of the expected target given the features, by who knows how they were made. Regret is what a
strategy falls short of it: in points of AUC (0.01) and in standard deviations of the target (MAE, in hundredths).
"""

import argparse
import itertools
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

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
from neurotransfer.transfer.source import Source, make_source
from neurotransfer.workers import one_thread

KINDS = ("linear", "frozen", "voxels")
SIZES = {"linear": 12, "frozen": 64, "voxels": 200}
FACTORS = {"linear": 4, "frozen": 16, "voxels": 40}
DECAY = {"linear": 1.0, "frozen": 0.8, "voxels": 0.93}
BENT = "bent"
STUDIES = {
    "linear": {"linear": 1.0},
    "frozen": {"frozen": 1.0},
    "voxels": {"voxels": 1.0},
    "linear and frozen": {"linear": 1.0, "frozen": 1.0},
    "mostly linear": {"linear": 2.0, "frozen": 1.0},
    "all three": dict.fromkeys(KINDS, 1.0),
    "bent": {BENT: 1.0},
    "bent and frozen": {BENT: 1.0, "frozen": 1.0},
    "known target": {"frozen": 1.0},
    "nothing": {},
}
NOISE, NOISE_OF_LEARNT = 0.5, 0.6
N_TEST, DRAWS = 1000, 64
STRENGTH = {"binary": 2.0, "continuous": 0.8}
SINGLES = ("transferred", "linear", "perceptron", "frozen", "voxels")
AUTOS = ("auto", "auto-exact")
# as many steps at every size
RECIPE = Recipe(epochs=30, batch_size=32, patience=10, steps=100)
GRIDS = {"perceptron": {"lr": (3e-2, 1e-2, 3e-3)}}


@dataclass(frozen=True)
class Drawn:
    """One replicate of a study: where strategies start, what they learn from, and the score that could be had."""

    source: Source
    inputs: np.ndarray
    target: Target
    labels: np.ndarray
    split: Split
    best: float


@dataclass(frozen=True)
class World:
    """How the people of a study are made: features are a mixture (60, n_features) of factors, with noise (n_features,)."""

    study: str
    mixture: np.ndarray
    noise: np.ndarray
    weights: dict[str, np.ndarray]

    @classmethod
    def of(cls, study: str, seed: int) -> "World":
        """The world of a study."""
        fixed = stream(seed, "auto", study)
        start, mixtures, weights = 0, [], {}
        for name in KINDS:
            loadings = (
                fixed.normal(size=(FACTORS[name], SIZES[name])) * (DECAY[name] ** np.arange(FACTORS[name]))[:, None]
            )
            direction = fixed.normal(size=FACTORS[name])
            seen = np.zeros((sum(FACTORS.values()), FACTORS[name]))
            seen[start : start + FACTORS[name]] = np.eye(FACTORS[name])
            if name == "voxels":
                # a part of what the network sees is seen in voxels too
                shared, before = FACTORS["frozen"], FACTORS["linear"]
                seen[start : start + shared, :shared] /= np.sqrt(2)
                seen[before : before + shared, :shared] = np.eye(shared) / np.sqrt(2)
            mixtures.append(seen @ loadings)
            weights[name] = seen @ direction / np.linalg.norm(direction)
            start += FACTORS[name]
        # what the network has learnt: the target, with an error, or something else
        learnt = weights["frozen"][:, None] * (study == "known target")
        noise = np.full(1 + sum(SIZES.values()), NOISE)
        noise[SIZES["linear"]] = NOISE_OF_LEARNT
        return cls(study, np.concatenate([mixtures[0], learnt, *mixtures[1:]], 1), noise, weights)

    def signal(self, factors: np.ndarray) -> np.ndarray:
        """What can be known of the target, (...,), of factors (..., 60)."""
        shares = STUDIES[self.study]
        found = np.zeros(factors.shape[:-1])
        for name, share in shares.items():
            if name == BENT:
                sizes = np.abs(factors[..., : FACTORS["linear"]]) - np.sqrt(2 / np.pi)
                found = found + share * sizes.sum(-1) / np.sqrt(FACTORS["linear"] * (1 - 2 / np.pi))
            else:
                found = found + share * factors @ self.weights[name]
        return found / (np.sqrt(sum(share**2 for share in shares.values())) or 1.0)

    def expected(self, features: np.ndarray, kind: str, generator: np.random.Generator) -> np.ndarray:
        """The expected target given features (n, n_features), (n,), a mean over draws of the factors behind them."""
        scaled = self.mixture / self.noise**2
        covariance = np.linalg.inv(np.eye(len(self.mixture)) + scaled @ self.mixture.T)
        means, root = features @ scaled.T @ covariance, np.linalg.cholesky(covariance)
        draws = (means + generator.normal(size=means.shape) @ root.T for _ in range(DRAWS))
        return np.mean([meaning(kind, self.signal(factors)) for factors in draws], axis=0)


def meaning(kind: str, signal: np.ndarray) -> np.ndarray:
    """The expected label of a signal."""
    return 1 / (1 + np.exp(-STRENGTH[kind] * signal)) if kind == "binary" else STRENGTH[kind] * signal


def drawn(study: str, kind: str, n: int, replicate: int, seed: int = 0) -> Drawn:
    """A replicate of a study at n training rows."""
    world, generator = World.of(study, seed), stream(seed, "auto", study, kind, n, replicate)
    pool = int(1.5 * n) + 40
    size = pool + N_TEST
    factors = generator.normal(size=(size, len(world.mixture)))
    expected = meaning(kind, world.signal(factors))
    inputs = factors @ world.mixture + world.noise * generator.normal(size=(size, len(world.noise)))
    if kind == "binary":
        target = Target("y", "binary", classes=("a", "b"))
        labels = (generator.random(size) < expected).astype(float)
    else:
        target = Target("y", "continuous", location=0.0, scale=float(np.hypot(1, STRENGTH[kind])))
        labels = expected + generator.normal(size=size)
    best = world.expected(inputs[pool:], kind, generator)
    # a voxel lies in the brain where it is bright
    inputs[:, -SIZES["voxels"] :] += 5
    split = _split(labels, pool, n, kind, generator)
    known = score(target, labels[split.test], best, np.column_stack([1 - best, best]))
    return Drawn(_source(target, kind), inputs.astype(np.float32), target, labels, split, known)


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
    columns = tuple(f"column {place}" for place in range(SIZES["linear"]))
    perceptron = make_source(STRATEGIES["perceptron"], model=None, grid=None, target=target, columns=columns)
    encoder = Identity(1 + sum(SIZES.values()))
    return Source(STRATEGIES["auto"], "several", {}, encoder, parts=parts, learners=(perceptron,))


def score(target: Target, labels: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray) -> float:
    """AUC, or minus the MAE in standard deviations of the target: higher is better."""
    if target.kind == "continuous":
        return -scores(target.kind, labels, predicted, np.zeros((len(labels), 0)))["mae"] / target.scale
    return scores(target.kind, labels, predicted, probabilities)["auc"]


def tested(case: Drawn, name: str) -> float:
    """The test score of a strategy whose setting is chosen on the validation rows, as in a study."""
    source, inputs = case.source, case.inputs
    if name == "auto-exact":
        source = replace(source, learners=())
    elif name == "perceptron":
        source, inputs = source.learners[0], inputs[:, : SIZES["linear"]]
    elif name != "auto":
        # of the whole part: the column of the learnt target is one of the network's features
        part = next(
            part for part in source.parts if part.strategy.name == ("frozen" if name == "transferred" else name)
        )
        inputs = inputs[:, views_of(source, case.target)["frozen" if name == "transferred" else name].columns]
        source = Source(STRATEGIES[name], part.architecture, {}, part.encoder, part.network)
    tried = settings(source.strategy, GRIDS.get(name))
    trials = list(search(source, inputs, case.target, case.labels, case.split, tried, RECIPE, 0))
    labels = case.labels[case.split.validation]
    found = [scores(case.target.kind, labels, trial.predicted, trial.probabilities) for trial in trials]
    chosen = trials[max(0, best_of(case.target.kind, found))]
    return score(case.target, case.labels[case.split.test], *predict_rows(chosen.final(), inputs, case.split.test))


def measured(sizes: list[int], replicates: int, seed: int, workers: int) -> Iterator[dict[str, object]]:
    """The regret of every strategy in every replicate of every study."""
    asked = list(itertools.product(sizes, STUDIES, STRENGTH, range(replicates)))
    with ProcessPoolExecutor(workers) as pool:
        for (n, study, kind, replicate), regrets in zip(
            asked, pool.map(regrets_of, asked, itertools.repeat(seed)), strict=True
        ):
            for name, regret in regrets.items():
                yield {"kind": kind, "n": n, "study": study, "replicate": replicate, "strategy": name, "regret": regret}


def regrets_of(asked: tuple[int, str, str, int], seed: int) -> dict[str, float]:
    """The regret of every strategy in one replicate."""
    n, study, kind, replicate = asked
    # workers with two threads of linear algebra each on two cores hold each other up
    with one_thread():
        case = drawn(study, kind, n, replicate, seed)
        return {name: 100 * (case.best - tested(case, name)) for name in (*AUTOS, *SINGLES)}


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
    parser.add_argument("--replicates", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", help="a table of all regrets")
    options = parser.parse_args()
    table = pd.DataFrame(measured(options.sizes, options.replicates, options.seed, options.workers))
    if options.out:
        table.to_csv(options.out, sep="\t", index=False)
    pd.set_option("display.width", 140)
    for kind, part in table.groupby("kind", sort=False):
        print(
            f"\n{kind}: mean regret over the studies by n (hundredths of {'AUC' if kind == 'binary' else 'a standard deviation'})"
        )
        means = part.pivot_table(index="strategy", columns="n", values="regret").assign(
            mean=lambda rows: rows.mean(axis=1)
        )
        print(means.loc[[*AUTOS, *SINGLES]].round(1).to_string())
        print(f"\n{kind}: regret by study, over all n")
        print(
            part.pivot_table(index="study", columns="strategy", values="regret", sort=False)[[*AUTOS, *SINGLES]]
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
