"""What would settle a dip: how deep one can be seen now, and how many replicates, test people or people it would take."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.diagnose.case import Case, mean_of
from neurotransfer.seeding import stream
from neurotransfer.statistics.dip_power import smallest_visible
from neurotransfer.statistics.monotone import MonotoneTest
from neurotransfer.statistics.redrawn import Redrawn
from neurotransfer.statistics.redrawn_people import PeopleScores
from neurotransfer.statistics.settling import (
    noise_of_dip,
    noise_of_scores,
    people_in_pool_needed,
    people_tested_needed,
    replicates_needed,
)

N_TRIALS = 200


@dataclass(frozen=True)
class Settled:
    """What would show a dip of the depth that was seen in four of five runs, if it is there.

    Attributes:
        visible: the depth that is seen in four of five runs now, in points of the score.
        replicates: how many would do instead; infinite where the pool is too small for any number.
        people_tested: how many test people a replicate would do; NaN where the run kept no predictions.
        people_in_pool: how many people in the pool would do; NaN where the run kept no predictions.
    """

    visible: float
    replicates: float
    people_tested: float
    people_in_pool: float


def settled_by(case: Case, redrawn: Redrawn, test: MonotoneTest | None, scored: PeopleScores | None) -> Settled | None:
    """What would settle the deepest dip of a curve; None where it has none that is visible.

    Args:
        case: the curve.
        redrawn: how it varies.
        test: of its deepest dip.
        scored: test predictions by person, where there are any.
    """
    if test is None or test.depth < case.visible:
        return None
    known = np.flatnonzero(redrawn.known)
    place = min(test.start, int(known[-2]))
    seen = smallest_visible(redrawn, place, True, n_trials=N_TRIALS, generator=stream(0, "diagnose", "visible"))
    if not seen > 0:
        return None
    if scored is None:
        noise = noise_of_scores(case.goods, test.start, test.end)
        return Settled(seen, replicates_needed(noise, test.depth, seen), np.nan, np.nan)
    noise = noise_of_dip(scored, test.start, test.end)
    tested = float(mean_of(case.of_chosen("n_test_images"))[[test.start, test.end]].mean())
    pool = float(scored.sizes()[0].influences.size)
    return Settled(
        seen,
        replicates_needed(noise, test.depth, seen),
        people_tested_needed(noise, test.depth, seen, tested) if tested > 0 else np.nan,
        people_in_pool_needed(noise, test.depth, seen, pool),
    )
