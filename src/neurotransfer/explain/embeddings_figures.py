"""The figures of what features hold, as values of a page."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.explain.correlations import clustered, clustered_rows
from neurotransfer.explain.embeddings import Explained, similarity_table, slugs
from neurotransfer.explain.measuring import RAW, WITHOUT, Measured, Numbers
from neurotransfer.explain.plane import Plane
from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.targets import as_text

# of more, some are shown
MOST_FEATURES, MOST_COLUMNS, MOST_ASSOCIATED = 64, 96, 40
MOST_COLOURS, MOST_CLASSES = 24, 12
MEASURES = {"cka": "CKA (debiased)", "rsa": "RSA (Spearman)"}
_VIEW = "view"


def view_names(numbers: Numbers) -> dict[str, str]:
    """The views and what the reader is told of them."""
    return {RAW: "raw"} | (
        {WITHOUT: f"without {' and '.join(numbers.covariates.names)}"} if WITHOUT in numbers.views else {}
    )


def _choices(numbers: Numbers) -> tuple[Choice, ...]:
    names = view_names(numbers)
    return (Choice(_VIEW, "Features", names),) if len(names) > 1 else ()


def evenly(n: int, most: int) -> np.ndarray:
    """Places of at most so many of n, as far apart as they can be: a picture of them is as redundant as the whole.

    Example:
        >>> evenly(10, 4).tolist(), evenly(3, 4).tolist()
        ([0, 3, 6, 9], [0, 1, 2])
    """
    return np.arange(n) if n <= most else np.rint(np.linspace(0, n - 1, most)).astype(int)


def short(name: str) -> str:
    """The number of a feature.

    Example:
        >>> short("feature_012")
        '012'
    """
    return name.removeprefix("feature_")


def feature_figure(numbers: Numbers, model: Measured, name: str) -> Figure:
    """Correlations between the features of a model, in the order of groups of the raw ones."""
    shown = evenly(len(model.names), MOST_FEATURES)
    order = shown[clustered(model.views[RAW].matrix[np.ix_(shown, shown)])]
    labels = [short(model.names[place]) for place in order]
    table = _cells(
        {view: each.matrix[np.ix_(order, order)] for view, each in model.views.items()},
        labels,
        labels,
        ("feature", "other"),
    )
    some = f", {len(shown)} of {len(model.names)}, evenly spaced" if len(shown) < len(model.names) else ""
    return Figure(
        f"features-{name}", f"{model.name}: features with features{some}",
        f"Correlations between the features of {model.name}, as a matrix of colours; those that are alike stand together.",
        Axis("feature", "category"), Axis("feature", "category"),
        (Layer("cell", table, "feature", "other", value="r", tips={"r": "r"}),),
        _choices(numbers), colours="diverging", colour_label="Pearson's r", ends=(-1, 1), square=True,
        caption="Order: clusters of |r| of the raw features, the same in every view.",
    )  # fmt: skip


def column_figure(numbers: Numbers, model: Measured, name: str) -> Figure:
    """Correlations of columns of the table, regional volumes for example, with the features of a model."""
    columns = evenly(len(numbers.columns), MOST_COLUMNS)
    shown = evenly(len(model.names), MOST_FEATURES)
    raw = model.views[RAW]
    across = shown[clustered(raw.matrix[np.ix_(shown, shown)])]
    # of all models in the same order
    whole = np.concatenate([each.views[RAW].against[columns] for each in numbers.models], axis=1)
    down = columns[clustered_rows(whole)]
    table = _cells({view: each.against[np.ix_(down, across)].T for view, each in model.views.items()},
                   [short(model.names[place]) for place in across], [numbers.columns[place] for place in down],
                   ("feature", "column"))  # fmt: skip
    views = [view for each in numbers.models for view in each.views.values()]
    strongest = max(0.1, round(max(float(np.nanmax(np.abs(view.against))) for view in views), 2))
    return Figure(
        f"columns-{name}", f"{model.name}: columns of the table with features",
        f"Correlations over {numbers.n_with_columns} people of {len(columns)} columns with features of {model.name}, as a "
        "matrix of colours.",
        Axis("feature", "category"), Axis("column", "category"),
        (Layer("cell", table, "feature", "column", value="r", tips={"r": "r"}),),
        _choices(numbers), colours="diverging", colour_label="Pearson's r", ends=(-strongest, strongest),
        caption="Covariates are taken out of columns and features alike. Features in the order of the figure above.",
    )  # fmt: skip


def _cells(
    matrices: Mapping[str, np.ndarray], across: Sequence[str], down: Sequence[str], names: tuple[str, str]
) -> pd.DataFrame:
    parts = [
        pd.DataFrame({
            names[0]: np.repeat(list(across), len(down)), names[1]: np.tile(list(down), len(across)),
            "r": matrix.ravel().round(3), _VIEW: view,
        })
        for view, matrix in matrices.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def spectrum_figure(numbers: Numbers) -> Figure:
    """How much of the variance the first principal components of each model hold together."""
    parts = [
        pd.DataFrame({"component": np.arange(1, len(each.spectrum) + 1), "share": np.cumsum(each.spectrum), "model": model.name,
                      _VIEW: view}).head(200)
        for model in numbers.models
        for view, each in model.views.items()
    ]  # fmt: skip
    n = int(numbers.known.sum())
    return Figure(
        "spectrum", "Variance of the first components",
        "The share of the variance of standardised features that the first principal components hold together, by their number.",
        Axis("principal components", "log", switch=True), Axis("share of the variance", ends=(0, 1)),
        (Layer("line", pd.concat(parts, ignore_index=True), "component", "share", series="model", tips={"model": "model"}),),
        _choices(numbers), looks=looks([model.name for model in numbers.models]),
        caption=f"The sooner a line rises, the fewer things the features say. {n} people have {n - 1} components at most.",
    )  # fmt: skip


def target_figure(numbers: Numbers, model: Measured, name: str) -> Figure:
    """How the features that go most with any target go with every target."""
    rows = numbers.targets[numbers.targets["model"] == model.name].copy()
    strongest = rows[rows["view"] == RAW].groupby("feature")["r2"].max().sort_values(ascending=False, kind="stable")
    chosen = list(strongest.index[:MOST_ASSOCIATED])
    rows = rows[rows["feature"].isin(chosen)].assign(short=rows["feature"].map(short), r=signed(rows))
    order = {feature: place for place, feature in enumerate(chosen)}
    rows = rows.assign(place=rows["feature"].map(order)).sort_values(["place", "target"], kind="stable")
    table = rows[["short", "target", "r", "measure", "effect", "n", "p", "p_holm", "p_fdr", _VIEW]].round(
        {"r": 3, "effect": 3}
    )
    some = f", the {len(chosen)} that go most with any" if len(chosen) < len(strongest) else ""
    return Figure(
        f"targets-{name}", f"{model.name}: features with targets{some}",
        f"How features of {model.name} go with each target, as colours from -1 to 1; the strongest feature first.",
        Axis("feature", "category"), Axis("target", "category"),
        (Layer("cell", table, "short", "target", value="r", tips={
            "measure": "measure", "effect": "effect", "n": "people", "p": "p", "p_holm": "p (Holm)", "p_fdr": "p (FDR)"}),),
        _choices(numbers), colours="diverging", colour_label="r, or eta", ends=(-1, 1),
        caption="r of numbers; of two classes r with the second one; of more classes eta, without a sign.",
    )  # fmt: skip


def signed(rows: pd.DataFrame) -> pd.Series:
    """Effects on one scale: r of numbers and of two classes (its sign by the AUC), eta of more."""
    size = np.sqrt(rows["r2"])
    sign = np.where(
        rows["measure"] == "AUC",
        np.sign(rows["effect"] - 0.5),
        np.where(rows["measure"] == "r", np.sign(rows["effect"]), 1),
    )
    return size * sign


def similarity_figure(numbers: Numbers) -> Figure:
    """How alike every two sets of features hold people: models and layers."""
    numbered = {model.name: place for place, model in enumerate(numbers.models, start=1)}
    several = len(numbered) > 1
    names = [f"{numbered[model]}: {layer}" if several else layer for model, layer in numbers.sets]
    told = f" {', '.join(f'{place}: {model}' for model, place in numbered.items())}." if several else ""
    table = similarity_table(numbers)
    ends = {
        end: (table[model].map(numbered).astype(str) + ": " + table[layer]) if several else table[layer]
        for end, model, layer in (("one", "model", "layer"), ("two", "other_model", "other_layer"))
    }
    pairs = table.assign(**ends)
    both = pd.concat(
        [pairs, pairs.assign(one=pairs["two"], two=pairs["one"]), _same(names, numbers)], ignore_index=True
    )
    place = {name: index for index, name in enumerate(names)}
    both = both.assign(i=both["one"].map(place), j=both["two"].map(place)).sort_values(
        [_VIEW, "measure", "i", "j"], kind="stable"
    )
    shown = both[["one", "two", "value", "low", "high", "p", "p_family", _VIEW, "measure"]].round(3)
    shown = shown.assign(text=[f"{value:.2f}" for value in shown["value"]])
    return Figure(
        "similarity", "How alike models and layers hold people",
        "How alike every two sets of features hold the same people, as a matrix of colours from 0 to 1.",
        Axis("features of", "category"), Axis("features of", "category"),
        (Layer("cell", shown, "one", "two", value="value", text="text", tips={
            "low": "95 % from", "high": "95 % to", "p": "p", "p_family": "p (all pairs)"}),),
        (Choice("measure", "Measure", MEASURES), *_choices(numbers)),
        colours="sequential", colour_label="how alike (1: the same up to turning and scale)", ends=(0, 1), square=True,
caption=(
            f"{numbers.n_compared} people. 0 is no more than between people who were shuffled; p is from "
            f"{numbers.asked.n_permutations} shuffles.{told}"
        ),
    )  # fmt: skip


def _same(names: Sequence[str], numbers: Numbers) -> pd.DataFrame:
    return pd.concat([
        pd.DataFrame({"one": names, "two": names, "value": 1.0, "low": 1.0, "high": 1.0, _VIEW: view, "measure": measure})
        for view, measure in numbers.similarity
    ])  # fmt: skip


def map_figure(
    explained: Explained, place: int, name: str, colours: Mapping[str, str], pictures: Sequence[str]
) -> Figure:
    """The scans as points, by the features of one model, coloured by any column."""
    sample, planes = explained.sample, explained.planes[place]
    model = sample.models[place].name
    keys = sample.table[["participant_id", "session_id"]]
    shown = pd.DataFrame({column: coloured(sample.table[column]) for column in colours})
    parts = [
        pd.concat([keys, shown], axis=1).assign(x=plane.points[:, 0], y=plane.points[:, 1], method=plane.method)
        for plane in planes
    ]
    table = pd.concat(
        [part.assign(picture=list(pictures)) if any(pictures) else part for part in parts], ignore_index=True
    )
    table = table if (table["session_id"] != "").any() else table.drop(columns="session_id")
    # the column that colours is shown by itself
    tips = {"participant_id": "participant"} | ({"session_id": "session"} if "session_id" in table else {})
    x, y = (Axis(planes[0].axes[axis], labels=_labels(planes, axis)) for axis in range(2))
    return Figure(
        f"map-{name}", f"{model}: scans by their features",
        f"Every scan as a point, near others with similar features of {model}; coloured by a column of the table.",
        x, y, (Layer("dot", table, "x", "y", tips=tips, picture="picture" if any(pictures) else None),),
        (Choice("method", "Map", {plane.method: plane.method for plane in planes}),) if len(planes) > 1 else (),
        colour_by=dict(colours),
        caption="Distances in a plane are a shadow of those between all features." + (
            " Of UMAP only who is near whom can be read." if len(planes) > 1 else ""),
    )  # fmt: skip


def _labels(planes: Sequence[Plane], axis: int) -> dict[str, dict[str, str]]:
    return {"method": {plane.method: plane.axes[axis] for plane in planes}} if len(planes) > 1 else {}


def coloured(column: pd.Series) -> pd.Series:
    """A column as numbers where it has more than a few, else as text, "unknown" where missing."""
    text = as_text(column)
    numbers = pd.to_numeric(text, errors="coerce")
    if text.nunique() > MOST_CLASSES and numbers[text.notna().to_numpy()].notna().all():
        return numbers.astype(float)
    return text.fillna("unknown")


def colour_columns(table: pd.DataFrame, first: Sequence[str], without: Sequence[str]) -> dict[str, str]:
    """Columns by which a map can be coloured: those that matter first, then all others with numbers or few classes."""
    left_out = {"participant_id", "session_id", "image", "mask", *without}
    wanted = [name for name in dict.fromkeys([*first, *table.columns]) if name in table and name not in left_out]
    found = {}
    for name in wanted:
        shown = coloured(table[name])
        n = shown.nunique()
        if n > 1 and (pd.api.types.is_numeric_dtype(shown) or n <= MOST_CLASSES + 1):
            found[name] = name
    return dict(list(found.items())[:MOST_COLOURS])


def names_of(explained: Explained) -> list[str]:
    """A short name for the figures of each model."""
    return slugs([model.name for model in explained.numbers.models])
