"""Files that may be scans, by their names, and the folders that they lie in."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.cohort.images import IMAGE_SUFFIXES
from neurotransfer.errors import InputError

# the last part of the name of what lies beside a scan and is none
NO_SCANS = ("mask", "dseg", "probseg", "seg", "aseg", "aparc+aseg", "segmentation", "labels")
TABLES = ("participants.tsv", "cohort.tsv", "cohort.csv", "cohort.parquet")


def is_image_name(path: Path) -> bool:
    """Whether a file has the ending of an image that can be read.

    Example:
        >>> is_image_name(Path("a.nii.gz")), is_image_name(Path("a.txt"))
        (True, False)
    """
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def scan_stem(path: Path) -> str:
    """The name of a scan without its ending.

    Example:
        >>> scan_stem(Path("folder/a.b.nii.gz"))
        'a.b'
    """
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def is_scan_name(path: Path) -> bool:
    """Whether a file is a scan by its name: an image that is not hidden, no mask and no segmentation.

    Example:
        >>> [is_scan_name(Path(name)) for name in ("a.nii", ".a.nii", "a_mask.nii", "a-seg.mgz", "brainmask.mgz")]
        [True, False, False, False, True]
    """
    last = re.split(r"[_\-. ]", scan_stem(path))[-1].lower()
    return is_image_name(path) and not path.name.startswith(".") and last not in NO_SCANS


def scans_in(folder: Path) -> list[Path]:
    """The images of a folder, sorted; hidden files, masks and segmentations, by their names, are passed over.

    Raises:
        InputError: when the folder cannot be read.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"cannot read the folder {str(folder)!r} ({error.strerror}); ask its owner for the right to read it"
        ) from None
    return [path for path in paths if is_scan_name(path) and not is_folder(path)]


def has_table(folder: Path) -> bool:
    """Whether a folder has a table of scans or of people."""
    return any(is_file(folder / name) for name in TABLES)


def folders_below(
    root: Path,
    deepest: int,
    passed_over: Iterable[str] = (),
    is_end: Callable[[Path], bool] = lambda folder: False,
) -> tuple[list[Path], list[Path]]:
    """The folders below one, in the order of their names, and those of them that cannot be read.

    Hidden folders are left out. A link is followed only where it leads away from all that is seen anyway, so that nothing
    is found twice and no loop is endless.

    Args:
        root: where to begin; it is not among the folders.
        deepest: how many levels below it are entered.
        passed_over: names of folders that are left out.
        is_end: whether a folder is found but not entered.
    """
    found: list[Path] = []
    closed: list[Path] = []
    left_out, entered = set(passed_over), _Entered(root)
    for name, below, _ in os.walk(
        root, followlinks=True, onerror=lambda error: closed.append(Path(str(error.filename)))
    ):
        here = Path(name)
        if here != root:
            found.append(here)
        if len(here.relative_to(root).parts) >= deepest or (here != root and is_end(here)):
            below.clear()
        below[:] = [one for one in sorted(below) if one[0] != "." and one not in left_out and entered.may(here / one)]
    return found, closed


class _Entered:
    """The real folders that a walk has entered from outside: its root, and where links have led to."""

    def __init__(self, root: Path) -> None:
        self.tops: set[Path] = set()
        self.above: set[Path] = set()
        self._enter(Path(os.path.realpath(root)))

    def may(self, folder: Path) -> bool:
        """Whether to enter a folder: unless it is a link into, or to above, what was entered."""
        if not folder.is_symlink():
            return True
        real = Path(os.path.realpath(folder))
        if real in self.above or not self.tops.isdisjoint([real, *real.parents]):
            return False
        self._enter(real)
        return True

    def _enter(self, real: Path) -> None:
        self.tops.add(real)
        self.above |= set(real.parents)
