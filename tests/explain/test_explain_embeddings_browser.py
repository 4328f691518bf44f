"""The page of embeddings in a real browser: no error, no request, every number of a cell is the table's, pictures appear."""

import json

import numpy as np
import pytest
from explained_samples import made_sample

from browser import visit
from neurotransfer.explain.asking import Asked
from neurotransfer.explain.embeddings import explain_embeddings
from neurotransfer.explain.embeddings_page import page_of, write_page
from neurotransfer.explain.pictures import picture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    asked = Asked(("age",), ("*_ml",), ("age", "sex", "site"), n_permutations=99, n_halves=30)
    explained = explain_embeddings(made_sample(), asked, folder)
    shown = [picture(np.random.default_rng(place).random((8, 10, 8)), 24) for place in range(80)]
    path = write_page(page_of(explained, cohort="made", pictures=shown, command="the command"), folder)
    with visit(chromium, path) as visited:
        yield visited.page, explained, visited.problems, visited.requests


def seen(page):
    for place in range(0, page.evaluate("document.documentElement.scrollHeight"), 400):
        page.evaluate(f"window.scrollTo(0, {place})")
        page.wait_for_timeout(30)
    page.wait_for_timeout(300)


def test_all_figures_are_drawn_and_nothing_is_asked_for(opened):
    page, explained, said, asked_for = opened
    seen(page)
    assert said == []
    assert [url for url in asked_for if not url.startswith(("file:", "data:", "blob:"))] == []
    text = page.inner_text("body")
    ratio = explained.numbers.models[0].views["raw"].dimension.participation
    assert f"behave like {ratio.value:.1f} ({ratio.low:.1f} to {ratio.high:.1f})" in text
    assert page.locator("h2").count() >= 6


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(opened, width):
    page = opened[0]
    page.set_viewport_size({"width": width, "height": 900})
    seen(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_view_can_be_changed(opened):
    page, _, said, _ = opened
    # other choices than the first of every control
    for control in page.locator("input[type=radio]:not(:checked)").all()[:6]:
        control.check()
        page.wait_for_timeout(50)
    for control in page.locator("figure select, section select").all()[:2]:
        options = control.evaluate("each => JSON.stringify([...each.options].map(option => option.value))")
        control.select_option(json.loads(options)[-1])
        page.wait_for_timeout(50)
    assert said == []
