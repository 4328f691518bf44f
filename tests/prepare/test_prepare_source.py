"""What outputs are called: labels that BIDS allows, one name a scan, and no two that a file system would take for one."""

import pickle
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.prepare.source import (
    DECLARABLE,
    LONGEST_BYTES,
    Source,
    bids_label,
    declared_of,
    problems_of_names,
)

TEXTS = st.text(max_size=20)
NAMES = st.text(st.sampled_from("aA1_- éZ.+"), min_size=1, max_size=4).filter(lambda text: any(map(str.isalnum, text)))


def source(person="p", session="", name="", **labels):
    return Source(person, session, Path(f"{name or person}.nii"), labels=labels, name=name)


@given(TEXTS)
def test_a_label_has_only_letters_and_digits_or_there_is_none(text):
    if any(map(str.isalnum, unicodedata.normalize("NFC", text))):
        label = bids_label(text)
        assert label
        assert all(map(str.isalnum, label))
        assert bids_label(label) == label
    else:
        with pytest.raises(InputError, match="no letter and no digit") as caught:
            bids_label(text)
        assert repr(text) in str(caught.value)


@given(TEXTS.filter(lambda text: any(map(str.isalnum, text))))
def test_the_way_to_store_an_accent_does_not_count(text):
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert bids_label(composed) == bids_label(apart)


@pytest.mark.parametrize(
    ("text", "prefix", "label"),
    [
        ("sub-01", "sub-", "01"),
        ("sub-sub-01", "sub-", "sub01"),
        ("01", "sub-", "01"),
        ("sub-01", "ses-", "sub01"),
        ("OAS1_0001 b", "", "OAS10001b"),
        ("Zoe\u0301", "", "Zoé"),
        ("張 三", "", "張三"),
        ("a\udcff", "", "a"),
        ("a/../b", "", "ab"),
    ],
)
def test_labels(text, prefix, label):
    assert bids_label(text, prefix) == label


@pytest.mark.parametrize("text", ["", "sub-", "___", "\udcff", " ", "\u0301", "🧠"])
def test_what_has_no_letter_is_refused(text):
    with pytest.raises(InputError, match="no letter and no digit to name an output by; rename it"):
        bids_label(text, "sub-")


@given(NAMES, st.one_of(st.just(""), NAMES), st.dictionaries(st.sampled_from(["acq", "run"]), NAMES))
def test_a_stem_is_a_name_of_bids_that_gives_its_folder(person, session, labels):
    one = source(person, session, **labels)
    keys = ["sub", *(["ses"] if session else []), *labels]
    assert [part.split("-")[0] for part in one.stem.split("_")] == keys
    assert re.fullmatch(r"[a-z]+-[^\W_]+(_[a-z]+-[^\W_]+)*", one.stem)
    parts = one.stem.split("_")
    assert one.folder.parts == (parts[0], *parts[1 : 1 + bool(session)], "anat")


def test_a_run_is_no_session():
    assert source("1", run="2").folder == Path("sub-1/anat")
    assert source("1", "ses-2", run="2").stem == "sub-1_ses-2_run-2"


def test_a_label_in_words_has_all_that_tells_scans_apart():
    assert source("p 1", "ses-2", acq="x", run="3").label == "p 1 ses-2 acq-x run-3"
    assert source("p").label == "p"


def test_a_source_travels_to_another_process():
    one = source("a", "b", run="1")
    assert pickle.loads(pickle.dumps(one)) == one


def test_declarations_are_known_words():
    assert declared_of(()) == frozenset()
    assert declared_of((*DECLARABLE, "stripped")) == set(DECLARABLE)
    with pytest.raises(
        InputError, match=r"unknown declaration 'striped'; allowed: stripped, .* did you mean 'stripped'"
    ):
        declared_of(("unbiased", "striped"))


# ---- names that meet


def strictest(stem):
    """What macOS and Windows make of a name, in our own words."""
    return unicodedata.normalize("NFKC", stem).casefold()


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "1", "2"])), max_size=6, unique=True))
def test_there_is_no_problem_only_where_all_names_and_all_people_differ(pairs):
    sources = [source(person, session, name=f"{index}.nii") for index, (person, session) in enumerate(pairs)]
    people = {person: strictest(one.folder.parts[0]) for (person, _), one in zip(pairs, sources, strict=True)}
    stems = {strictest(one.stem) for one in sources}
    clash = len(stems) < len(sources) or len(set(people.values())) < len(people)
    assert bool(problems_of_names(sources)) == clash


def test_every_scan_of_a_clash_is_named_once():
    sources = [source(name, name=f"{name}.nii") for name in ("a-b", "A_B", "ab", "c")]
    assert problems_of_names(sources) == [
        "a-b ('a-b.nii') and A_B ('A_B.nii') and ab ('ab.nii') would all be written as 'sub-ab'"
    ]


def test_two_people_of_one_folder_are_told_even_where_their_scans_differ():
    sources = [source("a_b", "1"), source("ab", "2"), source("ab", "3"), source("c", "1")]
    assert problems_of_names(sources) == ["participants 'a_b' and 'ab' would all be written as one, 'sub-ab'"]
    assert problems_of_names([source("01", "1"), source("sub-01", "2")])[0].startswith("participants '01' and 'sub-01'")


def test_one_person_may_have_many_scans():
    assert problems_of_names([source("a", "1"), source("a", "2"), source("a", "2", run="1")]) == []


@pytest.mark.parametrize("person", ["NA", "n/a", "null", "<NA>"])
def test_a_person_who_would_be_missing_in_a_table_is_told(person):
    [problem] = problems_of_names([source(person, name="x.nii"), source("b")])
    assert problem == f"the participant of 'x.nii' is called {person!r}, which says missing in a table"


def test_names_are_not_longer_than_file_systems_take():
    longest = "a" * (LONGEST_BYTES - len("sub-"))
    assert problems_of_names([source(longest)]) == []
    assert "has 151 bytes; allowed: 150" in problems_of_names([source(longest + "b")])[0]
    assert "has 152 bytes" in problems_of_names([source("ä" * 74)])[0]


def test_all_problems_are_told_at_once():
    problems = problems_of_names([source("--"), source("NA"), source("a"), source("A")])
    assert len(problems) == 3
