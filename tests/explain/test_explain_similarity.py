"""CKA and RSA: closed forms, invariances, other implementations, chance and coverage."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, ortho_group, spearmanr
from sklearn.metrics import pairwise_distances

from neurotransfer.errors import InputError
from neurotransfer.explain.similarity import linear_cka, rsa, similarities, unbiased


def draws(seed):
    return np.random.default_rng(seed)


def related(n, seed=0, noise=1.0):
    hidden = draws(seed).normal(size=(n, 4))
    return hidden, hidden @ draws(1).normal(size=(4, 7)) + noise * draws(seed + 1).normal(size=(n, 7))


def hsic_by_permutations(first, second):
    """The unbiased HSIC by its definition: the mean over all ordered fours of different people."""
    k, m = first @ first.T, second @ second.T
    terms = [
        k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q]
        for i, j, q, r in itertools.permutations(range(len(k)), 4)
    ]
    return np.mean(terms)


def test_the_terms_are_unbiased_as_defined():
    first, second = related(7)
    n = len(first)
    # U-centring is meant for any kernel, also around no mean
    found = (unbiased(first @ first.T) * unbiased(second @ second.T)).sum() / (n * (n - 3))
    assert found == pytest.approx(hsic_by_permutations(first, second))
    by_definition = hsic_by_permutations(first, second) / np.sqrt(
        hsic_by_permutations(first, first) * hsic_by_permutations(second, second)
    )
    assert linear_cka(first, second) == pytest.approx(by_definition)


def test_plain_cka_is_that_of_kornblith():
    first, second = related(30)
    x, y = first - first.mean(0), second - second.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(first, second, debiased=False) == pytest.approx(expected)


def test_rsa_is_spearman_of_distances():
    first, second = related(25)
    upper = np.triu_indices(25, 1)
    expected = spearmanr(pairwise_distances(first)[upper], pairwise_distances(second)[upper]).statistic
    assert rsa(first, second) == pytest.approx(expected)


@settings(max_examples=40)
@given(st.integers(5, 30), st.integers(2, 8), st.integers(0, 50), st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_turning_scaling_and_moving_change_nothing(n, p, seed, scale, moved):
    first, second = draws(seed).normal(size=(n, p)), draws(seed + 99).normal(size=(n, 3))
    turned = scale * first @ ortho_group.rvs(p, random_state=seed) + moved * scale
    for measure in (linear_cka, lambda a, b: linear_cka(a, b, debiased=False), rsa):
        assert measure(first, second) == pytest.approx(measure(turned, second), abs=1e-6)
        assert measure(first, second) == pytest.approx(measure(second, first), abs=1e-9)
        assert measure(first, turned) == pytest.approx(1, abs=1e-6)
        order = draws(seed).permutation(n)
        assert measure(first[order], second[order]) == pytest.approx(measure(first, second), abs=1e-6)


def test_stretching_one_axis_does_change_it():
    first, _ = related(60)
    stretched = first * [20, 1, 1, 1]
    for measure in (linear_cka, rsa):
        assert measure(first, stretched) < 0.8


def test_more_features_than_people_look_alike_only_without_debiasing():
    plain, debiased = [], []
    for seed in range(30):
        first, second = draws(seed).normal(size=(20, 100)), draws(seed + 500).normal(size=(20, 80))
        plain.append(linear_cka(first, second, debiased=False))
        debiased.append(linear_cka(first, second))
    assert np.mean(plain) > 0.75
    assert abs(np.mean(debiased)) < 0.03


@pytest.mark.parametrize("measure", ["cka", "cka_plain", "rsa"])
def test_p_is_uniform_where_nothing_is_related(measure):
    found = [
        similarities([draws(seed).normal(size=(14, 3)), draws(seed + 999).normal(size=(14, 5))], measure=measure,
                     n_permutations=49, n_halves=2, seed=seed).p[0, 1]
        for seed in range(100)
    ]  # fmt: skip
    assert kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) < 0.11


@pytest.mark.slow
def test_the_interval_covers_what_all_people_would_show():
    truth = linear_cka(*related(4000, seed=77))
    inside = 0
    for seed in range(40):
        found = similarities(related(70, seed=seed), n_permutations=1, n_halves=60, seed=seed)
        inside += found.low[0, 1] <= truth <= found.high[0, 1]
    assert inside / 40 >= 0.85


def test_all_pairs_at_once_are_each_pair_alone():
    sets = [*related(30), draws(8).normal(size=(30, 2))]
    for measure, one in (("cka", linear_cka), ("rsa", rsa)):
        found = similarities(sets, measure=measure, n_permutations=49, n_halves=20)
        for i, j in itertools.product(range(3), repeat=2):
            assert found.value[i, j] == pytest.approx(one(sets[i], sets[j]))
        for matrix in (found.value, found.low, found.high, found.p, found.p_family):
            np.testing.assert_array_equal(matrix, matrix.T)
        assert np.isnan(np.diag(found.p)).all()
        assert (np.diag(found.low) > 0.999).all()
        off = ~np.eye(3, dtype=bool)
        assert ((found.low <= found.value) & (found.value <= found.high))[off].all()
        assert (found.p_family >= found.p)[off].all()
        assert found.p[0, 1] == found.p_family[0, 1] == 1 / 50


def test_people_who_are_shuffled_are_whole_people():
    """The same features in another order are unrelated people, and no CKA is left."""
    first, _ = related(200)
    found = similarities([first, first[draws(3).permutation(200)]], n_permutations=49, n_halves=20)
    assert abs(found.value[0, 1]) < 0.1
    assert found.p[0, 1] > 0.02


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([np.zeros((3, 2)), np.zeros((3, 2))], "the same 4 people or more"),
        ([np.zeros((8, 2)), np.zeros((9, 2))], "the same 4 people or more"),
        ([np.zeros((501, 2))] * 2, "501 people are more than 500"),
        ([np.eye(8)] * 2, "from 8 people; 10 or more"),
    ],
)
def test_what_cannot_be_compared_is_refused(sets, said):
    with pytest.raises(InputError, match=said):
        similarities(sets)


def test_features_that_are_constant_are_like_nothing():
    assert np.isnan(linear_cka(np.ones((12, 3)), draws(0).normal(size=(12, 3))))


def test_the_family_of_pairs_is_kept():
    """Of six pairs of unrelated sets, the chance that any is claimed."""
    least = []
    for seed in range(60):
        sets = [draws(10 * seed + k).normal(size=(14, 3 + k)) for k in range(4)]
        found = similarities(sets, n_permutations=39, n_halves=2, seed=seed)
        least.append(np.nanmin(found.p_family))
    assert np.mean(np.array(least) <= 0.1) < 0.25
    assert np.mean(np.array(least) <= 0.5) > 0.25
