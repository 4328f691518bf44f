"""Parts that study files have in common, and how a study file is read: all that is wrong with it, in one message."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neurotransfer.errors import InputError, StudyError, unknown
from neurotransfer.models.network import takes
from neurotransfer.training.augment import preset
from neurotransfer.training.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AnyStudy = TypeVar("AnyStudy", bound=BaseModel)


class Part(BaseModel):
    """A table of a study file; it refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CohortPart(Part):
    """Where scans are and how they are read; see `read_cohort`."""

    path: str
    name: str = ""
    space: str | None = None
    desc: str | None = None
    mask: str | None = None
    alignment: Literal["world", "centre"] = "world"
    columns: dict[str, str] = {}
    recode: dict[str, dict[str, str]] = {}
    images: bool = True


class GridPart(Part):
    """The grid of the volumes."""

    shape: tuple[int, int, int] = (40, 48, 40)
    voxel_size_mm: float = Field(4.0, gt=0)


class NetworkPart(Part):
    """The network of baseline and random-frozen, and of the models that the study pretrains."""

    architecture: str = "sfcn"
    width: float = Field(1.0, gt=0)
    pooling: Literal["average", "maximum"] = "maximum"
    dropout: float = Field(0.0, ge=0, lt=1)
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_is_given(self) -> "NetworkPart":
        usual = {"width": 1.0, "pooling": "maximum"}
        foreign = [n for n, value in usual.items() if getattr(self, n) != value and not takes(self.architecture, n)]
        if foreign:
            raise ValueError(f"architecture {self.architecture!r} has no {' and no '.join(foreign)}; leave it out")
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """What its encoder is built with: width and pooling where the architecture has them, dropout, and the options."""
        own = {name: getattr(self, name) for name in ("width", "pooling") if takes(self.architecture, name)}
        return {**own, "dropout": self.dropout, **self.options}


class TrainingPart(Part):
    """The budget of one fit, the same for every strategy."""

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(8, ge=1)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    patience: int = Field(10, ge=1)
    warm_up: float = Field(0.0, ge=0)
    micro_batch: int = Field(0, ge=0)
    ema: float = Field(0.0, ge=0, lt=1)
    layer_decay: float = Field(1.0, ge=0, le=1)
    steps: int = Field(0, ge=0)
    lr_growth: float = Field(0.0, ge=-2, le=2)
    settle: bool = True
    head_first: int = Field(0, ge=0)
    anchor: float = Field(0.0, ge=0)
    early_stopping: bool = True
    augmentation: Literal["none", "light", "standard"] = "none"
    flip: bool = True

    @property
    def recipe(self) -> Recipe:
        """These values as a recipe."""
        values = self.model_dump(exclude={"augmentation", "flip"})
        return Recipe(**values, augmentation=preset(self.augmentation, self.flip))

    @model_validator(mode="after")
    def _is_a_recipe(self) -> "TrainingPart":
        try:
            assert self.recipe
        except InputError as error:
            raise ValueError(str(error)) from None
        return self


def read_toml(path: Path | str, example: str, what: str = "study file") -> dict[str, Any]:
    """The plain values of a file; raises StudyError when it is absent or no TOML. `example` names a file that is."""
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise StudyError(f"there is no {what} {str(path)!r}; give the path of a TOML file such as {example}") from None
    except OSError as error:
        raise StudyError(f"cannot read the {what} {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{str(path)!r} is no TOML: {error}") from None


def parse(kind: type[AnyStudy], values: dict[str, Any], source: str, parts: Mapping[str, type[BaseModel]]) -> AnyStudy:
    """A study of a kind from plain values; raises StudyError with all that is wrong.

    Args:
        kind: of the whole study.
        values: from `read_toml`.
        source: what messages call it.
        parts: the models of its tables by their key, for messages on keys that are not known.
    """

    def keys_at(location: tuple) -> list[str]:
        named = [part for part in location if part in parts]
        return sorted((parts[named[-1]] if named else kind).model_fields)

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = "\n".join(f"  {_sentence(problem, keys_at)}" for problem in error.errors())
        count = error.error_count()
        raise StudyError(f"{count} problem{'s' * (count != 1)} in {source}:\n{lines}") from None


# the words of TOML for what pydantic calls by its Python name
_PLAIN = {
    "tuple_type": "must be a list, for example [50, 100]",
    "list_type": "must be a list, for example [50, 100]",
    "dict_type": "must be a table of key = value",
    "model_type": "must be a table of key = value",
    "model_attributes_type": "must be a table of key = value",
    "too_short": "must not be empty",
    "int_from_float": "must be a whole number",
}


def _sentence(problem: Any, keys_at: Callable[[tuple], list[str]]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown(f"key in {_table(problem['loc'])}", str(problem["loc"][-1]), keys_at(problem["loc"][:-1]))
    if problem["type"] == "missing":
        return f"{where} is missing"
    if problem["type"] == "value_error":
        return f"{where}: {problem['msg'].removeprefix('Value error, ')}".lstrip(": ")
    return f"{where}: {_PLAIN.get(problem['type'], problem['msg'])}, found {problem['input']!r}"


def _table(location: tuple) -> str:
    return f"[{'.'.join(str(part) for part in location[:-1])}]" if len(location) > 1 else "the study"
