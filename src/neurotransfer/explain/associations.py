"""Which features go with a target: one test a feature, people as the unit of chance, p corrected for how many are tested."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import betainc
from scipy.stats import false_discovery_control, rankdata

from neurotransfer.errors import InputError
from neurotransfer.explain.averages import varying
from neurotransfer.explain.correlations import LEAST_LEFT, basis
from neurotransfer.seeding import stream
from neurotransfer.statistics import holm

N_PERMUTATIONS = 999
COLUMNS = ("feature", "target", "measure", "effect", "r2", "n", "p", "p_family")
# what the effect of a kind of target is
MEASURES = {"continuous": "r", "ordinal": "r", "binary": "AUC", "categorical": "eta"}


@dataclass(frozen=True)
class _Fit:
    """Features (n, p) as unit columns without covariates, the directions (n, m) of a target, and the degrees of freedom left."""

    units: np.ndarray
    directions: np.ndarray
    free: int


def associations(
    features: np.ndarray,
    labels: np.ndarray,
    kind: str,
    covariates: np.ndarray | None = None,
    *,
    n_permutations: int = N_PERMUTATIONS,
    generator: np.random.Generator | None = None,
) -> pd.DataFrame:
    """How every feature goes with one target, a row a feature: effect, r2, n, p and p_family.

    The effect is Pearson's r of a number or of levels; the AUC of a feature for the second of two classes (0.5: none); eta, the
    root of the share of variance between classes, of more classes. All are of what covariates leave of features and target. `r2`
    is the share of that variance that the target tells, and p that of its F test (for two classes the t test). `p_family` is
    corrected for all features of this target as they are, related or not: the share of shuffles of people in which any feature
    goes with the target as much (Westfall & Young 1993; with covariates what is left is shuffled, Kennedy 1995).

    Args:
        features: (n_people, p), one row a person.
        labels: (n_people,) numbers, or places of classes; people without one (NaN) are left out.
        kind: of the target.
        covariates: (n_people, k) to take out first, none missing.
        n_permutations: how often people are shuffled.
        generator: of the shuffles; without one, the same every time.

    Raises:
        InputError: when too few people, or nothing of the target, are left.

    Example:
        >>> draws = stream(0, "example")
        >>> values = draws.normal(size=(60, 3))
        >>> found = associations(values, values[:, 1] + draws.normal(size=60), "continuous")
        >>> found["p"].idxmin(), bool(found["p_family"][1] < 0.01), found["measure"][0]
        (1, True, 'r')
    """
    known = np.isfinite(labels)
    features, labels = np.asarray(features, float)[known], np.asarray(labels, float)[known]
    taken = np.zeros((len(labels), 0)) if covariates is None else covariates[known]
    fit = _fit(features, labels, kind, taken)
    r2 = _told(fit.units, fit.directions)
    m = fit.directions.shape[1]
    with np.errstate(invalid="ignore"):
        p = np.where(np.isfinite(r2), betainc(fit.free / 2, m / 2, np.clip(1 - np.nan_to_num(r2), 0, 1)), np.nan)
    return pd.DataFrame({
        "measure": MEASURES[kind],
        "effect": _effects(features, fit, labels, kind, taken, r2),
        "r2": r2,
        "n": len(labels),
        "p": p,
        "p_family": _family(fit, r2, n_permutations, generator or stream(0, "associations")),
    })  # fmt: skip


def _fit(features: np.ndarray, labels: np.ndarray, kind: str, taken: np.ndarray) -> _Fit:
    classes = np.unique(labels)
    numeric = kind in ("continuous", "ordinal")
    columns = labels[:, None] if numeric else (labels[:, None] == classes[1:]).astype(float)
    axes = basis(taken)
    directions = _independent(columns - axes @ (axes.T @ columns), columns)
    free = len(labels) - axes.shape[1] - directions.shape[1]
    if not directions.shape[1]:
        raise InputError(
            "the covariates tell all of it, or it is the same for all; leave it out of --covariates or of --targets"
        )
    if free < LEAST_LEFT:
        raise InputError(f"only {len(labels)} people have it, too few beside covariates and classes; leave it out")
    left = features - axes @ (axes.T @ features)
    length, before = np.sqrt((left**2).sum(0)), np.sqrt(((features - features.mean(0)) ** 2).sum(0))
    # a feature that is constant, or all told by covariates, goes with nothing
    with np.errstate(invalid="ignore", divide="ignore"):
        units = np.where(varying(features) & (length > 1e-6 * before), left / length, np.nan)
    return _Fit(units, directions, free)


def _independent(left: np.ndarray, columns: np.ndarray) -> np.ndarray:
    axes, strengths, _ = np.linalg.svd(left, full_matrices=False)
    whole = np.linalg.norm(columns - columns.mean(0))
    return axes[:, strengths > 1e-6 * max(float(whole), 1e-300)]


def _told(units: np.ndarray, directions: np.ndarray) -> np.ndarray:
    return np.clip(((directions.T @ units) ** 2).sum(0), 0, 1)


def _effects(
    features: np.ndarray, fit: _Fit, labels: np.ndarray, kind: str, taken: np.ndarray, r2: np.ndarray
) -> np.ndarray:
    if kind == "binary":
        left = fit.units if taken.shape[1] else np.where(np.isnan(fit.units), np.nan, features)
        return aucs(labels, left)
    if kind == "categorical":
        return np.sqrt(r2)
    # an axis of a decomposition may point either way
    direction = fit.directions[:, 0] * np.sign(fit.directions[:, 0] @ (labels - labels.mean()))
    return np.sign(direction @ np.nan_to_num(fit.units)) * np.sqrt(r2)


def aucs(labels: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The area under the ROC curve of every feature (n, p) for the higher of two labels (n,), as `statistics.metrics.auc`.

    Example:
        >>> aucs(np.array([0, 0, 1, 1]), np.array([[0.1, 3.0], [0.4, 2.0], [0.4, 1.0], [0.8, 0.0]]))
        array([0.875, 0.   ])
    """
    ones = labels == labels.max()
    n_ones, n_zeros = int(ones.sum()), int((~ones).sum())
    ranks = rankdata(features, axis=0)
    found = (ranks[ones].sum(0) - n_ones * (n_ones + 1) / 2) / (n_ones * n_zeros)
    return np.where(np.isnan(features).any(0), np.nan, found)


def _family(fit: _Fit, r2: np.ndarray, n_permutations: int, generator: np.random.Generator) -> np.ndarray:
    units = np.nan_to_num(fit.units)
    largest = np.empty(n_permutations)
    for draw in range(n_permutations):
        order = generator.permutation(len(units))
        largest[draw] = _told(units, fit.directions[order]).max(initial=0)
    largest.sort()
    reached = n_permutations - np.searchsorted(largest, np.nan_to_num(r2) - 1e-12)
    return np.where(np.isfinite(r2), (1 + reached) / (1 + n_permutations), np.nan)


def corrected(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `p_holm` and `p_fdr` beside `p`, over all its rows: family-wise, and the false discovery rate.

    Holm (1979) bounds the chance of any false claim; Benjamini & Hochberg (1995) the share of false ones among claims, also where
    features are positively related.

    Example:
        >>> corrected(pd.DataFrame({"p": [0.01, 0.04, 0.03]}))["p_fdr"].tolist()
        [0.03, 0.04, 0.04]
    """
    p = table["p"].to_numpy(float)
    known = np.isfinite(p)
    rates = np.full(p.shape, np.nan)
    if known.any():
        rates[known] = false_discovery_control(p[known])
    return table.assign(p_holm=holm(p), p_fdr=rates)
