"""What share of labels may be wrong: planted ones are found, clean ones are not, and weak predictions give a bound alone."""

import made_up
import made_up_people
import numpy as np
import pytest

from neurotransfer.diagnose.case import cases_of
from neurotransfer.diagnose.wrong_labels import LEAST_AUC, NOISE, OVERLAP, UNSURE, wrong_labels
from neurotransfer.report.folder import read_run


def found_of(folder, table, probability, **more):
    run = read_run(made_up_people.write_run(folder, table, probability, **more))
    return wrong_labels(run, cases_of(run))


def flipped(table, share, seed=1):
    """Some people with the wrong label, and who they are."""
    wrong = np.random.default_rng(seed).random(len(table)) < share
    other = np.where(table["diagnosis"] == "patient", "control", "patient")
    return table.assign(diagnosis=np.where(wrong, other, table["diagnosis"])), wrong


def test_planted_wrong_labels_are_found_and_who_has_them(tmp_path):
    table = made_up_people.people(400, apart=4.0)
    noisy, wrong = flipped(table, 0.1)
    found, untold = found_of(tmp_path / "run", noisy, made_up_people.predicted(table, 4.0))
    labels = found["diagnosis"]
    assert untold == []
    assert labels.verdict == NOISE
    assert labels.share.low < wrong.mean() < labels.share.high
    assert labels.share.value == pytest.approx(0.1, abs=0.04)
    assert labels.p < 0.01
    names = set(table["participant_id"][wrong])
    listed = labels.doubtful["participant_id"]
    assert len(names & set(listed)) > 0.8 * len(names & set(table["participant_id"]))
    assert len(set(listed) - names) < 0.3 * len(listed)
    assert (labels.doubtful["given"] != labels.doubtful["likely"]).all()
    assert (labels.doubtful["doubt"].diff().dropna() <= 1e-9).all()


def test_clean_labels_are_called_clean_though_classes_overlap(tmp_path):
    table = made_up_people.people(400, apart=2.5)
    labels = found_of(tmp_path / "run", table, made_up_people.predicted(table, 2.5))[0]["diagnosis"]
    assert labels.verdict == OVERLAP
    assert labels.share.value < 0.03
    assert labels.share.low == 0
    # what confident learning counts is overlap
    assert labels.counted.value == pytest.approx(labels.expected.value, abs=0.04)
    assert labels.counted.value > 0.03


def test_weak_predictions_give_a_bound_and_no_estimate(tmp_path):
    table = made_up_people.people(300, apart=0.7)
    labels = found_of(tmp_path / "run", table, made_up_people.predicted(table, 0.7))[0]["diagnosis"]
    assert labels.auc < LEAST_AUC
    assert labels.verdict == UNSURE
    assert np.isnan(labels.share.value)
    assert 0 < labels.share.high <= 0.5


def test_the_predictions_are_of_the_best_on_validation_at_the_largest_size(tmp_path):
    table = made_up_people.people(200)
    folder = made_up_people.write_run(
        tmp_path / "run", table, made_up_people.predicted(table), strategies=("worse", "better")
    )
    run = read_run(folder)
    run.results.loc[run.results["strategy"] == "better", "validation_auc"] += 0.05
    # test scores choose nothing
    run.results.loc[run.results["strategy"] == "better", "test_auc"] -= 0.3
    labels = wrong_labels(run, cases_of(run))[0]["diagnosis"]
    assert (labels.strategy, labels.n) == ("better", made_up_people.SIZES[-1])


def test_three_classes(tmp_path):
    table = made_up_people.people(300)
    task = made_up.Task("stage", "Stage", "categorical", ("x", "y", "z"), "", "auc", "stage")
    classes = np.arange(300) % 3
    table = table.assign(stage=np.array(task.classes)[classes])
    folder = made_up_people.write_run(tmp_path / "run", table, classes.astype(float), task=task)
    run = read_run(folder)
    assert "kept no probabilities" in wrong_labels(run, cases_of(run))[1][0]
    shares = np.full((300, 3), 0.05) + 0.85 * np.eye(3)[classes]
    run.predictions["probabilities"] = [shares[row].tolist() for row in run.predictions["row"]]
    labels = wrong_labels(run, cases_of(run))[0]["stage"]
    assert labels.auc == 1
    assert labels.verdict == OVERLAP
    assert len(labels.doubtful) == 0


def test_values_far_from_what_is_predicted_are_counted_and_bear_no_verdict(tmp_path):
    table = made_up_people.people(300)
    ages = np.random.default_rng(3).uniform(20, 80, 300)
    given = ages.copy()
    given[7] += 60
    table = table.assign(age=given)
    folder = made_up_people.write_run(
        tmp_path / "run", table, ages + np.random.default_rng(4).normal(0, 4, 300), task=made_up.AGE
    )
    run = read_run(folder)
    labels = wrong_labels(run, cases_of(run))[0]["age"]
    assert labels.verdict == ""
    assert "secret-0007" in set(labels.doubtful["participant_id"])
    assert labels.outlying == pytest.approx(len(labels.doubtful) / labels.n_people)
    assert labels.outlying < 0.02
    assert labels.doubtful["doubt"].iloc[0] > 3.5


def test_a_run_without_predictions_says_so(tmp_path):
    table = made_up_people.people(100)
    folder = made_up_people.write_run(tmp_path / "run", table, made_up_people.predicted(table))
    (folder / "predictions.parquet").unlink()
    run = read_run(folder)
    assert wrong_labels(run, cases_of(run)) == ({}, ["Wrong labels of Diagnosis: the run kept no predictions."])


def test_few_people_say_so(tmp_path):
    table = made_up_people.people(30)
    untold = found_of(tmp_path / "run", table.iloc[:18], made_up_people.predicted(table)[:18])[1]
    assert "20 people or more" in untold[0]


@pytest.mark.slow
@pytest.mark.parametrize("apart", [0.7, 1.5, 2.5, 4.0])
def test_in_clean_studies_noise_is_rarely_found_and_never_much(tmp_path, apart):
    """Fits of their own training people, as in a run: predictions depend on each other as there."""
    found = []
    for seed in range(30):
        table = made_up_people.people(250, apart=apart, seed=seed)
        labels = found_of(tmp_path / f"{seed}", table, fitted(table), replicates=10)[0]["diagnosis"]
        found.append((labels.verdict, labels.share.value, labels.share.high))
    assert np.mean([verdict == NOISE for verdict, *_ in found]) <= 0.1
    shown = np.array([value for _, value, _ in found])
    assert np.isnan(shown).all() or np.nanmedian(shown) < 0.02
    assert np.nanmax(shown, initial=0.0) < 0.15
    assert all(high > 0 for *_, high in found)


def fitted(table):
    """Logistic regression on who is learnt from, of who is tested."""
    features = np.c_[np.ones(len(table)), table[made_up_people.COLUMNS]]
    truth = table["truth"].to_numpy()

    def probability(learnt, tested):
        weights = np.zeros(features.shape[1])
        for _ in range(10):
            p = 1 / (1 + np.exp(-features[learnt] @ weights))
            hessian = (features[learnt] * (p * (1 - p) + 1e-6)[:, None]).T @ features[learnt] + np.eye(len(weights))
            weights += np.linalg.solve(hessian, features[learnt].T @ (truth[learnt] - p) - weights)
        return 1 / (1 + np.exp(-features[tested] @ weights))

    return probability
