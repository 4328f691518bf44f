"""Reading a site from features: against scikit-learn, chance, and people who are whole."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from neurotransfer.errors import InputError
from neurotransfer.explain.traces import folded, trace


def draws(seed):
    return np.random.default_rng(seed)


def test_predictions_in_folds_are_those_of_scikit_learn():
    features = draws(0).normal(size=(30, 6)) * [1, 10, 100, 1, 1, 1] + 5
    happened = (draws(1).random(30) > 0.5).astype(float)
    found = folded(features, 5, draws(2)) @ happened
    fold_of = draws(2).permutation(30) % 5
    for fold in range(5):
        learnt, tested = fold_of != fold, fold_of == fold
        mean, spread = features[learnt].mean(0), features[learnt].std(0)
        model = Ridge(alpha=6.0).fit((features[learnt] - mean) / spread, happened[learnt])
        expected = model.predict((features[tested] - mean) / spread) - happened[learnt].mean()
        np.testing.assert_allclose(found[tested], expected, atol=1e-9)


def test_nobody_is_predicted_from_themselves():
    smoother = folded(draws(0).normal(size=(23, 40)), 10, draws(1))
    assert np.abs(np.diag(smoother)).max() == 0
    # a constant is told by nobody: the mean of who is learnt from is taken off
    assert np.abs(smoother @ np.ones(23)).max() < 1e-9


def test_the_area_is_that_of_scikit_learn():
    features, classes = draws(3).normal(size=(60, 4)), np.repeat([3, 7], 30)
    features[classes == 7] += 0.7
    found = trace(features, classes, n_permutations=9, seed=4)
    from neurotransfer.seeding import stream

    generator = stream(4, "trace")
    generator.permutation(60)
    predicted = folded(features, 10, generator) @ (classes == 7)
    assert found.auc == pytest.approx(roc_auc_score(classes == 7, predicted))
    assert found.n_classes == 2
    assert found.n_people == 60


@pytest.mark.parametrize("p", [3, 120])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_site_is_found_where_it_is_and_with_more_features_than_people(p, n_classes):
    classes = np.arange(80) % n_classes
    features = draws(5).normal(size=(80, p))
    features[:, :2] += np.column_stack([classes, classes == 1]) * 2.0
    found = trace(features, classes, n_permutations=99)
    assert found.p == 0.01
    assert found.auc > found.chance_high


def test_p_is_uniform_where_there_is_nothing():
    found = [trace(draws(s).normal(size=(24, 5)), np.arange(24) % 3, n_permutations=39, seed=s).p for s in range(100)]
    assert kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) < 0.11


def test_a_rare_class_is_not_drowned_by_a_common_one():
    classes = np.r_[np.zeros(90, int), np.ones(10, int)]
    features = draws(6).normal(size=(100, 3))
    features[90:] += 2
    assert trace(features, classes, n_permutations=9).auc > 0.9


def test_the_same_seed_gives_the_same():
    features, classes = draws(7).normal(size=(40, 3)), np.arange(40) % 2
    assert trace(features, classes, n_permutations=19) == trace(features, classes, n_permutations=19)
    assert trace(features, classes, n_permutations=19) != trace(features, classes, n_permutations=19, seed=1)


@pytest.mark.parametrize("labels", [np.zeros(20), np.r_[np.zeros(16), np.ones(4)], np.zeros(0)])
def test_too_few_are_refused(labels):
    with pytest.raises(InputError, match="two classes or more of 5 people or more"):
        trace(np.zeros((len(labels), 2)), labels)
