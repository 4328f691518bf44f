"""Features on one scale: the mean and spread that people who were learnt from give."""

import numpy as np

LEAST_SCALE = 0.1


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
