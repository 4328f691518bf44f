"""What an input holds: one scan, a folder, a BIDS dataset, a table, DICOM, or a FreeSurfer or FastSurfer folder."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.cohort.bids import (
    choose,
    entities,
    mask_of,
    participants_of,
    t1w_images,
    with_people,
    with_sessions,
)
from neurotransfer.cohort.files import is_image_name, scan_stem, scans_in
from neurotransfer.cohort.table import read_cohort
from neurotransfer.errors import CohortError, InputError
from neurotransfer.prepare.dicom import dicom_participants, is_dicom_folder
from neurotransfer.prepare.source import DICOM, SUBJECT, Source
from neurotransfer.prepare.subjects import read_subject, subjects_in

COHORTS = ("cohort.tsv", "cohort.csv", "cohort.parquet")
OWN_COLUMNS = ("participant_id", "session_id", "image", "mask")
DEEPEST = 6
LABELS: tuple[str, ...] = ("acq", "rec", "run")


@dataclass(frozen=True)
class Choice:
    """Which images of an input are wanted: labels of BIDS entities (None: those without), and the `desc` of masks to apply.

    `acquisition` and `run` are "" for all that there are.
    """

    space: str | None = None
    desc: str | None = None
    mask: str | None = None
    acquisition: str = ""
    run: str = ""


@dataclass(frozen=True)
class Found:
    """What an input holds: its scans, and remarks for the reader."""

    sources: tuple[Source, ...]
    remarks: tuple[str, ...] = ()


def find_sources(path: Path, wanted: Choice, declared: frozenset[str] = frozenset()) -> Found:
    """All scans of an input, before one of them is read.

    Raises:
        InputError: when there is nothing there, or nothing that can be prepared.
        CohortError: with all scans whose outputs would have the same name.
    """
    found = _found(Path(path), wanted)
    if not found.sources:
        raise InputError(f"{str(path)!r} holds no scan that can be prepared")
    sources = tuple(replace(source, declared=source.declared | declared | _by_name(source)) for source in found.sources)
    _require_own_names(path, sources)
    return replace(found, sources=sources)


def _found(path: Path, wanted: Choice) -> Found:
    if is_file(path):
        return _of_file(path)
    if not is_folder(path):
        raise InputError(
            f"there is no {str(path)!r}; give a scan, a folder of scans, a BIDS dataset, a table of scans, a DICOM folder, or a "
            "FreeSurfer or FastSurfer folder"
        )
    tables = [path / name for name in COHORTS if is_file(path / name)]
    if tables:
        return _of_table(tables[0])
    if any(_has_t1w(folder) for folder in sorted(path.glob("sub-*"))):
        return _of_bids(path, wanted)
    subjects = subjects_in(path)
    if subjects:
        return Found(tuple(_of_subject(folder) for folder in subjects))
    return _of_folder(path)


def _of_file(path: Path) -> Found:
    if not is_image_name(path):
        return _of_table(path)
    parts = entities(path)
    if "sub" in parts:
        return Found((_of_bids_image(path, path.parent, None),))
    return Found((Source(scan_stem(path), "", path, name=path.name),))


def _of_table(path: Path) -> Found:
    cohort = read_cohort(path, check=False)
    sources = []
    for row, (image, mask) in zip(cohort.table.to_dict("records"), cohort.images, strict=True):
        kept = {str(name): str(cell) for name, cell in row.items() if name not in OWN_COLUMNS}
        sources.append(
            Source(row["participant_id"], row["session_id"], image, mask=mask, columns=kept, name=image.name)
        )
    return Found(tuple(sources), cohort.notes)


def _has_t1w(folder: Path) -> bool:
    return next(folder.glob("**/*_T1w.nii*"), None) is not None


def _of_bids(root: Path, wanted: Choice) -> Found:
    images = choose(choose(t1w_images(root), "space", wanted.space, root), "desc", wanted.desc, root)
    for entity, label in (("acq", wanted.acquisition), ("run", wanted.run)):
        images = choose(images, entity, label, root) if label else images
    sources = [_of_bids_image(image, root, wanted.mask) for image in images]
    table = pd.DataFrame([{"participant_id": one.participant_id, "session_id": one.session_id} for one in sources])
    remarks: list[str] = []
    if is_file(root / "participants.tsv"):
        table, remarks = with_people(table, participants_of(root))
    table = with_sessions(table, root).fillna("")
    rows = table.drop(columns=["participant_id", "session_id"]).to_dict("records")
    filled = [
        replace(source, columns={str(name): str(cell) for name, cell in row.items()})
        for source, row in zip(sources, rows, strict=True)
    ]
    return Found(tuple(filled), tuple(remarks))


def _of_bids_image(image: Path, root: Path, mask: str | None) -> Source:
    parts = entities(image)
    session = f"ses-{parts['ses']}" if "ses" in parts else ""
    labels: dict[str, str] = {key: parts[key] for key in LABELS if key in parts}
    inside = mask_of(image, mask) if mask else None
    name = str(image.relative_to(root)) if image.is_relative_to(root) else image.name
    return Source(f"sub-{parts['sub']}", session, image, mask=inside, labels=labels, name=name)


def _by_name(source: Source) -> frozenset[str]:
    space = entities(source.path).get("space", "")
    return frozenset({"registered"} if source.kind == "image" and space.startswith("MNI152") else ())


def _of_subject(folder: Path) -> Source:
    subject = read_subject(folder)
    return Source(subject.participant_id, subject.session_id, folder, SUBJECT, name=folder.name)


def _of_folder(path: Path) -> Found:
    scans = scans_in(path)
    if scans:
        return Found(tuple(_of_file(scan).sources[0] for scan in scans))
    if is_dicom_folder(path):
        return Found(tuple(Source(name, "", folder, DICOM, name=name) for name, folder in dicom_participants(path)))
    nested = [scan for folder in _folders_below(path) for scan in scans_in(folder)]
    return Found(tuple(_nested(scan, path) for scan in nested))


def _nested(scan: Path, root: Path) -> Source:
    if "sub" in entities(scan):
        return _of_bids_image(scan, root, None)
    relative = scan.relative_to(root)
    # a folder a person is the usual way; the file's name counts where it tells scans of one folder apart
    alone = len(scans_in(scan.parent)) == 1
    parts = relative.parts[:-1] if alone else (*relative.parts[:-1], scan_stem(scan))
    return Source("_".join(parts), "", scan, name=str(relative))


def _folders_below(root: Path) -> list[Path]:
    """Folders below one, sorted, six levels deep at most; links to folders are not followed, so that no loop is endless."""
    found = []
    for folder, below, _ in os.walk(root):
        here = Path(folder)
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "derivatives")
        if len(here.relative_to(root).parts) >= DEEPEST:
            below.clear()
        if here != root:
            found.append(here)
    return found


def _require_own_names(path: Path, sources: Sequence[Source]) -> None:
    by_stem: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        by_stem[source.stem.casefold()].append(source)
    problems = [
        f"{' and '.join(repr(one.name or one.label) for one in same)} would all be written as {same[0].stem!r}"
        for same in by_stem.values()
        if len(same) > 1
    ]
    if problems:
        raise CohortError(
            path, problems, "rename them, or list the scans in a table with a participant_id of their own"
        )
