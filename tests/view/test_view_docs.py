"""What docs/viewer.md tells is so: its code runs, its numbers are those of the code."""

import re
from pathlib import Path

import pandas as pd
import pytest
from view_data import write_prepared

from neurotransfer.view import request, server, volumes
from neurotransfer.view.answers import HEADERS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "viewer.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("session", ["n/a", "", None])
def test_marks_leave_scans_out_of_a_table(tmp_path, monkeypatch, session):
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "ready")
    table = pd.read_csv("ready/cohort.tsv", sep="\t", dtype=str, keep_default_na=False)
    table = table.drop(columns="session_id") if session is None else table.assign(session_id=session)
    table.to_csv("ready/cohort.tsv", sep="\t", index=False)
    Path("excluded.tsv").write_text("participant_id\tsession_id\treason\nsub-01\tn/a\tmoved\nsub-03\tn/a\tn/a\n")
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(code, {})
    kept = pd.read_csv("ready/cohort-checked.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert kept["participant_id"].tolist() == ["sub-00", "sub-02", "sub-04", "sub-05"]
    assert kept.columns.tolist() == table.columns.tolist()


def test_its_numbers_are_those_of_the_code():
    assert f"{8 * server.TOKEN_BYTES} random bits" in TEXT
    assert f"heads above {request.LARGEST // 1024} KiB" in TEXT
    assert f"slower than {request.PATIENCE_S:g} seconds" in TEXT
    assert f"more than {server.MOST_CONNECTIONS} at once" in TEXT
    assert f"2^{volumes.MOST_VOXELS.bit_length() - 1} voxels" in TEXT
    assert f"{volumes.STEPS:,} steps" in TEXT
    assert HEADERS["Cache-Control"] == "no-store"


def test_the_options_that_it_names_are_there():
    import typer

    from neurotransfer.cli.viewing import view

    app = typer.Typer()
    app.command()(view)
    known = {
        option
        for parameter in typer.main.get_command(app).params
        for option in parameter.opts + parameter.secondary_opts
    }
    assert {"--data", "--maps", "--people", "--keep", "--port", "--no-browser", "--for-seconds"} <= known
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= known
