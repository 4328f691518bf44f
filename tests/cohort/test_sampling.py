"""Splits by every choice of a protocol: laws over all of them, and the talk's splits as they were when results were published."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.cohort import Choices, bootstrap_split, draw_split, is_selection, make_pool
from neurotransfer.cohort.sampling import is_enough
from neurotransfer.cohort.splits import fifth, proportional
from neurotransfer.errors import InputError, LeakageError
from neurotransfer.seeding import stream

# (pool, n, with classes, stratified): digests of the splits with test fifth, fifth and untested people, rest, rest and untested
GOLDEN = {
    ("single", 20, False, False): "cad10b829af1108b 7bd0062edee92773 b606442794084167 325f4e91e1361fd7",
    ("single", 20, True, False): "665b1c26343c4128 57d4925fafe8270d 864e2557ba19329b 9678f400a5fbe79a",
    ("single", 20, True, True): "845756546ba1af8b 35a1de3a0778a4c2 b9567e57ea7cc26a 1e24729a485aa721",
    ("single", 50, False, False): "c0a788a1054d2f80 5db79c45c6b58e27 8bafa7f4bfe96bb1 74f615a96e8fd22a",
    ("single", 50, True, False): "1cffb8b14c53eade d185db1966bbbb55 57661bd94bc9c80d 988a0e2d5afd35e5",
    ("single", 50, True, True): "56bac6c1d4f1b733 3ca19e43089c2adf 6e133b87725f2bc0 bd820ef76da49f90",
    ("repeat", 20, False, False): "0d2ba6cd072d051f ee9c24cc3052bef0 d985019d4ee13e0a c6ba7edcdbb00775",
    ("repeat", 20, True, False): "ec3ad8921d625c43 3bc4ff942c44bd23 32b8c81ef005c990 f2d41298d98b1e6c",
    ("repeat", 20, True, True): "f02b71457b9637d5 66a4be242a1c0d07 d9ade7c197226785 379d5babb44ded37",
    ("repeat", 50, False, False): "c968fff931eb69c5 9f2b1641ae7da18f 98f1d4ec238b3c06 bd7d3eb60407b257",
    ("repeat", 50, True, False): "f65d5f5864abedfd d016513574ad663e 2bf677b99e0e0664 7c36338707ac9fb3",
    ("repeat", 50, True, True): "af54b5d42fcff072 ab09d069991798b1 d2fb4069b3591dfa 41bf592119300fad",
    ("numbers", 20, False, False): "242dc4e42a1481c2 872280f64140c8a5 1664023ded81e4bf c34d01d2821f6a8e",
    ("numbers", 20, True, False): "c2ac51c5e51bb2ca e3afd40bc5878ec7 81c0dc7eaeefb297 c2954877f0dcb837",
    ("numbers", 20, True, True): "f96984105636386f 19b7b683dbb23aff 61d071ce49872ae7 6bd10b1eeffe25e8",
    ("numbers", 50, False, False): "ac92f89bc3f5afe5 205248e804ec4d4a 1a5426a8087f29eb 16230d35165362c6",
    ("numbers", 50, True, False): "c543130783f9dc69 6c9b3b8f01dc6e83 e0353cd44e1ec448 b9b2542ebe93f5dd",
    ("numbers", 50, True, True): "82218c6d465a3d9c 282781fc92c0cc5b c7a1a6c523494f3d 36fc122a0cd70a0a",
}
TESTS = list(itertools.product(("fifth", "rest"), (False, True)))


def golden_pool(kind):
    generator = np.random.default_rng(11)
    people = np.array([f"sub-{index:03d}" for index in range(120)])
    if kind == "single":
        participants = generator.permutation(people)
    elif kind == "repeat":
        participants = generator.permutation(np.repeat(people, generator.integers(1, 5, 120)))
    else:
        participants = generator.integers(0, 90, 250)
    labels = generator.choice(3, 250, p=[0.6, 0.3, 0.1]).astype(float)
    of_person = dict(zip(np.unique(participants).tolist(), labels, strict=False))
    classes = np.array([of_person[name] for name in participants.tolist()])
    mixed = generator.random(len(participants)) < 0.1
    classes[mixed] = (classes[mixed] + 1) % 3
    return participants, classes, np.flatnonzero(generator.random(len(participants)) < 0.9)


def digest_of(splits):
    found = hashlib.sha256()
    for split in splits:
        for part in (split.train, split.validation, split.test):
            found.update(np.array([len(part), *part], "<i8").tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: "-".join(map(str, case)))
def test_splits_of_the_talk_are_those_of_the_published_results(case):
    kind, n, with_classes, stratify = case
    participants, classes, rows = golden_pool(kind)
    for (test, has_untested), digest in zip(TESTS, GOLDEN[case].split(), strict=True):
        splits = [
            bootstrap_split(
                participants,
                n,
                np.random.default_rng([seed, n]),
                classes=classes if with_classes else None,
                test=test,
                stratify=stratify,
                rows=rows,
                untested=is_selection(participants.astype(str), 0.3, 1) if has_untested else None,
            )
            for seed in range(10)
        ]
        assert digest_of(splits) == digest


# --- laws over all choices

PEOPLE, N = 70, 20
FIXED = 7
CHOICES = [
    Choices(
        replacement,
        count,
        images,
        test,
        validation,
        4,
        stratify,
        validation_size=FIXED if validation == "fixed" else None,
    )
    for replacement, count, images, test, validation, stratify in itertools.product(
        (True, False),
        ("images", "participants"),
        ("all", "one"),
        ("fifth", "rest", "people"),
        ("fifth", "folds", "fixed"),
        (False, True),
    )
]


def scans(seed=0, n_classes=2):
    """A pool with repeat scans, three scans in ten without a label, and a quarter of the people held out."""
    generator = np.random.default_rng(seed)
    participants = generator.permutation(
        np.repeat([f"p{index:02d}" for index in range(PEOPLE)], generator.integers(1, 5, PEOPLE))
    )
    classes = np.array([int(name[1:]) % 5 % n_classes for name in participants], float)
    held = np.isin(participants, [f"p{index:02d}" for index in range(0, PEOPLE, 4)])
    rows = np.flatnonzero(generator.random(len(participants)) < 0.7)
    return participants, classes, rows, held


def split_by(choices, seed=0, *, n=N, with_classes=True, pool_seed=0, **changed):
    participants, classes, rows, held = scans(pool_seed)
    held = held if choices.test == "people" else None
    pool = make_pool(participants, rows=rows, classes=classes if with_classes else None, held_out=held, **changed)
    return draw_split(pool, n, choices, lambda what: stream(seed, what))


def check_parts(choices, split, people):
    for first, second in itertools.combinations(people.values(), 2):
        assert not set(first) & set(second)
    rows = [split.validation, split.test, *([] if choices.replacement else [split.train])]
    assert all(len(set(part)) == len(part) for part in rows)
    if choices.images == "one":
        # whoever comes twice comes with the same image
        for name, part in (("train", split.train), ("validation", split.validation), ("test", split.test)):
            assert len(set(part)) == len(set(people[name]))


def validated(choices, n):
    return {"fifth": fifth(n), "folds": 0, "fixed": FIXED}[choices.validation]


def check_sizes(choices, split, people, n):
    counted = {name: list(found) for name, found in people.items()}
    if choices.count == "participants":
        assert len(set(counted["validation"])) == validated(choices, n)
        assert len(set(counted["train"])) == n if not choices.replacement else len(set(counted["train"])) <= n
        if choices.images == "one":
            assert len(split.train) == n
    else:
        assert len(split.train) == n
        assert len(split.validation) == validated(choices, n)
    if choices.test == "fifth":
        unit = set(counted["test"]) if choices.count == "participants" else split.test
        assert len(unit) == fifth(n)


def check_all_images(choices, split, participants, rows):
    """With participants counted, all their images in the pool come, whoever is drawn twice brings them twice."""
    if choices.count == "participants" and choices.images == "all":
        for part in (split.train, split.validation, split.test):
            names, counts = np.unique(participants[part], return_counts=True)
            in_pool = np.array([(participants[rows] == name).sum() for name in names])
            assert (counts % in_pool == 0).all()
            of_row = np.unique(part, return_counts=True)[1]
            assert len(of_row) == in_pool.sum()


@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: "-".join(map(str, vars(choices).values())))
def test_laws_of_every_choice(choices):
    participants, classes, rows, held = scans()
    for seed in range(3):
        split = split_by(choices, seed)
        people = {name: participants[getattr(split, name)] for name in ("train", "validation", "test")}
        check_parts(choices, split, people)
        check_sizes(choices, split, people, N)
        check_all_images(choices, split, participants, rows)
        assert all(np.isin(getattr(split, name), rows).all() for name in people)
        for name in ("train", "test", *([] if choices.validation == "folds" else ["validation"])):
            assert set(classes[getattr(split, name)]) == {0.0, 1.0}
        again = split_by(choices, seed)
        assert digest_of([split]) == digest_of([again])
        if choices.test == "people":
            assert set(people["test"]) == set(participants[rows][held[rows]])
            assert not held[split.train].any()
            assert not held[split.validation].any()
            assert choices.images == "one" or set(split.test) == set(rows[held[rows]])
        if choices.test == "rest":
            used = {*people["train"], *people["validation"]}
            assert set(people["test"]) == set(participants[rows]) - used
        if choices.validation == "folds":
            assert set(split.folds) == {0, 1, 2, 3}
            assert len(set(zip(people["train"], split.folds, strict=True))) == len(set(people["train"]))
            assert all(set(classes[split.train[split.folds != fold]]) == {0.0, 1.0} for fold in range(4))
        else:
            assert split.folds is None
    assert digest_of([split_by(choices, 0)]) != digest_of([split_by(choices, 1)])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CHOICES), st.integers(2, 24), st.integers(0, 1000), st.booleans())
def test_laws_hold_for_any_size_and_pool_or_the_size_is_refused(choices, n, seed, with_classes):
    participants, _, rows, _ = scans(seed)
    try:
        split = split_by(choices, seed, n=n, with_classes=with_classes, pool_seed=seed)
    except InputError:
        # two images cannot hold two classes in every part, nor two people four folds
        assert n < 12
        return
    people = {name: participants[getattr(split, name)] for name in ("train", "validation", "test")}
    check_parts(choices, split, people)
    check_sizes(choices, split, people, n)
    check_all_images(choices, split, participants, rows)


@pytest.mark.parametrize("count", ["images", "participants"])
@pytest.mark.parametrize("images", ["all", "one"])
def test_choices_of_validation_and_test_leave_what_is_trained_on(count, images):
    # without classes nothing is drawn again, so the first draw counts
    drawn = {
        tuple(
            split_by(
                Choices(True, count, images, test, validation, folds, validation_size=size), with_classes=False
            ).train
        )
        for test, folds in itertools.product(("fifth", "rest"), (3, 5))
        for validation, size in (("fifth", None), ("folds", None), ("fixed", 2), ("fixed", 9))
    }
    assert len(drawn) == 1


def test_a_fixed_validation_of_a_fifth_is_the_fifth():
    for with_classes, stratify, seed in itertools.product((False, True), (False, True), range(5)):
        one = split_by(Choices(stratify=stratify), seed, with_classes=with_classes)
        choices = Choices(stratify=stratify, validation="fixed", validation_size=fifth(N))
        assert digest_of([one]) == digest_of([split_by(choices, seed, with_classes=with_classes)])


@pytest.mark.parametrize("with_classes", [False, True])
def test_the_number_of_folds_leaves_the_parts(with_classes):
    # with classes many a draw is drawn again, for a class that is not in the test
    for seed in range(20):
        one, other = (
            split_by(Choices(validation="folds", folds=folds), seed, with_classes=with_classes) for folds in (2, 3)
        )
        assert digest_of([one]) == digest_of([other])
        assert set(other.folds) == set(range(3))


def test_drawing_again_for_the_folds_leaves_the_draws_of_the_parts():
    # three people of a class of three must be spread over the training and the test: nearly every draw is drawn again
    classes = np.repeat([0.0, 1.0], [30, 3])
    pool, tried = make_pool(np.arange(33), classes=classes), []

    def generator_of(what):
        tried.append(what)
        return stream(5, what)

    split = draw_split(pool, 20, Choices(False, test="rest", validation="folds", folds=2), generator_of)
    assert tried == ["split", "folds"]
    drawing = stream(5, "split")
    for _ in range(1000):
        train, rest = drawing.choice(33, 20, replace=False), np.arange(33)
        drawing.permutation(rest[~np.isin(rest, train)])
        if classes[train].sum() == 2:
            break
    np.testing.assert_array_equal(split.train, train)


@pytest.mark.parametrize("replacement", [True, False])
def test_stratified_people_have_the_proportions_of_the_pool(replacement):
    participants, classes, rows, _ = scans()
    of_person = dict(zip(participants.tolist(), classes.tolist(), strict=True))
    everyone = [of_person[name] for name in set(participants[rows].tolist())]
    choices = Choices(replacement, "participants", "one", stratify=True)
    for seed in range(5):
        split = split_by(choices, seed)
        for part in (split.train, split.validation, split.test):
            counts = [int((classes[part] == label).sum()) for label in (0, 1)]
            assert counts == proportional(len(part), [everyone.count(label) for label in (0, 1)])


def test_one_image_a_person_is_another_in_another_replicate_and_every_one_as_often():
    participants = np.repeat(np.arange(30), 3)
    pool, counts = make_pool(participants), np.zeros(90)
    choices = Choices(replacement=False, images="one", test="rest")
    for seed in range(200):
        split = draw_split(pool, 10, choices, lambda what, seed=seed: stream(seed, what))
        counts[np.concatenate([split.train, split.validation, split.test])] += 1
    assert counts.reshape(30, 3).sum(axis=1).tolist() == [200] * 30
    assert np.abs(counts - 200 / 3).max() < 5 * np.sqrt(200 * 2 / 9)


def test_all_images_of_a_person_who_is_drawn_twice_come_twice():
    participants = np.repeat(np.arange(40), np.arange(40) % 3 + 1)
    choices = Choices(count="participants", test="rest")
    split = draw_split(make_pool(participants), 20, choices, lambda what: stream(1, what))
    images, times = np.unique(split.train, return_counts=True)
    assert times.max() > 1
    people = participants[images]
    assert all(len(set(times[people == person])) == 1 for person in set(people))
    assert sum(times[np.unique(people, return_index=True)[1]]) == 20


def test_every_person_is_drawn_about_as_often_whatever_they_bring():
    participants = np.repeat(np.arange(40), np.arange(40) % 4 + 1)
    pool, counts = make_pool(participants), np.zeros(40)
    for seed in range(1000):
        split = draw_split(
            pool,
            10,
            Choices(replacement=False, count="participants"),
            lambda what, seed=seed: np.random.default_rng(seed),
        )
        counts[np.unique(participants[split.train])] += 1
    assert np.abs(counts - 250).max() < 5 * np.sqrt(250)


@pytest.mark.parametrize(("validation", "size"), [("fifth", None), ("fixed", 3), ("folds", None)])
def test_classes_that_are_learnt_in_place_of_the_true_ones_are_in_training_and_validation_too(validation, size):
    participants, classes, rows, _ = scans()
    learnt = np.where(np.isin(participants, [f"p{index:02d}" for index in range(0, PEOPLE, 3)]), 1 - classes, classes)
    choices = Choices(validation=validation, validation_size=size, folds=3)
    other, drawn_again = make_pool(participants, rows=rows, classes=classes, learnt=learnt), 0
    for seed in range(40):
        one = split_by(choices, seed, n=10)
        split = draw_split(other, 10, choices, lambda what, seed=seed: stream(seed, what))
        parts = {
            "train": [split.train],
            "validation": [split.validation] * (validation != "folds"),
            "test": [split.test],
        }
        if validation == "folds":
            parts["train"] += [split.train[split.folds != fold] for fold in range(3)]
        for name, found in parts.items():
            for part in found:
                assert set(classes[part]) == {0.0, 1.0}
                assert name == "test" or set(learnt[part]) == {0.0, 1.0}
        drawn_again += digest_of([one]) != digest_of([split])
    assert 0 < drawn_again < 40
    same = draw_split(
        make_pool(participants, rows=rows, classes=classes, learnt=classes), 10, choices, lambda what: stream(0, what)
    )
    assert digest_of([same]) == digest_of([split_by(choices, 0, n=10)])


# --- some of the pool


def enough(pool, n, **choices):
    return is_enough(pool, n, Choices(**choices), lambda what: stream(0, what))


@pytest.mark.parametrize(
    ("choices", "most"),
    [
        # of 30 people with two scans each; with replacement too n and the validation part must be there
        ({}, 50), ({"validation": "folds"}, 60), ({"validation": "fixed", "validation_size": 40}, 20),
        ({"count": "participants"}, 25), ({"images": "one"}, 25), ({"images": "one", "validation": "folds"}, 30),
        ({"count": "participants", "replacement": False}, 22), ({"count": "participants", "replacement": False, "test": "rest"}, 24),
    ],
)  # fmt: skip
def test_a_pool_is_enough_for_n_and_its_validation(choices, most):
    pool = make_pool(np.repeat(np.arange(30), 2))
    assert not enough(pool, most + 1, **choices)
    if choices.get("count") == "participants" or choices.get("images") == "one":
        assert enough(pool, most, **choices)
    # images of few people are enough in number, and those who are not drawn are too few
    assert enough(pool, most // 2, **choices)


def test_a_pool_without_a_class_or_with_held_out_people_alone_is_not_enough():
    classes = np.repeat([0.0, 1.0], 20)
    pool = make_pool(np.arange(40), classes=classes)
    assert enough(pool, 10)
    assert not enough(pool.only(classes == 0), 10)
    assert not enough(pool.only(np.arange(40) < 22), 10)
    held = make_pool(np.arange(40), held_out=np.arange(40) < 10)
    some = held.only(np.arange(40) < 25)
    assert some.rows.tolist() == list(range(10, 25))
    assert some.held.tolist() == list(range(10))
    assert enough(some, 12, test="people")
    assert not enough(some, 13, test="people")
    assert not enough(held.only(np.zeros(40, bool)), 10, test="people")


# --- held out


def test_who_was_chosen_on_is_no_test_person_and_is_trained_on_unless_held_out():
    participants, _, rows, held = scans()
    untested = np.isin(participants, [f"p{index:02d}" for start in (0, 1) for index in range(start, PEOPLE, 8)])
    choices = Choices(count="participants", test="people", validation="folds", folds=3)
    pool = make_pool(participants, rows=rows, untested=untested, held_out=held)
    assert set(pool.held) == set(rows[held[rows] & ~untested[rows]])
    trained = set()
    for seed in range(20):
        split = draw_split(pool, N, choices, lambda what, seed=seed: stream(seed, what))
        assert set(split.test) == set(pool.held)
        trained |= set(participants[split.train])
    # an outside test set stays outside
    assert trained & set(participants[untested]) == trained & set(participants[untested & ~held])
    assert trained & set(participants[untested & ~held])
    assert not trained & set(participants[held])


@pytest.mark.parametrize("count", ["images", "participants"])
def test_untested_people_are_never_drawn_for_the_test(count):
    untested = is_selection(scans()[0], 0.5, 3)
    for test in ("fifth", "rest"):
        for seed in range(5):
            assert not untested[split_by(Choices(count=count, test=test), seed, untested=untested).test].any()


# --- what cannot be


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": "people"}, "unknown count 'people'; allowed: images, participants"),
        ({"images": "two"}, "unknown images 'two'; allowed: all, one"),
        ({"test": "all"}, "unknown test set 'all'; allowed: fifth, rest, people"),
        ({"validation": "fold"}, "unknown validation 'fold'; allowed: fifth, folds, fixed; did you mean 'folds'?"),
        ({"folds": 1}, "folds = 1 is not possible: allowed are 2 to 20"),
        ({"folds": 21}, "folds = 21 is not possible"),
        ({"validation": "fixed"}, "found validation_size = None with validation = 'fixed'"),
        ({"validation_size": 5}, "found validation_size = 5 with validation = 'fifth'"),
        ({"validation": "folds", "validation_size": 5}, "found validation_size = 5 with validation = 'folds'"),
        ({"validation": "fixed", "validation_size": 1}, "validation_size = 1 is not possible: allowed are 2 and more"),
    ],
)
def test_unknown_choices_are_refused(values, said):
    with pytest.raises(InputError) as error:
        Choices(**values)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("choices", "n", "said"),
    [
        (Choices(), 61, "n = 61 is not possible: allowed are 2 to 60, the images in the pool"),
        (Choices(images="one"), 31, "allowed are 2 to 30, the images in the pool, one a person"),
        (Choices(count="participants"), 31, "allowed are 2 to 30, the participants in the pool"),
        (Choices(test="people"), 99, "allowed are 2 to 60, the images in the pool, without those held out"),
        (Choices(test="people"), 10, "none of the held-out people has a value of the target; change held_out"),
        (
            Choices(replacement=False, count="participants"),
            24,
            "n = 24 leaves too few people of a pool of 30 for 5 validation participants and 5 test participants; use "
            "smaller sizes, replacement = true or a larger cohort",
        ),
        (
            Choices(replacement=False, test="rest"),
            60,
            "n = 60 leaves too few people of a pool of 30 for 12 validation images and any test images; use smaller sizes, "
            "replacement = true or a larger cohort",
        ),
        (
            Choices(validation="folds", folds=20),
            10,
            "for 20 folds and 2 test images; use smaller sizes, fewer folds or a larger cohort",
        ),
        (
            Choices(validation="fixed", validation_size=50, replacement=False),
            20,
            "for 50 validation images and 4 test images; use smaller sizes, a smaller validation_size, replacement = true or a",
        ),
    ],
)
def test_sizes_that_cannot_be_say_what_to_change(choices, n, said):
    pool = make_pool(np.repeat(np.arange(30), 2))
    with pytest.raises(InputError) as error:
        draw_split(pool, n, choices, lambda what: stream(0, what))
    assert said in str(error.value)


def test_beside_held_out_people_validation_still_needs_its_fifth():
    pool = make_pool(np.repeat(np.arange(14), 5), held_out=np.arange(70) >= 50)
    with pytest.raises(
        InputError, match=r"n = 48 leaves too few people of a pool of 10 for 10 validation images; use sm"
    ):
        draw_split(pool, 48, Choices(False, test="people"), lambda what: stream(0, what))


@pytest.mark.parametrize(
    ("choices", "held", "said"),
    [
        (Choices(), 0, "class 'ill' has 2 participants; train, validation and test need one each: 3 or more"),
        (Choices(validation="folds"), 0, "class 'ill' has 2 participants; two folds and test need one each: 3 or more"),
        (
            Choices(test="people"),
            1,
            "class 'ill' has 1 participant; train and validation need one each: 2 or more, beside those held out",
        ),
        (
            Choices(test="people", validation="folds"),
            1,
            "class 'ill' has 1 participant; two folds need one each: 2 or more, beside those held out",
        ),
        (Choices(test="people", validation="folds"), 3, "class 'ill' has no participant among those held out"),
    ],
)
def test_classes_with_too_few_people_are_named(choices, held, said):
    classes = np.repeat([1.0, 0.0], [2, 38])
    held_out = np.zeros(40, bool)
    held_out[{0: [], 1: [1, 20, 21], 3: [20, 21, 22]}[held]] = True
    pool = make_pool(np.arange(40), classes=classes, class_names=("well", "ill"), held_out=held_out)
    with pytest.raises(InputError) as error:
        draw_split(pool, 10, choices, lambda what: stream(0, what))
    assert said in str(error.value)


def test_a_person_half_held_out_is_leakage():
    participants = np.repeat(np.arange(20), 2)
    halves = make_pool(participants, held_out=np.arange(40) % 2 == 0)
    with pytest.raises(LeakageError, match="both in train and in test"):
        draw_split(halves, 10, Choices(test="people"), lambda what: stream(0, what))
