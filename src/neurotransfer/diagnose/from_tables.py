"""What the table of fits alone says: how well training people are fitted, what choosing costs, what lies beyond the grid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neurotransfer.diagnose.case import Case, mean_of
from neurotransfer.diagnose.gains import Gain, gain_of_ends
from neurotransfer.statistics.edge import End, edge
from neurotransfer.statistics.estimates import Estimate
from neurotransfer.statistics.selection import SelectionCost, selection_cost

# by kind of target the score of a fit, and from where on the training people are fitted as good as without error
PERFECT: dict[str, tuple[str, float]] = {
    "binary": ("auc", 0.99),
    "categorical": ("auc", 0.99),
    "continuous": ("r2", 0.98),
    "ordinal": ("r2", 0.98),
}
LEAST_REPLICATES, LEAST_VALUES = 5, 3


@dataclass(frozen=True, eq=False)
class Fit:
    """How well the chosen fits do on their own training people and on test people, by size.

    Attributes:
        score: AUC for classes, the explained variance for values.
        train: means, (K,).
        test: means, (K,).
        threshold: index of the largest size at which training people are fitted as good as without error; -1 where at none.
    """

    score: str
    train: np.ndarray
    test: np.ndarray
    threshold: int

    @property
    def gap(self) -> np.ndarray:
        """How much better training people are predicted than test people, (K,)."""
        return self.train - self.test


def fit_of(case: Case) -> Fit | None:
    """The fit of a curve; None where the run does not know how well training people were fitted."""
    score, perfect = PERFECT[case.task.kind]
    train, test = (mean_of(case.of_chosen(f"{part}_{score}")) for part in ("train", "test"))
    if not np.isfinite(train).any():
        return None
    # not before and not after: the largest of the sizes up to which all are fitted
    fitted = np.minimum.accumulate(np.nan_to_num(train, nan=-np.inf) >= perfect)
    return Fit(score, train, test, int(fitted.sum()) - 1)


@dataclass(frozen=True, eq=False)
class Tables:
    """What choosing among settings costs by size, and what one more step beyond an end of the grid might bring.

    Attributes:
        selection: by size, where there are replicates and settings enough.
        ends: by size the hyperparameter, `lowest` or `highest`, and the end towards which scores still rise most; sizes without
            such an end are not there.
        n_ordered: how many hyperparameters have three values or more.
    """

    selection: dict[int, SelectionCost]
    ends: dict[int, tuple[str, str, End]]
    n_ordered: int


def tables_of(case: Case) -> Tables:
    """Selection and edges of one curve."""
    selection: dict[int, SelectionCost] = {}
    ends: dict[int, tuple[str, str, End]] = {}
    settings = case.settings
    ordered = {name: np.array(values) for name, values in _values(settings).items() if len(set(values)) >= LEAST_VALUES}
    for n in map(int, case.sizes):
        validation, chosen = case.validation(n)
        if len(validation) < LEAST_REPLICATES or validation.shape[1] < 2 or validation.shape[1] != len(settings):
            continue
        selection[n] = selection_cost(validation, True, chosen)
        rising = [end for name, values in ordered.items() for end in _rising(validation, chosen, name, values)]
        if rising:
            ends[n] = max(rising, key=lambda each: each[2].next_step.value)
    return Tables(selection, ends, len(ordered))


def _rising(
    validation: np.ndarray, chosen: np.ndarray, name: str, values: np.ndarray
) -> Iterator[tuple[str, str, End]]:
    """The ends of a hyperparameter that could be moved on and towards which scores still rise."""
    found = edge(validation, values, chosen, True)
    for side, end in (("lowest", found.low), ("highest", found.high)):
        if end.still_rises and np.isfinite(end.next_value):
            yield name, side, end


def _values(settings: list[dict[str, float]]) -> dict[str, list[float]]:
    """The values of every hyperparameter, a value a setting."""
    names = [name for name in settings[0] if all(name in setting for setting in settings)]
    return {name: [float(setting[name]) for setting in settings] for name in names}


def gains_of_tables(case: Case, tables: Tables, seed: int) -> tuple[dict[str, Gain], dict[str, str]]:
    """By cause what the curve would gain without it, as the tables tell; and in words what that rests on, or why there is none."""
    gains: dict[str, Gain] = {}
    words = {
        "selection": f"needs {LEAST_REPLICATES} replicates or more and two settings or more",
        "edge": f"needs {LEAST_REPLICATES} replicates or more and {LEAST_VALUES} values or more of a hyperparameter",
    }
    if tables.selection:
        costs = {n: each.cost for n, each in tables.selection.items()}
        gains["selection"] = _of_sizes(case, costs, seed, "selection")
        words["selection"] = "validation scores of all settings, judged by the replicates that did not choose"
    if tables.selection and tables.n_ordered:
        none = Estimate(0.0, 0.0, 0.0)
        steps = {n: tables.ends[n][2].next_step if n in tables.ends else none for n in tables.selection}
        gains["edge"] = _of_sizes(case, steps, seed, "edge")
        words["edge"] = _edge_words(tables)
    return gains, words


def _edge_words(tables: Tables) -> str:
    if not tables.ends:
        return "towards no end of the grid do validation scores still rise"
    ends = [f"{side} {name} at n = {n}" for n, (name, side, _) in tables.ends.items()]
    return f"validation scores still rise towards the {', the '.join(ends)}; one step further, cautiously"


def _of_sizes(case: Case, found: Mapping[int, Estimate], seed: int, name: str) -> Gain:
    table = np.full((3, len(case.sizes)), np.nan)
    for n, estimate in found.items():
        table[:, np.searchsorted(case.sizes, n)] = (estimate.value, estimate.low, estimate.high)
    points, low, high = table
    return gain_of_ends(points, low, high, seed, name)
