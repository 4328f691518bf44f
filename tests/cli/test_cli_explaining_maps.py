"""`neurotransfer explain maps` as a user calls it."""

import json
import subprocess
import sys

import nibabel
import pandas as pd
import pytest

import neurotransfer.cli.explaining_maps  # noqa: F401


@pytest.mark.slow
def test_the_command_writes_maps_tables_and_a_page(tiny_model, tiny_cohort, tmp_path):
    command = [
        sys.executable,
        "-c",
        "import neurotransfer.cli.explaining_maps; from neurotransfer.__main__ import main; main()",
    ]
    given = ["explain", "maps", tiny_model, tiny_cohort, "--out", tmp_path / "out", "--target", "sex", "--most", "2", "--checked",
             "1", "--no-label-check", "--method", "gradient-x-input", "--workers", "2"]  # fmt: skip
    done = subprocess.run([*command, *map(str, given)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 scans have maps" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert len(page) < 8e6
    assert "What the network looks at: sex" in page
    assert "logit of sex = M" in page
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "explain maps" in manifest["command"]
    table = pd.read_parquet(tmp_path / "out" / "maps.parquet")
    assert table["method"].tolist() == ["gradient-x-input"] * 2
    for path in (tmp_path / "out").rglob("*.nii.gz"):
        assert nibabel.load(path).get_fdata().shape


def test_one_scan_is_enough(called, tiny_model, tiny_cohort, tmp_path):
    scan = next((tiny_cohort.parent / "heads").glob("*_T1w.nii.gz"))
    code, out, said = called(
        "explain", "maps", tiny_model, scan, "--out", tmp_path / "out", "--method", "lrp-gamma", "--checked", 1
    )
    assert code == 0, said
    assert "1 scans have maps" in out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "not done" in manifest["shuffled_labels"]["words"]
    assert "Nothing is known" in manifest["planted_region"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target", "agee"], "did you mean 'age'"),
        (["--method", "lrp-gama"], "did you mean 'lrp-gamma'"),
        (["--group", "sexe"], "sex"),
        (["--class", "M"], "only a categorical one"),
        (["--prepare", "maybe"], "auto"),
    ],
)
def test_what_a_user_can_mend_ends_with_two_and_says_how(called, tiny_model, tiny_cohort, tmp_path, more, message):
    code, _, said = called("explain", "maps", tiny_model, tiny_cohort, "--out", tmp_path / "out", *more)
    assert code == 2
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("more", "message"), [(["--target", "agee"], "'age'"), (["--class", "M"], "categorical")])
def test_what_a_model_does_not_have_is_said_before_a_scan_is_touched(called, tiny_model, tmp_path, more, message):
    code, _, said = called("explain", "maps", tiny_model, tmp_path / "nowhere", "--out", tmp_path / "out", *more)
    assert code == 2
    assert message in said
    assert "nowhere" not in said


def test_a_folder_of_others_is_refused_before_anything_is_read(called, tiny_model, tiny_cohort, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    code, _, said = called("explain", "maps", tiny_model, tiny_cohort, "--out", tmp_path)
    assert code == 2
    assert "something else" in said
