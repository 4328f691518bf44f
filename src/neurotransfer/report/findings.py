"""What was found, in plain sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from neurotransfer.report.evidence import Evidence
from neurotransfer.report.folder import Task
from neurotransfer.report.naming import BARS, PRETRAINED, SCRATCH, Names, in_words, kind_of
from neurotransfer.report.tables import chance_score, holm_matrix, no_better_than_chance
from neurotransfer.report.wording import joined, number, p_equals
from neurotransfer.statistics import SCORES
from neurotransfer.statistics.permutation import ALPHA

DIRECTION = ", where lower is better"
SHORT = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "rae": "relative absolute error",
    "r": "correlation",
    "r2": "explained variance",
}


@dataclass(frozen=True)
class Comparison:
    """By how much a strategy is better than another (`gap`, negative when worse), the interval, p, and p after Holm."""

    gap: float
    low: float
    high: float
    p: float
    holm: float
    holm_of_other: float

    @property
    def is_win(self) -> bool:
        """Whether it is better, also after Holm's correction."""
        return self.gap > 0 and self.holm < ALPHA

    @property
    def is_loss(self) -> bool:
        """Whether the other is better, also after Holm's correction."""
        return self.gap < 0 and self.holm_of_other < ALPHA


def finding(evidence: Evidence) -> str:
    """One paragraph on a task: a headline, and what it rests on at the largest and the smallest n, by how much and how surely.

    A comparison is called a win where p is below 0.05 after Holm's correction over all pairs of that n, so that it does not
    matter which pairs are spoken of.
    """
    sizes = sorted(evidence.matrices[evidence.task.score])
    ends = sizes[-1:] if len(sizes) < 2 else [sizes[-1], sizes[0]]
    words = in_words(evidence.strategies, evidence.kinds)
    names = Names(words)
    details = " ".join(sentence for n in ends for sentence in _at(evidence, n, names))
    # said once: it is the same direction everywhere
    first, found, rest = details.partition(DIRECTION)
    return f"{evidence.task.label}: {headline(evidence, words)}. {first}{found}{rest.replace(DIRECTION, '')}"


def headline(evidence: Evidence, words: Mapping[str, str]) -> str:
    """Whether pretraining helps, where there are networks with and without it; else who is best. Of the largest n, and of others."""
    rows = {int(n): part for n, part in evidence.headline.groupby("n")}
    if not rows:
        return "no fit has a score"
    largest = max(rows)
    best = {n: str(part["strategy"].iloc[0]) for n, part in rows.items()}
    pairs = {n: _pretrained_and_scratch(evidence, part) for n, part in rows.items()}
    known = {n: compare(evidence, n, *pair) for n, pair in pairs.items() if pair is not None}
    if not known:
        return f"{words[best[largest]]} has the best mean at n = {largest}"
    harms = [n for n, each in known.items() if each.is_loss]
    text = _where(known) + (f", and does harm at n = {_sizes(harms)}" if harms else "")
    bar = best[largest]
    if kind_of(bar, evidence.kinds) in BARS:
        return f"{text}; without any network, {words[bar]} has the best mean at n = {largest}"
    return text


def _where(known: Mapping[int, Comparison]) -> str:
    helps = [n for n, each in known.items() if each.is_win]
    leads = [n for n, each in known.items() if each.gap > 0 and each.p < ALPHA and n not in helps]
    if not helps and leads:
        return f"pretraining may help at n = {_sizes(leads)}, which does not survive Holm's correction"
    if not helps:
        return "pretraining is not shown to help"
    others = [n for n in known if n not in helps]
    return f"pretraining helps at n = {_sizes(helps)}" + (
        f", which is not shown at n = {_sizes(others)}" if others else ""
    )


def _sizes(sizes: list[int]) -> str:
    return joined([str(n) for n in sizes])


def _pretrained_and_scratch(evidence: Evidence, rows: pd.DataFrame) -> tuple[str, str] | None:
    """The best network with and the best one without pretraining, at one size; None where one of the two is not there."""
    kinds = {label: kind_of(label, evidence.kinds) for label in rows["strategy"]}
    pretrained = [label for label, kind in kinds.items() if kind in PRETRAINED]
    scratch = [label for label, kind in kinds.items() if kind == SCRATCH]
    return (pretrained[0], scratch[0]) if pretrained and scratch else None


def compare(evidence: Evidence, n: int, one: str, other: str) -> Comparison:
    """How `one` stands to `other` at size n on the score that is shown first."""
    score = evidence.task.score
    table = evidence.differences[score]
    row = table[(table["n"] == n) & (table["strategy"] == one) & (table["reference"] == other)].iloc[0]
    adjusted = holm_matrix(evidence.matrices[score][n])
    ends = (row["low"], row["high"])
    sign = 1 if SCORES[score].higher_is_better else -1
    low, high = ends if sign > 0 else (-ends[1], -ends[0])
    return Comparison(sign * row["difference"], low, high, row["p"], adjusted.loc[one, other], adjusted.loc[other, one])


def _at(evidence: Evidence, n: int, names: Names) -> list[str]:
    rows = evidence.headline[evidence.headline["n"] == n]
    task = evidence.task
    if not len(rows):
        return [f"With {n} {_counted(task)} no fit has a score."]
    best = rows.iloc[0]
    if len(rows) == 1:
        value = _value(best["value"], task)
        alone = f"With {n} {_counted(task)} {names[best['strategy']]} has {value}; there is nothing to compare it with."
        return [alone, *_chance(evidence, n, names)]
    subject, others = _spoken_of(evidence, rows)
    who = names[subject] + (
        f", the best there with {_value(best['value'], task)}," if subject == best["strategy"] else ""
    )
    clauses = [_clause(evidence, n, subject, others[0], names), *_further(evidence, n, subject, others, names)]
    sentences = [f"With {n} {_counted(task)} {who} {'; '.join(clauses)}."]
    if subject != best["strategy"]:
        sentences.append(f"Best there is {names[best['strategy']]}, with {_value(best['value'], task)}.")
    return [*sentences, *_chance(evidence, n, names)]


def _counted(task: Task) -> str:
    return "scans" if task.counted == "images" else task.counted


def _value(value: float, task: Task) -> str:
    direction = "" if SCORES[task.score].higher_is_better else DIRECTION
    unit = f" {task.unit}" if task.score == "mae" and task.unit else ""
    name = SHORT[task.score] if task.score == "mae" else f"mean {SHORT[task.score]}"
    return f"a {name} of {number(value, 2 if task.score == 'mae' else 3)}{unit}{direction}"


def _spoken_of(evidence: Evidence, rows: pd.DataFrame) -> tuple[str, list[str]]:
    """Who is spoken of, and with whom it is compared: the best pretrained network with one from scratch, where there are both."""
    ranked = list(rows["strategy"])
    pair = _pretrained_and_scratch(evidence, rows)
    subject = pair[0] if pair else ranked[0]
    bars = [label for label in ranked if kind_of(label, evidence.kinds) in BARS]
    near = [label for label in ranked if label != subject][:1]
    wanted = [*(pair[1:] if pair else near), *bars, *near]
    return subject, list(dict.fromkeys(label for label in wanted if label != subject))


def _clause(evidence: Evidence, n: int, subject: str, other: str, names: Names) -> str:
    found, name = compare(evidence, n, subject, other), names[other]
    task = evidence.task
    ranked = list(evidence.headline.loc[evidence.headline["n"] == n, "strategy"])
    is_of_others = found.gap < 0 and ranked.index(subject) < ranked.index(other)
    amount = f"{_gap(found, task)}{_of_what(task)}" + (" on the replicates that both have" if is_of_others else "")
    interval = f"95 % interval {number(found.low, _digits(found.gap))} to {number(found.high, _digits(found.gap))}"
    if found.is_win:
        return f"beats {name} by {amount} ({interval}; {p_equals(found.holm)} after Holm's correction)"
    if found.p < ALPHA and found.gap > 0:
        return (
            f"is ahead of {name} by {amount} ({interval}; {p_equals(found.p)}), which does not survive Holm's correction "
            f"({p_equals(found.holm)} after it)"
        )
    if found.is_loss:
        return f"is beaten by {name}, by {amount} ({p_equals(found.holm_of_other)} after Holm's correction)"
    side = "ahead" if found.gap > 0 else "behind"
    return f"does not beat {name}: it is {side} by {amount} ({interval}; {p_equals(found.p)})"


def _further(evidence: Evidence, n: int, subject: str, others: list[str], names: Names) -> list[str]:
    """Who else is beaten, who is not, and who beats it, in a clause each."""
    first, *others = others
    also = "also " if compare(evidence, n, subject, first).is_win else ""
    found = {other: compare(evidence, n, subject, other) for other in others}
    beaten = [other for other, each in found.items() if each.is_win]
    better = [other for other, each in found.items() if each.is_loss]
    taken = [other for other, each in found.items() if other not in beaten and each.gap > 0 and each.p < ALPHA]
    rest = [other for other in others if other not in (*beaten, *better, *taken)]
    clauses = []
    if beaten:
        clauses.append(f"it {also}beats {joined([_briefly(other, found[other], evidence, names) for other in beaten])}")
    if taken:
        leads = joined([f"{names[other]} ({p_equals(found[other].p)})" for other in taken])
        clauses.append(f"its lead over {leads} does not survive Holm's correction")
    if better:
        clauses.append(
            f"it is beaten by {joined([_briefly(other, found[other], evidence, names) for other in better])}"
        )
    if rest:
        clauses.append(f"it does not beat {joined([_openly(other, found[other], names) for other in rest], 'or')}")
    return clauses


def _briefly(other: str, found: Comparison, evidence: Evidence, names: Names) -> str:
    p = found.holm if found.gap > 0 else found.holm_of_other
    return f"{names[other]} (by {_gap(found, evidence.task)}, {p_equals(p)})"


def _openly(other: str, found: Comparison, names: Names) -> str:
    side = "ahead" if found.gap > 0 else "behind"
    return f"{names[other]} ({side}, {p_equals(found.p)})"


def _gap(found: Comparison, task: Task) -> str:
    unit = f" {task.unit}" if task.score == "mae" and task.unit else ""
    return f"{number(abs(found.gap), _digits(found.gap))}{unit}"


def _of_what(task: Task) -> str:
    """What a gap is a gap of; an error says in which direction it is better."""
    if SCORES[task.score].higher_is_better:
        return f" {SHORT[task.score]}"
    return f" of {SHORT[task.score]}{DIRECTION}"


def _digits(value: float) -> int:
    return 2 if abs(value) >= 0.1 else 3


def _chance(evidence: Evidence, n: int, names: Names) -> list[str]:
    weak = no_better_than_chance(evidence.scored, evidence.task, n)
    name = chance_score(evidence.task)
    level = SCORES[name].chance_level(len(evidence.task.classes))
    if not weak or level is None:
        return []
    known = f"{SHORT[name]} {level:g}"
    if len(weak) == int((evidence.headline["n"] == n).sum()):
        return [f"Nothing is reliably better than chance ({known}) there."]
    return [f"Not reliably better than chance ({known}) there: {joined([names[each] for each in weak])}."]
