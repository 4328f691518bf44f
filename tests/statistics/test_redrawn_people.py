"""Redrawn people: the right variance on pools that can be drawn anew, what is shared, pairs of strategies, what is refused."""

import numpy as np
import pytest

from neurotransfer.errors import InputError
from neurotransfer.statistics import redrawn_people as module
from neurotransfer.statistics.monotone import monotone_test
from neurotransfer.statistics.redrawn import by_replicates
from neurotransfer.statistics.redrawn_people import PeopleScores, Predictions, by_people, people_scores


def study(rng, n_people, sizes, n_replicates, spread=0.3, noise=0.5, kind="binary", gains=None):
    """Replicates that test people of one pool, whose difficulty is their own, with models that differ by luck.

    `sizes` are the sizes of test parts; a person's trait counts in all replicates, so that scores share it.
    """
    is_one, trait = rng.integers(0, 2, n_people), rng.normal(0, 1, n_people)
    parts = []
    for n_test, gain in zip(sizes, gains or [1.0] * len(sizes), strict=True):
        replicates = []
        for _ in range(n_replicates):
            people = rng.choice(n_people, n_test, replace=False)
            effect = gain + spread * rng.normal()
            signal = effect * is_one[people] + trait[people] + noise * rng.normal(size=n_test)
            observed, predicted = 1.0 * is_one[people], 1 / (1 + np.exp(0.5 - signal))
            if kind == "continuous":
                observed, predicted = 0 * signal, signal - 0.5 * effect
            replicates.append(Predictions(observed, predicted, people))
        parts.append(replicates)
    return parts


def draws(seed):
    return np.random.default_rng(seed)


def variances(score, kind, n_people, n_replicates, sizes, spread, noise, n_pools):
    """Of each size and of their difference: what `by_people` says on the average over pools, over what new pools give."""
    curves, said = [], []
    for seed in range(n_pools):
        parts = study(draws(seed), n_people, sizes, n_replicates, spread, noise, kind)
        redrawn = by_people(parts, score, kind, 200, draws(seed), n_people)
        curves.append(redrawn.curve)
        said.append([*redrawn.deviations.var(axis=0), np.diff(redrawn.deviations).var()])
    curves = np.array(curves)
    return np.mean(said, axis=0) / [*curves.var(axis=0), np.diff(curves).var()]


@pytest.mark.parametrize(("score", "kind"), [("auc", "binary"), ("mae", "continuous")])
def test_the_variance_is_that_of_new_pools_and_new_replicates(score, kind):
    found = variances(score, kind, 60, 20, [10, 30], 0.5, 0.5, n_pools=100)
    # a variance of 100 curves has a standard error of 14 %; a t with 19 degrees of freedom has 12 % more variance, and that what
    # replicates add to people is never below zero makes it larger where they add little
    np.testing.assert_allclose(found, 1.1, atol=0.45)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        ("auc", "binary", 60, 30, [12, 30], 0.3, 0.5),
        ("auc", "binary", 150, 20, [20, 40], 0.6, 1.0),
        ("brier", "binary", 60, 40, [10, 20], 0.2, 0.3),
        ("mae", "continuous", 60, 40, [10, 30], 0.2, 0.3),
        ("mae", "continuous", 200, 20, [20, 40], 0.0, 2.0),
    ],
)
def test_the_variance_is_right_for_pools_of_many_sorts(case):
    # a variance of 150 curves has a standard error of 12 %
    np.testing.assert_allclose(variances(*case, n_pools=150), 1.08, atol=0.4)


def test_replicates_alone_would_be_too_sure_of_a_small_pool():
    curves, replicates_only, with_people = [], [], []
    for seed in range(80):
        parts = study(draws(seed), 40, [20], 30, spread=0.1, noise=0.1)
        scored = people_scores(parts, "auc", "binary", 40)
        curves.append(scored.scores[0].mean())
        replicates_only.append(by_replicates(scored.scores[0][:, None], 200).deviations.var())
        with_people.append(scored.redrawn(200).deviations.var())
    assert np.mean(replicates_only) < 0.35 * np.var(curves)
    assert np.mean(with_people) == pytest.approx(np.var(curves), rel=0.5)


def test_sizes_share_their_people():
    parts = study(draws(1), 40, [20, 20, 20], 50, spread=0.05, noise=0.1)
    deviations = by_people(parts, "auc", "binary").deviations
    correlations = np.corrcoef(deviations.T)[np.triu_indices(3, 1)]
    assert (correlations > 0.8).all()
    # so that a difference between sizes is surer than either
    assert np.diff(deviations).var(axis=0).max() < 0.5 * deviations.var(axis=0).min()


def test_everyone_tested_once_a_replicate_is_the_plain_bootstrap_of_people():
    rng = draws(2)
    errors = rng.gamma(2.0, 3.0, 80)
    parts = [[Predictions(np.zeros(80), errors, np.arange(80))] * 5]
    redrawn = by_people(parts, "mae", "continuous", 4000)
    plain = errors[rng.integers(0, 80, (4000, 80))].mean(axis=1)
    assert redrawn.curve[0] == pytest.approx(errors.mean())
    # what a person adds is a jackknife value, n / (n - 1) times what the bootstrap of people takes
    assert redrawn.deviations.std() == pytest.approx(plain.std() * 80 / 79, rel=0.05)


def test_rows_of_one_person_are_drawn_together():
    rng = draws(3)
    errors = rng.normal(10, 2, 50)
    once = [[Predictions(np.zeros(50), errors, np.arange(50))] * 3]
    twice = [[Predictions(np.zeros(100), np.tile(errors, 2), np.tile(np.arange(50), 2))] * 3]
    first, second = (by_people(parts, "mae", "continuous").deviations.std() for parts in (once, twice))
    assert second == pytest.approx(first, rel=0.03)


def test_people_who_are_never_tested_change_next_to_nothing():
    parts = study(draws(4), 50, [25, 25], 20)
    few, many = (by_people(parts, "auc", "binary", 4000, n_people=count) for count in (50, 500))
    np.testing.assert_allclose(many.curve, few.curve)
    np.testing.assert_allclose(many.standard_errors, few.standard_errors, rtol=0.06)


def test_noise_in_parts():
    scored = people_scores(study(draws(5), 4000, [30], 400, spread=0.0, noise=0.0), "auc", "binary")
    (size,) = scored.sizes()
    assert size.mean == pytest.approx(scored.scores[0].mean())
    # one model, and a pool so large that all luck is whom a replicate tests
    assert size.measured == pytest.approx(size.replicated, rel=0.2)
    assert size.share_measured > 0.8
    (other,) = people_scores(study(draws(5), 4000, [300], 40, spread=3.0, noise=0.0), "auc", "binary").sizes()
    assert other.share_measured < 0.1
    (small,) = people_scores(study(draws(5), 60, [30], 400, spread=0.0, noise=0.0), "auc", "binary").sizes()
    assert small.pooled > 5 * small.replicated


def test_a_difference_between_strategies_is_paired():
    rng = draws(6)
    parts = study(rng, 80, [40, 40], 30, noise=0.5)
    worse = [
        [Predictions(part.observed, part.predicted + 0.01 * rng.normal(size=40), part.people) for part in size]
        for size in parts
    ]
    first, second = (people_scores(one, "auc", "binary", 80) for one in (parts, worse))
    difference = first.minus(second).redrawn()
    np.testing.assert_allclose(difference.curve, first.redrawn().curve - second.redrawn().curve)
    assert (difference.standard_errors < 0.2 * first.redrawn().standard_errors).all()
    assert (first.minus(first).redrawn().deviations == 0).all()


def test_a_difference_leaves_out_replicates_that_either_lacks():
    parts = study(draws(7), 40, [20], 6)
    without = [[None, *parts[0][1:]]]
    first, second = (people_scores(one, "auc", "binary", 40) for one in (parts, without))
    np.testing.assert_array_equal(np.isnan(first.minus(second).scores[0]), [True] + 5 * [False])
    assert first.minus(second).redrawn().known.all()
    with pytest.raises(InputError, match="equally many"):
        first.minus(people_scores([parts[0][1:]], "auc", "binary", 40))


def test_missing_replicates_and_scores_are_left_out():
    parts = study(draws(8), 40, [20, 20, 20], 8)
    one_class = Predictions(np.ones(20), draws(1).random(20), np.arange(20))
    holes = [[*parts[0], None, one_class], [None] * 3, parts[2][:2]]
    redrawn = by_people(holes, "auc", "binary", n_people=40)
    whole = by_people(parts, "auc", "binary", n_people=40)
    np.testing.assert_array_equal(redrawn.known, [True, False, False])
    assert redrawn.curve[0] == whole.curve[0]
    assert np.isnan(redrawn.curve[1])
    assert np.isfinite(redrawn.curve[2])
    assert redrawn.standard_errors[0] == pytest.approx(whole.standard_errors[0], rel=0.1)


def test_the_level_holds_where_a_pool_is_shared():
    found = []
    for seed in range(100):
        parts = study(draws(seed), 50, [12, 25, 25], 10, spread=0.3)
        found.append(monotone_test(by_people(parts, "auc", "binary", 199, draws(seed), 50), True).p_dip)
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


def test_a_dip_that_is_there_is_found():
    parts = study(draws(9), 200, [60, 60, 60], 40, gains=[0.5, 2.0, 1.2])
    found = monotone_test(by_people(parts, "auc", "binary"), True)
    assert (found.start, found.end) == (1, 2)
    assert found.p_dip < 0.01


def test_the_same_draws_every_time_and_in_parts(monkeypatch):
    parts = study(draws(10), 40, [20, 20], 10)
    first, again = by_people(parts, "auc", "binary"), by_people(parts, "auc", "binary")
    np.testing.assert_array_equal(first.deviations, again.deviations)
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 1000)
    np.testing.assert_allclose(by_people(parts, "auc", "binary").deviations, first.deviations, atol=1e-12)


def test_several_classes_need_their_probabilities():
    rng = draws(11)
    raw = rng.random((6, 30, 3))
    probabilities = raw / raw.sum(axis=2, keepdims=True)
    observed = np.arange(30.0) % 3
    parts = [[Predictions(observed, one.argmax(1).astype(float), np.arange(30), one) for one in probabilities]]
    for score in ("auc", "brier", "balanced_accuracy"):
        assert by_people(parts, score, "categorical").standard_errors[0] > 0


def test_what_makes_no_sense_is_refused():
    good = Predictions(np.zeros(3), np.ones(3), np.arange(3))
    for people, found in (
        (np.arange(4), r"\(4,\)"),
        (np.array(["a", "b", "c"]), "a whole number a row"),
        (np.array([0, 1, 9]), "0 to 2"),
        (np.array([-1, 1, 2]), "-1 to 2"),
    ):
        with pytest.raises(InputError, match=found):
            people_scores([[good, Predictions(np.zeros(3), np.ones(3), people)]], "mae", "continuous", n_people=3)
    for parts in ([], [[]], [[None]]):
        with pytest.raises(InputError, match="no replicate"):
            by_people(parts, "mae", "continuous")
    with pytest.raises(InputError, match="n_draws is 0"):
        by_people([[good]], "mae", "continuous", n_draws=0)
    with pytest.raises(InputError, match="score"):
        by_people([[good]], "f1", "continuous")
    assert isinstance(people_scores([[good]], "mae", "continuous"), PeopleScores)
