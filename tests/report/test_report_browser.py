"""The page in a real browser: it shows something, and nothing sticks out of a narrow window."""

import re
import shutil
import subprocess

import fake_run
import numpy as np
import pytest
from matplotlib import pyplot

from neurotransfer.report import report

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
# said by the page itself: its width, that of the window, and how many figures have a size
MEASURE = """<script>document.title = [document.documentElement.scrollWidth, innerWidth,
[...document.querySelectorAll("svg")].filter(figure => figure.getBoundingClientRect().width > 100).length].join(" ")</script>"""

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not BROWSER, reason="no chromium on this machine")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return report(fake_run.write_run(tmp_path_factory.mktemp("page")))


def browse(page, folder, *options):
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


@pytest.mark.parametrize("width", [1280, 800, 500])
def test_nothing_sticks_out_and_every_figure_has_a_size(page, tmp_path, width):
    text = page.read_text(encoding="utf-8")
    measured = tmp_path / "measured.html"
    measured.write_text(text.replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    dom = browse(measured, tmp_path, f"--window-size={width},1000", "--dump-dom")
    found = re.search(r"<title>(\d+) (\d+) (\d+)</title>", dom)
    assert found, dom[:500]
    page_width, window_width, figures = (int(number) for number in found.groups())
    assert page_width <= window_width
    assert figures == text.count("<svg") > 5


def test_the_first_screen_is_not_empty(page, tmp_path):
    browse(page, tmp_path, "--window-size=1280,900", f"--screenshot={tmp_path / 'screen.png'}")
    pixels = pyplot.imread(tmp_path / "screen.png")[..., :3]
    assert pixels.shape == (900, 1280, 3)
    dark = (pixels.mean(-1) < 0.5).mean()
    assert 0.01 < dark < 0.5
    assert np.unique(pixels.reshape(-1, 3), axis=0).shape[0] > 10
