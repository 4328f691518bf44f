"""Train one network on many targets."""

from neurotransfer.pretrain.run import Pretraining, pretrain

__all__ = ["Pretraining", "pretrain"]
