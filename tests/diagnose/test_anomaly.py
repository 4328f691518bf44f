"""What does not behave: dips that can be seen, stalls while another strategy goes on, and nothing else."""

import made_up
import numpy as np
import pytest

from neurotransfer.diagnose.anomaly import DIP, NONE, STALL, anomaly_of
from neurotransfer.diagnose.case import case_of
from neurotransfer.statistics.monotone import monotone_test
from neurotransfer.statistics.redrawn import by_replicates


def found(means, others=(), spread=0.01, n=40):
    case = case_of(made_up.fits(made_up.replicates(means, spread, n)), made_up.TASK, "linear", "linear")
    own = by_replicates(case.goods)
    redrawn = {
        str(k): by_replicates(made_up.replicates(other, spread, n, seed=k + 1)) for k, other in enumerate(others)
    }
    return anomaly_of(case, monotone_test(own, higher_is_better=True), redrawn, own)


def test_a_dip_is_found_where_it_is():
    anomaly = found(made_up.DIPPING)
    assert (anomaly.kind, anomaly.start, anomaly.end) == (DIP, 2, 3)
    assert anomaly.points == pytest.approx(0.07, abs=0.01)
    assert 0.06 < anomaly.low < anomaly.points < anomaly.high < 0.09
    assert anomaly.p < 0.01


def test_a_rising_curve_alone_has_none():
    anomaly = found(made_up.RISING)
    assert (anomaly.kind, anomaly.points) == (NONE, 0.0)
    assert np.isnan(anomaly.p)


def test_a_dip_that_cannot_be_seen_is_none():
    assert found([0.60, 0.66, 0.71, 0.706, 0.76], spread=0.001).kind == NONE


def test_a_curve_that_stops_while_another_goes_on_stalls():
    flat = [0.60, 0.66, 0.70, 0.702, 0.704]
    anomaly = found(flat, [made_up.RISING, [0.6, 0.6, 0.6, 0.6, 0.6]])
    assert (anomaly.kind, anomaly.start, anomaly.end, anomaly.reference) == (STALL, 2, 4, "0")
    assert anomaly.points == pytest.approx((0.76 - 0.704) - (0.71 - 0.70), abs=0.01)
    assert 0 < anomaly.low < anomaly.points < anomaly.high


@pytest.mark.parametrize(
    ("means", "others"),
    [
        ([0.60, 0.66, 0.70, 0.702, 0.704], []),
        ([0.60, 0.66, 0.70, 0.702, 0.704], [[0.60, 0.66, 0.69, 0.69, 0.69]]),
        ([0.60, 0.66, 0.70, 0.72, 0.74], [made_up.RISING + 0.1]),
        ([0.60, 0.66, 0.70, 0.702, 0.704], [[0.80, 0.80, 0.80, 0.80, 0.80]]),
    ],
    ids=["nobody to compare with", "nobody goes on", "it still rises", "nobody pulls ahead"],
)
def test_what_is_no_stall(means, others):
    assert found(means, others).kind == NONE


def test_two_sizes_cannot_stall():
    scores = made_up.replicates([0.6, 0.6], 0.01)
    case = case_of(made_up.fits(scores, sizes=(50, 100)), made_up.TASK, "linear", "linear")
    own = by_replicates(case.goods)
    other = by_replicates(made_up.replicates([0.6, 0.9], 0.01))
    assert anomaly_of(case, None, {"other": other}, own).kind == NONE


def test_a_dip_goes_before_a_stall():
    assert found([0.60, 0.66, 0.74, 0.70, 0.70], [made_up.RISING + 0.05]).kind == DIP
