"""Plans: cells, splits that are the same for every strategy, and refusals before anything long begins."""

import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import parse_study
from neurotransfer.benchmark.by_column import held_out_rows
from neurotransfer.benchmark.plan import (
    Cell,
    drawable_sizes,
    headline,
    learnt_labels,
    make_plan,
    split_of,
    targets_of,
    task_labels,
)
from neurotransfer.cohort import Cohort, check_split, is_selection
from neurotransfer.errors import StudyError
from neurotransfer.models.card import Card


def people(n=60, patients=20, second=10):
    ids = [f"p{index:02d}" for index in range(n)] + [f"p{index:02d}" for index in range(second)]
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "participant_id": ids,
            "session_id": ["1"] * n + ["2"] * second,
            "image": "t1.nii.gz",
            "mask": "",
            "site": "a",
            "age": generator.uniform(20, 80, n + second).round(1).astype(str),
            "ill": ["yes" if int(name[1:]) < patients else "no" for name in ids],
        }
    )
    return Cohort("people", table)


def study(**more):
    values = {
        "name": "s",
        "cohort": {"path": "x"},
        "tasks": {"age": {"target": "age"}, "ill": {"target": "ill"}},
        "strategies": [{"strategy": "baseline"}, {"strategy": "linear"}],
        "protocol": {"sizes": [10, 20], "replicates": 3},
    }
    return parse_study(values | more)


def test_cells_are_every_task_size_replicate_and_strategy():
    plan = make_plan(study(), people(), {})
    assert len(plan.cells) == 2 * 2 * 3 * 2
    assert len(set(plan.cells)) == len(plan.cells)
    assert plan.n_fits == 2 * 2 * 3 * (9 + 9)
    assert len({cell.path for cell in plan.cells}) == len(plan.cells)


def test_a_split_is_a_matter_of_seed_task_size_and_replicate_alone():
    cohort, plan = people(), make_plan(study(), people(), {})
    target = plan.targets["age"]
    one = split_of(plan.study, cohort, "age", target, 10, 0)
    again = split_of(study(strategies=[{"strategy": "voxels"}]), cohort, "age", target, 10, 0)
    np.testing.assert_array_equal(one.train, again.train)
    np.testing.assert_array_equal(one.test, again.test)
    for other in (
        split_of(plan.study, cohort, "age", target, 10, 1),
        split_of(study(seed=1), cohort, "age", target, 10, 0),
    ):
        assert not np.array_equal(one.train, other.train)


@pytest.mark.parametrize("test", ["fifth", "rest"])
@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("task", ["age", "ill"])
def test_splits_follow_the_protocol(test, stratify, task):
    plan = make_plan(
        study(protocol={"sizes": [10, 20], "replicates": 5, "test": test, "stratify": stratify}), people(), {}
    )
    cohort, target = people(), plan.targets[task]
    for n in (10, 20):
        for replicate in range(5):
            split = check_split(split_of(plan.study, cohort, task, target, n, replicate), cohort.participants)
            assert len(split.train) == n
            assert len(split.validation) == n // 5
            if test == "fifth":
                assert len(split.test) == n // 5
            else:
                used = set(cohort.participants[np.concatenate([split.train, split.validation])])
                rest = [row for row, person in enumerate(cohort.participants) if person not in used]
                assert list(split.test) == rest
            if task == "ill":
                for part in (split.train, split.validation, split.test):
                    assert set(cohort.labels(target)[part]) == {0.0, 1.0}


@pytest.mark.parametrize("task", ["age", "ill"])
def test_the_same_people_have_wrong_labels_whatever_the_size_and_replicate_and_no_split_changes(task):
    cohort, clean = people(), study()
    target = targets_of(clean, cohort)[task]
    labels = task_labels(clean, cohort, task, target)
    wrong = study(protocol=clean.protocol.model_dump() | {"label_noise": 0.25})
    assert learnt_labels(clean, cohort, task, target, labels) is labels
    found = learnt_labels(wrong, cohort, task, target, labels)
    assert len(set(cohort.participants[found != labels])) == 15
    others = learnt_labels(wrong, cohort, "another task", target, labels)
    assert not np.array_equal(found, others)
    moved = learnt_labels(wrong.model_copy(update={"seed": 9}), cohort, task, target, labels)
    assert not np.array_equal(found, moved)
    np.testing.assert_array_equal(
        found, learnt_labels(wrong.model_copy(update={"fit_seed": 9}), cohort, task, target, labels)
    )
    kept = 0
    for n, replicate in itertools.product((10, 20), range(10)):
        one, other = (split_of(each, cohort, task, target, n, replicate) for each in (clean, wrong))
        parts = (other.train, other.validation)
        assert task == "age" or all(set(found[part]) == {0.0, 1.0} for part in parts)
        assert task == "age" or all(set(labels[part]) == {0.0, 1.0} for part in (*parts, other.test))
        if task == "age" or all(set(found[part]) == {0.0, 1.0} for part in (one.train, one.validation)):
            kept += 1
            for part in ("train", "validation", "test"):
                np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert kept == 20 if task == "age" else 10 <= kept < 20


def test_rows_without_a_label_are_never_used():
    cohort = people()
    cohort.table.loc[::4, "age"] = "n/a"
    plan = make_plan(study(), cohort, {})
    labels = cohort.labels(plan.targets["age"])
    for replicate in range(3):
        split = split_of(plan.study, cohort, "age", plan.targets["age"], 20, replicate)
        assert np.isfinite(labels[np.concatenate([split.train, split.validation, split.test])]).all()


def test_sizes_that_cannot_be_are_all_said_before_the_run():
    with pytest.raises(StudyError) as raised:
        make_plan(study(protocol={"sizes": [10, 69, 500], "replicates": 2}), people(), {})
    message = str(raised.value)
    assert "n = 500 is not possible: allowed are 2 to 70" in message
    assert message.count("task 'age'") >= 1
    assert message.count("task 'ill'") >= 1


def test_a_class_with_too_few_people():
    with pytest.raises(StudyError, match="has 2 participants"):
        make_plan(study(), people(patients=2), {})


def test_targets_and_subgroups_that_are_not_there():
    with pytest.raises(StudyError) as raised:
        targets_of(
            study(tasks={"a": {"target": "agee"}, "b": {"target": "ill", "score": "mae"}}, subgroup="grp"), people()
        )
    message = str(raised.value)
    assert "did you mean 'age'" in message
    assert "unknown score 'mae'" in message
    assert "unknown subgroup column 'grp'" in message


def test_a_target_among_the_regional_columns_is_refused():
    with pytest.raises(StudyError, match="task 'age': its target 'age' is a regional column; leave it out"):
        make_plan(study(regional_columns=["age"]), people(), {})


def test_the_score_shown_is_the_task_s_or_the_kind_s():
    one = study(tasks={"age": {"target": "age", "score": "mae"}, "ill": {"target": "ill"}})
    targets = targets_of(one, people())
    assert headline(one, "age", targets["age"]) == "mae"
    assert headline(one, "ill", targets["ill"]) == "auc"


def test_transferred_is_left_out_where_the_model_knows_no_such_target_and_the_plan_says_so():
    models = {"m": {"cohort": {"path": "other"}, "targets": ["age"]}}
    strategies = [{"strategy": "transferred", "model": "m"}, {"strategy": "linear"}]
    plan = make_plan(study(models=models, strategies=strategies), people(), {})
    assert {cell.task for cell in plan.cells if cell.strategy == "m-transferred"} == {"age"}
    assert any("m-transferred is left out of ill" in note for note in plan.notes)


def test_cells_are_ordered_and_named():
    assert Cell("age", 10, 3, "baseline").path == "age/10/0003-baseline.json"
    assert Cell("age", 10, 3, "baseline") < Cell("age", 10, 4, "baseline")


def test_strategies_on_images_are_refused_without_images():
    cohort = people()
    cohort = Cohort("people", cohort.table.assign(image=""))
    with pytest.raises(StudyError, match=r"(?s)'baseline' needs images.*'linear' needs images"):
        make_plan(study(), cohort, {})
    table = study(strategies=[{"strategy": "linear"}], regional_columns=["age"], tasks={"ill": {"target": "ill"}})
    assert len(make_plan(table, cohort, {}).cells) == 2 * 3


def test_a_study_of_nothing_is_refused_with_the_reason():
    models = {"other": {"cohort": {"path": "y"}, "targets": ["height"]}}
    only = study(strategies=[{"strategy": "transferred", "model": "other"}], models=models)
    with pytest.raises(StudyError, match=r"(?s)nothing to run.*other was not trained on age"):
        make_plan(only, people(), {})


def test_sizes_whose_fifth_is_one_image_are_refused():
    with pytest.raises(StudyError, match="8 or more"):
        study(protocol={"sizes": [7, 20], "replicates": 3})


def test_a_model_from_otherwise_aligned_scans_is_told():
    def card(alignment):
        source = {"name": "clinic", "alignment": alignment, "n_images": 3, "n_participants": 3}
        return Card("m", "sfcn", {}, (), None, provenance={"cohorts": [source]})

    assert make_plan(study(), people(), {"same": card("world")}).notes == ()
    (note,) = make_plan(study(), people(), {"multi": card("centre")}).notes
    assert note.startswith("model multi was made from scans of clinic with alignment centre")


def test_a_task_may_take_some_rows_alone():
    asked = study(tasks={"age": {"target": "age"}, "patients": {"target": "age", "where": {"ill": "yes"}}})
    cohort, plan = people(n=90, patients=60), make_plan(asked, people(n=90, patients=60), {})
    ill = cohort.table["ill"].to_numpy() == "yes"
    labels = task_labels(asked, cohort, "patients", plan.targets["patients"])
    np.testing.assert_array_equal(~np.isnan(labels), ill)
    np.testing.assert_array_equal(labels[ill], task_labels(asked, cohort, "age", plan.targets["age"])[ill])
    for replicate in range(3):
        split = split_of(asked, cohort, "patients", plan.targets["patients"], 20, replicate)
        assert all(ill[part].all() for part in (split.train, split.validation, split.test))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"il": "yes"}, "unknown column of where 'il'"),
        ({"ill": "Yes"}, "unknown value of where, column 'ill', 'Yes'"),
    ],
)
def test_rows_that_are_not_there_are_told(where, said):
    with pytest.raises(StudyError) as error:
        make_plan(study(tasks={"age": {"target": "age", "where": where}}), people(), {})
    assert said in str(error.value)


def test_people_on_whom_a_model_was_chosen_are_never_tested_and_the_plan_says_so():
    asked = study(protocol={"sizes": [10], "replicates": 5, "test": "rest", "selection": 0.4})
    cohort, plan = people(), make_plan(asked, people(), {})
    chosen = is_selection(cohort.participants, 0.4, asked.seed)
    assert 0 < chosen.sum() < len(chosen)
    for task, target in plan.targets.items():
        for replicate in range(5):
            assert not chosen[split_of(asked, cohort, task, target, 10, replicate).test].any()
    n = len(set(cohort.participants[chosen]))
    assert any(note.startswith(f"{n} of 60 participants are those on whom a model was chosen") for note in plan.notes)
    assert not any("was chosen" in note for note in make_plan(study(), people(), {}).notes)


# --- the choices of the protocol


def digest_of(splits):
    found = hashlib.sha256()
    for split in splits:
        for part in (split.train, split.validation, split.test):
            found.update(np.array([len(part), *part], "<i8").tobytes())
    return found.hexdigest()[:16]


def all_splits(asked, cohort, sizes=(10, 20), replicates=4):
    for task, target in targets_of(asked, cohort).items():
        for n, replicate in itertools.product(sizes, range(replicates)):
            yield split_of(asked, cohort, task, target, n, replicate)


@pytest.mark.parametrize(
    ("test", "selection", "stratify", "digest"),
    [
        ("fifth", 0, False, "6907f6cf2a1900a1"),
        ("fifth", 0, True, "f9b3b6f90b77e6a8"),
        ("fifth", 0.4, False, "48864d74ca0fb47b"),
        ("fifth", 0.4, True, "54faa0d39fca4e5e"),
        ("rest", 0, False, "f290744ee248f65f"),
        ("rest", 0, True, "1de4519a73f31718"),
        ("rest", 0.4, False, "5786937a20bd4460"),
        ("rest", 0.4, True, "07a07251b5459415"),
    ],
)
def test_splits_of_the_talk_are_those_of_the_published_results(test, selection, stratify, digest):
    kept = {"sizes": [10, 20], "replicates": 4, "test": test, "selection": selection, "stratify": stratify}
    cohort = people()
    cohort.table.loc[::9, "age"] = "n/a"
    assert digest_of(all_splits(study(protocol=kept), cohort)) == digest
    # nor do choices matter that are of no split
    kept |= {"choose": "loss", "keep": "all", "search": "halving"}
    assert digest_of(all_splits(study(protocol=kept), cohort)) == digest


@pytest.mark.parametrize("held_out", [0.3, {"group": "later"}])
@pytest.mark.parametrize("images", ["all", "one"])
def test_held_out_people_are_the_test_of_every_replicate_and_never_in_training(held_out, images):
    cohort = people()
    cohort.table["group"] = np.where(cohort.participants >= "p40", "later", "first")
    cohort.table.loc[::9, "age"] = "n/a"
    chosen = {"test": "people", "held_out": held_out, "images": images}
    asked = study(tasks={"age": {"target": "age"}}, protocol={"sizes": [10, 20], "replicates": 4, **chosen})
    held = held_out_rows(asked, cohort)
    assert 0 < held.sum() < len(cohort) / 2
    if isinstance(held_out, dict):
        np.testing.assert_array_equal(held, cohort.participants >= "p40")
    plan = make_plan(asked, cohort, {})
    known = ~np.isnan(task_labels(asked, cohort, "age", plan.targets["age"]))
    for split in all_splits(asked, cohort):
        assert set(cohort.participants[split.test]) == set(cohort.participants[held & known])
        assert images == "one" or set(split.test) == set(np.flatnonzero(held & known))
        assert not held[np.concatenate([split.train, split.validation])].any()
    n = len(set(cohort.participants[held]))
    assert any(note.startswith(f"{n} of 60 participants are held out") for note in plan.notes)


def test_the_same_people_are_held_out_for_every_task_and_when_the_cohort_shrinks():
    asked = study(protocol={"sizes": [10], "replicates": 2, "test": "people", "held_out": 0.3})
    cohort = people()
    held = held_out_rows(asked, cohort)
    fewer = np.arange(0, len(cohort), 2)
    np.testing.assert_array_equal(held_out_rows(asked, cohort.rows(fewer)), held[fewer])
    assert (held_out_rows(study(seed=1, protocol=asked.protocol.model_dump()), cohort) != held).any()
    assert held_out_rows(study(), cohort) is None


def test_whoever_was_chosen_on_and_is_held_out_is_neither_trained_on_nor_tested():
    chosen = {"sizes": [10], "replicates": 5, "test": "people", "held_out": 0.5, "selection": 0.4}
    asked, cohort = study(protocol=chosen), people()
    selection = is_selection(cohort.participants, 0.4, asked.seed)
    held = held_out_rows(asked, cohort)
    assert (held & selection).any()
    for split in all_splits(asked, cohort, (10,), 5):
        assert not selection[split.test].any()
        assert not held[split.train].any()
        assert not held[split.validation].any()


def test_folds_take_the_place_of_validation_and_keep_people_together():
    asked = study(protocol={"sizes": [10, 20], "replicates": 3, "validation": "folds", "folds": 4, "stratify": True})
    cohort = people()
    make_plan(asked, cohort, {})
    for split in all_splits(asked, cohort, replicates=3):
        assert len(split.validation) == 0
        assert set(split.folds) == {0, 1, 2, 3}
        check_split(split, cohort.participants)


def test_independent_people_are_n_with_one_image_each():
    asked, cohort = study(protocol={"name": "independent-people", "sizes": [10, 20], "replicates": 3}), people()
    make_plan(asked, cohort, {})
    for split, n in zip(
        all_splits(asked, cohort, replicates=3), [10] * 3 + [20] * 3 + [10] * 3 + [20] * 3, strict=True
    ):
        assert len(split.train) == len(set(cohort.participants[split.train])) == n
        assert len(split.test) == len(set(cohort.participants[split.test]))


def test_no_choice_of_a_split_depends_on_the_order_of_the_keys():
    chosen = {"sizes": [10], "replicates": 2, "images": "one", "validation": "folds", "folds": 3, "test": "rest"}
    one, other = (study(protocol=dict(keys)) for keys in (chosen.items(), reversed(chosen.items())))
    assert digest_of(all_splits(one, people())) == digest_of(all_splits(other, people()))


def test_sizes_are_counted_in_the_unit_that_was_asked_for():
    protocol = {"sizes": [61], "replicates": 1, "count": "participants"}
    with pytest.raises(StudyError, match="allowed are 2 to 60, the participants in the pool"):
        make_plan(study(protocol=protocol), people(), {})
    with pytest.raises(
        StudyError, match=r"n = 50 leaves too few people .*smaller sizes, .*replacement = true or a larger"
    ):
        make_plan(study(protocol=protocol | {"sizes": [50], "replacement": False}), people(), {})
    with pytest.raises(StudyError, match=r"for 20 folds and 2 test images.*fewer folds"):
        make_plan(study(protocol={"sizes": [10], "validation": "folds", "folds": 20}), people(), {})


def test_all_that_is_wrong_with_who_is_held_out_is_said_at_once():
    cohort = people()
    cohort.table["visit"] = ["1"] * 60 + ["2"] * 10
    chosen = {"sizes": [10], "test": "people", "held_out": {"sit": "a", "visit": "2", "ill": "perhaps"}}
    with pytest.raises(StudyError) as error:
        make_plan(study(protocol=chosen, subgroup="grp"), cohort, {})
    message = str(error.value)
    assert message.startswith("4 problems")
    assert "unknown column of held_out 'sit'; allowed:" in message
    assert "unknown value of held_out, column 'ill', 'perhaps'; allowed: no, yes" in message
    assert (
        "held_out, column 'visit': 10 participants with rows that are '2' and rows that are not: p00, p01, p02, p03, p04; "
        "give a column that all rows of a person agree in"
    ) in message
    assert "subgroup column" in message


def test_numbers_and_gaps_in_a_column_of_held_out_are_read_as_text():
    cohort = people(second=0)
    cohort.table["wave"] = [3.0, np.nan] * 30
    asked = study(protocol={"sizes": [10], "test": "people", "held_out": {"wave": "3"}})
    np.testing.assert_array_equal(held_out_rows(asked, cohort), np.arange(60) % 2 == 0)
    assert not list(targets_of(asked, cohort).keys() ^ {"age", "ill"})


def test_splits_that_were_drawn_need_not_be_drawn_again():
    impossible = study(protocol={"sizes": [500], "replicates": 1})
    assert make_plan(study(), people(), {}, draw=False) == make_plan(study(), people(), {})
    assert len(make_plan(impossible, people(), {}, draw=False).cells) == 4
    with pytest.raises(StudyError, match="n = 500 is not possible"):
        make_plan(impossible, people(), {})
    # what is no matter of drawing is held against the cohort all the same
    with pytest.raises(StudyError, match="unknown column of held_out"):
        make_plan(study(protocol={"sizes": [10], "test": "people", "held_out": {"x": "1"}}), people(), {}, draw=False)


def test_sizes_that_cannot_be_drawn_for_one_task_are_not_among_those_that_can():
    sized = study(protocol={"sizes": [10, 20, 40, 65], "replicates": 3, "replacement": False})
    assert drawable_sizes(sized, people()) == (10, 20, 40)
    # 20 of 70 rows are of the one class in one part at least: fewer ill people, fewer sizes
    few = people(patients=2)
    assert drawable_sizes(sized, few) == ()
    only_age = study(tasks={"age": {"target": "age"}}, protocol={"sizes": [10, 40, 80], "replicates": 2})
    assert drawable_sizes(only_age, few) == (10, 40)
    with pytest.raises(StudyError, match="unknown"):
        drawable_sizes(study(tasks={"bmi": {"target": "bmi"}}), few)
