"""The README of a model: true to the card, readable by hubs, and no way in for markup."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.cohort import Grid
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.models.card import Card
from neurotransfer.models.readme import LICENCES, readme_of
from neurotransfer.targets import Target

CARD = Card(
    "toy",
    "sfcn",
    {"width": 0.5},
    (Target("age", "continuous", unit="years"), Target("sex", "binary", classes=("F", "M"))),
    Grid((32, 38, 32), 5.0),
    licence="CC-BY-NC-4.0",
    citation="Somebody 2026",
)


def front(text):
    """The front matter as a reader of YAML sees it; ours is JSON by value, which is YAML too."""
    lines = text.split("---\n")[1].splitlines()
    return {line.split(": ", 1)[0]: json.loads(line.split(": ", 1)[1]) for line in lines}


def test_the_front_matter():
    assert front(readme_of(CARD)) == {
        "license": "cc-by-nc-4.0",
        "library_name": "neurotransfer",
        "tags": ["neuroimaging", "mri", "t1w", "transfer-learning", "sfcn"],
    }


@pytest.mark.parametrize("licence", [*LICENCES, "Unstated", "my own: terms", ""])
def test_licences_that_hubs_do_not_know_are_named(licence):
    found = front(readme_of(replace(CARD, licence=licence)))
    assert (found["license"], found.get("license_name")) == (
        (licence, None) if licence in LICENCES else ("other", licence)
    )


def test_it_says_what_the_card_says():
    text = readme_of(CARD)
    for part in ("| age | continuous | years |", "| sex | binary | F, M |", "32 x 38 x 32 voxels of 5 mm in MNI152", "without skull",
                 "Somebody 2026", "neurotransfer predict", "For research"):  # fmt: skip
        assert part in text
    assert "with skull" in readme_of(replace(CARD, skull_stripped=False))
    assert "columns" in readme_of(replace(CARD, input=None, arguments={"columns": ["left"]}))
    assert "3 people, kept as salted hashes" in readme_of(replace(CARD, people=("a", "b", "c")))
    assert "people: none: simulated" in readme_of(replace(CARD, provenance={"people": "none: simulated heads"}))
    assert "converted from the release at https://somewhere" in readme_of(
        replace(CARD, provenance={"page": "https://somewhere"})
    )


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_leaves_is_told_with_the_command(name):
    text = readme_of(replace(CARD, input=RECIPES[name].contract))
    assert f"--recipe {name}`" in text
    assert " x ".join(map(str, RECIPES[name].contract.shape)) in text


def test_many_targets_are_cut():
    text = readme_of(replace(CARD, targets=tuple(Target(f"t{place}", "continuous") for place in range(50))))
    assert "| and 30 more | | |" in text
    assert "t20" not in text


TEXT = st.text(max_size=30)


@given(name=TEXT, licence=TEXT, citation=TEXT, unit=TEXT, key=TEXT, value=TEXT)
def test_no_text_of_a_card_becomes_markup(name, licence, citation, unit, key, value):
    targets = (Target("a|b<script>", "continuous", unit=unit),)
    card = replace(CARD, name=name, licence=licence, citation=citation, targets=targets, arguments={key: value},
                   strategy="`x`\n# y", provenance={"cohorts": [{"name": value, "n": key}, 3], "page": value})  # fmt: skip
    text = readme_of(card)
    body = text.split("---\n", 2)[2]
    assert "<" not in body
    # a heading of its own, and no other
    assert sum(line.startswith("# ") for line in body.splitlines()) == 1
    assert body.count("```") == 2
    assert set(front(text)) >= {"license", "library_name", "tags"}
