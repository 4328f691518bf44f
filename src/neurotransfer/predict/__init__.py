"""Apply a model folder to scans."""

from neurotransfer.predict.run import embed, predict, read_scans

__all__ = ["embed", "predict", "read_scans"]
