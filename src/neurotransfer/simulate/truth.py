"""The best that can be attained: what somebody who knew the latents exactly would score on each target."""

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurotransfer.seeding import stream
from neurotransfer.simulate.people import (
    CATEGORIES,
    LATENTS,
    TARGETS,
    draw_deviations,
    draw_people,
    labels_of,
    latents_of,
    related,
)

ORACLE_PEOPLE = 20000


def best_attainable(seed: int, effect: float, n: int = ORACLE_PEOPLE) -> dict[str, dict[str, dict[str, float]]]:
    """For each target the scores of a linear oracle on the latents, and of chance.

    The oracle is fitted on one half of `n` people and scored on the other; a model that sees images can at best come
    near, because scanners add noise. Continuous targets: `mae` (in their unit) and `r`; binary ones: `auc`.

    Example:
        >>> best = best_attainable(0, effect=1.0, n=2000)["age"]
        >>> best["best"]["mae"] < best["chance"]["mae"], best["chance"]["r"]
        (True, 0.0)

    """
    generator = stream(seed, "oracle")
    targets = related(draw_people(generator, n))
    latents = latents_of(targets, draw_deviations(generator, n), effect)
    features, labels = np.column_stack([latents[name] for name in LATENTS]), labels_of(targets)
    return {
        name: _binary(features, labels[name] == CATEGORIES[name].labels[1])
        if name in CATEGORIES
        else _continuous(features, labels[name])
        for name in TARGETS
    }


def _binary(features: np.ndarray, is_second: np.ndarray) -> dict[str, dict[str, float]]:
    half = len(is_second) // 2
    oracle = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[:half], is_second[:half])
    auc = roc_auc_score(is_second[half:], oracle.decision_function(features[half:]))
    return {"best": {"auc": _rounded(auc)}, "chance": {"auc": 0.5}}


def _continuous(features: np.ndarray, values: np.ndarray) -> dict[str, dict[str, float]]:
    half = len(values) // 2
    predicted = LinearRegression().fit(features[:half], values[:half]).predict(features[half:])
    truth, middle = values[half:], np.median(values[:half])
    r = np.corrcoef(truth, predicted)[0, 1]
    best = {"mae": _rounded(np.abs(truth - predicted).mean()), "r": _rounded(r)}
    return {"best": best, "chance": {"mae": _rounded(np.abs(truth - middle).mean()), "r": 0.0}}


def _rounded(score: float) -> float:
    return round(float(score), 4)
