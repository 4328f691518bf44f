"""Whatever a user points at: every scan with its person, or an error that says what is there; none silently lost."""

import os
import time

import numpy as np
import pytest
from input_files import scan, scans, subject, table

from neurotransfer.errors import CohortError, InputError
from neurotransfer.prepare import inputs as module
from neurotransfer.prepare.inputs import Choice, Found, find_sources
from neurotransfer.prepare.source import DICOM, IMAGE, SUBJECT

NOTHING = Choice()


def people(found):
    return [source.participant_id for source in found.sources]


def names(found):
    return [source.name for source in found.sources]


def stems(found):
    return [source.stem for source in found.sources]


def dicom(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM")
    return path


# ---- one file


@pytest.mark.parametrize(
    ("name", "person", "session", "labels"),
    [
        ("a.nii", "a", "", {}),
        ("a b.nii.gz", "a b", "", {}),
        ("Zoë.MGZ", "Zoë", "", {}),
        ("-r.mgh", "-r", "", {}),
        ("sub-01_T1w.nii.gz", "sub-01", "", {}),
        ("sub-01_ses-2_run-1_acq-x_T1w.nii", "sub-01", "ses-2", {"acq": "x", "run": "1"}),
        ("sub-01_ses-2_brain_extracted.nii", "sub-01", "ses-2", {}),
        ("T1w_sub-01.nii", "sub-01", "", {}),
        # what only looks like BIDS would make one person of two
        ("sub-Zoé_T1w.nii", "sub-Zoé_T1w", "", {}),
        ("sub-01-late_T1w.nii", "sub-01-late_T1w", "", {}),
        ("resub-01.nii", "resub-01", "", {}),
    ],
)
def test_one_image_is_one_scan_of_one_person(tmp_path, name, person, session, labels):
    path = scan(tmp_path / name.replace("MGZ", "mgz"))
    path = path.rename(tmp_path / name)
    [source] = find_sources(path, NOTHING).sources
    assert (source.participant_id, source.session_id, dict(source.labels)) == (person, session, labels)
    assert (source.path, source.kind, source.name) == (path, IMAGE, name)
    assert find_sources(path, NOTHING).remarks == ()


def test_an_image_in_the_folder_of_a_subject_is_of_that_subject(tmp_path):
    folder = subject(tmp_path / "sub-07_ses-2")
    [source] = find_sources(folder / "mri" / "orig.mgz", NOTHING).sources
    assert (source.participant_id, source.session_id, source.kind) == ("sub-07", "ses-2", IMAGE)


def test_a_file_whose_name_is_no_text_can_be_told_and_written(tmp_path):
    path = scan(tmp_path / "a.nii").rename(tmp_path / os.fsdecode(b"a\xff.nii"))
    [source] = find_sources(path, NOTHING).sources
    assert (source.participant_id, source.name) == ("a\\udcff", "a\\udcff.nii")
    assert source.path == path
    assert (source.participant_id + source.name + source.label).encode()
    assert source.stem.isascii()


def test_a_name_of_nothing_but_such_bytes_is_refused_with_all_of_its_kind(tmp_path):
    # escaped, its bytes have letters of their own: it can be named
    scan(tmp_path / "a.nii").rename(tmp_path / os.fsdecode(b"\xff.nii"))
    assert stems(find_sources(tmp_path, NOTHING)) == ["sub-udcff"]
    for name in ("__.nii", "--.nii", "fine.nii"):
        scan(tmp_path / name)
    with pytest.raises(CohortError, match="no letter and no digit") as caught:
        find_sources(tmp_path, NOTHING)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("name", ["nowhere", "nowhere.nii", "x" * 5000, "a\0b", "file/below"])
def test_what_is_not_there_is_told(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"there is no .*; give a scan, a folder of scans, a BIDS dataset"):
        find_sources(tmp_path / name, NOTHING)


@pytest.mark.parametrize("name", ["a.dcm", "a.hdr", "a", "notes.txt", "a.nii.zip"])
def test_a_file_that_is_neither_scan_nor_table_is_told(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"neither a scan \(.nii, .nii.gz, .mgz, .mgh\) nor a table"):
        find_sources(tmp_path / name, NOTHING)


def test_a_sheet_is_told_how_to_be_saved(tmp_path):
    (tmp_path / "people.xlsx").touch()
    with pytest.raises(InputError, match=r"save the sheet as .csv"):
        find_sources(tmp_path / "people.xlsx", NOTHING)


def test_the_people_of_a_dataset_are_not_its_scans(tmp_path):
    path = table(tmp_path / "participants.tsv", {"participant_id": ["sub-01"]})
    with pytest.raises(InputError, match="give the dataset's folder"):
        find_sources(path, NOTHING)
    with pytest.raises(InputError, match="holds no scan that can be prepared"):
        find_sources(tmp_path, NOTHING)


# ---- folders


def test_a_flat_folder_has_a_scan_a_file_and_passes_over_what_is_none(tmp_path):
    scans(tmp_path, "b.nii.gz", "a.mgz", "x y.nii", ".hidden.nii", "._b.nii.gz", "a_mask.nii", "b_dseg.nii.gz", "mask.mgz",
          "c-seg.nii")  # fmt: skip
    (tmp_path / "readme.txt").touch()
    (tmp_path / "folder.nii").mkdir()
    found = find_sources(tmp_path, NOTHING)
    assert people(found) == ["a", "b", "x y"]
    assert found.remarks == ()


def test_scans_below_a_flat_folder_are_told(tmp_path):
    scans(tmp_path, "a.nii", "old/b.nii", "old/c.nii")
    found = find_sources(tmp_path, NOTHING)
    assert people(found) == ["a"]
    assert "2 other scans (one is 'b.nii') were passed over" in found.remarks[0]


def test_a_folder_a_person(tmp_path):
    scans(tmp_path, "Anna/T1.nii.gz", "Bert B/scan 1.nii", "Çem/T1.nii", "Çem/T1_mask.nii", "-x/T1.mgz")
    found = find_sources(tmp_path, NOTHING)
    assert people(found) == ["-x", "Anna", "Bert B", "Çem"]
    assert names(found)[1] == "Anna/T1.nii.gz"
    assert "4 scans are called by their folders, as '-x' is; where a person has several" in found.remarks[0]


def test_several_scans_of_a_folder_are_told_apart_by_their_names(tmp_path):
    scans(tmp_path, "Anna/first.nii", "Anna/second.nii", "site 2/Bert/T1.nii")
    assert people(find_sources(tmp_path, NOTHING)) == ["Anna_first", "Anna_second", "site 2_Bert"]


def test_folders_that_are_named_in_bids_way_are_read_so_also_from_a_single_person(tmp_path):
    scans(tmp_path, "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii", "sub-01/ses-1/anat/sub-01_ses-1_T2w.nii",
          "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii")  # fmt: skip
    found = find_sources(tmp_path / "sub-01", NOTHING)
    assert stems(found) == ["sub-01_ses-1"]
    assert found.remarks == ("2 images that are not T1-weighted by their names (T2w, bold) were passed over",)
    assert stems(find_sources(tmp_path / "sub-01" / "ses-1" / "anat", NOTHING)) == ["sub-01_ses-1"]


def test_images_that_bids_calls_otherwise_are_taken_where_none_is_called_t1_weighted(tmp_path):
    scans(tmp_path, "sub-01_T2w.nii", "sub-02_T2w.nii")
    assert people(find_sources(tmp_path, NOTHING)) == ["sub-01", "sub-02"]


def test_derivatives_hidden_folders_and_what_lies_too_deep_are_left_out(tmp_path):
    scans(tmp_path, "a/x.nii", "derivatives/b/x.nii", ".git/c/x.nii", "1/2/3/4/5/6/x.nii", "1/2/3/4/5/6/7/x.nii")
    assert people(find_sources(tmp_path, NOTHING)) == ["1_2_3_4_5_6", "a"]


@pytest.mark.parametrize("complete", [True, False])
def test_what_was_prepared_into_the_input_is_no_input(tmp_path, complete):
    scans(tmp_path, "Anna/T1.nii", "ready/sub-Anna/anat/sub-Anna_desc-template_T1w.nii.gz")
    facts = '{"Preparation": {"Recipe": "template", "RecipeVersion": 1}}'
    (tmp_path / "ready" / "dataset_description.json").write_text(facts)
    if complete:
        (tmp_path / "ready" / "prepared.json").write_text("{}")
    assert people(find_sources(tmp_path, NOTHING)) == ["Anna"]


def test_spaces_around_a_name_are_not_part_of_it(tmp_path):
    # a table that is read again has none
    scans(tmp_path, " a .nii")
    assert people(find_sources(tmp_path, NOTHING)) == ["a"]


@pytest.mark.parametrize("files", [(), ("a_mask.nii", "b/mask.mgz", "b/x_dseg.nii.gz"), (".a.nii",)])
def test_a_folder_without_scans_is_told(tmp_path, files):
    scans(tmp_path, *files)
    with pytest.raises(InputError, match=r"holds no scan that can be prepared; allowed: .nii, .* masks .* passed over"):
        find_sources(tmp_path, NOTHING)


def test_links_lead_to_scans_and_no_loop_is_endless(tmp_path):
    root, elsewhere = tmp_path / "all", tmp_path / "disk"
    scans(root, "Anna/T1.nii")
    scans(elsewhere, "Bert/T1.nii")
    (root / "Bert").symlink_to(elsewhere / "Bert")
    (root / "Bert again").symlink_to(elsewhere / "Bert")
    (root / "itself").symlink_to(root / "itself")
    (root / "here").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "Anna" / "loop").symlink_to(root / "Anna")
    (elsewhere / "Bert" / "loop").symlink_to(elsewhere)
    assert people(find_sources(root, NOTHING)) == ["Anna", "Bert"]


def test_a_link_to_itself_is_a_scan_that_will_fail_alone(tmp_path):
    scans(tmp_path, "a.nii")
    (tmp_path / "b.nii").symlink_to(tmp_path / "b.nii")
    assert people(find_sources(tmp_path, NOTHING)) == ["a", "b"]
    with pytest.raises(InputError, match="there is no"):
        find_sources(tmp_path / "b.nii", NOTHING)


def closed(monkeypatch, folder):
    """Make one folder unreadable, also for root."""
    whole = os.scandir, os.listdir

    def refused(which):
        def call(path="."):
            if os.fspath(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(folder))
            return whole[which](path)

        return call

    monkeypatch.setattr(os, "scandir", refused(0))
    monkeypatch.setattr(os, "listdir", refused(1))


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    scans(tmp_path, "a/x.nii", "b/x.nii")
    closed(monkeypatch, tmp_path / "b")
    found = find_sources(tmp_path, NOTHING)
    assert people(found) == ["a"]
    assert found.remarks[0] == f"1 folders cannot be read, one is '{tmp_path}/b'"
    closed(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=r"cannot read the folder .*right to read"):
        find_sources(tmp_path, NOTHING)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_rights_is_told(tmp_path):
    scans(tmp_path, "a/x.nii", "b/x.nii")
    (tmp_path / "b").chmod(0)
    try:
        assert "1 folders cannot be read" in find_sources(tmp_path, NOTHING).remarks[0]
    finally:
        (tmp_path / "b").chmod(0o700)


def test_two_thousand_files_in_a_folder_are_found_at_once(tmp_path):
    (tmp_path / "all").mkdir()
    for number in range(2000):
        (tmp_path / "all" / f"p{number}.nii").touch()
    begin = time.perf_counter()
    found = find_sources(tmp_path, NOTHING)
    assert len(found.sources) == 2000
    assert time.perf_counter() - begin < 5


# ---- names that meet


@pytest.mark.parametrize(
    "pair", [("A_1.nii", "A1.nii"), ("a.nii", "a.nii.gz"), ("anna.nii", "Anna.nii"), ("Zoé.nii", "Zoe\u0301.nii"),
             ("STRASSE.nii", "straße.nii"), ("A１.nii", "A1.nii")]
)  # fmt: skip
def test_two_scans_that_would_be_written_as_one_are_refused(tmp_path, pair):
    scans(tmp_path, *pair, "other.nii")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system takes the names for one")
    with pytest.raises(CohortError, match="rename files and folders, or list them in a table") as caught:
        find_sources(tmp_path, NOTHING)
    [problem] = caught.value.problems
    assert "would all be written as 'sub-" in problem
    assert all(repr(name) in problem for name in pair)


def test_people_of_a_table_who_differ_by_signs_that_are_dropped_are_refused(tmp_path):
    scans(tmp_path, "a.nii", "b.nii", "c.nii")
    rows = {"participant_id": ["p_1", "p1", "p2"], "session_id": ["1", "2", "1"], "image": ["a.nii", "b.nii", "c.nii"]}
    with pytest.raises(CohortError, match="give participants of a table other ids") as caught:
        find_sources(table(tmp_path / "cohort.tsv", rows), NOTHING)
    assert caught.value.problems == ["participants 'p1' and 'p_1' would all be written as one, 'sub-p1'"]


def test_a_name_that_says_missing_and_one_that_is_too_long_are_refused(tmp_path):
    scans(tmp_path, "NA.nii", "ä" * 100 + ".nii", "fine.nii")
    with pytest.raises(CohortError) as caught:
        find_sources(tmp_path, NOTHING)
    missing, long = caught.value.problems
    assert "'NA.nii' is called 'NA', which says missing in a table" in missing
    assert "has 204 bytes; allowed: 150" in long


# ---- BIDS


def bids(root, *images, participants=None, **sessions):
    for seed, name in enumerate(images):
        person = name.split("_")[0]
        session = name.split("_")[1] if "_ses-" in name else ""
        scan(root / person / session / "anat" / name, seed)
    if participants is not None:
        table(root / "participants.tsv", participants)
    for person, rows in sessions.items():
        table(root / f"sub-{person}" / f"sub-{person}_sessions.tsv", rows)
    return root


LONG = ["sub-01_ses-1_T1w.nii.gz", "sub-01_ses-2_T1w.nii", "sub-02_ses-1_acq-x_run-1_T1w.nii",
        "sub-02_ses-1_acq-x_run-2_T1w.nii", "sub-02_ses-1_acq-y_T1w.nii"]  # fmt: skip


def test_a_dataset_without_participants_has_sessions_acquisitions_and_runs(tmp_path):
    found = find_sources(bids(tmp_path, *LONG), NOTHING)
    assert stems(found) == [name.split("_T1w")[0] for name in LONG]
    assert people(found) == ["sub-01", "sub-01", "sub-02", "sub-02", "sub-02"]
    assert names(found)[0] == "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"
    assert all(dict(source.columns) == {} for source in found.sources)
    assert found.remarks == ()


def test_sessions_say_more_than_participants(tmp_path):
    root = bids(
        tmp_path, *LONG, participants={"participant_id": ["01", "sub-02"], "age": ["30", "40"], "sex": ["F", "M"]},
        **{"01": {"session_id": ["ses-1", "2"], "age": ["n/a", "35"], "score": ["7", "8"]}},
    )  # fmt: skip
    columns = [dict(source.columns) for source in find_sources(root, NOTHING).sources]
    assert columns[0] == {"age": "30", "sex": "F", "score": "7"}
    assert columns[1] == {"age": "35", "sex": "F", "score": "8"}
    assert columns[2] == {"age": "40", "sex": "M", "score": ""}


def test_acquisition_and_run_choose_and_who_is_lost_by_it_is_told(tmp_path):
    root = bids(tmp_path, *LONG)
    found = find_sources(root, Choice(acquisition="x", run="2"))
    assert stems(found) == ["sub-02_ses-1_acq-x_run-2"]
    assert found.remarks == ("1 of 2 people have no image of this choice: sub-01",)
    with pytest.raises(InputError, match="has run '3'; found: 1, 2"):
        find_sources(root, Choice(acquisition="x", run="3"))


def test_space_and_desc_choose_and_a_space_of_mni_is_registered(tmp_path):
    mni = "sub-01_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii"
    root = bids(tmp_path, "sub-01_T1w.nii", mni)
    [native] = find_sources(root, NOTHING).sources
    [laid] = find_sources(root, Choice(space="MNI152NLin2009cAsym", desc="preproc")).sources
    assert (native.path.name, native.declared) == ("sub-01_T1w.nii", frozenset())
    assert (laid.path.name, laid.declared) == (mni, {"registered"})
    assert find_sources(root, NOTHING, frozenset({"stripped"})).sources[0].declared == {"stripped"}


def test_masks_are_of_all_or_it_is_told_who_has_none(tmp_path):
    root = bids(tmp_path, "sub-01_T1w.nii", "sub-02_T1w.nii")
    scan(root / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii")
    with pytest.raises(CohortError) as caught:
        find_sources(root, Choice(mask="brain"))
    assert caught.value.problems == ["'sub-02/anat/sub-02_T1w.nii' has no desc-brain mask beside it"]
    mask = scan(root / "sub-02" / "anat" / "sub-02_desc-brain_mask.nii")
    assert find_sources(root, Choice(mask="brain")).sources[1].mask == mask
    assert [source.mask for source in find_sources(root, NOTHING).sources] == [None, None]


def test_derivatives_other_contrasts_and_files_of_macos_are_ignored(tmp_path):
    root = bids(tmp_path, "sub-01_T1w.nii", "sub-01_T2w.nii")
    scans(root, "derivatives/x/sub-01/anat/sub-01_T1w.nii", "sub-01/derivatives/sub-01_T1w.nii",
          "sub-01/anat/._sub-01_T1w.nii", "sourcedata/sub-01/sub-01_T1w.nii")  # fmt: skip
    assert names(find_sources(root, NOTHING)) == ["sub-01/anat/sub-01_T1w.nii"]


def test_people_without_scans_are_told(tmp_path):
    rows = {"participant_id": ["sub-01", "sub-09"], "age": ["1", "2"]}
    found = find_sources(bids(tmp_path, "sub-01_T1w.nii", participants=rows), NOTHING)
    assert "1 of 2 people of participants.tsv have no such T1w image" in found.remarks[0]


def test_two_files_of_one_scan_are_refused(tmp_path):
    root = bids(tmp_path, "sub-01_T1w.nii", "sub-01_T1w.nii.gz")
    with pytest.raises(CohortError, match="would all be written as 'sub-01'"):
        find_sources(root, NOTHING)


@pytest.mark.parametrize("entity", ["acq", "ce", "rec", "run", "echo", "inv", "part"])
def test_entities_that_tell_scans_apart_stand_in_the_names_of_outputs(tmp_path, entity):
    root = bids(tmp_path, f"sub-01_{entity}-1_T1w.nii", f"sub-01_{entity}-2_T1w.nii")
    assert stems(find_sources(root, NOTHING)) == [f"sub-01_{entity}-1", f"sub-01_{entity}-2"]


@pytest.mark.parametrize("wanted", [Choice(space="A"), Choice(desc="x"), Choice(mask="brain"), Choice(run="1")])
def test_a_choice_that_says_nothing_is_told(tmp_path, wanted):
    scans(tmp_path, "a.nii")
    for path in (tmp_path, tmp_path / "a.nii"):
        found = find_sources(path, wanted)
        assert people(found) == ["a"]
        assert "they say nothing here" in found.remarks[-1]


# ---- tables


@pytest.mark.parametrize("name", ["cohort.tsv", "cohort.csv", "mine.tsv"])
def test_a_table_has_people_masks_and_columns(tmp_path, name):
    scans(tmp_path, "x/1.nii", "x/2.nii", "x/2 mask.nii")
    rows = {"participant_id": ["A", "B"], "session_id": ["", "late"], "image": ["x/1.nii", str(tmp_path / "x/2.nii")],
            "mask": ["", "x/2 mask.nii"], "age": ["30", "n/a"], "site": ["K", "K"]}  # fmt: skip
    path = table(tmp_path / name, rows)
    one, two = find_sources(path, NOTHING).sources
    assert (one.participant_id, one.session_id, one.path, one.mask) == ("A", "", tmp_path / "x/1.nii", None)
    assert (two.participant_id, two.session_id, two.mask) == ("B", "late", tmp_path / "x/2 mask.nii")
    assert (dict(one.columns), dict(two.columns)) == ({"age": "30", "site": "K"}, {"age": "", "site": "K"})
    if name.startswith("cohort"):
        assert find_sources(tmp_path, NOTHING).sources == (one, two)


def test_a_column_that_a_table_does_not_have_cannot_be_named(tmp_path):
    scans(tmp_path, "1.nii")
    path = table(tmp_path / "a.csv", {"participant_id": ["A"], "image": ["1.nii"]})
    assert dict(find_sources(path, NOTHING).sources[0].columns) == {}


def test_a_scan_of_a_table_that_is_not_there_fails_later_and_alone(tmp_path):
    path = table(tmp_path / "a.csv", {"participant_id": ["A"], "image": ["1.nii"]})
    assert people(find_sources(path, NOTHING)) == ["A"]


def test_a_table_without_images_or_with_a_row_twice_is_told(tmp_path):
    with pytest.raises(CohortError, match="no column 'image'"):
        find_sources(table(tmp_path / "a.csv", {"participant_id": ["A"]}), NOTHING)
    with pytest.raises(CohortError, match="same participant and session"):
        find_sources(table(tmp_path / "b.csv", {"participant_id": ["A", "A"], "image": ["1.nii", "2.nii"]}), NOTHING)


def test_volumes_that_were_prepared_before_are_taken_and_told(tmp_path):
    scans(tmp_path, "1.nii")
    table(tmp_path / "cohort.tsv", {"participant_id": ["A"], "image": ["1.nii"]})
    native = '{"Preparation": {"Recipe": "fastsurfer", "RecipeVersion": 1, "SpatialReference": "native"}}'
    (tmp_path / "dataset_description.json").write_text(native)
    (tmp_path / "prepared.json").write_text("{}")
    found = find_sources(tmp_path, NOTHING)
    assert people(found) == ["A"]
    assert "prepared before, by recipe fastsurfer-1; the raw scans are the better input" in found.remarks[0]


# ---- subjects and DICOM


def test_subjects_of_both_tools(tmp_path):
    subject(tmp_path / "sub-01_ses-1", ("orig", "brainmask"), ["scripts/recon-all.done"])
    subject(tmp_path / "OAS 2", ("orig", "mask"))
    subject(tmp_path / "fsaverage")
    found = find_sources(tmp_path, NOTHING)
    assert [(one.participant_id, one.session_id, one.kind) for one in found.sources] == [
        ("OAS 2", "", SUBJECT),
        ("sub-01", "ses-1", SUBJECT),
    ]
    assert found.remarks == ()
    for place in (tmp_path / "OAS 2", tmp_path / "OAS 2" / "mri"):
        [alone] = find_sources(place, NOTHING).sources
        assert (alone.participant_id, alone.path, alone.name) == ("OAS 2", tmp_path / "OAS 2", "OAS 2")


def test_subjects_below_folders_are_subjects_and_not_heaps_of_scans(tmp_path):
    for name in ("site1/A", "site2/B"):
        subject(tmp_path / name, ("orig", "mask", "brainmask", "norm", "T1", "aparc+aseg"))
    scans(tmp_path, "site2/raw/C.nii")
    found = find_sources(tmp_path, NOTHING)
    assert [(one.participant_id, one.kind) for one in found.sources] == [
        ("A", SUBJECT), ("B", SUBJECT), ("site2_raw", IMAGE),
    ]  # fmt: skip


def test_scans_beside_subjects_are_told(tmp_path):
    subject(tmp_path / "A")
    scans(tmp_path, "b.nii", "c.nii")
    found = find_sources(tmp_path, NOTHING)
    assert people(found) == ["A"]
    assert found.remarks[0].startswith("only subjects were taken, 2 other scans (one is 'b.nii') were passed over")


def test_dicom_folders_are_participants_and_images_beside_them_are_told(tmp_path):
    for name in ("Anna/1/a", "Bert/b.dcm"):
        dicom(tmp_path / name)
    found = find_sources(tmp_path, NOTHING)
    assert [(one.participant_id, one.kind, one.path) for one in found.sources] == [
        ("Anna", DICOM, tmp_path / "Anna"),
        ("Bert", DICOM, tmp_path / "Bert"),
    ]
    assert found.remarks == ()
    scans(tmp_path, "Carl/T1.nii")
    found = find_sources(tmp_path, NOTHING)
    assert people(found) == ["Anna", "Bert"]
    assert "only DICOM files were taken, 1 other scans (one is 'T1.nii')" in found.remarks[0]
    assert people(find_sources(tmp_path / "Anna", NOTHING)) == ["1"]


def test_remarks_that_are_empty_are_none():
    assert Found((), ("a",)).with_remarks("", "b").remarks == ("a", "b")


def test_the_order_of_scans_is_that_of_their_names(tmp_path):
    numbers = np.random.default_rng(0).permutation(20)
    scans(tmp_path, *(f"{number:02d}/x.nii" for number in numbers))
    assert people(find_sources(tmp_path, NOTHING)) == [f"{number:02d}" for number in range(20)]
    assert module.DEEPEST == 6


def test_a_series_is_chosen_of_dicom_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "is_dicom_folder", lambda folder: True)
    monkeypatch.setattr(module, "dicom_participants", lambda folder: [("anna", tmp_path / "anna")])
    (tmp_path / "dicom").mkdir()
    found = find_sources(tmp_path / "dicom", Choice(series=4))
    assert [source.series for source in found.sources] == [4]
    assert found.remarks == ()
