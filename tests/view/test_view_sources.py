"""Whatever a user may look at becomes the same table: what `prepare`, `benchmark`, `predict` and `explain` wrote, and raw data."""

import json

import numpy as np
import pandas as pd
import pytest
from view_client import opened
from view_data import (
    predictions,
    write_benchmark,
    write_cohort,
    write_maps,
    write_predicted,
    write_prepared,
    write_scan,
)

from neurotransfer.errors import CohortError, InputError
from neurotransfer.view.gather import gather
from neurotransfer.view.mistakes import ALL
from neurotransfer.view.sources import find_source


def seen(run, data=None, **options):
    return gather(find_source(run, data), run, **options)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort") / "data")


def column(scans, name):
    return next(number for number in scans.numbers if number.name == name)


def test_a_prepared_folder_shows_flags_masks_and_what_failed(tmp_path):
    scans = seen(write_prepared(tmp_path / "prepared"))
    assert scans.table["participant_id"].tolist() == [
        "sub-05",
        "sub-04",
        "sub-03",
        "sub-02",
        "sub-01",
        "sub-00",
        "sub-99",
    ]
    assert [len(flags) for flags in scans.flags] == [2, 1, 0, 0, 0, 0, 1]
    assert scans.flags[-1] == ("not prepared (it is constant)",)
    assert [sorted(files) for files in scans.files] == [["mask", "scan"]] * 6 + [[]]
    assert scans.numbers[0].name == "badness"
    assert scans.numbers[0].worse == "high"
    assert column(scans, "cnr").worse == "low"
    assert scans.table["age"].tolist()[:3] == ["35", "34", "33"]
    assert scans.table["site"].tolist()[0] == "B"
    assert "1 of 7 scans have no image that can be found" in scans.notes[0]


def test_a_prepared_folder_without_failures(tmp_path):
    folder = write_prepared(tmp_path / "prepared")
    (folder / "failed.tsv").write_text("participant_id\tsession_id\tscan\tsource\treason\n")
    assert len(seen(folder)) == 6


def test_a_benchmark_has_the_errors_of_its_predictions(tmp_path, cohort):
    scans = seen(write_benchmark(tmp_path / "run", cohort))
    assert scans.title == "Benchmark tiny"
    assert scans.numbers[0].name == f"error age {ALL}"
    found = predictions()
    of_age = found[found.task == "age"]
    wanted = (of_age.predicted - of_age.observed).abs().groupby(of_age.row).mean()
    for row, value in wanted.items():
        assert scans.numbers[0].values[row] == pytest.approx(value)
    assert all("scan" in files for files in scans.files)
    assert all("mask" in files for files in scans.files)


def test_a_benchmark_that_has_not_predicted_yet_is_shown(tmp_path, cohort):
    run = write_benchmark(tmp_path / "run", cohort)
    (run / "predictions.parquet").unlink()
    scans = seen(run)
    assert "no predictions yet" in scans.notes[0]
    assert not any("error" in number.name for number in scans.numbers)


def test_a_benchmark_whose_scans_have_moved_finds_them_by_data(tmp_path):
    old = write_cohort(tmp_path / "old")
    run = write_benchmark(tmp_path / "run", old)
    (tmp_path / "old").rename(tmp_path / "new")
    lost = seen(run)
    assert not any(lost.files)
    assert "6 of 6 scans have no image that can be found; say with --data" in lost.notes[0]
    found = seen(run, tmp_path / "new")
    assert all(str(files["scan"].path).startswith(str(tmp_path / "new")) for files in found.files)
    assert not any("no image" in note for note in found.notes)


def test_damaged_predictions_are_refused(tmp_path, cohort):
    run = write_benchmark(tmp_path / "run", cohort)
    (run / "predictions.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        find_source(run)
    predictions().drop(columns="strategy").to_parquet(run / "predictions.parquet")
    with pytest.raises(InputError, match="has no column strategy"):
        find_source(run)


def test_predictions_have_errors_where_the_truth_is_known(tmp_path, cohort):
    path = write_predicted(tmp_path / "predicted.tsv", cohort)
    alone = seen(path)
    assert column(alone, "error age").values.tolist() == [0, 3, 6, 9, 12, 15]
    assert alone.table["age"].tolist() == ["20", "25", "30", "35", "40", "45"]
    assert alone.table["predicted age"].tolist()[1] == "22.0"
    assert alone.flags[0] == ("refused: 'a.nii' is constant",)
    assert not any(number.name == "error sex" for number in alone.numbers)
    known = seen(path, people=cohort)
    assert [number.name for number in known.numbers[:2]] == ["error age", "error sex"]
    probability = np.linspace(0.1, 0.9, 6)
    wanted = [probability[row] if row % 2 == 0 else 1 - probability[row] for row in range(6)]
    np.testing.assert_allclose(column(known, "error sex").values, wanted)
    np.testing.assert_allclose(column(known, "error age").values, [0, 3, 6, 9, 12, 15])
    assert "observed M" in column(known, "error sex").said[1]
    assert known.table["site"].tolist() == list("ABABAB")
    assert column(known, "iq").values.tolist() == [100, 101, 102, 103, 104, 105]


def test_a_table_of_people_may_name_persons_only_and_only_some(tmp_path, cohort):
    people = tmp_path / "people.csv"
    people.write_text("participant_id,site,hobby\nsub-01,Z,chess\n")
    scans = seen(cohort, people=people)
    assert scans.table["hobby"].tolist() == ["", "chess", "", "", "", ""]
    # what the table of scans says itself counts more
    assert scans.table["site"].tolist() == list("ABABAB")


def test_maps_are_laid_over_the_scans_they_belong_to(tmp_path, cohort):
    folder = write_maps(tmp_path / "explained", cohort)
    for scans in (seen(folder), seen(cohort, maps=folder), seen(cohort, maps=folder / "maps")):
        labels = [[file.label for role, file in files.items() if role.startswith("map-")] for files in scans.files]
        if len(scans) == 6:
            assert labels.pop() == []
        assert labels == [["gradient, target age", "relevance, target age"]] * 5
        for participant, files in zip(scans.table["participant_id"], scans.files, strict=True):
            assert all(participant in file.path.name for file in files.values())
    with opened(cohort, maps=folder) as client:
        wanted = (folder / "maps" / "sub-01" / "sub-01_ses-1_target-age_map-relevance.nii.gz").read_bytes()
        assert client.get("scans/1/map-1.nii.gz").content == wanted
        assert client.get("scans/5/map-0.nii.gz").status == 404


def test_maps_are_known_by_the_table_where_names_are_not_those_of_bids(tmp_path, cohort):
    folder = write_maps(tmp_path / "explained", cohort, ("lrp",))
    table = pd.read_parquet(folder / "maps.parquet")
    table["stem"] = [f"sub-{place}X" for place in range(len(table))]
    for place, (participant, session) in enumerate(zip(table["participant_id"], table["session_id"], strict=True)):
        old = folder / "maps" / participant / f"{participant}_{session}_target-age_map-lrp.nii.gz"
        old.rename(old.with_name(f"sub-{place}X_space-scan_map-lrp.nii.gz"))
    table.to_parquet(folder / "maps.parquet")
    scans = seen(cohort, maps=folder)
    assert [files["map-0"].label for files in scans.files[:5]] == ["lrp, on the scan's voxels"] * 5
    assert "map-0" not in scans.files[5]


def test_maps_of_scans_that_have_moved_lie_over_what_the_model_saw(tmp_path):
    cohort = write_cohort(tmp_path / "old", n=3)
    folder = write_maps(tmp_path / "explained", cohort, ("lrp",))
    table = pd.read_parquet(folder / "maps.parquet")
    table["stem"] = table["participant_id"] + "_" + table["session_id"]
    table.to_parquet(folder / "maps.parquet")
    for stem, participant in zip(table["stem"], table["participant_id"], strict=True):
        write_scan(folder / "maps" / participant / f"{stem}_space-model_T1w.nii.gz")
    assert [files["scan"].path.parent.name for files in seen(folder).files] == ["anat"] * 2
    (tmp_path / "old").rename(tmp_path / "new")
    moved = seen(folder)
    assert [files["scan"].label for files in moved.files] == [
        f"{stem}_space-model_T1w.nii.gz" for stem in table["stem"]
    ]
    assert [files["map-0"].label for files in moved.files] == ["lrp, target age"] * 2


def test_a_folder_without_maps_is_refused(tmp_path, cohort):
    with pytest.raises(InputError, match="holds no map"):
        seen(cohort, maps=cohort.parent)
    with pytest.raises(InputError, match="there is no folder of maps"):
        seen(cohort, maps=tmp_path / "nothing")


def test_a_bids_dataset_with_masks_beside_its_scans(tmp_path):
    for person in ("01", "02"):
        write_scan(tmp_path / f"sub-{person}" / "anat" / f"sub-{person}_T1w.nii.gz")
    write_scan(tmp_path / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz", dtype=np.uint8)
    write_scan(tmp_path / "sub-02" / "anat" / "sub-02_space-other_desc-brain_mask.nii.gz", dtype=np.uint8)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t20\tF\nsub-02\tn/a\tM\n")
    scans = seen(tmp_path)
    assert [sorted(files) for files in scans.files] == [["mask", "scan"], ["scan"]]
    assert scans.table["age"].tolist() == ["20", ""]


def test_a_mask_that_the_table_names_counts_before_one_beside(tmp_path):
    table = write_cohort(tmp_path / "data")
    write_scan(tmp_path / "data" / "mine.nii.gz", dtype=np.uint8)
    found = pd.read_csv(table, sep="\t", dtype=str).assign(mask="mine.nii.gz")
    found.to_csv(table, sep="\t", index=False)
    assert {files["mask"].path.name for files in seen(table).files} == {"mine.nii.gz"}


def test_a_folder_of_scans_and_one_scan(tmp_path):
    write_scan(tmp_path / "b.nii")
    write_scan(tmp_path / "a.mgz")
    write_scan(tmp_path / "b_mask.nii", dtype=np.uint8)
    scans = seen(tmp_path)
    assert scans.table["participant_id"].tolist() == ["a", "b"]
    assert [sorted(files) for files in scans.files] == [["scan"], ["mask", "scan"]]
    assert seen(tmp_path / "a.mgz").table["participant_id"].tolist() == ["a"]


def test_a_mask_that_leads_out_of_its_folder_is_passed_over(tmp_path):
    write_scan(tmp_path / "data" / "a.nii.gz")
    outside = write_scan(tmp_path / "private.nii.gz")
    (tmp_path / "data" / "a_mask.nii.gz").symlink_to(outside)
    assert [sorted(files) for files in seen(tmp_path / "data").files] == [["scan"]]


def test_a_map_that_leads_out_of_its_folder_is_passed_over(tmp_path, cohort):
    folder = write_maps(tmp_path / "explained", cohort)
    outside = write_scan(tmp_path / "private.nii.gz")
    (folder / "maps" / "sub-05_ses-1_map-stolen.nii.gz").symlink_to(outside)
    (folder / "maps" / "away").symlink_to(tmp_path)
    scans = seen(cohort, maps=folder)
    assert all("private" not in str(file.path) for files in scans.files for file in files.values())
    assert "map-0" not in scans.files[5]


def test_scans_that_are_links_to_a_store_are_found_with_the_masks_beside_them(tmp_path):
    table = write_cohort(tmp_path / "data", n=2)
    for image in (tmp_path / "data").rglob("*.nii.gz"):
        kept = tmp_path / "data" / ".store" / image.name
        kept.parent.mkdir(exist_ok=True)
        image.rename(kept)
        image.symlink_to(kept)
    scans = seen(table)
    assert [sorted(files) for files in scans.files] == [["mask", "scan"]] * 2
    assert all(file.path.parent.name == ".store" for files in scans.files for file in files.values())


WRONG = ["a\0b.nii", "../../../../etc/passwd", "/etc/passwd", "\N{SNOWMAN}.nii", "x" * 5000 + ".nii", "."]


@pytest.mark.parametrize("named", WRONG)
def test_what_a_table_names_that_is_no_image_is_not_found(tmp_path, named):
    from neurotransfer.view.files import image_of

    assert image_of(named, (tmp_path,)) is None


def test_nothing_there_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*give a folder that prepare, benchmark or explain wrote"):
        find_source(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no scan, no table"):
        find_source(tmp_path / "empty")
    (tmp_path / "table.csv").write_text("participant_id\na\n")
    with pytest.raises(CohortError, match="no column 'image'"):
        find_source(tmp_path / "table.csv")
    (tmp_path / "note.txt").write_text("nothing")
    with pytest.raises(InputError, match="not a table of scans"):
        find_source(tmp_path / "note.txt")


def test_a_table_with_a_sidecar_of_somebody_else_is_a_table_of_scans(tmp_path):
    table = write_cohort(tmp_path / "data", n=2)
    for text in (json.dumps({"age": {"Description": "Age."}}), "[1]", "{"):
        table.with_suffix(".json").write_text(text)
        assert find_source(table).kind == "Cohort data"


def test_only_folders_of_ours_may_keep_thumbnails(tmp_path, cohort):
    ours = [
        write_prepared(tmp_path / "prepared"),
        write_benchmark(tmp_path / "run", cohort),
        write_maps(tmp_path / "maps", cohort),
    ]
    theirs = [cohort, cohort.parent, write_predicted(tmp_path / "predicted.tsv", cohort)]
    assert [find_source(run).ours for run in [*ours, *theirs]] == [True] * 3 + [False] * 3
