"""Who is simulated: targets, the latent traits of the brain that follow them, and what is a person's own."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.cohort.regions import ONE_SIDED, REGIONS
from neurotransfer.seeding import stream
from neurotransfer.simulate.atlas import KIND_OF_REGION
from neurotransfer.simulate.variety import Variety

AGE_RANGE = (3.0, 97.0)
AGE_SHAPE = (0.9, 1.3)
AGE_POINTS = (3, 6, 10, 15, 20, 30, 45, 60, 75, 97)
# a trait along the ages of AGE_POINTS, in standard deviations between people of one age; after the brain charts of Bethlehem et
# al. (2022, Nature 604:525; thickness falls from childhood, white matter grows to 30, fluid rises from 45 on) and, for the
# contrast of grey and white matter, Salat et al. (2009, NeuroImage 48:21) and Lewis et al. (2018, NeuroImage 173:341)
AGE_CURVES: dict[str, tuple[float, ...]] = {
    "thickness": (2.2, 1.8, 1.2, 0.6, 0.3, 0.0, -0.4, -0.9, -1.6, -2.6),
    "white": (-2.2, -1.5, -0.9, -0.4, 0.0, 0.4, 0.4, 0.0, -0.8, -2.0),
    "fluid": (-1.0, -0.9, -0.7, -0.5, -0.3, 0.0, 0.5, 1.3, 2.6, 4.0),
    "ventricles": (-0.8, -0.7, -0.6, -0.4, -0.2, 0.0, 0.4, 1.0, 2.0, 3.0),
    "deep": (-0.5, 0.2, 0.5, 0.6, 0.4, 0.1, -0.4, -0.9, -1.5, -2.4),
    "hippocampus": (-0.8, -0.3, 0.0, 0.2, 0.3, 0.2, 0.0, -0.4, -1.2, -2.4),
    "cerebellum": (-0.8, -0.3, 0.1, 0.4, 0.3, 0.1, -0.1, -0.3, -0.7, -1.2),
    "contrast": (-2.5, -1.8, -1.1, -0.5, -0.1, 0.2, 0.2, -0.4, -1.2, -2.2),
    "size": (-1.2, -0.5, -0.2, 0.0, 0.1, 0.1, 0.0, -0.2, -0.4, -0.6),
}
OTHER_TRAITS = ("asymmetry", "folding")
TRAITS = (*AGE_CURVES, *OTHER_TRAITS)
OLD = 70.0


@dataclass(frozen=True)
class Link:
    """How far a trait follows a target: `strength` standard deviations for a unit of the target, and who found it.

    The unit is the difference of the two classes, or a standard deviation.
    """

    target: str
    trait: str
    strength: float
    source: str


LINKS = (
    Link("sex", "size", 1.41, "Ritchie et al. 2018, Cerebral Cortex 28:2959: total brain volume, d = 1.41"),
    Link("fluid_intelligence", "size", 0.24, "Pietschnig et al. 2015, Neurosci Biobehav Rev 57:411: r = 0.24"),
    Link("bmi", "thickness", -0.10, "Opel et al. 2021, Mol Psychiatry 26:4839; Hamer & Batty 2019, Neurology 92:e594"),
    Link("handedness", "asymmetry", -0.10, "Sha et al. 2021, PNAS 118:e2113095118: |d| of about 0.1 at most"),
    Link("neuroticism", "size", -0.05, "Bjornebekk et al. 2013, NeuroImage 65:194; near zero in larger samples"),
)
# name: share of the second class
CLASSES: dict[str, tuple[tuple[str, str], float]] = {"sex": (("F", "M"), 0.5), "handedness": (("R", "L"), 0.106)}
# name: mean and standard deviation, in the unit of the scale
SCALES: dict[str, tuple[float, float]] = {
    "bmi": (26.5, 4.5),
    "fluid_intelligence": (100.0, 15.0),
    "neuroticism": (24.0, 8.0),
}
TARGETS = ("age", *CLASSES, *SCALES)


class Draws:
    """Numbers of several heads, each from a stream of its own, taken in the same order.

    Example:
        >>> first, again = (Draws(1, "person", [5]) for _ in range(2))
        >>> bool(first.normal(2)[0, 1] == again.normal(2)[0, 1])
        True
    """

    def __init__(self, seed: int, name: str, indices: list[int], *more: int) -> None:
        self.generators = [stream(seed, name, index, *more) for index in indices]

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers (n, *shape)."""
        return np.stack([each.standard_normal(shape, np.float32) for each in self.generators])

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers (n, *shape) evenly spread between two."""
        return low + (high - low) * np.stack([each.random(shape) for each in self.generators])

    def beta(self, first: float, second: float) -> np.ndarray:
        """Numbers (n,) between 0 and 1."""
        return np.array([each.beta(first, second) for each in self.generators])


@dataclass(frozen=True)
class People:
    """The latents of n people.

    `targets` (n,) by name: age in years, classes as 0 or 1, scales standardised; `traits` (n,) by name, in standard deviations;
    `regional` (n, regions) by name, what a region has of its own: thickness, white, fluid, growth, contrast, signal;
    `atrophy` (n, regions) is the loss of one region, `lesions` (n,) their load from 0, `places` (n, 5) where the fields begin.
    """

    targets: dict[str, np.ndarray]
    traits: dict[str, np.ndarray]
    regional: dict[str, np.ndarray]
    atrophy: np.ndarray
    lesions: np.ndarray
    shape: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.lesions)


OWN_OF_REGION = ("thickness", "white", "fluid", "growth", "contrast", "signal")


def age_curve(trait: str, age: np.ndarray) -> np.ndarray:
    """A trait of an average person at ages (n,), in standard deviations; 0 for traits that do not follow age.

    Example:
        >>> age_curve("thickness", np.array([10.0, 75.0])).tolist()
        [1.2, -1.6]
    """
    return np.interp(age, AGE_POINTS, AGE_CURVES[trait]) if trait in AGE_CURVES else np.zeros(len(age))


def draw_people(seed: int, indices: list[int], variety: Variety) -> People:
    """The people with these indices, whoever else is drawn."""
    draws = Draws(seed, "person", indices)
    low, high = AGE_RANGE
    targets = {"age": low + (high - low) * draws.beta(*AGE_SHAPE)}
    targets |= {name: (draws.uniform() < share).astype(float) for name, (_, share) in CLASSES.items()}
    targets |= {name: draws.normal().astype(float) for name in SCALES}
    traits = {}
    for name in TRAITS:
        traits[name] = draws.normal() + variety.age * age_curve(name, targets["age"])
        for link in LINKS:
            if link.trait == name:
                share = CLASSES[link.target][1] if link.target in CLASSES else 0.0
                traits[name] = traits[name] + link.strength * (targets[link.target] - share)
    regional = {}
    for name in OWN_OF_REGION:
        both = draws.normal(len(ONE_SIDED))[:, KIND_OF_REGION]
        regional[name] = 0.8 * both + 0.6 * draws.normal(len(REGIONS))
    return People(
        targets, traits, regional, _atrophy(draws, variety), _lesions(draws, targets["age"], variety), draws.normal(3),
        draws.uniform(5),
    )  # fmt: skip


def _atrophy(draws: Draws, variety: Variety) -> np.ndarray:
    chance, where, strength = draws.uniform(), draws.uniform(), draws.uniform(low=0.5, high=2.5)
    loss = np.zeros((len(chance), len(REGIONS)), np.float32)
    region = (where * len(REGIONS)).astype(int)
    loss[np.arange(len(chance)), region] = np.where(chance < variety.focal, strength, 0)
    return loss


def _lesions(draws: Draws, age: np.ndarray, variety: Variety) -> np.ndarray:
    # they rise with age from 40 on (de Leeuw et al. 2001, J Neurol Neurosurg Psychiatry 70:9); the strokes of the young are rare
    chance, load = draws.uniform(), draws.uniform(low=0.3, high=1.5)
    likely = variety.lesions * np.clip(0.05 + (age - 40) / (OLD - 40), 0.05, 3)
    return np.where(chance < likely, load, 0.0)


def labels_of(people: People) -> dict[str, np.ndarray]:
    """Targets as a cohort table has them: numbers in their unit, and names of classes.

    Example:
        >>> sorted(labels_of(draw_people(0, [1], Variety())))
        ['age', 'bmi', 'fluid_intelligence', 'handedness', 'neuroticism', 'sex']
    """
    labels: dict[str, np.ndarray] = {"age": people.targets["age"].round(2)}
    labels |= {name: np.where(people.targets[name] > 0, names[1], names[0]) for name, (names, _) in CLASSES.items()}
    labels |= {name: mean + deviation * people.targets[name] for name, (mean, deviation) in SCALES.items()}
    return labels
