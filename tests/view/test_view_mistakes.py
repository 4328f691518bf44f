"""Errors by scan are those that a loop over the predictions finds, and never mix tasks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from view_data import TASKS, predictions

from neurotransfer.errors import InputError
from neurotransfer.view.mistakes import ALL, Task, mistakes, tasks_of, wrongness

N = 6


@pytest.fixture(scope="module")
def table():
    return predictions(N)


@pytest.fixture(scope="module")
def numbers(table):
    return {number.name: number for number in mistakes(table, tasks_of({"tasks": TASKS}), N)}


def by_hand(table, task, scan, strategy=None, n=None):
    """The mean error of a scan, one row after the other."""
    errors = []
    for row in table.itertuples():
        if row.task == task and row.row == scan and strategy in (None, row.strategy) and n in (None, row.n):
            if task == "age":
                errors.append(abs(row.predicted - row.observed))
            else:
                errors.append(1 - row.probabilities[int(row.observed)])
    return sum(errors) / len(errors) if errors else None


def test_every_error_is_that_of_a_loop(table, numbers):
    assert len(numbers) == 2 * (1 + 2 * 2)
    for task in TASKS:
        for strategy, n in [(None, None), *[(s, n) for s in ("baseline", "finetuned") for n in (10, 20)]]:
            of = ALL if strategy is None else f"{strategy}, n = {n}"
            values = numbers[f"error {task} {of}"].values
            for scan in range(N):
                wanted = by_hand(table, task, scan, strategy, n)
                if wanted is None:
                    assert np.isnan(values[scan])
                else:
                    assert values[scan] == pytest.approx(wanted)


def test_a_scan_that_was_never_tested_has_no_error_and_no_words(table):
    found = mistakes(table[table["row"] != 3], tasks_of({"tasks": TASKS}), N)
    for number in found:
        assert np.isnan(number.values[3])
        assert number.said[3] == ""
        assert number.worse == "high"


def test_words_say_what_was_observed_and_predicted(table, numbers):
    said = numbers[f"error age {ALL}"].said
    assert len(said) == N
    rows = table[(table.task == "age") & (table.row == 2)]
    assert (
        f"observed 30 years, predicted {rows.predicted.mean():.4g} years (mean of {len(rows)} test predictions)"
        in said[2]
    )
    sex = numbers[f"error sex {ALL}"].said
    assert "observed M" in sex[1]
    assert "observed F" in sex[2]
    assert list(said) == [said[place] for place in range(N)]
    assert said[:2] == [said[0], said[1]]


def test_labels_have_the_unit_and_what_the_error_is(numbers):
    assert numbers[f"error age {ALL}"].label == "Age: mean absolute error (years), all strategies and sizes"
    assert numbers["error sex finetuned, n = 20"].label == "Sex: probability of the wrong class, finetuned, n = 20"


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.floats(0.01, 1), min_size=3, max_size=3)), min_size=1, max_size=20
    )
)
def test_the_wrong_classes_of_many_are_all_but_the_right_one(cases):
    labels = np.array([label for label, _ in cases], float)
    probabilities = np.array([np.array(each) / sum(each) for _, each in cases])
    found = wrongness("categorical", labels, probabilities.argmax(1).astype(float), probabilities.tolist())
    for wrong, label, each in zip(found, labels, probabilities, strict=True):
        assert wrong == pytest.approx(sum(value for place, value in enumerate(each) if place != label))
        assert -1e-12 <= wrong <= 1


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=20))
def test_of_two_classes_it_is_the_probability_of_the_other(cases):
    observed, predicted = (np.array(column, float) for column in zip(*cases, strict=True))
    pairs = [[1 - each, each] for each in predicted]
    np.testing.assert_allclose(
        wrongness("binary", observed, predicted), wrongness("categorical", observed, predicted, pairs), atol=1e-12
    )


def test_levels_are_compared_as_numbers():
    assert wrongness("ordinal", np.array([2.0]), np.array([0.5])).tolist() == [1.5]
    assert Task("x", "x", "ordinal", ("low", "mid", "high")).measure == "mean absolute error (levels)"
    assert Task("x", "x", "ordinal", ("low", "mid", "high")).words(2.0, 0.5) == "observed high, expected level 0.5"


def test_what_is_missing_counts_for_nothing():
    rows = pd.DataFrame(
        [("age", 10, "a", 0, 20.0, np.nan), ("age", 10, "a", 0, 20.0, 23.0), ("age", 10, "a", 9, 20.0, 23.0)],
        columns=["task", "n", "strategy", "row", "observed", "predicted"],
    ).assign(probabilities=None)
    found = mistakes(rows, tasks_of({"tasks": TASKS}), 2)
    assert found[0].values.tolist()[0] == 3.0
    assert np.isnan(found[0].values[1])
    lost = wrongness("categorical", np.array([np.nan, 7.0]), np.array([0.0, 0.0]), [[0.5, 0.5], [0.5, 0.5]])
    assert np.isnan(lost).all()


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(InputError, match=r"study\.json, task 'x': unknown kind of target 'ratio'"):
        tasks_of({"tasks": {"x": {"kind": "ratio"}}})
