"""The verdict page: what does not behave, what explains it, what it rests on, what cannot be told."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from neurotransfer.diagnose.analysis import Analysis
from neurotransfer.diagnose.anomaly import DIP, NONE
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.experiments import EXPERIMENTS
from neurotransfer.diagnose.figures import curves_figure, fit_figure, gains_figure, selection_figure, spread_figure
from neurotransfer.diagnose.growing import growth_figure, growth_items
from neurotransfer.diagnose.oracle import oracle_figure
from neurotransfer.diagnose.verdict import cannot_be_told
from neurotransfer.diagnose.words import digits_of, sentences, share_words, status_words
from neurotransfer.pages.looks import Look, looks
from neurotransfer.pages.model import Code, Facts, Item, Page, Section, Table, Text
from neurotransfer.report.cautions import cautions
from neurotransfer.report.folder import RunFolder
from neurotransfer.report.naming import Names, in_words, slugs
from neurotransfer.report.wording import number, probability
from neurotransfer.statistics.permutation import ALPHA

READING = (
    "A cause is named when what the curve loses by it is visible (0.01 of an AUC or a relative absolute error, 1 % of an error "
    "with a unit) and its interval, adjusted for the number of causes that were looked for, lies above zero. Points say what is "
    "lost at the lowest place of a dip, at the end of a stall, or on average over the sizes. The share says how much of the dip or "
    "stall it explains: what is lost at every size alike lowers a curve and bends it nowhere."
)


def page_of(
    run: RunFolder,
    analyses: Sequence[Analysis],
    possible: Mapping[str, str],
    reach: float | None,
    *,
    more: Sequence[Section] = (),
    more_found: Sequence[str] = (),
    more_cautions: Sequence[str] = (),
    untold: Sequence[str] = (),
) -> Page:
    """The page of a run.

    Args:
        run: from `read_run`.
        analyses: of its curves.
        possible: experiments that were not done, and what each would answer.
        reach: a score of which is said how many scans it needs; None for none.
        more: sections on all curves together: the people, the model, sweeps.
        more_found: what they found, a sentence or some each.
        more_cautions: cautions from them.
        untold: what they cannot tell, a sentence each.
    """
    names = Names(in_words(run.strategies, {part["label"]: part for part in run.study.get("strategies", [])}))
    known = looks(run.strategies)
    by_task = {task.name: [each for each in analyses if each.case.task.name == task.name] for task in run.tasks}
    by_task = {name: found for name, found in by_task.items() if found}
    sections: list[Section] = []
    for slug, found in zip(slugs(by_task), by_task.values(), strict=True):
        sections += _sections(found, known, slug, reach)
    return Page(
        title=f"Diagnosis: {run.study.get('title') or run.study.get('name') or run.path.name}",
        lead="Why the curves of this run behave as they do.",
        found=[*(sentences(each, names) for each in _by_importance(analyses)), *more_found],
        sections=[
            *sections,
            *more,
            Section("untold", "What cannot be told from this run", _untold(analyses, possible, run.path, untold)),
            Section("reading", "How to read it", [Text(READING)]),
            Section("record", "How it was made", _record(run)),
        ],
        cautions=[*cautions(run), *more_cautions],
    )


def _by_importance(analyses: Sequence[Analysis]) -> list[Analysis]:
    """Curves that do not behave first, those with named causes before others."""
    return sorted(analyses, key=lambda each: (each.verdict.anomaly.kind == "none", not each.verdict.named))


def _sections(found: Sequence[Analysis], known: Mapping[str, Look], slug: str, reach: float | None) -> list[Section]:
    label = found[0].case.task.label
    shown = {each.case.strategy: known[each.case.strategy] for each in found}
    curves, dips = curves_figure(found, shown, f"{slug}-curves"), luck_table(found, f"{slug}-dips")
    growth = _given(growth_figure(found, shown, f"{slug}-shapes")) + growth_items(found, f"{slug}-growth-table", reach)
    choices = _given(
        selection_figure(found, shown, f"{slug}-selection"),
        oracle_figure([(each.case, each.by_test) for each in found], f"{slug}-oracle"),
        fit_figure(found, f"{slug}-fit"),
        spread_figure(found, f"{slug}-spread"),
    )
    experiments = _given(gains_figure(found, f"{slug}-gains"))
    none = [Text("None was done: see what cannot be told.", "quiet")]
    return [
        Section(f"{slug}-verdict", f"{label}: the verdict", [verdict_table(found, f"{slug}-causes"), *_advice(found)]),
        Section(f"{slug}-luck", f"{label}: is it luck?", [curves, dips, *_settling(found, f"{slug}-settling")]),
        Section(f"{slug}-growth", f"{label}: how the curves grow", growth),
        Section(f"{slug}-choices", f"{label}: model and choice", choices or [Text("The run does not know.", "quiet")]),
        Section(f"{slug}-experiments", f"{label}: experiments", experiments or none),
    ]


def _given(*items: Item | None) -> list[Item]:
    return [item for item in items if item is not None]


def verdict_table(found: Sequence[Analysis], name: str) -> Table:
    """Every cause of every curve: what it costs, what it explains, what it rests on."""
    rows = []
    for each in found:
        digits = digits_of(each)
        for finding in each.verdict.findings:
            ends = (number(finding.low, digits), number(finding.high, digits))
            rows.append(
                [each.case.strategy, CAUSES[finding.cause].title, status_words(finding), number(finding.points, digits),
                 f"{ends[0]} to {ends[1]}" if finding.low == finding.low else "–", share_words(finding) or "–",
                 finding.source or "–", finding.why]
            )  # fmt: skip
    headings = [
        "Strategy",
        "Cause",
        "Verdict",
        "Points lost",
        "Interval",
        "Share of what does not behave",
        "From",
        "What it rests on",
    ]
    return Table(name, "What explains the curves", headings, rows, (3,))


def _advice(found: Sequence[Analysis]) -> list[Item]:
    named = dict.fromkeys(finding.cause for each in found for finding in each.verdict.named)
    pairs = [
        (f"{CAUSES[name].title}: {CAUSES[name].meaning}", f"in the study file: {CAUSES[name].advice}") for name in named
    ]
    return [Facts(pairs)] if pairs else []


def luck_table(found: Sequence[Analysis], name: str) -> Table:
    """The deepest dip of every curve, and whether chance is enough for it."""
    rows = []
    for each in found:
        digits, sizes = digits_of(each), each.case.sizes
        if each.test is None:
            rows.append([each.case.strategy, "–", "–", "–", "–", "–", "–"])
            continue
        test, others = each.test, each.test_of_people
        where = f"{sizes[test.start]} to {sizes[test.end]}" if test.depth > 0 else "none"
        interval = f"{number(test.low, digits)} to {number(test.high, digits)}" if test.depth > 0 else "–"
        rows.append(
            [each.case.strategy, where, number(test.depth, digits), interval, number(test.expected_depth, digits),
             probability(test.p_dip), probability(others.p_dip) if others is not None else "–"]
        )  # fmt: skip
    headings = [
        "Strategy",
        "Deepest dip, n",
        "Depth",
        "95 % interval",
        "Depth by chance",
        "p, this pool",
        "p, other people",
    ]
    return Table(name, "The deepest dip of each curve", headings, rows, (2, 4, 5, 6))


def _settling(found: Sequence[Analysis], name: str) -> list[Item]:
    """How deep a dip can be seen now, and what would settle one that chance may give; nothing where there is none."""
    rows = [
        [each.case.strategy, number(each.settled.visible, digits_of(each)),
         *map(_count, (each.settled.replicates, each.settled.people_tested, each.settled.people_in_pool))]
        for each in found
        if each.settled is not None and each.verdict.anomaly.p >= ALPHA
    ]  # fmt: skip
    if not rows:
        return []
    headings = [
        "Strategy",
        "Depth seen in 4 of 5 runs",
        "Replicates",
        "or test people a replicate",
        "or people in the pool",
    ]
    text = (
        "What would show a dip as deep as the one that was seen in four of five runs, if it is there. The deepest of several dips is "
        "apt to look deeper than it is, so that these numbers are apt to be too small."
    )
    return [Table(name, "What would settle it", headings, rows, (1, 2, 3, 4)), Text(text, "quiet")]


def _count(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "none is enough" if math.isinf(value) else f"{math.ceil(value)}"


def _untold(analyses: Sequence[Analysis], possible: Mapping[str, str], path: Path, more: Sequence[str]) -> list[Item]:
    verdicts = [each.verdict for each in analyses]
    rows = [[CAUSES[name].title, why] for name, why in cannot_be_told(verdicts).items()]
    items: list[Item] = []
    if rows:
        items.append(Table("unknown-causes", "Causes of which nothing can be said yet", ["Cause", "Why"], rows))
    items += [Text(sentence) for sentence in more]
    items += _left(possible, path)
    if any(each.anomaly.kind == DIP and each.anomaly.p >= ALPHA for each in verdicts):
        items.append(
            Text("A dip that chance alone may give needs no cause; more replicates or test people would settle it.")
        )
    unexplained = [each.case.strategy for each in verdicts if each.anomaly.kind != NONE and not each.named]
    if unexplained:
        items.append(Text(f"Nothing that was looked for explains {', '.join(unexplained)}."))
    return items or [Text("Every cause was looked for.")]


def _left(possible: Mapping[str, str], path: Path) -> list[Item]:
    """The experiments that were not done, and the commands that do them."""
    if not possible:
        return []
    rows = []
    for name, question in possible.items():
        cause = EXPERIMENTS[name].cause
        rows.append([name, question, CAUSES[cause].title if cause else "–"])
    command = f"neurotransfer diagnose {shlex.quote(str(path))} --experiments causes"
    return [
        Table("experiments-left", "Experiments that were not done", ["Name", "Question", "Tests the cause"], rows),
        Text(
            "What they take, and then the experiments themselves (each is a run of its own and goes on where it was interrupted):"
        ),
        Code(f"{command} --dry-run\n{command}"),
    ]


def _record(run: RunFolder) -> list[Item]:
    command = str((run.manifest or {}).get("command", "")) or "not known"
    return [Facts([("run", str(run.path)), ("made by", command), ("seed", str(run.study.get("seed", 0)))])]
