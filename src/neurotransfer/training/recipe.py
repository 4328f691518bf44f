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
    "steps": (0, float("inf"), "a whole number of 0 (off) or more"),
    "lr_growth": (-2, 2 + 1e-12, "from -2 to 2, 0 for off"),
    "settle": (0, 2, "true or false"),
    "head_first": (0, float("inf"), "a whole number of epochs, 0 (off) or more"),
    "anchor": (0, float("inf"), "0 (off) or more"),
    "early_stopping": (0, 2, "true or false"),
}
_WHOLE = ("epochs", "batch_size", "micro_batch", "patience", "steps", "settle", "head_first", "early_stopping")
# training images at which `lr` is the learning rate, whatever `lr_growth` is
USUAL_N = 100
# what checkpoints of earlier versions do not know, as it was then
_NEWER: dict[str, Any] = {
    "steps": 0,
    "lr_growth": 0.0,
    "settle": True,
    "head_first": 0,
    "anchor": 0.0,
    "early_stopping": True,
}


def batches_an_epoch(n: int, batch_size: int) -> int:
    """How many near equal batches n images come in; none has a single image unless that was asked for.

    Example:
        >>> batches_an_epoch(9, 4), batches_an_epoch(5, 4), batches_an_epoch(3, 2)
        (3, 2, 1)
    """
    count = -(-n // batch_size)
    return max(1, min(count, n // 2)) if batch_size > 1 else count


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train.

    At most `epochs` epochs of AdamW with decoupled `weight_decay`. The learning rate rises from 0 to `lr` along `warm_up`
    epochs and falls to 0 along half a cosine. Training stops when the validation loss has not improved for `patience`
    epochs, and the weights of the best epoch are kept; without `early_stopping` all epochs are run and those of the last one.

    With `head_first` the heads alone learn for the first of these epochs, at their full rate and with the dropout of the
    network; warm-up and cosine are those of the epochs that are left, and patience counts from there (Kumar et al. 2022, ICLR).
    With `anchor` a, every step first moves each weight of the encoder by lr * a of the way back to where it started: the
    gradient step of a / 2 * |w - start|^2, beside AdamW's moments as its weight decay is (L2-SP: Li, Grandvalet & Davoine
    2018, ICML). The heads, which start anew, are left alone, and no loss that is told holds the penalty.

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
        steps: of the optimiser at most, rounded up to whole epochs, in place of `epochs`; `patience`, `warm_up` and `head_first`
            then keep their shares of the training, of which there are more epochs where there are fewer images; 0: off.
        lr_growth: the learning rate is multiplied by (n / 100) ** lr_growth for n training images; 0: off.
        settle: estimate the statistics of batch norms anew over the training images after every epoch; else they are the
            moving average of the steps, also where `ema` averages the weights.
        head_first: epochs in which the heads alone learn; 0: off.
        anchor: strength of the pull of the encoder to its start; 0: off.
        early_stopping: whether validation ends the training and says which epoch is kept; else it is only measured.

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
    steps: int = 0
    lr_growth: float = 0.0
    settle: bool = True
    head_first: int = 0
    anchor: float = 0.0
    early_stopping: bool = True

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {words}, got {getattr(self, name)!r}"
            for name, (lowest, below, words) in _RANGES.items()
            if not _lies(getattr(self, name), lowest, below, name in _WHOLE)
        ]
        if self.warm_up > self.epochs:
            problems.append(f"warm_up ({self.warm_up:g} epochs) is longer than the training ({self.epochs} epochs)")
        elif self.warm_up + self.head_first > self.epochs:
            problems.append(
                f"head_first ({self.head_first:g} epochs), with warm_up ({self.warm_up:g}), is longer than the training "
                f"({self.epochs} epochs)"
            )
        if problems:
            raise InputError(listed("the training recipe", problems))

    @property
    def facts(self) -> dict[str, Any]:
        """Its values by name, as checkpoints keep them: without options that are off and that early ones do not know."""
        return {name: value for name, value in vars(self).items() if name not in _NEWER or value != _NEWER[name]}

    def on(self, n: int) -> "Recipe":
        """The same for n training images: `steps` as epochs, `lr_growth` in the learning rate.

        Example:
            >>> found = Recipe(epochs=30, patience=10, steps=100, lr_growth=0.5).on(400)
            >>> found.epochs, found.patience, found.lr
            (2, 1, 0.002)
        """
        found = self
        if self.lr_growth:
            found = replace(found, lr=self.lr * (n / USUAL_N) ** self.lr_growth, lr_growth=0.0)
        if not self.steps:
            return found
        epochs = -(-self.steps // batches_an_epoch(n, self.batch_size))
        # halves upwards
        heads = (2 * self.head_first * epochs + self.epochs) // (2 * self.epochs)
        return replace(
            found,
            epochs=epochs,
            steps=0,
            patience=-(-self.patience * epochs // self.epochs),
            head_first=heads,
            warm_up=min(self.warm_up * epochs / self.epochs, epochs - heads),
        )

    def without_flip(self) -> "Recipe":
        """The same without mirror images of the training volumes."""
        return self if self.augmentation is None else replace(self, augmentation=self.augmentation.without_flip())

    def lasting(self, epochs: int) -> "Recipe":
        """The same for just so many epochs: no patience ends it, and what comes first is no longer than it.

        Example:
            >>> Recipe(epochs=30, patience=3, warm_up=2.0).lasting(1).warm_up
            1
        """
        heads = min(self.head_first, epochs)
        warm_up, patience = min(self.warm_up, epochs - heads), max(self.patience, epochs)
        return replace(self, epochs=epochs, steps=0, patience=patience, head_first=heads, warm_up=warm_up)


def _lies(value: Any, lowest: float, below: float, whole: bool) -> bool:
    return lowest <= value < below and (not whole or value % 1 == 0)
