"""The command that shows what features hold: explain embeddings."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from neurotransfer.cli.explaining import explain_app
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
    Workers,
    names,
    use_engine,
)
from neurotransfer.cli.taking import ScansCall, read, taken
from neurotransfer.errors import CohortError, InputError, InterruptedRunError


@explain_app.command()
def embeddings(
    model: ModelFolder,
    scans: Scans,
    out: Annotated[Path, typer.Option(help="A new or empty folder; or one of the same call that was interrupted.")],
    other: Annotated[
        list[Path] | None,
        typer.Option("--and", help="Another model to set beside the first; may be repeated."),
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Set the same network with random weights beside it, as a control.")
    ] = False,
    features: Annotated[
        list[Path] | None,
        typer.Option(help="A table of `neurotransfer embed`, to run no network; one for each model, in their order."),
    ] = None,
    covariates: Annotated[
        str, typer.Option(help="Columns, between commas, that are taken out of features, e.g. age,sex,site.")
    ] = "",
    targets: Annotated[
        str, typer.Option(help="Columns, between commas, that features may go with; known ones when not given.")
    ] = "",
    columns: Annotated[
        str, typer.Option(help="Columns of regional volumes, between commas; * stands for anything, e.g. 'left_*'.")
    ] = "",
    volumes: Annotated[
        Path | None,
        typer.Option(help="A table of regional volumes; that of `prepare` beside the scans when not given."),
    ] = None,
    nuisance: Annotated[str, typer.Option(help="The column that should not be readable from features.")] = "site",
    layers: Annotated[bool, typer.Option(help="Look at the layers of the networks too.")] = True,
    pictures: Annotated[bool, typer.Option(help="Show small pictures of scans on the page.")] = True,
    seed: Seed = 0,
    space: Space = None,
    desc: Desc = None,
    mask: Mask = None,
    alignment: Alignment = "world",
    prepare: Prepare = "auto",
    prepared: PreparedFolder = None,
    workers: Workers = CORES,
    device: Device = "auto",
    precision: Precision = "float32",
) -> None:
    """What the features of a model hold, as tables and a page: what they share, how many things they say, what they go with.

    With a second model (--and, --untrained) both stand side by side. What was interrupted goes on by the same command.
    """
    from neurotransfer.explain.embeddings import PAGE, begin
    from neurotransfer.explain.gathering import in_common
    from neurotransfer.models import load_model

    models = [load_model(path) for path in (model, *(other or ()))]
    if untrained:
        from neurotransfer.explain.depths import untrained as untrained_of

        models.append(untrained_of(models[0], seed))
    tables = _require_as_many(features, models)
    needed = tuple(dict.fromkeys([*names(covariates), *names(targets), *([nuisance] if nuisance != "site" else [])]))
    choice = {"space": space, "desc": desc, "mask": mask}
    call = ScansCall(scans=scans, choice=choice, alignment=alignment, prepare=prepare, prepared=prepared, workers=workers,
                     needed=needed)  # fmt: skip
    use_engine(device, precision)
    parts = begin(out)
    with _kept(parts):
        cohorts, failed, folders = _cohorts(call, models, parts, run=not tables)
        table, asked = _asked(
            cohorts[0], models, volumes, folders, names(columns), names(covariates), names(targets), nuisance, seed
        )
        held = _held(models, cohorts, parts, tables, layers, workers)
        _explain(out, models, cohorts[0], in_common(table, held), asked, pictures, failed)
    print(f"what the features hold lies in {out}; the page is {out / PAGE}")
    refused = [*failed, *(pair for each in held for pair in each.refused)]
    if refused:
        raise CohortError(scans, [f"{scan}: {why}" for scan, why in dict.fromkeys(refused)], "these scans are left out")


def _require_as_many(features: list[Path] | None, models: list[Any]) -> list[Path]:
    tables = list(features or ())
    if tables and len(tables) != len(models):
        raise InputError(
            f"{len(tables)} tables of --features for {len(models)} models; give one for each, in the order of the models"
        )
    return tables


@contextmanager
def _kept(parts: Path) -> Iterator[None]:
    """Parts are kept until all is there; one process at a time."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(parts / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"another process is writing {str(parts.parent)!r}; wait for it, or give another --out"
        ) from None
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted; what was finished is kept in {str(parts)!r}: run the same command again to go on"
        ) from None
    except InputError:
        _remove_if_empty(parts)
        raise
    shutil.rmtree(parts, ignore_errors=True)


def _remove_if_empty(parts: Path) -> None:
    if not any(path.is_file() and path.name != ".lock" for path in parts.rglob("*")):
        shutil.rmtree(parts, ignore_errors=True)
        if not any(parts.parent.iterdir()):
            parts.parent.rmdir()


def _cohorts(
    call: ScansCall, models: list[Any], parts: Path, run: bool
) -> tuple[list[Any], list[tuple[str, str]], list[Path]]:
    """The scans as each model takes them, those that could not be prepared, and where tables of volumes may lie."""
    call.require_possible()
    folders = [call.scans if call.scans.is_dir() else call.scans.parent]
    if not run:
        return [_without_a_network(call)] * len(models), [], folders
    found: list[Any] = []
    failed: list[tuple[str, str]] = []
    known: dict[Any, tuple[Any, Path | None]] = {}
    for model in models:
        key = repr((model.card.input, model.card.preparation))
        if key not in known:
            known[key] = _cohort(call, model.card, parts, failed)
            folders += [known[key][1]] if known[key][1] is not None else []  # type: ignore[list-item]
        found.append(known[key][0])
    return found, failed, folders


def _cohort(call: ScansCall, card: Any, parts: Path, failed: list[tuple[str, str]]) -> tuple[Any, Path | None]:
    from hashlib import sha256

    from neurotransfer.cohort.contract import Contract
    from neurotransfer.targets import KNOWN

    facts = (str(call.scans.resolve()), sorted(call.choice.items()), card.input, card.preparation, call.needed)
    place = parts / f"prepared-{sha256(repr(facts).encode()).hexdigest()[:12]}"
    if call.prepared is not None:
        place = call.prepared / card.input.recipe if isinstance(card.input, Contract) else call.prepared
    own = [target.column for target in card.targets]
    cohort, ready = taken(call, card, place, [*KNOWN, "site", "group", *own])
    if ready is None:
        return cohort, None
    failed.extend(ready.failed)
    return cohort, place


def _without_a_network(call: ScansCall) -> Any:
    """The table of scans whose features are known; the scans themselves need not be there."""
    from neurotransfer.cohort import read_cohort

    if call.scans.is_file() and call.scans.suffix in (".tsv", ".csv", ".parquet"):
        return read_cohort(call.scans, images=False)
    return read(call, None, images=True, check=False)


def _held(
    models: list[Any], cohorts: list[Any], parts: Path, tables: list[Path], layers: bool, workers: int
) -> list[Any]:
    from neurotransfer.explain.gathering import held_by, read_features
    from neurotransfer.progress import bar

    if tables:
        return [read_features(path, model) for path, model in zip(tables, models, strict=True)]
    with bar("scans", sum(map(len, cohorts))) as on_scan:
        return [
            held_by(model, cohort, parts, layers=layers, workers=workers, on_scan=on_scan)
            for model, cohort in zip(models, cohorts, strict=True)
        ]


def _asked(
    cohort: Any, models: list[Any], volumes: Path | None, folders: list[Path], patterns: list[str], covariates: list[str],
    targets: list[str], nuisance: str, seed: int,
) -> tuple[Any, Any]:  # fmt: skip
    """The table of scans with regional volumes, and what is asked of it: all of it is there, before a network is run."""
    from neurotransfer.explain.asking import Asked, require
    from neurotransfer.explain.embeddings import default_targets, with_volumes
    from neurotransfer.prepare.tables import REGIONAL

    beside = [folder / REGIONAL for folder in folders if (folder / REGIONAL).is_file()]
    more: list[str] = []
    table = cohort.table
    if volumes is not None or beside:
        table, more = with_volumes(cohort, volumes or beside[0])
    own = [target.column for model in models for target in model.card.targets]
    chosen = tuple(targets) or default_targets(table.drop(columns=more), own)
    asked = Asked(tuple(covariates), tuple(patterns or more), chosen, nuisance, seed)
    require(table, asked)
    return table, asked


def _explain(
    out: Path, models: list[Any], cohort: Any, sample: Any, asked: Any, pictures: bool, failed: list[Any]
) -> None:
    from neurotransfer.artifacts import MANIFEST, provenance, write_json
    from neurotransfer.explain.embeddings import explain_embeddings
    from neurotransfer.explain.embeddings_page import called, page_of, write_page
    from neurotransfer.explain.pictures import pictures_of
    from neurotransfer.progress import bar
    from neurotransfer.training import current

    with bar("numbers", 4) as on_step:
        explained = explain_embeddings(sample, asked, out, on_step)
    n_maps = sum(map(len, explained.planes))
    shown, note = pictures_of(sample.table, models[0].card.input, cohort.alignment, n_maps) if pictures else ([], "")
    refused = [*failed, *(pair for held in sample.models for pair in held.refused)]
    facts = provenance(command=called(), models=[model.card.name for model in models], cohort=cohort.facts, seed=asked.seed,
                       engine=str(current()), asked=vars(asked))  # fmt: skip
    told = {
        "seed": str(asked.seed),
        "engine": facts["engine"],
        **{name: str(version) for name, version in facts["versions"].items()},
    }
    page = page_of(
        explained, cohort=cohort.name, pictures=shown, notes=[note], refused=refused, facts=told, command=called()
    )
    write_page(page, out)
    # with it, all is there
    write_json(out / MANIFEST, facts | {"refused": [list(pair) for pair in refused]})
