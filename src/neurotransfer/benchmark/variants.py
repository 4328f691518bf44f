"""A study changed in a key or two and nothing else: the experiments in which each choice is varied alone."""

import copy
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from neurotransfer.errors import StudyError, unknown


def changed(study: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a study with some of them changed; the study that is given stays as it is.

    A change is named by the keys on the way to it with dots between them. Tables that are absent are made; a value of None
    takes a key away. A strategy of the list is named by its title, `strategies.linear.grid`, and a key that has dots itself is
    found where it is there already. Changes are made in their order. Whether the result is a study is for `parse_study` to say.

    Args:
        study: plain values, as from `read_toml` or `study.json`.
        changes: what to change, by dotted keys.

    Raises:
        StudyError: when a key on the way holds no table, or no strategy has the title.

    Example:
        >>> study = {"protocol": {"sizes": [10]}, "strategies": [{"strategy": "linear"}]}
        >>> changed(study, {"protocol.folds": 4, "training.epochs": 5, "strategies.linear.label": "straight"})["strategies"]
        [{'strategy': 'linear', 'label': 'straight'}]
        >>> changed(study, {"protocol.folds": 4, "training.epochs": 5, "strategies": None})
        {'protocol': {'sizes': [10], 'folds': 4}, 'training': {'epochs': 5}}
    """
    found = copy.deepcopy(dict(study))
    for path, value in changes.items():
        _change(found, path, copy.deepcopy(value), path)
    return found


def title_of(strategy: Mapping[str, Any]) -> str:
    """What a strategy that is given as values is called, see `StrategyPart.title`.

    Example:
        >>> title_of({"strategy": "frozen", "model": "multi"}), title_of({"strategy": "frozen", "label": "mine"})
        ('multi-frozen', 'mine')
    """
    name, model = str(strategy.get("strategy", "")), strategy.get("model")
    return str(strategy.get("label") or (f"{model}-{name}" if model else name))


def _change(table: MutableMapping[str, Any], path: str, value: Any, whole: str) -> None:
    key, rest = _first(path, table)
    if not rest:
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
        return
    inner = table.get(key)
    if inner is None:
        if value is None:
            return
        inner = table[key] = {}
    if isinstance(inner, list | tuple):
        table[key] = _change_in_list(list(inner), rest, value, whole)
    elif isinstance(inner, MutableMapping):
        _change(inner, rest, value, whole)
    else:
        raise StudyError(f"{whole!r} cannot be changed: {key!r} is {inner!r} and no table; give a key of a table")


def _change_in_list(strategies: list[Any], path: str, value: Any, whole: str) -> list[Any]:
    places = {title_of(part): place for place, part in enumerate(strategies) if isinstance(part, Mapping)}
    title, rest = _first(path, list(places))
    if title not in places:
        raise StudyError(f"{whole!r} cannot be changed: {unknown('title of a strategy', title, places)}")
    place = places[title]
    if rest:
        _change(strategies[place], rest, value, whole)
    elif value is None:
        del strategies[place]
    else:
        strategies[place] = value
    return strategies


def _first(path: str, known: Sequence[str] | Mapping[str, Any]) -> tuple[str, str]:
    """The first key of a path, the longest one of those that are known, and what comes after it."""
    parts = path.split(".")
    for size in range(len(parts), 0, -1):
        key = ".".join(parts[:size])
        if key in known:
            return key, ".".join(parts[size:])
    return parts[0], ".".join(parts[1:])
