"""Pages in a real browser: what every control draws is the table's, what is saved too, and everybody can use it."""

import csv
import io
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from browser import THEMES, WIDTHS, comes_true, draw_all, kept_in, screenshots, serious, sticks_out, visit
from local_server import Served, serving
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Axis, Figure, Layer, Page, Section
from neurotransfer.pages.render import render
from pages.example_page import (
    SIZES,
    STRATEGIES,
    agreement,
    correlations,
    curve_table,
    curves,
    epochs,
    example,
    head,
    map_of_scans,
    p_matrix,
    picture,
    pyramid,
    replicate_table,
)

pytestmark = pytest.mark.browser

# the symbol of a marker begins at the place of its point
MARKS = """(name) => [...document.querySelectorAll(`#${name} .drawing [data-mark="dot"] :is(path, circle)`)]
  .map((mark) => { const m = mark.getCTM(), s = mark.ownerSVGElement.getCTM();
    const x = mark.tagName === "circle" ? Number(mark.getAttribute("cx")) : 0;
    const y = mark.tagName === "circle" ? Number(mark.getAttribute("cy")) : 0;
    const group = mark.parentElement.transform.baseVal[0]?.matrix || { e: 0, f: 0 };
    return { x: (m.e - s.e) / s.a + x, y: (m.f - s.f) / s.a + y - group.f, aside: group.e,
      fill: getComputedStyle(mark).fill, stroke: getComputedStyle(mark).stroke, shape: mark.getAttribute("d") || "circle" }; })"""
PAPER = "getComputedStyle(document.body).backgroundColor"
FILLS = """(name) => [...document.querySelectorAll(`#${name} [data-mark="cell"] rect`)].map((cell) => getComputedStyle(cell).fill)"""
TICKS = """([name, side]) => { const place = document.querySelector(`#${name} .drawing [data-mark="${side}-axis tick label"]`);
  return [...place.querySelectorAll("text")].map((text) => ({ text: text.textContent,
    at: text.transform.baseVal[0].matrix[side === "x" ? "e" : "f"] })); }"""


def write(folder, page, statics=None, name="page"):
    path = folder / f"{name}.html"
    path.write_text(render(page, statics), encoding="utf-8")
    return path


def paged(*items):
    return Page("A page", ["Found."], [Section("part", "A part", items)])


@pytest.fixture(scope="module")
def example_file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("example"), example(True))


@pytest.fixture
def curves_page(chromium, tmp_path):
    with visit(chromium, write(tmp_path, paged(curves()))) as seen:
        draw_all(seen.page)
        yield seen.page


def number(text):
    return float(text.replace(",", "").replace("−", "-"))


def axis(page, name, side, log):
    """What a place in pixels means, read off the ticks of the axis."""
    ticks = page.evaluate(TICKS, [name, side])
    values = np.array([number(tick["text"]) for tick in ticks])
    places = np.array([tick["at"] for tick in ticks])
    slope, start = np.polyfit(places, np.log(values) if log else values, 1)
    return lambda place: np.exp(slope * place + start) if log else slope * place + start


def drawn_points(page, name, log_x=False, log_y=False):
    """Every marker of a figure as `(x, y, filled)`, through its axes; what was moved aside is moved back."""
    x, y = axis(page, name, "x", log_x), axis(page, name, "y", log_y)
    marks = page.evaluate(MARKS, name)
    return [(x(mark["x"] - mark["aside"]), y(mark["y"]), mark["fill"] == mark["stroke"]) for mark in marks]


def assert_same_points(drawn, rows, x, y, tolerance=0.004):
    """Every row is drawn where it belongs, and nothing else is."""
    assert len(drawn) == len(rows)
    found = np.array([(nearest_size(at) if x == "n" else at, value) for at, value, _ in drawn])
    wanted = rows[[x, y]].to_numpy(float)
    distance = np.abs(found[:, None] - wanted[None]).max(-1)
    assert distance.min(0).max() < tolerance
    assert distance.min(1).max() < tolerance


def nearest_size(at):
    size = min(SIZES, key=lambda n: abs(np.log(n / at)))
    assert size == pytest.approx(at, rel=0.04)
    return size


def shown(score="auc", statistic="mean"):
    table = curve_table()
    return table[(table["score"] == score) & (table["statistic"] == statistic)]


@pytest.mark.parametrize(
    ("score", "statistic"), [("auc", "mean"), ("auc", "median"), ("brier", "mean"), ("brier", "median")]
)
def test_every_choice_draws_the_rows_of_the_table(curves_page, score, statistic):
    labels = {"auc": "AUC", "brier": "Brier score", "mean": "Mean ± 1.96 SEM", "median": "Median"}
    curves_page.get_by_label(labels[score], exact=True).check()
    curves_page.get_by_label(labels[statistic], exact=True).check()
    drawn = drawn_points(curves_page, "sex-curves", log_x=True, log_y=score == "brier")
    rows = shown(score, statistic)
    assert_same_points(drawn, rows, "n", "value")
    assert sum(filled for _, _, filled in drawn) == rows["better"].sum()
    assert curves_page.locator('#sex-curves text[data-axis="y"]').text_content() == labels[score]
    assert curves_page.locator('#sex-curves text[data-axis="x"]').text_content() == "n, training scans"
    # an interval a row where there are intervals; one more rule is the axis, one is chance
    lines = curves_page.locator('#sex-curves [data-mark="rule"] line').count()
    assert lines == rows["low"].notna().sum() + 1 + (score == "auc")


def test_intervals_end_where_the_table_says(curves_page):
    y = axis(curves_page, "sex-curves", "y", False)
    lines = curves_page.evaluate(
        """() => [...document.querySelectorAll('#sex-curves [data-mark="rule"] line')]
          .filter((line) => line.getAttribute("x1") === line.getAttribute("x2") && line.getAttribute("y1") !== line.getAttribute("y2"))
          .map((line) => [Number(line.getAttribute("y1")), Number(line.getAttribute("y2"))].sort((a, b) => b - a))"""
    )
    found = sorted((float(y(low)), float(y(high))) for low, high in lines)
    np.testing.assert_allclose(found, sorted(zip(shown()["low"], shown()["high"], strict=True)), atol=0.004)


def test_axes_change_between_linear_and_logarithmic(curves_page):
    for log in (False, True):
        curves_page.get_by_label("Horizontal axis logarithmic").set_checked(log)
        assert_same_points(drawn_points(curves_page, "sex-curves", log_x=log), shown(), "n", "value")
    curves_page.get_by_label("Vertical axis logarithmic").check()
    assert_same_points(drawn_points(curves_page, "sex-curves", log_x=True, log_y=True), shown(), "n", "value")
    # what a choice asks for comes back with the choice
    curves_page.get_by_label("Brier score").check()
    assert curves_page.get_by_label("Vertical axis logarithmic").is_checked()
    curves_page.get_by_label("AUC", exact=True).check()
    assert not curves_page.get_by_label("Vertical axis logarithmic").is_checked()


def test_layers_are_shown_and_hidden(curves_page):
    replicates = replicate_table()
    replicates = replicates[replicates["score"] == "auc"]
    markers = len(shown())
    curves_page.get_by_label("single replicates").check()
    both = pd.concat([replicates[["n", "value"]], shown()[["n", "value"]]])
    assert_same_points(drawn_points(curves_page, "sex-curves", log_x=True), both, "n", "value")
    curves_page.get_by_label("single replicates").uncheck()
    assert len(curves_page.evaluate(MARKS, "sex-curves")) == markers
    lines = '#sex-curves [data-mark="line"] path'
    assert curves_page.locator(lines).count() == len(STRATEGIES)
    curves_page.get_by_label("published curves").check()
    assert curves_page.locator(lines).count() == len(STRATEGIES) + 2
    assert curves_page.locator(lines + "[stroke-dasharray], #sex-curves [stroke-dasharray] path").count() >= 2
    legend = curves_page.locator("#sex-curves .legend").inner_text()
    assert "published curves: finetuned (2022)" in legend
    curves_page.get_by_label("chance").uncheck()
    assert "chance" not in curves_page.locator("#sex-curves .legend").inner_text()


def test_the_legend_names_every_series_and_hides_it(curves_page):
    buttons = curves_page.locator("#sex-curves .legend button")
    assert buttons.all_inner_texts() == list(STRATEGIES)
    before = {mark["stroke"] for mark in curves_page.evaluate(MARKS, "sex-curves")}
    shapes = {mark["shape"] for mark in curves_page.evaluate(MARKS, "sex-curves")}
    assert len(before) == len(shapes) == len(STRATEGIES)
    curves_page.get_by_role("button", name="frozen").click()
    left = shown()[shown()["strategy"] != "frozen"]
    assert_same_points(drawn_points(curves_page, "sex-curves", log_x=True), left, "n", "value")
    assert curves_page.get_by_role("button", name="frozen").get_attribute("aria-pressed") == "false"
    legend = curves_page.locator("#sex-curves .legend").inner_text()
    assert "filled: beats the next best" in legend
    assert "hollow: it does not, or is last" in legend


def test_series_at_the_same_place_stand_beside_one_another(curves_page):
    asides = sorted({round(mark["aside"], 2) for mark in curves_page.evaluate(MARKS, "sex-curves")})
    assert len(asides) == len(STRATEGIES)
    assert np.mean(asides) == pytest.approx(0, abs=0.6)
    assert min(np.diff(asides)) >= 4


def test_the_numbers_are_those_of_the_table(curves_page):
    curves_page.get_by_label("Median").check()
    curves_page.get_by_text("Show the numbers").click()
    table = curves_page.locator("#sex-curves .numbers table").first
    heads = table.locator("thead th").all_inner_texts()
    assert heads[:3] == ["Strategy", "n, training scans", "AUC"]
    rows = table.locator("tbody tr").all()
    wanted = shown(statistic="median")
    assert len(rows) == len(wanted)
    for row, (_, line) in zip(rows, wanted.iterrows(), strict=True):
        cells = row.locator("td").all_inner_texts()
        assert cells[0] == line["strategy"]
        assert number(cells[1]) == line["n"]
        assert number(cells[2]) == pytest.approx(line["value"], rel=1e-6)
        assert cells[3:5] == ["–", "–"]
    curves_page.get_by_label("Mean ± 1.96 SEM").check()
    assert number(table.page.locator("#sex-curves .numbers td").nth(2).inner_text()) == pytest.approx(
        shown().iloc[0]["value"], rel=1e-6
    )


def saved(page, name, index=0):
    with page.expect_download() as found:
        page.get_by_role("button", name=name, exact=True).nth(index).click()
    return found.value.suggested_filename, found.value.path().read_bytes()


def test_saved_numbers_are_the_rows_that_are_chosen(curves_page):
    curves_page.get_by_label("Brier score").check()
    name, data = saved(curves_page, "Save numbers as CSV")
    assert name == "sex-curves.csv"
    back = pd.read_csv(io.BytesIO(data))
    wanted = shown("brier").reset_index(drop=True)
    pd.testing.assert_frame_equal(
        back.drop(columns="better"), wanted.drop(columns="better"), check_dtype=False, rtol=1e-6
    )
    assert (back["better"] == wanted["better"]).all()
    name, data = saved(curves_page, "Save “single replicates” as CSV")
    assert name == "sex-curves-single-replicates.csv"
    assert len(list(csv.reader(io.StringIO(data.decode())))) == 1 + (replicate_table()["score"] == "brier").sum()


@pytest.mark.parametrize("theme", THEMES)
def test_a_saved_drawing_stands_alone(chromium, tmp_path, theme):
    with visit(chromium, write(tmp_path, paged(curves())), theme=theme) as seen:
        draw_all(seen.page)
        name, data = saved(seen.page, "Save as SVG")
        seen.page.get_by_label("White background").uncheck()
        _, clear = saved(seen.page, "Save as SVG")
        _, image = saved(seen.page, "Save as PNG")
    assert name == "sex-curves.svg"
    text = data.decode()
    assert not re.search(r"currentColor|var\(|url\(http|href=|class=\"ring\"|system-ui|<style", text)
    root = ElementTree.fromstring(text)
    inside = "".join(root.itertext())
    for words in (
        "Learning curves of sex",
        "AUC",
        "n, training scans",
        *STRATEGIES,
        "filled: beats the next best",
        "1,000",
    ):
        assert words in inside
    assert "Score: AUC; Shown: Mean ± 1.96 SEM" in inside
    path = tmp_path / "alone.svg"
    path.write_bytes(data)
    with visit(chromium, path) as alone:
        pixels = np.asarray(Image.open(io.BytesIO(alone.page.screenshot())).convert("RGB"))
        assert (pixels[:, :, 0] != 255).mean() > 0.01
    assert b'fill="#ffffff" width="100%"' in data.replace(
        b'width="100%" height="100%" fill="#ffffff"', b'fill="#ffffff" width="100%"'
    )
    assert clear.count(b'width="100%"') == data.count(b'width="100%"') - 1
    picture = Image.open(io.BytesIO(image))
    assert picture.size == (2 * int(float(root.attrib["width"])), 2 * int(float(root.attrib["height"])))
    assert picture.getpixel((2, 2))[3] == 0


def test_cells_have_the_text_and_the_darkness_of_their_p(chromium, tmp_path):
    figure = p_matrix()
    table = figure.layers[0].table
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        for n in ("50", "2000"):
            seen.page.get_by_label("n, training scans").select_option(n)
            rows = table[table["n"] == n]
            texts = seen.page.locator('#sex-p [data-mark="text"] text').all_text_contents()
            assert texts == list(rows["shown"])
            fills = seen.page.evaluate(FILLS, "sex-p")
            light = [np.mean([int(part) for part in re.findall(r"\d+", fill)]) for fill in fills]
            sure = (rows["p"] < 0.05).to_numpy()
            assert max(np.array(light)[sure], default=0) < min(np.array(light)[~sure], default=255) - 30
        assert "below 0.001" in seen.page.locator("#sex-p .legend").inner_text()
        assert "one-sided p" in seen.page.locator("#sex-p .legend").inner_text()


def test_colours_of_correlations_diverge_from_zero(chromium, tmp_path):
    figure = correlations(12)
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        fills = seen.page.evaluate(FILLS, "correlations")
        colours = np.array([[int(part) for part in re.findall(r"\d+", fill)] for fill in fills])
        r = figure.layers[0].table["r"].to_numpy()
        redness = colours[:, 0] - colours[:, 2]
        assert np.corrcoef(redness, r)[0, 1] > 0.5
        assert (redness[r > 0.2] > 0).all()
        assert (redness[r < -0.2] < 0).all()
        assert seen.page.locator("#correlations .legend .ends").inner_text().split() == ["−1", "1"]


def test_points_are_coloured_by_numbers_or_by_names(chromium, tmp_path):
    figure = map_of_scans(60)
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        drawn = drawn_points(seen.page, "map")
        assert_same_points(drawn, figure.layers[0].table, "first", "second", 0.06)
        assert len({mark["stroke"] for mark in seen.page.evaluate(MARKS, "map")}) > 30
        assert "age (years)" in seen.page.locator("#map .legend").inner_text()
        seen.page.get_by_role("radio", name="site").check()
        assert len({mark["stroke"] for mark in seen.page.evaluate(MARKS, "map")}) == 3
        assert sorted(seen.page.locator("#map .legend button").all_inner_texts()) == ["Basel", "London", "Oslo"]
        seen.page.get_by_role("button", name="Oslo").click()
        assert len(seen.page.evaluate(MARKS, "map")) == (figure.layers[0].table["site"] != "Oslo").sum()


def test_bars_are_stacked_on_both_sides_of_zero(chromium, tmp_path):
    figure = pyramid()
    table = figure.layers[0].table
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        y = axis(seen.page, "pyramid", "y", False)
        bars = seen.page.evaluate(
            """() => [...document.querySelectorAll('#pyramid [data-mark="rect"] rect')].map((bar) =>
              [bar.getBBox().x, bar.getBBox().y, bar.getBBox().height, bar.getBBox().width])"""
        )
    assert len(bars) == len(table)
    heights = sorted(abs(float(y(top + height) - y(top))) for _, top, height, _ in bars)
    np.testing.assert_allclose(heights, sorted(table["scans"].abs()), atol=0.6)
    for age, rows in table.groupby("age"):
        stack = [bar for bar in bars if bar[0] == sorted({round(each[0], 1) for each in bars})[0]] if age == 20 else []
        if stack:
            assert float(y(min(bar[1] for bar in stack))) == pytest.approx(
                rows[rows["scans"] > 0]["scans"].sum(), abs=0.6
            )
            assert float(y(max(bar[1] + bar[2] for bar in stack))) == pytest.approx(
                rows[rows["scans"] < 0]["scans"].sum(), abs=0.6
            )


def test_a_bar_a_category_with_its_interval(chromium, tmp_path):
    with visit(chromium, write(tmp_path, paged(epochs()))) as seen:
        draw_all(seen.page)
        assert seen.page.locator('#epochs [data-mark="bar"] rect').count() == len(STRATEGIES)
        names = [tick["text"] for tick in seen.page.evaluate(TICKS, ["epochs", "x"])]
        assert names == list(STRATEGIES)


def test_both_axes_of_a_square_are_as_long_and_areas_are_relative(chromium, tmp_path):
    figure = agreement()
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        x, y = axis(seen.page, "agreement", "x", False), axis(seen.page, "agreement", "y", False)
        assert x(100) - x(0) == pytest.approx(y(0) - y(100), rel=0.01)
        inside = figure.layers[1].table
        inside = inside[(inside["predicted"] >= 10) & (inside["predicted"] <= 95)]
        assert_same_points(drawn_points(seen.page, "agreement"), inside, "observed", "predicted", 0.5)
        missing = len(figure.layers[1].table) - len(inside)
        note = seen.page.locator("#agreement .note").inner_text()
        assert note.startswith(str(missing)) if missing else note == ""


def test_values_that_a_logarithm_lacks_are_counted(chromium, tmp_path):
    frame = pd.DataFrame({"x": [1.0, 10.0, 100.0, 0.0], "y": [1.0, 2.0, 3.0, 4.0]})
    figure = Figure("logs", "Logs", "Dots.", Axis("x", switch=True), Axis("y"), (Layer("dot", frame, x="x", y="y"),))
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        assert len(seen.page.evaluate(MARKS, "logs")) == 4
        seen.page.get_by_label("Horizontal axis logarithmic").check()
        assert len(seen.page.evaluate(MARKS, "logs")) == 3
        assert seen.page.locator("#logs .note").inner_text().startswith("1 point lies beyond these axes")


def test_markers_are_distinct_for_ten_series(chromium, tmp_path):
    names = [f"series {index}" for index in range(10)]
    frame = pd.DataFrame({"x": [1.0, 2.0] * 10, "y": np.arange(20.0), "name": np.repeat(names, 2)})
    figure = Figure(
        "ten", "Ten", "Ten series.", Axis("x"), Axis("y"), (Layer("line", frame, x="x", y="y", series="name"),)
    )
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        marks = seen.page.evaluate(MARKS, "ten")
    assert len({mark["shape"] for mark in marks}) == 10


def test_a_tip_says_what_is_pointed_at(curves_page):
    curves_page.locator("#sex-curves .drawing").scroll_into_view_if_needed()
    mark = curves_page.evaluate(MARKS, "sex-curves")[0]
    box = curves_page.locator("#sex-curves .drawing svg").bounding_box()
    curves_page.mouse.move(box["x"] + mark["x"], box["y"] + mark["y"])
    tip = curves_page.locator(".tip")
    assert tip.is_visible()
    row = shown()[shown()["strategy"] == "baseline"].iloc[0]
    said = tip.inner_text()
    assert said.startswith("baseline")
    assert re.search(r"n, training scans\s+50\b", said)
    assert f"{row['value']:.4g}" in said
    assert f"{row['low']:.4g} to {row['high']:.4g}" in said
    assert re.search(r"Replicates\s+100", said)
    curves_page.mouse.move(2, 2)
    assert not tip.is_visible()


def test_a_tip_shows_the_picture_of_a_scan(chromium, tmp_path):
    figure = map_of_scans(5)
    with visit(chromium, write(tmp_path, paged(figure))) as seen:
        draw_all(seen.page)
        seen.page.locator("#map .drawing").focus()
        seen.page.keyboard.press("ArrowRight")
        assert seen.page.locator(".tip img").get_attribute("src") == picture()
        first = figure.layers[0].table.sort_values("first").iloc[0]
        said = seen.page.locator("#map .unseen").inner_text()
        assert first["scan"] in said
        seen.page.keyboard.press("Escape")
        assert not seen.page.locator(".tip").is_visible()


def test_everything_can_be_done_with_the_keyboard(curves_page):
    def reach(test):
        for _ in range(80):
            curves_page.keyboard.press("Tab")
            if curves_page.evaluate(f"(() => {{ const at = document.activeElement; return {test}; }})()"):
                return
        raise AssertionError(f"the keyboard does not reach {test}")

    curves_page.keyboard.press("Tab")
    assert curves_page.evaluate("document.activeElement.className") == "skip"
    reach('at.id === "theme"')
    curves_page.keyboard.press("ArrowDown")
    curves_page.keyboard.press("ArrowDown")
    assert curves_page.evaluate("document.documentElement.dataset.theme") == "dark"
    reach('at.value === "auc"')
    curves_page.keyboard.press("ArrowRight")
    assert curves_page.locator('#sex-curves text[data-axis="y"]').text_content() == "Brier score"
    reach('at.dataset.layer === "2"')
    curves_page.keyboard.press("Space")
    assert len(curves_page.evaluate(MARKS, "sex-curves")) > 400
    reach('at.className === "drawing"')
    curves_page.keyboard.press("ArrowRight")
    assert curves_page.locator(".tip").is_visible()
    reach('at.dataset.key === "series:frozen"')
    curves_page.keyboard.press("Enter")
    # the focus stays where it was, so that the same key brings the series back
    assert curves_page.evaluate("document.activeElement.dataset.key") == "series:frozen"
    assert curves_page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    reach('at.tagName === "SUMMARY"')
    curves_page.keyboard.press("Enter")
    curves_page.locator("#sex-curves .numbers tbody tr").nth(29).wait_for()
    reach('at.textContent === "Save as SVG"')
    with curves_page.expect_download() as found:
        curves_page.keyboard.press("Enter")
    assert found.value.suggested_filename == "sex-curves.svg"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_everybody_can_use_it(chromium, example_file, tmp_path, width, theme):
    with visit(chromium, example_file, width, theme=theme) as seen:
        draw_all(seen.page)
        # not those of the large matrices: axe would look at every cell of every row
        for summary in seen.page.locator("#sex-curves summary, #sex-p summary, .fold summary").all():
            summary.click()
        assert sticks_out(seen.page) <= 0
        assert serious(seen.page) == []
        names = [figure.description for figure in figures_of(example(True))]
        drawings = (
            "[...document.querySelectorAll('.drawing[role=img]')].map((drawing) => drawing.getAttribute('aria-label'))"
        )
        assert seen.page.evaluate(drawings) == names
        labels = "[...document.querySelectorAll('.drawing')].map((place) => place.querySelectorAll('text[data-axis]').length)"
        assert min(seen.page.evaluate(labels)) == 2
        path = screenshots(seen.page, f"example-{width}-{theme}", tmp_path)
    pixels = np.asarray(Image.open(path).convert("L"))
    assert pixels.shape[1] == width
    assert (pixels.mean() > 128) == (theme == "light")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_words_of_a_drawing_overlap(chromium, example_file, width):
    with visit(chromium, example_file, width) as seen:
        draw_all(seen.page)
        overlaps = seen.page.evaluate(
            """() => [...document.querySelectorAll(".drawing svg")].flatMap((svg) => {
              const words = [...svg.querySelectorAll("text")].filter((text) => text.textContent).map((text) =>
                [text.textContent, text.getBoundingClientRect()]);
              const share = (a, b, from, to) => Math.min(a[to], b[to]) - Math.max(a[from], b[from]);
              return words.flatMap(([one, a], index) => words.slice(index + 1)
                .filter(([, b]) => share(a, b, "left", "right") > 1.5 && share(a, b, "top", "bottom") > 3.5)
                .map(([other]) => `${one} / ${other}`)); })"""
        )
        outside = seen.page.evaluate(
            """() => [...document.querySelectorAll(".drawing svg text")].filter((text) => { const a = text.getBoundingClientRect();
              return a.width && (a.left < -0.5 || a.right > innerWidth + 0.5); }).map((text) => text.textContent)"""
        )
    assert overlaps == []
    assert outside == []


def test_the_reader_sets_the_colours_of_the_page(chromium, example_file):
    with visit(chromium, example_file) as seen:
        draw_all(seen.page)
        light = seen.page.evaluate(PAPER)
        seen.page.get_by_label("Colours").select_option("dark")
        assert seen.page.evaluate(PAPER) != light
        # black cannot be seen on a dark page, so no series is drawn black
        assert all("rgb(0, 0, 0)" not in mark["stroke"] for mark in seen.page.evaluate(MARKS, "sex-curves"))


def test_the_colours_that_were_set_are_kept_by_the_browser(chromium, tmp_path):
    page = Served(write(tmp_path, paged(curves())).read_bytes())
    # of a file a busy Chromium sometimes keeps nothing: after 34 of 188 reloads, and after none of 173 from a server beside them
    with (
        serving(files={"/page.html": page}) as server,
        visit(chromium, f"{server.url}/page.html", allowed=server.url) as seen,
    ):
        light = seen.page.evaluate(PAPER)
        seen.page.get_by_label("Colours").select_option("dark")
        seen.page.reload()
        assert seen.page.locator("#theme").input_value() == "dark"
        assert seen.page.evaluate(PAPER) != light
        seen.page.get_by_label("Colours").select_option("system")
        seen.page.reload()
        assert seen.page.locator("#theme").input_value() == "system"
        assert seen.page.evaluate(PAPER) == light


@pytest.mark.parametrize(
    ("kept", "shown_as"), [("'dark'", "dark"), ("'light'", "light"), ("'purple'", "system"), ("null", "system")]
)
def test_what_a_browser_kept_decides_the_colours_of_a_page(chromium, example_file, kept, shown_as):
    answer = f"Object.defineProperty(window, 'localStorage', {{ value: {{ getItem: () => {kept} }} }})"
    with visit(chromium, "about:blank") as seen:
        seen.page.add_init_script(answer)
        seen.page.goto(example_file.as_uri())
        assert seen.page.locator("#theme").input_value() == shown_as
        dark = seen.page.evaluate(PAPER) == "rgb(22, 25, 29)"
        assert dark == (shown_as == "dark")


def test_a_browser_that_keeps_nothing_still_changes_colours(chromium, example_file):
    refusal = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError') } })"
    )
    with visit(chromium, "about:blank") as seen:
        seen.page.add_init_script(refusal)
        seen.page.goto(example_file.as_uri())
        light = seen.page.evaluate(PAPER)
        seen.page.get_by_label("Colours").select_option("dark")
        assert seen.page.evaluate(PAPER) != light


def test_a_large_page_draws_what_is_seen(chromium, tmp_path):
    figures = [curves(f"task-{index}", 42) for index in range(5)] + [
        Figure(**{**vars(map_of_scans()), "name": f"map-{index}"}) for index in range(2)
    ]
    path = write(tmp_path, paged(*figures))
    assert path.stat().st_size < 5_000_000
    with visit(chromium, path) as seen:
        seen.page.locator("#task-0 svg").first.wait_for()
        # what is far below is not drawn yet, but is before anything is printed
        assert seen.page.locator("#map-1 .drawing svg").count() == 0
        seen.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert seen.page.locator(".drawing svg").count() == len(figures)


def test_paper_shows_every_figure_in_light_colours(chromium, example_file, tmp_path):
    with visit(chromium, example_file, theme="dark") as seen:
        printed = seen.page.pdf()
        assert len(printed) > 50_000
        assert seen.page.locator(".drawing svg").count() == len(figures_of(example()))
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate(PAPER) == "rgb(255, 255, 255)"
        assert seen.page.locator("#sex-curves .chosen").inner_text() == "Score: AUC; Shown: Mean ± 1.96 SEM"
        assert not seen.page.locator("nav").is_visible()
        assert not seen.page.locator(".tools").first.is_visible()


def test_without_scripts_the_static_figures_are_there(chromium, tmp_path):
    still = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 60"><rect width="100" height="60" fill="#0072B2"/></svg>'
    path = write(tmp_path, example(True), {"sex-curves": still})
    with visit(chromium, path, java_script_enabled=False) as seen:
        box = seen.page.locator(".static svg").bounding_box()
        assert box["width"] > 300
        assert "One-sided p of every strategy" in seen.page.locator("#sex-p noscript").inner_text()
        assert seen.page.locator("#sex-p noscript p").is_visible()
        assert seen.page.locator("img.slices").is_visible()
        assert not seen.page.locator("#theme").is_visible()
        assert not seen.page.locator("select").first.is_visible()


def test_code_is_copied(chromium, example_file):
    with visit(chromium, example_file, permissions=["clipboard-read", "clipboard-write"]) as seen:
        seen.page.get_by_role("button", name="Copy").first.click()
        seen.page.get_by_text("Copied.").first.wait_for()


def test_a_head_is_stepped_through(chromium, example_file, tmp_path):
    with visit(chromium, example_file, 800, 600) as seen:
        place = seen.page.locator("#head")
        assert place.locator("img.slices").get_attribute("alt") == head().description
        place.get_by_role("button", name="Step through the slices").click()
        place.locator("canvas").wait_for()
        told = place.locator(".place")
        place.get_by_label("Left to right").fill("32")
        place.get_by_label("Back to front").fill("-2")
        place.get_by_label("Bottom to top").fill("-2")
        assert re.match(r"x 32, y −2, z −2 mm\. head 0\.7\d*; relevance (1|0\.9\d*)", told.inner_text())
        assert not place.locator("img.slices").is_visible()
        assert comes_true(seen.page, lambda: coloured(place) > 1000)
        bright = coloured(place)
        place.get_by_role("combobox", name="Overlay").select_option("none")
        assert comes_true(seen.page, lambda: coloured(place) < bright / 4)
        place.get_by_label("View").select_option("from above")
        assert serious(seen.page) == []
        place.screenshot(path=kept_in(tmp_path) / "example-head.png")


def coloured(place):
    """How many pixels of the viewer are warm, as the overlay is."""
    pixels = np.asarray(Image.open(io.BytesIO(place.locator("canvas").screenshot())).convert("RGB")).astype(int)
    return int((pixels[..., 0] - pixels[..., 2] > 100).sum())


def test_without_webgl_the_picture_stays(chromium, example_file):
    with visit(chromium, example_file) as seen:
        seen.page.evaluate("HTMLCanvasElement.prototype.getContext = () => null")
        seen.page.get_by_role("button", name="Step through the slices").click()
        assert "no WebGL 2" in seen.page.locator("#head .note").inner_text()
        assert seen.page.locator("#head img.slices").is_visible()


def test_a_request_to_another_machine_is_noticed(chromium, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text('<img src="http://127.0.0.1:9/picture.png">', encoding="utf-8")
    with pytest.raises(AssertionError, match="asked for"), visit(chromium, path) as seen:
        seen.page.wait_for_timeout(100)
