"""The model on the page: a network against a linear model, tables and figures of representations, what cannot be told."""

import json

import made_up
import numpy as np
import pandas as pd
import pytest

from neurotransfer.diagnose.case import case_of
from neurotransfer.diagnose.contained import Contained
from neurotransfer.diagnose.model_page import (
    UNTOLD,
    against_linear,
    drift_table,
    model_as_json,
    model_section,
    model_untold,
)
from neurotransfer.diagnose.representations import DRIFT_COLUMNS, Representations
from neurotransfer.pages.model import Figure, Table, Text
from neurotransfer.statistics.estimates import Estimate


def case(scores, kind, task=made_up.TASK, label=""):
    return case_of(made_up.fits(scores, task, label or kind), task, label or kind, kind)


def pair(task=made_up.TASK, sign=1):
    """A network that is 0.03 worse at the first size and 0.05 better at the last, on the same replicates."""
    linear = made_up.replicates(made_up.RISING, 0.05, n=20)
    network = linear + sign * np.array([-0.03, 0.0, 0.01, 0.02, 0.05])
    return [case(linear, "linear", task), case(network, "perceptron", task)]


def drift(again=0.8):
    rows = [
        (
            "diagnosis",
            "finetuned",
            n,
            replicate,
            layer,
            0.9 - 0.1 * place - n / 1000 + 0.01 * replicate,
            0.2,
            40,
            0.8,
            again,
        )
        for n in (50, 200, 800)
        for replicate in range(3)
        for place, layer in enumerate(("layer 1", "layer 2", "features"))
    ]
    return pd.DataFrame(rows, columns=list(DRIFT_COLUMNS))


CONTAINED = Contained("diagnosis", "linear", "base", 300, Estimate(0.62, 0.5, 0.7), Estimate(0.97, 0.96, 0.98))


def items(section, kind):
    return [item for item in section.items if isinstance(item, kind)]


def test_differences_are_paired_by_replicate():
    found = against_linear(pair())
    np.testing.assert_allclose(found["difference"], [-0.03, 0, 0.01, 0.02, 0.05], atol=1e-12)
    # the same replicates: what both share is no doubt
    assert (found["high"] - found["low"]).max() < 1e-9
    assert found["n"].tolist() == list(made_up.SIZES)
    assert set(found["replicates"]) == {20}


def test_of_errors_above_zero_is_better_too():
    found = against_linear(pair(made_up.AGE, sign=-1))
    np.testing.assert_allclose(found["difference"], [-0.03, 0, 0.01, 0.02, 0.05], atol=1e-12)


def test_every_network_is_held_against_every_linear_model_of_its_task():
    both = pair()
    other = case(made_up.replicates(made_up.RISING, n=10, seed=4), "linear", label="weak")
    found = against_linear([*both, other])
    assert set(zip(found["strategy"], found["than"], strict=True)) == {("perceptron", "linear"), ("perceptron", "weak")}
    assert set(found[found["than"] == "weak"]["replicates"]) == {10}
    assert not len(against_linear([both[0], case(made_up.replicates([1.0] * 5), "perceptron", made_up.AGE)]))


def test_layers_are_means_over_replicates():
    found = drift_table(drift())
    first = found[(found["n"] == 50) & (found["layer"] == "layer 1")].iloc[0]
    assert (first["mean"], first["low"], first["high"]) == pytest.approx((0.86, 0.85, 0.87))
    assert first["fits"] == 3
    assert list(dict.fromkeys(found["layer"])) == ["layer 1", "layer 2", "features"]


def test_the_section_shows_all_there_is():
    cases = pair()
    section = model_section(cases, against_linear(cases), Representations((CONTAINED,), drift()))
    assert [figure.name for figure in items(section, Figure)] == ["diagnosis-against-linear", "diagnosis-drift"]
    (table,) = items(section, Table)
    assert table.rows == [["Diagnosis", "linear", "base", "300", "0.62 (0.50 to 0.70)", "0.97 (0.96 to 0.98)"]]
    (text,) = items(section, Text)
    assert text.text.startswith("9 fits were made again")
    assert text.kind == "quiet"
    figure = items(section, Figure)[1]
    assert set(figure.looks) == {"n = 50", "n = 200", "n = 800"}
    assert len(figure.layers[0].table) == 3


def test_fits_that_do_not_come_out_the_same_are_a_caution():
    section = model_section(pair(), against_linear([]), Representations((), drift(again=0.7)))
    (text,) = items(section, Text)
    assert text.kind == "caution"
    assert "at most 0.1000" in text.text


def test_what_was_not_computed_is_said_with_the_flag():
    cases = pair()
    assert model_untold(cases, against_linear(cases), None) == [UNTOLD]
    (first, second) = model_untold(cases[:1], against_linear(cases[:1]), Representations((), drift(), ("no model",)))
    assert "no strategy perceptron" in first
    assert second == "no model"
    section = model_section(cases[:1], against_linear(cases[:1]), None)
    assert [text.text for text in items(section, Text)] == ["See what cannot be told."]


def test_json_holds_every_row():
    cases = pair()
    facts = model_as_json(against_linear(cases), Representations((CONTAINED,), drift()))
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert len(facts["against_linear"]) == 5
    assert facts["representations"]["contained"][0]["share"]["value"] == 0.62
    assert model_as_json(against_linear([]), None) == {"against_linear": [], "representations": None}
