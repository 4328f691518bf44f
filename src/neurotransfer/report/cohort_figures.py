"""Who was scanned: a table of scans -> counts by age, sex and cohort -> a mirrored figure."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from neurotransfer.pages.looks import COLOURS
from neurotransfer.pages.style import INK, LIGHT, axes, figure, legend_below
from neurotransfer.targets import as_text

SEXES = {"f": "female", "female": "female", "w": "female", "woman": "female"} | {
    "m": "male",
    "male": "male",
    "man": "male",
}
MOST_GROUPS = len(COLOURS)
OTHERS = "others"
_WIDTHS = (1, 2, 5, 10)


def pyramid_table(cohort: pd.DataFrame) -> pd.DataFrame:
    """Scans counted by `sex` (female, male), `group` (cohort, or site when there is one cohort) and `age` (bin start).

    Groups beyond the largest few are put together as "others". `width` is the width of the bins in years. Scans
    without a known age or sex are left out; empty when the table has no ages or sexes.
    """
    empty = pd.DataFrame(columns=["sex", "group", "age", "scans", "width"])
    if not {"age", "sex"} <= set(cohort.columns):
        return empty
    ages = pd.to_numeric(cohort["age"], errors="coerce")
    sexes = as_text(cohort["sex"]).str.lower().map(SEXES)
    rows = pd.DataFrame({"sex": sexes, "group": _groups(cohort), "age": ages}).dropna()
    if not len(rows):
        return empty
    width = next((width for width in _WIDTHS if np.ptp(rows["age"]) <= 30 * width), _WIDTHS[-1])
    rows["age"] = width * np.floor(rows["age"] / width)
    return rows.groupby(["sex", "group", "age"]).size().rename("scans").reset_index().assign(width=width)


def _groups(cohort: pd.DataFrame) -> pd.Series:
    column = next((name for name in ("cohort", "site") if name in cohort and cohort[name].nunique() > 1), None)
    column = column or next((name for name in ("cohort", "site") if name in cohort), None)
    groups = as_text(cohort[column]).fillna("unknown") if column else pd.Series("all", index=cohort.index)
    largest = list(groups.value_counts().index)
    if len(largest) > MOST_GROUPS:
        groups = groups.where(groups.isin(largest[: MOST_GROUPS - 1]), OTHERS)
    return groups.astype(str)


def pyramid_figure(table: pd.DataFrame) -> Figure:
    """The mirrored histogram of `pyramid_table`: females up, males down, stacked by group."""
    drawing = figure(8.4, 4.2)
    ax = axes(drawing)
    groups = table.groupby("group")["scans"].sum().sort_values(ascending=False, kind="stable")
    ages, width = np.sort(table["age"].unique()), float(table["width"].iloc[0])
    handles = []
    for index, group in enumerate(sorted(groups.index, key=lambda name: (name == OTHERS, -groups[name], name))):
        colour = LIGHT if group == OTHERS else COLOURS[index % len(COLOURS)]
        handles.append(Patch(facecolor=colour, label=f"{group} ({groups[group]})"))
        below = table[table["group"].isin([str(patch.get_label()).rpartition(" (")[0] for patch in handles[:-1]])]
        for sex, sign in (("female", 1), ("male", -1)):
            heights, bottoms = _heights(table[table["group"] == group], sex, ages), _heights(below, sex, ages)
            ax.bar(
                ages,
                sign * heights,
                width,
                sign * bottoms,
                align="edge",
                color=colour,
                edgecolor="white",
                linewidth=0.4,
            )
    ax.axhline(0, color=INK, linewidth=1)
    most = max(abs(limit) for limit in ax.get_ylim())
    ax.set_ylim(-most, most)
    for sex, height in (("female", 0.96), ("male", 0.04)):
        place = "top" if sex == "female" else "bottom"
        ax.text(0.99, height, f"{sex} ({_count(table, sex)})", transform=ax.transAxes, ha="right", va=place)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):.0f}"))
    ax.set_xlabel("age (years)")
    ax.set_ylabel("scans")
    legend_below(drawing, handles, columns=4)
    return drawing


def _heights(rows: pd.DataFrame, sex: str, ages: np.ndarray) -> np.ndarray:
    chosen = rows[rows["sex"] == sex].groupby("age")["scans"].sum()
    return chosen.reindex(ages, fill_value=0).to_numpy(float)


def _count(table: pd.DataFrame, sex: str) -> int:
    return int(table.loc[table["sex"] == sex, "scans"].sum())
