"""Hand cells to a team until every one is done or has failed too often; workers may die at any moment."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass

from neurotransfer.benchmark.pace import Pace
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.teams import Opened, Team
from neurotransfer.benchmark.work import Job, Outcome
from neurotransfer.errors import InputError, InterruptedRunError, NeurotransferError

ATTEMPTS = 3
# a cell that was in the hands of workers who died so often is done alone, to see whether it is the cause; it is when a worker
# that had nothing else dies so often
COMPANY, ALONE = 2, 2
MOST_DEATHS = 5
# so many times a worker may cells be given back, while nothing is done, by workers that cannot take part
MOST_RETURNS = 3
# when so many cells were given up and none was done, something is wrong with all of them
MOST_VAIN = 10
# replicates that are finished in all tasks, sizes and strategies before the next ones begin, so that there is much to see early
BLOCK = 10
# work is handed out for about so many seconds at once, and two pieces for every worker
HANDFUL_S, MOST_AT_ONCE, PIECES = 4.0, 64, 2
DEATH = "its worker died of it, killed or out of memory"
ADVICE = "; use fewer --workers, a coarser grid or a smaller batch_size"


@dataclass(frozen=True)
class Failure:
    """A cell that could not be done: the last error, and how often it was tried."""

    cell: Cell
    error: str
    attempts: int


def ordered(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order of work: some replicates after the others, cells with the same inputs together, large n first.

    Example:
        >>> [cell.n for cell in ordered([Cell("age", 10, 0, "linear"), Cell("age", 20, 0, "linear")])]
        [20, 10]
    """
    return sorted(cells, key=lambda cell: (cell.replicate // BLOCK, cell.task, cell.strategy, -cell.n, cell.replicate))


class Schedule:
    """The cells of a run on their way through a team.

    Args:
        job: what every worker has to know.
        cells: to be done.
        opened: opens a team; called again when all workers of one have died.
        on_outcome: called with every cell that is done, and with None now and then while nothing is.
        on_failure: called with every cell that is given up.
        on_return: called with why a worker gives cells back.
    """

    def __init__(
        self,
        job: Job,
        cells: Iterable[Cell],
        opened: Opened,
        on_outcome: Callable[[Outcome | None], object],
        on_failure: Callable[[Failure], object],
        on_return: Callable[[str], object] = str,
    ) -> None:
        self.job, self.opened = job, opened
        self.on_outcome, self.on_failure, self.on_return = on_outcome, on_failure, on_return
        self.queue, self.suspects = deque(ordered(cells)), deque[Cell]()
        self.pace = Pace(self.queue)
        self.team: Team | None = None
        self._tries: Counter[Cell] = Counter()
        self._deaths: Counter[Cell] = Counter()
        self._fruitless, self._returns, self._done, self._given_up = 0, 0, 0, 0

    def run(self) -> None:
        """Do all cells.

        Raises:
            InterruptedRunError: when workers die without anything being done, or the scheduler is lost.
            StorageError, InputError: of a worker, when nothing can be done any more.
        """
        while self.queue or self.suspects:
            alone = bool(self.suspects)
            with self.opened(1 if alone else None) as team:
                # what other workers gave back says nothing of these
                self.team, self._returns = team, 0
                hands = _Hands(team, self.job)
                if alone:
                    self._drain(hands, self.suspects, alone=True)
                else:
                    self._drain(hands, self.queue, alone=False)

    @property
    def left(self) -> float | None:
        """Seconds until the end; None while it cannot be told."""
        return self.pace.left(self.team.size() if self.team is not None else 0)

    def _drain(self, hands: "_Hands", queue: deque[Cell], alone: bool) -> None:
        """Until the queue is empty, or the team broken."""
        while queue or hands.held:
            while queue and hands.has_room(alone):
                hands.take(self._handful(queue, hands.team.size()))
            returned = hands.returned()
            broken = [cells for cells, future in returned if self._is_broken(future, hands.team)]
            for cells, future in returned:
                if cells not in broken:
                    self._settle(cells, future, hands.team)
            if broken:
                self._bury(cell for cells in [*broken, *hands.held.values()] for cell in cells)
                return
            if hands.team.lost():
                raise InterruptedRunError("the scheduler cannot be reached any more")
            self.on_outcome(None)

    def _handful(self, queue: deque[Cell], workers: int) -> tuple[Cell, ...]:
        """The next cells that share their inputs, for a few seconds of work; fewer when there are not many left."""
        first = queue.popleft()
        cells, seconds = [first], self.pace.expected(first)
        most = min(MOST_AT_ONCE, len(queue) // (2 * PIECES * max(1, workers)))
        while seconds is not None and len(cells) < most and self._goes_with(first, queue[0]):
            seconds += self.pace.expected(queue[0]) or 0.0
            if seconds > HANDFUL_S:
                break
            cells.append(queue.popleft())
        return tuple(cells)

    def _goes_with(self, first: Cell, following: Cell) -> bool:
        # whoever died or failed in company is next done by itself, so that others do not fail with it
        unsuspected = not any(found[cell] for found in (self._tries, self._deaths) for cell in (first, following))
        return unsuspected and (first.task, first.strategy) == (following.task, following.strategy)

    def _is_broken(self, future: "Future[list[Outcome]]", team: Team) -> bool:
        return not future.cancelled() and isinstance(future.exception(), team.broken)

    def _settle(self, cells: Sequence[Cell], future: "Future[list[Outcome]]", team: Team) -> None:
        if future.cancelled():
            raise InterruptedRunError("the scheduler has dropped the work")
        error = future.exception()
        if isinstance(error, team.died):
            for cell in cells:
                self._failed(cell, DEATH)
        elif isinstance(error, CancelledError):
            raise InterruptedRunError("the scheduler has dropped the work") from None
        elif isinstance(error, NeurotransferError):
            raise error
        elif error is not None:
            raise InterruptedRunError(f"a worker could not be given work: {type(error).__name__}: {error}") from error
        else:
            before = self._returns
            for outcome in future.result():
                self._count(outcome)
            # a handful that is given back is one return
            self._returns = min(self._returns, before + 1)
            if self._returns > MOST_RETURNS * max(1, team.size()):
                raise InputError(f"no worker can take part: {future.result()[-1].error}")

    def _count(self, outcome: Outcome) -> None:
        if not outcome.error:
            self._fruitless, self._returns, self._done = 0, 0, self._done + 1
            self.pace.done(outcome.cell, outcome.seconds)
            self.on_outcome(outcome)
        elif outcome.counts:
            self._failed(outcome.cell, outcome.error)
        else:
            self._returns += 1
            self.queue.append(outcome.cell)
            self.on_return(outcome.error)

    def _failed(self, cell: Cell, error: str) -> None:
        self._tries[cell] += 1
        if self._tries[cell] < ATTEMPTS:
            self.queue.append(cell)
            return
        self.pace.given_up(cell)
        self.on_failure(Failure(cell, error, self._tries[cell]))
        self._given_up += 1
        # whoever died of it is found: those that waited for its end get their own chance
        self._fruitless = 0
        if self._given_up >= MOST_VAIN and not self._done:
            raise InputError(
                f"{self._given_up} cells could not be done and none could; the last one: {error}{ADVICE if error == DEATH else ''}. "
                "When that is mended: the same command with --retry-failed"
            )

    def _bury(self, held: Iterable[Cell]) -> None:
        """All workers are gone: give what they held to others, and what was held too often to one that is alone."""
        self._fruitless += 1
        if self._fruitless > MOST_DEATHS:
            raise InterruptedRunError(
                f"worker processes die one after another, killed or out of memory, and nothing gets done{ADVICE}"
            )
        for cell in held:
            self._deaths[cell] += 1
            if self._deaths[cell] >= COMPANY + ALONE:
                self._tries[cell] = self._deaths[cell] - 1
                self._failed(cell, DEATH)
            elif self._deaths[cell] >= COMPANY:
                # at once again: each is judged before the next one
                self.suspects.appendleft(cell)
            else:
                self.queue.appendleft(cell)


class _Hands:
    """What the workers of a team hold."""

    def __init__(self, team: Team, job: Job) -> None:
        self.team, self.job = team, job
        self.held: dict[Future[list[Outcome]], tuple[Cell, ...]] = {}

    def has_room(self, alone: bool) -> bool:
        return len(self.held) < (1 if alone else PIECES * max(1, self.team.size()))

    def take(self, cells: tuple[Cell, ...]) -> None:
        try:
            self.held[self.team.executor.submit(self.team.task, self.job, cells)] = cells
        except self.team.broken as error:
            # the team broke while nobody looked: as if the work had been taken and then lost
            future: Future[list[Outcome]] = Future()
            future.set_exception(error)
            self.held[future] = cells

    def returned(self) -> list[tuple[tuple[Cell, ...], "Future[list[Outcome]]"]]:
        done, _ = wait(self.held, timeout=1.0, return_when=FIRST_COMPLETED)
        return [(self.held.pop(future), future) for future in done]
