"""Figures of a pretraining: losses and scores by epoch, what was predicted of those who chose the epoch, how old they are."""

from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.errors import InputError
from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import Axis, Choice, Figure, Layer
from neurotransfer.report.model_folder import ModelFolder
from neurotransfer.report.people import SEXES, pyramid_figure
from neurotransfer.report.scatter import agreement_of_layer, axis_label, calibration_figure, roc_figure
from neurotransfer.report.wording import number
from neurotransfer.statistics import SCORES

TRAINING, VALIDATION = "train_loss", "validation_loss"
PARTS = {TRAINING: "learnt from", VALIDATION: "not learnt from"}
ALL_TARGETS, REAL = "all together", "real_mae_"


def best_epochs(folder: ModelFolder) -> pd.DataFrame:
    """The epoch of the least validation loss, a row a member: `member`, `epoch`, `loss`; empty without a history."""
    if folder.history is None or VALIDATION not in folder.history:
        return pd.DataFrame(columns=["member", "epoch", "loss"])
    rows = _with_member(folder.history).dropna(subset=[VALIDATION])
    best = rows.loc[rows.groupby("member")[VALIDATION].idxmin()]
    return best[["member", "epoch", VALIDATION]].set_axis(["member", "epoch", "loss"], axis=1).reset_index(drop=True)


def _with_member(history: pd.DataFrame) -> pd.DataFrame:
    return history if "member" in history else history.assign(member=1.0)


def loss_figure(folder: ModelFolder) -> Figure | None:
    """Losses by epoch, of all targets together and of each; the epoch that was kept has a rule."""
    if folder.history is None:
        return None
    rows, parts = _with_member(folder.history), []
    for column, part in PARTS.items():
        if column in rows:
            parts.append(rows[["member", "epoch"]].assign(target=ALL_TARGETS, part=part, loss=rows[column]))
    for target in folder.targets:
        column = f"{VALIDATION}_{target.name}"
        if column in rows:
            parts.append(
                rows[["member", "epoch"]].assign(target=target.name, part=PARTS[VALIDATION], loss=rows[column])
            )
    table = pd.concat(parts, ignore_index=True).dropna(subset=["loss"])
    several = table["member"].nunique() > 1
    if several:
        table["part"] = [
            f"{part}, member {member:g}" for part, member in zip(table["part"], table["member"], strict=True)
        ]
    best = best_epochs(folder).drop_duplicates("epoch")
    options = {name: name for name in dict.fromkeys(table["target"])}
    layers = [Layer("line", table.drop(columns="member"), x="epoch", y="loss", series="part")]
    if len(best):
        layers.append(Layer("rule", best[["epoch"]], x="epoch", label="epoch that is kept", quiet=True))
    return Figure(
        "losses",
        "Losses by epoch",
        "The loss after every epoch, of scans that are learnt from and of others: where they part, the network learns by heart.",
        Axis("epoch"),
        Axis("loss", switch=True),
        tuple(layers),
        choices=(Choice("target", "target", options),) if len(options) > 1 else (),
        looks=looks(list(dict.fromkeys(table["part"]))),
    )


def score_figure(folder: ModelFolder) -> Figure | None:
    """The score that says most of every target by epoch, on those who chose it; None where none was kept."""
    if folder.history is None:
        return None
    parts, labels = [], {}
    for target in folder.targets:
        score = "mae" if target.kind in ("continuous", "ordinal") else "auc"
        column = f"{target.name}_{score}"
        if column in folder.history:
            label = axis_label(SCORES[score].label, target.unit if score == "mae" else "")
            parts.append(
                pd.DataFrame({"target": target.name, "epoch": folder.history["epoch"], "score": folder.history[column]})
            )
            labels[target.name] = f"{target.name}: {label[0].lower()}{label[1:]}"
    if not parts:
        return None
    names = {name: name for name in labels}
    return Figure(
        "scores",
        "Scores by epoch",
        "How good predictions of a target are after every epoch, on people who are not learnt from.",
        Axis("epoch"),
        Axis(next(iter(labels.values())), labels={"target": labels}),
        (Layer("line", pd.concat(parts, ignore_index=True).dropna(subset=["score"]), x="epoch", y="score"),),
        choices=(Choice("target", "target", names),) if len(names) > 1 else (),
    )


def real_figure(folder: ModelFolder) -> Figure | None:
    """How well features do on real people who only look on, by epoch; None where nobody did."""
    columns = [] if folder.history is None else [name for name in folder.history if str(name).startswith(REAL)]
    if folder.history is None or not columns:
        return None
    rows = _with_member(folder.history)
    parts = [
        pd.DataFrame({"people": name.removeprefix(REAL), "epoch": rows["epoch"], "error": rows[name],
                      "member": [f"member {member:g}" for member in rows["member"]]})
        for name in columns
    ]  # fmt: skip
    table = pd.concat(parts, ignore_index=True).dropna(subset=["error"])
    options = {name.removeprefix(REAL): f"{name.removeprefix(REAL)} people" for name in columns}
    return Figure(
        "real",
        "Real people who look on",
        "The error of ridge regression on features of real people after every epoch; the network does not learn from them.",
        Axis("epoch"),
        Axis("mean absolute error"),
        (Layer("line", table, x="epoch", y="error", series="member"),),
        choices=(Choice("people", "regression on", options),) if len(options) > 1 else (),
        looks=looks(list(dict.fromkeys(table["member"]))),
    )


def record_figures(folder: ModelFolder, name: str) -> list[Figure]:
    """Predicted against observed values or ROC curves of a target, and its calibration; empty where too few people are kept.

    Raises:
        InputError: when the record has been damaged.
    """
    kept, place = folder.judged[name], list(folder.judged).index(name)
    try:
        if "Agreement" in kept:
            first = [_agreement(f"target-{place}-agreement", name, kept)]
        else:
            first = [_roc(f"target-{place}-roc", name, kept)] if kept.get("Roc") else []
        return [*first, *([_calibration(f"target-{place}-calibration", name, kept)] if kept.get("Calibration") else [])]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the record of target {name!r} in {str(folder.path / 'training.json')!r} is damaged ({error!r}); copy the model folder "
            "again, or remove that file"
        ) from None


def _agreement(figure: str, name: str, kept: dict[str, Any]) -> Figure:
    found = kept["Agreement"]
    table = pd.DataFrame({"observed": found["Observed"], "predicted": found["Predicted"], "scans": found["Images"]})
    dots = Layer("dot", table, x="observed", y="predicted", size="scans", tips={"scans": "scans"})
    low, high = found["Ends"]
    return agreement_of_layer(
        figure, f"{name}: predicted against observed", dots, kept.get("Unit", ""), (float(low), float(high))
    )


def _roc(figure: str, name: str, kept: dict[str, Any]) -> Figure:
    parts = [
        pd.DataFrame({"class": f"{label} (area {number(curve['Area'], 2)})", "others": curve["Others"],
                      "recognised": curve["Recognised"]})
        for label, curve in kept["Roc"].items()
    ]  # fmt: skip
    return roc_figure(figure, f"{name}: ROC curve", pd.concat(parts, ignore_index=True))


def _calibration(figure: str, name: str, kept: dict[str, Any]) -> Figure:
    found, of_classes = kept["Calibration"], "Roc" in kept
    tables = [
        pd.DataFrame(columns).assign(**{"class": label})
        for label, columns in (found if of_classes else {"": found}).items()
    ]
    table = pd.concat(tables, ignore_index=True).rename(columns=str.lower)
    numeric = [column for column in table if column != "class"]
    table[numeric] = table[numeric].astype(float)
    return calibration_figure(figure, f"{name}: calibration", table, kept.get("Unit", ""), of_classes=of_classes)


def ages_figure(folder: ModelFolder) -> Figure | None:
    """How old those are whom the model saw, by sex and part; None where that was not kept."""
    rows = pd.DataFrame(folder.record.get("Ages") or [], columns=["Sex", "Age", "Years", "Part", "Images"])
    rows["Sex"] = rows["Sex"].astype(str).str.lower().map(SEXES)
    rows = rows.dropna()
    if not len(rows):
        return None
    table = rows.set_axis(["sex", "age", "width", "group", "scans"], axis=1)
    return pyramid_figure(table.astype({"age": float, "width": float, "scans": np.int64}))
