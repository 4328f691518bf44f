"""A model folder: `weights.safetensors` and `model.json`, the card that says what the weights are and what they take."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
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
from neurotransfer.cohort import Cohort, Grid
from neurotransfer.cohort.preparation import identity_of
from neurotransfer.cohort.volumes import RECIPE
from neurotransfer.errors import InputError, InterruptedRunError, ModelError
from neurotransfer.models.network import Network, build_encoder
from neurotransfer.targets import Target

WEIGHTS, CARD = "weights.safetensors", "model.json"
FORMAT = 1
# models that come with the package
SHIPPED = ("sim-base",)
MOST_REASON = 300
# whatever the values of a card that someone has edited may lead to when a network is made of them
_DAMAGED = (InputError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
_TEXTS = ("name", "architecture", "recipe", "strategy", "salt", "licence", "citation")


@dataclass(frozen=True)
class Card:
    """What a model says of itself: architecture, heads, input contract, provenance, licence and citation.

    `grid` is the grid of the volumes that it takes (None for a model of table columns) and `recipe` how they were made;
    `people` are salted hashes of the participants it was trained on, so that an overlap can be found without names.
    `preparation` is the recipe by which its scans were made model-ready, empty when it is not known (scans in MNI152, say).
    """

    name: str
    architecture: str
    arguments: dict[str, Any]
    targets: tuple[Target, ...]
    grid: Grid | None
    recipe: str = RECIPE
    skull_stripped: bool = True
    intensity_range: tuple[float, float] = (0.0, 1.0)
    strategy: str = "pretrained"
    salt: str = ""
    people: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    licence: str = "unstated"
    citation: str = ""
    preparation: dict[str, Any] = field(default_factory=dict)

    def overlap(self, cohort: Cohort) -> set[str]:
        """The participants of a cohort whom the model was trained on (same cohort name and participant_id)."""
        known = set(self.people)
        return {person for person in set(cohort.participants) if hashed(self.salt, cohort.name, person) in known}


@dataclass(frozen=True)
class Model:
    """A network with its card; `load_model` and `save_model` are its way from and to disk."""

    network: Network
    card: Card


def hashed(salt: str, cohort: str, participant: str) -> str:
    """A participant as a salted hash of 16 hexadecimal digits.

    Example:
        >>> len(hashed("salt", "study", "sub-01"))
        16
    """
    return hashlib.sha256(f"{salt}|{cohort}|{participant}".encode()).hexdigest()[:16]


def people_of(cohorts: Iterable[Cohort], salt: str = "") -> tuple[str, tuple[str, ...]]:
    """The salt (a fresh one when it is not given), and the sorted hashes of every participant of the cohorts."""
    salt = salt or secrets.token_hex(8)
    people = {hashed(salt, cohort.name, person) for cohort in cohorts for person in cohort.participants}
    return salt, tuple(sorted(people))


def require_new(folder: Path) -> None:
    """Refuse to write a model where one lies already; called before a long fit."""
    if is_file(folder / CARD) or is_folder(folder / CARD):
        raise ModelError(f"a model lies already in {str(folder)!r}; give another --out, or remove that folder")


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """A folder for a model that is yet to be fitted: made and tried before, and taken away when nothing came of it.

    Raises:
        ModelError: when a model lies there already.
        StorageError: when it cannot be written, found out before the fit and not after.
        InterruptedRunError: when the fit is interrupted.
    """
    require_new(folder)
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
    """Write weights, then the card, whose existence means that the model is complete; returns the folder.

    `half` keeps weights in 16 bits, rounded to three digits, in half the space; they are read as float32 again.

    Raises:
        ModelError: when a model lies there already, or has numbers that 16 bits do not hold.
        StorageError: when the place cannot be written.
    """
    require_new(folder)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.network.state_dict().items()}
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        lost = [name for name, value in state.items() if not value.isfinite().all()]
        if lost:
            raise ModelError(
                f"{', '.join(lost)} have numbers beyond 65504, the largest of 16 bits; save the model with half = False"
            )
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, lambda path: _save(state, path))
    write_json(folder / CARD, _to_json(model.card) | {"weights_sha256": _checksum(folder)})
    return folder


def _checksum(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def _save(state: dict[str, Any], path: Path) -> None:
    try:
        save_file(state, path)
    except Exception as error:
        # safetensors reports a full disk as an error of its own, with the system's number in its text
        number = next((code for code in (28, 27, 122) if f"os error {code}" in str(error)), None)
        if number is None:
            raise
        raise OSError(number, "no space for the weights", str(path)) from error


def _to_json(card: Card) -> dict[str, Any]:
    values = asdict(card)
    return {"format": FORMAT} | values | {"targets": [target.to_dict() for target in card.targets]}


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


def load_model(folder: Path | str) -> Model:
    """A model from its folder, or one that comes with the package by its name (`sim-base`), ready to predict.

    Raises:
        ModelError: when the folder, its card or its weights are absent, damaged or do not fit together.

    Example:
        >>> load_model("nowhere")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.ModelError: 'nowhere' is no model folder: no model.json; make one with ...
    """
    folder = find_model(folder)
    if not is_file(folder / CARD):
        raise ModelError(
            f"{str(folder)!r} is no model folder: no {CARD}; make one with "
            f"`neurotransfer pretrain COHORT --targets age,sex --out MODEL`, or use one that comes along: {', '.join(SHIPPED)}"
        )
    try:
        values = read_json(folder / CARD)
        card = _from_json(values, folder)
        network = Network(build_encoder(card.architecture, card.arguments), card.targets)
    except ModelError:
        raise
    except _DAMAGED as error:
        raise ModelError(f"{str(folder / CARD)!r} is no valid model card: {error}") from None
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:
        reason = " ".join(str(error).split())[:MOST_REASON]
        raise ModelError(f"the weights in {str(folder)!r} are absent, damaged or of another model ({reason})") from None
    if _checksum(folder) != values["weights_sha256"]:
        raise ModelError(
            f"the weights in {str(folder)!r} are damaged or of another model (not those of weights_sha256 in {CARD}); copy "
            "the model folder again"
        )
    return Model(network.eval(), card)


def _from_json(values: Any, folder: Path) -> Card:
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ModelError(
            f"{str(folder / CARD)!r} is not a model card of format {FORMAT}; update neurotransfer or the card"
        )
    # cards that are older than recipes of preparation do not speak of them
    values = {"preparation": {}} | values
    absent = [key for key in (*Card.__dataclass_fields__, "weights_sha256") if key not in values]
    if absent:
        raise InputError(f"no {', '.join(absent)}")
    grid = values["grid"]
    card = Card(
        **{key: value for key, value in values.items() if key not in ("format", "weights_sha256")}
        | {
            "targets": tuple(Target.from_dict(target) for target in values["targets"]),
            "grid": None if grid is None else Grid(tuple(grid["shape"]), grid["voxel_size_mm"]),
            "people": tuple(values["people"]),
            "intensity_range": tuple(values["intensity_range"]),
        }
    )
    _check_values(card)
    return card


def _check_values(card: Card) -> None:
    names = [target.name for target in card.targets]
    wrong = [key for key in _TEXTS if not isinstance(getattr(card, key), str)]
    wrong += [key for key in ("arguments", "provenance", "preparation") if not isinstance(getattr(card, key), dict)]
    wrong += [] if len(set(names)) == len(names) and all(isinstance(name, str) for name in names) else ["targets"]
    if not all(isinstance(person, str) for person in card.people):
        wrong.append("people")
    low, high = card.intensity_range
    if not low < high:
        wrong.append("intensity_range")
    if wrong:
        raise InputError(f"unusable {', '.join(wrong)}")


def require_preparation(card: Card, cohort: Cohort) -> None:
    """Refuse scans that were prepared by another recipe than those that a model knows; what is not known is not refused.

    Raises:
        ModelError: saying what was found, what is allowed and the command that mends it.
    """
    found, known = identity_of(cohort.preparation), identity_of(card.preparation)
    if found and known and found != known:
        raise ModelError(
            f"model {card.name!r} knows scans prepared by recipe {known}, those of {cohort.name!r} were by {found}; run "
            f"`neurotransfer prepare INPUT OUT --recipe {card.preparation['Recipe']}` on the raw scans and use OUT"
        )


def check_volumes(card: Card, volumes: np.ndarray) -> None:
    """Refuse volumes (n, x, y, z) that do not fit the input contract of a model.

    Raises:
        ModelError: saying what was found, what is allowed and what to do.
    """
    if card.grid is None:
        raise ModelError(f"model {card.name!r} takes columns of a table, not volumes")
    if card.recipe != RECIPE:
        raise ModelError(
            f"model {card.name!r} takes volumes of recipe {card.recipe!r}, this version makes {RECIPE!r}; use the version "
            "of neurotransfer that made the model"
        )
    if volumes.ndim != 4 or tuple(volumes.shape[1:]) != card.grid.shape:
        raise ModelError(
            f"model {card.name!r} takes volumes of shape {card.grid.shape} at {card.grid.voxel_size_mm:g} mm, got "
            f"{tuple(volumes.shape[1:])}; read the scans with read_cohort and the grid of the model, or use a study without grid"
        )
    sample = np.asarray(volumes[:: max(1, len(volumes) // 16)], np.float32)
    low, high = card.intensity_range
    if sample.size and (sample.min() < low or sample.max() > high or not np.isfinite(sample).all()):
        raise ModelError(
            f"model {card.name!r} takes values from {low:g} to {high:g}, got {sample.min():g} to {sample.max():g}; "
            "make the volumes with neurotransfer.cohort.load_volume"
        )
