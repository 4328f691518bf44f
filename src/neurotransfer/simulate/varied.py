"""Simulate a cohort of varied heads: anatomy after published effect sizes, any appearance, and everything that is true of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.artifacts import write_json, write_table
from neurotransfer.simulate.appearance import site_of
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
from neurotransfer.simulate.measures import GROUPS, measure
from neurotransfer.simulate.run import write_head
from neurotransfer.simulate.synthesis import Heads
from neurotransfer.simulate.traits import LINKS, TARGETS, labels_of
from neurotransfer.simulate.variety import preset_variety

AT_ONCE = 16
HIGHEST = 1000


@dataclass(frozen=True)
class VariedArguments(Arguments):
    """The arguments of `simulate_varied`; `effect`, `missing` and `second_sessions` are those of `simulate`, unused here."""

    variety: str = "t1w"


def simulate_varied(
    out: Path | str,
    participants: int,
    *,
    variety: str = "t1w",
    shape: tuple[int, int, int] = (40, 48, 40),
    seed: int = 0,
    sites: int = 0,
    prefix: str = "sim",
    on_scan: Callable[[], object] | None = None,
) -> Path:
    """Write a cohort of heads as networks are pretrained on, and return the path of its table.

    `out` then holds `cohort.tsv` (one row a scan: age from 3 to 97, sex, handedness, bmi, fluid_intelligence, neuroticism),
    `heads/` (int16 images in MNI152), `truth.tsv` (the latent traits, tissue and regional volumes in ml, contrasts, lesions and
    displacements in mm of every head) and, written last, `truth.json` (the arguments, and the links of targets to anatomy with
    their sources). Nothing is missing, and the first heads of a larger cohort are those of a smaller one.

    Args:
        out: a new or empty folder, or one whose simulated cohort was interrupted, which is replaced.
        participants: how many people.
        variety: `t1w`, `any-contrast`, `whole-head` (with skull and scalp) or `plain`, see `PRESETS`.
        shape: voxels of an image; they are isotropic and as fine as a whole brain allows (4 mm for 40 x 48 x 40).
        seed: of all randomness.
        sites: how many scanners; 0: every head has a scanner of its own.
        prefix: of the participant ids, letters and digits.
        on_scan: called after every scan (for a progress bar).

    Raises:
        InputError: with all wrong arguments, or when `out` holds a finished cohort or something else.
        StorageError: when the disk is full or `out` cannot be written.

    Example:
        >>> import tempfile
        >>> table = simulate_varied(tempfile.mkdtemp(), 2, shape=(32, 40, 32), variety="whole-head")
        >>> sorted(path.name for path in table.parent.iterdir())
        ['cohort.tsv', 'heads', 'simulated.json', 'truth.json', 'truth.tsv']
    """
    # none of them is one scanner a head, which the check of the arguments does not know
    arguments = VariedArguments(participants, shape, seed, 1.0, sites or 1, 0.0, 0.0, prefix, variety)
    check_arguments(arguments)
    asked = replace(preset_variety(variety), sites=sites)
    out = Path(out)
    claim_folder(out, arguments)
    heads = Heads(arguments.grid, asked, seed=seed)
    cohort: list[pd.DataFrame] = []
    truth: list[pd.DataFrame] = []
    for start in range(0, participants, AT_ONCE):
        indices = list(range(start, min(start + AT_ONCE, participants)))
        made = heads.make(indices)
        names = [f"{prefix}-{index + 1:04d}" for index in indices]
        images = [f"{HEADS}/{name}_ses-1{IMAGE_ENDING}" for name in names]
        for volume, image in zip(made.volumes[:, 0].cpu().numpy(), images, strict=True):
            write_head(out / image, np.round(HIGHEST * volume).astype(np.int16), arguments.grid)
            if on_scan is not None:
                on_scan()
        who: dict[str, Any] = {"participant_id": names, "session_id": "ses-1"}
        labels = {name: _rounded(values) for name, values in labels_of(made.people).items()}
        scanners = [f"site-{number}" for number in site_of(seed, indices, asked)]
        cohort.append(pd.DataFrame(who | {"image": images, "site": scanners} | labels))
        measured = measure(made, [name for name in GROUPS if name not in TARGETS])
        truth.append(pd.DataFrame(who | {name: values.round(4) for name, values in measured.items()}))
    write_table(out / TRUTH, pd.concat(truth))
    write_table(out / COHORT, pd.concat(cohort))
    facts = {"made_by": MADE_BY, "seed": seed, "arguments": arguments.to_dict(), "scans": participants}
    write_json(out / COMPLETE, facts | {"variety": asdict(asked), "links": [asdict(link) for link in LINKS]})
    return out / COHORT


def _rounded(values: np.ndarray) -> np.ndarray:
    return values.round(2) if values.dtype.kind == "f" else values
