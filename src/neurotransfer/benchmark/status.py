"""How far a run is: what the process that leads it says now and then, and what anybody else can read from the folder."""

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from neurotransfer.artifacts import MANIFEST, is_file, read_json, write_json
from neurotransfer.benchmark.pace import in_words
from neurotransfer.benchmark.plan import Cell
from neurotransfer.benchmark.records import KEY, finished
from neurotransfer.benchmark.schedule import Failure
from neurotransfer.benchmark.workspace import STUDY
from neurotransfer.errors import InputError, StorageError

SIGN, FAILED = "progress.json", "failed.json"
SIGN_EVERY_S = 5.0
# without a sign for so long a run is taken to have been killed
SILENT_S = 60.0
RUNNING, DONE, STOPPED, KILLED = "running", "done", "stopped", "stopped without a word"
PREPARING = "preparing"


@dataclass
class Sign:
    """What the process that leads a run says of it."""

    state: str = PREPARING
    doing: str = ""
    done: int = 0
    cells: int = 0
    left_s: float | None = None
    workers: str = ""
    at_once: int = 0
    link: str = ""
    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    began: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)


class Signs:
    """Writes the sign of a run every few seconds, from a thread of its own, so that long steps are signs of life too.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.sign = folder / SIGN, Sign()
        self._end, self._thread = threading.Event(), threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Signs":
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._write()

    def give(self, **facts: Any) -> None:
        """Note facts of `Sign`."""
        for name, value in facts.items():
            setattr(self.sign, name, value)

    def _run(self) -> None:
        while not self._end.wait(SIGN_EVERY_S):
            self._write()

    def _write(self) -> None:
        self.sign.updated = time.time()
        # that nobody can be told is no reason to stop; a full disk shows where results are written
        with suppress(StorageError, OSError):
            write_json(self.path, asdict(self.sign))


def write_failures(folder: Path, failures: Iterable[Failure]) -> None:
    """Keep the list of the cells that were given up; raises StorageError when the disk is full."""
    rows = [asdict(failure.cell) | {"error": failure.error, "attempts": failure.attempts} for failure in failures]
    write_json(folder / FAILED, rows)


def read_failures(folder: Path) -> list[Failure]:
    """The cells that were given up in earlier runs of a folder."""
    if not is_file(folder / FAILED):
        return []
    return [
        Failure(Cell(*(row[name] for name in KEY)), str(row["error"]), int(row["attempts"]))
        for row in read_json(folder / FAILED)
    ]


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        folder: of the run.
        sign: the last one that was given; None for a run of an earlier version.
        state: one of running, preparing, done, stopped, stopped without a word.
        table: a row a task, strategy and n: `done`, `planned`, `failed`.
        failures: the cells that were given up.
    """

    folder: Path
    sign: Sign | None
    state: str
    table: pd.DataFrame
    failures: Sequence[Failure]

    @property
    def done(self) -> int:
        """How many cells are kept."""
        return int(self.table["done"].sum())

    @property
    def planned(self) -> int:
        """How many cells the run has."""
        return int(self.table["planned"].sum())

    def __str__(self) -> str:
        """A few lines for the reader."""
        share = 100 * self.done / max(1, self.planned)
        lines = [f"{self.folder}: {self.state}; {self.done} of {self.planned} cells ({share:.1f} %)"]
        lines[0] += f", {len(self.failures)} failed" if self.failures else ""
        sign = self.sign
        if sign is not None:
            ago = in_words(max(0.0, time.time() - sign.updated))
            lines.append(f"process {sign.process} on {sign.host}, last sign {ago} ago")
            if self.state in (RUNNING, PREPARING):
                workers = f"{sign.workers} ({sign.at_once} cells at once)" if sign.workers else "no workers yet"
                lines += [f"{sign.doing or 'getting ready'}; {workers}; {in_words(sign.left_s)} left"]
                lines += [f"to watch the workers: {sign.link}"] if sign.link else []
        if self.state in (STOPPED, KILLED):
            lines.append("what was finished is kept: run the same command again to go on")
        by = self.table.groupby(["task", "strategy"], sort=False)[["done", "planned", "failed"]].sum()
        lines += [
            f"  {task}, {strategy}: {row['done']} of {row['planned']}"
            + (f", {row['failed']} failed" if row["failed"] else "")
            for (task, strategy), row in by.iterrows()
        ]
        shown = list(self.failures)[:5]
        lines += [f"  failed: {named(failure.cell)}: {failure.error}" for failure in shown]
        if len(self.failures) > len(shown):
            lines.append(f"  ... and {len(self.failures) - len(shown)} more in {FAILED}")
        if self.failures:
            lines.append("to try these again: the same command with --retry-failed")
        return "\n".join(lines)


def named(cell: Cell) -> str:
    """A cell as a reader calls it.

    Example:
        >>> named(Cell("age", 50, 3, "linear"))
        'age, linear, n = 50, replicate 3'
    """
    return f"{cell.task}, {cell.strategy}, n = {cell.n}, replicate {cell.replicate}"


def status(run: Path | str) -> Status:
    """How far a run is; may be asked by anybody while it goes on, and writes nothing.

    Raises:
        InputError: when there is no run in the folder.
    """
    folder = Path(run)
    if not is_file(folder / STUDY):
        raise InputError(f"there is no run in {str(folder)!r}; begin one: neurotransfer benchmark STUDY --out {folder}")
    try:
        return _status(folder)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{str(folder)!r} is no run of this version, or its files were changed ({type(error).__name__}: {error})"
        ) from None


def _status(folder: Path) -> Status:
    study = read_json(folder / STUDY)
    sign = _sign(folder)
    done, failures = finished(folder), read_failures(folder)
    counts, failed = (
        Counter((cell.task, cell.strategy, cell.n) for cell in cells)
        for cells in (done, [failure.cell for failure in failures])
    )
    rows = [
        {
            "task": task, "strategy": strategy, "n": n, "done": counts[task, strategy, n],
            "planned": study["replicates"], "failed": failed[task, strategy, n],
        }
        for task, strategy in study.get("pairs") or _all_pairs(study)
        for n in study["sizes"]
    ]  # fmt: skip
    return Status(folder, sign, _state(folder, sign), pd.DataFrame(rows), failures)


def _all_pairs(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(task, strategy["label"]) for task in study["tasks"] for strategy in study["strategies"]]


def _sign(folder: Path) -> Sign | None:
    try:
        return Sign(**json.loads((folder / SIGN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _state(folder: Path, sign: Sign | None) -> str:
    if sign is None:
        return DONE if is_file(folder / MANIFEST) else STOPPED
    if sign.state in (RUNNING, PREPARING) and time.time() - sign.updated > SILENT_S:
        return KILLED
    return sign.state
