"""Pages as files: one file, the same bytes for the same page, nothing of it taken for HTML, nothing asked of others."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.errors import InputError
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Axis, Code, Facts, Figure, Layer, Page, Section, Table, Text
from neurotransfer.pages.render import render
from pages.example_page import EVIL, agreement, curves, example, head, table

STATIC = '<svg role="img" aria-label="curves"><title>curves</title></svg>'


class Reader(HTMLParser):
    """Elements with their attributes, and the text in each kind of element."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.texts = {}
        self.open = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


def paged(*items):
    return Page("A page", ["Found."], [Section("part", "A part", items)])


def dots(frame, name="dots", **fields):
    return Figure(name, "Dots", "Dots.", Axis("x"), Axis("y"), (Layer("dot", frame, x="x", y="y", **fields),))


@pytest.fixture(scope="module")
def text():
    return render(example(True), {"sex-curves": STATIC})


def test_the_same_page_gives_the_same_bytes(text):
    assert render(example(True), {"sex-curves": STATIC}) == text


def test_every_text_of_the_page_is_there_and_none_is_taken_for_html(text):
    reader = Reader(text)
    assert reader.texts["h1"] == ["An example & its parts"]
    assert EVIL in reader.texts["li"]
    assert EVIL in reader.texts["dd"]
    assert [data.strip() for data in reader.texts["h2"]] == [
        "What was found", "Sex", "Age", "What the network knows", "What the network looks at", "What was run and how",
    ]  # fmt: skip
    # ours, and the data: none that a text of the page opened
    kinds = [attributes.get("type") for tag, attributes in reader.elements if tag == "script"]
    assert kinds.count(None) == 1
    assert kinds.count("application/json") == len(figures_of(example(True)))


def test_data_cannot_end_their_script():
    frame = pd.DataFrame({"x": [1.0], "y": [2.0], "scan": ["</script><!--<script>\u2028"]})
    text = render(paged(dots(frame, tips={"scan": "Scan </script>"})))
    data = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(data) == 1
    assert "<" not in data[0]
    assert json.loads(data[0])["layers"][0]["table"]["scan"] == ["</script><!--<script>\u2028"]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(), st.text(max_size=12)), min_size=1, max_size=5))
def test_any_numbers_and_any_words_come_back_from_the_page(rows):
    frame = pd.DataFrame({"x": [x for x, _ in rows], "y": 1.0, "word": [word for _, word in rows]})
    text = render(paged(dots(frame)))
    data = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    back = json.loads(data[1])["layers"][0]["table"]
    assert back["word"] == [word for _, word in rows]
    for number, (x, _) in zip(back["x"], rows, strict=True):
        if number is None:
            assert x != x or abs(x) == float("inf")
        else:
            assert number == pytest.approx(x, rel=1e-6)


@pytest.mark.parametrize(
    "item",
    [Text(EVIL), Facts([(EVIL, EVIL)], folded=EVIL), Code(EVIL, folded=EVIL), Table("t", EVIL, [EVIL], [[EVIL]])],
)
def test_every_kind_of_text_is_escaped(item):
    text = render(paged(item))
    assert EVIL not in text
    assert "&lt;/script&gt;&lt;script&gt;" in text


def test_nothing_is_loaded_from_anywhere(text):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    assert rules["img-src"] == "data: blob:"
    assert "unsafe" not in rules["script-src"]
    for tag, attributes in Reader(text).elements:
        for name in ("src", "href", "action", "data", "poster"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, address)
    assert "@import" not in text
    assert "url(http" not in text


def test_the_policy_allows_just_the_scripts_of_the_page(text):
    allowed = re.findall(r"'sha256-([^']*)'", re.search(r"script-src ([^;]*);", text)[1])
    scripts = [
        re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1],
        re.search(r'<script type="text/plain" id="niivue">(.*?)</script>', text, re.DOTALL)[1],
    ]
    assert allowed == [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]


def test_the_viewer_is_there_only_when_there_are_volumes(text):
    without = render(example())
    assert 'id="niivue"' in text
    assert 'id="niivue"' not in without
    assert len(without) < len(text) - 1_000_000
    assert text.count("data-volume ") == 3
    assert b64encode(head().base.file).decode() in text
    assert f'alt="{head().description}"' in text


def test_a_large_page_stays_small():
    figures = [curves(f"task-{index}", 42) for index in range(5)]
    assert sum(len(figure.layers[2].table) for figure in figures) > 5 * 2500 / 1.01
    text = render(paged(*figures))
    assert len(text.encode()) < 5_000_000


def test_without_scripts_the_static_figures_are_shown(text):
    body = text[: text.index('<script type="text/plain" id="niivue">')]
    quiet = re.findall(r"<noscript>(.*?)</noscript>", body, re.DOTALL)
    assert len(quiet) == len(figures_of(example()))
    assert STATIC in quiet[0]
    assert "most bubbles are near the line" in next(part for part in quiet if "Predicted age" in part)


def test_every_reference_leads_somewhere_and_no_name_comes_twice(text):
    elements = Reader(text).elements
    names = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in elements:
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in names
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in names


def test_tables_name_their_rows_and_set_numbers_to_the_right():
    text = render(paged(table()))
    assert text.count('<th scope="row">') == 5
    assert text.count('<td class="number">') == 10
    assert 'tabindex="0" role="region" aria-label="Scores at n = 100"' in text


def test_names_that_come_twice_and_idle_static_figures_are_refused_together():
    page = paged(agreement(), agreement(), Table("part", "", ["a"], []))
    with pytest.raises(InputError, match=r"'agreement' is the name.*'part' is the name.*'other' is of no figure"):
        render(page, {"other": STATIC})


def test_a_long_finding_begins_with_its_headline_and_a_short_one_is_left_as_it_is():
    rest = "With 40 scans it is ahead by 0.25. " * 10
    text = render(Page("Ages", [f"Age: it helps. {rest}", "It does. Not always."], []))
    assert f"<p><strong>Age: it helps.</strong> {rest}</p>" in text
    assert "<p>It does. Not always.</p>" in text
