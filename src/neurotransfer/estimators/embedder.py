"""The features of a pretrained network as a scikit-learn transformer: the first step of any pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from neurotransfer.cohort.volumes import ALIGNMENTS
from neurotransfer.estimators.arguments import require
from neurotransfer.estimators.base import is_alignment, is_model
from neurotransfer.estimators.scans import scans_of
from neurotransfer.models import Model, load_model
from neurotransfer.models.network import count_features
from neurotransfer.training import features


class BrainEmbedder(TransformerMixin, BaseEstimator):
    """The features of a pretrained model's encoder for every scan: what `neurotransfer embed` gives, in a pipeline.

    `X` is image paths (a list, an array, a Series, a table of one column), volumes (n, x, y, z) on the grid of the model
    with values 0 to 1, or a `VolumeStore`. Images are read a batch at a time, so that memory does not grow with their
    number. Nothing is learnt from the scans: `fit` loads the model and looks whether the scans can be used, no further
    than can be seen without reading images.

    Args:
        model: a model, its folder or the name of one that comes along (`sim-base`).
        alignment: of image paths, see `neurotransfer.cohort.load_volume`.

    Attributes:
        model_: the model.
        n_features_out_: how many features a scan gets.
        n_features_in_: how many voxels a scan has.

    Raises:
        ArgumentError: an InputError and a ValueError, when X or a parameter cannot be used.
        ImageError: with all image paths that cannot be used.
        ModelError: when scans and model do not fit together, or the model takes columns of a table.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> volumes = generator.random((3, 40, 48, 40), np.float32)
        >>> embedder = BrainEmbedder("sim-base").set_output(transform="pandas")
        >>> embedder.fit_transform(volumes).shape == (3, embedder.n_features_out_)
        True
    """

    def __init__(self, model: Model | Path | str | None = None, *, alignment: str = "world") -> None:
        self.model = model
        self.alignment = alignment

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Any, y: Any = None) -> "BrainEmbedder":
        """Load the model and look at scans (n, ...); `y` is not used."""
        require(
            {
                "model": (
                    self.model,
                    lambda model: model is not None and is_model(model),
                    "a model, its folder or its name",
                ),
                "alignment": (self.alignment, is_alignment, " or ".join(map(repr, ALIGNMENTS))),
            }
        )
        model = self.model if isinstance(self.model, Model) else load_model(self.model)  # type: ignore[arg-type]
        scans = scans_of(X, model.card, self.alignment)
        self.model_ = model
        self.n_features_in_ = int(np.prod(scans.shape[1:]))
        self.n_features_out_ = count_features(model.network.encoder)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features (n, n_features_out_) in float32 of scans (n, ...)."""
        self._require_fitted()
        return features(self.model_.network.encoder, scans_of(X, self.model_.card, self.alignment))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names that `neurotransfer embed` gives the features, (n_features_out_,); `input_features` is not used."""
        self._require_fitted()
        return np.array([f"feature_{index:03d}" for index in range(self.n_features_out_)], dtype=object)

    def _require_fitted(self) -> None:
        check_is_fitted(self, "model_", msg="This %(name)s instance is not fitted yet; call fit with some scans first")
