"""Who is simulated: what is measured of a person, and the hidden traits of the brain that go with it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

AGE_RANGE = (18.0, 88.0)
AGE_CURVE = 1.5
AGE_MEAN = sum(AGE_RANGE) / 2
AGE_DEVIATION = (AGE_RANGE[1] - AGE_RANGE[0]) * 0.5 / (2 * AGE_CURVE + 1) ** 0.5

Numbers = Mapping[str, np.ndarray]
"""Name -> one number a person, shape (n,)."""


@dataclass(frozen=True)
class Category:
    """A binary target: its two labels and the share of people with the second."""

    labels: tuple[str, str]
    share: float


@dataclass(frozen=True)
class Scale:
    """A continuous target: mean and standard deviation in its unit, and the values that can be found."""

    mean: float
    deviation: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Relation:
    """How far a target follows another one among people: their correlation."""

    source: str
    target: str
    correlation: float


@dataclass(frozen=True)
class Effect:
    """How far a target shapes a latent: shift in personal standard deviations for a unit of the standardised target."""

    target: str
    latent: str
    strength: float


CATEGORIES = {
    "sex": Category(("F", "M"), 0.5),
    "handedness": Category(("R", "L"), 0.1),
    "diagnosis": Category(("control", "patient"), 0.35),
}
SCALES = {
    "age": Scale(AGE_MEAN, AGE_DEVIATION, AGE_RANGE[0], AGE_RANGE[1] + 2),
    "bmi": Scale(26.0, 4.2, 15.0, 55.0),
    "fluid_intelligence": Scale(100.0, 15.0, 40.0, 160.0),
    "neuroticism": Scale(24.0, 8.0, 0.0, 48.0),
}
TARGETS = ("age", "sex", "handedness", "bmi", "fluid_intelligence", "neuroticism", "diagnosis")
LATENTS = ("head_size", "ventricles", "cortex", "asymmetry", "focal", "cerebellum", "frontal", "amygdala")
RELATIONS = (
    Relation("age", "fluid_intelligence", -0.35),
    Relation("age", "bmi", 0.15),
    Relation("sex", "neuroticism", -0.1),
)
# The strengths are those with which the best attainable scores are about: age R 0.91, sex AUC 0.96,
# diagnosis AUC 0.93, handedness AUC 0.65, bmi R 0.4, fluid intelligence R 0.4, neuroticism R 0.15.
EFFECTS = (
    Effect("age", "ventricles", 1.55),
    Effect("age", "cortex", 1.55),
    Effect("sex", "head_size", 1.25),
    Effect("handedness", "asymmetry", 0.55),
    Effect("diagnosis", "focal", 2.1),
    Effect("bmi", "cerebellum", 0.42),
    Effect("fluid_intelligence", "frontal", 0.28),
    Effect("neuroticism", "amygdala", 0.12),
)


def draw_people(generator: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """What is each person's own in every target, standardised, before targets are related to each other.

    A category is 0 or 1 less its share, twice that for sex (so that it is -1 or 1); a scale has mean 0 and standard
    deviation 1.

    Example:
        >>> people = draw_people(np.random.default_rng(0), 1000)
        >>> np.unique(people["sex"]).tolist(), bool(abs(people["age"].std() - 1) < 0.1)
        ([-1.0, 1.0], True)

    """
    curve = generator.beta(AGE_CURVE, AGE_CURVE, n) * (AGE_RANGE[1] - AGE_RANGE[0]) + AGE_RANGE[0]
    people = {"age": (curve - AGE_MEAN) / AGE_DEVIATION}
    for name, category in CATEGORIES.items():
        people[name] = (generator.random(n) < category.share) - category.share
    people["sex"] = people["sex"] * 2
    for name in ("bmi", "fluid_intelligence", "neuroticism"):
        people[name] = generator.standard_normal(n)
    return people


def draw_deviations(generator: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """How each person's brain deviates from what the targets say, in standard deviations."""
    return {latent: generator.standard_normal(n) for latent in LATENTS}


def related(people: Numbers, years: float = 0.0) -> dict[str, np.ndarray]:
    """The standardised targets some years later, each moved by the targets that it follows.

    Example:
        >>> people = {name: np.zeros(1) for name in TARGETS}
        >>> later = related(people, years=10)
        >>> bool(later["age"] > 0), bool(later["fluid_intelligence"] < 0), float(later["sex"][0])
        (True, True, 0.0)

    """
    targets = dict(people) | {"age": people["age"] + years / AGE_DEVIATION}
    for relation in RELATIONS:
        own = (1 - relation.correlation**2) ** 0.5 * targets[relation.target]
        targets[relation.target] = own + relation.correlation * targets[relation.source]
    return targets


def latents_of(targets: Numbers, deviations: Numbers, effect: float) -> dict[str, np.ndarray]:
    """The traits that shape the brain: a personal deviation, and `effect` times what the targets add.

    With an effect of 0 they are the deviations, whatever the targets.
    """
    latents = dict(deviations)
    if effect:
        for planted in EFFECTS:
            latents[planted.latent] = latents[planted.latent] + effect * planted.strength * targets[planted.target]
    return latents


def labels_of(targets: Numbers) -> dict[str, np.ndarray]:
    """The targets as they stand in a cohort: numbers in their unit, to one decimal, and labels.

    Example:
        >>> labels = labels_of({name: np.ones(1) for name in TARGETS})
        >>> str(labels["sex"][0]), float(labels["bmi"][0])
        ('M', 30.2)

    """
    labels = {}
    for name in TARGETS:
        if name in CATEGORIES:
            labels[name] = np.where(targets[name] > 0, *reversed(CATEGORIES[name].labels))
        else:
            scale = SCALES[name]
            values = scale.mean + scale.deviation * targets[name]
            labels[name] = np.clip(values, scale.lowest, scale.highest).round(1)
    return labels
