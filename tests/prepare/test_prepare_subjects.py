"""Folders of subjects: what is one, whose it is, which tool made it, and nothing raw when the disk is odd."""

import os

import pytest

from neurotransfer.errors import InputError
from neurotransfer.prepare import subjects as module
from neurotransfer.prepare.subjects import Subject, is_subject, read_subject, subjects_in

FREESURFER = ["mri/orig.mgz", "mri/norm.mgz", "mri/brainmask.mgz", "mri/aparc+aseg.mgz", "mri/aseg.mgz",
              "stats/aseg.stats", "stats/lh.aparc.stats", "scripts/recon-all.done", "scripts/recon-all.log"]  # fmt: skip
FASTSURFER = ["mri/orig.mgz", "mri/mask.mgz", "mri/aparc.DKTatlas+aseg.deep.mgz", "stats/aseg+DKT.stats",
              "scripts/deep-seg.log"]  # fmt: skip


def folder(path, names, texts=()):
    """A subject's folder with these files, empty but for the texts."""
    for name in [*names, *dict(texts)]:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(dict(texts).get(name, ""))
    return path


@pytest.mark.parametrize(
    "name", ["mri/orig.mgz", "mri/brainmask.mgz", "mri/norm.mgz", "mri/mask.mgz", "stats/aseg.stats", "stats/x.stats"]
)
def test_one_image_or_stats_file_makes_a_subject(tmp_path, name):
    assert not is_subject(tmp_path)
    assert is_subject(folder(tmp_path, [name]))


@pytest.mark.parametrize(
    "name", ["mri/T1.mgz", "mri/aseg.mgz", "orig.mgz", "stats/aseg.txt", "stats/._aseg.stats", "scripts/recon-all.log"]
)
def test_other_files_do_not(tmp_path, name):
    assert not is_subject(folder(tmp_path, [name]))


def test_folders_in_the_place_of_files_do_not(tmp_path):
    (tmp_path / "mri" / "orig.mgz").mkdir(parents=True)
    (tmp_path / "stats" / "aseg.stats").mkdir(parents=True)
    assert not is_subject(tmp_path)


def test_a_subject_is_itself_and_its_parent_has_all_of_them_by_name(tmp_path):
    for name in ("sub-10", "sub-02", "OAS1_0001"):
        folder(tmp_path / name, FREESURFER)
    assert subjects_in(tmp_path / "sub-10") == [tmp_path / "sub-10"]
    assert [path.name for path in subjects_in(tmp_path)] == ["OAS1_0001", "sub-02", "sub-10"]


def test_templates_hidden_and_other_folders_are_left_out(tmp_path):
    for name in ("fsaverage", "fsaverage5", ".hidden", "sub-01"):
        folder(tmp_path / name, FREESURFER)
    folder(tmp_path / "logs", ["a.log"])
    (tmp_path / "sub-02").write_text("no folder")
    assert subjects_in(tmp_path) == [tmp_path / "sub-01"]
    assert subjects_in(tmp_path / "logs") == []


def test_links_do_no_harm(tmp_path):
    root = tmp_path / "all"
    folder(root / "sub-01", FREESURFER)
    elsewhere = folder(tmp_path / "disk" / "x", FREESURFER)
    (root / "sub-02").symlink_to(elsewhere)
    (root / "latest").symlink_to(root / "sub-01")
    (root / "up").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "gone").symlink_to(root / "nowhere")
    (root / "sub-01" / "loop").symlink_to(root / "sub-01")
    assert [path.name for path in subjects_in(root)] == ["sub-01", "sub-02"]
    assert read_subject(root / "sub-02").participant_id == "sub-02"


@pytest.mark.parametrize("name", ["nowhere", "file", "a\0b", "x" * 5000])
def test_what_is_no_folder_is_an_input_error(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="there is no folder"):
        subjects_in(tmp_path / name)
    with pytest.raises(InputError, match="is no subject"):
        read_subject(tmp_path / name)


def test_a_folder_that_cannot_be_read_is_an_input_error(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.os, "listdir", refuse)
    with pytest.raises(InputError, match=r"cannot read the folder .*Permission denied.*ask"):
        subjects_in(tmp_path)


def test_a_log_that_cannot_be_read_leaves_the_version_open(tmp_path, monkeypatch):
    path = folder(tmp_path / "sub-01", FREESURFER, {"scripts/build-stamp.txt": "freesurfer-v7"})

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    assert read_subject(path).version == ""


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("sub-01", ("sub-01", "")),
        ("sub-01_ses-02", ("sub-01", "ses-02")),
        ("sub-01_ses-02.long.sub-01", ("sub-01", "ses-02")),
        ("sub-01.long.sub-01", ("sub-01", "")),
        ("sub-A1_ses-pre_run-2", ("sub-A1", "ses-pre")),
        ("sub-01_acq-mprage_T1w", ("sub-01", "")),
        ("OAS1_0001", ("OAS1_0001", "")),
        ("OAS1_0001_MR1.long.OAS1_0001", ("OAS1_0001_MR1.long.OAS1_0001", "")),
        ("bert", ("bert", "")),
        ("patient 7", ("patient 7", "")),
        # not wholly a name of BIDS: cut short, two people would become one
        ("sub-control_01", ("sub-control_01", "")),
        ("sub-control_02", ("sub-control_02", "")),
        ("sub-01_copy", ("sub-01_copy", "")),
        ("mysub-01", ("mysub-01", "")),
        ("sub-", ("sub-", "")),
    ],
)
def test_who_and_when(tmp_path, name, who):
    subject = read_subject(folder(tmp_path / name, FREESURFER))
    assert (subject.participant_id, subject.session_id) == who
    assert subject.identity == {"participant_id": who[0], "session_id": who[1]}
    assert subject.label == " ".join(who).strip()


def test_the_folder_that_one_stands_in_has_a_name(tmp_path, monkeypatch):
    path = folder(tmp_path / "sub-07", FREESURFER)
    for here, given in [(path, "."), (path / "mri", "..")]:
        monkeypatch.chdir(here)
        assert read_subject(type(path)(given)).participant_id == "sub-07"


@pytest.mark.parametrize(
    ("names", "tool"),
    [
        (FREESURFER, "FreeSurfer"),
        (FASTSURFER, "FastSurfer"),
        # its surfaces are made with parts of recon-all
        ([*FREESURFER, *FASTSURFER], "FastSurfer"),
        ([*FREESURFER, "stats/lh.aparc.DKTatlas.mapped.stats"], "FastSurfer"),
        (["stats/aseg+DKT.VINN.stats"], "FastSurfer"),
        (["mri/mask.mgz"], "FastSurfer"),
        ([*FREESURFER, "mri/mask.mgz"], "FreeSurfer"),
        (["mri/mask.mgz", "scripts/build-stamp.txt"], "FreeSurfer"),
        (["stats/aseg.stats"], "FreeSurfer"),
        (["mri/orig.mgz"], "FreeSurfer"),
    ],
)
def test_the_tool_is_told_by_its_files(tmp_path, names, tool):
    assert read_subject(folder(tmp_path / "sub-01", names)).tool == tool


STAMP = "freesurfer-Linux-centos6_x86_64-stable-pub-v6.0.0-2beb96c"


@pytest.mark.parametrize(
    ("names", "texts", "version"),
    [
        (FREESURFER, {"scripts/build-stamp.txt": STAMP + "\n"}, STAMP),
        (FREESURFER, {"scripts/lastcall.build-stamp.txt": STAMP}, STAMP),
        (FREESURFER, {"scripts/build-stamp.txt": ""}, ""),
        (FREESURFER, {}, ""),
        (FASTSURFER, {}, ""),
        (
            FASTSURFER,
            {"scripts/deep-seg.log": "\nVersion: 2.2.0+9f37d02\nWed Jul 10\n\npython3.10 -s run.py\n"},
            "2.2.0+9f37d02",
        ),
        (FASTSURFER, {"scripts/deep-seg.log": "python3.8 run_prediction.py --version 3\n"}, ""),
        (FASTSURFER, {"scripts/deep-seg.log": "Version: unspecified\n"}, ""),
        (FASTSURFER, {"scripts/build.log": "2.4.2+3f8a1c0 (stable)\n==========\ngit status:\n"}, "2.4.2+3f8a1c0"),
        (FASTSURFER, {"scripts/BUILD.log": "Version: 2.3.0\n", "scripts/deep-seg.log": "Version: 1.1\n"}, "2.3.0"),
        (FASTSURFER, {"scripts/build.log": "no git here\n", "scripts/deep-seg.log": "Version: 2.1.1\n"}, "2.1.1"),
        # the stamp is of the FreeSurfer that FastSurfer calls
        (FASTSURFER, {"scripts/build-stamp.txt": STAMP}, ""),
    ],
)
def test_the_version_is_as_the_tool_wrote_it(tmp_path, names, texts, version):
    assert read_subject(folder(tmp_path / "sub-01", names, texts)).version == version


def test_a_damaged_stamp_stops_nothing(tmp_path):
    path = folder(tmp_path / "sub-01", FREESURFER)
    (path / "scripts" / "build-stamp.txt").write_bytes(bytes(range(256)) * 1000)
    assert read_subject(path).version.isprintable()
    (path / "scripts" / "build-stamp.txt").unlink()
    (path / "scripts" / "build-stamp.txt").symlink_to(path / "scripts" / "build-stamp.txt")
    assert read_subject(path).version == ""


def test_paths_are_those_that_are_there(tmp_path):
    path = folder(tmp_path / "sub-01", FREESURFER)
    subject = read_subject(path)
    assert subject.folder == path
    assert (subject.orig, subject.norm) == (path / "mri" / "orig.mgz", path / "mri" / "norm.mgz")
    assert (subject.brainmask, subject.mask) == (path / "mri" / "brainmask.mgz", None)
    assert subject.stats == [path / "stats" / "aseg.stats", path / "stats" / "lh.aparc.stats"]


def test_the_finest_segmentation_is_given(tmp_path):
    path = folder(tmp_path / "sub-01", [*FREESURFER, *FASTSURFER])
    for name in ("aparc+aseg.mgz", "aparc.DKTatlas+aseg.deep.mgz", "aseg.mgz"):
        assert read_subject(path).segmentation == path / "mri" / name
        os.remove(path / "mri" / name)  # noqa: PTH107
    assert read_subject(path).segmentation is None


def test_a_subject_of_stats_alone_has_no_images(tmp_path):
    subject = read_subject(folder(tmp_path / "sub-01", ["stats/aseg.stats"]))
    assert [subject.orig, subject.mask, subject.brainmask, subject.norm, subject.segmentation] == [None] * 5
    assert subject == Subject(tmp_path / "sub-01", "FreeSurfer", "", "sub-01", "")
