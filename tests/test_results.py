"""The committed results: the tables of docs/results/README.md are those of the Parquet files, and nobody is named in them."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
STUDIES = tuple(sorted(path.name for path in RESULTS.iterdir() if path.is_dir()))
HEADING = re.compile(r"^\| (\w+): (\w+), (\w+) \|(.*)\|$")


def written_tables():
    """(study, task, score, strategy, n) -> (mean, 1.96 SEM) as the page of results says it."""
    found, heading = {}, None
    for line in (RESULTS / "README.md").read_text(encoding="utf-8").splitlines():
        if match := HEADING.match(line):
            heading = (match[1], match[2], match[3], [int(n) for n in re.findall(r"n = (\d+)", match[4])])
        elif not line.startswith("|"):
            heading = None
        elif heading is not None and "±" in line:
            name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            study, task, score, sizes = heading
            for n, cell in zip(sizes, cells, strict=True):
                mean, spread = cell.split("±")
                found[study, task, score, name, n] = (float(mean), float(spread))
    return found


@pytest.mark.parametrize("study", STUDIES)
def test_the_tables_say_what_the_results_say(study):
    results = pd.read_parquet(RESULTS / study / "results.parquet")
    chosen = results[results["selected"]]
    written = {key: value for key, value in written_tables().items() if key[0] == study}
    assert {key[1] for key in written} == set(results["task"])
    for (_, task, score, strategy, n), (mean, spread) in written.items():
        rows = chosen[(chosen["task"] == task) & (chosen["strategy"] == strategy) & (chosen["n"] == n)]
        values = rows[f"test_{score}"]
        assert mean == pytest.approx(values.mean(), abs=0.0051)
        assert spread == pytest.approx(1.96 * values.sem(), abs=0.0051)


@pytest.mark.parametrize("study", STUDIES)
def test_every_strategy_of_a_task_is_shown(study):
    results = pd.read_parquet(RESULTS / study / "results.parquet")
    shown = {(key[1], key[3], key[4]) for key in written_tables() if key[0] == study}
    assert shown == set(results[["task", "strategy", "n"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("study", STUDIES)
def test_a_result_says_how_it_was_made_and_names_nobody(study):
    folder = RESULTS / study
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["cells_failed"] == manifest["fits_failed"] == 0
    assert f"{study}.toml" in manifest["command"]
    assert manifest["provenance"]["seed"] == json.loads((folder / "study.json").read_text(encoding="utf-8"))["seed"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6
    assert {file.name for file in folder.iterdir()} <= {
        "manifest.json", "study.json", "results.parquet", "report.html", "diagnosis.html", "diagnosis.json"
    }  # fmt: skip
    for file in sorted({*folder.iterdir()} - {folder / "results.parquet"}):
        text = file.read_text(encoding="utf-8")
        assert not re.findall(r"sub-[A-Za-z0-9]+", text)
        assert not re.findall(r"/(?:home|root|tmp|work)/", text)
    assert "participant_id" not in pd.read_parquet(folder / "results.parquet")
