"""The loss of every kind of target, and their weighted, masked sum."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from neurotransfer.errors import InputError
from neurotransfer.targets import Target


def _continuous(outputs: Tensor, labels: Tensor, target: Target) -> Tensor:
    if target.reading != "value":
        raise InputError(
            f"a head that is read by {target.reading} is not trained here; give target {target.name!r} a new head (with_heads)"
        )
    return (outputs[:, 0] - (labels - target.location) / target.scale) ** 2


def _binary(outputs: Tensor, labels: Tensor, target: Target) -> Tensor:
    return functional.binary_cross_entropy_with_logits(outputs[:, 0], labels, reduction="none")


def _categorical(outputs: Tensor, labels: Tensor, target: Target) -> Tensor:
    return functional.cross_entropy(outputs, labels.long(), reduction="none")


def _ordinal(outputs: Tensor, labels: Tensor, target: Target) -> Tensor:
    above = (labels[:, None] > torch.arange(target.n_outputs, device=labels.device)).float()
    return functional.binary_cross_entropy_with_logits(outputs, above, reduction="none").mean(1)


LOSSES: dict[str, Callable[[Tensor, Tensor, Target], Tensor]] = {
    "continuous": _continuous,
    "binary": _binary,
    "categorical": _categorical,
    "ordinal": _ordinal,
}


def target_losses(
    outputs: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    targets: Mapping[str, Target],
    known: Mapping[str, int] | None = None,
) -> dict[str, Tensor]:
    """The unweighted loss of every target that has a label: the mean over the people whose label is known.

    A missing label (NaN) adds nothing to the loss or to any gradient. Losses: squared error of the standardised value
    (continuous), binary cross-entropy (binary), cross-entropy (categorical), mean binary cross-entropy of the K - 1
    questions "above level k?" (ordinal).

    Args:
        outputs: by target name, (n, n_outputs).
        labels: by target name, (n,) of values or class indices, NaN where missing.
        targets: by name.
        known: by target name the number of labels to divide by, where these people are only a part of a batch.

    Example:
        >>> age = Target("age", "continuous", location=50.0, scale=10.0)
        >>> labels = {"age": torch.tensor([60.0, torch.nan])}
        >>> float(target_losses({"age": torch.zeros(2, 1)}, labels, {"age": age})["age"])
        1.0
    """
    parts = {}
    for name, target in targets.items():
        present = ~torch.isnan(labels[name])
        count = int(present.sum())
        if count:
            # selected before the loss: a NaN that is only multiplied by zero would still poison the gradient
            losses = LOSSES[target.kind](outputs[name][present], labels[name][present], target)
            parts[name] = losses.sum() / (count if known is None else known[name])
    return parts


def masked_loss(
    outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], targets: Mapping[str, Target]
) -> tuple[Tensor, dict[str, float]]:
    """The joint loss of a batch, sum over targets of weight * loss, see `target_losses`; a target without labels is zero.

    Returns:
        The loss, and the unweighted mean loss of every target that has a label in the batch.

    Example:
        >>> age = Target("age", "continuous", location=50.0, scale=10.0, weight=2.0)
        >>> loss, _ = masked_loss({"age": torch.zeros(2, 1)}, {"age": torch.tensor([60.0, torch.nan])}, {"age": age})
        >>> float(loss)
        2.0
    """
    parts = target_losses(outputs, labels, targets)
    total = torch.zeros((), device=next(iter(outputs.values())).device)
    for name, part in parts.items():
        total = total + targets[name].weight * part
    return total, {name: float(part.detach()) for name, part in parts.items()}
