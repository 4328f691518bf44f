"""The choices of how splits are drawn, as a value; the defaults are those of the talk."""

from dataclasses import dataclass

from neurotransfer.cohort.splits import fifth
from neurotransfer.errors import InputError, unknown

COUNTS = ("images", "participants")
IMAGES = ("all", "one")
TEST_SETS = ("fifth", "rest", "people")
VALIDATIONS = ("fifth", "folds", "fixed")
FEWEST_FOLDS, MOST_FOLDS = 2, 20
SMALLEST_VALIDATION = 2


@dataclass(frozen=True)
class Choices:
    """How splits are drawn; the defaults are the talk's.

    Args:
        replacement: whether an image (or person) may be drawn for training more than once.
        count: what n counts, `images` or `participants`; a person who is drawn brings all their images of the pool, and
            whoever is drawn twice brings them twice.
        images: `all` of the pool, or `one` a person, drawn anew for every split.
        test: `fifth` (n / 5 of those who were not drawn), `rest` (all who remain) or `people` (those the pool holds out).
        validation: `fifth` (n / 5 of those who were not drawn), `fixed` (as many of them at every n) or `folds` of the
            training rows.
        folds: how many, 2 to 20.
        stratify: draw every part with the proportions that the classes have in the pool.
        validation_size: how many images (or people, as `count` says) with `fixed`, 2 or more; None without.

    Raises:
        InputError: when a value is none of those, or a size of the validation goes with another way.
    """

    replacement: bool = True
    count: str = "images"
    images: str = "all"
    test: str = "fifth"
    validation: str = "fifth"
    folds: int = 5
    stratify: bool = False
    validation_size: int | None = None

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("count", self.count, COUNTS),
            ("images", self.images, IMAGES),
            ("test set", self.test, TEST_SETS),
            ("validation", self.validation, VALIDATIONS),
        ):
            if value not in allowed:
                raise InputError(unknown(what, value, allowed))
        if not FEWEST_FOLDS <= self.folds <= MOST_FOLDS:
            raise InputError(f"folds = {self.folds} is not possible: allowed are {FEWEST_FOLDS} to {MOST_FOLDS}")
        if (self.validation == "fixed") != (self.validation_size is not None):
            raise InputError(
                f'validation_size goes with validation = "fixed" and that needs it; found validation_size = '
                f"{self.validation_size} with validation = {self.validation!r}"
            )
        if self.validation_size is not None and self.validation_size < SMALLEST_VALIDATION:
            raise InputError(
                f"validation_size = {self.validation_size} is not possible: allowed are {SMALLEST_VALIDATION} and more"
            )

    def to_validate(self, n: int) -> int:
        """How many are set aside beside n for validation, by whom settings and epochs are chosen.

        Example:
            >>> Choices().to_validate(50), Choices(validation="folds").to_validate(50)
            (10, 0)
            >>> Choices(validation="fixed", validation_size=7).to_validate(50)
            7
        """
        return {"fifth": fifth(n), "folds": 0, "fixed": self.validation_size or 0}[self.validation]
