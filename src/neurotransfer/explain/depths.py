"""What a network holds at every depth: models that give their layers beside their features, and the same untrained."""

from dataclasses import replace

import numpy as np

from neurotransfer.models.depths import FEATURES, Layered, depths_of
from neurotransfer.models.folder import Model
from neurotransfer.models.network import Network, build_encoder, count_features, seeded
from neurotransfer.seeding import integer_seed


def layered(model: Model) -> Model:
    """A model of the same input whose encoder is `Layered`, without heads; the model itself where it has no layers."""
    taken = model.card.input
    encoder = model.network.encoder
    if taken is None or not depths_of(encoder):
        return model
    return Model(Network(Layered(encoder, tuple(taken.shape)), []).eval(), model.card)


def untrained(model: Model, seed: int) -> Model:
    """A model of the same architecture and input with random weights and no heads: what any network would hold.

    Example:
        >>> from neurotransfer.models import load_model
        >>> untrained(load_model("sim-base"), 0).card.name
        'sim-base untrained'
    """
    card = model.card
    with seeded(integer_seed(seed, "weights", card.architecture)):
        encoder = build_encoder(card.architecture, dict(card.arguments))
    return Model(Network(encoder, []).eval(), replace(card, name=f"{card.name} untrained"))


def split(values: np.ndarray, network: Network) -> dict[str, np.ndarray]:
    """The columns (n, k) that a network of `layered` gives, by the name of the layer; `features` alone of another one."""
    encoder = network.encoder
    if not isinstance(encoder, Layered):
        assert values.shape[1] == count_features(encoder)
        return {FEATURES: values}
    ends = np.cumsum(encoder.sizes)
    return {
        name: values[:, end - size : end] for name, end, size in zip(encoder.names, ends, encoder.sizes, strict=True)
    }
