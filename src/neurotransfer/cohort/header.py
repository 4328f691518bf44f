"""What the header of an image says, checked before any voxel is read; and what in it is worth a remark."""

import logging
from collections.abc import Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.freesurfer.mghformat import MGHHeader, header_dtype
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import aff2axcodes

from neurotransfer.errors import ImageError

HEADER_BYTES = 544
LARGEST_VOXELS = 2**27
# extensions before the voxels, tags behind them; more is damage or a trap
LARGEST_EXTRA_BYTES = 2**26
# no stream of deflate grows by more
DEFLATE = 1032
SIDES_MM = (0.05, 30)
_ALLOWED_MM = f"{SIDES_MM[0]} to {SIDES_MM[1]}"
LARGEST_MM = 1e9
AGREE_MM = 1.0
DAMAGED = "its header is damaged: convert it again from DICOM, or fetch it again"
NO_VOLUME = "has an affine that maps no volume; its header is damaged"

# nibabel tells standard error of every field that it mends; what matters of that is refused here
_QUIET = logging.getLogger("neurotransfer.header")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Header(NamedTuple):
    """A header that has passed all checks; shape (i, j, k), type and place of the voxels in the file, affine in mm."""

    fields: Any
    image_class: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    affine: np.ndarray

    @property
    def n_bytes(self) -> int:
        """How many bytes of voxels the file must have."""
        return prod(self.shape) * self.dtype.itemsize

    def image(self, path: Path) -> nibabel.spatialimages.SpatialImage:
        """The image of nibabel at `path`; it reads no voxel before it is asked to."""
        shown = self.fields.copy()
        if isinstance(shown, nibabel.Nifti1Header):
            shown.set_data_offset(0)
        return self.image_class(ArrayProxy(str(path), self.fields), self.affine, shown)


def read_header(content: bytes, path: Path) -> Header:
    """The checked header of an image from the first `HEADER_BYTES` of its (decompressed) content.

    Raises:
        ImageError: when it promises no volume that can be read, with all its voxels in one place; names the file.
        ValueError: (or an error of nibabel) when it is no header of its format.
    """
    with np.errstate(all="ignore"):
        is_mgh = path.name.lower().endswith((".mgz", ".mgh"))
        problem, fields, image_class = _mgh(content) if is_mgh else _nifti(content)
        if not problem:
            shape = _without_last_ones(fields.get_data_shape())
            problem = problem_of_shape(shape) or _problem_of_type(fields) or _problem_of_offset(fields)
        if not problem:
            affine = np.asarray(fields.get_best_affine(), np.float64)
            problem = problem_of_affine(affine) or _contradiction(fields, shape)
        if problem:
            raise ImageError(f"{str(path)!r} {problem}")
        return Header(fields, image_class, shape, fields.get_data_dtype(), int(fields.get_data_offset()), affine)


def require_fitting(header: Header, file_bytes: int, compressed: bool) -> None:
    """Refuse a header that promises more bytes of voxels than its file can hold.

    Raises:
        ValueError: with what was promised and what is there.
    """
    room = file_bytes * DEFLATE if compressed else file_bytes
    if header.offset + header.n_bytes > room:
        most = f", which hold at most {room} when decompressed" if compressed else ""
        raise ValueError(
            f"its header promises {header.n_bytes} bytes of voxels from byte {header.offset} on, and the file has "
            f"{file_bytes} bytes{most}"
        )


def _mgh(content: bytes) -> tuple[str, Any, Any]:
    if len(content) < header_dtype.itemsize:
        raise ValueError(f"it has {len(content)} bytes; the header alone has {header_dtype.itemsize}")
    raw = np.frombuffer(content, header_dtype, 1)[0]
    if raw["version"] != 1:
        raise ValueError(f"its version is {raw['version']}; MGH has version 1")
    # nibabel would put in a place of its own
    if raw["goodRASFlag"] <= 0:
        found = f"does not say where left is (its goodRASFlag is {raw['goodRASFlag']}); convert it again from DICOM"
        return found, None, None
    fields = MGHHeader(content[: header_dtype.itemsize], check=False)
    return _problem_of_sides(fields["delta"]), fields, nibabel.MGHImage


def _nifti(content: bytes) -> tuple[str, Any, Any]:
    header_class, image_class = _nifti_classes(content)
    fields = header_class(content[: header_class.template_dtype.itemsize], check=False)
    problem = _problem_of_pixdim(fields["pixdim"])
    fields.check_fix(logger=_QUIET)
    if not (fields["sform_code"] > 0 or fields["qform_code"] > 0):
        problem = problem or (
            "does not say where left is (its sform and qform codes are 0); convert it again from DICOM, or set its "
            "affine where you know it (nibabel: image.set_sform(affine, 1))"
        )
    return problem, fields, image_class


def _nifti_classes(content: bytes) -> tuple[Any, Any]:
    if len(content) >= 348 and content[344:348] == b"n+1\0":
        return nibabel.Nifti1Header, nibabel.Nifti1Image
    if len(content) >= 540 and content[4:8] == b"n+2\0":
        return Nifti2Header, nibabel.Nifti2Image
    if content[:2] == b"\x1f\x8b":
        raise ValueError("it is compressed, and its name does not end in .gz: rename it")
    if b"ni1\0" in content[344:348]:
        raise ValueError("its voxels are in an .img file beside it: convert the pair to one NIfTI file")
    raise ValueError("it does not begin with the header of a NIfTI file")


def _problem_of_pixdim(pixdim: np.ndarray) -> str:
    # 0 stands for 1, and old tools write the number of dimensions; -1 is the other hand
    if not np.isfinite(pixdim[0]) or (pixdim[0] < 0 and pixdim[0] != -1):
        return f"has a pixdim[0] of {pixdim[0]:g}; allowed: 1 or -1, which side left is on: {DAMAGED}"
    return _problem_of_sides(pixdim[1:4])


def _problem_of_sides(sides_mm: np.ndarray) -> str:
    if not (np.isfinite(sides_mm).all() and (sides_mm > 0).all()):
        return f"has voxel sizes of {written_by(sides_mm)} mm in its header; allowed: {_ALLOWED_MM}: {DAMAGED}"
    return ""


def _without_last_ones(shape: Sequence[int]) -> tuple[int, ...]:
    sides = [int(side) for side in shape]
    while len(sides) > 3 and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def problem_of_shape(shape: tuple[int, ...]) -> str:
    """What is wrong with the shape of a scan, as the end of a sentence; empty when nothing is.

    Example:
        >>> problem_of_shape((256, 256))
        'has shape (256, 256); a T1-weighted scan has three dimensions: choose one volume'
        >>> problem_of_shape((256, 256, 192))
        ''
    """
    if len(shape) != 3:
        return f"has shape {shape}; a T1-weighted scan has three dimensions: choose one volume"
    if min(shape) < 1:
        return f"is empty, shape {shape}"
    if min(shape) < 2:
        return f"has shape {shape}; a T1-weighted scan has three dimensions, and one of these has a single slice"
    if prod(shape) > LARGEST_VOXELS:
        return f"has {written_by(shape)} voxels; allowed: {LARGEST_VOXELS} in all, 512 x 512 x 512: {DAMAGED}"
    return ""


def _problem_of_type(fields: Any) -> str:
    try:
        dtype = fields.get_data_dtype()
    except KeyError:
        raise ValueError(f"it has values of a type with number {int(fields['type'])}, which is none of MGH") from None
    return "" if dtype.kind in "iuf" else f"has values of type {dtype}; allowed: numbers"


def _problem_of_offset(fields: Any) -> str:
    offset, least = fields.get_data_offset(), getattr(fields, "single_vox_offset", 0)
    if least <= offset <= LARGEST_EXTRA_BYTES:
        return ""
    return f"has its voxels from byte {offset} on; allowed: {least} to {LARGEST_EXTRA_BYTES}: {DAMAGED}"


def problem_of_affine(affine: np.ndarray) -> str:
    """What is wrong with an affine (4, 4) from voxels to mm, as the end of a sentence; empty when nothing is.

    Example:
        >>> problem_of_affine(np.diag([1000.0, 1000, 1000, 1]))
        'has voxels of 1e+03 x 1e+03 x 1e+03 mm; allowed: 0.05 to 30: its header is damaged or not in mm'
    """
    # larger numbers would overflow
    if not np.abs(affine).max() < LARGEST_MM:
        return NO_VOLUME
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if not abs(np.linalg.det(affine[:3, :3])) >= 1e-3 * sides_mm.prod() > 0:
        return NO_VOLUME
    if sides_mm.min() < SIDES_MM[0] or sides_mm.max() > SIDES_MM[1]:
        return f"has voxels of {written_by(sides_mm)} mm; allowed: {_ALLOWED_MM}: its header is damaged or not in mm"
    return ""


def written_by(sides: Sequence[float] | np.ndarray) -> str:
    """Sides as text, such as 1 x 1 x 2."""
    return " x ".join(str(side) if isinstance(side, int) else f"{side:.3g}" for side in sides)


def apart_mm(shape: Sequence[int], one: np.ndarray, other: np.ndarray) -> float:
    """How far two affines (4, 4) put the same corner of a volume of this shape apart, at most, in mm.

    Example:
        >>> apart_mm((11, 11, 11), np.eye(4), np.diag([1.1, 1, 1, 1]))
        1.0
    """
    corners = np.array(list(product(*[(0, side - 1) for side in shape[:3]], (1,))), float)
    return round(float(np.linalg.norm(corners @ (one - other).T, axis=1).max()), 9)


def forms_of(fields: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """The sform and the qform of a header that has both; a qform that cannot be computed is NaN."""
    if not (isinstance(fields, nibabel.Nifti1Header) and fields["sform_code"] > 0 and fields["qform_code"] > 0):
        return None
    try:
        qform = np.asarray(fields.get_qform(), np.float64)
    except (ValueError, nibabel.spatialimages.HeaderDataError):
        qform = np.full((4, 4), np.nan)
    return np.asarray(fields.get_sform(), np.float64), qform


def _contradiction(fields: Any, shape: Sequence[int]) -> str:
    forms = forms_of(fields)
    # NaN: a qform that says nothing contradicts nothing
    if forms is None or not apart_mm(shape, *forms) > AGREE_MM:
        return ""
    by_sform, by_qform = ("".join(aff2axcodes(form)) for form in forms)
    # forms whose axes have the same names have determinants of the same sign
    if by_sform == by_qform:
        return ""
    return (
        f"says by its sform that its axes are {by_sform}, and by its qform that they are {by_qform}: one of them is wrong, "
        "left and right may be exchanged; mend its header by the DICOM of the scanner, or convert it again"
    )
