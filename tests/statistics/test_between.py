"""What of a target lies between groups: exact cases, no bias where nothing does, and p that keeps its level."""

import numpy as np
import pytest

from neurotransfer.errors import InputError
from neurotransfer.statistics.between import between


def test_all_of_it_and_none_of_it():
    groups = np.repeat(["a", "b", "c"], 20)
    all_of_it = between(np.repeat([1.0, 5.0, 9.0], 20), groups)
    assert all_of_it.share == pytest.approx(1)
    assert all_of_it.p == 0.001
    none_of_it = between(np.tile([1.0, 2.0, 3.0, 4.0], 15), groups)
    assert none_of_it.share < 0
    assert none_of_it.p == 1


def test_two_classes_by_two_groups_are_cramers_v_but_for_chance():
    # 30 of 40 ill in a, 10 of 40 in b: chi-square 20 of 80 people
    values = np.r_[np.ones(30), np.zeros(10), np.ones(10), np.zeros(30)]
    found = between(values, np.repeat(["a", "b"], 40), is_class=True)
    assert 1 - (1 - found.share) * 78 / 79 == pytest.approx(20 / 80)
    assert found.share == pytest.approx(between(values, np.repeat(["a", "b"], 40)).share)


def test_the_effective_number_of_groups_is_that_of_equal_ones():
    values = np.random.default_rng(0).normal(size=100)
    assert between(values, np.repeat(list("abcd"), 25)).effective_groups == pytest.approx(4)
    uneven = between(values, np.array(["a"] * 90 + ["b"] * 10))
    assert uneven.effective_groups == pytest.approx(1 / (0.81 + 0.01))
    assert uneven.n_groups == 2


def test_who_is_of_no_group_or_has_no_value_counts_nowhere():
    values = np.r_[np.repeat([1.0, 2.0], 10) + np.tile([0.0, 0.1], 10), np.nan, 50.0]
    groups = np.array(["a"] * 10 + ["b"] * 10 + ["a", None], object)
    found = between(values, groups)
    assert found.n == 20
    assert found.share == pytest.approx(between(values[:20], groups[:20]).share)


def test_chance_is_taken_out_and_p_keeps_its_level():
    draws = np.random.default_rng(1)
    found = [
        between(draws.normal(size=60), np.repeat(list("abcdef"), 10), n_permutations=199, generator=draws)
        for _ in range(100)
    ]
    assert abs(np.mean([each.share for each in found])) < 0.02
    assert np.mean([each.p <= 0.05 for each in found]) < 0.1


def test_a_known_share_is_found():
    draws = np.random.default_rng(2)
    sites = np.repeat(np.arange(20), 50)
    # of variance 1 + 3, a quarter between
    shares = [between(draws.normal(size=20)[sites] + np.sqrt(3) * draws.normal(size=1000), sites.astype(str),
                      n_permutations=9).share for _ in range(30)]  # fmt: skip
    assert np.mean(shares) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        (np.arange(4.0), np.array(["a"] * 4)),
        (np.arange(4.0), np.array(list("abcd"))),
        (np.ones(4), np.array(list("aabb"))),
        (np.arange(4.0), np.array(list("abc"))),
    ],
    ids=["one group", "a group each", "no variance", "unlike lengths"],
)
def test_what_cannot_be_told_is_refused(values, groups):
    with pytest.raises(InputError, match="groups"):
        between(values, groups)
