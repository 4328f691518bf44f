"""Arrays of a file of weights as the layers of an SFCN: whose names they bear, in which order their axes are."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from neurotransfer.errors import ModelError, listed
from neurotransfer.models.sfcn import FILTERS
from neurotransfer.models.tensorflow_checkpoint import is_of_training

KERAS, TORCH = "Keras", "PyTorch"
N_LAYERS = len(FILTERS) + 1
NAMED = 6
Named: TypeAlias = tuple[str, np.ndarray]
# what the variables of a layer are called by their number
_NUMBERED = {2: ("kernel", "bias"), 4: ("gamma", "beta", "moving_mean", "moving_variance")}
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_PUBLISHED = re.compile(r"(?P<prefix>.*?)_?(block-(?P<block>\d+)|top)_(conv|norm)")
_STATE = re.compile(r"(?:(?:state_dict|model_state_dict|model)/)?(?:module\.)?(?P<name>[^/]+)")
_EXTRACTOR = re.compile(r"feature_extractor\.conv_(?P<layer>[0-5])\.(?P<part>[01])\.(?P<variable>\w+)")
_OF_TRAINING = re.compile(r"(optim|scheduler|lr_|epoch)|.*(seed_generator|top_level_model_weights)", re.IGNORECASE)


@dataclass(frozen=True)
class HeadLayer:
    """A linear head of a file: its name, weight (n_outputs, n_features) and bias (n_outputs,), each with its name there."""

    name: str
    weight: Named
    bias: Named

    @property
    def n_outputs(self) -> int:
        """How many numbers it puts out."""
        return len(self.bias[1])


@dataclass(frozen=True)
class Layout:
    """What a file of weights holds of an SFCN.

    Attributes:
        framework: `Keras` or `PyTorch`.
        prefix: what the names of its layers begin with, "" where they have none.
        body: tensors of the encoder by their names in a `Network`, each with its name in the file.
        heads: in the order of the file.
        ignored: names of what belongs to the training and not to the network.
    """

    framework: str
    prefix: str
    body: Mapping[str, Named]
    heads: tuple[HeadLayer, ...]
    ignored: tuple[str, ...]

    @property
    def filters(self) -> tuple[int, ...]:
        """Of the five blocks and of the top."""
        return tuple(len(self.body[f"{_place(layer)}.0.weight"][1]) for layer in range(N_LAYERS))


def _place(layer: int) -> str:
    return f"encoder.blocks.{layer}" if layer < N_LAYERS - 1 else "encoder.top"


def layout_of(arrays: Mapping[str, np.ndarray], source: str) -> Layout:
    """The layers of an SFCN among the arrays of a file: each array has its place, or belongs to the training.

    Args:
        arrays: from `read_arrays`.
        source: what messages call the file.

    Raises:
        ModelError: with everything that lacks and all that has no place.
    """
    ignored = tuple(name for name in arrays if is_of_training(name) or _OF_TRAINING.match(name))
    left = {name: array for name, array in arrays.items() if name not in ignored}
    is_torch = any("feature_extractor." in name for name in left)
    framework, (prefix, body, heads, problems) = (TORCH, _of_torch(left)) if is_torch else (KERAS, _of_keras(left))
    used = {name for name, _ in body.values()} | {name for head in heads for name, _ in (head.weight, head.bias)}
    problems += [f"head {head.name} has no list of biases" for head in heads if head.bias[1].ndim != 1]
    foreign = [name for name in left if name not in used]
    if foreign and not (problems and not used):
        problems.append(f"{len(foreign)} arrays have no place in an SFCN ({_some(foreign)})")
    if problems:
        advice = "it is of another network, or damaged; see `neurotransfer models list` for what can be converted"
        raise ModelError(listed(source, problems, advice))
    return Layout(framework, prefix, body, tuple(heads), ignored)


_Found: TypeAlias = tuple[str, dict[str, Named], list[HeadLayer], list[str]]


def _of_torch(arrays: Mapping[str, np.ndarray]) -> _Found:
    body: dict[str, Named] = {}
    head: dict[str, Named] = {}
    for full, array in arrays.items():
        state = _STATE.fullmatch(full)
        name = state["name"] if state else full
        found = _EXTRACTOR.fullmatch(name)
        if found:
            body[f"{_place(int(found['layer']))}.{found['part']}.{found['variable']}"] = (full, array)
        elif name in ("classifier.conv_6.weight", "classifier.conv_6.bias"):
            flat = array.reshape(array.shape[:2]) if array.shape[2:] == (1, 1, 1) else array
            head[name.rpartition(".")[2]] = (full, flat)
    problems = _lacking(body)
    if set(head) != {"weight", "bias"} or head["weight"][1].ndim != 2:
        problems.append("it has no head classifier.conv_6 with filters of one voxel")
        return "", body, [], problems
    return "", body, [HeadLayer("classifier.conv_6", head["weight"], head["bias"])], problems


def _of_keras(arrays: Mapping[str, np.ndarray]) -> _Found:
    layers: dict[str, dict[str, Named]] = {}
    for full, array in arrays.items():
        layer, _, variable = full.rpartition("/")
        layers.setdefault(layer, {})[variable] = (full, array)
    layers = {layer: _with_names(variables) for layer, variables in layers.items()}
    norms = _in_order(layer for layer, variables in layers.items() if set(variables) == set(_NORM))
    kernels = {layer: each["kernel"][1].ndim for layer, each in layers.items() if set(each) == {"kernel", "bias"}}
    convolutions = _in_order(layer for layer, n in kernels.items() if n == 5)
    dense = sorted((layer for layer, n in kernels.items() if n == 2), key=_natural)
    if len(convolutions) != N_LAYERS or len(norms) != N_LAYERS or not dense:
        found = f"{len(convolutions)} convolutions, {len(norms)} batch norms and {len(dense)} heads"
        return "", {}, [], [f"it holds {found}, an SFCN has {N_LAYERS}, {N_LAYERS} and one or more"]
    body: dict[str, Named] = {}
    for place, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
        name, kernel = layers[convolution]["kernel"]
        # Keras keeps x, y, z, in, out
        body[f"{_place(place)}.0.weight"] = (name, kernel.transpose(4, 3, 0, 1, 2))
        body[f"{_place(place)}.0.bias"] = layers[convolution]["bias"]
        body |= {f"{_place(place)}.1.{ours}": layers[norm][theirs] for theirs, ours in _NORM.items()}
    heads = []
    for layer in dense:
        name, kernel = layers[layer]["kernel"]
        heads.append(HeadLayer(layer, (name, kernel.T), layers[layer]["bias"]))
    return _prefix(convolutions), body, heads, _lacking(body)


def _with_names(variables: dict[str, Named]) -> dict[str, Named]:
    numbers = tuple(str(number) for number in range(len(variables)))
    if set(variables) != set(numbers) or len(variables) not in _NUMBERED:
        return variables
    return {name: variables[number] for name, number in zip(_NUMBERED[len(variables)], numbers, strict=True)}


def _in_order(layers: Iterable[str]) -> list[str]:
    """Layers by the places that their published names tell, else by the numbers in their names."""
    return sorted(layers, key=lambda layer: (_published_place(layer), _natural(layer)))


def _published_place(layer: str) -> int:
    found = _PUBLISHED.fullmatch(layer.rpartition("/")[2])
    return -1 if found is None else int(found["block"] or N_LAYERS - 1)


def _prefix(layers: list[str]) -> str:
    found = {match["prefix"] for layer in layers if (match := _PUBLISHED.fullmatch(layer.rpartition("/")[2]))}
    return found.pop() if len(found) == 1 else ""


def _natural(layer: str) -> tuple[tuple[int, str], ...]:
    """A name for sorting: of two that differ in a number the smaller one is first."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", layer))


def _lacking(body: Mapping[str, Named]) -> list[str]:
    parts = [f"0.{name}" for name in ("weight", "bias")] + [f"1.{name}" for name in _NORM.values()]
    wanted = [f"{_place(layer)}.{part}" for layer in range(N_LAYERS) for part in parts]
    absent = [name for name in wanted if name not in body]
    problems = [f"{len(absent)} tensors lack ({_some(absent)})"] if absent else []
    kernels = {_place(layer): 3 if layer < N_LAYERS - 1 else 1 for layer in range(N_LAYERS)}
    shapes = {place: body[f"{place}.0.weight"][1].shape for place in kernels if f"{place}.0.weight" in body}
    wrong = [f"{place}: {shape}" for place, shape in shapes.items() if shape[2:] != (kernels[place],) * 3]
    return problems + ([f"filters of another size than an SFCN has ({_some(wrong)})"] if wrong else [])


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
