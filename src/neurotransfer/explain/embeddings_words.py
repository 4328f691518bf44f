"""What was found in features, in plain words; every number in a sentence is one of the tables'."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neurotransfer.explain.halves import Sure
from neurotransfer.explain.measuring import RAW, WITHOUT, Measured, Numbers
from neurotransfer.explain.traces import Trace

ALPHA = 0.05
LIKE = {"cka": "linear CKA", "rsa": "RSA"}


def probability(p: float) -> str:
    """A p-value as it stands in a sentence.

    Example:
        >>> probability(0.0123), probability(0.0001)
        ('p = 0.012', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def between(number: Sure, digits: int = 1) -> str:
    """A number with its interval.

    Example:
        >>> between(Sure(11.31, 9.84, 12.6, np.zeros(0)))
        '11.3 (9.8 to 12.6)'
    """
    return f"{number.value:.{digits}f} ({number.low:.{digits}f} to {number.high:.{digits}f})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    Example:
        >>> listed(["age", "sex", "site"])
        'age, sex and site'
    """
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


def found_of(numbers: Numbers) -> list[str]:
    """What was found, a sentence or some a paragraph."""
    paragraphs = [_dimensions(numbers), _redundancy(numbers), *_targets(numbers), _alike(numbers), *_traces(numbers)]
    return [paragraph for paragraph in paragraphs if paragraph]


def _without(numbers: Numbers) -> str:
    return f"without {listed(numbers.covariates.names)}"


def _dimensions(numbers: Numbers) -> str:
    first, *others = [_dimension(model, numbers) for model in numbers.models]
    sentences = [first, *others]
    for model in numbers.models[1:]:
        change = numbers.differences[model.name, RAW, "participation"]
        if change.low > 0 or change.high < 0:
            more = model.name if change.value > 0 else numbers.models[0].name
            sentences.append(f"Those of {more} say more different things, by {_size(change)}.")
        else:
            sentences.append(f"That {model.name} differs from {numbers.models[0].name} in this is not shown.")
    return " ".join(sentences)


def _size(change: Sure, digits: int = 1) -> str:
    ends = sorted(abs(end) for end in (change.low, change.high))
    return f"{abs(change.value):.{digits}f} ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})"


def _dimension(model: Measured, numbers: Numbers) -> str:
    found = model.views[RAW].dimension
    text = (
        f"The {found.n_features} features of {model.name} behave like {between(found.participation)} independent ones"
    )
    if WITHOUT in model.views:
        text += f", {_without(numbers)} like {between(model.views[WITHOUT].dimension.participation)}"
    return f"{text}."


def _redundancy(numbers: Numbers) -> str:
    first = numbers.models[0].views[RAW]
    parts = [f"{between(model.views[RAW].redundancy, 2)} in {model.name}" for model in numbers.models]
    text = (
        f"Two features are correlated by |r| = {' and by '.join(parts)} on average; unrelated ones would be by {first.chance:.2f} "
        f"among as many people."
    )
    for model in numbers.models[1:]:
        change = numbers.differences[model.name, RAW, "redundancy"]
        if change.low > 0 or change.high < 0:
            less = numbers.models[0].name if change.value > 0 else model.name
            text += f" The features of {less} are less redundant, by {_size(change, 2)}."
    return text


def _targets(numbers: Numbers) -> list[str]:
    found = []
    for target, rows in numbers.targets.groupby("target", sort=False):
        parts = [
            _goes_with(str(target), own, model) for model, own in rows[rows["view"] == RAW].groupby("model", sort=False)
        ]
        found.append(" ".join(parts))
    return found


def _goes_with(target: str, rows: pd.DataFrame, model: object) -> str:
    n, sure = len(rows), int((rows["p_holm"] < ALPHA).sum())
    if rows["p"].isna().all():
        return f"{target}: nothing can be told of {model}."
    best = rows.loc[rows["p"].idxmin()]
    effect = effect_of(best["measure"], best["effect"], best["higher"])
    if not sure:
        shares = int((rows["p_fdr"] < ALPHA).sum())
        rate = f"; at a false discovery rate of 5 %, {shares} do" if shares else ""
        return (
            f"{target}: of no feature of {model} is it shown that it goes with it (closest {best['feature']}, {effect}, "
            f"{probability(best['p_holm'])} after Holm's correction{rate})."
        )
    return (
        f"{target}: {sure} of {n} features of {model} go with it after Holm's correction, most of all {best['feature']} ({effect}, "
        f"{probability(best['p_holm'])}, {int(best['n'])} people)."
    )


def effect_of(measure: str, effect: float, higher: str) -> str:
    """An effect as it stands in a sentence; of an AUC, who has more of the feature.

    Example:
        >>> effect_of("r", -0.5, ""), effect_of("AUC", 0.9, "M"), effect_of("AUC", 0.1, "M")
        ('r -0.50', 'AUC 0.90 for M', 'AUC 0.90 against M')
    """
    if measure != "AUC":
        return f"{measure} {effect:.2f}"
    return f"AUC {max(effect, 1 - effect):.2f} {'for' if effect >= 0.5 else 'against'} {higher}"


def _alike(numbers: Numbers) -> str:
    if len(numbers.models) < 2:
        return ""
    sentences = []
    places = [place for place, (_, layer) in enumerate(numbers.sets) if layer == "features"]
    for other in places[1:]:
        parts = []
        for measure, words in LIKE.items():
            found = numbers.similarity[RAW, measure]
            ends = f"{found.low[places[0], other]:.2f} to {found.high[places[0], other]:.2f}"
            parts.append(
                f"{words} {found.value[places[0], other]:.2f} ({ends}), {probability(found.p[places[0], other])}"
            )
        pair = f"{numbers.sets[places[0]][0]} and {numbers.sets[other][0]}"
        sentences.append(
            f"{pair} hold the same {numbers.n_compared} people alike by {' and '.join(parts)}; 1 is the same up to turning and "
            "scale, 0 is chance."
        )
    return " ".join(sentences)


def _traces(numbers: Numbers) -> list[str]:
    models = [(model.name, numbers.traces[model.name]) for model in numbers.models if model.name in numbers.traces]
    if not models:
        return []
    parts = [_trace(name, each) for name, each in models]
    text = f"How much of {numbers.asked.nuisance} the features betray: {'; '.join(parts)}."
    if WITHOUT in numbers.traces:
        own = numbers.traces[WITHOUT]
        text += f" The covariates alone give {own.auc:.2f}: what they tell of it is no fault of the features."
    return [text]


def _trace(name: str, found: Trace) -> str:
    read = "can be read from those of" if found.p < ALPHA else "it is not shown that it can be read from those of"
    return (
        f"it {read} {name}, AUC {found.auc:.2f} in people who were not learnt from (0.5 is chance; 95 % of shuffles stay below "
        f"{found.chance_high:.2f}; {probability(found.p)}, {found.n_people} people, {found.n_classes} classes)"
    ).replace("it it is not", "it is not")


def cautions_of(numbers: Numbers, left_out: int, n_scans: int, refused: Sequence[tuple[str, str]]) -> list[str]:
    """What to be careful about."""
    n = int(numbers.known.sum())
    found = []
    wide = [model for model in numbers.models if len(model.names) >= n]
    if wide:
        names = " and ".join(f"{model.name} ({len(model.names)})" for model in wide)
        found.append(
            f"There are fewer people ({n}) than features of {names}: which features go together can be told pair by pair only, and "
            f"more than {n - 1} dimensions cannot be seen. The effective dimension takes that into account, the spectrum does not."
        )
    if n < len(numbers.known):
        found.append(
            f"Of {len(numbers.known) - n} of {len(numbers.known)} people a covariate is missing; they are left out."
        )
    if n_scans > len(numbers.known):
        found.append(
            f"{n_scans} scans are of {len(numbers.known)} people: the scans of a person are averaged first, because people are what "
            "chance draws; only the map shows scans."
        )
    silent = [f"{model.n_silent} of {model.name}" for model in numbers.models if model.n_silent]
    if silent:
        found.append(f"Features that are the same for all are left out: {', '.join(silent)}.")
    if left_out:
        found.append(f"{left_out} scans are not with all models and are left out.")
    if refused:
        shown = "; ".join(f"{scan}: {why}" for scan, why in refused[:5])
        found.append(f"{len(refused)} scans were refused: {shown}{' ...' if len(refused) > 5 else ''}")
    return [*found, *numbers.notes]


def best_rows(targets: pd.DataFrame, most: int) -> pd.DataFrame:
    """The features that go most with every target, by model and view, at most so many each."""
    ordered = targets.sort_values("p", kind="stable", na_position="last")
    kept = ordered.groupby(["model", "view", "target"], sort=False).head(most)
    return kept.sort_values(["target", "model", "view", "p"], kind="stable")


def power(n: int) -> float:
    """The least |r| that n people show with p < 0.05 of one test.

    Example:
        >>> round(power(100), 2)
        0.2
    """
    from scipy.stats import t

    least = t.ppf(1 - ALPHA / 2, n - 2)
    return float(least / np.sqrt(n - 2 + least**2))
