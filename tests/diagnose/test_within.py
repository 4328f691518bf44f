"""The curve within a site: scores of its test people among themselves, of enough of them."""

import made_up
import made_up_people
import numpy as np
import pytest

from neurotransfer.diagnose.within import COLUMNS, LEAST_TESTED, MOST_SITES, within_figure, within_sites
from neurotransfer.report.folder import read_run


@pytest.fixture(scope="module")
def confounded(tmp_path_factory):
    """A run that knows nothing but the site, where nearly all of a are ill and nearly all of b are not."""
    table = made_up_people.people(300)
    draws = np.random.default_rng(0)
    ill = draws.random(300) < np.where(table["site"] == "a", 0.8, 0.2)
    table = table.assign(diagnosis=np.where(ill, "patient", "control"))
    probability = np.clip(np.where(table["site"] == "a", 0.75, 0.25) + 0.01 * draws.normal(size=300), 0, 1)
    folder = made_up_people.write_run(tmp_path_factory.mktemp("within") / "run", table, probability, replicates=20)
    return table, read_run(folder)


def site_of(table):
    return dict(zip(table["participant_id"], table["site"], strict=True))


def test_what_knows_the_site_alone_is_at_chance_within_each(confounded):
    table, run = confounded
    found = within_sites(run, run.tasks[0], site_of(table), ["a", "b", "c"])
    assert list(found) == list(COLUMNS)
    assert set(zip(found["site"], found["n"], strict=True)) == {(s, n) for s in "abc" for n in made_up_people.SIZES}
    for row in found.itertuples():
        assert abs(row.mean - 0.5) < 0.12
        assert row.low < row.mean < row.high
        assert row.replicates == 20
    # over all sites it seems to know something
    from neurotransfer.statistics import scores

    rows = run.predictions
    assert scores("binary", rows["observed"].to_numpy(), rows["predicted"].to_numpy())["auc"] > 0.7


def test_few_test_people_of_a_site_give_no_score(confounded):
    table, run = confounded
    few = site_of(table) | dict.fromkeys(table["participant_id"][: LEAST_TESTED - 1], "d")
    found = within_sites(run, run.tasks[0], few, ["a", "d"])
    assert set(found["site"]) == {"a"}


def test_only_the_sites_that_are_asked_for_and_no_more_than_fit_on_a_figure(confounded):
    table, run = confounded
    assert set(within_sites(run, run.tasks[0], site_of(table), ["b"])["site"]) == {"b"}
    many = [f"x{place}" for place in range(MOST_SITES)]
    assert not len(within_sites(run, run.tasks[0], site_of(table), [*many, "a"]))


def test_the_mean_is_that_of_replicates(confounded):
    table, run = confounded
    found = within_sites(run, run.tasks[0], site_of(table), ["a"]).set_index("n").loc[50]
    from neurotransfer.statistics import scores

    own = run.predictions[(run.predictions["n"] == 50) & run.predictions["participant_id"].map(site_of(table)).eq("a")]
    each = [
        scores("binary", part["observed"].to_numpy(), part["predicted"].to_numpy())["auc"]
        for _, part in own.groupby("replicate")
    ]
    assert found["mean"] == pytest.approx(np.mean(each))
    assert found["tested"] == pytest.approx(len(own) / 20)


def test_the_figure_has_a_line_a_site_and_a_strategy_to_choose(confounded):
    table, run = confounded
    found = within_sites(run, run.tasks[0], site_of(table), ["a", "b", "c"])
    figure = within_figure(found, run.tasks[0], "site", "x-within")
    assert set(figure.looks) == {"a", "b", "c"}
    assert list(figure.choices[0].options) == ["linear"]
    assert within_figure(found.iloc[:0], run.tasks[0], "site", "x-within") is None


def test_errors_within_sites_are_in_their_unit(tmp_path):
    table = made_up_people.people(120)
    ages = np.random.default_rng(0).uniform(20, 80, 120)
    off = np.where(table["site"] == "a", 2.0, 6.0)
    run = read_run(made_up_people.write_run(tmp_path / "run", table.assign(age=ages), ages + off, task=made_up.AGE))
    found = within_sites(run, run.tasks[0], site_of(table), ["a", "b"]).groupby("site")["mean"].mean()
    assert found["a"] == pytest.approx(2)
    assert found["b"] == pytest.approx(6)


def test_without_predictions_there_is_nothing(confounded):
    from dataclasses import replace

    table, run = confounded
    assert not len(within_sites(replace(run, predictions=None), run.tasks[0], site_of(table), ["a"]))


def test_classes_of_more_than_two_need_their_probabilities(tmp_path):
    table = made_up_people.people(120)
    task = made_up.Task("stage", "Stage", "categorical", ("x", "y", "z"), "", "auc", "stage")
    classes = np.arange(120) % 3
    table = table.assign(stage=np.array(task.classes)[classes])
    run = read_run(made_up_people.write_run(tmp_path / "run", table, classes.astype(float), task=task))
    assert not len(within_sites(run, run.tasks[0], site_of(table), ["a"]))
    run.predictions["probabilities"] = [np.eye(3)[classes[row]].tolist() for row in run.predictions["row"]]
    assert set(within_sites(run, run.tasks[0], site_of(table), ["a"])["mean"]) == {1.0}
    assert not len(within_sites(run, run.tasks[0], {}, ["a"]))
