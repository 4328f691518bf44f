"""Scans through a network, some at a time: what was done is kept, and memory does not grow with their number."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from neurotransfer.artifacts import package_version, write_atomically
from neurotransfer.cohort import Cohort
from neurotransfer.cohort.storing import quantised, restored
from neurotransfer.cohort.volumes import load_volume
from neurotransfer.errors import ImageError
from neurotransfer.models.card import card_to_json
from neurotransfer.models.checks import check_volumes, require_preparation, require_volumes
from neurotransfer.models.folder import Model
from neurotransfer.models.reference import values_of
from neurotransfer.seeding import stream
from neurotransfer.training import current, features
from neurotransfer.training.augment import apply, preset, sample
from neurotransfer.training.examples import ahead
from neurotransfer.transfer.source import column_values

# volumes of one block take no more memory than this
MOST_BYTES, MOST_SCANS = 2**28, 32
VIEWS = "light"
BITS = 16
VIEWS_AT_ONCE = 16


@dataclass(frozen=True)
class Block:
    """What a network gives for some rows of a cohort.

    Attributes:
        rows: (n,) of the cohort.
        problems: (n,) text: why a scan was refused, else "".
        features: (n, f) float32, NaN where refused.
        outputs: (n, k) of the head of every target.
        views: by target (n, v, k), outputs for views of the scan that were changed a little.
        values: (n, 22), see `values_of`; empty for columns of a table.
    """

    rows: np.ndarray
    problems: np.ndarray
    features: np.ndarray
    outputs: dict[str, np.ndarray]
    views: dict[str, np.ndarray]
    values: np.ndarray

    def to_bytes(self) -> bytes:
        """The block as an archive of arrays; `from_file` is the inverse."""
        arrays = {"rows": self.rows, "problems": self.problems, "features": self.features, "values": self.values}
        # names of targets may be anything, names in an archive may not
        for kind in ("outputs", "views"):
            arrays |= {f"{kind}{place}": array for place, array in enumerate(getattr(self, kind).values())}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_file(cls, path: Path, names: list[str]) -> "Block | None":
        """The block that a file holds, for targets of these names; None when it is damaged."""
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
                outputs, views = (
                    {name: found[f"{kind}{place}"] for place, name in enumerate(names) if f"{kind}{place}" in found}
                    for kind in ("outputs", "views")
                )
                return cls(found["rows"], found["problems"], found["features"], outputs, views, found["values"])
        except Exception:
            # whatever a damaged archive leads to, it is made again
            return None


@dataclass(frozen=True)
class Wanted:
    """How scans are run: `views` changed a little beside each one, `seed` of those, and `workers` threads that read scans."""

    views: int = 0
    seed: int = 0
    workers: int = 1


def blocks(
    model: Model,
    cohort: Cohort,
    wanted: Wanted,
    folder: Path | None = None,
    on_scan: Callable[[], object] | None = None,
) -> Iterator[Block]:
    """What a model's network gives for every scan of a cohort, block after block, in the order of its rows.

    A scan that does not keep the input contract is refused, with the reason, and the others go on.

    Args:
        model: whose network is run, on the engine in use.
        cohort: from `read_scans`.
        wanted: how.
        folder: where finished blocks are kept, so that a run that was interrupted goes on; None to keep nothing.
        on_scan: called after each scan.

    Raises:
        ModelError: when the scans cannot fit the model, whatever they hold.
        InputError: when columns that a model takes are absent or not all numbers.
        StorageError: when the folder cannot be written.
    """
    names = list(model.network.targets)
    if model.card.input is None:
        yield _of_columns(model, cohort)
        for _ in range(len(cohort) if on_scan is not None else 0):
            on_scan()  # type: ignore[misc]
        return
    require_volumes(model.card)
    require_preparation(model.card, cohort)
    size = max(1, min(MOST_SCANS, MOST_BYTES // (4 * int(np.prod(model.card.input.shape)))))
    parts = [np.arange(start, min(start + size, len(cohort))) for start in range(0, len(cohort), size)]
    paths = [None if folder is None else folder / f"part-{int(rows[0]):07d}.npz" for rows in parts]
    # what is kept is read again when its turn comes: memory must not grow
    is_kept = [_is_kept(path, names, rows) for path, rows in zip(paths, parts, strict=True)]
    missing = [place for place, is_there in enumerate(is_kept) if not is_there]
    with ThreadPoolExecutor(max(1, wanted.workers)) as pool:
        coming = ahead(missing, lambda place: _load(model, cohort, parts[place], pool))
        for place, rows in enumerate(parts):
            path = paths[place]
            block = Block.from_file(path, names) if is_kept[place] and path is not None else None
            if block is None:
                _, (volumes, problems) = next(coming)
                block = _run(model, cohort, rows, volumes, problems, wanted)
                if path is not None:
                    _write(path, block.to_bytes())
            for _ in rows if on_scan is not None else ():
                on_scan()  # type: ignore[misc]
            yield block


def _is_kept(path: Path | None, names: list[str], rows: np.ndarray) -> bool:
    block = None if path is None or not path.is_file() else Block.from_file(path, names)
    return block is not None and np.array_equal(block.rows, rows)


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def key_of(model: Model, cohort: Cohort, wanted: Wanted) -> str:
    """A hash of all that the numbers of a run depend on: the model, the scans and how they are run."""
    digest = hashlib.sha256(repr((card_to_json(model.card), package_version("neurotransfer"))).encode())
    for name, value in model.network.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    digest.update(repr((replace(wanted, workers=1), str(current().kind), cohort.alignment)).encode())
    for image, mask in cohort.images if cohort.has_images else ():
        facts = [(path.stat().st_size, path.stat().st_mtime_ns) for path in (image, mask) if path and path.is_file()]
        digest.update(repr((os.fspath(image), facts)).encode())
    return digest.hexdigest()[:16]


def _of_columns(model: Model, cohort: Cohort) -> Block:
    inputs = column_values(cohort, tuple(model.card.arguments["columns"]))
    found = features(model.network.encoder, inputs)
    problems = np.full(len(cohort), "", dtype="U1")
    return Block(np.arange(len(cohort)), problems, found, _outputs(model, found), {}, np.zeros((len(cohort), 0)))


def _load(model: Model, cohort: Cohort, rows: np.ndarray, pool: ThreadPoolExecutor) -> tuple[np.ndarray, list[str]]:
    taken, images = model.card.input, cohort.images
    assert taken is not None

    def load(row: int) -> np.ndarray | str:
        image, mask = images[row]
        try:
            # as a store keeps it: a scan is predicted here as in a benchmark
            return restored(quantised(load_volume(image, taken, mask, cohort.alignment), BITS), BITS)
        except ImageError as error:
            return str(error) or "it cannot be read"

    found = list(pool.map(load, rows))
    volumes = [np.zeros(taken.shape, np.float32) if isinstance(each, str) else each for each in found]
    return np.stack(volumes), [each if isinstance(each, str) else "" for each in found]


def _run(
    model: Model, cohort: Cohort, rows: np.ndarray, volumes: np.ndarray, problems: list[str], wanted: Wanted
) -> Block:
    check_volumes(model.card, volumes)
    refused = np.array([bool(problem) for problem in problems])
    found = features(model.network.encoder, volumes)
    found[refused] = np.nan
    views = _views(model, cohort, rows, volumes, wanted) if wanted.views else {}
    return Block(rows, np.array(problems), found, _outputs(model, found), views, values_of(volumes))


def _outputs(model: Model, found: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        heads = next(model.network.heads.parameters(), torch.zeros(0))
        outputs = model.network.outputs(torch.from_numpy(found).to(heads.device))
    return {name: values.cpu().numpy() for name, values in outputs.items()}


def _views(
    model: Model, cohort: Cohort, rows: np.ndarray, volumes: np.ndarray, wanted: Wanted
) -> dict[str, np.ndarray]:
    changes = preset(VIEWS, flip=not any(target.has_side for target in model.card.targets))
    assert changes is not None
    seen = []
    for row, volume in zip(rows, volumes, strict=True):
        image = cohort.images[row][0].name
        generator = stream(wanted.seed, "views", cohort.participants[row], image)
        drawn = sample(changes, wanted.views, volume.shape, generator)
        few = max(1, min(VIEWS_AT_ONCE, MOST_BYTES // (8 * volume.nbytes)))
        parts = []
        for start in range(0, wanted.views, few):
            some = [
                apply(torch.from_numpy(volume)[None, None], drawn.of(np.array([view])))[0, 0].clamp(0, 1).numpy()
                for view in range(start, min(start + few, wanted.views))
            ]
            parts.append(features(model.network.encoder, np.stack(some)))
        seen.append(_outputs(model, np.concatenate(parts)))
    return {name: np.stack([each[name] for each in seen]) for name in model.network.targets}
