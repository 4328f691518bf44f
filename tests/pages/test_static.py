"""Static figures: what matplotlib draws stands where the tables say, under every choice; files are the same every time."""

import itertools
import re
from xml.etree import ElementTree

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from neurotransfer.errors import InputError
from neurotransfer.pages.looks import STEPS, Look, looks
from neurotransfer.pages.marks import cell_colour, ink_on
from neurotransfer.pages.model import Axis, Choice, Figure, Layer, Page, Row, Section
from neurotransfer.pages.shown import combinations, series_of, shown
from neurotransfer.pages.static import file_stem, save_figures, static_figure, static_svg

SIZES = (10, 50, 200)
LOOKS = looks(["a", "b"])
WHITE = (1.0, 1.0, 1.0, 1.0)


def curve_rows():
    rows = [
        {
            "statistic": statistic,
            "n": n,
            "who": name,
            "y": place + n / 1000 + (statistic == "median") / 10,
            "wins": name == "b",
        }
        for statistic in ("mean", "median")
        for name, place in (("a", 0.5), ("b", 0.7))
        for n in SIZES
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["y"] - 0.05, high=table["y"] + 0.02)


def curves(**fields):
    published = pd.DataFrame({"n": [100.0, 900.0] * 2, "y": [0.6, 0.8, 0.5, 0.9], "who": ["x", "x", "z", "z"]})
    layers = (
        Layer("rule", pd.DataFrame({"level": [0.5]}), y="level", label="chance", quiet=True),
        Layer("line", curve_rows(), x="n", y="y", series="who", low="low", high="high", filled="wins"),
        Layer("line", published, x="n", y="y", series="who", quiet=True),
        Layer("dot", curve_rows(), x="n", y="y", series="who", label="Replicates", shown=False),
    )
    given = {
        "name": "curves",
        "title": "Curves",
        "description": "Scores against n.",
        "x": Axis("n, training images", "log", ticks=SIZES),
        "y": Axis("AUC", labels={"statistic": {"median": "median AUC"}}, logarithmic={"statistic": ("median",)}),
        "layers": layers,
        "choices": (Choice("statistic", "Statistic", {"mean": "Mean", "median": "Median"}),),
        "looks": LOOKS,
        "keys": {"filled": "beats", "hollow": "does not"},
    }
    return Figure(**(given | fields))


def one(layer, **fields):
    given = {"name": "one", "title": "One", "description": "One.", "x": Axis("x"), "y": Axis("y"), "layers": (layer,)}
    return Figure(**(given | fields))


def markers(drawing):
    return {mark.get_gid(): mark for mark in drawing.axes[0].collections if mark.get_gid()}


def legend(drawing):
    return [text.get_text() for text in drawing.legends[0].get_texts()]


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_lines_markers_and_intervals_stand_where_the_table_says(statistic):
    drawing = static_figure(curves(), {"statistic": statistic})
    table = curve_rows().query("statistic == @statistic")
    drawn = markers(drawing)
    assert set(drawn) == {"a", "b"}
    for name, mark in drawn.items():
        rows = table[table["who"] == name]
        np.testing.assert_allclose(mark.get_offsets()[:, 1], rows["y"])
        # stands beside the others of the same n, and nearer to its own n than a fiftieth
        np.testing.assert_allclose(mark.get_offsets()[:, 0], rows["n"], rtol=0.02)
        expected = matplotlib.colors.to_rgba(LOOKS[name].colour) if name == "b" else WHITE
        assert {tuple(face) for face in mark.get_facecolors()} == {expected}
    assert (drawn["a"].get_offsets()[:, 0] < drawn["b"].get_offsets()[:, 0]).all()
    bars = [mark for mark in drawing.axes[0].collections if not mark.get_gid()]
    ends = np.sort(np.concatenate([[path.vertices[:, 1] for path in bar.get_paths()] for bar in bars]), axis=0)
    np.testing.assert_allclose(ends, np.sort(table[["low", "high"]].to_numpy(), axis=0))


def test_choices_change_labels_and_scales():
    first, second = static_figure(curves()).axes[0], static_figure(curves(), {"statistic": "median"}).axes[0]
    assert (first.get_ylabel(), second.get_ylabel()) == ("AUC", "median AUC")
    assert (first.get_yscale(), second.get_yscale()) == ("linear", "log")
    assert first.get_xscale() == "log"
    assert list(first.get_xticks()) == list(SIZES)
    assert first.get_title() == "Curves\nMean"


def test_quiet_layers_are_grey_and_hidden_ones_are_not_drawn():
    drawing = static_figure(curves())
    quiet = [line for line in drawing.axes[0].lines if line.get_gid() in ("x", "z")]
    assert len({line.get_linestyle() + str(line._dash_pattern) for line in quiet}) == 2
    assert {line.get_color() for line in quiet} == {"#767676"}
    assert any(np.allclose(line.get_ydata(), 0.5) for line in drawing.axes[0].lines)
    # markers of the two curves, and nothing of the replicates
    assert len(markers(drawing)) == 2


def test_legend_has_every_series_once_and_says_what_filled_means():
    names = legend(static_figure(curves()))
    assert sorted(names) == ["a", "b", "beats", "chance", "does not", "x", "z"]


def test_wrong_choices_are_told():
    with pytest.raises(InputError, match="unknown option of 'Statistic' in figure 'curves' 'mode'"):
        static_figure(curves(), {"statistic": "mode"})
    with pytest.raises(InputError, match="unknown choice of figure 'curves' 'statistics'"):
        static_figure(curves(), {"statistics": "mean"})


def test_an_empty_choice_says_so():
    figure = curves(choices=(Choice("statistic", "Statistic", {"mode": "Mode"}),), layers=curves().layers[:2])
    assert any(text.get_text() == "nothing to show" for text in static_figure(figure).axes[0].texts)


def matrix(values, text=None):
    rows = [
        {"row": f"r{i}", "column": f"c{j}", "value": value, "text": "" if np.isnan(value) else f"{value:.2f}"}
        for i, line in enumerate(values)
        for j, value in enumerate(line)
    ]
    return Layer("cell", pd.DataFrame(rows), x="column", y="row", value="value", text="text")


@pytest.mark.parametrize("colours", ["diverging", "sequential", "probability"])
def test_cells_have_the_colour_of_their_value(colours):
    values = np.array([[0.0005, 0.5, np.nan], [-0.2 if colours == "diverging" else 0.02, 0.9, 0.04]])
    figure = one(matrix(values), x=Axis("x", "category"), y=Axis("y", "category"), colours=colours, colour_label="r")
    drawing = static_figure(figure)
    ax = drawing.axes[0]
    cells = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert len(cells) == 6
    low, high = {"diverging": (-0.9, 0.9), "sequential": (0.0005, 0.9), "probability": (0, 1)}[colours]
    known = values[np.isfinite(values)]
    for cell, value in zip(cells, values.ravel(), strict=True):
        if np.isnan(value):
            expected = "white"
        elif colours == "probability":
            expected = next(colour for below, colour in STEPS if value < below)
        else:
            name = "RdBu_r" if colours == "diverging" else "viridis"
            expected = matplotlib.colormaps[name]((value - low) / (high - low))
        assert cell.get_facecolor() == matplotlib.colors.to_rgba(expected)
    centres = [(cell.get_x() + 0.5, cell.get_y() + 0.5) for cell in cells]
    assert centres == [(j, i) for i in range(2) for j in range(3)]
    assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in known]
    # the first row stands on top
    assert ax.get_ylim() == (1.5, -0.5)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["r0", "r1"]
    assert (len(drawing.axes) == 2) == (colours != "probability")
    if colours == "probability":
        assert legend(drawing) == ["p < 0.001", "p < 0.01", "p < 0.05", "p ≥ 0.05"]


def luminance(colour):
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in matplotlib.colors.to_rgb(colour)
    ]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("colours", ["diverging", "sequential", "probability"])
def test_text_in_cells_can_be_read(colours):
    for value in np.linspace(0, 1, 101):
        colour = cell_colour(value, colours, (0, 1))
        one, other = sorted((luminance(colour), luminance(ink_on(colour))))
        assert (other + 0.05) / (one + 0.05) > 3.9


def test_bars_are_stacked_both_ways_and_counts_have_no_sign():
    rows = pd.DataFrame({"x": [1, 1, 1, 1, 3], "y": [2, 3, -1, -4, 5], "who": ["a", "b", "a", "b", "b"]})
    ax = static_figure(one(Layer("bar", rows, x="x", y="y", series="who", width=2), looks=LOOKS)).axes[0]
    found = {(bar.get_x() + 1, bar.get_y(), bar.get_height()): bar.get_facecolor() for bar in ax.patches}
    assert set(found) == {(1, 0, 2), (1, 2, 3), (1, 0, -1), (1, -1, -4), (3, 0, 5)}
    assert found[1, 2, 3] == matplotlib.colors.to_rgba(LOOKS["b"].colour)
    ax.figure.draw_without_rendering()
    assert not any("−" in label.get_text() for label in ax.get_yticklabels())


def test_bubbles_have_areas_by_size():
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0], "k": [100, 25, 1]})
    ax = static_figure(one(Layer("dot", rows, x="x", y="y", size="k"))).axes[0]
    drawn = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])): line.get_markersize() for line in ax.lines}
    assert set(drawn) == {(1, 4), (2, 5), (3, 6)}
    assert drawn[1, 4] == pytest.approx(2 * drawn[2, 5], rel=0.12)
    assert drawn[3, 6] < drawn[2, 5]


def test_rules_go_across_down_and_between():
    rows = pd.DataFrame({"x": [1.0], "y": [2.0], "x_end": [3.0], "y_end": [4.0]})
    layers = (
        Layer("rule", rows, y="y"),
        Layer("rule", rows, x="x"),
        Layer("rule", rows, "x", "y", x_end="x_end", y_end="y_end"),
    )
    lines = static_figure(one(layers[0], layers=layers)).axes[0].lines
    found = [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in lines]
    assert found == [([0, 1], [2, 2]), ([1, 1], [0, 1]), ([1, 3], [2, 4])]


def test_colour_by_gives_series_to_the_first_layer():
    rows = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0], "site": ["k", "l"], "age": [20.0, 30.0]})
    figure = one(Layer("dot", rows, x="x", y="y"), colour_by={"site": "Site", "age": "Age"})
    assert set(markers(static_figure(figure))) == {"k", "l"}


def test_series_keep_their_look_whatever_is_chosen():
    rows = pd.DataFrame(
        {"c": ["1st", "2nd", "2nd"], "x": [1.0, 1.0, 2.0], "y": [1.0, 2.0, 3.0], "who": ["u", "v", "u"]}
    )
    figure = one(Layer("dot", rows, x="x", y="y", series="who"), choices=(Choice("c", "C", {"1st": "1", "2nd": "2"}),))
    colours = [
        {name: tuple(mark.get_edgecolors()[0]) for name, mark in markers(static_figure(figure, {"c": value})).items()}
        for value in ("1st", "2nd")
    ]
    assert colours[0]["u"] == colours[1]["u"]
    assert colours[1]["u"] != colours[1]["v"]
    assert series_of(figure) == looks(["u", "v"])
    assert series_of(one(figure.layers[0], looks={"v": Look("#123456", "s")}))["v"] == Look("#123456", "s")


def test_rows_are_those_of_the_choice_and_layers_without_the_column_stay():
    found = shown(curves(), {"statistic": "median"})
    assert [len(rows) for _, rows in found.layers] == [1, 6, 4]
    assert [each["statistic"] for each in combinations(curves())] == ["mean", "median"]


def test_ends_and_square_axes():
    rows = pd.DataFrame({"x": [0.2], "y": [0.3]})
    ends = Axis("x", ends=(0.0, 1.0))
    ax = static_figure(one(Layer("dot", rows, x="x", y="y"), x=ends, y=ends, square=True)).axes[0]
    assert ax.get_xlim() == ax.get_ylim() == (-0.02, 1.02)
    assert ax.get_box_aspect() == 1


def test_svg_is_the_same_every_time_and_has_a_title():
    figure = curves(description='a "b" <c>')
    first = static_svg(figure)
    assert first == static_svg(figure)
    assert "<title>a &quot;b&quot; &lt;c&gt;</title>" in first
    assert "<metadata" not in first
    assert "DejaVu" not in first
    root = ElementTree.fromstring(first)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"AUC", "n, training images", "Curves", "a", "beats", "200"} <= set(texts)


def test_svg_has_numbers_of_places_shortened_and_text_whole():
    layer = matrix(np.array([[0.123456]]))
    layer = Layer(**(vars(layer) | {"table": layer.table.assign(text="0.123456")}))
    text = static_svg(one(layer, x=Axis("x", "category"), y=Axis("y", "category")))
    assert ">0.123456</text>" in text
    assert not re.findall(r'(?:x|y|d|width)="[^"]*\d\.\d{3,}', text)


def test_svg_identifiers_are_all_used_and_do_not_collide():
    figures = [static_svg(curves(name=name)) for name in ("one", "two")]
    names = [set(re.findall(r' id="([^"]+)"', text)) for text in figures]
    assert not names[0] & names[1]
    for text, identifiers in zip(figures, names, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) == identifiers


def test_saved_figures_are_named_by_choices_and_the_same_every_time(tmp_path):
    page = Page("t", ["f"], [Section("s", "S", [Row([curves()])])])
    paths = save_figures(page, tmp_path / "a")
    assert [path.name for path in paths] == [
        *(f"curves-{statistic}.{ending}" for statistic, ending in itertools.product(("mean", "median"), ("svg", "pdf", "png"))),
        "curves.csv", "curves-2.csv", "curves-Replicates.csv",
    ]  # fmt: skip
    again = save_figures(page, tmp_path / "b")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    found = pd.read_csv(tmp_path / "a" / "curves.csv")
    pd.testing.assert_frame_equal(found, curve_rows())


def test_names_of_files_have_nothing_that_a_file_system_refuses():
    figure = curves(choices=(Choice("statistic", "S", {"a/b c:*": "x"}),))
    assert file_stem(figure, {"statistic": "a/b c:*"}) == "curves-a_b_c"
