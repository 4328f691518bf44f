"""The command `neurotransfer`: one sub-command a stage; parse, call, print where the result lies."""

from neurotransfer.cli import catalogue, cohorts, converting, models, predicting, prepare, sharing, studies  # noqa: F401
from neurotransfer.cli.options import app

__all__ = ["app"]
