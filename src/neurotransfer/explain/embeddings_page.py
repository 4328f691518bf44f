"""The page of what features hold."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from neurotransfer.artifacts import write_atomically
from neurotransfer.explain.embeddings import PAGE, Explained
from neurotransfer.explain.embeddings_figures import (
    colour_columns,
    column_figure,
    feature_figure,
    map_figure,
    names_of,
    similarity_figure,
    spectrum_figure,
    target_figure,
    view_names,
)
from neurotransfer.explain.embeddings_words import best_rows, between, cautions_of, effect_of, found_of, power
from neurotransfer.explain.measuring import Numbers
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Code, Facts, Figure, Item, Page, Row, Section, Table, Text

BEST = 3
# a matrix of more cells is not drawn a second time for who has no scripts
MOST_CELLS = 4000


def page_of(
    explained: Explained,
    *,
    cohort: str,
    pictures: Sequence[str] = (),
    notes: Sequence[str] = (),
    refused: Sequence[tuple[str, str]] = (),
    facts: Mapping[str, str] | None = None,
    command: str = "",
) -> Page:
    """The page as values.

    Args:
        explained: from `explain_embeddings`.
        cohort: its name.
        pictures: of the scans, `data:` addresses, in the order of the sample; empty for none.
        notes: what is to be said of pictures.
        refused: scans that are not there, and why.
        facts: versions and seeds.
        command: by which it was made.
    """
    numbers, sample = explained.numbers, explained.sample
    names = " and ".join(model.name for model in numbers.models)
    n = int(numbers.known.sum())
    sections = [
        Section("shared", "What features share", _shared(explained)),
        Section("how-many", "How many things they say", [_dimensions(numbers), spectrum_figure(numbers)]),
        Section("goes-with", "What they go with", _targets(explained)),
        Section("alike", "How alike models and layers are", _similarity(numbers)),
        Section("scans", "The scans", _maps(explained, pictures, notes)),
        Section("again", "To do it again", [*([Code(command)] if command else []), Facts(list((facts or {}).items()))]),
    ]
    return Page(
        f"What features hold: {names}", found_of(numbers), [section for section in sections if section.items],
        f"{len(sample.table)} scans of {len(sample.people)} people of {cohort}, {n} of them in all numbers.",
        cautions_of(numbers, sample.left_out, len(sample.table), refused),
    )  # fmt: skip


def _shared(explained: Explained) -> list[Item]:
    numbers, names = explained.numbers, names_of(explained)
    items: list[Item] = [
        Text(
            "Each cell is the correlation of two features over people. Features that always say the same make blocks of strong "
            "colour; a network whose features are all different shows a pale square with a dark diagonal."
        ),
        Row([feature_figure(numbers, model, name) for model, name in zip(numbers.models, names, strict=True)]),
    ]
    if numbers.columns:
        items.append(
            Row([column_figure(numbers, model, name) for model, name in zip(numbers.models, names, strict=True)])
        )
    return items


def _dimensions(numbers: Numbers) -> Table:
    rows = [
        [model.name, words, str(len(model.names)), between(each.dimension.participation), between(each.dimension.entropy),
         f"{each.dimension.plain:.1f}", between(each.redundancy, 2), f"{each.chance:.2f}"]
        for view, words in view_names(numbers).items()
        for model in numbers.models
        for each in [model.views[view]]
    ]  # fmt: skip
    headings = [
        "model",
        "features",
        "how many",
        "participation ratio",
        "exp(entropy)",
        "participation as seen",
        "mean |r|",
        "of chance",
    ]
    caption = (
        "Effective dimensions of standardised features with 95 % intervals from halves of the people. The participation ratio is "
        "corrected for the number of people, exp(entropy) and the one as seen are not."
    )
    return Table("dimensions", caption, headings, rows, (2, 3, 4, 5, 6, 7))


def _targets(explained: Explained) -> list[Item]:
    numbers, names = explained.numbers, names_of(explained)
    if not len(numbers.targets):
        return []
    n = int(numbers.known.sum())
    few = Text(
        f"Among {n} people one test shows an |r| of {power(n):.2f} or more; correction for many tests asks for more still. What is "
        "not shown may be there.",
        "quiet",
    )
    figures = [target_figure(numbers, model, name) for model, name in zip(numbers.models, names, strict=True)]
    return [Row(figures), _best(numbers), few]


def _best(numbers: Numbers) -> Table:
    views = view_names(numbers)
    rows = []
    for row in best_rows(numbers.targets, BEST).itertuples():
        effect = effect_of(row.measure, row.effect, row.higher)
        chances = [_p(p) for p in (row.p, row.p_holm, row.p_fdr, row.p_family)]
        rows.append([row.target, row.model, views[row.view], row.feature, effect, str(row.n), *chances])
    caption = (
        f"The {BEST} features that go most with each target. p is of one test; Holm's and the false discovery rate (Benjamini and "
        "Hochberg) are corrected for all features and targets of a model; the last is the share of "
        f"{numbers.asked.n_permutations} shuffles of people in which any feature goes with the target as much."
    )
    headings = [
        "target",
        "model",
        "features",
        "feature",
        "effect",
        "people",
        "p",
        "p (Holm)",
        "p (FDR)",
        "p (shuffles)",
    ]
    return Table("best", caption, headings, rows, (4, 5, 6, 7, 8, 9))


def _p(value: float) -> str:
    return "–" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _similarity(numbers: Numbers) -> list[Item]:
    if not numbers.similarity:
        return []
    text = (
        "Layers are the means of their maps over space. CKA and RSA do not change when the axes of features are turned or all are "
        "scaled: they compare how people lie to one another."
    )
    return [Text(text), similarity_figure(numbers)]


def _maps(explained: Explained, pictures: Sequence[str], notes: Sequence[str]) -> list[Item]:
    sample, numbers = explained.sample, explained.numbers
    first = [*dict.fromkeys(numbers.targets["target"]), numbers.asked.nuisance, *numbers.covariates.names]
    colours = colour_columns(sample.table, first, numbers.columns)
    figures = [map_figure(explained, place, name, colours, pictures) for place, name in enumerate(names_of(explained))]
    return [*(Text(note, "quiet") for note in notes if note), Row(figures)]


def statics_of(page: Page) -> dict[str, str]:
    """The figures of a page as SVG for who has no scripts; large matrices are left to the browser, so that the page stays small."""
    from neurotransfer.pages.static import static_svg

    return {figure.name: static_svg(figure) for figure in figures_of(page) if _is_small(figure)}


def _is_small(figure: Figure) -> bool:
    return max(len(layer.table) for layer in figure.layers) <= MOST_CELLS


def write_page(page: Page, out: Path) -> Path:
    """Write the page into a folder."""
    from neurotransfer.pages.render import render

    text = render(page, statics_of(page))
    write_atomically(out / PAGE, lambda path: path.write_text(text, encoding="utf-8"))
    return out / PAGE


def called() -> str:
    """The command line of this process."""
    import shlex

    return shlex.join(["neurotransfer", *sys.argv[1:]])
