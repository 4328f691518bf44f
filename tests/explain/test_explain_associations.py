"""Features and targets: against scipy and statsmodels' formulas, null behaviour with repeated scans, corrections."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway, kstest, pearsonr, ttest_ind
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from neurotransfer.errors import InputError
from neurotransfer.explain.associations import associations, aucs, corrected
from neurotransfer.explain.averages import person_means


def draws(seed):
    return np.random.default_rng(seed)


FEATURES = draws(0).normal(size=(60, 5))
NUMBERS = FEATURES[:, 2] - 0.5 * FEATURES[:, 3] + draws(1).normal(size=60)
MIDDLE = np.median(NUMBERS)
TWO = (NUMBERS > MIDDLE).astype(float)
THREE = np.digitize(NUMBERS, np.quantile(NUMBERS, [0.3, 0.6])).astype(float)
COVARIATES = np.column_stack([NUMBERS + draws(2).normal(size=60), draws(3).normal(size=60)])


def test_numbers_have_the_r_and_p_of_scipy():
    found = associations(FEATURES, NUMBERS, "continuous", n_permutations=9)
    expected = [pearsonr(column, NUMBERS) for column in FEATURES.T]
    np.testing.assert_allclose(found["effect"], [each.statistic for each in expected])
    np.testing.assert_allclose(found["p"], [each.pvalue for each in expected])
    np.testing.assert_allclose(found["r2"], found["effect"] ** 2)
    assert (found["n"] == 60).all()


def test_two_classes_have_the_auc_of_scikit_learn_and_the_p_of_the_t_test():
    found = associations(FEATURES, TWO, "binary", n_permutations=9)
    np.testing.assert_allclose(found["effect"], [roc_auc_score(TWO, column) for column in FEATURES.T])
    np.testing.assert_allclose(found["p"], ttest_ind(FEATURES[TWO == 1], FEATURES[TWO == 0]).pvalue)
    assert (found["measure"] == "AUC").all()


def test_more_classes_have_the_p_of_the_analysis_of_variance():
    found = associations(FEATURES, THREE, "categorical", n_permutations=9)
    np.testing.assert_allclose(found["p"], f_oneway(*[FEATURES[each == THREE] for each in range(3)]).pvalue)
    overall = FEATURES.mean(0)
    between = sum((each == THREE).sum() * (FEATURES[each == THREE].mean(0) - overall) ** 2 for each in range(3))
    np.testing.assert_allclose(found["effect"] ** 2, between / ((FEATURES - overall) ** 2).sum(0))


def partial_f(feature, target, covariates):
    """The p of what target columns add to covariates, by two regressions of the feature."""

    def left(columns):
        return ((feature - LinearRegression().fit(columns, feature).predict(columns)) ** 2).sum()

    m, free = target.shape[1], len(feature) - 1 - covariates.shape[1] - target.shape[1]
    whole, part = left(np.column_stack([covariates, target])), left(covariates)
    from scipy.stats import f

    return f.sf((part - whole) / m / (whole / free), m, free)


@pytest.mark.parametrize(
    ("kind", "labels", "columns"),
    [
        ("continuous", NUMBERS, NUMBERS[:, None]),
        ("ordinal", THREE, THREE[:, None]),
        ("binary", TWO, TWO[:, None]),
        ("categorical", THREE, (THREE[:, None] == [1, 2]).astype(float)),
    ],
)
def test_covariates_are_taken_out_as_two_regressions_do(kind, labels, columns):
    found = associations(FEATURES, labels, kind, COVARIATES, n_permutations=9)
    expected = [partial_f(column, columns, COVARIATES) for column in FEATURES.T]
    np.testing.assert_allclose(found["p"], expected, rtol=1e-6)
    if kind == "continuous":
        slopes = [
            LinearRegression().fit(np.column_stack([COVARIATES, column]), NUMBERS).coef_[-1] for column in FEATURES.T
        ]
        assert (np.sign(found["effect"]) == np.sign(slopes)).all()


@settings(max_examples=25)
@given(st.integers(0, 30), st.floats(0.01, 100), st.floats(-100, 100))
def test_units_of_features_and_targets_count_for_nothing(seed, scale, moved):
    first = associations(FEATURES, NUMBERS, "continuous", COVARIATES, n_permutations=3)
    again = associations(
        FEATURES * scale + moved, NUMBERS * scale - moved, "continuous", COVARIATES * scale, n_permutations=3
    )
    np.testing.assert_allclose(first["effect"], again["effect"], atol=1e-8)
    np.testing.assert_allclose(first["p"], again["p"], atol=1e-8)
    turned = associations(-FEATURES, TWO, "binary", n_permutations=3)["effect"]
    np.testing.assert_allclose(turned, 1 - associations(FEATURES, TWO, "binary", n_permutations=3)["effect"])


@pytest.mark.parametrize("with_covariates", [False, True])
def test_p_is_uniform_under_the_null_with_repeated_scans(with_covariates):
    """Up to four scans a person: of scans p would be far too small, of people it is uniform."""
    of_people, of_scans, families = [], [], []
    for seed in range(120):
        generator = draws(seed)
        codes = np.repeat(np.arange(30), generator.integers(1, 5, 30))
        person, age = generator.normal(size=(30, 4)), generator.normal(size=30)
        scans = person[codes] + 0.2 * generator.normal(size=(len(codes), 4))
        taken = generator.normal(size=(30, 2)) + age[:, None] if with_covariates else None
        found = associations(
            person_means(scans, codes), age, "continuous", taken, n_permutations=39, generator=generator
        )
        of_people.append(found["p"][0])
        families.append(found["p_family"].min())
        of_scans.append(pearsonr(scans[:, 0], age[codes]).pvalue)
    assert kstest(of_people, "uniform").pvalue > 0.01
    assert kstest(of_scans, "uniform").pvalue < 1e-3
    # the chance of any claim among four related or unrelated features
    assert np.mean(np.array(families) <= 0.05) < 0.1
    assert kstest(families, "uniform").pvalue > 0.005


def test_the_family_of_copies_is_one_test():
    copies = np.repeat(FEATURES[:, :1], 40, axis=1)
    found = associations(copies, NUMBERS, "continuous", n_permutations=1999)
    assert found["p_family"][0] == pytest.approx(found["p"][0], abs=0.03)
    assert corrected(found)["p_holm"][0] == min(1, 40 * found["p"][0])


def test_corrections_are_monotone_and_leave_gaps():
    table = corrected(pd.DataFrame({"p": [0.001, np.nan, 0.2, 0.01, 0.5]}))
    np.testing.assert_allclose(table["p_holm"], [0.004, np.nan, 0.4, 0.03, 0.5])
    np.testing.assert_allclose(table["p_fdr"], [0.004, np.nan, 0.2 * 4 / 3, 0.02, 0.5])
    assert corrected(pd.DataFrame({"p": [np.nan]}))["p_fdr"].isna().all()


def test_people_without_a_label_are_left_out():
    labels = NUMBERS.copy()
    labels[:10] = np.nan
    pd.testing.assert_frame_equal(
        associations(FEATURES, labels, "continuous", COVARIATES, n_permutations=9),
        associations(FEATURES[10:], NUMBERS[10:], "continuous", COVARIATES[10:], n_permutations=9),
    )


def test_a_feature_that_is_constant_or_told_by_covariates_goes_with_nothing():
    features = np.column_stack([FEATURES[:, 0], np.ones(60), COVARIATES[:, 0] * 3 + 1])
    found = associations(features, NUMBERS, "continuous", COVARIATES, n_permutations=9)
    assert found["p"].isna().tolist() == found["p_family"].isna().tolist() == [False, True, True]
    binary = associations(features, TWO, "binary", n_permutations=9)
    assert binary["effect"].isna().tolist() == [False, True, False]


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(InputError, match="the covariates tell all of it"):
        associations(FEATURES, NUMBERS, "continuous", NUMBERS[:, None])
    labels = np.full(60, np.nan)
    labels[:7] = [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(InputError, match="only 7 people have it"):
        associations(FEATURES, labels, "categorical")


def test_ties_count_half():
    labels = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(aucs(labels, np.array([[1.0, 0], [1, 0], [1, 0], [1, 1]])), [0.5, 0.75])
