"""Small pictures: what is in them, how large they are, and that a page stays small."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neurotransfer.cohort import Grid, read_cohort
from neurotransfer.explain.pictures import HEIGHTS, picture, pictures, pictures_of


def opened(address):
    kind, data = address.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_three_middle_slices_stand_side_by_side():
    volume = np.zeros((20, 30, 24))
    # a bright place at the front, above the middle, on the person's right
    volume[14:20, 22:30, 14:24] = 1
    found = opened(picture(volume, 48))
    # sagittal (y, z), coronal and axial (x, ...); the tallest, 30 voxels, is 48 pixels
    assert found.shape == (48, round((30 + 20 + 20) * 48 / 30))
    assert found.max() < 10
    volume[9:12] = 1
    sagittal = opened(picture(volume, 48))[:, :44]
    assert sagittal[14:].min() > 230
    assert sagittal[:6].max() < 25


def test_up_is_up_and_front_is_right():
    volume = np.zeros((30, 30, 30))
    volume[:, 20:, 20:] = 1
    found = opened(picture(volume, 30))[:, :30]
    assert found[:9, 21:].min() > 200
    assert found[12:].max() < 60


@pytest.mark.parametrize(("most", "height"), [(10**6, HEIGHTS[0]), (12_000, None), (100, 0)])
def test_pictures_shrink_until_they_fit(most, height):
    rng = np.random.default_rng(0)
    volumes = rng.random((4, 20, 24, 20))
    found, note = pictures(lambda place: volumes[place], 4, most)
    assert sum(map(len, found)) <= most
    if height == 0:
        assert found == [""] * 4
        assert "would make the page too large" in note
    elif height:
        assert opened(found[0]).shape[0] == height
        assert note == ""
    else:
        assert opened(found[0]).shape[0] < HEIGHTS[0]
        assert "so that the page stays small" in note


def test_a_scan_that_cannot_be_read_has_none(tiny_cohort):
    cohort = read_cohort(tiny_cohort)
    grid = Grid((32, 38, 32), 192 / 38)
    table = cohort.table.head(3).copy()
    table.loc[1, "image"] = "nowhere.nii.gz"
    found, note = pictures_of(table, grid, "world", 1)
    assert [bool(each) for each in found] == [True, False, True]
    assert opened(found[0]).max() > 100
    assert note == ""
    assert pictures_of(table, None, "world", 1) == ([], "")
    assert pictures_of(pd.DataFrame({"participant_id": ["a"]}), grid, "world", 1) == ([], "")
    # ten maps share what one has
    assert sum(map(len, pictures_of(table, grid, "world", 1000)[0])) * 1000 <= 2_500_000
