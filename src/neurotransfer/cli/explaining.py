"""The group of commands that explain models: maps, embeddings."""

import typer

from neurotransfer.cli.options import app

explain_app = typer.Typer(
    no_args_is_help=True, help="What a network looks at (maps), and what its features hold (embeddings)."
)
app.add_typer(explain_app, name="explain")
