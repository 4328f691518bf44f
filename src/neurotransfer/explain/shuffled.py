"""Sanity check: do maps of a model that learnt true labels differ from those of one that learnt shuffled labels?"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch

from neurotransfer.cohort import Cohort
from neurotransfer.cohort.volumes import load_volume
from neurotransfer.errors import InputError
from neurotransfer.explain.attribution import Around, Asked, as_map
from neurotransfer.explain.likeness import rank_correlation, structural_similarity
from neurotransfer.explain.readout import Explained, Readout
from neurotransfer.models.folder import Model
from neurotransfer.seeding import stream
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.transfer import transfer

LEAST_PEOPLE, MOST_SCANS, HELD_OUT = 10, 80, 4
SETTING = {"lr": [1e-3], "dropout": [0.0]}
STRATEGY = "finetuned"
ALIKE = 0.5


@dataclass(frozen=True)
class LabelCheck:
    """What came of the check.

    Attributes:
        table: a row a held-out scan and method: `rank_correlation` and `structural_similarity` of the maps of the two models.
        words: what was found, or why it could not be done.
        scores: validation scores of the two models, `{"true": {...}, "shuffled": {...}}`.
    """

    table: pd.DataFrame
    words: str
    scores: dict[str, dict[str, float]] = field(default_factory=dict)


NOTHING = pd.DataFrame(columns=["method", "scan", "rank_correlation", "structural_similarity"])


def label_check(
    model: Model,
    cohort: Cohort,
    target: Target,
    methods: Sequence[Asked],
    around: Around,
    epochs: int = 10,
    seed: int = 0,
) -> LabelCheck:
    """Finetune a model twice from the same start, on true and on shuffled labels, and compare maps of scans that neither saw.

    Both have the same new head at first, the same people, the same batches and the same setting. Some people are held out, whose
    scans are then explained by both.

    Args:
        model: to begin with.
        cohort: of scans with a column of the target.
        target: of the model.
        methods: that make maps.
        around: what methods may know.
        epochs: of each finetuning.
        seed: of whom is held out, of the shuffle and of the finetuning.
    """
    why = _why_not(model, cohort, target)
    if why:
        return LabelCheck(NOTHING, f"The check by shuffled labels was not done: {why}.")
    held, learnt = _parted(cohort, target, seed)
    with TemporaryDirectory() as folder:
        try:
            models = {
                name: transfer(
                    model, each, target.column, STRATEGY, Path(folder) / name, grid=SETTING,
                    recipe=Recipe(epochs=epochs, patience=epochs), seed=seed,
                )
                for name, each in (("true", learnt), ("shuffled", _shuffled(learnt, target.column, seed)))
            }  # fmt: skip
        except InputError as error:
            return LabelCheck(NOTHING, f"The check by shuffled labels was not done: {' '.join(str(error).split())}.")
    table = _compared([made.model for made in models.values()], held, methods, around)
    scores = {
        name: {key: float(value) for key, value in made.validation_scores.items()} for name, made in models.items()
    }
    return LabelCheck(table, _words(table, len(learnt), len(held)), scores)


def _why_not(model: Model, cohort: Cohort, target: Target) -> str:
    if model.card.input is None:
        return "the model takes columns of a table"
    if target.column not in cohort.table:
        return f"the scans have no column {target.column!r}"
    try:
        known = ~np.isnan(cohort.labels(target))
    except InputError:
        return f"the column {target.column!r} holds other labels than the model knows"
    n = len(set(cohort.participants[known]))
    if n < LEAST_PEOPLE:
        return f"{target.name} is known of {n} people, {LEAST_PEOPLE} are needed"
    return ""


def _parted(cohort: Cohort, target: Target, seed: int) -> tuple[Cohort, Cohort]:
    """A few people who are held out, a scan each, and the scans of others of whom the target is known."""
    known = np.flatnonzero(~np.isnan(cohort.labels(target)))
    people = stream(seed, "label check").permutation(sorted(set(cohort.participants[known])))
    n_held = min(HELD_OUT, len(people) // 5)
    held = [known[cohort.participants[known] == person][0] for person in people[:n_held]]
    rows = known[~np.isin(cohort.participants[known], people[:n_held])]
    return cohort.rows(np.array(held)), cohort.rows(np.sort(rows[:MOST_SCANS]))


def _shuffled(cohort: Cohort, column: str, seed: int) -> Cohort:
    order = stream(seed, "shuffled labels").permutation(len(cohort))
    return replace(cohort, table=cohort.table.assign(**{column: cohort.table[column].to_numpy()[order]}))


def _compared(models: Sequence[Model], held: Cohort, methods: Sequence[Asked], around: Around) -> pd.DataFrame:
    explained = [
        Explained(model.network.eval(), Readout(next(iter(model.network.targets.values())))) for model in models
    ]
    taken = models[0].card.input
    assert taken is not None
    rows = []
    for name, (image, mask) in zip(held.participants, held.images, strict=True):
        volume = load_volume(image, taken, mask, held.alignment)
        seen, inside = torch.from_numpy(volume)[None, None], volume > 0
        for method in methods:
            one, other = (
                as_map(method.map_of(each, seen.to(next(each.network.parameters()).device), around))
                for each in explained
            )
            rows.append(
                {
                    "method": method.text,
                    "scan": str(name),
                    "rank_correlation": rank_correlation(one, other, inside),
                    "structural_similarity": structural_similarity(one, other, inside),
                }
            )
    return pd.DataFrame(rows)


def _words(table: pd.DataFrame, n_learnt: int, n_held: int) -> str:
    means = table.groupby("method", sort=False)["rank_correlation"].mean()
    numbers = ", ".join(f"{method} {mean:.2f}" for method, mean in means.items())
    alike = [str(method) for method, mean in means.items() if mean >= ALIKE]
    verdict = (
        f"Maps by {', '.join(alike)} are much alike whatever was learnt: they show the head, and the model that both began with, more "
        "than what the labels have taught."
        if alike
        else "Maps depend on what the labels have taught."
    )
    return (
        f"Finetuned on {n_learnt} scans with true and with shuffled labels, maps of {n_held} other scans have a rank correlation "
        f"of {numbers}. {verdict}"
    )
