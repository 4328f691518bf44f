"""The page of a table of predictions: what was predicted, how good it is where that is known, and whom not to believe."""

import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.artifacts import TABLE_SUFFIXES, is_file
from neurotransfer.pages.model import Code, Facts, Item, Page, Row, Section, Table, Text
from neurotransfer.report.predicted_figures import (
    agreement_figures,
    distribution_figure,
    drift_figures,
    error_label,
    gap_figure,
    group_figure,
    spread_figure,
)
from neurotransfer.report.predicted_scores import (
    group_table,
    label_of,
    score_table,
    worst_rows,
)
from neurotransfer.report.predicted_table import (
    AGE,
    GAP,
    KEPT,
    OUTSIDE,
    PredictedTable,
    PredictedTarget,
    read_predicted,
)
from neurotransfer.report.predicted_words import (
    absent_words,
    bias_words,
    cautions_of,
    drift_words,
    made_words,
    models_of,
    score_words,
    spread_words,
)
from neurotransfer.report.rows import groups_of, texts
from neurotransfer.report.wording import joined, number

WORST, MOST_JUDGED, LEAST_JUDGED = 20, 12, 2


def recognises(path: Path) -> bool:
    """Whether a path is a table, which may hold predictions."""
    return path.suffix.lower() in TABLE_SUFFIXES and is_file(path)


def page_of(path: Path) -> Page:
    """The page of a table that `predict` wrote.

    Raises:
        InputError: when the table or its sidecar cannot be used.
    """
    table = read_predicted(path)
    judged = [target for target in table.targets if target.known.sum() >= LEAST_JUDGED]
    scored = {target.name: score_table(target, table.people) for target in judged[:MOST_JUDGED]}
    return Page(
        title=f"Predictions: {path.name}",
        lead=f"By {joined([str(model.get('Name')) for model in models_of(table)]) or 'a model that is not named'}.",
        found=[
            made_words(table),
            *(score_words(table, target, scored[target.name]) for target in judged[:MOST_JUDGED]),
            *drift_words(table),
        ],
        sections=[
            Section("predicted", "What was predicted", _predicted(table)),
            *(_section(table, target, scored[target.name]) for target in judged[:MOST_JUDGED]),
            *_gap(table),
            Section("fit", "Whether the scans are what the model knows", _fit(table)),
            Section("again", "To do it again", _again(table)),
        ],
        cautions=cautions_of(table, judged, MOST_JUDGED),
    )


def _predicted(table: PredictedTable) -> list[Item]:
    rows = [_target_row(target) for target in table.targets]
    headings = ["target", "kind", "scans", "observed too", "median (quartiles), or most probable class"]
    items: list[Item] = [Table("targets", "Every target", headings, rows, numeric=(2, 3))]
    figure = distribution_figure(table.targets)
    if figure is not None:
        items.append(figure)
    return [*items, *(Text(said, "quiet") for said in absent_words(table))]


def _target_row(target: PredictedTarget) -> list[str]:
    known = target.predicted[np.isfinite(target.predicted)]
    if target.kind == "continuous":
        kind = f"continuous ({target.unit})" if target.unit else "continuous"
        said = "{:.4g} ({:.4g} to {:.4g})".format(*np.quantile(known, [0.5, 0.25, 0.75])) if len(known) else "–"
    else:
        kind = f"{target.kind}: {', '.join(target.classes)}"
        whole = np.isfinite(target.probabilities).all(1)
        best = target.probabilities[whole].argmax(1)
        said = ", ".join(f"{label}: {int((best == place).sum())}" for place, label in enumerate(target.classes))
    return [target.name, kind, str(len(known)), str(int(target.known.sum())), said]


def _section(table: PredictedTable, target: PredictedTarget, scored: pd.DataFrame) -> Section:
    place = table.targets.index(target)
    groups = {by: found for by, column in (("site", "site"), ("sex", "sex_observed"))
              if column != f"{target.name}_observed" and (found := groups_of(table.rows, column)) is not None}  # fmt: skip
    figures = agreement_figures(table, target, groups.get("site"))
    tables = {by: group_table(target, found.tolist(), table.people) for by, found in groups.items()}
    more = [group_figure(f"target-{place}-by-{by}", target, rows, by) for by, rows in tables.items() if len(rows) > 1]
    spread = spread_figure(f"target-{place}-spread", table, target)
    items: list[Item] = [Row([*figures, *more, *([spread] if spread else [])]), _scores(place, target, scored)]
    items += [_group_rows(f"target-{place}-{by}", target, rows, by) for by, rows in tables.items() if len(rows) > 1]
    items += [Text(said) for said in spread_words(target)]
    if not groups:
        items.append(Text("Neither site nor sex is in this table, so errors are not shown by them.", "quiet"))
    return Section(f"target-{place}", target.name, [*items, _worst(f"target-{place}-worst", table, target)])


def _scores(place: int, target: PredictedTarget, scored: pd.DataFrame) -> Table:
    rows = [
        [label_of(row["score"], target.unit), number(row["value"]), f"{number(row['low'])} to {number(row['high'])}"]
        for row in scored.to_dict("records")
    ]
    caption = (
        f"Scores of {target.name} on {int(target.known.sum())} scans; intervals from drawing people again 1,000 times"
    )
    return Table(f"target-{place}-scores", caption, ["score", "value", "95 % interval"], rows, numeric=(1, 2))


def _group_rows(name: str, target: PredictedTarget, table: pd.DataFrame, by: str) -> Table:
    rows = [
        [row["group"], str(row["people"]), str(row["scans"]), number(row["error"], 2),
         f"{number(row['low'], 2)} to {number(row['high'], 2)}", number(row["bias"], 2)]
        for row in table.to_dict("records")
    ]  # fmt: skip
    note = "" if target.is_numeric else f"; an error is {error_label(target)}"
    headings = [
        by,
        "people",
        "scans",
        "mean error" if not target.is_numeric else f"mean {error_label(target)}",
        "95 % interval",
        "mean of predicted less observed",
    ]
    return Table(name, f"{target.name} by {by}{note}", headings, rows, numeric=(1, 2, 3, 4, 5))


def _worst(name: str, table: PredictedTable, target: PredictedTarget) -> Table:
    assert target.observed is not None
    rows = []
    for row in worst_rows(target, WORST):
        if target.is_numeric:
            said = [f"{target.observed[row]:.4g}", f"{target.predicted[row]:.4g}", number(target.error[row], 2)]
        else:
            true = target.classes[int(target.observed[row])]
            said = [true, target.classes[int(target.probabilities[row].argmax())], number(target.error[row], 2)]
        rows.append(
            [table.scans[row], *said, str(table.rows["contract"].iloc[row]) if "contract" in table.rows else ""]
        )
    error = "predicted less observed" if target.is_numeric else error_label(target)
    return Table(
        name, f"The {len(rows)} worst predictions", ["scan", "observed", "predicted", error, "contract"], rows, (3,)
    )


def _gap(table: PredictedTable) -> list[Section]:
    ages = [target for target in table.targets if target.name == AGE and target.kind == "continuous"]
    if not ages or GAP not in table.rows or ages[0].observed is None:
        return []
    figure = gap_figure(table, ages[0].observed)
    if figure is None:
        return []
    return [Section("brain-age-gap", "Brain-age gap", [figure, Text(bias_words(table))])]


def _fit(table: PredictedTable) -> list[Item]:
    contract = texts(table.rows, "contract", "")
    counts = {
        KEPT: int((contract == KEPT).sum()),
        OUTSIDE: int((contract == OUTSIDE).sum()),
        "refused": len(table.refused),
    }
    if "contract" not in table.rows:
        return [Text("The model takes columns of a table, not scans: there is no contract to hold them against.")]
    items: list[Item] = [Facts([(name, f"{count} scans") for name, count in counts.items()])]
    if table.refused:
        items.append(
            Table(
                "refused",
                "Scans that were refused, and why",
                ["scan", "reason"],
                [list(each) for each in table.refused],
            )
        )
    figures = drift_figures(table)
    return [
        *items,
        Row(figures) if figures else Text("The model has no reference, so nobody knows whether these scans are alike."),
    ]


def _again(table: PredictedTable) -> list[Item]:
    made = table.made
    cohort = made.get("Cohort") if isinstance(made.get("Cohort"), dict) else {}
    facts = [(f"cohort, {key.replace('_', ' ')}", str(value)) for key, value in dict(cohort or {}).items()]
    facts += [(key.lower(), str(made[key])) for key in ("Engine", "python", "machine") if key in made]
    versions = made.get("versions") if isinstance(made.get("versions"), dict) else {}
    models = [
        (str(each.get("Name")), f"licence {each.get('Licence')}; {each.get('Citation') or 'no citation'}")
        for each in models_of(table)
    ]
    return [
        Text("Where model and scans lay is not kept in the table; put them in the places of MODEL and SCANS."),
        Code(command_of(table)),
        Facts(models),
        Facts(facts),
        Facts([(str(name), str(version)) for name, version in dict(versions or {}).items()], folded="Versions"),
    ]


def command_of(table: PredictedTable) -> str:
    """The command that makes such a table again, as far as the table says how it was made."""
    also = [part for place in range(2, len(models_of(table)) + 1) for part in ("--also", f"MODEL{place}")]
    options = table.made.get("Options", [])
    asked = [shlex.quote(str(part)) for part in options] if isinstance(options, list) else []
    return " ".join(["neurotransfer predict MODEL SCANS", f"--out {shlex.quote(table.path.name)}", *also, *asked])
