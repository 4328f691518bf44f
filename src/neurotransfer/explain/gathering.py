"""The features of scans, of one network or several: run through it, or read from tables that `embed` wrote."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.artifacts import table_suffix
from neurotransfer.cohort import Cohort
from neurotransfer.cohort.people import People
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import InputError
from neurotransfer.explain.depths import FEATURES, layered, split
from neurotransfer.models.folder import Model
from neurotransfer.models.network import count_features
from neurotransfer.predict import embed_into

KEYS = ["participant_id", "session_id"]
FEATURE = "feature_"


@dataclass(frozen=True)
class Held:
    """What a model holds of scans: `layers` (n, k) by name, the features last; `keys` (n, 2) who and when; scans refused, and why."""

    name: str
    keys: pd.DataFrame
    layers: dict[str, np.ndarray]
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def features(self) -> np.ndarray:
        """The features (n, p)."""
        return self.layers[FEATURES]


def held_by(
    model: Model,
    cohort: Cohort,
    folder: Path,
    *,
    layers: bool = True,
    workers: int = 1,
    on_scan: Callable[[], object] | None = None,
) -> Held:
    """What a model holds of the scans of a cohort; what is finished is kept in a folder, block after block.

    Args:
        model: a network and its card.
        cohort: prepared as the model takes it.
        folder: where parts are kept, so that the same call goes on after an interruption.
        layers: whether the layers are looked at too.
        workers: threads that read scans.
        on_scan: called after each scan.

    Raises:
        InputError: when the model and the scans do not fit together.
        StorageError: when the folder cannot be written.
    """
    run = layered(model) if layers else Model(model.network, model.card)
    place = folder / "features.parquet"
    found = embed_into(place, run, cohort, workers=workers, folder=folder, on_scan=on_scan)
    if not found.n_rows:
        return Held(model.card.name, pd.DataFrame(columns=KEYS), {FEATURES: np.zeros((0, 0))}, found.refused)
    table = pd.read_parquet(place)
    place.unlink()
    values = table[[name for name in table if name.startswith(FEATURE)]].to_numpy(np.float32)
    return Held(model.card.name, table[KEYS].astype(str), _different(split(values, run.network)), found.refused)


def _different(layers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    # the mean over space of the last layer is, in many networks, what its features are
    features = layers[FEATURES]
    return {
        name: values
        for name, values in layers.items()
        if name == FEATURES or values.shape != features.shape or not np.allclose(values, features, rtol=1e-4, atol=1e-5)
    }


def read_features(path: Path, model: Model) -> Held:
    """What a table of `neurotransfer embed` says that a model holds.

    Raises:
        InputError: when it is no such table, or its features are not as many as the model gives, or not all numbers.
    """
    table_suffix(path)
    table = read_text_table(path)
    names = [name for name in table if name.startswith(FEATURE)]
    absent = [name for name in KEYS if name not in table]
    if not names or absent:
        lacks = ", ".join([*absent, *([] if names else [f"{FEATURE}000, ..."])])
        raise InputError(f"{str(path)!r} is no table of features: it lacks {lacks}; make one by `neurotransfer embed`")
    expected = count_features(model.network.encoder)
    if len(names) != expected:
        raise InputError(
            f"{str(path)!r} has {len(names)} features, model {model.card.name!r} gives {expected}; give the table that "
            "`neurotransfer embed` made with this model"
        )
    values = table[names].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{str(path)!r}: some features are missing or no numbers; run `neurotransfer embed` again")
    return Held(model.card.name, table[KEYS], {FEATURES: values})


@dataclass(frozen=True)
class Sample:
    """Scans that all models hold, in one order: `table` a row a scan, `models` with the same rows, `people` whose scans they are.

    `left_out` is how many scans are not with all models.
    """

    table: pd.DataFrame
    models: tuple[Held, ...]
    people: People
    left_out: int


def in_common(table: pd.DataFrame, models: Sequence[Held]) -> Sample:
    """The scans of a table that all models hold, in the order of the table; models of the same name get a number.

    Raises:
        InputError: when there is none, or features have a scan twice.
    """
    for each in models:
        if each.keys.duplicated().any():
            twice = "/".join(each.keys[each.keys.duplicated()].iloc[0])
            raise InputError(f"the features of {each.name!r} have the scan {twice} twice; keep one row a scan")
    wanted = pd.MultiIndex.from_frame(table[KEYS].astype(str))
    places = [pd.MultiIndex.from_frame(each.keys.astype(str)).get_indexer(wanted) for each in models]
    everywhere = np.all([place >= 0 for place in places], axis=0)
    if not everywhere.any():
        scan = "/".join(map(str, models[0].keys.iloc[0])) if len(models[0].keys) else "none"
        raise InputError(
            f"no scan is in the table and with all of the models: the table begins with {'/'.join(wanted[0])}, the features with "
            f"{scan}; give features of the same scans (participant_id and session_id must agree)"
        )
    rows = np.flatnonzero(everywhere)
    chosen = [
        Held(name, model.keys.iloc[place[rows]].reset_index(drop=True),
             {layer: values[place[rows]] for layer, values in model.layers.items()}, model.refused)
        for name, model, place in zip(_names(models), models, places, strict=True)
    ]  # fmt: skip
    kept = table.iloc[rows].reset_index(drop=True)
    return Sample(kept, tuple(chosen), People.of(kept["participant_id"].to_numpy(str)), len(table) - len(rows))


def _names(models: Sequence[Held]) -> list[str]:
    names = [model.name for model in models]
    return [
        f"{name} ({names[:place].count(name) + 1})" if name in names[:place] else name
        for place, name in enumerate(names)
    ]
