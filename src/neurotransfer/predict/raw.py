"""Scans as a user has them, raw or ready: what is raw is prepared by the recipe of the model first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurotransfer.artifacts import is_folder
from neurotransfer.cohort import Cohort, read_cohort
from neurotransfer.cohort.bids import entities
from neurotransfer.cohort.contract import Contract, described
from neurotransfer.cohort.files import is_image_name
from neurotransfer.cohort.images import bright_litres, head_of, opened
from neurotransfer.cohort.mni import rough_overlap_of
from neurotransfer.cohort.preparation import identity_of, preparation_of
from neurotransfer.cohort.recipes import NATIVE, Recipe, get_recipe
from neurotransfer.cohort.table import LARGEST_BRAIN_LITRES, cohort_name
from neurotransfer.cohort.volumes import load_volume
from neurotransfer.errors import CohortError, ImageError, InputError, ModelError, unknown
from neurotransfer.models.card import Card
from neurotransfer.predict.scans import read_scans
from neurotransfer.prepare.inputs import Choice, find_sources
from neurotransfer.prepare.run import Prepared, prepare

# what a model takes whose card does not say how its scans were prepared: heads in MNI152 without skull
DEFAULT_RECIPE = "template"
# how well a brain must lie on that of MNI152 to be taken as registered: by its name, and by itself
LEAST_NAMED, LEAST_OVERLAP = 0.75, 0.87
AUTO, ALWAYS, NEVER = "auto", "always", "never"


@dataclass(frozen=True)
class Ready:
    """A cohort that a model can take.

    In its order, `images` are the files that it was made of, and `flags` say what to look at in each, "" for nothing; `failed`
    are scans that could not be prepared, with the reasons.
    """

    cohort: Cohort
    images: tuple[str, ...]
    flags: tuple[str, ...]
    failed: tuple[tuple[str, str], ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def ready_scans(
    path: Path,
    card: Card,
    folder: Path,
    choice: Choice,
    *,
    mode: str = AUTO,
    workers: int = 1,
    columns: Sequence[str] = (),
    needed: Sequence[str] = (),
    on_found: Callable[[int], object] | None = None,
    on_scan: Callable[[], object] | None = None,
) -> Ready | None:
    """Scans prepared for a model in a folder; None when they are ready as they are.

    Scans are raw when they have their skull, when their brain does not lie where that of MNI152 does, or when they come
    as DICOM or as a FreeSurfer or FastSurfer folder. What `neurotransfer prepare` made is ready.

    Args:
        path: what `predict` takes, or `prepare`.
        card: of the model; its recipe of preparation is used, `template` when it names none.
        folder: where prepared volumes are written.
        choice: which images of a BIDS dataset.
        mode: `auto`, `always` or `never` to prepare.
        workers: processes.
        columns: of the table of raw scans that come along where it has them; others stay behind.
        needed: columns that must be there; found out before anything is prepared.
        on_found: called with the number of scans that are to be prepared.
        on_scan: called after each of them.

    Raises:
        InputError: when nothing there can be prepared.
        ModelError: when this version has not the recipe of the model, or the model knows scans in native space.
        CohortError: when all scans failed, with the reasons.
    """
    if mode == NEVER or (mode == AUTO and (_knows_native(card) or not _is_raw(path, card, choice))):
        return None
    recipe = _recipe_of(card)
    prepared = prepare(
        path, folder, recipe=recipe.name, voxel_size_mm=_voxel_size_mm(card), workers=workers, choice=choice,
        columns=_columns_of(path, choice, columns, needed),
        on_found=on_found, on_scan=on_scan,
    )  # fmt: skip
    if not prepared.made + prepared.kept:
        problems = [f"{scan}: {why}" for scan, why in prepared.failed]
        raise CohortError(path, problems, "mend these scans and run the same command again")
    alignment = "centre" if recipe.contract.space == NATIVE else "world"
    cohort = read_cohort(prepared.cohort, name=_name_of(path), alignment=alignment)
    keys = list(zip(cohort.table["participant_id"], cohort.table["session_id"], strict=True))
    images = tuple(prepared.images[key] for key in keys)
    flags = tuple(prepared.flags[key] for key in keys)
    return Ready(cohort, images, flags, prepared.failed, _notes(prepared, recipe.identity))


def _columns_of(path: Path, choice: Choice, wanted: Sequence[str], needed: Sequence[str]) -> tuple[str, ...]:
    """Those of some columns that the table of raw scans has.

    Raises:
        InputError: when one that is needed is not there.
    """
    if not wanted and not needed:
        return ()
    sources = find_sources(path, choice).sources
    there = dict.fromkeys(column for source in sources for column in source.columns)
    absent = [column for column in needed if column not in there]
    if absent and not there:
        raise InputError(f"there is no column {absent[0]!r}: {str(path)!r} has no table")
    if absent:
        raise InputError(unknown("column", absent[0], there))
    return tuple(dict.fromkeys(column for column in (*wanted, *needed) if column in there))


def _recipe_of(card: Card) -> Recipe:
    if _knows_native(card):
        raise ModelError(
            f"model {card.name!r} was trained on scans in native space without a recipe; prepare yours as those were, and say "
            "--alignment centre"
        )
    recipe = get_recipe(_recipe_name(card), _voxel_size_mm(card))
    found, known = identity_of(recipe.facts()), identity_of(card.preparation)
    if isinstance(card.input, Contract) and card.input != recipe.contract:
        raise ModelError(
            f"model {card.name!r} takes {described(card.input)}, this version makes others by a recipe of that name "
            f"({recipe.contract.shape}); use the version that made the model"
        )
    if known and found != known:
        raise ModelError(
            f"model {card.name!r} knows scans prepared by recipe {known}, this version of neurotransfer makes {found}; use "
            "the version that made the model"
        )
    return recipe


def _recipe_name(card: Card) -> str:
    if isinstance(card.input, Contract):
        return card.input.recipe
    return str(card.preparation.get("Recipe", DEFAULT_RECIPE))


def _knows_native(card: Card) -> bool:
    """Whether a model was trained on centred scans in native space that no recipe made."""
    if isinstance(card.input, Contract):
        return False
    cohorts = card.provenance.get("cohorts", ())
    return not card.preparation and any(
        isinstance(each, dict) and each.get("alignment") == "centre" for each in cohorts
    )


def _name_of(path: Path) -> str:
    # as the cohort would be called that is read without preparation: people whom a model has seen are known by it
    return path.resolve().name if is_folder(path) or is_image_name(path) else cohort_name(path)


def _voxel_size_mm(card: Card) -> float | None:
    if _recipe_name(card) != DEFAULT_RECIPE:
        return None
    if isinstance(card.input, Contract):
        return card.input.voxel_size_mm
    for step in card.preparation.get("Steps", ()):
        if "voxel_size_mm" in step:
            return float(step["voxel_size_mm"])
    return 1.0 if card.input is not None and card.input.voxel_size_mm < 2 else 2.0


def _is_raw(path: Path, card: Card, choice: Choice) -> bool:
    # an unfinished preparation is an error, and no raw dataset
    prepared = preparation_of(path if is_folder(path) else path.parent)
    if prepared:
        return False
    taken = card.input
    try:
        cohort = read_scans(path, check=False, space=choice.space, desc=choice.desc, mask=choice.mask)
    except CohortError:
        raise
    except InputError:
        # nothing that predict reads by itself; whether it can be prepared, prepare says
        return True
    if cohort.preparation:
        return False
    if isinstance(taken, Contract):
        # other programs make such volumes too
        return any(_breaks(taken, image, mask) for image, mask in cohort.images)
    # a model that was trained on what a recipe made knows nothing else
    return bool(card.preparation) or any(_raw_scan(image, mask) for image, mask in cohort.images)


def _breaks(taken: Contract, path: Path, mask: Path | None) -> bool:
    try:
        load_volume(path, taken, mask)
    except ImageError:
        return True
    return False


def _raw_scan(path: Path, mask: Path | None) -> bool:
    try:
        image, voxels = opened(path)
        head = head_of(path, image, voxels, mask)
    except ImageError:
        # the checks that follow say what is wrong, with those of all others
        return False
    if bright_litres(head, image.affine) > LARGEST_BRAIN_LITRES:
        return True
    named = entities(path).get("space", "").startswith("MNI152")
    return rough_overlap_of(head > 0, np.asarray(image.affine, float)) < (LEAST_NAMED if named else LEAST_OVERLAP)


def _notes(prepared: Prepared, recipe: str) -> tuple[str, ...]:
    made = prepared.made + prepared.kept
    notes = [f"not all scans were ready: all {made} were prepared by recipe {recipe!r}"]
    flagged = f"{prepared.n_flagged} of them have a flag, see the column preparation_flags; --prepared DIR keeps their pictures"
    return (*notes, *([flagged] if prepared.n_flagged else []), *prepared.remarks)
