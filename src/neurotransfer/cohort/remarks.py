"""What a reader should be told of the header of an image that can be used."""

import nibabel
import numpy as np

from neurotransfer.cohort.header import AGREE_MM, apart_mm, forms_of, written_by

COARSE_MM = 2.5
ANISOTROPIC = 3
OBLIQUE = "its axes are oblique"
OBLIQUE_DEGREES = 5.0
SHEARED_DEGREES = 0.5


def remarks_of_header(image: nibabel.spatialimages.SpatialImage) -> tuple[str, ...]:
    """What a reader should be told of an image that can be used; no voxel is read.

    Told are: an sform and a qform more than 1 mm apart, voxels that are coarse or much longer than wide, axes that are
    oblique by more than 5 degrees, and a sheared affine.

    Example:
        >>> remarks_of_header(nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.diag([1.0, 1, 4, 1])))
        ('its voxels are coarse, 1 x 1 x 4 mm; small structures may be lost in sides above 2.5 mm',)
    """
    with np.errstate(all="ignore"):
        affine = np.asarray(image.affine, np.float64)
        remarks = [_remark_of_forms(image), _remark_of_sides(affine), *_remarks_of_angles(affine)]
    return tuple(remark for remark in remarks if remark)


def is_harmless(remark: str) -> bool:
    """Whether a remark of `remarks_of_header` tells nothing bad: oblique axes are usual, and every step respects them.

    Example:
        >>> is_harmless("its axes are oblique, turned by up to 7 degrees"), is_harmless("its qform is damaged")
        (True, False)
    """
    return remark.startswith(OBLIQUE)


def _remark_of_forms(image: nibabel.spatialimages.SpatialImage) -> str:
    forms = forms_of(image.header)
    if forms is None:
        return ""
    if not np.isfinite(forms[1]).all():
        return "its qform is damaged; its sform was used"
    distance_mm = apart_mm(image.shape, *forms)
    told = f"its sform and its qform are up to {distance_mm:.3g} mm apart; its sform was used"
    return told if distance_mm > AGREE_MM else ""


def _remark_of_sides(affine: np.ndarray) -> str:
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if sides_mm.max() > COARSE_MM:
        return f"its voxels are coarse, {written_by(sides_mm)} mm; small structures may be lost in sides above {COARSE_MM} mm"
    if sides_mm.max() > ANISOTROPIC * sides_mm.min():
        return f"its voxels are {written_by(sides_mm)} mm, more than {ANISOTROPIC} times as long as wide"
    return ""


def _remarks_of_angles(affine: np.ndarray) -> tuple[str, str]:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    turned = np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0), 0, 1))).max()
    sheared = np.degrees(np.arcsin(np.clip(np.abs(directions.T @ directions - np.eye(3)), 0, 1))).max()
    return (
        f"{OBLIQUE}, turned by up to {turned:.3g} degrees" if turned > OBLIQUE_DEGREES else "",
        f"its affine is sheared, by up to {sheared:.3g} degrees" if sheared > SHEARED_DEGREES else "",
    )
