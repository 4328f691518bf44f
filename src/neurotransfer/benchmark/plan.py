"""What a study will do: its tasks, the cells of its table, and every split, checked before anything long begins."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from neurotransfer.benchmark.by_column import (
    entered,
    held_out_rows,
    problems_of_enter,
    problems_of_held_out,
    problems_of_rows,
)
from neurotransfer.benchmark.harmonised import notes_of_harmonise, problems_of_harmonise
from neurotransfer.benchmark.label_noise import with_wrong_labels
from neurotransfer.benchmark.study import Study
from neurotransfer.cohort import Cohort, Pool, Split, draw_split, make_pool
from neurotransfer.cohort.people import share_of
from neurotransfer.errors import InputError, StudyError, listed, unknown
from neurotransfer.models.card import Card
from neurotransfer.seeding import stream
from neurotransfer.statistics.metrics import HEADLINE, SCORES
from neurotransfer.targets import Target, as_text, infer_target
from neurotransfer.transfer.strategies import get_strategy, settings


@dataclass(frozen=True, order=True)
class Cell:
    """One unit of work: all settings of one strategy, for one task, size and replicate."""

    task: str
    n: int
    replicate: int
    strategy: str

    @property
    def path(self) -> str:
        """Where its result lies below the folder of cells."""
        return f"{self.task}/{self.n}/{self.replicate:04d}-{self.strategy}.json"


@dataclass(frozen=True)
class Plan:
    """A study on a cohort: targets by task, the cells in the order of the results, and remarks for the reader."""

    study: Study
    targets: dict[str, Target]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]

    @property
    def n_fits(self) -> int:
        """How many fits the cells hold."""
        sizes = {part.title: len(settings(get_strategy(part.strategy), part.grid)) for part in self.study.strategies}
        return sum(sizes[cell.strategy] for cell in self.cells)


def targets_of(study: Study, cohort: Cohort) -> dict[str, Target]:
    """The target of every task; raises StudyError with all that is wrong with them."""
    targets, problems = {}, []
    for task, part in study.tasks.items():
        try:
            targets[task] = infer_target(part.target, cohort.table, kind=part.kind)
            if part.target in study.regional_columns:
                problems.append(f"task {task!r}: its target {part.target!r} is a regional column; leave it out there")
            if part.score and (part.score not in SCORES or targets[task].kind not in SCORES[part.score].kinds):
                allowed = [name for name, score in SCORES.items() if targets[task].kind in score.kinds]
                problems.append(f"task {task!r}: {unknown('score', part.score, allowed)}")
        except InputError as error:
            problems.append(f"task {task!r}: {error}")
        problems += [f"task {task!r}: {problem}" for problem in problems_of_rows("where", part.where, cohort)]
    problems += [*problems_of_held_out(study, cohort), *problems_of_enter(study, cohort)]
    problems += problems_of_harmonise(study, cohort)
    if study.subgroup is not None and study.subgroup not in cohort.table:
        problems.append(unknown("subgroup column", study.subgroup, cohort.table.columns))
    if problems:
        raise StudyError(listed(f"study {study.name!r} on cohort {cohort.name!r}", problems))
    return targets


def _selection_rows(study: Study, cohort: Cohort) -> np.ndarray | None:
    share = study.protocol.selection
    return share_of(cohort.people, share, study.seed, "selection") if share else None


def task_labels(study: Study, cohort: Cohort, task: str, target: Target) -> np.ndarray:
    """The labels of a task, (n_rows,); NaN where they are not known and where a row is not the task's."""
    labels = cohort.labels(target)
    for column, value in study.tasks[task].where.items():
        labels = np.where(as_text(cohort.table[column]) == value, labels, np.nan)
    return labels


def learnt_labels(study: Study, cohort: Cohort, task: str, target: Target, labels: np.ndarray) -> np.ndarray:
    """The labels of a task that are trained on and chosen by, (n_rows,): where the study makes some wrong, with these.

    Args:
        study: says which share of the people has a wrong one.
        cohort: of the study.
        task: whose labels they are; another task has other people with wrong ones.
        target: of the task.
        labels: the true ones, from `task_labels`.
    """
    share, is_class = study.protocol.label_noise, target.kind in ("binary", "categorical")
    generator = stream(study.seed, "label noise", task)
    return with_wrong_labels(labels, cohort.people, share, is_class, generator) if share else labels


def headline(study: Study, task: str, target: Target) -> str:
    """The score that the figures of a task show."""
    return study.tasks[task].score or HEADLINE[target.kind]


def split_of(
    study: Study, cohort: Cohort, task: str, target: Target, n: int, replicate: int, labels: np.ndarray | None = None
) -> Split:
    """The split of a replicate: the same for every strategy, a matter of the study's seed alone.

    `labels` (n_rows,) spares the reading of the cohort's where they are known.
    """
    labels = task_labels(study, cohort, task, target) if labels is None else labels
    pool, values = entered(study, cohort, _pool(study, cohort, task, target, labels), task, n)
    return replace(_split(study, pool, task, n, replicate), entered=values)


def _pool(study: Study, cohort: Cohort, task: str, target: Target, labels: np.ndarray) -> Pool:
    return make_pool(
        cohort.people,
        rows=np.flatnonzero(~np.isnan(labels)),
        classes=None if target.kind == "continuous" else labels,
        class_names=target.classes,
        untested=_selection_rows(study, cohort),
        held_out=held_out_rows(study, cohort),
        learnt=learnt_labels(study, cohort, task, target, labels) if study.protocol.label_noise else None,
    )


def _split(study: Study, pool: Pool, task: str, n: int, replicate: int) -> Split:
    return draw_split(pool, n, study.protocol.choices, lambda what: stream(study.seed, what, task, n, replicate))


def make_plan(study: Study, cohort: Cohort, cards: dict[str, Card], *, draw: bool = True) -> Plan:
    """The plan of a study.

    Every split of every replicate is drawn once here, so that a size that cannot be is found now and not after hours.

    Args:
        study: from `read_study`.
        cohort: from `read_cohort`.
        cards: of the models by name, as far as they exist.
        draw: whether splits are drawn; false where they were for the same study and cohort.

    Raises:
        StudyError: with every task and size that cannot be.
    """
    targets = targets_of(study, cohort)
    problems = list(_without_images(study, cohort))
    problems += _problems_of_splits(study, cohort, targets) if draw else []
    if problems:
        raise StudyError(listed(f"study {study.name!r} on cohort {cohort.name!r}", problems, "change sizes or cohort"))
    notes = list(cohort.notes) + [note for _, _, note in _left_out(study, targets, cards)]
    notes += [
        *_otherwise_aligned(cohort, cards),
        *_never_tested(study, cohort),
        *_wrong_or_late(study, cohort, targets),
        *notes_of_harmonise(study),
    ]
    left_out = {(task, title) for task, title, _ in _left_out(study, targets, cards)}
    cells = tuple(
        Cell(task, n, replicate, part.title)
        for task in targets
        for n in study.protocol.sizes
        for replicate in range(study.protocol.replicates)
        for part in study.strategies
        if (task, part.title) not in left_out
    )
    if not cells:
        raise StudyError(
            listed(f"study {study.name!r} has nothing to run", notes, "change strategies, models or tasks")
        )
    return Plan(study, targets, cells, tuple(notes))


def _problems_of_splits(study: Study, cohort: Cohort, targets: Mapping[str, Target]) -> Iterator[str]:
    for task, target in targets.items():
        pool = _pool(study, cohort, task, target, task_labels(study, cohort, task, target))
        for n in study.protocol.sizes:
            own, _ = entered(study, cohort, pool, task, n)
            try:
                for replicate in range(study.protocol.replicates):
                    _split(study, own, task, n, replicate)
            except InputError as error:
                yield f"task {task!r}: {error}"


def drawable_sizes(study: Study, cohort: Cohort) -> tuple[int, ...]:
    """The sizes of a study at which every split of every task can be drawn from a cohort, rising.

    Raises:
        StudyError: when a task, or a column that the protocol names, is not in the cohort.
    """
    targets = targets_of(study, cohort)
    protocols = {n: study.protocol.model_copy(update={"sizes": (n,)}) for n in study.protocol.sizes}
    return tuple(
        n
        for n, protocol in protocols.items()
        if not list(_problems_of_splits(study.model_copy(update={"protocol": protocol}), cohort, targets))
    )


def _wrong_or_late(study: Study, cohort: Cohort, targets: Mapping[str, Target]) -> Iterator[str]:
    if study.protocol.label_noise:
        yield (
            f"{study.protocol.label_noise:.0%} of the participants have a wrong label in training and validation, on purpose; "
            "the test is by the true ones"
        )
    enter = study.protocol.enter
    if enter is None:
        return
    for task, target in targets.items():
        pool = _pool(study, cohort, task, target, task_labels(study, cohort, task, target))
        values = [f"n = {n}: {'+'.join(entered(study, cohort, pool, task, n)[1])}" for n in study.protocol.sizes]
        yield f"{enter.column} enters with size in {task}: {', '.join(values)}"


def _never_tested(study: Study, cohort: Cohort) -> Iterator[str]:
    selection, held_out = _selection_rows(study, cohort), held_out_rows(study, cohort)
    if selection is not None:
        yield (
            f"{_n_people(cohort, selection)} of {len(cohort.people)} participants are those on whom a model was chosen: they "
            "may be trained on and are never tested"
        )
    if held_out is not None:
        yield (
            f"{_n_people(cohort, held_out)} of {len(cohort.people)} participants are held out: they are the test of every "
            "replicate and are never trained on"
        )


def _n_people(cohort: Cohort, is_row: np.ndarray) -> int:
    return int(cohort.people.has(np.flatnonzero(is_row)).sum())


def _without_images(study: Study, cohort: Cohort) -> Iterator[str]:
    for part in study.strategies:
        from_columns = get_strategy(part.strategy).takes_columns and study.regional_columns
        if not cohort.has_images and not from_columns:
            yield f"strategy {part.title!r} needs images, and the cohort has none (images = false, or no column image)"


def _otherwise_aligned(cohort: Cohort, cards: dict[str, Card]) -> Iterator[str]:
    for name, card in cards.items():
        for source in card.provenance.get("cohorts", []):
            if cohort.has_images and source.get("alignment", cohort.alignment) != cohort.alignment:
                yield (
                    f"model {name} was made from scans of {source['name']} with alignment {source['alignment']}, the scans "
                    f"of {cohort.name} have alignment {cohort.alignment}: a model sees the difference"
                )


def _left_out(study: Study, targets: dict[str, Target], cards: dict[str, Card]) -> Iterator[tuple[str, str, str]]:
    for part in study.strategies:
        if get_strategy(part.strategy).head != "pretrained" or part.model is None:
            continue
        known: dict[str, Target | None]
        if part.model in cards:
            known = {head.name: head for head in cards[part.model].targets}
        else:
            known = dict.fromkeys(study.models[part.model].targets)
        for task, target in targets.items():
            head = known.get(target.name)
            if target.name not in known:
                yield (
                    task,
                    part.title,
                    f"{part.title} is left out of {task}: {part.model} was not trained on {target.name}",
                )
            elif head is not None and (head.kind, head.classes) != (target.kind, target.classes):
                yield (
                    task,
                    part.title,
                    (
                        f"{part.title} is left out of {task}: {part.model} knows {target.name} as {head.kind} "
                        f"{'/'.join(head.classes)}, the cohort as {target.kind} {'/'.join(target.classes)}"
                    ),
                )
