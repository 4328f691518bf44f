"""The verdict page and its JSON from run folders: what is found, what it rests on, what cannot be told."""

import json

import made_up
import numpy as np
import pandas as pd
import pytest

from neurotransfer.diagnose.analysis import analyse
from neurotransfer.diagnose.page import page_of
from neurotransfer.diagnose.run import PAGE, diagnose
from neurotransfer.errors import InputError
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Table
from neurotransfer.report.folder import read_run


def two_curves(spread=0.01):
    return {
        "network": made_up.fits(made_up.replicates(made_up.DIPPING, spread, seed=1), strategy="network"),
        "linear": made_up.fits(made_up.replicates(made_up.RISING, spread, seed=2), strategy="linear"),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up.write_run(tmp_path_factory.mktemp("diagnosed") / "run", two_curves())


@pytest.fixture(scope="module")
def page(run):
    found = read_run(run)
    return page_of(found, analyse(found, {}), {"folds": "does choosing by folds do better?"}, reach=0.75)


def tables(page):
    return {item.name: item for section in page.sections for item in section.items if isinstance(item, Table)}


def test_the_page_and_its_json_are_written(run):
    path, analyses = diagnose(run)
    assert path == run / PAGE
    assert "<!doctype html>" in path.read_text()[:20]
    facts = json.loads((run / "diagnosis.json").read_text())
    assert (
        [curve["strategy"] for curve in facts["curves"]]
        == [each.case.strategy for each in analyses]
        == ["network", "linear"]
    )
    network = facts["curves"][0]
    assert network["anomaly"]["kind"] == "dip"
    assert (network["anomaly"]["from"], network["anomaly"]["to"]) == (200, 400)
    assert network["p_this_pool"] < 0.01
    assert network["p_other_people"] is None
    assert {cause["cause"] for cause in network["causes"]} >= {"luck", "selection", "edge"}
    np.testing.assert_allclose(network["mean"], analyses[0].case.mean)


def test_the_same_run_gives_the_same_page(run, tmp_path):
    first, _ = diagnose(run, tmp_path / "one.html")
    again, _ = diagnose(run, tmp_path / "two.html")
    assert first.read_bytes() == again.read_bytes()


def test_what_does_not_behave_comes_first(page):
    assert page.found[0].startswith("Diagnosis: network falls by 0.0")
    assert "from n = 200 to 400" in page.found[0]
    assert "more than chance gives a curve that never falls" in page.found[0]
    assert "linear does not fall visibly" in page.found[1] or "the linear model" in page.found[1]


def test_every_cause_has_its_row(page):
    rows = tables(page)["diagnosis-causes"].rows
    assert len(rows) == 2 * 7
    assert {row[0] for row in rows} == {"network", "linear"}
    assert all(len(row) == 8 for row in rows)


def test_the_table_of_dips_has_the_numbers_of_the_test(page, run):
    found = analyse(read_run(run), {})[0]
    row = tables(page)["diagnosis-dips"].rows[0]
    assert row[:3] == ["network", "200 to 400", f"{found.test.depth:.3f}"]
    assert row[5] == "< 0.001"
    assert row[6] == "–"


def test_how_many_scans_a_score_needs_is_said(page):
    table = tables(page)["diagnosis-growth-table"]
    assert table.headings[-1] == "Scans for 0.75"
    assert {row[0] for row in table.rows} == {"network", "linear"}


def test_experiments_that_were_not_done_are_named_with_the_command(page, run):
    rows = tables(page)["experiments-left"].rows
    assert rows == [["folds", "does choosing by folds do better?", "Choice among settings"]]


def test_every_figure_has_a_name_an_axis_and_numbers(page):
    figures = figures_of(page)
    assert {figure.name for figure in figures} >= {"diagnosis-curves", "diagnosis-shapes"}
    for figure in figures:
        assert all((figure.x.label, figure.y.label, figure.title, figure.description))
        assert all(len(layer.table) for layer in figure.layers)


def test_experiments_are_compared_replicate_by_replicate(run):
    found = read_run(run)
    own = two_curves()["network"]
    better = own.assign(test_auc=own["test_auc"] + np.where(own["n"] == 400, 0.06, 0.0))
    network, linear = analyse(found, {"folds": better})
    np.testing.assert_allclose(network.gains["folds"].points, [0, 0, 0, 0.06, 0], atol=1e-12)
    first = network.verdict.named[0]
    assert (first.cause, first.source) == ("selection", "folds")
    assert first.share == pytest.approx(0.06 / network.verdict.anomaly.points)
    assert not linear.gains
    page = page_of(found, [network, linear], {}, None)
    assert "Choice among settings: 0.060 AUC lost" in page.found[0]
    assert "diagnosis-gains" in {figure.name for figure in figures_of(page)}


def test_an_experiment_with_fewer_replicates_and_sizes_is_compared_where_both_are(run):
    own = two_curves()["network"]
    some = own[(own["replicate"] < 10) & (own["n"] > 100)].assign(test_auc=lambda table: table["test_auc"] - 0.02)
    network = analyse(read_run(run), {"folds": some})[0]
    points = network.gains["folds"].points
    assert np.isnan(points[:2]).all()
    np.testing.assert_allclose(points[2:], -0.02)


def test_predictions_tell_of_other_people(tmp_path):
    tables_of_fits = two_curves(0.02)
    folder = made_up.write_run(tmp_path / "run", tables_of_fits)
    generator = np.random.default_rng(0)
    rows = []
    for strategy, table in tables_of_fits.items():
        for row in table.itertuples():
            people = generator.choice(300, 30, replace=False)
            observed = (people % 2).astype(float)
            predicted = 1 / (1 + np.exp(-(2 * row.test_auc * (observed - 0.5) + generator.standard_normal(30))))
            rows.append(
                pd.DataFrame(
                    {"task": "diagnosis", "n": row.n, "replicate": row.replicate, "strategy": strategy,
                     "participant_id": [f"sub-{person:03d}" for person in people], "observed": observed,
                     "predicted": predicted, "subgroup": None}
                )
            )  # fmt: skip
    pd.concat(rows, ignore_index=True).to_parquet(folder / "predictions.parquet")
    for found in analyse(read_run(folder), {}):
        assert found.of_people is not None
        assert 0 < found.test_of_people.p_dip <= 1
        # people add their own doubt to that of replicates
        assert found.of_people.standard_errors.mean() > 0
        assert set(found.spreads) == set(made_up.SIZES)
        for spread in found.spreads.values():
            assert spread.part("measurement").variance > 0
            assert spread.total.variance == pytest.approx(sum(part.raw for part in spread.parts))


def test_what_would_settle_a_dip_is_said_where_there_is_one(run, page):
    network, linear = analyse(read_run(run), {})
    assert linear.settled is None
    assert 0 < network.settled.visible < network.test.depth
    # it is seen already, with fewer
    assert network.settled.replicates < len(network.case.goods)
    assert "diagnosis-settling" not in tables(page)


def test_a_dip_that_is_not_sure_needs_more_replicates(tmp_path):
    table = made_up.fits(made_up.replicates([0.60, 0.66, 0.66, 0.655, 0.66], 0.08, n=12))
    run = read_run(made_up.write_run(tmp_path / "run", {"linear": table}))
    found = analyse(run, {})[0]
    assert found.test.p_dip > 0.05
    assert found.settled.replicates > 12
    (row,) = tables(page_of(run, [found], {}, None))["diagnosis-settling"].rows
    assert row[2] == str(int(np.ceil(found.settled.replicates)))
    assert row[3:] == ["–", "–"]


def test_people_who_are_tested_every_time_make_no_difference_between_replicates(tmp_path):
    table = made_up.fits(made_up.replicates(made_up.RISING, 0.02, n=8))
    folder = made_up.write_run(tmp_path / "run", {"linear": table})
    observed, generator = np.arange(20) % 2.0, np.random.default_rng(0)
    rows = [
        pd.DataFrame(
            {"task": "diagnosis", "n": row.n, "replicate": row.replicate, "strategy": "linear", "subgroup": None,
             "participant_id": [f"sub-{person}" for person in range(20)], "observed": observed,
             "predicted": observed + generator.standard_normal(20)}
        )
        for row in table.itertuples()
    ]  # fmt: skip
    pd.concat(rows, ignore_index=True).to_parquet(folder / "predictions.parquet")
    found = analyse(read_run(folder), {})[0]
    for spread in found.spreads.values():
        assert "measurement" in spread.parts[-1].sources


def test_one_strategy_alone(run):
    assert [each.case.strategy for each in analyse(read_run(run), {}, ["linear"])] == ["linear"]
    with pytest.raises(InputError, match="has no strategy 'nets'; there are network, linear"):
        analyse(read_run(run), {}, ["nets"])


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        diagnose(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"needs the ending \.html"):
        diagnose(tmp_path, tmp_path / "page.txt")


@pytest.mark.parametrize(("n", "sizes"), [(1, made_up.SIZES), (2, made_up.SIZES), (8, (50,)), (8, (50, 100))], ids=str)
def test_small_runs_have_a_page_too(tmp_path, n, sizes):
    scores = made_up.replicates(made_up.DIPPING[: len(sizes)], n=n)
    folder = made_up.write_run(tmp_path / "run", {"linear": made_up.fits(scores, sizes=sizes)}, sizes=sizes)
    path, analyses = diagnose(folder)
    assert path.is_file()
    assert len(analyses) == 1


def test_errors_are_told_in_their_own_unit(tmp_path):
    table = made_up.fits(made_up.replicates([6.0, 5.0, 5.6, 4.0, 3.8], 0.1), made_up.AGE)
    found = read_run(made_up.write_run(tmp_path / "run", {"linear": table}, made_up.AGE))
    analyses = analyse(found, {})
    assert analyses[0].verdict.anomaly.points == pytest.approx(0.6, abs=0.1)
    page = page_of(found, analyses, {}, None)
    assert "years mean absolute error from n = 100 to 200" in page.found[0]
    curves = next(figure for figure in figures_of(page) if figure.name == "age-curves")
    assert (curves.layers[-1].table["shown"] > 0).all()
    assert (curves.layers[-1].table["low"] < curves.layers[-1].table["high"]).all()
