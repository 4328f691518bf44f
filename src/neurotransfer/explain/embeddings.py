"""`explain embeddings`: what the features of networks hold, as tables and a page in a folder."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import MANIFEST, is_file, require_writable, write_table
from neurotransfer.cohort import Cohort
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import InputError
from neurotransfer.explain.asking import Asked
from neurotransfer.explain.gathering import KEYS, Sample
from neurotransfer.explain.measuring import Numbers, measure
from neurotransfer.explain.plane import Plane, neighbour_plane, principal_plane
from neurotransfer.targets import KNOWN, as_text

PAGE, PARTS = "report.html", ".parts"
# a matrix of more features than these is written of some of them
MOST_IN_A_FILE = 2048


@dataclass(frozen=True)
class Explained:
    """What was found: the sample, its numbers, and the planes of every model's features, by scan."""

    sample: Sample
    numbers: Numbers
    planes: tuple[tuple[Plane, ...], ...]


def begin(out: Path) -> Path:
    """Make a folder ready, and give the one inside it where parts are kept, so that the same call goes on.

    Raises:
        InputError: when it is complete, or holds something else.
        StorageError: when it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{str(out)!r} is a file; give another --out")
    if is_file(out / MANIFEST):
        raise InputError(f"{str(out)!r} is complete already; look at {PAGE} in it, or give another --out")
    if out.is_dir() and not (out / PARTS).is_dir():
        found = sorted(path.name for path in out.iterdir())
        if found:
            raise InputError(
                f"{str(out)!r} holds something else ({', '.join(found[:3])}); give a new or an empty folder"
            )
    require_writable(out)
    (out / PARTS).mkdir(mode=0o700, exist_ok=True)
    return out / PARTS


def with_volumes(cohort: Cohort, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table of a cohort with the columns of a table of regional volumes, joined by participant and session, and their names.

    Raises:
        InputError: when the table lacks participant_id, has a scan twice, or has none of the scans.
    """
    volumes = read_text_table(path)
    if KEYS[0] not in volumes:
        raise InputError(
            f"{str(path)!r} has no column {KEYS[0]!r}; give a table such as regional_volumes.tsv of `prepare`"
        )
    keys = [key for key in KEYS if key in volumes]
    if volumes.duplicated(keys).any():
        twice = volumes.loc[volumes.duplicated(keys), keys].iloc[0]
        raise InputError(f"{str(path)!r} has {'/'.join(twice)} twice; keep one row a scan")
    table = cohort.table
    names = [name for name in volumes if name not in table and name not in KEYS]
    joined = table.merge(volumes[[*keys, *names]], on=keys, how="left", validate="many_to_one")
    if not names or joined[names].isna().all(axis=None):
        raise InputError(
            f"{str(path)!r} has no column that is new, or no row of these scans; {' and '.join(keys)} must agree"
        )
    return joined.fillna(dict.fromkeys(names, "")), names


def default_targets(table: pd.DataFrame, of_models: Sequence[str]) -> tuple[str, ...]:
    """The columns of a table that are looked at when none are named: those that models predict, and that are well known.

    Example:
        >>> default_targets(pd.DataFrame({"age": ["1", "2"], "sex": ["F", "F"], "bmi_ml": ["3", "4"]}), ["bmi_ml"])
        ('bmi_ml', 'age')
    """
    wanted = [name for name in dict.fromkeys([*of_models, *KNOWN, "group"]) if name in table]
    return tuple(name for name in wanted if as_text(table[name]).nunique() > 1)


def explain_embeddings(
    sample: Sample, asked: Asked, out: Path, on_step: Callable[[], object] | None = None
) -> Explained:
    """Measure what the features of a sample hold, and write all numbers as tables into a folder.

    `features.parquet` (a row a scan), `correlations_MODEL.parquet` and `columns_MODEL.parquet` (matrices with labels),
    `summary.parquet`, `spectrum.parquet`, `targets.parquet`, `similarity.parquet`, `traces.parquet`, `map.parquet`.

    Args:
        sample: from `in_common`.
        asked: what is wanted.
        out: the folder.
        on_step: called after each of four parts.

    Raises:
        InputError: when the people are too few, or what is asked for is not in the table.
        StorageError: when the folder cannot be written.
    """
    numbers = measure(sample, asked, on_step)
    planes = tuple(_planes(held.features, asked.seed) for held in sample.models)
    for name, table in tables_of(sample, numbers, planes).items():
        write_table(out / f"{name}.parquet", table)
    return Explained(sample, numbers, planes)


def _planes(features: np.ndarray, seed: int) -> tuple[Plane, ...]:
    others = neighbour_plane(features, seed)
    return (principal_plane(features), *([others] if others is not None else []))


def slug(name: str) -> str:
    """A name as a part of names of files and figures.

    Example:
        >>> slug("sim-base untrained (2)")
        'sim-base_untrained_2'
    """
    return re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_") or "model"


def slugs(names: Sequence[str]) -> list[str]:
    """As `slug` of each, no two alike."""
    made = [slug(name) for name in names]
    return [
        f"{name}-{made[:place].count(name) + 1}" if name in made[:place] else name for place, name in enumerate(made)
    ]


def tables_of(sample: Sample, numbers: Numbers, planes: Sequence[Sequence[Plane]]) -> dict[str, pd.DataFrame]:
    """All numbers as tables, by the name of their file."""
    tables = {"features": _features(sample), "summary": _summary(numbers), "targets": numbers.targets}
    for short, model in zip(slugs([model.name for model in numbers.models]), numbers.models, strict=True):
        names = list(model.names[:MOST_IN_A_FILE])
        few = slice(len(names))
        matrices = {view: each.matrix[few, few] for view, each in model.views.items()}
        tables[f"correlations_{short}"] = _labelled(matrices, "feature", names, names)
        if numbers.columns:
            against = {view: each.against[:, few] for view, each in model.views.items()}
            tables[f"columns_{short}"] = _labelled(against, "column", list(numbers.columns), names)
    spectra = [
        pd.DataFrame(
            {
                "model": model.name,
                "view": view,
                "component": np.arange(1, len(each.spectrum) + 1),
                "share": each.spectrum,
            }
        )
        for model in numbers.models
        for view, each in model.views.items()
    ]
    tables["spectrum"] = pd.concat(spectra, ignore_index=True)
    tables["map"] = _map(sample, planes)
    if numbers.similarity:
        tables["similarity"] = similarity_table(numbers)
    if numbers.traces:
        tables["traces"] = pd.DataFrame([{"read_from": name} | vars(each) for name, each in numbers.traces.items()])
    return tables


def _labelled(matrices: Mapping[str, np.ndarray], what: str, rows: list[str], columns: list[str]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(matrix.astype(np.float32), columns=columns).assign(view=view, **{what: rows})[
            ["view", what, *columns]
        ]
        for view, matrix in matrices.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _features(sample: Sample) -> pd.DataFrame:
    keys = sample.table[[name for name in (*KEYS, "image") if name in sample.table]]
    several = len(sample.models) > 1
    parts = [
        pd.DataFrame(held.features, columns=[f"{f'{held.name}.' if several else ''}feature_{place:03d}"
                                             for place in range(held.features.shape[1])])
        for held in sample.models
    ]  # fmt: skip
    return pd.concat([keys, *parts], axis=1)


def _summary(numbers: Numbers) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for model in numbers.models:
        for view, each in model.views.items():
            found = {
                "participation": each.dimension.participation,
                "entropy": each.dimension.entropy,
                "redundancy": each.redundancy,
            }
            row: dict[str, Any] = {"model": model.name, "view": view, "n_people": each.dimension.n_people,
                                   "n_features": len(model.names), "n_silent": model.n_silent}  # fmt: skip
            found |= {
                f"{name}_more": numbers.differences[model.name, view, name]
                for name in ("redundancy", "participation")
                if (model.name, view, name) in numbers.differences
            }
            for name, number in found.items():
                row |= {name: number.value, f"{name}_low": number.low, f"{name}_high": number.high}
            row |= {"participation_plain": each.dimension.plain, "redundancy_of_chance": each.chance}
            rows.append(row)
    return pd.DataFrame(rows)


def similarity_table(numbers: Numbers) -> pd.DataFrame:
    """How alike every two sets of features are, a row a pair, view and measure."""
    rows = []
    for (view, measure_name), found in numbers.similarity.items():
        for i, j in zip(*np.triu_indices(len(numbers.sets), 1), strict=True):
            ends = {name: getattr(found, name)[i, j] for name in ("value", "low", "high", "p", "p_family")}
            pair = {"model": numbers.sets[i][0], "layer": numbers.sets[i][1],
                    "other_model": numbers.sets[j][0], "other_layer": numbers.sets[j][1]}  # fmt: skip
            rows.append(pair | {"view": view, "measure": measure_name, "n_people": numbers.n_compared} | ends)
    return pd.DataFrame(rows)


def _map(sample: Sample, planes: Sequence[Sequence[Plane]]) -> pd.DataFrame:
    parts = [
        sample.table[KEYS].assign(model=held.name, method=plane.method, x=plane.points[:, 0], y=plane.points[:, 1])
        for held, of_model in zip(sample.models, planes, strict=True)
        for plane in of_model
    ]
    return pd.concat(parts, ignore_index=True)
