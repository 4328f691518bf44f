"""ComBat against a plain second one, planted sites, what must not change it, and the odd samples that benchmarks draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from neurotransfer.errors import InputError
from neurotransfer.statistics.harmonise import fit_combat


def draws(seed=0):
    return np.random.default_rng(seed)


def planted(seed=0, sizes=(40, 25, 60), d=12, slope=0.0):
    """Features of sites with a shift and a stretch in every feature, and of the same people without them."""
    generator = draws(seed)
    sites = np.repeat([f"site-{place}" for place in range(len(sizes))], sizes)
    age = generator.normal(50, 10, len(sites))
    clean = generator.normal(3, 1, (len(sites), d)) + slope * (age[:, None] - 50)
    shift, stretch = generator.normal(0, 2, (len(sizes), d)), generator.uniform(0.5, 2, (len(sizes), d))
    place = np.repeat(np.arange(len(sizes)), sizes)
    moved = 3 + shift[place] + stretch[place] * (clean - 3 - slope * (age[:, None] - 50)) + slope * (age[:, None] - 50)
    return moved, sites, age[:, None], clean


def plainly(features, sites, covariates=None, empirical_bayes=True):
    """ComBat as it is told in the papers: loops over features and sites, one regression on indicators of sites."""
    features = np.asarray(features, float)
    names, (n, d) = sorted(set(sites)), features.shape
    extra = np.zeros((n, 0)) if covariates is None else covariates
    design = np.array(
        [[float(site == name) for name in names] + list(row) for site, row in zip(sites, extra, strict=True)]
    )
    size = [list(sites).count(name) for name in names]
    expected, unit, z = np.zeros((n, d)), np.zeros(d), np.zeros((n, d))
    for j in range(d):
        b = np.linalg.solve(design.T @ design, design.T @ features[:, j])
        grand = sum(m * value for m, value in zip(size, b, strict=False)) / n
        expected[:, j] = grand + extra @ b[len(names) :]
        unit[j] = np.sqrt(sum((features[:, j] - design @ b) ** 2) / n)
        z[:, j] = (features[:, j] - expected[:, j]) / unit[j]
    result = np.zeros((n, d))
    for name in names:
        mine = [row for row in range(n) if sites[row] == name]
        hat = [np.mean(z[mine, j]) for j in range(d)]
        var = [np.sum((z[mine, j] - hat[j]) ** 2) / (len(mine) - 1) for j in range(d)]
        bar, tau = np.mean(hat), np.sum((hat - np.mean(hat)) ** 2) / (d - 1) if empirical_bayes else None
        if empirical_bayes:
            m, s2 = np.mean(var), np.sum((var - np.mean(var)) ** 2) / (d - 1)
            shape, rate = (m**2 + 2 * s2) / s2, (m * s2 + m**3) / s2
        for j in range(d):
            g, v = hat[j], var[j]
            for _ in range(200 if empirical_bayes else 0):
                g = (len(mine) * tau * hat[j] + v * bar) / (len(mine) * tau + v)
                v = (rate + np.sum((z[mine, j] - g) ** 2) / 2) / (len(mine) / 2 + shape - 1)
            for row in mine:
                result[row, j] = unit[j] * (z[row, j] - g) / np.sqrt(v) + expected[row, j]
    return result


@pytest.mark.parametrize("empirical_bayes", [True, False])
@pytest.mark.parametrize("with_age", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_a_plain_second_one(seed, with_age, empirical_bayes):
    moved, sites, age, _ = planted(seed, sizes=(9, 4, 14), d=6, slope=0.05)
    covariates = np.column_stack([age, draws(seed).integers(0, 2, len(age))]) if with_age else None
    found = fit_combat(moved, sites, covariates, empirical_bayes=empirical_bayes).apply(moved, sites, covariates)
    np.testing.assert_allclose(found, plainly(moved, sites, covariates, empirical_bayes), rtol=1e-8, atol=1e-8)


def test_two_sites_by_hand():
    features, sites = np.array([[0.0], [2.0], [10.0], [14.0]]), ["a", "a", "b", "b"]
    combat = fit_combat(features, sites)
    pooled = np.sqrt((1 + 1 + 4 + 4) / 4)
    assert combat.mean == pytest.approx([6.5])
    assert combat.shift.ravel() == pytest.approx([-5.5, 5.5])
    assert combat.scale.ravel() == pytest.approx([np.sqrt(2) / pooled, np.sqrt(8) / pooled])
    assert combat.apply(features, sites).ravel() == pytest.approx(6.5 + pooled / np.sqrt(2) * np.array([-1, 1, -1, 1]))


@pytest.mark.parametrize("empirical_bayes", [True, False])
def test_planted_shifts_and_stretches_go(empirical_bayes):
    moved, sites, _, clean = planted(1, sizes=(300, 200, 400), d=30)
    found = fit_combat(moved, sites, empirical_bayes=empirical_bayes).apply(moved, sites)

    def unlike(table):
        groups = [table[sites == site] for site in sorted(set(sites))]
        return np.ptp([g.mean(0) for g in groups], axis=0).max(), np.ptp(
            [np.log(g.std(0)) for g in groups], axis=0
        ).max()

    shift_before, stretch_before = unlike(moved)
    shift_after, stretch_after = unlike(found)
    assert (shift_before > 2, stretch_before > 0.8) == (True, True)
    assert (shift_after < 0.1, stretch_after < 0.1) == (True, True)
    # people are in the order in which they were before their sites were added
    within = [np.corrcoef(found[sites == site, 0], clean[sites == site, 0])[0, 1] for site in set(sites)]
    assert min(within) > 0.999


def test_the_effect_of_a_covariate_is_kept():
    generator = draws(2)
    sites = np.repeat(["young", "old"], 200)
    age = np.r_[generator.normal(30, 8, 200), generator.normal(60, 8, 200)][:, None]
    slopes = np.array([0.0, 0.1, -0.2, 0.3])
    features = (
        age @ slopes[None]
        + (sites == "old")[:, None] * np.array([5.0, -5.0, 2.0, 0.0])
        + generator.normal(size=(400, 4))
    )

    def slope_of(table):
        return np.polyfit(age.ravel(), table, 1)[0]

    assert slope_of(fit_combat(features, sites, age).apply(features, sites, age)) == pytest.approx(slopes, abs=0.02)
    # without it, the difference of ages goes with the sites
    assert abs(slope_of(fit_combat(features, sites).apply(features, sites))[3]) < 0.15


def test_an_unlearnt_covariate_of_new_people_is_used():
    moved, sites, age, _ = planted(3, slope=0.1)
    combat = fit_combat(moved, sites, age)
    same = np.repeat(moved[:1], 2, axis=0)
    older = combat.apply(same, sites[:2], np.array([[40.0], [60.0]]))
    scale, shift, effect = combat.scale[0], combat.shift[0], combat.effect[0]
    expected = combat.mean + np.array([[40.0], [60.0]]) * effect
    np.testing.assert_allclose(older, expected + (same - expected - shift) / scale)


def test_new_people_of_known_sites_are_moved_by_training_numbers_alone():
    moved, sites, _, _ = planted(4, sizes=(2000, 2000), d=5)
    train = np.arange(len(sites)) % 2 == 0
    combat = fit_combat(moved[train], sites[train])
    before = {name: np.array(getattr(combat, name), copy=True) for name in ("mean", "effect", "shift", "scale")}
    both = combat.apply(moved[~train], sites[~train])
    others = np.r_[moved[~train][:10], 1e6 * np.ones((10, 5))]
    np.testing.assert_array_equal(combat.apply(others, sites[~train][:20])[:10], both[:10])
    for name, kept in before.items():
        np.testing.assert_array_equal(getattr(combat, name), kept)
    groups = [both[sites[~train] == site].mean(0) for site in combat.sites]
    assert np.abs(groups[0] - groups[1]).max() < 0.4
    assert np.abs(moved[sites == "site-0"].mean(0) - moved[sites == "site-1"].mean(0)).max() > 1


def test_people_of_an_unknown_site_are_left_as_they_are_and_named():
    moved, sites, _, _ = planted(5)
    combat = fit_combat(moved, sites)
    assert combat.sites == ("site-0", "site-1", "site-2")
    new = ["elsewhere", "site-1", None, "n/a"]
    found = combat.apply(moved[:4], new)
    np.testing.assert_array_equal(found[[0, 2, 3]], moved[[0, 2, 3]])
    assert np.abs(found[1] - moved[1]).max() > 0.1
    assert combat.unknown(new) == ("elsewhere", "n/a")
    assert combat.unknown(sites) == ()


def test_a_site_of_one_person_however_often_drawn_is_not_fitted():
    moved, sites, age, _ = planted(6)
    alone = np.r_[moved, [moved[0] + 50, moved[0] + 50]], np.r_[sites, ["alone", "alone"]], np.r_[age, age[:1], age[:1]]
    with_them, without = fit_combat(*alone), fit_combat(moved, sites, age)
    for name in ("mean", "effect", "shift", "scale"):
        np.testing.assert_array_equal(getattr(with_them, name), getattr(without, name))
    assert with_them.unknown(alone[1]) == ("alone",)
    np.testing.assert_array_equal(with_them.apply(*alone)[-1], moved[0] + 50)


@pytest.mark.parametrize("sites", [["here"] * 6, ["a", "a", "b", "c", "d", "e"], ["a", "b", "c", "d", "e", "f"]])
def test_fewer_than_two_sites_change_nothing(sites):
    features = draws(7).normal(5, 3, (6, 4))
    combat = fit_combat(features, sites, np.arange(6.0)[:, None])
    np.testing.assert_array_equal(combat.apply(features, sites, np.arange(6.0)[:, None]), features)


@pytest.mark.parametrize("empirical_bayes", [True, False])
def test_a_constant_feature_stays_and_changes_no_other(empirical_bayes):
    moved, sites, _, _ = planted(8)
    still = np.column_stack([moved, np.full(len(sites), 7.3)])
    found = fit_combat(still, sites, empirical_bayes=empirical_bayes).apply(still, sites)
    np.testing.assert_allclose(found[:, -1], 7.3, rtol=1e-12)
    alone = fit_combat(moved, sites, empirical_bayes=empirical_bayes).apply(moved, sites)
    np.testing.assert_allclose(found[:, :-1], alone, rtol=1e-12)


def test_a_feature_that_is_the_site_and_nothing_else_tells_it_no_more():
    moved, sites, _, _ = planted(9)
    label = np.unique(sites, return_inverse=True)[1] * 10.0 + 1e3
    found = fit_combat(np.column_stack([moved, label]), sites).apply(np.column_stack([moved, label]), sites)
    assert np.ptp(found[:, -1]) < 1e-9


@pytest.mark.parametrize("empirical_bayes", [True, False])
def test_a_site_that_does_not_vary_in_one_feature(empirical_bayes):
    moved, sites, _, _ = planted(10)
    moved[sites == "site-1", 2] = 4.0
    combat = fit_combat(moved, sites, empirical_bayes=empirical_bayes)
    assert np.isfinite(combat.scale).all()
    assert (combat.scale[1, 2] == 1.0) == (not empirical_bayes)
    assert combat.scale[1, 2] > 0.1
    assert np.isfinite(combat.apply(moved, sites)).all()


def test_features_that_all_are_alike_have_one_prior_value():
    column = planted(11, d=1)[0]
    sites = planted(11, d=1)[1]
    twice = fit_combat(np.column_stack([column, column]), sites).apply(np.column_stack([column, column]), sites)
    np.testing.assert_allclose(twice, fit_combat(column, sites).apply(column, sites) * np.ones(2), rtol=1e-10)


def test_a_covariate_that_is_the_site_has_no_effect_of_its_own():
    moved, sites, _, _ = planted(12, sizes=(50, 50))
    scanner = (sites == "site-1").astype(float)[:, None]
    combat = fit_combat(moved, sites, scanner)
    np.testing.assert_array_equal(combat.effect, 0.0)
    np.testing.assert_allclose(combat.apply(moved, sites, scanner), fit_combat(moved, sites).apply(moved, sites))


def test_covariates_that_say_the_same_twice_are_as_one():
    moved, sites, age, _ = planted(13, slope=0.1)
    twice = np.column_stack([age, 12 * age])
    found = fit_combat(moved, sites, twice).apply(moved, sites, twice)
    np.testing.assert_allclose(found, fit_combat(moved, sites, age).apply(moved, sites, age), rtol=1e-9)


def test_people_drawn_again_count_as_often():
    moved, sites, age, _ = planted(14)
    rows = draws(15).integers(0, len(sites), len(sites))
    found = fit_combat(moved[rows], sites[rows], age[rows]).apply(moved[rows], sites[rows], age[rows])
    np.testing.assert_allclose(found, plainly(moved[rows], sites[rows], age[rows]), rtol=1e-8)


def test_shrinkage_is_nearer_to_the_truth_in_small_sites():
    errors = {True: [], False: []}
    for seed in range(40):
        generator = draws(100 + seed)
        sites, d = np.repeat(list("abcdef"), 5), 40
        shift = np.repeat(generator.normal(0, 1, (6, 1)), d, axis=1) + generator.normal(0, 0.3, (6, d))
        features = generator.normal(size=(30, d)) + np.repeat(shift, 5, axis=0)
        for empirical_bayes, found in errors.items():
            combat = fit_combat(features, sites, empirical_bayes=empirical_bayes)
            found.append(np.mean((combat.shift - (shift - shift.mean(0))) ** 2))
    assert np.mean(errors[True]) < 0.75 * np.mean(errors[False])


@given(some.integers(0, 1000), some.booleans(), some.booleans())
@settings(deadline=None, max_examples=25)
def test_the_order_of_rows_does_not_matter(seed, empirical_bayes, with_age):
    moved, sites, age, _ = planted(seed, sizes=(7, 5, 3), d=4)
    order = draws(seed).permutation(len(sites))
    covariates = age if with_age else None
    there = fit_combat(moved, sites, covariates, empirical_bayes=empirical_bayes).apply(moved, sites, covariates)
    covariates = age[order] if with_age else None
    back = fit_combat(moved[order], sites[order], covariates, empirical_bayes=empirical_bayes)
    np.testing.assert_allclose(back.apply(moved[order], sites[order], covariates), there[order], rtol=1e-9, atol=1e-9)


@given(some.integers(0, 1000), some.floats(0.01, 100), some.floats(-1e4, 1e4), some.booleans())
@settings(deadline=None, max_examples=25)
def test_the_unit_of_a_feature_does_not_matter(seed, factor, offset, empirical_bayes):
    moved, sites, age, _ = planted(seed, sizes=(7, 5, 3), d=4)
    other = moved.copy()
    other[:, 1] = factor * other[:, 1] + offset
    there = fit_combat(moved, sites, age, empirical_bayes=empirical_bayes).apply(moved, sites, age)
    found = fit_combat(other, sites, age, empirical_bayes=empirical_bayes).apply(other, sites, age)
    there[:, 1] = factor * there[:, 1] + offset
    np.testing.assert_allclose(found, there, rtol=1e-6, atol=1e-6 * factor)


@given(some.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_the_grand_mean_stays_without_shrinkage(seed):
    moved, sites, _, _ = planted(seed, sizes=(7, 5, 3), d=4)
    found = fit_combat(moved, sites, empirical_bayes=False).apply(moved, sites)
    np.testing.assert_allclose(found.mean(0), moved.mean(0), rtol=1e-9)


def test_it_is_the_same_every_time_and_leaves_its_arguments_alone():
    moved, sites, age, _ = planted(16)
    kept = moved.copy()
    first, again = (fit_combat(moved, sites, age).apply(moved, sites, age) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(moved, kept)


def test_sites_may_be_numbers():
    moved, sites, _, _ = planted(17)
    numbers = np.unique(sites, return_inverse=True)[1]
    assert fit_combat(moved, numbers).sites == ("0", "1", "2")
    np.testing.assert_array_equal(
        fit_combat(moved, numbers.astype(float)).apply(moved, numbers), fit_combat(moved, sites).apply(moved, sites)
    )


def test_what_cannot_be_used_is_said():
    moved, sites, age, _ = planted(18)
    with pytest.raises(InputError, match=r"got features of shape \(125, 12\) and 124 sites"):
        fit_combat(moved, sites[1:])
    with pytest.raises(InputError, match=r"covariates \(125, c\), got shape \(125,\)"):
        fit_combat(moved, sites, age.ravel())
    broken = moved.copy()
    broken[3, 0] = np.nan
    with pytest.raises(InputError, match=r"features of 1 rows are not finite \(row 4\)"):
        fit_combat(broken, sites)
    with pytest.raises(InputError, match="fitted on 12 features and 1 covariates, got 12 and 0"):
        fit_combat(moved, sites, age).apply(moved, sites)
    with pytest.raises(InputError, match="4 people of 2 sites and 2 covariates"):
        fit_combat(moved[:4], ["a", "a", "b", "b"], draws().normal(size=(4, 2)))
