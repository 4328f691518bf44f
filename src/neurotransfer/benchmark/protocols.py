"""The protocol of a study: its choices, and named ones for those that a study file does not make."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from neurotransfer.cohort import Choices
from neurotransfer.cohort.choices import FEWEST_FOLDS, MOST_FOLDS, SMALLEST_VALIDATION
from neurotransfer.errors import unknown
from neurotransfer.pretrain.parts import Part


@dataclass(frozen=True)
class Protocol:
    """A name for choices: one sentence, and the values of keys of `[protocol]` that differ from the talk's."""

    description: str
    choices: Mapping[str, Any]


PROTOCOLS = {
    "talk": Protocol(
        "n images with replacement, n / 5 for validation and n / 5 for test from people who were not drawn.", {}
    ),
    "independent-people": Protocol(
        "n people without replacement, one image of each, five folds of them for validation, and a fixed set of held-out "
        "people as the test.",
        {
            "replacement": False,
            "count": "participants",
            "images": "one",
            "test": "people",
            "held_out": 0.2,
            "validation": "folds",
            "folds": 5,
        },
    ),
}

# what a named protocol says of a key goes with its choice for another: who chooses that anew does not inherit it
GOES_WITH = {"held_out": "test", "folds": "validation"}


def resolved(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that are given, and those of the named protocol for the others; unknown names add nothing.

    Example:
        >>> resolved("independent-people", {"test": "rest", "images": "all"})["images"]
        'all'
        >>> "held_out" in resolved("independent-people", {"test": "rest"})
        False
    """
    choices = PROTOCOLS[name].choices if name in PROTOCOLS else {}
    own = {
        key: value
        for key, value in choices.items()
        if given.get(GOES_WITH.get(key, key), choices[GOES_WITH.get(key, key)]) == choices[GOES_WITH.get(key, key)]
    }
    return {**own, **given}


class EnterPart(Part):
    """Sites (or cohorts) that enter with size: the values of a column, in the order in which they do; most people first if none."""

    column: str
    order: tuple[str, ...] = ()

    @field_validator("order")
    @classmethod
    def _once_each(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({value for value in order if order.count(value) > 1})
        if twice:
            raise ValueError(f"{', '.join(map(repr, twice))} would enter twice; name each value once")
        return order


class HarmonisePart(Part):
    """Features that are harmonised between the values of a column (sites), with the effects of other columns kept."""

    column: str
    keep: tuple[str, ...] = ()

    @field_validator("keep")
    @classmethod
    def _once_each(cls, keep: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(set(keep)) < len(keep) or info.data.get("column") in keep:
            raise ValueError("names a column twice, or the one that is harmonised; name each once")
        return keep


class ProtocolPart(Part):
    """How learning curves are drawn: sizes, replicates, and every choice that can be made; the defaults are the talk's.

    `name` is one of PROTOCOLS, whose choices hold where none is given. `count` says what sizes count; `images` = "one" takes
    one image a person, drawn anew in every replicate. `test` is n / 5, all who remain, or the people that `held_out` names: a
    share of the participants, or those of a column's value. `validation` is n / 5, `fixed` to `validation_size` at every n, or
    `folds` of the training participants.

    `choose` says what of the validation chooses among settings, `keep` whether test predictions of the chosen setting or of
    all are kept, `search` whether every setting is trained to the end or only the best third goes on, twice (`halving`).

    `enter` names a column whose values enter with size: training and validation rows come from the fewest first values that
    have enough, and so do test rows that are not of held-out people. `label_noise` is the share of the people who have a wrong
    label in training and validation, never in test.

    `harmonise` names a column between whose values (sites) features are harmonised by ComBat, fitted on the training people of
    every cell alone; a table also names columns whose effects are kept. Strategies that learn from volumes are left as they are.

    `selection` is the share of the participants on whom a model of the study was chosen, see `is_selection`: they may be
    trained on, and are never tested. `seen` says what becomes of people whom a model of the study was pretrained on: they are
    kept and reported, or left out of all strategies.
    """

    name: str = "talk"
    sizes: tuple[int, ...] = Field(min_length=1)
    replicates: int = Field(100, ge=1)
    replacement: bool = True
    count: Literal["images", "participants"] = "images"
    images: Literal["all", "one"] = "all"
    test: Literal["fifth", "rest", "people"] = "fifth"
    held_out: float | dict[str, str] | None = None
    validation: Literal["fifth", "folds", "fixed"] = "fifth"
    validation_size: int | None = Field(None, ge=SMALLEST_VALIDATION)
    folds: int = Field(5, ge=FEWEST_FOLDS, le=MOST_FOLDS)
    stratify: bool = False
    enter: EnterPart | None = None
    label_noise: float = Field(0.0, ge=0, lt=1)
    harmonise: HarmonisePart | None = None
    choose: Literal["score", "loss"] = "score"
    keep: Literal["chosen", "all"] = "chosen"
    search: Literal["full", "halving"] = "full"
    selection: float = Field(0.0, ge=0, lt=1)
    seen: Literal["keep", "leave out"] = "keep"

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        return resolved(str(values.get("name", "talk")), values) if isinstance(values, dict) else values

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in PROTOCOLS:
            raise ValueError(unknown("protocol", name, PROTOCOLS))
        return name

    @field_validator("harmonise", mode="before")
    @classmethod
    def _is_a_column(cls, harmonise: Any) -> Any:
        return {"column": harmonise} if isinstance(harmonise, str) else harmonise

    @field_validator("held_out", mode="before")
    @classmethod
    def _is_share_or_values(cls, held_out: Any) -> Any:
        is_share = isinstance(held_out, float | int) and not isinstance(held_out, bool) and 0 < held_out < 1
        is_table = (
            isinstance(held_out, dict) and held_out and all(isinstance(value, str) for value in held_out.values())
        )
        if held_out is None or is_share or is_table:
            return held_out
        raise ValueError(
            'must be a share of the participants above 0 and below 1, or a table of column = "value" with the value in '
            f'quotes, for example {{ site = "b" }}, found {held_out!r}'
        )

    @model_validator(mode="after")
    def _agrees(self) -> "ProtocolPart":
        problems = list(_contradictions(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def choices(self) -> Choices:
        """What of it decides how splits are drawn."""
        return Choices(**{field.name: getattr(self, field.name) for field in fields(Choices)})


def _contradictions(protocol: ProtocolPart) -> Iterator[str]:
    if protocol.test == "people" and protocol.held_out is None:
        yield 'test = "people" needs held_out = a share of the participants such as 0.2, or { column = "value" }'
    if protocol.test != "people" and protocol.held_out is not None:
        yield f'held_out goes with test = "people", and test is {protocol.test!r}; change test or leave out held_out'
    if protocol.validation == "folds" and protocol.search == "halving":
        yield 'search = "halving" needs one validation set; give validation = "fifth" or search = "full"'
    if protocol.validation != "folds" and protocol.folds != Choices.folds:
        yield f'folds = {protocol.folds} goes with validation = "folds"; add it or leave out folds'
    if protocol.validation == "folds" and protocol.harmonise is not None:
        yield (
            "harmonise needs one validation set: what it learns from all training rows would leak between their folds; give "
            'validation = "fifth" or "fixed", or leave out harmonise'
        )
    if protocol.validation == "fixed" and protocol.validation_size is None:
        yield f'validation = "fixed" needs validation_size = how many {protocol.count}, for example 20'
    if protocol.validation != "fixed" and protocol.validation_size is not None:
        yield f'validation_size = {protocol.validation_size} goes with validation = "fixed"; add it or leave out validation_size'
