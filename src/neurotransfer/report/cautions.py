"""What a reader should be careful about in a run."""

import pandas as pd

from neurotransfer.report.folder import RunFolder, Task
from neurotransfer.report.wording import number
from neurotransfer.statistics import sample_notes
from neurotransfer.statistics.permutation import ALPHA, N_PERMUTATIONS

FEW_REPLICATES = 20


def cautions(run: RunFolder) -> list[str]:
    """Every caution of a run, as sentences; empty when there is nothing to say."""
    notes = [*_replicates(run), *_failures(run), *_samples(run), *_overlap(run), *_drift(run)]
    return notes + [str(note) for note in (run.manifest or {}).get("notes", [])]


def progress(run: RunFolder) -> str:
    """How much of the planned run is there, in words; empty when the run is complete."""
    if run.manifest is not None:
        return ""
    done = len(run.results.drop_duplicates(["task", "n", "replicate", "strategy"]))
    planned = run.study.get("cells")
    return f"{done} of {planned} fits with their settings are there" if planned else f"{done} fits are there"


def _replicates(run: RunFolder) -> list[str]:
    n = run.results["replicate"].nunique()
    if n >= FEW_REPLICATES:
        return []
    smallest = max(2.0**-n, 1 / (N_PERMUTATIONS + 1))
    n_tests = max(1, len(run.strategies) * (len(run.strategies) - 1))
    adjusted = min(1.0, n_tests * smallest)
    verdict = "" if adjusted < ALPHA else ", so that no single difference can be called significant after it"
    return [
        f"Only {n} replicate{'s' * (n != 1)}: intervals are rough, and the smallest p that a paired permutation test "
        f"can give is {number(smallest, 4)}, or {number(adjusted)} after Holm's correction for the {n_tests} tests of all "
        f"pairs of a size{verdict}."
    ]


def _failures(run: RunFolder) -> list[str]:
    failed = int(run.results["error"].notna().sum())
    chosen = run.results.groupby(["task", "n", "replicate", "strategy"])["selected"].any()
    lost = int((~chosen).sum())
    gaps = f"{lost} replicate{'s' * (lost != 1)} of a strategy {'have' if lost != 1 else 'has'} no score"
    if not failed:
        return [f"{gaps}: none could be made on so few validation images."] if lost else []
    gaps = f"; {gaps}" if lost else ""
    return [f"{failed} of {len(run.results)} fits failed{gaps}. What they said stands at the end of the page."]


def _samples(run: RunFolder) -> list[str]:
    notes = []
    for task in run.tasks:
        values = _people(run, task)
        if values is not None:
            notes += sample_notes(task.label, values, task.kind)
    return list(dict.fromkeys(notes))


def _people(run: RunFolder, task: Task) -> pd.Series | None:
    """One value a participant: from the cohort where it has the column, else from the predictions."""
    if run.cohort is not None and task.target in run.cohort:
        return run.cohort.drop_duplicates("participant_id")[task.target]
    if run.predictions is None:
        return None
    return run.predictions[run.predictions["task"] == task.name].drop_duplicates("participant_id")["observed"]


def _overlap(run: RunFolder) -> list[str]:
    models = (run.manifest or {}).get("models", {})
    return [
        f"{model['overlap_participants']} participants of this study were in the pretraining of model {name}; "
        "its scores are too good for them."
        for name, model in models.items()
        if model.get("overlap_participants") and not model.get("overlap_left_out")
    ]


def _drift(run: RunFolder) -> list[str]:
    models = (run.manifest or {}).get("models", {})
    return [
        f"For model {name}, {drift['text']}."
        for name, model in models.items()
        if (drift := model.get("drift") or {}).get("verdict") in ("partly", "another kind")
    ]
