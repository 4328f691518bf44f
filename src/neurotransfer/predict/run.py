"""`predict`: a model folder and scans to a table of predictions, or of features."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from neurotransfer.cohort import Cohort, read_cohort, store_volumes
from neurotransfer.cohort.volumes import IMAGE_SUFFIXES
from neurotransfer.errors import InputError
from neurotransfer.models.folder import Model, check_volumes, load_model
from neurotransfer.training import features, predictions
from neurotransfer.transfer.adapt import column_values

KEYS = ("participant_id", "session_id", "image")


def predict(model: Model | Path | str, cohort: Cohort, *, on_scan: Callable[[], object] | None = None) -> pd.DataFrame:
    """Predictions of every target of a model for every row of a cohort.

    Returns:
        One row a scan: participant_id, session_id, image; then by target its value (continuous), most probable class
        and `TARGET_probability_CLASS` for every class (binary, categorical, ordinal; `TARGET_level` is the expected
        level of an ordinal one).

    Raises:
        InputError: when the model or the scans are unusable or do not fit together.
    """
    model = model if isinstance(model, Model) else load_model(model)
    table = cohort.table[list(KEYS)].copy()
    with TemporaryDirectory() as cache:
        inputs = _inputs(model, cohort, Path(cache), on_scan)
        found = predictions(model.network, inputs, np.arange(len(cohort)))
        del inputs
    for name, (predicted, probabilities) in found.items():
        target = model.network.targets[name]
        if target.kind == "continuous":
            table[name] = predicted
            continue
        if target.kind == "ordinal":
            table[f"{name}_level"] = predicted
        table[name] = [target.classes[index] for index in probabilities.argmax(1)]
        for index, label in enumerate(target.classes):
            table[f"{name}_probability_{label}"] = probabilities[:, index]
    return table


def embed(model: Model | Path | str, cohort: Cohort, *, on_scan: Callable[[], object] | None = None) -> pd.DataFrame:
    """The features of a model's encoder for every row of a cohort: participant_id, session_id, image, feature_000, ...

    Raises:
        InputError: when the model or the scans are unusable or do not fit together.
    """
    model = model if isinstance(model, Model) else load_model(model)
    with TemporaryDirectory() as cache:
        inputs = _inputs(model, cohort, Path(cache), on_scan)
        values = features(model.network.encoder, inputs)
        del inputs
    columns = [f"feature_{index:03d}" for index in range(values.shape[1])]
    return pd.concat([cohort.table[list(KEYS)].reset_index(drop=True), pd.DataFrame(values, columns=columns)], axis=1)


def _inputs(model: Model, cohort: Cohort, cache: Path, on_scan: Callable[[], object] | None) -> np.ndarray:
    if model.card.grid is None:
        return column_values(cohort, tuple(model.card.arguments["columns"]))
    volumes = store_volumes(cache, cohort.images, model.card.grid, cohort.alignment, on_scan)
    check_volumes(model.card, volumes)
    return volumes


def read_scans(path: Path | str, **options: object) -> Cohort:
    """What `predict` takes: one scan, a folder of scans, a cohort table or a BIDS dataset, as a cohort.

    Args:
        path: a file ending in .nii, .nii.gz, .mgz or .mgh, a folder of such files, or what `read_cohort` reads.
        options: of `read_cohort`.

    Raises:
        InputError: when there is nothing of that kind.
    """
    path = Path(path)
    if path.is_dir() and not any((path / name).is_file() for name in ("participants.tsv", "cohort.tsv")):
        scans = sorted(file for file in path.iterdir() if file.name.endswith(IMAGE_SUFFIXES))
        if scans:
            return _of_files(scans, path.name, options)
    if path.is_file() and path.name.endswith(IMAGE_SUFFIXES):
        return _of_files([path], path.name, options)
    if not path.exists():
        raise InputError(
            f"there is no {str(path)!r}; give a scan ({', '.join(IMAGE_SUFFIXES)}), a folder of scans, a cohort table or a "
            "BIDS dataset"
        )
    return read_cohort(path, **options)  # type: ignore[arg-type]


def _of_files(scans: list[Path], name: str, options: dict[str, object]) -> Cohort:
    with TemporaryDirectory() as folder:
        table = Path(folder) / "scans.tsv"
        rows = [{"participant_id": file.name.split(".")[0], "image": str(file.resolve())} for file in scans]
        pd.DataFrame(rows).to_csv(table, sep="\t", index=False)
        kept = {key: value for key, value in options.items() if key in ("alignment", "on_scan")}
        return read_cohort(table, name=name, **kept)  # type: ignore[arg-type]
