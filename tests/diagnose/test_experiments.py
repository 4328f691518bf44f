"""The table of experiments: each changes its one choice, of what a study has to change, and gives a study that can be read."""

import pytest

from neurotransfer.benchmark.study import parse_study
from neurotransfer.benchmark.variants import changed
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.experiments import EXPERIMENTS, beyond, grid_of, kinds_of, possible, within
from neurotransfer.transfer.strategies import PENALTY_GRID, STRATEGIES


def study(**values):
    given = {
        "name": "mine",
        "seed": 4,
        "cohort": {"path": "people.tsv"},
        "models": {"base": {"path": "sim-base"}},
        "tasks": {"sex": {"target": "sex"}},
        "strategies": [
            {"strategy": "linear"},
            {"strategy": "finetuned", "model": "base"},
            {"strategy": "baseline", "grid": {"lr": [1e-3]}},
            {"strategy": "transferred", "model": "base"},
        ],
        "protocol": {"sizes": [20, 40, 80], "replicates": 3},
        **values,
    }
    return parse_study(given).model_dump(mode="json")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_changes_what_it_says_and_nothing_else(name):
    values = study(cohort={"path": "people.tsv"}, protocol={"sizes": [20, 40, 80], "replicates": 3})
    changes = possible(values, "site").get(name)
    if changes is None:
        # there is nothing of this in the study: sites that enter, say
        assert name in {"sites-at-once"}
        return
    before = parse_study(values)
    after = parse_study(changed(values, changes))
    assert after != before
    touched = {key.split(".")[0] for key in changes}
    for field in type(before).model_fields:
        if field not in touched:
            assert getattr(after, field) == getattr(before, field)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda each: each.name)
def test_every_experiment_is_of_a_cause_or_of_none(experiment):
    assert experiment.cause == "" or experiment.cause in CAUSES
    assert experiment.question.endswith(("?", "? (one person in ten is given a wrong one)"))
    assert set(experiment.scope) <= {strategy.solver for strategy in STRATEGIES.values()} | {"blend"}


def test_every_cause_that_tables_cannot_name_has_an_experiment():
    tested = {experiment.cause for experiment in EXPERIMENTS.values()}
    assert {cause.name for cause in CAUSES.values() if not cause.from_tables} <= tested


def test_grids_go_two_steps_further_on_both_sides():
    assert beyond([0.1, 1.0, 10.0]) == [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    assert beyond([10.0, 1.0]) == [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    assert beyond([0.0, 0.25, 0.5]) == [0.0, 0.25, 0.5]
    assert beyond([1.0]) == [1.0]


def test_a_wider_grid_is_of_all_that_have_two_values_or_more():
    changes = possible(study(), "")["wider-grid"]
    assert set(changes) == {"strategies.linear.grid", "strategies.base-finetuned.grid"}
    assert len(changes["strategies.linear.grid"]["penalty"]) == len(PENALTY_GRID["penalty"]) + 4
    finetuned = changes["strategies.base-finetuned.grid"]
    assert len(finetuned["lr"]) == 7
    # a share has no ratio to go on with
    assert finetuned["dropout"] == [0.0, 0.25, 0.5]


def test_a_strong_penalty_is_tried_where_none_was():
    weak = study(strategies=[{"strategy": "linear", "grid": {"penalty": [1e-9]}}])
    penalties = possible(weak, "")["regularised"]["strategies.linear.grid"]["penalty"]
    assert penalties == sorted(penalties)
    assert max(penalties) == 1000.0
    strong = study(strategies=[{"strategy": "linear"}])
    assert "regularised" not in possible(strong, "")


def test_weights_decay_where_networks_are_trained():
    changes = possible(study(), "")["regularised"]
    assert changes["strategies.base-finetuned.grid"]["weight_decay"] == [0.01, 0.1, 1.0]
    assert changes["strategies.baseline.grid"] == {"lr": [1e-3], "weight_decay": [0.01, 0.1, 1.0]}


def test_the_network_of_the_study_is_made_wider_and_one_that_is_given_is_not():
    assert possible(study(network={"width": 0.25}), "")["wider-network"] == {"network.width": 1.0}
    only_given = study(strategies=[{"strategy": "finetuned", "model": "base"}])
    assert "wider-network" not in possible(only_given, "")
    from_model = study(strategies=[{"strategy": "baseline", "model": "base"}])
    assert "wider-network" not in possible(from_model, "")


def test_nothing_is_changed_to_what_it_is():
    done = study(
        protocol={
            "sizes": [20, 40, 80], "replicates": 3, "replacement": False, "images": "one", "validation": "folds",
            "test": "people", "held_out": 0.3,
        }
    )  # fmt: skip
    assert not {"independent", "one-image", "folds", "fixed-test"} & set(possible(done, ""))
    assert possible(done, "")["other-choice"] == {"protocol.choose": "loss"}


def test_folds_leave_nothing_behind_that_contradicts_them():
    values = study(protocol={"sizes": [20, 40, 80], "replicates": 3, "validation": "fixed", "validation_size": 6})
    after = parse_study(changed(values, possible(values, "")["folds"]))
    assert after.protocol.validation == "folds"


def test_sites_need_a_column_and_a_strategy_on_features():
    assert "harmonised" not in possible(study(), "")
    assert possible(study(), "scanner")["harmonised"] == {"protocol.harmonise": "scanner"}
    networks = study(strategies=[{"strategy": "finetuned", "model": "base"}])
    assert "harmonised" not in possible(networks, "scanner")
    folds = study(protocol={"sizes": [20, 40, 80], "replicates": 3, "validation": "folds"})
    assert "harmonised" not in possible(folds, "scanner")


def test_experiments_on_a_study_with_everything_can_all_be_read():
    full = study(
        protocol={
            "name": "independent-people", "sizes": [20, 40, 80], "replicates": 3, "keep": "all", "label_noise": 0.1,
            "enter": {"column": "site"},
        },
        training={"epochs": 5, "steps": 100, "lr_growth": 0.5, "settle": False},
        fit_seed=3,
    )  # fmt: skip
    for changes in possible(full, "site").values():
        parse_study(changed(full, changes))


def test_steps_are_those_of_the_middle_size():
    values = study(training={"epochs": 10, "batch_size": 8})
    assert possible(values, "")["same-steps"] == {"training.steps": 50}


def test_what_trains_nothing_has_no_experiment_on_training():
    linear = study(strategies=[{"strategy": "linear"}])
    assert not {"longer", "other-seeds", "same-steps", "scaled-rate", "moving-average"} & set(possible(linear, ""))


def test_an_experiment_is_done_with_the_strategies_that_it_can_change():
    values = study()
    assert within(values, EXPERIMENTS["longer"]) == ["base-finetuned", "baseline"]
    assert within(values, EXPERIMENTS["harmonised"]) == ["linear"]
    assert list(kinds_of(values)) == ["linear", "base-finetuned", "baseline", "base-transferred"]
    assert grid_of(values, "baseline") == {"lr": [1e-3]}
    assert grid_of(values, "linear") == PENALTY_GRID
