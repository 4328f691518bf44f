"""A network: one encoder, and one linear head for every target."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurotransfer.errors import ModelError, unknown
from neurotransfer.models.depths import Layered
from neurotransfer.models.fixed import Columns, SmoothedVoxels, TissueVolumes
from neurotransfer.models.outputs import Outputs
from neurotransfer.models.panel import SFCNPanel
from neurotransfer.models.perceptron import Perceptron
from neurotransfer.models.several import Several
from neurotransfer.models.sfcn import SFCN
from neurotransfer.models.volumetric import densenet121, resnet, swin, vit
from neurotransfer.targets import Target


def several(parts: Sequence[Mapping[str, Any]], shape: Sequence[int]) -> Several:
    """Encoders side by side, as a model card names them.

    Args:
        parts: of each its `architecture` and `arguments`, and whether it is `layered`: gives the means of its layers' maps before
            its features, see `Layered`.
        shape: (x, y, z) of the volumes.

    Example:
        >>> parts = [{"architecture": "tissue", "arguments": {"voxel_litres": 0.001}, "layered": False}]
        >>> several(parts, [32, 32, 32]).n_features
        4
    """
    built = []
    for part in parts:
        encoder = build_encoder(part["architecture"], dict(part["arguments"]))
        built.append(Layered(encoder, tuple(shape)) if part["layered"] else encoder)
    return Several(built)


def networks(architecture: str, arguments: Mapping[str, Any], n_networks: int, n_outputs: int) -> Outputs:
    """The mean output of several networks of one architecture, as a model card names it.

    Args:
        architecture: of their encoders.
        arguments: of it.
        n_networks: how many.
        n_outputs: of each.

    Example:
        >>> networks("perceptron", {"columns": ["a", "b"]}, 2, 1).n_features
        1
    """
    return Outputs([build_encoder(architecture, dict(arguments)) for _ in range(n_networks)], n_outputs)


ENCODERS: dict[str, Any] = {
    "sfcn": SFCN,
    "sfcn-panel": SFCNPanel,
    "tissue": TissueVolumes,
    "voxels": SmoothedVoxels,
    "columns": Columns,
    "perceptron": Perceptron,
    "several": several,
    "networks": networks,
    "resnet10": partial(resnet, 10),
    "resnet18": partial(resnet, 18),
    "resnet50": partial(resnet, 50),
    "densenet121": densenet121,
    "swin": swin,
    "vit": vit,
}

_TAKEN = frozenset(dir(nn.ModuleDict()))


def count_features(encoder: nn.Module) -> int:
    """How many features an encoder gives: every encoder says so by its attribute `n_features`."""
    return int(vars(encoder).get("n_features") or type(encoder).__dict__["n_features"])


class Identity(nn.Module):
    """Features as they are: the encoder of a network that is fitted on stored features (n, n_features)."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features

    def forward(self, features: Tensor) -> Tensor:
        """The features themselves."""
        return features


class Network(nn.Module):
    """An encoder with a linear head a target; `forward` gives a dictionary of outputs (n, n_outputs) by target name.

    Example:
        >>> network = Network(SFCN(width=0.125), [Target("age", "continuous")])
        >>> {name: tuple(out.shape) for name, out in network(torch.zeros(2, 1, 32, 32, 32)).items()}
        {'age': (2, 1)}
    """

    def __init__(self, encoder: nn.Module, targets: Iterable[Target]) -> None:
        super().__init__()
        self.encoder = encoder
        self.targets = {target.name: target for target in targets}
        n_features = count_features(encoder)
        self.heads = nn.ModuleDict(
            {_key(name): nn.Linear(n_features, target.n_outputs) for name, target in self.targets.items()}
        )

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Outputs of every head."""
        return self.outputs(self.encoder(inputs))

    def outputs(self, features: Tensor) -> dict[str, Tensor]:
        """Outputs of every head for features (n, n_features), in the precision of the heads."""
        with torch.autocast(features.device.type, enabled=False):
            return {name: self.head(name)(features.to(self.head(name).weight.dtype)) for name in self.targets}

    def head(self, name: str) -> nn.Linear:
        """The head of a target."""
        head = self.heads[_key(name)]
        assert isinstance(head, nn.Linear)
        return head


def with_heads(encoder: nn.Module, targets: Iterable[Target], seed: int) -> Network:
    """A network with a copy of an encoder, weights and all, and new heads: how a head is replaced.

    Args:
        encoder: of another network, say; it stays as it is.
        targets: one a new head.
        seed: of the weights of the heads.

    Example:
        >>> age = Network(SFCN(width=0.125), [Target("age", "continuous")])
        >>> list(with_heads(age.encoder, [Target("bmi", "continuous")], seed=0).targets)
        ['bmi']
    """
    with seeded(seed):
        return Network(copy.deepcopy(encoder), targets)


def panel_of(
    networks: Sequence[Network], arguments: dict[str, Any], *, joined: int, mirrored: bool, normalised: bool = False
) -> Network:
    """A panel of SFCN that were trained alone, with `joined` blocks of each among the features.

    Its heads give the mean of what the networks' heads give, from the features of their top alone, as they learnt it.

    Args:
        networks: SFCN with the same targets and `arguments`.
        arguments: of `SFCN`, without `joined`.
        joined: how many of the last blocks give features beside the top.
        mirrored: see `SFCNPanel`.
        normalised: whether `normalise` is to follow.

    Example:
        >>> small = Network(SFCN(width=0.125), [Target("age", "continuous")]).eval()
        >>> panel = panel_of([small, small], {"width": 0.125}, joined=2, mirrored=False).eval()
        >>> volumes = torch.rand(1, 1, 32, 32, 32)
        >>> panel.encoder.n_features, bool((panel(volumes)["age"] - small(volumes)["age"]).abs() < 1e-5)
        (144, True)
    """
    encoder = SFCNPanel(len(networks), mirrored, **arguments, joined=joined, normalised=normalised)
    found = Network(encoder, networks[0].targets.values())
    size = encoder.n_features // len(networks)
    with torch.no_grad():
        for place, (member, network) in enumerate(zip(encoder.members, networks, strict=True)):
            member.load_state_dict(network.encoder.state_dict())
            for name in found.targets:
                learnt, head = network.head(name), found.head(name)
                if not place:
                    head.weight.zero_()
                    head.bias.zero_()
                end = (place + 1) * size
                head.weight[:, end - learnt.in_features : end] = learnt.weight / len(networks)
                head.bias.add_(learnt.bias.to(head.bias) / len(networks))
    return found


def normalise(network: Network, centre: np.ndarray, mixing: np.ndarray) -> None:
    """Set how the features of a normalised panel are mixed (see `within_person_normaliser`); its heads give what they gave.

    Args:
        network: with an `SFCNPanel` that is `normalised` and has not been normalised yet.
        centre: (n_features,).
        mixing: (n_features, n_features), with an inverse.

    Example:
        >>> plain = Network(SFCNPanel(width=0.125, normalised=True), [Target("age", "continuous")]).eval()
        >>> volumes = torch.rand(1, 1, 32, 32, 32)
        >>> before = plain(volumes)["age"]
        >>> normalise(plain, np.ones(8), 2 * np.eye(8))
        >>> bool((plain(volumes)["age"] - before).abs() < 1e-5)
        True
    """
    encoder = network.encoder
    assert isinstance(encoder, SFCNPanel)
    with torch.no_grad():
        encoder.centre.copy_(torch.from_numpy(centre))
        encoder.mixing.copy_(torch.from_numpy(mixing))
        for name in network.targets:
            head = network.head(name)
            weight = head.weight.double().cpu().numpy()
            head.bias.add_(torch.from_numpy(weight @ centre).to(head.bias))
            head.weight.copy_(torch.from_numpy(np.linalg.solve(mixing.T, weight.T).T))


def _key(name: str) -> str:
    """The name of a head in torch, which allows neither an empty name, nor a dot, nor the name of a method."""
    if name and "." not in name and name[0] != "%" and name not in _TAKEN:
        return name
    return "%" + name.replace("%", "%25").replace(".", "%2E")


def build_encoder(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """The encoder that a model card names.

    Raises:
        ModelError: for an architecture that is not in ENCODERS or arguments that it does not take.

    Example:
        >>> build_encoder("sfcn", {"width": 0.25}).n_features
        16
    """
    if architecture not in list(ENCODERS):
        raise ModelError(unknown("architecture", architecture, ENCODERS))
    try:
        return ENCODERS[architecture](**arguments)
    except TypeError as error:
        raise ModelError(f"architecture {architecture!r} does not take {arguments!r}: {error}") from None


def takes(architecture: str, argument: str) -> bool:
    """Whether an architecture is built with an argument of this name; True for one that is not known.

    Example:
        >>> takes("sfcn", "pooling"), takes("resnet10", "pooling"), takes("resnet10", "width")
        (True, False, True)
    """
    if architecture not in ENCODERS:
        return True
    known = signature(ENCODERS[architecture]).parameters
    return argument in known or any(each.kind == each.VAR_KEYWORD for each in known.values())


def seeded(seed: int) -> Any:
    """A context in which torch draws from `seed`; the generator of the caller is given back untouched.

    Example:
        >>> with seeded(1):
        ...     first = torch.rand(1)
        >>> with seeded(1):
        ...     again = torch.rand(1)
        >>> bool(first == again)
        True
    """
    return _Seeded(seed)


class _Seeded:
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.state = torch.random.get_rng_state()
        torch.manual_seed(self.seed)

    def __exit__(self, *_: object) -> None:
        torch.random.set_rng_state(self.state)
