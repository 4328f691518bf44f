"""What an input holds: one scan, a folder, a BIDS dataset, a table, DICOM, or a FreeSurfer or FastSurfer folder."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from neurotransfer.artifacts import TABLE_SUFFIXES, is_file, is_folder
from neurotransfer.cohort.bids import (
    choose,
    entities,
    mask_of,
    participants_of,
    t1w_images,
    with_people,
    with_sessions,
)
from neurotransfer.cohort.files import folders_below, is_image_name, scan_stem, scans_in
from neurotransfer.cohort.images import IMAGE_SUFFIXES
from neurotransfer.cohort.preparation import identity_of, preparation_of
from neurotransfer.cohort.table import read_cohort
from neurotransfer.errors import CohortError, InputError
from neurotransfer.prepare.dicom import dicom_participants, is_dicom_folder
from neurotransfer.prepare.source import DICOM, SUBJECT, Source, problems_of_names
from neurotransfer.prepare.subjects import is_subject, read_subject, subjects_in

COHORTS = ("cohort.tsv", "cohort.csv", "cohort.parquet")
OWN_COLUMNS = ("participant_id", "session_id", "image", "mask")
SHEETS = (".xlsx", ".xls", ".ods")
DEEPEST = 6
# in the order of BIDS
LABELS: tuple[str, ...] = ("acq", "ce", "rec", "run", "echo", "inv", "part")
# how BIDS calls what lies beside a T1-weighted image of the same person
OTHER_IMAGES = ("T2w", "T2star", "T2starw", "FLAIR", "PDw", "PDT2", "inplaneT1", "inplaneT2", "T1map", "T2map", "angio",
                "bold", "cbv", "sbref", "dwi", "epi", "asl", "m0scan", "magnitude", "magnitude1", "magnitude2", "phase",
                "phase1", "phase2", "phasediff", "fieldmap")  # fmt: skip
_BIDS_NAME = re.compile(r"(^|_)sub-[a-zA-Z0-9+]+(_|$)")


@dataclass(frozen=True)
class Choice:
    """Which images of an input are wanted: labels of BIDS entities (None: those without), and the `desc` of masks to apply.

    `acquisition` and `run` are "" for all that there are. `series` is the number of the DICOM series to take, the one that
    looks T1-weighted when it is None.
    """

    space: str | None = None
    desc: str | None = None
    mask: str | None = None
    acquisition: str = ""
    run: str = ""
    series: int | None = None


@dataclass(frozen=True)
class Found:
    """What an input holds: its scans, and remarks for the reader."""

    sources: tuple[Source, ...]
    remarks: tuple[str, ...] = ()

    def with_remarks(self, *remarks: str) -> "Found":
        """The same scans with more remarks; empty ones are left out."""
        return replace(self, remarks=(*self.remarks, *filter(None, remarks)))


def find_sources(path: Path, wanted: Choice, declared: frozenset[str] = frozenset()) -> Found:
    """All scans of an input, before one of them is read.

    Raises:
        InputError: when there is nothing there, or nothing that can be prepared.
        CohortError: with all scans whose outputs would have the same name, and all that have no name or no mask.
    """
    path = Path(path)
    found = _found(path, wanted)
    if not found.sources:
        raise InputError(
            f"{str(path)!r} holds no scan that can be prepared; allowed: {', '.join(IMAGE_SUFFIXES)}, DICOM files, and folders of "
            "FreeSurfer or FastSurfer. Hidden files, masks and segmentations, by their names, and derivatives are passed over"
        )
    sources = tuple(_complete(source, declared, wanted.series) for source in found.sources)
    problems = problems_of_names(sources)
    if problems:
        advice = "give participants of a table other ids; rename files and folders, or list them in a table"
        raise CohortError(path, problems, advice)
    return replace(found, sources=sources)


def _complete(source: Source, declared: frozenset[str], series: int | None) -> Source:
    """With all that is known of it, and names that can be written in a table: a file's name need not be text."""
    space = entities(source.path).get("space", "") if source.kind not in (SUBJECT, DICOM) else ""
    by_name = {"registered"} if space.startswith("MNI152") else set()
    person, name = (text.encode(errors="backslashreplace").decode() for text in (source.participant_id, source.name))
    series = series if source.kind == DICOM else None
    known = source.declared | declared | by_name
    return replace(source, participant_id=person.strip(), name=name, declared=known, series=series)


def _found(path: Path, wanted: Choice) -> Found:
    if not is_file(path) and not is_folder(path):
        raise InputError(
            f"there is no {str(path)!r}; give a scan, a folder of scans, a BIDS dataset, a table of scans, a DICOM folder, or a "
            "FreeSurfer or FastSurfer folder"
        )
    tables = [path / name for name in COHORTS if is_file(path / name)]
    if is_folder(path) and not tables and any(_has_t1w(folder) for folder in sorted(path.glob("sub-*"))):
        return _of_bids(path, wanted)
    unused = "space, desc, mask, acquisition and run choose among the images of a BIDS dataset; they say nothing here"
    found = _of_table(tables[0]) if tables else _of_file(path) if is_file(path) else _of_folder(path)
    return found.with_remarks("" if wanted == Choice(series=wanted.series) else unused)


def _has_t1w(folder: Path) -> bool:
    return next(folder.glob("**/*_T1w.nii*"), None) is not None


def _of_file(path: Path) -> Found:
    if is_image_name(path):
        return Found((_of_image(path),))
    if path.name in ("participants.tsv", "dataset_description.json"):
        raise InputError(f"{str(path)!r} belongs to a BIDS dataset and lists no scans; give the dataset's folder")
    if path.suffix.lower() not in (*TABLE_SUFFIXES, *SHEETS):
        raise InputError(
            f"{str(path)!r} is neither a scan ({', '.join(IMAGE_SUFFIXES)}) nor a table ({', '.join(TABLE_SUFFIXES)}); of DICOM, "
            "FreeSurfer and FastSurfer give the folder, convert other images to NIfTI"
        )
    return _of_table(path)


def _of_image(path: Path) -> Source:
    """One image alone: whose it is says its BIDS name, the FreeSurfer folder that it lies in, or else its name."""
    if _BIDS_NAME.search(scan_stem(path)):
        return _of_bids_image(path, path.parent, None)
    if _is_in_subject(path):
        subject = read_subject(path.parent.parent)
        return Source(subject.participant_id, subject.session_id, path, name=path.name)
    return Source(scan_stem(path), "", path, name=path.name)


def _is_in_subject(path: Path) -> bool:
    here = path.absolute()
    return here.parent.name == "mri" and is_subject(here.parent.parent)


def _of_table(path: Path) -> Found:
    # scans that are prepared need not be alike
    cohort = read_cohort(path, check=False, alignment="centre")
    # a column that the table need not have is made empty where it has none
    own = {*OWN_COLUMNS, *([] if cohort.table["site"].any() else ["site"])}
    sources = []
    for row, (image, mask) in zip(cohort.table.to_dict("records"), cohort.images, strict=True):
        kept = {str(name): str(cell) for name, cell in row.items() if name not in own}
        sources.append(
            Source(row["participant_id"], row["session_id"], image, mask=mask, columns=kept, name=image.name)
        )
    before = identity_of(cohort.preparation)
    remark = f"these volumes were prepared before, by recipe {before}; the raw scans are the better input"
    return Found(tuple(sources), cohort.notes).with_remarks(remark if before else "")


def _of_bids(root: Path, wanted: Choice) -> Found:
    there = t1w_images(root)
    images = choose(choose(there, "space", wanted.space, root), "desc", wanted.desc, root)
    for entity, label in (("acq", wanted.acquisition), ("run", wanted.run)):
        images = choose(images, entity, label, root) if label else images
    sources = [_of_bids_image(image, root, wanted.mask) for image in images]
    _require_masks(root, sources, wanted.mask)
    table = pd.DataFrame([{"participant_id": one.participant_id, "session_id": one.session_id} for one in sources])
    remarks = [_without_choice(there, images)]
    if is_file(root / "participants.tsv"):
        table, more = with_people(table, participants_of(root))
        remarks += more
    table = with_sessions(table, root).fillna("")
    rows = table.drop(columns=["participant_id", "session_id"]).to_dict("records")
    filled = [
        replace(source, columns={str(name): str(cell) for name, cell in row.items()})
        for source, row in zip(sources, rows, strict=True)
    ]
    return Found(tuple(filled)).with_remarks(*remarks)


def _require_masks(root: Path, sources: Sequence[Source], mask: str | None) -> None:
    problems = [f"{one.name!r} has no desc-{mask} mask beside it" for one in sources if one.mask is None]
    if mask and problems:
        raise CohortError(root, problems, "add the masks, or leave out the mask and let the brain be found in all")


def _without_choice(there: Sequence[Path], chosen: Sequence[Path]) -> str:
    everyone, kept = ({entities(path)["sub"] for path in paths} for paths in (there, chosen))
    lost = [f"sub-{label}" for label in sorted(everyone - kept)]
    named = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    return f"{len(lost)} of {len(everyone)} people have no image of this choice: {named}" if lost else ""


def _of_bids_image(image: Path, root: Path, mask: str | None) -> Source:
    parts = entities(image)
    session = f"ses-{parts['ses']}" if "ses" in parts else ""
    labels: dict[str, str] = {key: parts[key] for key in LABELS if key in parts}
    inside = mask_of(image, mask) if mask else None
    name = str(image.relative_to(root)) if image.is_relative_to(root) else image.name
    return Source(f"sub-{parts['sub']}", session, image, mask=inside, labels=labels, name=name)


def _of_subject(folder: Path) -> Source:
    subject = read_subject(folder)
    return Source(subject.participant_id, subject.session_id, folder, SUBJECT, name=folder.name)


def _of_folder(path: Path) -> Found:
    if _is_in_subject(path / "orig.mgz"):
        return Found((_of_subject(path.absolute().parent),))
    subjects, scans = subjects_in(path), scans_in(path)
    if subjects:
        return Found(tuple(map(_of_subject, subjects))).with_remarks(_beside(scans, "subjects"))
    if scans:
        kept, remark = _t1_weighted(scans)
        below = _of_folders(path).sources
        return Found(tuple(map(_of_image, kept))).with_remarks(
            remark, _beside([one.path for one in below], "the folder's own")
        )
    found = _of_folders(path)
    if is_dicom_folder(path):
        dicom = tuple(Source(name, "", folder, DICOM, name=name) for name, folder in dicom_participants(path))
        return Found(dicom).with_remarks(_beside([source.path for source in found.sources], "DICOM files"))
    return found


def _beside(others: Sequence[Path], taken: str) -> str:
    many = f"{len(others)} other scans (one is {others[0].name!r})" if others else ""
    return f"only {taken} were taken, {many} were passed over; give their folder to prepare them" if others else ""


def _t1_weighted(scans: Sequence[Path]) -> tuple[list[Path], str]:
    """Without images that BIDS calls otherwise, where some are called T1-weighted; and a remark on the others."""
    suffixes = {scan: scan_stem(scan).split("_")[-1] if _BIDS_NAME.search(scan_stem(scan)) else "" for scan in scans}
    if "T1w" not in suffixes.values():
        return list(scans), ""
    kept = [scan for scan in scans if suffixes[scan] not in OTHER_IMAGES]
    lost = sorted({suffixes[scan] for scan in scans} & set(OTHER_IMAGES))
    remark = (
        f"{len(scans) - len(kept)} images that are not T1-weighted by their names ({', '.join(lost)}) were passed over"
    )
    return kept, remark if lost else ""


def _of_folders(root: Path) -> Found:
    """The scans and subjects in the folders below one."""
    folders, closed = folders_below(root, DEEPEST, ("derivatives",), _is_whole)
    ends = set(filter(_is_whole, folders))
    subjects = [folder for folder in folders if is_subject(folder) and not folder.name.startswith("fsaverage")]
    scans, remark = _t1_weighted([scan for folder in folders if folder not in ends for scan in scans_in(folder)])
    in_folder = Counter(scan.parent for scan in scans)
    sources = [_nested(scan, root, in_folder[scan.parent] == 1) for scan in scans]
    unread = f"{len(closed)} folders cannot be read, one is {str(closed[0])!r}" if closed else ""
    guessed = [one for one in sources if not one.participant_id.startswith("sub-")]
    who = f"{len(guessed)} scans are called by their folders, as {guessed[0].label!r} is" if guessed else ""
    advice = "; where a person has several, list the scans in a table, lest one person counts as two"
    found = Found((*map(_of_subject, subjects), *sources))
    return found.with_remarks(remark, unread, who + advice if who else "")


def _is_whole(folder: Path) -> bool:
    """Whether what lies in a folder is no heap of scans: a subject, or what was prepared into a folder of the input."""
    try:
        return is_subject(folder) or bool(preparation_of(folder))
    except InputError:
        return True


def _nested(scan: Path, root: Path, alone: bool) -> Source:
    if _BIDS_NAME.search(scan_stem(scan)):
        return _of_bids_image(scan, root, None)
    relative = scan.relative_to(root)
    # a folder a person is the usual way; the file's name counts where it tells scans of one folder apart
    parts = relative.parts[:-1] if alone else (*relative.parts[:-1], scan_stem(scan))
    return Source("_".join(parts), "", scan, name=str(relative))
