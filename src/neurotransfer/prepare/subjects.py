"""Folders of FreeSurfer and FastSurfer: which are subjects, who and when they are, where their files lie."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.errors import InputError

# any one of these makes a folder a subject; so does one stats file
_IMAGES = ("mri/orig.mgz", "mri/brainmask.mgz", "mri/norm.mgz", "mri/mask.mgz")
# FastSurfer calls parts of recon-all for its surfaces and leaves their marks too: its own marks count first
_FASTSURFER = (
    "scripts/deep-seg.log",
    "scripts/recon-surf.log",
    "mri/aparc.DKTatlas+aseg.deep.mgz",
    "stats/aseg+DKT.stats",
    "stats/aseg+DKT.VINN.stats",
    "stats/cerebellum.CerebNet.stats",
    "stats/hypothalamus.HypVINN.stats",
    "stats/lh.aparc.DKTatlas.mapped.stats",
    "stats/rh.aparc.DKTatlas.mapped.stats",
)
_FREESURFER = ("scripts/recon-all.done", "scripts/recon-all.log", "scripts/build-stamp.txt")
_SEGMENTATIONS = ("aparc+aseg.mgz", "aparc.DKTatlas+aseg.deep.mgz", "aseg.mgz")
_LABEL = "[a-zA-Z0-9+]+"
_BIDS = re.compile(rf"(sub-{_LABEL})(?:_(ses-{_LABEL}))?(?:_[a-z]+-{_LABEL})*(?:_T1w)?")
_HEAD_BYTES = 65536


@dataclass(frozen=True)
class Subject:
    """One subject's folder; the paths are None where there is no such file.

    `tool` is "FreeSurfer" or "FastSurfer"; `version` is as the tool wrote it, "" when it is not known; `session_id` is
    "" when the folder's name has none.

    Example:
        >>> subject = Subject(Path("nowhere/sub-01_ses-2"), "FreeSurfer", "", "sub-01", "ses-2")
        >>> subject.orig, subject.segmentation, subject.stats
        (None, None, [])
    """

    folder: Path
    tool: str
    version: str
    participant_id: str
    session_id: str

    @property
    def identity(self) -> dict[str, str]:
        """Participant and session as the columns of a table have them."""
        return {"participant_id": self.participant_id, "session_id": self.session_id}

    @property
    def label(self) -> str:
        """Participant and session in one text."""
        return f"{self.participant_id} {self.session_id}".strip()

    @property
    def orig(self) -> Path | None:
        """The conformed head with its skull."""
        return self._image("orig.mgz")

    @property
    def mask(self) -> Path | None:
        """FastSurfer's mask of the brain."""
        return self._image("mask.mgz")

    @property
    def brainmask(self) -> Path | None:
        """FreeSurfer's brain without skull."""
        return self._image("brainmask.mgz")

    @property
    def norm(self) -> Path | None:
        """The brain with its intensities normalised."""
        return self._image("norm.mgz")

    @property
    def segmentation(self) -> Path | None:
        """The finest segmentation there: with surfaces (aparc+aseg), else FastSurfer's, else aseg."""
        return next((path for path in map(self._image, _SEGMENTATIONS) if path), None)

    @property
    def stats(self) -> list[Path]:
        """All stats files, by name."""
        return _stats_in(self.folder)

    def _image(self, name: str) -> Path | None:
        path = self.folder / "mri" / name
        return path if is_file(path) else None


def is_subject(folder: Path) -> bool:
    """Whether a folder is a subject of FreeSurfer or FastSurfer.

    It is when it has one of mri/orig.mgz, mri/brainmask.mgz, mri/norm.mgz and mri/mask.mgz, or a file stats/*.stats.

    Example:
        >>> is_subject(Path("nowhere/sub-01"))
        False
    """
    return _has_any(folder, _IMAGES) or bool(_stats_in(folder))


def subjects_in(folder: Path) -> list[Path]:
    """The subjects of a folder, by name: itself when it is one subject, else every child that is one.

    Left out are `fsaverage*`, hidden folders, and links to another subject of the same folder. The list is empty when
    there is none.

    Raises:
        InputError: when there is no such folder or it cannot be read.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ["sub-02/mri/orig.mgz", "sub-01/mri/norm.mgz", "fsaverage/mri/orig.mgz"]:
        ...     (root / name).parent.mkdir(parents=True)
        ...     (root / name).touch()
        >>> [path.name for path in subjects_in(root)]
        ['sub-01', 'sub-02']
    """
    if not is_folder(folder):
        raise InputError(
            f"there is no folder {str(folder)!r}; give a subject, or the folder that holds the subjects (SUBJECTS_DIR)"
        )
    if is_subject(folder):
        return [folder]
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        raise InputError(
            f"cannot read the folder {str(folder)!r} ({error.strerror}); ask for the right to read it"
        ) from None
    found = [folder / name for name in names if not name.startswith((".", "fsaverage")) and is_subject(folder / name)]
    real = {os.path.realpath(path) for path in found if not path.is_symlink()}
    return [path for path in found if not (path.is_symlink() and os.path.realpath(path) in real)]


def read_subject(folder: Path) -> Subject:
    """Tool, version, participant and session of one subject's folder.

    Participant and session come from names like `sub-01_ses-02`, also of FreeSurfer's longitudinal stream
    (`sub-01_ses-02.long.sub-01`); any other name is the participant as it is, without a session.

    Raises:
        InputError: when the folder is no subject.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "sub-01_ses-02.long.sub-01"
        >>> (folder / "mri").mkdir(parents=True)
        >>> (folder / "mri" / "norm.mgz").touch()
        >>> subject = read_subject(folder)
        >>> subject.participant_id, subject.session_id, subject.tool
        ('sub-01', 'ses-02', 'FreeSurfer')
    """
    if not is_subject(folder):
        raise InputError(
            f"{str(folder)!r} is no subject of FreeSurfer or FastSurfer: it has neither a stats file nor one of "
            f"{', '.join(_IMAGES)}; give a subject's folder"
        )
    tool = _tool(folder)
    version = _fastsurfer_version(folder) if tool == "FastSurfer" else _freesurfer_version(folder)
    return Subject(folder, tool, version, *_identity(folder))


def _identity(folder: Path) -> tuple[str, str]:
    """Participant and session; a name that is not wholly of this form is kept, lest two people become one."""
    name = folder.name if folder.name not in ("", "..") else os.path.basename(os.path.abspath(folder))  # noqa: PTH100, PTH119
    match = _BIDS.fullmatch(name.split(".long.")[0])
    return (match[1], match[2] or "") if match else (name, "")


def _tool(folder: Path) -> str:
    if _has_any(folder, _FASTSURFER):
        return "FastSurfer"
    # a mask alone is a weak mark: other tools put one beside FreeSurfer's files
    return "FastSurfer" if _has_any(folder, ["mri/mask.mgz"]) and not _has_any(folder, _FREESURFER) else "FreeSurfer"


def _freesurfer_version(folder: Path) -> str:
    stamps = (_head(folder / "scripts" / name) for name in ("build-stamp.txt", "lastcall.build-stamp.txt"))
    return next((lines[0].strip() for lines in (text.splitlines() for text in stamps) if lines), "")


def _fastsurfer_version(folder: Path) -> str:
    """The first line of the build's file, else what the log of the segmentation says: `Version: 2.2.0+9f37d02`."""
    build = next((text for name in ("BUILD.log", "build.log") if (text := _head(folder / "scripts" / name))), "")
    match = re.match(r"\s*(?:Version:\s*)?(\d\S*)", build)
    match = match or re.search(r"^Version:\s*(\d\S*)", _head(folder / "scripts" / "deep-seg.log"), re.MULTILINE)
    return match[1] if match else ""


def _head(path: Path) -> str:
    """The beginning of a text, "" where it cannot be read: a log that is damaged must not stop anything."""
    if not is_file(path):
        return ""
    try:
        with path.open("rb") as stream:
            text = stream.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")


def _has_any(folder: Path, names: Iterable[str]) -> bool:
    return any(is_file(folder / name) for name in names)


def _stats_in(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder / "stats"))  # noqa: PTH208
    except (OSError, ValueError):
        return []
    paths = [folder / "stats" / name for name in names if name.endswith(".stats") and not name.startswith(".")]
    return [path for path in paths if is_file(path)]
