"""The page of maps as values: what it says is what was found, its figures have axes and units, and it stays small."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurotransfer.explain.checks import Checks
from neurotransfer.explain.found_where import localisation_scores
from neurotransfer.explain.maps import Maps
from neurotransfer.explain.maps_figures import figures_of_maps, percent
from neurotransfer.explain.maps_page import cautions_of, found_of
from neurotransfer.explain.maps_volumes import LEVELS, Seen, volumes_for
from neurotransfer.explain.randomised import verdicts
from neurotransfer.explain.shuffled import NOTHING
from neurotransfer.pages.static import static_svg

METHODS = ("lrp-gamma", "gradient-x-input")


def weights_table(last=0.2, middle=0.4):
    rows = [
        (method, scan, stage, 2, value, value)
        for method in METHODS
        for scan in "ab"
        for stage, value in enumerate((1, middle, last))
    ]
    return pd.DataFrame(
        rows, columns=["method", "scan", "randomised", "of", "rank_correlation", "structural_similarity"]
    )


def region_table():
    rows = [
        (method, f"s{n}", 1.0, mass, mass, 0.05)
        for method, mass in zip(METHODS, (0.1, 0.3), strict=True)
        for n in range(4)
    ]
    return pd.DataFrame(rows, columns=["method", "scan", "pointing", "mass", "rank", "chance"])


def maps_of(folder, last=0.2, error=1e-5, middle=0.4):
    table = pd.DataFrame(
        [
            {
                "stem": f"s{n}", "method": method, "explained": 1.0, "sum": 1.0, "largest": 1.0, "inside_head": 0.9,
                "conservation_error": error if method == "lrp-gamma" else np.nan, "share_hippocampus": 0.4, "share_thalamus": 0.6,
            }
            for n in range(4) for method in METHODS
        ]
    )  # fmt: skip
    labels = pd.DataFrame([(m, "s", 0.3, 0.2) for m in METHODS], columns=NOTHING.columns)
    region = region_table()
    weights = weights_table(last, middle)
    checks = Checks(weights, verdicts(weights), labels, "words", {"true": {"auc": 0.9}}, region,
                    localisation_scores(region), "A region.")  # fmt: skip
    return Maps(folder, table, None, checks, "logit of sex = M")


def test_what_was_found_has_the_numbers_of_the_tables(tmp_path):
    found = " ".join(found_of(maps_of(tmp_path)))
    assert (
        "The best of 2 methods, gradient-x-input, puts 30.0 % of its relevance into the planted region, 6.0 times"
        in found
    )
    assert "2 of 2 methods pass" in found
    assert "within 0.001 %" in found


def test_a_control_that_finds_more_is_told(tmp_path):
    maps = maps_of(tmp_path)
    more = maps.checks.region_scores.assign(method="control: the head itself", mean=0.4)
    better = replace(maps.checks, region_scores=pd.concat([maps.checks.region_scores, more.iloc[:3]]))
    found = " ".join(found_of(replace(maps, checks=better)))
    assert "What knows no model has more there: the head itself (40.0 %)" in found
    assert "The best of 2 methods" in found
    assert "What knows no model" not in " ".join(found_of(maps))


def test_a_method_that_is_blind_is_named(tmp_path):
    found = " ".join(found_of(maps_of(tmp_path, last=0.7)))
    assert "Maps by lrp-gamma, gradient-x-input hardly change" in found
    assert "0 of 2 methods pass" in found
    found = " ".join(found_of(maps_of(tmp_path, middle=0.8)))
    assert "hardly depend on more than the first layer" in found


def test_sums_that_miss_and_few_scans_are_cautioned(tmp_path):
    class Native:
        in_mni152 = False

    said = " ".join(cautions_of(maps_of(tmp_path, error=0.2), Native(), [1, 2]))
    assert "miss their sum by up to 20.0 %" in said
    assert "do not lie in MNI152" in said
    assert "2 scans only" in said


def test_figures_have_axes_descriptions_and_can_be_drawn(tmp_path):
    maps = maps_of(tmp_path)
    figures = figures_of_maps(maps.table, maps.checks, {"hippocampus": 0.1, "thalamus": 0.9})
    assert set(figures) == {"localisation", "randomised", "shuffled", "conservation", "regions"}
    for name, figure in figures.items():
        assert figure.name == name
        assert figure.x.label
        assert figure.y.label
        assert figure.description
        assert "<svg" in static_svg(figure)
    density = figures["regions"].layers[0].table.set_index(["region", "method"])["mean"]
    assert density["hippocampus", "lrp-gamma"] == pytest.approx(4.0)
    means = figures["randomised"].layers[0].table
    assert len(means) == 2 * 2 * 3


def test_what_there_is_nothing_for_has_no_figure(tmp_path):
    maps = maps_of(tmp_path)
    bare = Checks(maps.checks.weights, {}, NOTHING, "", {}, None, None, "")
    table = maps.table[["stem", "method", "explained", "sum"]].assign(conservation_error=np.nan)
    assert set(figures_of_maps(table, bare, {})) == {"randomised"}


def test_percent_has_digits_that_tell_something():
    assert [percent(value) for value in (0.5, 0.012, 0.0000004, 0.0)] == ["50.0 %", "1.2 %", "4e-05 %", "0 %"]


def seen_head(shape, n_maps=2):
    generator = np.random.default_rng(0)
    places = np.indices(shape)
    far = sum(((each - side / 2) / (0.4 * side)) ** 2 for each, side in zip(places, shape, strict=True))
    head = np.where(far < 1, 0.5, 0.0)
    maps = {f"method {n}": np.where(head > 0, generator.normal(size=shape), 0) for n in range(n_maps)}
    return Seen("head", "Head", "A head.", head, maps, np.diag([2.0, 2, 2, 1]))


def test_heads_are_cropped_scaled_and_drawn():
    (made,) = volumes_for([seen_head((40, 48, 40))])
    assert [overlay.label for overlay in made.overlays] == ["method 0", "method 1"]
    assert made.slices[:4] == b"\x89PNG"
    assert all(0 < overlay.low < overlay.high == LEVELS for overlay in made.overlays)
    assert len(made.base.file) < 100_000


def test_a_large_head_is_made_coarser_and_too_many_are_left_out():
    large = seen_head((120, 140, 120), 1)
    (made,) = volumes_for([large])
    assert len(made.overlays[0].file) < 700_000
    few = list(volumes_for([seen_head((40, 48, 40))] * 30, most_bytes=1_000_000))
    assert 0 < len(few) < 30
