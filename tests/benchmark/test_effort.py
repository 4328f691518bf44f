"""How much is trained: epochs by the rules of halving, folds and patience, and the arithmetic of spans."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.benchmark.effort import RUN_ON, Line, Span, epochs_together, expected_epochs, seconds_of_fits
from neurotransfer.benchmark.study import parse_study
from neurotransfer.cohort import Split
from neurotransfer.pretrain.parts import TrainingPart
from neurotransfer.training import Recipe
from neurotransfer.training.halving import best_third, rungs

spans = st.builds(Span, st.floats(0, 1e6), st.floats(0, 1e6))
NOBODY = np.array([], int)


@given(spans, spans, st.floats(0, 100))
def test_spans_add_and_scale_by_their_ends(one, other, factor):
    assert one + other == other + one == Span(one.best + other.best, one.most + other.most)
    assert factor * one == one * factor == Span(factor * one.best, factor * one.most)
    assert one + Span() == one


@given(st.integers(1, 200), st.integers(1, 200))
def test_a_fit_is_expected_between_its_earliest_end_and_all_epochs(epochs, patience):
    found = expected_epochs(Recipe(epochs=epochs, patience=patience))
    assert min(epochs, patience + 1) <= found.best <= found.most == epochs
    if patience >= epochs:
        assert found.best == epochs
    # no patience ends what is not stopped early
    assert expected_epochs(Recipe(epochs=epochs, patience=patience, early_stopping=False)) == Span(epochs, epochs)


@pytest.mark.parametrize(
    ("epochs", "settings", "expected"),
    # nine: all to a ninth, three to a third, one to the end
    [(9, 9, 9 * 1 + 3 * 2 + 1 * 6), (90, 9, 9 * 10 + 3 * 20 + 1 * 60), (3, 9, 9 * 1 + 3 * 2), (1, 9, 9), (12, 1, 12)],
)
def test_halving_trains_as_many_epochs_as_its_rungs_say(epochs, settings, expected):
    recipes = [Recipe(epochs=epochs, patience=epochs)] * settings
    assert epochs_together(recipes, halving=True) == Span(expected, expected)
    assert epochs_together(recipes, halving=False).most == settings * epochs


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_halving_never_trains_more_and_every_setting_passes_the_first_rung(every):
    recipes = [Recipe(epochs=epochs, patience=60) for epochs in every]
    full, halved = epochs_together(recipes, False), epochs_together(recipes, True)
    assert halved.most <= full.most
    if len(every) > 1 and rungs(every):
        assert halved.most >= sum(rungs(every)[0])
        assert len(best_third(dict.fromkeys(range(len(every)), 0.0))) < len(every)


def test_steps_are_as_many_epochs_as_the_images_of_a_split_make_of_them(tiny_values):
    study = study_of(tiny_values).model_copy(update={"training": TrainingPart(epochs=9, patience=9, steps=40)})
    line = Line(begun=0.0, epoch=1.0, image=0.0)
    for n, epochs in ((8, 40), (40, 8), (80, 4)):
        split = Split(np.arange(n), np.arange(n, n + 5), NOBODY)
        assert seconds_of_fits(study, study.strategies[0], split, line).most == 9 * epochs


def study_of(tiny_values, **protocol):
    grid = {"lr": [1e-2, 3e-3, 1e-3], "dropout": [0.0, 0.25, 0.5]}
    values = tiny_values | {
        "strategies": [{"strategy": "baseline", "grid": grid}],
        "training": {"epochs": 9, "patience": 9},
        "protocol": tiny_values["protocol"] | protocol,
    }
    return parse_study(values)


def seconds(study, split, line):
    return seconds_of_fits(study, study.strategies[0], split, line)


def test_a_cell_is_epochs_times_images_and_what_is_done_once(tiny_values):
    split = Split(np.arange(20), np.arange(20, 24), np.arange(24, 40))
    line = Line(begun=2.0, epoch=0.5, image=0.25, predicted=0.125)
    # tested on 16 images, and the chosen one on the 20 that it was trained on
    expected = 9 * (2.0 + 9 * (0.5 + 0.25 * 20)) + 0.125 * (16 + 20)
    assert seconds(study_of(tiny_values), split, line) == Span(expected, expected)
    every = seconds(study_of(tiny_values, keep="all"), split, line)
    assert every.most == pytest.approx(expected + 8 * 0.125 * 16)
    twice = Split(np.repeat(np.arange(10), 2), np.arange(20, 24), np.arange(24, 40))
    assert seconds(study_of(tiny_values), twice, line).most == pytest.approx(expected - 0.125 * 10)


def test_a_fixed_validation_part_is_predicted_in_every_epoch(tiny_values):
    line = Line(epoch=0.5, image=0.25, predicted=0.125)
    split = Split(np.arange(20), np.arange(20, 50), np.arange(50, 54))
    fifth = Split(split.train, split.validation[:4], split.test)
    study = study_of(tiny_values, validation="fixed", validation_size=30)
    # 26 more than a fifth, in nine epochs of nine settings
    assert seconds(study, split, line).most == pytest.approx(
        seconds(study_of(tiny_values), fifth, line).most + 9 * 9 * 26 * 0.125
    )


def test_halving_takes_21_of_81_epochs(tiny_values):
    split, line = Split(np.arange(20), np.arange(20, 24), np.arange(24, 28)), Line(image=1.0)
    full = seconds(study_of(tiny_values), split, line).most
    halved = seconds(study_of(tiny_values, search="halving"), split, line).most
    assert halved / full == pytest.approx(21 / 81)


@pytest.mark.parametrize("folds", [2, 4, 5])
def test_folds_train_on_all_but_one_of_them_and_once_more_on_all(tiny_values, folds):
    split = Split(np.arange(20), NOBODY, np.arange(24, 28), folds=np.arange(20) % folds)
    single = Split(np.arange(20), np.arange(20, 24), np.arange(24, 28))
    line = Line(image=1.0)
    full = seconds(study_of(tiny_values), single, line).most
    folded = seconds(study_of(tiny_values, validation="folds", folds=folds), split, line)
    # every row is in the training of all folds but its own; the chosen one of nine settings is fitted again
    assert folded.most / full == pytest.approx(folds - 1 + 1 / 9)
    assert folded.best / full == pytest.approx(folds - 1 + RUN_ON / 9)
