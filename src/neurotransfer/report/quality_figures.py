"""Figures of what was measured on prepared scans: distributions with limits, by site, one against another, against age."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.quality_tables import site_table
from neurotransfer.report.rows import numbers, texts
from neurotransfer.report.scatter import axis_label, distribution

LABELS: Mapping[str, tuple[str, str]] = {
    "overlap": ("overlap of the brain with MNI152", ""),
    "similarity": ("likeness to the average brain, r", ""),
    "inside": ("share of the brain in the field of view", ""),
    "brain_litres": ("volume of the brain", "litres"),
    "turned_degrees": ("axes of the header turned by", "degrees"),
    "snr_fluid": ("signal to noise, fluid", ""),
    "snr_grey": ("signal to noise, grey matter", ""),
    "snr_white": ("signal to noise, white matter", ""),
    "snr_dietrich": ("signal to noise by the air", ""),
    "cnr": ("contrast to noise", ""),
    "cjv": ("coefficient of joint variation", ""),
    "efc": ("entropy focus criterion", ""),
    "contrast": ("contrast of white and grey matter", ""),
    "fluid_share": ("fluid, share of the brain", ""),
    "grey_share": ("grey matter, share of the brain", ""),
    "white_share": ("white matter, share of the brain", ""),
    "voxel_x_mm": ("side of a voxel, x", "mm"),
    "voxel_y_mm": ("side of a voxel, y", "mm"),
    "voxel_z_mm": ("side of a voxel, z", "mm"),
    "grey matter": ("grey matter", "ml"),
    "white matter": ("white matter", "ml"),
    "fluid": ("fluid", "ml"),
}
PAIRS = (
    ("cjv", "cnr"),
    ("brain_litres", "overlap"),
    ("similarity", "overlap"),
    ("contrast", "cnr"),
    ("efc", "snr_white"),
)
TIPS = {"scan": "scan", "flags": "flags"}


def label_of(measure: str) -> str:
    """What a measure is called, with its unit.

    Example:
        >>> label_of("brain_litres"), label_of("of_tomorrow")
        ('volume of the brain (litres)', 'of tomorrow')
    """
    return axis_label(*LABELS.get(measure, (measure.replace("_", " "), "")))


def words_of(measure: str) -> str:
    """What a measure is called in a sentence."""
    return LABELS.get(measure, (measure.replace("_", " "), ""))[0]


def measure_figures(
    scans: pd.DataFrame, measures: Sequence[str], limits: Mapping[str, Mapping[str, Any]], sites: pd.Series | None
) -> list[Figure]:
    """The distribution of each measure that varies, by site, with rules at the limits of what is acceptable."""
    figures = []
    for measure in measures:
        values = numbers(scans, measure)
        known = values[np.isfinite(values)]
        if len(known) and (np.ptp(known) > 0 or len(known) == 1):
            # what cannot be exceeded is no limit that a reader must see
            rules = {
                words: float(limits[measure][key])
                for key, words in (("Least", "lowest that is not flagged"), ("Most", "highest that is not flagged"))
                if measure in limits and limits[measure].get(key) is not None
            }
            figures.append(
                distribution(f"measure-{measure}", f"{label_of(measure)[0].upper()}{label_of(measure)[1:]}", label_of(measure), values,
                             groups=None if sites is None else sites.tolist(), rules=rules)
            )  # fmt: skip
    return figures


def site_figure(scans: pd.DataFrame, measures: Sequence[str], sites: pd.Series) -> Figure:
    """Every measure by site: the median with the quartiles, over the single scans."""
    table = site_table(scans, measures, sites)
    dots = pd.concat(
        [
            pd.DataFrame(
                {"measure": name, "site": sites, "value": numbers(scans, name), "median": False, **_tips(scans)}
            )
            for name in measures
        ],
        ignore_index=True,
    ).dropna(subset=["value"])
    order = sorted(table["site"].unique())
    dots = dots.sort_values("site", key=lambda column: column.map(order.index), kind="stable").reset_index(drop=True)
    labels = {name: label_of(name) for name in measures}
    return Figure(
        "sites",
        "Measures by site",
        "A measure of quality at each site: the median with quartiles over the single scans.",
        Axis("site", scale="category"),
        Axis(labels[measures[0]], labels={"measure": labels}),
        (
            Layer("dot", dots, x="site", y="value", filled="median", tips=TIPS, label="single scans", quiet=True),
            Layer("dot", table, x="site", y="median", series="site", low="low", high="high", tips={"scans": "scans"}),
        ),
        choices=(Choice("measure", "measure", labels),),
        looks=looks(order),
        caption="Filled markers are medians, bars reach from the first to the third quartile.",
    )


def pair_figure(scans: pd.DataFrame, measures: Sequence[str], sites: pd.Series | None) -> Figure | None:
    """Measures against each other, a dot a scan, filled where the scan has no flag; None where there are no two of them."""
    pairs = [pair for pair in PAIRS if set(pair) <= set(measures)]
    if not pairs:
        return None
    parts, options = [], {}
    for x, y in pairs:
        name = f"{x}-{y}"
        options[name] = f"{label_of(y)} against {label_of(x)}"
        columns = {"pair": name, "x": numbers(scans, x), "y": numbers(scans, y)}
        group = {} if sites is None else {"site": sites.tolist()}
        parts.append(
            pd.DataFrame({**columns, **group, **_tips(scans), "fine": (texts(scans, "flags", "") == "").tolist()})
        )
    rows = pd.concat(parts, ignore_index=True).dropna(subset=["x", "y"])
    shown = {} if sites is None else looks(sorted(set(sites)))
    x_labels, y_labels = ({f"{x}-{y}": label_of((x, y)[place]) for x, y in pairs} for place in (0, 1))
    return Figure(
        "pairs",
        "Measures against each other",
        "Two measures of quality against each other, a dot a scan; scans that stand apart are to be looked at.",
        Axis(next(iter(x_labels.values())), labels={"pair": x_labels}),
        Axis(next(iter(y_labels.values())), labels={"pair": y_labels}),
        (Layer("dot", rows, x="x", y="y", series=None if sites is None else "site", filled="fine", tips=TIPS),),
        choices=(Choice("pair", "measures", options),),
        looks=shown,
        keys={"filled": "no flag", "hollow": "has a flag"},
    )


def tissue_figure(scans: pd.DataFrame, tissues: Sequence[str], lines: pd.DataFrame) -> Figure | None:
    """Each tissue against age, a dot a scan, with the line of least squares over people; None where no age is known."""
    age = numbers(scans, "age")
    if not np.isfinite(age).any() or not tissues:
        return None
    sex = {"sex": texts(scans, "sex").tolist()} if "sex" in scans else {}
    parts = [
        pd.DataFrame({"tissue": name, "age": age, "value": numbers(scans, name), **sex, **_tips(scans)})
        for name in tissues
    ]
    rows = pd.concat(parts, ignore_index=True).dropna(subset=["age", "value"])
    ends = (float(np.nanmin(age)), float(np.nanmax(age)))
    fitted = pd.DataFrame(
        [
            (line["tissue"], *(value for end in ends for value in (end, line["intercept"] + line["slope"] * end)))
            for line in lines.to_dict("records")
        ],
        columns=["tissue", "x", "y", "x_end", "y_end"],
    )
    labels = {name: label_of(name) for name in tissues}
    series = "sex" if sex and len(set(sex["sex"])) > 1 else None
    line = Layer("rule", fitted, x="x", y="y", x_end="x_end", y_end="y_end", label="line of least squares", quiet=True)
    return Figure(
        "tissues",
        "Tissue against age",
        "The volume of a tissue against age, a dot a scan: in adults grey matter falls with age and fluid rises.",
        Axis("age (years)"),
        Axis(labels[tissues[0]], labels={"tissue": labels}),
        (Layer("dot", rows, x="age", y="value", series=series, tips=TIPS), *([line] if len(fitted) else [])),
        choices=(Choice("tissue", "tissue", labels),),
        looks=looks(sorted(set(sex["sex"]))) if series else {},
    )


def _tips(scans: pd.DataFrame) -> dict[str, list[str]]:
    return {
        "scan": texts(scans, "scan", "").tolist(),
        "flags": texts(scans, "flags", "none").replace("", "none").tolist(),
    }
