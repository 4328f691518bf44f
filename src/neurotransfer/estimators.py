"""The strategies as scikit-learn estimators: arrays or image paths in, predictions out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from neurotransfer.cohort import Cohort, Grid, Split, holdout_split, load_volume
from neurotransfer.errors import InputError
from neurotransfer.models.folder import Model, check_volumes, load_model
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
        grid: Mapping[str, Sequence[Any]] | None = None,
        recipe: Recipe | None = None,
        validation_fraction: float = 0.2,
        alignment: str = "world",
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.grid = grid
        self.recipe = recipe
        self.validation_fraction = validation_fraction
        self.alignment = alignment
        self.random_state = random_state

    def _fit(self, X: Any, labels: np.ndarray, target: Target, groups: Any) -> None:
        strategy = get_strategy(self.strategy)
        model = load_model(self.model) if isinstance(self.model, Path | str) else self.model
        inputs, columns, grid = self._inputs(X, model)
        if len(inputs) != len(labels):
            raise InputError(f"X has {len(inputs)} scans and y {len(labels)} labels; they must be as many")
        people = np.asarray(np.arange(len(labels)) if groups is None else groups, str)
        classes = None if target.kind == "continuous" else labels
        generator = stream(self.random_state, "holdout")
        train, validation = holdout_split(people, self.validation_fraction, generator, classes)
        split = Split(train, validation, np.array([], int))
        require_classes(target, labels, split)
        source = make_source(strategy, model=model, grid=grid, target=target, columns=columns, seed=self.random_state)
        material = inputs if columns else inputs_of(source, _nobody(), inputs, model)
        chosen = fit_best(
            source, material, target, labels, split, settings(strategy, self.grid), self.recipe or Recipe(),
            integer_seed(self.random_state, "estimator"),
        )  # fmt: skip
        self.network_ = whole_network(source, chosen.fitted)
        self.setting_ = dict(chosen.setting)
        self.validation_scores_ = dict(chosen.validation_scores)
        self.target_ = self.network_.targets[target.name]
        self.n_features_in_ = int(np.prod(inputs.shape[1:]))

    def _inputs(self, X: Any, model: Model | None) -> tuple[np.ndarray, tuple[str, ...], Grid | None]:
        grid = model.card.grid if model is not None else None
        if _are_paths(X):
            if grid is None:
                raise InputError(
                    "image paths need a model, whose grid they are laid on; give model, or an array of volumes"
                )
            return np.stack([load_volume(Path(path), grid, alignment=self.alignment) for path in X]), (), grid
        values = np.asarray(X, np.float32)
        if values.ndim == 2:
            if self.strategy != "linear":
                raise InputError(
                    f"X with two axes holds regional volumes, for the strategy 'linear', not {self.strategy!r}"
                )
            return values, tuple(f"column_{index}" for index in range(values.shape[1])), None
        if values.ndim != 4:
            raise InputError(
                f"X is image paths, volumes (n, x, y, z) or regional volumes (n, columns), got {values.shape}"
            )
        if model is not None:
            check_volumes(model.card, values)
        return values, (), grid or Grid(tuple(values.shape[1:]))

    def _predictions(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        check_is_fitted(self, "network_")
        model = load_model(self.model) if isinstance(self.model, Path | str) else self.model
        inputs, _, _ = self._inputs(X, model)
        return predictions(self.network_, inputs, np.arange(len(inputs)))[self.target_.name]


class TransferClassifier(ClassifierMixin, _Transfer):
    """Classify scans by one of the strategies.

    A fifth of the people (`validation_fraction`; by `groups` where people have several scans) chooses the setting and the
    epoch. `X` is image paths, volumes (n, x, y, z) on the grid of the model with values 0 to 1, or, for the strategy
    `linear`, regional volumes (n, columns).

    Args:
        model: a model or its folder; None for strategies that need none.
        strategy: a name of `neurotransfer.transfer.STRATEGIES`.
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
        labels = pd.Series(np.asarray(y))
        self.classes_ = np.unique(labels)
        kind = "binary" if len(self.classes_) == 2 else "categorical"
        target = infer_target("y", pd.DataFrame({"y": labels}), kind=kind)
        self._fit(X, target.encode(labels), target, groups)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, n_classes) in the order of `classes_`."""
        probabilities = self._predictions(X)[1]
        order = [self.target_.classes.index(_text(value)) for value in self.classes_]
        return probabilities[:, order]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every scan, (n,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]


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
        values = np.asarray(y, float)
        if not np.isfinite(values).all():
            raise InputError("y has missing or infinite values; leave those scans out")
        self._fit(X, values, Target("y", "continuous"), groups)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The value for every scan, (n,)."""
        return self._predictions(X)[0]


def _text(value: Any) -> str:
    return str(as_text(pd.Series([value])).iloc[0])


def _are_paths(X: Any) -> bool:
    return len(X) > 0 and all(isinstance(path, Path | str) for path in X)


def _nobody() -> Cohort:
    return Cohort("arrays", pd.DataFrame())
