"""Features and volumes of the same rows: an array of features to whoever does not ask for the volumes."""

import numpy as np

from neurotransfer.transfer.beside import Beside

FEATURES, VOLUMES = np.arange(12.0).reshape(4, 3), np.zeros((4, 2, 2, 2))


def test_it_is_read_as_the_features():
    both = Beside(FEATURES, VOLUMES)
    assert (len(both), both.shape, both.ndim, both.dtype, both.nbytes) == (
        4,
        (4, 3),
        2,
        FEATURES.dtype,
        FEATURES.nbytes,
    )
    np.testing.assert_array_equal(both[np.array([3, 0, 3])], FEATURES[[3, 0, 3]])
    np.testing.assert_array_equal(both[1:], FEATURES[1:])
    assert both.volumes is VOLUMES
    assert both.features is FEATURES
