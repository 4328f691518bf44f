"""Scans as a user has them, raw or ready: what is raw is prepared by the recipe of the model first."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurotransfer.cohort import Cohort, read_cohort
from neurotransfer.cohort.images import bright_litres, head_of, opened
from neurotransfer.cohort.mni import overlap_of
from neurotransfer.cohort.table import LARGEST_BRAIN_LITRES
from neurotransfer.errors import CohortError, ImageError, InputError
from neurotransfer.models.folder import Card
from neurotransfer.predict.run import read_scans
from neurotransfer.prepare.inputs import Choice
from neurotransfer.prepare.run import Prepared, prepare

# what a model takes whose card does not say how its scans were prepared: heads in MNI152 without skull
DEFAULT_RECIPE = "template"
LEAST_OVERLAP = 0.75
AUTO, ALWAYS, NEVER = "auto", "always", "never"


@dataclass(frozen=True)
class Ready:
    """A cohort that a model can take; `images` are the files it was made of, in its order, `failed` what could not be prepared."""

    cohort: Cohort
    images: tuple[str, ...]
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
        on_found: called with the number of scans that are to be prepared.
        on_scan: called after each of them.

    Raises:
        InputError: when nothing there can be prepared.
        CohortError: when all scans failed, with the reasons.
    """
    if mode == NEVER or (mode == AUTO and not _is_raw(path, choice)):
        return None
    recipe = str(card.preparation.get("Recipe", DEFAULT_RECIPE))
    prepared = prepare(
        path, folder, recipe=recipe, voxel_size_mm=_voxel_size_mm(card), workers=workers, choice=choice, on_found=on_found,
        on_scan=on_scan,
    )  # fmt: skip
    if not prepared.made + prepared.kept:
        problems = [f"{scan}: {why}" for scan, why in prepared.failed]
        raise CohortError(path, problems, "mend these scans and run the same command again")
    cohort = read_cohort(prepared.cohort, name=path.resolve().name)
    return Ready(cohort, _images(cohort, prepared), prepared.failed, _notes(prepared, recipe))


def _voxel_size_mm(card: Card) -> float | None:
    if card.preparation.get("Recipe", DEFAULT_RECIPE) != DEFAULT_RECIPE:
        return None
    for step in card.preparation.get("Steps", ()):
        if "voxel_size_mm" in step:
            return float(step["voxel_size_mm"])
    return 1.0 if card.grid is not None and card.grid.voxel_size_mm < 2 else 2.0


def _is_raw(path: Path, choice: Choice) -> bool:
    try:
        cohort = read_scans(path, check=False, space=choice.space, desc=choice.desc, mask=choice.mask)
    except InputError:
        # nothing that predict reads by itself; whether it can be prepared, prepare says
        return True
    if cohort.preparation:
        return False
    return any(_raw_scan(image, mask) for image, mask in cohort.images)


def _raw_scan(path: Path, mask: Path | None) -> bool:
    try:
        image, voxels = opened(path)
        head = head_of(path, image, voxels, mask)
    except ImageError:
        # the checks that follow say what is wrong, with those of all others
        return False
    if bright_litres(head, image.affine) > LARGEST_BRAIN_LITRES:
        return True
    return overlap_of(head > 0, np.asarray(image.affine, float)) < LEAST_OVERLAP


def _images(cohort: Cohort, prepared: Prepared) -> tuple[str, ...]:
    keys = zip(cohort.table["participant_id"], cohort.table["session_id"], strict=True)
    return tuple(prepared.images[key] for key in keys)


def _notes(prepared: Prepared, recipe: str) -> tuple[str, ...]:
    made = prepared.made + prepared.kept
    notes = [
        f"{made} scans were raw and were prepared by recipe {recipe!r}; look at {prepared.page} when numbers surprise"
    ]
    return (*notes, *([f"{prepared.n_flagged} of them have a flag"] if prepared.n_flagged else []), *prepared.remarks)
