"""Fit a network, and run one."""

from neurotransfer.training.checkpoint import Checkpoint
from neurotransfer.training.engine import Engine, current, use, using
from neurotransfer.training.examples import Examples, History
from neurotransfer.training.fit import Training, fit, fit_together
from neurotransfer.training.inference import features, outputs, predictions
from neurotransfer.training.losses import LOSSES, masked_loss
from neurotransfer.training.recipe import Recipe

__all__ = [
    "LOSSES",
    "Checkpoint",
    "Engine",
    "Examples",
    "History",
    "Recipe",
    "Training",
    "current",
    "features",
    "fit",
    "fit_together",
    "masked_loss",
    "outputs",
    "predictions",
    "use",
    "using",
]
