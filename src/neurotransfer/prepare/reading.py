"""A source on disk to a scan: voxels above zero, their place, a mask where there is one, and what is odd about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from neurotransfer.cohort.images import mask_of_scan, opened
from neurotransfer.cohort.orientation import orientation_of
from neurotransfer.cohort.recipes import NATIVE, Recipe
from neurotransfer.cohort.remarks import is_harmless, remarks_of_header
from neurotransfer.errors import ImageError
from neurotransfer.prepare.dicom import convert_dicom
from neurotransfer.prepare.fastsurfer import TOOL as FASTSURFER
from neurotransfer.prepare.fastsurfer import run_fastsurfer, runs_fastsurfer
from neurotransfer.prepare.scan import Scan
from neurotransfer.prepare.source import DICOM, SUBJECT, Source
from neurotransfer.prepare.subjects import Subject, read_subject

CONFORMED_SIDE, LARGEST_BYTE = 256, 255
# Hounsfield units of air are -1000; magnitude images of MRI have no such values
CT_BELOW = -500
MOST_BELOW_ZERO = 0.01
ERASED = 1.0


@dataclass(frozen=True, eq=False)
class Opened:
    """A scan that was read.

    `by` is the tool that made it, "" when none did; `warnings` are what is odd about it, `remarks` what is only to be told,
    `facts` are technical.
    """

    scan: Scan
    by: str = ""
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@contextmanager
def opened_source(source: Source, recipe: Recipe) -> Iterator[Opened]:
    """The scan of a source for a recipe; what had to be converted for it lies in a folder that is removed afterwards.

    Raises:
        ImageError: when it cannot be used.
        InputError: when what it needs is not there.
    """
    with TemporaryDirectory(prefix="neurotransfer-") as folder:
        if source.kind == SUBJECT:
            yield _of_subject(read_subject(source.path), source.declared, recipe)
        elif source.kind == DICOM:
            made = convert_dicom(source.path, Path(folder), series=source.series)
            read = _of_raw(replace(source, path=made.image), recipe, Path(folder))
            yield replace(read, facts={"Converter": f"dcm2niix {made.version}", **made.facts, **read.facts})
        else:
            yield _of_raw(source, recipe, Path(folder))


def _of_raw(source: Source, recipe: Recipe, folder: Path) -> Opened:
    """An image, or what FastSurfer makes of it: after it was read, so that a bad one is told at once and as it is."""
    read = _of_image(source.path, source.mask, source.declared, recipe)
    if not runs_fastsurfer(source, recipe):
        return read
    made = _of_subject(run_fastsurfer(source.path, folder), source.declared, recipe)
    remarks, warnings = (
        tuple(dict.fromkeys(both)) for both in (read.remarks + made.remarks, read.warnings + made.warnings)
    )
    return replace(made, remarks=remarks, warnings=warnings)


def _of_image(path: Path, mask: Path | None, declared: frozenset[str], recipe: Recipe) -> Opened:
    image, stored = opened(path)
    told = remarks_of_header(image)
    warnings = [remark for remark in told if not is_harmless(remark)]
    if stored.min() < CT_BELOW:
        warnings.append(f"values down to {stored.min():g}: is it a CT?")
    below = float((stored < 0).mean())
    if below > MOST_BELOW_ZERO and not any("CT" in warning for warning in warnings):
        warnings.append(f"{below:.0%} of its voxels are below zero and count as nothing: was it standardised?")
    voxels = np.clip(stored.reshape(image.shape[:3]), 0, None).astype(np.float32)
    if not voxels.any():
        raise ImageError(f"{str(path)!r} has no voxel above zero")
    affine = np.asarray(image.affine, float)
    # who edits a brain in FreeSurfer sets what is none to 1
    least = ERASED if mask is not None and mask.name == "brainmask.mgz" else 0.5
    inside = None if mask is None else mask_of_scan(mask, image, path, least)
    if inside is not None and not (inside & (voxels > 0)).any():
        raise ImageError(f"{str(path)!r} has no voxel above zero inside its mask")
    found = set(declared)
    is_large = stored.dtype == np.uint8 and min(stored.shape[:3]) >= CONFORMED_SIDE
    if is_large and _has_form(stored.shape, affine, recipe):
        found |= {"conformed", "normalised"} if recipe.tool == FASTSURFER else {"conformed"}
    return Opened(
        Scan(voxels, affine, inside, properties=frozenset(found)),
        remarks=tuple(filter(is_harmless, told)),
        warnings=tuple(warnings),
    )


def _has_form(shape: tuple[int, ...], affine: np.ndarray, recipe: Recipe) -> bool:
    """Whether a scan lies as FreeSurfer and FastSurfer conform it: a cube (of bytes, 256 voxels or more), LIA, isotropic.

    Voxels that are finer or coarser than a recipe of native space allows are to be resampled, and not yet conformed.
    """
    sides, (least, most) = np.linalg.norm(affine[:3, :3], axis=0), recipe.contract.sides_mm
    allowed = recipe.contract.space != NATIVE or (least - 1e-3 <= sides.min() and sides.max() <= most + 1e-3)
    return allowed and len(set(shape[:3])) == 1 and orientation_of(affine) == "LIA" and float(np.ptp(sides)) < 1e-3


def _of_subject(subject: Subject, declared: frozenset[str], recipe: Recipe) -> Opened:
    """FreeSurfer's brain for the recipe that wants it, else the conformed head with the tool's mask."""
    if recipe.tool == "FreeSurfer":
        brain = subject.brainmask or subject.norm
        if brain is None:
            raise ImageError(
                f"{str(subject.folder)!r} has no mri/brainmask.mgz and no mri/norm.mgz, which recipe {recipe.name!r} needs; "
                "run recon-all -autorecon1, or prepare the raw scan"
            )
        extra = frozenset({"stripped", "unbiased", "normalised"})
        read = _of_image(brain, None, declared | extra, recipe)
        return replace(read, by=subject.tool, facts=_made_by(subject))
    head, mask = subject.orig, subject.mask or subject.brainmask
    if head is None or mask is None:
        absent = "mri/orig.mgz" if head is None else "mri/mask.mgz and no mri/brainmask.mgz"
        raise ImageError(f"{str(subject.folder)!r} has no {absent}; finish its segmentation, or prepare the raw scan")
    read = _of_image(head, mask, declared, recipe)
    # FastSurfer can be told to keep the axes of the scanner
    found = {"conformed"} if _has_form(read.scan.voxels.shape, read.scan.affine, recipe) else set()
    if recipe.tool == FASTSURFER and read.scan.voxels.max() <= LARGEST_BYTE:
        found.add("normalised")
    scan = replace(read.scan, properties=read.scan.properties | found)
    return replace(read, scan=scan, by=subject.tool, facts=_made_by(subject))


def _made_by(subject: Subject) -> dict[str, Any]:
    return {"Tool": subject.tool, "ToolVersion": subject.version}
