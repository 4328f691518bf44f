"""`explain maps`: a model and scans to maps of what the network looks at, with their checks, as a folder."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from neurotransfer.artifacts import provenance, write_table
from neurotransfer.cohort import Cohort
from neurotransfer.cohort.storing import quantised, restored
from neurotransfer.cohort.volumes import load_volume
from neurotransfer.errors import CohortError, ImageError, InputError
from neurotransfer.explain.attribution import DEFAULT, MEAN, Around, Asked, asked
from neurotransfer.explain.checks import Asking, Checks, run_checks
from neurotransfer.explain.group_maps import Averages, group_averages, write_averages
from neurotransfer.explain.maps_folder import MADE_BY, TABLE, claim, fingerprint, finish
from neurotransfer.explain.maps_scans import chosen_rows, groups_of_rows, names_of
from neurotransfer.explain.one_scan import Looker, Named, keep_rows, kept_rows
from neurotransfer.explain.places import Place, is_in_mni152, place_of
from neurotransfer.explain.readout import Explained, explained_of
from neurotransfer.explain.rules import COMPOSITES
from neurotransfer.explain.unfolded import unfolded
from neurotransfer.models.checks import check_volumes, require_preparation, require_volumes
from neurotransfer.models.folder import Model
from neurotransfer.predict.blocks import BITS, Wanted, key_of
from neurotransfer.training import current
from neurotransfer.training.engine import place
from neurotransfer.training.examples import ahead

MOST = 20


@dataclass(frozen=True)
class MapsAsked:
    """Which maps.

    Attributes:
        methods: as `attribution.asked` reads them.
        target: of the model; "" for its first.
        label: of a class, for a categorical target; "" for the most probable one of each scan.
        group: a column of the cohort by which maps are averaged; "" for the mean of all.
        most: scans at most, in turn from every group.
        checked: on how many scans weights are randomised.
        label_check: whether a model is finetuned on true and on shuffled labels.
        epochs: of that finetuning.
        seed: of everything random.
        workers: threads that read scans.

    Raises:
        InputError: for a method that cannot be, or a number that is too small.

    Example:
        >>> [method.text for method in MapsAsked().ways]
        ['lrp-gamma', 'gradient-x-input']
    """

    methods: tuple[str, ...] = DEFAULT
    target: str = ""
    label: str = ""
    group: str = ""
    most: int = MOST
    checked: int = 3
    label_check: bool = True
    epochs: int = 10
    seed: int = 0
    workers: int = 1
    ways: tuple[Asked, ...] = field(init=False)

    def __post_init__(self) -> None:
        small = [name for name in ("most", "checked", "epochs", "workers") if getattr(self, name) < 1]
        if small or not self.methods:
            raise InputError(f"{', '.join(small) or 'methods'}: 1 or more are needed")
        object.__setattr__(self, "ways", tuple({way.text: way for way in map(asked, self.methods)}.values()))


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps that were made: their folder, the row a scan and method, averages, checks, and scans that were refused.

    `words` says what is explained.
    """

    folder: Path
    table: pd.DataFrame
    averages: Averages
    checks: Checks
    words: str
    refused: tuple[tuple[str, str], ...] = ()


def explain_maps(
    model: Model,
    cohort: Cohort,
    out: Path,
    wanted: MapsAsked | None = None,
    *,
    source: Path | None = None,
    raw: Sequence[str] = (),
    facts: dict[str, Any] | None = None,
    on_scan: Callable[[], object] | None = None,
    on_page: Callable[["Maps", Looker, Sequence[Named], np.ndarray], object] | None = None,
) -> Maps:
    """Make maps of a model for scans, and the checks that tell whether they mean anything.

    Below `out` then lie `maps/` (by scan, on the model's voxels and on the scan's own), `groups/` (averages), `maps.parquet` (a
    row a scan and method), the tables of the checks, and last `manifest.json`. What was interrupted goes on by the same call.

    Args:
        model: with a network on volumes.
        cohort: from `read_scans`, or what was prepared for the model.
        out: a new or empty folder.
        wanted: which maps.
        source: what the cohort was read from, to know whether it was simulated.
        raw: the scans that the cohort's images were prepared from, one a row; empty when they are the user's own.
        facts: for the manifest.
        on_scan: called after every scan.
        on_page: writes the page, before the manifest: takes the maps, who made them, the scans and the affine of the model's voxels.

    Raises:
        InputError: when model, scans and choices do not fit together; CohortError when no scan can be used.
    """
    wanted = wanted or MapsAsked()
    explained = require_asked(model, wanted)
    require_preparation(model.card, cohort)
    rows = chosen_rows(cohort, wanted.group, wanted.most)
    key = fingerprint(key_of(model, cohort.rows(rows), Wanted()), wanted.methods, wanted.target, wanted.label, wanted.group,
                      wanted.checked, wanted.label_check, wanted.epochs, wanted.seed, tuple(raw))  # fmt: skip
    claim(out, key)
    place(model.network, current())
    looker = Looker(
        explained, wanted.ways, _around(model, cohort, rows, wanted), out, is_in_mni152(_taken(model), cohort.alignment)
    )
    names = names_of(cohort, rows)
    table, refused, volumes, affine = _looked(model, cohort, looker, names, wanted, raw, on_scan)
    done = [scan for scan in names if scan.row not in refused]
    lost = tuple((str(cohort.participants[row]), why) for row, why in refused.items())
    if not done:
        raise CohortError(cohort.name, [f"{scan}: {why}" for scan, why in lost], "mend these scans and run it again")
    groups = groups_of_rows(cohort, [scan.row for scan in done], wanted.group)
    averages = group_averages(out, done, groups, wanted.ways)
    write_averages(out, averages, wanted.ways, affine, looker.in_mni152)
    asking = Asking(wanted.checked, wanted.label_check, wanted.epochs, wanted.seed)
    checks = run_checks(model, cohort, source or Path(), looker, done, volumes, asking)
    write_table(out / TABLE, table)
    maps = Maps(out, table, averages, checks, explained.readout.words, lost)
    if on_page is not None:
        on_page(maps, looker, done, affine)
    finish(out, _manifest(key, maps, model, cohort, facts or {}))
    return maps


def require_asked(model: Model, wanted: MapsAsked) -> Explained:
    """What is explained of a model, refused before a scan is read where the model has no such target, class or maps.

    Raises:
        InputError: for a target or class that it does not have, or relevance of an encoder for which it is not defined.
    """
    require_volumes(model.card)
    explained = explained_of(model.network, wanted.target, wanted.label)
    if any(way.method.name.startswith("lrp") for way in wanted.ways):
        unfolded(model.network.encoder, next(iter(COMPOSITES.values())))
    return explained


def _taken(model: Model) -> Any:
    return model.card.input


def _around(model: Model, cohort: Cohort, rows: np.ndarray, wanted: MapsAsked) -> Around:
    mean = None
    if any(way.options.get("baseline") == MEAN for way in wanted.ways):
        volumes = [
            found for found in (_volume(model, cohort, int(row)) for row in rows) if isinstance(found, np.ndarray)
        ]
        mean = (
            torch.from_numpy(np.mean(volumes, 0, dtype=np.float64).astype(np.float32))[None, None] if volumes else None
        )
    return Around(float(_taken(model).voxel_size_mm), mean, wanted.seed)


def _volume(model: Model, cohort: Cohort, row: int) -> np.ndarray | str:
    """The volume of a row as `predict` sees it, or why it is refused."""
    image, mask = cohort.images[row]
    try:
        return restored(quantised(load_volume(image, _taken(model), mask, cohort.alignment), BITS), BITS)
    except ImageError as error:
        return str(error) or "it cannot be read"


def _looked(
    model: Model, cohort: Cohort, looker: Looker, names: Sequence[Named], wanted: MapsAsked, raw: Sequence[str],
    on_scan: Callable[[], object] | None,
) -> tuple[pd.DataFrame, dict[int, str], dict[str, np.ndarray], np.ndarray]:  # fmt: skip
    """The rows of all scans, those refused, some volumes for the checks, and the affine of the model's voxels."""
    rows: list[dict[str, Any]] = []
    refused: dict[int, str] = {}
    volumes: dict[str, np.ndarray] = {}
    affine = np.eye(4)
    for scan, volume in _loaded(model, cohort, names, wanted.workers):
        if isinstance(volume, str):
            refused[scan.row] = volume
        else:
            where = place_of(cohort, scan.row, _taken(model), raw[scan.row] if raw else "")
            affine = affine if volumes else (where.to_space if looker.in_mni152 else where.to_scan)
            if len(volumes) < wanted.checked:
                volumes[scan.stem] = volume
            rows += _rows_of(looker, scan, volume, where, model)
        if on_scan is not None:
            on_scan()
    return pd.DataFrame(rows), refused, volumes, affine


def _rows_of(looker: Looker, scan: Named, volume: np.ndarray, where: Place, model: Model) -> list[dict[str, Any]]:
    found = kept_rows(looker.out, scan, looker.methods)
    if found is None:
        check_volumes(model.card, volume[None])
        found = looker.look(scan, volume, where)
        keep_rows(looker.out, scan.row, found)
    return found


def _loaded(
    model: Model, cohort: Cohort, names: Sequence[Named], workers: int
) -> Iterator[tuple[Named, np.ndarray | str]]:
    parts = [names[start : start + workers] for start in range(0, len(names), workers)]
    with ThreadPoolExecutor(workers) as pool:

        def load(part: Sequence[Named]) -> list[np.ndarray | str]:
            return list(pool.map(lambda scan: _volume(model, cohort, scan.row), part))

        for part, found in ahead(parts, load):
            yield from zip(part, found, strict=True)


def _manifest(key: str, maps: Maps, model: Model, cohort: Cohort, facts: dict[str, Any]) -> dict[str, Any]:
    checks = maps.checks
    said = {
        "explained": maps.words,
        "scans": int(maps.table["stem"].nunique()),
        "refused": [list(each) for each in maps.refused],
        "randomised_weights": dict(checks.verdicts),
        "shuffled_labels": {"words": checks.label_words, "validation_scores": checks.label_scores},
        "planted_region": checks.region_words,
    }
    return (
        {"made_by": MADE_BY, "key": key}
        | said
        | provenance(model=model.card.name, cohort=cohort.facts, engine=str(current()), **facts)
    )
