"""The tables of a prepared input: only what was asked for, one row a session, numbers that can be compared."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_files import job_in, sidecar_of, subject

from neurotransfer.artifacts import write_table
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.prepare import tables
from neurotransfer.prepare.job import outputs_of
from neurotransfer.prepare.source import SUBJECT, Source
from neurotransfer.prepare.tables import (
    cohort_table,
    failed_table,
    quality_table,
    regional_volumes,
)

STATS = "# ColHeaders Index SegId Volume_mm3 StructName\n1 17 {} Left-Hippocampus\n"


def source(person, session="", run="", **columns):
    labels = {"run": run} if run else {}
    return Source(person, session, Path(f"{person}{run}.nii"), labels=labels, columns=columns, name=f"{person}.nii")


def done(job, *sources, **changes):
    return [(one, sidecar_of(one, job, **changes)) for one in sources]


@pytest.fixture
def job(tmp_path):
    return job_in(tmp_path)


# ---- the cohort


def test_only_named_columns_come_along_in_their_order(job):
    people = done(job, source("a", age="3", name="Jane", sex="F"), source("b", age="4", name="Joe"))
    table, remarks = cohort_table(people, job, ["sex", "age"])
    assert list(table.columns) == ["participant_id", "session_id", "image", "sex", "age"]
    assert table["age"].tolist() == ["3", "4"]
    assert table["sex"].tolist()[0] == "F"
    assert table["sex"].isna().tolist() == [False, True]
    assert "Jane" not in table.to_csv()
    assert remarks == []
    assert list(cohort_table(people, job, [])[0].columns) == ["participant_id", "session_id", "image"]


def test_images_are_relative_to_the_folder(job):
    table, _ = cohort_table(done(job, source("a", "ses-1")), job, [])
    [image] = table["image"]
    assert job.out / image == outputs_of(source("a", "ses-1"), job).image
    assert image.startswith("sub-a/ses-1/anat/")


def test_the_first_of_several_scans_of_a_session_stands_for_it(job):
    people = done(
        job, source("a", "", "1", age="1"), source("a", "", "2", age="2"), source("a", "late", "1"), source("b")
    )
    table, remarks = cohort_table(people, job, ["age"])
    assert [Path(image).name[:12] for image in table["image"]] == ["sub-a_run-1_", "sub-a_ses-la", "sub-b_space-"]
    assert table["age"].tolist()[0] == "1"
    assert remarks[0].startswith("1 further scans of a session were prepared and are in quality.tsv")
    assert "--acquisition or --run" in remarks[0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1"])), max_size=9))
def test_a_session_has_one_row(pairs):
    job = job_in(Path("folder"))
    people = done(job, *(source(person, session, str(run)) for run, (person, session) in enumerate(pairs)))
    table, remarks = cohort_table(people, job, [])
    kept = list(zip(table["participant_id"], table["session_id"].fillna(""), strict=True))
    assert kept == list(dict.fromkeys(pairs))
    assert bool(remarks) == (len(kept) < len(pairs))


@pytest.mark.parametrize("person", ["a", "Zoë", "-x", "a\tb", "a\nb", 'a"b', "a\\udcff", "007"])
def test_what_is_written_is_what_is_read(job, person, tmp_path):
    table, _ = cohort_table(done(job, source(person, age="30")), job, ["age"])
    write_table(tmp_path / tables.COHORT, table)
    read = read_text_table(tmp_path / tables.COHORT)
    assert read["participant_id"].tolist() == [person]
    assert read["session_id"].tolist() == [""]
    assert read["age"].tolist() == ["30"]


def test_a_cohort_of_nobody_has_its_columns(job, tmp_path):
    table, remarks = cohort_table([], job, ["age"])
    assert list(table.columns) == ["participant_id", "session_id", "image", "age"]
    assert remarks == []
    write_table(tmp_path / tables.COHORT, table)
    assert (tmp_path / tables.COHORT).read_text() == "participant_id\tsession_id\timage\tage\n"


# ---- quality


def test_quality_has_every_scan_worst_first_with_its_words(job):
    good = sidecar_of(None, job)
    bad = sidecar_of(None, job, Warnings=["odd", "very odd"], Remarks=["oblique"], Approximation="made without it")
    table = quality_table([(source("a", "", "1"), good), (source("a", "", "2"), bad)], job)
    assert table["scan"].tolist() == ["sub-a_run-2", "sub-a_run-1"]
    assert table["warnings"].tolist() == ["odd; very odd", ""]
    assert table["flags"].tolist() == ["odd; very odd", ""]
    assert table["remarks"].tolist()[0] == "oblique"
    assert table["approximation"].tolist()[0] == "made without it"
    assert table["overlap"].tolist() == [0.95, 0.95]
    assert (job.out / table["figure"][0]).name == "sub-a_run-2_desc-template_T1w.jpg"


def test_quality_of_nothing_has_what_others_read(job):
    table = quality_table([], job)
    assert list(table.columns) == ["participant_id", "session_id", "scan", "flags", "badness"]
    assert int((table["flags"] != "").sum()) == 0


# ---- regional volumes


def with_stats(folder, volume=4000.0):
    path = subject(folder) / "stats" / "aseg.stats"
    path.parent.mkdir()
    path.write_text(STATS.format(volume))
    return Source(folder.name, "", folder, SUBJECT, name=folder.name)


def test_volumes_are_those_of_the_tool_where_all_have_some(job, tmp_path):
    people = done(job, with_stats(tmp_path / "a", 4000.0), with_stats(tmp_path / "b", 3900.5))
    table, _ = regional_volumes(people)
    assert table["left_hippocampus_mm3"].tolist() == [4000.0, 3900.5]
    assert "total_grey_mm3" not in table


@pytest.mark.parametrize("other", ["image", "subject", "hidden"])
def test_volumes_are_measured_on_all_where_one_has_none(job, tmp_path, other):
    second = source("b")
    if other != "image":
        subject(tmp_path / "b", others=["stats/._aseg.stats"] if other == "hidden" else [])
        second = Source("b", "", tmp_path / "b", SUBJECT)
    table, remarks = regional_volumes(done(job, with_stats(tmp_path / "a"), second))
    assert table["total_grey_mm3"].tolist() == [6e5, 6e5]
    assert "left_hippocampus_mm3" not in table
    assert remarks[0].startswith("1 of 2 scans have no stats/*.stats: volumes are measured on the images of all")


def test_a_damaged_table_is_left_out_and_told(job, tmp_path):
    one, two = with_stats(tmp_path / "a"), with_stats(tmp_path / "b")
    (two.path / "stats" / "aseg.stats").write_text("no table")
    table, remarks = regional_volumes(done(job, one, two))
    assert table["left_hippocampus_mm3"].isna().tolist() == [False, True]
    assert any("b: left out: " in remark for remark in remarks)


def test_volumes_of_images_are_those_of_their_sidecars(job):
    table, remarks = regional_volumes(done(job, source("a", "1"), source("b"), RegionalVolumes={"x_mm3": 1.5}))
    assert table.to_dict("records") == [
        {"participant_id": "a", "session_id": "1", "x_mm3": 1.5},
        {"participant_id": "b", "session_id": "", "x_mm3": 1.5},
    ]
    assert remarks == []
    assert regional_volumes([])[0].empty


# ---- what failed


def test_failures_have_their_reason_in_one_line(tmp_path):
    table = failed_table([(source("a", "1", "2"), "cannot\n read\tit ")])
    assert table.to_dict("records") == [
        {"participant_id": "a", "session_id": "1", "scan": "sub-a_ses-1_run-2", "source": "a.nii", "reason": "cannot read it"}
    ]  # fmt: skip
    assert list(failed_table([]).columns) == list(table.columns)
    write_table(tmp_path / tables.FAILED, failed_table([]))
    assert len(pd.read_csv(tmp_path / tables.FAILED, sep="\t")) == 0
