"""All numbers about the features of a sample: what they share, how many they are worth, what they go with, what they betray."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from neurotransfer.errors import InputError
from neurotransfer.explain.asking import Asked, matching
from neurotransfer.explain.associations import associations, corrected
from neurotransfer.explain.averages import (
    Covariates,
    Labels,
    covariates_of,
    labels_of,
    numeric_columns,
    person_means,
    varying,
)
from neurotransfer.explain.correlations import chance_redundancy, correlations, redundancy, residuals
from neurotransfer.explain.dimension import Dimension, dimension_of, spectrum
from neurotransfer.explain.gathering import Held, Sample
from neurotransfer.explain.halves import LEAST_PEOPLE, Sure, difference, sure
from neurotransfer.explain.similarity import MOST_PEOPLE, Similarity, similarities
from neurotransfer.explain.traces import Trace, trace
from neurotransfer.seeding import stream

RAW, WITHOUT = "raw", "without"
# halves of people, where each takes long
WIDE, FEW_HALVES = 300, 60
TARGET_COLUMNS = ["model", "view", "target", "kind", "higher", "feature", "measure", "effect", "r2", "n", "p", "p_family",
                  "p_holm", "p_fdr"]  # fmt: skip


@dataclass(frozen=True)
class View:
    """Features (n_people, p) of a model, raw or without covariates, and what is measured of them.

    `against` (n_columns, p) are correlations with columns of the table; `redundancy` and its `chance` are mean absolute correlations.
    """

    features: np.ndarray
    matrix: np.ndarray
    against: np.ndarray
    dimension: Dimension
    spectrum: np.ndarray
    redundancy: Sure
    chance: float


@dataclass(frozen=True)
class Measured:
    """What is known of a model: `names` (p,) of its features that vary, `n_silent` that do not, and its views."""

    name: str
    names: tuple[str, ...]
    n_silent: int
    views: Mapping[str, View]


@dataclass(frozen=True)
class Numbers:
    """All numbers of a sample.

    `known` (n_people,) says of whom all covariates are known; `columns` are those of `View.against`, from `n_with_columns`
    people; `targets` a row a feature, target and view; `traces` by what is read from; `less` by what is less in which model.
    """

    models: tuple[Measured, ...]
    views: tuple[str, ...]
    covariates: Covariates
    known: np.ndarray
    columns: tuple[str, ...]
    n_with_columns: int
    targets: pd.DataFrame
    traces: Mapping[str, Trace]
    sets: tuple[tuple[str, str], ...]
    similarity: Mapping[tuple[str, str], Similarity]
    n_compared: int
    asked: Asked
    differences: Mapping[tuple[str, str, str], Sure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _People:
    """One row a person of whom all covariates are known: covariates (n, k), columns (n, m), and which rows have all columns."""

    taken: np.ndarray
    columns: np.ndarray
    complete: np.ndarray


def measure(sample: Sample, asked: Asked, on_step: Callable[[], object] | None = None) -> Numbers:
    """All numbers about the features of a sample, of people: the scans of a person are averaged first.

    Args:
        sample: from `in_common`.
        asked: what is wanted.
        on_step: called after each of the parts.

    Raises:
        InputError: when the people are too few, or what is asked for is not in the table.
    """
    step = on_step or (lambda: None)
    names = matching(sample.table, asked.columns)
    covariates = covariates_of(sample.table, asked.covariates)
    taken = person_means(covariates.values, sample.people.codes)
    known = np.isfinite(taken).all(1)
    if known.sum() < LEAST_PEOPLE:
        of_covariates = " of whom all covariates are known" if asked.covariates else ""
        raise InputError(f"found {int(known.sum())} people{of_covariates}; {LEAST_PEOPLE} or more are needed")
    columns = person_means(numeric_columns(sample.table, names), sample.people.codes)[known]
    people = _People(taken[known], columns, np.isfinite(columns).all(1))
    if names and people.complete.sum() < LEAST_PEOPLE:
        raise InputError(
            f"all of {len(names)} columns are known of {int(people.complete.sum())} people; {LEAST_PEOPLE} are needed"
        )
    views = (RAW, WITHOUT) if taken.shape[1] else (RAW,)
    models = tuple(_measured(held, sample, known, people, views, asked) for held in sample.models)
    step()
    targets, notes = _targets(sample, models, known, people.taken, views, asked)
    step()
    traces, more = _traces(sample, models, known, people.taken, asked)
    step()
    sets, similarity, n_compared = _similarity(sample, known, people.taken, views, asked)
    step()
    return Numbers(models, views, covariates, known, tuple(names), int(people.complete.sum()), targets, traces, sets, similarity,
                   n_compared, asked, _differences(models), (*notes, *more))  # fmt: skip


def people_of(values: np.ndarray, sample: Sample, known: np.ndarray) -> np.ndarray:
    """Values of scans (n, p) as those of people (n_known, p)."""
    return person_means(values, sample.people.codes)[known]


def _measured(
    held: Held, sample: Sample, known: np.ndarray, people: _People, views: Sequence[str], asked: Asked
) -> Measured:
    widest = max(each.features.shape[1] for each in sample.models)
    n_halves = min(FEW_HALVES, asked.n_halves) if widest > WIDE else asked.n_halves
    features = people_of(held.features, sample, known)
    varies = varying(features)
    if not varies.any():
        raise InputError(f"all features of {held.name!r} are the same for all people; check the scans and the model")
    places = np.flatnonzero(varies)
    names = tuple(f"feature_{place:03d}" for place in places)
    return Measured(
        held.name,
        names,
        int((~varies).sum()),
        {view: _view(features[:, places], people, view, n_halves, asked.seed) for view in views},
    )


def _view(features: np.ndarray, people: _People, view: str, n_halves: int, seed: int) -> View:
    k = people.taken.shape[1] if view == WITHOUT else 0
    taken = people.taken[:, :k]
    left = residuals(features, taken) if k else features
    some = people.complete
    pair = [residuals(each[some], taken[some]) if k else each[some] for each in (people.columns, features)]
    shared = sure(
        lambda rows: redundancy(left[rows]), len(left), n_draws=n_halves, generator=stream(seed, "redundancy")
    )
    return View(
        left, correlations(left, left), correlations(*pair) if pair[0].shape[1] else np.zeros((0, left.shape[1])),
        dimension_of(left, n_halves=n_halves, seed=seed), spectrum(left), shared, chance_redundancy(len(left), k),
    )  # fmt: skip


def _differences(models: Sequence[Measured]) -> dict[tuple[str, str, str], Sure]:
    """How much more each model has than the first, of the same halves of people, by model, view and measure."""
    found = {}
    for other in models[1:]:
        for view, second in other.views.items():
            first = models[0].views[view]
            found[other.name, view, "redundancy"] = difference(first.redundancy, second.redundancy)
            pair = first.dimension.participation, second.dimension.participation
            found[other.name, view, "participation"] = difference(*pair)
    return found


def _targets(
    sample: Sample, models: Sequence[Measured], known: np.ndarray, taken: np.ndarray, views: Sequence[str], asked: Asked
) -> tuple[pd.DataFrame, list[str]]:
    parts, notes = [], []
    for name in asked.targets:
        labels = labels_of(sample.table, name, sample.people.codes)
        left_out = {"whose scans have several classes": labels.n_mixed, "of classes of fewer than five": labels.n_rare}
        notes += [f"{name}: {count} people {words} are left out there." for words, count in left_out.items() if count]
        for view in views:
            if view == WITHOUT and name in asked.covariates:
                notes.append(f"{name} is itself a covariate: nothing of it is left to go with.")
                continue
            try:
                away = taken if view == WITHOUT else None
                parts += [_of_target(model, labels, known, away, asked).assign(view=view) for model in models]
            except InputError as error:
                notes.append(f"{name}: {error}.")
                break
    if not parts:
        return pd.DataFrame(columns=TARGET_COLUMNS), notes
    table = pd.concat(parts, ignore_index=True)
    each = [corrected(rows) for _, rows in table.groupby(["model", "view"], sort=False)]
    return pd.concat(each).sort_index()[TARGET_COLUMNS], notes


def _of_target(
    model: Measured, labels: Labels, known: np.ndarray, taken: np.ndarray | None, asked: Asked
) -> pd.DataFrame:
    target = labels.target
    generator = stream(asked.seed, "associations", target.name, RAW if taken is None else WITHOUT)
    found = associations(
        model.views[RAW].features, labels.values[known], target.kind, taken, n_permutations=asked.n_permutations,
        generator=generator,
    )  # fmt: skip
    higher = target.classes[1] if target.kind == "binary" else ""
    return found.assign(feature=model.names, model=model.name, target=target.name, kind=target.kind, higher=higher)


def _traces(
    sample: Sample, models: Sequence[Measured], known: np.ndarray, taken: np.ndarray, asked: Asked
) -> tuple[dict[str, Trace], list[str]]:
    name = asked.nuisance
    if not name or name not in sample.table or (sample.table[name].astype(str).str.strip() == "").all():
        return {}, []
    try:
        labels = labels_of(sample.table, name, sample.people.codes).values[known]
        rows = np.isfinite(labels)
        found = {
            model.name: trace(
                model.views[RAW].features[rows], labels[rows], n_permutations=asked.n_permutations, seed=asked.seed
            )
            for model in models
        }
        own = [place for place, label in enumerate(covariates_of(sample.table, asked.covariates).labels)
               if not label.startswith(name)]  # fmt: skip
        if own:
            found[WITHOUT] = trace(
                taken[rows][:, own], labels[rows], n_permutations=asked.n_permutations, seed=asked.seed
            )
        return found, []
    except InputError as error:
        return {}, [f"Whether {name} can be read from features is not told: {error}."]


def _similarity(
    sample: Sample, known: np.ndarray, taken: np.ndarray, views: Sequence[str], asked: Asked
) -> tuple[tuple[tuple[str, str], ...], dict[tuple[str, str], Similarity], int]:
    names = tuple((held.name, layer) for held in sample.models for layer in held.layers)
    n = int(known.sum())
    chosen = np.sort(stream(asked.seed, "compared").permutation(n)[:MOST_PEOPLE])
    if len(names) < 2:
        return names, {}, len(chosen)
    sets = [people_of(values, sample, known) for held in sample.models for values in held.layers.values()]
    how = {"n_permutations": asked.n_permutations, "n_halves": asked.n_halves, "seed": asked.seed}
    found = {}
    for view in views:
        left = sets if view == RAW else [residuals(each, taken) for each in sets]
        for measure_name in ("cka", "rsa"):
            found[view, measure_name] = similarities([each[chosen] for each in left], measure=measure_name, **how)
    return names, found, len(chosen)
