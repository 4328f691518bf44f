"""Whom a model has seen: by name, by image, without keeping a name."""

from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import Cohort, Grid
from neurotransfer.errors import ImageError
from neurotransfer.models.card import Card, hashed, people_of
from neurotransfer.models.overlap import image_hash, image_hashes, seen_rows

CARD = Card("toy", "sfcn", {}, (), Grid())


def cohort(name: str, *people: str) -> Cohort:
    return Cohort(name, pd.DataFrame({"participant_id": list(people)}))


def test_overlap_is_found_by_name_of_cohort_and_participant():
    trained = [cohort("study-a", "sub-anna", "sub-bert", "sub-anna"), cohort("study-b", "sub-zoe")]
    salt, people = people_of(trained)
    assert len(people) == 3
    card = replace(CARD, salt=salt, people=people)
    assert card.overlap(cohort("study-a", "sub-anna", "sub-carl", "sub-zoe", "sub-anna")) == {"sub-anna"}
    assert card.overlap(cohort("study-b", "sub-anna", "sub-zoe")) == {"sub-zoe"}
    assert card.overlap(cohort("study-c", "sub-anna", "sub-bert", "sub-zoe")) == set()
    assert card.overlap(cohort("study-a")) == set()
    assert not [name for name in ("anna", "bert", "zoe") if name in repr(card)]


def test_salts_differ_so_that_two_models_do_not_show_that_they_share_people():
    (first, people), (second, others) = (people_of([cohort("a", "p", "q")]) for _ in range(2))
    assert first != second
    assert not set(people) & set(others)


def test_a_hash_depends_on_salt_cohort_and_person():
    assert (
        len({hashed(*values) for values in [("s", "a", "p"), ("t", "a", "p"), ("s", "b", "p"), ("s", "a", "q")]}) == 4
    )
    assert hashed("s", "a", "p") == hashed("s", "a", "p")


@pytest.fixture
def heads(tmp_path):
    """Six images of four people, written by their rows."""

    def write(place, values, kind=np.int16, ending=".nii.gz"):
        path = tmp_path / f"{place}{ending}"
        nibabel.save(nibabel.Nifti1Image(values.astype(kind), np.diag([2.0, 2, 2, 1])), path)
        return path

    random = np.random.default_rng(0)
    voxels = [random.integers(0, 255, (9, 8, 7)) for _ in range(6)]
    return voxels, [write(place, each) for place, each in enumerate(voxels)], write


def table_of(people, paths):
    return pd.DataFrame({"participant_id": people, "session_id": "", "image": map(str, paths), "mask": ""})


def test_an_image_is_known_however_it_is_called_typed_and_compressed(heads):
    voxels, paths, write = heads
    expected = image_hash(paths[0], "salt")
    for kind, ending in [(np.uint8, ".nii"), (np.float32, ".nii.gz"), (np.int32, ".mgz")]:
        assert image_hash(write("other", voxels[0], kind, ending), "salt") == expected
    changed = voxels[0].copy()
    changed[4, 4, 4] += 1
    assert image_hash(write("changed", changed), "salt") != expected
    assert image_hash(write("turned", voxels[0].transpose(2, 1, 0)), "salt") != expected
    assert image_hash(paths[0], "pepper") != expected
    assert len(expected) == 16


def test_people_are_found_by_their_images_whatever_they_are_called(heads):
    _, paths, _ = heads
    trained = Cohort("first", table_of(["a", "a", "b", "c"], paths[:4]))
    salt, people = people_of([trained])
    images = image_hashes(trained, salt)
    assert images == image_hashes(trained, salt, workers=3)
    card = replace(CARD, salt=salt, people=people, images=tuple(sorted(images)))
    # x has an image of a's, and another one; y has none; the name of z is known
    others = Cohort("second", table_of(["x", "x", "y", "b"], [paths[1], paths[4], paths[5], paths[5]]))
    assert seen_rows(card, others).tolist() == [True, True, False, False]
    assert seen_rows(card, replace(others, name="first")).tolist() == [True, True, False, True]
    # a card without images reads none
    gone = Cohort("first", table_of(["a", "q"], ["nowhere.nii", "nowhere.nii"]))
    assert seen_rows(replace(card, images=()), gone).tolist() == [True, False]
    with pytest.raises(ImageError, match="no such image"):
        seen_rows(card, gone)
