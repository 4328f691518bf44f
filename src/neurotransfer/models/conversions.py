"""The table KINDS: what each published network is beside its weights, which its files do not say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurotransfer.cohort.contract import Contract
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import ModelError, unknown
from neurotransfer.models.layouts import KERAS, TORCH, HeadLayer, Layout
from neurotransfer.targets import KNOWN, Target

# what batch norms add to a variance where their authors said nothing
EPSILON = {KERAS: 1e-3, TORCH: 1e-5}


@dataclass(frozen=True)
class Head:
    """A head of a published network: its target, and the numbers of outputs that it may have.

    `is_difference` says that of two outputs with a softmax only the difference counts, second less first: one output with a
    sigmoid is the same.
    """

    target: Target
    widths: tuple[int, ...] = (1,)
    is_difference: bool = False

    def target_of(self, n_outputs: int) -> Target:
        """The target for a head of a file; ranks have a level for each output beside the first one."""
        if self.target.reading != "ranks":
            return self.target
        first = round(self.target.levels[0])
        return replace(self.target, levels=tuple(range(first, first + n_outputs + 1)))

    def tensors_of(self, layer: HeadLayer) -> tuple[np.ndarray, np.ndarray]:
        """Weight (n, n_features) and bias (n,) of the head here."""
        weight, bias = layer.weight[1], layer.bias[1]
        return (weight[1:] - weight[:1], bias[1:] - bias[:1]) if self.is_difference else (weight, bias)


@dataclass(frozen=True)
class Conversion:
    """A published network.

    Attributes:
        kind: its name here, as in `neurotransfer.models.published.RELEASES`.
        framework: that wrote its files.
        prefix: what the names of its layers begin with; "" where they have none.
        recipe: by which its scans are prepared.
        pooling: of the features.
        heads: in its own order.
        notes: what is not certain.
    """

    kind: str
    framework: str
    prefix: str
    recipe: str
    pooling: str
    heads: tuple[Head, ...]
    notes: tuple[str, ...] = ()

    @property
    def contract(self) -> Contract:
        """What its volumes are like."""
        return RECIPES[self.recipe].contract

    def problems(self, layout: Layout) -> list[str]:
        """Why a file cannot be of this kind, in words; empty when it can."""
        if layout.framework != self.framework:
            return [f"it was written by {layout.framework}, {self.kind} is by {self.framework}"]
        found = [head.n_outputs for head in layout.heads]
        fits = len(found) == len(self.heads) and all(
            n in head.widths for n, head in zip(found, self.heads, strict=True)
        )
        problems = (
            [] if fits else [f"it has {_heads(found)}, {self.kind} has {_heads([h.widths[0] for h in self.heads])}"]
        )
        # who wrote a file may have given the network any name, but hardly that of another kind
        if layout.prefix != self.prefix and layout.prefix in {kind.prefix for kind in KINDS.values()} - {""}:
            problems.append(f"its layers are named {layout.prefix}_..., those of {self.kind} {self.prefix}_...")
        return problems

    def paired(self, layout: Layout) -> list[tuple[Head, HeadLayer]]:
        """Each head with its layer in a file: by the name of the target where layers bear it, else in their order.

        Raises:
            ModelError: when some layers bear the name of a target and others do not.
        """
        by_name = {
            head.target.name: layer
            for head in self.heads
            for layer in layout.heads
            if layer.name.endswith(f"_{head.target.name}")
        }
        if len(self.heads) == 1 or not by_name:
            return list(zip(self.heads, layout.heads, strict=True))
        absent = [head.target.name for head in self.heads if head.target.name not in by_name]
        if absent:
            raise ModelError(
                f"no head is named for {', '.join(absent)}, though others are; it is not the published {self.kind}"
            )
        return [(head, by_name[head.target.name]) for head in self.heads]


def _heads(widths: Sequence[int]) -> str:
    n = "1 head" if len(widths) == 1 else f"{len(widths)} heads"
    return f"{n} ({', '.join(map(str, widths))} outputs)"


def _continuous(name: str) -> Target:
    return Target(name, "continuous", unit=KNOWN[name][1])


_AGE = _continuous("age")
_OLDEST, _YOUNGEST = 95, 3
_LIMITED = replace(_AGE, location=float(_YOUNGEST), limits=(_YOUNGEST, _OLDEST))
_SOFT = replace(_AGE, reading="bins", levels=tuple(range(_YOUNGEST, _OLDEST + 1)))
_RANKS = replace(_AGE, reading="ranks", levels=tuple(range(_YOUNGEST, _OLDEST)))
_UKB_AGE = replace(_AGE, reading="bins", levels=tuple(np.arange(42.5, 82).tolist()))
_DEMENTIA = Target("dementia", "binary", classes=("no", "yes"))
# the only example that its authors give says 0 for women and 1 for men
_UKB_SEX = Target("sex", "binary", classes=("F", "M"))
_MULTI = (
    _AGE,
    Target("sex", "binary", classes=("0", "1")),
    Target("handedness", "binary", classes=("0", "1")),
    _continuous("bmi"),
    _continuous("fluid_intelligence"),
    _continuous("neuroticism"),
)
_OF_2022 = ("freesurfer-fsl", "average")

KINDS: dict[str, Conversion] = {
    row.kind: row
    for row in (
        Conversion("sfcn-reg-2022", KERAS, "sfcn-reg", *_OF_2022, (Head(_LIMITED),)),
        Conversion("sfcn-sm-2022", KERAS, "sfcn-sm", *_OF_2022, (Head(_SOFT, (93,)),)),
        Conversion("sfcn-rank-2022", KERAS, "sfcn-rank", *_OF_2022, (Head(_RANKS, (91, 92)),)),
        Conversion("sfcn-bin-2024", KERAS, "sfcn-bin", *_OF_2022, (Head(_DEMENTIA),)),
        Conversion(
            "multi-2025",
            KERAS,
            "SFCNMulti",
            "fastsurfer",
            "maximum",
            tuple(Head(target) for target in _MULTI),
            ("the release does not say which sex and which hand its 1 stands for: compare with people whom you know",),
        ),
        Conversion(
            "reg-2025",
            KERAS,
            "SFCN",
            "fastsurfer",
            "average",
            (Head(_AGE),),
            (
                "the release does not name the pooling: average is the default of the class that its authors load it into",
            ),
        ),
        Conversion("sfcn-ukb-age", TORCH, "", "sfcn-ukb", "average", (Head(_UKB_AGE, (40,)),)),
        Conversion("sfcn-ukb-sex", TORCH, "", "sfcn-ukb", "average", (Head(_UKB_SEX, (2,), is_difference=True),)),
    )
}


def get_conversion(kind: str) -> Conversion:
    """A row of KINDS.

    Raises:
        ModelError: for a kind that is not in the table.

    Example:
        >>> get_conversion("multi-2025").pooling
        'maximum'
    """
    if kind not in KINDS:
        raise ModelError(unknown("kind of published weights", kind, KINDS))
    return KINDS[kind]


def kinds_of(layout: Layout) -> list[str]:
    """The kinds that a file can be of."""
    return [kind for kind, row in KINDS.items() if not row.problems(layout)]
