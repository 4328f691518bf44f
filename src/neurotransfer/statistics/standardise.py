"""Features on one scale: the mean and spread that people who were learnt from give."""

import numpy as np

from neurotransfer.errors import InputError

LEAST_SCALE = 0.1
# scans of a person that agree to this share of the variance of all agree
LEAST_VARIANCE = 1e-6


def standardiser(features: np.ndarray, *, alike: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, each (n_features,), of training features (n, n_features): their standard deviation, or 1.

    Where features are `alike` (voxels, outputs of one network layer; not columns of mixed units), the scale of a feature
    that varies is at least a tenth of the median one: a voxel at the ceiling in every training image, or a unit that is
    nearly silent there, would else be blown up to thousands of standard deviations in a new image.

    Example:
        >>> standardiser(np.array([[0.0, 1.0], [2.0, 1.0]]))
        (array([1., 1.]), array([1., 1.]))
    """
    mean, scale = features.mean(0, dtype=float), features.std(0, dtype=float)
    # a spread that is only rounding of a constant would be blown up to noise
    varies = scale > 1e-6 * np.maximum(1.0, np.abs(mean))
    if alike and varies.any():
        return mean, np.maximum(scale, LEAST_SCALE * np.median(scale[varies]))
    return mean, np.where(varies, scale, 1.0)


def within_person_normaliser(
    first: np.ndarray, second: np.ndarray, floor: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Centre (n_features,) and matrix A (n_features, n_features): A (f - centre) varies about alike within people everywhere.

    What two scans of one person disagree about is no property of the person. With W the covariance of standardised features
    within people, from the differences of two scans of each, A = (W + floor * mean eigenvalue * I)^(-1/2) / scale: a mixture of
    features that two scans disagree about becomes small beside others, so that an L2 penalty on weights of A (f - centre) makes it
    dear; with an infinite floor nothing but the scale is left. Features that are standardised one by one afterwards keep the mixing
    and lose their own scale. Within-class covariance normalisation (Hatch, Kajarekar & Stolcke 2006, Interspeech), with the
    symmetric root, so that features stay what they were as far as they can.

    Args:
        first: features (n, n_features) of a scan of n people.
        second: of another scan of the same people, in the same order.
        floor: how much of the mean variance within people is added to all directions, above 0.

    Raises:
        InputError: when shapes differ, there are fewer than two people, the floor is not above 0, or a number is not finite.

    Example:
        >>> first = np.array([[0.0, 3.0], [0.0, 0.0], [4.0, 0.0], [4.0, 3.0]])
        >>> second = first + [[2.0, 0.1], [-2.0, 0.1], [2.0, -0.1], [-2.0, -0.1]]
        >>> centre, matrix = within_person_normaliser(first, second)
        >>> bool(matrix[1, 1] > 3 * matrix[0, 0])
        True
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.ndim != 2 or first.shape != second.shape or len(first) < 2:
        raise InputError(
            "two tables (n, n_features) of features of the same two or more people are needed, got shapes "
            f"{first.shape} and {second.shape}"
        )
    if not 0 < floor < np.inf or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError(f"features and a floor above 0 must be finite, got floor {floor!r}")
    centre, scale = standardiser(np.concatenate([first, second]), alike=True)
    differences = (first - second) / scale
    # half of the mean squared difference is the variance within people
    variances, axes = np.linalg.eigh(differences.T @ differences / (2 * len(differences)))
    strength = (variances.clip(0) + floor * max(variances.mean(), LEAST_VARIANCE)) ** -0.5
    return centre, (axes * strength) @ axes.T / scale
