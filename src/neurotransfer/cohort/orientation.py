"""Axes of voxels: turn them to another orientation, cut or fill them to another shape, and keep the affine true."""

import numpy as np
from nibabel import orientations


def orientation_of(affine: np.ndarray) -> str:
    """The closest orientation of an affine (4, 4): where its three axes point, such as `LAS`.

    Example:
        >>> orientation_of(np.diag([-1.0, 1, 1, 1]))
        'LAS'
    """
    return "".join(orientations.aff2axcodes(affine))


def reoriented(voxels: np.ndarray, affine: np.ndarray, orientation: str = "RAS") -> tuple[np.ndarray, np.ndarray]:
    """Voxels (i, j, k) with their axes swapped and flipped so that they point where `orientation` says; and their affine.

    No value changes and nothing is interpolated. Where nothing turns, the voxels are given as they came, not copied.

    Example:
        >>> turned, affine = reoriented(np.arange(8.0).reshape(2, 2, 2), np.diag([-1.0, 1, 1, 1]))
        >>> turned[:, 0, 0].tolist(), affine[0].tolist()
        ([4.0, 0.0], [1.0, 0.0, 0.0, -1.0])
    """
    turn = orientations.ornt_transform(
        orientations.io_orientation(affine), orientations.axcodes2ornt(tuple(orientation))
    )
    turned = orientations.apply_orientation(voxels, turn)
    return np.ascontiguousarray(turned), affine @ orientations.inv_ornt_aff(turn, voxels.shape)


def window(
    voxels: np.ndarray, affine: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The voxels from `start` on, of this shape, zero where there were none; and their affine.

    Example:
        >>> cut, affine = window(np.ones((2, 2, 2)), np.eye(4), (1, 0, -1), (2, 2, 2))
        >>> int(cut.sum()), affine[:3, 3].tolist()
        (2, [1.0, 0.0, -1.0])
    """
    taken = np.zeros(shape, voxels.dtype)
    sides = list(zip(start, shape, voxels.shape, strict=True))
    source = tuple(slice(max(first, 0), max(min(first + size, old), 0)) for first, size, old in sides)
    target = tuple(
        slice(max(-first, 0), max(-first, 0) + max(min(first + size, old) - max(first, 0), 0))
        for first, size, old in sides
    )
    if all(side.stop > side.start for side in source):
        taken[target] = voxels[source]
    moved = affine.copy()
    moved[:3, 3] = affine[:3, :3] @ np.array(start, float) + affine[:3, 3]
    return taken, moved
