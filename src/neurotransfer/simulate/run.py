"""Simulate a cohort: T1-like heads whose truth is known, the table that describes them, and what can be attained."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import write_json, write_table
from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.writing import write_image
from neurotransfer.seeding import stream
from neurotransfer.simulate.anatomy import build_anatomy
from neurotransfer.simulate.arguments import (
    COHORT,
    COMPLETE,
    HEADS,
    IMAGE_ENDING,
    MADE_BY,
    TRUTH,
    Arguments,
    check_arguments,
    claim_folder,
)
from neurotransfer.simulate.heads import draw_warp, tissues_of
from neurotransfer.simulate.people import EFFECTS, TARGETS, draw_deviations, draw_people, labels_of, latents_of, related
from neurotransfer.simulate.scanner import Scanner, draw_scanner, scan
from neurotransfer.simulate.truth import ORACLE_PEOPLE, best_attainable

RARELY_MISSING = ("age", "sex")
RARELY = 0.2
YEARS_BETWEEN_SESSIONS = (1.0, 2.0)


@dataclass(frozen=True)
class Scan:
    """One head to be made: who, when, where, its complete targets and the latents that shape it."""

    participant_id: str
    session: int
    scanner: Scanner
    labels: dict[str, Any]
    latents: dict[str, float]

    @property
    def identity(self) -> dict[str, str]:
        """The columns that name the scan."""
        return {"participant_id": self.participant_id, "session_id": f"ses-{self.session}"}

    @property
    def image(self) -> str:
        """The path of the image relative to the table."""
        return f"{HEADS}/{'_'.join(self.identity.values())}{IMAGE_ENDING}"


def simulate(
    out: Path | str,
    participants: int,
    *,
    shape: tuple[int, int, int] = (40, 48, 40),
    seed: int = 0,
    effect: float = 1.0,
    sites: int = 3,
    missing: float = 0.1,
    second_sessions: float = 0.15,
    prefix: str = "sim",
    on_scan: Callable[[], object] | None = None,
) -> Path:
    """Write a cohort of simulated heads with a known truth, and return the path of its table.

    `out` then holds `cohort.tsv` (one row a scan), `heads/` (brain-extracted T1-like int16 images in MNI152, 0 around
    the brain), `truth.tsv` (the latents and the scanner of each scan) and, written last, `truth.json` (the arguments,
    the planted effects, and for each target the scores of an oracle and of chance). The same seed gives the same
    files, and the first participants of a larger cohort are those of a smaller one.

    Args:
        out: a new or empty folder, or one whose simulated cohort was interrupted, which is replaced.
        participants: how many people.
        shape: voxels of an image; they are isotropic and as fine as a whole brain allows (4 mm for 40 x 48 x 40).
        seed: of all randomness.
        effect: multiplies how far every target shapes the brain; with 0 images know nothing of any target.
        sites: how many scanners, each with its contrast, blur, bias field and noise.
        missing: probability that a target of a scan is not known; a fifth of it for age and sex.
        second_sessions: share of participants who come again a year or two later.
        prefix: of the participant ids, letters and digits; another prefix means other people, whatever the seed.
        on_scan: called after every scan (for a progress bar).

    Raises:
        InputError: with all wrong arguments, or when `out` holds a finished cohort or something else.
        StorageError: when the disk is full or `out` cannot be written.

    Example:
        >>> import tempfile
        >>> table = simulate(tempfile.mkdtemp(), 1, shape=(32, 40, 32), missing=0, second_sessions=0)
        >>> sorted(path.name for path in table.parent.iterdir())
        ['cohort.tsv', 'heads', 'simulated.json', 'truth.json', 'truth.tsv']

    """
    arguments = Arguments(participants, _as_tuple(shape), seed, effect, sites, missing, second_sessions, prefix)
    check_arguments(arguments)
    out = Path(out)
    claim_folder(out, arguments)
    scans = list(plan_scans(arguments))
    for planned in scans:
        write_head(out / planned.image, image_of(planned, arguments.grid, seed), arguments.grid)
        if on_scan is not None:
            on_scan()
    write_table(out / TRUTH, pd.DataFrame([_truth_row(planned) for planned in scans]))
    write_table(out / COHORT, pd.DataFrame([_cohort_row(planned, arguments) for planned in scans]))
    write_json(out / COMPLETE, _truth(arguments, len(scans)))
    return out / COHORT


def plan_scans(arguments: Arguments) -> Iterator[Scan]:
    """All scans of a cohort, one participant after the other, without their images.

    The streams of a participant have the participant's name: two cohorts of other prefixes have other people.
    """
    scanners = [draw_scanner(stream(arguments.seed, "site", n), f"site-{n}") for n in range(1, arguments.sites + 1)]
    for participant in range(1, arguments.participants + 1):
        yield from _scans_of(f"{arguments.prefix}-{participant:04d}", scanners, arguments)


def _scans_of(participant_id: str, scanners: list[Scanner], arguments: Arguments) -> Iterator[Scan]:
    seed = arguments.seed
    # brains have their own stream: with effect 0 nothing of a person's targets may reach the image
    people = draw_people(stream(seed, participant_id, "targets"), 1)
    deviations = draw_deviations(stream(seed, participant_id, "brain"), 1)
    visits = stream(seed, participant_id, "visits")
    scanner = scanners[visits.integers(len(scanners))]
    years = [0.0] + [visits.uniform(*YEARS_BETWEEN_SESSIONS)] * bool(visits.random() < arguments.second_sessions)
    for session, later in enumerate(years, start=1):
        targets = related(people, later)
        labels = {name: column[0] for name, column in labels_of(targets).items()}
        latents = {name: float(column[0]) for name, column in latents_of(targets, deviations, arguments.effect).items()}
        yield Scan(participant_id, session, scanner, labels, latents)


def image_of(planned: Scan, grid: Grid, seed: int) -> np.ndarray:
    """The image int16 (x, y, z) of one scan; two sessions share the anatomy and differ in bias field and noise."""
    warp = draw_warp(stream(seed, planned.participant_id, "warp"))
    tissues = tissues_of(build_anatomy(grid), planned.latents, warp)
    noise = stream(seed, planned.participant_id, "noise", planned.session)
    return scan(tissues, planned.scanner, grid.voxel_size_mm, noise)


def write_head(path: Path, image: np.ndarray, grid: Grid) -> None:
    """Write an image as NIfTI, whole or not at all; the same image gives the same bytes."""
    write_image(path, image, grid.affine, space="MNI152")


def _cohort_row(planned: Scan, arguments: Arguments) -> dict[str, Any]:
    draws = stream(arguments.seed, planned.participant_id, "missing", planned.session).random(len(TARGETS))
    known = {
        name: planned.labels[name] if draw >= arguments.missing * (RARELY if name in RARELY_MISSING else 1) else None
        for name, draw in zip(TARGETS, draws, strict=True)
    }
    return {**planned.identity, "image": planned.image, "site": planned.scanner.site, **known}


def _truth_row(planned: Scan) -> dict[str, Any]:
    values = {**planned.latents, **{name: value for name, value in asdict(planned.scanner).items() if name != "site"}}
    rounded = {name: round(value, 6) for name, value in values.items()}
    return {**planned.identity, "site": planned.scanner.site, **rounded}


def _truth(arguments: Arguments, scans: int) -> dict[str, Any]:
    strengths = [asdict(planted) | {"strength": planted.strength * arguments.effect} for planted in EFFECTS]
    targets = best_attainable(arguments.seed, arguments.effect)
    oracle = {"people": ORACLE_PEOPLE, "model": "linear or logistic regression on the latents, scored on one half"}
    return {
        "made_by": MADE_BY,
        "seed": arguments.seed,
        "arguments": arguments.to_dict(),
        "scans": scans,
        "effects": strengths,
        "oracle": oracle,
        "targets": targets,
    }


def _as_tuple(shape: Any) -> Any:
    return tuple(shape) if isinstance(shape, list) else shape
