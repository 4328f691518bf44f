"""Commands that apply models: predict, embed."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from neurotransfer.cli.options import (
    CORES,
    Alignment,
    Desc,
    Device,
    Mask,
    ModelFolder,
    Precision,
    Prepare,
    PreparedFolder,
    Scans,
    Seed,
    Space,
    TableOut,
    Workers,
    app,
    say,
    use_engine,
)
from neurotransfer.cli.taking import ScansCall, taken
from neurotransfer.errors import CohortError, InputError, InterruptedRunError, NeurotransferError

AUTO, FLOAT32, CONVERTED = "auto", "float32", "converted"


@dataclass(frozen=True, kw_only=True)
class _Call(ScansCall):
    """What both commands are told."""

    model: Path
    out: Path
    also: tuple[Path, ...] = ()
    asked: tuple[str, ...] = ()


@app.command()
def predict(
    model: ModelFolder,
    scans: Scans,
    out: TableOut,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another model of the same targets; may be repeated. The mean of all is given, and how far they are apart."
        ),
    ] = None,
    views: Annotated[
        int,
        typer.Option(
            help="Predict every scan this often again, changed a little: the deviation says how steady it is.", min=0
        ),
    ] = 0,
    gap_reference: Annotated[
        str,
        typer.Option(help="COLUMN=VALUE of those on whom the bias of the brain-age gap is fitted, e.g. group=control."),
    ] = "",
    seed: Seed = 0,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
    prepare: Prepare = "auto",
    prepared: PreparedFolder = None,
    workers: Workers = CORES,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Predict every target of a model for every scan; raw heads are prepared by the model's recipe first.

    Beside the table lies a .json that says what every column holds, in which unit. What was interrupted goes on by the same command.
    """
    from neurotransfer.artifacts import write_table
    from neurotransfer.predict import Asked
    from neurotransfer.predict import predicted as run_predict

    reference = _pair(gap_reference)
    call = _Call(
        model=model, scans=scans, out=out, alignment=alignment, prepare=prepare, prepared=prepared, workers=workers,
        choice={"space": space, "desc": desc, "mask": mask}, also=tuple(also or ()),
        needed=() if reference is None else reference[:1],
        asked=_given({"--views": views, "--gap-reference": gap_reference, "--seed": seed}),
    )  # fmt: skip
    asked = Asked((), views, reference, seed, workers)
    with _begun(call, device, precision) as (models, cohort, ready, place, seen):
        asked = replace(asked, others=tuple(models[1:]))
        with _bar(len(cohort) * len(models)) as on_scan:
            found = run_predict(models[0], cohort, asked, folder=place, on_scan=on_scan)
        table = found.table
        for name, (values, said) in _of_raw(ready).items():
            table[name] = values
            found.columns[name] = {"Description": said}
        # the table comes last: with it all is there
        _describe(call, models, found.columns, found.drift, cohort, seen)
        write_table(out, table)
    say(found.notes)
    print(f"{len(table)} rows lie in {out}, what its columns hold in {_sidecar(out)}")
    _refuse(scans, found.refused, ready, "these scans have no prediction in the table")


@app.command()
def embed(
    model: ModelFolder,
    scans: Scans,
    out: TableOut,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
    prepare: Prepare = "auto",
    prepared: PreparedFolder = None,
    workers: Workers = CORES,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Write the features that a model's encoder gives for every scan. What was interrupted goes on by the same command."""
    from neurotransfer.predict import embed_into

    call = _Call(
        model=model, scans=scans, out=out, alignment=alignment, prepare=prepare, prepared=prepared, workers=workers,
        choice={"space": space, "desc": desc, "mask": mask},
    )  # fmt: skip
    with _begun(call, device, precision) as (models, cohort, ready, place, seen), _bar(len(cohort)) as on_scan:
        more = {name: values for name, (values, _) in _of_raw(ready).items()}
        found = embed_into(out, models[0], cohort, workers=workers, folder=place, more=more, on_scan=on_scan)
        said = {name: {"Description": text} for name, (_, text) in _of_raw(ready).items()}
        _describe(call, models, found.columns | said, found.drift, cohort, seen)
    say(found.notes)
    print(f"{found.n_rows} rows lie in {out}, what its columns hold in {_sidecar(out)}")
    _refuse(scans, found.refused, ready, "these scans have no row in the table")


def _pair(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    column, equals, value = text.partition("=")
    if not (column.strip() and equals and value.strip()):
        raise InputError(f"--gap-reference takes COLUMN=VALUE such as group=control, got {text!r}")
    return column.strip(), value.strip()


def _given(options: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(part) for name, value in options.items() if value for part in (name, value))


def _sidecar(out: Path) -> Path:
    return out.with_suffix(".json")


def _bar(total: int) -> Any:
    from neurotransfer.progress import bar

    return bar("scans", total)


def _of_raw(ready: Any) -> dict[str, tuple[Sequence[str], str]]:
    """What a table says of scans that were raw: where they came from, and what to look at."""
    if ready is None:
        return {}
    flags = "What to look at in the prepared scan; empty for nothing."
    return {"image": (ready.images, "The raw scan."), "preparation_flags": (ready.flags, flags)}


@contextmanager
def _begun(call: _Call, device: str, precision: str) -> Iterator[tuple[list[Any], Any, Any, Path, list[int]]]:
    """Models, cohort, what became of raw scans, where finished parts are kept until the table is whole, whom models have seen."""
    from filelock import FileLock, Timeout

    from neurotransfer.artifacts import require_no_file, storage, table_suffix
    from neurotransfer.models import load_model

    table_suffix(call.out)
    require_no_file(call.out)
    # in the user's own place: whether a shared one may hold volumes of people, nobody can tell
    place = call.out.with_name(f".{call.out.name}.parts")
    if not place.is_dir():
        require_no_file(_sidecar(call.out))
    models = [load_model(path) for path in (call.model, *call.also)]
    if precision == AUTO and any(model.card.strategy == CONVERTED for model in models):
        # rounding would take away what it shares with the original
        precision = FLOAT32
    use_engine(device, precision)
    with storage(place):
        place.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(place / ".lock", timeout=0)
    try:
        with lock:
            card = models[0].card
            columns = ("age", "site", *(target.column for model in models for target in model.card.targets))
            cohort, ready = taken(call, card, call.prepared or place / _key(call, card), columns)
            seen = _say_seen(models, cohort)
            yield models, cohort, ready, place, seen
            shutil.rmtree(place, ignore_errors=True)
    except Timeout:
        raise InputError(f"another process is writing {str(call.out)!r}; wait for it, or give another --out") from None
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted; what was finished is kept in {str(place)!r}: run the same command again to go on"
        ) from None
    except NeurotransferError:
        if not _remove_if_empty(place):
            say(
                [
                    f"what was finished is kept in {str(place)!r}, prepared scans too: mend it and go on, or remove that folder"
                ]
            )
        raise


def _remove_if_empty(place: Path) -> bool:
    if any(path.is_file() and path.name != ".lock" for path in place.rglob("*")):
        return False
    shutil.rmtree(place, ignore_errors=True)
    return True


def _key(call: _Call, card: Any) -> str:
    """A name for what is prepared of these scans for this model: other scans, or another recipe, have another."""
    facts = (str(call.scans.resolve()), sorted(call.choice.items()), card.input, card.preparation)
    return f"prepared-{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}"


def _say_seen(models: list[Any], cohort: Any) -> list[int]:
    """Say of how many people of a cohort each model has learnt, and give the numbers."""
    from neurotransfer.models.overlap import seen_rows

    counts = [len(set(cohort.participants[seen_rows(model.card, cohort)])) for model in models]
    for model, n in zip(models, counts, strict=True):
        who = "the model" if len(models) == 1 else f"model {model.card.name!r}"
        say([f"{who} was trained on {n} of these people: too good for them"] if n else [])
    return counts


def _describe(
    call: _Call, models: list[Any], columns: dict[str, Any], drift: Any, cohort: Any, seen: list[int]
) -> None:
    """Say beside a table what its columns hold, and how it was made."""
    from neurotransfer.artifacts import provenance, write_json
    from neurotransfer.training import current

    facts = {
        "Models": [
            {"Name": model.card.name, "Licence": model.card.licence, "Citation": model.card.citation, "Seen": n}
            for model, n in zip(models, seen, strict=True)
        ],
        "Options": list(call.asked),
        "Cohort": cohort.facts,
        "Engine": str(current()),
        "Drift": None if drift is None else {"Verdict": drift.verdict, "Text": drift.text},
    }
    write_json(_sidecar(call.out), columns | {"GeneratedBy": provenance(**facts)})


def _refuse(scans: Path, refused: Any, ready: Any, advice: str) -> None:
    failed = [*(() if ready is None else ready.failed), *refused]
    if failed:
        raise CohortError(scans, [f"{scan}: {why}" for scan, why in failed], advice)
