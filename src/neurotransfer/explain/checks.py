"""The checks that come with maps: randomised weights, shuffled labels, and planted regions; their tables and their words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from neurotransfer.artifacts import write_table
from neurotransfer.cohort import Cohort, Grid
from neurotransfer.errors import InputError
from neurotransfer.explain.found_where import localisation_scores, localisation_table
from neurotransfer.explain.one_scan import Looker, Named
from neurotransfer.explain.planted import planted_region, simulated_effects
from neurotransfer.explain.randomised import compared, verdicts
from neurotransfer.explain.shuffled import NOTHING, label_check
from neurotransfer.models.folder import Model

WEIGHTS, LABELS, REGION = "randomised.parquet", "shuffled.parquet", "localisation.parquet"


@dataclass(frozen=True)
class Checks:
    """What the checks gave.

    Attributes:
        weights: from `randomised.compared`.
        verdicts: on it, a sentence a method.
        labels: from `label_check`, empty where it was not done.
        label_words: what it gave, or why it was not done.
        label_scores: validation scores of its two models.
        region: from `localisation_table`; None where nothing was planted.
        region_scores: its means.
        region_words: what was looked for, or why nothing was.
    """

    weights: pd.DataFrame
    verdicts: Mapping[str, str]
    labels: pd.DataFrame
    label_words: str
    label_scores: Mapping[str, Mapping[str, float]]
    region: pd.DataFrame | None
    region_scores: pd.DataFrame | None
    region_words: str


@dataclass(frozen=True)
class Asking:
    """Which checks: on how many scans weights are randomised, whether labels are shuffled, epochs of the finetuning, and the seed."""

    scans: int = 3
    labels: bool = True
    epochs: int = 10
    seed: int = 0
    on_check: Callable[[], object] | None = field(default=None, compare=False)


def run_checks(
    model: Model,
    cohort: Cohort,
    source: Path,
    looker: Looker,
    scans: Sequence[Named],
    volumes: Mapping[str, np.ndarray],
    asking: Asking,
) -> Checks:
    """Do all checks and write their tables.

    Args:
        model: that is explained.
        cohort: of all scans, for the check by labels.
        source: the table or folder that the cohort was read from, to know whether it was simulated.
        looker: that made the maps.
        scans: whose maps are there.
        volumes: of some of them (x, y, z), by their stems; weights are randomised on these.
        asking: which checks.
    """
    advance = asking.on_check or (lambda: None)
    device = next(model.network.parameters(), torch.zeros(0)).device
    seen = {name: torch.from_numpy(volume)[None, None].to(device) for name, volume in volumes.items()}
    weights = compared(looker.explained, looker.methods, seen, looker.around, asking.seed)
    write_table(looker.out / WEIGHTS, weights)
    advance()
    target = looker.explained.readout.target
    labels, words, scores = NOTHING, "The check by shuffled labels was not asked for.", {}
    if asking.labels:
        found = label_check(model, cohort, target, looker.methods, looker.around, asking.epochs, asking.seed)
        labels, words, scores = found.table, found.words, found.scores
    write_table(looker.out / LABELS, labels)
    advance()
    region, region_words = _of_region(model, cohort, source, looker, scans)
    advance()
    return Checks(
        weights, verdicts(weights), labels, words, scores, region, None if region is None else localisation_scores(region),
        region_words,
    )  # fmt: skip


def _of_region(
    model: Model, cohort: Cohort, source: Path, looker: Looker, scans: Sequence[Named]
) -> tuple[pd.DataFrame | None, str]:
    target, effects, grid = looker.explained.readout.target, simulated_effects(source), model.card.input
    if not effects:
        return None, "Nothing is known of where the truth lies: these are no heads of `neurotransfer simulate`."
    if not isinstance(grid, Grid) or cohort.alignment != "world":
        return None, "The planted region was not looked for: the model takes no volumes on a grid in MNI152."
    try:
        planted = planted_region(target.name, grid, effects=effects)
    except InputError:
        return None, f"Nothing was planted for {target.name} in these simulated heads."
    table = localisation_table(looker.out, scans, looker.methods, planted)
    write_table(looker.out / REGION, table)
    acts = " and ".join(dict.fromkeys(each["latent"] for each in effects if each["target"] == target.name))
    return table, (
        f"{target.name.capitalize()} acts on {acts} in these simulated heads. The region is the smallest set of voxels "
        f"that holds half of what it changes: {int(planted.region.sum())} voxels, {planted.share:.1%} of the brain."
    )
