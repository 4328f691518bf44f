"""What a sweep varies: defaults from the study, one setting an entry, and what cannot be, said before anything is fitted."""

import pytest

from neurotransfer.benchmark.study import parse_study
from neurotransfer.diagnose.experiments import as_values
from neurotransfer.diagnose.sweep import ARMS, DECAY, EARLY, MULTIPLES, PLAIN, UNITS, Sweep, filled, studies_of, swept
from neurotransfer.errors import InputError

PERCEPTRON = {
    "strategy": "perceptron",
    "grid": {"lr": [0.1, 0.001, 0.01], "depth": [1], "width": [7], "dropout": [0.5]},
}


def study(strategies=(PERCEPTRON,), columns=("a", "b"), **more):
    values = {
        "name": "small",
        "cohort": {"path": "people.tsv"},
        "tasks": {"age": {"target": "age"}},
        "strategies": list(strategies),
        "regional_columns": list(columns),
        "protocol": {"sizes": [10, 20, 40, 80, 160], "replicates": 20, "keep": "all"},
        "training": {"epochs": 12, "batch_size": 16, "steps": 100, "lr": 0.002},
        **more,
    }
    found = as_values(values)
    assert found is not None
    return found


def entries(values, part=PERCEPTRON, **sweep):
    (found,) = studies_of(values, part, Sweep(label_noise=(0.0,), **sweep)).values()
    return found["strategies"]


def test_what_is_not_given_follows_from_the_study():
    found = filled(Sweep(), study(), PERCEPTRON)
    assert found == Sweep(UNITS, (12, 48), (10, 40, 160), (0.0, 0.2))
    noisy = study(protocol={"sizes": [10, 20], "label_noise": 0.8})
    assert filled(Sweep(), noisy, PERCEPTRON).label_noise == (0.8, 0.9)
    assert filled(Sweep(), noisy, PERCEPTRON).sizes == (10, 20)
    for own, expected in ((0.1, (0.1, 0.3)), (0.95, (0.95,))):
        study_of = study(protocol={"sizes": [10], "label_noise": own})
        assert filled(Sweep(), study_of, PERCEPTRON).label_noise == expected
    given = Sweep((3,), (5,), (9,), (0.3,))
    assert filled(given, study(), PERCEPTRON) == given


def test_networks_of_the_study_are_widened_in_multiples_and_others_not_at_all():
    assert filled(Sweep(), study(), {"strategy": "baseline"}).widths == MULTIPLES
    assert filled(Sweep(), study(), {"strategy": "linear"}).widths == ()
    transformer = study(network={"architecture": "vit"})
    assert filled(Sweep(), transformer, {"strategy": "baseline"}).widths == ()


def test_every_entry_is_one_setting_of_its_arm():
    found = entries(study(), widths=(1, 4), epochs=(5, 20))
    assert len(found) == 2 * 2 + 2 * 2
    assert len({part["label"] for part in found}) == 8
    for part in found:
        assert all(len(values) == 1 for values in part["grid"].values())
        arm = next(name for name in ARMS if part["label"].startswith(name))
        grid = {name: value for name, (value,) in part["grid"].items()}
        # the middle rate, no dropout, the depth of the study
        assert (grid["lr"], grid["dropout"], grid["depth"]) == (0.01, 0.0, 1)
        assert {name: grid[name] for name in ARMS[arm][0]} == ARMS[arm][0]
        assert arm == PLAIN or grid["epochs"] == 20
    assert {(part["grid"]["width"][0], part["grid"]["epochs"][0]) for part in found if part["label"].startswith(PLAIN)} == {
        (1, 5), (1, 20), (4, 5), (4, 20),
    }  # fmt: skip


def test_what_is_solved_exactly_has_a_penalty_and_no_early_stopping():
    found = entries(study([{"strategy": "linear"}]), {"strategy": "linear"})
    assert [part["label"] for part in found] == [PLAIN, DECAY]
    assert [part["grid"] for part in found] == [{"penalty": [1e-9]}, {"penalty": [1.0]}]


def test_a_study_of_the_sweep_differs_in_nothing_else():
    values = study([PERCEPTRON, {"strategy": "linear"}])
    found = studies_of(values, PERCEPTRON, Sweep(sizes=(10, 30), label_noise=(0.0, 0.25)))
    assert list(found) == ["noise-0", "noise-0.25"]
    for noise, each in zip((0.0, 0.25), found.values(), strict=True):
        expected = {**values["protocol"], "sizes": [10, 30], "label_noise": noise, "keep": "chosen", "search": "full"}
        assert each["protocol"] == expected
        assert each["training"] == {**values["training"], "steps": 0}
        same = set(values) - {"protocol", "training", "strategies"}
        assert {name: each[name] for name in same} == {name: values[name] for name in same}
        # and it is a study, whose labels name files
        assert parse_study(each).protocol.label_noise == noise


def test_the_network_of_the_study_has_a_study_a_width():
    values = study([{"strategy": "baseline"}], columns=())
    found = studies_of(values, {"strategy": "baseline"}, Sweep(widths=(0.25, 1), epochs=(3,), label_noise=(0.1,)))
    assert {name: each["network"]["width"] for name, each in found.items()} == {
        "noise-0.1-width-0.25": 0.25, "noise-0.1-width-1": 1,
    }  # fmt: skip
    for each in found.values():
        assert [part["label"] for part in parse_study(each).model_dump()["strategies"]] == [
            f"{arm} 3 epochs" for arm in (PLAIN, EARLY, DECAY)
        ]
        assert each["strategies"][0]["grid"]["lr"] == [0.001]


def test_a_strategy_keeps_its_model_and_others_go():
    models = {"mine": {"path": "a"}, "other": {"path": "b"}}
    part = {
        "strategy": "finetuned",
        "model": "mine",
        "grid": {"lr": [0.001], "weight_decay": [0.5], "patience": [3, 9]},
    }
    values = study([part], models=models)
    (found,) = studies_of(values, part, Sweep(epochs=(4,), label_noise=(0.0,))).values()
    assert set(found["models"]) == {"mine"}
    assert {each["model"] for each in found["strategies"]} == {"mine"}
    assert found["strategies"][0]["grid"]["weight_decay"] == [0.0]
    assert found["strategies"][0]["grid"]["patience"] == [9]


def test_the_first_that_has_a_width_is_swept_and_a_perceptron_where_there_are_columns():
    baseline, linear = {"strategy": "baseline"}, {"strategy": "linear"}
    assert [part["strategy"] for part in swept(study([linear, PERCEPTRON, baseline]), False)] == ["perceptron"]
    assert swept(study([linear, PERCEPTRON]), False)[0]["grid"] == {
        name: [float(value) for value in values] for name, values in PERCEPTRON["grid"].items()
    }
    assert swept(study([linear, baseline]), False) == [{"strategy": "perceptron"}]
    assert [part["strategy"] for part in swept(study([linear, baseline], columns=()), False)] == ["baseline"]


def test_whatever_is_named_is_swept_if_it_has_something_to_vary():
    assert [part["strategy"] for part in swept(study([{"strategy": "linear"}, PERCEPTRON]), True)] == [
        "linear",
        "perceptron",
    ]
    with pytest.raises(InputError, match=r"'auto' has neither; allowed with --strategies: .*perceptron"):
        swept(study([{"strategy": "auto"}]), True)
    with pytest.raises(InputError, match="nothing has neither"):
        swept({**study(), "strategies": []}, True)


def test_without_a_width_the_sweep_says_what_it_needs():
    with pytest.raises(InputError, match=r"regional_columns, or the strategy baseline .*--strategies"):
        swept(study([{"strategy": "linear"}], columns=()), False)


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"widths": (4, 2)}, "widths are 4, 2; allowed: above 0, rising, each once"),
        ({"widths": (0, 2)}, "widths are 0, 2"),
        ({"widths": (0.5, 2)}, "whole numbers of units, got 0.5, 2"),
        ({"epochs": (0,)}, "epochs are 0; allowed: whole numbers of 1 or more"),
        ({"epochs": (1.5,)}, "epochs are 1.5"),
        ({"sizes": (20, 20)}, "sizes are 20, 20"),
        ({"label_noise": (0.2, 1.0)}, "shares of wrong labels are 0.2, 1.0; allowed: from 0 to below 1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(sweep, said):
    with pytest.raises(InputError) as error:
        studies_of(study(), PERCEPTRON, Sweep(**sweep))
    assert said in str(error.value)


def test_all_that_is_wrong_comes_at_once():
    with pytest.raises(InputError) as error:
        studies_of(study(), {"strategy": "linear"}, Sweep(widths=(1, 2), epochs=(0,), label_noise=(1.0,)))
    assert all(
        said in str(error.value)
        for said in ("epochs are", "shares of wrong labels are", "'linear' has no width to vary")
    )
