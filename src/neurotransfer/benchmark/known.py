"""What the models of a study know: which volumes they take, whom they have seen, how far its scans are from theirs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.benchmark.study import Study
from neurotransfer.benchmark.workspace import Workspace, input_of
from neurotransfer.cohort import Cohort
from neurotransfer.cohort.contract import Contract, Input, described
from neurotransfer.cohort.preparation import identity_of
from neurotransfer.errors import ModelError, StudyError
from neurotransfer.models.card import Card
from neurotransfer.models.folder import read_card
from neurotransfer.models.overlap import seen_rows
from neurotransfer.training.known import drift_of_volumes

LEAVE_OUT = "leave out"


def without_seen(
    study: Study, cohort: Cohort, models: Mapping[str, Path | str], others: Mapping[str, Cohort] | None = None
) -> tuple[Cohort, dict[str, int]]:
    """The cohort, without those whom a model has seen where the study leaves them out, and how many each model has seen.

    Args:
        study: which says whether they are left out.
        cohort: of the study.
        models: folders by name, as far as they exist.
        others: cohorts of models that are yet to be pretrained, whose people are known by name alone.

    Raises:
        StudyError: when nobody is left.
    """
    rows = {name: seen_rows(read_card(folder), cohort) for name, folder in models.items()}
    for name, other in (others or {}).items():
        rows[name] = np.isin(cohort.participants, other.participants) & (cohort.name == other.name)
    seen = {name: len(set(cohort.participants[found])) for name, found in rows.items()}
    left_out = np.any(list(rows.values()), axis=0) if rows else np.zeros(len(cohort), bool)
    if study.protocol.seen != LEAVE_OUT or not left_out.any():
        return cohort, seen
    if left_out.all():
        raise StudyError(
            f"everybody in cohort {cohort.name!r} was in the pretraining of a model of the study, and is left out; give "
            'another model or other people, or seen = "keep"'
        )
    n = len(set(cohort.participants[left_out]))
    note = (
        f"{n} of {cohort.n_participants} participants were in the pretraining of a model of the study, and are left out"
    )
    return replace(cohort.rows(np.flatnonzero(~left_out)), notes=(*cohort.notes, note)), seen


def drift_facts(workspace: Workspace, name: str) -> dict[str, Any]:
    """How far the scans of the study are from those that a model knows; scans outside are listed."""
    model, volumes, cohort = workspace.models[name], workspace.volumes, workspace.cohort
    if volumes is None or model.card.input is None:
        return {}
    drift = drift_of_volumes(model, volumes)
    rows = cohort.table.loc[drift.outside, ["participant_id", "session_id"]].fillna("").to_numpy(str)
    return {"verdict": drift.verdict, "text": drift.text, "outside": [" ".join(row).strip() for row in rows]}


def require_alike(name: str, other: Cohort, cohort: Cohort) -> None:
    """Refuse a model that is to be pretrained on scans of another recipe than those of the study; what is not known passes.

    Raises:
        StudyError: saying which recipes they are.
    """
    known, found = identity_of(other.preparation), identity_of(cohort.preparation)
    if known and found and known != found:
        raise StudyError(
            f"model {name!r} is to be pretrained on scans prepared by recipe {known}, those of {cohort.name!r} were by {found}; "
            "prepare both by one recipe"
        )


def require_input(name: str, card: Card, study: Study) -> None:
    """Refuse a model that takes other volumes than those that a study makes.

    Raises:
        ModelError: with the lines of the study file that mend it.
    """
    if card.input != input_of(study):
        raise ModelError(
            f"model {name!r} takes {described(card.input)}, the study makes {described(input_of(study))}; give the study the "
            f"[grid] of the model{_advice(card.input)}"
        )


def _advice(taken: Input | None) -> str:
    if isinstance(taken, Contract):
        return f': recipe = "{taken.recipe}"'
    return "" if taken is None else f": shape = {list(taken.shape)}, voxel_size_mm = {taken.voxel_size_mm:g}"
