"""What the scans were like that a network learnt from, to be kept in its model folder."""

from typing import Any

import numpy as np
from torch import nn

from neurotransfer.models.folder import Model
from neurotransfer.models.reference import QUANTILES, Drift, Reference, drift_of, reference_of, values_of
from neurotransfer.training.inference import features

# fewer scans tell nothing of what is usual, and too much of themselves
LEAST_HELD_OUT, LEAST_KNOWN = 5, 20
# more are not needed to tell what is usual
MOST_KNOWN = 500


def reference_from(encoder: nn.Module, volumes: Any, train: np.ndarray, held_out: np.ndarray) -> Reference | None:
    """A reference of the volumes that a network learnt from; None when they are fewer than 20, or 5 that were held out.

    Args:
        encoder: of the network, as it will be used.
        volumes: (n, x, y, z), 0 to 1.
        train: rows that were learnt from.
        held_out: rows that were not; they tell how far is usual.
    """
    if len(train) < LEAST_KNOWN or len(held_out) < LEAST_HELD_OUT:
        return None
    some = [part[:: -(-len(part) // MOST_KNOWN)] for part in (train, held_out)]
    rows = np.concatenate(some)
    return reference_of(features(encoder, volumes, rows), _spread(volumes, rows), np.arange(len(rows)) >= len(some[0]))


def drift_of_volumes(model: Model, volumes: Any, known: np.ndarray | None = None) -> Drift:
    """How far volumes (n, x, y, z) are from those that a model knows; `known` are their features where they have been made."""
    rows = np.arange(len(volumes))
    if model.reference is None:
        return drift_of(None, np.zeros((len(rows), 0)), np.zeros((len(rows), 0)))
    return drift_of(
        model.reference, features(model.network.encoder, volumes) if known is None else known, _spread(volumes, rows)
    )


def _spread(volumes: Any, rows: np.ndarray) -> np.ndarray:
    # one by one: all of them need not fit into memory
    return np.concatenate(
        [np.zeros((0, len(QUANTILES) + 1)), *(values_of(np.asarray(volumes[[row]], np.float32)) for row in rows)]
    )
