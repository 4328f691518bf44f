"""Lift small neuroimaging studies with pretrained 3D networks, and measure honestly which strategy helps.

Every name is loaded when it is first used, so that `import neurotransfer` is quick and does not import torch. The stages
are functions of their folders: `from neurotransfer.pretrain import pretrain`.

Example:
    >>> import neurotransfer
    >>> neurotransfer.__all__
    ['BrainEmbedder', 'TransferClassifier', 'TransferRegressor', 'learning_curve', 'load_model', 'read_cohort']
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurotransfer.cohort import read_cohort
    from neurotransfer.estimators import BrainEmbedder, TransferClassifier, TransferRegressor
    from neurotransfer.models import load_model
    from neurotransfer.workflow import learning_curve

__version__ = "0.1.0"

_HOMES = {
    "BrainEmbedder": "estimators",
    "TransferClassifier": "estimators",
    "TransferRegressor": "estimators",
    "learning_curve": "workflow",
    "load_model": "models",
    "read_cohort": "cohort",
}
__all__ = ["BrainEmbedder", "TransferClassifier", "TransferRegressor", "learning_curve", "load_model", "read_cohort"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neurotransfer' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"neurotransfer.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
