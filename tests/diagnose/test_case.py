"""Curves out of tables of fits: every score at its place, turned so that more is better."""

import made_up
import numpy as np
import pandas as pd
import pytest

from neurotransfer.diagnose.case import case_of, cases_of, mean_of, visible_of, wide
from neurotransfer.report.folder import read_run
from neurotransfer.statistics import SCORES


def test_scores_stand_by_replicate_and_size():
    scores = made_up.replicates(made_up.RISING, n=4)
    case = case_of(made_up.fits(scores), made_up.TASK, "linear", "linear")
    assert case.sizes.tolist() == list(made_up.SIZES)
    np.testing.assert_array_equal(case.goods, scores)
    np.testing.assert_allclose(case.mean, scores.mean(0))
    assert (case.sign, case.visible, case.kind, case.score) == (1, 0.01, "linear", "auc")


def test_errors_are_turned():
    scores = made_up.replicates([6.0, 5.0, 4.0], n=3)
    case = case_of(made_up.fits(scores, made_up.AGE, sizes=(50, 100, 200)), made_up.AGE, "linear", "linear")
    np.testing.assert_array_equal(case.goods, -scores)
    assert case.sign == -1
    assert case.visible == pytest.approx(0.01 * scores.mean())


def test_the_order_of_rows_does_not_matter():
    table = made_up.fits(made_up.replicates(made_up.RISING, n=5), settings=({"penalty": 1.0}, {"penalty": 2.0}))
    one, other = (
        case_of(rows, made_up.TASK, "linear", "linear") for rows in (table, table.sample(frac=1, random_state=1))
    )
    np.testing.assert_array_equal(one.goods, other.goods)
    assert one.settings == other.settings
    for first, second in zip(one.validation(100), other.validation(100), strict=True):
        np.testing.assert_array_equal(first, second)


def test_replicates_without_a_score_are_missing():
    table = made_up.fits(made_up.replicates(made_up.RISING, n=5))
    table.loc[(table["replicate"] == 2) & (table["n"] == 100), "selected"] = False
    case = case_of(table, made_up.TASK, "linear", "linear")
    assert np.isnan(case.goods).sum() == 1
    assert np.isnan(case.goods[2, 1])
    assert np.isfinite(case.mean).all()


def test_a_column_that_a_run_does_not_know_is_missing_everywhere():
    case = case_of(made_up.fits(made_up.replicates(made_up.RISING, n=5)), made_up.TASK, "linear", "linear")
    assert case.of_chosen("train_auc").shape == (5, 5)
    assert np.isnan(case.of_chosen("train_auc")).all()
    assert (case.of_chosen("epochs") == 0).all()


def test_validation_scores_of_all_settings_and_who_was_chosen():
    generator = np.random.default_rng(0)
    validation = generator.random((6, 5, 3))
    settings = tuple({"penalty": value} for value in (0.1, 1.0, 10.0))
    table = made_up.fits(made_up.replicates(made_up.RISING, n=6), settings=settings, validation=validation)
    found, chosen = case_of(table, made_up.TASK, "linear", "linear").validation(200)
    np.testing.assert_array_equal(found, validation[:, 2])
    np.testing.assert_array_equal(chosen, validation[:, 2].argmax(1))


def test_validation_errors_are_turned_and_replicates_with_a_failed_setting_left_out():
    generator = np.random.default_rng(0)
    validation = 5 + generator.random((6, 3, 2))
    settings = ({"penalty": 0.1}, {"penalty": 1.0})
    table = made_up.fits(
        made_up.replicates([6, 5, 4.0], n=6), made_up.AGE, "linear", (50, 100, 200), settings, validation
    )
    table.loc[(table["replicate"] == 3) & (table["setting_index"] == 1), "validation_mae"] = np.nan
    found, chosen = case_of(table, made_up.AGE, "linear", "linear").validation(50)
    kept = [0, 1, 2, 4, 5]
    np.testing.assert_array_equal(found, -validation[kept, 0])
    np.testing.assert_array_equal(chosen, validation[kept, 0].argmin(1))


def test_settings_by_their_index():
    settings = tuple({"lr": value} for value in (3e-3, 1e-3))
    table = made_up.fits(made_up.replicates(made_up.RISING, n=2), settings=settings)
    assert case_of(table, made_up.TASK, "linear", "linear").settings == [{"lr": 3e-3}, {"lr": 1e-3}]


def test_all_curves_of_a_run_or_some(tmp_path):
    tables = {name: made_up.fits(made_up.replicates(made_up.RISING, n=3), strategy=name) for name in ("one", "two")}
    run = read_run(made_up.write_run(tmp_path / "run", tables))
    assert [case.strategy for case in cases_of(run)] == ["one", "two"]
    assert [case.strategy for case in cases_of(run, ["two"])] == ["two"]


def test_a_curve_without_a_score_is_left_out(tmp_path):
    tables = {name: made_up.fits(made_up.replicates(made_up.RISING, n=3), strategy=name) for name in ("one", "two")}
    tables["two"] = tables["two"].assign(selected=False)
    run = read_run(made_up.write_run(tmp_path / "run", tables))
    assert [case.strategy for case in cases_of(run)] == ["one"]


@pytest.mark.parametrize("name", SCORES)
def test_every_score_has_a_smallest_visible_difference(name):
    assert 0 < visible_of(name, np.array([0.5, np.nan])) < 0.1


def test_means_of_what_is_there():
    np.testing.assert_array_equal(mean_of(np.array([[1.0, np.nan], [3.0, 5.0]])), [2.0, 5.0])
    assert np.isnan(mean_of(np.full((2, 1), np.nan))).all()


def test_wide_takes_rows_in_any_order():
    rows = pd.DataFrame({"replicate": [1, 0], "n": [10, 20], "x": [5.0, 6.0]})
    found = wide(rows, np.array([10, 20]), "x", 2)
    np.testing.assert_array_equal(found, [[np.nan, 6.0], [5.0, np.nan]])
