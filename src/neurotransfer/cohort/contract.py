"""The input contract of a model: on which grid, or just as which recipe leaves them, its volumes are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.orientation import orientation_of
from neurotransfer.errors import InputError, unknown

NATIVE = "native"
# how far the corner of a volume in MNI152 may be from where it should be; half a voxel of the finest recipe
NEAR_MM = 0.5


@dataclass(frozen=True)
class Contract:
    """What a model may rely on, when it takes volumes just as a recipe leaves them.

    Attributes:
        space: `native`, or the name of the template that volumes are registered to.
        orientation: of the axes, `LAS` for example.
        shape: (x, y, z).
        sides_mm: of a voxel, least and most.
        values: least and most.
        unit: what values are divided by, to be about 0 to 1 in here; what is above it is cut.
        brightness: least and most mean of the voxels above zero, as they come; another scale of values lies outside.
        corner_mm: where the first voxel lies, in a template; None in native space.
        recipe: that makes such volumes.

    Example:
        >>> from neurotransfer.cohort.recipes import RECIPES
        >>> RECIPES["sfcn-ukb"].contract.shape
        (160, 192, 160)
    """

    space: str
    orientation: str
    shape: tuple[int, int, int]
    sides_mm: tuple[float, float]
    values: tuple[float, float]
    unit: float = 1.0
    brightness: tuple[float, float] | None = None
    corner_mm: tuple[float, float, float] | None = None
    recipe: str = ""

    @property
    def voxel_size_mm(self) -> float:
        """The side of a voxel, 1 where several are allowed."""
        least, most = self.sides_mm
        return least if least == most else 1.0

    def problems(self, voxels: np.ndarray, affine: np.ndarray) -> list[str]:
        """What does not fit of a volume (x, y, z) with its affine (4, 4), in words; empty when all fits."""
        sides, found = np.linalg.norm(affine[:3, :3], axis=0), []
        if tuple(voxels.shape) != self.shape:
            found.append(f"shape {tuple(voxels.shape)}, wanted {self.shape}")
        if orientation_of(affine) != self.orientation:
            found.append(f"orientation {orientation_of(affine)}, wanted {self.orientation}")
        if sides.min() < self.sides_mm[0] - 1e-3 or sides.max() > self.sides_mm[1] + 1e-3:
            found.append(f"voxels of {sides.round(3).tolist()} mm, wanted {self.sides_mm[0]:g} to {self.sides_mm[1]:g}")
        apart_mm = 0.0 if self.corner_mm is None else float(np.linalg.norm(affine[:3, 3] - self.corner_mm))
        if apart_mm > NEAR_MM and not found:
            found.append(f"it lies {apart_mm:.3g} mm beside its place in {self.space}")
        low, high = float(voxels.min()), float(voxels.max())
        if not (self.values[0] - 1e-4 <= low and high <= self.values[1] + 1e-4) or low == high:
            found.append(f"values from {low:g} to {high:g}, wanted {self.values[0]:g} to {self.values[1]:g}")
        return found

    def problem_of_scale(self, voxels: np.ndarray) -> str:
        """What tells that values (x, y, z) have another scale than the recipe gives them, in words; "" when nothing does."""
        inside = voxels[voxels > 0]
        if self.brightness is None or not inside.size:
            return ""
        least, most = self.brightness
        mean = float(inside.mean(dtype=np.float64))
        fits = least <= mean <= most
        return (
            ""
            if fits
            else f"a mean of {mean:.3g} above zero, wanted {least:g} to {most:g}: its values have another scale"
        )


Input: TypeAlias = Grid | Contract


def described(taken: Input | None) -> str:
    """What a model or a study takes, in words.

    Example:
        >>> described(Grid((40, 48, 40), 4.0))
        'volumes of 40 x 48 x 40 voxels of 4 mm'
    """
    if taken is None:
        return "columns of a table"
    shape = " x ".join(map(str, taken.shape))
    if isinstance(taken, Grid):
        return f"volumes of {shape} voxels of {taken.voxel_size_mm:g} mm"
    return f"volumes as recipe {taken.recipe!r} leaves them, {shape} voxels"


def alignment_for(taken: Input | None, alignment: str) -> str:
    """How a cohort is read for an input: native volumes just as a recipe leaves them are laid nowhere, whatever was said.

    Example:
        >>> alignment_for(Grid(), "world")
        'world'
    """
    return "centre" if isinstance(taken, Contract) and taken.space == NATIVE else alignment


def input_to_dict(taken: Input) -> dict[str, Any]:
    """A grid or a contract as plain values; `input_from_dict` is the inverse.

    Example:
        >>> input_to_dict(Grid((32, 32, 32), 5.0))
        {'shape': [32, 32, 32], 'voxel_size_mm': 5.0}
    """
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(taken).items()}


def input_from_dict(values: Mapping[str, Any]) -> Input:
    """A grid or a contract from the plain values of a card or a store.

    Raises:
        InputError: for keys that neither has, or values that cannot be.

    Example:
        >>> input_from_dict({"shape": [32, 32, 32], "voxel_size_mm": 5.0})
        Grid(shape=(32, 32, 32), voxel_size_mm=5.0)
    """
    kind: Any = Contract if "values" in values else Grid
    foreign = [name for name in values if name not in kind.__dataclass_fields__]
    if foreign:
        raise InputError(unknown("key of an input", foreign[0], kind.__dataclass_fields__))
    if kind is Grid and len(values) < len(Grid.__dataclass_fields__):
        raise InputError(f"a grid has {' and '.join(Grid.__dataclass_fields__)}, got {', '.join(values) or 'nothing'}")
    found = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    if isinstance(found, Contract):
        _require_possible(found)
    return cast(Input, found)


def _require_possible(contract: Contract) -> None:
    pairs = [contract.sides_mm, contract.values, *([contract.brightness] if contract.brightness else [])]
    triples = [contract.shape, *([contract.corner_mm] if contract.corner_mm else [])]
    texts = (contract.space, contract.orientation, contract.recipe)
    numbers = [number for group in (*pairs, *triples) for number in group] + [contract.unit]
    if (
        any(len(pair) != 2 or not pair[0] <= pair[1] for pair in pairs)
        or any(len(triple) != 3 for triple in triples)
        or any(not isinstance(side, int) or side < 1 for side in contract.shape)
        or not all(isinstance(text, str) for text in texts)
        or not np.isfinite(np.array(numbers, float)).all()
        or contract.unit <= 0
        or contract.sides_mm[0] <= 0
        or contract.values[0] != 0
    ):
        raise InputError(f"no input contract can be {contract!r}")
