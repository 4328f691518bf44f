"""What a process takes at once: every image once, in parts that memory allows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.training import Recipe
from neurotransfer.training.portions import Portions, require_shares
from neurotransfer.training.processes import Processes

CPU = torch.device("cpu")


def one_of(size, rank):
    processes = Processes()
    processes.size, processes.rank = size, rank
    return processes


@given(n=st.integers(1, 30), batch_size=st.integers(1, 30), micro=st.integers(0, 30), size=st.integers(1, 3))
def test_the_processes_together_take_every_image_once(n, batch_size, micro, size):
    recipe, batch = Recipe(batch_size=batch_size, micro_batch=micro), np.arange(100, 100 + n)
    every = [Portions(recipe, one_of(size, rank), CPU) for rank in range(size)]
    taken = np.concatenate([portions.mine(batch) for portions in every])
    assert sorted(taken) == list(range(n))
    parts = every[0].parts(batch)
    assert np.concatenate(parts).tolist() == list(range(n))
    assert max(map(len, parts)) <= every[0].at_once == (micro * size or batch_size)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_half_as_many_are_taken_when_memory_is_short_down_to_one():
    portions, batch = Portions(Recipe(batch_size=8), Processes(), CPU), np.arange(8)
    for most, left in ((8, 4), (4, 2), (2, 1)):
        note = portions.halve(most, (32, 38, 32))
        assert f"{left} are taken at once from now on" in note
        assert "batches of 8" in note
        assert len(portions.parts(batch)) == 8 // left
    with pytest.raises(MemoryError, match=r"one image of \(32, 38, 32\) needs more memory than cpu has"):
        portions.halve(1, (32, 38, 32))


def test_a_small_batch_counts_as_it_is():
    portions = Portions(Recipe(batch_size=8), Processes(), CPU)
    assert "3 images" in portions.halve(3, (5,))
    assert portions.at_once == 1


def test_several_processes_are_told_what_to_give():
    with pytest.raises(MemoryError, match=r"8 images of .* use micro_batch 4"):
        Portions(Recipe(batch_size=8), one_of(2, 1), CPU).halve(8, (5,))


@pytest.mark.parametrize(("n", "batch_size", "size", "enough"), [(9, 4, 3, True), (9, 4, 4, False), (1, 8, 1, True)])
def test_every_process_has_an_image_of_every_batch(n, batch_size, size, enough):
    given = (n, Recipe(batch_size=batch_size), one_of(size, 0))
    if enough:
        require_shares(*given)
        return
    with pytest.raises(InputError, match=f"{size} processes share batches of 3 images"):
        require_shares(*given)
