"""The permutation test against brute force, scipy, the null distribution and the author's published flags."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.statistics import beats_next_best, holm, paired_test, pairwise_matrix
from neurotransfer.statistics import permutation as module

TIED = st.integers(-4, 4).map(lambda level: level / 10)
FREE = st.integers(-1000, 1000).map(lambda level: level / 100)


def brute_force(differences):
    signs = itertools.product([1, -1], repeat=len(differences))
    whole = [round(100 * float(value)) for value in differences]
    sums = [sum(sign * value for sign, value in zip(pattern, whole, strict=True)) for pattern in signs]
    return np.mean([total >= sum(whole) for total in sums])


def draws(seed):
    return np.random.default_rng(seed)


def normal_pairs(seed, n=30, shift=0.0):
    return draws(seed).normal(shift, 1, n), draws(seed + 10_000).normal(0, 1, n)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1], 1 / 2),
        ([-1], 1),
        ([1, 2, 3], 1 / 8),
        ([1, 1, -1], 4 / 8),
        ([0, 0, 5], 1 / 2),
        ([3, -1, -1], 4 / 8),
        ([2, 1, -1], 3 / 8),
    ],
)
def test_small_cases_by_hand(differences, p):
    found = paired_test(np.array(differences, float), np.zeros(len(differences)))
    assert found.p == p
    assert found.exact
    assert found.n_pairs == len(differences)
    assert found.difference == pytest.approx(np.mean(differences))


@given(arrays(float, st.integers(1, 9), elements=TIED | FREE))
@settings(deadline=None)
def test_exact_agrees_with_brute_force_over_all_signs(differences):
    assert paired_test(differences, np.zeros_like(differences)).p == pytest.approx(brute_force(differences), abs=1e-12)


# sums of these are exact: of decimals, scipy loses ties to rounding (2.01 - 2.00 - 0.01 is not 0)
EXACT = st.integers(-300, 300).map(lambda number: number / 64)


@given(arrays(float, 7, elements=EXACT), arrays(float, 7, elements=EXACT))
@settings(deadline=None, max_examples=30)
def test_exact_agrees_with_scipy(a, b):
    expected = scipy.stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=1000,
    )
    assert paired_test(a, b).p == pytest.approx(expected.pvalue, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_monte_carlo_agrees_with_scipy_and_with_exact(seed):
    a, b = normal_pairs(seed, n=14, shift=0.4)
    exact = paired_test(a, b, n_permutations=2**14)
    random = paired_test(a, b, n_permutations=2**14 - 1)
    scipys = scipy.stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=9999,
        rng=draws(seed),
    )
    assert exact.exact
    assert not random.exact
    assert random.p == pytest.approx(exact.p, abs=4 * np.sqrt(0.25 / 2**14))
    assert scipys.pvalue == pytest.approx(exact.p, abs=4 * np.sqrt(0.25 / 9999))


def test_monte_carlo_formula_on_given_draws():
    a, b = normal_pairs(3, n=20, shift=0.3)
    found = paired_test(a, b, n_permutations=500, generator=draws(8))
    flips = draws(8).integers(0, 2, size=(500, 20), dtype=bool)
    means = (np.where(flips, -1, 1) * (a - b)).mean(1)
    assert found.p == (1 + np.sum(means >= (a - b).mean())) / 501


def test_chunks_change_neither_count_nor_range(monkeypatch):
    a, b = normal_pairs(5, n=12, shift=0.2)
    whole = paired_test(a, b, n_permutations=4096).p
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 100)
    assert paired_test(a, b, n_permutations=4096).p == whole
    assert paired_test(a, b, n_permutations=4000).p == pytest.approx(whole, abs=0.04)


def test_p_is_uniform_under_the_null():
    found = [paired_test(*normal_pairs(seed), n_permutations=399, generator=draws(seed)).p for seed in range(800)]
    assert scipy.stats.kstest(found, "uniform").pvalue > 0.01


def test_level_is_kept_with_ties_and_few_pairs():
    for n in (4, 8, 25):
        pairs = [np.round(draws(seed).normal(0, 1, n), 1) for seed in range(1500)]
        found = np.array([paired_test(d, np.zeros(n), n_permutations=199, generator=draws(9)).p for d in pairs])
        for level in (0.01, 0.05, 0.1, 0.5):
            assert np.mean(found <= level) <= level + 3 * np.sqrt(level * (1 - level) / len(found))


def test_monte_carlo_is_never_zero():
    found = paired_test(np.arange(1.0, 101.0), np.zeros(100), n_permutations=999)
    assert found.p == 1 / 1000
    assert not found.exact


@given(arrays(float, st.integers(0, 20), elements=TIED | st.just(np.nan)), st.integers(1, 300))
@settings(deadline=None)
def test_p_is_between_its_smallest_value_and_one(differences, n_permutations):
    found = paired_test(differences, np.zeros_like(differences), n_permutations=n_permutations)
    assert 1 / (n_permutations + 1) <= found.p <= 1


@given(arrays(float, 8, elements=TIED), arrays(float, 8, elements=TIED))
@settings(deadline=None)
def test_two_directions_are_complementary(a, b):
    forward, backward = paired_test(a, b), paired_test(b, a)
    assert forward.p + backward.p >= 1
    assert forward.difference == pytest.approx(-backward.difference)
    assert paired_test(a, b, higher_is_better=False).p == backward.p
    assert paired_test(-a, -b, higher_is_better=False).p == forward.p


@given(arrays(float, 9, elements=FREE), st.floats(0.01, 100), st.permutations(range(9)))
@settings(deadline=None)
def test_shift_scale_and_order_do_not_matter(a, scale, order):
    a = np.round(a, 2)
    plain = paired_test(a, np.zeros(9)).p
    assert paired_test(scale * a, np.zeros(9)).p == plain
    assert paired_test(a[list(order)], np.zeros(9)).p == plain
    assert paired_test(a + 5, np.full(9, 5.0)).p == pytest.approx(plain)


def test_rounding_does_not_break_ties():
    differences = np.array([0.1, 0.2, -0.3, 0.1, 0.2, -0.3])
    assert paired_test(differences, np.zeros(6)).p == brute_force([1, 2, -3, 1, 2, -3])


def test_differences_that_are_rounding_count_as_none():
    a = np.array([0.3, 0.6, 0.7])
    found = paired_test(a, np.array([0.1 + 0.2, 0.6, 0.1 * 7]))
    assert (found.p, found.exact, found.difference) == (1.0, True, 0.0)


def test_missing_pairs_are_dropped_and_zeros_stay_in_the_mean():
    found = paired_test(np.array([1.0, np.nan, 2.0, 0.0]), np.array([0.0, 0.0, np.nan, 0.0]))
    assert (found.n_pairs, found.difference, found.p) == (2, 0.5, 0.5)


def test_nothing_to_compare_gives_one():
    assert paired_test(np.full(3, 0.7), np.full(3, 0.7)).p == 1
    empty = paired_test(np.array([np.nan]), np.array([1.0]))
    assert (empty.p, empty.n_pairs) == (1.0, 0)
    assert np.isnan(empty.difference)


def test_same_draws_without_a_generator():
    a, b = normal_pairs(1, shift=0.3)
    assert paired_test(a, b) == paired_test(a, b)


@pytest.mark.parametrize(
    ("a", "b", "n_permutations"), [([1.0], [1.0, 2.0], 10), ([[1.0]], [[1.0]], 10), ([1.0], [1.0], 0)]
)
def test_bad_input_is_refused(a, b, n_permutations):
    with pytest.raises(InputError, match="allowed"):
        paired_test(np.array(a), np.array(b), n_permutations=n_permutations)


def scores_table(n=12):
    noise = draws(2).normal(0, 0.02, (n, 3))
    return pd.DataFrame(noise + np.array([0.9, 0.7, 0.705]), columns=["top", "low", "mid"])


def test_matrix_holds_every_paired_test():
    table = scores_table()
    matrix = pairwise_matrix(table)
    for row, column in itertools.permutations(table.columns, 2):
        assert matrix.loc[row, column] == paired_test(table[row].to_numpy(), table[column].to_numpy()).p
    assert np.all(np.diag(matrix) == 1)
    assert list(matrix.index) == list(matrix.columns) == list(table.columns)


def test_matrix_turns_around_for_errors():
    table = scores_table()
    pd.testing.assert_frame_equal(pairwise_matrix(-table, higher_is_better=False), pairwise_matrix(table))
    assert pairwise_matrix(table, higher_is_better=False).loc["top", "low"] == 1


def test_next_best_by_hand():
    ranked = beats_next_best(scores_table())
    assert list(ranked.index) == ["top", "mid", "low"]
    assert list(ranked["next_best"][:2]) == ["mid", "low"]
    assert ranked.loc["top", "p"] == 2**-12
    assert ranked.loc["top", "difference"] == pytest.approx((scores_table()["top"] - scores_table()["mid"]).mean())
    assert list(ranked["better"]) == [True, bool(ranked.loc["mid", "p"] < 0.05), False]
    assert np.isnan(ranked.loc["low", "p"])


def test_next_best_ranks_errors_upwards_and_by_the_statistic_shown():
    table = pd.DataFrame({"steady": [2.0, 2.0, 2.0], "lucky": [1.0, 1.0, 9.0], "gone": [np.nan] * 3})
    assert list(beats_next_best(table, higher_is_better=False).index) == ["steady", "lucky"]
    assert list(beats_next_best(table, higher_is_better=False, statistic="median").index) == ["lucky", "steady"]
    with pytest.raises(InputError, match="did you mean 'median'"):
        beats_next_best(table, statistic="medium")


def test_next_best_of_nothing_is_empty():
    assert len(beats_next_best(pd.DataFrame({"a": [np.nan], "b": [np.nan]}))) == 0


def test_next_best_reproduces_published_flags():
    """Alzheimer's disease, n = 200, medians and p of the talk of 24 November 2025."""
    names = ["multi-finetuned", "multi-frozen", "baseline", "linear", "reg-finetuned"]
    medians = [0.9125, 0.80375, 0.81875, 0.925, 0.8925]
    matrix = pd.DataFrame(1.0, index=names, columns=names)
    matrix.loc["linear", "multi-finetuned"] = 0.2514
    matrix.loc["multi-finetuned", "reg-finetuned"] = 0.0
    matrix.loc["reg-finetuned", "baseline"] = 0.0
    matrix.loc["baseline", "multi-frozen"] = 0.097
    ranked = beats_next_best(pd.DataFrame([medians], columns=names), statistic="median", matrix=matrix)
    assert list(ranked.index) == ["linear", "multi-finetuned", "reg-finetuned", "baseline", "multi-frozen"]
    assert list(ranked["better"][:-1]) == [False, True, True, False]


def slow_holm(p_values):
    known = [p for p in p_values if not np.isnan(p)]
    adjusted = []
    for p in p_values:
        smaller = [q for q in known if q <= p]
        steps = [(len(known) - sum(r < q for r in known)) * q for q in smaller]
        adjusted.append(np.nan if np.isnan(p) else min(1.0, max(steps)))
    return adjusted


@given(st.lists(st.integers(0, 20).map(lambda level: level / 20) | st.just(float("nan")), max_size=12))
def test_holm_agrees_with_a_slow_implementation(p_values):
    np.testing.assert_allclose(holm(np.array(p_values)), slow_holm(p_values))


def test_holm_by_hand_in_any_shape():
    found = holm(np.array([[0.01, 0.04], [np.nan, 0.03]]))
    np.testing.assert_allclose(found, [[0.03, 0.06], [np.nan, 0.06]])


@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_lies_between_nothing_and_bonferroni(p_values):
    found = holm(p_values)
    assert np.all(found >= p_values)
    assert np.all(found <= np.minimum(1, p_values * len(p_values)) + 1e-15)
    assert np.all(np.diff(found[np.argsort(p_values, kind="stable")]) >= 0)


def test_holm_keeps_the_familywise_level():
    p_values = draws(4).uniform(size=(4000, 6))
    false_claims = np.mean([np.any(holm(row) < 0.05) for row in p_values])
    assert false_claims < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
