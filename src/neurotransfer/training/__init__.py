"""Fit a network, and run one."""

from neurotransfer.training.fit import Examples, History, Recipe, fit
from neurotransfer.training.inference import features, outputs, predictions
from neurotransfer.training.losses import LOSSES, masked_loss

__all__ = ["LOSSES", "Examples", "History", "Recipe", "features", "fit", "masked_loss", "outputs", "predictions"]
