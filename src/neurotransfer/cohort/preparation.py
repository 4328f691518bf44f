"""How the volumes of a folder were prepared, as `neurotransfer prepare` wrote it there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.errors import InputError

DESCRIPTION, COMPLETE = "dataset_description.json", "prepared.json"
KEY = "Preparation"


def preparation_of(folder: Path) -> dict[str, Any]:
    """The recipe, its version and its steps; empty for a folder that was not prepared by us.

    Raises:
        InputError: when the preparation of the folder has not come to its end.

    Example:
        >>> preparation_of(Path("nowhere"))
        {}
    """
    if not is_file(folder / DESCRIPTION):
        return {}
    try:
        description = read_json(folder / DESCRIPTION)
    except InputError:
        # the description of somebody else's dataset need not be good JSON for its scans to be
        return {}
    preparation = description.get(KEY) if isinstance(description, dict) else None
    if not isinstance(preparation, dict) or not {"Recipe", "RecipeVersion"} <= set(preparation):
        return {}
    if not is_file(folder / COMPLETE):
        raise InputError(
            f"the preparation of {str(folder)!r} has not come to its end; run the same `neurotransfer prepare` again"
        )
    return dict(preparation)


def identity_of(preparation: Mapping[str, Any]) -> str:
    """Name and version of a recipe in a preparation, "" when it is empty.

    Example:
        >>> identity_of({"Recipe": "template", "RecipeVersion": 1})
        'template-1'
    """
    return f"{preparation['Recipe']}-{preparation['RecipeVersion']}" if preparation else ""
