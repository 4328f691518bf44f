"""The page of maps: what was found, heads with overlays, scores, checks, and how to do it again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from neurotransfer.artifacts import MANIFEST, package_version, write_atomically
from neurotransfer.cohort.images import opened
from neurotransfer.explain.checks import Checks
from neurotransfer.explain.group_maps import ALL, Averages, read_map
from neurotransfer.explain.maps import Maps
from neurotransfer.explain.maps_figures import figures_of_maps, percent
from neurotransfer.explain.maps_folder import PAGE
from neurotransfer.explain.maps_volumes import Seen, volumes_for
from neurotransfer.explain.one_scan import Looker, Named
from neurotransfer.explain.randomised import BLIND, FIRST, LARGEST
from neurotransfer.explain.shares import region_sizes
from neurotransfer.pages.model import Code, Facts, Figure, Item, Page, Section, Table, Text

SHOWN = 2
# a map may miss its sum by this much before it is said
MOST_ERROR = 0.01


def write_page(maps: Maps, looker: Looker, scans: Sequence[Named], command: str, affine: np.ndarray) -> Path:
    """Write the page of maps into their folder.

    Args:
        maps: that were made.
        looker: that made them.
        scans: whose maps they are.
        command: by which they were made.
        affine: (4, 4) of the model's voxels.
    """
    from neurotransfer.pages.render import render
    from neurotransfer.pages.static import static_svg

    page, figures = page_of(maps, looker, scans, command, affine)
    statics = {name: static_svg(figure) for name, figure in figures.items()}
    text = render(page, statics)
    write_atomically(maps.folder / PAGE, lambda path: path.write_text(text, encoding="utf-8"))
    return maps.folder / PAGE


def page_of(
    maps: Maps, looker: Looker, scans: Sequence[Named], command: str, affine: np.ndarray
) -> tuple[Page, Mapping[str, Figure]]:
    """The page as values, and its figures by name."""
    checks, averages = maps.checks, maps.averages
    sizes = region_sizes(averages.head > 0, affine) if looker.in_mni152 else {}
    figures = figures_of_maps(maps.table, checks, sizes)
    heads = list(volumes_for(_seen(maps, looker, scans, averages, affine)))
    sections = [
        Section("heads", "Maps", [Text(_explained(maps, looker)), *heads]),
        Section("planted", "The planted region", _planted(checks, figures)),
        Section("weights", "Random weights", [*_some(figures, "randomised"), _verdicts(checks)]),
        Section(
            "labels", "Shuffled labels", [Text(checks.label_words), *_some(figures, "shuffled"), *_label_scores(checks)]
        ),
        Section(
            "sums", "Sums", _some(figures, "conservation") or [Text("No method that was asked for has to add up.")]
        ),
        Section("where", "Regions", _some(figures, "regions") or [Text("Regions are known in MNI152 only.")]),
        Section("again", "To do it again", _again(maps, looker, command)),
    ]
    title = f"What the network looks at: {looker.explained.readout.target.name}"
    lead = f"{maps.words[0].upper()}{maps.words[1:]}, of {len(scans)} scans."
    return Page(title, found_of(maps), sections, lead, cautions_of(maps, looker, scans)), figures


def found_of(maps: Maps) -> list[str]:
    """What was found, in sentences."""
    checks = maps.checks
    found = []
    found += _of_region(checks)
    found += _of_weights(checks.verdicts)
    errors = maps.table.groupby("method", sort=False)["conservation_error"].max().dropna()
    if len(errors):
        worst = str(errors.idxmax())
        found.append(f"Maps that should add up do so within {percent(float(errors.max()))} (worst: {worst}).")
    return found


def _of_region(checks: Checks) -> list[str]:
    """How well maps find the planted region, and whether a map that knows no model finds it better, in sentences."""
    if checks.region_scores is None:
        return []
    mass = checks.region_scores[checks.region_scores["score"] == "relevance mass"]
    is_control = mass["method"].str.startswith("control")
    best = mass[~is_control].loc[mass[~is_control]["mean"].idxmax()]
    found = [
        f"The best of {int((~is_control).sum())} methods, {best['method']}, puts {percent(best['mean'])} of its relevance into the "
        f"planted region, {best['mean'] / best['chance']:.1f} times what chance gives ({percent(best['chance'])})."
    ]
    better = mass[is_control & (mass["mean"] > best["mean"])]
    if len(better):
        names = ", ".join(
            f"{row.method.removeprefix('control: ')} ({percent(row.mean)})" for row in better.itertuples()
        )
        found.append(f"What knows no model has more there: {names}. These maps do not tell where the target acts.")
    return found


def _of_weights(verdicts: Mapping[str, str]) -> list[str]:
    """Which methods depend on the weights, in sentences."""
    blind, first = (
        [method for method, words in verdicts.items() if words.startswith(f"{kind}:")] for kind in (BLIND, FIRST)
    )
    found = []
    if blind:
        found.append(
            f"Maps by {', '.join(blind)} hardly change when all weights are random: do not read them as what was learnt."
        )
    if first:
        found.append(
            f"Maps by {', '.join(first)} hardly depend on more than the first layer of the network: read them with care."
        )
    passed = len(verdicts) - len(blind) - len(first)
    return [
        *found,
        f"{passed} of {len(verdicts)} methods pass the check by random weights: their maps change as the network forgets.",
    ]


def cautions_of(maps: Maps, looker: Looker, scans: Sequence[Named]) -> list[str]:
    """What to be careful about."""
    found = ["A map says what moves this network's answer in these scans; it does not say what causes the target."]
    errors = maps.table["conservation_error"].dropna()
    if len(errors) and errors.max() > MOST_ERROR:
        found.append(
            f"Some maps miss their sum by up to {percent(float(errors.max()))}: integrated gradients want more steps, and where the "
            "explained number is near zero a share of it says little."
        )
    if not looker.in_mni152:
        found.append(
            "These volumes do not lie in MNI152: averages of groups are of heads that are not laid on one another."
        )
    if len(scans) < 10:
        found.append(f"Averages are of {len(scans)} scans only.")
    if maps.refused:
        found.append(
            f"{len(maps.refused)} scans were refused: {'; '.join(f'{who}: {why}' for who, why in maps.refused[:3])}."
        )
    return found


def _seen(maps: Maps, looker: Looker, scans: Sequence[Named], averages: Averages, affine: np.ndarray) -> list[Seen]:
    groups = dict.fromkeys(name for name, _ in averages.maps)
    found = [
        Seen(
            f"group-{place}",
            f"Mean of {averages.sizes[name]} scans" + ("" if name == ALL else f": {name}"),
            "The mean head with the mean maps of all methods.",
            averages.head,
            _of(averages.maps, name),
            affine,
        )
        for place, name in enumerate(groups)
    ]
    found += [
        Seen(f"difference-{place}", f"Difference: {name}", "The mean head with differences of mean maps.", averages.head,
             _of(averages.differences, name), affine)
        for place, name in enumerate(dict.fromkeys(name for name, _ in averages.differences))
    ]  # fmt: skip
    for place, scan in enumerate(scans[:SHOWN]):
        head = opened(maps.folder / scan.head())[1].astype(float)
        own = {way.text: read_map(maps.folder / scan.map(way, "model"), head.shape) for way in looker.methods}
        found.append(Seen(f"scan-{place}", f"{scan.stem}", "One scan with its maps.", head, own, affine))
    return found


def _of(maps: Mapping[tuple[str, str], np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {method: values for (group, method), values in maps.items() if group == name}


def _some(figures: Mapping[str, Figure], name: str) -> list[Item]:
    return [figures[name]] if name in figures else []


def _explained(maps: Maps, looker: Looker) -> str:
    unit = looker.explained.readout.unit or "its unit"
    return f"What is explained: {maps.words}. Maps are in {unit} per voxel of the model."


def _planted(checks: Checks, figures: Mapping[str, Figure]) -> list[Item]:
    items: list[Item] = [Text(checks.region_words), *_some(figures, "localisation")]
    if checks.region_scores is None:
        return items
    rows = [
        [
            str(row.method),
            str(row.score),
            f"{row.mean:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
            f"{row.chance:.3f}",
            f"{row.of_mean_map:.3f}",
        ]
        for row in checks.region_scores.itertuples()
    ]
    caption = "Localisation scores: means over scans, 95 % intervals, chance, and the score of the mean map"
    return [
        *items,
        Table(
            "scores",
            caption,
            ("method", "score", "mean", "95 % interval", "chance", "of the mean map"),
            rows,
            (2, 3, 4, 5),
        ),
    ]


def _verdicts(checks: Checks) -> Table:
    caption = f"Methods and random weights; not sensitive is a rank correlation of {LARGEST:g} or more"
    return Table(
        "verdicts", caption, ("method", "verdict"), [[method, words] for method, words in checks.verdicts.items()]
    )


def _label_scores(checks: Checks) -> list[Item]:
    if not checks.label_scores:
        return []
    names = list(next(iter(checks.label_scores.values())))
    rows = [[name, *(f"{scores[key]:.3g}" for key in names)] for name, scores in checks.label_scores.items()]
    return [
        Table(
            "label-scores",
            "Validation scores of the two models",
            ("labels", *names),
            rows,
            tuple(range(1, len(names) + 1)),
        )
    ]


def _again(maps: Maps, looker: Looker, command: str) -> list[Item]:
    facts = [
        ("methods", "; ".join(f"{way.text} ({way.method.citation})" for way in looker.methods)),
        ("neurotransfer", package_version("neurotransfer")),
        ("seed", str(looker.around.seed)),
        ("everything else", f"{MANIFEST}, beside this page"),
    ]
    return [Code(command), Facts(facts)]
