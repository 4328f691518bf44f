"""A run folder to tables, figures and one self-contained page."""

from neurotransfer.published import CITATION, published_curves, published_names
from neurotransfer.report.run import report

__all__ = ["CITATION", "published_curves", "published_names", "report"]
