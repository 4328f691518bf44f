"""Parts of a variance: by hand, by brute force, unbiased in simulated studies of known parts, and honest about what is missing."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from neurotransfer.errors import InputError
from neurotransfer.statistics.measurement import measurement_variance
from neurotransfer.statistics.spread import SOURCES, decompose, variance_of_choices

MEASUREMENT, INITIALISATION, SAMPLING = 0.16, 0.09, 0.25


def draws(seed=0):
    return np.random.default_rng(seed)


def study(seed, qualities, n=30, n_seeds=3):
    """Replicates whose scores have the variances above, and a choice of settings by noisy validation."""
    generator = draws(seed)
    qualities = np.asarray(qualities, float)
    validation = qualities + generator.normal(0, 1, (n, 1)) + generator.normal(0, 1, (n, len(qualities)))
    chosen = validation.argmax(1)
    base = qualities[chosen] + generator.normal(0, SAMPLING**0.5, n) + generator.normal(0, MEASUREMENT**0.5, n)
    seeds = base[:, None] + generator.normal(0, INITIALISATION**0.5, (n, n_seeds))
    measured = MEASUREMENT * generator.chisquare(20, n) / 20
    return seeds[:, 0], {"measurement": measured, "validation": validation, "chosen": chosen, "seeds": seeds}


def true_selection(qualities):
    picked = np.argmax(qualities + draws(99).normal(0, 1, (200_000, len(qualities))), axis=1)
    return np.var(np.asarray(qualities)[picked])


def test_by_hand():
    scores = np.array([1.0, 2.0, 3.0, 4.0])
    found = decompose(scores, measurement=np.array([0.2, 0.4, np.nan, 0.6]), seeds=np.array([[1.0, 3.0], [2.0, 2.0]]))
    assert found.n_replicates == 4
    assert found.total.raw == pytest.approx(5 / 3)
    assert found.part("measurement").raw == pytest.approx(0.4)
    assert found.part("initialisation").raw == pytest.approx(1.0)
    assert found.part("sampling").raw == pytest.approx(5 / 3 - 1.4)
    assert found.part("selection") is found.part("sampling")
    assert found.part("measurement").share == pytest.approx(0.24)
    assert found.part("sampling").sources == ("selection", "sampling")


@given(some.integers(0, 10_000), some.integers(4, 7), some.integers(2, 4))
@settings(deadline=None, max_examples=30)
def test_the_variance_of_choices_is_that_of_all_fours(seed, n, n_settings):
    generator = draws(seed)
    scores, chosen = generator.normal(size=(n, n_settings)), generator.integers(0, n_settings, n)
    products = []
    for first, second, one, other in itertools.permutations(range(n), 4):
        a, b = chosen[first], chosen[second]
        products.append((scores[one, a] - scores[one, b]) * (scores[other, a] - scores[other, b]) / 2)
    assert variance_of_choices(scores, chosen) == pytest.approx(np.mean(products))


def test_without_noise_it_is_the_plain_variance():
    scores, chosen = np.tile([0.1, 0.4, 0.9], (6, 1)), np.array([0, 1, 2, 2, 1, 0])
    assert variance_of_choices(scores, chosen) == pytest.approx(np.var([0.1, 0.4, 0.9, 0.9, 0.4, 0.1], ddof=1))
    assert variance_of_choices(scores, np.zeros(6, int)) == pytest.approx(0)


@pytest.mark.parametrize("qualities", [np.zeros(9), np.linspace(0, 2, 9)])
@pytest.mark.parametrize("n", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_parts_are_unbiased_and_covered(n, qualities):
    truth = {
        "measurement": MEASUREMENT,
        "selection": true_selection(qualities),
        "initialisation": INITIALISATION,
        "sampling": SAMPLING,
    }
    raw, covered = {name: [] for name in truth}, {name: [] for name in truth}
    for seed in range(150):
        scores, given_too = study(seed, qualities, n)
        found = decompose(scores, **given_too, n_draws=200)
        for name, value in truth.items():
            part = found.part(name)
            raw[name].append(part.raw)
            covered[name].append(part.low - 1e-12 <= value <= part.high + 1e-12)
    for name, value in truth.items():
        error = np.std(raw[name]) / 150**0.5
        assert abs(np.mean(raw[name]) - value) < 3.5 * error + 1e-12, name
        # variances of ten replicates are skewed: their intervals cover a little less often than they say
        assert np.mean(covered[name]) > 0.83, name


def test_raw_parts_add_up_to_the_total():
    scores, given_too = study(1, np.linspace(0, 1, 4))
    for names in ((), ("measurement",), ("validation", "chosen"), ("seeds",), tuple(given_too)):
        found = decompose(scores, **{name: given_too[name] for name in names}, n_draws=50)
        assert sum(part.raw for part in found.parts) == pytest.approx(found.total.raw)
        assert sorted(source for part in found.parts for source in part.sources) == sorted(SOURCES)
        assert found.total.raw == pytest.approx(scores.var(ddof=1))
        assert found.total.low < found.total.raw < found.total.high


def test_what_is_missing_is_said():
    scores, given_too = study(2, np.zeros(3))
    assert decompose(scores, **given_too, n_draws=10).notes == ()
    without = decompose(scores, measurement=given_too["measurement"], n_draws=10)
    assert without.part("sampling").sources == ("selection", "initialisation", "sampling")
    assert len(without.notes) == 2
    assert "initialisation cannot be told from the people" in without.notes[1]
    nothing = decompose(scores, n_draws=10)
    assert nothing.parts[0].sources == SOURCES
    assert nothing.parts[0].share == pytest.approx(1)


def test_a_negative_part_is_0_and_its_raw_value_is_kept():
    scores = draws(3).normal(0, 0.1, 40)
    found = decompose(scores, measurement=np.full(40, 1.0))
    part = found.part("sampling")
    assert part.raw == pytest.approx(scores.var(ddof=1) - 1)
    assert (part.variance, part.low, part.share) == (0, 0, 0)
    assert found.part("measurement").share > 1


def test_test_people_of_a_pool_vary_less_the_more_of_it_they_are():
    generator = draws(4)
    pool = generator.normal(0, 1, 90)
    scores, measured = [], []
    for _ in range(3000):
        tested = generator.choice(pool, 30, replace=False)
        scores.append(np.mean(np.abs(tested)))
        measured.append(measurement_variance(tested, np.zeros(30), "continuous", "mae"))
    found = decompose(np.array(scores), measurement=np.array(measured), tested_share=30 / 90, n_draws=200)
    assert found.part("measurement").share == pytest.approx(1, abs=0.08)
    as_if_endless = decompose(np.array(scores), measurement=np.array(measured), n_draws=10)
    assert as_if_endless.part("measurement").share > 1.35


def test_noise_in_validation_is_no_selection():
    raw = []
    for seed in range(60):
        generator = draws(500 + seed)
        validation = generator.normal(0, 1, (20, 9))
        found = decompose(generator.normal(size=20), validation=validation, chosen=validation.argmax(1), n_draws=50)
        raw.append(found.part("selection").raw)
    assert abs(np.mean(raw)) < 3 * np.std(raw) / 60**0.5


def test_replicates_without_a_score_are_left_out_with_what_is_theirs():
    scores, given_too = study(5, np.linspace(0, 1, 4), 20)
    holes = scores.copy()
    holes[[3, 8]] = np.nan
    kept = np.delete(np.arange(20), [3, 8])
    rest = {name: values[kept] for name, values in given_too.items() if name != "seeds"}
    found = decompose(holes, **{**given_too, "seeds": None}, n_draws=50)
    expected = decompose(scores[kept], **rest, n_draws=50)
    assert found.n_replicates == 18
    assert [part.raw for part in found.parts] == [part.raw for part in expected.parts]


def test_seeds_may_be_of_fewer_splits_and_incomplete():
    scores, given_too = study(6, np.zeros(2), 20)
    seeds = given_too["seeds"][:6].copy()
    seeds[0, 2] = seeds[1, 1] = seeds[1, 2] = np.nan
    expected = np.mean([np.var(row[np.isfinite(row)], ddof=1) for row in seeds[[0, 2, 3, 4, 5]]])
    assert decompose(scores, seeds=seeds).part("initialisation").raw == pytest.approx(expected)


@given(some.integers(0, 1000), some.floats(0.1, 10), some.floats(-5, 5))
@settings(deadline=None, max_examples=15)
def test_the_unit_of_a_score(seed, factor, offset):
    scores, given_too = study(seed, np.linspace(0, 1, 3), 8)
    moved = {
        "measurement": factor**2 * given_too["measurement"],
        "validation": factor * given_too["validation"] + offset,
        "chosen": given_too["chosen"],
        "seeds": factor * given_too["seeds"] + offset,
    }
    there, back = decompose(scores, **given_too, n_draws=40), decompose(factor * scores + offset, **moved, n_draws=40)
    for one, other in zip(there.parts, back.parts, strict=True):
        assert other.raw == pytest.approx(factor**2 * one.raw, abs=1e-9)
        assert other.high == pytest.approx(factor**2 * one.high, abs=1e-9)
        assert other.share == pytest.approx(one.share, abs=1e-9)


def test_it_is_the_same_every_time():
    scores, given_too = study(7, np.zeros(3))
    assert decompose(scores, **given_too) == decompose(scores, **given_too)
    assert decompose(scores, **given_too) != decompose(scores, **given_too, generator=draws(1))


def test_scores_that_are_all_the_same_have_no_shares():
    found = decompose(np.full(5, 0.5), measurement=np.zeros(5))
    assert found.total.variance == pytest.approx(0)
    assert math.isnan(found.part("measurement").share)


def test_what_cannot_be_used_is_said():
    scores, given_too = study(8, np.zeros(3), 10)
    with pytest.raises(InputError, match="measurement has 9 replicates; allowed: as many as scores, 10"):
        decompose(scores, measurement=np.ones(9))
    with pytest.raises(InputError, match="go together"):
        decompose(scores, validation=given_too["validation"])
    with pytest.raises(InputError, match="tested_share 30"):
        decompose(scores, tested_share=30)
    with pytest.raises(InputError, match="3 replicates or more with a score, got 2"):
        decompose(scores[:2])
    with pytest.raises(InputError, match="two seeds or more, got 1"):
        decompose(scores, seeds=np.array([[1.0, 2.0], [1.0, np.nan]]))
    with pytest.raises(InputError, match=r"\(splits, seeds\), got shape \(10,\)"):
        decompose(scores, seeds=scores)
    with pytest.raises(InputError, match="unknown in all replicates"):
        decompose(scores, measurement=np.full(10, np.nan))
    with pytest.raises(InputError, match="4 replicates or more with all validation scores, got 3"):
        decompose(scores[:3], validation=given_too["validation"][:3], chosen=given_too["chosen"][:3])
    with pytest.raises(InputError, match="unknown source of variance 'seed'"):
        decompose(scores).part("seed")
    with pytest.raises(InputError, match="one a replicate"):
        decompose(given_too["validation"])
