"""Errors: a tree with one root, messages that say what was found and allowed, errors that survive a process."""

import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer import errors
from neurotransfer.errors import CohortError, InputError, InterruptedRunError, NeurotransferError, listed, unknown

CLASSES = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]
WORDS = st.lists(st.text(min_size=1, max_size=8), max_size=6)


def made(kind):
    return kind("cohort.tsv", ["row 1: a", "row 2: b"], "mend") if kind is CohortError else kind("what to do")


def test_every_error_has_one_root_and_all_but_an_interruption_are_of_the_input():
    assert len(CLASSES) >= 9
    assert all(issubclass(kind, NeurotransferError) for kind in CLASSES)
    others = [kind for kind in CLASSES if not issubclass(kind, InputError)]
    assert sorted(others, key=str) == sorted([NeurotransferError, InterruptedRunError], key=str)
    assert all(kind.__doc__ for kind in CLASSES)
    assert not any(issubclass(kind, ValueError | OSError) for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_pickling(kind):
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert getattr(again, "problems", None) == getattr(error, "problems", None)


def fail():
    raise CohortError(Path("cohort.tsv"), ["row 1: a"], "mend")


def test_an_error_of_a_worker_process_arrives():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, pytest.raises(CohortError, match="row 1: a") as caught:
        pool.submit(fail).result()
    assert caught.value.problems == ["row 1: a"]


def test_a_cohort_error_keeps_its_problems_and_names_its_source():
    problems = ("a", "b")
    error = CohortError(Path("x") / "cohort.tsv", problems, "mend both")
    assert error.problems == ["a", "b"]
    assert str(error) == f"2 problems in {Path('x') / 'cohort.tsv'}:\n  a\n  b\nmend both"


@given(WORDS.filter(bool), st.sampled_from(["", "mend them"]), st.integers(1, 8))
def test_all_problems_are_listed_up_to_the_most(problems, advice, most):
    problems = [repr(problem) for problem in problems]
    lines = listed("study.toml", problems, advice, most).split("\n")
    assert lines[0] == f"{len(problems)} problem{'' if len(problems) == 1 else 's'} in study.toml:"
    shown = problems[:most]
    assert lines[1 : len(shown) + 1] == [f"  {problem}" for problem in shown]
    rest = lines[len(shown) + 1 :]
    assert rest == [f"  ... and {len(problems) - most} more"] * (len(problems) > most) + [advice] * bool(advice)


def test_a_thousand_problems_are_written_out():
    assert listed("x", ["p"] * 1000).count("\n  p") == 1000
    assert listed("x", ["p"] * 1200).endswith("\n  ... and 200 more")


@given(st.text(max_size=8), WORDS)
def test_unknown_says_what_was_found_and_what_is_allowed(value, allowed):
    message = unknown("kind", value, allowed)
    assert message.startswith(f"unknown kind {value!r}; allowed: {', '.join(allowed) or 'none'}")


@pytest.mark.parametrize(
    ("value", "allowed", "message"),
    [
        (
            "finetune",
            ("finetuned", "frozen"),
            "unknown x 'finetune'; allowed: finetuned, frozen; did you mean 'finetuned'?",
        ),
        ("zzz", ("finetuned",), "unknown x 'zzz'; allowed: finetuned"),
        ("zzz", (), "unknown x 'zzz'; allowed: none"),
        (3, (30, 4), "unknown x 3; allowed: 30, 4; did you mean '30'?"),
        (None, iter(["a"]), "unknown x None; allowed: a"),
        ("", ["a"], "unknown x ''; allowed: a"),
    ],
)
def test_unknown_proposes_what_is_close(value, allowed, message):
    assert unknown("x", value, allowed) == message
