"""A source on disk to a scan: voxels above zero, their place, a mask where there is one, and what is odd about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from neurotransfer.cohort.images import mask_of_scan, opened
from neurotransfer.cohort.orientation import orientation_of, says_mni
from neurotransfer.cohort.recipes import Recipe
from neurotransfer.cohort.remarks import is_harmless, remarks_of_header
from neurotransfer.errors import ImageError
from neurotransfer.prepare.dicom import convert_dicom
from neurotransfer.prepare.fastsurfer import run_fastsurfer
from neurotransfer.prepare.scan import Scan
from neurotransfer.prepare.source import DICOM, SUBJECT, Source
from neurotransfer.prepare.subjects import Subject, read_subject

CONFORMED_SIDE = 256
# Hounsfield units of air are -1000; magnitude images of MRI have no such values
CT_BELOW = -500


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
        if source.kind == DICOM:
            made = convert_dicom(source.path, Path(folder))
            read = _of_image(made.image, None, source.declared, recipe, Path(folder))
            yield replace(read, facts={"Converter": f"dcm2niix {made.version}", **made.facts})
        elif source.kind == SUBJECT:
            yield _of_subject(read_subject(source.path), source.declared, recipe)
        else:
            yield _of_image(source.path, source.mask, source.declared, recipe, Path(folder))


def _of_image(path: Path, mask: Path | None, declared: frozenset[str], recipe: Recipe, folder: Path) -> Opened:
    if recipe.tool == "FastSurfer" and mask is None and not declared & {"stripped", "conformed"}:
        made = run_fastsurfer(path, folder)
        if made is not None:
            return _of_subject(made, declared, recipe)
    image, stored = opened(path)
    told = remarks_of_header(image)
    warnings = [remark for remark in told if not is_harmless(remark)]
    if stored.min() < CT_BELOW:
        warnings.append(f"values down to {stored.min():g}: is it a CT?")
    voxels = np.clip(stored.reshape(image.shape[:3]), 0, None).astype(np.float32)
    if not voxels.any():
        raise ImageError(f"{str(path)!r} has no voxel above zero")
    affine = np.asarray(image.affine, float)
    inside = None if mask is None else mask_of_scan(mask, image, path)
    if inside is not None and not (inside & (voxels > 0)).any():
        raise ImageError(f"{str(path)!r} has no voxel above zero inside its mask")
    found = set(declared)
    if says_mni(image):
        found.add("mni_by_header")
    if _is_conformed(stored, affine):
        found |= {"conformed", "normalised"} if recipe.tool == "FastSurfer" else {"conformed"}
    return Opened(
        Scan(voxels, affine, inside, properties=frozenset(found)),
        remarks=tuple(filter(is_harmless, told)),
        warnings=tuple(warnings),
    )


def _is_conformed(stored: np.ndarray, affine: np.ndarray) -> bool:
    """Whether a scan is as FreeSurfer and FastSurfer conform it: bytes, a cube of 256 voxels or more, LIA, isotropic."""
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    is_cube = len(set(stored.shape[:3])) == 1 and stored.shape[0] >= CONFORMED_SIDE
    return stored.dtype == np.uint8 and is_cube and orientation_of(affine) == "LIA" and float(np.ptp(sides)) < 1e-3


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
        read = _of_image(brain, None, declared | extra, replace(recipe, tool=""), subject.folder)
        return replace(read, by=subject.tool, facts=_made_by(subject))
    head, mask = subject.orig, subject.mask or subject.brainmask
    if head is None or mask is None:
        absent = "mri/orig.mgz" if head is None else "mri/mask.mgz and no mri/brainmask.mgz"
        raise ImageError(f"{str(subject.folder)!r} has no {absent}; finish its segmentation, or prepare the raw scan")
    read = _of_image(head, mask, declared | {"conformed"}, replace(recipe, tool=""), subject.folder)
    bytes_already = frozenset({"normalised"} if recipe.tool == "FastSurfer" else ())
    scan = replace(read.scan, properties=read.scan.properties | bytes_already)
    return replace(read, scan=scan, by=subject.tool, facts=_made_by(subject))


def _made_by(subject: Subject) -> dict[str, Any]:
    return {"Tool": subject.tool, "ToolVersion": subject.version}
