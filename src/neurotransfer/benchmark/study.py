"""A study file: which cohort, targets, sizes, replicates, strategies, grids and budget."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from neurotransfer.benchmark.protocols import EnterPart, HarmonisePart, ProtocolPart
from neurotransfer.cohort import Grid
from neurotransfer.cohort.contract import Input
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import InputError, unknown
from neurotransfer.pretrain.parts import CohortPart, GridPart, NetworkPart, Part, TrainingPart, parse, read_toml
from neurotransfer.published import published_names
from neurotransfer.transfer.strategies import STRATEGIES, get_strategy, settings

SMALLEST = 8
# tasks, models and strategies name files: no separators of folders, nothing hidden
NAME = re.compile(r"\w[\w .+()-]{0,59}")


class ModelPart(Part):
    """A pretrained model: a folder (`path`), or how it is pretrained (`cohort`, `targets`, `training`)."""

    path: str | None = None
    cohort: CohortPart | None = None
    targets: tuple[str, ...] = ()
    weights: dict[str, float] = Field(default_factory=dict)
    training: TrainingPart = TrainingPart(epochs=40, patience=15)

    @model_validator(mode="after")
    def _one_way(self) -> "ModelPart":
        if (self.path is None) == (self.cohort is None):
            raise ValueError("give either path (a model folder) or cohort and targets (to pretrain it)")
        if self.cohort is not None and not self.targets:
            raise ValueError('a model that is pretrained needs targets, for example targets = ["age", "sex"]')
        return self


class InputPart(GridPart):
    """The grid of the volumes; or, with `recipe`, volumes just as that recipe leaves them, for models that take such."""

    recipe: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> "InputPart":
        if self.recipe and (self.shape, self.voxel_size_mm) != (GridPart().shape, GridPart().voxel_size_mm):
            raise ValueError("give either recipe, or shape and voxel_size_mm: a recipe has its own")
        if self.recipe and self.recipe not in RECIPES:
            raise ValueError(unknown("recipe", self.recipe, RECIPES))
        return self

    @property
    def input(self) -> Input:
        """The grid, or the contract of the recipe."""
        return RECIPES[self.recipe].contract if self.recipe else Grid(self.shape, self.voxel_size_mm)


class TaskPart(Part):
    """Something to predict; `where` (column = value) takes some rows of the cohort alone, for example one group."""

    target: str
    where: dict[str, str] = Field(default_factory=dict)
    kind: Literal["", "continuous", "binary", "categorical", "ordinal"] = ""
    label: str = ""
    score: str = ""
    published: tuple[str, ...] = ()


class StrategyPart(Part):
    """A strategy, with the model it starts from and settings in place of its own."""

    strategy: str
    model: str | None = None
    label: str = ""
    grid: dict[str, list[float]] | None = None

    @property
    def title(self) -> str:
        """The name in tables and figures: the strategy, after the model's name where it starts from one."""
        return self.label or (f"{self.model}-{self.strategy}" if self.model else self.strategy)


class Study(Part):
    """A whole study, as the file says it; unknown keys are refused.

    `fit_seed` is the seed of the fits, where it is not that of everything: of new weights, order of batches and dropout. The
    splits, and who is held out, stay those of `seed`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    title: str = ""
    description: str = ""
    seed: int = Field(0, ge=0)
    fit_seed: int | None = Field(None, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cohort: CohortPart
    grid: InputPart = InputPart()
    network: NetworkPart = NetworkPart()
    models: dict[str, ModelPart] = Field(default_factory=dict)
    tasks: dict[str, TaskPart] = Field(min_length=1)
    strategies: tuple[StrategyPart, ...] = Field(min_length=1)
    protocol: ProtocolPart
    training: TrainingPart = TrainingPart()
    regional_columns: tuple[str, ...] = ()
    subgroup: str | None = None

    @property
    def seed_of_fits(self) -> int:
        """The seed of new weights, order of batches and dropout."""
        return self.seed if self.fit_seed is None else self.fit_seed

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        problems = list(_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def file_name(text: str) -> str:
    """A text as a name that a task may have: what no file name should hold becomes `_`.

    Example:
        >>> file_name("score/total")
        'score_total'
    """
    return re.sub(r"[^\w .+()-]", "_", f"_{text}" if not re.match(r"\w", text) else text)[:60]


def _problems(study: Study) -> Iterator[str]:
    titles = [part.title for part in study.strategies]
    for title in sorted({title for title in titles if titles.count(title) > 1}):
        yield f"two strategies are called {title!r}; give one of them a label"
    yield from _problems_of_names("task", study.tasks, "use label for what the figures show")
    yield from _problems_of_names("model", study.models, "rename it")
    yield from _problems_of_names("strategy", set(titles), "give it another label")
    for task, task_part in study.tasks.items():
        for curve in task_part.published:
            if curve not in published_names():
                yield f"task {task!r}: {unknown('published curve', curve, published_names())}"
    for part in study.strategies:
        if part.strategy not in STRATEGIES:
            yield unknown("strategy", part.strategy, STRATEGIES)
            continue
        yield from _problems_of_strategy(part, study)
    sizes = study.protocol.sizes
    if list(sizes) != sorted(set(sizes)) or sizes[0] < SMALLEST:
        yield (
            f"sizes must rise and be {SMALLEST} or more (a fifth for validation is 2 {study.protocol.count} then), got "
            f"{list(sizes)}"
        )


def _problems_of_names(what: str, names: Iterable[str], advice: str) -> Iterator[str]:
    for name in names:
        if not NAME.fullmatch(name):
            yield (
                f"{what} {name!r} names files; allowed are 1 to 60 letters, digits, spaces and _ . + ( ) -, a letter, digit "
                f"or _ first; {advice}"
            )
    # on some file systems they would be one file
    for name, count in Counter(name.casefold() for name in names).items():
        if count > 1:
            yield f"two names of a {what} differ by capitals only ({name!r}); rename one"


def _problems_of_strategy(part: StrategyPart, study: Study) -> Iterator[str]:
    if get_strategy(part.strategy).needs_model and part.model is None:
        yield f"strategy {part.strategy!r} needs model = one of: {', '.join(study.models) or 'none is given; add [models.NAME]'}"
    if get_strategy(part.strategy).needs_columns and not study.regional_columns:
        yield f'strategy {part.strategy!r} needs regional_columns = ["hippocampus", ...]: columns of the table with numbers'
    if part.model is not None and part.model not in study.models:
        yield unknown(f"model of strategy {part.strategy!r}", part.model, study.models)
    try:
        settings(get_strategy(part.strategy), part.grid)
    except InputError as error:
        yield str(error)


def read_study(path: Path | str) -> Study:
    """A study from its TOML file.

    Raises:
        StudyError: when the file is absent or no TOML, or with ALL its unknown keys and wrong values.

    Example:
        >>> read_study("nowhere.toml")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.StudyError: there is no study file 'nowhere.toml'; give the path of a TOML file such as studies/demo.toml
    """
    return parse_study(read_toml(path, "studies/demo.toml"), str(path))


def parse_study(values: dict[str, Any], source: str = "the study") -> Study:
    """A study from plain values; raises StudyError with all that is wrong."""
    parts: dict[str, type[BaseModel]] = {
        "cohort": CohortPart, "grid": InputPart, "network": NetworkPart, "models": ModelPart, "tasks": TaskPart,
        "strategies": StrategyPart, "protocol": ProtocolPart, "enter": EnterPart, "harmonise": HarmonisePart,
        "training": TrainingPart,
    }  # fmt: skip
    return parse(Study, values, source, parts)
