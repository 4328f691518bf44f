"""How the volumes of a folder were prepared, as `neurotransfer prepare` wrote it there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurotransfer.artifacts import is_file, read_json
from neurotransfer.errors import InputError

DESCRIPTION, COMPLETE = "dataset_description.json", "prepared.json"
KEY = "Preparation"
KEYS = ("Recipe", "RecipeVersion", "SpatialReference", "Steps")
ENDING = "_T1w.nii.gz"


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
    """Name and version of a recipe in a preparation, and its voxel size where that can be chosen; "" when it is empty.

    Example:
        >>> identity_of({"Recipe": "template", "RecipeVersion": 1, "Steps": [{"voxel_size_mm": 2.0}]})
        'template-1 at 2 mm'
    """
    if not preparation:
        return ""
    sizes = [step["voxel_size_mm"] for step in preparation.get("Steps", ()) if "voxel_size_mm" in step]
    return f"{preparation['Recipe']}-{preparation['RecipeVersion']}{f' at {sizes[0]:g} mm' if sizes else ''}"


def preparation_of_images(images: Iterable[Path]) -> dict[str, Any]:
    """As `preparation_of`, of images wherever they lie, by the sidecar beside each; empty where none was prepared by us.

    Raises:
        InputError: when images of several recipes, or prepared ones and others, are mixed.
    """
    found: dict[str, dict[str, Any]] = {}
    for image in images:
        facts = _beside(image)
        found.setdefault(identity_of(facts), facts)
    if len(found) > 1:
        kinds = ", ".join(sorted(identity or "none" for identity in found))
        raise InputError(f"its scans were prepared by different recipes ({kinds}); prepare all of them by one")
    return next(iter(found.values()), {})


def _beside(image: Path) -> dict[str, Any]:
    sidecar = image.with_name(f"{image.name.removesuffix('.gz').removesuffix('.nii')}.json")
    if not image.name.endswith(ENDING) or not is_file(sidecar):
        return {}
    try:
        facts = read_json(sidecar)
    except InputError:
        # a sidecar that is not ours need not be good JSON
        return {}
    if not isinstance(facts, dict) or not set(KEYS) <= set(facts):
        return {}
    return {key: facts[key] for key in KEYS}
