"""What another choice among the settings, or an ensemble of them, would have given: from kept predictions, without a fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.benchmark.records import KEY, TEST, VALIDATION
from neurotransfer.benchmark.results import EVERY, RESULTS
from neurotransfer.benchmark.workspace import STUDY
from neurotransfer.errors import InputError, listed, unknown
from neurotransfer.statistics import SCORES, summary
from neurotransfer.statistics.metrics import SELECTION, scores
from neurotransfer.transfer.choice import best_of

Shares = np.ndarray
MOST_ROUNDS = 10


@dataclass(frozen=True)
class Settings:
    """The settings of a cell that were fitted: their fits, and what each predicts.

    Attributes:
        kind: of the target.
        fits: a row a setting.
        observed: by part (validation, test) the labels, (n,).
        predicted: by part the predictions, (S, n).
        probabilities: by part those of the classes, (S, n, K).
    """

    kind: str
    fits: pd.DataFrame
    observed: dict[str, np.ndarray]
    predicted: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]

    def scores(self, part: str, shares: Shares) -> dict[str, float]:
        """The scores of the mean of the settings' predictions, weighted by `shares` (S,) that add up to 1."""
        predicted, probabilities = (
            np.tensordot(shares, of[part], axes=1) for of in (self.predicted, self.probabilities)
        )
        if self.kind == "categorical":
            predicted = probabilities.argmax(1).astype(float)
        return scores(self.kind, self.observed[part], predicted, probabilities)

    def good(self, part: str, shares: Shares) -> float:
        """The score that chooses, the higher the better; minus infinity where there is none."""
        name = SELECTION[self.kind]
        found = self.scores(part, shares)[name]
        return -np.inf if np.isnan(found) else found if SCORES[name].higher_is_better else -found

    def one(self, place: int) -> Shares:
        """All of the weight on one setting."""
        return np.eye(len(self.fits))[place]


def _by(by: str) -> Callable[[Settings], Shares | None]:
    def rule(settings: Settings) -> Shares | None:
        names = {name: f"validation_{name}" for name in SCORES}
        found = [{name: row[column] for name, column in names.items()} for _, row in settings.fits.iterrows()]
        place = best_of(settings.kind, found, by=by, losses=settings.fits["validation_loss"].tolist())
        return settings.one(place) if place >= 0 else None

    return rule


def _oracle(settings: Settings) -> Shares:
    every = range(len(settings.fits))
    return settings.one(max(every, key=lambda place: settings.good(TEST, settings.one(place))))


def _mean(settings: Settings) -> Shares:
    return np.full(len(settings.fits), 1 / len(settings.fits))


def _best_three(settings: Settings) -> Shares:
    goods = np.array([settings.good(VALIDATION, settings.one(place)) for place in range(len(settings.fits))])
    best = np.argsort(-goods, kind="stable")[:3]
    return np.isin(np.arange(len(goods)), best) / len(best)


def _greedy(settings: Settings) -> Shares:
    taken = np.zeros(len(settings.fits))
    best, found = -np.inf, _mean(settings)
    for rounds in range(1, MOST_ROUNDS + 1):
        tried = [(taken + settings.one(place)) / rounds for place in range(len(taken))]
        goods = [settings.good(VALIDATION, shares) for shares in tried]
        taken = taken + settings.one(int(np.argmax(goods)))
        if max(goods) > best:
            best, found = max(goods), taken / rounds
    return found


@dataclass(frozen=True)
class Rule:
    """How a predictor is made of the settings of a cell: one sentence, and the weights (S,) of their predictions."""

    description: str
    shares: Callable[[Settings], Shares | None]


RULES: dict[str, Rule] = {
    "score": Rule("the setting with the best validation score", _by("score")),
    "loss": Rule("the setting with the least validation loss", _by("loss")),
    "mean": Rule("the mean of the predictions of all settings", _mean),
    "best three": Rule("the mean of the three settings with the best validation scores", _best_three),
    "greedy": Rule(
        "the weighted mean that is best on validation, found by adding one setting after the other (Caruana et al. 2004, ICML)",
        _greedy,
    ),
    "oracle": Rule("the setting with the best TEST score: what choosing could give at most, and no result", _oracle),
}


def apply_rules(run: Path | str, rules: Sequence[str] = tuple(RULES)) -> pd.DataFrame:
    """The test scores that each rule would have given, from the predictions that a run with `keep = "all"` has kept.

    Returns:
        A row a cell and rule: task, n, replicate, strategy, rule, and every score; cells of which no setting was fitted are
        left out.

    Raises:
        InputError: when the run did not keep them or has none, or a rule is not known.
    """
    folder = Path(run)
    wrong = [unknown("rule", rule, RULES) for rule in rules if rule not in RULES]
    if wrong:
        raise InputError(listed("the rules", wrong))
    if not is_file(folder / EVERY):
        raise InputError(
            f'{str(folder)!r} holds no {EVERY}: rules need the predictions of all settings; give [protocol] keep = "all" in '
            "the study and run it into another folder"
        )
    if not is_file(folder / RESULTS):
        raise InputError(f"{str(folder)!r} has no {RESULTS} yet; run the same benchmark again to write it")
    rows = []
    for key, settings in _cells(folder):
        for rule in rules:
            shares = RULES[rule].shares(settings)
            found = dict.fromkeys(SCORES, np.nan) if shares is None else settings.scores(TEST, shares)
            rows.append(dict(zip(KEY, key, strict=True)) | {"rule": rule} | {name: found[name] for name in SCORES})
    if not rows:
        raise InputError(f"no setting of {str(folder)!r} could be fitted, so that there is nothing to choose from")
    return pd.DataFrame(rows)


def _cells(folder: Path) -> Iterator[tuple[tuple[str, int, int, str], Settings]]:
    kinds = {name: task["kind"] for name, task in read_json(folder / STUDY)["tasks"].items()}
    fits = pd.read_parquet(folder / RESULTS)
    fits = {key: rows for key, rows in fits[fits["error"].isna()].groupby(list(KEY), sort=False)}  # noqa: C416
    for key, rows in pd.read_parquet(folder / EVERY).groupby(list(KEY), sort=False):
        if key in fits:
            own = fits[key].sort_values("setting_index")
            yield key, _settings(kinds[str(key[0])], own, rows[rows["setting_index"].isin(own["setting_index"])])


def _settings(kind: str, fits: pd.DataFrame, rows: pd.DataFrame) -> Settings:
    observed, predicted, probabilities = {}, {}, {}
    for part, own in rows.groupby("part"):
        own, size = own.sort_values("setting_index", kind="stable"), len(fits)
        name = str(part)
        observed[name] = own["observed"].to_numpy().reshape(size, -1)[0]
        predicted[name] = own["predicted"].to_numpy().reshape(size, -1)
        shares = [[] if found is None else found for found in own["probabilities"]]
        probabilities[name] = np.array(shares, float).reshape(size, len(observed[name]), -1)
    return Settings(kind, fits, observed, predicted, probabilities)


def compare_rules(table: pd.DataFrame, tasks: dict[str, str], against: str = "score") -> pd.DataFrame:
    """What each rule changes, in pairs over the replicates.

    Args:
        table: from `apply_rules`.
        tasks: by task the score that is compared.
        against: the rule that the others are compared with.

    Returns:
        A row a task, strategy, n and rule: `score`, `mean` of the rule, `difference` from `against` in the same replicates
        with `low` and `high` (1.96 SEM), `replicates`.
    """
    rows = []
    for (task, strategy, n), cells in table.groupby(["task", "strategy", "n"], sort=False):
        wide = cells.pivot(index="replicate", columns="rule", values=tasks[str(task)])
        for rule in dict.fromkeys(cells["rule"]):
            change = summary((wide[rule] - wide[against]).to_numpy(float))
            found = {"mean": wide[rule].mean(), "difference": change.mean, "low": change.low, "high": change.high}
            rows.append(
                {"task": task, "strategy": strategy, "n": n, "rule": rule, "score": tasks[str(task)]}
                | found
                | {"replicates": change.n}
            )
    return pd.DataFrame(rows)
