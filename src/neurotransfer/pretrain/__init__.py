"""Train one network on many targets: of a cohort, or of simulated heads."""

from neurotransfer.pretrain.run import Pretraining, pretrain

__all__ = ["Pretraining", "pretrain"]
