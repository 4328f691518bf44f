"""`models convert` in processes of its own: a folder that predicts, what is said, and every refusal without a traceback."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from neurotransfer import __main__
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.models import load_model
from neurotransfer.models.conversions import KINDS
from neurotransfer.models.published import RELEASES
from published_networks import HIGHEST_UKB, of_many_gpus, peng_network

FIXTURES = Path(__file__).parents[1] / "data" / "tensorflow"

pytest.importorskip("h5py")


def run(*arguments):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "neurotransfer", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=dict(os.environ))


@pytest.fixture
def here(monkeypatch, capsys):
    """The command in this process: its exit code, output and messages."""
    import signal

    monkeypatch.setattr(signal, "signal", lambda *arguments: None)

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["neurotransfer", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            __main__.main()
        said = capsys.readouterr()
        return stopped.value.code, said.out, said.err

    return called


def peng_file(path, n_bins=40):
    torch.save(of_many_gpus(peng_network(n_bins)), path)
    return path


# --- what it does


def test_a_checkpoint_becomes_a_folder_and_all_of_it_is_said(tmp_path):
    done = run("models", "convert", FIXTURES / "multi-2025.index", "--as", "multi-2025", "--out", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    release = RELEASES["multi-2025"]
    assert done.stdout == f"multi-2025, from {release.page}, lies in {tmp_path / 'model'}\n"
    for part in (
        "54 loaded", f"licence {release.licence}", release.citation, "does not say which sex", "not the file that was published",
        "SHA-256: multi-2025.index ", "prepare SCANS PREPARED --recipe fastsurfer", f"predict {tmp_path / 'model'}",
    ):  # fmt: skip
        assert part in done.stderr, part
    model = load_model(tmp_path / "model")
    assert list(model.network.targets) == ["age", "sex", "handedness", "bmi", "fluid_intelligence", "neuroticism"]
    assert model.card.licence == release.licence


@pytest.mark.parametrize(("file", "kind"), [("reg-2025", "reg-2025"), ("sfcn-reg-2022.h5", "sfcn-reg-2022")])
def test_other_files_of_tensorflow(file, kind, here, tmp_path):
    code, out, err = here("models", "convert", FIXTURES / file, "--as", kind, "--out", tmp_path / "model")
    assert code in (0, None)
    assert "lies in" in out
    assert ("left out: optimizer/_iterations" in err) == (kind == "reg-2025")
    assert load_model(tmp_path / "model").card.name == kind


def test_a_release_without_a_known_checksum_says_its_own(here, tmp_path):
    import hashlib

    path = peng_file(tmp_path / "run.p", 2)
    code, _, err = here("models", "convert", path, "--as", "sfcn-ukb-sex", "--out", tmp_path / "model")
    assert code in (0, None)
    assert "no checksum of this release is known" in err
    assert hashlib.sha256(path.read_bytes()).hexdigest() in err


def test_what_was_converted_is_shown_and_predicts_prepared_scans(here, tmp_path):
    code, _, _ = here(
        "models", "convert", peng_file(tmp_path / "run.p"), "--as", "sfcn-ukb-age", "--out", tmp_path / "model"
    )
    assert code in (0, None)
    contract = RECIPES["sfcn-ukb"].contract
    voxels = np.zeros(contract.shape, np.float32)
    voxels[20:140, 20:170, 20:140] = np.random.default_rng(0).random((120, 150, 120), np.float32) * 8
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = contract.corner_mm
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "sub-01_T1w.nii.gz")
    out = tmp_path / "predictions.tsv"
    code, _, err = here(
        "predict",
        tmp_path / "model",
        tmp_path / "sub-01_T1w.nii.gz",
        "--out",
        out,
        "--prepare",
        "never",
        "--precision",
        "float32",
    )
    assert code in (0, None), err
    header, row = (line.split("\t") for line in out.read_text().splitlines()[:2])
    age = float(dict(zip(header, row, strict=True))["age"])
    network = peng_network(40)
    with torch.no_grad():
        chance = network(torch.from_numpy(np.minimum(voxels, HIGHEST_UKB))[None, None]).exp().numpy()
    assert age == pytest.approx(float((chance @ np.arange(42.5, 82))[0]), rel=1e-4)


# --- what it refuses


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("multi-2025",)])
def test_a_wrong_kind_is_refused_with_the_right_one_and_leaves_no_folder(kind, here, tmp_path):
    code, out, err = here("models", "convert", FIXTURES / "multi-2025", "--as", kind, "--out", tmp_path / "model")
    assert (code, out) == (2, "")
    assert "it can be converted --as multi-2025" in err
    assert not (tmp_path / "model").exists()


def test_an_unknown_kind_names_all_before_the_file_is_read(here, tmp_path):
    code, _, err = here("models", "convert", tmp_path / "absent.h5", "--as", "multi-2026", "--out", tmp_path / "model")
    assert code == 2
    assert "did you mean 'multi-2025'" in err
    assert not (tmp_path / "model").exists()


def test_a_file_with_code_is_refused_and_does_not_run(here, tmp_path):
    proof, path = tmp_path / "proof", tmp_path / "run.p"

    class Exploit:
        def __reduce__(self):
            return Path.write_text, (proof, "code has run")

    path.write_bytes(pickle.dumps({"module.weight": Exploit()}))
    code, _, err = here("models", "convert", path, "--as", "sfcn-ukb-age", "--out", tmp_path / "model")
    assert code == 2
    assert "holds code" in err
    assert not proof.exists()
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["absent.h5", "cut.index", "page.h5", "folder"])
def test_files_that_cannot_be_are_refused(name, here, tmp_path):
    path = tmp_path / name
    if name == "cut.index":
        path.write_bytes((FIXTURES / "multi-2025.index").read_bytes()[:-5])
        shutil.copy(FIXTURES / "multi-2025.data-00000-of-00001", tmp_path / "cut.data-00000-of-00001")
    elif name == "page.h5":
        path.write_text("<html>rate limit exceeded</html>")
    elif name == "folder":
        path.mkdir()
    code, out, err = here("models", "convert", path, "--as", "multi-2025", "--out", tmp_path / "model")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert str(path).removesuffix(".index") in err
    assert not (tmp_path / "model").exists()


def test_a_folder_with_a_model_stays_as_it_is(here, tmp_path):
    arguments = ("models", "convert", FIXTURES / "multi-2025", "--as", "multi-2025", "--out", tmp_path / "model")
    assert here(*arguments)[0] in (0, None)
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    code, _, err = here(*arguments)
    assert code == 2
    assert "lies already" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


@pytest.mark.parametrize("left_out", ["--as", "--out"])
def test_both_options_are_asked_for(left_out, here, tmp_path):
    arguments = {"--as": "multi-2025", "--out": tmp_path / "model"}
    given = [part for pair in arguments.items() if pair[0] != left_out for part in pair]
    code, _, err = here("models", "convert", FIXTURES / "multi-2025", *given)
    assert code == 2
    assert left_out in err


def test_help_never_imports_torch():
    code = "import sys; import neurotransfer.cli; assert not {'torch', 'h5py', 'keras'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
