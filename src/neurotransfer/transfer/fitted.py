"""A fit of a strategy: what it predicts, and the network that it makes of its encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurotransfer.models.network import Network
from neurotransfer.models.several import Several
from neurotransfer.training import outputs
from neurotransfer.transfer.gradient import Setting
from neurotransfer.transfer.learners import Learner
from neurotransfer.transfer.source import Source, described

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Fitted:
    """One fit of one setting: the network (on features where the encoder stands still), what the fit took and had to change.

    `dropped` says that it was stopped before its end because others were better; `blend` what `auto` is made of: the `shares` of its
    members and their `penalties`; `learners` are the networks that it has trained, whose outputs the head takes after the features.
    """

    network: Network
    epochs: int
    best_epoch: int
    validation_loss: float
    notes: tuple[str, ...] = ()
    dropped: bool = False
    blend: Mapping[str, Mapping[str, float]] | None = None
    learners: tuple[Learner, ...] = ()


def predict_rows(fitted: Fitted, inputs: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (n,) and class probabilities (n, K) of a fit for rows of the inputs it was fitted on."""
    return next(iter(fitted.network.targets.values())).decode(outputs_of(fitted, inputs, rows))


def outputs_of(fitted: Fitted, inputs: Any, rows: np.ndarray) -> np.ndarray:
    """Outputs (n, n_outputs) of a fit for rows of the inputs it was fitted on."""
    (name,) = fitted.network.targets
    if not fitted.learners:
        return outputs(fitted.network, inputs, rows)[name]
    found = [np.zeros((0, fitted.network.targets[name].n_outputs), np.float32)]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        seen = [np.asarray(inputs[some]), *(learner.seen(inputs, some) for learner in fitted.learners)]
        found.append(outputs(fitted.network, np.concatenate(seen, 1), np.arange(len(some)))[name])
    return np.concatenate(found)


def whole_network(source: Source, fitted: Fitted) -> Network:
    """The fitted head on its encoder: a network from volumes (or columns) to predictions, to be saved as a model."""
    if not source.strategy.on_features:
        return fitted.network
    encoder = source.encoder
    if fitted.learners:
        parts = [part.encoder for part in source.parts]
        encoder = Several([*parts, *(learner.encoder for learner in fitted.learners)])
    network = Network(encoder, fitted.network.targets.values())
    network.heads.load_state_dict(fitted.network.heads.state_dict())
    return network.eval()


def architecture_of(source: Source, fitted: Fitted, setting: Setting) -> tuple[str, dict[str, Any]]:
    """The architecture of `whole_network` and its arguments, as a model card names them."""
    if not fitted.learners:
        return source.architecture, source.arguments_with(setting)
    own = described(source.parts)
    return "several", {
        "parts": [*own, *(learner.described for learner in fitted.learners)],
        "shape": source.arguments.get("shape", []),
    }
