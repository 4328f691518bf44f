"""Sites that enter with size: which are in at which size, that splits come from them alone, and what is refused."""

import itertools

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import benchmark, parse_study
from neurotransfer.benchmark.by_column import entered, order_of, values_of
from neurotransfer.benchmark.plan import _pool, make_plan, split_of, targets_of, task_labels
from neurotransfer.cohort import Cohort
from neurotransfer.errors import StudyError

SIZES = {"a": 30, "b": 20, "c": 40, "d": 20}


def people(scans=1, sizes=SIZES, ill=0.5):
    """People of four sites with some scans each, of whom a share is ill in every site."""
    sites = [site for site, n in sizes.items() for _ in range(n)]
    names = [f"{site}{index:02d}" for site, n in sizes.items() for index in range(n)]
    rows = np.repeat(np.arange(len(names)), scans)
    within = np.concatenate([np.arange(n) / n for n in sizes.values()])
    table = pd.DataFrame(
        {
            "participant_id": np.array(names)[rows],
            "session_id": [str(index % scans) for index in range(len(rows))],
            "image": "t1.nii.gz",
            "mask": "",
            "site": np.array(sites)[rows],
            "age": np.random.default_rng(0).uniform(20, 80, len(rows)).round(1).astype(str),
            "ill": np.where(within[rows] < ill, "yes", "no"),
        }
    )
    return Cohort("people", table.sample(frac=1.0, random_state=1, ignore_index=True))


def study(sizes=(10, 20), order=("a", "b", "c", "d"), tasks=("age",), **protocol):
    enter = {"column": "site"} | ({"order": list(order)} if order else {})
    return parse_study(
        {
            "name": "s",
            "cohort": {"path": "x"},
            "tasks": {task: {"target": task} for task in tasks},
            "strategies": [{"strategy": "linear"}],
            "protocol": {"sizes": list(sizes), "replicates": 3, "enter": enter} | protocol,
        }
    )


def values_at(study, cohort, n, task="age"):
    target = targets_of(study, cohort)[task]
    pool = _pool(study, cohort, task, target, task_labels(study, cohort, task, target))
    return "".join(entered(study, cohort, pool, task, n)[1])


@pytest.mark.parametrize(
    ("protocol", "n", "expected"),
    [
        # n and n / 5 for validation, with replacement too: 25 + 5 = 30
        ({}, 25, "a"),
        ({}, 26, "ab"),
        ({}, 42, "ab"),
        ({}, 43, "abc"),
        # and n / 5 for test must remain: 22 + 4 + 4 of 30, 36 + 7 + 7 of 50
        ({"replacement": False}, 22, "a"),
        ({"replacement": False}, 23, "ab"),
        ({"replacement": False}, 36, "ab"),
        ({"replacement": False}, 37, "abc"),
        ({"replacement": False, "test": "rest"}, 24, "a"),
        ({"replacement": False, "test": "rest"}, 25, "ab"),
        ({"test": "people", "held_out": {"site": "d"}, "replacement": False}, 25, "a"),
        ({"test": "people", "held_out": {"site": "d"}, "replacement": False}, 26, "ab"),
        # whoever is held out has nothing to enter with
        ({"test": "people", "held_out": {"site": "a"}}, 16, "b"),
        ({"test": "people", "held_out": {"site": "a"}}, 18, "bc"),
        ({"validation": "folds"}, 30, "a"),
        ({"validation": "folds"}, 31, "ab"),
        ({"validation": "fixed", "validation_size": 15}, 15, "a"),
        ({"validation": "fixed", "validation_size": 15}, 16, "ab"),
        ({"order": ("c", "a")}, 33, "c"),
        ({"order": ("c", "a")}, 34, "ca"),
        # all that there are, and drawing says whether they are enough
        ({"order": ("b",)}, 50, "b"),
        # by the number of people, then by name
        ({"order": ()}, 33, "c"),
        ({"order": ()}, 34, "ca"),
        ({"order": ()}, 60, "cab"),
        ({"order": ()}, 80, "cabd"),
    ],
)
def test_the_fewest_first_sites_that_have_enough_are_in(protocol, n, expected):
    assert values_at(study((n,), **protocol), people(), n) == expected


@pytest.mark.parametrize(
    ("protocol", "n", "expected"),
    [
        # two scans of 30 people are 60 images
        ({}, 40, "a"),
        ({"count": "participants"}, 25, "a"),
        ({"count": "participants"}, 26, "ab"),
        ({"images": "one"}, 25, "a"),
        ({"images": "one"}, 26, "ab"),
        # 42 and 8 and 8 are less than 60, and leave nobody undrawn to validate and test
        ({"replacement": False}, 42, "ab"),
    ],
)
def test_people_and_images_are_counted_as_the_study_counts(protocol, n, expected):
    assert values_at(study((n,), **protocol), people(scans=2), n) == expected


def test_a_site_without_a_class_is_not_enough_alone():
    cohort = people()
    cohort.table.loc[cohort.table["site"] == "a", "ill"] = "no"
    design = study((20,), tasks=("ill", "age"))
    assert values_at(design, cohort, 20, "ill") == "ab"
    assert values_at(design, cohort, 20, "age") == "a"
    target = targets_of(design, cohort)["ill"]
    for replicate in range(5):
        split = split_of(design, cohort, "ill", target, 20, replicate)
        labels = cohort.labels(target)
        assert all(set(labels[part]) == {0.0, 1.0} for part in (split.train, split.validation, split.test))


@pytest.mark.parametrize(
    ("test", "replacement", "validation", "stratify", "task"),
    itertools.product(("fifth", "rest", "people"), (True, False), ("fifth", "folds"), (False, True), ("age", "ill")),
)
def test_every_part_comes_from_the_sites_that_are_in(test, replacement, validation, stratify, task):
    held = {"held_out": 0.2} if test == "people" else {}
    design = study((10, 20, 66), tasks=("age", "ill"), test=test, replacement=replacement, validation=validation,
                   stratify=stratify, **held)  # fmt: skip
    cohort = people(scans=2)
    sites, target = values_of(cohort, "site"), targets_of(design, cohort)[task]
    before = 0
    for n in design.protocol.sizes:
        found = {replicate: split_of(design, cohort, task, target, n, replicate) for replicate in range(3)}
        (values,) = {split.entered for split in found.values()}
        assert values == tuple("abcd")[: len(values)]
        assert before <= len(values)
        before = len(values)
        for split in found.values():
            learnt = {*sites[split.train], *sites[split.validation]}
            assert learnt <= set(values)
            assert len(split.train) == n
            if test == "people":
                assert set(sites[split.test]) == set("abcd")
            else:
                assert set(sites[split.test]) <= set(values)
    assert before > 1


def test_without_a_column_nothing_is_otherwise_and_with_all_in_neither():
    cohort = people()
    design = study((50,))
    plain = design.model_copy(update={"protocol": design.protocol.model_copy(update={"enter": None})})
    target = targets_of(plain, cohort)["age"]
    whole = study((80,))
    for one, other in ((plain, plain), (plain, whole)):
        n = other.protocol.sizes[0]
        first, second = (split_of(each, cohort, "age", target, n, 0) for each in (one, other))
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(first, part), getattr(second, part))
    assert split_of(plain, cohort, "age", target, 50, 0).entered == ()
    assert split_of(whole, cohort, "age", target, 80, 0).entered == tuple("abcd")


def test_rows_without_a_value_never_enter():
    cohort = people()
    cohort.table.loc[cohort.table["site"] == "c", "site"] = None
    design = study((20, 40), order=())
    assert order_of(cohort, design.protocol.enter) == ("a", "b", "d")
    target = targets_of(design, cohort)["age"]
    for n in (20, 40):
        split = split_of(design, cohort, "age", target, n, 0)
        assert (values_of(cohort, "site")[np.concatenate([split.train, split.validation, split.test])] != "").all()


def test_numbers_are_values_too():
    cohort = people()
    cohort.table["site"] = cohort.table["site"].map({"a": 1, "b": 2, "c": 3, "d": 4})
    assert values_at(study((26,), order=("1", "2")), cohort, 26) == "12"


@pytest.mark.parametrize(
    ("enter", "said"),
    [
        ({"column": "sites"}, r"unknown column of enter 'sites'; allowed: .*; did you mean 'site'"),
        ({"column": "site", "order": ["a", "x"]}, r"unknown value of enter, column 'site', 'x'; allowed: a, b, c, d"),
    ],
)
def test_columns_and_values_that_are_not_there_are_refused(enter, said):
    with pytest.raises(StudyError, match=said):
        make_plan(study(enter=enter), people(), {})


def test_people_of_two_sites_are_refused():
    cohort = people(scans=2)
    for name in ("b01", "a05"):
        first = int(np.flatnonzero(cohort.participants == name)[0])
        cohort.table.loc[first, "site"] = "d"
    with pytest.raises(
        StudyError, match="enter, column 'site': 2 participants with rows of two values: a05, b01; give a column"
    ):
        make_plan(study(), cohort, {})


def test_a_size_for_which_all_sites_are_too_few_is_refused_as_ever():
    with pytest.raises(StudyError, match="n = 60 is not possible: allowed are 2 to 50, the images in the pool"):
        make_plan(study((10, 60), order=("a", "b")), people(), {})
    with pytest.raises(StudyError, match="n = 40 leaves too few people of a pool of 50"):
        make_plan(study((10, 40), order=("a", "b"), replacement=False), people(), {})


def test_the_plan_tells_which_sites_are_in_at_which_size():
    notes = make_plan(study((10, 40, 80), tasks=("age",), label_noise=0.25), people(), {}).notes
    assert "site enters with size in age: n = 10: a, n = 40: a+b, n = 80: a+b+c+d" in notes
    assert any(
        note.startswith("25% of the participants have a wrong label in training and validation") for note in notes
    )
    assert not any("enters" in note for note in make_plan(study((10,), enter=None), people(), {}).notes)


def test_the_results_say_for_every_cell_which_sites_were_in(tmp_path):
    cohort = people()
    table = cohort.table.drop(columns=["image", "mask"]).assign(
        volume=np.random.default_rng(2).normal(size=len(cohort))
    )
    table.to_csv(tmp_path / "people.csv", index=False)
    values = study((10, 26), label_noise=0.1).model_dump(mode="json") | {"regional_columns": ["volume"]}
    values["cohort"] = {"path": "people.csv", "images": False}
    run = benchmark(parse_study(values), tmp_path / "run", data=tmp_path)
    assert run.results.groupby("n")["entered"].unique().map(list).to_dict() == {10: ["a"], 26: ["a+b"]}
    values["protocol"]["enter"] = None
    assert set(benchmark(parse_study(values), tmp_path / "all", data=tmp_path).results["entered"]) == {""}
