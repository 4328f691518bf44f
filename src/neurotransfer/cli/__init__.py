"""The command `neurotransfer`: one sub-command a stage; parse, call, print where the result lies."""

from neurotransfer.cli import (  # noqa: F401
    catalogue,
    cohorts,
    converting,
    diagnosing,
    explaining,
    explaining_embeddings,
    explaining_maps,
    models,
    predicting,
    prepare,
    sharing,
    studies,
    viewing,
)
from neurotransfer.cli.options import app

__all__ = ["app"]
