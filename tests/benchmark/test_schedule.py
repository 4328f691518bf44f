"""Cells through a team: each is done once or given up, whatever dies, fails, or is lost on the way."""

from collections import Counter
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.benchmark import schedule as schedule_module
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.schedule import ATTEMPTS, DEATH, MOST_RETURNS, MOST_VAIN, Schedule, ordered
from neurotransfer.benchmark.teams import Team
from neurotransfer.benchmark.work import Job, Outcome
from neurotransfer.errors import InputError, InterruptedRunError, StorageError

JOB = Job(Path("run"), "", ())


class WorkerDiedError(Exception):
    """What a scheduler says of work whose worker has died."""


class Fake(Executor):
    """An executor that does work as a test says, and breaks for good when `work` says BrokenExecutor."""

    def __init__(self, work, log):
        self.work, self.log, self.broken = work, log, False

    def submit(self, fn, /, *args, **kwargs):
        if self.broken:
            raise BrokenExecutor
        future = Future()
        self.log.append(args[1])
        try:
            future.set_result([self.work(cell) for cell in args[1]])
        except CancelledError:
            future.cancel()
            future.set_running_or_notify_cancel()
        except Exception as error:
            self.broken = isinstance(error, BrokenExecutor)
            future.set_exception(error)
        return future


class Watched:
    """A schedule with a fake team: what was submitted, done, given up, and how many teams were opened."""

    def __init__(self, cells, work, size=2, lost=lambda: False):
        self.log, self.done, self.failures, self.sizes = [], [], [], []

        @contextmanager
        def opened(asked):
            self.sizes.append(asked)
            yield Team(Fake(work, self.log), lambda: asked or size, "fakes", died=(WorkerDiedError,), lost=lost)

        self.schedule = Schedule(JOB, cells, opened, self.heard, self.failures.append)

    def heard(self, outcome):
        if outcome is not None:
            self.done.append(outcome.cell)

    def run(self):
        self.schedule.run()
        return self


def cells_of(n_replicates, strategies=("linear", "frozen"), sizes=(10, 20)):
    return [Cell("age", n, r, s) for n in sizes for r in range(n_replicates) for s in strategies]


def well(cell):
    return Outcome(cell, 0.01)


def test_every_cell_is_done_once_and_told_of():
    cells = cells_of(30)
    watched = Watched(cells, well).run()
    assert Counter(watched.done) == Counter(cells)
    assert watched.failures == []
    assert watched.schedule.left == 0


def test_what_is_handed_out_together_shares_its_inputs_and_is_little_when_little_is_left():
    watched = Watched(cells_of(200), well, size=3).run()
    assert max(map(len, watched.log)) > 5
    for cells in watched.log:
        assert len({(cell.task, cell.strategy) for cell in cells}) == 1
        assert len(cells) <= schedule_module.MOST_AT_ONCE
    assert [len(cells) for cells in watched.log[-4:]] == [1, 1, 1, 1]


def test_long_cells_are_handed_out_one_by_one():
    watched = Watched(cells_of(50), lambda cell: Outcome(cell, 30.0)).run()
    assert {len(cells) for cells in watched.log} == {1}


def test_the_order_finishes_some_replicates_everywhere_before_the_next():
    cells = ordered(cells_of(25))
    blocks = [cell.replicate // schedule_module.BLOCK for cell in cells]
    assert blocks == sorted(blocks)
    first = [cell for cell in cells if cell.replicate < schedule_module.BLOCK]
    assert {(cell.n, cell.strategy) for cell in first} == {(n, s) for n in (10, 20) for s in ("linear", "frozen")}
    assert [cell.strategy for cell in first] == sorted(cell.strategy for cell in first)


def test_a_cell_that_fails_is_tried_again_and_others_go_on():
    bad, tries = Cell("age", 10, 3, "linear"), Counter()

    def work(cell):
        tries[cell] += 1
        return Outcome(cell, 0.01, "OSError: gone" if cell == bad and tries[cell] < ATTEMPTS else "")

    watched = Watched(cells_of(10), work).run()
    assert Counter(watched.done) == Counter(cells_of(10))
    assert tries[bad] == ATTEMPTS
    assert watched.failures == []


def test_a_cell_that_always_fails_is_given_up_with_its_last_error():
    bad, tries = Cell("age", 10, 3, "linear"), Counter()

    def work(cell):
        tries[cell] += 1
        return Outcome(cell, 0.01, f"OSError: {tries[cell]}" if cell == bad else "")

    watched = Watched(cells_of(10), work).run()
    assert set(watched.done) == set(cells_of(10)) - {bad}
    (failure,) = watched.failures
    assert (failure.cell, failure.error, failure.attempts) == (bad, f"OSError: {ATTEMPTS}", ATTEMPTS)


def test_a_cell_that_kills_its_worker_is_found_and_its_company_is_done():
    killer = Cell("age", 10, 3, "linear")

    def work(cell):
        if cell == killer:
            raise BrokenExecutor
        return well(cell)

    watched = Watched(cells_of(40), work).run()
    assert Counter(watched.done) == Counter(set(cells_of(40)) - {killer})
    (failure,) = watched.failures
    assert (failure.cell, failure.error) == (killer, DEATH)
    # twice in company, twice alone, and then a team again for the rest
    assert watched.sizes[:4] == [None, None, 1, 1]
    assert failure.attempts == 4
    assert (killer,) in watched.log


def test_a_scheduler_that_replaces_dead_workers_needs_no_new_team():
    killer = Cell("age", 10, 3, "linear")

    def work(cell):
        if cell == killer:
            raise WorkerDiedError
        return well(cell)

    watched = Watched(cells_of(40), work).run()
    assert set(watched.done) == set(cells_of(40)) - {killer}
    assert [failure.cell for failure in watched.failures] == [killer]
    assert watched.sizes == [None]


def test_when_every_worker_dies_the_run_ends_with_advice():
    def work(cell):
        raise BrokenExecutor

    watched = Watched(cells_of(10), work)
    with pytest.raises(
        InputError, match=r"10 cells could not be done and none could.*use fewer --workers.*--retry-failed"
    ):
        watched.run()
    assert len(watched.failures) == MOST_VAIN
    assert {failure.error for failure in watched.failures} == {DEATH}


def test_many_cells_that_kill_their_workers_do_not_keep_the_others_from_being_done():
    """The large ones come first, and every one of them is too large."""
    killers = {cell for cell in cells_of(4) if cell.n == 20}

    def work(cell):
        if cell in killers:
            raise BrokenExecutor
        return well(cell)

    watched = Watched(cells_of(4), work).run()
    assert {failure.cell for failure in watched.failures} == killers
    assert set(watched.done) == set(cells_of(4)) - killers


def test_when_nothing_can_be_done_the_run_ends_early_with_the_error():
    with pytest.raises(InputError, match=f"{MOST_VAIN} cells could not be done and none could; the last one: no such"):
        Watched(cells_of(50), lambda cell: Outcome(cell, 0.0, "no such thing")).run()


def test_a_full_disk_ends_the_run():
    def work(cell):
        if cell.replicate == 2:
            raise StorageError("no space left")
        return well(cell)

    with pytest.raises(StorageError, match="no space left"):
        Watched(cells_of(10), work).run()


def test_a_worker_that_has_lost_the_folder_gives_cells_back_without_a_try():
    returns = Counter()

    def work(cell):
        returns[cell] += 1
        return Outcome(cell, 0.0, "cannot see", counts=False) if returns[cell] < 2 else well(cell)

    watched = Watched(cells_of(3), work, size=4).run()
    assert Counter(watched.done) == Counter(cells_of(3))
    assert watched.failures == []


def test_when_no_worker_can_take_part_the_run_ends_soon_and_says_why():
    told = []
    watched = Watched(cells_of(100), lambda cell: Outcome(cell, 0.0, "cannot see", counts=False), size=5)
    watched.schedule.on_return = told.append
    with pytest.raises(InputError, match="no worker can take part: cannot see"):
        watched.run()
    assert len(watched.log) <= 5 * (MOST_RETURNS + 2) + 1
    assert set(told) == {"cannot see"}


def test_what_is_wrong_with_a_worker_and_not_with_a_cell_is_no_traceback():
    def work(cell):
        raise ModuleNotFoundError("No module named 'neurotransfer'")

    with pytest.raises(InterruptedRunError, match="could not be given work: ModuleNotFoundError: No module named"):
        Watched(cells_of(3), work).run()


@pytest.mark.parametrize("how", ["lost", "dropped"])
def test_a_scheduler_that_is_gone_ends_the_run(how):
    def dropped(cell):
        raise CancelledError

    watched = Watched(cells_of(10), dropped if how == "dropped" else well, lost=lambda: how == "lost")
    with pytest.raises(InterruptedRunError, match="scheduler"):
        watched.run()


def test_what_one_team_gives_back_is_not_held_against_the_next():
    """Three workers give back five cells, die twice, and the one that follows gives back one more."""
    cells = ordered(cells_of(10))
    killer, tries = cells[5], Counter()

    def work(cell):
        tries[cell] += 1
        if cell == killer and tries[cell] <= 2:
            raise BrokenExecutor
        gives_back = tries[cell] == (3 if cell == killer else 1) and cell in cells[:6]
        return Outcome(cell, 0.01, "cannot be read" if gives_back else "", counts=not gives_back)

    watched = Watched(cells, work, size=3).run()
    assert watched.sizes[:3] == [None, None, 1]
    assert Counter(watched.done) == Counter(cells)
    assert watched.failures == []


@given(
    faults=st.lists(st.sampled_from(["", "", "", "error", "death", "break", "return"]), min_size=40, max_size=40),
    size=st.integers(1, 4),
)
def test_no_cell_is_lost_or_done_twice_whatever_happens_once(faults, size):
    """Every cell meets its own fault the first time it is tried, and none later."""
    cells = cells_of(10)
    coming = dict(zip(cells, faults, strict=True))

    def work(cell):
        fault = coming.pop(cell, "")
        if fault in ("break", "death"):
            raise BrokenExecutor if fault == "break" else WorkerDiedError
        return Outcome(cell, 0.01, fault if fault in ("error", "return") else "", counts=fault != "return")

    watched = Watched(cells, work, size)
    try:
        watched.run()
    except InterruptedRunError:
        # many deaths in a row before anything was done
        assert faults.count("break") > schedule_module.MOST_DEATHS
    except InputError:
        # many cells in a row given back by the same workers
        assert faults.count("return") > MOST_RETURNS
    else:
        given_up = [failure.cell for failure in watched.failures]
        # what was done may have been told of twice only if a worker died with it in its hands
        assert set(watched.done) | set(given_up) == set(cells)
        assert not set(watched.done) & set(given_up)
