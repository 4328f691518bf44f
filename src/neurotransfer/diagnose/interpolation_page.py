"""A sweep in words, figures and tables."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from neurotransfer.diagnose.interpolation import (
    DOUBLE,
    ELSEWHERE,
    EPSILON,
    NO_PEAK,
    UNKNOWN,
    Curve,
    Judged,
    SweepVerdict,
    ratio_of,
)
from neurotransfer.diagnose.sweep import ARMS, PLAIN
from neurotransfer.diagnose.swept import ERRORS
from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Choice, Figure, Item, Layer, Section, Table, Text
from neurotransfer.report.folder import Task
from neurotransfer.report.naming import slugs
from neurotransfer.report.wording import joined, number, percent
from neurotransfer.statistics.estimates import Estimate, estimate_of_mean

TRAINING, TESTED = "training people", "test people"
LABELS = {"width": "width", "n": "n, training people", "epochs": "epochs"}
READING = (
    f"Training people count as fitted where their mean error is at most {EPSILON:g}, wrong labels included: the interpolation "
    "threshold. The effective model complexity is the largest n at which that is so (Nakkiran et al. 2020, ICLR). A peak is a place "
    "inside the grid whose test error is a multiple of a lower one on either side, by geometric means, judged replicate by "
    "replicate at the places that the other replicates pick; intervals are adjusted for the number of curves on which the threshold "
    "lies. It is double descent when it lies at the threshold and early stopping or weight decay lessens it."
)


def sentence_of(verdict: SweepVerdict) -> str:
    """What a sweep says, by the curve that decides."""
    if not verdict.judged:
        return "nothing was varied: give two widths, sizes or epochs or more."
    first = verdict.judged[0]
    where = f"along {first.curve.axis} at {where_of(first.curve)}"
    if first.kind == UNKNOWN:
        return f"{_unknown(verdict)}."
    fitted = _fitted_words(first)
    if first.kind == NO_PEAK:
        return f"no peak: {where}, {fitted}, and the test error has no peak beyond chance."
    assert first.peak is not None
    place = _plain(first.curve.values[first.peak.place])
    peak = (
        f"the test error has a peak at {first.curve.axis} {place}: {_times(first.peak.rise)} the lowest before and "
        f"{_times(first.peak.fall)} the lowest after"
    )
    away = "It lies away from the threshold." if first.kind == ELSEWHERE else "It lies at the threshold."
    return " ".join([f"{first.kind}: {where}, {fitted}, and {peak}.", away, *_lessened(first)])


def _unknown(verdict: SweepVerdict) -> str:
    whys = list(dict.fromkeys(each.why for each in verdict.judged))
    return f"{UNKNOWN} whether there is double descent, as {joined(whys)}; vary widths, n or epochs further"


def _lessened(judged: Judged) -> Iterator[str]:
    found = [
        f"{_times(each)} that with {arm}{'' if each.above_zero else ', which may be chance'}"
        for arm, each in judged.lessened.items()
    ]
    if found:
        yield f"The error there is {joined(found)}."
    elif judged.kind == DOUBLE:
        yield "No other arm was fitted there."


def _fitted_words(judged: Judged) -> str:
    axis, threshold = judged.curve.axis, judged.threshold
    word = "up to" if axis == "n" else "from"
    return f"training people are fitted {word} {axis} {_plain(threshold.fitted)} and not at {_plain(threshold.beyond)}"


def where_of(curve: Curve) -> str:
    """What of a curve is not varied, in words."""
    fixed, found = curve.fixed, []
    if fixed.get("n"):
        found.append(f"n = {_plain(fixed['n'])}")
    found += [f"{name} {_plain(fixed[name])}" for name in ("width", "epochs") if fixed.get(name)]
    return joined([*found, f"{percent(fixed['noise'])} wrong labels on purpose"])


def _plain(value: float) -> str:
    return f"{value:g}"


def _times(estimate: Estimate) -> str:
    """A difference of logarithms as a ratio with its interval."""
    found = ratio_of(estimate)
    ends = "" if np.isnan(found.low) else f" ({number(found.low, 2)} to {number(found.high, 2)})"
    return f"{number(found.value, 2)} times{ends}"


def found_by_sweeps(verdicts: Sequence[SweepVerdict], tasks: Sequence[Task]) -> list[str]:
    """What every sweep says, with its task and strategy."""
    labels = {task.name: task.label for task in tasks}
    return [f"{labels[each.task]}, sweep of {each.strategy}: {sentence_of(each)}" for each in verdicts]


def sweep_sections(verdicts: Sequence[SweepVerdict], tasks: Sequence[Task]) -> list[Section]:
    """A section for every task and strategy that was swept."""
    by_name = {task.name: task for task in tasks}
    names = slugs([f"{each.task}-{each.strategy}" for each in verdicts])
    return [
        Section(
            f"{slug}-sweep",
            f"{by_name[each.task].label}: sweep of {each.strategy}",
            list(_items(each, by_name[each.task], slug)),
        )
        for each, slug in zip(verdicts, names, strict=True)
    ]


def _items(verdict: SweepVerdict, task: Task, slug: str) -> Iterator[Item]:
    text = sentence_of(verdict)
    yield Text(f"{text[0].upper()}{text[1:]}")
    axis = verdict.judged[0].curve.axis if verdict.judged else "n"
    yield errors_figure(verdict, task, axis, f"{slug}-errors")
    yield map_figure(verdict, task, axis, f"{slug}-map")
    yield thresholds_table(verdict, f"{slug}-thresholds")
    yield complexity_table(verdict, f"{slug}-complexity")
    yield Text(READING, "quiet")


def _summarised(verdict: SweepVerdict, parts: Sequence[str]) -> pd.DataFrame:
    """Means and intervals over replicates, a row a point of the sweep and part."""
    key, rows = ["noise", "arm", "width", "epochs", "n"], []
    for values, own in verdict.errors.groupby(key, sort=False):
        for part in parts:
            found = estimate_of_mean(own[part].to_numpy(float))
            rows.append((*values, part, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=[*key, "part", "error", "low", "high"]).dropna(subset=["error"])


def _place(rows: pd.DataFrame, axis: str) -> pd.Series:
    """What is not varied along an axis, as text: a value of a choice."""
    others = [name for name in ("n", "epochs", "width") if name != axis]
    texts = [
        ", ".join(f"{name} {_plain(row[name])}" for name in others if row[name]) for row in rows.to_dict("records")
    ]
    return pd.Series(texts, index=rows.index, dtype=object)


def _noises(rows: pd.DataFrame) -> pd.Series:
    return rows["noise"].map(lambda value: f"{percent(value)} wrong labels")


def errors_figure(verdict: SweepVerdict, task: Task, axis: str, name: str) -> Figure:
    """Training and test errors along an axis, the arms beside them, with the threshold marked."""
    rows = _summarised(verdict, ["train", "test"])
    rows = rows[(rows["part"] == "test") | (rows["arm"] == PLAIN)]
    series = np.where(rows["part"] == "train", TRAINING, np.where(rows["arm"] == PLAIN, TESTED, rows["arm"]))
    shown = rows.assign(series=series, place=_place(rows, axis), noise=_noises(rows))
    marks = [
        {**each.curve.fixed, axis: each.threshold.fitted}
        for each in verdict.judged
        if each.curve.axis == axis and np.isfinite(each.threshold.fitted)
    ]
    rules = pd.DataFrame(marks, columns=["noise", "width", "epochs", "n"])
    rules = rules.assign(place=_place(rules, axis), noise=_noises(rules))
    ordered = [TESTED, TRAINING, *(arm for arm in ARMS if arm != PLAIN)]
    lines = shown.sort_values(axis, kind="stable")
    return Figure(
        name=name,
        title=f"{task.label}: errors against {axis}",
        description=f"Mean errors on training and test people against {axis}, with the interpolation threshold as a rule down.",
        x=_axis_of(axis, shown[axis]),
        y=Axis(f"{ERRORS[task.kind][1]}, lower is better"),
        layers=(
            *([Layer("rule", rules, x=axis, label="Interpolation threshold", quiet=True)] if len(rules) else []),
            Layer("line", lines, x=axis, y="error", series="series", low="low", high="high"),
        ),
        choices=_choices(verdict, shown, axis, {"place": "At", "noise": "Labels"}),
        looks={each: look for each, look in looks(ordered).items() if each in set(series)},
        caption="Means and 95 % intervals over replicates. Nothing holds the fits back whose errors on training and test people are "
        f"shown; the others are those of test people with it. The threshold: the training error is at most {EPSILON:g}.",
    )


def _choices(verdict: SweepVerdict, shown: pd.DataFrame, axis: str, columns: Mapping[str, str]) -> tuple[Choice, ...]:
    """Choices of columns by their labels, the values of the curve that decides first."""
    found = []
    for column, label in columns.items():
        values = list(dict.fromkeys(shown[column]))
        if verdict.judged and column in ("place", "noise"):
            first = pd.DataFrame([{axis: 0.0, **verdict.judged[0].curve.fixed}])
            own = (_place(first, axis) if column == "place" else _noises(first)).iloc[0]
            values.sort(key=lambda value: value != own)
        found.append(Choice(column, label, {value: value for value in values}))
    return tuple(found)


def _axis_of(axis: str, values: pd.Series) -> Axis:
    ticks = tuple(float(value) for value in np.sort(values.unique()))
    return Axis(LABELS[axis], scale="log" if min(ticks) > 0 else "linear", switch=min(ticks) > 0, ticks=ticks)


def map_figure(verdict: SweepVerdict, task: Task, axis: str, name: str) -> Figure:
    """Errors of every point of the sweep as a map, a row what is not varied along the axis."""
    rows = _summarised(verdict, ["test", "train"])
    rows = rows.assign(
        place=_place(rows, axis),
        noise=_noises(rows),
        people=rows["part"].map({"test": TESTED, "train": TRAINING}),
        text=[number(value, 2) for value in rows["error"]],
        value=rows["error"],
    ).sort_values(["n", "epochs", "width"], kind="stable")
    rows = rows.assign(across=rows[axis].map(_plain))
    columns = {"people": "People", "arm": "Held back by", "noise": "Labels"}
    return Figure(
        name=name,
        title=f"{task.label}: the map of errors",
        description=f"The mean error at every point of the sweep, {axis} across and what else is varied down.",
        x=Axis(LABELS[axis], scale="category"),
        y=Axis("", scale="category"),
        layers=(
            Layer("cell", rows, x="across", y="place", value="value", text="text", tips={"low": "from", "high": "to"}),
        ),
        choices=_choices(verdict, rows, axis, columns),
        colour_label=ERRORS[task.kind][1],
        caption="Means over replicates. Double descent is a ridge along the threshold, where the training error just reaches "
        "none.",
    )


def thresholds_table(verdict: SweepVerdict, name: str) -> Table:
    """Every curve with its threshold, its peak, what lessens that, and what it says."""
    arms = [arm for arm in ARMS if any(arm in each.lessened for each in verdict.judged)]
    rows = []
    for each in verdict.judged:
        is_peak = each.peak is not None and each.kind not in (NO_PEAK, UNKNOWN)
        peak = each.peak if is_peak else None
        rows.append(
            [f"{each.curve.axis}, at {where_of(each.curve)}", _bracket(each),
             "–" if peak is None else _plain(each.curve.values[peak.place]),
             "–" if peak is None else _times(peak.rise), "–" if peak is None else _times(peak.fall),
             *(_times(each.lessened[arm]) if arm in each.lessened else "–" for arm in arms),
             f"{each.kind}: {each.why}" if each.why else each.kind]
        )  # fmt: skip
    headings = ["Along", "Training people are fitted", "Peak at", "Against the lowest before", "Against the lowest after",
                *(f"Against {arm}" for arm in arms), "Verdict"]  # fmt: skip
    return Table(name, "Interpolation thresholds and peaks of the test error", headings, rows)


def _bracket(judged: Judged) -> str:
    fitted, beyond = judged.threshold.fitted, judged.threshold.beyond
    if np.isnan(fitted):
        return "nowhere"
    if np.isnan(beyond):
        return "everywhere"
    return f"{'up to' if judged.curve.axis == 'n' else 'from'} {_plain(fitted)}, not at {_plain(beyond)}"


def complexity_table(verdict: SweepVerdict, name: str) -> Table:
    """The effective model complexity of every width, epochs and noise."""
    rows = [
        [percent(row.noise), _plain(row.width) if row.width else "–", str(row.epochs) if row.epochs else "–",
         "below the smallest" if not row.n else f"{row.n} or more" if row.is_open else str(row.n)]
        for row in verdict.complexity.itertuples()
    ]  # fmt: skip
    headings = ["Wrong labels", "Width", "Epochs", "Effective model complexity (n)"]
    return Table(name, "The largest n at which training people are fitted without error", headings, rows, (1, 2, 3))
