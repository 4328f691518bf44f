"""Every script in `examples/` runs as a researcher would run it, and what it prints is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def printed_by(name, folder):
    """What an example prints that is run from elsewhere, with one thread; it writes only where it was told to."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, str(EXAMPLES / name), str(folder / "made")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=elsewhere, env=environment)
    assert done.returncode == 0, done.stderr
    assert not list(elsewhere.iterdir())
    return done.stdout


def columns_of(text, pattern):
    """The numbers of all lines that match a pattern, a row a line."""
    return np.array([[float(value) for value in row] for row in re.findall(pattern, text, re.MULTILINE)])


def test_the_learning_curve_falls_and_has_a_page(tmp_path):
    text = printed_by("01_learning_curve.py", tmp_path)
    curve = columns_of(text, r"^(\d+) +([\d.]+) +([\d.]+)$")
    assert curve[:, 0].tolist() == [10, 20, 40]
    assert (curve[2, 1:] < curve[0, 1:]).all()
    assert (curve[2, 1:] < 10).all()
    page = Path(re.search(r"tests: (.*\.html)$", text, re.MULTILINE).group(1))
    assert page == tmp_path / "made" / "run" / "report.html"
    assert "<svg" in page.read_text()


@pytest.mark.slow
def test_ages_of_new_scans_are_predicted(tmp_path):
    text = printed_by("02_predict.py", tmp_path)
    assert "'penalty'" in text
    ages = columns_of(text, r"^ *new-\d+_ses-\d_T1w +([\d.]+) +([\d.]+)$")
    assert len(ages) >= 8
    assert np.corrcoef(ages.T)[0, 1] > 0.6
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"age", "big", "new", "ours", "pretrained"}


@pytest.mark.slow
def test_cross_validation_finds_the_planted_effect(tmp_path):
    text = printed_by("03_scikit_learn.py", tmp_path)
    scans, people = map(int, re.search(r"^(\d+) scans of (\d+) people", text).groups())
    assert scans > people == 60
    folds = [float(value) for value in re.search(r"\[([^\]]*)\]", text).group(1).split()]
    assert len(folds) == 3
    assert min(folds) > 0.5
    known, predicted = map(int, re.search(r"left out is (\d+), predicted (\d+)$", text, re.MULTILINE).groups())
    assert abs(known - predicted) < 15


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_is_tested_here(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 40
    assert text.startswith('"""')
    assert f"python examples/{path.name} [FOLDER]" in text
    assert 'if __name__ == "__main__":' in text
    assert f'printed_by("{path.name}"' in Path(__file__).read_text()


def test_there_are_examples():
    assert len(list(EXAMPLES.glob("*.py"))) == 3
