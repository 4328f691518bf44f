"""Teams: this process, processes of this machine, and who gets which graphics card."""

import os
import threading

import pytest
import torch

from neurotransfer.benchmark import teams as teams_module
from neurotransfer.benchmark.teams import Here, processes, this_process
from neurotransfer.benchmark.work import Places


class Counter:
    """What multiprocessing.Value is, in one process."""

    def __init__(self):
        self.value, self.lock = 0, threading.Lock()

    def get_lock(self):
        return self.lock


@pytest.mark.parametrize(
    ("cards", "workers", "taken"),
    [
        (0, 3, ["auto"] * 3),
        (1, 3, ["cuda:0"] * 3),
        (2, 5, ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]),
        (4, 2, ["cuda:0", "cuda:1"]),
    ],
)
def test_every_worker_gets_a_card_or_a_share_of_one(cards, workers, taken):
    places = Places(Counter(), cards)
    assert [places.take() for _ in range(workers)] == taken


def test_cards_are_given_out_where_the_engine_chooses_one_itself(monkeypatch):
    class Chosen:
        device = torch.device("cuda")

    monkeypatch.setattr("neurotransfer.training.current", Chosen)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert teams_module._cards() == 3
    Chosen.device = torch.device("cuda:1")
    assert teams_module._cards() == 0
    Chosen.device = torch.device("cpu")
    assert teams_module._cards() == 0


def test_this_process_does_work_at_once_with_one_thread_and_restores_the_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with this_process() as team:
            assert team.size() == 1
            assert team.executor.submit(torch.get_num_threads).result() == 1
            assert team.executor.submit(os.getpid).result() == os.getpid()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_goes_wrong_in_this_process_is_the_future_s_and_ctrl_c_is_not():
    def wrong(error):
        raise error

    assert isinstance(Here().submit(wrong, ValueError("no")).exception(), ValueError)
    with pytest.raises(KeyboardInterrupt):
        Here().submit(wrong, KeyboardInterrupt())


def test_processes_of_this_machine_are_others_and_break_when_one_dies():
    with processes(2)() as team:
        assert team.size() == 2
        assert team.text == "2 processes of this machine"
        assert team.executor.submit(os.getpid).result() != os.getpid()
        broken = team.executor.submit(os._exit, 1)
        assert isinstance(broken.exception(60), team.broken)


def test_a_team_of_one_can_be_opened_to_do_something_alone():
    with processes(4)(1) as team:
        assert team.size() == 1
