"""Heads that are known at every point of space, and the files that hold them."""

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from neurotransfer.cohort import Grid

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
GRID = Grid((36, 40, 34), 5.0)
# centre (x, y, z), width and height of each blob: nothing is symmetric
BLOBS = (((0, -18, 10), 24, 1.0), ((38, 0, 20), 9, 0.9), ((-20, -55, 0), 11, 0.6), ((5, 30, 40), 10, 0.4))
PAIRS = (("L", "R"), ("P", "A"), ("I", "S"))
ORIENTATIONS = [
    "".join(pair[side] for pair, side in zip(order, sides, strict=True))
    for order in permutations(PAIRS)
    for sides in product((0, 1), repeat=3)
]


def brightness(points_mm):
    """The phantom at points (..., 3) in millimetres: analytic, so that no resampling is needed to know it."""
    total = np.zeros(points_mm.shape[:-1])
    for centre, width, height in BLOBS:
        total += height * np.exp(-0.5 * ((points_mm - np.array(centre)) ** 2).sum(-1) / width**2)
    return np.where(total > 0.01, total, 0.0)


def points_of(shape, affine):
    """The places of all voxels in millimetres (i, j, k, 3)."""
    indices = np.moveaxis(np.indices(shape), 0, -1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def affine_around(shape, sides_mm, centre=(0, -18, 10), turn=0.0):
    """An affine of these voxel sizes with the middle of the image at `centre`, turned about z by `turn` radians."""
    cosine, sine = np.cos(turn), np.sin(turn)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ np.diag(
        np.broadcast_to(sides_mm, 3)
    )
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def phantom(shape=(36, 40, 34), sides_mm=5.0, scale=1000.0, **place):
    """The phantom as a float32 RAS image."""
    affine = affine_around(shape, sides_mm, **place)
    return nibabel.Nifti1Image((scale * brightness(points_of(shape, affine))).astype(np.float32), affine)


def reoriented(image, codes):
    """The same head in the same place, stored in another order of axes and directions."""
    return image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(codes)))


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def noise(seed, shape=(6, 7, 8), affine=None):
    """A small positive image of its own, int16."""
    voxels = np.random.default_rng(seed).integers(1, 1000, shape).astype(np.int16)
    return nibabel.Nifti1Image(voxels, np.diag([4.0, 4, 4, 1]) if affine is None else affine)


def rows_of(folder, n=6, suffix=".nii"):
    """n scans of n people in `folder`, and the rows that list them."""
    for index in range(n):
        save(noise(index), folder / f"scan{index}{suffix}")
    return [
        {
            "participant_id": f"sub-{index:02d}",
            "image": f"scan{index}{suffix}",
            "age": str(20 + index),
            "sex": "FM"[index % 2],
        }
        for index in range(n)
    ]


def write_rows(path, rows):
    """A table of the rows, in the format that the name says."""
    table = pd.DataFrame(rows)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path
