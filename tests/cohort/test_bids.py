"""BIDS folders: the right images, masks and people, or an error that says what is there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohort_phantoms import noise, save
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.cohort import read_cohort
from neurotransfer.cohort.bids import bids_table, choose, entities, participants_of, t1w_images, with_sessions
from neurotransfer.errors import CohortError, InputError


def dataset(root, names, people=None, folder="anat"):
    """A BIDS folder of small scans with these file names, and its participants."""
    for index, name in enumerate(names):
        parts = entities(root / name)
        place = root / f"sub-{parts['sub']}" / (f"ses-{parts['ses']}" if "ses" in parts else "") / folder
        save(noise(index), place / name)
    ids = sorted({f"sub-{entities(root / name)['sub']}" for name in names})
    rows = {"participant_id": ids, "age": [str(20 + index) for index in range(len(ids))]} if people is None else people
    pd.DataFrame(rows).to_csv(root / "participants.tsv", sep="\t", index=False)
    return root


def names_of(cohort):
    return [image.name for image, _ in cohort.images]


RAW = ["sub-01_T1w.nii.gz", "sub-02_T1w.nii.gz", "sub-03_T1w.nii"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sub-01_T1w.nii.gz", {"sub": "01"}),
        ("sub-A1_ses-pre_acq-mprage_run-2_T1w.nii", {"sub": "A1", "ses": "pre", "acq": "mprage", "run": "2"}),
        ("sub-1_space-MNI152NLin2009cAsym_res-2_desc-preproc_T1w.nii.gz",
         {"sub": "1", "space": "MNI152NLin2009cAsym", "res": "2", "desc": "preproc"}),
        ("T1w.nii.gz", {}),
    ],
)  # fmt: skip
def test_the_entities_of_a_name(tmp_path, name, found):
    assert entities(tmp_path / "sub-99_ses-9" / name) == found


def test_a_raw_dataset_is_read_with_its_people(tmp_path):
    cohort = read_cohort(dataset(tmp_path, RAW), targets=["age"])
    assert names_of(cohort) == RAW
    assert list(cohort.participants) == ["sub-01", "sub-02", "sub-03"]
    assert list(cohort.table["age"]) == ["20", "21", "22"]
    assert cohort.name == tmp_path.name
    assert cohort.notes == ()


@pytest.mark.parametrize("ids", [["01", "02", "03"], ["sub-01", "sub-02", "sub-03"], ["03", "sub-02", "01"]])
def test_the_prefix_of_participants_may_be_missing(tmp_path, ids):
    cohort = read_cohort(dataset(tmp_path, RAW, {"participant_id": ids, "label": ids}), targets=["label"])
    assert [label[-2:] for label in cohort.table["label"]] == ["01", "02", "03"]


def test_a_dataset_below_a_folder_called_derivatives_is_read(tmp_path):
    root = dataset(tmp_path / "derivatives" / "fmriprep", RAW)
    assert names_of(read_cohort(root)) == RAW


def test_derivatives_inside_of_a_raw_dataset_are_left_out(tmp_path):
    root = dataset(tmp_path, RAW)
    shutil.copytree(root / "sub-01", root / "sub-01" / "derivatives" / "x")
    shutil.copytree(root / "sub-01", root / "derivatives" / "x" / "sub-01")
    assert names_of(read_cohort(root)) == RAW


def test_other_images_and_files_are_left_out(tmp_path):
    root = dataset(tmp_path, RAW)
    save(noise(8), root / "sub-01" / "anat" / "sub-01_T2w.nii.gz")
    for name in ("sub-01_T1w.json", "sub-01_T1w.nii.gz.part", "sub-01_desc-brain_mask.nii.gz"):
        (root / "sub-01" / "anat" / name).write_text("{}")
    assert names_of(read_cohort(root)) == RAW


SPACES = [
    f"sub-0{person}{part}_T1w.nii"
    for person in (1, 2)
    for part in ("", "_space-A", "_space-B_desc-x", "_space-B_desc-y")
]


@pytest.mark.parametrize(
    ("options", "part"),
    [({}, ""), ({"space": "A"}, "_space-A"), ({"space": "B", "desc": "x"}, "_space-B_desc-x")],
)
def test_space_and_desc_choose(tmp_path, options, part):
    cohort = read_cohort(dataset(tmp_path, SPACES), **options)
    assert names_of(cohort) == [f"sub-0{person}{part}_T1w.nii" for person in (1, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "C"}, "has space 'C'; found: A, B, no space; choose one of these"),
        ({"space": "A", "desc": "x"}, "has desc 'x'; found: no desc; choose one of these"),
        ({"space": "B"}, "has desc None; found: x, y; choose one of these"),
        ({"desc": "x"}, "has desc 'x'; found: no desc"),
    ],
)
def test_a_choice_that_is_not_there_or_is_none_names_what_is_there(tmp_path, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_cohort(dataset(tmp_path, SPACES), **options)


def test_several_spaces_alone_are_ambiguous_and_one_alone_is_taken(tmp_path):
    both = [f"sub-0{person}_space-{space}_T1w.nii" for person in (1, 2) for space in "AB"]
    with pytest.raises(InputError, match="has space None; found: A, B; choose one of these"):
        read_cohort(dataset(tmp_path / "both", both))
    one = [name for name in both if "space-A" in name]
    assert names_of(read_cohort(dataset(tmp_path / "one", one))) == one


def test_several_images_of_a_session_are_an_error_with_all_of_them(tmp_path):
    names = ["sub-01_run-1_T1w.nii", "sub-01_run-2_T1w.nii", "sub-02_T1w.nii", "sub-03_T1w.nii", "sub-03_T1w.nii.gz"]
    with pytest.raises(CohortError, match=r"choose by space or desc, .* or list scans in a table") as caught:
        read_cohort(dataset(tmp_path, names))
    assert len(caught.value.problems) == 4
    assert all(any(name + "'" in problem for problem in caught.value.problems) for name in names if "02_" not in name)


def test_sessions_are_rows_of_one_participant(tmp_path):
    names = [f"sub-0{person}_ses-{session}_T1w.nii" for person in (1, 2) for session in ("a", "b")]
    cohort = read_cohort(dataset(tmp_path, names), targets=["age"])
    assert (len(cohort), cohort.n_participants) == (4, 2)
    assert list(cohort.table["session_id"]) == ["ses-a", "ses-b"] * 2
    assert list(cohort.table["age"]) == ["20", "20", "21", "21"]


@pytest.mark.parametrize("prefix", ["", "ses-"])
def test_labels_of_a_session_belong_to_that_session(tmp_path, prefix):
    names = [f"sub-0{person}_ses-{session}_T1w.nii" for person in (1, 2) for session in (1, 2)]
    people = {
        "participant_id": ["01", "02", "02", "01"],
        "session_id": [f"{prefix}{session}" for session in (2, 1, 2, 1)],
    }
    cohort = read_cohort(dataset(tmp_path, names, people | {"age": ["30.5", "40", "41", "29"]}), targets=["age"])
    assert list(cohort.table["age"]) == ["29", "30.5", "40", "41"]
    assert cohort.notes == ()


def test_a_session_that_participants_do_not_list_is_noted(tmp_path):
    names = [f"sub-01_ses-{session}_T1w.nii" for session in (1, 2)]
    people = {"participant_id": ["sub-01"], "session_id": ["ses-1"], "age": ["29"]}
    cohort = read_cohort(dataset(tmp_path, names, people))
    assert list(cohort.table["age"]) == ["29", ""]
    assert len(cohort.notes) == 1
    assert "1 images are of a session that participants.tsv does not list" in cohort.notes[0]


def test_leading_zeros_that_a_spreadsheet_took_are_guessed(tmp_path):
    names = [f"sub-{person:03d}_T1w.nii" for person in range(8, 12)]
    root = dataset(tmp_path, names, {"participant_id": ["8", "9", "10", "11"], "age": ["28", "29", "30", "31"]})
    hint = "4 of 4 people of participants.tsv have no such T1w image ('sub-10' and the folder 'sub-010': were leading"
    assert hint in read_cohort(root).notes[0]
    with pytest.raises(CohortError, match="no value at all") as caught:
        read_cohort(root, targets=["age"])
    assert hint in str(caught.value)


def test_people_without_a_scan_and_scans_without_a_person_are_noted(tmp_path):
    people = {"participant_id": ["sub-01", "sub-02", "sub-08", "sub-09"], "age": ["20", "21", "28", "29"]}
    cohort = read_cohort(dataset(tmp_path, RAW, people), targets=["age"])
    assert list(cohort.table["age"]) == ["20", "21", ""]
    assert "2 of 4 people of participants.tsv have no such T1w image" in cohort.notes[0]
    assert "1 people with an image are not in participants.tsv" in cohort.notes[1]


def masks(root, desc="brain", **changes):
    for path in sorted(root.glob("sub-*/anat/*_T1w.nii*")):
        inside = (noise(0).get_fdata() > 500).astype(np.uint8)
        stem = path.name.split("_T1w")[0]
        save(noise(0).__class__(inside, noise(0).affine), path.parent / f"{stem}_desc-{desc}_mask.nii.gz")
    return root


def test_masks_are_those_of_their_image(tmp_path):
    names = [f"sub-0{person}{part}_T1w.nii" for person in (1, 2) for part in ("", "_space-A")]
    root = masks(masks(dataset(tmp_path, names)), "head")
    cohort = read_cohort(root, space="A", mask="brain")
    assert [mask.name for _, mask in cohort.images] == [
        f"sub-0{person}_space-A_desc-brain_mask.nii.gz" for person in (1, 2)
    ]
    assert [mask for _, mask in read_cohort(root, space="A").images] == [None, None]


def test_a_mask_of_a_preprocessed_image_has_another_desc(tmp_path):
    root = dataset(tmp_path, ["sub-01_desc-preproc_T1w.nii.gz"])
    inside = noise(0).__class__((noise(0).get_fdata() > 500).astype(np.uint8), noise(0).affine)
    save(inside, root / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz")
    assert read_cohort(root, mask="brain").images[0][1].name == "sub-01_desc-brain_mask.nii.gz"


def test_an_image_without_its_mask_is_an_error_with_its_name(tmp_path):
    root = masks(dataset(tmp_path, RAW))
    (root / "sub-02" / "anat" / "sub-02_desc-brain_mask.nii.gz").unlink()
    with pytest.raises(CohortError) as caught:
        read_cohort(root, mask="brain")
    assert caught.value.problems == ["row 2: 'sub-02_T1w.nii.gz' has no desc-brain mask beside it"]


@pytest.mark.parametrize("name", ["sub-02_T1w.nii", "scan_T1w.nii", "sub-01x_T1w.nii"])
def test_a_name_that_is_not_of_its_folder_is_an_error(tmp_path, name):
    root = dataset(tmp_path, RAW)
    save(noise(9), root / "sub-01" / "anat" / name)
    with pytest.raises(CohortError, match="the name does not begin with that of its folder") as caught:
        read_cohort(root)
    assert len(caught.value.problems) == 1
    assert name in caught.value.problems[0]


def test_labels_that_are_none_do_not_make_one_person_of_two(tmp_path):
    root = dataset(tmp_path, ["sub-01_T1w.nii"])
    for name in ("sub-A_1", "sub-A_2"):
        save(noise(len(name)), root / name / "anat" / f"{name}_T1w.nii")
    with pytest.raises(CohortError, match="BIDS labels are letters and digits only") as caught:
        read_cohort(root)
    assert len(caught.value.problems) == 2


def test_a_folder_without_participants_or_images_is_told(tmp_path):
    with pytest.raises(InputError, match=r"has no participants.tsv; give a BIDS dataset, or a table of scans"):
        read_cohort(tmp_path)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\n")
    with pytest.raises(InputError, match=r"no T1-weighted image .* is it a BIDS dataset"):
        read_cohort(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read .*participants.tsv"),
        (b"\xff\xfe\x00", "cannot read .*participants.tsv"),
        (b"participant_id\tage\n", "has no rows"),
        (b"subject\tage\nsub-01\t3\n", "has no column participant_id; found: subject, age"),
        (b"participant_id\tage\nsub-01\t3\t4\n", "cannot read .*participants.tsv"),
        (b"participant_id\tage\nn/a\t3\n", "row 1: participant_id is empty"),
        (b"participant_id\tage\nsub-01\t3\nsub-02\t4\n01\t5\n", "row 3: sub-01 stands there twice"),
    ],
)
def test_participants_that_cannot_be_used_are_told(tmp_path, content, message):
    root = dataset(tmp_path, RAW)
    (root / "participants.tsv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_cohort(root)


def test_missing_values_of_participants_are_missing(tmp_path):
    people = {"participant_id": ["01", "02", "03"], "age": ["n/a", " 4.5", "NaN"], "image": ["x", "y", "z"]}
    cohort = read_cohort(dataset(tmp_path, RAW, people))
    assert list(cohort.table["age"]) == ["", "4.5", ""]
    assert names_of(cohort) == RAW


def test_a_scan_of_a_dataset_that_cannot_be_read_is_told_with_its_row(tmp_path):
    root = dataset(tmp_path, RAW)
    broken = root / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:99])
    with pytest.raises(CohortError) as caught:
        read_cohort(root)
    (problem,) = caught.value.problems
    assert problem.startswith("row 2: sub-02: cannot read")


def test_paths_of_the_table_are_relative_to_the_dataset(tmp_path):
    table, notes = bids_table(dataset(tmp_path, RAW), None, None, None)
    assert list(table["image"]) == [f"sub-0{index}/anat/{name}" for index, name in enumerate(RAW, 1)]
    assert notes == []


# ---- the parts that `prepare` uses too


def listed(root, participant, rows):
    path = root / participant / f"{participant}_sessions.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    return path


def scanned(**columns):
    ids = {"participant_id": ["sub-01", "sub-01", "sub-02"], "session_id": ["ses-1", "ses-2", "ses-1"]}
    return pd.DataFrame(ids | columns)


@pytest.mark.parametrize("prefix", ["", "ses-"])
def test_sessions_count_more_than_what_stands_there_and_fill_what_is_missing(tmp_path, prefix):
    listed(tmp_path, "sub-01", {"session_id": [f"{prefix}2", f"{prefix}1"], "age": ["31", "n/a"], "score": ["5", "4"]})
    listed(tmp_path, "sub-02", {"session_id": [f"{prefix}9"], "age": ["99"], "site": ["K"]})
    table = scanned(age=["30", "30", "40"])
    joined = with_sessions(table, tmp_path)
    assert joined["age"].tolist() == ["30", "31", "40"]
    assert joined["score"].tolist() == ["4", "5", ""]
    assert joined["site"].tolist() == ["", "", ""]
    assert table.columns.tolist() == ["participant_id", "session_id", "age"]
    assert joined[["participant_id", "session_id"]].equals(table[["participant_id", "session_id"]])


def test_tables_without_sessions_change_nothing(tmp_path):
    table = scanned(age=["30", "30", "40"])
    assert with_sessions(table, tmp_path) is table
    listed(tmp_path, "sub-01", {"visit": ["1"], "age": ["99"]})
    assert with_sessions(table, tmp_path).equals(table)
    # nobody else's, and no folder
    listed(tmp_path, "sub-03", {"session_id": ["ses-1"], "age": ["99"]})
    (tmp_path / "sub-02" / "sub-02_sessions.tsv").mkdir(parents=True)
    assert with_sessions(table, tmp_path).equals(table)


def test_several_scans_of_a_session_have_what_is_said_of_it(tmp_path):
    listed(tmp_path, "sub-01", {"session_id": ["1"], "age": ["31"]})
    table = pd.DataFrame({"participant_id": ["sub-01"] * 3, "session_id": ["ses-1", "ses-1", ""]})
    assert with_sessions(table, tmp_path)["age"].tolist() == ["31", "31", ""]


@pytest.mark.parametrize("pair", [["ses-1", "ses-1"], ["1", "ses-1"]])
def test_a_session_that_stands_there_twice_is_an_error(tmp_path, pair):
    path = listed(tmp_path, "sub-01", {"session_id": pair, "age": ["31", "32"]})
    with pytest.raises(CohortError, match=re.escape(str(path))) as caught:
        with_sessions(scanned(), tmp_path)
    assert caught.value.problems == ["row 2: 'ses-1' stands there twice"]


def test_sessions_cannot_say_whose_they_are(tmp_path):
    listed(tmp_path, "sub-01", {"participant_id": ["sub-02"], "session_id": ["1"], "age": ["31"]})
    assert with_sessions(scanned(), tmp_path)["age"].tolist() == ["31", "", ""]


def test_sessions_that_cannot_be_read_are_told(tmp_path):
    listed(tmp_path, "sub-01", {"session_id": ["1"]}).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot read .*sub-01_sessions.tsv"):
        with_sessions(scanned(), tmp_path)


def test_images_are_sorted_and_those_of_others_left_out(tmp_path):
    root = dataset(tmp_path, ["sub-02_ses-1_T1w.nii", "sub-01_T1w.nii.gz"])
    for name in ("derivatives/a/sub-01/sub-01_T1w.nii", "sub-01/derivatives/sub-01_T1w.nii", "sub-01/anat/._sub-01_T1w.nii",
                 "sub-01/.trash/sub-01_T1w.nii", "sourcedata/sub-01_T1w.nii", "sub-01/anat/sub-01_T1w.nii.part"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    images = [path.relative_to(root).as_posix() for path in t1w_images(root)]
    assert images == ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii"]


def test_images_of_a_participant_that_is_a_link_are_found_and_loops_end(tmp_path):
    root = dataset(tmp_path / "raw", ["sub-01_T1w.nii"])
    shutil.move(root / "sub-01", tmp_path / "disk")
    (root / "sub-01").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(root / "sub-01")
    (root / "sub-02").symlink_to(root / "sub-02")
    assert [path.name for path in t1w_images(root)] == ["sub-01_T1w.nii"]


def test_no_images_are_an_error(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="is it a BIDS dataset"):
            t1w_images(root)


LABELS = st.one_of(st.none(), st.sampled_from(["1", "2", "x"]))


@given(st.lists(LABELS, min_size=1, max_size=6), LABELS)
def test_a_choice_is_of_those_with_the_label_or_an_error(labels, wanted):
    images = [Path(f"sub-{index}{f'_acq-{label}' if label else ''}_T1w.nii") for index, label in enumerate(labels)]
    only = wanted is None and None not in labels and len(set(labels)) == 1
    expected = [path for path, label in zip(images, labels, strict=True) if only or label == wanted]
    if expected:
        chosen = choose(images, "acq", wanted, Path("root"))
        assert chosen == expected
        assert choose(chosen, "acq", wanted, Path("root")) == chosen
    else:
        with pytest.raises(InputError, match="choose one of these") as caught:
            choose(images, "acq", wanted, Path("root"))
        assert all((label or "no acq") in str(caught.value) for label in labels)


@given(st.lists(st.text("aZ09+", min_size=1, max_size=4), min_size=3, max_size=3))
def test_the_entities_of_a_name_are_what_it_was_made_of(labels):
    parts = dict(zip(("sub", "ses", "acq"), labels, strict=True))
    name = "_".join(f"{key}-{label}" for key, label in parts.items())
    assert entities(Path("sub-other") / f"{name}_T1w.nii.gz") == parts


def people(root, rows):
    pd.DataFrame(rows).to_csv(root / "participants.tsv", sep="\t", index=False)
    return participants_of(root)


def test_participants_have_their_prefixes_whatever_was_written(tmp_path):
    found = people(tmp_path, {"participant_id": ["01", "sub-02"], "session_id": ["1", "ses-2"], "age": ["n/a", "3"]})
    assert found["participant_id"].tolist() == ["sub-01", "sub-02"]
    assert found["session_id"].tolist() == ["ses-1", "ses-2"]
    assert found["age"].tolist() == ["", "3"]


def test_a_participant_may_have_a_row_a_session(tmp_path):
    rows = {"participant_id": ["01", "01", "sub-01"], "session_id": ["1", "2", "ses-2"]}
    with pytest.raises(CohortError) as caught:
        people(tmp_path, rows)
    assert caught.value.problems == ["row 3: sub-01 stands there twice"]
    assert len(people(tmp_path, {key: values[:2] for key, values in rows.items()})) == 2


def test_all_problems_of_participants_are_told(tmp_path):
    with pytest.raises(CohortError, match="keep one row a participant") as caught:
        people(tmp_path, {"participant_id": ["n/a", "01", "01", ""], "age": ["1", "2", "3", "4"]})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["row 1", "row 4", "row 3"]
