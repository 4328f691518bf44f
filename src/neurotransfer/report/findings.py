"""What was found, in plain sentences."""

from dataclasses import dataclass

import pandas as pd

from neurotransfer.report.folder import Task
from neurotransfer.report.tables import beaten_by, chance_score, no_better_than_chance
from neurotransfer.report.wording import joined, number, p_equals
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.permutation import ALPHA

BARS = {"voxels": "The bar from outside, voxels (a linear model on smoothed voxels),", "linear": "The linear model"}


@dataclass(frozen=True)
class Evidence:
    """The tables of one task that its sentences are made from."""

    task: Task
    curve: pd.DataFrame
    scored: pd.DataFrame
    matrices: dict[int, pd.DataFrame]


def finding(evidence: Evidence) -> str:
    """One paragraph on a task: who is best at the smallest and the largest n, how surely, and who fails."""
    sizes = sorted(evidence.matrices)
    ends = sizes if len(sizes) < 2 else [sizes[0], sizes[-1]]
    sentences = [part for n in ends for part in _at(evidence, n)]
    return " ".join([*sentences, *_bars(evidence, ends)])


def _at(evidence: Evidence, n: int) -> list[str]:
    rows = evidence.curve[evidence.curve["n"] == n]
    if not len(rows):
        return [f"At n = {n} no fit has a score."]
    score = SCORES[evidence.task.score]
    best = rows.iloc[0]
    direction = "higher" if score.higher_is_better else "lower"
    lead = (
        f"At n = {n}, {best['strategy']} is best ({score.label.lower()} {number(best['value'])}, {direction} is better)"
    )
    lead = lead.replace("roc", "ROC")
    if len(rows) == 1:
        return [lead + "; there is nothing to compare it with.", *_chance(evidence, n)]
    margin = _margin(best, score.higher_is_better)
    return [f"{lead}, ahead of {best['next_best']} by {margin}.", *_chance(evidence, n)]


def _margin(best: pd.Series, higher_is_better: bool) -> str:
    p, adjusted = best["p"], best["p_holm"]
    score_gap = best["difference"] if higher_is_better else -best["difference"]
    gap = number(abs(score_gap))
    if score_gap < 0:
        return f"a mean over other replicates; on those that both have a score for it is behind by {gap}"
    if adjusted < ALPHA:
        return f"{gap}, and significantly so ({p_equals(p)}; {p_equals(adjusted)} after Holm's correction)"
    if p < ALPHA:
        return f"{gap}, which does not survive Holm's correction ({p_equals(p)}; {p_equals(adjusted)} after it)"
    return f"{gap}, which may be chance ({p_equals(p)})"


def _chance(evidence: Evidence, n: int) -> list[str]:
    weak = no_better_than_chance(evidence.scored, evidence.task, n)
    name = chance_score(evidence.task)
    level = SCORES[name].chance_level(len(evidence.task.classes))
    if not weak or level is None:
        return []
    n_scored = int((evidence.curve["n"] == n).sum())
    known = f"{SCORES[name].label.lower().replace('roc', 'ROC')} {level:g}"
    if len(weak) == n_scored:
        return [f"Nothing beats chance ({known}) reliably there."]
    return [f"Not reliably better than chance ({known}) there: {joined(weak)}."]


def _bars(evidence: Evidence, sizes: list[int]) -> list[str]:
    sentences = []
    for bar, name in BARS.items():
        beaten = {n: beaten_by(bar, matrix) for n in sizes if bar in (matrix := evidence.matrices[n]).index}
        if any(beaten.values()):
            parts = [f"{joined(names) or 'no other strategy'} at n = {n}" for n, names in beaten.items()]
            sentences.append(f"{name} beats {'; '.join(parts)} (p < {ALPHA:g}, each comparison by itself).")
        elif beaten:
            sentences.append(f"{name} beats no other strategy at n = {' or '.join(map(str, beaten))}.")
    return sentences
