"""The figures of the page of maps: randomised weights, conservation, regions, shuffled labels, localisation."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.explain.checks import Checks
from neurotransfer.explain.found_where import SCORES
from neurotransfer.explain.randomised import LARGEST
from neurotransfer.pages.looks import Look, looks
from neurotransfer.pages.model import Axis, Choice, Figure, Layer

MEASURES = {"rank_correlation": "rank correlation", "structural_similarity": "structural similarity"}


def looks_of(table: pd.DataFrame) -> Mapping[str, Look]:
    """A colour and a marker a method, the same in all figures."""
    return looks(list(dict.fromkeys(table["method"])))


def weights_figure(weights: pd.DataFrame, known: Mapping[str, Look]) -> Figure:
    """Likeness to the maps of the whole network against how many of its parts are random."""
    long = weights.melt(["method", "scan", "randomised"], list(MEASURES), "measure", "likeness")
    means = (
        long.groupby(["measure", "method", "randomised"], sort=False)["likeness"]
        .agg(["mean", "min", "max"])
        .reset_index()
    )
    limit = pd.DataFrame({"limit": [LARGEST], "measure": ["rank_correlation"]})
    return Figure(
        "randomised",
        "Maps while the weights are randomised",
        "Likeness of maps to those of the whole network, against how many of its parts have random weights, by method.",
        Axis("parts with random weights, from the output down"),
        Axis("likeness to the map of the whole network", ends=(-0.3, 1.05)),
        (
            Layer("line", means, "randomised", "mean", "method", "min", "max", tips={"min": "least", "max": "most"}),
            Layer("rule", limit, y="limit", quiet=True, label="not sensitive above"),
        ),
        (Choice("measure", "likeness by", MEASURES),),
        looks=known,
        caption=f"Means over scans, with the least and the most. A method whose line "
        f"ends at {LARGEST:g} or above shows the head more than what was learnt (Adebayo et al. 2018); one that falls at the "
        "last part only depends on the first layer, and hardly on what is above it (Sixt, Granz & Landgraf 2020).",
    )


def conservation_figure(table: pd.DataFrame) -> Figure | None:
    """By how much maps miss what they should add up to; None where no method has to add up."""
    rows = table.dropna(subset=["conservation_error"])
    if rows.empty:
        return None
    rows = rows.assign(percent=100 * rows["conservation_error"].clip(lower=1e-7))
    return Figure(
        "conservation",
        "Do maps add up to what they explain?",
        "Error of the sum of every map, in percent of the explained number, by method.",
        Axis("method", "category"),
        Axis("error of the sum (%)", "log"),
        (
            Layer("dot", rows[["method", "percent", "stem", "explained", "sum"]], "method", "percent",
                  tips={"stem": "scan", "explained": "explained", "sum": "sum of the map"}),
        ),
        caption="One dot a scan. LRP adds up to the explained number, integrated gradients to what it is more than that of their "
        "baseline; other methods need not add up. Errors below 0.00001 % are shown there.",
    )  # fmt: skip


def regions_figure(table: pd.DataFrame, sizes: Mapping[str, float], known: Mapping[str, Look]) -> Figure | None:
    """How much denser relevance is in every region than in the whole head; None where regions are not known."""
    columns = [column for column in table if str(column).startswith("share_")]
    if not columns:
        return None
    long = table.melt(["method", "stem"], columns, "region", "share").dropna()
    long["region"] = long["region"].str.removeprefix("share_")
    long["density"] = long["share"] / long["region"].map(sizes)
    means = long.groupby(["region", "method"], sort=False)["density"].agg(["mean", "sem"]).reset_index()
    names = means.groupby("region")["mean"].mean().sort_values(ascending=False).index
    means["region"] = pd.Categorical(means["region"].str.strip(), names, ordered=True)
    means = means.sort_values("region").assign(region=lambda rows: rows["region"].astype(str).str.replace("_", " "))
    even = pd.DataFrame({"even": [1.0]})
    return Figure(
        "regions",
        "Where relevance is dense",
        "Density of relevance in every region, relative to the whole head, by method.",
        Axis("density of relevance (1: as in the whole head)"),
        Axis("region", "category"),
        (
            Layer("dot", means, "mean", "region", "method", tips={"sem": "standard error"}),
            Layer("rule", even, x="even", quiet=True, label="spread evenly"),
        ),
        looks=known,
        caption="Share of the absolute relevance in a region, divided by its share of the voxels of the head; means over scans. "
        "A voxel belongs to the region whose centre is nearest, so that borders are rough.",
    )


def labels_figure(labels: pd.DataFrame) -> Figure | None:
    """Likeness of maps of a model that learnt true labels and one that learnt shuffled ones; None where it was not done."""
    if labels.empty:
        return None
    long = labels.melt(["method", "scan"], list(MEASURES), "measure", "likeness")
    return Figure(
        "shuffled",
        "True labels against shuffled labels",
        "Likeness of the maps of two models that learnt true and shuffled labels, one dot a scan, by method.",
        Axis("method", "category"),
        Axis("likeness of the two maps", ends=(-0.3, 1.05)),
        (Layer("dot", long, "method", "likeness", tips={"scan": "scan"}),),
        (Choice("measure", "likeness by", MEASURES),),
        caption="Both models began with the same weights and saw the same people. Scans of people whom neither has seen.",
    )


def region_figure(scores: pd.DataFrame | None) -> Figure | None:
    """How well maps find the planted region; None where nothing was planted."""
    if scores is None:
        return None
    chance = scores.drop_duplicates("score")[["score", "chance"]]
    return Figure(
        "localisation",
        "Do maps find the planted region?",
        "Localisation scores of every method and of controls that know no model, with intervals over scans, and what chance gives.",
        Axis("method", "category"),
        Axis("score, 0 to 1"),
        (
            Layer(
                "dot", scores, "method", "mean", "method", "low", "high", tips={"chance": "chance", "scans": "scans"}
            ),
            Layer("rule", chance, y="chance", quiet=True, label="chance"),
        ),
        (Choice("score", "score", {words: words for words in SCORES.values()}),),
        caption="Means over scans with 95 % bootstrap intervals. Relevance mass: the share of relevance in the region; relevance "
        "rank: of as many largest voxels as the region has, the share in it; pointing game: whether the largest voxel lies in it, or "
        "next to it.",
    )


def figures_of_maps(table: pd.DataFrame, checks: Checks, sizes: Mapping[str, float]) -> dict[str, Figure]:
    """All figures that there is something for, by their names."""
    known = looks_of(table)
    made: Sequence[Figure | None] = (
        region_figure(checks.region_scores),
        weights_figure(checks.weights, known),
        labels_figure(checks.labels),
        conservation_figure(table),
        regions_figure(table, sizes, known),
    )
    return {figure.name: figure for figure in made if figure is not None}


def percent(value: float) -> str:
    """A share in percent with the digits that tell something.

    Example:
        >>> percent(0.0412), percent(0.000001)
        ('4.1 %', '0.0001 %')
    """
    return f"{100 * value:.1f} %" if value >= 0.0005 or not np.isfinite(value) else f"{100 * value:.1g} %"
