"""A real browser for tests: Debian's Chromium through Playwright; it opens files only, and says what went wrong."""

import atexit
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
LOCAL = ("file:", "data:", "blob:", "about:")
TALLEST = 6000
WIDTHS = (1280, 390)
THEMES = ("light", "dark")


@dataclass
class Visit:
    """A page that is open, and what it did: messages of the console, errors, addresses that it asked for."""

    page: Any
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def check(self, allowed: tuple[str, ...] = LOCAL) -> None:
        """Fail when the page complained, or asked another machine for anything."""
        away = [address[:200] for address in self.requests if not address.startswith(allowed)]
        assert not away, f"the page asked for {away}"
        assert not self.problems, f"the page complained: {self.problems}"


@pytest.fixture(scope="session")
def chromium() -> Any:
    """The browser, started once a process, however many folders of tests import this fixture."""
    pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    return _started()


@cache
def _started() -> Any:
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    atexit.register(playwright.stop)
    atexit.register(browser.close)
    return browser


@contextmanager
def visit(
    browser: Any, address: str | Path, width: int = 1280, height: int = 900, theme: str = "light", **options: Any
) -> Iterator[Visit]:
    """Open a file or an address; at the end nothing may have been complained about or asked of another machine.

    `options` are those of Playwright's `new_context`, and `allowed`: beginnings of addresses that may be asked for.
    """
    allowed = options.pop("allowed", LOCAL)
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **options)
    # ends what hangs: a machine that draws for many tests at once is slow
    context.set_default_timeout(60_000)
    page = context.new_page()
    seen = Visit(page)
    page.on("console", lambda said: seen.problems.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    try:
        page.goto(address.as_uri() if isinstance(address, Path) else address)
        yield seen
        seen.check(allowed)
    finally:
        context.close()


def comes_true(page: Any, condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether `condition` holds now or within these seconds, for what a page tells nobody when it has done it."""
    end = time.monotonic() + seconds
    while not (holds := bool(condition())) and time.monotonic() < end:
        page.wait_for_timeout(100)
    return holds


def draw_all(page: Any) -> None:
    """Scroll through a page until every figure on it is drawn."""
    page.evaluate("document.querySelectorAll('[data-figure]').forEach(place => place.live?.open())")


def sticks_out(page: Any) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def serious(page: Any) -> list[str]:
    """What axe finds to be serious or critical for people with disabilities: a line each.

    Marks of drawings are left out: a drawing is one image to whoever cannot see it, and axe takes minutes for thousands of marks.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, context={"exclude": [[".drawing svg"], [".static svg"]]}).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {[node['html'][:160] for node in each['nodes'][:4]]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def kept_in(folder: Path) -> Path:
    """Where pictures are kept: the folder that NEUROTRANSFER_SCREENSHOTS names, or `folder`."""
    kept = Path(os.environ.get("NEUROTRANSFER_SCREENSHOTS") or folder)
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def screenshots(page: Any, name: str, folder: Path) -> Path:
    """Keep a picture of the whole page, in the folder that NEUROTRANSFER_SCREENSHOTS names or in `folder`.

    What is taller than Chromium can draw at once goes on in `NAME-2.png` and so on.
    """
    kept = kept_in(folder)
    draw_all(page)
    page.wait_for_timeout(200)
    width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    for index, top in enumerate(range(0, height, TALLEST)):
        part = {"x": 0, "y": top, "width": width, "height": min(TALLEST, height - top)}
        page.screenshot(path=kept / f"{name}{f'-{index + 1}' if index else ''}.png", full_page=True, clip=part)
    return kept / f"{name}.png"
