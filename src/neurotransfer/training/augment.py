"""Random changes of training volumes: what may happen and how much, drawn apart from how it is done to a batch."""

from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotransfer.errors import InputError, listed, unknown
from neurotransfer.training.warp import blurred, shifted, warped

# name: (highest, in words); all are 0 or more, 0 is off
_RANGES: dict[str, tuple[float, str]] = {
    "shift": (64, "voxels, 0 to 64"),
    "flip": (1, "a probability, 0 to 1"),
    "rotation": (45, "degrees, 0 to 45"),
    "scale": (0.5, "a share of the size, 0 to 0.5"),
    "shear": (0.5, "0 to 0.5"),
    "elastic": (16, "voxels, 0 to 16"),
    "gamma": (1, "a natural logarithm, 0 to 1"),
    "gain": (0.5, "a share of the brightness, 0 to 0.5"),
    "bias": (1, "a share of the brightness from side to side, 0 to 1"),
    "noise": (0.5, "a standard deviation in a range of 0 to 1, 0 to 0.5"),
    "blur": (4, "voxels, 0 to 4"),
    "slices": (0.5, "a share of the slices, 0 to 0.5"),
    "probability": (1, "a probability, 0 to 1"),
}
# places of the coarse grid that elastic displacements are drawn at, on every axis
COARSE = 5
# intensities stay clear of 0 when a power of them is taken
_LEAST = 1e-6


@dataclass(frozen=True)
class Augmentation:
    """How much a training volume may change; 0 switches a part off.

    Every part happens to a volume with `probability` (the flip with its own; rotation, scale, shear and elastic together)
    and then draws its strength evenly from 0, or from -s to s, to what stands here. Volumes are on a grid in RAS: the first axis
    runs from left to right.

    Attributes:
        shift: whole voxels along every axis.
        flip: probability of a mirror image, left for right; not for targets that have a side, such as handedness.
        rotation: degrees about every axis.
        scale: share of the size along every axis.
        shear: tangent of the angle between two axes.
        elastic: voxels of smooth displacement (the standard deviation at 5 x 5 x 5 places).
        gamma: natural logarithm of the power that intensities are raised to.
        gain: share of the brightness.
        bias: share of the brightness from one side of the volume to the other, along every axis.
        noise: standard deviation of Gaussian noise inside the head.
        blur: standard deviation of a Gaussian, in voxels.
        slices: share of the slices of one axis that are lost, in one block.
        probability: of every part but the flip.

    Raises:
        InputError: with all values that cannot be.

    Example:
        >>> drawn = sample(Augmentation(noise=0.1), 2, (32, 32, 32), np.random.default_rng(0))
        >>> apply(torch.zeros(2, 1, 32, 32, 32), drawn).shape
        torch.Size([2, 1, 32, 32, 32])
    """

    shift: float = 0.0
    flip: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    gamma: float = 0.0
    gain: float = 0.0
    bias: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    slices: float = 0.0
    probability: float = 0.25

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {words}, got {getattr(self, name)!r}"
            for name, (highest, words) in _RANGES.items()
            if not (isinstance(getattr(self, name), Real) and 0 <= getattr(self, name) <= highest)
        ]
        if problems:
            raise InputError(listed("the augmentation", problems))

    def without_flip(self) -> "Augmentation":
        """The same without mirror images, for targets that have a side."""
        return replace(self, flip=0.0)


PRESETS: dict[str, Augmentation | None] = {
    "none": None,
    "light": Augmentation(shift=2, flip=0.5, gain=0.1, noise=0.02),
    "standard": Augmentation(
        shift=3, flip=0.5, rotation=8, scale=0.08, shear=0.05, elastic=1.0, gamma=0.2, gain=0.1, bias=0.2, noise=0.03,
        blur=0.8, slices=0.05,
    ),
}  # fmt: skip


def preset(name: str, flip: bool = True) -> Augmentation | None:
    """A preset by its name, without mirror images where they are not wanted.

    Raises:
        InputError: when there is none of that name.

    Example:
        >>> preset("light", flip=False).flip
        0.0
    """
    if name not in PRESETS:
        raise InputError(unknown("augmentation", name, PRESETS))
    found = PRESETS[name]
    return found if found is None or flip else found.without_flip()


@dataclass(frozen=True)
class Parameters:
    """What was drawn for n volumes: numbers only, whatever the volumes are and wherever they lie.

    Attributes:
        flip: (n,), True for a mirror image.
        shift: (n, 3), whole voxels.
        affine: (n, 3, 3), where a voxel comes from is (identity + affine) times its place from the centre.
        elastic: (n, 3, 5, 5, 5), displacements at coarse places, voxels.
        gamma: (n,), the power; 1 changes nothing.
        gain: (n,), the factor; 1 changes nothing.
        bias: (n, 3), shares from side to side.
        noise: (n,), standard deviations.
        seeds: (n,), of the noise.
        blur: (n,), standard deviations in voxels.
        slices: (n, 3), axis, first and last (not included) lost slice.
    """

    flip: np.ndarray
    shift: np.ndarray
    affine: np.ndarray
    elastic: np.ndarray
    gamma: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    noise: np.ndarray
    seeds: np.ndarray
    blur: np.ndarray
    slices: np.ndarray

    def of(self, rows: np.ndarray) -> "Parameters":
        """Those of some of the volumes."""
        return Parameters(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def sample(
    augmentation: Augmentation, n: int, shape: tuple[int, ...], generator: np.random.Generator
) -> Parameters:  # fmt: skip
    """Draw what happens to n volumes of a shape (x, y, z).

    Example:
        >>> sample(Augmentation(), 3, (8, 8, 8), np.random.default_rng(0)).gain
        array([1., 1., 1.])
    """

    def drawn(strength: float, *sides: int) -> np.ndarray:
        happens = generator.random((n,) + (1,) * len(sides)) < augmentation.probability
        return np.where(happens, generator.uniform(-strength, strength, (n, *sides)), 0.0)

    strength = asdict(augmentation)
    # one interpolation does all that moves voxels by less than one: the parts of it happen together
    moves = generator.random((n, 1)) < augmentation.probability
    turn, scale, shear = (
        np.where(moves, generator.uniform(-1, 1, (n, 3)), 0.0) * strength[name]
        for name in ("rotation", "scale", "shear")
    )
    bends = generator.normal(size=(n, 3, COARSE, COARSE, COARSE)) * strength["elastic"]
    elastic = np.where(moves.reshape(n, 1, 1, 1, 1), bends, 0.0)
    axis, share = generator.integers(3, size=n), np.abs(drawn(strength["slices"]))
    sides = np.array(shape)[axis]
    lost = np.round(share * sides).astype(int)
    first = (generator.random(n) * (sides - lost + 1)).astype(int)
    return Parameters(
        flip=generator.random(n) < augmentation.flip,
        shift=np.round(drawn(strength["shift"], 3)).astype(int),
        affine=np.stack([_affine(*each) for each in zip(np.deg2rad(turn), scale, shear, strict=True)]),
        elastic=elastic,
        gamma=np.exp(drawn(strength["gamma"])),
        gain=1 + drawn(strength["gain"]),
        bias=drawn(strength["bias"], 3),
        noise=np.abs(drawn(strength["noise"])),
        seeds=generator.integers(2**62, size=n),
        blur=np.abs(drawn(strength["blur"])),
        slices=np.stack([axis, first, first + lost], 1),
    )


def _affine(turn: np.ndarray, scale: np.ndarray, shear: np.ndarray) -> np.ndarray:
    """Rotations about x, then y, then z, after scaling and shearing, less the identity."""
    if not (turn.any() or scale.any() or shear.any()):
        return np.zeros((3, 3))
    turned = np.eye(3)
    for axis, angle in enumerate(turn):
        one, other = [place for place in range(3) if place != axis]
        matrix = np.eye(3)
        matrix[[one, other], [one, other]] = np.cos(angle)
        matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
        turned = matrix @ turned
    sheared = np.eye(3)
    sheared[[0, 0, 1], [1, 2, 2]] = shear
    return turned @ sheared @ np.diag(1 + scale) - np.eye(3)


def apply(volumes: Tensor, parameters: Parameters) -> Tensor:
    """Volumes (n, 1, x, y, z) with values 0 to 1, changed as drawn; same shape, type and device.

    In this order: flip, shift, affine and elastic in one linear interpolation, blur, gamma, gain and bias, noise inside the
    head, lost slices; the result lies in 0 to 1. A part costs nothing for the volumes that it does not happen to.

    Example:
        >>> drawn = sample(Augmentation(flip=1), 1, (3, 1, 1), np.random.default_rng(0))
        >>> apply(torch.tensor([0.1, 0.2, 0.3]).reshape(1, 1, 3, 1, 1), drawn).flatten()
        tensor([0.3000, 0.2000, 0.1000])
    """
    changed = volumes.clone()
    _each(changed, parameters.flip, lambda part, rows: part.flip(2))
    _each(changed, np.any(parameters.shift, 1), lambda part, rows: shifted(part, parameters.shift[rows]))
    moved = np.logical_or(parameters.affine.any((1, 2)), parameters.elastic.any((1, 2, 3, 4)))
    _each(changed, moved, lambda part, rows: warped(part, parameters.affine[rows], parameters.elastic[rows]))
    _each(changed, parameters.blur > 0, lambda part, rows: blurred(part, parameters.blur[rows]))
    _each(changed, parameters.gamma != 1, lambda part, rows: _powered(part, parameters.gamma[rows]))
    lit = np.logical_or(parameters.gain != 1, parameters.bias.any(1))
    _each(changed, lit, lambda part, rows: _lit(part, parameters.gain[rows], parameters.bias[rows]))
    _each(changed, parameters.noise > 0, lambda part, rows: _noisy(part, parameters, rows))
    for volume, (axis, first, last) in zip(changed, parameters.slices, strict=True):
        volume.narrow(int(axis) + 1, int(first), int(last - first)).zero_()
    return changed.clamp_(0, 1)


def _each(volumes: Tensor, happens: Any, change: Any) -> None:
    rows = np.flatnonzero(happens)
    if len(rows):
        volumes[rows] = change(volumes[rows], rows).to(volumes.dtype)


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device, like.dtype).reshape(-1, 1, 1, 1, 1)


def _powered(volumes: Tensor, gamma: np.ndarray) -> Tensor:
    return torch.where(volumes > _LEAST, volumes.clamp(min=_LEAST) ** _column(gamma, volumes), volumes)


def _lit(volumes: Tensor, gain: np.ndarray, bias: np.ndarray) -> Tensor:
    light = _column(gain, volumes)
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = volumes.shape[axis + 2]
        across = torch.linspace(-0.5, 0.5, shape[axis + 2], device=volumes.device, dtype=volumes.dtype).reshape(shape)
        light = light * (1 + _column(bias[:, axis], volumes) * across)
    return volumes * light


def _noisy(volumes: Tensor, parameters: Parameters, rows: np.ndarray) -> Tensor:
    changed = []
    for volume, seed, spread in zip(volumes, parameters.seeds[rows], parameters.noise[rows], strict=True):
        generator = torch.Generator(volumes.device).manual_seed(int(seed))
        noise = torch.randn(volume.shape, generator=generator, device=volumes.device) * float(spread)
        changed.append(torch.where(volume > 0, volume + noise.to(volume.dtype), volume))
    return torch.stack(changed)
