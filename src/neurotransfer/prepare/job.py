"""What is to be done with every scan of an input, and the files that one scan becomes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.cohort.files import folders_below
from neurotransfer.cohort.recipes import NATIVE, Recipe
from neurotransfer.errors import ImageError, InputError
from neurotransfer.prepare.fastsurfer import runs_fastsurfer
from neurotransfer.prepare.source import DICOM, SUBJECT, Source, bids_label

DEEPEST = 30
# what the tables of a folder are made of
IN_SIDECAR = {"Quality": dict, "RegionalVolumes": dict, "Warnings": list, "Remarks": list, "Approximation": str}
# of sidecars; another one makes all scans anew
SIDECAR_FORMAT = 1
FIRST_BYTES = 2**16
SUBJECT_FILES = ("mri/orig.mgz", "mri/mask.mgz", "mri/brainmask.mgz", "mri/norm.mgz")


@dataclass(frozen=True)
class Job:
    """A recipe, the folder to write, and an atlas for regional volumes, if one was named."""

    recipe: Recipe
    out: Path
    atlas: Path | None = None


@dataclass(frozen=True)
class Outputs:
    """The files of one scan below the output: image, mask of the brain, figure, and the sidecar that is written last."""

    image: Path
    mask: Path
    figure: Path
    sidecar: Path


def outputs_of(source: Source, job: Job) -> Outputs:
    """Where the outputs of a scan lie, named as derivatives of BIDS are.

    Example:
        >>> from neurotransfer.cohort.recipes import get_recipe
        >>> job = Job(get_recipe("sfcn-ukb"), Path("out"))
        >>> outputs_of(Source("sub-01", "ses-2", Path("a.nii")), job).image.as_posix()
        'out/sub-01/ses-2/anat/sub-01_ses-2_space-MNI152NLin2009aSym_res-1_desc-sfcnukb_T1w.nii.gz'
    """
    contract = job.recipe.contract
    space = "" if contract.space == NATIVE else f"_space-{contract.space}_res-{contract.sides_mm[0]:g}"
    start = job.out / source.folder / f"{source.stem}{space}"
    desc = bids_label(job.recipe.name)
    figure = job.out / source.folder.parts[0] / "figures" / f"{source.stem}_desc-{desc}_T1w.jpg"
    image = start.with_name(f"{start.name}_desc-{desc}_T1w.nii.gz")
    return Outputs(
        image,
        start.with_name(f"{start.name}_desc-brain_mask.nii.gz"),
        figure,
        image.with_name(image.name.replace(".nii.gz", ".json")),
    )


def fingerprint_of(source: Source, job: Job) -> str:
    """A hash of all that the outputs of a scan depend on: its files, the recipe, what was declared.

    Files are known by name, size, time of change and their first 64 KiB, which tell apart what was copied with equal times.

    Raises:
        ImageError: when a file of it is not there.
    """
    facts = {
        "recipe": job.recipe.facts(),
        "format": SIDECAR_FORMAT,
        "declared": sorted(source.declared),
        "series": source.series,
        "files": [_state(path) for path in _files_of(source, job.out.absolute())],
        "atlas": None if job.atlas is None else _state(job.atlas),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode(errors="surrogateescape")).hexdigest()[:32]


def _files_of(source: Source, out: Path) -> list[Path]:
    if source.kind == SUBJECT:
        return [source.path / name for name in SUBJECT_FILES if is_file(source.path / name)]
    if source.kind == DICOM:
        folders, _ = folders_below(source.path, DEEPEST)
        inputs = [folder for folder in (source.path, *folders) if not folder.absolute().is_relative_to(out)]
        paths = [path for folder in inputs for path in _entries(folder)]
        # hidden files are no DICOM: a file manager leaves its own
        return sorted(path for path in paths if is_file(path) and not path.name.startswith("."))
    return [source.path, *([source.mask] if source.mask is not None else [])]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise ImageError(f"cannot read the folder {str(folder)!r} ({error.strerror})") from None


def _state(path: Path) -> list[Any]:
    try:
        status = path.stat()
        with path.open("rb") as file:
            begin = hashlib.sha256(file.read(FIRST_BYTES)).hexdigest()[:16]
    except OSError as error:
        raise ImageError(f"no such image {str(path)!r}, or it cannot be read ({error.strerror})") from None
    return [path.name, status.st_size, status.st_mtime_ns, begin]


def finished(source: Source, job: Job) -> Mapping[str, Any] | None:
    """The sidecar of a scan that was prepared just so before and whose files are all there; None when it is to be done.

    What was made without FastSurfer is to be done where FastSurfer has been installed since.
    """
    outputs = outputs_of(source, job)
    if not is_file(outputs.sidecar):
        return None
    try:
        sidecar = read_json(outputs.sidecar)
        same = sidecar["Fingerprint"] == fingerprint_of(source, job) and is_file(outputs.figure)
        sizes = {name: path.stat().st_size for name, path in (("Image", outputs.image), ("Mask", outputs.mask))}
        whole = all(isinstance(sidecar[name], kind) for name, kind in IN_SIDECAR.items())
        better = bool(sidecar["Approximation"]) and runs_fastsurfer(source, job.recipe)
        return sidecar if same and sidecar["Bytes"] == sizes and whole and not better else None
    except (InputError, LookupError, TypeError, OSError):
        # a sidecar that somebody changed, or a file that somebody took away: it is made again
        return None
