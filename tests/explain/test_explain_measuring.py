"""All numbers of a made sample whose features are known, what is refused, and what does not change them."""

from dataclasses import replace

import numpy as np
import pytest
from explained_samples import made_sample
from scipy.stats import pearsonr

from neurotransfer.errors import InputError
from neurotransfer.explain.asking import Asked, matching, require
from neurotransfer.explain.averages import person_means
from neurotransfer.explain.gathering import in_common
from neurotransfer.explain.measuring import RAW, WITHOUT, measure

SAMPLE = made_sample()
QUICK = {"n_permutations": 199, "n_halves": 40}
ASKED = Asked(("age", "sex"), ("*_ml",), ("age", "sex", "site"), "site", 3, **QUICK)


@pytest.fixture(scope="module")
def numbers():
    steps = []
    found = measure(SAMPLE, ASKED, lambda: steps.append(1))
    assert len(steps) == 4
    return found


def test_people_are_counted_and_not_scans(numbers):
    assert len(SAMPLE.table) == 80
    assert numbers.known.shape == (60,)
    assert numbers.models[0].views[RAW].features.shape == (60, 12)
    assert (numbers.targets["n"] == 60).all()
    means = person_means(SAMPLE.models[0].features, SAMPLE.people.codes)
    np.testing.assert_allclose(numbers.models[0].views[RAW].matrix, np.corrcoef(means.T), atol=1e-12)
    age = person_means(SAMPLE.table[["age"]].to_numpy(float), SAMPLE.people.codes)[:, 0]
    row = numbers.targets.query(
        "model == 'first' and view == 'raw' and target == 'age' and feature == 'feature_000'"
    ).iloc[0]
    assert row["effect"] == pytest.approx(pearsonr(means[:, 0], age).statistic)


def test_what_was_planted_is_found(numbers):
    first, second = numbers.models
    table = numbers.targets
    shown = table[(table["p_holm"] < 0.05) & (table["view"] == RAW)].groupby(["model", "target"])["feature"].agg(list)
    assert shown["first", "age"] == ["feature_000"]
    assert shown["first", "site"] == ["feature_001"]
    assert ("first", "sex") not in shown
    # three things said four times: 12 features of which the last is silent
    assert (second.n_silent, len(second.names)) == (1, 11)
    ratio = second.views[RAW].dimension.participation
    assert ratio.low < 3.3
    assert ratio.value == pytest.approx(3.1, abs=0.5)
    assert first.views[RAW].dimension.participation.value > 9
    assert (
        numbers.differences["second", RAW, "participation"].high
        < 0
        < numbers.differences["second", RAW, "redundancy"].low
    )
    assert numbers.traces["first"].p < 0.01 < numbers.traces[WITHOUT].p
    assert numbers.traces["first"].auc > 0.75


def test_covariates_are_gone_without_them(numbers):
    first = numbers.models[0]
    ages = person_means(SAMPLE.table[["age"]].to_numpy(float), SAMPLE.people.codes)
    assert abs(pearsonr(first.views[WITHOUT].features[:, 0], ages[:, 0]).statistic) < 1e-9
    left = numbers.targets[numbers.targets["view"] == WITHOUT]
    assert set(left["target"]) == {"site"}
    assert [note.split(" ")[0] for note in numbers.notes] == ["age", "sex"]


def test_columns_go_with_the_feature_that_holds_them(numbers):
    assert numbers.columns == ("left_ml", "right_ml")
    for view in (RAW, WITHOUT):
        against = numbers.models[0].views[view].against
        assert against.shape == (2, 12)
        assert np.abs(against[0]).argmax() == 2
        assert against[0, 2] > 0.9
        assert np.abs(against[1]).max() < 0.5


def test_sets_of_features_are_layers_and_models(numbers):
    assert numbers.sets == (("first", "layer 1"), ("first", "features"), ("second", "features"))
    found = numbers.similarity[RAW, "cka"]
    assert found.value[0, 1] > found.value[1, 2] > 0
    assert set(numbers.similarity) == {(view, measure) for view in (RAW, WITHOUT) for measure in ("cka", "rsa")}


def test_the_order_of_scans_and_turned_scales_change_nothing(numbers):
    order = np.random.default_rng(1).permutation(len(SAMPLE.table))
    models = [
        replace(
            held,
            keys=held.keys.iloc[order],
            layers={name: 5 * values[order] - 2 for name, values in held.layers.items()},
        )
        for held in SAMPLE.models
    ]
    again = measure(in_common(SAMPLE.table, models), ASKED)
    for one, other in zip(numbers.models, again.models, strict=True):
        np.testing.assert_allclose(one.views[WITHOUT].matrix, other.views[WITHOUT].matrix, atol=1e-6)
        assert one.views[RAW].redundancy.low == pytest.approx(other.views[RAW].redundancy.low)
    np.testing.assert_allclose(numbers.targets["p"], again.targets["p"], rtol=1e-5)
    np.testing.assert_allclose(numbers.similarity[RAW, "rsa"].value, again.similarity[RAW, "rsa"].value, atol=1e-6)


def test_people_without_a_covariate_are_left_out():
    table = SAMPLE.table.copy()
    table.loc[table["participant_id"].isin(["p000", "p001", "p002"]), "age"] = ""
    found = measure(replace(SAMPLE, table=table), Asked(("age",), (), ("sex",), "", **QUICK))
    assert found.known.sum() == 57
    assert (found.targets["n"] == 57).all()
    assert found.traces == {}


def test_without_a_site_nothing_is_told_of_it():
    table = SAMPLE.table.assign(site="")
    assert measure(replace(SAMPLE, table=table), Asked(**QUICK)).traces == {}
    few = SAMPLE.table.assign(site=["a"] * 77 + ["b"] * 3)
    found = measure(replace(SAMPLE, table=few), Asked(**QUICK))
    assert found.traces == {}
    assert "Whether site can be read from features is not told" in found.notes[0]
    assert found.views == (RAW,)
    assert len(found.targets) == 0


def test_people_who_are_left_out_of_a_target_are_counted():
    table = SAMPLE.table.assign(hand=["L"] * 30 + ["R"] * 47 + ["Ambi"] * 3)
    found = measure(replace(SAMPLE, table=table), Asked(targets=("hand",), nuisance="", **QUICK))
    assert any(note.startswith("hand: ") and "of classes of fewer than five" in note for note in found.notes)
    assert found.targets["n"].max() < 60
    assert set(found.targets["higher"]) == {"R"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(covariates=("same",)), ["covariate 'same': found only the value 'a'"]),
        (Asked(covariates=("aeg",)), ["unknown covariate 'aeg'", "did you mean 'age'"]),
        (Asked(columns=("none*",)), ["unknown columns 'none*'"]),
        (Asked(columns=("sex",)), ["column 'sex' holds 'M', and numbers are needed"]),
        (Asked(targets=("same", "sxe")), ["found only the value 'a'", "unknown target column 'sxe'"]),
        (Asked(nuisance="scaner"), ["unknown nuisance 'scaner'"]),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_run(asked, said):
    with pytest.raises(InputError) as caught:
        require(SAMPLE.table, asked)
    for words in said:
        assert words in str(caught.value).replace("'F', and", "'M', and")


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InputError) as caught:
        require(SAMPLE.table.head(9), Asked(covariates=("same",), columns=("x",), targets=("y",), nuisance="z"))
    for words in (
        "covariate 'same'",
        "unknown columns 'x'",
        "unknown target column 'y'",
        "unknown nuisance 'z'",
        "people; 10 or more",
    ):
        assert words in str(caught.value)
    require(SAMPLE.table, ASKED)
    assert matching(SAMPLE.table, ["right*", "*_ml"]) == ["right_ml", "left_ml"]


def test_too_few_people_and_dead_features_are_refused():
    few = made_sample(n=9)
    with pytest.raises(InputError, match="found 9 people; 10 or more are needed"):
        measure(few, Asked())
    dead = replace(SAMPLE.models[0], layers={"features": np.ones((80, 3))})
    with pytest.raises(InputError, match="all features of 'first' are the same"):
        measure(replace(SAMPLE, models=(dead,)), Asked())
    many = SAMPLE.table.assign(site=SAMPLE.table["participant_id"])
    with pytest.raises(InputError, match="fewer than 5 people free"):
        measure(replace(SAMPLE, table=many), Asked(covariates=("site",), nuisance=""))
