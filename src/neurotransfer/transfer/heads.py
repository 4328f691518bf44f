"""Linear heads of raw features: standardised by the training rows, solved exactly, the standardisation folded in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurotransfer.statistics.standardise import standardiser
from neurotransfer.targets import Target
from neurotransfer.transfer.exact import fold, solve_path
from neurotransfer.transfer.strategies import Strategy

# a voxel whose mean over the training images is lower lies outside the brain (volumes go from 0 to 1)
OUTSIDE = 0.2


@dataclass(frozen=True)
class Features:
    """What kind of features a head sees.

    Attributes:
        alike: how many features of one unit follow each other, of every group of them; empty: each has a unit of its own.
        voxels: whether they are voxels, of which those outside the brain count for nothing.
        parts: how many features of which kind lie side by side, where there are several; all parts together vary as much.
    """

    alike: tuple[int, ...] = ()
    voxels: bool = False
    parts: tuple[tuple[int, "Features"], ...] = ()


def kind_of(strategy: Strategy, n_features: int) -> Features:
    """The kind of the features that a strategy with a single encoder learns from.

    Example:
        >>> from neurotransfer.transfer.strategies import STRATEGIES
        >>> kind_of(STRATEGIES["frozen"], 8) == Features((8,)), kind_of(STRATEGIES["linear"], 8) == Features()
        (True, True)
    """
    return Features(() if strategy.encoder == "linear" else (n_features,), strategy.encoder == "voxels")


def solve_heads(
    train: np.ndarray, labels: np.ndarray, target: Target, penalties: Sequence[float], kind: Features
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (S, n_outputs, n_features) and bias (S, n_outputs) of heads on raw features, for S penalties.

    Args:
        train: features of the training rows, (n, n_features).
        labels: theirs, (n,).
        target: what to predict; a continuous one on its standardised scale.
        penalties: see `solve_path`.
        kind: of the features.

    Raises:
        FloatingPointError: when features or labels are not all finite.

    Example:
        >>> train, labels = np.array([[0.0], [2.0]]), np.array([0.0, 4.0])
        >>> weights, bias = solve_heads(train, labels, Target("y", "continuous"), [1.0], Features())
        >>> weights.round(3).tolist(), bias.round(3).tolist()
        ([[[1.333]]], [[0.667]])
    """
    inside = _inside(train, kind)
    kept = np.asarray(train[:, inside], float)
    mean, scale = _standardiser(kept, kind, inside)
    solved = solve_path((kept - mean) / scale, labels, target, penalties)
    weights = np.zeros((len(penalties), target.n_outputs, len(inside)))
    bias = np.zeros((len(penalties), target.n_outputs))
    with np.errstate(over="ignore"):
        for place, one in enumerate(zip(*solved, strict=True)):
            weights[place][:, inside], bias[place] = fold(*one, mean, scale)
    return weights, bias


def _inside(train: np.ndarray, kind: Features) -> np.ndarray:
    """Which features count, (n_features,)."""
    if kind.parts:
        return np.concatenate([_inside(own, part) for own, part in _apart(train, kind)])
    return inside_brain(train.mean(0)) if kind.voxels else np.full(train.shape[1], True)


def _apart(values: np.ndarray, kind: Features) -> Iterator[tuple[np.ndarray, Features]]:
    """The features of each part (..., n_features of it), with its kind."""
    ends = np.cumsum([size for size, _ in kind.parts])
    for (_, part), own in zip(kind.parts, np.split(values, ends[:-1], axis=-1), strict=True):
        yield own, part


def _standardiser(kept: np.ndarray, kind: Features, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if kind.parts:
        return _balanced(kept, kind, inside)
    if not kind.alike:
        return standardiser(kept)
    group = np.repeat(np.arange(len(kind.alike)), kind.alike)[inside]
    mean, scale = np.zeros(len(group)), np.ones(len(group))
    for number in range(len(kind.alike)):
        own = group == number
        mean[own], scale[own] = standardiser(kept[:, own], alike=True)
    return mean, scale


def _balanced(kept: np.ndarray, kind: Features, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The standardisers of all parts, so that a part of many features weighs no more than one of few."""
    where = [own for own, _ in _apart(inside, kind)]
    ends = np.cumsum([own.sum() for own in where])
    found = []
    for own, values, (_, part) in zip(where, np.split(kept, ends[:-1], axis=1), kind.parts, strict=True):
        mean, scale = _standardiser(values, part, own)
        # units that are silent have no share in it
        spread = float(np.square(values.std(0) / scale).sum())
        found.append((mean, scale * np.sqrt((spread or 1.0) * len(where) / len(kept.T))))
    return np.concatenate([mean for mean, _ in found]), np.concatenate([scale for _, scale in found])


def inside_brain(mean: np.ndarray) -> np.ndarray:
    """Which voxels lie in the brain, by their mean over the training images, (n_voxels,)."""
    # where values have another unit than in a volume on a grid, whose tissue is brighter than a half
    return mean >= OUTSIDE * min(1.0, 2 * float(np.percentile(mean, 99)))
