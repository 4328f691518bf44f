"""The fits of a run: what is still to do goes through a team, what is finished is gathered, and all can see how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neurotransfer.benchmark.cluster import dask_team
from neurotransfer.benchmark.pace import in_words
from neurotransfer.benchmark.plan import Cell, Plan
from neurotransfer.benchmark.records import KEY, all_fits, finished, gather
from neurotransfer.benchmark.results import write_results
from neurotransfer.benchmark.schedule import Failure, Schedule
from neurotransfer.benchmark.setup import Advance, Progress
from neurotransfer.benchmark.status import RUNNING, Signs, named, read_failures, write_failures
from neurotransfer.benchmark.teams import Opened, processes, this_process
from neurotransfer.benchmark.work import Outcome, job_of
from neurotransfer.cohort import Cohort

# so many files of single cells, or so many seconds with some: they are gathered, and the tables written as far as they go
GATHER_CELLS, TABLES_EVERY_S = 2000, 600.0


@dataclass(frozen=True)
class Asked:
    """How a run is to be done; nothing of it changes a number."""

    workers: int
    cluster: str
    retry_failed: bool
    progress: Progress
    tell: Callable[[str], object]


def do_fits(folder: Path, plan: Plan, cohort: Cohort, asked: Asked, signs: Signs) -> list[Failure]:
    """Do the cells of a run that are not done; gives those that were given up, now or in an earlier run.

    Raises:
        InterruptedRunError, StorageError, InputError: see `Schedule.run`; the tables are written as far as they go.
    """
    gather(folder)
    done, failures = finished(folder), {failure.cell: failure for failure in read_failures(folder)}
    again = set(failures) | _with_failed_fits(folder) if asked.retry_failed else set()
    pending = [cell for cell in plan.cells if cell in again or (cell not in done and cell not in failures)]
    ready = len(plan.cells) - len(pending)
    signs.give(state=RUNNING, doing="fits", done=ready, cells=len(plan.cells))
    with asked.progress("fits (cells of all settings)", len(plan.cells)) as advance:
        for _ in range(ready):
            advance()
        fits = _Fits(folder, plan, cohort, asked, signs, failures, advance)
        schedule = Schedule(
            job_of(folder, asked.retry_failed),
            pending,
            _opened(asked, len(pending), folder),
            fits.on_outcome,
            fits.on_failure,
        )
        fits.schedule = schedule
        try:
            schedule.run()
        except BaseException:
            # so that `report` shows what there is
            write_results(folder, plan, cohort)
            raise
    return list(failures.values())


def _with_failed_fits(folder: Path) -> set[Cell]:
    fits = all_fits(folder)
    failed = fits.loc[fits["error"].notna(), list(KEY)].drop_duplicates()
    return {Cell(*row) for row in failed.itertuples(index=False, name=None)}


def _opened(asked: Asked, pending: int, folder: Path) -> Opened:
    if asked.cluster:
        return dask_team(asked.cluster, asked.workers, folder.resolve())
    if asked.workers == 1 or pending < 2:
        return this_process
    return processes(min(asked.workers, pending))


class _Fits:
    """What happens beside the fits when a cell is done or given up."""

    schedule: Schedule

    def __init__(
        self, folder: Path, plan: Plan, cohort: Cohort, asked: Asked, signs: Signs, failures: dict[Cell, Failure],
        advance: Advance,
    ) -> None:  # fmt: skip
        self.folder, self.plan, self.cohort, self.asked, self.signs = folder, plan, cohort, asked, signs
        self.failures, self.advance = failures, advance
        self.loose, self.written, self.told = 0, time.monotonic(), ""

    def on_outcome(self, outcome: Outcome | None) -> None:
        team = self.schedule.team
        if team is not None and team.link != self.told:
            self.told = team.link
            self.asked.tell(f"{team.text} can be watched at {team.link}")
        if outcome is not None:
            if self.failures.pop(outcome.cell, None) is not None:
                write_failures(self.folder, self.failures.values())
            self.loose += 1
            self.signs.sign.done += 1
            self._advance()
        if team is not None:
            self.signs.give(left_s=self.schedule.left, workers=team.text, at_once=team.size(), link=team.link)
        if self.loose >= GATHER_CELLS or (self.loose and time.monotonic() - self.written > TABLES_EVERY_S):
            self._gather()

    def on_failure(self, failure: Failure) -> None:
        self.failures[failure.cell] = failure
        write_failures(self.folder, self.failures.values())
        self.asked.tell(f"given up after {failure.attempts} attempts: {named(failure.cell)}: {failure.error}")
        self._advance()

    def _advance(self) -> None:
        self.advance()
        # not every kind of progress that a user hands over can show it
        show = getattr(self.advance, "left", None)
        if show is not None:
            show(in_words(self.schedule.left))

    def _gather(self) -> None:
        self.loose = 0
        if time.monotonic() - self.written > TABLES_EVERY_S:
            write_results(self.folder, self.plan, self.cohort)
            self.written = time.monotonic()
        else:
            gather(self.folder)
