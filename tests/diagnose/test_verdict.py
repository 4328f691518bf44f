"""Verdicts: who is named, in which order, with which share; luck only for dips that chance can give."""

from dataclasses import replace

import made_up
import numpy as np
import pytest

from neurotransfer.diagnose.anomaly import DIP, NONE, STALL, Anomaly, anomaly_of
from neurotransfer.diagnose.case import case_of
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.gains import Gain, gain_of_ends, gain_of_pairs
from neurotransfer.diagnose.verdict import NAMED, NOT_NAMED, UNKNOWN, cannot_be_told, judge
from neurotransfer.statistics.monotone import monotone_test
from neurotransfer.statistics.redrawn import by_replicates


@pytest.fixture(scope="module")
def dipping():
    return judged_parts(made_up.DIPPING, 0.01)


@pytest.fixture(scope="module")
def rising():
    return judged_parts(made_up.RISING, 0.005)


def judged_parts(means, spread, n=40):
    case = case_of(made_up.fits(made_up.replicates(means, spread, n)), made_up.TASK, "linear", "linear")
    own = by_replicates(case.goods)
    test = monotone_test(own, higher_is_better=True)
    return case, anomaly_of(case, test, {}, own), test


def gain(points, spread=0.002, source="folds"):
    points = np.asarray(points, float)
    return Gain(points, points + spread * np.random.default_rng(1).standard_normal((2000, len(points))), source)


def test_a_cause_that_takes_the_dip_away_explains_all_of_it(dipping):
    case, anomaly, test = dipping
    verdict = judge(case, anomaly, {"sites": gain([0, 0, 0, anomaly.points, 0])}, {"sites": "why"}, test)
    first = verdict.named[0]
    assert (first.cause, first.status, first.source, first.why) == ("sites", NAMED, "folds", "why")
    assert first.points == pytest.approx(anomaly.points)
    assert first.share == pytest.approx(1.0)
    assert first.share_low < 1 < first.share_high
    assert first.low < first.points < first.high


def test_what_is_lost_at_all_sizes_alike_is_named_and_bends_nothing(dipping):
    case, anomaly, test = dipping
    verdict = judge(case, anomaly, {"edge": gain([0.05] * 5)}, {}, test)
    assert verdict.named[0].points == pytest.approx(0.05)
    assert verdict.named[0].share == pytest.approx(0.0)


def test_the_largest_comes_first_then_those_not_named_then_those_that_cannot_be_told(dipping):
    case, anomaly, test = dipping
    gains = {"edge": gain([0, 0, 0, 0.02, 0]), "sites": gain([0, 0, 0, 0.04, 0]), "budget": gain([0.0] * 5)}
    verdict = judge(case, anomaly, gains, {}, test)
    statuses = [finding.status for finding in verdict.findings]
    assert [finding.cause for finding in verdict.named] == ["sites", "edge"]
    assert statuses == sorted(statuses, key=[NAMED, NOT_NAMED, UNKNOWN].index)
    assert {finding.cause for finding in verdict.findings} == set(CAUSES)
    assert {finding.cause for finding in verdict.findings if finding.status == UNKNOWN} == {
        "interpolation",
        "selection",
        "capacity",
    }


@pytest.mark.parametrize(
    ("points", "spread"), [([0, 0, 0, 0.008, 0], 0.0001), ([0, 0, 0, 0.05, 0], 0.04)], ids=["not visible", "not sure"]
)
def test_what_cannot_be_seen_or_is_not_sure_is_not_named(dipping, points, spread):
    case, anomaly, test = dipping
    verdict = judge(case, anomaly, {"edge": gain(points, spread)}, {}, test)
    assert not verdict.named


def test_looking_for_more_causes_asks_for_more(dipping):
    case, anomaly, test = dipping
    few = judge(case, anomaly, {"edge": gain([0, 0, 0, 0.02, 0], 0.0095)}, {}, test)
    others = {name: gain([0.0] * 5) for name in ("sites", "budget", "capacity", "selection")}
    many = judge(case, anomaly, {"edge": gain([0, 0, 0, 0.02, 0], 0.0095), **others}, {}, test)
    assert [finding.cause for finding in few.named] == ["edge"]
    assert not many.named


def test_luck_is_named_where_chance_is_enough_for_a_dip_that_can_be_seen():
    case, anomaly, test = judged_parts([0.60, 0.66, 0.66, 0.66, 0.66], 0.12, n=12)
    assert anomaly.kind == DIP
    assert test.p_dip > 0.05
    verdict = judge(case, anomaly, {}, {}, test)
    assert [finding.cause for finding in verdict.named] == ["luck"]
    assert verdict.named[0].points == anomaly.points
    assert 0 < verdict.named[0].share <= 1


def test_luck_is_not_named_for_a_dip_that_is_sure(dipping):
    case, anomaly, test = dipping
    luck = next(finding for finding in judge(case, anomaly, {}, {}, test).findings if finding.cause == "luck")
    assert luck.status == NOT_NAMED
    assert luck.share < 0.5


def test_a_curve_that_behaves_has_no_cause_but_what_lowers_it(rising):
    case, anomaly, test = rising
    assert anomaly.kind == NONE
    assert not judge(case, anomaly, {}, {}, test).named
    verdict = judge(case, anomaly, {"selection": gain([0.04, 0.02, 0.02, 0.01, 0.01])}, {}, test)
    assert verdict.named[0].points == pytest.approx(0.02)
    assert np.isnan(verdict.named[0].share)


def test_of_a_stall_it_counts_how_much_more_is_lost_at_its_end(rising):
    case, _, test = rising
    stall = Anomaly(STALL, 2, 4, 0.05, 0.03, 0.07, np.nan, "other")
    verdict = judge(case, stall, {"capacity": gain([0, 0, 0.01, 0.02, 0.035])}, {}, test)
    assert verdict.named[0].points == pytest.approx(0.035)
    assert verdict.named[0].share == pytest.approx(0.5)


def test_sizes_of_which_nothing_is_known_count_nothing(rising):
    case, anomaly, test = rising
    verdict = judge(case, anomaly, {"edge": gain([np.nan, 0.02, 0.04, np.nan, 0.03])}, {}, test)
    assert verdict.named[0].points == pytest.approx(0.03)


def test_a_curve_of_one_size_cannot_be_luck(rising):
    case, anomaly, _ = rising
    luck = next(finding for finding in judge(case, anomaly, {}, {}, None).findings if finding.cause == "luck")
    assert luck.status == UNKNOWN
    assert luck.why


def test_what_cannot_be_told_of_any_curve_is_said_with_its_reason(dipping, rising):
    verdicts = [
        judge(*dipping[:2], {"edge": gain([0.0] * 5)}, {"sites": "run it"}, dipping[2]),
        judge(*rising[:2], {}, {"sites": "run it", "edge": "no grid"}, rising[2]),
    ]
    told = cannot_be_told(verdicts)
    assert told["sites"] == "run it"
    assert "edge" not in told
    assert "luck" not in told


def test_gains_of_pairs_have_the_interval_of_their_mean():
    pairs = np.random.default_rng(0).normal(0.03, 0.05, (40, 2))
    found = gain_of_pairs(pairs, "folds")
    low, high = found.interval()
    np.testing.assert_allclose(found.points, pairs.mean(0))
    half = 2.02 * pairs.std(0, ddof=1) / np.sqrt(40)
    np.testing.assert_allclose(high - low, 2 * half, rtol=0.1)
    np.testing.assert_array_equal(gain_of_pairs(pairs, "folds").draws, found.draws)


def test_gains_of_ends_have_these_ends():
    found = gain_of_ends(np.array([0.02, np.nan]), np.array([0.01, np.nan]), np.array([0.03, np.nan]))
    low, high = found.interval()
    assert low[0] == pytest.approx(0.01, abs=0.002)
    assert high[0] == pytest.approx(0.03, abs=0.002)
    assert np.isnan(low[1])


def test_a_finding_is_a_value(dipping):
    case, anomaly, test = dipping
    finding = judge(case, anomaly, {}, {}, test).findings[0]
    assert replace(finding, why="x").why == "x"
