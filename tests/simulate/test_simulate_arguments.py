from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.artifacts import read_json
from neurotransfer.errors import InputError, StorageError
from neurotransfer.simulate.arguments import MARKER, Arguments, check_arguments, claim_folder

GOOD = Arguments(3, (32, 40, 32), 0, 1.0, 3, 0.1, 0.15, "sim")
WRONG = [
    ("participants", 0),
    ("participants", -3),
    ("participants", 2.5),
    ("participants", True),
    ("participants", "4"),
    ("shape", (32, 40)),
    ("shape", (32, 40, 31)),
    ("shape", (32, 40, 32.5)),
    ("shape", 40),
    ("shape", "40,48,40"),
    ("seed", -1),
    ("seed", 0.5),
    ("effect", -0.1),
    ("effect", float("nan")),
    ("effect", float("inf")),
    ("effect", "strong"),
    ("sites", 0),
    ("missing", -0.1),
    ("missing", 1.1),
    ("missing", None),
    ("second_sessions", 2),
    ("second_sessions", float("nan")),
    ("prefix", ""),
    ("prefix", "a/b"),
    ("prefix", "a-b"),
    ("prefix", 3),
]


def test_good_arguments_pass():
    check_arguments(GOOD)
    check_arguments(replace(GOOD, participants=np.int64(2), effect=0, missing=1, second_sessions=np.float32(0.5)))


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_argument_is_named_with_what_was_found_and_what_is_allowed(name, value):
    with pytest.raises(InputError) as caught:
        check_arguments(replace(GOOD, **{name: value}))
    message = str(caught.value)
    assert f"{name} is {value!r}; allowed: " in message
    assert message.startswith("1 problem in the arguments of simulate")


def test_all_wrong_arguments_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        check_arguments(Arguments(0, (1, 2), -1, -1.0, 0, 2.0, -1.0, ""))
    message = str(caught.value)
    assert message.startswith("8 problems")
    for name in ("participants", "shape", "seed", "effect", "sites", "missing", "second_sessions", "prefix"):
        assert f"  {name} is " in message


@pytest.mark.parametrize(
    ("shape", "voxel_size_mm"),
    [((40, 48, 40), 4.0), ((32, 40, 32), 5.0), ((80, 96, 80), 2.0), ((64, 32, 64), 6.0), ((160, 192, 32), 5.0)],
)
def test_voxels_are_as_fine_as_a_whole_brain_allows(shape, voxel_size_mm):
    grid = replace(GOOD, shape=shape).grid
    assert grid.voxel_size_mm == voxel_size_mm
    assert grid.shape == shape


@given(shape=st.tuples(*[st.integers(32, 200)] * 3))
@settings(max_examples=30, deadline=None)
def test_a_brain_fits_any_grid(shape):
    grid = replace(GOOD, shape=shape).grid
    extent = np.array(shape) * grid.voxel_size_mm
    assert (extent >= np.array([160, 192, 160]) - 1e-6).all()
    middle = grid.affine @ [*(np.array(shape) - 1) / 2, 1]
    np.testing.assert_allclose(middle[:3], [0, -18, 10], atol=1e-6)


def test_arguments_are_plain_values():
    values = replace(GOOD, participants=np.int64(2), effect=np.float64(0.5)).to_dict()
    assert type(values["participants"]) is int
    assert type(values["effect"]) is float
    assert values["shape"] == [32, 40, 32]


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    claim_folder(tmp_path / "a" / "b", GOOD)
    assert (tmp_path / "a" / "b" / "heads").is_dir()
    assert read_json(tmp_path / "a" / "b" / MARKER)["arguments"]["participants"] == 3


def test_an_empty_folder_is_taken(tmp_path):
    claim_folder(tmp_path, GOOD)
    assert (tmp_path / MARKER).is_file()


def test_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file; simulate needs a folder"):
        claim_folder(tmp_path / "out", GOOD)


@pytest.mark.parametrize("marker", [None, "", "{}", "[1]", '{"made_by": "somebody else"}'])
def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path, marker):
    (tmp_path / "cohort.tsv").write_text("mine")
    if marker is not None:
        (tmp_path / MARKER).write_text(marker)
    with pytest.raises(InputError, match=r"not empty and holds no simulated cohort \(found: cohort.tsv.*give a new"):
        claim_folder(tmp_path, GOOD)
    assert (tmp_path / "cohort.tsv").read_text() == "mine"


def test_an_interrupted_cohort_is_removed_and_other_files_are_kept(tmp_path):
    claim_folder(tmp_path, GOOD)
    old = [tmp_path / name for name in ("cohort.tsv", "truth.tsv", "heads/sim-0009_ses-1_T1w.nii.gz")]
    old.append(tmp_path / "heads" / ".sim-0010_ses-1_T1w.nii.gz.x1.gz")
    kept = [tmp_path / "notes.txt", tmp_path / "heads" / "readme.txt"]
    for path in [*old, *kept]:
        path.write_text("x")
    claim_folder(tmp_path, GOOD)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)


def test_a_finished_cohort_is_refused_and_left_alone(tmp_path):
    claim_folder(tmp_path, GOOD)
    kept = [tmp_path / name for name in ("cohort.tsv", "truth.tsv", "truth.json", "heads/sim-0009_ses-1_T1w.nii.gz")]
    for path in kept:
        path.write_text("x")
    with pytest.raises(InputError, match="holds a finished simulated cohort; give another folder, or remove that one"):
        claim_folder(tmp_path, GOOD)
    assert all(path.read_text() == "x" for path in kept)


def test_a_place_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="choose another place"):
        claim_folder(tmp_path / "file" / "out", GOOD)
