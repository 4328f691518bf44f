"""Plans: cells, splits that are the same for every strategy, and refusals before anything long begins."""

import numpy as np
import pandas as pd
import pytest

from neurotransfer.benchmark import parse_study
from neurotransfer.benchmark.plan import Cell, headline, make_plan, split_of, targets_of, task_labels
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
