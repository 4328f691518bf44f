"""How much is trained in a cell, by the rules of the search, and how long that takes: from least to most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurotransfer.benchmark.study import StrategyPart, Study
from neurotransfer.cohort import Split
from neurotransfer.cohort.splits import fifth
from neurotransfer.training import Recipe
from neurotransfer.training.halving import best_third, rungs
from neurotransfer.transfer import get_strategy, settings
from neurotransfer.transfer.adapt import parts_of
from neurotransfer.transfer.blend import FOLDS
from neurotransfer.transfer.gradient import recipe_of

# where patience may end a fit early, it ran so far on its way from the earliest end to the last epoch in finished studies
RUN_ON = 2 / 3


@dataclass(frozen=True)
class Span:
    """A number as it is expected, and at most.

    Example:
        >>> Span(1.0, 2.0) + 3 * Span(1.0, 1.0), sum([Span(1.0, 2.0)], Span())
        (Span(best=4.0, most=5.0), Span(best=1.0, most=2.0))
    """

    best: float = 0.0
    most: float = 0.0

    def __add__(self, other: "Span") -> "Span":
        return Span(self.best + other.best, self.most + other.most)

    def __mul__(self, factor: float) -> "Span":
        return Span(self.best * factor, self.most * factor)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Line:
    """Seconds of one setting's training: `begun` once, and in every epoch `epoch` and `image` for each training image.

    The fifth that validates is counted in `image`. `predicted` is the time of one image that is predicted.
    """

    begun: float = 0.0
    epoch: float = 0.0
    image: float = 0.0
    predicted: float = 0.0

    def seconds(self, epochs: Span, n: int) -> Span:
        """Of training on n images, without what it takes to begin."""
        return epochs * (self.epoch + self.image * n)


def expected_epochs(recipe: Recipe) -> Span:
    """Epochs of one fit: at most all; fewer are expected where early stopping can end it.

    Example:
        >>> expected_epochs(Recipe(epochs=12, patience=5)), expected_epochs(Recipe(epochs=4, patience=10)).best
        (Span(best=10.0, most=12), 4.0)
    """
    earliest = min(recipe.epochs, recipe.patience + 1) if recipe.early_stopping else recipe.epochs
    return Span(earliest + RUN_ON * (recipe.epochs - earliest), recipe.epochs)


def epochs_together(recipes: Sequence[Recipe], halving: bool) -> Span:
    """Epochs of all settings together on one split, where with `halving` the worse ones are dropped at every rung.

    Example:
        >>> epochs_together([Recipe(epochs=9, patience=9)] * 9, halving=True).most
        21.0
    """
    all_of_them = [expected_epochs(recipe) for recipe in recipes]
    going = list(range(len(recipes)))
    for rung in rungs([recipe.epochs for recipe in recipes]) if halving else ():
        stay = best_third(dict.fromkeys(going, 0.0))
        for place in set(going) - set(stay):
            found = all_of_them[place]
            all_of_them[place] = Span(min(found.best, rung[place]), min(found.most, rung[place]))
        going = stay
    return sum(all_of_them, Span())


def seconds_of_fits(study: Study, part: StrategyPart, split: Split, line: Line) -> Span:
    """Seconds of a cell whose settings are trained by gradients: fits, those of folds, predictions of test and training rows."""
    recipes = [recipe_of(study.training.recipe, each) for each in settings(get_strategy(part.strategy), part.grid)]
    parts = [own for own, _ in parts_of(split, 0)]
    total = Span()
    for own in parts:
        begun = line.begun * len(recipes)
        here = [recipe.on(len(own.train)) for recipe in recipes]
        epochs = epochs_together(here, study.protocol.search == "halving")
        total += line.seconds(epochs, len(own.train)) + Span(begun, begun)
        if study.protocol.validation == "fixed":
            # of a line, a fifth is validated in every epoch
            total += epochs * (line.predicted * (len(own.validation) - fifth(len(own.train))))
    tested = len(recipes) if study.protocol.keep == "all" else 1
    predicted = line.predicted * (len(split.test) * tested + len(np.unique(split.train)))
    total += Span(predicted, predicted)
    if split.folds is not None:
        # the best epoch of the folds, which is not their last one
        again = epochs * (tested / len(recipes))
        total += line.seconds(Span(RUN_ON * again.best, again.most), len(split.train))
        total += Span(line.begun * tested, line.begun * tested)
    return total


def seconds_beside(study: Study, split: Split, line: Line) -> float:
    """Seconds of networks that `auto` trains beside heads: one a fold of the training rows, all of its epochs, no more."""
    total, parts = 0.0, [own for own, _ in parts_of(split, 0)]
    for own in [*parts, *([split] if split.folds is not None else [])]:
        n = len(own.train)
        others = round(n * (FOLDS - 1) / FOLDS)
        epochs = study.training.recipe.on(others).epochs
        fit = line.begun + line.seconds(Span(epochs, epochs), others).best
        # every network predicts its own fold, and all of them everybody else
        total += FOLDS * (fit + line.predicted * (len(own.validation) + n / FOLDS))
    return total + FOLDS * line.predicted * (len(split.test) + len(np.unique(split.train)))
