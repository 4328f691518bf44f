"""Cautions about a sample that is too small or oddly shaped to learn from."""

import numpy as np
import pandas as pd
from scipy.stats import kurtosis, skew

from neurotransfer.errors import InputError, unknown
from neurotransfer.targets import KINDS, as_text

FEW_PARTICIPANTS = 50
FEW_IN_A_CLASS = 20
BIMODAL_ABOVE = 5 / 9
_RELATIVE_SPREAD = 1e-13


def bimodality(values: np.ndarray) -> float:
    """Sarle's bimodality coefficient with the finite-sample correction; above 5/9 suggests two groups.

    (g^2 + 1) / (k + 3 (n - 1)^2 / ((n - 2) (n - 3))) with the bias-corrected skewness g and excess kurtosis k
    (SAS Institute 1990; Pfister et al. 2013, Frontiers in Psychology 4:700). A uniform distribution has 5/9, a normal
    one 1/3, two points 1; a strong skew raises it too. NaN below four values or where all are equal.

    Example:
        >>> bool(bimodality(np.r_[np.zeros(20), np.ones(20)]) > 5 / 9)
        True
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    n = len(known)
    if n < 4 or np.ptp(known) <= _RELATIVE_SPREAD * np.max(np.abs(known)):
        return float("nan")
    known = (known - known.mean()) / np.max(np.abs(known - known.mean()))
    heavy = float(kurtosis(known, bias=False)) + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
    return (float(skew(known, bias=False)) ** 2 + 1) / heavy


def sample_notes(name: str, values: np.ndarray | pd.Series, kind: str) -> list[str]:
    """What to be careful about in a sample, as sentences for the reader; empty when there is nothing.

    Args:
        name: what the sample is called in the sentences.
        values: one value or label a participant; missing ones are left out.
        kind: the kind of the target.

    Raises:
        InputError: when the kind is unknown.

    Example:
        >>> sample_notes("age", np.linspace(20, 80, 30), "continuous")
        ['age: only 30 participants; below 50, differences between strategies are mostly luck of the draw.']
    """
    if kind not in KINDS:
        raise InputError(unknown("kind of target", kind, KINDS))
    known = as_text(pd.Series(values)).dropna()
    notes = []
    if len(known) < FEW_PARTICIPANTS:
        notes.append(
            f"{name}: only {len(known)} participant{'s' * (len(known) != 1)}; below {FEW_PARTICIPANTS}, differences "
            "between strategies are mostly luck of the draw."
        )
    return notes + (_shape_notes(name, known) if kind == "continuous" else _class_notes(name, known))


def _shape_notes(name: str, known: pd.Series) -> list[str]:
    coefficient = bimodality(pd.to_numeric(known, errors="coerce").to_numpy(float))
    if not coefficient > BIMODAL_ABOVE:
        return []
    return [
        f"{name}: the values look like two groups or are strongly skewed (bimodality coefficient {coefficient:.2f}, "
        f"above {BIMODAL_ABOVE:.2f}); a good overall score may only tell the groups apart, so look at each of them."
    ]


def _class_notes(name: str, known: pd.Series) -> list[str]:
    counts = known.value_counts().sort_index()
    if len(counts) < 2:
        return [
            f"{name}: the sample has {len(counts)} class{'es' * (len(counts) != 1)}; there is nothing to tell apart."
        ]
    few = counts[counts < FEW_IN_A_CLASS]
    people = "; ".join(f"{label!r} has {count}" for label, count in few.items())
    return (
        [f"{name}: fewer than {FEW_IN_A_CLASS} people in a class: {people}; its scores are coarse."] if len(few) else []
    )
