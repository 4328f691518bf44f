"""A model folder: `weights.safetensors`, `model.json` (the card) and a `README.md` made of it; a reference where there is one."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from neurotransfer.artifacts import (
    is_file,
    is_folder,
    read_json,
    require_writable,
    storage,
    write_atomically,
    write_json,
)
from neurotransfer.errors import InputError, InterruptedRunError, ModelError
from neurotransfer.models.card import Card, card_from_json, card_to_json, migrated, require_name
from neurotransfer.models.loading import LoadReport, compared, require_whole
from neurotransfer.models.network import Network, build_encoder
from neurotransfer.models.readme import readme_of
from neurotransfer.models.reference import Reference

WEIGHTS, CARD, README, REFERENCE = "weights.safetensors", "model.json", "README.md", "reference.safetensors"
# all that a model folder consists of, and all that is ever shared of one
FILES = (WEIGHTS, CARD, README, REFERENCE)
# models that come with the package
SHIPPED = ("sim-base",)
MOST_REASON = 300
# by which a README of ours is known
LIBRARY = b'library_name: "neurotransfer"'
# whatever the values of a card that someone has edited may lead to when a network is made of them
_DAMAGED = (InputError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Model:
    """A network, its card and what the scans that it learnt from were like; `load_model` and `save_model` are its way to disk."""

    network: Network
    card: Card
    reference: Reference | None = None


def require_new(folder: Path) -> None:
    """Refuse to write a model where one lies already, or where a README of somebody else would be lost; called before a fit."""
    if is_file(folder / CARD) or is_folder(folder / CARD):
        raise ModelError(f"a model lies already in {str(folder)!r}; give another --out, or remove that folder")
    if is_file(folder / README) and LIBRARY not in (folder / README).read_bytes()[:1000]:
        raise ModelError(f"{str(folder)!r} has a {README} of its own, which a model would replace; give another --out")


def name_of(folder: Path) -> str:
    """The name that a model in a folder bears: that of the folder.

    Raises:
        ModelError: when it cannot be a name.
    """
    name = folder.resolve().name
    require_name(name)
    return name


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """A folder for a model that is yet to be fitted: made and tried before, and taken away when nothing came of it.

    Raises:
        ModelError: when a model lies there already.
        StorageError: when it cannot be written, found out before the fit and not after.
        InterruptedRunError: when the fit is interrupted.
    """
    require_new(folder)
    name_of(folder)
    require_writable(folder)
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted; no model was kept in {str(folder)!r}: the same command begins anew"
        ) from None
    finally:
        with suppress(OSError):
            # only an empty folder goes
            folder.rmdir()


def save_model(folder: Path, model: Model, *, half: bool = False) -> Path:
    """Write weights, reference and README, then the card, whose existence means that the model is complete; returns the folder.

    `half` keeps weights in 16 bits, rounded to three digits, in half the space; they are read as float32 again.

    Raises:
        ModelError: when a model lies there already, its weights have NaN or infinity, or numbers that 16 bits do not hold.
        StorageError: when the place cannot be written.
    """
    require_new(folder)
    require_name(model.card.name)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.network.state_dict().items()}
    require_whole(compared(state, state), f"model {model.card.name!r}")
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        lost = [name for name, value in state.items() if not value.isfinite().all()]
        if lost:
            raise ModelError(
                f"{', '.join(lost)} have numbers beyond 65504, the largest of 16 bits; save the model with half = False"
            )
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    checksums = {"weights_sha256": _written(folder / WEIGHTS, state), "reference_sha256": ""}
    if model.reference is not None:
        tensors = {name: torch.from_numpy(value) for name, value in model.reference.to_arrays().items()}
        checksums["reference_sha256"] = _written(folder / REFERENCE, tensors)
    write_atomically(folder / README, lambda path: path.write_text(readme_of(model.card), encoding="utf-8"))
    write_json(folder / CARD, card_to_json(model.card) | checksums)
    return folder


def _written(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    write_atomically(path, lambda place: _save(tensors, place))
    return _checksum(path)


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _save(state: dict[str, Any], path: Path) -> None:
    try:
        save_file(state, path)
    except Exception as error:
        # safetensors reports a full disk as an error of its own, with the system's number in its text
        number = next((code for code in (28, 27, 122) if f"os error {code}" in str(error)), None)
        if number is None:
            raise
        raise OSError(number, "no space for the weights", str(path)) from error


def find_model(name: Path | str) -> Path:
    """The folder of a model: the path itself where a model lies there, else that of the shipped model of this name.

    Example:
        >>> find_model("sim-base").name, find_model("mine/model").name
        ('sim-base', 'model')
    """
    path = Path(name)
    if str(name) in SHIPPED and not is_file(path / CARD):
        return Path(__file__).resolve().parents[1] / "shipped" / str(name)
    return path


def read_card(folder: Path | str) -> Card:
    """The card of a model folder or of a shipped model, without its weights.

    Raises:
        ModelError: when there is none, it is of a newer version, or damaged.

    Example:
        >>> read_card("sim-base").architecture
        'sfcn-panel'
    """
    return _read_card(find_model(folder))[0]


def _read_card(folder: Path) -> tuple[Card, dict[str, Any]]:
    if not is_file(folder / CARD):
        raise ModelError(
            f"{str(folder)!r} is no model folder: no {CARD}; make one with "
            f"`neurotransfer pretrain COHORT --targets age,sex --out MODEL`, or use one that comes along: {', '.join(SHIPPED)}"
        )
    try:
        values = migrated(read_json(folder / CARD), str(folder / CARD))
        return card_from_json(values), values
    except ModelError:
        raise
    except _DAMAGED as error:
        raise ModelError(f"{str(folder / CARD)!r} is no valid model card: {error}") from None


def load_model(folder: Path | str) -> Model:
    """A model from its folder, or one that comes with the package by its name (`sim-base`), ready to predict.

    Raises:
        ModelError: when the folder, its card or its weights are absent, damaged or do not fit together: all of it is loaded, or
            nothing.

    Example:
        >>> load_model("nowhere")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.ModelError: 'nowhere' is no model folder: no model.json; make one with ...
    """
    return inspected(folder)[0]


def inspected(folder: Path | str) -> tuple[Model, LoadReport]:
    """As `load_model`, with the report of what became of every tensor.

    Example:
        >>> inspected("sim-base")[1].text
        '364 loaded'
    """
    folder = find_model(folder)
    card, values = _read_card(folder)
    try:
        network = Network(build_encoder(card.architecture, card.arguments), card.targets)
    except ModelError:
        raise
    except _DAMAGED as error:
        raise ModelError(f"{str(folder / CARD)!r} is no valid model card: {error}") from None
    found = _read(folder / WEIGHTS, "weights")
    report = compared(network.state_dict(), found)
    require_whole(report, f"the weights in {str(folder)!r}")
    _require_checksum(folder / WEIGHTS, values["weights_sha256"], "weights")
    network.load_state_dict(found)
    return Model(network.eval(), card, _reference(folder, values["reference_sha256"])), report


def _read(path: Path, what: str) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError, *_DAMAGED) as error:
        reason = " ".join(str(error).split())[:MOST_REASON]
        raise ModelError(
            f"the {what} in {str(path.parent)!r} are absent or damaged ({reason}); copy the model folder again"
        ) from None


def _require_checksum(path: Path, expected: str, what: str) -> None:
    if _checksum(path) != expected:
        raise ModelError(
            f"the {what} in {str(path.parent)!r} are damaged or of another model (not those that {CARD} names by their "
            "checksum); copy the model folder again"
        )


def _reference(folder: Path, checksum: str) -> Reference | None:
    if not checksum:
        return None
    arrays = {name: tensor.numpy() for name, tensor in _read(folder / REFERENCE, "reference numbers").items()}
    _require_checksum(folder / REFERENCE, checksum, "reference numbers")
    try:
        return Reference.from_arrays(arrays)
    except InputError as error:
        raise ModelError(
            f"the reference numbers in {str(folder)!r} are damaged: {error}; copy the model folder again"
        ) from None
