"""A scan on its way from raw to model-ready: what every step takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

# what can be true of a scan; a step whose property is there already is not done again
PROPERTIES = ("stripped", "unbiased", "registered", "aligned", "conformed", "normalised")


@dataclass(frozen=True, eq=False)
class Scan:
    """Voxels with their place and what is known of them.

    `voxels` (i, j, k) float32 and `affine` (4, 4) to millimetres; `brain` (i, j, k) bool, once it was found; `to_template`
    (4, 4) takes the millimetres of the scan as it came to those of MNI152, once that was found; `properties` are those of
    `PROPERTIES` that hold; `log` says of every step what was done, or why it was not.
    """

    voxels: np.ndarray
    affine: np.ndarray
    brain: np.ndarray | None = None
    to_template: np.ndarray | None = None
    properties: frozenset[str] = frozenset()
    log: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def sides_mm(self) -> np.ndarray:
        """The sides of a voxel (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_mm3(self) -> float:
        """The volume of a voxel."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    def after(self, step: str, *properties: str, facts: Mapping[str, Any] | None = None, **changes: Any) -> "Scan":
        """The scan after a step: with these properties, these fields changed, and a line in its log."""
        entry = {"Step": step, "Done": True, **(facts or {})}
        return replace(self, properties=self.properties | set(properties), log=(*self.log, entry), **changes)

    def passed_over(self, step: str, why: str) -> "Scan":
        """The scan with a line that says why a step was not done."""
        return replace(self, log=(*self.log, {"Step": step, "Done": False, "Why": why}))


def brain_in(scan: Scan) -> np.ndarray:
    """The brain (i, j, k) bool that a step before has found."""
    assert scan.brain is not None, "a recipe finds the brain before it needs it"
    return scan.brain


def place_of(scan: Scan) -> np.ndarray:
    """The transform (4, 4) to MNI152 that a step before has found."""
    assert scan.to_template is not None, "a recipe registers before it lays on a grid"
    return scan.to_template
