"""Files of weights as plain arrays by name, whoever wrote them; nothing in a file is ever run."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.errors import ModelError
from neurotransfer.models.tensorflow_checkpoint import (
    INDEX,
    MOST_BYTES,
    checkpoint_files,
    checkpoint_prefix,
    read_checkpoint,
)

MOST_ARRAYS = 100_000
NAMED = 6
MOST_REASON = 200
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
KINDS = "HDF5 of Keras (.h5), a checkpoint of TensorFlow (.index and .data-...), PyTorch (.p, .pt, .pth), safetensors or .npz"


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """All arrays of a file of weights, by name; what kind of file it is its contents say.

    Names are `LAYER/VARIABLE` for Keras and TensorFlow (`LAYER/0`, `LAYER/1`, ... where a file numbers the variables), those of
    the state for PyTorch, and the file's own for safetensors and .npz.

    Args:
        path: a file, or any file or the common beginning of a checkpoint of TensorFlow.

    Raises:
        ModelError: when the file is absent, damaged, too large, of no kind that is read here, or holds code.

    Example:
        >>> read_arrays("nowhere.h5")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.ModelError: there is no file 'nowhere.h5'; ...
    """
    path = Path(path)
    prefix = checkpoint_prefix(path)
    if prefix is not None:
        return read_checkpoint(prefix)
    read = _reader(path)
    try:
        found = read(path)
    except ModelError:
        raise
    except ImportError:
        raise ModelError(
            f"{str(path)!r} is HDF5, which takes a package more: pip install 'neurotransfer[convert]'"
        ) from None
    except Exception as error:  # whatever a damaged file may lead a reader to
        reason = " ".join(str(error).split())[:MOST_REASON] or type(error).__name__
        raise ModelError(
            f"{str(path)!r} cannot be read ({reason}); it is damaged or incomplete: fetch it again"
        ) from None
    if not found:
        raise ModelError(f"{str(path)!r} holds no arrays; a file of weights is {KINDS}")
    return found


def files_of(path: Path | str) -> list[Path]:
    """The files that hold the weights which a path names: itself, or the index and the data of a checkpoint."""
    prefix = checkpoint_prefix(Path(path))
    return [Path(path)] if prefix is None else checkpoint_files(prefix)


def _reader(path: Path) -> Callable[[Path], dict[str, np.ndarray]]:
    if not is_file(path):
        what = f"{str(path)!r} is a folder" if is_folder(path) else f"there is no file {str(path)!r}"
        raise ModelError(f"{what}; give a file of weights: {KINDS}")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ModelError(
            f"{str(path)!r} has {size >> 20} MiB; no network that is known here has more than {MOST_BYTES >> 20}"
        )
    with path.open("rb") as opened:
        start = opened.read(16)
    if start.startswith(_HDF5):
        return _of_hdf5
    if start.startswith(_ZIP):
        return _of_zip
    if len(start) == 16 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
        return _of_safetensors
    # the first byte of a pickle says which protocol it is
    if start[:1] == b"\x80" or path.suffix in (".p", ".pt", ".pth"):
        return _of_torch
    advice = f"; a checkpoint of TensorFlow is read by its {INDEX}, which lacks here" if ".data-" in path.name else ""
    raise ModelError(
        f"{str(path)!r} begins like no file of weights that is read here ({KINDS}){advice}; is it the right file?"
    )


# --- HDF5


def _of_hdf5(path: Path) -> dict[str, np.ndarray]:
    import h5py

    with h5py.File(path, "r") as file:
        places: list[str] = []
        file.visititems(lambda name, item: places.append(name) if isinstance(item, h5py.Dataset) else None)
        _require_few(path, len(places))
        sets = {name: file[name] for name in places}
        for name, each in sets.items():
            # a set can lie in other files, which nobody has asked for
            if each.is_virtual or each.external:
                raise ModelError(
                    f"{str(path)!r} points at other files ({name}), which are not read; it is no file of weights"
                )
        _require_small(path, sum(each.size * each.dtype.itemsize for each in sets.values() if each.shape is not None))
        named = [(_layer_name(file, name), each) for name, each in sets.items()]
        return _unique(path, [(name, np.asarray(each[()])) for name, each in named])


def _layer_name(file: Any, place: str) -> str:
    """`LAYER/VARIABLE` of a set, in the ways of Keras 2 (`LAYER/LAYER/kernel:0`) and 3 (`layers/conv3d/vars/0`, with a name)."""
    place = place.removesuffix(":0").removeprefix("model_weights/")
    layer, _, variable = place.rpartition("/")
    if layer.endswith("/vars") and not layer.startswith("optimizer"):
        given = file[layer].attrs.get("name")
        found = given if isinstance(given, str) and given else layer.removesuffix("/vars").rpartition("/")[2]
        return f"{found}/{variable}"
    half = len(layer) // 2
    twice = len(layer) % 2 and layer[half] == "/" and layer[:half] == layer[half + 1 :]
    return f"{layer[:half] if twice else layer}/{variable}" if layer else place


# --- archives


def _of_zip(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    _require_few(path, len(members))
    _require_small(path, sum(member.file_size for member in members))
    if any(member.filename.endswith("data.pkl") for member in members):
        return _of_torch(path)
    with np.load(path, allow_pickle=False) as file:
        # what is no .npy in an archive comes as bytes, which are no numbers
        return _unique(path, [(name, np.asarray(file[name])) for name in file])


def _of_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.torch import load_file

    return {name: _as_array(tensor) for name, tensor in load_file(path).items()}


def _of_torch(path: Path) -> dict[str, np.ndarray]:
    import pickle
    import warnings

    import torch

    try:
        with warnings.catch_warnings():
            # of old formats and of protocols, about which a user can do nothing
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        if "weights only" not in str(error).lower():
            raise
        raise ModelError(
            f"{str(path)!r} holds code, or more than tensors, and was not opened: opening it could run anything; ask for a file with "
            "the state of the network alone (torch.save(network.state_dict(), ...))"
        ) from None
    return _unique(
        path, [(name, _as_array(tensor)) for name, tensor in _flat(state, "") if isinstance(tensor, torch.Tensor)]
    )


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What lies in nested dictionaries, by the keys that lead there."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, below in value.items():
        yield from _flat(below, f"{name}/{key}" if name else str(key))


def _as_array(tensor: Any) -> np.ndarray:
    import torch

    tensor = tensor.detach().cpu()
    return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy())


# --- what every file has to keep


def _require_few(path: Path, n: int) -> None:
    if n > MOST_ARRAYS:
        raise ModelError(f"{str(path)!r} holds {n} parts; no network that is known here has more than {MOST_ARRAYS}")


def _require_small(path: Path, n_bytes: int) -> None:
    if n_bytes > MOST_BYTES:
        raise ModelError(
            f"{str(path)!r} unfolds to {n_bytes >> 20} MiB; no network that is known here has more than {MOST_BYTES >> 20}"
        )


def _unique(path: Path, pairs: list[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ModelError(
            f"{str(path)!r} names {', '.join(twice[:NAMED])} more than once; it is no file of weights that is known here"
        )
    other = [name for name, array in pairs if array.dtype.kind not in "fiub"]
    if other:
        raise ModelError(
            f"{str(path)!r} holds {', '.join(other[:NAMED])}, which are no numbers; it is no file of weights"
        )
    return dict(pairs)
