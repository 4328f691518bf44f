"""Which setting is best on validation."""

from collections.abc import Mapping, Sequence

import numpy as np

from neurotransfer.statistics.metrics import SCORES, SELECTION

TIE_BREAK = {"binary": "brier", "categorical": "brier", "continuous": "r", "ordinal": "r"}


def best_of(kind: str, validation_scores: Sequence[Mapping[str, float]]) -> int:
    """The index of the setting with the best validation score of a target's kind; -1 when none has a score.

    Ties, which are common for an AUC of few people, are broken by the Brier score (or by R), then by the first one.

    Example:
        >>> best_of("binary", [{"auc": 0.7, "brier": 0.3}, {"auc": 0.7, "brier": 0.2}])
        1
    """
    best, index = (-np.inf, -np.inf), -1
    for place, found in enumerate(validation_scores):
        key = (_goodness(found, SELECTION[kind]), _goodness(found, TIE_BREAK[kind]))
        if np.isfinite(key[0]) and key > best:
            best, index = key, place
    return index


def _goodness(found: Mapping[str, float], name: str) -> float:
    value = found.get(name, np.nan)
    if not np.isfinite(value):
        return -np.inf
    return value if SCORES[name].higher_is_better else -value
