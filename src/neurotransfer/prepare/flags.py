"""Which scans to look at again: limits that hold for any head, and limits learned from the cohort."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

# robust z scores beyond this are unusual (Iglewicz and Hoaglin 1993); with fewer scans than this none are computed
UNUSUAL, LEAST_SCANS = 3.5, 10
LOW, HIGH, BOTH = "low", "high", "both"


@dataclass(frozen=True)
class Limit:
    """What is acceptable of a column for any head, and what to say when it is not."""

    column: str
    least: float
    most: float
    says: str


# found on the 175 public heads that this was built with: all within, but for those that a look confirms
LIMITS = (
    Limit("overlap", 0.9, 1.0, "mask and MNI152 overlap little: brain extraction or registration failed"),
    Limit("inside", 0.97, 1.0, "the field of view cuts the brain off"),
    Limit("brain_litres", 0.7, 2.0, "the volume of the brain is not one of an adult or a child"),
    Limit("turned_degrees", 0.0, 1.0, "the axes of the header seem wrong: the head was found turned"),
    Limit("contrast", 0.02, 1.0, "white matter is not brighter than grey: is it T1-weighted?"),
    Limit("similarity", 0.4, 1.0, "little alike the average brain: is it a T1-weighted head?"),
)
# the direction in which a value is worse
WORSE = {
    "overlap": LOW,
    "similarity": LOW,
    "inside": LOW,
    "brain_litres": BOTH,
    "snr_grey": LOW,
    "snr_white": LOW,
    "snr_dietrich": LOW,
    "cnr": LOW,
    "cjv": HIGH,
    "efc": HIGH,
    "contrast": LOW,
    "voxel_x_mm": BOTH,
    "voxel_y_mm": BOTH,
    "voxel_z_mm": BOTH,
}


def robust_z(values: np.ndarray) -> np.ndarray:
    """By how many robust standard deviations values (n,) lie above their median; NaN where missing, zeros without spread.

    (x - median) / (1.4826 x median absolute deviation), the deviation counting as a hundredth of the median at least, so
    that values that are equal but for rounding are not unusual.

    Example:
        >>> robust_z(np.array([1.0, 2, 3, 4, 5])).round(2).tolist()
        [-1.35, -0.67, 0.0, 0.67, 1.35]
    """
    if np.isnan(values).all():
        return np.full(len(values), np.nan)
    middle, spread = np.nanmedian(values), _spread(values)
    return (values - middle) / spread if spread > 0 else np.where(np.isnan(values), np.nan, 0.0)


def flagged(quality: pd.DataFrame) -> pd.DataFrame:
    """The table of quality with two more columns, worst scan first.

    `flags` says in words what to look at, empty when nothing; `badness` is the number of flags plus the largest robust z
    in a bad direction divided by 3.5, by which the scans are sorted. Columns that are not there flag nothing; a value that
    a limit needs and that is missing is a flag.

    Args:
        quality: one row a scan; `warnings` may hold words of its own, which count as flags.
    """
    flags: list[list[str]] = [[said] if said else [] for said in quality.get("warnings", [""] * len(quality))]
    for limit in LIMITS:
        if limit.column in quality:
            values = _numbers(quality, limit.column)
            for row in np.flatnonzero(np.isnan(values)):
                flags[row].append(f"{limit.column} could not be measured")
            for row in np.flatnonzero((values < limit.least) | (values > limit.most)):
                flags[row].append(f"{limit.says} ({limit.column} {values[row]:.3g})")
    worst = np.zeros(len(quality))
    if len(quality) >= LEAST_SCANS:
        for column in [name for name in WORSE if name in quality]:
            values = _numbers(quality, column)
            bad = _bad(values, WORSE[column])
            worst = np.fmax(worst, bad)
            for row in np.flatnonzero(bad > UNUSUAL):
                flags[row].append(f"{column} {values[row]:.3g} is unusual here (robust z {bad[row]:.1f})")
    table = quality.assign(flags=["; ".join(said) for said in flags])
    table["badness"] = np.round([len(said) for said in flags] + worst / UNUSUAL, 3)
    return table.sort_values("badness", ascending=False, kind="stable").reset_index(drop=True)


def limits_of(quality: pd.DataFrame) -> dict[str, dict[str, float]]:
    """What is not flagged of each column: the limits for any head, and with ten scans or more those that the cohort gives.

    Example:
        >>> limits_of(pd.DataFrame({"overlap": [0.95]}))
        {'overlap': {'Least': 0.9, 'Most': 1.0}}
    """
    found = {limit.column: {"Least": limit.least, "Most": limit.most} for limit in LIMITS if limit.column in quality}
    for column in [name for name in WORSE if name in quality and len(quality) >= LEAST_SCANS]:
        values = _numbers(quality, column)
        if np.isnan(values).all():
            continue
        # the values at which the robust z is 3.5 below and above the median
        ends = np.nanmedian(values) + np.array([-1, 1]) * UNUSUAL * _spread(values)
        own = {"Least": float(ends[0])} if WORSE[column] in (LOW, BOTH) else {}
        own |= {"Most": float(ends[1])} if WORSE[column] in (HIGH, BOTH) else {}
        kept = found.setdefault(column, {})
        kept |= {key: (max if key == "Least" else min)(value, kept.get(key, value)) for key, value in own.items()}
    return {name: {key: float(f"{value:.4g}") for key, value in each.items()} for name, each in found.items()}


def _spread(values: np.ndarray) -> float:
    middle = np.nanmedian(values)
    return float(max(1.4826 * np.nanmedian(np.abs(values - middle)), 0.01 * abs(middle)))


def _numbers(quality: pd.DataFrame, column: str) -> np.ndarray:
    values = pd.to_numeric(quality[column], errors="coerce").to_numpy(float)
    return np.where(np.isfinite(values), values, np.nan)


def _bad(values: np.ndarray, worse: str) -> np.ndarray:
    z = robust_z(values)
    return np.nan_to_num({LOW: -z, HIGH: z, BOTH: np.abs(z)}[worse])


def count_of(flags: Sequence[str]) -> int:
    """How many scans have a flag.

    Example:
        >>> count_of(["", "look"])
        1
    """
    return sum(bool(said) for said in flags)
