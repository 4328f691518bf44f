"""Fit every setting of a strategy and keep the one that is best on validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurotransfer.cohort import Split
from neurotransfer.errors import InputError, unknown
from neurotransfer.statistics.metrics import SCORES, SELECTION, scores
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.transfer.adapt import fit_settings
from neurotransfer.transfer.fitted import Fitted, predict_rows
from neurotransfer.transfer.source import Source

MOST_NAMED = 5
TIE_BREAK = {"binary": "brier", "categorical": "brier", "continuous": "r", "ordinal": "r"}


def best_of(
    kind: str,
    validation_scores: Sequence[Mapping[str, float]],
    *,
    by: str = "score",
    losses: Sequence[float] = (),
) -> int:
    """The index of the best setting on validation; -1 when none has what it is chosen by.

    By `score`: the best score of a target's kind. Ties, which are common for an AUC of few people, are broken by the Brier
    score (or by R), then by the first one. By `loss`: the least finite one of `losses`, then the first one.

    Args:
        kind: of the target.
        validation_scores: of every setting.
        by: a name of `CHOICES`.
        losses: validation loss of every setting, where they are chosen by it.

    Raises:
        InputError: when there is no such way to choose, or there are not as many losses as settings.

    Example:
        >>> best_of("binary", [{"auc": 0.7, "brier": 0.3}, {"auc": 0.7, "brier": 0.2}])
        1
        >>> best_of("binary", [{"auc": 0.7}, {"auc": 0.6}, {"auc": 0.6}], by="loss", losses=[0.7, 0.5, 0.5])
        1
    """
    if by not in CHOICES:
        raise InputError(unknown("way to choose a setting", by, CHOICES))
    best, index = (-np.inf, -np.inf), -1
    for place, key in enumerate(CHOICES[by](kind, validation_scores, losses)):
        if np.isfinite(key[0]) and key > best:
            best, index = key, place
    return index


def _by_score(
    kind: str, validation_scores: Sequence[Mapping[str, float]], _: Sequence[float]
) -> list[tuple[float, float]]:
    return [(_goodness(found, SELECTION[kind]), _goodness(found, TIE_BREAK[kind])) for found in validation_scores]


def _by_loss(
    _: str, validation_scores: Sequence[Mapping[str, float]], losses: Sequence[float]
) -> list[tuple[float, float]]:
    if len(losses) != len(validation_scores):
        raise InputError(f"{len(validation_scores)} settings have {len(losses)} losses; give one a setting")
    return [(-float(loss), 0.0) for loss in losses]


# how a setting is chosen: what is greatest wins
CHOICES: dict[str, Callable[..., list[tuple[float, float]]]] = {"score": _by_score, "loss": _by_loss}


def _goodness(found: Mapping[str, float], name: str) -> float:
    value = found.get(name, np.nan)
    if not np.isfinite(value):
        return -np.inf
    return value if SCORES[name].higher_is_better else -value


@dataclass(frozen=True)
class Chosen:
    """The fit that was best on validation, its setting, and its validation scores."""

    fitted: Fitted
    setting: Mapping[str, Any]
    validation_scores: Mapping[str, float]


def fit_best(
    source: Source,
    inputs: np.ndarray,
    target: Target,
    labels: np.ndarray,
    split: Split,
    tried: Sequence[Mapping[str, Any]],
    recipe: Recipe,
    seed: int,
    on_fit: Callable[[], object] | None = None,
    people: np.ndarray | None = None,
) -> Chosen:
    """Fit every setting of `tried` on one split, see `fit_settings` (also for `people`), and keep the best one.

    Raises:
        InputError: when no setting gives a score on the validation rows.
    """
    best: Chosen | None = None
    failed: list[str] = []
    for setting, fitted in zip(
        tried, fit_settings(source, inputs, target, labels, split, tried, recipe, seed, people=people), strict=True
    ):
        if on_fit is not None:
            on_fit()
        if isinstance(fitted, FloatingPointError):
            failed.append(str(fitted))
            continue
        if isinstance(fitted, Exception):
            raise fitted
        predicted, probabilities = predict_rows(fitted, inputs, split.validation)
        found = scores(target.kind, labels[split.validation], predicted, probabilities)
        if best_of(target.kind, [best.validation_scores if best else {}, found]) == 1:
            best = Chosen(fitted, setting, found)
    if best is None:
        raise InputError(
            f"no setting of {source.strategy.name!r} gives a score on {len(split.validation)} validation images; use more "
            f"people, or a larger validation_fraction{''.join(f' ({reason})' for reason in failed)}"
        )
    return best


def require_classes(target: Target, labels: np.ndarray, split: Split) -> None:
    """Refuse a split where a class is not both in train and in validation; a continuous target passes."""
    for name in ("train", "validation"):
        known = set() if target.kind == "continuous" else set(labels[getattr(split, name)])
        absent = [label for code, label in enumerate(target.classes) if code not in known]
        if absent:
            raise InputError(
                f"target {target.name!r}: a class has too few people to be both in train and in validation: {name} has "
                f"nobody of {', '.join(map(repr, absent[:MOST_NAMED]))}; allowed: 2 participants or more of every class, and a "
                "validation_fraction that gives each one"
            )
