"""The published learning curves of the system that this package follows, to lay over one's own."""

from functools import cache
from importlib import resources

import pandas as pd

from neurotransfer.errors import InputError, unknown

CITATION = "E. H. Leonardsen, Transfer learning for neuroimaging data, talks of 8 April 2025 and 24 November 2025"


@cache
def _table() -> pd.DataFrame:
    with resources.files("neurotransfer").joinpath("published.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def published_names() -> list[str]:
    """The names that `published_curves` knows.

    Example:
        >>> published_names()[:3]
        ['april_ad', 'april_age', 'april_age_top']
    """
    return list(dict.fromkeys(_table()["curve"]))


def published_curves(name: str) -> pd.DataFrame:
    """The curves of one published figure, a row a strategy and n.

    Columns: `curve`, `talk`, `task`, `strategy`, `statistic` (mean in April, median in November, over 100 replicates),
    `score` (auc or rae), `n`, `value` and `sem` (missing for medians). Cite them as `CITATION`.

    Raises:
        InputError: when there is no curve of that name.

    Example:
        >>> published_curves("april_linear_ad")["value"].iloc[0]
        np.float64(0.916)
    """
    if name not in published_names():
        raise InputError(unknown("published curve", name, published_names()))
    table = _table()
    return table[table["curve"] == name].reset_index(drop=True)
