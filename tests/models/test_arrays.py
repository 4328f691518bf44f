"""Files of weights as arrays: every format, whatever it is called; files that hold code, point elsewhere or are not whole."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neurotransfer.errors import ModelError
from neurotransfer.models import arrays as module
from neurotransfer.models.arrays import files_of, read_arrays

h5py = pytest.importorskip("h5py")
FIXTURES = Path(__file__).parents[1] / "data" / "tensorflow"
ARRAYS = {
    "a/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a/bias": np.array([1.5, -2.0], np.float64),
    "b/count": np.array(7),
    "b/none": np.zeros((0, 3), np.float32),
}


def same(found, expected=None):
    expected = ARRAYS if expected is None else expected
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert isinstance(found[name], np.ndarray)


def of_npz(path):
    with path.open("wb") as opened:
        np.savez(opened, **ARRAYS)


def of_safetensors(path):
    from safetensors.numpy import save_file

    save_file(ARRAYS, path)


def of_hdf5(path):
    with h5py.File(path, "w") as file:
        for name, array in ARRAYS.items():
            file[name] = array


def of_torch(path, new=True):
    state = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    torch.save(state, path, _use_new_zipfile_serialization=new)


def of_old_torch(path):
    of_torch(path, new=False)


WRITERS = {"npz": of_npz, "safetensors": of_safetensors, "hdf5": of_hdf5, "torch": of_torch, "old torch": of_old_torch}


# --- formats


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".p", ".bin", ""])
@pytest.mark.parametrize("form", WRITERS)
def test_a_format_is_known_by_its_contents_whatever_the_file_is_called(form, suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    WRITERS[form](path)
    same(read_arrays(path))
    same(read_arrays(str(path)))
    assert files_of(path) == [path]


def test_a_checkpoint_of_tensorflow_is_read_by_any_of_its_names():
    found = read_arrays(FIXTURES / "multi-2025.index")
    assert "SFCNMulti_block-0_conv/kernel" in found
    same(read_arrays(FIXTURES / "multi-2025"), found)
    assert [path.name for path in files_of(FIXTURES / "multi-2025")] == [
        "multi-2025.index",
        "multi-2025.data-00000-of-00001",
    ]


def test_keras_2_as_tensorflow_wrote_it_gives_layer_and_variable():
    found = read_arrays(FIXTURES / "sfcn-reg-2022.h5")
    assert found["sfcn-reg_block-0_conv/kernel"].shape == (3, 3, 3, 1, 2)
    assert found["sfcn-reg_top_norm/moving_variance"].shape == (3,)
    assert len(found) == 6 * 6 + 2


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("layer/layer/kernel:0", "layer/kernel"),
        ("model_weights/layer/layer/kernel:0", "layer/kernel"),
        ("a/b/a/b/kernel:0", "a/b/kernel"),
        ("layer/kernel", "layer/kernel"),
        ("aa/kernel", "aa/kernel"),
        ("layer/other/kernel", "layer/other/kernel"),
        ("layers/conv3d_1/vars/0", "conv3d_1/0"),
        ("optimizer/vars/3", "optimizer/vars/3"),
        ("alone", "alone"),
    ],
)
def test_names_in_hdf5_lose_what_keras_says_twice(place, name, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file[place] = np.ones(2, np.float32)
    assert list(read_arrays(tmp_path / "x.h5")) == [name]


def test_a_layer_that_bears_its_name_as_an_attribute_has_it(tmp_path):
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file["layers/conv3d/vars/0"] = np.ones(2, np.float32)
        file["layers/conv3d/vars"].attrs["name"] = "net_top_conv"
        file["layers/dense/vars/0"] = np.ones(2, np.float32)
        file["layers/dense/vars"].attrs["name"] = 5
    assert sorted(read_arrays(tmp_path / "x.weights.h5")) == ["dense/0", "net_top_conv/0"]


def test_halves_of_float32_become_float32(tmp_path):
    from safetensors.torch import save_file

    state = {"a": torch.tensor([1.0, -3.5], dtype=torch.bfloat16)}
    torch.save(state, tmp_path / "x.pt")
    save_file(state, tmp_path / "x.safetensors")
    for name in ("x.pt", "x.safetensors"):
        same(read_arrays(tmp_path / name), {"a": np.array([1.0, -3.5], np.float32)})


def test_nested_states_are_named_by_the_keys_that_lead_there(tmp_path):
    state = {"model": {"a.weight": torch.ones(2)}, "epoch": 3, "optimizer": {"state": {0: {"step": torch.tensor(5)}}}}
    torch.save(state, tmp_path / "x.pt")
    assert sorted(read_arrays(tmp_path / "x.pt")) == ["model/a.weight", "optimizer/state/0/step"]


def test_the_state_is_the_same_whether_weights_are_parameters_or_not(tmp_path):
    network = torch.nn.BatchNorm3d(3)
    torch.save(network.state_dict(), tmp_path / "x.pt")
    found = read_arrays(tmp_path / "x.pt")
    assert found["num_batches_tracked"].shape == ()
    assert set(found) == set(network.state_dict())


# --- code is never run


class Exploit:
    """What, unpickled, would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "code has run")


@pytest.mark.parametrize("form", ["torch", "old torch", "pickle", "nested", "npz", "npy in npz"])
def test_a_pickle_with_code_does_not_run(form, tmp_path):
    path, proof = tmp_path / "weights.p", tmp_path / "proof"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"a": Exploit(proof)}))
    elif form.startswith("np"):
        with (
            zipfile.ZipFile(path, "w") as archive,
            archive.open("a.npy" if form == "npz" else "data.npy", "w") as opened,
        ):
            np.save(opened, np.array([Exploit(proof)], object), allow_pickle=True)
    else:
        state = {"a": torch.ones(2), "b": {"c": [Exploit(proof)]} if form == "nested" else Exploit(proof)}
        torch.save(state, path, _use_new_zipfile_serialization=form != "old torch")
    with pytest.raises(ModelError, match="cannot be read" if form.startswith("np") else "holds code"):
        read_arrays(path)
    assert not proof.exists()


def test_the_exploit_of_this_test_is_real(tmp_path):
    proof = tmp_path / "proof"
    pickle.loads(pickle.dumps(Exploit(proof)))
    assert proof.read_text() == "code has run"


def test_a_whole_network_that_was_pickled_is_refused_with_what_to_ask_for(tmp_path):
    torch.save(torch.nn.Linear(2, 1), tmp_path / "x.pt")
    with pytest.raises(ModelError, match="state_dict"):
        read_arrays(tmp_path / "x.pt")


# --- other files than those that were given


def test_hdf5_leads_to_no_other_file(tmp_path):
    secret = tmp_path / "secret.raw"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("a", (4,), np.float32, external=[(str(secret), 0, 16)])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.arange(4.0)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((4,), float)
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "a", (4,))
        file.create_virtual_dataset("a", layout)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "a")
    for name in ("external", "virtual"):
        with pytest.raises(ModelError, match="points at other files"):
            read_arrays(tmp_path / f"{name}.h5")
    with pytest.raises(ModelError, match="holds no arrays"):
        read_arrays(tmp_path / "linked.h5")


# --- what is no file of weights, or no whole one


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a",
        b"<!DOCTYPE html><html>not found</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\x1f\x8b" + bytes(30),
    ],
)
@pytest.mark.parametrize("suffix", [".h5", ".txt", ".data-00000-of-00001"])
def test_another_file_is_refused_with_what_there_may_be(content, suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no file of weights that is read here") as caught:
        read_arrays(path)
    assert ("its .index" in str(caught.value).replace(",", "")) == (suffix[:5] == ".data")


def test_an_absent_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ModelError, match="there is no file"):
        read_arrays(tmp_path / "x.h5")
    with pytest.raises(ModelError, match="is a folder"):
        read_arrays(tmp_path)


def test_what_is_too_large_is_not_read(tmp_path, monkeypatch):
    of_npz(tmp_path / "x.npz")
    with h5py.File(tmp_path / "sparse.h5", "w") as file:
        # a terabyte that takes no room in the file, as a set of zeros can be
        file.create_dataset("a", (1 << 38,), np.float32, chunks=(1 << 16,))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(3_000_000))
    with pytest.raises(ModelError, match="unfolds to 1048576 MiB"):
        read_arrays(tmp_path / "sparse.h5")
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    with pytest.raises(ModelError, match="unfolds to 2 MiB"):
        read_arrays(tmp_path / "bomb.npz")
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(ModelError, match="no network that is known here has more"):
        read_arrays(tmp_path / "x.npz")
    monkeypatch.undo()
    monkeypatch.setattr(module, "MOST_ARRAYS", 3)
    with pytest.raises(ModelError, match="holds 4 parts"):
        read_arrays(tmp_path / "x.npz")


def test_names_that_come_twice_and_what_is_no_number_are_refused(tmp_path):
    with h5py.File(tmp_path / "twice.h5", "w") as file:
        file["a/a/kernel:0"] = np.ones(2)
        file["a/kernel"] = np.ones(2)
    with pytest.raises(ModelError, match="a/kernel more than once"):
        read_arrays(tmp_path / "twice.h5")
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file["a"] = "some text"
    with pytest.raises(ModelError, match="no numbers"):
        read_arrays(tmp_path / "text.h5")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "some text")
    with pytest.raises(ModelError, match="no numbers"):
        read_arrays(tmp_path / "other.zip")


def test_an_empty_file_of_weights_is_refused(tmp_path):
    torch.save({}, tmp_path / "x.pt")
    torch.save({"epoch": 5}, tmp_path / "y.pt")
    h5py.File(tmp_path / "z.h5", "w").close()
    for name in ("x.pt", "y.pt", "z.h5"):
        with pytest.raises(ModelError, match="holds no arrays"):
            read_arrays(tmp_path / name)


def test_hdf5_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    import sys

    of_hdf5(tmp_path / "x.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModelError, match=r"pip install 'neurotransfer\[convert\]'"):
        read_arrays(tmp_path / "x.h5")


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_is_refused(form, kept, tmp_path):
    path = tmp_path / "x.p"
    WRITERS[form](path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    try:
        found = read_arrays(path)
    except ModelError:
        return
    # HDF5 may end with room that nothing uses
    same(found)


@pytest.mark.parametrize("form", WRITERS)
def test_a_bit_that_flipped_gives_arrays_or_a_message_and_never_another_error(form, tmp_path):
    path = tmp_path / "x.p"
    WRITERS[form](path)
    whole, random = path.read_bytes(), np.random.default_rng(3)
    for place in random.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            found = read_arrays(path)
        except ModelError:
            continue
        assert all(array.dtype.kind in "fiub" for array in found.values())


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02", b"\x10" + bytes(7) + b"{"]),
)
@example(b'"a":{"dtype":"F32"}}', b"\x14" + bytes(7) + b"{")
@settings(max_examples=60)
def test_bytes_of_chance_are_refused(content, start):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(start + content)
        with pytest.raises(ModelError):
            read_arrays(path)
