"""Files that may be scans, by their names; folders below one, each once, whatever leads to it."""

import os
from pathlib import Path

import pytest
from cohort_phantoms import noise, save
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.cohort.files import (
    NO_SCANS,
    TABLES,
    folders_below,
    has_table,
    is_image_name,
    is_scan_name,
    scan_stem,
    scans_in,
)
from neurotransfer.cohort.images import IMAGE_SUFFIXES
from neurotransfer.errors import InputError


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("stem", ["a", "a.b", "-a", "a b", "ä", "sub-01_T1w", "a.nii"])
def test_a_name_is_a_stem_and_an_ending_in_any_case(stem, suffix):
    for ending in (suffix, suffix.upper()):
        path = Path("folder") / f"{stem}{ending}"
        assert is_image_name(path)
        assert is_scan_name(path)
        assert scan_stem(path) == stem


@pytest.mark.parametrize("name", ["a", "a.txt", "a.gz", "a.nii.zip", "a.dcm", "nii", "a.nii.gz.part", "a.mnc"])
def test_other_endings_are_no_images(name):
    assert not is_image_name(Path(name))
    assert not is_scan_name(Path(name))


@pytest.mark.parametrize("word", NO_SCANS)
def test_masks_and_segmentations_are_no_scans_by_the_last_part_of_their_name(word):
    for name in (f"a_{word}.nii", f"a-{word.upper()}.nii.gz", f"{word}.mgz", f"a b {word}.nii"):
        assert is_image_name(Path(name))
        assert not is_scan_name(Path(name))
    for name in (f"{word}_a.nii", f"x{word}.nii", f"a_{word}1.nii"):
        assert is_scan_name(Path(name))


@given(st.text(st.sampled_from("ab._- "), min_size=1).filter(lambda text: text not in (".", "..")))
def test_a_hidden_file_is_no_scan(stem):
    path = Path(f"{stem}x.nii")
    assert is_scan_name(path) == (not stem.startswith("."))


def test_scans_of_a_folder_are_sorted_and_folders_are_none(tmp_path):
    for index, name in enumerate(("b.nii", "a.nii.gz", "a_mask.nii", ".c.nii")):
        save(noise(index), tmp_path / name)
    (tmp_path / "d.nii").mkdir()
    (tmp_path / "e.nii").symlink_to(tmp_path / "d.nii")
    (tmp_path / "f.nii").symlink_to(tmp_path / "nowhere")
    assert [path.name for path in scans_in(tmp_path)] == ["a.nii.gz", "b.nii", "f.nii"]


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_cannot_be_read_is_told(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"cannot read the folder '{tmp_path}/{name}' .*ask its owner"):
        scans_in(tmp_path / name)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_a_file_of_one_of_these_names(tmp_path, name):
    (tmp_path / "other.tsv").touch()
    (tmp_path / name).mkdir()
    assert not has_table(tmp_path)
    (tmp_path / name).rmdir()
    (tmp_path / name).touch()
    assert has_table(tmp_path)


# ---- folders below


def folders(root, *names):
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


def below(root, deepest=9, **options):
    found, closed = folders_below(root, deepest, **options)
    assert closed == []
    return [path.relative_to(root).as_posix() for path in found]


def test_folders_are_found_in_the_order_of_their_names(tmp_path):
    folders(tmp_path, "b/x", "a b", "b/a/c", ".hidden/x", "ä")
    (tmp_path / "file").touch()
    assert below(tmp_path) == ["a b", "b", "b/a", "b/a/c", "b/x", "ä"]
    assert below(tmp_path / "ä") == []


@given(st.sets(st.text(st.sampled_from("abc/"), min_size=1, max_size=9).map(lambda text: text.strip("/")), max_size=6))
def test_all_folders_are_found_once(tmp_path_factory, names):
    root = folders(tmp_path_factory.mktemp("root"), *names)
    expected = sorted(path for path in root.rglob("*") if path.is_dir())
    found, _ = folders_below(root, 9)
    assert sorted(found) == expected


@pytest.mark.parametrize("deepest", [1, 2, 3])
def test_only_so_many_levels_are_entered(tmp_path, deepest):
    folders(tmp_path, "1/2/3/4")
    assert below(tmp_path, deepest) == ["1", "1/2", "1/2/3"][:deepest]


def test_some_are_passed_over_and_some_are_not_entered(tmp_path):
    folders(tmp_path, "a/b", "c/derivatives/d", "end/e")
    assert below(tmp_path, passed_over=["derivatives"], is_end=lambda path: path.name == "end") == [
        "a",
        "a/b",
        "c",
        "end",
    ]


def test_a_link_is_followed_only_where_it_leads_away(tmp_path):
    root, disk = folders(tmp_path / "root", "a"), folders(tmp_path / "disk", "b/c", "d")
    for name, target in {
        "link": disk / "b",
        "same": disk / "b",
        "inside": root / "a",
        "here": root,
        "up": tmp_path,
        "disk": disk,
        "deeper": disk / "b" / "c",
        "gone": tmp_path / "nowhere",
    }.items():
        (root / name).symlink_to(target)
    (root / "itself").symlink_to(root / "itself")
    (disk / "b" / "c" / "loop").symlink_to(disk / "b")
    # by name `deeper` comes first; what is above it would hold it again
    assert below(root) == ["a", "deeper"]
    (root / "deeper").unlink()
    (root / "disk").unlink()
    assert below(root) == ["a", "link", "link/c"]


def test_a_root_that_is_a_link_is_entered(tmp_path):
    folders(tmp_path / "disk", "a/b")
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    assert below(tmp_path / "root") == ["a", "a/b"]


def test_what_cannot_be_read_is_given_and_stops_nothing(tmp_path, monkeypatch):
    folders(tmp_path, "a/x", "b")
    whole = os.scandir

    def scandir(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found, closed = folders_below(tmp_path, 9)
    assert (found, closed) == ([tmp_path / "b"], [tmp_path / "a"])
