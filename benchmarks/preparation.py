"""Preparation proved on real heads: known affines recovered, the same head in other clothes, what a head costs.

    python benchmarks/preparation.py DATA [--trials 3] [--seed 0]

DATA holds ds000011 (heads with skull) and ds002748 (without). A trial turns a head by a known affine (15 degrees about every
axis, scale 0.85 to 1.15 along each, shift up to 30 mm at most), interpolates it on a new grid, finds its brain, bias field and
transform again from nothing, and compares: mean distance on the surface of the brain between where MNI152 says it lies and where
the known affine says so. The rest is one head again and again: in all 48 orientations, at other voxel sizes, as other types of
file; each prepared by `template` at 2 mm, compared with the first by the mean absolute difference inside the brain (values 0 to 1).
"""

import argparse
import itertools
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import nibabel.processing
import numpy as np
from scipy.spatial.transform import Rotation

BAR_MM = 1.5


def known_affine(generator: np.random.Generator, centre_mm: np.ndarray) -> np.ndarray:
    """A rotation, scaling and shift (4, 4) about a centre."""
    turn = Rotation.from_euler("xyz", generator.uniform(-15, 15, 3), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(generator.uniform(0.85, 1.15, 3))
    affine[:3, 3] = centre_mm - affine[:3, :3] @ centre_mm + generator.uniform(-30, 30, 3)
    return affine


def moved(voxels: np.ndarray, affine: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A head after a known affine, interpolated on an upright grid of its own voxel sizes that holds all of it."""
    from neurotransfer.cohort.volumes import laid_on

    corners = np.array([[*corner, 1] for corner in itertools.product(*[(0, side - 1) for side in voxels.shape])], float)
    places = (corners @ (known @ affine).T)[:, :3]
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    target = np.diag([*sides, 1.0])
    target[:3, 3] = places.min(0)
    shape = tuple(int(side) for side in np.ceil(np.ptp(places, axis=0) / sides) + 1)
    return laid_on(voxels, known @ affine, shape, target), target


def found_again(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The transform to MNI152 (4, 4) that the steps of `template` find."""
    from neurotransfer.cohort.recipes import RECIPES
    from neurotransfer.prepare.scan import Scan
    from neurotransfer.prepare.steps import STEPS

    scan = Scan(np.clip(voxels, 0, None).astype(np.float32), affine)
    for step in RECIPES["template"].steps:
        scan = STEPS[step.name](scan, **step.parameters)
        if scan.to_template is not None:
            break
    assert scan.to_template is not None
    return scan.to_template


def recover(data: Path, trials: int, seed: int) -> None:
    """Print how well known affines are found again."""
    from neurotransfer.cohort.images import opened
    from neurotransfer.prepare.registration import displacement_mm

    for cohort in ("ds000011", "ds002748"):
        errors = []
        for number, path in enumerate(sorted((data / cohort).glob("sub-*/anat/*_T1w.nii.gz"))):
            image, voxels = opened(path)
            voxels, affine = voxels.astype(np.float32), np.asarray(image.affine, float)
            first = found_again(voxels, affine)
            centre = (affine @ np.append(np.array(voxels.shape) / 2, 1))[:3]
            for trial in range(trials * (4 if cohort == "ds000011" else 1)):
                known = known_affine(np.random.default_rng([seed, number, trial]), centre)
                errors.append(displacement_mm(found_again(*moved(voxels, affine, known)) @ known, first))
        errors = np.array(errors)
        print(f"{cohort}: {len(errors)} trials, {np.mean(errors < BAR_MM):.1%} below {BAR_MM} mm, median {np.median(errors):.2f}, "
              f"95 % {np.percentile(errors, 95):.2f}, worst {errors.max():.2f} mm", flush=True)  # fmt: skip


def prepared(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The volume that the command makes of one file, and its quality."""
    from neurotransfer.artifacts import read_json
    from neurotransfer.prepare.run import prepare

    with tempfile.TemporaryDirectory() as folder:
        done = prepare(path, Path(folder) / "out")
        assert not done.failed, done.failed
        image = next(done.folder.glob("sub-*/**/*_T1w.nii.gz"))
        return nibabel.load(image).get_fdata(dtype=np.float32), read_json(next(done.folder.glob("sub-*/**/*.json")))


def clothes(data: Path) -> None:
    """Print how much the volume of one head depends on how it was stored."""
    from neurotransfer.cohort.volumes import laid_on

    source = nibabel.load(next((data / "ds000011").glob("sub-01/anat/*_T1w.nii.gz")))
    voxels, affine = source.get_fdata(dtype=np.float32), source.affine
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def saved(image: Any, file: str) -> Path:
            nibabel.save(image, folder / file)
            return folder / file

        low = nibabel.processing.resample_to_output(source, (3, 3, 3), order=1)
        first, _ = prepared(saved(nibabel.Nifti1Image(low.get_fdata(dtype=np.float32), low.affine), "low.nii.gz"))
        inside, worst = first > 0, 0.0
        for order, flips in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
            turn = np.column_stack([order, flips])
            turned = low.as_reoriented(turn)
            other, _ = prepared(
                saved(nibabel.Nifti1Image(turned.get_fdata(dtype=np.float32), turned.affine), "turned.nii.gz")
            )
            worst = max(worst, float(np.abs(other - first)[inside].mean()))
        print(f"48 orientations of one head at 3 mm: mean absolute difference {worst:.5f} at most", flush=True)
        first, _ = prepared(saved(source, "first.nii.gz"))
        inside = first > 0
        for size in (0.7, 1.0, 1.5, 2.0):
            target = np.diag([size, size, size, 1.0])
            corners = nibabel.affines.apply_affine(
                affine, list(itertools.product(*[(0, side - 1) for side in voxels.shape]))
            )
            target[:3, 3] = corners.min(0)
            shape = tuple(int(side) for side in np.ceil(np.ptp(corners, axis=0) / size) + 1)
            image = nibabel.Nifti1Image(laid_on(voxels, affine, shape, target).astype(np.float32), target)
            other, _ = prepared(saved(image, "other.nii.gz"))
            print(
                f"voxels of {size} mm: mean absolute difference {np.abs(other - first)[inside].mean():.4f}", flush=True
            )
        for file, image in typed(source).items():
            other, _ = prepared(saved(image, file))
            print(f"{file}: mean absolute difference {np.abs(other - first)[inside].mean():.5f}", flush=True)


def typed(source: Any) -> dict[str, Any]:
    """The same head as other types of file."""
    voxels, affine = source.get_fdata(dtype=np.float32), source.affine
    scaled = nibabel.Nifti1Image(voxels, affine)
    scaled.header.set_data_dtype(np.int16)
    scaled.header.set_slope_inter(voxels.max() / 30000, 0)
    return {
        "uint8.nii.gz": nibabel.Nifti1Image(np.rint(voxels * (255 / voxels.max())).astype(np.uint8), affine),
        "int16_with_slope.nii.gz": scaled,
        "float64.nii": nibabel.Nifti1Image(voxels.astype(np.float64), affine),
        "mgz.mgz": nibabel.MGHImage(voxels, affine),
    }


def cost(data: Path) -> None:
    """Print seconds and memory of one head, one process of one thread."""
    for cohort in ("ds000011", "ds002748"):
        path = next((data / cohort).glob("sub-01/anat/*_T1w.nii.gz"))
        began = time.perf_counter()
        _, sidecar = prepared(path)
        spent, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        overlap = sidecar["Quality"]["overlap"]
        print(f"{cohort}: {spent:.1f} s a head, {peak:.2f} GiB, overlap with MNI152 {overlap:.3f}", flush=True)


def main() -> None:
    """Prove and measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--trials", type=int, default=3, help="of a head; four times as many of those with skull")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cost(arguments.data)
    recover(arguments.data, arguments.trials, arguments.seed)
    clothes(arguments.data)


if __name__ == "__main__":
    main()
