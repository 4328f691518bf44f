"""How long cells take: exact cases, and a forecast that ends at nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.benchmark.pace import Pace, in_words
from neurotransfer.benchmark.plan import Cell


def cell(n=10, replicate=0, strategy="linear", task="age"):
    return Cell(task, n, replicate, strategy)


def test_before_anything_is_done_nothing_is_known():
    pace = Pace([cell()])
    assert pace.expected(cell()) is None
    assert pace.left(2) is None


def test_the_mean_of_a_kind_and_in_proportion_to_n_from_the_nearest_size():
    pace = Pace([cell(n, r) for n in (10, 20, 100) for r in range(4)])
    pace.done(cell(10), 1.0)
    pace.done(cell(10, 1), 3.0)
    assert pace.expected(cell(10, 2)) == 2.0
    assert pace.expected(cell(20)) == 4.0
    pace.done(cell(100), 5.0)
    assert pace.expected(cell(20)) == 4.0
    assert pace.expected(cell(100, 3)) == 5.0
    assert pace.expected(cell(strategy="baseline")) is None
    assert pace.expected(cell(task="sex")) is None
    # two of size 10, four of 20, three of 100
    assert pace.left(3) == pytest.approx((2 * 2 + 4 * 4 + 3 * 5) / 3)


def test_a_kind_of_which_nothing_is_known_is_taken_for_an_average_one():
    pace = Pace([cell(), cell(replicate=1), cell(strategy="baseline")])
    pace.done(cell(), 3.0)
    assert pace.left(1) == 3.0 + 3.0


def test_nobody_works_and_what_is_given_up_takes_no_time():
    pace = Pace([cell(), cell(replicate=1)])
    pace.done(cell(), 3.0)
    assert pace.left(0) is None
    pace.given_up(cell(replicate=1))
    assert pace.left(1) == 0.0


@given(seconds=st.lists(st.floats(0.001, 1e4), min_size=1, max_size=30), workers=st.integers(1, 64))
def test_what_is_left_ends_at_zero_and_is_never_negative(seconds, workers):
    cells = [cell(8 + r % 3, r) for r in range(len(seconds))]
    pace = Pace(cells)
    for one, took in zip(cells, seconds, strict=True):
        pace.done(one, took)
        assert pace.left(workers) >= 0
    assert pace.left(workers) == 0
    # a cell that is done twice, after a worker died with it, takes nothing from the others
    pace.done(cells[0], 1.0)
    assert pace.left(workers) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (89.4, "89 s"), (90, "2 min"), (3600, "60 min"), (89 * 60 + 29, "89 min"), (90 * 60, "1 h 30 min"),
        (47 * 3600, "47 h 0 min"), (50 * 3600, "2 days 2 h"), (None, "not known yet"),
    ],
)  # fmt: skip
def test_time_spans_in_words(seconds, words):
    assert in_words(seconds) == words
