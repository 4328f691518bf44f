"""A study of pretraining on simulated heads: which heads, what is learnt of them, and on whom it is judged."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from neurotransfer.cohort import Grid
from neurotransfer.errors import InputError, unknown
from neurotransfer.pretrain.parts import CohortPart, GridPart, NetworkPart, Part, TrainingPart, parse, read_toml
from neurotransfer.simulate.measures import GROUPS
from neurotransfer.simulate.variety import NAMES, PRESETS, Variety


class HeadsPart(Part):
    """Simulated heads: how many an epoch (new ones in each), how many judge the epochs, how much they differ.

    `twice` of them, further ones, are scanned twice, each by one scanner, where features are to be normalised.
    """

    an_epoch: int = Field(6400, ge=2)
    validation: int = Field(512, ge=2)
    twice: int = Field(1200, ge=2)
    variety: str = "t1w"
    changes: dict[str, float] = Field(default_factory=dict)

    @property
    def values(self) -> Variety:
        """The variety that is meant."""
        return Variety(**(vars(PRESETS[self.variety]) | self.changes))

    @model_validator(mode="after")
    def _is_a_variety(self) -> "HeadsPart":
        problems = [] if self.variety in PRESETS else [unknown("variety", self.variety, PRESETS)]
        problems += [unknown("change of the variety", name, NAMES) for name in self.changes if name not in NAMES]
        known = {name: value for name, value in self.changes.items() if name in NAMES}
        try:
            Variety(**(vars(PRESETS.get(self.variety, Variety())) | known))
        except InputError as error:
            problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return self


class EncoderPart(NetworkPart):
    """The network: `members` SFCN, each trained alone on heads of its own, that stand side by side in the finished model.

    `joined` of the last blocks of each are among its features; `mirrored` features are the mean of a head's and of its
    mirror image's; `normalised` ones are mixed so that what two scans of one head disagree about counts less. See `SFCNPanel`.
    """

    architecture: Literal["sfcn"] = "sfcn"
    members: int = Field(1, ge=1, le=16)
    joined: int = Field(0, ge=0, le=5)
    mirrored: bool = False
    normalised: bool = False

    @property
    def of_panel(self) -> dict[str, Any]:
        """What the encoder of the finished model is built with."""
        own = {"members": self.members, "mirrored": self.mirrored, "joined": self.joined, "normalised": self.normalised}
        return own | self.arguments


class RealPart(CohortPart):
    """Real people who judge every epoch without being learnt from: a share of a cohort, see `is_selection`.

    Ridge regression on features of `sizes` of them predicts the target of the others; the mean absolute error over `draws`.
    """

    target: str
    share: float = Field(0.4, gt=0, le=1)
    sizes: tuple[int, ...] = (15, 30)
    draws: int = Field(50, ge=1)


class SimulatedStudy(Part):
    """A whole study of pretraining on simulated heads; unknown keys are refused."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    title: str = ""
    description: str = ""
    licence: str = "unstated"
    citation: str = ""
    seed: int = Field(0, ge=0)
    grid: GridPart = GridPart()
    network: EncoderPart = EncoderPart()
    heads: HeadsPart = HeadsPart()
    targets: dict[str, float] = Field(min_length=1)
    training: TrainingPart = TrainingPart()
    real: RealPart | None = None

    @property
    def volume_grid(self) -> Grid:
        """The grid of the volumes."""
        return Grid(self.grid.shape, self.grid.voxel_size_mm)

    @model_validator(mode="after")
    def _knows_its_targets(self) -> "SimulatedStudy":
        problems = [
            unknown("group of pretraining targets", name, GROUPS) for name in self.targets if name not in GROUPS
        ]
        problems += [
            f"the weight of {name} is above 0, got {weight}" for name, weight in self.targets.items() if not weight > 0
        ]
        if {"volumes", "volumes_by_side"} <= set(self.targets):
            problems.append("volumes and volumes_by_side name the same regions; give one of them")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def read_simulated_study(path: Path | str) -> SimulatedStudy:
    """A study of pretraining on simulated heads from its TOML file.

    Raises:
        StudyError: when the file is absent or no TOML, or with all its unknown keys and wrong values.
    """
    return parse_simulated_study(read_toml(path, "studies/sim_base.toml"), str(path))


def parse_simulated_study(values: dict[str, Any], source: str = "the study") -> SimulatedStudy:
    """A study from plain values; raises StudyError with all that is wrong.

    Example:
        >>> parse_simulated_study({"name": "small", "targets": {"age": 1.0}}).heads.values.bias
        0.05
    """
    parts: dict[str, type[BaseModel]] = {
        "grid": GridPart, "network": EncoderPart, "heads": HeadsPart, "training": TrainingPart, "real": RealPart,
    }  # fmt: skip
    return parse(SimulatedStudy, values, source, parts)
