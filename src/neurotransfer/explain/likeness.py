"""How alike two maps are: rank correlation and structural similarity of what they say counts, whatever its sign."""

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata

WINDOW = 7
# of Wang et al. 2004, for values from 0 to 1
LUMINANCE, CONTRAST = 0.01**2, 0.03**2


def rank_correlation(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float:
    """Spearman's correlation of the absolute values of two maps (x, y, z) inside a mask; 0 where one is constant.

    Example:
        >>> ramp, mask = np.arange(8.0).reshape(2, 2, 2), np.ones((2, 2, 2), bool)
        >>> round(rank_correlation(ramp, -(ramp**2), mask), 6)
        1.0
    """
    ranks = [rankdata(np.abs(each[inside])) for each in (one, other)]
    centred = [each - each.mean() for each in ranks]
    size = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / size if size > 0 else 0.0


def structural_similarity(one: np.ndarray, other: np.ndarray, inside: np.ndarray, window: int = WINDOW) -> float:
    """The mean structural similarity of the absolute values of two maps (x, y, z) inside a mask, -1 to 1.

    Each map is divided by its 99.9th percentile of absolute values inside and cut at 1. In a cube of `window` voxels around every
    voxel (2 m1 m2 + c1)(2 s12 + c2) / ((m1^2 + m2^2 + c1)(s1^2 + s2^2 + c2)), with means m, variances s^2 and covariance s12
    (Wang et al. 2004, IEEE Transactions on Image Processing 13:600; 3D). Beyond the border values are mirrored.

    Example:
        >>> noise, mask = np.random.default_rng(0).random((9, 9, 9)), np.ones((9, 9, 9), bool)
        >>> round(structural_similarity(noise, 3 * noise, mask), 6)
        1.0
    """
    a, b = (_scaled(each, inside) for each in (one, other))
    mean_a, mean_b = _mean(a, window), _mean(b, window)
    square_a, square_b = _mean(a * a, window) - mean_a**2, _mean(b * b, window) - mean_b**2
    together = _mean(a * b, window) - mean_a * mean_b
    found = (2 * mean_a * mean_b + LUMINANCE) * (2 * together + CONTRAST)
    found /= (mean_a**2 + mean_b**2 + LUMINANCE) * (square_a + square_b + CONTRAST)
    return float(found[inside].mean())


def _mean(values: np.ndarray, window: int) -> np.ndarray:
    return np.asarray(ndimage.uniform_filter(values, window))


def _scaled(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    size = np.abs(values).astype(float)
    largest = float(np.percentile(size[inside], 99.9))
    return np.minimum(size / largest, 1.0) if largest > 0 else size
