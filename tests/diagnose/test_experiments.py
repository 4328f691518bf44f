"""The table of experiments: each changes its one choice, of what a study has to change, and gives a study that can be read."""

import pytest

from neurotransfer.benchmark.study import parse_study
from neurotransfer.benchmark.variants import changed
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.experiments import EXPERIMENTS, beyond, grid_of, kinds_of, possible, within
from neurotransfer.diagnose.sites import ANY_SITES, NO_SITES, Sites
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
    values = study(
        strategies=[{"strategy": "linear"}, {"strategy": "perceptron"}, {"strategy": "baseline"}],
        regional_columns=["hippocampus"],
        protocol={"sizes": [20, 40, 80], "replicates": 3},
    )
    changes = possible(values, ANY_SITES).get(name)
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
    changes = possible(study(), NO_SITES)["wider-grid"]
    assert set(changes) == {"strategies.linear.grid", "strategies.base-finetuned.grid"}
    assert len(changes["strategies.linear.grid"]["penalty"]) == len(PENALTY_GRID["penalty"]) + 4
    finetuned = changes["strategies.base-finetuned.grid"]
    assert len(finetuned["lr"]) == 7
    # a share has no ratio to go on with
    assert finetuned["dropout"] == [0.0, 0.25, 0.5]


def test_a_strong_penalty_is_tried_where_none_was():
    weak = study(strategies=[{"strategy": "linear", "grid": {"penalty": [1e-9]}}])
    penalties = possible(weak, NO_SITES)["regularised"]["strategies.linear.grid"]["penalty"]
    assert penalties == sorted(penalties)
    assert max(penalties) == 1000.0
    strong = study(strategies=[{"strategy": "linear"}])
    assert "regularised" not in possible(strong, NO_SITES)


def test_weights_decay_where_networks_are_trained():
    changes = possible(study(), NO_SITES)["regularised"]
    assert changes["strategies.base-finetuned.grid"]["weight_decay"] == [0.01, 0.1, 1.0]
    assert changes["strategies.baseline.grid"] == {"lr": [1e-3], "weight_decay": [0.01, 0.1, 1.0]}


def test_the_network_of_the_study_is_made_wider_and_one_that_is_given_is_not():
    assert possible(study(network={"width": 0.25}), NO_SITES)["wider-network"] == {"network.width": 1.0}
    only_given = study(strategies=[{"strategy": "finetuned", "model": "base"}])
    assert "wider-network" not in possible(only_given, NO_SITES)
    from_model = study(strategies=[{"strategy": "baseline", "model": "base"}])
    assert "wider-network" not in possible(from_model, NO_SITES)


def test_nothing_is_changed_to_what_it_is():
    done = study(
        protocol={
            "sizes": [20, 40, 80], "replicates": 3, "replacement": False, "images": "one", "validation": "folds",
            "test": "people", "held_out": 0.3,
        }
    )  # fmt: skip
    assert not {"independent", "one-image", "folds", "fixed-test"} & set(possible(done, NO_SITES))
    assert possible(done, NO_SITES)["other-choice"] == {"protocol.choose": "loss"}


def test_folds_leave_nothing_behind_that_contradicts_them():
    values = study(protocol={"sizes": [20, 40, 80], "replicates": 3, "validation": "fixed", "validation_size": 6})
    after = parse_study(changed(values, possible(values, NO_SITES)["folds"]))
    assert after.protocol.validation == "folds"


def test_sites_need_a_column_and_a_strategy_on_features():
    assert "harmonised" not in possible(study(), NO_SITES)
    assert possible(study(), Sites("scanner"))["harmonised"] == {"protocol.harmonise": "scanner"}
    networks = study(strategies=[{"strategy": "finetuned", "model": "base"}])
    assert "harmonised" not in possible(networks, Sites("scanner"))
    folds = study(protocol={"sizes": [20, 40, 80], "replicates": 3, "validation": "folds"})
    assert "harmonised" not in possible(folds, Sites("scanner"))


FOUR = Sites("scanner", (("d", 60), ("a", 40), ("b", 30), ("c", 2)), ("d", "a", "b"))


def test_the_largest_site_alone_and_the_middle_one_that_can_be_tested_held_out():
    changes = possible(study(), FOUR)
    assert changes["one-site"] == {"tasks.sex.where": {"scanner": "d"}}
    # c has too few people of a class
    assert changes["site-held-out"] == {"protocol.held_out": {"scanner": "a"}, "protocol.test": "people"}
    held_out = parse_study(changed(study(), changes["site-held-out"])).protocol
    assert (held_out.test, held_out.held_out) == ("people", {"scanner": "a"})


def test_one_site_keeps_what_a_task_takes_and_loses_what_is_between_sites():
    values = study(
        tasks={"sex": {"target": "sex", "where": {"group": "old"}}, "age.years": {"target": "age"}},
        protocol={"sizes": [20], "replicates": 2, "harmonise": "scanner", "enter": {"column": "scanner"}},
    )
    after = parse_study(changed(values, possible(values, FOUR)["one-site"]))
    assert after.tasks["sex"].where == {"group": "old", "scanner": "d"}
    assert after.tasks["age.years"].where == {"scanner": "d"}
    assert after.protocol.enter is None
    assert after.protocol.harmonise is None


@pytest.mark.parametrize("sites", [NO_SITES, Sites("scanner"), Sites("scanner", (("a", 40),), ("a",))], ids=str)
def test_without_two_sites_there_is_nothing_to_hold_out(sites):
    assert not {"one-site", "site-held-out"} & set(possible(study(), sites))


def test_sites_none_of_which_has_all_classes_are_not_held_out():
    changes = possible(study(), Sites("scanner", (("a", 40), ("b", 30)), ()))
    assert "one-site" in changes
    assert "site-held-out" not in changes


@pytest.mark.parametrize(
    "done",
    [
        {"tasks": {"sex": {"target": "sex", "where": {"scanner": "a"}}}},
        {"protocol": {"sizes": [20], "replicates": 2, "test": "people", "held_out": {"scanner": "b"}}},
    ],
    ids=["one site", "a site held out"],
)
def test_a_study_of_one_site_or_with_one_held_out_is_not_changed_again(done):
    assert not {"one-site", "site-held-out"} & set(possible(study(**done), FOUR))


def test_a_deeper_network_has_twice_the_layers_of_what_has_layers_to_choose():
    columns = {"regional_columns": ["hippocampus"]}
    usual = study(strategies=[{"strategy": "perceptron"}], **columns)
    assert possible(usual, NO_SITES)["deeper-network"]["strategies.perceptron.grid"]["depth"] == [4]
    given = study(strategies=[{"strategy": "perceptron", "grid": {"lr": [0.01], "depth": [1, 3]}}], **columns)
    assert possible(given, NO_SITES)["deeper-network"] == {
        "strategies.perceptron.grid": {"lr": [0.01], "depth": [2, 6]}
    }
    residual = study(network={"architecture": "resnet10"})
    assert possible(residual, NO_SITES)["deeper-network"] == {"network.architecture": "resnet18"}
    # the plain network has one depth, and one that is given has its own
    assert "deeper-network" not in possible(study(), NO_SITES)
    only_given = study(network={"architecture": "resnet10"}, strategies=[{"strategy": "finetuned", "model": "base"}])
    assert "deeper-network" not in possible(only_given, NO_SITES)


def test_experiments_on_a_study_with_everything_can_all_be_read():
    full = study(
        protocol={
            "name": "independent-people", "sizes": [20, 40, 80], "replicates": 3, "keep": "all", "label_noise": 0.1,
            "enter": {"column": "site"},
        },
        training={"epochs": 5, "steps": 100, "lr_growth": 0.5, "settle": False},
        fit_seed=3,
    )  # fmt: skip
    for changes in possible(full, ANY_SITES).values():
        parse_study(changed(full, changes))


def test_steps_are_those_of_the_middle_size():
    values = study(training={"epochs": 10, "batch_size": 8})
    assert possible(values, NO_SITES)["same-steps"] == {"training.steps": 50}


def test_what_trains_nothing_has_no_experiment_on_training():
    linear = study(strategies=[{"strategy": "linear"}])
    assert not {"longer", "other-seeds", "same-steps", "scaled-rate", "moving-average"} & set(
        possible(linear, NO_SITES)
    )


def test_an_experiment_is_done_with_the_strategies_that_it_can_change():
    values = study()
    assert within(values, EXPERIMENTS["longer"]) == ["base-finetuned", "baseline"]
    assert within(values, EXPERIMENTS["harmonised"]) == ["linear"]
    assert list(kinds_of(values)) == ["linear", "base-finetuned", "baseline", "base-transferred"]
    assert grid_of(values, "baseline") == {"lr": [1e-3]}
    assert grid_of(values, "linear") == PENALTY_GRID
