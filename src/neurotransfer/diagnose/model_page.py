"""The model on the page: a network against a linear model of the same columns, what features contain, how layers drift."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.diagnose.case import Case
from neurotransfer.diagnose.gains import gain_of_pairs
from neurotransfer.diagnose.representations import LEAST_PEOPLE, Representations, as_json
from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Choice, Figure, Item, Layer, Section, Table, Text
from neurotransfer.report.curves import sizes_axis
from neurotransfer.report.naming import slugs
from neurotransfer.report.wording import number, score_label
from neurotransfer.statistics.estimates import Estimate

AGAINST_COLUMNS = ("task", "strategy", "than", "n", "difference", "low", "high", "replicates")
# a score of a fit that was made again may differ by rounding, which a schedule of epochs makes larger
SAME_SCORE = 0.02
UNTOLD = (
    "What the features of a model hold of the linear model's signal, and how finetuning moves its layers: --representations computes "
    "it on the scans (with --dry-run it says how long that takes)."
)


def against_linear(cases: Sequence[Case], seed: int = 0) -> pd.DataFrame:
    """How much better a perceptron is than a linear model of the same columns, replicate by replicate.

    Returns:
        Columns AGAINST_COLUMNS, a row a task, pair of strategies and size; differences are in points of the score, above 0 where the
        network is better, with 95 % intervals over the replicates that both have.
    """
    rows = []
    for network in (case for case in cases if case.kind == "perceptron"):
        for linear in (case for case in cases if case.kind == "linear" and case.task.name == network.task.name):
            both = min(len(network.goods), len(linear.goods))
            pairs = network.goods[:both] - linear.goods[:both]
            gain = gain_of_pairs(pairs, "against linear", seed)
            low, high = gain.interval()
            counts = np.isfinite(pairs).sum(0)
            rows += [
                (network.task.name, network.strategy, linear.strategy, int(n), *values)
                for n, *values in zip(network.sizes, gain.points, low, high, counts, strict=True)
                if np.isfinite(values[0])
            ]
    return pd.DataFrame(rows, columns=list(AGAINST_COLUMNS))


def model_section(cases: Sequence[Case], against: pd.DataFrame, found: Representations | None) -> Section:
    """The section of the page.

    Args:
        cases: the curves.
        against: from `against_linear`.
        found: what was computed of representations; None where nothing was.
    """
    tasks = {case.task.name: case.task for case in cases}
    items: list[Item] = []
    for slug, name in zip(slugs(tasks), tasks, strict=True):
        case = next(case for case in cases if case.task.name == name)
        figures = [
            _against_figure(against[against["task"] == name], case, f"{slug}-against-linear"),
            None if found is None else _drift_figure(found.drift[found.drift["task"] == name], case, f"{slug}-drift"),
        ]
        items += [figure for figure in figures if figure is not None]
    if found is not None and found.contained:
        items.insert(0, _contained_table(found, tasks))
    if found is not None and len(found.drift):
        items += _again_words(found.drift)
    return Section("model", "The model", items or [Text("See what cannot be told.", "quiet")])


def model_untold(cases: Sequence[Case], against: pd.DataFrame, found: Representations | None) -> list[str]:
    """What cannot be told of the model, and why."""
    why = [] if len(against) else [_no_pair({case.kind for case in cases})]
    return [*why, *([UNTOLD] if found is None else found.untold)]


def _no_pair(kinds: set[str]) -> str:
    lacks = [kind for kind in ("linear", "perceptron") if kind not in kinds]
    return f"A linear model against a network on the same columns: the run has no strategy {' and no '.join(lacks)}."


def _against_figure(table: pd.DataFrame, case: Case, name: str) -> Figure | None:
    if not len(table):
        return None
    pairs = table["strategy"] + " over " + table["than"]
    return Figure(
        name=name,
        title=f"{case.task.label}: a network over a linear model of the same columns",
        description="The paired difference of the network from the linear model against size; above zero the network is better.",
        x=sizes_axis(sorted({int(n) for n in table["n"]}), case.task),
        y=Axis(f"{score_label(case.score, case.task)}: gained by the network"),
        layers=(
            Layer("rule", pd.DataFrame({"zero": [0.0]}), y="zero", quiet=True),
            Layer(
                "line", table.assign(pair=pairs), x="n", y="difference", series="pair", low="low", high="high",
                tips={"replicates": "replicates"},
            ),
        ),
        looks=looks(list(dict.fromkeys(pairs))),
        caption="Both see the same numbers of the same people. Below zero the network pays for what it can bend and does not need to; "
        "above zero the target bends. Means and 95 % intervals over replicates.",
    )  # fmt: skip


def _contained_table(found: Representations, tasks: dict[str, Any]) -> Table:
    rows = [
        [tasks[each.task].label, each.strategy, each.model, str(each.n_people), _ends(each.share), _ends(each.own)]
        for each in found.contained
        if each.task in tasks
    ]
    caption = (
        "How much of the linear model's signal (its test predictions at the largest size) the features of a model contain: R² of "
        "ridge regression in people whom it has not seen, with 95 % intervals. What the linear model's own columns give is what can "
        "be had at most: its fits differ by replicate"
    )
    headings = ["Task", "Linear model", "Features of", "People", "R² from the features", "R² from its own columns"]
    return Table("contained", caption, headings, rows, (3,))


def _ends(estimate: Estimate) -> str:
    return f"{number(estimate.value, 2)} ({number(estimate.low, 2)} to {number(estimate.high, 2)})"


def drift_table(drift: pd.DataFrame) -> pd.DataFrame:
    """By task, strategy, n and layer the mean CKA over replicates, the least and the most, and that with an untrained network."""
    by = drift.dropna(subset=["cka"]).groupby(["task", "strategy", "n", "layer"], sort=False)
    found = by.agg(
        mean=("cka", "mean"), low=("cka", "min"), high=("cka", "max"), untrained=("untrained", "mean"), fits=("cka", "size"),
        people=("people", "mean"),
    )  # fmt: skip
    return found.reset_index()


def _drift_figure(drift: pd.DataFrame, case: Case, name: str) -> Figure | None:
    table = drift_table(drift)
    if not len(table):
        return None
    table = table.assign(size=table["n"].map("n = {}".format))
    floor = table.groupby(["strategy", "layer"], sort=False)["untrained"].mean().reset_index()
    return Figure(
        name=name,
        title=f"{case.task.label}: how finetuning moves the layers",
        description="Linear CKA between the pretrained and the finetuned network by layer, a line a training size.",
        x=Axis("layer", "category"),
        y=Axis("linear CKA with the pretrained network"),
        layers=(
            Layer("line", floor, x="layer", y="untrained", quiet=True, label="Untrained network"),
            Layer(
                "line", table, x="layer", y="mean", series="size", low="low", high="high",
                tips={"fits": "fits", "people": "people"},
            ),
        ),
        choices=(Choice("strategy", "Strategy", {each: each for each in dict.fromkeys(table["strategy"])}),),
        looks=looks(list(dict.fromkeys(table["size"]))),
        caption="1: the layer holds people as it did before finetuning. Dashed: the same with an untrained network, which is what is "
        "left where everything learnt is lost. Of people whom the fits had not learnt from; means, least and most over replicates "
        f"({LEAST_PEOPLE} people or more; debiased, so that it varies around 0 for what has nothing in common).",
    )  # fmt: skip


def _again_words(drift: pd.DataFrame) -> list[Item]:
    """Whether the fits that were made again are those of the run."""
    fits = drift.drop_duplicates(["task", "strategy", "n", "replicate"])
    apart = (fits["score_again"] - fits["score_before"]).abs()
    most = float(apart.max())
    text = f"{len(fits)} fits were made again; their test scores differ from those of the run by at most {number(most, 4)}."
    return [Text(text, "caution" if most > SAME_SCORE else "quiet")]


def model_as_json(against: pd.DataFrame, found: Representations | None) -> dict[str, Any]:
    """The same as values of JSON."""
    rows = against.astype(object).where(against.notna(), None).to_dict("records")
    return {"against_linear": rows, "representations": None if found is None else as_json(found)}
