"""Small inputs on disk: scans, subjects and datasets, with nothing in them that is not asked for."""

import json

import nibabel
import numpy as np
import pandas as pd

from neurotransfer.cohort.recipes import get_recipe
from neurotransfer.prepare.job import Job, fingerprint_of, outputs_of

SHAPE = (6, 7, 8)


def voxels(seed=0, shape=SHAPE, dtype=np.int16):
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def scan(path, seed=0, affine=None, values=None):
    """An image of noise, NIfTI or MGZ by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = voxels(seed) if values is None else values
    affine = np.diag([2.0, 2, 2, 1]) if affine is None else affine
    kind = nibabel.MGHImage if path.name.lower().endswith((".mgz", ".mgh")) else nibabel.Nifti1Image
    nibabel.save(kind(values, affine), path)
    return path


def scans(root, *names):
    for seed, name in enumerate(names):
        scan(root / name, seed)
    return root


def lia(side_mm=1.0):
    """The affine of FreeSurfer's axes."""
    affine = np.array([[-1.0, 0, 0, 10], [0, 0, 1, -10], [0, -1, 0, 10], [0, 0, 0, 1]])
    affine[:3, :3] *= side_mm
    return affine


def subject(folder, names=("orig", "mask"), others=(), seed=0):
    """A folder as FreeSurfer and FastSurfer leave it: these images, cubes of bytes, and other empty files."""
    head = voxels(seed, (8, 8, 8), np.uint8)
    inside = np.zeros((8, 8, 8), np.uint8)
    inside[2:6, 2:6, 2:6] = 1
    for name in names:
        scan(folder / "mri" / f"{name}.mgz", affine=lia(), values=inside if name == "mask" else head)
    for name in others:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def table(path, rows):
    """A table of these columns or rows, TSV or CSV by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, sep="," if path.suffix == ".csv" else "\t", index=False)
    return path


def sidecar_of(source, job, **changes):
    """A sidecar as `prepare` writes it, with as much as tables need."""
    quality = {"overlap": 0.95, "similarity": 0.8, "inside": 1.0, "brain_litres": 1.3, "contrast": 0.1}
    return {
        "Quality": quality,
        "RegionalVolumes": {"total_grey_mm3": 6e5},
        "Warnings": [],
        "Remarks": [],
        "Approximation": "",
        **changes,
    }


def pretend(source, job, **changes):
    """The outputs of a scan, as if it had been prepared."""
    outputs = outputs_of(source, job)
    for path in (outputs.image, outputs.mask, outputs.figure):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"volume")
    sidecar = sidecar_of(source, job, Fingerprint=fingerprint_of(source, job), Bytes={"Image": 6, "Mask": 6}, **changes)
    outputs.sidecar.write_text(json.dumps(sidecar))
    return outputs, sidecar


def job_in(folder, recipe="template", **options):
    return Job(get_recipe(recipe), folder / "out", **options)
