"""What the sentences say of runs whose truth is chosen, and what strategies are called in them."""

import fake_run
import numpy as np
import pytest

from neurotransfer.report.evidence import evidence_of
from neurotransfer.report.findings import compare, finding
from neurotransfer.report.folder import read_run
from neurotransfer.report.naming import Names, in_words, slugs

FINE = {"tuned": ("finetuned", "tuned")}
KINDS = {"multi-finetuned": ("finetuned", "multi"), "multi-frozen": ("frozen", "multi")}
NOISE = np.random.default_rng(0).normal(0, 0.02, (6, 30))


def said(folder, values, **options):
    run = read_run(fake_run.write_crafted(folder, values, kinds=KINDS, **options))
    return finding(evidence_of(run, run.tasks[0]))


def test_a_clear_win_is_told_with_its_size_interval_and_p(tmp_path):
    values = {"baseline": 0.7 + NOISE[0], "multi-finetuned": 0.83 + NOISE[1], "linear": 0.83 + NOISE[2]}
    run = read_run(fake_run.write_crafted(tmp_path, values, kinds=KINDS, sizes=(100,)))
    evidence = evidence_of(run, run.tasks[0])
    text = finding(evidence)
    assert text.startswith("Sex: pretraining helps at n = 100")
    gap = np.mean(values["multi-finetuned"] - values["baseline"])
    found = compare(evidence, 100, "multi-finetuned", "baseline")
    assert found.gap == pytest.approx(gap)
    assert found.low < gap < found.high
    assert "With 100 scans finetuning (multi-finetuned)" in text
    assert (
        f"beats training from scratch (baseline) by {gap:.2f} AUC (95 % interval {found.low:.2f} to {found.high:.2f}"
        in text
    )
    assert "p < 0.001 after Holm's correction" in text
    assert "it does not beat the linear model (" in text


def test_lower_errors_are_better_and_it_is_said_once(tmp_path):
    values = {"baseline": 0.9 + NOISE[0], "multi-finetuned": 0.6 + NOISE[1]}
    text = said(tmp_path, values, task="age", sizes=(10, 40))
    assert "pretraining helps at n = 10 and 40." in text
    assert text.count("where lower is better") == 1
    gap = np.mean(values["baseline"] - values["multi-finetuned"])
    assert f"beats training from scratch (baseline) by {gap:.2f} of relative absolute error (95 %" in text
    assert "finetuning (multi-finetuned), the best there with a mean relative absolute error of 0.60" in text
    assert "Not reliably better than chance" not in text


def test_a_mean_absolute_error_has_its_unit(tmp_path):
    values = {"baseline": 9 + NOISE[0], "multi-finetuned": 7 + NOISE[1]}
    text = said(tmp_path, values, task="age", score="mae")
    gap = np.mean(values["baseline"] - values["multi-finetuned"])
    assert f"by {gap:.2f} years of mean absolute error (95 %" in text
    assert f"with a mean absolute error of {values['multi-finetuned'].mean():.2f} years, where lower is better" in text


def test_harm_is_told(tmp_path):
    text = said(tmp_path, {"baseline": 0.9 + NOISE[0], "multi-frozen": 0.7 + NOISE[1]})
    assert "pretraining is not shown to help, and does harm at n = 10" in text
    assert (
        "a new head on the frozen network (multi-frozen) is beaten by training from scratch (baseline), by 0.19 AUC"
        in text
    )
    assert "Best there is training from scratch, with a mean AUC of 0.898." in text


def test_what_may_be_luck_is_told_as_such(tmp_path):
    text = said(tmp_path, {"baseline": 0.8 + NOISE[0], "multi-finetuned": 0.8 + NOISE[1]})
    assert "pretraining is not shown to help" in text
    assert "does not beat training from scratch (baseline): it is " in text


def test_help_at_some_sizes_is_told_of_these(tmp_path):
    tuned = {10: 0.85 + NOISE[1], 40: 0.8 + NOISE[2]}
    text = said(tmp_path, {"baseline": 0.8 + NOISE[0], "multi-finetuned": tuned}, sizes=(10, 40))
    assert "pretraining helps at n = 10, which is not shown at n = 40" in text


def test_holm_can_take_a_lead_back(tmp_path):
    # five replicates that all agree: p = 1/32, times the six tests of three pairs
    values = {"baseline": 0.8 + NOISE[0][:5], "multi-finetuned": 0.95 + NOISE[0][:5], "linear": 0.9 + NOISE[0][:5]}
    text = said(tmp_path, values)
    assert "pretraining may help at n = 10, which does not survive Holm's correction." in text
    assert "is ahead of training from scratch (baseline) by 0.15 AUC" in text
    assert "p = 0.031), which does not survive Holm's correction (p = 0.188 after it)" in text
    assert "its lead over the linear model (p = 0.031) does not survive Holm's correction" in text


def test_a_linear_model_that_leads_is_in_the_headline(tmp_path):
    values = {"baseline": 0.7 + NOISE[0], "multi-finetuned": 0.75 + NOISE[1], "linear": 0.9 + NOISE[2]}
    text = said(tmp_path, values)
    assert "pretraining helps at n = 10; without any network, the linear model has the best mean at n = 10." in text
    assert "it is beaten by the linear model (by 0.1" in text


def test_without_pretraining_the_best_is_named(tmp_path):
    text = said(tmp_path, {"baseline": 0.7 + NOISE[0], "linear": 0.9 + NOISE[1], "voxels": 0.8 + NOISE[2]})
    assert text.startswith(
        "Sex: the linear model has the best mean at n = 10. With 10 scans the linear model, the best there"
    )
    assert "beats the linear model on voxels by 0.10 AUC" in text


def test_one_strategy_and_one_replicate(tmp_path):
    text = said(tmp_path / "one", {"linear": [0.8, 0.7]})
    assert "the linear model has a mean AUC of 0.750; there is nothing to compare it with." in text
    text = said(tmp_path / "replicate", {"linear": [0.8], "baseline": [0.7]})
    assert "does not beat training from scratch" in text
    assert "95 % interval – to –" in text


def test_missing_scores(tmp_path):
    text = said(tmp_path / "all", {"linear": [np.nan] * 3, "baseline": [np.nan] * 3})
    assert "Sex: no fit has a score. With 10 scans no fit has a score." in text
    good, bad, nothing = np.full(6, 0.9), np.full(6, 0.5), np.full(6, np.nan)
    values = {"few": np.r_[good - 0.05, nothing], "all": np.r_[good, bad]}
    text = said(tmp_path / "some", values)
    # the mean over other replicates is higher, that of the common ones lower
    assert (
        "few, the best there with a mean AUC of 0.850, is beaten by all, by 0.050 AUC on the replicates that both have"
        in text
    )


def test_chance_is_told(tmp_path):
    wide = np.linspace(-0.3, 0.3, 8)
    text = said(tmp_path / "none", {"a": 0.5 + wide, "b": 0.49 - wide})
    assert "Nothing is reliably better than chance (AUC 0.5) there." in text
    text = said(tmp_path / "one", {"a": 0.9 + wide / 9, "b": 0.49 - wide})
    assert "Not reliably better than chance (AUC 0.5) there: b." in text
    text = said(tmp_path / "error", {"a": 1 + wide, "b": 1.01 - wide}, task="age")
    assert "Nothing is reliably better than chance (relative absolute error 1) there." in text


def test_participants_are_counted_where_the_study_counts_them(tmp_path):
    import json

    folder = fake_run.write_crafted(tmp_path, {"linear": [0.8, 0.7]})
    facts = json.loads((folder / "study.json").read_text()) | {"protocol": {"count": "participants"}}
    (folder / "study.json").write_text(json.dumps(facts))
    run = read_run(folder)
    assert "With 10 participants" in finding(evidence_of(run, run.tasks[0]))


def test_strategies_have_words_and_keep_labels_of_their_own():
    kinds = {
        "a-finetuned": {"strategy": "finetuned", "model": "a"},
        "b-finetuned": {"strategy": "finetuned", "model": "b"},
        "small": {"strategy": "baseline", "model": None},
        "linear": {"strategy": "linear", "model": None},
    }
    found = in_words(list(kinds), kinds)
    assert found == {
        "a-finetuned": "finetuning a",
        "b-finetuned": "finetuning b",
        "small": "small",
        "linear": "the linear model",
    }
    one = in_words(["a-finetuned", "finetuned"], {"a-finetuned": kinds["a-finetuned"]})
    assert one == {"a-finetuned": "a-finetuned", "finetuned": "finetuned"}


def test_a_label_follows_when_words_are_first_used():
    names = Names({"a-finetuned": "finetuning", "linear": "the linear model"})
    assert [names["a-finetuned"], names["a-finetuned"], names["linear"], names["other"]] == [
        "finetuning (a-finetuned)", "finetuning", "the linear model", "other",
    ]  # fmt: skip


def test_names_of_figures_are_unlike():
    found = slugs(["age", "age!", "ÄÖ", "a b", "age"])
    assert len(set(found)) == 5
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for name in found)
