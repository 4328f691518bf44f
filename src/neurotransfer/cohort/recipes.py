"""Recipes: named, versioned lists of steps, and what the volumes that they make are like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurotransfer.cohort.contract import NATIVE, Contract
from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.mni import SPACE
from neurotransfer.errors import ImageError, InputError, unknown

__all__ = ["NATIVE", "RECIPES", "Contract", "Recipe", "Step", "get_recipe"]

FINEST_MM, COARSEST_MM = 0.69, 1.03


@dataclass(frozen=True)
class Step:
    """One step: its name among `neurotransfer.prepare.steps.STEPS` and its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A way from raw to model-ready: `steps` in order, `contract` of what comes out, `tool` whose output it is meant for.

    `version` changes with anything that changes numbers. A recipe with a `tool` that is made without it (from a raw scan)
    is an approximation and says so.
    """

    name: str
    version: int
    what: str
    steps: tuple[Step, ...]
    contract: Contract
    tool: str = ""

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}-{self.version}"

    def facts(self) -> dict[str, Any]:
        """Everything that the volumes depend on, for sidecars and model cards."""
        steps = [{"Step": step.name, **step.parameters} for step in self.steps]
        return {
            "Recipe": self.name,
            "RecipeVersion": self.version,
            "SpatialReference": self.contract.space,
            "Steps": steps,
        }

    def require(self, voxels: np.ndarray, affine: np.ndarray) -> None:
        """Refuse a volume that does not keep the contract.

        Raises:
            ImageError: saying what was found and what is wanted.
        """
        problems = self.contract.problems(voxels, affine)
        if problems:
            raise ImageError(f"the volume does not keep the contract of recipe {self.identity}: {'; '.join(problems)}")


# the grids of `template` by their voxel size: one field of view, 160 x 192 x 160 mm
GRIDS = {1.0: (160, 192, 160), 2.0: (80, 96, 80)}
_FIND = (Step("reorient", {"orientation": "RAS"}), Step("brain", {"threshold": 0.5}))
_UNBIAS = Step("bias_field", {"shrink_to_mm": 4.0})
_AFFINE = Step("register", {"degrees_of_freedom": 12})


def _template(voxel_size_mm: float) -> Recipe:
    shape = GRIDS[voxel_size_mm]
    grid = Step("lay_on_grid", {"shape": shape, "voxel_size_mm": voxel_size_mm})
    return Recipe(
        "template",
        1,
        "affine to MNI152, brain only, our grid of 160 x 192 x 160 mm, 0 to 1",
        (*_FIND, _UNBIAS, _AFFINE, Step("masked"), grid, Step("scale", {"percentile": 99.9})),
        Contract(SPACE, "RAS", shape, (voxel_size_mm, voxel_size_mm), (0, 1), corner_mm=_corner_mm(shape, voxel_size_mm),
                 brightness=(0.2, 0.8), recipe="template"),
    )  # fmt: skip


def _corner_mm(shape: tuple[int, int, int], voxel_size_mm: float) -> tuple[float, float, float]:
    x, y, z = Grid(shape, voxel_size_mm).affine[:3, 3]
    return float(x), float(y), float(z)


RECIPES: dict[str, Recipe] = {
    "template": _template(2.0),
    "fastsurfer": Recipe(
        "fastsurfer",
        1,
        "native space, FastSurfer's orientation, brain only, 0 to 255, 224 x 192 x 224",
        (
            Step("conform", {"orientation": "LIA", "smallest_mm": FINEST_MM, "largest_mm": COARSEST_MM, "else_mm": 1.0,
                             "fine_mm": 0.95}),
            Step("to_bytes", {"percentile": 99.9}),
            Step("brain", {"threshold": 0.5}),
            Step("masked"),
            Step("crop_around_brain", {"shape": (224, 192, 224)}),
        ),
        Contract(NATIVE, "LIA", (224, 192, 224), (FINEST_MM, COARSEST_MM), (0, 255), unit=255.0, brightness=(30, 160),
                 recipe="fastsurfer"),
        tool="FastSurfer",
    ),
    "freesurfer-fsl": Recipe(
        "freesurfer-fsl",
        1,
        "FreeSurfer's brain, rigid to MNI152, 167 x 212 x 160 at 1 mm, divided by 255",
        (
            *_FIND,
            _UNBIAS,
            Step("register", {"degrees_of_freedom": 6}),
            Step("white_to", {"level": 110.0}),
            Step("masked"),
            Step("lay_on_mni152"),
            Step("crop", {"start": (6, 2, 0), "stop": (173, 214, 160)}),
            Step("divide", {"by": 255.0}),
        ),
        Contract(SPACE, "LAS", (167, 212, 160), (1.0, 1.0), (0, 1), corner_mm=(84, -124, -72), brightness=(0.15, 0.6),
                 recipe="freesurfer-fsl"),
        tool="FreeSurfer",
    ),
    "sfcn-ukb": Recipe(
        "sfcn-ukb",
        1,
        "affine to MNI152, brain only, 160 x 192 x 160 at 1 mm, divided by the mean of the whole template's volume",
        (
            *_FIND,
            _UNBIAS,
            _AFFINE,
            Step("masked"),
            Step("lay_on_mni152"),
            Step("divide_by_mean"),
            Step("crop", {"start": (11, 13, 11), "stop": (171, 205, 171)}),
        ),
        Contract(SPACE, "LAS", (160, 192, 160), (1.0, 1.0), (0, 100), unit=20.0, corner_mm=(79, -113, -61),
                 brightness=(2.5, 6), recipe="sfcn-ukb"),
    ),
}  # fmt: skip


def get_recipe(name: str, voxel_size_mm: float | None = None) -> Recipe:
    """A recipe by its name; `template` at 1 or 2 mm (2 when not given).

    Raises:
        InputError: for an unknown recipe, or a voxel size that it does not have.

    Example:
        >>> get_recipe("template", 1).contract.shape
        (160, 192, 160)
    """
    if name not in RECIPES:
        raise InputError(unknown("recipe", name, RECIPES))
    if voxel_size_mm is None:
        return RECIPES[name]
    if name != "template":
        raise InputError(f"recipe {name!r} has its own voxel size; only 'template' can be made at another one")
    if voxel_size_mm not in GRIDS:
        sizes = " or ".join(f"{size:g}" for size in GRIDS)
        raise InputError(f"recipe 'template' is made at {sizes} mm, got {voxel_size_mm:g}")
    return _template(float(voxel_size_mm))
