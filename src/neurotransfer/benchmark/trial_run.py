"""A trial of a study: its own scans, networks and settings, a few of each, timed in a process that is like a worker."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.benchmark.cell import fit_cell
from neurotransfer.benchmark.effort import Line
from neurotransfer.benchmark.plan import Cell, split_of, task_labels
from neurotransfer.benchmark.records import keep
from neurotransfer.benchmark.room import peak_memory
from neurotransfer.benchmark.setup import cohorts_of_models
from neurotransfer.benchmark.study import Study
from neurotransfer.benchmark.trial_fits import Repeated, Standing, clock, line_of, pretraining_epoch, rows_known
from neurotransfer.benchmark.workspace import Workspace, arguments_of, input_of, model_folder
from neurotransfer.cohort import Cohort, Split, store_volumes
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model, load_model
from neurotransfer.models.network import Network, build_encoder, count_features
from neurotransfer.targets import Target, infer_target
from neurotransfer.training import Engine, features, use
from neurotransfer.training.together import most_together
from neurotransfer.transfer import Source, get_strategy, inputs_of, predict_rows, settings
from neurotransfer.transfer.members import MEMBERS
from neurotransfer.transfer.search import search
from neurotransfer.transfer.strategies import OF_LENGTH

# scans that are read, and seconds that reading them, one strategy and one cell may take
FEWEST_SCANS, MOST_SCANS, SCANS_S = 3, 16, 3.0
STRATEGY_S, CELL_S = 5.0, 1.5
# values that features of a trial may have, all rows together
MOST_VALUES = 2**25


@dataclass(frozen=True)
class Trial:
    """What the process of a trial has to know.

    Attributes:
        study: with the paths of its models as they are from here.
        base: the folder that its cohorts are relative to.
        run: the run folder, from which only is read.
        cohort: of the study.
        targets: by task.
        cells: that are still to be done.
        engine: device and precision of the run.
        folder: for what the trial writes.
    """

    study: Study
    base: Path
    run: Path
    cohort: Cohort
    targets: Mapping[str, Target]
    cells: tuple[Cell, ...]
    engine: Engine
    folder: Path


@dataclass
class Measured:
    """What a trial found, in seconds and bytes.

    Attributes:
        scan: seconds to read and store a scan, of the study's cohort (`""`) and of those of models by name.
        features: seconds an image and bytes an image of every network that stands still, by what is the same for strategies.
        drift: seconds an image that the manifest's look at models takes.
        lines: by the title of a strategy that is trained by gradients.
        beside: of networks that are trained beside heads, by the title of their strategy.
        cells: seconds of whole cells that were done, by task, strategy and n.
        epochs: seconds of an epoch of pretraining, by the model's name.
        weights: bytes of the weights of the models that the study describes.
        notes: what went wrong with fits of the trial.
        memory: the most that the process had, its volumes and features not counted; 0 where that cannot be told.
    """

    scan: dict[str, float] = field(default_factory=dict)
    features: dict[str, tuple[float, int]] = field(default_factory=dict)
    drift: float = 0.0
    lines: dict[str, Line] = field(default_factory=dict)
    beside: dict[str, list[Line]] = field(default_factory=dict)
    cells: dict[tuple[str, str, int], float] = field(default_factory=dict)
    epochs: dict[str, float] = field(default_factory=dict)
    weights: float = 0.0
    notes: list[str] = field(default_factory=list)
    memory: float = 0.0


def measure(trial: Trial) -> Measured:
    """Do a little of everything that a run has still to do, and say how long it took.

    Raises:
        InputError: when a cohort, a model or a network of the study cannot be used; MemoryError when memory is short.
    """
    use(replace(trial.engine, threads=1))
    found = Measured()
    others = cohorts_of_models(trial.study, trial.base)
    volumes = _stored(trial, trial.cohort, "", found)
    models = {name: _model(trial, name, others.get(name)) for name in trial.study.models}
    for name, other in others.items():
        state = models[name].network.state_dict()
        found.weights += sum(value.nbytes for value in state.values())
        if not (model_folder(trial.run, trial.study, name) / "model.json").is_file():
            stored = _stored(trial, other, name, found)
            assert stored is not None
            part = trial.study.models[name]
            network = Network(build_encoder(models[name].card.architecture, models[name].card.arguments),
                              models[name].card.targets)  # fmt: skip
            found.epochs[name] = pretraining_epoch(
                network, part.training.recipe, other, stored, trial.folder, STRATEGY_S
            )
    standing = None if volumes is None else Repeated(volumes, len(trial.cohort))
    workspace = Workspace(
        trial.folder, trial.study, trial.cohort, dict(trial.targets), standing, models  # type: ignore[arg-type]
    )  # fmt: skip
    tried = _Tried(workspace, volumes, found)
    for title in dict.fromkeys(cell.strategy for cell in trial.cells):
        cells = [cell for cell in trial.cells if cell.strategy == title]
        if get_strategy(workspace.part(title).strategy).on_features:
            _time_cells(tried, title, cells)
        _time_training(tried, title, cells[0].task, sorted({cell.n for cell in cells}))
    found.memory = max(found.memory, peak_memory() - tried.standing)
    return found


@dataclass
class _Tried:
    """What the strategies of a trial share: the workspace, its few volumes, what was found, what was timed already."""

    workspace: Workspace
    volumes: np.ndarray | None
    found: Measured
    lines: dict[str, Line] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    standing: float = 0.0

    def model(self, title: str) -> Model | None:
        return self.workspace.models.get(self.workspace.part(title).model or "")


def _stored(trial: Trial, cohort: Cohort, name: str, found: Measured) -> np.ndarray | None:
    """Volumes of a few scans of a cohort, in memory; the first of them pays for what is done only once."""
    if not cohort.has_images:
        return None
    times: list[float] = []

    def note() -> None:
        times.append(time.perf_counter())

    order = np.unique(np.linspace(0, len(cohort) - 1, min(MOST_SCANS, len(cohort))).astype(int))
    for size in (FEWEST_SCANS, len(order)):
        folder = trial.folder / f"volumes-{name}-{size}"
        times.clear()
        store = store_volumes(folder, cohort.rows(order[:size]), input_of(trial.study), note)
        found.scan[name] = (times[-1] - times[0]) / max(1, len(times) - 1)
        if found.scan[name] * len(order) > SCANS_S:
            break
    return np.asarray(store[:])


def _model(trial: Trial, name: str, other: Cohort | None) -> Model:
    """A model of the study; of one that is yet to be pretrained, its network with other weights."""
    folder = model_folder(trial.run, trial.study, name)
    if other is None or (folder / "model.json").is_file():
        return load_model(folder)
    architecture, arguments = trial.study.network.architecture, arguments_of(trial.study)
    targets = tuple(infer_target(each, other.table) for each in trial.study.models[name].targets)
    card = Card(name, architecture, dict(arguments), targets, input_of(trial.study))
    return Model(Network(build_encoder(architecture, dict(arguments)), targets).eval(), card)


def _time_training(tried: _Tried, title: str, task: str, sizes: list[int]) -> None:
    """What a strategy trains by gradients, all of it or beside heads."""
    part, source = tried.workspace.part(title), tried.workspace.source(title, task)
    if not source.strategy.on_features:
        options = settings(source.strategy, part.grid)
        tried.found.lines[title] = _line(tried, title, task, sizes, source, options)
    for learner in source.learners:
        tried.found.beside.setdefault(title, []).append(
            _line(tried, title, task, sizes, learner, [dict(MEMBERS[learner.strategy.name].setting)])
        )


def _line(
    tried: _Tried, title: str, task: str, sizes: list[int], source: Source, options: list[dict[str, Any]]
) -> Line:
    workspace, model = tried.workspace, tried.model(title)
    study, recipe = workspace.study, workspace.study.training.recipe
    key = repr((source.architecture, sorted(source.arguments.items()), options))
    if key not in tried.lines:
        inputs = inputs_of(source, workspace.cohort, workspace.volumes, model)
        target = workspace.targets[task]
        labels = task_labels(study, workspace.cohort, task, target)
        split = split_of(study, workspace.cohort, task, target, sizes[-1], 0, labels)
        known = rows_known(labels, split)
        last: list[Any] = []

        def run(m: int, epochs: int, group: int) -> None:
            # the settings differ in what is learnt and not in how long a step takes, but for their batches
            own = [{name: value for name, value in each.items() if name not in OF_LENGTH} for each in options[:group]]
            rows = np.resize(known, m + max(1, m // 5))
            some = Split(rows[:m], rows[m:], rows[:0])
            last[:] = list(search(source, inputs, target, labels, some, own, recipe.lasting(epochs), 0))

        batch = recipe.batch_size
        group = min(len(options), most_together(source.encoder, batch, tuple(inputs.shape[1:])))
        before = peak_memory()
        line, share = line_of(run, (sizes[0], sizes[-1]), group, batch, STRATEGY_S)
        # activations grow with the images of a step
        tried.found.memory = max(tried.found.memory, before + (peak_memory() - before) / share)
        predicted = 0.0
        if last[0].error is not None:
            tried.found.notes.append(f"{title}: a fit failed when it was timed ({last[0].error})")
        else:
            predicted = _seconds_an_image(lambda rows: predict_rows(last[0].fitted, inputs, rows))
        tried.lines[key] = replace(line, predicted=predicted)
    return tried.lines[key]


def _seconds_an_image(run: Callable[[np.ndarray], object]) -> float:
    run(np.arange(1))
    started = clock()
    run(np.arange(2))
    count = 16 if clock() - started < CELL_S / 8 else 2
    started = clock()
    run(np.arange(count))
    return (clock() - started) / count


def _time_cells(tried: _Tried, title: str, cells: list[Cell]) -> None:
    """Whole cells on features: at the smallest, the middle and the largest n that time and memory allow."""
    workspace = tried.workspace
    done: dict[tuple[Any, int], float] = {}
    for task in dict.fromkeys(cell.task for cell in cells):
        target = workspace.targets[task]
        # networks that are trained beside heads are timed by themselves
        source = replace(workspace.source(title, task), learners=())
        kind = (target.kind, len(target.classes), bool(workspace.study.tasks[task].where))
        sizes = sorted({cell.n for cell in cells if cell.task == task})
        values, before, largest = _features(tried, title, source), peak_memory(), sizes[0]
        for n in dict.fromkeys((sizes[0], sizes[len(sizes) // 2], sizes[-1])):
            if (kind, n) not in done:
                if n > sizes[0] and n * values.shape[1] > MOST_VALUES:
                    break
                done[kind, n] = _cell_seconds(tried, Cell(task, n, 0, title), source, values)
            tried.found.cells[task, title, n], largest = done[kind, n], n
            if done[kind, n] > CELL_S:
                break
        # copies of the training images grow with n
        rise = max(0.0, peak_memory() - before - tried.standing) * sizes[-1] / largest
        tried.found.memory = max(tried.found.memory, before + rise)


def _cell_seconds(tried: _Tried, cell: Cell, source: Source, values: np.ndarray) -> float:
    workspace, study = tried.workspace, tried.workspace.study
    labels = task_labels(study, workspace.cohort, cell.task, workspace.targets[cell.task])
    split = split_of(study, workspace.cohort, cell.task, workspace.targets[cell.task], cell.n, 0, labels)
    inputs: Any = values
    if len(values) < len(workspace.cohort):
        inputs = Standing(values, len(workspace.cohort), split.train)
        tried.standing = max(tried.standing, float(inputs.nbytes))
    fastest = float("inf")
    for _ in range(3):
        started = clock()
        columns = fit_cell(workspace, cell, (source, inputs))
        keep(workspace.folder, cell, columns["fits"], columns["predictions"])
        fastest = min(fastest, clock() - started)
        if fastest > CELL_S / 3:
            break
    return fastest


def _features(tried: _Tried, title: str, source: Source) -> np.ndarray:
    """Features of the few scans (or the columns of the whole table), timed once for all strategies that share them."""
    workspace, model = tried.workspace, tried.model(title)
    if source.columns:
        return inputs_of(source, workspace.cohort, None)
    if len(source.parts) > 1:
        parts = [_features(tried, title, part) for part in source.parts]
        values = np.concatenate([part[: min(map(len, parts))] for part in parts], 1)
        # they are kept once more, side by side
        tried.found.features[repr(source.arguments)] = (0.0, int(values[0].nbytes))
        return values
    key = repr((source.strategy.weights, source.architecture, sorted(source.arguments.items()), source.strategy.weights
                == "pretrained" and workspace.part(title).model, count_features(source.encoder)))  # fmt: skip
    if key not in tried.values:
        assert tried.volumes is not None
        encoder, few = source.encoder, tried.volumes
        seconds = _seconds_an_image(lambda rows: features(encoder, few, rows % len(few)))
        few = few[: max(FEWEST_SCANS, int(2 * CELL_S / max(seconds, 1e-9)))]
        tried.values[key] = inputs_of(source, workspace.cohort.rows(np.arange(len(few))), few, model)
        tried.found.features[key] = (seconds, int(tried.values[key][0].nbytes))
        if model is not None and model.reference is not None:
            tried.found.drift += seconds
    return tried.values[key]
