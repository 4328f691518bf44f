"""The strategies as scikit-learn estimators: arrays or image paths in, predictions out."""

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from neurotransfer.cohort import Cohort, Grid, Split, holdout_split, load_volume
from neurotransfer.errors import InputError
from neurotransfer.models.folder import Card, Model, check_volumes, load_model
from neurotransfer.seeding import integer_seed, stream
from neurotransfer.targets import Target, as_text, infer_target
from neurotransfer.training import Recipe, predictions
from neurotransfer.transfer import (
    fit_best,
    get_strategy,
    inputs_of,
    make_source,
    require_classes,
    settings,
    whole_network,
)


class _Transfer(BaseEstimator):
    """What the two estimators share; see `TransferClassifier`."""

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

    def _fit(self, X: Any, labels: np.ndarray, target: Target, groups: Any) -> None:
        strategy, seed = get_strategy(self.strategy), _seed(self.random_state)
        model = load_model(self.model) if isinstance(self.model, Path | str) else self.model
        card = model.card if model is not None else None
        inputs = self._inputs(X, card)
        people = np.arange(len(labels)) if groups is None else np.asarray(groups)
        if len(inputs) != len(labels) or people.shape != (len(inputs),):
            raise InputError(
                f"X has {len(inputs)} scans, y {len(labels)} labels and groups {people.shape}; they must be as many"
            )
        classes = None if target.kind == "continuous" else labels
        train, validation = holdout_split(
            people.astype(str), self.validation_fraction, stream(seed, "holdout", target.name), classes
        )
        split = Split(train, validation, np.array([], int))
        require_classes(target, labels, split)
        columns = tuple(f"column_{index}" for index in range(inputs.shape[1])) if inputs.ndim == 2 else ()
        grid = None if columns else _grid(card) or Grid(tuple(inputs.shape[1:]))
        source = make_source(strategy, model=model, grid=grid, target=target, columns=columns, seed=seed)
        material = inputs if columns else inputs_of(source, _nobody(), inputs, model)
        # the same streams as `transfer`: the same scans give the same numbers
        chosen = fit_best(
            source, material, target, labels, split, settings(strategy, self.grid), self.recipe or Recipe(),
            integer_seed(seed, "transfer", strategy.name, target.name),
        )  # fmt: skip
        self.network_ = whole_network(source, chosen.fitted)
        self.setting_ = dict(chosen.setting)
        self.validation_scores_ = dict(chosen.validation_scores)
        self.target_ = self.network_.targets[target.name]
        self.card_ = card
        self.input_shape_ = tuple(inputs.shape[1:])
        self.n_features_in_ = int(np.prod(self.input_shape_))

    def _inputs(self, X: Any, card: Card | None) -> np.ndarray:
        if _are_paths(X):
            grid = _grid(card)
            if grid is None:
                raise InputError(
                    "image paths need a model, whose grid they are laid on; give model, or an array of volumes"
                )
            return np.stack([load_volume(Path(path), grid, alignment=self.alignment) for path in X])
        values = np.asarray(X, np.float32)
        if values.ndim not in (2, 4):
            raise InputError(
                f"X is image paths, volumes (n, x, y, z) or regional volumes (n, columns), got {values.shape}"
            )
        if not np.isfinite(values).all():
            raise InputError("X has missing or infinite values; leave those scans out, or fill them in first")
        if values.ndim == 2:
            if self.strategy != "linear":
                raise InputError(
                    f"X with two axes holds regional volumes, for the strategy 'linear', not {self.strategy!r}"
                )
            return values
        if card is not None:
            check_volumes(card, values)
        elif values.size and (values.min() < 0 or values.max() > 1):
            raise InputError(
                f"volumes have values from 0 to 1, got {values.min():g} to {values.max():g}; make them with "
                "neurotransfer.cohort.load_volume"
            )
        return values

    def _predictions(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        check_is_fitted(self, "network_")
        inputs = self._inputs(X, self.card_)
        if inputs.shape[1:] != self.input_shape_:
            raise InputError(f"X holds scans of shape {inputs.shape[1:]}, those of fit had {self.input_shape_}")
        return predictions(self.network_, inputs, np.arange(len(inputs)))[self.target_.name]


class TransferClassifier(ClassifierMixin, _Transfer):
    """Classify scans by one of the strategies.

    A fifth of the people (`validation_fraction`; by `groups` where people have several scans) chooses the setting and the
    epoch. `X` is image paths, volumes (n, x, y, z) on the grid of the model with values 0 to 1, or, for the strategy
    `linear`, regional volumes (n, columns).

    Args:
        model: a model or its folder; None for strategies that need none.
        strategy: a name of `neurotransfer.transfer.STRATEGIES`.
        target: what y is called; `transferred` needs the name that the model knows it by.
        grid: settings in place of the strategy's nine.
        recipe: epochs, batch size and so on.
        validation_fraction: of the people.
        alignment: of image paths, see `neurotransfer.cohort.load_volume`.
        random_state: the seed, a whole number.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> regions, patient = generator.normal(size=(60, 5)), np.repeat(["no", "yes"], 30)
        >>> regions[patient == "yes", 0] += 4
        >>> classifier = TransferClassifier(strategy="linear").fit(regions, patient)
        >>> float(classifier.score(regions, patient)) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> "TransferClassifier":
        """Fit to scans (n, ...) and labels (n,); `groups` (n,) says whose scan it is."""
        values = _column(y)
        labels = pd.Series(values)
        text = as_text(labels)
        if text.isna().any():
            raise InputError("y has missing labels; leave those scans out")
        self.classes_ = np.unique(values)
        if text.nunique() < len(self.classes_):
            raise InputError(f"y has labels that differ by spaces only: {', '.join(map(repr, self.classes_))}")
        kind = "binary" if len(self.classes_) == 2 else "categorical"
        target = infer_target(self.target, pd.DataFrame({self.target: labels}), kind=kind)
        self._fit(X, target.encode(labels), target, groups)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, n_classes) in the order of `classes_`."""
        probabilities = self._predictions(X)[1]
        order = [self.target_.classes.index(_text(value)) for value in self.classes_]
        return probabilities[:, order]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every scan, (n,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]


class TransferRegressor(RegressorMixin, _Transfer):
    """Predict a number from scans by one of the strategies; see `TransferClassifier` for the arguments.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> regions = generator.normal(size=(60, 5))
        >>> regressor = TransferRegressor(strategy="linear").fit(regions, 3 * regions[:, 0] + 50)
        >>> float(regressor.score(regions, 3 * regions[:, 0] + 50)) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> "TransferRegressor":
        """Fit to scans (n, ...) and numbers (n,); `groups` (n,) says whose scan it is."""
        values = _column(y).astype(float)
        if not np.isfinite(values).all():
            raise InputError("y has missing or infinite values; leave those scans out")
        self._fit(X, values, Target(self.target, "continuous"), groups)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The value for every scan, (n,)."""
        return self._predictions(X)[0]


def _text(value: Any) -> str:
    return str(as_text(pd.Series([value])).iloc[0])


def _column(y: Any) -> np.ndarray:
    values = np.asarray(y)
    if values.ndim != 1:
        raise InputError(f"y has one label a scan, (n,), got {values.shape}")
    return values


def _seed(random_state: Any) -> int:
    if isinstance(random_state, bool) or not isinstance(random_state, numbers.Integral):
        raise InputError(f"random_state is a whole number of 0 or more, got {random_state!r}")
    return int(random_state)


def _grid(card: Card | None) -> Grid | None:
    return card.grid if card is not None else None


def _are_paths(X: Any) -> bool:
    # the items of a data frame are the names of its columns
    is_table = isinstance(X, pd.DataFrame)
    return not is_table and len(X) > 0 and all(isinstance(path, Path | str) for path in X)


def _nobody() -> Cohort:
    return Cohort("arrays", pd.DataFrame())
