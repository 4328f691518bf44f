"""The page of a run in a real browser: every figure is drawn, every choice can be made, nothing sticks out, all can use it."""

import re

import pytest

from browser import THEMES, WIDTHS, draw_all, screenshots, serious, sticks_out, visit
from neurotransfer.pages.contents import figures_of
from neurotransfer.report import report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_file(fake_folder, tmp_path_factory):
    return report(fake_folder, tmp_path_factory.mktemp("page") / "report.html")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_every_figure_is_drawn_and_nothing_sticks_out(chromium, page_file, fake_page, tmp_path, width, theme):
    with visit(chromium, page_file, width, theme=theme) as seen:
        draw_all(seen.page)
        for figure in figures_of(fake_page):
            assert seen.page.locator(f"#{figure.name} .drawing svg").count() >= 1, figure.name
        assert sticks_out(seen.page) <= 0
        assert screenshots(seen.page, f"report-{width}-{theme}", tmp_path).stat().st_size > 20_000


def test_everybody_can_use_it(chromium, page_file):
    with visit(chromium, page_file) as seen:
        draw_all(seen.page)
        assert serious(seen.page) == []


def test_every_option_of_every_choice_draws_something(chromium, page_file, fake_page):
    with visit(chromium, page_file) as seen:
        draw_all(seen.page)
        for figure in figures_of(fake_page):
            place = seen.page.locator(f"#{figure.name}")
            for menu in place.locator("select").all():
                for value in menu.evaluate("menu => [...menu.options].map(option => option.value)"):
                    menu.select_option(value)
                    assert place.locator(".drawing svg").count() >= 1, (figure.name, value)
            for box in place.locator("input[type=radio]").all():
                box.check()
                assert place.locator(".drawing svg").count() >= 1, figure.name


def test_what_was_found_and_the_largest_n_stand_first(chromium, page_file, fake_page):
    with visit(chromium, page_file) as seen:
        text = " ".join(seen.page.inner_text("body").split())
        assert " ".join(fake_page.found[0].split()) in text
        draw_all(seen.page)
        chosen = seen.page.locator("#sex-roc input[type=radio]:checked, #sex-roc select").first
        shown = chosen.evaluate("each => each.value")
        assert re.fullmatch(r"n100", shown)
