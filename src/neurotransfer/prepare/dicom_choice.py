"""Which of the series that dcm2niix made is the T1-weighted structural one."""

import json
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurotransfer.errors import ImageError, InputError

FEWEST_SLICES = 32
THICKEST_MM = 4.0
LONGEST_ECHO_S = 0.010
LONGEST_REPETITION_S = 4.0
# what makes T1 contrast; shorter nulls fat, longer nulls water
INVERSION_S = (0.3, 1.6)
HEADER_BYTES = 352
_COLOURS = (128, 2304)
# the places of texts in a header of NIfTI-1: data_type and db_name, descrip and aux_file, intent_name
_TEXTS = ((4, 32), (148, 252), (328, 344))
_PLANE = r"(?<![a-z])(?:3d|2d|ax|sag|cor|tra)?"
_T1 = re.compile(rf"{_PLANE}[\W_]*t1|mp[\W_]?2?rage|spgr|bravo|tfe|tfl")
_OTHER = re.compile(
    rf"{_PLANE}[\W_]*t2|flair|stir|(?<![a-z])(?:dwi|dti|adc|swi|asl|tof|mip|pd)(?![a-z])|diff|bold|fmri|perf|angio|"
    r"locali[sz]|scout|survey|3[\W_]?pl|field|map|inv[\W_]?[12]"
)
_OTHER_TYPES = {"DERIVED", "LOCALIZER", "PROJECTION IMAGE", "MPR", "MIP", "PHASE", "REAL", "IMAGINARY", "SCREEN SAVE"}


@dataclass(frozen=True, eq=False)
class Series:
    """A series as dcm2niix made it: its `image`, `shape` and sides of a voxel in mm, and the `sidecar`, which may be personal."""

    image: Path
    shape: tuple[int, ...]
    sides_mm: tuple[float, ...]
    is_colour: bool
    sidecar: Mapping[str, Any]

    @property
    def number(self) -> int:
        """The series number; dcm2niix makes one up where the DICOM files have none."""
        said = self.sidecar.get("SeriesNumber")
        digits = re.match(r"\d+", self.image.name)
        return said if isinstance(said, int) else int(digits[0]) if digits else 0

    @property
    def description(self) -> str:
        """What the series is called, by its description, else by its protocol."""
        return str(self.sidecar.get("SeriesDescription") or self.sidecar.get("ProtocolName") or "")

    @property
    def label(self) -> str:
        """Number, description, voxels and their sides in one text."""
        shape, sides = (" x ".join(f"{value:.3g}" for value in values) for values in (self.shape, self.sides_mm))
        return f"series {self.number} ({self.description!r}, {shape} voxels of {sides} mm)"

    def seconds(self, name: str) -> float | None:
        """A time of the sidecar, None where it has none."""
        said = self.sidecar.get(name)
        return float(said) if isinstance(said, int | float) and said > 0 else None


def read_series(image: Path) -> Series:
    """What the header of an uncompressed NIfTI-1 image and the sidecar beside it say.

    Raises:
        ImageError: when the image has no such header.
    """
    with image.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or struct.unpack_from("=i", header)[0] != 348:
        raise ImageError(f"{image.name!r} that dcm2niix made is no NIfTI-1 image; update dcm2niix")
    n_axes, *lengths = struct.unpack_from("=8h", header, 40)
    axes = min(max(n_axes, 0), 7)
    sides = struct.unpack_from("=8f", header, 76)[1 : 1 + min(axes, 3)]
    is_colour = struct.unpack_from("=h", header, 70)[0] in _COLOURS
    return Series(image, tuple(lengths[:axes]), sides, is_colour, _sidecar(image.with_suffix(".json")))


def _sidecar(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes().decode(errors="replace"), strict=False)
    except ValueError:
        # names in an old alphabet can spoil it; the series can still be chosen by its number
        found = {}
    return found if isinstance(found, dict) else {}


def without_texts(image: Path) -> None:
    """Blank all texts and extensions of an uncompressed NIfTI-1 image: they hold comments and the time of day."""
    with image.open("r+b") as file:
        file.seek(108)
        first_voxel = int(struct.unpack("=f", file.read(4))[0])
        for start, stop in (*_TEXTS, (348, first_voxel)):
            file.seek(start)
            file.write(bytes(max(stop - start, 0)))


def choose_series(made: Sequence[Series], number: int | None, folder: Path) -> Series:
    """The T1-weighted structural series; or that of a number, T1-weighted or not.

    Structural is 3D with 32 voxels or more along each axis, none longer than 4 mm. T1-weighted is what is called so (t1,
    mprage, spgr, bravo, tfe) or has an inversion time of 0.3 to 1.6 s, unless its name, its image type (derived, phase), an
    echo time of 10 ms or more, or a repetition time above 4 s without inversion speak against it. What is called so goes
    before what is not, and then what has such an inversion time.

    Raises:
        InputError: when there is none, or several that are equally good.
        ImageError: when the series of that number is not structural.
    """
    fitting = _likely(made, folder) if number is None else _of_number(made, number, folder)
    if len(fitting) == 1:
        return fitting[0]
    if number is None and len({one.number for one in fitting}) > 1:
        advice = "choose one by its number (--series NUMBER), or give only its folder"
    else:
        advice = "they have the same series number: give a folder that holds only one of them"
    raise InputError(
        f"{str(folder)!r} holds {len(fitting)} series that may be wanted; {advice}{_lines(one.label for one in fitting)}"
    )


def _likely(made: Sequence[Series], folder: Path) -> list[Series]:
    reasons = {one: _unfit(one) or _unlikely(one) for one in _sorted(made)}
    ranked = {one: _rank(one) for one, reason in reasons.items() if not reason}
    if not any(any(rank) for rank in ranked.values()):
        raise InputError(
            f"no series of {str(folder)!r} looks T1-weighted and structural; if one is, choose it by its number (--series NUMBER)"
            + _lines(
                f"{one.label}: {reason or 'nothing says that it is T1-weighted'}" for one, reason in reasons.items()
            )
        )
    return [one for one, rank in ranked.items() if rank == max(ranked.values())]


def _of_number(made: Sequence[Series], number: int, folder: Path) -> list[Series]:
    same = [one for one in _sorted(made) if one.number == number]
    if not same:
        raise InputError(
            f"{str(folder)!r} has no series {number}; choose one of these{_lines(one.label for one in _sorted(made))}"
        )
    fitting = [one for one in same if not _unfit(one)]
    if not fitting:
        raise ImageError(
            f"{same[0].label} of {str(folder)!r} {_unfit(same[0])}; choose a structural series of the head"
        )
    return [one for one in fitting if not _unlikely(one)] or fitting


def _sorted(made: Sequence[Series]) -> list[Series]:
    return sorted(made, key=lambda one: (one.number, one.image.name))


def _lines(texts: Iterable[str]) -> str:
    return ":" + "".join(f"\n  {text}" for text in texts)


def _unfit(one: Series) -> str:
    """Why a series is no structural scan of a head; empty text when it may be."""
    thickness = one.seconds("SliceThickness") or 0.0
    if one.is_colour:
        return "is a colour image"
    if len(one.shape) != 3:
        return f"has {len(one.shape)} dimensions, not 3"
    if min(one.shape) < FEWEST_SLICES:
        return f"has only {min(one.shape)} slices or voxels along an axis; {FEWEST_SLICES} are needed"
    if max(*one.sides_mm, thickness) > THICKEST_MM:
        return f"has slices or voxels of {max(*one.sides_mm, thickness):.3g} mm; at most {THICKEST_MM:g} are allowed"
    return ""


def _unlikely(one: Series) -> str:
    """Why a series is not T1-weighted; empty text when it may be."""
    types = one.sidecar.get("ImageType")
    against = sorted(_OTHER_TYPES & {str(word).upper() for word in types}) if isinstance(types, list) else []
    other = _OTHER.search(_names(one))
    echo, repetition = one.seconds("EchoTime") or 0.0, one.seconds("RepetitionTime") or 0.0
    if against:
        return f"its image type is {', '.join(against)}"
    if other:
        return f"it is called {other[0].strip()!r}"
    if echo >= LONGEST_ECHO_S:
        return f"its echo time is {echo * 1000:g} ms"
    if repetition > LONGEST_REPETITION_S and one.seconds("InversionTime") is None:
        return f"its repetition time is {repetition:g} s, without inversion"
    return ""


def _rank(one: Series) -> tuple[bool, bool]:
    inversion = one.seconds("InversionTime") or 0.0
    return _T1.search(_names(one)) is not None, INVERSION_S[0] <= inversion <= INVERSION_S[1]


def _names(one: Series) -> str:
    return " ".join(str(one.sidecar.get(name, "")) for name in ("SeriesDescription", "ProtocolName")).lower()
