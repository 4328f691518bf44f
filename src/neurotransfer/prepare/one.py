"""Prepare one scan: read it, do the steps of the recipe, look at it, write its files; the sidecar last."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurotransfer.artifacts import package_version, remove_whole, write_atomically, write_json
from neurotransfer.cohort.recipes import NATIVE, Recipe
from neurotransfer.cohort.writing import write_image
from neurotransfer.errors import ImageError
from neurotransfer.prepare.brain import require_brain
from neurotransfer.prepare.figure import picture
from neurotransfer.prepare.job import Job, Outputs, fingerprint_of, outputs_of
from neurotransfer.prepare.quality import Examined, as_it_lies, as_row, examine
from neurotransfer.prepare.reading import Opened, opened_source
from neurotransfer.prepare.regional import measured_volumes
from neurotransfer.prepare.registration import RIGID
from neurotransfer.prepare.scan import Scan, brain_in
from neurotransfer.prepare.source import DICOM, Source
from neurotransfer.prepare.steps import GEOMETRIC, STEPS

# noise, or a head that was laid wrongly, has none with the average brain
LEAST_LIKENESS = 0.1


@dataclass(frozen=True, eq=False)
class Made:
    """A scan before it is laid on a grid (`native`), after its recipe (`ready`), and what was seen of it between."""

    native: Scan
    ready: Scan
    examined: Examined


def prepare_source(source: Source, job: Job) -> Mapping[str, Any]:
    """Prepare one scan and write its files; gives its sidecar.

    Raises:
        ImageError: when the scan cannot be used, with what is wrong.
        InputError: when something that it needs is not there.
        StorageError: when the output cannot be written.
    """
    outputs, fingerprint = outputs_of(source, job), fingerprint_of(source, job)
    for path in (outputs.sidecar, outputs.image, outputs.mask, outputs.figure):
        remove_whole(path)
    with opened_source(source, job.recipe) as read:
        made = follow(read.scan, job.recipe)
        job.recipe.require(made.ready.voxels, made.ready.affine)
        regional = measured_volumes(made.examined.tissues, job.atlas)
        _write_images(outputs, made, job.recipe)
        write_atomically(outputs.figure, lambda path: path.write_bytes(picture(made.native, made.examined.to_template)))
        sidecar = _sidecar(source, job, read, made, regional)
    sizes = {"Image": outputs.image.stat().st_size, "Mask": outputs.mask.stat().st_size}
    sidecar |= {"Bytes": sizes, "Fingerprint": fingerprint}
    write_json(outputs.sidecar, sidecar)
    return sidecar


def follow(scan: Scan, recipe: Recipe) -> Made:
    """Do the steps of a recipe; the scan is examined before the first one that cuts or moves it.

    Raises:
        ImageError: when no brain is found, none of a brain's size, or nothing like one.
    """
    came, raw, native, examined = as_it_lies(scan), scan, None, None
    for step in recipe.steps:
        if step.name in GEOMETRIC and native is None:
            native = scan
            require_brain(brain_in(scan), scan.voxel_mm3)
            examined = examine(scan, _raw_like(raw, scan))
            examined = replace(examined, quality=examined.quality | came)
            _require_likeness(examined)
        scan = STEPS[step.name](scan, **step.parameters)
        if step.name in ("reorient", "conform", "to_bytes"):
            raw = scan
    assert native is not None, "every recipe takes the skull off"
    assert examined is not None
    return Made(native, scan, examined)


def _raw_like(raw: Scan, scan: Scan) -> np.ndarray:
    return raw.voxels if raw.voxels.shape == scan.voxels.shape else scan.voxels


def _require_likeness(examined: Examined) -> None:
    likeness = float(examined.quality["similarity"])
    if abs(likeness) < LEAST_LIKENESS:
        raise ImageError(
            f"it is not like a head: its brightness goes with that of the average brain by a correlation of {likeness:.2f} "
            f"(T1-weighted heads have 0.4 or more, T2-weighted ones are below zero; refused: -{LEAST_LIKENESS} to {LEAST_LIKENESS})"
        )


def _write_images(outputs: Outputs, made: Made, recipe: Recipe) -> None:
    space = "" if recipe.contract.space == NATIVE else recipe.contract.space
    ready = made.ready
    assert ready.brain is not None
    voxels = (
        np.rint(ready.voxels).astype(np.uint8)
        if recipe.contract.values == (0, 255)
        else ready.voxels.astype(np.float32)
    )
    write_image(outputs.image, voxels, ready.affine, space=space)
    write_image(outputs.mask, ready.brain.astype(np.uint8), ready.affine, space=space)


def _sidecar(source: Source, job: Job, read: Opened, made: Made, regional: dict[str, float]) -> dict[str, Any]:
    recipe = job.recipe
    approximate = bool(recipe.tool) and read.by != recipe.tool
    remarks, warnings = list(read.remarks), list(read.warnings)
    if "registered" in made.native.properties:
        if any(step.parameters.get("degrees_of_freedom") == RIGID for step in recipe.steps):
            warnings.append(
                f"registered before by a transform that is not known; recipe {recipe.name} wants a rigid one"
            )
        remarks.append("registered before: volumes are those of the registered image, not of the person's brain")
    for line in made.ready.log:
        if "CutMillimetres" in line:
            warnings.append(
                f"the window of the model is {line['CutMillimetres']:g} mm shorter than the brain, which was cut at its ends"
            )
    return {
        # a DICOM folder may be named after a person
        "Sources": [] if source.kind == DICOM else [source.name],
        "SkullStripped": True,
        **recipe.facts(),
        "Approximation": f"made without {recipe.tool}: {_instead(made.native)}" if approximate else "",
        "Declared": sorted(source.declared),
        "Log": [dict(line) for line in made.ready.log],
        "ScanToTemplate": _listed(made.ready.to_template),
        "ScanToTemplateAffine": _listed(made.examined.to_template),
        "Quality": as_row(made.examined.quality),
        "RegionalVolumes": {name: round(value, 1) for name, value in regional.items()},
        "Warnings": warnings,
        "Remarks": remarks,
        "Facts": read.facts,
        "GeneratedBy": {"Name": "neurotransfer", "Version": package_version("neurotransfer")},
    }


def _listed(matrix: np.ndarray | None) -> list[list[float]] | None:
    return None if matrix is None else np.round(matrix, 6).tolist()


def _instead(scan: Scan) -> str:
    done = [str(line["Step"]) for line in scan.log if line["Done"]]
    return f"{', '.join(done)} of our own instead" if done else "the scan as it came"
