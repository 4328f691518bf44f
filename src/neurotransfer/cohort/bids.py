"""Where the T1-weighted scans of a BIDS dataset are."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import CohortError, InputError

_ENTITY = re.compile(r"([a-zA-Z]+)-([a-zA-Z0-9+]+)")


def entities(path: Path) -> dict[str, str]:
    """The entities of a BIDS file name.

    Example:
        >>> entities(Path("sub-01_ses-2_space-MNI152_T1w.nii.gz"))
        {'sub': '01', 'ses': '2', 'space': 'MNI152'}
    """
    return dict(_ENTITY.findall(path.name.split(".")[0]))


def bids_table(root: Path, space: str | None, desc: str | None, mask: str | None) -> tuple[pd.DataFrame, list[str]]:
    """One row a T1w image below `root`, joined with `participants.tsv`; and remarks on what did not match.

    `space` and `desc` choose among preprocessed images (None: those without that entity, or, where there are none, the
    only one that there is); `mask` is the `desc` of the masks to take (`brain`), None for none.

    Raises:
        InputError: when there is no participants.tsv, no image, or several spaces to choose from.
        CohortError: when a file's name is not that of its folder, a participant's session has several images, or an
            image has no mask.
    """
    people = participants_of(root)
    images = t1w_images(root)
    images = choose(choose(images, "space", space, root), "desc", desc, root)
    table = pd.DataFrame([_row(path, root, mask) for path in images])
    _require_masks_and_one_image(table, root, mask)
    joined, remarks = with_people(table, people)
    return with_sessions(joined, root), remarks


def t1w_images(root: Path) -> list[Path]:
    """The T1-weighted images below `root`, without hidden ones (macOS leaves such) and those of its derivatives.

    Raises:
        InputError: when there is none.
        CohortError: when a file's name is not that of its folder.
    """
    images = [
        path
        for path in sorted(root.glob("sub-*/**/*_T1w.nii*"))
        if path.name.endswith((".nii", ".nii.gz")) and not _is_left_out(path.relative_to(root))
    ]
    if not images:
        raise InputError(
            f"no T1-weighted image (sub-*/**/*_T1w.nii or .nii.gz) below {str(root)!r}; is it a BIDS dataset?"
        )
    _require_names(images, root)
    return images


def _is_left_out(path: Path) -> bool:
    return any(part == "derivatives" or part.startswith(".") for part in path.parts)


def with_people(table: pd.DataFrame, people: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A table of scans joined with one of people (and sessions, where it names them); and remarks on what did not match."""
    keys = _keys(people)
    merged = table.merge(people, on=keys, how="left", validate="many_to_one", suffixes=("", "_participants"))
    return merged, _remarks(table, people, keys)


def with_sessions(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """A table of scans with what `sub-*/sub-*_sessions.tsv` say of their sessions; that counts more than what stands there.

    Raises:
        InputError: when such a table cannot be read.
        CohortError: when a session stands there twice.
    """
    people = table["participant_id"].unique()
    files = {person: root / person / f"{person}_sessions.tsv" for person in people}
    parts = [_sessions_of(person, path) for person, path in files.items() if path.is_file()]
    if not parts:
        return table
    keys = ["participant_id", "session_id"]
    new = table[keys].merge(pd.concat(parts, ignore_index=True), on=keys, how="left", validate="many_to_one")
    table = table.copy()
    for column in new.columns.drop(keys):
        kept = table[column].to_numpy() if column in table else np.full(len(table), "")
        said = new[column].fillna("").to_numpy()
        table[column] = np.where(said == "", kept, said)
    return table


def _sessions_of(participant: str, path: Path) -> pd.DataFrame:
    sessions = read_text_table(path)
    if "session_id" not in sessions:
        return pd.DataFrame({"participant_id": [], "session_id": []}, dtype=object)
    sessions = sessions.assign(participant_id=participant, session_id=_prefixed(sessions["session_id"], "ses-"))
    twice = np.flatnonzero(sessions.duplicated("session_id"))
    if len(twice):
        problems = [f"row {row + 1}: {sessions['session_id'].iloc[row]!r} stands there twice" for row in twice]
        raise CohortError(path, problems, "keep one row a session")
    return sessions


def participants_of(root: Path) -> pd.DataFrame:
    """The table `participants.tsv` of a dataset, labels with their prefixes.

    Raises:
        InputError: when it is absent or has no column participant_id.
        CohortError: when a person has no name or stands there twice.
    """
    path = root / "participants.tsv"
    if not path.is_file():
        raise InputError(
            f"{str(root)!r} has no participants.tsv; give a BIDS dataset, or a table of scans (.tsv, .csv, .parquet)"
        )
    people = read_text_table(path)
    if "participant_id" not in people:
        raise InputError(f"{str(path)!r} has no column participant_id; found: {', '.join(people.columns)}")
    nameless = np.flatnonzero(people["participant_id"] == "")
    people["participant_id"] = _prefixed(people["participant_id"], "sub-")
    if "session_id" in people:
        people["session_id"] = _prefixed(people["session_id"], "ses-")
    twice = np.flatnonzero(people.duplicated(_keys(people)) & (people["participant_id"] != ""))
    problems = [f"row {row + 1}: participant_id is empty" for row in nameless]
    problems += [f"row {row + 1}: {people['participant_id'].iloc[row]} stands there twice" for row in twice]
    if problems:
        raise CohortError(path, problems, "keep one row a participant (and session)")
    return people


def _prefixed(labels: pd.Series, prefix: str) -> pd.Series:
    return labels.map(lambda label: label if not label or label.startswith(prefix) else prefix + label)


def _keys(people: pd.DataFrame) -> list[str]:
    return [key for key in ("participant_id", "session_id") if key in people]


def _require_names(images: list[Path], root: Path) -> None:
    problems = [
        f"{str(path.relative_to(root))!r}: the name does not begin with that of its folder"
        for path in images
        if f"sub-{entities(path).get('sub')}" != path.relative_to(root).parts[0]
    ]
    if problems:
        raise CohortError(root, problems, "rename the file or the folder; BIDS labels are letters and digits only")


def choose(images: list[Path], entity: str, wanted: str | None, root: Path) -> list[Path]:
    """The images with this label of an entity; where None is wanted, those without it, or the only one that there is.

    Raises:
        InputError: naming what there is, when none has it.
    """
    found = [entities(path).get(entity) for path in images]
    if wanted is None and None not in found and len(set(found)) == 1:
        return images
    chosen = [path for path, value in zip(images, found, strict=True) if value == wanted]
    if not chosen:
        names = ", ".join(sorted({value or f"no {entity}" for value in found}))
        raise InputError(
            f"no T1w image below {str(root)!r} has {entity} {wanted!r}; found: {names}; choose one of these"
        )
    return chosen


def _row(path: Path, root: Path, mask: str | None) -> dict[str, str]:
    parts = entities(path)
    row = {"participant_id": f"sub-{parts['sub']}", "session_id": f"ses-{parts['ses']}" if "ses" in parts else ""}
    inside = mask_of(path, mask) if mask else None
    return row | {"image": str(path.relative_to(root)), "mask": str(inside.relative_to(root)) if inside else ""}


def mask_of(path: Path, desc: str) -> Path | None:
    """The mask beside an image that has its entities and this `desc`."""
    want = entities(path) | {"desc": desc}
    candidates = path.parent.glob(f"*desc-{desc}_mask.nii*")
    return next((candidate for candidate in sorted(candidates) if entities(candidate) == want), None)


def _require_masks_and_one_image(table: pd.DataFrame, root: Path, mask: str | None) -> None:
    problems = [
        f"row {index + 1}: {row.participant_id} {row.session_id}: several T1w images, one is {Path(row.image).name!r}"
        for index, row in table[table.duplicated(["participant_id", "session_id"], keep=False)].iterrows()
    ]
    if mask:
        problems += [
            f"row {index + 1}: {Path(row.image).name!r} has no desc-{mask} mask beside it"
            for index, row in table[table["mask"] == ""].iterrows()
        ]
    if problems:
        raise CohortError(
            root, problems, "choose by space or desc, remove what is not wanted, or list scans in a table"
        )


def _remarks(table: pd.DataFrame, people: pd.DataFrame, keys: list[str]) -> list[str]:
    scanned, listed = set(table["participant_id"]), set(people["participant_id"])
    remarks = []
    if listed - scanned:
        remarks.append(
            f"{len(listed - scanned)} of {len(listed)} people of participants.tsv have no such T1w image{_lost(scanned, listed)}"
        )
    if scanned - listed:
        remarks.append(f"{len(scanned - listed)} people with an image are not in participants.tsv: no target is known")
    known = pd.MultiIndex.from_frame(table[keys]).isin(pd.MultiIndex.from_frame(people[keys]))
    lost = int((~known & table["participant_id"].isin(listed).to_numpy()).sum())
    if lost:
        remarks.append(f"{lost} images are of a session that participants.tsv does not list: no target is known")
    return remarks


def _lost(scanned: set[str], listed: set[str]) -> str:
    """A hint where labels differ only by zeros that a spreadsheet takes away."""
    bare = {_without_zeros(label): label for label in sorted(scanned - listed)}
    pairs = [
        (label, bare[_without_zeros(label)]) for label in sorted(listed - scanned) if _without_zeros(label) in bare
    ]
    return f" ({pairs[0][0]!r} and the folder {pairs[0][1]!r}: were leading zeros lost?)" if pairs else ""


def _without_zeros(label: str) -> str:
    return label.removeprefix("sub-").lstrip("0")
