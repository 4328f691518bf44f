"""The cost of choosing: by hand, by plain loops, nothing where there is nothing to choose, and planted costs found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from neurotransfer.errors import InputError
from neurotransfer.statistics.selection import best_elsewhere, quality_of_chosen, selection_cost

# the mean of the greatest of nine standard normal values
GREATEST_OF_NINE = 1.4850


def draws(seed=0):
    return np.random.default_rng(seed)


def study(seed, qualities, n=50, noise=1.0, common=1.0):
    generator = draws(seed)
    qualities = np.asarray(qualities, float)
    return qualities + generator.normal(0, common, (n, 1)) + generator.normal(0, noise, (n, len(qualities)))


def true_cost(qualities, noise=1.0):
    picked = np.argmax(qualities + draws(99).normal(0, noise, (200_000, len(qualities))), axis=1)
    return np.max(qualities) - np.mean(np.asarray(qualities)[picked])


def test_quality_of_the_chosen_by_hand():
    scores = np.array([[0.9, 0.5], [0.6, 0.7], [0.5, 0.8]])
    chosen = np.array([0, 1, 1])
    # over the others: (0.6 + 0.5) / 2, (0.5 + 0.8) / 2, (0.5 + 0.7) / 2
    assert quality_of_chosen(scores, chosen, np.ones((1, 3)))[0] == pytest.approx((0.55 + 0.65 + 0.6) / 3)
    # the first replicate twice, the second once: it does not judge its own choice
    assert quality_of_chosen(scores, chosen, np.array([[2.0, 1.0, 0.0]]))[0] == pytest.approx((0.6 + 0.6 + 0.5) / 3)
    assert np.isnan(quality_of_chosen(scores, chosen, np.array([[3.0, 0.0, 0.0]]))[0])


def test_the_best_elsewhere_by_hand():
    scores = np.array([[5.0, 1.0], [0.0, 2.0], [2.0, 2.0]])
    # without the first, sums are 2 and 4; without the second, 7 and 3; without the third, 5 and 3
    assert best_elsewhere(scores, np.ones((1, 3)), np.array([[0, 1, 2]]))[0] == pytest.approx((1 + 0 + 2) / 3)


@given(some.integers(0, 10_000), some.integers(4, 12), some.integers(2, 5))
@settings(deadline=None, max_examples=30)
def test_both_agree_with_plain_loops(seed, n, n_settings):
    generator = draws(seed)
    scores, drawn = generator.normal(size=(n, n_settings)), generator.multinomial(n, np.ones(n) / n)
    chosen, fold = generator.integers(0, n_settings, n), generator.permutation(n) % 3
    rows = np.repeat(np.arange(n), drawn)
    quality, best = [], []
    for row in rows:
        others = rows[rows != row]
        quality.append(scores[others, chosen[row]].mean() if len(others) else np.nan)
        elsewhere = rows[fold[rows] != fold[row]]
        sums = [scores[elsewhere, setting].sum() for setting in range(n_settings)]
        best.append(scores[row, int(np.argmax(sums))])
    weights = drawn[None].astype(float)
    assert quality_of_chosen(scores, chosen, weights)[0] == pytest.approx(np.mean(quality), nan_ok=True)
    assert best_elsewhere(scores, weights, fold[None])[0] == pytest.approx(np.mean(best))


@pytest.mark.parametrize("n_settings", [2, 9])
@pytest.mark.parametrize("n", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_no_cost_where_all_settings_are_equal(n, n_settings):
    found = [
        selection_cost(scores, True, scores.argmax(1), n_draws=200)
        for scores in (study(seed, np.zeros(n_settings), n) for seed in range(120))
    ]
    costs = np.array([each.cost.value for each in found])
    assert abs(costs.mean()) < 3 * costs.std() / len(costs) ** 0.5
    # an interval that leaves out 0 on one side: 2.5 % of 120, and two standard errors more
    assert sum(each.cost.above_zero for each in found) <= 6
    assert np.mean([each.cost.low <= 0 <= each.cost.high for each in found]) > 0.9
    gains = np.array([each.gain.value for each in found])
    assert abs(gains.mean()) < 3 * gains.std() / len(gains) ** 0.5


def test_the_plain_maximum_would_claim_a_cost_there():
    scores = [study(seed, np.zeros(9), 20) for seed in range(60)]
    naive = np.mean([table.mean(0).max() - table.mean() for table in scores])
    ours = np.mean([selection_cost(table, True, table.argmax(1), n_draws=10).cost.value for table in scores])
    assert naive > 0.25
    assert ours < 0.1


@pytest.mark.parametrize("qualities", [np.r_[np.zeros(8), 1.0], np.r_[np.zeros(4), np.full(5, 2.0)]])
def test_a_planted_cost_is_found_and_covered(qualities):
    truth = true_cost(qualities)
    found = [
        selection_cost(scores, True, scores.argmax(1), n_draws=200)
        for scores in (study(seed, qualities, 60) for seed in range(50))
    ]
    assert np.mean([each.cost.value for each in found]) == pytest.approx(truth, abs=0.07)
    # of 50, three standard errors below 0.95
    assert np.mean([each.cost.low <= truth <= each.cost.high for each in found]) > 0.85
    assert np.mean([each.between**2 for each in found]) == pytest.approx(qualities.var(ddof=1), rel=0.15)


def test_optimism_is_that_of_the_greatest_of_nine():
    scores = study(1, np.zeros(9), 400)
    found = selection_cost(scores, True, scores.argmax(1))
    assert found.optimism.value == pytest.approx(GREATEST_OF_NINE, abs=0.12)
    assert found.optimism.low < GREATEST_OF_NINE < found.optimism.high
    assert found.agreement == pytest.approx(1 / 9, abs=0.03)
    assert found.effective_settings > 8.5
    assert (found.noise, found.common) == (pytest.approx(1, abs=0.05), pytest.approx(1, abs=0.12))
    assert found.between < 0.15


def test_a_clear_best_costs_nothing_and_flatters_nobody():
    scores = study(2, [0.0, 0.0, 50.0])
    found = selection_cost(scores, True, scores.argmax(1))
    assert found.cost.value == pytest.approx(0, abs=1e-9)
    assert found.optimism.value == pytest.approx(0, abs=1e-9)
    assert (found.agreement, found.effective_settings, found.best_setting) == (1.0, pytest.approx(1.0), 2)
    assert found.gain.value == pytest.approx(50 * 2 / 3, abs=0.5)
    assert found.between == pytest.approx(50 / 3**0.5, abs=0.5)


def test_a_choice_at_random_costs_the_distance_to_the_best():
    scores = study(3, [0.0, 1.0, 5.0], 300)
    found = selection_cost(scores, True, draws(3).integers(0, 3, 300))
    assert found.cost.value == pytest.approx(5 - 2, abs=0.3)
    assert found.optimism.value == pytest.approx(0, abs=0.25)
    assert found.optimism.low < 0 < found.optimism.high


@given(some.integers(0, 1000), some.floats(0.1, 10), some.floats(-5, 5))
@settings(deadline=None, max_examples=15)
def test_errors_are_scores_turned_round(seed, factor, offset):
    scores = study(seed, np.linspace(0, 1, 4), 12)
    errors = offset - factor * scores
    chosen = scores.argmax(1)
    there = selection_cost(scores, True, chosen, scores[:, ::-1], n_draws=50)
    back = selection_cost(errors, False, chosen, errors[:, ::-1], n_draws=50)
    for name in ("cost", "gain", "optimism"):
        for one, other in ((there, back), (there.by_test, back.by_test)):
            assert getattr(other, name).value == pytest.approx(factor * getattr(one, name).value, abs=1e-9)
            assert getattr(other, name).high == pytest.approx(factor * getattr(one, name).high, abs=1e-9)
    assert back.chosen.value == pytest.approx(offset - factor * there.chosen.value)
    assert back.chosen.low == pytest.approx(offset - factor * there.chosen.high)
    assert back.best_setting == there.best_setting
    assert (back.noise, back.between) == (
        pytest.approx(factor * there.noise),
        pytest.approx(factor * there.between, abs=1e-6),
    )
    assert back.qualities == pytest.approx(errors.mean(0))


@given(some.permutations(range(5)), some.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_the_order_of_settings_does_not_matter(order, seed):
    scores = study(seed, np.linspace(0, 1, 5), 12)
    there = selection_cost(scores, True, scores.argmax(1), n_draws=30)
    turned = scores[:, list(order)]
    back = selection_cost(turned, True, turned.argmax(1), n_draws=30)
    assert order[back.best_setting] == there.best_setting
    assert back.cost.value == pytest.approx(there.cost.value)
    assert back.cost.low == pytest.approx(there.cost.low)
    assert back.effective_settings == pytest.approx(there.effective_settings)


def test_by_test_scores():
    generator = draws(4)
    qualities = np.r_[np.zeros(8), 0.5]
    own = generator.normal(0, 0.3, (400, 9))
    validation, test = (qualities + own + generator.normal(0, 1, (400, 9)) for _ in range(2))
    found = selection_cost(validation, True, validation.argmax(1), test).by_test
    rows = np.arange(400)
    assert found.chosen.value == pytest.approx(test[rows, validation.argmax(1)].mean())
    assert found.oracle.value == pytest.approx(test.max(1).mean())
    assert found.average.value == pytest.approx(test.mean())
    assert found.best_fixed.value == pytest.approx(test[:, 8].mean(), abs=0.01)
    assert found.regret.value == pytest.approx(found.oracle.value - found.chosen.value)
    assert found.cost.value == pytest.approx(found.best_fixed.value - found.chosen.value)
    assert found.gain.value == pytest.approx(found.chosen.value - found.average.value)
    flattered = validation - test
    expected = flattered[rows, validation.argmax(1)].mean() - flattered.mean()
    assert found.optimism.value == pytest.approx(expected)
    assert found.optimism.low > 0.8
    # the setting that suits the people of a replicate is no cost by test, but cannot be seen by validation
    by_validation = selection_cost(validation, True, validation.argmax(1))
    assert found.cost.value < by_validation.cost.value - 0.05
    assert by_validation.by_test is None


def test_incomplete_settings_and_replicates_are_left_out():
    scores = study(5, [0.0, 0.0, 0.0, 1.0], 12)
    chosen = scores.argmax(1)
    holes = np.column_stack([scores, np.full(12, np.nan)])
    holes[3, 1] = np.nan
    holes[:7, 0] = np.nan
    kept = np.array([row for row in range(12) if row != 3 and chosen[row] != 0])
    found = selection_cost(holes, True, chosen)
    expected = selection_cost(scores[kept][:, 1:], True, chosen[kept] - 1)
    assert found.settings.tolist() == [1, 2, 3]
    assert found.n_replicates == len(kept)
    assert (found.cost, found.optimism) == (expected.cost, expected.optimism)
    assert found.best_setting == expected.best_setting + 1


def test_it_is_the_same_every_time():
    scores = study(6, np.zeros(3), 10)
    first, again = (selection_cost(scores, True, scores.argmax(1)).cost for _ in range(2))
    assert first == again
    assert selection_cost(scores, True, scores.argmax(1), generator=draws(7)).cost != first


def test_what_cannot_be_used_is_said():
    scores = study(7, np.zeros(3), 10)
    chosen = scores.argmax(1)
    with pytest.raises(InputError, match=r"choices \(R,\), got shapes \(10, 3\) and \(9,\)"):
        selection_cost(scores, True, chosen[1:])
    with pytest.raises(InputError, match="places of settings from 0 to 2"):
        selection_cost(scores, True, np.full(10, 3))
    with pytest.raises(InputError, match=r"test scores have shape \(10, 2\)"):
        selection_cost(scores, True, chosen, scores[:, :2])
    holes = scores.copy()
    holes[np.arange(5), 0] = holes[np.arange(5, 8), 1] = np.nan
    with pytest.raises(InputError, match="complete are 2 of 10 replicates and 3 of 3 settings"):
        selection_cost(holes, True, chosen)
    with pytest.raises(InputError, match="1 of 1 settings"):
        selection_cost(scores[:, :1], True, np.zeros(10, int))
