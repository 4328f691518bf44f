"""What a model folder says, in plain sentences, and the command that makes such a folder."""

import shlex
from typing import Any

import pandas as pd

from neurotransfer.cohort.contract import Contract, described
from neurotransfer.cohort.grid import Grid
from neurotransfer.report.model_folder import ModelFolder
from neurotransfer.report.wording import joined, number
from neurotransfer.statistics import SCORES

CONVERTED, PRETRAINED = "converted", "pretrained"
MOST_NAMED, MOST_SCORED = 6, 8
# options of the command by fields of a recipe
_RECIPE = {"epochs": "--epochs", "batch_size": "--batch-size", "lr": "--lr", "warm_up": "--warm-up", "ema": "--ema",
           "micro_batch": "--micro-batch"}  # fmt: skip


def cohorts_of(folder: ModelFolder) -> list[dict[str, Any]]:
    """What the card says of each cohort that the model has learnt from."""
    found = folder.provenance.get("cohorts", [])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def is_simulated(folder: ModelFolder) -> bool:
    """Whether it has learnt from simulated heads alone."""
    return "study" in folder.provenance


def what_words(folder: ModelFolder) -> str:
    """What the model is: its architecture, what it takes and what it gives."""
    names = [f"{target.name} ({target.unit or ', '.join(target.classes)})" if target.unit or target.classes else target.name
             for target in folder.targets]  # fmt: skip
    shown = joined(names) if len(names) <= MOST_NAMED else f"{', '.join(names[:3])} and {len(names) - 3} more"
    what = f"a network ({folder.card['architecture']})"
    return f"{folder.card['name']} is {what} that takes {described(folder.input)} and predicts {shown}."


def origin_words(folder: ModelFolder) -> str:
    """Whom or what it has learnt from, and how."""
    strategy, facts = folder.card.get("strategy", PRETRAINED), folder.provenance
    if strategy == CONVERTED:
        return (
            f"It was converted from a published release{_page(facts)}; it was not trained here, so no history is kept."
        )
    if is_simulated(folder):
        heads = facts.get("n_train_images")
        return f"It has learnt from {heads if heads is not None else 'an unknown number of'} simulated heads and from nobody real."
    whom = [
        f"{each.get('n_images', '?')} scans of {each.get('n_participants', '?')} people of cohort {each.get('name', '?')}"
        for each in cohorts_of(folder)
    ]
    said = joined(whom) or "a cohort that the card does not name"
    if "from" in facts:
        return f"It was made of model {facts['from']} by strategy {strategy}, with {said}."
    parts = [facts.get(key) for key in ("n_train_images", "n_validation_images")]
    shares = f": {parts[0]} to learn from and {parts[1]} to choose the epoch" if None not in parts else ""
    return f"It has learnt from {said}{shares}."


def _page(facts: dict[str, Any]) -> str:
    return f" ({facts['page']})" if facts.get("page") else ""


def real_words(folder: ModelFolder) -> list[str]:
    """What real people showed who looked on while it learnt from simulated heads."""
    found = folder.provenance.get("validation")
    errors = {key.rsplit("_", 1)[-1]: value for key, value in (found or {}).items() if str(key).startswith("real_mae_")}
    real = (folder.provenance.get("study") or {}).get("real") or {}
    if not errors or not isinstance(real, dict):
        return []
    parts = [f"{number(float(value), 2)} from {n} people" for n, value in errors.items()]
    return [
        "Real people looked on, of whom it has not learnt: ridge regression on its features predicts their "
        f"{real.get('target', 'target')} with a mean absolute error of {joined(parts)}."
    ]


def headline_of(kept: dict[str, Any]) -> str:
    """The name of the score that says most of a target of the record; "" where it has none."""
    return next((name for name in ("mae", "auc", "balanced_accuracy") if name in kept["Scores"]), "")


def score_words(folder: ModelFolder) -> list[str]:
    """How good it is on those who chose its epoch, beside a guess: a sentence a target."""
    said, whom = [], "simulated heads" if is_simulated(folder) else "people"
    for name, kept in list(folder.judged.items())[:MOST_SCORED]:
        score = headline_of(kept)
        if not score:
            continue
        ends = kept.get("Intervals", {}).get(score)
        within = f" (95 % interval {number(ends[0], 2)} to {number(ends[1], 2)})" if ends else ""
        value, unit = float(kept["Scores"][score]), f" {kept['Unit']}" if kept.get("Unit") and score == "mae" else ""
        if score == "mae":
            guess = kept.get("Guess", {}).get("mae")
            beside = (
                f"; saying the mean of the training part for everybody is wrong by {number(guess, 2)}{unit}"
                if guess
                else ""
            )
            said.append(f"{name} is wrong by {number(value, 2)}{unit} on average{within}{beside}.")
        else:
            chance = SCORES[score].chance_level(len(kept.get("Classes", ())))
            what = "an area under the ROC curve" if score == "auc" else "a balanced accuracy"
            beside = f"; chance is {number(chance or 0.5, 2)}"
            said.append(f"{name} is told apart with {what} of {number(value, 2)}{within}{beside}.")
    if not said:
        return []
    more = len(folder.judged) - len(said)
    rest = [f"{more} more targets stand in the table below."] if more > 0 else []
    n = folder.record.get("Participants", "?")
    return [" ".join([f"On the {n} {whom} who chose its epoch:", *said, *rest])]


def epoch_words(best: pd.DataFrame, folder: ModelFolder) -> str:
    """Which epoch was kept, of how many."""
    assert folder.history is not None
    last = int(folder.history["epoch"].max())
    if len(best) > 1:
        kept = joined([f"{row['epoch']:g}" for row in best.to_dict("records")])
        return f"Its {len(best)} members were trained for up to {last} epochs; of each the best one on validation was kept: {kept}."
    if not len(best):
        return f"It was trained for {last} epoch{'s' * (last != 1)}."
    only = best.iloc[0]
    end = (
        " The last epoch was the best one: with more epochs it might have become better."
        if only["epoch"] == last and last > 1
        else ""
    )
    of = (
        f"Of {last} epochs the one with the least validation loss was kept: epoch"
        if last > 1
        else "There was one epoch, number"
    )
    return f"{of} {only['epoch']:g} (loss {number(only['loss'])}).{end}"


def command_of(folder: ModelFolder) -> str:
    """The command that makes such a model again, as far as its card says how it was made."""
    facts, out = folder.provenance, shlex.quote(str(folder.card["name"]))
    strategy = str(folder.card.get("strategy", PRETRAINED))
    if strategy == CONVERTED:
        return f"neurotransfer models convert FILE --as {out} --out {out}"
    if is_simulated(folder):
        return f"neurotransfer pretrain STUDY.toml --out {out}"
    names = shlex.quote(",".join(target.name for target in folder.targets))
    seed = f" --seed {facts['seed']}" if facts.get("seed") else ""
    if "from" in facts:
        return (
            f"neurotransfer transfer MODEL COHORT --target {names} --strategy {shlex.quote(strategy)} --out {out}{seed}"
        )
    return f"neurotransfer pretrain COHORT --targets {names} --out {out} {' '.join(_options(folder))}{seed}".rstrip()


def _options(folder: ModelFolder) -> list[str]:
    arguments = folder.card.get("arguments", {})
    found = [f"--architecture {shlex.quote(str(folder.card['architecture']))}"]
    if isinstance(folder.input, Grid):
        found += [f"--shape {','.join(map(str, folder.input.shape))}", f"--voxel-size {folder.input.voxel_size_mm!r}"]
    found += [f"--{name} {arguments[name]}" for name in ("width", "pooling", "dropout") if name in arguments]
    recipe = folder.provenance.get("recipe")
    kept = recipe if isinstance(recipe, dict) else {}
    return found + [f"{option} {kept[name]}" for name, option in _RECIPE.items() if kept.get(name)]


def input_facts(folder: ModelFolder) -> list[tuple[str, str]]:
    """What it takes, as names and values."""
    taken = folder.input
    if taken is None:
        return [
            (
                "takes",
                f"columns of a table: {joined([str(name) for name in folder.card.get('arguments', {}).get('columns', [])])}",
            )
        ]
    low, high = folder.card.get("intensity_range", (0, 1))
    facts = [("takes", described(taken))]
    if isinstance(taken, Contract):
        facts += [
            ("space", taken.space),
            ("axes", taken.orientation),
            ("values", f"{taken.values[0]:g} to {taken.values[1]:g}"),
        ]
        return [*facts, ("prepared by", f"neurotransfer prepare SCANS OUT --recipe {taken.recipe}")]
    skull = "without skull" if folder.card.get("skull_stripped", True) else "with skull"
    return [*facts, ("heads", f"{skull}, in MNI152"), ("values", f"{low:g} to {high:g}")]
