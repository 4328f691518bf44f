"""`view`: scans of a run in a browser, on this machine only."""

from neurotransfer.view.run import view, viewed

__all__ = ["view", "viewed"]
