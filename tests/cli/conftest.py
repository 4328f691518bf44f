"""What tests of commands share."""

import signal
import sys

import pytest
import torch

from neurotransfer.__main__ import main
from neurotransfer.training import current, use


@pytest.fixture
def called(monkeypatch, capsys):
    """A command in this process, which has torch already: (exit code, what it printed, what it said)."""
    before, threads, on_term = current(), torch.get_num_threads(), signal.getsignal(signal.SIGTERM)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["neurotransfer", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsys.readouterr()

    yield call
    # a command chooses device, precision and threads for the process that it thinks is its own
    use(before)
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, on_term)
