"""The people of a run: sites, spread, doubles and doubtful labels, from run folders whose answers are known; nobody is named."""

import json

import made_up
import made_up_people
import numpy as np
import pandas as pd
import pytest

from neurotransfer.diagnose.case import cases_of
from neurotransfer.diagnose.people import listed, people_of
from neurotransfer.diagnose.people_page import people_as_json, people_cautions, people_section
from neurotransfer.diagnose.run import LISTED, diagnose
from neurotransfer.diagnose.sites import sites_of
from neurotransfer.errors import InputError
from neurotransfer.pages.model import Figure, Table, Text
from neurotransfer.report.folder import read_run


@pytest.fixture(scope="module")
def table():
    """Site a is mostly ill; the person of row 7 is there again as row 250; a tenth of the labels are wrong."""
    table = made_up_people.people(300, apart=4.0)
    draws = np.random.default_rng(5)
    columns = [*made_up_people.COLUMNS]
    table.loc[250, columns] = table.loc[7, columns]
    wrong = draws.random(300) < 0.1
    truth = np.where(wrong, 1 - table["truth"], table["truth"])
    table = table.assign(diagnosis=np.where(truth == 1, "patient", "control"))
    ill = table["diagnosis"] == "patient"
    return table.assign(
        site=np.where(draws.random(300) < np.where(ill, 0.8, 0.3), "a", table["site"].where(table["site"] != "a", "b"))
    )


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    return made_up_people.write_run(
        tmp_path_factory.mktemp("people") / "run", table, made_up_people.predicted(table, 4.0)
    )


@pytest.fixture(scope="module")
def found(folder):
    run = read_run(folder)
    tasks = {"diagnosis": {"target": "diagnosis", "kind": "binary", "classes": ["control", "patient"]}}
    return run, people_of(run, cases_of(run), sites_of(run.cohort, "site", tasks))


def items(section, kind):
    return [item for item in section.items if isinstance(item, kind)]


def test_sites_have_their_people_and_their_share_of_patients(found, table):
    _, people = found
    assert people.targets["people"].sum() == 300
    for row in people.targets.itertuples():
        own = table[table["site"] == row.site]
        assert row.people == len(own)
        assert row.share == pytest.approx(len(own) / 300)
        assert row.diagnosis == pytest.approx((own["diagnosis"] == "patient").mean())
    between = people.between["diagnosis"]
    assert between.p == 0.001
    assert between.share > 0.1
    assert set(people.within) == {"diagnosis"}


def test_classes_are_counted_by_people(found, table):
    (spread,) = found[1].spreads
    assert spread.counts == table["diagnosis"].value_counts().to_dict()
    assert spread.n == 300


def test_who_is_there_twice_is_found_and_named_in_the_list_alone(found):
    run, people = found
    assert people.pairs.rows.tolist() == [[7, 250]]
    (row,) = listed(people).query("what == 'pair'").to_dict("records")
    assert (row["participant_id"], row["likely"]) == ("secret-0007", "secret-0250")
    section = people_section(run, people)
    assert "secret" not in repr(section)
    assert "secret" not in json.dumps(people_as_json(run, people))
    assert any("1 pair of different participants is nearer than chance" in text.text for text in items(section, Text))


def test_the_section_has_its_tables_and_figures(found):
    section = people_section(*found)
    names = {table.name for table in items(section, Table)}
    assert names == {"sites", "between-sites", "spread", "labels"}
    assert [figure.name for figure in items(section, Figure)] == ["diagnosis-within"]
    (row,) = next(table for table in items(section, Table) if table.name == "labels").rows
    tested = found[0].predictions.query("n == 100")["participant_id"].nunique()
    assert row[:3] == ["Diagnosis", "linear, n = 100", str(tested)]
    assert "more than overlap gives" in row
    assert any("A hard case is not a wrong label" in text.text for text in items(section, Text))


def test_what_is_serious_stands_among_the_cautions(found):
    notes = people_cautions(*found)
    assert len(notes) == 3
    assert "of the variance of Diagnosis lies between values of site" in notes[0]
    assert "contradict predictions that should be sure" in notes[1]
    assert "1 pair of participants may be one person" in notes[2]


def test_numbers_of_json_are_those_of_the_page(found):
    run, people = found
    facts = people_as_json(run, people)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["pairs"] == {"found": 1, "same": 1, "people": 300, "columns": 6}
    assert facts["labels"]["diagnosis"]["share"]["low"] == people.labels["diagnosis"].share.low
    assert facts["sites"]["column"] == "site"
    assert facts["spread"]["diagnosis"]["counts"] == dict(people.spreads[0].counts)


def test_nothing_is_said_of_sites_where_there_is_one(folder):
    run = read_run(folder)
    people = people_of(run, cases_of(run))
    assert people.targets.empty
    assert people.between == {}
    assert any("--sites" in text for text in people.untold)


def test_a_clean_run_has_no_cautions_of_people(tmp_path):
    table = made_up_people.people(300, apart=3.0)
    run = read_run(made_up_people.write_run(tmp_path / "run", table, made_up_people.predicted(table)))
    people = people_of(run, cases_of(run), sites_of(run.cohort, "site", {}))
    assert people_cautions(run, people) == []
    assert people.between["diagnosis"].p > 0.05
    assert any("Nobody seems to be there twice" in text.text for text in items(people_section(run, people), Text))


def test_rows_that_are_not_the_tasks_count_nowhere(tmp_path):
    table = made_up_people.people(100)
    given = {"tasks": {"diagnosis": {"target": "diagnosis", "where": {"site": "a"}}}}
    folder = made_up_people.write_run(tmp_path / "run", table, made_up_people.predicted(table), **given)
    run = read_run(folder)
    (spread,) = people_of(run, cases_of(run)).spreads
    assert spread.n == (table["site"] == "a").sum()


def test_people_are_compared_by_features_where_they_are_given(tmp_path):
    table = made_up_people.people(100)
    folder = made_up_people.write_run(tmp_path / "run", table, made_up_people.predicted(table), regional_columns=[])
    run = read_run(folder)
    without = people_of(run, cases_of(run))
    assert without.pairs is None
    assert any("regional_columns" in text for text in without.untold)
    features = np.random.default_rng(0).normal(size=(100, 12))
    features[3] = features[90]
    assert people_of(run, cases_of(run), features=features).pairs.rows.tolist() == [[3, 90]]


def test_values_have_quartiles_and_a_second_group_shows(tmp_path):
    table = made_up_people.people(200)
    ages = np.r_[np.random.default_rng(0).normal(20, 1, 100), np.random.default_rng(1).normal(70, 1, 100)]
    folder = made_up_people.write_run(tmp_path / "run", table.assign(age=ages), ages + 1, task=made_up.AGE)
    run = read_run(folder)
    people = people_of(run, cases_of(run), sites_of(run.cohort, "site", {}))
    (spread,) = people.spreads
    assert spread.mean == pytest.approx(ages.mean())
    assert spread.quartiles == pytest.approx(tuple(np.quantile(ages, [0.25, 0.5, 0.75])))
    assert spread.bimodality > 0.9
    # the sites stand in the order of the rows, and so do the ages
    assert people.between["age"].share > 0.5
    tables = {table.name: table for table in items(people_section(run, people), Table)}
    assert "years" in tables["spread"].rows[0][2]
    assert "far-off" in tables


def test_scans_of_one_person_are_one_person(tmp_path):
    table = made_up_people.people(100)
    twice = pd.concat([table, table.iloc[:50].assign(session_id="2")], ignore_index=True)
    folder = made_up_people.write_run(tmp_path / "run", twice, made_up_people.predicted(twice))
    run = read_run(folder)
    people = people_of(run, cases_of(run), sites_of(run.cohort, "site", {}))
    assert people.spreads[0].n == 100
    assert people.targets["people"].sum() == 100
    assert not len(people.pairs.rows)
    assert people.labels["diagnosis"].n_people == run.predictions.query("n == 100")["participant_id"].nunique() <= 100


def test_a_run_without_a_table_of_scans_says_what_is_missing(folder, tmp_path):
    for name in ("study.json", "results.parquet", "predictions.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    run = read_run(tmp_path)
    people = people_of(run, cases_of(run))
    assert any("kept no table of its scans" in text for text in people.untold)
    # labels are told by the predictions alone
    assert set(people.labels) == {"diagnosis"}


def test_the_whole_page_names_nobody_and_the_list_does_when_it_is_asked_for(folder):
    path, _ = diagnose(folder)
    assert "secret-" not in path.read_text()
    assert not (folder / LISTED).exists()
    heard = []
    diagnose(folder, list_people=True, tell=heard.append)
    assert "secret-" not in path.read_text()
    names = pd.read_csv(folder / LISTED, sep="\t")
    assert set(names["what"]) == {"label", "pair"}
    assert names["participant_id"].str.startswith("secret-").all()
    assert set(names.loc[names["what"] == "label", "verdict"]) == {"more than overlap gives"}
    assert any(LISTED in text for text in heard)
    facts = json.loads((folder / "diagnosis.json").read_text())
    assert facts["people"]["pairs"]["found"] == 1


def test_a_list_of_people_needs_a_run():
    with pytest.raises(InputError, match="--list-people needs a run folder"):
        diagnose("published:april_asd", "x.html", list_people=True)
