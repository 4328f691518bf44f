"""`prepare`: an input of raw scans to a folder of model-ready volumes, one and the same however often it is run."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from neurotransfer.artifacts import (
    is_file,
    package_version,
    read_json,
    remove_whole,
    require_writable,
    write_json,
    write_table,
)
from neurotransfer.cohort.preparation import COMPLETE, DESCRIPTION, KEY, identity_of
from neurotransfer.cohort.recipes import get_recipe
from neurotransfer.errors import ImageError, InputError, listed, unknown
from neurotransfer.prepare import tables
from neurotransfer.prepare.flags import limits_of
from neurotransfer.prepare.inputs import Choice, Found, find_sources
from neurotransfer.prepare.job import Job, finished, outputs_of
from neurotransfer.prepare.page import write_page
from neurotransfer.prepare.pool import prepare_all
from neurotransfer.prepare.source import declared_of

PAGE = "quality.html"
LOCK = ".prepare.lock"
BIDS_VERSION = "1.9.0"
IDS = ("participant_id", "session_id", "image", "mask")


@dataclass(frozen=True)
class Prepared:
    """What became of an input: `made` now and `kept` from before, `failed` with reasons, remarks, and where all lies.

    By participant and session, `images` has the path of the scan that stands for it in the cohort, and `flags` what to look at.
    """

    folder: Path
    made: int
    kept: int
    failed: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    n_flagged: int
    images: Mapping[tuple[str, str], str]
    flags: Mapping[tuple[str, str], str]

    @property
    def cohort(self) -> Path:
        """The table of prepared scans, which every other stage reads."""
        return self.folder / tables.COHORT

    @property
    def page(self) -> Path:
        """The page on which every scan is seen, worst first."""
        return self.folder / PAGE


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    recipe: str = "template",
    voxel_size_mm: float | None = None,
    workers: int = 1,
    declared: Sequence[str] = (),
    columns: Sequence[str] = (),
    atlas: Path | None = None,
    choice: Choice | None = None,
    on_found: Callable[[int], object] | None = None,
    on_scan: Callable[[], object] | None = None,
) -> Prepared:
    """Prepare every scan of an input by a recipe; what was prepared before from the same files is kept.

    Args:
        source: a NIfTI or MGZ file, a folder of such files, a BIDS dataset, a table of scans, a DICOM folder, or a
            FreeSurfer or FastSurfer subjects folder.
        out: the folder to write: `cohort.tsv`, `quality.tsv` and `.html`, `regional_volumes.tsv`, `failed.tsv`, and the
            volumes with their sidecars in `sub-*/`, named as derivatives of BIDS.
        recipe: a name of `neurotransfer.cohort.recipes.RECIPES`.
        voxel_size_mm: 1 or 2, of recipe `template`.
        workers: processes, each with one thread and up to 2 GiB; the volumes do not depend on it. With more than one,
            call it below `if __name__ == "__main__":`.
        declared: what is known of all scans: stripped, unbiased, registered, conformed, normalised.
        columns: columns of the input's tables that `cohort.tsv` takes along; nothing else leaves the input.
        atlas: an image of labels in MNI152 for regional volumes.
        choice: which images of a BIDS dataset.
        on_found: called with the number of scans that are to be prepared.
        on_scan: called after every scan.

    Raises:
        InputError: when nothing there can be prepared, when two scans would have the same name, or when `out` holds
            something else. A scan that cannot be used raises nothing: it is among `failed`.
        StorageError: when `out` cannot be written.
    """
    source, out = Path(source), Path(out)
    if workers < 1:
        raise InputError(f"workers is 1 or more, got {workers}")
    job = Job(get_recipe(recipe, voxel_size_mm), out, atlas)
    found = find_sources(source, choice or Choice(), declared_of(tuple(declared)))
    if atlas is not None and not is_file(atlas):
        raise InputError(f"there is no atlas {str(atlas)!r}; give an image of labels in MNI152")
    _require_columns(found, columns)
    _require_apart(source, out)
    _require_free(out, job)
    require_writable(out)
    try:
        with FileLock(out / LOCK, timeout=0):
            _require_free(out, job)
            return _prepare(found, job, workers, columns, source, on_found, on_scan)
    except Timeout:
        raise InputError(
            f"another process prepares scans into {str(out)!r}; wait for it, or give another folder"
        ) from None


def _prepare(
    found: Found,
    job: Job,
    workers: int,
    columns: Sequence[str],
    root: Path,
    on_found: Callable[[int], object] | None,
    on_scan: Callable[[], object] | None,
) -> Prepared:
    results: dict[str, Mapping[str, Any]] = {}
    failed: dict[str, str] = {}
    for source in found.sources:
        try:
            before = finished(source, job)
        except ImageError as error:
            failed[source.stem] = str(error)
            continue
        if before is not None:
            results[source.stem] = before
    todo = [source for source in found.sources if source.stem not in results and source.stem not in failed]
    kept = len(results)
    _claim(job, root, [outputs_of(source, job).sidecar for source in found.sources], kept)
    if on_found is not None:
        on_found(len(todo))
    if todo:
        # whoever reads the folder now must not take old and new volumes for one cohort
        remove_whole(job.out / COMPLETE)
    for source, result in prepare_all(todo, job, workers, on_scan or (lambda: None)):
        if isinstance(result, str):
            failed[source.stem] = result
        else:
            results[source.stem] = result
    return _told(found, job, columns, results, failed, kept, bool(todo))


def _told(
    found: Found,
    job: Job,
    columns: Sequence[str],
    results: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, str],
    kept: int,
    changed: bool,
) -> Prepared:
    done = [(source, results[source.stem]) for source in found.sources if source.stem in results]
    lost = [(source, failed[source.stem]) for source in found.sources if source.stem in failed]
    cohort, remarks = tables.cohort_table(done, job, columns)
    regional, more = tables.regional_volumes(done)
    made = {
        tables.COHORT: cohort,
        tables.QUALITY: tables.quality_table(done, job),
        tables.REGIONAL: regional,
        tables.FAILED: tables.failed_table(lost),
    }
    quality = made[tables.QUALITY]
    facts = {
        **job.recipe.facts(),
        "Prepared": len(done),
        "Failed": len(lost),
        "Approximate": sum(bool(sidecar["Approximation"]) for _, sidecar in done),
        "Limits": limits_of(quality),
        "Tables": {name: tables.digest(table) for name, table in made.items()},
        "Fingerprints": sorted(str(sidecar["Fingerprint"]) for _, sidecar in done),
    }
    if changed or not _is_complete(job.out, facts):
        remove_whole(job.out / COMPLETE)
        for name, table in made.items():
            write_table(job.out / name, table)
        write_page(job.out / PAGE, quality, made[tables.FAILED], job.recipe)
        write_json(job.out / COMPLETE, facts)
    remarks = [*found.remarks, *remarks, *more]
    n_flagged = int((quality["flags"] != "").sum())
    named = tuple((source.label, why) for source, why in lost)
    images = {(source.participant_id, source.session_id): str(source.path) for source, _ in reversed(done)}
    said = dict(zip(quality["scan"], quality["flags"], strict=True))
    flags = {(source.participant_id, source.session_id): said[source.stem] for source, _ in reversed(done)}
    return Prepared(job.out, len(done) - kept, kept, named, tuple(remarks), n_flagged, images, flags)


def _is_complete(out: Path, facts: Mapping[str, Any]) -> bool:
    names = (tables.COHORT, tables.QUALITY, tables.REGIONAL, tables.FAILED, PAGE)
    if not all(is_file(out / name) for name in (COMPLETE, *names)):
        return False
    try:
        return bool(read_json(out / COMPLETE) == _as_json(facts))
    except InputError:
        return False


def _as_json(facts: Any) -> Any:
    return json.loads(json.dumps(facts))


def _require_columns(found: Found, columns: Sequence[str]) -> None:
    there = dict.fromkeys(column for source in found.sources for column in source.columns)
    problems = [unknown("column", column, there) for column in columns if column not in there]
    problems += [f"{column!r} comes along anyway" for column in columns if column in IDS]
    if problems:
        raise InputError(listed("the columns to take along", problems))


def _require_apart(source: Path, out: Path) -> None:
    if out.resolve() == source.resolve() or source.resolve().is_relative_to(out.resolve()):
        raise InputError(
            f"{str(out)!r} holds the input itself; give an output of its own, so that nothing of yours is changed"
        )


def _require_free(out: Path, job: Job) -> None:
    """Refuse a folder that holds something else than volumes of this recipe."""
    if is_file(out / DESCRIPTION):
        there, wanted = read_json(out / DESCRIPTION), _as_json(job.recipe.facts())
        if not isinstance(there, dict) or KEY not in there:
            raise InputError(f"{str(out)!r} holds another dataset; give a new folder")
        if there[KEY] != wanted:
            was, now = identity_of(there[KEY]), identity_of(wanted)
            advice = "give a new folder, one for each recipe and voxel size"
            raise InputError(f"{str(out)!r} holds volumes of recipe {was} (other parameters than {now}); {advice}")
    elif out.exists() and (not out.is_dir() or any(path.name != LOCK for path in out.iterdir())):
        raise InputError(f"{str(out)!r} holds something that was not prepared here; give a new or an empty folder")


def _claim(job: Job, root: Path, sidecars: Sequence[Path], kept: int) -> None:
    """Write whose volumes a folder holds; refuse it when they are those of another input.

    An input that was only moved is known by its scans, which are all as they were.
    """
    description = job.out / DESCRIPTION
    wanted = {
        "Name": "Model-ready volumes",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "neurotransfer", "Version": package_version("neurotransfer")}],
        "Input": hashlib.sha256(str(root.resolve()).encode(errors="surrogateescape")).hexdigest()[:16],
        KEY: job.recipe.facts(),
    }
    there = read_json(description) if is_file(description) else wanted
    if there.get("Input") != wanted["Input"] and (not kept or kept < sum(map(is_file, sidecars))):
        raise InputError(
            f"{str(job.out)!r} holds scans of another input, which would be mixed with these or written over; give a new folder"
        )
    if _as_json(wanted) != there or not is_file(description):
        write_json(description, wanted)
