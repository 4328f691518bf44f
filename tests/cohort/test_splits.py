"""Splits: no participant in two parts, the sizes of the talk, every class in every part; by Hypothesis."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neurotransfer.cohort import People, Split, bootstrap_split, check_split, holdout_split, is_selection
from neurotransfer.cohort.splits import fifth, proportional
from neurotransfer.errors import InputError, LeakageError

SLOW = settings(deadline=None, max_examples=60)


@st.composite
def cohorts(draw, most_scans=3, n_classes=2):
    """Participants of rows (1 to some scans each, shuffled), classes of rows, the pool, and a seed."""
    people = draw(st.integers(20, 60))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    scans = generator.integers(1, most_scans + 1, people)
    participants = generator.permutation(np.repeat([f"sub-{index:02d}" for index in range(people)], scans))
    of_person = {f"sub-{index:02d}": float(index % n_classes) for index in range(people)}
    classes = np.array([of_person[participant] for participant in participants])
    whole = draw(st.booleans())
    pool = np.arange(len(participants)) if whole else np.flatnonzero(generator.random(len(participants)) < 0.9)
    return participants, classes, pool, seed


def draw_split(cohort, n, **options):
    participants, _, pool, seed = cohort
    return bootstrap_split(participants, n, np.random.default_rng(seed), rows=pool, **options)


def parts_of(split):
    return {"train": split.train, "validation": split.validation, "test": split.test}


@SLOW
@given(cohorts(), st.integers(2, 20), st.sampled_from(["fifth", "rest"]), st.booleans(), st.booleans())
def test_laws_of_the_bootstrap(cohort, n, test, with_classes, stratify):
    participants, classes, pool, _ = cohort
    assume(len(pool) > 4 * n)
    stratify = stratify and with_classes
    if with_classes and fifth(n) < 2:
        n = 10
    assume(len(pool) > 4 * n)
    split = draw_split(cohort, n, test=test, stratify=stratify, classes=classes if with_classes else None)
    people = {name: set(participants[rows]) for name, rows in parts_of(split).items()}
    assert not people["train"] & people["validation"]
    assert not people["train"] & people["test"]
    assert not people["validation"] & people["test"]
    assert (len(split.train), len(split.validation)) == (n, fifth(n))
    assert all(np.isin(rows, pool).all() for rows in parts_of(split).values())
    assert len(set(split.validation)) == len(split.validation)
    assert len(set(split.test)) == len(split.test)
    if test == "fifth":
        assert len(split.test) == fifth(n)
    else:
        others = people["train"] | people["validation"]
        assert set(split.test) == {row for row in pool if participants[row] not in others}
    if with_classes:
        assert all(set(classes[rows]) == {0.0, 1.0} for rows in parts_of(split).values())
    if stratify:
        _, counts = np.unique(classes[pool], return_counts=True)
        for name in ("train", "validation", *(["test"] if test == "fifth" else [])):
            rows = parts_of(split)[name]
            assert [int((classes[rows] == label).sum()) for label in (0, 1)] == proportional(len(rows), counts.tolist())


@SLOW
@given(cohorts(n_classes=4))
def test_every_one_of_four_classes_is_in_every_part(cohort):
    _, classes, pool, _ = cohort
    assume(len(pool) > 70)
    split = draw_split(cohort, 20, classes=classes, stratify=True)
    assert all(set(classes[rows]) == {0.0, 1.0, 2.0, 3.0} for rows in parts_of(split).values())


@SLOW
@given(cohorts(), st.sampled_from(["fifth", "rest"]))
def test_the_same_state_gives_the_same_split_and_another_another(cohort, test):
    participants, _, pool, seed = cohort
    first, again = (draw_split(cohort, 8, test=test) for _ in range(2))
    for name in parts_of(first):
        np.testing.assert_array_equal(parts_of(first)[name], parts_of(again)[name])
    other = bootstrap_split(participants, 8, np.random.default_rng(seed + 1), rows=pool, test=test)
    assert list(other.train) != list(first.train) or list(other.validation) != list(first.validation)


def test_a_participant_with_scans_of_two_classes_stays_in_one_part():
    participants = np.repeat(np.arange(40), 2)
    classes = np.tile([0.0, 1.0], 40)
    for seed in range(20):
        split = bootstrap_split(participants, 20, np.random.default_rng(seed), classes=classes, stratify=True)
        assert [len(rows) for rows in parts_of(split).values()] == [20, 4, 4]
        for rows in (split.validation, split.test):
            assert classes[rows].mean() == 0.5


def test_the_bootstrap_repeats_rows_and_leaves_one_in_e():
    size = 300
    unique = [
        len(set(bootstrap_split(np.arange(size), size, np.random.default_rng(seed), test="rest").train)) / size
        for seed in range(200)
    ]
    assert np.mean(unique) == pytest.approx(1 - 1 / math.e, abs=0.006)
    assert max(unique) < 0.75


def test_a_smaller_n_is_drawn_with_replacement_too():
    size, n = 200, 50
    unique = [len(set(bootstrap_split(np.arange(size), n, np.random.default_rng(seed)).train)) for seed in range(300)]
    assert np.mean(unique) == pytest.approx(size * (1 - (1 - 1 / size) ** n), abs=0.5)


def test_every_row_is_drawn_about_as_often():
    counts = {name: np.zeros(50) for name in ("train", "validation", "test")}
    for seed in range(1500):
        for name, rows in parts_of(bootstrap_split(np.arange(50), 10, np.random.default_rng(seed))).items():
            np.add.at(counts[name], rows, 1)
    for name, share in (("train", 10 / 50), ("validation", 2 / 50), ("test", 2 / 50)):
        expected = 1500 * share
        assert np.abs(counts[name] - expected).max() < 5 * math.sqrt(expected)


def test_stratified_parts_have_the_proportions_of_the_pool_and_not_of_what_remains():
    classes = np.array([0.0] * 160 + [1.0] * 40)
    for seed in range(50):
        split = bootstrap_split(np.arange(200), 100, np.random.default_rng(seed), classes=classes, stratify=True)
        assert [classes[rows].mean() for rows in parts_of(split).values()] == pytest.approx([0.2, 0.2, 0.2])


def test_golden_split():
    split = bootstrap_split(np.arange(30), 6, np.random.default_rng(7))
    assert [rows.tolist() for rows in parts_of(split).values()] == [[28, 18, 20, 26, 17, 23], [19], [7]]


@pytest.mark.parametrize("n", [-1, 0, 1, 31, 1000])
def test_a_size_that_cannot_be_is_refused_with_what_is_allowed(n):
    with pytest.raises(InputError, match=f"n = {n} is not possible: allowed are 2 to 30"):
        bootstrap_split(np.arange(40), n, np.random.default_rng(0), rows=np.arange(30))


@pytest.mark.parametrize("people", [0, 1, 2])
def test_a_class_with_too_few_people_is_refused(people):
    participants = np.array([f"s{index}" for index in range(30)] + ["few-0", "few-1"][:people] * 4)
    classes = np.array([0.0] * 30 + [3.0] * (len(participants) - 30))
    if people == 0:
        split = bootstrap_split(participants, 6, np.random.default_rng(0), classes=classes)
        assert len(split.train) == 6
        return
    with pytest.raises(
        InputError, match=f"class 3 has {people} participants?; train, validation and test need one each"
    ):
        bootstrap_split(participants, 6, np.random.default_rng(0), classes=classes)


def test_a_class_that_is_missing_is_refused_and_not_counted_as_a_class():
    classes = np.array([0.0, 1.0, np.nan] * 10)
    with pytest.raises(InputError, match="rows whose class is missing"):
        bootstrap_split(np.arange(30), 6, np.random.default_rng(0), classes=classes)
    known = np.flatnonzero(~np.isnan(classes))
    split = bootstrap_split(np.arange(30), 10, np.random.default_rng(0), classes=classes, rows=known, stratify=True)
    assert not np.isnan(np.concatenate([classes[rows] for rows in parts_of(split).values()])).any()


@pytest.mark.parametrize(
    ("participants", "n", "test"),
    [(np.arange(2), 2, "fifth"), (np.repeat(np.arange(3), 20), 30, "fifth"), (np.zeros(50, int), 10, "rest")],
)
def test_too_few_people_left_is_told(participants, n, test):
    with pytest.raises(InputError, match=f"n = {n} leaves too few people of a pool of .* use smaller sizes"):
        bootstrap_split(participants, n, np.random.default_rng(0), test=test)


def test_an_unknown_test_set_is_refused():
    with pytest.raises(InputError, match="unknown test set 'all'; allowed: fifth, rest, people"):
        bootstrap_split(np.arange(30), 6, np.random.default_rng(0), test="all")


# --- the guard


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (([0], [2], [1]), "1 participant both in train and in validation: a"),
        (([0], [1], [2]), "1 participant both in train and in test: a"),
        (([3], [0], [2]), "1 participant both in validation and in test: a"),
        (([0, 1], [2, 4], [3]), "2 participants both in train and in validation: a, b"),
    ],
)
@pytest.mark.parametrize("codes", [{"a": "a", "b": "b", "c": "c"}, {"a": 1, "b": 2, "c": 3}])
def test_a_participant_in_two_parts_is_named(parts, message, codes):
    participants = np.array([codes[letter] for letter in "abacb"])
    names = ", ".join(str(codes[letter]) for letter in message.split(": ")[1].split(", "))
    with pytest.raises(LeakageError, match=f"{message.split(': ')[0]}: {names}; no participant may be in two parts"):
        check_split(Split(*map(np.array, parts)), participants)


def test_at_most_five_people_are_named():
    participants = np.array([f"s{index}" for index in range(9)] * 2)
    with pytest.raises(LeakageError, match=r"^9 participants .*: s0, s1, s2, s3, s4; no"):
        check_split(Split(np.arange(9), np.arange(9, 18), np.array([], int)), participants)


FOLDED = np.array(list("aabbccdd"))


def folded(folds, train=range(6), validation=(), test=(6, 7)):
    return Split(*(np.array(part, int) for part in (train, validation, test)), np.array(folds, int))


def test_folds_that_keep_people_together_pass():
    split = folded([1, 1, 0, 0, 2, 2])
    assert check_split(split, FOLDED) is split
    assert check_split(split, People.of(FOLDED)) is split
    copies = folded([0, 1, 0, 1], train=[0, 2, 0, 3])
    assert check_split(copies, FOLDED) is copies


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (folded([0, 1, 0, 0, 1, 1]), r"^1 participant both in fold 0 and in fold 1: a; no participant may be in two folds"),
        (folded([0, 0, 1, 2, 2, 0]), r"^2 participants both in fold 1 and in fold 2: b, c;"),
        (folded([0, 1], train=[4, 4]), r"^1 participant both in fold 0 and in fold 1: c;"),
        (folded([0, 0, 1, 1, 2, 2], test=[5, 6]), r"^1 participant both in train and in test: c"),
    ],
)  # fmt: skip
def test_people_in_two_folds_are_named(split, said):
    with pytest.raises(LeakageError, match=said):
        check_split(split, FOLDED)


@pytest.mark.parametrize(
    "split",
    [
        folded([0, 0, 1, 1, 2]),
        folded([0, 0, 1, 1, 3, 3]),
        folded([1, 1, 2, 2, 3, 3]),
        folded([-1, -1, 0, 0, 1, 1]),
        folded([0, 0, 1, 1], train=range(4), validation=[4]),
    ],
)
def test_folds_that_are_none_are_refused(split):
    with pytest.raises(
        InputError, match=r"give the fold of every training row, 0, 1, \.\.\. without a gap, and no valida"
    ):
        check_split(split, FOLDED)


def test_a_split_without_leakage_is_returned_as_it_is():
    split = Split(np.array([0, 0]), np.array([1]), np.array([], int))
    assert check_split(split, np.array(["a", "b"])) is split


# --- holdout


@SLOW
@given(cohorts(), st.floats(0.1, 0.9), st.booleans())
def test_laws_of_the_holdout(cohort, fraction, stratify):
    participants, classes, _, seed = cohort
    kept = classes if stratify else None
    train, validation = holdout_split(participants, fraction, np.random.default_rng(seed), kept)
    assert sorted([*train, *validation]) == list(range(len(participants)))
    held, everyone = set(participants[validation]), set(participants)
    assert not held & set(participants[train])
    assert len(held) == round(fraction * len(everyone))
    assert all(np.diff(part).min(initial=1) > 0 for part in (train, validation))
    again = holdout_split(participants, fraction, np.random.default_rng(seed), kept)
    np.testing.assert_array_equal(again[1], validation)
    if stratify:
        people = np.array([classes[participants == person][0] for person in sorted(everyone)])
        counts = [int((people == label).sum()) for label in (0, 1)]
        of_held = [classes[participants == person][0] for person in held]
        assert [of_held.count(label) for label in (0, 1)] == proportional(len(held), counts)


def test_missing_classes_are_a_stratum_of_their_own():
    classes = np.array([0.0] * 10 + [1.0] * 10 + [np.nan] * 10)
    _, validation = holdout_split(np.arange(30), 0.2, np.random.default_rng(0), classes)
    assert [int(((validation >= low) & (validation < low + 10)).sum()) for low in (0, 10, 20)] == [2, 2, 2]


@pytest.mark.parametrize("fraction", [-0.5, 0, 0.01, 0.99, 1, 1.5, float("nan"), float("inf")])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(InputError, match="leaves train or validation empty; give a fraction between 0 and 1"):
        holdout_split(np.arange(10), fraction, np.random.default_rng(0))


# --- shares


@given(st.integers(0, 500), st.lists(st.integers(0, 300), min_size=1, max_size=8).filter(any))
def test_shares_are_whole_proportional_and_sum_to_n(n, counts):
    shares = proportional(n, counts)
    assert sum(shares) == n
    assert all(type(share) is int for share in shares)
    assert all(abs(share - n * count / sum(counts)) < 1 for share, count in zip(shares, counts, strict=True))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=8).filter(any))
def test_shares_of_all_are_the_counts(counts):
    assert proportional(sum(counts), counts) == counts


@given(st.integers(1, 10_000))
def test_a_fifth_is_rounded_and_at_least_one(n):
    assert fifth(n) == max(1, round(n / 5))
    assert abs(fifth(n) - n / 5) <= 0.8


def test_images_of_validation_and_test_come_from_many_people():
    # six scans a person: whole people would fill a fifth of 60 with two of them
    participants = np.repeat(np.arange(200), 6)
    for seed in range(5):
        split = bootstrap_split(participants, 60, np.random.default_rng(seed))
        for rows in (split.validation, split.test):
            assert len(rows) == 12
            assert len(set(participants[rows])) >= 10


def test_a_rare_class_gets_one_place_of_a_stratified_part():
    classes = np.repeat([0.0, 1.0], [90, 10])
    for seed in range(20):
        split = bootstrap_split(np.arange(100), 20, np.random.default_rng(seed), classes=classes, stratify=True)
        assert [int(classes[rows].sum()) for rows in (split.validation, split.test)] == [1, 1]
        assert int(classes[split.train].sum()) == 2


def test_stratifying_is_no_advice_to_whoever_stratifies():
    classes = np.repeat([0.0, 1.0], [10, 10])
    for stratify in (False, True):
        generator = np.random.default_rng(0)
        # 20 draws of 20 people leave about seven, and never the eight that are needed in either class
        with pytest.raises(InputError, match="leaves too few people") as found:
            bootstrap_split(np.repeat(np.arange(5), 4), 20, generator, classes=classes, stratify=stratify)
        assert ("stratify = true" in str(found.value)) is not stratify


def test_untested_people_may_be_trained_on_and_are_never_tested():
    participants = np.repeat([f"p{index:02d}" for index in range(60)], 2)
    untested = np.isin(participants, participants[:40])
    trained = set()
    for seed in range(10):
        split = bootstrap_split(participants, 20, np.random.default_rng(seed), test="rest", untested=untested)
        assert not untested[split.test].any()
        trained |= set(split.train[untested[split.train]].tolist())
        # the others who remain are all tested
        used = np.isin(participants, participants[np.concatenate([split.train, split.validation])])
        assert set(split.test) == set(np.flatnonzero(~used & ~untested))
    assert trained


def test_nobody_left_to_test_is_told():
    participants = np.array([f"p{index:02d}" for index in range(30)])
    with pytest.raises(InputError):
        bootstrap_split(participants, 10, np.random.default_rng(0), test="rest", untested=np.full(30, True))


def test_untested_leaves_training_and_validation_as_they_are():
    participants = np.array([f"p{index:02d}" for index in range(80)])
    untested = is_selection(participants, 0.4, 1)
    one = bootstrap_split(participants, 20, np.random.default_rng(3), test="rest")
    other = bootstrap_split(participants, 20, np.random.default_rng(3), test="rest", untested=untested)
    np.testing.assert_array_equal(one.train, other.train)
    np.testing.assert_array_equal(one.validation, other.validation)
    assert set(other.test) == set(one.test) - set(np.flatnonzero(untested))
