"""The embedder: the features of `embed`, as a transformer that names its columns and refuses what has none."""

import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

import neurotransfer
from neurotransfer import BrainEmbedder
from neurotransfer.errors import ImageError, InputError, ModelError
from neurotransfer.estimators import ArgumentError
from neurotransfer.models import load_model
from neurotransfer.predict import embed
from neurotransfer.transfer import transfer


@pytest.fixture(scope="module")
def paths(cohort):
    return [image for image, _ in cohort.images]


@pytest.fixture(scope="module")
def embedded(tiny_model, cohort):
    """What `neurotransfer embed` says of the scans."""
    return embed(tiny_model, cohort).drop(columns=["participant_id", "session_id", "image"])


def test_it_is_part_of_the_public_face():
    assert neurotransfer.BrainEmbedder is BrainEmbedder
    assert "BrainEmbedder" in dir(neurotransfer)


def test_features_of_paths_and_volumes_are_those_of_embed(tiny_model, paths, volumes, embedded):
    embedder = BrainEmbedder(tiny_model)
    for X in (volumes, volumes[:], pd.DataFrame({"image": [str(path) for path in paths]})):
        found = embedder.fit(X).transform(X)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, embedded.to_numpy())
        np.testing.assert_array_equal(embedder.fit_transform(X), found)
    assert found.std(0).min() > 0


def test_names_are_those_of_embed(tiny_model, volumes, embedded):
    embedder = BrainEmbedder(tiny_model).fit(volumes)
    assert embedder.get_feature_names_out().tolist() == list(embedded.columns)
    assert embedder.get_feature_names_out(["image"]).dtype == object
    assert embedder.n_features_out_ == embedded.shape[1]
    assert embedder.n_features_in_ == np.prod(volumes.shape[1:])


def test_it_gives_a_table_when_asked(tiny_model, paths, volumes, embedded):
    embedder = BrainEmbedder(tiny_model).set_output(transform="pandas")
    found = embedder.fit_transform(volumes[:6])
    pd.testing.assert_frame_equal(found, embedded[:6], check_exact=False, rtol=1e-4)
    table = pd.DataFrame({"image": [str(path) for path in paths[:6]]}, index=list("abcdef"))
    assert embedder.transform(table).index.tolist() == list("abcdef")
    assert isinstance(embedder.set_output(transform="default").transform(volumes[:6]), np.ndarray)


def test_the_same_scan_has_the_same_features_in_any_company(tiny_model, volumes, embedded):
    embedder = BrainEmbedder(tiny_model).fit(volumes[:1])
    for rows in ([3], [3, 0], range(3, 20)):
        np.testing.assert_allclose(
            embedder.transform(volumes[list(rows)])[0], embedded.to_numpy()[3], rtol=1e-4, atol=1e-6
        )


def test_a_model_can_be_given_by_its_folder_its_name_or_whole(tiny_model, volumes):
    expected = BrainEmbedder(tiny_model).fit_transform(volumes[:4])
    for model in (str(tiny_model), load_model(tiny_model)):
        np.testing.assert_array_equal(clone(BrainEmbedder(model)).fit_transform(volumes[:4]), expected)
    shipped = BrainEmbedder("sim-base").fit(np.full((1, 40, 48, 40), 0.5))
    assert shipped.model_.card.name == "sim-base"
    assert shipped.n_features_out_ == len(shipped.get_feature_names_out())


def test_it_outlives_the_folder_of_its_model(tiny_model, volumes, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "copy")
    embedder = BrainEmbedder(folder).fit(volumes[:2])
    expected = embedder.transform(volumes[:2])
    shutil.rmtree(folder)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(embedder)).transform(volumes[:2]), expected)
    with pytest.raises(ModelError, match="is no model folder"):
        embedder.fit(volumes[:2])


def test_parameters_are_kept_and_tags_say_what_it_takes(tiny_model):
    embedder = BrainEmbedder(tiny_model, alignment="centre")
    assert embedder.get_params() == {"model": tiny_model, "alignment": "centre"}
    assert embedder.set_params(alignment="world").alignment == "world"
    tags = get_tags(embedder)
    assert (tags.input_tags.two_d_array, tags.input_tags.string, tags.target_tags.required) == (False, True, False)
    assert tags.transformer_tags.preserves_dtype == []


def test_the_alignment_reaches_the_scans(tiny_model, paths):
    world, centre = (BrainEmbedder(tiny_model, alignment=name).fit_transform(paths[:2]) for name in ("world", "centre"))
    assert np.abs(world - centre).max() > 1e-4


@pytest.mark.parametrize("method", ["transform", "get_feature_names_out"])
def test_nothing_comes_before_fit(tiny_model, volumes, method):
    with pytest.raises(
        NotFittedError, match="This BrainEmbedder instance is not fitted yet; call fit with some scans first"
    ):
        getattr(BrainEmbedder(tiny_model), method)(volumes[:1])


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model": None}, "model is a model, its folder or its name, got None; set_params changes it"),
        ({"model": 3}, "got 3"),
        ({"alignment": "native"}, "alignment is 'world' or 'centre', got 'native'"),
        ({"model": 3, "alignment": None}, "2 problems in the parameters"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_are_refused_by_fit(tiny_model, volumes, parameters, said):
    with pytest.raises(ArgumentError, match=said):
        BrainEmbedder(**({"model": tiny_model} | parameters)).fit(volumes[:1])


@pytest.mark.parametrize(
    ("X", "kind", "said"),
    [
        (lambda volumes: volumes[0], ArgumentError, r"got \(32, 38, 32\). Reshape your data"),
        (lambda volumes: np.zeros((4, 6)), ArgumentError, r"got \(4, 6\). Reshape your data"),
        (lambda volumes: (volume for volume in volumes[:2]), ArgumentError, r"X is a generator.* give list\(X\)"),
        (lambda volumes: volumes[:2][:, 1:], ModelError, "takes volumes of shape"),
        (lambda volumes: volumes[:2] * 200, InputError, "values from 0 to 1"),
        (lambda volumes: ["lost.nii.gz"], ImageError, r"no such image 'lost.nii.gz' \(row 1 of X\)"),
        (lambda volumes: ["lost.nii.gz", 3], ArgumentError, "not in row 2, there is 3"),
        (lambda volumes: "lost.nii.gz", ArgumentError, "give a list"),
        (lambda volumes: volumes[:0], ArgumentError, "X holds 0 scans"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("method", ["fit", "transform", "fit_transform"])
def test_what_are_no_scans_of_the_model_is_refused(tiny_model, volumes, X, kind, said, method):
    embedder = BrainEmbedder(tiny_model)
    if method == "transform":
        embedder.fit(volumes[:1])
    with pytest.raises(kind, match=said):
        getattr(embedder, method)(X(volumes))


def test_a_model_of_columns_has_nothing_to_embed(tiny_model, cohort, volumes, tmp_path):
    table = cohort.table.assign(a=np.arange(float(len(cohort))).astype(str), b="1")
    columns = type(cohort)(cohort.name, table)
    grid = {"penalty": [1.0]}
    folder = transfer(tiny_model, columns, "age", "linear", tmp_path / "m", columns=["a", "b"], grid=grid).folder
    with pytest.raises(ModelError, match="takes columns of a table, not scans; columns go as they are"):
        BrainEmbedder(folder).fit(volumes[:2])
