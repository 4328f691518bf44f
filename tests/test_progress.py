"""Progress: a bar on a terminal, one line in a log, and nothing of a description lost."""

import io
from contextlib import contextmanager, redirect_stderr

import pytest

from neurotransfer.progress import bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def log(capsys):
    """What was written on standard error since the last call, which is no terminal."""
    return lambda: capsys.readouterr().err


def test_a_log_has_one_line_at_the_end_and_nothing_before(log):
    with bar("fits", 3) as advance:
        advance()
        advance()
        assert log() == ""
    assert log() == "fits: 2 done\n"


def test_the_standard_output_is_left_to_results(capfd):
    with bar("fits", 1) as advance:
        advance()
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "fits: 1 done\n")


def test_work_of_unknown_length_is_counted(log):
    with bar("check", 0) as advance:
        for _ in range(5):
            advance()
    assert log() == "check: 5 done\n"


def test_work_that_was_none_is_said_too(log):
    with bar("check", 0):
        pass
    assert log() == "check: 0 done\n"


def test_whatever_a_stage_calls_it_with_counts_as_one(log):
    with bar("epochs", 3) as advance:
        advance({"epoch": 1}, {"age": 2})
        advance(7)
        advance()
    assert log() == "epochs: 3 done\n"


@pytest.mark.parametrize(
    "description",
    [
        "check data[v2]/cohort.tsv",
        "check data[/v2]/cohort.tsv",
        "check :warning:/cohort.tsv",
        "check " + "a-long-folder/" * 12,
    ],
)
def test_a_path_stands_in_a_log_as_it_is(log, description):
    with bar(description, 1) as advance:
        advance()
    assert log() == f"{description}: 1 done\n"


def test_an_error_passes_through_and_nothing_is_called_done(log):
    with pytest.raises(ValueError, match="planted"), bar("fits", 2):
        raise ValueError("planted")
    assert "done" not in log()


@contextmanager
def screen():
    """A terminal in place of standard error."""
    with redirect_stderr(Terminal()) as terminal:
        yield terminal


def test_a_terminal_shows_a_bar_with_how_many_of_how_many():
    with screen() as terminal, bar("volumes", 4) as advance:
        for _ in range(3):
            advance()
    shown = terminal.getvalue()
    assert "volumes" in shown
    assert "3/4" in shown
    assert "done" not in shown


def test_a_terminal_learns_at_the_end_how_much_it_was():
    with screen() as terminal, bar("check", 0) as advance:
        for _ in range(6):
            advance()
    shown = terminal.getvalue()
    assert "0/?" in shown
    assert "6/6" in shown


@pytest.mark.parametrize("description", ["check data[v2]", "check data[/v2]"])
def test_a_path_stands_on_a_terminal_as_it_is(description):
    with screen() as terminal, bar(description, 1) as advance:
        advance()
    assert description in terminal.getvalue()


def test_a_bar_that_is_broken_off_gives_the_cursor_back():
    with pytest.raises(KeyboardInterrupt), screen() as terminal, bar("fits", 2):
        raise KeyboardInterrupt
    shown = terminal.getvalue()
    assert shown.rindex("\x1b[?25h") > shown.index("\x1b[?25l")


def test_the_time_that_is_left_is_shown_as_it_is_told():
    with redirect_stderr(Terminal()) as written, bar("fits", 9) as advance:
        advance()
        advance.left("3 h 20 min")
        advance()
    assert "3 h 20 min left" in written.getvalue()


def test_a_long_log_has_a_line_now_and_then_with_what_is_left(log, monkeypatch):
    clock = iter([0.0, 100.0, 700.0, 700.0, 800.0])
    monkeypatch.setattr("neurotransfer.progress.time.monotonic", lambda: next(clock))
    with bar("fits", 9) as advance:
        advance()
        assert log() == ""
        advance.left("2 min")
        advance()
        assert log() == "fits: 2 of 9 done, 2 min left\n"
        advance()
        assert log() == ""
