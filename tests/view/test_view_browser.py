"""The page in a real browser: what is chosen, sorted, stepped to, laid over and marked is what the tables say."""

import csv
import io
import re
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from view_data import write_benchmark, write_cohort, write_maps, write_prepared

from browser import THEMES, WIDTHS, comes_true, screenshots, serious, sticks_out, visit
from neurotransfer.view import viewed

pytestmark = pytest.mark.browser

N = 60
SEEN = "#one[data-ready]:not([data-ready=''])"
CARDS = "#cards a.view-card"


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    cohort = write_cohort(folder / "data", n=N)
    return write_benchmark(folder / "run", cohort, n=N), write_maps(folder / "maps", cohort)


@contextmanager
def page_of(chromium, run, hash_="", *, maps=None, **options):
    """The page of a run, ready; at the end it must not have complained, nor have asked for anything elsewhere."""
    with viewed(run, maps=maps) as (server, scans):
        allowed = (f"http://127.0.0.1:{server.port}/{server.token}/", "blob:", "data:")
        with visit(chromium, server.address + hash_, allowed=allowed, **options) as seen:
            seen.page.wait_for_selector("html[data-ready]")
            yield seen.page, scans


@pytest.fixture
def page(chromium, benchmark):
    with page_of(chromium, benchmark[0], maps=benchmark[1]) as (found, scans):
        found.scans = scans
        yield found


def names(page):
    return page.locator(f"{CARDS} .view-name").all_inner_texts()


def all_names(page):
    """The names on all pages of cards."""
    found = names(page)
    while page.locator("#page-after").is_visible() and page.locator("#page-after").is_enabled():
        place = page.inner_text("#page-place")
        page.click("#page-after")
        page.wait_for_selector(f"#page-place:not(:text-is('{place}'))")
        found += names(page)
    return found


def settled(page, text):
    page.wait_for_selector(f"#count:text-matches('{text}')")


def expected(scans, rows):
    table = scans.table.iloc[rows]
    return [
        f"{participant} {session}".strip()
        for participant, session in zip(table["participant_id"], table["session_id"], strict=True)
    ]


def open_scan(page, place=0):
    page.locator(CARDS).nth(place).click()
    page.wait_for_selector(SEEN)


def step(page, name):
    """Go to the next scan, whose name is known: until the browser has turned to it, the last one is still there, and ready."""
    page.click("#after")
    page.wait_for_selector(f"#one-title:text-is('{name}')")
    page.wait_for_selector(SEEN)


def pixels(page):
    page.wait_for_timeout(400)
    return np.asarray(Image.open(io.BytesIO(page.locator("#canvas").screenshot())).convert("RGB"), float)


def test_the_worst_predictions_come_first_and_the_order_is_the_tables(page):
    values = page.scans.numbers[0].values
    order = sorted(range(N), key=lambda row: (-values[row] if np.isfinite(values[row]) else np.inf, row))
    assert all_names(page) == expected(page.scans, order)
    page.evaluate("scrollTo(0, 0)")
    page.select_option("[name=order]", "table")
    settled(page, f"{N} scans")
    assert all_names(page) == expected(page.scans, range(N))


@pytest.mark.parametrize("place", [1, 5, -1])
def test_any_number_sorts_and_is_shown(page, place):
    number = page.scans.numbers[place]
    page.select_option("[name=number]", number.name)
    page.select_option("[name=order]", "low")
    order = sorted(range(N), key=lambda row: (number.values[row] if np.isfinite(number.values[row]) else np.inf, row))
    wanted = expected(page.scans, order)[:24]
    assert comes_true(page, lambda: names(page) == wanted), names(page)
    shown = page.locator(f"{CARDS} .view-value").all_inner_texts()
    for text, row in zip(shown, order, strict=False):
        value = number.values[row]
        assert text == "n/a" if not np.isfinite(value) else float(text) == pytest.approx(value, rel=2e-3)


CHOICES = [
    ({"site": "B"}, lambda table: table["site"] == "B"),
    ({"sex": "F"}, lambda table: table["sex"] == "F"),
    ({"age_from": "100"}, lambda table: table["age"].astype(float) >= 100),
    ({"age_from": "40", "age_to": "60.5"}, lambda table: table["age"].astype(float).between(40, 60.5)),
    ({"text": "sub-1"}, lambda table: table["participant_id"].str.contains("sub-1")),
    ({"text": "nobody"}, lambda table: table["age"] == "x"),
    ({"site": "A", "text": "-0"}, lambda table: (table["site"] == "A") & table["participant_id"].str.contains("-0")),
]


@pytest.mark.parametrize(("choice", "keeps"), CHOICES)
def test_scans_are_chosen_by_what_the_table_says(page, choice, keeps):
    page.select_option("[name=order]", "table")
    for name, value in choice.items():
        field = page.locator(f"[name={name}]")
        field.select_option(value) if name in ("site", "sex") else field.fill(value)
    rows = np.flatnonzero(keeps(page.scans.table))
    settled(page, f"^{len(rows)} of {N} scans" if len(rows) else f"None of {N}")
    assert all_names(page) == expected(page.scans, rows)
    for name, value in choice.items():
        assert f"{name}={value}" in page.url


def test_scans_are_chosen_by_their_errors(page):
    values = page.scans.numbers[0].values
    middle = float(np.nanmedian(values))
    page.fill("[name=low]", f"{middle:.6f}")
    rows = np.flatnonzero(values >= middle)
    settled(page, f"^{len(rows)} of {N} scans")
    assert set(all_names(page)) == set(expected(page.scans, rows))
    page.click("#all")
    settled(page, f"^{N} scans")
    assert page.input_value("[name=low]") == ""


def test_what_is_chosen_stands_in_the_address_and_can_be_gone_back_to(chromium, benchmark):
    with page_of(chromium, benchmark[0], "#site=B&order=table&age_from=50") as (page, scans):
        table = scans.table
        rows = np.flatnonzero((table["site"] == "B") & (table["age"].astype(float) >= 50))
        assert names(page) == expected(scans, rows)[:24]
        assert page.input_value("[name=site]") == "B"
        assert page.input_value("[name=age_from]") == "50"
        open_scan(page, 1)
        assert "scan=" in page.url
        page.go_back()
        page.wait_for_selector("#browse:not([hidden])")
        assert names(page) == expected(scans, rows)[:24]
        page.go_forward()
        page.wait_for_selector(SEEN)
        assert page.inner_text("#one-title") == expected(scans, rows)[1]
        page.reload()
        page.wait_for_selector(SEEN)
        assert page.inner_text("#one-title") == expected(scans, rows)[1]
        assert page.inner_text("#one-place") == f"2 of {len(rows)}"


@pytest.mark.parametrize(
    "hash_", ["#scan=nobody", "#order=x&number=y&page=99", "#age_from=x&low=&flag=z", "#%00%ff&&=&<script>"]
)
def test_an_address_that_says_nonsense_shows_scans(chromium, benchmark, hash_):
    with page_of(chromium, benchmark[0], hash_) as (page, _):
        assert page.locator("#browse").is_visible()


def test_flags_are_shown_and_chosen_by(chromium, tmp_path):
    with page_of(chromium, write_prepared(tmp_path / "prepared")) as (page, _):
        assert "7 scans of 7 people, 3 with flags." in page.inner_text("#summary")
        first = page.locator(CARDS).first
        assert first.locator(".view-badge").all_inner_texts() == [
            "the field of view cuts the brain off",
            "cnr is unusual here",
        ]
        assert page.locator(CARDS).last.inner_text().startswith("no image was found")
        page.select_option("[name=flag]", "cnr is unusual here")
        settled(page, "^2 of 7 scans")
        assert names(page) == ["sub-05", "sub-04"]
        page.select_option("[name=flag]", "no flag")
        settled(page, "^4 of 7 scans")
        page.select_option("[name=flag]", "any flag")
        settled(page, "^3 of 7 scans")
        page.select_option("[name=order]", "flags")
        open_scan(page)
        assert page.locator("#one-flags .view-badge").all_inner_texts() == [
            "the field of view cuts the brain off (inside 0.91)",
            "cnr 1.2 is unusual here (robust z 4.1)",
        ]


def test_a_scan_without_an_image_says_so(chromium, tmp_path):
    with page_of(chromium, write_prepared(tmp_path / "prepared"), "#scan=sub-99") as (page, _):
        page.wait_for_selector(SEEN)
        assert page.inner_text("#status") == "No image of this scan was found."
        assert not page.locator("#canvas").is_visible()
        assert not page.locator("#tools").is_visible()
        assert "reason" in page.inner_text("#row")
        page.click("#before")
        page.wait_for_selector("#one-title:text-is('sub-00')")
        page.wait_for_selector(SEEN)
        assert page.locator("#canvas").is_visible()


def test_scans_are_stepped_through_in_the_order_that_is_shown(page):
    order = names(page)
    open_scan(page)
    assert page.locator("#before").is_disabled()
    for place in (1, 2):
        step(page, order[place])
    assert page.inner_text("#one-place") == f"3 of {N}"
    page.click("#before")
    page.wait_for_selector(f"#one-title:text-is('{order[1]}')")
    page.click("#back")
    page.wait_for_selector("#browse:not([hidden])")
    assert names(page) == order


def test_facts_are_those_of_the_table(page):
    index = int(np.nanargmax(page.scans.numbers[0].values))
    open_scan(page)
    shown = dict(zip(page.locator("#row dt").all_inner_texts(), page.locator("#row dd").all_inner_texts(), strict=True))
    wanted = {name: value for name, value in page.scans.table.iloc[index].items() if value != ""}
    assert shown == wanted
    said = page.locator("#said dd").all_inner_texts()
    assert said == [number.said[index] for number in page.scans.numbers if len(number.said) and number.said[index]]


def test_overlays_change_what_is_drawn_and_stay_chosen(page):
    order = names(page)
    open_scan(page)
    page.wait_for_selector("#one[data-overlay=none]")
    bare = pixels(page)
    assert bare.max() > 100, "the scan is drawn"
    assert not page.locator("#threshold-field").is_visible()
    pictures = {"none": bare}
    for role in ("mask", "map-0", "map-1"):
        page.select_option("#overlay", role)
        page.wait_for_selector(f"#one[data-overlay={role}]")
        pictures[role] = pixels(page)
        # in colour, where the scan itself is grey
        assert np.ptp(pictures[role], axis=2).max() > 60
    for one, other in [("none", "mask"), ("mask", "map-0"), ("map-0", "map-1"), ("none", "map-1")]:
        assert np.abs(pictures[one] - pictures[other]).mean() > 1
    label = page.locator("#overlay option:checked").inner_text()
    step(page, order[1])
    page.wait_for_selector("#one[data-overlay=map-1]")
    assert page.locator("#overlay option:checked").inner_text() == label
    assert label in page.inner_text("#where")
    page.select_option("#overlay", "")
    page.wait_for_selector("#one[data-overlay=none]")
    assert np.ptp(pixels(page)[:20, :20], axis=2).max() == 0


def looks_like(picture, other):
    """Whether two pictures of the canvas show the same; its edges lie between pixels when a sentence stands above it."""
    return np.abs(picture - other)[8:-8, 8:-8].mean() < 1


def changed(page, before, what, by=1):
    """What the canvas shows when it no longer shows what it did before."""
    assert comes_true(page, lambda: np.abs(pixels(page) - before).mean() > by), what
    return pixels(page)


def wait_for_volumes(page, *milliseconds):
    """Let the next volumes take so long to be read."""
    page.evaluate(
        """(delays) => {
             const make = niivue.NVImage.new;
             niivue.NVImage.new = async (...inputs) => {
               const delay = delays.shift() ?? 0, volume = await make.apply(niivue.NVImage, inputs);
               await new Promise((resolve) => setTimeout(resolve, delay));
               return volume;
             } }""",
        list(milliseconds),
    )


def test_a_scan_that_was_left_before_it_was_read_is_not_shown(page):
    order = names(page)
    open_scan(page, 2)
    wanted, ready = pixels(page), page.get_attribute("#one", "data-ready")
    page.click("#back")
    open_scan(page)
    wait_for_volumes(page, 1200, 0)
    with page.expect_response(re.compile(r"/scan\.nii\.gz$")):
        page.click("#after")
    step(page, order[2])
    where = page.inner_text("#where")
    assert page.get_attribute("#one", "data-ready") == ready
    page.wait_for_timeout(1500)
    assert page.get_attribute("#one", "data-ready") == ready
    assert page.inner_text("#where") == where != ""
    assert looks_like(pixels(page), wanted)


def test_the_overlay_that_was_chosen_last_is_shown_however_long_others_take(page):
    open_scan(page)
    page.select_option("#overlay", "map-1")
    page.wait_for_selector("#one[data-overlay=map-1]")
    wanted = pixels(page)
    page.select_option("#overlay", "")
    page.wait_for_selector("#one[data-overlay=none]")
    wait_for_volumes(page, 1200, 0)
    with page.expect_response(re.compile(r"/mask\.nii\.gz$")):
        page.select_option("#overlay", "mask")
    page.select_option("#overlay", "map-1")
    page.wait_for_selector("#one[data-overlay=map-1]")
    page.wait_for_timeout(1500)
    assert page.get_attribute("#one", "data-overlay") == "map-1"
    assert looks_like(pixels(page), wanted)


def test_an_overlay_that_cannot_be_had_says_so_and_none_is_shown(page):
    order = names(page)
    open_scan(page)
    bare = pixels(page)
    page.select_option("#overlay", "map-0")
    page.wait_for_selector("#one[data-overlay=map-0]")
    # a browser writes what it was refused into the console, which fails the test otherwise
    page.evaluate(
        """() => { const ask = fetch; globalThis.fetch = (address, ...rest) =>
             String(address).endsWith("mask.nii.gz")
               ? Promise.resolve(new Response("It is gone.", { status: 410 })) : ask(address, ...rest) }"""
    )
    page.select_option("#overlay", "mask")
    page.wait_for_selector("#status:text-is('It is gone.')")
    assert comes_true(page, lambda: looks_like(pixels(page), bare))
    step(page, order[1])
    assert page.inner_text("#status") == "It is gone."
    assert page.get_attribute("#one", "data-overlay") == ""


def test_numbers_that_come_late_change_nothing(page):
    slow, quick = page.scans.numbers[1], page.scans.numbers[2]
    page.select_option("[name=order]", "high")
    held = []
    page.route("**/numbers/1.json", lambda route: held.append(route))
    with page.expect_request("**/numbers/1.json"):
        page.select_option("[name=number]", slow.name)
    page.select_option("[name=number]", quick.name)
    order = sorted(range(N), key=lambda row: (-quick.values[row] if np.isfinite(quick.values[row]) else np.inf, row))
    page.wait_for_function("name => document.querySelector('#cards .view-value').title === name", arg=quick.label)
    assert len(held) == 1
    held[0].continue_()
    page.wait_for_timeout(500)
    assert names(page) == expected(page.scans, order)[:24]
    assert page.input_value("[name=number]") == quick.name


def slide(page, name, value):
    page.locator(f"#{name}").evaluate(
        "(field, value) => { field.value = value; field.dispatchEvent(new Event('input')) }", value
    )


def test_opacity_threshold_window_and_planes_change_what_is_drawn(page):
    open_scan(page)
    page.select_option("#overlay", "map-0")
    page.wait_for_selector("#one[data-overlay=map-0]")
    first = pixels(page)
    changes = [
        ("opacity", "0"),
        ("opacity", "100"),
        ("threshold", "95"),
        ("threshold", "0"),
        ("black", "950"),
        ("white", "300"),
    ]
    before = first
    for name, value in changes:
        slide(page, name, value)
        before = changed(page, before, (name, value), by=0.2)
    for plane in ("0", "1", "2"):
        page.select_option("#planes", plane)
        before = changed(page, before, plane)
    page.click("#reset")
    assert page.input_value("#planes") == "3"
    changed(page, before, "reset")


def test_the_crosshair_tells_its_place_and_the_values_there(page):
    open_scan(page)
    page.select_option("#overlay", "mask")
    page.wait_for_selector("#one[data-overlay=mask]")
    # the middle of the scan lies between voxels
    page.locator("#canvas").focus()
    middle = page.inner_text("#where")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f"#where:not(:text-is('{middle}'))")
    text = page.inner_text("#where")
    found = re.fullmatch(r"x (-?[\d.]+), y (-?[\d.]+), z (-?[\d.]+) mm · scan (\d+) · Brain mask (\d+)", text)
    assert found, text
    # the brightness of the ball rises with the first index, which falls with x
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f"#where:not(:text-is('{text}'))")
    moved = re.match(r"x (-?[\d.]+), y (-?[\d.]+), z (-?[\d.]+) mm · scan (\d+)", page.inner_text("#where"))
    assert float(moved[1]) == pytest.approx(float(found[1]) - 2, abs=0.2)
    assert moved[2] == found[2]
    assert int(moved[4]) == int(found[4]) + 1
    text = page.inner_text("#where")
    page.keyboard.press("PageUp")
    page.wait_for_selector(f"#where:not(:text-is('{text}'))")
    higher = re.match(r"x (-?[\d.]+), y (-?[\d.]+), z (-?[\d.]+)", page.inner_text("#where"))
    assert float(higher[3]) == pytest.approx(float(moved[3]) + 2, abs=0.2)
    # arrows in the picture move the crosshair and not the scan
    assert page.inner_text("#one-place") == f"1 of {N}"


def test_everything_can_be_done_by_keyboard(page):
    order = names(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('view-card')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(SEEN)
    assert page.inner_text("#one-title") == order[0]
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#one-title:text-is('{order[1]}')")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#one-title:text-is('{order[2]}')")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f"#one-title:text-is('{order[1]}')")
    page.locator("#exclude").focus()
    page.keyboard.press("Space")
    assert page.locator("#exclude").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("moved, ←")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#one-title") == order[1]
    page.keyboard.press("Escape")
    page.wait_for_selector("#browse:not([hidden])")
    # back where the reader was
    page.wait_for_function("name => document.activeElement.textContent.includes(name)", arg=order[1])
    assert "excluded: moved, ←" in page.locator(CARDS).nth(1).inner_text()


def test_marks_are_saved_as_a_table_made_in_the_browser(page):
    assert not page.locator("#marked").is_visible()
    order = names(page)
    for place, reason in ((0, "moves\ta lot"), (2, "")):
        page.locator(CARDS).nth(place).click()
        page.wait_for_selector(SEEN)
        page.check("#exclude")
        if reason:
            page.fill("#reason", reason)
        page.click("#back")
        page.wait_for_selector("#browse:not([hidden])")
    assert page.inner_text("#marked-count") == "2 marked for exclusion, not saved."
    page.select_option("[name=flag]", "marked for exclusion")
    settled(page, f"^2 of {N} scans")
    assert names(page) == [order[0], order[2]]
    with page.expect_download() as waited:
        page.click("#save")
    assert waited.value.url.startswith("blob:")
    assert waited.value.suggested_filename == "excluded.tsv"
    with waited.value.path().open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[0] == ["participant_id", "session_id", "reason"]
    wanted = {(*order[0].split(), "moves a lot"), (*order[2].split(), "n/a")}
    assert {tuple(row) for row in rows[1:]} == wanted
    table = pd.read_csv(waited.value.path(), sep="\t", keep_default_na=False)
    assert len(table) == 2
    assert page.inner_text("#marked-count") == "2 marked for exclusion."
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.inner_text("#marked-count").startswith("2 marked")
    page.click("#clear")
    page.wait_for_selector("#marked", state="hidden")


def test_pictures_are_asked_for_when_they_come_into_view(chromium, benchmark):
    with page_of(chromium, benchmark[0], width=390, height=700) as (page, _):
        asked = "performance.getEntriesByType('resource').filter(e => e.name.includes('picture')).length"
        page.wait_for_function(f"{asked} > 0")
        page.wait_for_timeout(500)
        assert page.locator(CARDS).count() == 24
        assert page.evaluate("document.querySelectorAll('*').length") < 800
        assert 1 <= page.evaluate(asked) <= 24


def test_without_webgl_there_are_slices_and_a_sentence(chromium, benchmark):
    with viewed(benchmark[0]) as (server, _):
        context = chromium.new_context(bypass_csp=True)
        page = context.new_page()
        page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
        page.goto(server.address)
        page.wait_for_selector("html[data-ready]")
        open_scan(page)
        assert "has no WebGL 2" in page.inner_text("#status")
        assert page.locator("#still").is_visible()
        assert page.locator("#still").evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
        assert not page.locator("#canvas").is_visible()
        context.close()


def test_a_page_whose_command_has_ended_says_so(chromium, benchmark):
    with viewed(benchmark[0]) as (server, _):
        context = chromium.new_context()
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_selector("html[data-ready]")
    page.locator(CARDS).first.click()
    page.wait_for_selector("#status:text-matches('has ended: run it again')")
    context.close()


def test_a_page_of_another_site_gets_nothing(chromium, benchmark):
    with viewed(benchmark[0]) as (server, _), viewed(benchmark[0]) as (other, _):
        context = chromium.new_context()
        page = context.new_page()
        # another port is another origin, whose own page here plays the stranger who has found out the address
        page.goto(other.address)
        page.wait_for_selector("html[data-ready]")
        context2 = chromium.new_context(bypass_csp=True)
        stranger = context2.new_page()
        stranger.goto(other.address)
        found = stranger.evaluate(
            """async (address) => Promise.all(["cors", "no-cors"].map((mode) =>
                 fetch(address + "scans.json", { mode }).then((answer) => answer.text(), () => "refused")))""",
            server.address,
        )
        assert found in (["refused", ""], ["refused", "refused"])
        framed = stranger.evaluate(
            """(address) => new Promise((resolve) => {
                 const frame = document.createElement("iframe");
                 frame.src = address;
                 frame.onload = () => { let text = "closed"; try { text = frame.contentDocument.title } catch {} resolve(text) };
                 document.body.append(frame) })""",
            server.address,
        )
        assert framed in ("closed", "")
        context.close()
        context2.close()


def test_names_are_shown_as_text_and_never_run(chromium, tmp_path):
    table = write_cohort(tmp_path / "data", n=3)
    found = pd.read_csv(table, sep="\t", dtype=str)
    found["site"] = "<img src=x onerror=alert(1)>"
    found["participant_id"] = [f"<b>sub-{row}</b>" for row in range(3)]
    found.assign(note="<script>alert(1)</script>").to_csv(table, sep="\t", index=False)
    with page_of(chromium, table) as (page, _):
        page.on("dialog", lambda dialog: pytest.fail("a script ran"))
        assert names(page)[0] == "<b>sub-0</b> ses-1"
        open_scan(page)
        assert "<script>alert(1)</script>" in page.inner_text("#row")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nobody_is_left_out_and_nothing_sticks_out(chromium, benchmark, tmp_path, width, theme):
    with page_of(chromium, benchmark[0], maps=benchmark[1], width=width, theme=theme) as (page, _):
        page.wait_for_load_state("networkidle")
        assert sticks_out(page) <= 0
        assert serious(page) == []
        screenshots(page, f"view-all-{width}-{theme}", tmp_path)
        open_scan(page)
        page.select_option("#overlay", "map-0")
        page.wait_for_selector("#one[data-overlay=map-0]")
        page.check("#exclude")
        assert sticks_out(page) <= 0
        assert serious(page) == []
        kept = screenshots(page, f"view-one-{width}-{theme}", tmp_path)
        assert kept.stat().st_size > 10_000
        page.click("#back")
    prepared = write_prepared(tmp_path / "prepared")
    with page_of(chromium, prepared, width=width, theme=theme) as (page, _):
        page.wait_for_load_state("networkidle")
        assert sticks_out(page) <= 0
        assert serious(page) == []
        screenshots(page, f"view-flags-{width}-{theme}", tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_real_heads_with_their_masks(chromium, shared_data, tmp_path, theme, width):
    with page_of(chromium, shared_data / "ds000228", width=width, theme=theme) as (page, _):
        page.locator(f"{CARDS} img").first.evaluate("image => image.decode()")
        page.wait_for_timeout(3000)
        screenshots(page, f"view-heads-{width}-{theme}", tmp_path)
        open_scan(page, 2)
        bare = pixels(page)
        page.select_option("#overlay", "mask")
        page.wait_for_selector("#one[data-overlay=mask]")
        changed(page, bare, "mask")
        assert sticks_out(page) <= 0
        screenshots(page, f"view-head-{width}-{theme}", tmp_path)
