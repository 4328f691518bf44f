"""What can be predicted: a column of the cohort, its kind, and how labels become numbers and back."""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.errors import InputError, unknown

MISSING = ("", "n/a", "N/A", "nan", "NaN", "NA", "na", "NULL", "null", "#N/A", "<NA>")
MOST_NAMED = 10
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
NO_TARGETS = ("participant_id", "image", "mask")
# words in a name that make a mirror image another image
SIDES = ("left", "right", "side", "lh", "rh", "hemisphere", "asymmetry")
KINDS = ("continuous", "binary", "categorical", "ordinal")
# how the outputs of a head become the value of a continuous target
READINGS = ("value", "bins", "ranks")
KNOWN: dict[str, tuple[str, str]] = {
    "age": ("continuous", "years"),
    "sex": ("binary", ""),
    "handedness": ("binary", ""),
    "bmi": ("continuous", "kg/m2"),
    "fluid_intelligence": ("continuous", "points"),
    "neuroticism": ("continuous", "points"),
    "diagnosis": ("binary", ""),
}


@dataclass(frozen=True)
class Target:
    """One thing to predict.

    `classes` are the labels in their order (empty for a continuous target); the probability of a binary target is that
    of the second class. `location` and `scale` standardise a continuous target; `weight` is its share of a joint loss.

    Networks that others have trained read a continuous target in three ways. `value`: one output. `bins`: the mean of `levels`,
    each weighted by the softmax of its output. `ranks`: the first of `levels`, and the step to the next one for every output
    above zero. `limits` are the least and most value that there can be. Heads that are new here have one output without limits.

    Example:
        >>> sex = Target("sex", "binary", classes=("F", "M"))
        >>> sex.encode(pd.Series(["M", "n/a", "F"]))
        array([ 1., nan,  0.])
    """

    name: str
    kind: str
    column: str = ""
    classes: tuple[str, ...] = ()
    unit: str = ""
    weight: float = 1.0
    location: float = 0.0
    scale: float = 1.0
    reading: str = "value"
    levels: tuple[float, ...] = ()
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(unknown(f"kind of target {self.name!r}", self.kind, KINDS))
        if self.kind != "continuous" and len(self.classes) < 2:
            raise InputError(f"target {self.name!r} is {self.kind} and needs two classes or more, got {self.classes!r}")
        object.__setattr__(self, "column", self.column or self.name)
        object.__setattr__(self, "classes", tuple(_label(label) or "" for label in self.classes))
        if self.kind == "binary" and len(self.classes) != 2:
            raise InputError(f"target {self.name!r} is binary and has two classes, got {self.classes!r}")
        if len(set(self.classes)) < len(self.classes) or "" in self.classes:
            raise InputError(
                f"target {self.name!r} needs classes that differ and are not missing, got {self.classes!r}"
            )
        if not 0 < self.scale < np.inf or not np.isfinite(self.location):
            raise InputError(
                f"target {self.name!r} needs a finite location and a scale above zero, got {self.location!r} and "
                f"{self.scale!r}"
            )
        self._require_reading()

    def _require_reading(self) -> None:
        if self.reading not in READINGS:
            raise InputError(unknown(f"reading of target {self.name!r}", self.reading, READINGS))
        object.__setattr__(self, "levels", tuple(float(level) for level in self.levels))
        object.__setattr__(
            self, "limits", None if self.limits is None else tuple(float(limit) for limit in self.limits)
        )
        plain = self.reading == "value"
        if self.kind != "continuous" and not (plain and self.limits is None):
            raise InputError(
                f"target {self.name!r} is {self.kind}: only a continuous one is read by bins, ranks or limits"
            )
        rise = np.diff(self.levels)
        rises = len(rise) > 0 and bool(np.isfinite(rise).all()) and rise.min() > 0
        if self.levels if plain else not rises:
            raise InputError(
                f"target {self.name!r}: reading {self.reading!r} takes {'no levels' if plain else 'two levels or more that rise'}, "
                f"got {self.levels!r}"
            )
        if self.limits is not None and (len(self.limits) != 2 or not self.limits[0] < self.limits[1]):
            raise InputError(f"target {self.name!r} needs limits as a lower and a higher value, got {self.limits!r}")

    @property
    def n_outputs(self) -> int:
        """How many numbers a network puts out: 1 or as its reading says, 1, K and K - 1 for the four kinds."""
        read = {"value": 1, "bins": len(self.levels), "ranks": len(self.levels) - 1}[self.reading]
        return {"continuous": read, "binary": 1, "categorical": len(self.classes), "ordinal": len(self.classes) - 1}[
            self.kind
        ]

    @property
    def has_side(self) -> bool:
        """Whether its name says that left and right differ for it, so that a mirror image would have another label.

        Example:
            >>> Target("handedness", "continuous").has_side, Target("age", "continuous").has_side
            (True, False)
        """
        words = re.split(r"[^a-z]+", self.name.lower())
        return any(word in SIDES or word.startswith(("hand", "lateral")) for word in words)

    def encode(self, labels: pd.Series) -> np.ndarray:
        """Labels as float64 of shape (n,): the value, or the index of the class; NaN where missing.

        Raises:
            InputError: when labels are neither missing, nor a number, nor one of the classes; rows are counted from 1.
        """
        text = as_text(labels)
        if self.kind == "continuous":
            numbers = pd.to_numeric(text, errors="coerce").to_numpy(float)
        else:
            numbers = text.map({label: index for index, label in enumerate(self.classes)}).to_numpy(float)
        wrong = np.flatnonzero(~np.isfinite(numbers) & text.notna().to_numpy())
        if len(wrong):
            allowed = "numbers" if self.kind == "continuous" else ", ".join(self.classes)
            found = ", ".join(f"{text.iloc[row]!r} (row {row + 1})" for row in wrong[:MOST_NAMED])
            more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
            comma = "; write decimals with a point" if _DECIMAL_COMMA.fullmatch(text.iloc[wrong[0]]) else ""
            raise InputError(
                f"target {self.name!r}, column {self.column!r}: found {found}{more}; allowed: "
                f"{allowed}, or empty or n/a when missing{comma}"
            )
        return numbers

    def scaled_to(self, values: np.ndarray) -> "Target":
        """The same target, standardised by the mean and standard deviation of `values` (n,) and read as one value."""
        known = values[~np.isnan(values)]
        if self.kind != "continuous" or not len(known):
            return self
        location, scale = float(known.mean()), float(known.std()) or 1.0
        return replace(self, location=location, scale=scale, reading="value", levels=(), limits=None)

    def decode(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n, n_outputs) as predictions (n,) and class probabilities (n, K); K is 0 for a continuous target.

        The prediction is the value, as the reading says and within the limits, the probability of the second class (binary),
        the most probable class (categorical) or the expected level (ordinal).
        """
        outputs = np.asarray(outputs, float)
        if self.kind == "continuous":
            return self._value(outputs), np.zeros((len(outputs), 0))
        if self.kind == "categorical":
            probabilities = _softmax(outputs)
            return probabilities.argmax(1).astype(float), probabilities
        if self.kind == "binary":
            above = _sigmoid(outputs)
            return above[:, 0], np.column_stack([1 - above[:, 0], above[:, 0]])
        probabilities = _of_levels(outputs)
        return probabilities @ np.arange(len(self.classes)), probabilities

    def _value(self, outputs: np.ndarray) -> np.ndarray:
        if self.reading == "bins":
            value = _softmax(outputs) @ np.array(self.levels)
        elif self.reading == "ranks":
            value = self.levels[0] + (outputs > 0) @ np.diff(self.levels)
        else:
            value = outputs[:, 0] * self.scale + self.location
        return value if self.limits is None else np.clip(value, *self.limits)

    def spread(self, outputs: np.ndarray) -> np.ndarray | None:
        """How unsure a head is for outputs (n, n_outputs): standard deviations (n,), in the unit of the target.

        It is that of the probabilities of `levels`, for the readings `bins` and `ranks`; None where a head gives no such thing.

        Example:
            >>> age = Target("age", "continuous", reading="bins", levels=(42.5, 43.5, 44.5))
            >>> age.spread(np.array([[9.0, 0.0, 9.0]])).round(2)
            array([1.])
        """
        if self.reading == "value":
            return None
        probabilities = (_softmax if self.reading == "bins" else _of_levels)(np.asarray(outputs, float))
        levels = np.array(self.levels)
        mean = probabilities @ levels
        return np.sqrt((probabilities * (levels - mean[:, None]) ** 2).sum(1))

    def to_dict(self) -> dict[str, Any]:
        """The target as plain values for a model card; `Target.from_dict` is the inverse."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Target":
        """A target from the plain values of a model card; raises InputError for a key that no target has."""
        foreign = [key for key in values if key not in cls.__dataclass_fields__]
        if foreign:
            raise InputError(unknown("key of a target", foreign[0], cls.__dataclass_fields__))
        return cls(**{**values, "classes": tuple(values.get("classes", ()))})


def _softmax(outputs: np.ndarray) -> np.ndarray:
    shifted = np.exp(outputs - outputs.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def _sigmoid(outputs: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(outputs, -50, 50)))


def _of_levels(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of K levels (n, K) from outputs (n, K - 1) that say whether each but the first is reached."""
    above = np.minimum.accumulate(_sigmoid(outputs), axis=1)
    steps = np.column_stack([np.ones(len(above)), above, np.zeros(len(above))])
    return -np.diff(steps, axis=1)


def as_text(labels: pd.Series) -> pd.Series:
    """Labels as stripped text, whole numbers without a decimal point, None where missing."""
    return pd.Series([_label(label) for label in labels], index=labels.index, dtype=object)


def _label(label: object) -> str | None:
    if pd.api.types.is_scalar(label) and pd.isna(label):
        return None
    is_whole = isinstance(label, float | np.floating) and float(label).is_integer()
    text = str(int(label)) if is_whole else str(label).strip()  # type: ignore[call-overload]
    return None if text in MISSING else text


def infer_target(name: str, table: pd.DataFrame, *, column: str = "", kind: str = "", weight: float = 1.0) -> Target:
    """The target that a column of a cohort table holds; the kind is guessed where it is not given.

    Known names (age, sex, ...) have their kind; else text is binary or categorical by its number of classes and
    numbers are binary when they have two values, continuous otherwise.

    Raises:
        InputError: when the column is not there or names the scan, has text where numbers belong, or has fewer than two values.

    Example:
        >>> infer_target("smoker", pd.DataFrame({"smoker": ["yes", "no", "no"]})).classes
        ('no', 'yes')
    """
    column = column or name
    if column in NO_TARGETS:
        raise InputError(f"target {name!r}: the column {column!r} says which scan a row is; it is nothing to predict")
    if column not in table:
        raise InputError(unknown("target column", column, sorted(table.columns)))
    text = as_text(table[column])
    values = sorted(set(text.dropna()), key=_natural)
    if len(values) < 2:
        found = f"only the value {values[0]!r}" if values else "no value at all"
        raise InputError(
            f"target {name!r}, column {column!r}: found {found}; a target needs two different values or more"
        )
    numeric = bool(pd.to_numeric(text.dropna(), errors="coerce").notna().all())
    default, unit = KNOWN.get(name, ("binary" if len(values) == 2 else "continuous" if numeric else "categorical", ""))
    kind = kind or default
    if kind == "binary" and len(values) != 2:
        raise InputError(
            f"target {name!r}, column {column!r}: a binary target has two values, found {len(values)}: "
            f'{", ".join(values[:8])}; recode the column, or give kind = "categorical"'
        )
    if kind == "ordinal" and not numeric:
        raise InputError(
            f"target {name!r}, column {column!r}: the order of {', '.join(values[:MOST_NAMED])} is not known; recode an "
            "ordinal target to numbers that rise, such as 0, 1, 2"
        )
    is_continuous = kind == "continuous"
    # the levels of an ordinal target are counted, whatever the unit of what they stand for
    target = Target(name, kind, column, () if is_continuous else tuple(values), unit if is_continuous else "", weight)
    target.encode(table[column])
    return target


def _natural(label: str) -> tuple[int, float, str]:
    try:
        number = float(label)
    except ValueError:
        number = np.nan
    # NaN has no place in an order: sorted by it, classes would come out by the order of rows
    return (1, 0.0, label) if np.isnan(number) else (0, number, label)
