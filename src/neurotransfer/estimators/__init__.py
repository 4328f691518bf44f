"""The strategies, and the features of a pretrained network, as scikit-learn estimators."""

from neurotransfer.estimators.arguments import ArgumentError
from neurotransfer.estimators.embedder import BrainEmbedder
from neurotransfer.estimators.predictors import TransferClassifier, TransferRegressor

__all__ = ["ArgumentError", "BrainEmbedder", "TransferClassifier", "TransferRegressor"]
