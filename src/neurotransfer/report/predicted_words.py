"""What a table of predictions says, in plain sentences."""

from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.report.predicted_figures import bias_of
from neurotransfer.report.predicted_scores import dummy_error, headline, spread_table
from neurotransfer.report.predicted_table import CORRECTED, OUTSIDE, PredictedTable, PredictedTarget
from neurotransfer.report.rows import numbers, texts
from neurotransfer.report.wording import joined, number, p_equals
from neurotransfer.statistics import sample_notes
from neurotransfer.statistics.permutation import ALPHA

MOST_NAMED = 4


def some_of(names: list[str]) -> str:
    """Names in a sentence, of very many only the first ones.

    Example:
        >>> some_of(["a", "b"]), some_of(list("abcdef"))
        ('a and b', 'a, b, c and 3 more')
    """
    return joined(names) if len(names) <= MOST_NAMED else f"{', '.join(names[:3])} and {len(names) - 3} more"


def models_of(table: PredictedTable) -> list[dict[str, Any]]:
    """What the sidecar says of each model."""
    found = table.made.get("Models", [])
    return [model for model in found if isinstance(model, dict)] if isinstance(found, list) else []


def made_words(table: PredictedTable) -> str:
    """What was predicted, for whom, and how many were refused."""
    n, people, refused = len(table.rows), len(set(table.people)), len(table.refused)
    names = [target.name for target in table.targets]
    said = f"{some_of(names)} {'was' if len(names) == 1 else 'were'} predicted for {n - refused} of {n} scans, of {people} "
    said += "person" if people == 1 else "people"
    return f"{said}; {refused} {'was' if refused == 1 else 'were'} refused." if refused else f"{said}."


def score_words(table: PredictedTable, target: PredictedTarget, scored: pd.DataFrame) -> str:
    """How good the predictions of a target are, beside guessing."""
    people, best = len(set(table.people[target.known])), headline(scored)
    whom = f"in {people} people of whom it is known"
    if best is None:
        return f"{target.name}: {whom}, all are of one class, so that there is no score."
    within = "" if pd.isna(best["low"]) else f" (95 % interval {number(best['low'], 2)} to {number(best['high'], 2)})"
    if best["score"] == "mae":
        unit = f" {target.unit}" if target.unit else ""
        r = scored.loc[scored["score"] == "r", "value"]
        more = f"; r = {number(float(r.iloc[0]), 2)}" if len(r) else ""
        return (
            f"{target.name} is wrong by {number(best['value'], 2)}{unit} on average{within}, {whom}{more}; "
            f"guessing their mean for everybody would be wrong by {number(dummy_error(target), 2)}{unit}."
        )
    what = "an area under the ROC curve" if best["score"] == "auc" else "a balanced accuracy"
    chance = 0.5 if best["score"] == "auc" else 1 / len(target.classes)
    verdict = "better than chance" if best["low"] > chance else "not reliably better than chance"
    return f"{target.name} is told apart with {what} of {number(best['value'], 2)}{within}, {whom}: {verdict} ({number(chance, 2)})."


def drift_words(table: PredictedTable) -> list[str]:
    """How like the scans are to those that the model knows, where the sidecar says so."""
    said = table.made.get("Drift")
    return [f"Of the scans: {said['Text']}."] if isinstance(said, dict) and said.get("Text") else []


def cautions_of(table: PredictedTable, judged: list[PredictedTarget], most: int) -> list[str]:
    """What to be careful about: people whom a model has seen, small samples, scans that the model does not know."""
    notes = []
    for target in judged[:most]:
        rows = pd.DataFrame({"person": table.people, "value": target.observed})[target.known].drop_duplicates("person")
        values = rows["value"] if target.kind == "continuous" else rows["value"].map(dict(enumerate(target.classes)))
        notes += sample_notes(target.name, values, target.kind)
    notes += [
        f"Model {model.get('Name')} has learnt of {n} of these {len(set(table.people))} people: what it says of them is too good, "
        "and no score here tells how good it is for others."
        for model in models_of(table)
        if isinstance(n := model.get("Seen"), int) and n
    ]
    outside = int((texts(table.rows, "contract", "") == OUTSIDE).sum())
    if outside:
        notes.append(
            f"{outside} of {len(table.rows)} scans lie outside what the model knows: what it says of them may be worth nothing."
        )
    if len(judged) > most:
        notes.append(f"{len(judged)} targets are known; the first {most} are shown by themselves.")
    return list(dict.fromkeys(notes))


def spread_words(target: PredictedTarget) -> list[str]:
    """Whether uncertainty knows which predictions are wrong."""
    return [
        f"Deviation {row['spread']} and error go together by Spearman's ρ = {number(row['rho'], 2)} ({p_equals(row['p'])}, "
        f"{row['scans']} scans): "
        + ("the less sure, the more wrong." if row["rho"] > 0 and row["p"] < ALPHA
           else "it does not say surely which predictions are wrong.")
        for row in spread_table(target).to_dict("records")
    ]  # fmt: skip


def bias_words(table: PredictedTable) -> str:
    """What the brain-age gap says of age, and how much is left without it."""
    found = bias_of(table)
    if found is None:
        return "No line of gap on age was fitted (it takes 20 people of known age), so the gap is not corrected."
    left = float(np.nanstd(numbers(table.rows, CORRECTED)))
    return (
        f"With every year of age the gap changes by {number(found[1], 2)} years (a line through {found[2]} people): "
        f"a gap by itself says something about age, too. Corrected for it, gaps have a standard deviation of {number(left, 2)} years."
    )


def absent_words(table: PredictedTable) -> list[str]:
    """Of which targets the table does not know what was observed, and what to do."""
    absent = [target.name for target in table.targets if not target.known.any()]
    if not absent:
        return []
    return [
        f"What was observed of {some_of(absent)} is not in this table, so nothing says how good these predictions are. "
        "neurotransfer predict takes it along where the table of scans has a column of that name."
    ]
