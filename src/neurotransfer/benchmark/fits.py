"""The fits of a run: what is still to do goes through a team, what is finished is gathered, and all can see how far it is."""

import time
from collections.abc import Callable, Sequence
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
# how long files are waited for that a worker has written, and how often a cell is done whose file does not come
WAIT_FOR_FILES_S, ROUNDS = 60.0, 2


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
    if not asked.retry_failed and any(cell in done for cell in failures):
        # done at last by a run that was killed before it could say so
        failures = {cell: failure for cell, failure in failures.items() if cell not in done}
        write_failures(folder, failures.values())
    pending = [cell for cell in plan.cells if cell in again or (cell not in done and cell not in failures)]
    ready = len(plan.cells) - len(pending)
    signs.give(state=RUNNING, doing="fits", done=ready, cells=len(plan.cells))
    with asked.progress("fits (cells of all settings)", len(plan.cells)) as advance:
        for _ in range(ready):
            advance()
        fits = _Fits(folder, plan, cohort, asked, signs, failures, advance)
        try:
            fits.run(pending)
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
    # a process of its own for a single cell too: it may be one that kills its process
    return this_process if asked.workers == 1 else processes(min(asked.workers, max(1, pending)))


class _Fits:
    """What happens beside the fits when a cell is done or given up."""

    def __init__(
        self, folder: Path, plan: Plan, cohort: Cohort, asked: Asked, signs: Signs, failures: dict[Cell, Failure],
        advance: Advance,
    ) -> None:  # fmt: skip
        self.folder, self.plan, self.cohort, self.asked, self.signs = folder, plan, cohort, asked, signs
        self.failures, self.advance = failures, advance
        self.loose, self.written, self.told = 0, time.monotonic(), {""}
        self.schedule: Schedule | None = None

    def run(self, pending: Sequence[Cell]) -> None:
        """Do cells, and those again whose files did not come to the run folder, though a worker said that it wrote them."""
        job = job_of(self.folder, self.asked.retry_failed)
        for _ in range(ROUNDS):
            opened = _opened(self.asked, len(pending), self.folder)
            self.schedule = Schedule(job, pending, opened, self.on_outcome, self.on_failure, self._tell)
            self.schedule.run()
            pending = self._missing(pending)
            if not pending:
                return
            self._tell(
                f"{len(pending)} cells are done and their files are not in {str(self.folder)!r}; they are done again"
            )
        for cell in pending:
            self.on_failure(Failure(cell, "its file did not come to the run folder", ROUNDS))

    def _missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Cells that are neither there nor given up, after waiting for file systems that show files late."""
        end = time.monotonic() + WAIT_FOR_FILES_S
        while True:
            gather(self.folder)
            done = finished(self.folder)
            missing = [cell for cell in cells if cell not in done and cell not in self.failures]
            if not missing or time.monotonic() > end:
                return missing
            time.sleep(1.0)

    def on_outcome(self, outcome: Outcome | None) -> None:
        assert self.schedule is not None
        team = self.schedule.team
        if team is not None and team.link:
            self._tell(f"{team.text} can be watched at {team.link}")
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

    def _tell(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.asked.tell(text)

    def _advance(self) -> None:
        assert self.schedule is not None
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
