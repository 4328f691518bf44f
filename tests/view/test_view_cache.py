"""Pictures and volumes: made once, anew when the scan changes, what was asked for at once made once, nothing wrong kept."""

import os
import threading
import time

import nibabel
import numpy as np
import pytest
from PIL import Image
from view_client import opened
from view_data import AFFINE, voxels, write_cohort, write_prepared, write_scan

from neurotransfer.errors import ImageError, InputError
from neurotransfer.view import pictures, volumes
from neurotransfer.view.cache import Cache
from neurotransfer.view.pictures import GAP, TALL, brightness, picture, write_picture


@pytest.fixture
def cache(tmp_path):
    made = Cache(tmp_path / "kept", ".txt")
    yield made
    made.close()


def copied(source, path):
    path.write_text(f"made of {source.read_text()}")


def test_a_file_is_made_once_until_its_source_changes(cache, tmp_path):
    source, calls = tmp_path / "source", []
    source.write_text("one")

    def make(source, path):
        calls.append(path)
        copied(source, path)

    first = cache.get(source, make)
    assert first.read_text() == "made of one"
    assert cache.get(source, make) == first
    assert len(calls) == 1
    os.utime(source, ns=(1, 1))
    second = cache.get(source, make)
    assert second != first
    source.write_text("longer")
    third = cache.get(source, make)
    assert third.read_text() == "made of longer"
    # what was made of the file as it was is gone
    assert list(cache.folder.iterdir()) == [third]


def test_what_is_asked_for_by_many_at_once_is_made_once(cache, tmp_path):
    source, calls = tmp_path / "source", []
    source.write_text("one")

    def make(source, path):
        calls.append(path)
        time.sleep(0.2)
        copied(source, path)

    threads = [threading.Thread(target=cache.get, args=(source, make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_what_failed_is_tried_again(cache, tmp_path):
    source = tmp_path / "source"
    source.write_text("one")

    def fails(source, path):
        raise ImageError("no")

    with pytest.raises(ImageError):
        cache.get(source, fails)
    assert cache.get(source, copied).read_text() == "made of one"
    with pytest.raises(InputError, match="no longer there"):
        cache.get(tmp_path / "nothing", copied)


def test_a_folder_that_cannot_be_written_is_replaced_and_told(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "link"):
        cache = Cache(folder, ".txt")
        assert "cannot be written" in cache.note
        assert cache.folder.is_dir()
        cache.close()
        assert not cache.folder.exists()


def test_a_folder_of_pictures_is_the_users_own(tmp_path):
    with opened(write_prepared(tmp_path / "prepared")) as client:
        assert client.get("scans/0/picture.jpg").status == 200
    kept = tmp_path / "prepared" / ".view"
    assert oct(kept.stat().st_mode & 0o777) == "0o700"
    assert len(list(kept.iterdir())) == 1
    before = next(kept.iterdir()).stat().st_mtime_ns
    with opened(tmp_path / "prepared") as client:
        client.get("scans/0/picture.jpg")
    assert next(kept.iterdir()).stat().st_mtime_ns == before


def test_pictures_may_be_kept_elsewhere(tmp_path):
    table = write_cohort(tmp_path / "data", n=2)
    with opened(table, keep=tmp_path / "kept") as client:
        client.get("scans/0/picture.jpg")
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_changed_scan_has_another_picture(tmp_path):
    table = write_cohort(tmp_path / "data", n=2)
    image = next((tmp_path / "data" / "sub-00").rglob("*_T1w.nii.gz"))
    with opened(table) as client:
        before = client.get("scans/0/picture.jpg").content
        assert client.get("scans/0/picture.jpg").content == before
        write_scan(image, shape=(20, 10, 10))
        assert client.get("scans/0/picture.jpg").content != before


def test_three_slices_show_the_middle_of_the_head_the_left_on_the_left(tmp_path):
    # a bright place on the person's left, at the front, on top
    head = np.zeros((40, 48, 44))
    head[4:36, 4:44, 4:40] = 50
    head[5:10, 38:43, 34:39] = 100
    head[18:22, 38:43, 34:39] = 100
    found = picture(head, np.diag([1.0, 1, 1, 1]))
    sagittal, coronal, axial = (TALL * np.array([48 / 44, 40 / 44, 40 / 48])).round().astype(int)
    assert found.shape == (TALL, sagittal + coronal + axial + 2 * GAP)
    assert found.dtype == np.uint8
    panel = found[:, :sagittal]
    bright = np.argwhere(panel > 220)
    assert bright[:, 0].mean() < TALL / 2
    assert bright[:, 1].mean() > sagittal / 2
    # the same head stored in another order of axes is the same picture
    image = nibabel.Nifti1Image(head, np.eye(4))
    turned = image.as_reoriented([[1, -1], [2, 1], [0, -1]])
    np.testing.assert_array_equal(picture(np.asarray(turned.dataobj), turned.affine), found)


def test_voxels_that_are_no_cubes_are_drawn_in_millimetres():
    found = picture(np.ones((10, 20, 10)) + np.arange(10)[:, None, None], np.diag([2.0, 1, 2, 1]))
    assert found.shape == (TALL, 3 * TALL + 2 * GAP)


def test_brightness_survives_what_is_unusual():
    assert brightness(np.zeros((4, 4, 4))) == (0.0, 1.0)
    low, high = brightness(np.linspace(-5, 10, 64).reshape(4, 4, 4))
    assert low < 0 < high
    spike = np.ones((40, 40, 40))
    spike[0, 0, 0] = 1e6
    assert brightness(spike)[1] == 1.0


def test_a_picture_is_a_jpeg_of_one_channel(tmp_path):
    write_picture(write_scan(tmp_path / "a.nii.gz"), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as found:
        assert (found.format, found.mode, found.height) == ("JPEG", "L", TALL)
    assert (tmp_path / "a.jpg").stat().st_size < 30_000
    assert pictures.QUALITY > 50


def sent(client, asked, tmp_path):
    reply = client.get(asked)
    assert reply.status == 200
    path = tmp_path / "sent.nii.gz"
    path.write_bytes(reply.content)
    return nibabel.load(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_an_mgz_is_sent_as_a_nifti_in_the_same_place(tmp_path, dtype):
    write_scan(tmp_path / "data" / "a.mgz", dtype=dtype)
    with opened(tmp_path / "data") as client:
        found = sent(client, "scans/0/scan.nii.gz", tmp_path)
        np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
        largest = voxels().max()
        np.testing.assert_allclose(found.get_fdata(), voxels().astype(dtype), atol=largest / 4095)
        assert client.server.answers.volumes.folder.exists()
        folder = client.server.answers.volumes.folder
    assert not folder.exists()


def test_a_volume_that_is_too_large_is_made_coarser_and_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(volumes, "MOST_VOXELS", 12 * 14 * 10 // 8)
    write_scan(tmp_path / "data" / "a.nii.gz", shape=(12, 14, 10))
    with opened(tmp_path / "data") as client:
        found = sent(client, "scans/0/scan.nii.gz", tmp_path)
    assert np.prod(found.shape) <= 12 * 14 * 10 // 8
    # the centre of mass in millimetres
    for image, values in ((found, found.get_fdata()), (None, voxels())):
        affine = AFFINE if image is None else image.affine
        places = np.c_[np.argwhere(values > 0), np.ones((values > 0).sum())] @ affine.T
        centre = (places[:, :3] * values[values > 0][:, None]).sum(0) / values.sum()
        if image is not None:
            coarse = centre
    np.testing.assert_allclose(coarse, centre, atol=1.5)


def test_what_is_no_volume_is_refused_whatever_its_name(tmp_path):
    for name, content in (("a.nii.gz", b"x" * 600), ("b.nii", b""), ("c.mgz", b"\x1f\x8b"), ("d.mgh", b"0" * 10_000)):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ImageError):
            volumes.can_be_shown_as_it_is(path)


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path):
    path = write_scan(tmp_path / "a.nii", shape=(30, 30, 30))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ImageError):
        volumes.can_be_shown_as_it_is(path)
