"""The page of a prepared cohort: every number is that of pandas and scipy, whatever lacks is said, real folders make pages."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from kinds_files import figure_names, table_of, words_of, write_prepared
from scipy.stats import kruskal, pearsonr

from neurotransfer.cohort.preparation import COMPLETE, DESCRIPTION
from neurotransfer.errors import InputError
from neurotransfer.pages.contents import as_data, figures_of
from neurotransfer.report.prepared import page_of, recognises
from neurotransfer.report.prepared_folder import read_prepared
from neurotransfer.report.quality_tables import flag_kind, flag_table, site_effects, tissue_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("prepared") / "ready"
    write_prepared(path)
    return path


@pytest.fixture(scope="module")
def page(folder):
    return page_of(folder)


@pytest.fixture(scope="module")
def scans(folder):
    quality, cohort = (pd.read_csv(folder / name, sep="\t", na_values="n/a") for name in ("quality.tsv", "cohort.tsv"))
    return quality.merge(cohort.drop(columns="image"), on=["participant_id", "session_id"])


def figure_of(page, name):
    return next(figure for figure in figures_of(page) if figure.name == name)


def test_only_a_folder_that_prepare_wrote_is_recognised(folder, tmp_path):
    assert recognises(folder)
    assert not recognises(tmp_path)
    assert not recognises(folder / "quality.tsv")
    (tmp_path / DESCRIPTION).write_text("[1]")
    assert not recognises(tmp_path)
    (tmp_path / DESCRIPTION).write_text('{"Name": "somebody else\'s"}')
    assert not recognises(tmp_path)
    with pytest.raises(InputError, match="no folder of prepared scans"):
        page_of(tmp_path)


def test_it_begins_with_how_many_were_made_failed_and_are_flagged(page, scans):
    assert page.found[0].startswith(
        f"40 of 42 scans were prepared, of {scans['participant_id'].nunique()} people; 2 could not be."
    )
    assert "3 (8 %) have a flag" in page.found[0]
    assert "look at it (2)" in page.found[0]
    assert page.banner == ""


def test_who_they_are_is_told_and_drawn(page, scans):
    people = scans.drop_duplicates("participant_id")
    assert (
        f"{people['age'].min():.0f} to {people['age'].max():.0f} years old (median {people['age'].median():.0f})"
        in page.found[1]
    )
    assert f"F: {(people['sex'] == 'F').sum()}" in page.found[1]
    bars = figure_of(page, "pyramid").layers[0].table
    assert bars["scans"].sum() == len(scans)
    assert bars.loc[bars["shown"] > 0, "scans"].sum() == (scans["sex"] == "F").sum()


def test_the_site_that_differs_is_found_and_tested_over_people(page, scans):
    people = scans.sort_values(["participant_id", "session_id"]).drop_duplicates("participant_id")
    groups = [part["cnr"] for _, part in people.groupby("site")]
    found = kruskal(*groups)
    table = site_effects(scans.astype(object), ["cnr", "cjv", "voxel_x_mm"], "site")
    assert table["measure"].tolist() == ["cnr", "cjv"]
    row = table.iloc[0]
    np.testing.assert_allclose(row["p"], found.pvalue)
    np.testing.assert_allclose(row["effect"], (found.statistic - 2) / (len(people) - 3))
    assert row["p_holm"] == pytest.approx(2 * row["p"])
    assert "most of all the contrast to noise" in page.found[2]
    assert f"{100 * row['effect']:.0f} %" in page.found[2]


def test_medians_by_site_are_those_of_pandas(page, scans):
    shown = figure_of(page, "sites")
    large = shown.layers[1].table.set_index(["measure", "site"])
    wanted = scans.groupby("site")["cnr"].quantile([0.25, 0.5, 0.75]).unstack()
    for site, row in wanted.iterrows():
        np.testing.assert_allclose(large.loc[("cnr", site), ["low", "median", "high"]].astype(float), row)
    assert len(shown.layers[0].table[shown.layers[0].table["measure"] == "cnr"]) == len(scans)
    # what differs most stands first
    assert next(iter(shown.choices[0].options)) == "cnr"


def test_grey_matter_goes_with_age_as_scipy_says(page, scans):
    people = scans.sort_values(["participant_id", "session_id"]).drop_duplicates("participant_id")
    found = pearsonr(people["age"], people["grey_share"])
    table = tissue_table(scans.astype(object), ["grey_share"])
    ends = found.confidence_interval()
    np.testing.assert_allclose(table[["r", "low", "high"]].to_numpy(float)[0], [found.statistic, ends.low, ends.high])
    assert "falls surely with age" in page.found[3]
    assert f"r = −{abs(found.statistic):.2f}" in page.found[3]


def test_every_measure_that_varies_has_its_distribution_with_limits(page, scans):
    names = [name for name in figure_names(page) if name.startswith("measure-")]
    assert names == [f"measure-{name}" for name in ("brain_litres", "overlap", "cnr", "cjv", "grey_share")]
    overlap = figure_of(page, "measure-overlap")
    assert overlap.layers[0].table["scans"].sum() == len(scans)
    assert overlap.layers[1].table["at"].tolist() == [0.9, 1.0]
    assert figure_of(page, "measure-cnr").layers[1].table["at"].tolist() == [1.5]
    assert len(figure_of(page, "measure-cjv").layers) == 1


def test_flags_are_counted_by_kind(page):
    assert [list(row) for row in table_of(page, "flags").rows] == [
        ["look at it", "2"],
        ["cnr is unusual in this cohort", "1"],
        ["the field of view cuts the brain off", "1"],
    ]
    assert [row[1] for row in table_of(page, "failed").rows] == ["no brain in it"] * 2
    assert len(table_of(page, "worst").rows) == 3


def test_a_warning_is_one_flag_whatever_it_is_written_with():
    warning = "its voxels are coarse, 4 x 4 x 4 mm; small structures may be lost"
    scans = pd.DataFrame(
        {"flags": [f"{warning}; cnr 1 is unusual here (robust z 4.0)", warning], "warnings": [warning] * 2}
    )
    assert flag_table(scans).to_numpy().tolist() == [[warning, 2], ["cnr is unusual in this cohort", 1]]
    assert flag_kind("it is odd") == "it is odd"


def test_scans_of_the_same_look_are_filled_or_not_by_their_flags(page, scans):
    rows = figure_of(page, "pairs").layers[0].table
    one = rows[rows["pair"] == "cjv-cnr"]
    assert (~one["fine"]).sum() == scans["flags"].notna().sum()
    np.testing.assert_allclose(sorted(one["y"]), sorted(scans["cnr"]))


def test_the_command_makes_such_a_folder_again(page):
    assert "neurotransfer prepare INPUT ready --recipe template --voxel-size 2 --columns age,sex,site" in words_of(page)
    assert "quality.html" in words_of(page)


def test_small_samples_are_told(page):
    assert any("age: only 33 participants" in note for note in page.cautions)


def test_the_same_folder_gives_the_same_page(folder, page):
    assert json.dumps([as_data(figure) for figure in figures_of(page_of(folder))], default=str) == json.dumps(
        [as_data(figure) for figure in figures_of(page)], default=str
    )


@pytest.mark.parametrize("n", [1, 2, 5, 11])
def test_few_scans_make_a_page(tmp_path, n):
    write_prepared(tmp_path / "few", n)
    page = page_of(tmp_path / "few")
    assert page.found[0].startswith(f"{n} of {n + 2} scans")
    assert any("fewer than 10 scans" in note for note in page.cautions) == (n < 10)
    assert all("nan" not in text for text in page.found)


def test_all_failed_is_a_page_that_says_so(tmp_path):
    write_prepared(tmp_path / "none", 0, 3)
    page = page_of(tmp_path / "none")
    assert "0 of 3 scans were prepared, of 0 people; 3 could not be. There is nothing to learn" in page.found[0]
    assert len(table_of(page, "failed").rows) == 3
    assert figure_names(page) == ["failed"]


def test_without_age_sex_and_site_it_says_what_to_do(tmp_path):
    write_prepared(tmp_path / "plain", columns=())
    page = page_of(tmp_path / "plain")
    assert not {"pyramid", "sites", "tissues"} & set(figure_names(page))
    assert "age, sex, site did not come along" in words_of(page)
    assert "--columns" not in words_of(page).split("INPUT")[1].split("\n")[0]


def test_older_folders_have_no_limits(tmp_path):
    write_prepared(tmp_path / "older", limits=False)
    page = page_of(tmp_path / "older")
    assert all(len(figure.layers) == 1 for figure in figures_of(page) if figure.name.startswith("measure-"))


def test_nothing_that_failed_or_was_flagged_is_said_too(tmp_path):
    quality = write_prepared(tmp_path / "good", n_failed=0)
    quality.assign(flags=None, warnings=None).to_csv(
        tmp_path / "good" / "quality.tsv", sep="\t", index=False, na_rep="n/a"
    )
    page = page_of(tmp_path / "good")
    assert page.found[0].endswith("No scan has a flag.")
    assert "No scan failed, and none has a flag." in words_of(page)


def test_a_preparation_that_was_cut_off_has_a_banner(tmp_path):
    write_prepared(tmp_path / "cut")
    (tmp_path / "cut" / COMPLETE).unlink()
    assert "not come to its end" in page_of(tmp_path / "cut").banner


@pytest.mark.parametrize("name", ["quality.tsv", "cohort.tsv", "failed.tsv"])
def test_tables_that_lack_or_were_edited_are_refused(tmp_path, name):
    write_prepared(tmp_path / "edited")
    path = tmp_path / "edited" / name
    pd.read_csv(path, sep="\t").drop(columns="participant_id").to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=re.escape("has no column 'participant_id'")):
        page_of(tmp_path / "edited")
    path.unlink()
    with pytest.raises(InputError, match=r"there is no .*run the same `neurotransfer prepare` again"):
        page_of(tmp_path / "edited")


@pytest.mark.slow
def test_a_folder_that_prepare_wrote(tmp_path):
    from neurotransfer.prepare.run import prepare
    from neurotransfer.simulate import simulate

    made = simulate(tmp_path / "heads", 4, shape=(32, 38, 32), seed=2)
    table = pd.read_csv(made, sep="\t").head(3)
    table["image"] = [str((made.parent / image).resolve()) for image in table["image"]]
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    bad = table.iloc[[0]].assign(participant_id="bad", image=str(tmp_path / "bad.nii.gz"))
    pd.concat([table, bad]).to_csv(tmp_path / "raw.tsv", sep="\t", index=False)
    declared = ("stripped", "unbiased", "registered")
    done = prepare(tmp_path / "raw.tsv", tmp_path / "ready", declared=declared, columns=["age", "sex", "site"])
    page = page_of(done.folder)
    assert page.found[0].startswith("3 of 4 scans were prepared")
    read = read_prepared(done.folder)
    assert read.tissues == ["grey matter", "white matter", "fluid"]
    regional = pd.read_csv(done.folder / "regional_volumes.tsv", sep="\t")
    assert sorted(read.scans["grey matter"]) == pytest.approx(sorted(regional["total_grey_mm3"] / 1000))
    assert {"brain_litres", "cnr", "overlap"} <= set(read.measures)
    assert str(tmp_path) not in words_of(page)


def test_no_two_things_of_the_page_have_one_name(page):
    names = [*figure_names(page), *(section.name for section in page.sections)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)
