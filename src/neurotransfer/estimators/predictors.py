"""The strategies as a classifier and a regressor: arrays or image paths in, predictions out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, RegressorMixin

from neurotransfer.estimators.arguments import (
    ArgumentError,
    labels_of,
    numbers_of,
    require,
    require_classes_of,
    rows_named,
)
from neurotransfer.estimators.base import Transfer
from neurotransfer.models import Model
from neurotransfer.targets import Target, as_text, infer_target
from neurotransfer.training import Recipe


class TransferClassifier(ClassifierMixin, Transfer):
    """Classify scans by one of the strategies.

    A fifth of the people (`validation_fraction`; by `groups` where people have several scans) chooses the setting and the
    epoch. `X` is image paths (a list, an array, a Series, a table of one column), volumes (n, x, y, z) on the grid of the
    model with values 0 to 1, a `VolumeStore`, or, for the strategies `linear`, `perceptron`, `auto`, `auto-exact`, regional
    volumes (n, columns). Images are read a batch at a time, so that memory does not grow with their number; where a whole network is
    trained, the volumes of image paths lie in a temporary folder meanwhile. The same scans give the numbers of
    `neurotransfer transfer`.

    On regional volumes all of scikit-learn's `check_estimator` holds.

    Args:
        model: a model, its folder or the name of one that comes along (`sim-base`); None for strategies that need none.
        strategy: a name of `neurotransfer.transfer.STRATEGIES`.
        target: what y is called; `transferred` needs the name that the model knows it by.
        grid: settings in place of the strategy's nine.
        recipe: epochs, batch size and so on.
        validation_fraction: of the people.
        alignment: of image paths, see `neurotransfer.cohort.load_volume`.
        random_state: the seed, a whole number.
        ordinal: whether classes are levels, numbers that rise; they are then learnt by their order.

    Attributes:
        classes_: the classes, sorted, (n_classes,).
        setting_: the setting that was best on the validation people.
        blend_: of the strategy `auto`, the `shares` of what it blends and their `penalties`; None of others.
        validation_scores_: its scores there, which are too good, for it was chosen by them.
        network_: from scans to predictions.
        target_: what is predicted, with its classes.
        card_: of the model; None without one.
        input_shape_: of one scan.
        n_features_in_: how many numbers a scan has.
        feature_names_in_: the columns of X, where X was a table with names.

    Raises:
        ArgumentError: an InputError and a ValueError, when X, y, groups or a parameter cannot be used.
        ImageError: with all image paths that cannot be used.
        ModelError: when scans and model do not fit together.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> regions, patient = generator.normal(size=(60, 5)), np.repeat(["no", "yes"], 30)
        >>> regions[patient == "yes", 0] += 4
        >>> classifier = TransferClassifier(strategy="linear").fit(regions, patient)
        >>> float(classifier.score(regions, patient)) > 0.9
        True
        >>> classifier.classes_.tolist(), classifier.predict_proba(regions).shape
        (['no', 'yes'], (60, 2))
    """

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
        ordinal: bool = False,
    ) -> None:
        super().__init__(
            model,
            strategy,
            target=target,
            grid=grid,
            recipe=recipe,
            validation_fraction=validation_fraction,
            alignment=alignment,
            random_state=random_state,
        )
        self.ordinal = ordinal

    def fit(self, X: Any, y: Any, groups: Any = None) -> "TransferClassifier":
        """Fit to scans (n, ...) and labels (n,); `groups` (n,) says whose scan it is."""
        self._require_parameters()
        require({"ordinal": (self.ordinal, lambda value: isinstance(value, bool | np.bool_), "True or False")})
        values = labels_of(y, type(self).__name__)
        labels = pd.Series(values)
        text = as_text(labels)
        missing = np.flatnonzero(text.isna())
        if len(missing):
            raise ArgumentError(f"y has missing labels in {rows_named(missing)}; leave those scans out")
        classes = require_classes_of(values, type(self).__name__)
        if text.nunique() < len(classes):
            raise ArgumentError(
                f"y has labels that differ by spaces only: {', '.join(map(repr, classes.tolist()))}; write each in one way"
            )
        target = infer_target(self.target, pd.DataFrame({self.target: labels}), kind=self._kind(len(classes)))
        self._fit(X, target.encode(labels), target, groups)
        self.classes_ = classes
        return self

    def _kind(self, n_classes: int) -> str:
        if n_classes == 2:
            return "binary"
        return "ordinal" if self.ordinal else "categorical"

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, n_classes) in the order of `classes_`."""
        probabilities = self._predictions(X)[1]
        order = [self.target_.classes.index(_text(value)) for value in self.classes_]
        return probabilities[:, order]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every scan, (n,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]


class TransferRegressor(RegressorMixin, Transfer):
    """Predict a number from scans by one of the strategies; see `TransferClassifier` for X, arguments and attributes.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> regions = generator.normal(size=(60, 5))
        >>> regressor = TransferRegressor(strategy="linear").fit(regions, 3 * regions[:, 0] + 50)
        >>> float(regressor.score(regions, 3 * regions[:, 0] + 50)) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> "TransferRegressor":
        """Fit to scans (n, ...) and numbers (n,); `groups` (n,) says whose scan it is."""
        self._require_parameters()
        values = numbers_of(y, type(self).__name__)
        self._fit(X, values, Target(self.target, "continuous"), groups)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The value for every scan, (n,)."""
        return self._predictions(X)[0]


def _text(value: Any) -> str:
    return str(as_text(pd.Series([value])).iloc[0])
