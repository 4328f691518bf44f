"""What can be asked of features and the table of their scans, and whether it is there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pandas as pd

from neurotransfer.cohort.people import People
from neurotransfer.errors import InputError, unknown
from neurotransfer.explain.associations import N_PERMUTATIONS
from neurotransfer.explain.averages import covariates_of, labels_of, numeric_columns
from neurotransfer.explain.halves import LEAST_PEOPLE, N_HALVES


@dataclass(frozen=True)
class Asked:
    """What is asked of features: covariates, patterns of columns, targets, and the column whose trace is looked for.

    `n_permutations` is how often people are shuffled for a p, `n_halves` how many halves of them give an interval.
    """

    covariates: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    nuisance: str = "site"
    seed: int = 0
    n_permutations: int = N_PERMUTATIONS
    n_halves: int = N_HALVES


def require(table: pd.DataFrame, asked: Asked) -> None:
    """Refuse what cannot be asked of a table of scans, before any network is run.

    Raises:
        InputError: with all that is wrong: columns, covariates or targets that are absent, constant or no numbers, too few people.
    """
    codes = People.of(table["participant_id"].to_numpy(str)).codes
    checks: list[Callable[[], object]] = [
        lambda: numeric_columns(table, matching(table, asked.columns)),
        lambda: covariates_of(table, asked.covariates),
        lambda: _require_column(table, asked.nuisance),
        *(lambda name=name: labels_of(table, name, codes) for name in asked.targets),  # type: ignore[misc]
    ]
    problems = []
    for check in checks:
        try:
            check()
        except InputError as error:
            problems.append(str(error))
    n_people = table["participant_id"].nunique()
    if n_people < LEAST_PEOPLE:
        problems.append(f"found {n_people} people; {LEAST_PEOPLE} or more are needed")
    if problems:
        raise InputError("; ".join(problems))


def _require_column(table: pd.DataFrame, name: str) -> None:
    # site is looked for by itself, and need not be there
    if name not in table and name not in ("", "site"):
        raise InputError(unknown("nuisance", name, sorted(table.columns)))


def matching(table: pd.DataFrame, patterns: Sequence[str]) -> list[str]:
    """The columns of a table that match patterns, in their order; `*` stands for anything.

    Raises:
        InputError: when a pattern matches none.

    Example:
        >>> matching(pd.DataFrame(columns=["age", "left_a", "left_b"]), ["left_*"])
        ['left_a', 'left_b']
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        matched = [name for name in table if fnmatchcase(name, pattern)]
        if not matched:
            raise InputError(unknown("columns", pattern, sorted(table.columns)))
        found |= dict.fromkeys(matched)
    return list(found)
