"""No volume meets a network unchecked: what does not fit a model is refused, with what to do."""

import numpy as np

from neurotransfer.cohort import Cohort
from neurotransfer.cohort.contract import Contract
from neurotransfer.cohort.preparation import identity_of
from neurotransfer.cohort.volumes import way_of
from neurotransfer.errors import ModelError
from neurotransfer.models.card import Card

LOOKED_AT = 16


def require_preparation(card: Card, cohort: Cohort) -> None:
    """Refuse scans that were prepared by another recipe than those that a model knows; what is not known is not refused.

    Raises:
        ModelError: saying what was found, what is allowed and the command that mends it.
    """
    found, known = identity_of(cohort.preparation), identity_of(card.preparation)
    if found and known and found != known:
        raise ModelError(
            f"model {card.name!r} knows scans prepared by recipe {known}, those of {cohort.name!r} were by {found}; run "
            f"`neurotransfer prepare INPUT OUT --recipe {card.preparation['Recipe']}` on the raw scans and use OUT"
        )


def require_volumes(card: Card) -> None:
    """Refuse a model of table columns, or one whose volumes this version does not make.

    Raises:
        ModelError: saying which it is.
    """
    if card.input is None:
        raise ModelError(f"model {card.name!r} takes columns of a table, not volumes")
    if card.recipe != way_of(card.input):
        raise ModelError(
            f"model {card.name!r} takes volumes of recipe {card.recipe!r}, this version makes {way_of(card.input)!r}; use the "
            "version of neurotransfer that made the model"
        )


def check_volumes(card: Card, volumes: np.ndarray) -> None:
    """Refuse volumes (n, x, y, z) that do not fit the input contract of a model.

    Raises:
        ModelError: saying what was found, what is allowed and what to do.
    """
    require_volumes(card)
    taken = card.input
    assert taken is not None
    if volumes.ndim != 4 or tuple(volumes.shape[1:]) != tuple(taken.shape):
        made = f", as recipe {taken.recipe!r} makes them" if isinstance(taken, Contract) else ""
        raise ModelError(
            f"model {card.name!r} takes volumes of shape {tuple(taken.shape)} at {taken.voxel_size_mm:g} mm{made}, got "
            f"{tuple(volumes.shape[1:])}; read the scans with read_cohort and the input of the model, or use a study without grid"
        )
    sample = np.asarray(volumes[:: max(1, len(volumes) // LOOKED_AT)], np.float32)
    low, high = card.intensity_range
    if sample.size and (sample.min() < low or sample.max() > high or not np.isfinite(sample).all()):
        raise ModelError(
            f"model {card.name!r} takes values from {low:g} to {high:g}, got {sample.min():g} to {sample.max():g}; "
            "make the volumes with neurotransfer.cohort.load_volume"
        )
