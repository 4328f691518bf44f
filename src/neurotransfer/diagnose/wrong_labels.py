"""Labels that test predictions contradict: what share of them may be wrong, as far as the predictions are good enough to tell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.diagnose.case import Case
from neurotransfer.errors import InputError
from neurotransfer.report.folder import RunFolder
from neurotransfer.report.prediction_tables import predictions_of, probabilities_of
from neurotransfer.seeding import stream
from neurotransfer.statistics import SELECTION, scores
from neurotransfer.statistics.estimates import Estimate
from neurotransfer.statistics.mislabelled import ConfidentJoint, confident_joint, outlying

CLASSES = ("binary", "categorical")
# with classes that are told apart worse, overlap is taken for wrong labels in more than one clean study of ten
LEAST_AUC = 0.8
# below it, how sure a fit was is rounding
LEAST_SHARE = 1e-6
N_DRAWS = 300
NOISE, OVERLAP, UNSURE = "more than overlap gives", "no more than overlap gives", "predictions are not sure enough"


@dataclass(frozen=True, eq=False)
class WrongLabels:
    """What test predictions say of the labels of one task.

    Attributes:
        task: its name.
        strategy: whose predictions they are, the best one on validation.
        n: the training size.
        n_people: who was tested.
        auc: of the mean predictions of people; NaN for values.
        verdict: NOISE, OVERLAP or UNSURE; empty for values.
        share: of labels that were exchanged; NaN unless the predictions are good enough, but for the end that bounds it.
        p: of no exchanged label.
        counted: share of people given one class and confidently predicted another, overlap included; NaN for values.
        expected: the same by overlap alone.
        outlying: share of values further from their prediction than 3.5 robust standard deviations; NaN for classes.
        doubtful: a row a doubtful person: participant_id, given, likely, doubt (margin of the likely class, or standard deviations).
    """

    task: str
    strategy: str
    n: int
    n_people: int
    auc: float
    verdict: str
    share: Estimate
    p: float
    counted: Estimate
    expected: Estimate
    outlying: float
    doubtful: pd.DataFrame


def wrong_labels(run: RunFolder, cases: Sequence[Case]) -> tuple[dict[str, WrongLabels], list[str]]:
    """Of every task of a run what its test predictions say of its labels, and of which tasks they say nothing, and why.

    The predictions are those of the largest size, of fits that have not seen the person, as a mean over the replicates in which
    they were tested; of the strategy that is best on validation, so that no test score has chosen it.

    Args:
        run: from `read_run`.
        cases: its curves.
    """
    found, untold = {}, []
    for task in run.tasks:
        own = [case for case in cases if case.task.name == task.name]
        try:
            if run.predictions is None:
                raise InputError("the run kept no predictions")
            best, n = _best(own)
            rows = predictions_of(run.predictions, task, n, best.strategy)
            found[task.name] = _of_classes(best, n, rows) if task.kind in CLASSES else _of_values(best, n, rows)
        except InputError as error:
            untold.append(f"Wrong labels of {task.label}: {error}.")
    return found, untold


def _best(cases: Sequence[Case]) -> tuple[Case, int]:
    """The strategy that is best on validation at the largest size at which any has a score."""
    for place in reversed(range(len(cases[0].sizes) if cases else 0)):
        goods = {case.strategy: _on_validation(case, place) for case in cases}
        known = {name: good for name, good in goods.items() if np.isfinite(good)}
        if known:
            name = max(known, key=lambda each: known[each])
            best = next(case for case in cases if case.strategy == name)
            return best, int(best.sizes[place])
    raise InputError("no fit has a validation score")


def _on_validation(case: Case, place: int) -> float:
    name = SELECTION[case.task.kind]
    values = case.of_chosen(f"validation_{name}")[:, place]
    known = values[np.isfinite(values)]
    return float(known.mean()) * (-1 if name == "mae" else 1) if len(known) else np.nan


def _of_classes(case: Case, n: int, rows: pd.DataFrame) -> WrongLabels:
    observed = rows["observed"].to_numpy(int)
    shares = _shares(case, rows)
    names, whose = np.unique(rows["participant_id"].to_numpy(str), return_inverse=True)
    labels, means, people = _by_person(observed, shares, whose)
    generator = stream(0, "diagnose", "labels", case.task.name)
    joint = confident_joint(labels, means, people, n_draws=N_DRAWS, generator=generator)
    auc = scores(case.task.kind, labels, means[:, 1], means)["auc"]
    verdict, share = _verdict(joint, auc)
    classes = np.array(case.task.classes or [str(place) for place in range(means.shape[1])], object)
    doubtful = pd.DataFrame(
        {
            "participant_id": names[people[joint.flagged]],
            "given": classes[labels[joint.flagged]],
            "likely": classes[joint.likely],
            "doubt": means[joint.flagged, joint.likely] - means[joint.flagged, labels[joint.flagged]],
        }
    )
    return WrongLabels(
        case.task.name, case.strategy, n, len(names), auc, verdict, share, joint.noise.p, joint.noise_share,
        joint.expected_share, np.nan, doubtful,
    )  # fmt: skip


def _shares(case: Case, rows: pd.DataFrame) -> np.ndarray:
    """The probabilities of every class (n, K)."""
    if case.task.kind == "binary":
        ones = rows["predicted"].to_numpy(float)
        return np.column_stack([1 - ones, ones])
    found = probabilities_of(rows, case.task)
    if found is None:
        raise InputError("the run kept no probabilities of its classes")
    return found / found.sum(1, keepdims=True)


def _by_person(
    observed: np.ndarray, shares: np.ndarray, whose: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row a person and label: the label, the mean probabilities by their logarithms, the person.

    Means of the probabilities themselves have other tails than those of a fit, which passed for wrong labels in 13 of 100 clean
    studies, and those of logarithms in 2 (60 studies at each of three overlaps).
    """
    pairs, place, often = np.unique(np.column_stack([whose, observed]), axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(pairs), shares.shape[1]))
    np.add.at(sums, place.ravel(), np.log(np.clip(shares, LEAST_SHARE, None)))
    found = np.exp(sums / often[:, None])
    return pairs[:, 1], found / found.sum(1, keepdims=True), pairs[:, 0]


def _verdict(joint: ConfidentJoint, auc: float) -> tuple[str, Estimate]:
    """What holds of the share: an estimate where predictions are good enough, else the end that bounds it."""
    share = joint.noise.share
    if not auc >= LEAST_AUC:
        return UNSURE, Estimate(np.nan, np.nan, share.high)
    return (NOISE if share.above_zero else OVERLAP), share


def _of_values(case: Case, n: int, rows: pd.DataFrame) -> WrongLabels:
    means = rows.groupby("participant_id", sort=True)[["observed", "predicted"]].mean()
    if len(means) < 2:
        raise InputError(f"{len(means)} tested people are too few")
    found = outlying(means["observed"].to_numpy(), means["predicted"].to_numpy())
    own = means.iloc[found.rows]
    doubtful = pd.DataFrame(
        {
            "participant_id": own.index.astype(str),
            "given": own["observed"].map("{:g}".format).to_numpy(),
            "likely": own["predicted"].map("{:.4g}".format).to_numpy(),
            "doubt": np.abs(found.deviation[found.rows]),
        }
    )
    none = Estimate(np.nan, np.nan, np.nan)
    return WrongLabels(
        case.task.name, case.strategy, n, len(means), np.nan, "", none, np.nan, none, none, found.share, doubtful
    )
