"""The page of predictions: scores are those of scikit-learn, what is not known is said, what was edited is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from kinds_files import figure_names, predictions_of, table_of, words_of, write_predictions
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, mean_absolute_error, r2_score, roc_auc_score

from neurotransfer.errors import InputError
from neurotransfer.pages.contents import as_data, figures_of
from neurotransfer.report import predicted_scores
from neurotransfer.report.predicted import page_of, recognises
from neurotransfer.report.predicted_scores import group_table, spread_table
from neurotransfer.report.predicted_table import read_predicted

N = 60


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    """Intervals are the subject of tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicted_scores, "N_DRAWS", 40)
        yield


@pytest.fixture(scope="module")
def made():
    return predictions_of(N)


@pytest.fixture(scope="module")
def path(made, tmp_path_factory):
    return write_predictions(tmp_path_factory.mktemp("predicted") / "p.tsv", *made)


@pytest.fixture(scope="module")
def page(path):
    return page_of(path)


def figure_of(page, name):
    return next(figure for figure in figures_of(page) if figure.name == name)


def score_of(page, name, label):
    return float(next(row[1] for row in table_of(page, name).rows if row[0].startswith(label)).replace("−", "-"))


def test_a_table_is_recognised_and_nothing_else(path, tmp_path):
    assert recognises(path)
    assert not recognises(path.with_suffix(".json"))
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "not-there.tsv")


def test_every_kind_of_target_is_read_as_it_was_predicted(path, made):
    table, _ = made
    found = {target.name: target for target in read_predicted(path).targets}
    assert {name: target.kind for name, target in found.items()} == {
        "age": "continuous", "sex": "binary", "group": "categorical", "grade": "ordinal",
    }  # fmt: skip
    np.testing.assert_allclose(found["age"].predicted, table["age"])
    np.testing.assert_allclose(found["sex"].predicted, table["sex_probability_M"])
    np.testing.assert_allclose(found["grade"].predicted, table["grade_level"])
    assert [found["group"].classes[int(place)] for place in found["group"].predicted] == table["group"].tolist()
    assert [found["grade"].classes[int(place)] for place in found["grade"].observed] == table["grade_observed"].tolist()
    np.testing.assert_allclose(found["age"].spreads["between views of a scan"], table["age_sd_views"])


def test_scores_are_those_of_scikit_learn(page, made):
    table, _ = made
    male = (table["sex_observed"] == "M").astype(int)
    assert score_of(page, "target-0-scores", "Mean absolute") == pytest.approx(
        mean_absolute_error(table["age_observed"], table["age"]), abs=6e-4
    )
    assert score_of(page, "target-0-scores", "Explained") == pytest.approx(
        r2_score(table["age_observed"], table["age"]), abs=6e-4
    )
    assert score_of(page, "target-1-scores", "Area") == pytest.approx(
        roc_auc_score(male, table["sex_probability_M"]), abs=6e-4
    )
    assert score_of(page, "target-1-scores", "Brier") == pytest.approx(
        brier_score_loss(male, table["sex_probability_M"]), abs=6e-4
    )
    assert score_of(page, "target-1-scores", "Balanced") == pytest.approx(
        balanced_accuracy_score(male, table["sex"] == "M"), abs=6e-4
    )
    shares = table[[f"group_probability_{label}" for label in "abc"]]
    assert score_of(page, "target-2-scores", "Area") == pytest.approx(
        roc_auc_score(table["group_observed"], shares, multi_class="ovr"), abs=6e-4
    )


def test_the_words_have_the_numbers_of_the_tables(page, made):
    table, _ = made
    people = table["participant_id"].nunique()
    assert page.found[0] == f"age, sex, group and grade were predicted for 60 of 60 scans, of {people} people."
    error = mean_absolute_error(table["age_observed"], table["age"])
    guess = (table["age_observed"] - table["age_observed"].mean()).abs().mean()
    assert page.found[1].startswith(f"age is wrong by {error:.2f} years on average (95 % interval ")
    assert (
        f"in {people} people of whom it is known; r = {np.corrcoef(table['age'], table['age_observed'])[0, 1]:.2f}"
        in page.found[1]
    )
    assert page.found[1].endswith(f"would be wrong by {guess:.2f} years.")
    assert "better than chance (0.50)" in page.found[2]
    assert page.found[-1] == "Of the scans: 0 scans lie outside."


def test_dots_are_the_scans(page, made):
    table, _ = made
    dots = figure_of(page, "target-0-agreement").layers[0]
    np.testing.assert_allclose(dots.table["observed"], table["age_observed"])
    np.testing.assert_allclose(dots.table["predicted"], table["age"])
    assert dots.table["scan"].iloc[0] == "sub-000 ses-1"
    assert set(dots.table["group"]) == set(table["site"])


def test_errors_by_site_are_means_over_people(page, made, path):
    table, _ = made
    target = read_predicted(path).targets[0]
    found = group_table(target, table["site"].tolist(), table["participant_id"].to_numpy(str)).set_index("group")
    errors = table.assign(error=table["age"] - table["age_observed"])
    for site, rows in errors.groupby("site"):
        each = rows.groupby("participant_id")["error"].agg([lambda part: part.abs().mean(), "mean"])
        np.testing.assert_allclose(found.loc[site, ["error", "bias"]].astype(float), each.mean())
        assert found.loc[site, "low"] < found.loc[site, "error"] < found.loc[site, "high"]
    shown = figure_of(page, "target-0-by-site").layers[0].table
    np.testing.assert_allclose(shown["error"], found["error"])
    assert "target-0-by-sex" in figure_names(page)
    # its own observation is no group to judge it by
    assert "target-1-by-sex" not in figure_names(page)


def test_the_gap_is_shown_raw_and_corrected_with_its_line(page, made):
    table, said = made
    gap = figure_of(page, "gap")
    rows = gap.layers[0].table
    np.testing.assert_allclose(rows.loc[rows["gap"] == "raw", "years"], table["age_gap"])
    np.testing.assert_allclose(rows.loc[rows["gap"] == "corrected", "years"], table["age_gap_corrected"], atol=1e-9)
    line = gap.layers[2].table.iloc[0]
    slope = (line["y_end"] - line["y"]) / (line["x_end"] - line["x"])
    assert slope == pytest.approx(said["age_gap_corrected"]["Slope"])
    assert f"changes by −{abs(slope):.2f} years" in words_of(page)
    assert f"deviation of {np.std(table['age_gap_corrected']):.2f} years" in words_of(page)


def test_the_worst_predictions_stand_first(page, made):
    table, _ = made
    errors = (table["age"] - table["age_observed"]).abs()
    worst = table.loc[errors.sort_values(ascending=False, kind="stable").index[:20]]
    wanted = [f"{row.participant_id} {row.session_id}" for row in worst.itertuples()]
    assert [row[0] for row in table_of(page, "target-0-worst").rows] == wanted
    lowest = table_of(page, "target-1-worst").rows[0]
    true = table["sex_observed"].map({"F": 0, "M": 1})
    given = np.where(true == 1, table["sex_probability_M"], table["sex_probability_F"])
    assert float(lowest[3]) == pytest.approx(1 - given.min(), abs=6e-3)


def test_uncertainty_is_held_against_error(page, made, path):
    table, _ = made
    found = spread_table(read_predicted(path).targets[0]).iloc[0]
    errors = (table["age"] - table["age_observed"]).abs()
    assert found["rho"] == pytest.approx(table["age_sd_views"].corr(errors, method="spearman"))
    assert "does not say surely which predictions are wrong" in words_of(page)
    assert len(figure_of(page, "target-0-spread").layers[0].table) == N


def test_the_command_and_licences_are_told(page):
    assert "neurotransfer predict MODEL SCANS --out p.tsv --views 3" in words_of(page)
    assert "licence MIT; Nobody 2026" in words_of(page)


def test_people_whom_the_model_has_seen_are_a_caution(made, tmp_path):
    table, said = made
    said = json.loads(json.dumps(said))
    said["GeneratedBy"]["Models"][0]["Seen"] = 12
    page = page_of(write_predictions(tmp_path / "p.tsv", table, said))
    assert any("has learnt of 12 of these" in note for note in page.cautions)


def test_refused_scans_and_those_outside_are_told(made, tmp_path):
    table, said = made
    table = table.copy()
    predicted = [
        name for name in table if name.startswith(("age", "sex", "group", "grade")) and not name.endswith("_observed")
    ]
    table[predicted] = table[predicted].astype(object)
    table.loc[:2, predicted] = None
    table.loc[:2, "contract"] = "refused: it has its skull"
    table.loc[3:6, "contract"] = "kept, but outside"
    page = page_of(write_predictions(tmp_path / "p.tsv", table, said))
    assert "57 of 60 scans" in page.found[0]
    assert page.found[0].endswith("3 were refused.")
    assert [row[1] for row in table_of(page, "refused").rows] == ["it has its skull"] * 3
    assert any("4 of 60 scans lie outside" in note for note in page.cautions)
    assert len(figure_of(page, "target-0-agreement").layers[0].table) == 57


def test_without_observations_nothing_is_judged_but_all_is_shown(made, tmp_path):
    table, said = made
    gone = [name for name in table if name.endswith("_observed") or name.startswith("age_gap") or name == "site"]
    page = page_of(
        write_predictions(
            tmp_path / "p.parquet", table.drop(columns=gone), {k: v for k, v in said.items() if k not in gone}
        )
    )
    assert "What was observed of age, sex, group and grade is not in this table" in words_of(page)
    assert figure_names(page) == ["targets", "predictions", "drift-features", "drift-values"]
    figure = figure_of(page, "predictions")
    assert list(figure.choices[0].options) == ["age", "sex", "grade"]
    assert [layer.table["scans"].sum() for layer in figure.layers] == [N, N, N]


def test_age_is_known_by_its_gap(made, tmp_path):
    table, said = made
    page = page_of(write_predictions(tmp_path / "p.csv", table.drop(columns="age_observed"), said))
    assert score_of(page, "target-0-scores", "Mean absolute") == pytest.approx(
        mean_absolute_error(table["age_observed"], table["age"]), abs=6e-4
    )


@pytest.mark.parametrize("n", [1, 2, 4])
def test_few_scans_make_a_page_without_intervals(tmp_path, n):
    page = page_of(write_predictions(tmp_path / "p.tsv", *predictions_of(n)))
    assert f"for {n} of {n} scans, of {n} {'person' if n == 1 else 'people'}" in page.found[0]
    assert not any("interval" in text or "nan" in text for text in page.found)
    assert ("target-0-scores" in figure_names(page)) == (n > 1)


def test_all_of_one_class_has_no_score_and_says_so(made, tmp_path):
    table, said = made
    page = page_of(write_predictions(tmp_path / "p.tsv", table.assign(sex_observed="F"), said))
    assert any("sex: in " in text and "all are of one class" in text for text in page.found)
    assert "target-1-roc" not in figure_names(page)


def test_a_class_that_the_target_does_not_know_counts_as_not_known(made, tmp_path):
    table, said = made
    other = table.assign(sex_observed=["X", *table["sex_observed"][1:]])
    assert (
        len(read_predicted(write_predictions(tmp_path / "p.tsv", other, said)).targets[1].known.nonzero()[0]) == N - 1
    )


def test_the_same_table_gives_the_same_page(path, page):
    one, other = (
        [json.dumps(as_data(figure), default=str) for figure in figures_of(each)] for each in (page_of(path), page)
    )
    assert one == other
    assert words_of(page_of(path)) == words_of(page)


def test_what_was_edited_or_lacks_is_refused_in_words(made, tmp_path):
    table, said = made
    path = write_predictions(tmp_path / "p.tsv", table.drop(columns=["sex_probability_M", "grade_level"]), said)
    with pytest.raises(InputError, match=re.escape("2 problems in")) as told:
        page_of(path)
    assert "no column 'sex_probability_M'" in str(told.value)
    write_predictions(path, table.drop(columns="participant_id"), said)
    with pytest.raises(InputError, match="has no column 'participant_id'"):
        page_of(path)
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(InputError, match="participant_id"):
        page_of(path)
    write_predictions(path, table, said)
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(InputError, match="is no sidecar of a table"):
        page_of(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="copy it too"):
        page_of(path)


def test_features_are_no_predictions(made, tmp_path):
    table, _ = made
    said = {
        "participant_id": {"Description": "Participant."},
        "feature_000": {"Description": "Feature 0 of the encoder."},
    }
    path = write_predictions(tmp_path / "f.parquet", table.assign(feature_000=1.0), said)
    with pytest.raises(InputError, match="holds features"):
        page_of(path)


def test_what_predict_wrote_is_a_page(tiny_cohort, tiny_model, tmp_path, called):
    out = tmp_path / "p.tsv"
    assert called("predict", tiny_model, tiny_cohort, "--out", out)[0] == 0
    page, table = page_of(out), pd.read_csv(out, sep="\t", na_values="n/a")
    known = table.dropna(subset=["age_observed"])
    assert score_of(page, "target-0-scores", "Mean absolute") == pytest.approx(
        mean_absolute_error(known["age_observed"], known["age"]), abs=6e-4
    )
    np.testing.assert_allclose(known["age"] - known["age_observed"], known["age_gap"])
    assert any("Model tiny has learnt of 40 of these 40 people" in note for note in page.cautions)
    assert str(tmp_path) not in words_of(page)


def test_no_two_things_of_the_page_have_one_name(page):
    names = [*figure_names(page), *(section.name for section in page.sections)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)
