"""Features on one footing between sites: ComBat by the training people of a cell, for strategies that learn from features."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.benchmark.study import Study
from neurotransfer.cohort import Cohort, Split
from neurotransfer.errors import unknown
from neurotransfer.statistics.harmonise import fit_combat
from neurotransfer.targets import as_text
from neurotransfer.transfer import Source
from neurotransfer.transfer.beside import Beside
from neurotransfer.transfer.strategies import Strategy, get_strategy


class RowsOfSplit:
    """Inputs (n, d) of a whole cohort of which the rows of a split alone are there.

    Example:
        >>> some = RowsOfSplit(np.array([[1.0], [2.0]]), np.array([0, 3]), 5)
        >>> some[np.array([3, 0, 3])].ravel().tolist(), some.shape
        ([2.0, 1.0, 2.0], (5, 1))
    """

    def __init__(self, values: np.ndarray, rows: np.ndarray, n: int) -> None:
        self._values, self._place = values, np.full(n, -1)
        self._place[rows] = np.arange(len(rows))
        self.shape, self.ndim, self.dtype = (n, values.shape[1]), 2, values.dtype
        self.nbytes = values.nbytes

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> np.ndarray:
        places = self._place[rows]
        if np.any(places < 0):
            raise IndexError("these rows are not of the split")
        found: np.ndarray = self._values[places]
        return found


def takes_harmonised(strategy: Strategy) -> bool:
    """Whether a strategy learns from features or columns, which can be harmonised.

    Example:
        >>> [name for name in ("transferred", "frozen", "finetuned", "perceptron") if takes_harmonised(get_strategy(name))]
        ['frozen', 'perceptron']
    """
    return strategy.solver in ("exact", "blend") or strategy.needs_columns


def harmonised(study: Study, cohort: Cohort, source: Source, inputs: Any, split: Split) -> Any:
    """What a strategy learns from on a split: where the study harmonises it, features without what their sites add.

    ComBat is fitted on the training rows, each as often as it was drawn, and applied to all rows of the split; those of sites
    that training lacks stay as they are. Without `harmonise`, and for strategies that learn from volumes, the inputs themselves.

    Args:
        study: says whether, between the values of which column, and whose effects are kept.
        cohort: of the study.
        source: of the strategy.
        inputs: of every row of the cohort, (n_rows, d).
        split: without folds; its training rows are all that is learnt from.

    Raises:
        InputError: when there are too few training people, or values are missing.
    """
    part = study.protocol.harmonise
    if part is None or not takes_harmonised(source.strategy):
        return inputs
    rows = np.unique(np.concatenate([split.train, split.validation, split.test]))
    sites, covariates = as_text(cohort.table[part.column]).to_numpy(object), covariates_of(cohort, part.keep)
    combat = fit_combat(inputs[split.train], sites[split.train], covariates[split.train])
    values = combat.apply(inputs[rows], sites[rows], covariates[rows])
    found = RowsOfSplit(values.astype(np.float32), rows, len(inputs))
    return Beside(found, inputs.volumes) if isinstance(inputs, Beside) else found


def covariates_of(cohort: Cohort, columns: Sequence[str]) -> np.ndarray:
    """Columns of a cohort as covariates (n_rows, c): numbers as they are, classes as 0 or 1 each but the first; NaN if missing.

    Example:
        >>> table = pd.DataFrame({"age": [40.0, 50.0, 60.0], "sex": ["F", "M", None]})
        >>> covariates_of(Cohort("all", table), ["age", "sex"]).tolist()
        [[40.0, 0.0], [50.0, 1.0], [60.0, nan]]
    """
    found = [np.zeros((len(cohort.table), 0))]
    for column in columns:
        text = as_text(cohort.table[column])
        numbers = pd.to_numeric(text, errors="coerce")
        if (numbers.notna() == text.notna()).all():
            found.append(numbers.to_numpy(float)[:, None])
            continue
        is_class = [(text == name).where(text.notna()).to_numpy(float) for name in sorted(text.dropna().unique())[1:]]
        found.append(np.column_stack([np.zeros((len(text), 0)), *is_class]))
    return np.concatenate(found, axis=1)


def problems_of_harmonise(study: Study, cohort: Cohort) -> Iterator[str]:
    """What of `harmonise` does not fit the cohort, in words."""
    part = study.protocol.harmonise
    if part is None:
        return
    targets = {task.target for task in study.tasks.values()}
    for key, column in (("harmonise", part.column), *(("harmonise.keep", column) for column in part.keep)):
        if column not in cohort.table:
            yield unknown(f"column of {key}", column, cohort.table.columns)
        elif column in targets:
            yield f"{key}, column {column!r}, is a target: it is not known of new people; leave it out"
        elif column in study.regional_columns:
            yield f"{key}, column {column!r}, is a regional column and learnt from; leave it out in one place"
        elif key == "harmonise.keep":
            missing = int(as_text(cohort.table[column]).isna().sum())
            if missing:
                yield f"{key}, column {column!r}: {missing} of {len(cohort)} rows have no value; fill them or leave it out"


def notes_of_harmonise(study: Study) -> Iterator[str]:
    """Who is harmonised and who is not, for the reader."""
    part = study.protocol.harmonise
    if part is None:
        return
    are = [each.title for each in study.strategies if takes_harmonised(get_strategy(each.strategy))]
    others = [each.title for each in study.strategies if each.title not in are]
    by = f"harmonised between values of {part.column!r}, by ComBat on the training people of every cell"
    kept = f", with the effects of {', '.join(part.keep)} kept" if part.keep else ""
    left = f"; not harmonised, as no features are learnt from anew: {', '.join(others)}" if others else ""
    yield f"{by}{kept}: {', '.join(are) or 'no strategy'}{left}"
