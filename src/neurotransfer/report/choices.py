"""What the fits took and chose, as figures against n: epochs, seconds, settings, optimism."""

from collections.abc import Mapping

import pandas as pd

from neurotransfer.pages.looks import Look
from neurotransfer.pages.model import Axis, Choice, Figure, Layer, Text
from neurotransfer.report.choice_tables import edge_table, effort_table, optimism_table, setting_table
from neurotransfer.report.curves import is_logarithmic, sizes_axis
from neurotransfer.report.evidence import Evidence
from neurotransfer.report.tables import sizes_of
from neurotransfer.report.wording import percent, score_label
from neurotransfer.statistics import SCORES

EFFORTS = {
    "epochs": ("Epochs", "How many epochs the chosen fits ran. Strategies that train no network are left out."),
    "seconds": (
        "Seconds a fit",
        "Time of a fit: that of all settings of a replicate, divided by their number. What strategies share, such as the "
        "features of a network that stands still, is made once and not counted.",
    ),
}


def effort_figure(evidence: Evidence, looks: Mapping[str, Look], name: str, column: str) -> Figure | None:
    """The mean `epochs` or `seconds` of the chosen fits against n; None where no strategy has any."""
    if column not in evidence.results:
        return None
    table = effort_table(evidence.results, evidence.task, evidence.strategies, column)
    if not len(table):
        return None
    label, caption = EFFORTS[column]
    scale = "log" if column == "seconds" and is_logarithmic(table["mean"].to_numpy()) else "linear"
    return Figure(
        name=name,
        title=f"{evidence.task.label}: {label.lower()}",
        description=f"{label} against the number of training {evidence.task.counted}, a line a strategy.",
        x=sizes_axis(sizes_of(evidence.results, evidence.task), evidence.task),
        y=Axis(label if column == "epochs" else "Time a fit (seconds)", scale, switch=column == "seconds"),
        layers=(
            Layer("line", table, x="n", y="mean", series="strategy", low="low", high="high", tips={"fits": "fits"}),
        ),
        looks=looks,
        caption=f"{caption} Mean ± 1.96 SEM over replicates.",
    )


def setting_figure(evidence: Evidence, name: str) -> Figure | None:
    """How often each setting was chosen, by n; None where no strategy had a choice."""
    table = setting_table(evidence.results, evidence.task, evidence.strategies)
    if not len(table):
        return None
    marks = (table["edge"] != "") & (table["chosen"] > 0)
    shares = table["share"].fillna(0)
    table = table.assign(
        share=shares,
        n=table["n"].map("n = {}".format),
        text=[
            f"{percent(share)}{'*' if mark else ''}" if share else "" for share, mark in zip(shares, marks, strict=True)
        ],
    )
    strategies = list(dict.fromkeys(table["strategy"]))
    tips = {"chosen": "replicates that chose it", "replicates": "of", "edge": "at the end of what was tried"}
    return Figure(
        name=name,
        title=f"{evidence.task.label}: settings that validation chose",
        description="The share of replicates in which each setting was chosen, by the number of training "
        f"{evidence.task.counted}.",
        x=Axis(f"n, training {evidence.task.counted}", "category"),
        y=Axis("setting", "category"),
        layers=(Layer("cell", table, x="n", y="setting", value="share", text="text", tips=tips),),
        choices=(Choice("strategy", "Strategy", {name: name for name in strategies}),),
        colours="sequential",
        colour_label="share of replicates",
        ends=(0.0, 1.0),
        caption="* The setting has the lowest or highest value that was tried of one of its parts (of three or more): beyond it "
        "might be a better one.",
    )


def edge_notes(evidence: Evidence) -> list[Text]:
    """What most replicates chose at the end of what was tried, as one caution; empty where nothing."""
    settings = setting_table(evidence.results, evidence.task, evidence.strategies)
    if not len(settings):
        return []
    notes = [
        f"{strategy}, {edge}, at n = {', '.join(f'{row.n} ({percent(row.share)})' for row in rows.itertuples())}"
        for (strategy, edge), rows in edge_table(settings).groupby(["strategy", "edge"], sort=False)
    ]
    text = "More than half of the replicates chose an end of what was tried, so that a wider grid might do better: "
    return [Text(f"{text}{'; '.join(notes)}.", "caution")] if notes else []


def optimism_figure(evidence: Evidence, looks: Mapping[str, Look], name: str) -> Figure | None:
    """How much better the chosen settings looked on validation than on test; None where there is no validation score."""
    table = optimism_table(evidence.results, evidence.task, evidence.strategies)
    if not len(table):
        return None
    scores = list(dict.fromkeys(table["score"]))
    labels = {score: f"{score_label(score, evidence.task)}: optimism of validation" for score in scores}
    tips = {"validation": "on validation", "test": "on test", "replicates": "replicates"}
    return Figure(
        name=name,
        title=f"{evidence.task.label}: validation against test",
        description="By how much the chosen settings scored better on validation than on test, a line a strategy.",
        x=sizes_axis(sizes_of(evidence.results, evidence.task), evidence.task),
        y=Axis(labels[scores[0]], labels={"score": labels}),
        layers=(
            Layer("rule", pd.DataFrame({"zero": [0.0]}), y="zero", quiet=True),
            Layer("line", table, x="n", y="optimism", series="strategy", low="low", high="high", tips=tips),
        ),
        choices=(Choice("score", "Score", {score: SCORES[score].label for score in scores}),),
        looks=looks,
        caption="Above 0 validation promised too much: the best of several settings is partly the luckiest. Mean ± 1.96 SEM over "
        "replicates; small validation sets make it large. Test people choose nothing, so test scores are free of it.",
    )
