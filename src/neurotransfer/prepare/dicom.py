"""DICOM folders: whose they are, and the T1-weighted series of one as NIfTI, by dcm2niix, with nothing personal left."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import util
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from neurotransfer.artifacts import is_folder, require_no_file, storage
from neurotransfer.errors import ImageError, InputError, StorageError
from neurotransfer.prepare.dicom_choice import Series, choose_series, read_series, without_texts

PROGRAM = "dcm2niix"
NAME = "T1w.nii"
# what a sidecar of dcm2niix says of the scanner and the sequence, in its units: seconds, degrees, tesla
FACTS = (
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "FlipAngle",
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturersModelName",
)
DEEPEST = 9
MOST_FOLDERS = 1000
MOST_FILES = 20
# never DICOM, and not opened to see: a folder of other images is seen through at once
_IMAGES = (".nii", ".gz", ".mgz", ".mgh", ".png", ".jpg", ".jpeg")
_OTHER = {*_IMAGES, ".json", ".tsv", ".csv", ".txt", ".xlsx", ".pdf", ".xml", ".html", ".zip", ".log"}
_VERSION = re.compile(r"version (v?\d[\w.]*)")
_MADE = re.compile(r"^Convert \d+ DICOM as (.+) \(\d+x")
_INCOMPLETE = re.compile(r"interslice distance varies|missing images", re.IGNORECASE)
_FULL = re.compile(r"disk full|no space left|quota exceeded", re.IGNORECASE)
_LAST_LINES = 5
# no defaults of the user's own; not compressed; anonymised sidecars; named by series number; where it is run
_OPTIONS = ("-g", "i", "-z", "n", "-b", "y", "-ba", "y", "-f", "%s", "-o", ".")


@dataclass(frozen=True)
class Converted:
    """A T1-weighted series as NIfTI: its `image` and number, technical `facts` (those of `FACTS` known), dcm2niix's version."""

    image: Path
    series: int
    facts: Mapping[str, float | str]
    version: str


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder, or one below it, holds DICOM files, whatever their names.

    A file is DICOM when it has the mark `DICM` at byte 128; a DICOMDIR alone is none. At most `MOST_FILES` files a folder
    and `MOST_FOLDERS` folders are looked at, `DEEPEST` levels deep. A BIDS dataset is no DICOM folder, nor is what lies in
    its `sourcedata` part of it.
    """
    if not is_folder(folder) or (folder / "dataset_description.json").exists():
        return False
    return any(_holds_dicom(files) for files in islice(_files_by_folder(folder), MOST_FOLDERS))


def dicom_participants(folder: Path) -> list[tuple[str, Path]]:
    """The participants of a DICOM folder, sorted: what each is called, and the folder with all of their series.

    A folder that directly holds DICOM files is one participant. Otherwise each folder directly below it that holds DICOM,
    however deep, is one: give the folder above those of the participants, not that of one participant's series.

    Raises:
        InputError: when there is none, or DICOM files lie both in the folder and in folders below it.
    """
    direct = is_folder(folder) and _holds_dicom(next(_files_by_folder(folder), []))
    below = [path for path in _folders_in(folder) if is_dicom_folder(path)]
    if direct and below:
        raise InputError(
            f"{str(folder)!r} holds DICOM files and the folder {below[0].name!r} with DICOM files too; allowed: the files of "
            "one participant, or one folder a participant: move the files into a folder of their own"
        )
    found = [folder] if direct else below
    if not found:
        raise InputError(f"{str(folder)!r} holds no DICOM files; give a folder of them, or one folder a participant")
    return [(path.resolve().name if direct else path.name, path) for path in found]


def convert_dicom(folder: Path, out: Path, timeout_s: float = 600, series: int | None = None) -> Converted:
    """Convert the DICOM files of one participant, and keep the T1-weighted structural series as `T1w.nii` in `out`.

    What is T1-weighted is said in `choose_series`; `series` chooses by number instead. The NIfTI has no texts in its header,
    the sidecars are removed, and where anything fails, nothing is left in `out`. The disk needs room for all series.

    Raises:
        InputError: when dcm2niix is not installed, a file may not be read, `T1w.nii` is there already, no series looks
            T1-weighted or several do.
        ImageError: when dcm2niix fails, takes longer than `timeout_s`, makes nothing, or finds slices missing.
        StorageError: when the disk is full or `out` cannot be written.
    """
    require_no_file(out / NAME)
    program, files = find_converter(), _dicom_files(folder)
    here = out.absolute()
    with storage(out), TemporaryDirectory() as links, TemporaryDirectory(prefix=".dicom-", dir=here) as made:
        # links have names without people in them, no loops, no depth, and only what is DICOM
        for index, file in enumerate(files):
            (Path(links) / f"{index:06d}.dcm").symlink_to(file)
        code, text = _run(program, Path(links), Path(made), timeout_s)
        chosen = _chosen(code, text, Path(made), series, folder)
        without_texts(chosen.image)
        chosen.image.replace(out / NAME)
    version = _VERSION.search(text)
    facts = {name: chosen.sidecar[name] for name in FACTS if isinstance(chosen.sidecar.get(name), int | float | str)}
    return Converted(out / NAME, chosen.number, facts, version[1] if version else "unknown")


def find_converter() -> Path:
    """Where dcm2niix is: on PATH, else in the package `dcm2niix` of this Python.

    Raises:
        InputError: when it is in neither.
    """
    package = util.find_spec(PROGRAM)
    places = [None, *((package.submodule_search_locations or []) if package else [])]
    for place in places:
        found = shutil.which(PROGRAM, path=place)
        if found:
            return Path(found).absolute()
    raise InputError(
        "DICOM files are converted by dcm2niix, which is not on PATH and not in this Python; run pip install "
        "'neurotransfer[dicom]', or install the system's package dcm2niix"
    )


def _files_by_folder(root: Path, *, strict: bool = False) -> Iterator[list[Path]]:
    """The files of each folder from `root` down, sorted; links are followed, but no folder is entered twice.

    What cannot be read is passed over, or raises OSError when `strict`.
    """
    waiting, seen = [(root, 0)], set()
    while waiting:
        folder, depth = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            with os.scandir(folder) as entries:
                visible = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError:
            if strict:
                raise
            continue
        seen.add((status.st_dev, status.st_ino))
        yield [Path(entry) for entry in visible if _may_be_dicom(entry)]
        if strict or depth < DEEPEST:
            waiting += [(Path(entry), depth + 1) for entry in reversed(visible) if _is_entered(entry)]


def _may_be_dicom(entry: os.DirEntry[str]) -> bool:
    other = entry.name.upper() == "DICOMDIR" or os.path.splitext(entry.name)[1].lower() in _OTHER  # noqa: PTH122
    try:
        return not other and entry.is_file()
    except OSError:
        return False


def _is_entered(entry: os.DirEntry[str]) -> bool:
    return entry.name != "sourcedata" and is_folder(Path(entry))


def _folders_in(folder: Path) -> list[Path]:
    if not is_folder(folder):
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != "." and is_folder(path))
    except OSError as error:
        raise InputError(f"cannot read the folder {str(folder)!r}: {error.strerror}; ask its owner") from None


def _holds_dicom(files: list[Path]) -> bool:
    return any(_has_mark(file) for file in files[:MOST_FILES])


def _has_mark(path: Path, *, strict: bool = False) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:
        if strict:
            raise
        return False


def _dicom_files(folder: Path) -> list[Path]:
    """All DICOM files of a folder and those below it, absolute, each once."""
    try:
        files = [file for files in _files_by_folder(folder, strict=True) for file in files]
        found = {file.resolve(): None for file in files if _has_mark(file, strict=True)}
    except OSError as error:
        where = str(error.filename or folder)
        raise InputError(
            f"cannot read {where!r}: {error.strerror}; give a folder of DICOM files that you may read"
        ) from None
    if not found:
        raise InputError(
            f"{str(folder)!r} holds no DICOM files (none has the mark DICM at byte 128); give their folder"
        )
    return list(found)


def _run(program: Path, source: Path, made: Path, timeout_s: float) -> tuple[int, str]:
    """The exit code and the words of dcm2niix, run in `made` on the files in `source`; its errors are the last words."""
    command = [str(program), *_OPTIONS, str(source)]
    try:
        # a group of its own, so that a program that is a script ends with all that it started
        process = subprocess.Popen(
            command,
            cwd=made,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(f"cannot run {str(program)!r}: {error.strerror}; install dcm2niix anew") from None
    with process:
        try:
            output = process.communicate(timeout=timeout_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ImageError(
                f"dcm2niix had not finished after {timeout_s:g} s; copy the DICOM files to a local disk, or give it only "
                "the folder of the T1-weighted series"
            ) from None
    return process.returncode, b"\n".join(output).decode(errors="replace")


def _chosen(code: int, text: str, made: Path, number: int | None, folder: Path) -> Series:
    """The series that is wanted among what dcm2niix made, once it is known to be whole."""
    if code and _FULL.search(text):
        raise StorageError(f"no space left for what dcm2niix makes of {str(folder)!r}; free some space, and run again")
    # the resampled copies that dcm2niix makes of series with gaps have no sidecar
    images = [path for path in sorted(made.glob("*.nii")) if path.with_suffix(".json").exists()]
    # one damaged series must not forbid another one that was chosen by its number
    if code and (number is None or not images):
        raise ImageError(
            f"dcm2niix failed on {str(folder)!r} with exit code {code}: {_end_of(text)}; export the series again, or give only "
            "the folder of the T1-weighted series"
        )
    if not images:
        raise ImageError(f"dcm2niix made no image of {str(folder)!r}: {_end_of(text)}; does it hold MRI?")
    chosen = choose_series([read_series(path) for path in images], number, folder)
    if chosen.image.stem in _incomplete(text):
        raise ImageError(f"slices are missing in {chosen.label} of {str(folder)!r}; export the series again, all of it")
    return chosen


def _end_of(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) or "it says nothing"


def _incomplete(text: str) -> set[str]:
    r"""The names of images whose slices dcm2niix found to be missing; its warnings stand before the image's own line.

    Example:
        >>> sorted(_incomplete("Missing images?\nConvert 3 DICOM as ./1 (4x4x3)\nConvert 9 DICOM as ./2 (4x4x9)"))
        ['1']
    """
    found, warned = set(), False
    for line in text.splitlines():
        warned = warned or bool(_INCOMPLETE.search(line))
        made = _MADE.match(line)
        if made and warned:
            found.add(Path(made[1]).name)
        warned = warned and not made
    return found
