"""The verdict page in a real browser: of a run with experiments, of a small one, and of published curves alone."""

import re

import made_up
import pytest

from browser import THEMES, WIDTHS, draw_all, screenshots, serious, sticks_out, visit
from neurotransfer.diagnose.planted import run_planted
from neurotransfer.diagnose.run import diagnose
from neurotransfer.diagnose.trials import Asked

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of every kind, by name."""
    folder = tmp_path_factory.mktemp("diagnosed")
    found = {"published": diagnose("published:april_asd,april_linear_asd", folder / "published.html", reach=0.7)[0]}
    curves = {
        "network": made_up.fits(made_up.replicates(made_up.DIPPING, 0.02, seed=1), strategy="network"),
        "linear": made_up.fits(made_up.replicates(made_up.RISING, 0.02, seed=2), strategy="linear"),
    }
    found["made-up"] = diagnose(made_up.write_run(folder / "made-up", curves), reach=0.75)[0]
    # with people, a test of five sizes, settings and experiments
    run = run_planted("selection", 0, folder / "planted")
    asked = Asked(names=("folds", "wider-grid"), data=folder / "planted", replicates=10)
    found["planted"] = diagnose(run, asked=asked, reach=0.7)[0]
    return found


@pytest.mark.parametrize("name", ["published", "made-up", "planted"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_every_figure_is_drawn_and_nothing_sticks_out(chromium, pages, tmp_path, name, width, theme):
    with visit(chromium, pages[name], width, theme=theme) as seen:
        draw_all(seen.page)
        figures = seen.page.locator("[data-figure]")
        assert figures.count() >= (5 if name == "planted" else 1)
        for place in figures.all():
            assert place.locator(".drawing svg").count() >= 1, place.get_attribute("id")
        assert sticks_out(seen.page) <= 0
        assert screenshots(seen.page, f"diagnosis-{name}-{width}-{theme}", tmp_path).stat().st_size > 20_000


@pytest.mark.parametrize("name", ["published", "planted"])
def test_everybody_can_use_it(chromium, pages, name):
    with visit(chromium, pages[name]) as seen:
        draw_all(seen.page)
        assert serious(seen.page) == []


def test_every_option_of_every_choice_draws_something(chromium, pages):
    with visit(chromium, pages["planted"]) as seen:
        draw_all(seen.page)
        choices = 0
        for place in seen.page.locator("[data-figure]").all():
            for menu in place.locator("select").all():
                for value in menu.evaluate("menu => [...menu.options].map(option => option.value)"):
                    menu.select_option(value)
                    assert place.locator(".drawing svg").count() >= 1, value
                    choices += 1
            for box in place.locator("input[type=radio]").all():
                box.check()
                assert place.locator(".drawing svg").count() >= 1
                choices += 1
        assert choices


def test_the_verdict_stands_first_and_names_are_nowhere(chromium, pages):
    with visit(chromium, pages["planted"]) as seen:
        text = " ".join(seen.page.inner_text("body").split())
        verdict = re.search(r"Choice among settings: [0-9.]+", text)
        assert verdict
        assert verdict.start() < 2500
        assert not re.search(r"sub-\d{5}", seen.page.content())
    with visit(chromium, pages["published"]) as seen:
        text = " ".join(seen.page.inner_text("body").split())
        assert "no more than chance gives a curve that never falls" in text
        assert "cannot be told" in text.lower()
