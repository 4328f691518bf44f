"""The brain-age gap: how much older a brain looks than its owner is, as it is and corrected for the bias with age."""

from dataclasses import dataclass

import numpy as np

# a line through fewer people says more about them than about the model
LEAST_PEOPLE = 20
METHOD = (
    "Corrected as in Smith et al. 2019 (NeuroImage 200:528) and de Lange et al. 2019 (PNAS 116:22341): a line of gap on age is "
    "fitted by least squares over people, one mean a person, and what it gives at each age is taken off"
)


@dataclass(frozen=True)
class Gap:
    """Predicted less known age, years, and the same less what is usual at that age; NaN where not known.

    `intercept` (years) and `slope` (years a year) are the line of gap on age, from `n_people`; NaN when there were too few.
    """

    raw: np.ndarray
    corrected: np.ndarray
    intercept: float
    slope: float
    n_people: int


def age_gap(predicted: np.ndarray, age: np.ndarray, people: np.ndarray, reference: np.ndarray | None = None) -> Gap:
    """The gap of every scan, raw and corrected.

    Args:
        predicted: ages, years, (n,).
        age: known ages, years, (n,); NaN where not known.
        people: participant of every row, (n,).
        reference: rows that the line is fitted on, (n,) bool, the healthy for example; all when not given.

    Example:
        >>> age = np.arange(20.0, 60.0)
        >>> gap = age_gap(40 + 0.5 * (age - 40), age, np.arange(40))
        >>> round(gap.slope, 3), bool(np.abs(gap.corrected).max() < 1e-9)
        (-0.5, True)
    """
    raw = np.asarray(predicted, float) - age
    known = np.isfinite(raw) & (np.full(len(raw), True) if reference is None else reference)
    names, place = np.unique(people[known], return_inverse=True)
    if len(names) < LEAST_PEOPLE:
        return Gap(raw, np.full(len(raw), np.nan), np.nan, np.nan, len(names))
    counts = np.bincount(place)
    ages, gaps = (np.bincount(place, values[known]) / counts for values in (age, raw))
    centred = ages - ages.mean()
    spread = float((centred**2).sum())
    # people of one age have a mean gap, and no slope
    slope = float((centred * gaps).sum() / spread) if spread > 1e-9 else 0.0
    intercept = float(gaps.mean() - slope * ages.mean())
    return Gap(raw, raw - (intercept + slope * age), intercept, slope, len(names))
