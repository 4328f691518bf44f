"""How long and how hard to train, as values that are checked once."""

from dataclasses import dataclass, replace
from typing import Any

from neurotransfer.errors import InputError, listed
from neurotransfer.training.augment import Augmentation

# name: (lowest, below, in words)
_RANGES: dict[str, tuple[float, float, str]] = {
    "epochs": (1, float("inf"), "a whole number of 1 or more"),
    "batch_size": (1, float("inf"), "a whole number of 1 or more"),
    "micro_batch": (0, float("inf"), "a whole number of 0 (the whole batch at once) or more"),
    "lr": (0, float("inf"), "0 or more"),
    "weight_decay": (0, float("inf"), "0 or more"),
    "patience": (1, float("inf"), "a whole number of 1 or more"),
    "warm_up": (0, float("inf"), "epochs, 0 or more"),
    "ema": (0, 1, "from 0 (off) to below 1"),
    "layer_decay": (0, 1 + 1e-12, "from 0 to 1 (off)"),
}
_WHOLE = ("epochs", "batch_size", "micro_batch", "patience")


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train.

    At most `epochs` epochs of AdamW with decoupled `weight_decay`. The learning rate rises from 0 to `lr` along `warm_up`
    epochs and falls to 0 along half a cosine. Training stops when the validation loss has not improved for `patience`
    epochs, and the weights of the best epoch are kept.

    Attributes:
        epochs: at most.
        batch_size: images a step, over all processes together.
        lr: learning rate of AdamW.
        weight_decay: decoupled.
        patience: epochs without a better validation loss.
        warm_up: epochs, may be a fraction.
        micro_batch: images that a process takes at once, the gradients of a batch being summed up; 0: the whole batch.
            Batch norm sees the images that are taken at once.
        ema: decay a step of an exponential moving average of the weights, which is then what is validated and kept; 0: off.
        layer_decay: every layer group below the heads learns at this share of the rate of the one above it; 1: all alike.
        learned_weights: learn the weight of every target's loss along with the network (homoscedastic uncertainty, Kendall,
            Gal & Cipolla 2018, CVPR); validation keeps the fixed weights.
        augmentation: random changes of the training images, None for none.

    Raises:
        InputError: with every value that cannot be.

    Example:
        >>> Recipe(epochs=5, warm_up=0.5).batch_size
        8
    """

    epochs: int = 30
    batch_size: int = 8
    lr: float = 1e-3
    weight_decay: float = 0.0
    patience: int = 10
    warm_up: float = 0.0
    micro_batch: int = 0
    ema: float = 0.0
    layer_decay: float = 1.0
    learned_weights: bool = False
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {words}, got {getattr(self, name)!r}"
            for name, (lowest, below, words) in _RANGES.items()
            if not _lies(getattr(self, name), lowest, below, name in _WHOLE)
        ]
        if self.warm_up > self.epochs:
            problems.append(f"warm_up ({self.warm_up:g} epochs) is longer than the training ({self.epochs} epochs)")
        if problems:
            raise InputError(listed("the training recipe", problems))

    def without_flip(self) -> "Recipe":
        """The same without mirror images of the training volumes."""
        return self if self.augmentation is None else replace(self, augmentation=self.augmentation.without_flip())

    def lasting(self, epochs: int) -> "Recipe":
        """The same for just so many epochs: no patience ends it, and a warm-up is no longer than it.

        Example:
            >>> Recipe(epochs=30, patience=3, warm_up=2.0).lasting(1).warm_up
            1
        """
        return replace(self, epochs=epochs, patience=max(self.patience, epochs), warm_up=min(self.warm_up, epochs))


def _lies(value: Any, lowest: float, below: float, whole: bool) -> bool:
    return lowest <= value < below and (not whole or value % 1 == 0)
