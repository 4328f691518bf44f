"""What is kept of a validation part: right by other implementations, and nothing that tells of one person."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.metrics import mean_absolute_error, roc_auc_score

from neurotransfer.pretrain import record as module
from neurotransfer.pretrain.record import CHOSE, LEARNT, LEAST_PEOPLE, ages_of, record_of
from neurotransfer.targets import Target

AGE = Target("age", "continuous", unit="years", location=50.0, scale=10.0)
SEX = Target("sex", "binary", classes=("F", "M"))
GROUP = Target("group", "categorical", classes=("a", "b", "c"))
LEVEL = Target("level", "ordinal", classes=("0", "1", "2"))
TARGETS = {target.name: target for target in (AGE, SEX, GROUP, LEVEL)}


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    """Intervals are the subject of tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_DRAWS", 40)
        yield


def made(n, seed=0):
    """Outputs of every kind of head and labels, the first age being missing."""
    generator = np.random.default_rng(seed)
    labels = {
        "age": generator.uniform(20, 80, n),
        "sex": generator.integers(0, 2, n).astype(float),
        "group": generator.integers(0, 3, n).astype(float),
        "level": generator.integers(0, 3, n).astype(float),
    }
    outputs = {
        "age": ((labels["age"] - 50) / 10 + generator.normal(0, 0.5, n))[:, None],
        "sex": (labels["sex"] - 0.5 + generator.normal(0, 1, n))[:, None],
        "group": np.eye(3)[labels["group"].astype(int)] + generator.normal(0, 1, (n, 3)),
        "level": np.sort(generator.normal(0, 1, (n, 2)))[:, ::-1],
    }
    labels["age"][0] = np.nan
    return outputs, labels


@pytest.fixture(scope="module")
def record():
    outputs, labels = made(60)
    return record_of(TARGETS, outputs, labels, np.arange(60).astype(str), {"age": 48.0, "sex": 0.4})


def test_scores_are_those_of_scikit_learn(record):
    outputs, labels = made(60)
    known = ~np.isnan(labels["age"])
    predicted = 50 + 10 * outputs["age"][known, 0]
    age, sex = record["Targets"]["age"], record["Targets"]["sex"]
    assert age["Images"] == 59
    assert age["Scores"]["mae"] == pytest.approx(mean_absolute_error(labels["age"][known], predicted), abs=1e-5)
    assert age["Guess"]["mae"] == pytest.approx(np.abs(labels["age"][known] - 48).mean(), abs=1e-5)
    assert sex["Scores"]["auc"] == pytest.approx(roc_auc_score(labels["sex"], expit(outputs["sex"][:, 0])), abs=1e-5)
    assert sex["Roc"]["M"]["Area"] == pytest.approx(sex["Scores"]["auc"])
    for each in record["Targets"].values():
        low, high = each["Intervals"][next(name for name in ("mae", "auc") if name in each["Scores"])]
        assert low < high


def test_every_kind_has_what_its_page_needs(record):
    has = {
        name: set(each) - {"Kind", "Unit", "Classes", "Images", "Scores", "Intervals", "Guess"}
        for name, each in record["Targets"].items()
    }
    assert has == {
        "age": {"Agreement", "Calibration"}, "sex": {"Roc", "Calibration"}, "group": {"Roc", "Calibration"},
        "level": {"Agreement", "Calibration"},
    }  # fmt: skip
    assert list(record["Targets"]["group"]["Roc"]) == ["a", "b", "c"]
    assert record["Targets"]["group"]["Guess"] == {}


def test_bins_hold_every_scan(record):
    found = record["Targets"]["age"]["Agreement"]
    assert sum(found["Images"]) == 59
    assert len(found["Observed"]) == len(found["Predicted"]) == len(found["Images"])
    low, high = found["Ends"]
    assert all(low < value < high for value in found["Observed"] + found["Predicted"])
    assert sum(record["Targets"]["sex"]["Calibration"]["M"]["Predictions"]) == 60


def test_it_is_json_whatever_lacks(record):
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    outputs, labels = made(30)
    labels["sex"][:] = np.nan
    labels["group"][:] = 1.0
    found = record_of(TARGETS, outputs, labels, np.arange(30).astype(str), {"age": np.nan})["Targets"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["sex"] == {"Kind": "binary", "Unit": "", "Classes": ["F", "M"], "Images": 0}
    assert found["group"]["Roc"] == {}
    assert found["age"]["Guess"] == {}


def test_nobody_is_named_and_few_people_are_not_drawn():
    outputs, labels = made(40)
    people = np.array([f"sub-{number % (LEAST_PEOPLE - 1)}" for number in range(40)])
    found = record_of(TARGETS, outputs, labels, people, {})
    assert "sub-" not in json.dumps(found)
    assert found["Participants"] == LEAST_PEOPLE - 1
    for each in found["Targets"].values():
        assert each["Scores"]
        assert not {"Agreement", "Calibration", "Roc"} & set(each)


def test_bins_are_coarser_where_people_are_fewer():
    outputs, labels = made(25)
    found = record_of({"age": AGE}, outputs, labels, np.arange(25).astype(str), {})["Targets"]["age"]["Agreement"]
    assert len(set(found["Observed"])) <= 24 // 5


def test_a_guess_of_a_binary_target_is_its_share():
    outputs = {"sex": logit(np.full((30, 1), 0.5))}
    labels = {"sex": np.r_[np.ones(10), np.zeros(20)]}
    found = record_of({"sex": SEX}, outputs, labels, np.arange(30).astype(str), {"sex": 0.3})["Targets"]["sex"]
    assert found["Guess"]["auc"] == 0.5
    assert found["Guess"]["brier"] == pytest.approx(np.mean((labels["sex"] - 0.3) ** 2), abs=1e-6)


def test_ages_are_counted_in_steps_of_five_years():
    generator = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "participant_id": np.arange(60).astype(str),
            "age": generator.uniform(20, 60, 60).round(1).astype(str),
            "sex": generator.choice(["F", "M"], 60),
        }
    )
    table.loc[0, "age"] = "n/a"
    train, validation = np.arange(40), np.arange(40, 55)
    found = pd.DataFrame(ages_of(table, train, validation))
    assert found["Images"].sum() == 54
    known = table.iloc[1:55].assign(age=lambda rows: pd.to_numeric(rows["age"]))
    part = np.where(np.arange(1, 55) < 40, LEARNT, CHOSE)
    wanted = known.groupby(["sex", pd.cut(known["age"], np.arange(20, 66, 5), right=False), part], observed=True).size()
    assert found["Images"].tolist() == wanted.tolist()
    assert ages_of(table.drop(columns="sex"), train, validation) == []
    assert ages_of(table.assign(participant_id="one"), train, validation) == []
