"""All that is known of the curves of a run: how they vary, whether they fall, what they would gain without each cause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from neurotransfer.benchmark.variants import title_of
from neurotransfer.diagnose.anomaly import anomaly_of
from neurotransfer.diagnose.case import Case, case_of, cases_of
from neurotransfer.diagnose.causes import CAUSES
from neurotransfer.diagnose.experiments import EXPERIMENTS, as_values, possible
from neurotransfer.diagnose.from_tables import Fit, Tables, fit_of, gains_of_tables, tables_of
from neurotransfer.diagnose.gains import Gain, gain_of_pairs
from neurotransfer.diagnose.gates import gated
from neurotransfer.diagnose.interpolation import SweepVerdict, of_curve
from neurotransfer.diagnose.oracle import by_test_of
from neurotransfer.diagnose.parts import tested_parts
from neurotransfer.diagnose.settled import Settled, settled_by
from neurotransfer.diagnose.sites import ANY_SITES
from neurotransfer.diagnose.spreading import spreads_of
from neurotransfer.diagnose.verdict import Verdict, judge
from neurotransfer.errors import InputError
from neurotransfer.report.folder import RunFolder
from neurotransfer.seeding import stream
from neurotransfer.statistics.monotone import MonotoneTest, monotone_test
from neurotransfer.statistics.redrawn import Redrawn, by_replicates
from neurotransfer.statistics.redrawn_people import PeopleScores, people_scores
from neurotransfer.statistics.selection import CostByTest
from neurotransfer.statistics.spread import Spread

PEOPLE_DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Analysis:
    """One curve with everything that is shown of it. Scores are turned so that more is better.

    Attributes:
        case: the curve.
        redrawn: how it varies for this pool of people, by its replicates.
        of_people: how it varies with other people too; None where the run kept no predictions.
        test: whether it falls, for this pool; None where it has fewer than two sizes with replicates enough.
        test_of_people: whether it would fall for other people.
        fit: how well training people are fitted, where the run says so.
        tables: what choosing costs, and the edges of the grid.
        settled: what would settle the deepest dip; None where there is none that is visible.
        spreads: by size, where the differences between replicates come from.
        gains: by experiment, what was gained at every size.
        verdict: what explains it.
        by_test: by size what choosing gave on the test set beside other settings; empty unless the run kept all of them.
    """

    case: Case
    redrawn: Redrawn
    of_people: Redrawn | None
    test: MonotoneTest | None
    test_of_people: MonotoneTest | None
    fit: Fit | None
    tables: Tables
    settled: Settled | None
    spreads: Mapping[int, Spread]
    gains: Mapping[str, Gain]
    verdict: Verdict
    by_test: Mapping[int, CostByTest] = field(default_factory=dict)


def analyse(
    run: RunFolder,
    experiments: Mapping[str, pd.DataFrame],
    strategies: Sequence[str] = (),
    sweeps: Sequence[SweepVerdict] = (),
) -> list[Analysis]:
    """Every curve of a run.

    Args:
        run: from `read_run`.
        experiments: the fits of experiments by name.
        strategies: labels of those that are looked at; empty for all.
        sweeps: what sweeps below the run say, which stands beside what the cause interpolation rests on.

    Raises:
        InputError: when a strategy is not in the run, or there is no curve.
    """
    absent = [name for name in strategies if name not in run.strategies]
    if absent:
        raise InputError(
            f"{str(run.path)!r} has no strategy {', '.join(map(repr, absent))}; there are {', '.join(run.strategies)}"
        )
    every = cases_of(run)
    redrawn = {(case.task.name, case.strategy): _redrawn(case, run) for case in every}
    wanted = [case for case in every if not strategies or case.strategy in strategies]
    if not wanted:
        raise InputError(f"{str(run.path)!r} has no curve: every fit failed; see neurotransfer report")
    return [_analysed(case, run, redrawn, experiments, sweeps) for case in wanted]


def _redrawn(case: Case, run: RunFolder) -> Redrawn:
    # one stream for all strategies of a task: their replicates are drawn together, as they share splits
    return by_replicates(case.goods, generator=stream(_seed(run), "diagnose", case.task.name))


def _seed(run: RunFolder) -> int:
    return int(run.study.get("seed") or 0)


def _analysed(
    case: Case,
    run: RunFolder,
    redrawn: Mapping[tuple[str, str], Redrawn],
    experiments: Mapping[str, pd.DataFrame],
    sweeps: Sequence[SweepVerdict],
) -> Analysis:
    own = redrawn[case.task.name, case.strategy]
    parts = tested_parts(case, run.predictions)
    scored = None if parts is None else people_scores(parts, case.score, case.task.kind)
    of_people = None if scored is None else _of_people(case, scored, _seed(run))
    test, test_of_people = _tested(own), _tested(of_people)
    others = {name: each for (task, name), each in redrawn.items() if task == case.task.name and name != case.strategy}
    anomaly = anomaly_of(case, test, others, own)
    fit = fit_of(case)
    measured = _measured(case, experiments, _seed(run))
    tables = tables_of(case)
    gains, words = gains_of_tables(case, tables, _seed(run))
    words = _by_experiments(case, run) | words
    for name, gain in measured.items():
        cause = EXPERIMENTS[name].cause
        # of several experiments on one cause the one that helps most, and an experiment rather than the tables
        if cause and (cause not in gains or gains[cause].source == "tables" or _helps(gain) > _helps(gains[cause])):
            gains[cause] = gain
            words[cause] = f"experiment {name}: {EXPERIMENTS[name].question}"
    gains, words = gated(case, anomaly, fit, gains, words)
    sweep = of_curve(sweeps, case.task.name, case.strategy)
    if sweep is not None:
        words["interpolation"] = f"{words['interpolation']}; the sweep says: {sweep.kind}"
    verdict = judge(case, anomaly, gains, words, test)
    settled, spreads = settled_by(case, own, test, scored), spreads_of(case, parts, experiments)
    by_test = by_test_of(case, run.path)
    return Analysis(
        case, own, of_people, test, test_of_people, fit, tables, settled, spreads, measured, verdict, by_test
    )


def _by_experiments(case: Case, run: RunFolder) -> dict[str, str]:
    """By cause the experiments that could tell it of this strategy, in words."""
    study = as_values(run.study.get("study"))
    known = [part for part in (study or {}).get("strategies", []) if title_of(part) == case.strategy]
    allowed = possible({**study, "strategies": known}, ANY_SITES) if study and known else {}
    found = {}
    for cause in CAUSES:
        names = [name for name in allowed if EXPERIMENTS[name].cause == cause]
        found[cause] = (
            f"run the experiment {' or '.join(names)}" if names else "no experiment can tell it of this strategy"
        )
    return found


def _helps(gain: Gain) -> float:
    return float(np.nanmean(gain.points))


def _of_people(case: Case, scored: PeopleScores, seed: int) -> Redrawn:
    found = scored.redrawn(PEOPLE_DRAWS, stream(seed, "diagnose", "people", case.task.name))
    return Redrawn(case.sign * found.curve, case.sign * found.deviations)


def _tested(redrawn: Redrawn | None) -> MonotoneTest | None:
    if redrawn is None or redrawn.known.sum() < 2:
        return None
    return monotone_test(redrawn, higher_is_better=True)


def _measured(case: Case, experiments: Mapping[str, pd.DataFrame], seed: int) -> dict[str, Gain]:
    """What each experiment that has this curve gained, replicate by replicate."""
    found = {}
    for name, fits in experiments.items():
        own = fits[(fits["task"] == case.task.name) & (fits["strategy"] == case.strategy) & fits["n"].isin(case.sizes)]
        if not len(own):
            continue
        goods = case_of(own, case.task, case.strategy, case.kind).goods
        table = np.full((len(goods), len(case.sizes)), np.nan)
        table[:, np.isin(case.sizes, own["n"].unique())] = goods
        both = min(len(table), len(case.goods))
        found[name] = gain_of_pairs(table[:both] - case.goods[:both], name, seed)
    return found
