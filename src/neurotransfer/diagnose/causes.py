"""The causes that are looked for, as values in one table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """Why a curve may not behave.

    Attributes:
        name: in tables and on the command line.
        title: on the page.
        meaning: what happens, in one sentence.
        advice: what to change in the study file.
        from_tables: whether the tables of a run alone can name it; else an experiment has to.
    """

    name: str
    title: str
    meaning: str
    advice: str
    from_tables: bool


CAUSES: dict[str, Cause] = {
    cause.name: cause
    for cause in (
        Cause(
            "luck", "Luck",
            "A curve that never falls would show such a dip by chance: too few replicates, too few test people, one small pool.",
            "more replicates, a larger or fixed test set ([protocol] test = \"people\", held_out = 0.2), more people",
            True,
        ),
        Cause(
            "interpolation", "Interpolation (double descent)",
            "Near the size at which the model can just fit every training label, wrong ones included, its predictions are "
            "wildest; with fewer or with more people, or held back by a penalty, they are better.",
            "stronger penalties in the grid of the strategy, or weight_decay and a shorter patience in [training]; check the labels",
            False,
        ),
        Cause(
            "selection", "Choice among settings",
            "The validation people are so few that a worse setting often looks best.",
            "[protocol] validation = \"folds\", or fewer settings in the grid",
            True,
        ),
        Cause(
            "edge", "Edge of the grid",
            "The best setting lies beyond what was tried.",
            "a wider grid of the strategy, on the side that is named",
            True,
        ),
        Cause(
            "capacity", "Model too small",
            "The model cannot fit what there is to learn, however many people there are.",
            "a wider network ([network] arguments, or the grid's width)",
            False,
        ),
        Cause(
            "sites", "Sites",
            "With size come sites whose scans or people differ, and the model learns the difference.",
            "[protocol] harmonise = \"site\", or where = { site = \"...\" } in the task, and a test that fits the use",
            False,
        ),
        Cause(
            "budget", "Training too short",
            "The budget ends before the network has learnt what it could.",
            "more epochs and patience in [training]",
            False,
        ),
    )
}  # fmt: skip
