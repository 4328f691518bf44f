"""From scans to people: one row a person, whatever number of scans each has, because people are what chance draws."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from neurotransfer.errors import InputError, unknown
from neurotransfer.targets import KNOWN, Target, as_text, infer_target

# a spread below this share of the mean is rounding
LEAST_SPREAD = 1e-5
LEAST_IN_A_CLASS = 5
# columns that name something, also where the names are numbers
NAMES = ("site", "session_id", "scanner", "cohort", "coil")


def person_means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The mean over the scans of every person, (n_people, k); a missing value (NaN) of a scan is left out.

    Args:
        values: (n_scans, k).
        codes: which person a scan is of, 0 to n_people - 1, (n_scans,); see `cohort.People`.

    Example:
        >>> person_means(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1])).ravel()
        array([2., 5.])
    """
    values = np.asarray(values, float)
    n_people = int(codes.max()) + 1 if len(codes) else 0
    known = np.isfinite(values)
    sums, counts = np.zeros((n_people, values.shape[1])), np.zeros((n_people, values.shape[1]))
    np.add.at(sums, codes, np.where(known, values, 0))
    np.add.at(counts, codes, known)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def varying(values: np.ndarray) -> np.ndarray:
    """Which columns (k,) of values (n, k) are not the same for all, up to rounding.

    Example:
        >>> varying(np.array([[1.0, 2.0], [1.0, 3.0]])).tolist()
        [False, True]
    """
    mean, spread = np.abs(values.mean(0, dtype=float)), values.std(0, dtype=float)
    return np.isfinite(spread) & (spread > LEAST_SPREAD * mean) & (spread > 0)


def numeric_columns(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Columns of a table of scans as numbers (n_scans, k), NaN where missing.

    Raises:
        InputError: with all columns that are absent, hold text, or are the same for all.
    """
    problems, found = [], []
    for name in names:
        if name not in table:
            problems.append(unknown("column", name, sorted(table.columns)))
            continue
        text = as_text(table[name])
        numbers = pd.to_numeric(text, errors="coerce").to_numpy(float)
        wrong = text[~np.isfinite(numbers) & text.notna().to_numpy()]
        known = numbers[np.isfinite(numbers)]
        if len(wrong):
            problems.append(f"column {name!r} holds {wrong.iloc[0]!r}, and numbers are needed")
        elif not len(known) or known.min() == known.max():
            problems.append(f"column {name!r} is {'empty' if not len(known) else 'the same for all'}")
        found.append(numbers)
    if problems:
        raise InputError(f"{'; '.join(problems)}; leave these columns out, or mend the table")
    return np.column_stack(found) if found else np.zeros((len(table), 0))


@dataclass(frozen=True)
class Covariates:
    """What is taken out of features: `values` (n_scans, k), NaN where missing, a number or indicators a column; `labels` (k,)."""

    names: tuple[str, ...]
    values: np.ndarray
    labels: tuple[str, ...]


def covariates_of(table: pd.DataFrame, names: Sequence[str]) -> Covariates:
    """Covariates of a table of scans: numbers as they are, text (and `site`, `scanner`, ...) as indicators of all values but one.

    Raises:
        InputError: with all columns that are absent or the same for all.

    Example:
        >>> table = pd.DataFrame({"age": ["3", "5", "8"], "sex": ["F", "M", "F"]})
        >>> covariates_of(table, ["age", "sex"]).labels
        ('age', 'sex M')
    """
    problems, values, labels = [], [np.zeros((len(table), 0))], []
    for name in dict.fromkeys(names):
        if name not in table:
            problems.append(unknown("covariate", name, sorted(table.columns)))
            continue
        text = as_text(table[name])
        different = sorted(set(text.dropna()))
        if len(different) < 2:
            found = f"only the value {different[0]!r}" if different else "no value at all"
            problems.append(f"covariate {name!r}: found {found}; it can take nothing out, leave it out")
            continue
        column, said = _encoded(name, text, different)
        values.append(column)
        labels += said
    if problems:
        raise InputError("; ".join(problems))
    return Covariates(tuple(dict.fromkeys(names)), np.concatenate(values, axis=1), tuple(labels))


def _encoded(name: str, text: pd.Series, different: list[str]) -> tuple[np.ndarray, list[str]]:
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(float)
    if name not in NAMES and np.isfinite(numbers[text.notna().to_numpy()]).all():
        return numbers[:, None], [name]
    others = different[1:]
    chosen = np.array([[float(label == each) for each in others] for label in text])
    chosen[text.isna().to_numpy()] = np.nan
    return chosen, [f"{name} {each}" for each in others]


@dataclass(frozen=True)
class Labels:
    """A target of people.

    `values` (n_people,) are numbers or places of classes, NaN where missing. Left out are `n_mixed` people whose scans have several
    classes, and `n_rare` of classes with fewer than five people.
    """

    target: Target
    values: np.ndarray
    n_mixed: int = 0
    n_rare: int = 0


def labels_of(table: pd.DataFrame, name: str, codes: np.ndarray) -> Labels:
    """A column of a table of scans as a target of people: the mean of numbers, the one class of all scans.

    Raises:
        InputError: as `infer_target`.

    Example:
        >>> table = pd.DataFrame({"ill": ["no"] * 6 + ["yes"] * 6})
        >>> labels_of(table, "ill", np.array([0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9])).values
        array([ 0.,  0.,  0.,  0., nan,  1.,  1.,  1.,  1.,  1.])
    """
    target = infer_target(name, table, kind=_kind(name, table))
    values = target.encode(table[name])
    means = person_means(values[:, None], codes)[:, 0]
    if target.kind == "continuous":
        return Labels(target, means)
    mixed = person_means(values[:, None] ** 2, codes)[:, 0] - means**2 > 1e-9
    means = np.where(mixed, np.nan, means)
    counts = np.array([np.count_nonzero(means == place) for place in range(len(target.classes))])
    rare = [label for label, count in zip(target.classes, counts, strict=True) if count < LEAST_IN_A_CLASS]
    if rare and len(rare) <= len(counts) - 2:
        others = table.assign(**{name: as_text(table[name]).map(lambda label: "" if label in rare else label)})
        n_rare = int(counts[counts < LEAST_IN_A_CLASS].sum())
        return replace(labels_of(others, name, codes), n_mixed=int(mixed.sum()), n_rare=n_rare)
    return Labels(target, means, int(mixed.sum()))


def _kind(name: str, table: pd.DataFrame) -> str:
    if name not in table or KNOWN.get(name, ("",))[0] == "continuous":
        return ""
    text = as_text(table[name]).dropna()
    is_named = name in NAMES or bool(pd.to_numeric(text, errors="coerce").isna().any())
    return ("binary" if text.nunique() == 2 else "categorical") if is_named else ""
