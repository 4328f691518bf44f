"""Where the differences between replicates come from: test people, choosing, initialisation, training people."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.diagnose.case import Case, case_of
from neurotransfer.statistics import SELECTION
from neurotransfer.statistics.measurement import measurement_variance
from neurotransfer.statistics.redrawn_people import Predictions
from neurotransfer.statistics.spread import Spread, decompose

LEAST_REPLICATES, LEAST_SPLITS = 5, 3
OTHER_SEEDS = "other-seeds"


def spreads_of(
    case: Case, parts: Sequence[Sequence[Predictions | None]] | None, experiments: Mapping[str, pd.DataFrame]
) -> dict[int, Spread]:
    """By size the variance of scores over replicates and its parts, as far as the run can tell them apart.

    Args:
        case: the curve.
        parts: test predictions, by size and replicate in the order of the case; None where the run kept none.
        experiments: of which `other-seeds` tells what initialisation adds.
    """
    seeds = _seeds(case, experiments.get(OTHER_SEEDS))
    every = [part.people for of_size in parts or () for part in of_size if part is not None]
    n_people = len(np.unique(np.concatenate(every))) if every else 0
    found = {}
    for place, n in enumerate(map(int, case.sizes)):
        scores = case.goods[:, place]
        if np.isfinite(scores).sum() < LEAST_REPLICATES:
            continue
        of_size = None if seeds is None else seeds[np.isfinite(seeds[:, place]).all(axis=1), place]
        choices = _choices(case, n)
        found[n] = decompose(
            scores,
            measurement=_measurement(case, None if parts is None else parts[place]),
            tested_share=_tested_share(None if parts is None else parts[place], n_people),
            seeds=None if of_size is None or len(of_size) < LEAST_SPLITS else of_size,
            validation=choices[0] if choices else None,
            chosen=choices[1] if choices else None,
        )
    return found


def _measurement(case: Case, parts: Sequence[Predictions | None] | None) -> np.ndarray | None:
    if parts is None:
        return None
    found = np.array([np.nan if part is None else _variance(case, part) for part in parts])
    # people who are tested in every replicate make no difference between replicates
    return found if np.isfinite(found).any() and not _is_fixed(parts) else None


def _is_fixed(parts: Sequence[Predictions | None]) -> bool:
    tested = [frozenset(part.people.tolist()) for part in parts if part is not None]
    return len(set(tested)) == 1 and len(tested) > 1


def _tested_share(parts: Sequence[Predictions | None] | None, n_people: int) -> float:
    """The people of a test part over those who are ever tested."""
    tested = [len(np.unique(part.people)) for part in parts or () if part is not None]
    return float(np.mean(tested)) / n_people if tested and n_people else 0.0


def _variance(case: Case, part: Predictions) -> float:
    return measurement_variance(
        part.observed, part.predicted, case.task.kind, case.score, part.people, part.probabilities
    )


def _choices(case: Case, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Validation scores and choices, where they are of the score that is shown and something was chosen."""
    if SELECTION[case.task.kind] != case.score:
        return None
    validation, chosen = case.validation(n, every=True)
    return (validation, chosen) if validation.shape[1] > 1 and (chosen >= 0).all() else None


def _seeds(case: Case, fits: pd.DataFrame | None) -> np.ndarray | None:
    """Scores (R, K, 2) of the same splits with two seeds; NaN where they chose different settings."""
    if fits is None:
        return None
    own = fits[(fits["task"] == case.task.name) & (fits["strategy"] == case.strategy)]
    if not len(own) or set(own["n"]) != set(map(int, case.sizes)):
        return None
    other = case_of(own, case.task, case.strategy, case.kind)
    both = min(len(other.goods), len(case.goods))
    found = np.stack([case.goods[:both], other.goods[:both]], axis=2)
    same = case.of_chosen("setting_index")[:both] == other.of_chosen("setting_index")[:both]
    return np.where(same[..., None], found, np.nan)
