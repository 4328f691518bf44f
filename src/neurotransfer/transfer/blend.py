"""The strategy `auto`: linear heads of several kinds, weighed by what they predict of training people whom they have not seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurotransfer.cohort import Split
from neurotransfer.cohort.folds import deal_folds
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.statistics.stacking import likelihood_weights, row_losses, stack
from neurotransfer.targets import Target
from neurotransfer.training import Recipe
from neurotransfer.transfer.exact import solve_path
from neurotransfer.transfer.heads import Features, solve_heads
from neurotransfer.transfer.learners import Learner, train_folds
from neurotransfer.transfer.members import MEMBERS, View, views_of
from neurotransfer.transfer.source import Source
from neurotransfer.transfer.strategies import PENALTY_GRID

PENALTIES = PENALTY_GRID["penalty"]
FOLDS = 5
# what it costs to leave the prior of the stacking: so many people's worth of loss
CAUTION = 3.0


@dataclass(frozen=True, eq=False)
class Blend:
    """A head on all features, and what it is made of.

    Attributes:
        target: what it predicts, standardised.
        weights: (n_outputs, n_features and those of the learners one after another).
        bias: (n_outputs,).
        learners: trained networks, whose outputs follow the features.
        record: `shares`: of every member, their sum 1, that of the mean below 0 where what the others see adds up or is stretched;
            `penalties`: of every member that has them, the geometric mean.
    """

    target: Target
    weights: np.ndarray
    bias: np.ndarray
    learners: tuple[Learner, ...]
    record: Mapping[str, Mapping[str, float]]


def blend_heads(
    source: Source,
    inputs: Any,
    target: Target,
    labels: np.ndarray,
    split: Split,
    people: np.ndarray | None,
    recipe: Recipe,
    seed: int,
) -> Blend:
    """The blend of all members that are possible.

    Every member is fitted with all its penalties on the training rows of four of five folds of the participants, and predicts the
    rows of the fifth; fitted on all training rows it predicts the validation rows. By these predictions, of people whom a fit has
    not seen, the penalties of a member are averaged (`likelihood_weights`), and the members weighed (`stack`) by how far they
    depart from the mean of the labels, with a prior that holds them near what each alone deserves. The heads that are blended are
    those fitted on all training rows. All are linear, and so is the blend. Networks that are trained are those of the folds, and
    what they say together is their mean.

    With too few people, or a class that one fold holds whole, there are fewer folds; without folds and validation rows nothing can be
    judged, and the mean of the training labels is all there is.

    Args:
        source: of the strategy `auto`.
        inputs: features of every row, (n_rows, n_features), and volumes where networks take them, see `Beside`.
        target: what to predict.
        labels: of every row, (n_rows,).
        split: its training and validation rows; test rows are not looked at.
        people: the participant of every row, as whole numbers (n_rows,); None where each row is of somebody else.
        recipe: of networks that are trained.
        seed: of everything random.

    Raises:
        FloatingPointError: when features or labels are not all finite.
        MemoryError, OSError, StorageError: when memory, disk or device are short.
    """
    target, known = target.scaled_to(labels[split.train]), labels[split.train]
    people = np.arange(len(inputs)) if people is None else people
    classes = None if target.kind == "continuous" else known.astype(int)
    folds = folds_of(people[split.train], classes, stream(seed, "blend"))
    judged, given = _judged(split, folds), _Given.of(inputs, target, known, split, folds, recipe, seed)
    found = {}
    for name, view in views_of(source, target).items():
        solved = _solved(name, view, given) if len(judged) or name == "mean" else None
        if solved is not None:
            found[name] = solved
    rows = np.concatenate([split.train, split.validation])[judged]
    seen = {name: solved.outputs[:, judged] for name, solved in found.items()}
    shares, inner = _weigh(target, seen, labels[rows], len(np.unique(people[rows])))
    return Blend(
        target, *_summed(given, found, shares, inner), {"shares": shares, "penalties": _penalties(found, inner)}
    )


def _summed(
    given: "_Given", found: Mapping[str, "_Solved"], shares: Mapping[str, float], inner: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, tuple[Learner, ...]]:
    """Weights, bias and learners of a blend; networks that have no share are left out."""
    n_outputs = given.target.n_outputs
    weights, bias, learners = np.zeros((n_outputs, given.train.shape[1])), np.zeros(n_outputs), []
    beside = []
    for name, solved in found.items():
        weights[:, solved.columns] += shares[name] * np.tensordot(inner[name], solved.weights, 1)
        bias += shares[name] * inner[name] @ solved.bias
        if solved.learner is not None and shares[name] > 0:
            learners.append(solved.learner)
            beside.append(shares[name] * np.eye(n_outputs))
    return np.concatenate([weights, *beside], 1), bias, tuple(learners)


def folds_of(people: np.ndarray, classes: np.ndarray | None, generator: np.random.Generator) -> np.ndarray | None:
    """The fold of every training row (n,): five, or as few as two where people or classes allow no more; None for one person.

    Where some class has a single person, folds are dealt without regard to classes.

    Example:
        >>> folds_of(np.array([3, 3, 5]), None, np.random.default_rng(0)).tolist()
        [0, 0, 1]
    """
    for among in [classes, None] if classes is not None else [None]:
        for n_folds in range(FOLDS, 1, -1):
            found = deal_folds(people, n_folds, generator, among)
            if found is not None:
                return found
    return None


def _judged(split: Split, folds: np.ndarray | None) -> np.ndarray:
    """Places among training and validation rows, one after another, whose predictions count: of a row that was drawn often one."""
    start = len(split.train) if folds is None else 0
    return start + np.unique(np.concatenate([split.train, split.validation])[start:], return_index=True)[1]


def _weigh(
    target: Target, seen: Mapping[str, np.ndarray], labels: np.ndarray, n_people: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Shares of the members, and the weights (S,) of each one's penalties, from outputs (S, n, n_outputs) of judged rows."""
    if len(seen) == 1:
        return dict.fromkeys(seen, 1.0), {
            name: np.full(len(outputs), 1 / len(outputs)) for name, outputs in seen.items()
        }
    losses = {name: row_losses(target, outputs, labels).mean(-1) for name, outputs in seen.items()}
    variance = min(float(values.min()) for values in losses.values())
    inner = {name: likelihood_weights(target, values, n_people, variance) for name, values in losses.items()}
    mixed = {name: np.tensordot(inner[name], outputs, 1) for name, outputs in seen.items()}
    own = np.array([row_losses(target, outputs, labels).mean() for outputs in mixed.values()])
    # half of it equal shares, half what each alone deserves: what the labels say may always overrule it
    prior = dict(zip(seen, (likelihood_weights(target, own, n_people, variance) + 1 / len(own)) / 2, strict=True))
    others = [name for name in seen if name != "mean"]
    weights = stack(
        target, np.stack([mixed[name] for name in others]), labels, np.array([prior[name] for name in others]),
        CAUTION / n_people, mixed["mean"],
    )  # fmt: skip
    shares = {"mean": 1 - float(weights.sum())} | dict(zip(others, weights.tolist(), strict=True))
    return shares, inner


def _penalties(found: Mapping[str, "_Solved"], inner: Mapping[str, np.ndarray]) -> dict[str, float]:
    known = {name: inner[name] for name in found if len(inner[name]) == len(PENALTIES)}
    return {name: float(np.exp(weights @ np.log(PENALTIES))) for name, weights in known.items()}


@dataclass(frozen=True, eq=False)
class _Given:
    """What members learn from: training features (n, d) and their labels, features of the validation rows, folds."""

    inputs: Any
    target: Target
    labels: np.ndarray
    split: Split
    folds: np.ndarray | None
    recipe: Recipe
    seed: int
    train: np.ndarray
    others: np.ndarray

    @classmethod
    def of(
        cls,
        inputs: Any,
        target: Target,
        labels: np.ndarray,
        split: Split,
        folds: np.ndarray | None,
        recipe: Recipe,
        seed: int,
    ) -> "_Given":
        train = np.asarray(inputs[split.train])
        others = np.asarray(inputs[split.validation]) if len(split.validation) else np.zeros((0, train.shape[1]))
        return cls(inputs, target, labels, split, folds, recipe, seed, train, others)


@dataclass(frozen=True, eq=False)
class _Solved:
    """The heads of a member, fitted on all training rows, and its outputs of judged rows by fits that have not seen them.

    `outputs` are (S, n_judged, n_outputs) of S penalties, `weights` (S, n_outputs, k) and `bias` (S, n_outputs). Networks that are
    trained are a `learner` in place of heads, and S is 1.
    """

    outputs: np.ndarray
    columns: slice
    weights: np.ndarray
    bias: np.ndarray
    learner: Learner | None = None


def _solved(name: str, view: View, given: _Given) -> _Solved | None:
    """A member; None where it cannot be trained."""
    if view.learner is not None:
        return _trained(name, view, view.learner, given)
    columns, folds = view.columns or slice(0), given.folds
    train, seen, target = given.train[:, columns], given.others[:, columns], given.target
    weights, bias = _heads(view, train, given.labels, target)
    own = np.zeros((len(weights), len(train), target.n_outputs))
    for k in range(0 if folds is None else int(folds.max()) + 1):
        out = folds == k
        own[:, out] = _outputs(*_heads(view, train[~out], given.labels[~out], target), train[out])
    return _Solved(np.concatenate([own, _outputs(weights, bias, seen)], 1), columns, weights, bias)


def _trained(name: str, view: View, start: Source, given: _Given) -> _Solved | None:
    if given.folds is None:
        return None
    found = train_folds(
        start, view.columns, given.inputs, given.target, given.labels, given.split.train, given.folds, MEMBERS[name].setting,
        given.recipe, integer_seed(given.seed, "blend", name),
    )  # fmt: skip
    if found is None:
        return None
    learner, own = found
    seen = np.concatenate([own, learner.seen(given.inputs, given.split.validation)])[None]
    return _Solved(seen, slice(0), np.zeros((1, seen.shape[2], 0)), np.zeros((1, seen.shape[2])), learner)


def _heads(view: View, train: np.ndarray, labels: np.ndarray, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Weights (S, n_outputs, k) and bias (S, n_outputs) of a member's heads on its own features (n, k)."""
    if not train.shape[1]:
        weights, bias = solve_path(np.zeros((len(train), 1)), labels, target, [1.0])
        return weights[:, :, :0], bias
    if view.known is None:
        return solve_heads(train, labels, target, PENALTIES, view.kind)
    weights, bias = view.known
    slopes, moved = solve_heads(train @ weights.T + bias, labels, target, PENALTIES, Features())
    return np.concatenate([weights[None], slopes @ weights]), np.concatenate([bias[None], moved + slopes @ bias])


def _outputs(weights: np.ndarray, bias: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Outputs (S, n, n_outputs) of heads for features (n, k)."""
    return np.einsum("sok,nk->sno", weights, features, optimize=True) + bias[:, None]
