"""The command `neurotransfer`: one sub-command a stage; parse, call, print where the result lies."""

from neurotransfer.cli import catalogue, cohorts, models, prepare, studies  # noqa: F401  they add their commands, in this order
from neurotransfer.cli.options import app

__all__ = ["app"]
