"""What was run and how to run it again: commands, versions, seeds, models, failures, the resolved study."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from neurotransfer.pages.model import Code, Facts, Item, Table, Text
from neurotransfer.report.folder import RunFolder
from neurotransfer.report.tables import failure_table
from neurotransfer.report.wording import NONE, duration, joined

SHOWN_APART = ("name", "title", "description", "tasks", "strategies", "study", "pairs")
# more metrics or targets of a model than these are counted
MOST_LISTED = 12


def record_items(run: RunFolder, citation: str = "") -> list[Item]:
    """The items of the last section of a page."""
    return [*_again(run), *_facts(run), *_strategies(run), *_models(run), *_failures(run), *_study(run, citation)]


def _again(run: RunFolder) -> list[Item]:
    command = str((run.manifest or {}).get("command", ""))
    if not command:
        return [Text("The command is not known: the run is not complete, or was started from Python.", "quiet")]
    seed = run.study.get("seed")
    words = f". The seed of everything random is {seed}; the same study gives the same numbers, whatever the number of workers."
    again = f"{command}\nneurotransfer report {shlex.quote(_out(command, run))}"
    return [Text(f"To repeat it{words if seed is not None else ':'}"), Code(again)]


def _out(command: str, run: RunFolder) -> str:
    """The run folder as the command calls it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return "RUN"
    for index, word in enumerate(words[:-1]):
        if word == "--out":
            return words[index + 1]
    return f"runs/{run.study['name']}" if run.study.get("name") and "benchmark" in words else "RUN"


def _facts(run: RunFolder) -> list[Item]:
    manifest = run.manifest or {}
    provenance = dict(manifest.get("provenance", {}))
    versions = provenance.pop("versions", {})
    fits = [("fits", str(len(run.results))), ("of these failed", str(int(run.results["error"].notna().sum())))]
    times = [
        (label, duration(float(manifest[key])))
        for key, label in (("fit_seconds", "time of all fits added up"), ("seconds", "time of the last session"))
        if key in manifest
    ]
    facts = [(key.replace("_", " "), plain(value)) for key, value in run.study.items() if key not in SHOWN_APART]
    made = [
        (f"made with {key}" if key != "seed" else "seed of the run", plain(value)) for key, value in provenance.items()
    ]
    return [Facts([*facts, *fits, *times, *made, *([("versions", _versions(versions))] if versions else [])])]


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _strategies(run: RunFolder) -> list[Item]:
    rows = [
        [part["label"], part.get("strategy") or NONE, part.get("model") or NONE, part.get("description") or ""]
        for part in run.study.get("strategies", [])
    ]
    return [Table("strategies", "Strategies", ["Name", "Strategy", "Model", "What it does"], rows)] if rows else []


def _models(run: RunFolder) -> list[Item]:
    models = (run.manifest or {}).get("models", {})
    return [
        Facts([(key.replace("_", " "), plain(value)) for key, value in model.items()], f"Model {name}")
        for name, model in models.items()
    ]


def _failures(run: RunFolder) -> list[Item]:
    rows = [
        [str(row["task"]), str(row["strategy"]), str(row["sizes"]), str(row["fits"]), str(row["error"])]
        for row in failure_table(run.results).to_dict("records")
    ]
    given_up = [
        Text(f"{each['cell']} could not be done: {each['error']}", "caution")
        for each in (run.manifest or {}).get("cells_given_up", [])
    ]
    headings = ["Task", "Strategy", "n", "Fits", "What it said"]
    return [*given_up, *([Table("failures", "Fits that failed", headings, rows, (3,))] if rows else [])]


def _study(run: RunFolder, citation: str) -> list[Item]:
    cited: list[Item] = [Text(f"Published curves: {citation}.", "quiet")] if citation else []
    text = json.dumps(run.study, indent=2, ensure_ascii=False)
    return [*cited, Code(text, "The whole study, as it was resolved")]


def plain(value: Any) -> str:
    """A value of JSON as text, without brackets; a long list of names is counted.

    Example:
        >>> plain({"age": [1, 2.5], "sex": None})
        'age: 1 and 2.5; sex: none'
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {plain(part)}" for key, part in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = [plain(part) for part in value[:MOST_LISTED]]
        more = len(value) - len(shown)
        return joined([*shown, f"{more} more"] if more else shown) if shown else "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)
