"""Commands that look at models: models list, show, check."""

from neurotransfer.cli.options import models_app


@models_app.command("list")
def list_models() -> None:
    """The models that come with the package, and the published ones that can be converted."""
    from neurotransfer.models.folder import SHIPPED

    print("\n".join(SHIPPED))
