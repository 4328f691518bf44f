"""What a user looks at, told apart by what lies there: each kind becomes the same table of scans."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import TABLE_SUFFIXES, is_file, is_folder, read_json
from neurotransfer.cohort import read_cohort
from neurotransfer.cohort.files import has_table, is_image_name, scan_stem, scans_in
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import InputError
from neurotransfer.view import predictions
from neurotransfer.view.files import image_of
from neurotransfer.view.mistakes import NEEDED, mistakes, tasks_of
from neurotransfer.view.scans import KEYS, LOW, Number, numbers_of

QUALITY, COHORT, FAILED = "quality.tsv", "cohort.tsv", "failed.tsv"
STUDY, RUN_COHORT, PREDICTIONS = "study.json", "cohort.parquet", "predictions.parquet"
MAPS_TABLE, MAPS_FOLDER = "maps.parquet", "maps"
# the volume that a model saw, which lies beside its maps
SEEN = "_space-model_T1w.nii.gz"
# of a prepared scan, where less is worse
LESS_IS_WORSE = ("overlap", "similarity", "inside", "cnr", "contrast", "snr_dietrich", "snr_grey", "snr_white")


@dataclass(frozen=True, eq=False)
class Source:
    """What was found: a row a scan, with `image` and `mask` as they are named there, and where to seek them.

    `ours` says that the folder was made by neurotransfer, so that thumbnails may be kept in it.
    """

    kind: str
    table: pd.DataFrame
    places: tuple[Path, ...]
    flags: tuple[tuple[str, ...], ...] = ()
    numbers: tuple[Number, ...] = ()
    notes: tuple[str, ...] = field(default=())
    ours: bool = False
    maps: Path | None = None


def find_source(run: Path, data: Path | None = None) -> Source:
    """What there is to see at a place.

    Args:
        run: a folder that `prepare`, `benchmark` or `explain maps` wrote, a table that `predict` wrote, a table of scans, a
            BIDS dataset, a folder of scans, or one scan.
        data: the folder that paths of images are relative to, as of `benchmark`.

    Raises:
        InputError: when there is nothing of that kind, or it cannot be read.
    """
    if not is_file(run) and not is_folder(run):
        raise InputError(
            f"there is no {str(run)!r}; give a folder that prepare, benchmark or explain wrote, a table of predictions or of "
            "scans, a BIDS dataset, a folder of scans, or a scan"
        )
    for is_one, read in SOURCES:
        if is_one(run):
            return read(run, data)
    raise AssertionError("the last kind takes whatever is left")


def _prepared(run: Path, data: Path | None) -> Source:
    quality, cohort = read_text_table(run / QUALITY), _keyed(read_text_table(run / COHORT))
    quality = _keyed(quality).drop(columns="figure", errors="ignore")
    more = cohort.drop(columns=[name for name in cohort if name in quality and name not in KEYS])
    table = quality.merge(more, on=list(KEYS), how="left").fillna("")
    masks = [_mask_of_prepared(name) for name in table["image"]]
    flags = [tuple(filter(None, text.split("; "))) for text in table.pop("flags")]
    table = table.assign(mask=masks)
    if is_file(run / FAILED):
        lost = _failed(run / FAILED)
        table = pd.concat([table, lost], ignore_index=True).fillna("")
        flags += [(f"not prepared ({reason})",) for reason in lost["reason"]]
    measures = numbers_of(table, "Quality", (*KEYS, *more.columns))
    ordered = sorted(measures, key=lambda number: number.name != "badness")
    numbers = tuple(Number(each.name, each.label, each.group, each.values, _worse(each.name)) for each in ordered)
    return Source("Prepared scans", table, (run,), tuple(flags), numbers, ours=True)


def _worse(name: str) -> str:
    return LOW if name in LESS_IS_WORSE else "high" if name in ("badness", "cjv", "efc", "turned_degrees") else ""


def _mask_of_prepared(image: str) -> str:
    start, found, _ = image.rpartition("_desc-")
    return f"{start}_desc-brain_mask.nii.gz" if found else ""


def _failed(path: Path) -> pd.DataFrame:
    try:
        return _keyed(read_text_table(path))
    except InputError:
        # a table without rows: nothing failed
        return pd.DataFrame(columns=[*KEYS, "reason"])


def _benchmark(run: Path, data: Path | None) -> Source:
    study = read_json(run / STUDY)
    table = _keyed(read_text_table(run / RUN_COHORT))
    places: tuple[Path, ...] = (Path(), run)
    notes: list[str] = []
    if data is not None:
        places = (data, *places)
        table = _moved(table, study, data)
    numbers: list[Number] = []
    if is_file(run / PREDICTIONS):
        found = _parquet(run / PREDICTIONS)
        numbers = mistakes(found, tasks_of(study), len(table))
    else:
        notes.append("the run has no predictions yet: there are no errors to sort by")
    return Source(f"Benchmark {study.get('name', '')}".strip(), table, places, numbers=tuple(numbers),
                  notes=tuple(notes), ours=True)  # fmt: skip


def _parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read as Parquet ({error}); run the benchmark again") from None
    absent = [name for name in (*NEEDED, "probabilities") if name not in table]
    if absent:
        raise InputError(f"{str(path)!r} has no column {', '.join(absent)}; run the benchmark again to write it")
    return table


def _moved(table: pd.DataFrame, study: Mapping[str, Any], data: Path) -> pd.DataFrame:
    """The table of a run with the images and masks where the study's cohort lies now."""
    part = study.get("study", {}).get("cohort") or {}
    path = data / str(part.get("path", ""))
    if not part.get("path") or not (is_file(path) or is_folder(path)):
        return table
    options = {name: part[name] for name in ("space", "desc", "mask", "columns") if part.get(name)}
    found = read_cohort(path, **options, alignment="centre", check=False).table
    named = found.set_index(list(KEYS))[["image", "mask"]]
    keys = pd.MultiIndex.from_frame(table[list(KEYS)])
    there = named.reindex(keys).fillna("")
    moved = {
        name: [new or old for new, old in zip(there[name], table[name], strict=True)] for name in ("image", "mask")
    }
    return table.assign(**moved)


def _maps(run: Path, data: Path | None) -> Source:
    table = _keyed(read_text_table(run / MAPS_TABLE))
    places = (Path(), run) if data is None else (data, Path(), run)
    kept = [name for name in (*KEYS, "image", "mask", "stem", "site", "age", "sex") if name in table]
    scans = table[kept].drop_duplicates(list(KEYS)).reset_index(drop=True)
    if "stem" in scans:
        heads = {path.name: path.relative_to(run).as_posix() for path in (run / MAPS_FOLDER).rglob(f"*{SEEN}")}
        scans["image"] = [
            image if image_of(image, places) is not None else heads.get(f"{stem}{SEEN}", image)
            for image, stem in zip(scans["image"], scans.pop("stem"), strict=True)
        ]
    return Source("Maps of relevance", scans, places, ours=True, maps=run / MAPS_FOLDER)


def _predicted(run: Path, data: Path | None) -> Source:
    table, numbers, flags = predictions.read_predictions(run)
    places = (Path(), run.parent) if data is None else (data, Path(), run.parent)
    return Source(f"Predictions {run.name}", _keyed(table), places, flags, numbers)


def _is_prediction(run: Path) -> bool:
    return is_file(run) and run.suffix.lower() in TABLE_SUFFIXES and predictions.is_described(run)


def _images(run: Path, data: Path | None) -> Source:
    images = [run] if is_file(run) else scans_in(run)
    if not images:
        raise InputError(
            f"{str(run)!r} holds no scan, no table (cohort.tsv, participants.tsv) and nothing that neurotransfer wrote"
        )
    rows = [{"participant_id": scan_stem(path), "image": str(path.absolute())} for path in images]
    return Source("Scans", _keyed(pd.DataFrame(rows)), (Path(),))


def _is_images(run: Path) -> bool:
    if is_file(run):
        return is_image_name(run)
    return not has_table(run) and not any(is_folder(below) for below in run.glob("sub-*"))


def _cohort(run: Path, data: Path | None) -> Source:
    # nothing is laid on a grid here, so that native space is as good as any
    cohort = read_cohort(run, alignment="centre", check=False)
    return Source(f"Cohort {cohort.name}", _keyed(cohort.table), (Path(),), notes=cohort.notes)


def _keyed(table: pd.DataFrame) -> pd.DataFrame:
    if "participant_id" not in table:
        raise InputError(f"a table of scans has a column participant_id; found: {', '.join(map(str, table.columns))}")
    for column in ("session_id", "image", "mask"):
        if column not in table:
            table = table.assign(**{column: ""})
    return table


SOURCES: tuple[tuple[Callable[[Path], bool], Callable[[Path, Path | None], Source]], ...] = (
    (lambda run: is_file(run / QUALITY) and is_file(run / COHORT), _prepared),
    (lambda run: is_file(run / STUDY) and is_file(run / RUN_COHORT), _benchmark),
    (lambda run: is_file(run / MAPS_TABLE), _maps),
    (_is_prediction, _predicted),
    (_is_images, _images),
    (lambda run: True, _cohort),
)
