"""Studies that are changed by dotted keys: what is changed, what is made, what is taken away, and that all else stays."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.benchmark import parse_study
from neurotransfer.benchmark.study import StrategyPart
from neurotransfer.benchmark.variants import changed, title_of
from neurotransfer.errors import StudyError

STUDY = {
    "name": "small",
    "cohort": {"path": "cohort.tsv"},
    "models": {"sim-base": {"path": "sim-base"}, "v1.2": {"path": "other"}},
    "tasks": {"age": {"target": "age"}, "score.total": {"target": "total"}},
    "strategies": [
        {"strategy": "baseline"},
        {"strategy": "frozen", "model": "sim-base", "grid": {"penalty": [1.0]}},
        {"strategy": "frozen", "model": "v1.2"},
        {"strategy": "linear", "label": "straight"},
    ],
    "protocol": {"sizes": [10, 20], "replicates": 3},
}


def expected(**more):
    return copy.deepcopy(STUDY) | more


def strategies(place, **more):
    found = copy.deepcopy(STUDY["strategies"])
    found[place] |= more
    return expected(strategies=found)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, expected()),
        ({"seed": 4}, expected(seed=4)),
        ({"protocol.replicates": 9}, expected(protocol={"sizes": [10, 20], "replicates": 9})),
        ({"protocol.sizes": [8]}, expected(protocol={"sizes": [8], "replicates": 3})),
        ({"training.epochs": 5, "training.lr": 0.1}, expected(training={"epochs": 5, "lr": 0.1})),
        ({"network.options.shape": [1]}, expected(network={"options": {"shape": [1]}})),
        ({"protocol.replicates": None}, expected(protocol={"sizes": [10, 20]})),
        # what is not there is not made to be taken away
        ({"training.epochs": None, "seed": None, "protocol.folds": None}, expected()),
        ({"strategies.baseline.grid": {"lr": [0.1]}}, strategies(0, grid={"lr": [0.1]})),
        ({"strategies.baseline.grid.lr": [0.1]}, strategies(0, grid={"lr": [0.1]})),
        ({"strategies.sim-base-frozen.grid.penalty": [2.0]}, strategies(1, grid={"penalty": [2.0]})),
        ({"strategies.v1.2-frozen.grid": {"penalty": [3.0]}}, strategies(2, grid={"penalty": [3.0]})),
        ({"strategies.straight.label": None}, expected(strategies=[*STUDY["strategies"][:3], {"strategy": "linear"}])),
        ({"strategies.straight": None}, expected(strategies=STUDY["strategies"][:3])),
        (
            {"strategies.straight": {"strategy": "voxels"}},
            expected(strategies=[*STUDY["strategies"][:3], {"strategy": "voxels"}]),
        ),
        ({"strategies": [{"strategy": "linear"}]}, expected(strategies=[{"strategy": "linear"}])),
        (
            {"tasks.score.total.label": "points"},
            expected(tasks={"age": {"target": "age"}, "score.total": {"target": "total", "label": "points"}}),
        ),
        ({"models.v1.2.path": "third"}, expected(models={"sim-base": {"path": "sim-base"}, "v1.2": {"path": "third"}})),
        # in their order: a strategy that was named anew is found by its new name
        (
            {"strategies.straight.label": "plain", "strategies.plain.grid": {"penalty": [1.0]}},
            strategies(3, label="plain", grid={"penalty": [1.0]}),
        ),
        # a key of which the first one is known already as a table is not one with a dot
        ({"tasks.age.where.site": "a"}, expected(tasks=STUDY["tasks"] | {"age": {"target": "age", "where": {"site": "a"}}})),
    ],
)  # fmt: skip
def test_what_a_change_gives(changes, found):
    before = copy.deepcopy(STUDY)
    assert changed(STUDY, changes) == found
    assert before == STUDY


def test_what_is_given_is_not_shared_with_what_comes_out():
    grid = {"penalty": [1.0]}
    found = changed(STUDY, {"strategies.straight.grid": grid})
    found["strategies"][3]["grid"]["penalty"].append(2.0)
    found["protocol"]["sizes"].append(30)
    assert grid == {"penalty": [1.0]}
    assert STUDY["protocol"]["sizes"] == [10, 20]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name.first": "x"}, r"'name.first' cannot be changed: 'name' is 'small' and no table"),
        (
            {"strategies.staight.grid": {}},
            r"unknown title of a strategy 'staight'; allowed: baseline, sim-base-frozen, v1.2-frozen, straight; did you mean",
        ),
        ({"protocol.sizes.first": 1}, r"'protocol.sizes.first' cannot be changed: unknown title"),
    ],
)
def test_what_cannot_be_changed_is_refused(changes, said):
    with pytest.raises(StudyError, match=said):
        changed(STUDY, changes)


@pytest.mark.parametrize("part", STUDY["strategies"])
def test_titles_are_those_of_the_study(part):
    assert title_of(part) == StrategyPart.model_validate(part).title


def test_a_study_that_was_resolved_can_be_changed_and_read_again():
    study = parse_study(changed(STUDY, {"tasks.score.total": None, "tasks.total": {"target": "total"}, "models.v1.2": None,
                                        "strategies.v1.2-frozen": None}))  # fmt: skip
    values = study.model_dump(mode="json")
    again = parse_study(changed(values, {"protocol.validation": "folds", "training.epochs": 5}))
    assert again.protocol.validation == "folds"
    assert again.training.epochs == 5
    back = {"protocol.validation": "fifth", "training.epochs": study.training.epochs}
    assert parse_study(changed(again.model_dump(mode="json"), back)) == study


KEYS = st.text("abc", min_size=1, max_size=2)
TABLES = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(KEYS, TABLES, max_size=3), st.lists(KEYS, min_size=1, max_size=3), st.integers())
def test_what_was_set_is_there_and_setting_it_again_changes_nothing(study, path, value):
    key = ".".join(path)
    try:
        found = changed(study, {key: value})
    except StudyError:
        return
    inner = found
    for each in path:
        inner = inner[each]
    assert inner == value
    assert changed(found, {key: value}) == found
    # only the first key on the way can have changed
    assert {name: each for name, each in found.items() if name != path[0]} == {
        name: each for name, each in study.items() if name != path[0]
    }
    gone = changed(found, {key: None})
    for each in path[:-1]:
        gone = gone[each]
    assert path[-1] not in gone
