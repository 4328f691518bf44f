"""What a network gives, as columns of a table that say what they hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.targets import Target

Described = dict[str, dict[str, Any]]
Decoded = tuple[np.ndarray, np.ndarray]


def mean_of(target: Target, each: Sequence[Decoded]) -> Decoded:
    """What several models say together: the mean of their values, or of their probabilities."""
    if target.kind == "continuous":
        return np.mean([predicted for predicted, _ in each], 0), each[0][1]
    probabilities = np.mean([found for _, found in each], 0)
    if target.kind == "categorical":
        return np.where(np.isnan(probabilities).any(1), np.nan, probabilities.argmax(1)), probabilities
    return (
        probabilities[:, 1] if target.kind == "binary" else probabilities @ np.arange(probabilities.shape[1])
    ), probabilities


def spread_of(target: Target, one: Decoded, each: Sequence[Decoded]) -> np.ndarray:
    """The standard deviation of what several predictions say of the same number as `one`, (n,)."""
    if target.kind != "categorical":
        return np.std([predicted for predicted, _ in each], 0, ddof=1)
    rows, best = np.arange(len(one[1])), one[1].argmax(1)
    return np.std([found[rows, best] for _, found in each], 0, ddof=1)


def target_columns(
    target: Target, decoded: Decoded, spreads: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, Described]:
    """The columns of a target: value and unit, or class and probabilities, and how uncertain they are.

    Args:
        target: of the model.
        decoded: predictions (n,) and probabilities (n, K), NaN where a scan was refused.
        spreads: standard deviations (n,) by the words that say of what.
    """
    predicted, probabilities = decoded
    name, unit = target.name, {"Units": target.unit} if target.unit else {}
    table: dict[str, Any] = {}
    said = Described()
    refused = np.isnan(predicted)
    if target.kind == "continuous":
        table[name], said[name] = predicted, {"Description": f"Predicted {name}."} | unit
        number = f"the value, {target.unit}" if target.unit else "the value"
    else:
        if target.kind == "ordinal":
            table[f"{name}_level"] = predicted
            said[f"{name}_level"] = {"Description": "Expected level, 0 for the first class."}
        best = np.where(refused, 0, np.nan_to_num(probabilities).argmax(1))
        table[name] = [None if lost else target.classes[place] for place, lost in zip(best, refused, strict=True)]
        said[name] = {"Description": f"Most probable {name}.", "Levels": list(target.classes)}
        for place, label in enumerate(target.classes):
            table[f"{name}_probability_{label}"] = probabilities[:, place]
            said[f"{name}_probability_{label}"] = {"Description": f"Probability that {name} is {label}, 0 to 1."}
        kinds = {"binary": f"the probability of {target.classes[1]}", "ordinal": "the expected level"}
        number = kinds.get(target.kind, "the probability of the class that is named")
    for words, spread in spreads.items():
        column = f"{name}_sd_{words}"
        table[column] = spread
        said[column] = {"Description": f"Standard deviation of {number}, {OF[words]}."} | unit
    return pd.DataFrame(table, index=range(len(predicted))), said


OF = {
    "views": "over views of the scan that were changed a little (test-time augmentation)",
    "models": "over the models of the ensemble",
    "bins": "of the distribution over the bins that the network gives",
}
