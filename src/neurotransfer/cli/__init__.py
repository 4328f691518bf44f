"""The command `neurotransfer`: one sub-command a stage; parse, call, print where the result lies."""

from neurotransfer.cli import catalogue, cohorts, models, prepare, sharing, studies  # noqa: F401  in this order
from neurotransfer.cli.options import app

__all__ = ["app"]
