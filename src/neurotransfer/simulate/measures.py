"""What a network can learn of simulated heads: groups of named numbers, every one known exactly."""

from collections.abc import Callable, Iterable

import numpy as np

from neurotransfer.cohort.regions import ONE_SIDED, REGIONS
from neurotransfer.errors import InputError, unknown
from neurotransfer.simulate.atlas import CENTRES_MM, KIND_OF_REGION, TISSUES, knots_mm
from neurotransfer.simulate.synthesis import Made
from neurotransfer.simulate.traits import CLASSES, labels_of

LEAST_ML = 0.05
AXES = ("x", "y", "z")

Columns = dict[str, np.ndarray]


def _one(name: str) -> Callable[[Made], Columns]:
    if name in CLASSES:
        return lambda made: {name: made.people.targets[name]}
    return lambda made: {name: labels_of(made.people)[name]}


def _tissue(made: Made) -> Columns:
    totals = made.tissue_ml.sum(2).cpu().numpy()
    return {f"{tissue}_ml": totals[:, place] for place, tissue in enumerate(TISSUES)}


def _volumes(made: Made) -> Columns:
    both = _both_sides(made.tissue_ml.cpu().numpy())
    return {
        f"{region}_{tissue}_ml": both[:, place, number]
        for place, tissue in enumerate(TISSUES)
        for number, region in enumerate(ONE_SIDED)
    }


def _volumes_by_side(made: Made) -> Columns:
    volumes = made.tissue_ml.cpu().numpy()
    return {
        f"{region}_{tissue}_ml": volumes[:, place, number]
        for place, tissue in enumerate(TISSUES)
        for number, region in enumerate(REGIONS)
    }


def _contrast(made: Made) -> Columns:
    """Twice the difference of white and grey matter's signals by their sum; missing where a region is out of view."""
    signals = made.signals.cpu().numpy()
    in_view = (made.tissue_ml[:, 1:] > LEAST_ML).cpu().numpy().all(1)
    found = np.where(in_view, 2 * (signals[:, 1] - signals[:, 0]) / np.maximum(signals.sum(1), 1e-6), np.nan)
    weights = np.where(np.isnan(found), 0.0, 1.0)
    count = _both_sides(weights)
    mean = _both_sides(np.nan_to_num(found)) / np.maximum(count, 1)
    return {
        f"{region}_contrast": np.where(count[:, number] > 0, mean[:, number], np.nan)
        for number, region in enumerate(ONE_SIDED)
    }


def _lesions(made: Made) -> Columns:
    return {"lesion_ml": made.lesion_ml.cpu().numpy()}


def _traits(made: Made) -> Columns:
    return {f"trait_{name}": value for name, value in made.people.traits.items()}


def _displacement(made: Made) -> Columns:
    """The displacement at the knot of the fine field next to every region's centre, millimetres."""
    knots = knots_mm(tuple(made.displacement_mm.shape[2:])).reshape(3, -1)  # type: ignore[arg-type]
    nearest = ((knots[:, :, None] - CENTRES_MM.T[:, None]) ** 2).sum(0).argmin(0)
    moved = made.displacement_mm.flatten(2)[:, :, nearest].cpu().numpy()
    return {
        f"{region}_moved_{axis}_mm": moved[:, place, number]
        for place, axis in enumerate(AXES)
        for number, region in enumerate(REGIONS)
    }


def _both_sides(values: np.ndarray) -> np.ndarray:
    """Sums (..., kinds) over left and right of values (..., regions)."""
    return values @ (KIND_OF_REGION[:, None] == np.arange(len(ONE_SIDED)))


GROUPS: dict[str, Callable[[Made], Columns]] = {
    **{name: _one(name) for name in ("age", "sex", "handedness", "bmi", "fluid_intelligence", "neuroticism")},
    "traits": _traits,
    "tissue": _tissue,
    "volumes": _volumes,
    "volumes_by_side": _volumes_by_side,
    "contrast": _contrast,
    "lesions": _lesions,
    "displacement": _displacement,
}


def measure(made: Made, groups: Iterable[str]) -> Columns:
    """The numbers of groups by name, each (n,) as float64; NaN where something is out of view.

    Groups: the targets (age in years, sex and handedness as 0 or 1, bmi, fluid_intelligence, neuroticism); `traits`, the latents;
    `tissue`, `volumes` of every region (both sides together, or `volumes_by_side`) in ml; the grey-white `contrast` of
    every region; `lesions` in ml; the `displacement` of every region in mm.

    Raises:
        InputError: for an unknown group.

    Example:
        >>> from neurotransfer.cohort import Grid
        >>> from neurotransfer.simulate.synthesis import Heads
        >>> sorted(measure(Heads(Grid((32, 40, 32), 5.0)).make([0]), ["tissue"]))
        ['fluid_ml', 'grey_ml', 'white_ml']
    """
    found: Columns = {}
    for group in groups:
        if group not in GROUPS:
            raise InputError(unknown("group of pretraining targets", group, GROUPS))
        found |= GROUPS[group](made)
    return {name: np.asarray(values, float) for name, values in found.items()}
