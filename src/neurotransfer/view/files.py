"""Which files belong to a scan: its image, the mask beside it, the maps of relevance made of it."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.cohort.bids import entities
from neurotransfer.cohort.files import folders_below, is_image_name, scan_stem
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import InputError
from neurotransfer.view.scans import KEYS, MAP, File

MASK_END, SCAN_END = "_mask", "_T1w"
# entities that a mask need not share with its scan
OWN = ("desc", "res", "den")
DEEPEST = 4
METHOD, TABLE = "_map-", "maps.parquet"


def real(path: Path) -> Path | None:
    """Where an image lies with all links followed; None when it is none, or not there."""
    if not is_image_name(path) or not is_file(path):
        return None
    followed = Path(os.path.realpath(path))
    return followed if is_file(followed) else None


def inside(path: Path, folder: Path) -> Path | None:
    """As `real`, of a file that was found and not named by a table: None too when links lead out of `folder`."""
    followed = real(path)
    if followed is None or not followed.is_relative_to(os.path.realpath(folder)):
        return None
    return followed


def image_of(named: str, places: Iterable[Path]) -> Path | None:
    """The image that a table names, sought from each of some folders; None when it is nowhere."""
    if not named or "\0" in named:
        return None
    return next((found for place in places if (found := real(place / named)) is not None), None)


class Masks:
    """The masks that lie beside scans; every folder is read once."""

    def __init__(self) -> None:
        self._known: dict[Path, Mapping[tuple[str, ...], Path]] = {}

    def beside(self, image: Path) -> Path | None:
        """The mask in the folder of an image whose name is that of the image but for `desc` and `_mask`.

        Example:
            >>> Masks().beside(Path("nowhere/sub-01_T1w.nii.gz")) is None
            True
        """
        folder = image.parent
        if folder not in self._known:
            self._known[folder] = _masks_in(folder)
        found = self._known[folder].get(_whose(image))
        return None if found is None else inside(found, _dataset_of(folder))


def _dataset_of(folder: Path) -> Path:
    """The folder that a folder of a person lies in, in which a dataset may keep what its links lead to; else the folder itself."""
    people = [place for place in (folder, *folder.parents) if place.name.startswith("sub-")]
    return people[-1].parent if people else folder


def _masks_in(folder: Path) -> Mapping[tuple[str, ...], Path]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return {}
    masks: dict[tuple[str, ...], Path] = {}
    for name in names:
        path = folder / name
        if is_image_name(path) and scan_stem(path).endswith(MASK_END) and not name.startswith("."):
            # the brain comes first by the alphabet among what derivatives usually have
            masks.setdefault(_whose(path), path)
    return masks


def _whose(path: Path) -> tuple[str, ...]:
    """What a mask and its scan have in common: entities of BIDS, or the beginning of the name."""
    found = {name: value for name, value in entities(path).items() if name not in OWN}
    if "sub" in found:
        return tuple(sorted(f"{name}-{value}" for name, value in found.items()))
    return (scan_stem(path).removesuffix(MASK_END).removesuffix(SCAN_END),)


def maps_below(folder: Path) -> dict[tuple[str, str], list[File]]:
    """Maps of relevance (`*_map-NAME.nii.gz`) below a folder, by participant and session, in the order of their names.

    Raises:
        InputError: when there is no such folder, or no map below it.
    """
    if not is_folder(folder):
        raise InputError(
            f"there is no folder of maps {str(folder)!r}; give one that `neurotransfer explain maps` wrote"
        )
    owners = _owners_in(folder)
    found: dict[tuple[str, str], list[File]] = {}
    folders = [folder, *folders_below(folder, DEEPEST)[0]]
    for path in sorted(path for each in folders for path in each.glob(f"*{METHOD}*.nii*") if path.name[0] != "."):
        followed = inside(path, folder)
        if followed is not None:
            found.setdefault(_owner(path, owners), []).append(File(followed, _label(path)))
    if not found:
        raise InputError(
            f"{str(folder)!r} holds no map (*_map-NAME.nii.gz); give a folder that `neurotransfer explain maps` wrote"
        )
    return found


def _owners_in(folder: Path) -> Mapping[str, tuple[str, str]]:
    """Whose maps they are, by how their names begin, as the table of the maps says it; empty without a table."""
    path = next((place / TABLE for place in (folder, folder.parent) if is_file(place / TABLE)), None)
    table = None if path is None else read_text_table(path)
    if table is None or "stem" not in table:
        return {}
    return {stem: (who, when) for stem, who, when in table[["stem", *KEYS]].itertuples(index=False)}


def _owner(path: Path, owners: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    stem = re.split(rf"_(?:space|target|desc|{METHOD[1:-1]})-", scan_stem(path))[0]
    if stem in owners:
        return owners[stem]
    found = entities(path)
    if "sub" in found:
        return f"sub-{found['sub']}", f"ses-{found['ses']}" if "ses" in found else ""
    return stem, ""


def _label(path: Path) -> str:
    """How a map is called: its method, and whatever else tells it from the others.

    Example:
        >>> _label(Path("sub-01_space-scan_map-LrpGamma.nii.gz"))
        "lrp-gamma, on the scan's voxels"
        >>> _label(Path("sub-01_target-age_map-lrp.nii.gz"))
        'lrp, target age'
    """
    found = entities(path)
    rest = [name for name in found if name not in ("sub", "ses", METHOD[1:-1])]
    said = [f"on the {found[name]}'s voxels" if name == "space" else f"{name} {found[name]}" for name in rest]
    # labels of BIDS have no hyphens: words begin with capitals
    method = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", scan_stem(path).rsplit(METHOD, 1)[-1]).lower()
    return ", ".join([method, *said])


def with_maps(
    files: list[dict[str, File]], keys: Iterable[tuple[str, str]], maps: Mapping[tuple[str, str], list[File]]
) -> int:
    """Add to the files of each scan the maps of its participant and session; gives how many scans have some."""
    n = 0
    for own, (participant, session) in zip(files, keys, strict=True):
        # a map of a scan without a session, or of one that does not name it
        theirs = maps.get((participant, session)) or maps.get((participant, "")) or []
        own.update({f"{MAP}-{place}": file for place, file in enumerate(theirs)})
        n += bool(theirs)
    return n
