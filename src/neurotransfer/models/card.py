"""The card of a model: what its weights are, what they take and give, whom they have seen; and its way to JSON and back."""

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from neurotransfer.cohort import Cohort, Grid
from neurotransfer.cohort.contract import Contract, Input, input_from_dict, input_to_dict
from neurotransfer.cohort.volumes import RECIPE
from neurotransfer.errors import InputError, ModelError
from neurotransfer.targets import Target

FORMAT = 2
CHECKSUMS = ("weights_sha256", "reference_sha256")
_TEXTS = ("name", "architecture", "recipe", "strategy", "salt", "licence", "citation")
_DICTS = ("arguments", "provenance", "preparation")


@dataclass(frozen=True)
class Card:
    """What a model says of itself: architecture, heads, input contract, provenance, licence and citation.

    Attributes:
        name: of the model.
        architecture: a row of ENCODERS.
        arguments: of the encoder.
        targets: one a head.
        input: the grid that its volumes lie on; a contract, where it takes scans just as a recipe leaves them; None for a
            model of table columns.
        recipe: the way in which scans become volumes, see `neurotransfer.cohort.volumes.way_of`.
        skull_stripped: whether it knows heads without skull.
        intensity_range: least and most value of its volumes.
        strategy: how it was made.
        salt: of the hashes.
        people: salted hashes of the participants that it was trained on, so that an overlap can be found without names.
        images: salted hashes of their images, see `neurotransfer.models.overlap`, which tell whatever people are called.
        provenance: cohorts, seeds, scores, versions.
        licence: an identifier of SPDX where there is one.
        citation: what to cite.
        preparation: the recipe by which its scans were made model-ready; empty when it is not known (scans in MNI152, say).
    """

    name: str
    architecture: str
    arguments: dict[str, Any]
    targets: tuple[Target, ...]
    input: Input | None
    recipe: str = RECIPE
    skull_stripped: bool = True
    intensity_range: tuple[float, float] = (0.0, 1.0)
    strategy: str = "pretrained"
    salt: str = ""
    people: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    licence: str = "unstated"
    citation: str = ""
    preparation: dict[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """The grid of its volumes.

        Raises:
            ModelError: when it takes columns of a table, or scans as a recipe leaves them.
        """
        if not isinstance(self.input, Grid):
            taken = "columns of a table" if self.input is None else f"scans as recipe {self.input.recipe!r} leaves them"
            raise ModelError(f"model {self.name!r} takes {taken}, no volumes on a grid; use a model that does")
        return self.input

    def overlap(self, cohort: Cohort) -> set[str]:
        """The participants of a cohort whom the model was trained on (same cohort name and participant_id)."""
        known = set(self.people)
        return {person for person in set(cohort.participants) if hashed(self.salt, cohort.name, person) in known}


def hashed(salt: str, cohort: str, participant: str) -> str:
    """A participant as a salted hash of 16 hexadecimal digits.

    Example:
        >>> len(hashed("salt", "study", "sub-01"))
        16
    """
    return hashlib.sha256(f"{salt}|{cohort}|{participant}".encode()).hexdigest()[:16]


def people_of(cohorts: Iterable[Cohort], salt: str = "") -> tuple[str, tuple[str, ...]]:
    """The salt (a fresh one when it is not given), and the sorted hashes of every participant of the cohorts."""
    salt = salt or secrets.token_hex(8)
    people = {hashed(salt, cohort.name, person) for cohort in cohorts for person in cohort.participants}
    return salt, tuple(sorted(people))


def card_to_json(card: Card) -> dict[str, Any]:
    """The card as plain values, with its format; `card_from_json` is the inverse."""
    taken = None if card.input is None else input_to_dict(card.input)
    targets = [target.to_dict() for target in card.targets]
    return {"format": FORMAT} | asdict(card) | {"targets": targets, "input": taken}


def _from_1(values: dict[str, Any]) -> dict[str, Any]:
    # the first format had a grid only, did not know images, and at first no preparation
    kept = {name: value for name, value in values.items() if name != "grid"}
    return {"preparation": {}} | kept | {"format": 2, "input": values["grid"], "images": [], "reference_sha256": ""}


# from a format to the next one
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


def migrated(values: Any, source: str) -> dict[str, Any]:
    """The values of a card of any format that there was, as those of the format of this version.

    Raises:
        ModelError: for what is no card, or one of a newer version.
    """
    number = values.get("format") if isinstance(values, dict) else None
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= FORMAT:
        newer = isinstance(number, int) and number > FORMAT
        advice = (
            "update neurotransfer: the card is newer" if newer else "it may be damaged; copy the model folder again"
        )
        raise ModelError(f"{source!r} is not a model card of format 1 to {FORMAT}, found {number!r}; {advice}")
    while values["format"] < FORMAT:
        values = MIGRATIONS[values["format"]](values)
    return values


def card_from_json(values: dict[str, Any]) -> Card:
    """A card from the values of `migrated`.

    Raises:
        InputError: with all keys that lack or cannot be.
    """
    absent = [key for key in (*Card.__dataclass_fields__, *CHECKSUMS) if key not in values]
    if absent:
        raise InputError(f"no {', '.join(absent)}")
    taken = values["input"]
    card = Card(
        **{key: value for key, value in values.items() if key != "format" and key not in CHECKSUMS}
        | {
            "targets": tuple(Target.from_dict(target) for target in values["targets"]),
            "input": None if taken is None else input_from_dict(taken),
            "people": tuple(values["people"]),
            "images": tuple(values["images"]),
            "intensity_range": tuple(values["intensity_range"]),
        }
    )
    _check_values(card)
    return card


def require_name(name: str) -> None:
    """Refuse what cannot be the name of a model, before anything is fitted or written.

    Raises:
        ModelError: saying what is allowed.
    """
    if not _is_name(name):
        raise ModelError(
            f"{name!r} cannot be the name of a model (signs that can be printed, no path); call its folder otherwise"
        )


def _is_name(name: str) -> bool:
    # it is shown and becomes part of file names: it must not lead out of a folder
    return name.isprintable() and bool(name.strip(". ")) and not set(name) & set("/\\")


def _check_values(card: Card) -> None:
    names = [target.name for target in card.targets]
    wrong = [key for key in _TEXTS if not isinstance(getattr(card, key), str)]
    if not wrong and not _is_name(card.name):
        wrong.append("name")
    wrong += [key for key in _DICTS if not isinstance(getattr(card, key), dict)]
    wrong += [] if len(set(names)) == len(names) and all(isinstance(name, str) for name in names) else ["targets"]
    wrong += [key for key in ("people", "images") if not all(isinstance(each, str) for each in getattr(card, key))]
    low, high = card.intensity_range
    if not low < high:
        wrong.append("intensity_range")
    if isinstance(card.input, Contract) and card.recipe == RECIPE:
        wrong.append("recipe")
    if wrong:
        raise InputError(f"unusable {', '.join(wrong)}")
