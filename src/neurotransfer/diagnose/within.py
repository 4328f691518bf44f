"""The curve within a site: how well test people of one site are ranked or measured among themselves, by size."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.curves import sizes_axis
from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.prediction_tables import probabilities_of
from neurotransfer.report.wording import score_label
from neurotransfer.statistics import SCORES, scores, summary
from neurotransfer.statistics.metrics import auc

# of the sites with most people; more lines cannot be told apart
MOST_SITES = 6
# a score of fewer people of one site says nothing
LEAST_TESTED = 8
COLUMNS = ("strategy", "n", "site", "mean", "low", "high", "replicates", "tested")


def within_sites(run: RunFolder, task: Task, site_of: Mapping[str, str], sites: Sequence[str]) -> pd.DataFrame:
    """Scores of the test people of one site by themselves, means over replicates with -+ 1.96 SEM.

    Who is trained on is of all sites, so that what tells sites apart and nothing else does not help here.

    Args:
        run: from `read_run`.
        task: what was predicted.
        site_of: the site of a participant.
        sites: those that are looked at, at most `MOST_SITES` of them.

    Returns:
        Columns COLUMNS, a row a strategy, size and site with two replicates or more of `LEAST_TESTED` test people or more and a
        score; `tested` is the mean number of test rows.
    """
    if run.predictions is None:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = run.predictions[run.predictions["task"] == task.name].dropna(subset=["observed", "predicted"])
    rows = rows.assign(site=rows["participant_id"].map(site_of))
    rows = rows[rows["site"].isin(list(sites)[:MOST_SITES])]
    if not len(rows):
        return pd.DataFrame(columns=list(COLUMNS))
    # thousands of small parts: pandas would take longer to take them out than their scores take
    keys = rows[["strategy", "n", "site", "replicate"]]
    codes = keys.groupby(list(keys), sort=True).ngroup().to_numpy()
    order, counts = np.argsort(codes, kind="stable"), np.bincount(codes)
    firsts = np.cumsum(counts) - counts
    enough = counts >= LEAST_TESTED
    score = _scorer(rows, task)
    found = [score(order[first : first + n]) for first, n in zip(firsts[enough], counts[enough], strict=True)]
    every = keys.iloc[order[firsts[enough]]].assign(score=np.array(found, float), tested=counts[enough]).dropna()
    table = []
    for key, part in every.groupby(["strategy", "n", "site"], sort=True):
        over = summary(part["score"].to_numpy(float))
        if over.n > 1:
            table.append((*key, over.mean, over.low, over.high, over.n, float(part["tested"].mean())))
    return pd.DataFrame(table, columns=list(COLUMNS))


def _scorer(rows: pd.DataFrame, task: Task) -> Callable[[np.ndarray], float]:
    """The score of some of the rows, by their places."""
    observed, predicted = rows["observed"].to_numpy(float), rows["predicted"].to_numpy(float)
    if (task.kind, task.score) == ("binary", "auc"):
        return lambda places: auc(observed[places], predicted[places])
    shares = probabilities_of(rows, task)
    if task.kind == "categorical" and shares is None:
        return lambda places: np.nan
    return lambda places: scores(
        task.kind, observed[places], predicted[places], None if shares is None else shares[places]
    )[task.score]


def within_figure(table: pd.DataFrame, task: Task, column: str, name: str) -> Figure | None:
    """The curves within sites, a line a site and a strategy at a time; None where there are none."""
    if not len(table):
        return None
    strategies = list(dict.fromkeys(table["strategy"]))
    better = "" if SCORES[task.score].higher_is_better else ", lower is better"
    return Figure(
        name=name,
        title=f"{task.label}: the curves within sites",
        description="The score of the test people of one site among themselves against the number of training "
        f"{task.counted}, a line a site.",
        x=sizes_axis(sorted(int(n) for n in table["n"].unique()), task),
        y=Axis(f"{score_label(task.score, task)}{better}"),
        layers=(
            Layer(
                "line", table, x="n", y="mean", series="site", low="low", high="high",
                tips={"replicates": "replicates", "tested": "test rows a replicate"},
            ),
        ),
        choices=(Choice("strategy", "Strategy", {each: each for each in strategies}),),
        looks=looks(list(dict.fromkeys(table["site"]))),
        caption=f"Training people are of all values of {column}; a score that is lower within every site than over all of them owes "
        f"the rest to what sets sites apart. Means ± 1.96 SEM over replicates with {LEAST_TESTED} test people or more of the site.",
    )  # fmt: skip
