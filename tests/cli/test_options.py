"""What commands share: numbers and names in options, and who speaks of several processes."""

import sys

import pytest

from neurotransfer.cli.options import heard, names, triple
from neurotransfer.errors import InputError

RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("ranks", "several", "speaks"),
    [({}, True, True), ({}, False, True), ({"RANK": "0", "LOCAL_RANK": "0"}, True, True),
     ({"RANK": "3", "LOCAL_RANK": "0"}, True, False),
     ({"SLURM_PROCID": "1"}, True, False), ({"SLURM_PROCID": "0"}, True, True), ({"LOCAL_RANK": "1"}, True, False),
     ({"SLURM_PROCID": "7", "LOCAL_RANK": "3"}, False, True)],
)  # fmt: skip
def test_of_several_processes_the_first_one_speaks(monkeypatch, capsys, ranks, several, speaks):
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    with heard(several):
        print("done")
        print("note", file=sys.stderr)
    found = capsys.readouterr()
    assert (found.out, found.err) == (("done\n", "note\n") if speaks else ("", ""))


def test_an_error_is_told_by_every_process(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")

    def fail():
        with heard(True):
            raise InputError("no")

    with pytest.raises(InputError):
        fail()
    print("after")
    assert capsys.readouterr().out == "after\n"


@pytest.mark.parametrize("text", ["4", "4,5", "4,5,6,7", "a,b,c", "4,-5,6", "4.5,6,7", ""])
def test_three_whole_numbers_are_three_whole_numbers(text):
    assert triple("40,48,40") == triple("40x48x40") == triple(" 40, 48 ,40") == (40, 48, 40)
    with pytest.raises(InputError, match="three whole numbers"):
        triple(text)


def test_names_between_commas():
    assert names("age, sex,,bmi ") == ["age", "sex", "bmi"]
    assert names(" ") == []
