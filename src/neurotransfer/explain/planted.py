"""What a simulated target truly does to a brain, as a region, and how much of a map lies there."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.cohort.grid import Grid
from neurotransfer.errors import InputError, unknown
from neurotransfer.simulate.anatomy import FLUID, GREY, WHITE, build_anatomy
from neurotransfer.simulate.arguments import COMPLETE, MADE_BY
from neurotransfer.simulate.heads import tissues_of
from neurotransfer.simulate.people import EFFECTS

# brightness of fluid, grey and white matter in the middle of what scanners have
BRIGHTNESS = {FLUID: 0.24, GREY: 0.64, WHITE: 0.92}
# the region holds this share of all that a target changes
HELD = 0.5
LEAST_BRAIN = 0.5


@dataclass(frozen=True, eq=False)
class Planted:
    """Where a target acts: `region` and `brain` (x, y, z) bool, and `change` (x, y, z) of brightness for a deviation of the target."""

    region: np.ndarray
    brain: np.ndarray
    change: np.ndarray

    @property
    def share(self) -> float:
        """The share of the region in the brain: what a map has there that knows nothing."""
        return float(self.region.sum() / self.brain.sum())


def simulated_effects(table: Path) -> list[dict[str, Any]]:
    """The planted effects of a cohort that `simulate` wrote; none for any other.

    Args:
        table: of the cohort, or its folder.
    """
    folder = table if table.is_dir() else table.parent
    if not is_file(folder / COMPLETE):
        return []
    try:
        truth = read_json(folder / COMPLETE)
    except InputError:
        return []
    is_ours = isinstance(truth, dict) and truth.get("made_by") == MADE_BY
    return list(truth.get("effects", ())) if is_ours else []


def planted_region(target: str, grid: Grid, held: float = HELD, effects: Iterable[Any] = ()) -> Planted:
    """The voxels that a target acts on most.

    Two average brains without noise, whose latents are those of a target one standard deviation above and below its mean, differ
    by a change of brightness in every voxel. The region is the smallest set of voxels of the brain that holds half of it
    (`held`), by absolute value. It is what the target does itself: age, say, also tells of those that go with it.

    Args:
        target: of the cohort.
        grid: of the volumes.
        held: the share of the change within the region.
        effects: of the cohort's truth, as in its truth.json; those of `simulate` when not given.

    Raises:
        InputError: for a target that nothing was planted for.

    Example:
        >>> planted = planted_region("diagnosis", Grid((32, 40, 32), 5.0))
        >>> 0 < planted.share < 0.1
        True
    """
    known = [each if isinstance(each, dict) else vars(each) for each in effects] or [vars(each) for each in EFFECTS]
    latents = {each["latent"]: float(each["strength"]) for each in known if each["target"] == target}
    if not any(latents.values()):
        raise InputError(unknown("target that was planted", target, [each["target"] for each in known]))
    anatomy = build_anatomy(grid)
    above, below = (
        tissues_of(anatomy, {name: sign * strength for name, strength in latents.items()}) for sign in (1, -1)
    )
    change = sum(level * (above[tissue] - below[tissue]) / 2 for tissue, level in BRIGHTNESS.items())
    brain = (above.sum(0) + below.sum(0)) / 2 > LEAST_BRAIN
    size = np.where(brain, np.abs(change), 0)
    order = np.argsort(size, axis=None)[::-1]
    needed = int(np.searchsorted(np.cumsum(size.ravel()[order]), held * size.sum())) + 1
    region = np.zeros(size.size, bool)
    region[order[:needed]] = True
    return Planted(region.reshape(size.shape), brain, np.asarray(change))


def localisation(values: np.ndarray, planted: Planted) -> dict[str, float]:
    """How well a map (x, y, z) finds a region, by its absolute values.

    - `pointing`: 1 where the largest value lies in the region or next to it, else 0 (Zhang et al. 2018, IJCV 126:1084);
    - `mass`: the share of all values that lies in the region (relevance mass accuracy, Arras et al. 2022, Information Fusion 81:14);
    - `rank`: of as many largest values as the region has voxels, the share that lies in it (relevance rank accuracy, ibid.);
    - `chance`: the share of the region in the brain, which is `mass` and `rank` of a map without knowledge.

    Example:
        >>> planted = planted_region("diagnosis", Grid((32, 40, 32), 5.0))
        >>> found = localisation(planted.region.astype(float), planted)
        >>> found["pointing"], found["mass"], found["rank"]
        (1.0, 1.0, 1.0)
    """
    size, region = np.abs(values), planted.region
    near = ndimage.binary_dilation(region, np.ones((3, 3, 3), bool))
    n = int(region.sum())
    largest = np.argpartition(size.ravel(), -n)[-n:]
    whole = float(size.sum(dtype=float))
    return {
        "pointing": float(near.ravel()[int(size.argmax())]) if whole > 0 else 0.0,
        "mass": float(size[region].sum(dtype=float)) / whole if whole > 0 else 0.0,
        "rank": float(region.ravel()[largest].mean()) if whole > 0 else 0.0,
        "chance": planted.share,
    }
