"""Sanity check: do maps change when the weights of the network are randomised, from its head down (Adebayo et al. 2018)?"""

import copy
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from neurotransfer.explain.attribution import Around, Asked, as_map
from neurotransfer.explain.likeness import rank_correlation, structural_similarity
from neurotransfer.explain.readout import Explained
from neurotransfer.models.network import Network, seeded
from neurotransfer.seeding import integer_seed

# a map of a network without any of its weights that is still this much like the map of the whole one shows the image
LARGEST = 0.5
BLIND, FIRST, SENSITIVE = "not sensitive", "sensitive to the first layer alone", "sensitive"


def groups_of(network: Network) -> list[nn.Module]:
    """The parts of a network from its output to its input: heads, then the layer groups of its encoder.

    Example:
        >>> from neurotransfer.models.sfcn import SFCN
        >>> from neurotransfer.targets import Target
        >>> len(groups_of(Network(SFCN(width=0.125), [Target("age", "continuous")])))
        7
    """
    groups = getattr(network.encoder, "layer_groups", None)
    parts = list(groups()) if groups is not None else [network.encoder]
    return [network.heads, *reversed(parts)]


def cascade(network: Network, seed: int = 0) -> Iterator[tuple[int, Network]]:
    """The network with more and more of its parts randomised, from the output down: how many, and the network.

    Layers begin anew as a new network does (batch norms too); whatever else has weights has them shuffled. The first one is the
    network as it is. The network itself stays untouched.
    """
    yield 0, network
    changed = copy.deepcopy(network)
    for place, part in enumerate(groups_of(changed)):
        _randomise(part, integer_seed(seed, "randomised", place))
        yield place + 1, changed.eval()


def _randomise(part: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed), torch.no_grad():
        for module in part.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))


def compared(
    explained: Explained, methods: Sequence[Asked], scans: Mapping[str, Tensor], around: Around, seed: int = 0
) -> pd.DataFrame:
    """How alike maps are to those of the whole network, while it is randomised.

    Args:
        explained: the network and its number.
        methods: that make maps.
        scans: volumes (1, 1, x, y, z) by their names.
        around: what methods may know.
        seed: of the weights.

    Returns:
        A row a method, scan and stage: `randomised` (how many parts), `of` (how many there are), `rank_correlation` and
        `structural_similarity` of absolute values inside the head (where the volume is above zero).
    """
    first: dict[tuple[str, str], np.ndarray] = {}
    rows = []
    of = len(groups_of(explained.network))
    for n, network in cascade(explained.network, seed):
        stage = Explained(network, explained.readout)
        for name, volume in scans.items():
            inside = (volume[0, 0] > 0).cpu().numpy()
            for method in methods:
                found = as_map(method.map_of(stage, volume, around))
                whole = first.setdefault((method.text, name), found)
                rows.append(
                    {
                        "method": method.text,
                        "scan": name,
                        "randomised": n,
                        "of": of,
                        "rank_correlation": rank_correlation(whole, found, inside),
                        "structural_similarity": structural_similarity(whole, found, inside),
                    }
                )
    return pd.DataFrame(rows)


def verdicts(table: pd.DataFrame) -> dict[str, str]:
    """For every method, in words, whether its maps depend on the weights, by rank correlations of 0.5 or more.

    It is `not sensitive` when all weights are random and maps are still alike, and `sensitive to the first layer alone` when they are
    while only the layer next to the input is as it was (as z+ is, Sixt, Granz & Landgraf 2020, ICML).

    Example:
        >>> rows = [("a", "s", stage, 1, value, value) for stage, value in ((0, 1.0), (1, 0.9))]
        >>> columns = ["method", "scan", "randomised", "of", "rank_correlation", "structural_similarity"]
        >>> verdicts(pd.DataFrame(rows, columns=columns))["a"].split(":")[0]
        'not sensitive'
    """
    found = {}
    for method, rows in table.groupby("method", sort=False):
        left = rows["of"] - rows["randomised"]
        end, before = (rows[left == n][["rank_correlation", "structural_similarity"]].mean() for n in (0, 1))
        ranks = end["rank_correlation"], before["rank_correlation"]
        numbers = (
            f"with random weights the maps have a rank correlation of {ranks[0]:.2f} with the real ones (SSIM "
            f"{end['structural_similarity']:.2f}), {ranks[1]:.2f} while the first layer is as it was"
        )
        found[str(method)] = f"{_verdict(*ranks)}: {numbers}"
    return found


def _verdict(end: float, before: float) -> str:
    return BLIND if end >= LARGEST else FIRST if before >= LARGEST else SENSITIVE
