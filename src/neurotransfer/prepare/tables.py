"""The tables of a prepared input: the cohort, its quality, its regional volumes, what failed."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from neurotransfer.prepare.flags import flagged
from neurotransfer.prepare.job import Job, outputs_of
from neurotransfer.prepare.source import DICOM, SUBJECT, Source
from neurotransfer.prepare.stats_files import regional_table
from neurotransfer.prepare.subjects import read_subject

COHORT, QUALITY, REGIONAL, FAILED = "cohort.tsv", "quality.tsv", "regional_volumes.tsv", "failed.tsv"
# a quoted path: its folders say where the input lies, and may name people
_PATH = re.compile(r"(['\"])(/[^'\"]*/)?([^'\"/]*)\1")
KEYS = ("participant_id", "session_id")
Done = Sequence[tuple[Source, Mapping[str, Any]]]


def cohort_table(done: Done, job: Job, columns: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """One row a participant's session, with the columns that were named; and remarks.

    Of several scans of one session the first is taken, by the order of acquisition and run.
    """
    rows = [
        {
            **_keys(source),
            "image": outputs_of(source, job).image.relative_to(job.out).as_posix(),
            **{column: source.columns.get(column, "") for column in columns},
        }
        for source, _ in done
    ]
    table = pd.DataFrame(rows, columns=[*KEYS, "image", *columns])
    again = table.duplicated(list(KEYS))
    remarks = []
    if again.any():
        remarks.append(
            f"{int(again.sum())} further scans of a session were prepared and are in {QUALITY}; {COHORT} has the first of each "
            "session: choose by --acquisition or --run"
        )
    return table[~again].replace("", None), remarks


def quality_table(done: Done, job: Job) -> pd.DataFrame:
    """One row a scan, worst first: measures, flags, remarks, and where its image and figure lie."""
    rows = []
    for source, sidecar in done:
        outputs = outputs_of(source, job)
        rows.append(
            {
                **_keys(source),
                "scan": source.stem,
                **sidecar["Quality"],
                "warnings": "; ".join(sidecar["Warnings"]),
                "remarks": "; ".join(sidecar["Remarks"]),
                "approximation": sidecar["Approximation"],
                "image": outputs.image.relative_to(job.out).as_posix(),
                "figure": outputs.figure.relative_to(job.out).as_posix(),
            }
        )
    return flagged(pd.DataFrame(rows)) if rows else pd.DataFrame(columns=[*KEYS, "scan", "flags", "badness"])


def regional_volumes(done: Done) -> tuple[pd.DataFrame, list[str]]:
    """One row a scan: the volumes of its FreeSurfer or FastSurfer tables where all have some, else those that were measured."""
    subjects = [source for source, _ in done if source.kind == SUBJECT]
    with_stats = [source for source in subjects if read_subject(source.path).stats]
    if with_stats and len(with_stats) == len(done):
        return regional_table([source.path for source in with_stats])
    remarks = []
    if with_stats:
        remarks.append(
            f"{len(done) - len(with_stats)} of {len(done)} scans have no stats/*.stats: volumes are measured on the images of all, "
            "so that they can be compared"
        )
    rows = [{**_keys(source), **sidecar["RegionalVolumes"]} for source, sidecar in done]
    return pd.DataFrame(rows), remarks


def failed_table(failed: Sequence[tuple[Source, str]]) -> pd.DataFrame:
    """One row a scan that failed, with the reason."""
    rows = [
        {**_keys(source), "scan": source.stem, "source": _name_of(source), "reason": _reason(source, why)}
        for source, why in failed
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "scan", "source", "reason"])


def _name_of(source: Source) -> str:
    # a folder of DICOM may be named after a person
    return "" if source.kind == DICOM else source.name


def _reason(source: Source, why: str) -> str:
    """A reason without the folders of the input; of DICOM, whose texts are free, only what comes before the details."""
    if source.kind == DICOM:
        return f"{_PATH.sub('the folder', why).split(':')[0]} (the command told the details)"
    return _PATH.sub(lambda found: found.group(1) + found.group(3) + found.group(1), " ".join(why.split()))


def digest(table: pd.DataFrame) -> str:
    """A hash of a table as it is written.

    Example:
        >>> digest(pd.DataFrame({"age": [1]})) == digest(pd.DataFrame({"age": [2]}))
        False
    """
    return hashlib.sha256(table.to_csv(sep="\t", index=False).encode(errors="surrogateescape")).hexdigest()[:16]


def _keys(source: Source) -> dict[str, str]:
    return {"participant_id": source.participant_id, "session_id": source.session_id}
