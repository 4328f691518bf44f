"""What estimators are given beside scans: labels, groups and regional volumes, each refused in words that say what to do."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils.validation import column_or_1d, validate_data

from neurotransfer.errors import InputError, NeurotransferError, listed

MOST_NAMED = 5
ALLOWED = "image paths, volumes (n, x, y, z) or regional volumes (n, columns)"


class ArgumentError(InputError, ValueError, TypeError):
    """An X, y, groups or parameter that an estimator cannot use.

    It is an InputError as all that we refuse, and also what scikit-learn raises in such a case and what its tools expect.

    Example:
        >>> try:
        ...     raise ArgumentError("y has 1 class")
        ... except ValueError as error:
        ...     print(error)
        y has 1 class
    """


@contextmanager
def as_argument(advice: str) -> Iterator[None]:
    """What numpy and scikit-learn refuse within, as an ArgumentError with their words and an advice."""
    try:
        yield
    except NeurotransferError:
        raise
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ArgumentError(f"{reason}; {advice}") from None


def require(rules: Mapping[str, tuple[Any, Callable[[Any], bool], str]]) -> None:
    """Refuse parameters, all in one message: name -> value, whether it can be, and what is allowed.

    Raises:
        ArgumentError: with every parameter that cannot be.

    Example:
        >>> require({"target": ("age", lambda value: isinstance(value, str), "a name")})
    """
    problems = [
        f"{name} is {allowed}, got {shown(value)}" for name, (value, fits, allowed) in rules.items() if not fits(value)
    ]
    if len(problems) == 1:
        raise ArgumentError(f"{problems[0]}; set_params changes it")
    if problems:
        raise ArgumentError(listed("the parameters", problems, "set_params changes them"))


def array_of(X: Any) -> np.ndarray:
    """X as an array of whatever shape, not copied where it is one.

    Raises:
        ArgumentError: for what is no array: nothing, a generator, a dict, a sparse matrix, complex or ragged values.

    Example:
        >>> array_of([[1.0, 2.0]]).shape
        (1, 2)
    """
    if X is None or isinstance(X, str | bytes | Mapping | set | frozenset):
        raise ArgumentError(f"X is {ALLOWED}, got {shown(X)}; give a list or an array with one entry a scan")
    if inspect.isgenerator(X) or (hasattr(X, "__next__") and not hasattr(X, "__array__")):
        raise ArgumentError("X is a generator, which can be read only once, and it is read more often; give list(X)")
    if sparse.issparse(X):
        raise ArgumentError("X is sparse, and scans are dense; give X.toarray()")
    with as_argument(f"X is {ALLOWED}, all of one shape"):
        values = np.asarray(X)
    if values.dtype.kind == "c":
        raise ArgumentError("Complex data not supported: X has complex numbers; give their magnitude, np.abs(X)")
    if values.ndim == 0:
        raise ArgumentError(f"X is {ALLOWED}, got {shown(X)}; give a list or an array with one entry a scan")
    return values


def table_of(estimator: Any, X: Any, *, first: bool) -> np.ndarray:
    """Regional volumes as float32 (n, columns); in `fit` (`first`) the estimator learns their number and names.

    Raises:
        ArgumentError: for what is no number, and for other columns than those of `fit`.
    """
    with as_argument("give regional volumes as numbers, (n, columns), the columns those of fit in their order"):
        values = validate_data(estimator, X, reset=first, dtype=np.float64, ensure_all_finite=False)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(values).all(1))
    if len(wrong):
        raise ArgumentError(
            f"X has missing or infinite values (NaN, or beyond float32) in {rows_named(wrong)}; leave those scans out, or "
            "fill them in first (sklearn.impute)"
        )
    return values


def labels_of(y: Any, who: str) -> np.ndarray:
    """Labels as given, (n,); a column (n, 1) is taken with scikit-learn's warning.

    Raises:
        ArgumentError: for no labels, several a scan, or complex ones.
    """
    if y is None:
        raise ArgumentError(f"{who} requires y to be passed, but the target y is None; give one label a scan, (n,)")
    with as_argument("y has one label a scan, (n,)"):
        values = np.asarray(y)
        if values.dtype.kind == "c":
            raise ArgumentError("Complex data not supported: y has complex numbers; give real labels")
        if values.ndim != 1 and not (values.ndim == 2 and values.shape[1] == 1):
            raise ArgumentError(f"y has one label a scan, (n,), got {values.shape}; fit one estimator a label")
        return np.asarray(column_or_1d(values, warn=True))


def numbers_of(y: Any, who: str) -> np.ndarray:
    """Labels of a regressor as float64 (n,).

    Raises:
        ArgumentError: for labels that are missing, infinite or no numbers, with their rows.
    """
    values = labels_of(y, who)
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(float)
    given = pd.Series(values).notna().to_numpy()
    wrong = np.flatnonzero(np.isnan(numbers) & given)
    if len(wrong):
        found = ", ".join(f"{values[row]!r} (row {row + 1})" for row in wrong[:MOST_NAMED])
        raise ArgumentError(f"y has labels that are no numbers: {found}; mend them, or use TransferClassifier")
    missing = np.flatnonzero(~np.isfinite(numbers))
    if len(missing):
        raise ArgumentError(f"y has missing or infinite values in {rows_named(missing)}; leave those scans out")
    return numbers


def require_classes_of(values: np.ndarray, who: str) -> np.ndarray:
    """The classes among labels without missing ones, sorted.

    Raises:
        ArgumentError: for numbers with fractions, and for fewer than two classes.

    Example:
        >>> require_classes_of(np.array(["no", "yes", "no"]), "it").tolist()
        ['no', 'yes']
    """
    if values.dtype.kind == "f" and (values != np.floor(values)).any():
        raise ArgumentError(
            "Unknown label type: y is continuous, numbers with fractions, and a classifier takes classes; use "
            "TransferRegressor, or name the classes by whole numbers or text"
        )
    with as_argument("labels are of one type; give all as text, or all as numbers"):
        classes = np.unique(values)
    if len(classes) < 2:
        held = f", only the value {str(classes[0])!r}" if len(classes) else ""
        raise ArgumentError(f"y has {len(classes)} class{'es' * (len(classes) != 1)}{held}; {who} needs two or more")
    return classes


def people_of(groups: Any, n: int) -> np.ndarray:
    """Whose scan each of n is, as text (n,); all are of different people when `groups` is None.

    Raises:
        ArgumentError: for another length, or a scan of nobody.

    Example:
        >>> people_of(["ann", "ann", "bob"], 3).tolist()
        ['ann', 'ann', 'bob']
    """
    if groups is None:
        return np.arange(n).astype(str)
    people = np.asarray(groups)
    if people.shape != (n,):
        raise ArgumentError(f"there are {n} scans and groups {people.shape}; give one person a scan, ({n},)")
    nobody = np.flatnonzero(pd.isna(people))
    if len(nobody):
        raise ArgumentError(f"groups has nobody in {rows_named(nobody)}; say whose scan each is, or leave it out")
    return people.astype(str)


def rows_named(rows: np.ndarray) -> str:
    """Rows in words, counted from 1, the first few of them.

    Example:
        >>> rows_named(np.array([0, 4])), rows_named(np.array([2]))
        ('rows 1, 5', 'row 3')
    """
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return f"row{'s' * (len(rows) != 1)} {', '.join(str(row + 1) for row in rows[:MOST_NAMED])}{more}"


def shown(value: Any) -> str:
    """A value on one line of a message, cut where it is long.

    Example:
        >>> shown(np.eye(2))
        'array([[1., 0.], [0., 1.]])'
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
