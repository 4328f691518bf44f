"""The command `diagnose` as a user calls it: pages, what is printed, and calls that cannot be."""

import json
import subprocess
import sys

import pytest

from neurotransfer.__main__ import main


def called(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "neurotransfer", "diagnose", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, cwd=folder,
    )  # fmt: skip


def test_published_curves_from_the_command_line(tmp_path):
    done = called("published:april_asd,april_linear_asd", "--out", "autism.html", "--reach", "0.7", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "finetuned: dip; named: luck" in done.stdout
    assert "linear: none; named: none" in done.stdout
    assert done.stdout.rstrip().endswith("The page lies in autism.html")
    page = (tmp_path / "autism.html").read_text()
    assert "Scans for 0.70" in page
    assert {curve["strategy"] for curve in json.loads((tmp_path / "autism.json").read_text())["curves"]} == {
        "finetuned",
        "linear",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "there is no run folder 'nowhere'"),
        (("published:april_asdf", "--out", "a.html"), "did you mean 'april_asd'"),
        (("published:april_asd",), "give --out"),
        (("published:april_asd", "--out", "a.txt"), "needs the ending .html"),
        (("nowhere", "--dry-run"), "give --experiments too, for example causes, or --sweep"),
        (("nowhere", "--widths", "1,2"), "--widths goes with --sweep"),
        (("nowhere", "--label-noise", "0.2"), "--label-noise goes with --sweep"),
        (
            ("nowhere", "--sweep", "--epochs", "many"),
            "--epochs is numbers between commas, for example 4,16,64, got 'many'",
        ),
        (("nowhere", "--sweep"), "nowhere"),
        (("nowhere", "--experiments", "folds"), "nowhere"),
    ],
)
def test_calls_that_cannot_be_are_one_message(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["neurotransfer", "diagnose", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
