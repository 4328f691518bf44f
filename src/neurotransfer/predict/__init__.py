"""Apply a model folder to scans, ready or raw."""

from neurotransfer.predict.raw import ALWAYS, AUTO, NEVER, Ready, ready_scans
from neurotransfer.predict.run import embed, predict, read_scans

__all__ = ["ALWAYS", "AUTO", "NEVER", "Ready", "embed", "predict", "read_scans", "ready_scans"]
