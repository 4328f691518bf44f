"""Which strategy beats which, and by how much: p-values as cells, differences to a reference against n."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from neurotransfer.pages.looks import Look
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.curves import sizes_axis
from neurotransfer.report.evidence import Evidence
from neurotransfer.report.tables import holm_matrix, scores_of, sizes_of
from neurotransfer.report.wording import probability, score_label, size_key
from neurotransfer.statistics import SCORES

CORRECTIONS = {"holm": "p after Holm, over all pairs of this n", "raw": "p of each pair by itself"}


def pair_figure(evidence: Evidence, name: str) -> Figure | None:
    """The p that the strategy of the row beats that of the column, at the largest n first; None with nothing to compare."""
    table = _pair_table(evidence)
    if not len(table):
        return None
    task = evidence.task
    return Figure(
        name=name,
        title=f"{task.label}: does the row beat the column?",
        description="The p-value that the strategy of the row beats that of the column, for every pair.",
        x=Axis("than this strategy", "category"),
        y=Axis("better is this strategy", "category"),
        layers=(Layer("cell", table, x="than", y="strategy", value="p", text="text"),),
        choices=(_size_choice(evidence), _score_choice(evidence), Choice("correction", "Correction", CORRECTIONS)),
        colours="probability",
        colour_label="p",
        caption="One-sided paired permutation tests over replicates. After Holm's correction the chance of any false claim "
        "in the whole table is below the level. The p of a single pair is for who asked about that pair alone.",
    )


def _size_choice(evidence: Evidence) -> Choice:
    sizes = sizes_of(evidence.results, evidence.task)
    return Choice("size", "n", {size_key(n): f"n = {n}" for n in reversed(sizes)})


def _score_choice(evidence: Evidence) -> Choice:
    return Choice("score", "Score", {score: SCORES[score].label for score in scores_of(evidence.task)})


def _pair_table(evidence: Evidence) -> pd.DataFrame:
    rows = []
    for score, matrices in evidence.matrices.items():
        for n, matrix in matrices.items():
            for correction, shown in (("holm", holm_matrix(matrix)), ("raw", matrix)):
                if len(matrix) > 1:
                    choice = {"size": size_key(n), "score": score, "correction": correction}
                    rows += [cell | choice for cell in _cells(shown)]
    return pd.DataFrame(rows)


def _cells(matrix: pd.DataFrame) -> list[dict[str, Any]]:
    values = matrix.to_numpy(float)
    return [
        {
            "strategy": one,
            "than": other,
            "p": float("nan") if i == j else values[i, j],
            "text": "" if i == j else probability(values[i, j]),
        }
        for i, one in enumerate(matrix.index)
        for j, other in enumerate(matrix.columns)
    ]


def difference_figure(evidence: Evidence, looks: Mapping[str, Look], name: str) -> Figure | None:
    """How far every strategy is from a reference that can be chosen, against n; None with nothing to compare."""
    parts = [table.assign(score=score) for score, table in evidence.differences.items() if len(table)]
    if not parts:
        return None
    task = evidence.task
    table = pd.concat(parts, ignore_index=True)
    references = sorted(evidence.strategies, key=lambda label: _kind(evidence, label) != "baseline")
    return Figure(
        name=name,
        title=f"{task.label}: differences to a reference",
        description=f"Test score of every strategy less that of the reference, against the number of training {task.counted}.",
        x=sizes_axis(sizes_of(evidence.results, task), task),
        y=Axis(
            _difference_label(task.score, evidence),
            labels={"score": {score: _difference_label(score, evidence) for score in evidence.matrices}},
        ),
        layers=(
            Layer("rule", pd.DataFrame({"zero": [0.0]}), y="zero", quiet=True),
            Layer(
                "line",
                table,
                x="n",
                y="difference",
                series="strategy",
                low="low",
                high="high",
                filled="better",
                tips={"p": "p that it beats the reference", "pairs": "replicates that both have"},
            ),
        ),
        choices=(
            Choice("reference", "Reference", {label: label for label in references}),
            _score_choice(evidence),
        ),
        looks=looks,
        caption="Mean of the paired differences over replicates, with 95 % intervals from drawing whole replicates again. "
        "Filled: the strategy beats the reference (one-sided paired permutation test, p < 0.05, uncorrected).",
        keys={"filled": "filled: beats the reference (p < 0.05)", "hollow": "hollow: it does not"},
    )


def _kind(evidence: Evidence, label: str) -> str:
    return str(evidence.kinds.get(label, {}).get("strategy", label))


def _difference_label(score: str, evidence: Evidence) -> str:
    side = "above" if SCORES[score].higher_is_better else "below"
    return f"{score_label(score, evidence.task)}, difference ({side} 0 is better)"
