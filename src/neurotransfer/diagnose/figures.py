"""Analyses as figures: the curves and the best ones that never fall, what was gained without a cause, how people are fitted."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.diagnose.analysis import Analysis
from neurotransfer.diagnose.case import Case
from neurotransfer.diagnose.gains import ends_of
from neurotransfer.pages.looks import Look, looks
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.curves import sizes_axis
from neurotransfer.report.wording import score_label
from neurotransfer.statistics import SCORES


def curves_figure(analyses: Sequence[Analysis], known: Mapping[str, Look], name: str) -> Figure:
    """The curves of one task with their intervals, and under each the nearest one that never gets worse."""
    case = analyses[0].case
    curves, fits = [], []
    for each in analyses:
        own = each.case
        ends = np.sort([own.sign * (each.redrawn.curve + end) for end in ends_of(each.redrawn.deviations)], axis=0)
        curves.append(_table(own, own.sign * each.redrawn.curve, *ends))
        if each.test is not None:
            fits.append(_table(own, own.sign * each.test.fitted))
    label = "Nearest curve that never gets worse"
    under = (
        [Layer("line", pd.concat(fits), x="n", y="shown", series="strategy", label=label, quiet=True)] if fits else []
    )
    return Figure(
        name=name,
        title=f"{case.task.label}: the curves, and the nearest ones that never get worse",
        description=f"Mean test scores against the number of training {case.task.counted}, a line a strategy, with the nearest "
        "curve that never gets worse as a dashed line.",
        x=sizes_axis([int(n) for n in case.sizes], case.task),
        y=_score_axis(case),
        layers=(*under, Layer("line", pd.concat(curves), x="n", y="shown", series="strategy", low="low", high="high")),
        looks=known,
        caption="Bars are 95 % intervals over replicates of this pool of people. Where the line leaves the dashed one, it falls.",
    )


def _table(
    case: Case, shown: np.ndarray, low: np.ndarray | None = None, high: np.ndarray | None = None
) -> pd.DataFrame:
    table = pd.DataFrame({"n": case.sizes.astype(int), "strategy": case.strategy, "shown": shown})
    return (table if low is None else table.assign(low=low, high=high)).dropna(subset=["shown"])


def _score_axis(case: Case) -> Axis:
    better = "" if SCORES[case.score].higher_is_better else ", lower is better"
    return Axis(f"{score_label(case.score, case.task)}{better}")


def gains_figure(analyses: Sequence[Analysis], name: str) -> Figure | None:
    """What every experiment gained at every size; None where none was done."""
    parts = []
    for each in analyses:
        for experiment, gain in each.gains.items():
            low, high = gain.interval()
            parts.append(
                pd.DataFrame(
                    {"strategy": each.case.strategy, "n": each.case.sizes.astype(int), "experiment": experiment,
                     "gained": gain.points, "low": low, "high": high}
                )
            )  # fmt: skip
    if not parts:
        return None
    case, table = analyses[0].case, pd.concat(parts, ignore_index=True).dropna(subset=["gained"])
    strategies = list(dict.fromkeys(table["strategy"]))
    return Figure(
        name=name,
        title=f"{case.task.label}: what each experiment gained",
        description="The mean difference of an experiment from the run, replicate by replicate, against size; above zero is better.",
        x=sizes_axis([int(n) for n in case.sizes], case.task),
        y=Axis(f"{score_label(case.score, case.task)}: gained"),
        layers=(
            Layer("rule", pd.DataFrame({"zero": [0.0]}), y="zero", quiet=True),
            Layer("line", table, x="n", y="gained", series="experiment", low="low", high="high"),
        ),
        choices=(Choice("strategy", "Strategy", {each: each for each in strategies}),),
        looks=looks(list(dict.fromkeys(table["experiment"]))),
        caption="Above zero the run would have been better with the one choice of the experiment changed. Means and 95 % intervals "
        "over the replicates that both have; they train on the same people, unless whom to train on is the choice.",
    )


def fit_figure(analyses: Sequence[Analysis], name: str) -> Figure | None:
    """How well training people and test people are predicted, by size; None where the run does not know."""
    parts = []
    for each in analyses:
        if each.fit is not None:
            for people, values in (("training people", each.fit.train), ("test people", each.fit.test)):
                parts.append(
                    pd.DataFrame(
                        {
                            "strategy": each.case.strategy,
                            "n": each.case.sizes.astype(int),
                            "people": people,
                            "shown": values,
                        }
                    )
                )
    if not parts:
        return None
    case, table = analyses[0].case, pd.concat(parts, ignore_index=True).dropna(subset=["shown"])
    score = next(each.fit.score for each in analyses if each.fit is not None)
    return Figure(
        name=name,
        title=f"{case.task.label}: training people and test people",
        description="The score of the chosen fits on the people they were trained on and on test people, against size.",
        x=sizes_axis([int(n) for n in case.sizes], case.task),
        y=Axis(score_label(score, case.task)),
        layers=(Layer("line", table, x="n", y="shown", series="people"),),
        choices=(Choice("strategy", "Strategy", {each: each for each in dict.fromkeys(table["strategy"])}),),
        looks=looks(["training people", "test people"]),
        caption="A wide gap is a model that is flexible for so few people; no gap and a low score is one that is too simple, or a "
        "target that scans say little of. Up to where training people are fitted without error, a dip may be double descent.",
    )


def selection_figure(analyses: Sequence[Analysis], known: Mapping[str, Look], name: str) -> Figure | None:
    """What choosing among settings costs, and how much better the chosen one looked; None where there was nothing to choose."""
    parts = [
        pd.DataFrame(
            {
                "strategy": each.case.strategy,
                "n": n,
                "what": what,
                "points": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
            },
            index=[0],
        )
        for each in analyses
        for n, found in each.tables.selection.items()
        for what, estimate in (
            ("cost", found.cost),
            ("optimism", found.optimism),
        )
    ]
    if not parts:
        return None
    case, table = analyses[0].case, pd.concat(parts, ignore_index=True)
    return Figure(
        name=name,
        title=f"{case.task.label}: what choosing among settings costs",
        description="Points lost because validation chose another setting than the best one, against size, a line a strategy.",
        x=sizes_axis([int(n) for n in case.sizes], case.task),
        y=Axis("points of the score that chooses"),
        layers=(
            Layer("rule", pd.DataFrame({"zero": [0.0]}), y="zero", quiet=True),
            Layer("line", table, x="n", y="points", series="strategy", low="low", high="high"),
        ),
        choices=(
            Choice("what", "Show", {"cost": "cost of choosing", "optimism": "optimism of the chosen (winner's curse)"}),
        ),
        looks=known,
        caption="Cost: the best setting on average, less the one that was chosen, each judged on the validation people of other "
        "replicates. Optimism: how much better the chosen setting looked where it was chosen than it is.",
    )


SOURCES = {
    "measurement": "test people",
    "selection": "choice of the setting",
    "initialisation": "new weights and order",
    "sampling": "training people",
}


def spread_figure(analyses: Sequence[Analysis], name: str) -> Figure | None:
    """Where the differences between replicates come from, as shares of their variance by size; None where it cannot be told."""
    rows = [
        (each.case.strategy, n, " and ".join(SOURCES[source] for source in part.sources), part.share, part.variance)
        for each in analyses
        for n, spread in each.spreads.items()
        for part in spread.parts
    ]
    # one source alone is all of it: nothing to see
    if len({source for _, _, source, _, _ in rows}) < 2:
        return None
    case = analyses[0].case
    table = pd.DataFrame(rows, columns=["strategy", "n", "source", "share", "variance"]).dropna(subset=["share"])
    table = table.assign(deviation=np.sqrt(table["variance"]))
    return Figure(
        name=name,
        title=f"{case.task.label}: where the differences between replicates come from",
        description="The share of the variance of test scores over replicates that each source makes, against size.",
        x=sizes_axis([int(n) for n in case.sizes], case.task),
        y=Axis("share of the variance"),
        layers=(
            Layer("rule", pd.DataFrame({"zero": [0.0]}), y="zero", quiet=True),
            Layer("line", table, x="n", y="share", series="source", tips={"deviation": "as a standard deviation"}),
        ),
        choices=(Choice("strategy", "Strategy", {each: each for each in dict.fromkeys(table["strategy"])}),),
        looks=looks(list(dict.fromkeys(table["source"]))),
        caption="Test people: what a finite test part alone makes. Choice: that replicates choose settings of unlike quality. New "
        "weights and order: from the experiment other-seeds. What is left is training people, with whatever was not told apart.",
    )
