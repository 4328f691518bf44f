"""What a study needs before its first cell: its cohort and plan, its models, the features of networks that stand still."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurotransfer.benchmark.known import require_alike, require_input, without_seen
from neurotransfer.benchmark.plan import Plan, make_plan
from neurotransfer.benchmark.study import CohortPart, Study
from neurotransfer.benchmark.workspace import Workspace, arguments_of, input_of, model_folder, model_path
from neurotransfer.cohort import Cohort, read_cohort
from neurotransfer.cohort.contract import alignment_for
from neurotransfer.models.card import Card
from neurotransfer.models.checks import require_preparation
from neurotransfer.models.folder import load_model
from neurotransfer.models.network import build_encoder
from neurotransfer.pretrain import Pretraining, pretrain
from neurotransfer.transfer import get_strategy
from neurotransfer.transfer.source import column_values
from neurotransfer.workers import one_thread

Advance = Callable[..., object]
Progress = Callable[[str, int], Any]


@contextmanager
def silent(description: str, total: int) -> Any:
    """No progress is shown."""
    yield lambda *_: None


def with_model_paths(study: Study, base: Path) -> Study:
    """The study with the paths of its models as they are from here; those that come with the package keep their names."""
    models = {
        name: part.model_copy(update={"path": model_path(part.path, base)}) if part.path is not None else part
        for name, part in study.models.items()
    }
    return study.model_copy(update={"models": models})


def read_own(study: Study, base: Path, progress: Progress) -> Cohort:
    """The cohort of the study."""
    return read(study, study.cohort, base, _targets_to_read(study), progress)


def _targets_to_read(study: Study) -> list[str]:
    return sorted({part.target for part in study.tasks.values() if not part.kind})


def read(study: Study, part: CohortPart, base: Path, targets: list[str], progress: Progress) -> Cohort:
    """A cohort that the study names."""
    with progress(f"check {part.path}", 0) as advance:
        return read_cohort(base / part.path, **_options(study, part), targets=targets, on_scan=advance)


def _options(study: Study, part: CohortPart) -> dict[str, Any]:
    return part.model_dump(exclude={"path"}) | {"alignment": alignment_for(input_of(study), part.alignment)}


def cohorts_of_models(study: Study, base: Path) -> dict[str, Cohort]:
    """The cohorts of the models that the study describes, by the name of the model; their images are not looked at."""
    return {
        name: read_cohort(base / part.cohort.path, **_options(study, part.cohort), check=False)
        for name, part in study.models.items()
        if part.cohort is not None
    }


def first_plan(study: Study, base: Path, cohort: Cohort, draw: bool = True) -> Plan:
    """The plan before any model of the study is pretrained: what cannot be is found out now, and not after hours.

    Without `draw` the splits are not tried, which a run that goes on did when it began.
    """
    others = cohorts_of_models(study, base)
    for name, other in others.items():
        require_alike(name, other, cohort)
    if any(part.model is None for part in study.strategies) or others:
        build_encoder(study.network.architecture, arguments_of(study))
    ready = {name: part.path for name, part in study.models.items() if part.path is not None}
    return checked_plan(study, without_seen(study, cohort, ready, others)[0], draw)


def checked_plan(study: Study, cohort: Cohort, draw: bool) -> Plan:
    """The plan of a study whose models, as far as they exist, take what its cohort has."""
    cards: dict[str, Card] = {}
    for name, part in study.models.items():
        if part.path is not None:
            cards[name] = load_model(part.path).card
            require_input(name, cards[name], study)
            require_preparation(cards[name], cohort)
    plan = make_plan(study, cohort, cards, draw=draw)
    if study.regional_columns:
        column_values(cohort, study.regional_columns)
    return plan


def make_models(study: Study, base: Path, folder: Path, progress: Progress) -> None:
    """Pretrain the models that the study describes and the run folder lacks."""
    for name, part in study.models.items():
        path = model_folder(folder, study, name)
        if part.cohort is None or (path / "model.json").is_file():
            continue
        cohort = read(study, part.cohort, base, list(part.targets), progress)
        options = Pretraining(
            grid=input_of(study),
            architecture=study.network.architecture,
            arguments=arguments_of(study),
            recipe=part.training.recipe,
            weights=part.weights,
            seed=study.seed,
        )
        with one_thread(), progress(f"pretrain {name}", part.training.epochs) as advance:
            pretrain(cohort, part.targets, path, options, on_epoch=advance)


def make_features(workspace: Workspace, plan: Plan, advance: Advance) -> None:
    """Make the features that strategies share, so that no two workers make them at once."""
    for part in workspace.study.strategies:
        task = next((cell.task for cell in plan.cells if cell.strategy == part.title), None)
        if task is not None and get_strategy(part.strategy).on_features:
            workspace.inputs(part.title, task)
        advance()
