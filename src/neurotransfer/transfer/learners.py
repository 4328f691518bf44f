"""Networks that `auto` trains beside its heads: one a fold of the training people, whose mean is what they say together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from neurotransfer.errors import raise_of_the_machine
from neurotransfer.models.network import Network
from neurotransfer.models.outputs import Outputs
from neurotransfer.seeding import integer_seed
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, features
from neurotransfer.transfer.gradient import Job, Setting, recipe_of, train_jobs
from neurotransfer.transfer.source import Source

# of the epochs, those in which the new head alone learns
HEAD_FIRST = 0.2


@dataclass(frozen=True, eq=False)
class Learner:
    """Trained networks of one kind.

    Attributes:
        source: where they started.
        encoder: their mean output, in the unit of the blend's target.
        columns: of the features, that they take; None where they take volumes.
        notes: what their training had to change.
    """

    source: Source
    encoder: Outputs
    columns: slice | None
    notes: tuple[str, ...] = ()

    @property
    def described(self) -> dict[str, Any]:
        """As a part of the encoder `several`, see `models.network.several`."""
        arguments = {
            "architecture": self.source.architecture,
            "arguments": dict(self.source.arguments),
            "n_networks": len(self.encoder.encoders),
            "n_outputs": self.encoder.n_features,
        }
        return {"architecture": "networks", "arguments": arguments, "layered": False}

    def seen(self, inputs: Any, rows: np.ndarray) -> np.ndarray:
        """What the networks say of rows of inputs, (n, n_outputs)."""
        return features(self.encoder, *taken(self.columns, inputs, rows))


def taken(columns: slice | None, inputs: Any, rows: np.ndarray) -> tuple[Any, np.ndarray]:
    """What networks on columns of features (None: on volumes) take of inputs, and where rows (n,) are in it."""
    if columns is None:
        return inputs.volumes, rows
    return np.ascontiguousarray(inputs[rows][:, columns]), np.arange(len(rows))


def train_folds(
    source: Source,
    columns: slice | None,
    inputs: Any,
    target: Target,
    labels: np.ndarray,
    rows: np.ndarray,
    folds: np.ndarray,
    setting: Setting,
    recipe: Recipe,
    seed: int,
) -> tuple[Learner, np.ndarray] | None:
    """One network a fold, trained on the rows of the others, and what each says of the rows that it has not seen.

    All epochs of the recipe are trained and the last weights kept: people who are to judge a network choose nothing of it. A new
    head learns alone in the first fifth of them.

    Args:
        source: where the networks start.
        columns: of the features, that they take; None for volumes.
        inputs: of every row, see `Beside`.
        target: standardised by all training rows; a network learns by those of its own.
        labels: of the training rows, (n,).
        rows: the training rows, (n,).
        folds: of each, (n,).
        setting: of the networks.
        recipe: of the study.
        seed: of new weights, order of batches and dropout.

    Returns:
        The networks and outputs (n, n_outputs); None where a training diverged.

    Raises:
        MemoryError, OSError, StorageError: when memory, disk or device are short.
    """
    given, places = taken(columns, inputs, rows)
    found, seen = [], np.zeros((len(rows), target.n_outputs))
    notes: list[str] = []
    for k in range(int(folds.max()) + 1):
        own = target.scaled_to(labels[folds != k])
        train = Examples(given, places[folds != k], {target.name: labels[folds != k]})
        recipes = [_recipe(source, recipe, setting, len(train))]
        (outcome,) = train_jobs([Job(source, own, [setting], recipes, train, None, integer_seed(seed, "fold", k))])
        if isinstance(outcome, Exception):
            raise_of_the_machine(outcome)
            if isinstance(outcome, FloatingPointError):
                return None
            raise outcome
        notes += outcome.history.notes
        found.append(_in_unit_of(target, own, outcome.network))
        seen[folds == k] = features(_joined(found[-1:], target), given, places[folds == k])
    return Learner(source, _joined(found, target), columns, tuple(notes)), seen


def _recipe(source: Source, recipe: Recipe, setting: Setting, n: int) -> Recipe:
    found = recipe_of(recipe, setting).on(n)
    heads = 0 if source.strategy.weights == "random" else round(HEAD_FIRST * found.epochs)
    warm_up = min(found.warm_up, found.epochs - heads)
    return replace(found, head_first=heads, warm_up=warm_up).lasting(found.epochs)


def _in_unit_of(target: Target, own: Target, network: Network) -> Network:
    """A network whose head gives standardised values in the unit of another location and scale."""
    if target.kind == "continuous":
        head, ratio = network.head(target.name), own.scale / target.scale
        with torch.no_grad():
            head.weight.mul_(ratio)
            head.bias.mul_(ratio).add_((own.location - target.location) / target.scale)
    return network


def _joined(networks: Sequence[Network], target: Target) -> Outputs:
    found = Outputs([network.encoder for network in networks], target.n_outputs).eval()
    for layer, network in zip(found.layers, networks, strict=True):
        layer.load_state_dict(network.head(target.name).state_dict())
    return found
