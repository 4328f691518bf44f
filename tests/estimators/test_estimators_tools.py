"""Estimators among the tools of scikit-learn: pipelines, searches, cross-validation, routing of groups, several processes."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score, cross_validate
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurotransfer import BrainEmbedder, TransferClassifier, TransferRegressor
from neurotransfer.cohort import store_volumes
from neurotransfer.estimators import base
from neurotransfer.models import load_model

ONE = {"penalty": [1.0]}


@pytest.fixture(scope="module")
def cohort(cohort):
    """The first of the scans; the rest would only take time."""
    return cohort.rows(np.arange(20))


@pytest.fixture(scope="module")
def paths(cohort):
    return [str(image) for image, _ in cohort.images]


@pytest.fixture(scope="module")
def volumes(cohort, tiny_model, tmp_path_factory):
    return store_volumes(tmp_path_factory.mktemp("store"), cohort, load_model(tiny_model).card.input)


@pytest.fixture(scope="module")
def ages(cohort):
    return cohort.table["age"].astype(float).to_numpy()


@pytest.fixture(scope="module")
def sexes(cohort):
    return cohort.table["sex"].to_numpy(str)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def splits(monkeypatch):
    """The split of every fit that follows, with the people who were in it."""
    seen = []
    real = base.Transfer._split

    def noted(self, labels, target, groups):
        seen.append((real(self, labels, target, groups), groups))
        return seen[-1][0]

    monkeypatch.setattr(base.Transfer, "_split", noted)
    return seen


def assert_nobody_is_in_two_parts(splits, n):
    assert len(splits) == n
    for split, groups in splits:
        assert groups is not None
        people = np.asarray(groups)
        assert not set(people[split.train]) & set(people[split.validation])


def test_features_and_logistic_regression_in_a_pipeline(tiny_model, paths, volumes, sexes):
    pipeline = make_pipeline(BrainEmbedder(tiny_model), StandardScaler(), LogisticRegression())
    features = BrainEmbedder(tiny_model).fit_transform(volumes)
    expected = LogisticRegression().fit(StandardScaler().fit_transform(features), sexes)
    found = pipeline.fit(paths, sexes)
    np.testing.assert_array_equal(found.predict(paths), expected.predict(StandardScaler().fit_transform(features)))
    assert found.score(paths, sexes) > 0.5
    assert found[:-1].get_feature_names_out().tolist() == found[0].get_feature_names_out().tolist()
    np.testing.assert_allclose(clone(pipeline).fit(volumes, sexes).predict_proba(volumes), found.predict_proba(paths))


def test_a_pipeline_in_cross_validation_by_people(tiny_model, paths, ages, cohort):
    pipeline = make_pipeline(BrainEmbedder(tiny_model), StandardScaler(), Ridge())
    found = cross_validate(pipeline, paths, ages, groups=cohort.participants, cv=GroupKFold(3), return_estimator=True)
    assert np.isfinite(found["test_score"]).all()
    tested = cross_val_predict(pipeline, paths, ages, groups=cohort.participants, cv=GroupKFold(3))
    assert tested.shape == ages.shape


def test_a_search_over_what_comes_after_the_embedder_reads_scans_once_where_a_cache_is_given(
    tiny_model, paths, ages, tmp_path, monkeypatch
):
    seen = []
    real = BrainEmbedder.transform
    monkeypatch.setattr(BrainEmbedder, "transform", lambda self, X: seen.append(len(X)) or real(self, X))
    pipeline = make_pipeline(
        BrainEmbedder(tiny_model), StandardScaler(), PCA(), Ridge(), memory=joblib.Memory(tmp_path, verbose=0)
    )
    grid = {"pca__n_components": [2, 3], "ridge__alpha": [1.0, 100.0]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(paths[:12], ages[:12])
    assert set(search.best_params_) == set(grid)
    # the two training halves and all; each half again to be tested on, by every setting
    assert sorted(seen) == [6] * 10 + [12]


def test_a_search_over_models_and_strategies(tiny_model, volumes, ages):
    grid = {"strategy": ["frozen", "linear"], "model": [tiny_model, str(tiny_model)]}
    search = GridSearchCV(
        TransferRegressor(grid=ONE), grid, cv=2, error_score="raise", scoring="neg_mean_absolute_error"
    )
    search.fit(volumes[:], ages)
    scores = pd.DataFrame(search.cv_results_).groupby("param_strategy")["mean_test_score"]
    assert (scores.nunique() == 1).all()
    assert search.predict(volumes[:2]).shape == (2,)


def test_a_store_and_paths_can_be_cut_by_a_cross_validation(tiny_model, volumes, paths, ages):
    regressor = TransferRegressor(tiny_model, "frozen", grid=ONE)
    expected = cross_val_score(regressor, volumes[:], ages, cv=3, error_score="raise")
    np.testing.assert_allclose(
        cross_val_score(regressor, volumes, ages, cv=3, error_score="raise"), expected, rtol=1e-5
    )
    np.testing.assert_allclose(cross_val_score(regressor, paths, ages, cv=3, error_score="raise"), expected, rtol=1e-4)


@pytest.mark.usefixtures("routing")
def test_groups_are_routed_to_the_folds_and_to_every_fit(regions, splits):
    values, numbers, classes, people = regions
    for kind, labels in ((TransferRegressor, numbers), (TransferClassifier, classes)):
        splits.clear()
        estimator = kind(strategy="linear", grid=ONE).set_fit_request(groups=True)
        found = cross_val_score(
            estimator, values, labels, cv=GroupKFold(3), params={"groups": people}, error_score="raise"
        )
        assert found.min() > 0.6
        assert_nobody_is_in_two_parts(splits, 3)


@pytest.mark.usefixtures("routing")
def test_groups_are_routed_through_pipelines_and_searches(regions, splits):
    values, numbers, _, people = regions
    regressor = TransferRegressor(strategy="linear", grid=ONE).set_fit_request(groups=True)
    pipeline = make_pipeline(StandardScaler(), regressor)
    pipeline.fit(values, numbers, groups=people)
    assert_nobody_is_in_two_parts(splits, 1)
    search = GridSearchCV(
        pipeline, {"transferregressor__validation_fraction": [0.2, 0.3]}, cv=GroupKFold(2), error_score="raise"
    )
    search.fit(values, numbers, groups=people)
    assert_nobody_is_in_two_parts(splits, 1 + 2 * 2 + 1)


@pytest.mark.usefixtures("routing")
def test_groups_that_nobody_asked_for_are_not_swallowed(regions):
    values, numbers, _, people = regions
    regressor = TransferRegressor(strategy="linear", grid=ONE)
    with pytest.raises(UnsetMetadataPassedError, match="groups"):
        make_pipeline(StandardScaler(), regressor).fit(values, numbers, groups=people)
    made = make_pipeline(StandardScaler(), regressor.set_fit_request(groups=False))
    cross_val_score(made, values, numbers, cv=GroupKFold(2), params={"groups": people}, error_score="raise")


def test_groups_reach_the_last_step_without_routing(regions, splits):
    values, numbers, _, people = regions
    pipeline = make_pipeline(StandardScaler(), TransferRegressor(strategy="linear", grid=ONE))
    pipeline.fit(values, numbers, transferregressor__groups=people)
    assert_nobody_is_in_two_parts(splits, 1)


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_scans_and_columns_of_one_table(tiny_model, paths, ages, sexes, output):
    table = pd.DataFrame({"image": paths, "age": ages}, index=[f"scan {row}" for row in range(len(paths))])
    both = ColumnTransformer([("brain", BrainEmbedder(tiny_model), ["image"]), ("plain", StandardScaler(), ["age"])])
    both.set_output(transform=output)
    found = both.fit_transform(table)
    assert both.get_feature_names_out()[0] == "brain__feature_000"
    assert both.get_feature_names_out()[-1] == "plain__age"
    np.testing.assert_array_equal(np.asarray(found)[:, :-1], BrainEmbedder(tiny_model).fit_transform(paths))
    if output == "pandas":
        assert found.index.tolist() == table.index.tolist()
    assert make_pipeline(both, LogisticRegression(max_iter=1000)).fit(table, sexes).predict(table).shape == sexes.shape


def test_several_processes_fit_the_same(regions):
    values, numbers, _, people = regions
    regressor = TransferRegressor(strategy="linear", grid=ONE)
    how = {"groups": people, "cv": GroupKFold(2), "params": {"groups": people}}
    expected = cross_val_score(regressor, values, numbers, **how)
    with joblib.parallel_config("threading"):
        np.testing.assert_array_equal(cross_val_score(regressor, values, numbers, n_jobs=2, **how), expected)


@pytest.mark.slow
def test_processes_of_loky_fit_the_same_on_paths(tiny_model, paths, ages, cohort):
    regressor = TransferRegressor(tiny_model, "frozen", grid=ONE, validation_fraction=0.4)
    people = cohort.participants
    how = {"groups": people, "cv": GroupKFold(2), "params": {"groups": people}}
    expected = cross_val_score(regressor, paths, ages, **how)
    np.testing.assert_allclose(cross_val_score(regressor, paths, ages, n_jobs=2, **how), expected, rtol=1e-5)


def test_what_takes_other_estimators_takes_these(regions):
    values, numbers, _, _ = regions
    regressor = TransferRegressor(strategy="linear", grid=ONE)
    stack = StackingRegressor([("transfer", regressor), ("ridge", Ridge())], cv=2).fit(values, numbers)
    assert stack.score(values, numbers) > 0.95
    both = MultiOutputRegressor(regressor).fit(values, np.stack([numbers, -numbers], 1)).predict(values)
    np.testing.assert_allclose(both[:, 0], -both[:, 1], rtol=1e-4)
    importance = permutation_importance(regressor.fit(values, numbers), values, numbers, n_repeats=3, random_state=0)
    assert set(np.argsort(importance.importances_mean)[-2:]) == {0, 1}
