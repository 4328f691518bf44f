"""What the two predictors share: how they are fitted, by the same code and the same streams as `neurotransfer transfer`."""

import numbers
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neurotransfer.cohort import Cohort, Grid, Split, VolumeStore, holdout_split
from neurotransfer.cohort.contract import Input
from neurotransfer.cohort.volumes import ALIGNMENTS
from neurotransfer.estimators.arguments import ArgumentError, array_of, people_of, require, table_of
from neurotransfer.estimators.scans import ScansOnDisk, image_paths, input_of, scans_of
from neurotransfer.models import Card, Model, load_model
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.targets import Target
from neurotransfer.training import Recipe, predictions
from neurotransfer.transfer import (
    STRATEGIES,
    Source,
    fit_best,
    get_strategy,
    inputs_of,
    make_source,
    require_classes,
    settings,
    whole_network,
)

OF_COLUMNS = tuple(name for name, strategy in STRATEGIES.items() if strategy.takes_columns)


class Transfer(BaseEstimator):
    """What `TransferClassifier` and `TransferRegressor` share; see the former for the arguments."""

    def __init__(
        self,
        model: Model | Path | str | None = None,
        strategy: str = "frozen",
        *,
        target: str = "y",
        grid: Mapping[str, Sequence[Any]] | None = None,
        recipe: Recipe | None = None,
        validation_fraction: float = 0.2,
        alignment: str = "world",
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.target = target
        self.grid = grid
        self.recipe = recipe
        self.validation_fraction = validation_fraction
        self.alignment = alignment
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        # only these take regional volumes; the others, and auto too, take volumes of four axes or image paths
        tags.input_tags.two_d_array = self.strategy in OF_COLUMNS
        tags.input_tags.string = self.strategy not in OF_COLUMNS or STRATEGIES[self.strategy].encoder == "several"
        return tags

    def _require_parameters(self) -> None:
        require(
            {
                "model": (self.model, is_model, "a model, its folder, its name, or None"),
                "strategy": (self.strategy, _is_name, "the name of a strategy"),
                "target": (self.target, _is_name, "the name of what is predicted"),
                "grid": (self.grid, lambda grid: grid is None or isinstance(grid, Mapping), "a dict of lists, or None"),
                "recipe": (
                    self.recipe,
                    lambda recipe: recipe is None or isinstance(recipe, Recipe),
                    "a Recipe, or None",
                ),
                "validation_fraction": (self.validation_fraction, _is_number, "a number between 0 and 1"),
                "alignment": (self.alignment, is_alignment, " or ".join(map(repr, ALIGNMENTS))),
                "random_state": (self.random_state, _is_seed, "a whole number of 0 or more"),
            }
        )

    def _fit(self, X: Any, labels: np.ndarray, target: Target, groups: Any) -> None:
        strategy, seed = get_strategy(self.strategy), int(self.random_state)
        model = load_model(self.model) if isinstance(self.model, Path | str) else self.model
        card = model.card if model is not None else None
        inputs = self._inputs(X, card, first=True)
        if len(inputs) != len(labels):
            raise ArgumentError(f"X has {len(inputs)} scans, y {len(labels)} labels; give one label a scan")
        if len(labels) < 2:
            raise ArgumentError(f"X has {len(labels)} sample; one scan cannot both be learnt from and choose a setting")
        split = self._split(labels, target, groups)
        shape = tuple(int(side) for side in inputs.shape[1:])
        columns = tuple(f"column_{index}" for index in range(shape[0])) if len(shape) == 1 else ()
        taken: Any = None if columns else _taken(card, shape)
        source = make_source(strategy, model=model, grid=taken, target=target, columns=columns, seed=seed)
        tried, recipe = settings(strategy, self.grid), self.recipe or Recipe()
        with _material(source, inputs) as material:
            # the same streams as `transfer`: the same scans give the same numbers
            chosen = fit_best(
                source, material, target, labels, split, tried, recipe,
                integer_seed(seed, "transfer", strategy.name, target.name),
                people=np.unique(people_of(groups, len(labels)), return_inverse=True)[1],
            )  # fmt: skip
            del material
        self.network_ = whole_network(source, chosen.fitted)
        self.setting_ = dict(chosen.setting)
        self.blend_ = chosen.fitted.blend
        self.validation_scores_ = dict(chosen.validation_scores)
        self.target_ = self.network_.targets[target.name]
        self.card_ = card
        self.input_shape_ = shape
        self.n_features_in_ = int(np.prod(shape))

    def _split(self, labels: np.ndarray, target: Target, groups: Any) -> Split:
        classes = None if target.kind == "continuous" else labels
        train, validation = holdout_split(
            people_of(groups, len(labels)),
            self.validation_fraction,
            stream(int(self.random_state), "holdout", target.name),
            classes,
        )
        split = Split(train, validation, np.array([], int))
        require_classes(target, labels, split)
        return split

    def _inputs(self, X: Any, card: Card | None, *, first: bool) -> Any:
        if self._is_table(X):
            return table_of(self, X, first=first)
        scans = scans_of(X, card, self.alignment)
        if first:
            # of an earlier fit on columns
            self.__dict__.pop("feature_names_in_", None)
        return scans

    def _is_table(self, X: Any) -> bool:
        if isinstance(X, VolumeStore) or image_paths(X) is not None:
            return False
        n_axes = len(X.shape) if hasattr(X, "shape") else array_of(X).ndim
        if n_axes == 2 and self.strategy not in OF_COLUMNS:
            raise ArgumentError(
                f"X with two axes holds regional volumes, for the strategies {', '.join(OF_COLUMNS)}, not {self.strategy!r}; "
                "give volumes (n, x, y, z) or image paths"
            )
        return n_axes == 2

    def _predictions(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        check_is_fitted(
            self, "network_", msg="This %(name)s instance is not fitted yet; call fit with scans and labels first"
        )
        if len(self.input_shape_) == 1 and not self._is_table(X):
            raise ArgumentError(
                f"X holds scans, fit had regional volumes in {self.input_shape_[0]} columns; give those columns. Reshape your "
                "data: one row of columns is X.reshape(1, -1)"
            )
        inputs = self._inputs(X, self.card_, first=False)
        if tuple(inputs.shape[1:]) != self.input_shape_:
            raise ArgumentError(f"X holds scans of shape {inputs.shape[1:]}, those of fit had {self.input_shape_}")
        return predictions(self.network_, inputs, np.arange(len(inputs)))[self.target_.name]


@contextmanager
def _material(source: Source, inputs: Any) -> Iterator[np.ndarray]:
    """What a strategy trains on: columns, features, or volumes where a network is trained, which read them in every epoch."""
    if source.columns:
        yield inputs
    elif _reads_once(source) or not isinstance(inputs, ScansOnDisk):
        yield inputs_of(source, Cohort("X", pd.DataFrame()), inputs)
    else:
        with TemporaryDirectory() as folder:
            yield inputs_of(source, Cohort("X", pd.DataFrame()), inputs.stored(Path(folder)))


def _reads_once(source: Source) -> bool:
    return source.strategy.on_features and not source.learns_from_volumes


def _taken(card: Card | None, shape: tuple[int, ...]) -> Input:
    return input_of(card) if card is not None else Grid(shape)  # type: ignore[arg-type]


def is_model(value: Any) -> bool:
    """Whether a parameter can be a model."""
    return value is None or isinstance(value, Model | Path | str)


def is_alignment(value: Any) -> bool:
    """Whether a parameter can be an alignment."""
    return isinstance(value, str) and value in ALIGNMENTS


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_seed(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 0
