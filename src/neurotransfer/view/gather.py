"""From what lies at a place to the table that the page shows: files found, what others know joined, numbers in order."""

from pathlib import Path

import pandas as pd

from neurotransfer.artifacts import is_file
from neurotransfer.cohort import read_cohort
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.view.files import Masks, image_of, maps_below, with_maps
from neurotransfer.view.predictions import errors_of
from neurotransfer.view.scans import KEYS, MASK, SCAN, File, Number, Scans, numbers_of
from neurotransfer.view.sources import Source

ALWAYS = ("site", "age", "sex")
FILES = ("image", "mask")


def gather(source: Source, run: Path, maps: Path | None = None, people: Path | None = None) -> Scans:
    """The scans of a source with their files, and with what a table of people says of them.

    Args:
        source: from `find_source`.
        run: the place that it was found at.
        maps: a folder of maps of relevance.
        people: a table of people or scans, joined by participant (and session, where it has some).

    Raises:
        InputError: when the table or the maps cannot be used.
    """
    table = source.table.reset_index(drop=True)
    numbers = list(source.numbers)
    if people is not None:
        known = _joined(table, people)
        numbers = _errors_first(numbers, errors_of(table, known, run) if _has_sidecar(run) else [])
        table = table.assign(**{name: known[name] for name in known.columns.difference(table.columns, sort=False)})
    for column in ALWAYS:
        if column not in table:
            table = table.assign(**{column: ""})
    files, notes = _files(table, source)
    for folder in filter(None, (source.maps, maps)):
        n = with_maps(files, table[list(KEYS)].itertuples(index=False, name=None), maps_below(folder))
        notes.append(f"{n} of {len(table)} scans have maps in {folder.name!r}")
    named = {number.name for number in numbers}
    numbers += [each for each in numbers_of(table, "Columns", (*KEYS, *FILES)) if each.name not in named]
    shown = table.assign(image=[Path(name).name for name in table["image"]]).drop(columns="mask")
    flags = source.flags or [()] * len(table)
    return Scans(source.kind, shown, files, flags, tuple(numbers), (*source.notes, *notes))


def _files(table: pd.DataFrame, source: Source) -> tuple[list[dict[str, File]], list[str]]:
    files: list[dict[str, File]] = []
    masks = Masks()
    for image, mask in zip(table["image"], table["mask"], strict=True):
        own: dict[str, File] = {}
        scan = image_of(image, source.places)
        if scan is not None:
            own[SCAN] = File(scan, Path(image).name)
            inside = image_of(mask, source.places) or masks.beside(_as_named(image, source))
            if inside is not None:
                own[MASK] = File(inside, "Brain mask")
        files.append(own)
    lost = sum(SCAN not in own for own in files)
    advice = "; say with --data what folder their paths are relative to" if lost == len(files) else ""
    return files, [f"{lost} of {len(files)} scans have no image that can be found{advice}"] if lost else []


def _as_named(image: str, source: Source) -> Path:
    # a mask lies beside the name of its scan, also where that name is a link to a store elsewhere
    return next(place / image for place in source.places if is_file(place / image))


def _has_sidecar(run: Path) -> bool:
    return is_file(run) and is_file(run.with_suffix(".json"))


def _errors_first(numbers: list[Number], errors: list[Number]) -> list[Number]:
    named = {number.name for number in errors}
    return [*errors, *(number for number in numbers if number.name not in named)]


def _joined(table: pd.DataFrame, people: Path) -> pd.DataFrame:
    """A row a scan of what a table of people says, empty where it does not know them."""
    known = read_text_table(people) if is_file(people) else read_cohort(people, alignment="centre", check=False).table
    keys = [key for key in KEYS if key in known and (known[key] != "").any()]
    known = known.drop_duplicates(keys or None).drop(columns=[name for name in FILES if name in known])
    if not keys:
        return pd.DataFrame(index=table.index)
    joined = table[keys].merge(known, on=keys, how="left", validate="many_to_one").fillna("")
    return joined.set_index(table.index).drop(columns=[name for name in KEYS if name in joined])
