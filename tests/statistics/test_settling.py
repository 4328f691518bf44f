"""What would settle a dip: parts of the noise on pools that can be drawn anew, algebra, and studies of the size that was said."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.published import published_curves
from neurotransfer.statistics.dip_power import power_to_see, smallest_visible
from neurotransfer.statistics.monotone import monotone_test
from neurotransfer.statistics.redrawn import by_standard_errors
from neurotransfer.statistics.redrawn_people import Predictions, people_scores
from neurotransfer.statistics.settling import (
    DipNoise,
    noise_of_dip,
    noise_of_scores,
    people_in_pool_needed,
    people_tested_needed,
    replicates_needed,
)

PARTS = st.floats(0.001, 10)


def draws(seed):
    return np.random.default_rng(seed)


def study(rng, n_people=400, n_test=(30, 30), n_replicates=40, shared=1.0, luck=0.0, own=0.0):
    """Errors of people at two sizes: `shared` is a person's own error at the second size in all replicates, `luck` that of a
    replicate, `own` that of a person in a replicate."""  # fmt: skip
    errors, parts = rng.normal(0, shared, n_people), []
    for place, count in enumerate(n_test):
        replicates = []
        for _ in range(n_replicates):
            people = rng.choice(n_people, count, replace=False)
            error = 100 + place * errors[people] + luck * rng.normal() + own * rng.normal(size=count)
            replicates.append(Predictions(np.zeros(count), error, people))
        parts.append(replicates)
    return people_scores(parts, "mae", "continuous", n_people)


def mean_noise(n_studies=30, **how):
    found = [noise_of_dip(study(draws(seed), **how), 0, 1) for seed in range(n_studies)]
    return [float(np.mean([getattr(one, part) for one in found])) for part in ("pooled", "sampled", "measured")]


def test_each_part_is_found_where_it_is():
    # what all replicates share of a person: 1 / 400 of the pool, and of whom one tests 1 / (30 * 40)
    pooled, _, measured = mean_noise(shared=1.0)
    assert measured == pytest.approx(1 / 1200, rel=0.1)
    assert pooled == pytest.approx(1 / 400 - 1 / (400 * 40), rel=0.2)
    # two sizes with 40 replicates each, and nothing else
    pooled, sampled, measured = mean_noise(shared=0.0, luck=1.0)
    assert sampled == pytest.approx(2 / 40, rel=0.1)
    assert max(pooled, measured) < 1e-12
    pooled, sampled, measured = mean_noise(shared=0.0, own=1.0)
    assert measured == pytest.approx(2 / 1200, rel=0.1)
    assert max(pooled, sampled) < 0.35 * measured


def test_parts_fall_as_is_said():
    few, many = mean_noise(luck=1.0), mean_noise(luck=1.0, n_replicates=160, n_studies=6)
    assert many[1] == pytest.approx(few[1] / 4, rel=0.2)
    assert many[2] == pytest.approx(few[2] / 4, rel=0.2)
    assert many[0] == pytest.approx(few[0], rel=0.25)
    larger = mean_noise(luck=1.0, n_test=(120, 120), n_people=400)
    assert larger[2] == pytest.approx(few[2] / 4, rel=0.2)
    pool = mean_noise(luck=1.0, n_people=1600, n_replicates=160, n_studies=6)
    assert pool[0] == pytest.approx(many[0] / 4, rel=0.3)


def test_the_total_is_the_variance_over_new_studies():
    depths, totals = [], []
    for seed in range(150):
        scored = study(draws(seed), n_people=100, n_replicates=20, luck=0.3, own=1.0)
        depths.append(scored.scores[1].mean() - scored.scores[0].mean())
        totals.append(noise_of_dip(scored, 0, 1).total)
    # a variance of 150 depths has a standard error of 12 %
    assert np.mean(totals) == pytest.approx(np.var(depths), rel=0.4)


def test_what_sizes_share_does_not_count():
    rng = draws(1)
    errors, parts = rng.normal(0, 1, 60), []
    for _ in range(2):
        rows = [rng.choice(60, 30, replace=False) for _ in range(200)]
        parts.append([Predictions(np.zeros(30), 100 + errors[people], people) for people in rows])
    scored = people_scores(parts, "mae", "continuous", 60)
    assert noise_of_dip(scored, 0, 1).pooled < 0.05 * scored.sizes()[0].pooled


def test_from_scores_alone_all_is_sampled():
    scores = draws(2).normal(0, [1.0, 2.0, 3.0], (50, 3))
    noise = noise_of_scores(scores, 0, 2)
    assert noise.total == noise.sampled
    assert noise.sampled == pytest.approx((scores[:, 0].var(ddof=1) + scores[:, 2].var(ddof=1)) / 50)
    scores[:20, 2] = np.nan
    fewer = noise_of_scores(scores, 0, 2)
    assert fewer.replicates == 40
    assert fewer.sampled == pytest.approx(scores[:, 0].var(ddof=1) / 50 + np.nanvar(scores[:, 2], ddof=1) / 30)


@given(PARTS, PARTS, PARTS, st.floats(0.05, 3), st.floats(2, 500))
def test_what_is_said_to_be_needed_is_enough_and_one_less_is_not(pooled, sampled, measured, ratio, count):
    noise = DipNoise(pooled, sampled, measured, count)
    allowed = noise.total * ratio**2
    for needed, falls in (
        (replicates_needed(noise, ratio, 1.0), sampled + measured),
        (people_tested_needed(noise, ratio, 1.0, count), measured),
        (people_in_pool_needed(noise, ratio, 1.0, count), pooled),
    ):
        stays = noise.total - falls
        if math.isinf(needed):
            assert stays >= allowed * (1 - 1e-9)
            continue
        assert needed == int(needed) >= 1
        assert stays + falls * count / needed <= allowed * (1 + 1e-5)
        assert needed == 1 or stays + falls * count / (needed - 1) > allowed * (1 - 1e-5)


def test_by_hand():
    noise = DipNoise(pooled=1.0, sampled=2.0, measured=1.0, replicates=100)
    # half as deep as what is visible: the variance of 4 must fall to 1, which the pool alone has
    assert replicates_needed(noise, 0.5, 1.0) == math.inf
    # to 4 * 0.75^2 = 2.25: what is left of 3 is 1.25
    assert replicates_needed(noise, 0.75, 1.0) == 240
    assert people_tested_needed(noise, 0.75, 1.0, 20) == math.inf
    # to 4 * 0.9^2 = 3.24: what is left of 1 is 0.24
    assert people_tested_needed(noise, 0.9, 1.0, 20) == math.ceil(20 / 0.24)
    assert people_in_pool_needed(noise, 0.9, 1.0, 500) == math.ceil(500 / 0.24)
    # a dip that is visible already needs fewer
    assert replicates_needed(noise, 2.0, 1.0) == 20


def test_without_noise_nothing_more_is_needed():
    noise = DipNoise(0.0, 0.0, 0.0, 10)
    assert replicates_needed(noise, 0.1, 0.2) == 10
    # where nothing is measured, larger tests change nothing
    assert people_tested_needed(DipNoise(1.0, 1.0, 0.0, 10), 0.1, 0.2, 50) == math.inf


def test_as_many_replicates_as_are_needed_see_the_dip():
    curve, deviation, n_replicates, depth = np.array([0.6, 0.7, 0.75, 0.8]), 0.2, 50, 0.05
    before = by_standard_errors(curve, np.full(4, deviation / np.sqrt(n_replicates)), 4000)
    assert power_to_see(before, depth, 1, True) < 0.5
    noise = DipNoise(0.0, 2 * deviation**2 / n_replicates, 0.0, n_replicates)
    needed = replicates_needed(noise, depth, smallest_visible(before, 1, True))
    after = by_standard_errors(curve, np.full(4, deviation / np.sqrt(needed)), 4000)
    # with less noise, rises that were flattened stay, which changes the power a little
    assert power_to_see(after, depth, 1, True) == pytest.approx(0.8, abs=0.12)


def test_the_published_autism_curve_cannot_say_whether_it_dips():
    """Of 0.033 in AUC, chance gives 0.03; it would take some hundred replicates more to know."""
    curve = published_curves("april_asd")
    redrawn = by_standard_errors(curve["value"].to_numpy(), curve["sem"].to_numpy())
    found = monotone_test(redrawn, True)
    assert (round(found.depth, 6), found.start, found.end) == (0.033, 2, 3)
    assert found.p_dip > 0.3
    assert found.expected_depth == pytest.approx(0.03, abs=0.005)
    assert found.low < 0 < found.high
    visible = smallest_visible(redrawn, 2, True)
    assert visible == pytest.approx(0.07, abs=0.01)
    noise = DipNoise(0.0, float((curve["sem"][2:4] ** 2).sum()), 0.0, 100)
    assert 300 < replicates_needed(noise, found.depth, visible) < 600


def test_what_makes_no_sense_is_refused():
    noise = DipNoise(1.0, 1.0, 1.0, 10)
    for depth, visible in ((0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (math.inf, 1.0), (math.nan, 1.0)):
        with pytest.raises(InputError, match="above 0"):
            replicates_needed(noise, depth, visible)
    with pytest.raises(InputError, match="above 0"):
        people_tested_needed(noise, 1.0, 1.0, 0)
    with pytest.raises(InputError, match="above 0"):
        people_in_pool_needed(noise, 1.0, 1.0, -3)
    for start, end in ((1, 0), (0, 0), (0, 2), (-1, 1)):
        with pytest.raises(InputError, match="the smaller first"):
            noise_of_scores(np.zeros((5, 2)), start, end)
    with pytest.raises(InputError, match=r"\[2, 2\]"):
        noise_of_scores(np.zeros((2, 2)), 0, 1)
    with pytest.raises(InputError, match="the smaller first"):
        noise_of_dip(study(draws(3), n_replicates=3), 0, 2)
