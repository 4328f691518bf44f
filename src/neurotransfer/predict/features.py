"""`embed`: a model folder and scans to a table of features."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from neurotransfer.artifacts import table_suffix, write_atomically
from neurotransfer.cohort import Cohort
from neurotransfer.models.folder import Model, load_model
from neurotransfer.models.network import count_features
from neurotransfer.models.reference import ALIKE, UNKNOWN, Drift, Strangeness
from neurotransfer.predict.blocks import Block, Wanted, blocks, key_of
from neurotransfer.predict.columns import Described
from neurotransfer.predict.run import keys_of, require_all


def feature_names(n: int) -> list[str]:
    """The names of columns of features.

    Example:
        >>> feature_names(2)
        ['feature_000', 'feature_001']
    """
    return [f"feature_{place:03d}" for place in range(n)]


def embed(
    model: Model | Path | str, cohort: Cohort, *, workers: int = 1, on_scan: Callable[[], object] | None = None
) -> pd.DataFrame:
    """The features of a model's encoder for every row of a cohort: participant_id, session_id, image, feature_000, ...

    Raises:
        InputError: when the model or the scans are unusable or do not fit together; CohortError with all scans that are not.
    """
    model = model if isinstance(model, Model) else load_model(model)
    made = list(blocks(model, cohort, Wanted(workers=workers), on_scan=on_scan))
    table, _ = keys_of(cohort)
    problems = [problem for block in made for problem in block.problems]
    scans = cohort.table["participant_id"].astype(str)
    require_all(cohort, [(scan, str(why)) for scan, why in zip(scans, problems, strict=True) if why])
    values = np.concatenate([block.features for block in made]) if made else np.zeros((0, 0), np.float32)
    return pd.concat([table, pd.DataFrame(values, columns=feature_names(values.shape[1]))], axis=1)


@dataclass(frozen=True)
class Embedded:
    """What `embed_into` wrote: how many rows, what the columns hold, what to know, and the scans that were refused."""

    n_rows: int
    columns: Described
    notes: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    drift: Drift | None


def embed_into(
    out: Path,
    model: Model | Path | str,
    cohort: Cohort,
    *,
    workers: int = 1,
    folder: Path | None = None,
    more: Mapping[str, Sequence[str]] | None = None,
    on_scan: Callable[[], object] | None = None,
) -> Embedded:
    """As `embed`, into a file (.parquet, .tsv or .csv), block after block: memory does not grow with the number of scans.

    Scans that are refused have no row.

    Args:
        out: the table to write.
        model: a model, its folder, or the name of a shipped one.
        cohort: from `read_scans` or `read_cohort`.
        workers: threads that read scans.
        folder: where what is finished is kept, so that the same call goes on after an interruption; None to keep nothing.
        more: columns of text by name, by the rows of the cohort; they replace those of the same name.
        on_scan: called after each scan.

    Raises:
        InputError: when the model or the scans do not fit together.
        StorageError: when the disk is full or the place cannot be written.
    """
    model = model if isinstance(model, Model) else load_model(model)
    wanted = Wanted(workers=workers)
    keys, said = keys_of(cohort)
    keys = keys.assign(**{name: list(values) for name, values in (more or {}).items()})
    said |= {name: said.get(name, {"Description": ""}) for name in keys}
    names = feature_names(count_features(model.network.encoder))
    place = None if folder is None else folder / key_of(model, cohort, wanted)
    strangeness, refused, n_rows = Strangeness(model.reference), [], 0

    def write(path: Path) -> None:
        nonlocal n_rows
        with _writer(path, table_suffix(out)) as add:
            for block in blocks(model, cohort, wanted, place, on_scan):
                strangeness.add(block.features, block.values)
                refused.extend(_problems(cohort, block))
                good = block.problems == ""
                table = keys.iloc[block.rows[good]].reset_index(drop=True).astype(str)
                add(pd.concat([table, pd.DataFrame(block.features[good], columns=names)], axis=1))
                n_rows += int(good.sum())

    write_atomically(out, write)
    drift = strangeness.drift() if model.card.input is not None else None
    notes = () if drift is None or drift.verdict in (ALIKE, UNKNOWN) else (drift.text,)
    said |= {name: {"Description": f"Feature {number} of the encoder."} for number, name in enumerate(names)}
    return Embedded(n_rows, said, notes, tuple(refused), drift)


def _problems(cohort: Cohort, block: Block) -> list[tuple[str, str]]:
    scans = cohort.table["participant_id"].astype(str)
    return [(scans.iloc[row], str(why)) for row, why in zip(block.rows, block.problems, strict=True) if why]


@contextmanager
def _writer(path: Path, suffix: str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that adds rows to a table, whose first rows give the columns."""
    if suffix == ".parquet":
        writer: pyarrow.parquet.ParquetWriter | None = None

        def add(table: pd.DataFrame) -> None:
            nonlocal writer
            rows = pyarrow.Table.from_pandas(table, preserve_index=False)
            writer = writer or pyarrow.parquet.ParquetWriter(path, rows.schema)
            writer.write_table(rows)

        try:
            yield add
        finally:
            if writer is not None:
                writer.close()
        return
    separator, begun = ("\t" if suffix == ".tsv" else ","), False
    with path.open("w", encoding="utf-8", newline="") as opened:

        def append(table: pd.DataFrame) -> None:
            nonlocal begun
            table.to_csv(opened, sep=separator, index=False, header=not begun, na_rep="n/a", lineterminator="\n")
            begun = True

        yield append
