"""Apply a model folder to scans, ready or raw."""

from neurotransfer.predict.features import Embedded, embed, embed_into
from neurotransfer.predict.raw import ALWAYS, AUTO, NEVER, Ready, ready_scans
from neurotransfer.predict.run import Asked, Predicted, predict, predicted
from neurotransfer.predict.scans import read_scans

__all__ = [
    "ALWAYS",
    "AUTO",
    "NEVER",
    "Asked",
    "Embedded",
    "Predicted",
    "Ready",
    "embed",
    "embed_into",
    "predict",
    "predicted",
    "read_scans",
    "ready_scans",
]
