"""Read a cohort from a table or a BIDS folder, and check all of it before anything long begins."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.cohort.bids import bids_table
from neurotransfer.cohort.cohort import Cohort
from neurotransfer.cohort.images import examine_scan
from neurotransfer.cohort.preparation import identity_of, preparation_of, preparation_of_images
from neurotransfer.cohort.recipes import NATIVE
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.cohort.volumes import ALIGNMENTS
from neurotransfer.errors import CohortError, ImageError, InputError, unknown
from neurotransfer.targets import as_text, infer_target

NATIVE_ADVICE = 'images in native space may differ: say so with alignment = "centre"'
LARGEST_BRAIN_LITRES = 2.3
# of a table of FreeSurfer columns a message names so many
MOST_NAMES = 40
SKULL_NOTE = (
    f"fill more than {LARGEST_BRAIN_LITRES} litres and seem to have their skull; networks here know heads without it: run "
    "`neurotransfer prepare INPUT OUT` and use OUT, or give brain masks (a column mask, or mask = NAME for a BIDS folder)"
)


def read_cohort(
    path: Path | str,
    *,
    name: str = "",
    space: str | None = None,
    desc: str | None = None,
    mask: str | None = None,
    alignment: str = "world",
    columns: Mapping[str, str] | None = None,
    recode: Mapping[str, Mapping[str, str]] | None = None,
    targets: Sequence[str] = (),
    images: bool = True,
    check: bool = True,
    on_scan: Callable[[], object] | None = None,
) -> Cohort:
    """The scans of a TSV, CSV or Parquet table, or of a BIDS folder, checked.

    Args:
        path: a table with one row a scan (participant_id, image, and where they exist session_id, mask, site and
            targets; image paths relative to the table), or a BIDS folder with participants.tsv.
        name: of the cohort; the name of the folder where it is not given.
        space: the BIDS space of the images to take; None for those without one.
        desc: the BIDS desc of the images to take; None for those without one.
        mask: the BIDS desc of the brain mask to apply (`brain`); a table has a column `mask`, applied when it is there.
        alignment: `world` (scans in MNI space, all of one shape and orientation) or `centre` (scans in native space).
        columns: new name -> name in the table, for example `{"sex": "gender"}`.
        recode: column -> {label in the table: label wanted}, for example `{"sex": {"m": "M"}}`.
        targets: columns that will be predicted and must have two values or more.
        images: False for a table of regional volumes without scans.
        check: open every image; False when that was done before.
        on_scan: called after every image that was checked (for a progress bar).

    Raises:
        InputError: when the path is not there or holds no cohort.
        CohortError: with ALL problems of the table and its images, each with its row.

    Example:
        >>> read_cohort("nowhere.tsv")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        neurotransfer.errors.InputError: there is no cohort at 'nowhere.tsv'; give a table (.tsv, .csv, .parquet) or ...
    """
    path = Path(path)
    if alignment not in ALIGNMENTS:
        raise InputError(unknown("alignment", alignment, ALIGNMENTS))
    table, notes = _read(path, space, desc, mask)
    table = _renamed(table, columns or {}, recode or {}, path)
    root = path.parent if is_file(path) else path
    preparation = preparation_of(root) if images else {}
    problems = _columns_missing(table, images)
    if problems:
        raise CohortError(path, problems, _advice(table, problems))
    table = _completed(table, root)
    if images:
        preparation = preparation or preparation_of_images(Path(image) for image in table["image"] if image)
        _require_alignment(path, preparation, alignment)
    problems = _problems_of_rows(table, images) + _problems_of_targets(
        table, [targets] if isinstance(targets, str) else targets
    )
    if images and check:
        found, remarks = _problems_of_images(table, alignment == "world", on_scan)
        problems, notes = problems + found, [*notes, *remarks]
    if problems:
        said = "".join(f"\nnote: {note}" for note in notes)
        raise CohortError(path, problems, f"mend this and run the same command again{said}")
    return Cohort(name or cohort_name(path), table, alignment, tuple(notes), preparation)


def _require_alignment(path: Path, preparation: Mapping[str, Any], alignment: str) -> None:
    if preparation.get("SpatialReference") == NATIVE and alignment == "world":
        raise InputError(
            f'{str(path)!r} was prepared in native space by recipe {identity_of(preparation)}; say so with alignment = "centre"'
        )


def cohort_name(path: Path) -> str:
    """What a cohort is called that was given no name: its folder."""
    return path.resolve().parent.name if is_file(path) else path.resolve().name


def _read(path: Path, space: str | None, desc: str | None, mask: str | None) -> tuple[pd.DataFrame, list[str]]:
    if is_file(path):
        return read_text_table(path), []
    for name in ("cohort.tsv", "cohort.csv", "cohort.parquet"):
        if is_file(path / name):
            return read_text_table(path / name), []
    if not is_folder(path):
        raise InputError(f"there is no cohort at {str(path)!r}; give a table (.tsv, .csv, .parquet) or a BIDS folder")
    return bids_table(path, space, desc, mask)


def _renamed(table: pd.DataFrame, columns: Mapping[str, str], recode: Mapping, path: Path) -> pd.DataFrame:
    absent = [unknown(f"column for {new!r}", old, table.columns) for new, old in columns.items() if old not in table]
    absent += [
        unknown("column to recode", column, table.columns) for column in recode if column not in {*table, *columns}
    ]
    if absent:
        raise CohortError(path, absent)
    table = table.assign(**{new: table[old] for new, old in columns.items()})
    for column, labels in recode.items():
        texts = {str(label): wanted for label, wanted in labels.items()}
        table[column] = [texts.get(label, label) for label in table[column].fillna("")]
    return table.apply(lambda column: as_text(column).fillna(""))


def _columns_missing(table: pd.DataFrame, images: bool) -> list[str]:
    needed = ["participant_id", *(["image"] if images else [])]
    return [f"no column {column!r}" for column in needed if column not in table]


def _advice(table: pd.DataFrame, problems: list[str]) -> str:
    names, more = list(table.columns[:MOST_NAMES]), len(table.columns) - MOST_NAMES
    found = f"columns found: {', '.join(names)}{f' and {more} more' if more > 0 else ''}{_other_separator(table)}"
    alone = problems == ["no column 'image'"]
    return found + ("; a study of columns alone says images = false in its cohort" if alone else "")


def _other_separator(table: pd.DataFrame) -> str:
    used = [
        name
        for mark, name in ((";", "';'"), (",", "','"), ("\t", "tabs"))
        if any(mark in str(column) for column in table)
    ]
    return f"; they seem to be separated by {used[0]}: .csv takes ',', .tsv takes tabs" if used else ""


def _completed(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    table = table.copy()
    for column in ("session_id", "site", "image", "mask"):
        if column not in table:
            table[column] = ""
    for column in ("image", "mask"):
        table[column] = [str(root / value) if value else "" for value in table[column]]
    return table


def _problems_of_rows(table: pd.DataFrame, images: bool) -> list[str]:
    problems = [f"{_where(table, row)}: participant_id is empty" for row in _rows(table["participant_id"] == "")]
    keys = ["participant_id", "session_id"]
    for row in _rows(table.duplicated(keys) & (table["participant_id"] != "")):
        problems.append(f"{_where(table, row)}: the same participant and session stand in an earlier row")
    if images:
        problems += [f"{_where(table, row)}: image is empty" for row in _rows(table["image"] == "")]
        files = table["image"].map(_file)
        again = files.duplicated() & (table["image"] != "") & ~table.duplicated(keys)
        problems += [f"{_where(table, row)}: its image stands in an earlier row" for row in _rows(again)]
    return problems


def _file(image: str) -> str:
    try:
        return os.path.realpath(image)
    except ValueError:
        return image


def _problems_of_targets(table: pd.DataFrame, targets: Sequence[str]) -> list[str]:
    problems = []
    for target in targets:
        try:
            infer_target(target, table)
        except InputError as error:
            problems.append(str(error))
    return problems


def _problems_of_images(
    table: pd.DataFrame, same: bool, on_scan: Callable[[], object] | None
) -> tuple[list[str], list[str]]:
    """The problems of all images, and remarks for the reader."""
    problems, described, large = [], {}, 0
    for row in _rows(table["image"] != ""):
        mask = table["mask"].iloc[row]
        try:
            described[row], remark, litres = examine_scan(Path(table["image"].iloc[row]), Path(mask) if mask else None)
            large += litres > LARGEST_BRAIN_LITRES
            if remark:
                problems.append(f"{_where(table, row)}: {remark}")
        except ImageError as error:
            problems.append(f"{_where(table, row)}: {error}")
        if on_scan is not None:
            on_scan()
    notes = [f"{large} of {len(described)} scans {SKULL_NOTE}"] if large else []
    return problems + (_differing(table, described) if same else []), notes


def _differing(table: pd.DataFrame, described: dict[int, tuple[tuple[int, ...], str]]) -> list[str]:
    if not described:
        return []
    (shape, orientation), _ = Counter(described.values()).most_common(1)[0]
    return [
        f"{_where(table, row)}: shape {found[0]} {found[1]}, most others {shape} {orientation}; {NATIVE_ADVICE}"
        for row, found in described.items()
        if found != (shape, orientation)
    ]


def _rows(mask: pd.Series) -> list[int]:
    return [row for row, is_so in enumerate(mask) if is_so]


def _where(table: pd.DataFrame, row: int) -> str:
    session = table["session_id"].iloc[row]
    return f"row {row + 1}: {table['participant_id'].iloc[row] or '?'}{' ' + session if session else ''}"
