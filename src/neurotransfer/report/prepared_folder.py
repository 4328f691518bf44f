"""A folder that `prepare` wrote, as the report reads it: who was prepared, by which recipe, and what was measured on them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.cohort.preparation import COMPLETE, DESCRIPTION, KEY
from neurotransfer.errors import InputError
from neurotransfer.report.rows import numbers, read_rows

COHORT, QUALITY, REGIONAL, FAILED = "cohort.tsv", "quality.tsv", "regional_volumes.tsv", "failed.tsv"
IDS = ("participant_id", "session_id")
# columns of quality.tsv that are no measures
WORDS = (*IDS, "scan", "orientation", "warnings", "remarks", "approximation", "image", "figure", "flags", "badness")
_TOTALS = {"total_grey_mm3": "grey matter", "total_white_mm3": "white matter", "total_fluid_mm3": "fluid"}


@dataclass(frozen=True)
class PreparedFolder:
    """What a prepared folder holds.

    Args:
        path: of the folder.
        recipe: name, version and steps, as `dataset_description.json` has them.
        facts: of `prepared.json`, which is written last; None while the preparation is not complete.
        scans: a row a scan that was made, worst first: what `quality.tsv` has, and columns of `cohort.tsv` (age, sex, site).
        cohort: `cohort.tsv`: a row a session.
        failed: a row a scan that failed, with the reason.
        taken: columns that came along from the input.
    """

    path: Path
    recipe: dict[str, Any]
    facts: dict[str, Any] | None
    scans: pd.DataFrame
    cohort: pd.DataFrame
    failed: pd.DataFrame
    taken: tuple[str, ...]

    @property
    def measures(self) -> list[str]:
        """Columns of `scans` that were measured on images and hold a number of at least one."""
        own = [name for name in self.scans.columns if name not in (*WORDS, *self.taken, *_TOTALS.values())]
        return [name for name in own if pd.notna(numbers(self.scans, name)).any()]

    @property
    def limits(self) -> dict[str, dict[str, Any]]:
        """What is acceptable of a measure, `{measure: {"Least": number, "Most": number}}`; empty where the folder does not say."""
        found = (self.facts or {}).get("Limits", {})
        return {name: dict(limit) for name, limit in found.items() if isinstance(limit, dict)}

    @property
    def tissues(self) -> list[str]:
        """Columns of `scans` with the volumes of tissues, ml; else their shares of the brain."""
        volumes = [name for name in _TOTALS.values() if name in self.scans]
        return volumes or [name for name in ("grey_share", "white_share", "fluid_share") if name in self.scans]


def is_prepared(path: Path) -> bool:
    """Whether a path is a folder that `prepare` began or finished."""
    if not is_file(path / DESCRIPTION):
        return False
    try:
        return isinstance(read_json(path / DESCRIPTION).get(KEY), dict)
    except (InputError, AttributeError):
        return False


def read_prepared(path: Path) -> PreparedFolder:
    """Read and check a prepared folder.

    Raises:
        InputError: when it is none, or when its tables are absent, cannot be read or lack columns.
    """
    if not is_prepared(path):
        raise InputError(
            f"{str(path)!r} is no folder of prepared scans; make one with `neurotransfer prepare INPUT {path}`"
        )
    again = "run the same `neurotransfer prepare` again, which writes it anew"
    quality = read_rows(path / QUALITY, (*IDS, "scan", "flags"), again)
    cohort = read_rows(path / COHORT, (*IDS, "image"), again)
    failed = read_rows(path / FAILED, (*IDS, "scan", "reason"), again)
    taken = tuple(name for name in cohort.columns if name not in (*IDS, "image") and name not in quality)
    people = cohort.drop_duplicates(list(IDS))[[*IDS, *taken]]
    scans = quality.merge(people, on=list(IDS), how="left")
    return PreparedFolder(
        path=path,
        recipe=dict(read_json(path / DESCRIPTION)[KEY]),
        facts=dict(read_json(path / COMPLETE)) if is_file(path / COMPLETE) else None,
        scans=_with_tissues(scans, path),
        cohort=cohort,
        failed=failed,
        taken=taken,
    )


def _with_tissues(scans: pd.DataFrame, path: Path) -> pd.DataFrame:
    """With the volumes of tissues in ml, where they were measured on the images themselves."""
    if not is_file(path / REGIONAL) or not len(scans):
        return scans
    try:
        regional = read_rows(path / REGIONAL, (*IDS, *_TOTALS), "")
    except InputError:
        # tables of FreeSurfer have other names, and an input of which nothing was made has no columns
        return scans
    columns = {words: numbers(regional, name) / 1000 for name, words in _TOTALS.items()}
    volumes = regional[list(IDS)].assign(**columns).drop_duplicates(list(IDS))
    return scans.merge(volumes, on=list(IDS), how="left")
