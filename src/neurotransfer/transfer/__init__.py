"""Make a predictor of your own target from a pretrained network, by one of the strategies."""

from neurotransfer.transfer.adapt import fit_setting, fit_settings
from neurotransfer.transfer.choice import CHOICES, Chosen, best_of, fit_best, require_classes
from neurotransfer.transfer.fitted import Fitted, predict_rows, whole_network
from neurotransfer.transfer.run import Transferred, transfer
from neurotransfer.transfer.source import Source, inputs_of, make_source
from neurotransfer.transfer.strategies import STRATEGIES, Strategy, get_strategy, settings

__all__ = [
    "CHOICES",
    "STRATEGIES",
    "Chosen",
    "Fitted",
    "Source",
    "Strategy",
    "Transferred",
    "best_of",
    "fit_best",
    "fit_setting",
    "fit_settings",
    "get_strategy",
    "inputs_of",
    "make_source",
    "predict_rows",
    "require_classes",
    "settings",
    "transfer",
    "whole_network",
]
