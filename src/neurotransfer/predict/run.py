"""`predict`: a model folder and scans to a table of predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.cohort import Cohort
from neurotransfer.errors import CohortError, InputError, ModelError, unknown
from neurotransfer.models.folder import Model, load_model
from neurotransfer.models.reference import Drift, Strangeness
from neurotransfer.predict.blocks import Wanted, blocks, key_of
from neurotransfer.predict.columns import Decoded, Described, mean_of, spread_of, target_columns
from neurotransfer.predict.gap import LEAST_PEOPLE, METHOD, age_gap
from neurotransfer.predict.observed import observed_columns
from neurotransfer.targets import Target

KEYS = ("participant_id", "session_id", "image")
AGE, YEARS = "age", "years"
KEPT, OUTSIDE = "kept", "kept, but outside"


@dataclass(frozen=True)
class Asked:
    """What a table of predictions shall hold beside them; see `predict`."""

    others: tuple[Model | Path | str, ...] = ()
    views: int = 0
    gap_reference: tuple[str, str] | None = None
    seed: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Predicted:
    """A table of predictions, what its columns hold, what to know of it, and the scans that were refused, with the reasons."""

    table: pd.DataFrame
    columns: Described
    notes: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    drift: Drift | None


def predict(
    model: Model | Path | str,
    cohort: Cohort,
    *,
    others: Sequence[Model | Path | str] = (),
    views: int = 0,
    gap_reference: tuple[str, str] | None = None,
    seed: int = 0,
    workers: int = 1,
    on_scan: Callable[[], object] | None = None,
) -> pd.DataFrame:
    """Predictions of every target of a model for every row of a cohort.

    Args:
        model: a model, its folder, or the name of a shipped one.
        cohort: from `read_scans` or `read_cohort`.
        others: more models with targets of the same names: the means of all are given, and how far they are apart.
        views: how often every scan is predicted again after it was changed a little; the deviation says how steady it is.
        gap_reference: a column of the cohort and the value that those have on whom the bias of the brain-age gap is fitted.
        seed: of the views.
        workers: threads that read scans.
        on_scan: called after each scan, of each model.

    Returns:
        One row a scan: participant_id, session_id, image; then by target its value (continuous), most probable class
        and `TARGET_probability_CLASS` for every class (binary, categorical, ordinal; `TARGET_level` is the expected
        level of an ordinal one), `TARGET_sd_views`, `_sd_models` and `_sd_bins` where there are such; `TARGET_observed`
        and `site` where known; `age_gap` and `age_gap_corrected` where age is predicted and known; `drift_features`,
        `drift_values` and `contract`: whether the scan is what the model knows.

    Raises:
        InputError: when the model or the scans are unusable or do not fit together; CohortError with all scans that are not.
    """
    asked = Asked(tuple(others), views, gap_reference, seed, workers)
    found = predicted(model, cohort, asked, on_scan=on_scan)
    require_all(cohort, found.refused)
    return found.table


def predicted(
    model: Model | Path | str,
    cohort: Cohort,
    asked: Asked | None = None,
    *,
    folder: Path | None = None,
    on_scan: Callable[[], object] | None = None,
) -> Predicted:
    """As `predict`, with what its columns hold; scans that are refused have empty predictions and the reason.

    Args:
        model: a model, its folder, or the name of a shipped one.
        cohort: from `read_scans` or `read_cohort`.
        asked: what beside the predictions themselves.
        folder: where what is finished is kept, so that the same call goes on after an interruption; None to keep nothing.
        on_scan: called after each scan, of each model.

    Raises:
        InputError: when the model or the scans do not fit together.
    """
    asked = asked or Asked()
    if asked.views < 0 or asked.views == 1:
        raise InputError(f"views is 0 for none, or 2 or more for their deviation, got {asked.views}")
    models = [each if isinstance(each, Model) else load_model(each) for each in (model, *asked.others)]
    rows = None if asked.gap_reference is None else _reference_rows(cohort, asked.gap_reference)
    wanted = Wanted(asked.views, asked.seed, asked.workers)
    targets = _shared(models)
    left_out = [name for name in models[0].network.targets if name not in {target.name for target in targets}]
    runs = [_run(each, cohort, wanted, targets, folder, on_scan) for each in models]
    keys, said = keys_of(cohort)
    parts = [keys]
    for target in targets:
        decoded = mean_of(target, [run.decoded[target.name] for run in runs])
        spreads = _spreads(target, decoded, runs)
        each, words = target_columns(target, decoded, spreads)
        parts.append(each)
        said |= words
    observed, words = observed_columns(targets, cohort)
    parts.append(observed)
    said |= words
    # a copy is one piece of memory, where a hundred targets would be hundreds
    table = pd.concat(parts, axis=1).copy()
    notes = _add_gap(table, said, targets, cohort, rows)
    notes += [f"not all models predict {', '.join(left_out)} alike: left out"] if left_out else []
    drift = _add_contract(table, said, runs, models[0])
    scans = cohort.table["participant_id"].astype(str).tolist()
    refused = tuple((scans[row], problem) for row, problem in _refused(runs))
    notes += [] if drift is None or drift.verdict in ("alike", "unknown") else [drift.text]
    return Predicted(table, said, tuple(notes), refused, drift)


@dataclass(frozen=True)
class _Run:
    """What one model says of all scans, by target: predictions, those of each view, and deviations over bins where it has such."""

    decoded: dict[str, Decoded]
    views: dict[str, list[Decoded]]
    bins: dict[str, np.ndarray]
    problems: np.ndarray
    strangeness: Strangeness


def _run(
    model: Model,
    cohort: Cohort,
    wanted: Wanted,
    targets: Sequence[Target],
    folder: Path | None,
    on_scan: Callable[[], object] | None,
) -> _Run:
    """One model on all scans; of every block only what the table needs is kept."""
    kept: dict[str, list[list[Decoded]]] = {target.name: [] for target in targets}
    bins: dict[str, list[np.ndarray]] = {target.name: [] for target in targets}
    problems, strangeness = [np.zeros(0, "U1")], Strangeness(model.reference)
    place = None if folder is None else folder / key_of(model, cohort, wanted)
    for block in blocks(model, cohort, wanted, place, on_scan):
        refused = block.problems != ""
        for name, own in ((target.name, model.network.targets[target.name]) for target in targets):
            views = block.views.get(name, np.zeros((len(block.rows), 0, 1)))
            each = [block.outputs[name], *(views[:, view] for view in range(views.shape[1]))]
            kept[name].append([_without(own.decode(outputs), refused) for outputs in each])
            spread = own.spread(block.outputs[name])
            bins[name] += [] if spread is None else [np.where(refused, np.nan, spread)]
        problems.append(block.problems)
        strangeness.add(block.features, block.values)
    joined = {name: [_joined(parts) for parts in zip(*blocks_of, strict=True)] for name, blocks_of in kept.items()}
    return _Run(
        {name: each[0] for name, each in joined.items()},
        {name: each[1:] for name, each in joined.items()},
        {name: np.concatenate(parts) for name, parts in bins.items() if parts},
        np.concatenate(problems),
        strangeness,
    )


def _joined(parts: Sequence[Decoded]) -> Decoded:
    return np.concatenate([one for one, _ in parts]), np.concatenate([other for _, other in parts])


def _without(decoded: Decoded, refused: np.ndarray) -> Decoded:
    # a head that counts or picks the largest output makes a number of what is none
    return np.where(refused, np.nan, decoded[0]), np.where(refused[:, None], np.nan, decoded[1])


def _spreads(target: Target, decoded: Decoded, runs: Sequence[_Run]) -> dict[str, np.ndarray]:
    """Deviations (n,) of what all models say together, by what they are over."""
    name, found = target.name, {}
    each = [run.bins[name] for run in runs if name in run.bins]
    if len(each) == len(runs):
        # of the mixture of the models' distributions
        squares = [bins**2 + run.decoded[name][0] ** 2 for bins, run in zip(each, runs, strict=True)]
        found["bins"] = np.sqrt(np.clip(np.mean(squares, 0) - decoded[0] ** 2, 0, None))
    views = [mean_of(target, of_models) for of_models in zip(*(run.views[name] for run in runs), strict=True)]
    if views:
        found["views"] = spread_of(target, decoded, [decoded, *views])
    if len(runs) > 1:
        found["models"] = spread_of(target, decoded, [run.decoded[name] for run in runs])
    return found


def _shared(models: Sequence[Model]) -> list[Target]:
    targets = list(models[0].network.targets.values())
    for other in models[1:]:
        known = other.network.targets
        targets = [target for target in targets if target.name in known and _is_same(target, known[target.name])]
    if not targets:
        found = "; ".join(f"{each.card.name}: {', '.join(each.network.targets)}" for each in models)
        raise ModelError(f"the models have no target in common ({found}); give models that predict the same")
    return targets


def _is_same(one: Target, other: Target) -> bool:
    return (one.kind, one.classes, one.unit) == (other.kind, other.classes, other.unit)


def keys_of(cohort: Cohort) -> tuple[pd.DataFrame, Described]:
    """The columns that say which scan a row is, and what they hold."""
    said = {"participant_id": "Participant.", "session_id": "Session, empty where there is one.", "image": "The scan."}
    return cohort.table[list(KEYS)].reset_index(drop=True), {name: {"Description": text} for name, text in said.items()}


def _reference_rows(cohort: Cohort, reference: tuple[str, str]) -> np.ndarray:
    column, value = reference
    if column not in cohort.table:
        raise InputError(unknown("column of --gap-reference", column, sorted(cohort.table.columns)))
    rows = cohort.table[column].astype(str).str.strip().to_numpy() == value.strip()
    if not rows.any():
        found = sorted(set(cohort.table[column].astype(str)))[:10]
        raise InputError(f"nobody has {column} = {value!r} for --gap-reference; found: {', '.join(found)}")
    return rows


def _add_gap(
    table: pd.DataFrame, said: Described, targets: Sequence[Target], cohort: Cohort, rows: np.ndarray | None
) -> list[str]:
    """Add the brain-age gap where age is predicted and known; returns what to know of it."""
    named = [target for target in targets if target.name == AGE and target.kind == "continuous"]
    if not named or AGE not in cohort.table:
        return []
    age = pd.to_numeric(cohort.table[AGE], errors="coerce").to_numpy(float)
    if not np.isfinite(age).any():
        return []
    gap = age_gap(table[AGE].to_numpy(float), age, cohort.participants, rows)
    table["age_gap"], table["age_gap_corrected"] = gap.raw, gap.corrected
    said["age_gap"] = {"Description": "Predicted age less the age in the table.", "Units": YEARS}
    corrected: dict[str, Any] = {"Description": f"The gap, corrected for its bias with age. {METHOD}.", "Units": YEARS}
    if np.isfinite(gap.slope):
        corrected |= {"Intercept": gap.intercept, "Slope": gap.slope, "People": gap.n_people}
    said["age_gap_corrected"] = corrected
    if np.isfinite(gap.slope):
        return []
    return [f"age_gap_corrected is empty: its line needs {LEAST_PEOPLE} people of known age, found {gap.n_people}"]


def _refused(runs: Sequence[_Run]) -> list[tuple[int, str]]:
    found: dict[int, str] = {}
    for run in runs:
        for row in np.flatnonzero(run.problems != ""):
            found.setdefault(int(row), str(run.problems[row]))
    return sorted(found.items())


def _add_contract(table: pd.DataFrame, said: Described, runs: Sequence[_Run], model: Model) -> Drift | None:
    if model.card.input is None:
        return None
    drift, refused = runs[0].strangeness.drift(), dict(_refused(runs))
    if model.reference is not None:
        for kind in ("features", "values"):
            table[f"drift_{kind}"] = getattr(drift, kind)
            said[f"drift_{kind}"] = {
                "Description": f"How much farther the {kind} of the scan are from those that the model learnt from than is usual, "
                "in deviations; 3 or more is outside."
            }
    table["contract"] = [
        f"refused: {refused[row]}" if row in refused else OUTSIDE if outside else KEPT
        for row, outside in enumerate(drift.outside)
    ]
    said["contract"] = {
        "Description": "Whether the scan is what the model takes.",
        "Levels": [KEPT, OUTSIDE, "refused: why"],
    }
    return drift


def require_all(cohort: Cohort, refused: Sequence[tuple[str, str]]) -> None:
    """Refuse a run of which scans were refused.

    Raises:
        CohortError: with all of them.
    """
    if refused:
        raise CohortError(
            cohort.name, [f"{scan}: {why}" for scan, why in refused], "mend or remove these scans and run it again"
        )
