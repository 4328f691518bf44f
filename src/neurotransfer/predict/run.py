"""`predict`: a model folder and scans to a table of predictions, or of features."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.cohort import Cohort, read_cohort, store_volumes
from neurotransfer.cohort.files import TABLES, has_table, is_image_name, scan_stem, scans_in
from neurotransfer.cohort.volumes import IMAGE_SUFFIXES
from neurotransfer.errors import CohortError, InputError
from neurotransfer.models.checks import check_volumes, require_preparation
from neurotransfer.models.folder import Model, load_model
from neurotransfer.training import features, predictions
from neurotransfer.transfer.source import column_values

KEYS = ("participant_id", "session_id", "image")
# what files without a table have no use for
OF_TABLES = ("space", "desc", "mask", "columns", "recode", "targets", "images")


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
    if model.card.input is None:
        return column_values(cohort, tuple(model.card.arguments["columns"]))
    require_preparation(model.card, cohort)
    volumes = store_volumes(cache, cohort, model.card.input, on_scan)
    check_volumes(model.card, volumes)
    return volumes


def read_scans(path: Path | str, **options: object) -> Cohort:
    """What `predict` takes: one scan, a folder of scans, a cohort table or a BIDS dataset, as a cohort.

    Args:
        path: a file ending in .nii, .nii.gz, .mgz or .mgh, a folder of such files (masks and segmentations, by their
            names, and hidden files are passed over), or what `read_cohort` reads.
        options: of `read_cohort`; those of a table or of BIDS say nothing about scans without one.

    Raises:
        InputError: when there is nothing of that kind.
        CohortError: with all scans that cannot be used.
    """
    path = Path(path)
    if is_folder(path) and not has_table(path):
        scans = scans_in(path)
        if scans:
            return _of_files(scans, path, options)
        if not any(is_folder(below) for below in path.glob("sub-*")):
            raise InputError(
                f"{str(path)!r} holds no scan ({', '.join(IMAGE_SUFFIXES)}), no table ({', '.join(TABLES)}) and no sub-* "
                "folder of BIDS; give a place that does"
            )
    if is_file(path) and is_image_name(path):
        return _of_files([path], path, options)
    if not is_folder(path) and not is_file(path):
        raise InputError(
            f"there is no {str(path)!r}; give a scan ({', '.join(IMAGE_SUFFIXES)}), a folder of scans, a cohort table or a "
            "BIDS dataset"
        )
    return read_cohort(path, **options)  # type: ignore[arg-type]


def _of_files(scans: list[Path], source: Path, options: dict[str, object]) -> Cohort:
    kept = {"name": source.resolve().name} | {key: value for key, value in options.items() if key not in OF_TABLES}
    with TemporaryDirectory() as folder:
        table = Path(folder) / "scans.tsv"
        rows = [{"participant_id": scan_stem(file), "image": str(file.resolve())} for file in scans]
        pd.DataFrame(rows).to_csv(table, sep="\t", index=False)
        try:
            return read_cohort(table, **kept)  # type: ignore[arg-type]
        except CohortError as error:
            raise CohortError(
                source, error.problems, "mend or remove these scans and run the same command again"
            ) from None
