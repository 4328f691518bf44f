"""Named protocols: what a study file's choices are when it does not make them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
