"""Predictions and features of scans: every kind of target, every way to give scans, what is passed over and refused."""

import gzip
import shutil
import tempfile
from collections import Counter

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, softmax

from neurotransfer.cohort import Cohort, Grid, load_volume, read_cohort
from neurotransfer.cohort.storing import quantised
from neurotransfer.errors import CohortError, InputError, ModelError
from neurotransfer.models import load_model
from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model, save_model
from neurotransfer.models.network import Network, build_encoder, seeded
from neurotransfer.predict import Asked, embed, predict, predicted, read_scans
from neurotransfer.statistics.standardise import standardiser
from neurotransfer.targets import KINDS, Target
from neurotransfer.training import Examples, features, outputs
from neurotransfer.training.known import reference_from
from neurotransfer.training.settle import settle_batch_norm
from neurotransfer.transfer.exact import fold

GRID = Grid((32, 38, 32), 192 / 38)
KEYS = ["participant_id", "session_id", "image"]
TARGETS = (
    Target("age", "continuous", location=50.0, scale=12.0),
    Target("sex", "binary", classes=("F", "M")),
    Target("scanner", "categorical", classes=("c", "a", "b")),
    Target("education", "ordinal", classes=("none", "school", "college", "university")),
)


def save(network, targets, folder, **card):
    return save_model(folder, Model(network.eval(), Card(folder.name, targets=tuple(targets), **card)))


@pytest.fixture(scope="module")
def cohort(tiny_cohort):
    return read_cohort(tiny_cohort).rows(np.arange(7))


@pytest.fixture(scope="module")
def volumes(cohort):
    """As they lie in a store, in half precision."""
    return np.stack([quantised(load_volume(image, GRID), 16) / np.float32(65535) for image, _ in cohort.images])


@pytest.fixture(scope="module")
def model(volumes, tmp_path_factory):
    """A model folder of random weights whose features are standardised on the cohort, so that people differ."""
    rows, arguments = np.arange(len(volumes)), {"width": 0.125, "pooling": "average"}
    with seeded(3):
        network = Network(build_encoder("sfcn", arguments), TARGETS)
    settle_batch_norm(network, Examples(volumes, rows, {}), batch_size=8)
    mean, scale = standardiser(features(network.encoder, volumes))
    for target in TARGETS:
        head = network.head(target.name)
        weights, bias = fold(4 * head.weight.detach().numpy(), head.bias.detach().numpy(), mean, scale)
        head.weight.data, head.bias.data = torch.from_numpy(weights).float(), torch.from_numpy(bias).float()
    folder = tmp_path_factory.mktemp("kinds") / "every-kind"
    return save(network, TARGETS, folder, architecture="sfcn", arguments=arguments, input=GRID)


@pytest.fixture(scope="module")
def table(model, cohort):
    return predict(model, cohort)


@pytest.fixture(scope="module")
def regions_model(tmp_path_factory):
    arguments = {"columns": ["left", "right"]}
    network = Network(build_encoder("columns", arguments), TARGETS[:1])
    folder = tmp_path_factory.mktemp("regions") / "linear"
    return save(network, TARGETS[:1], folder, architecture="columns", arguments=arguments, input=None)


@pytest.fixture
def heads(cohort, tmp_path):
    """A flat folder with copies of three scans."""
    folder = tmp_path / "heads"
    folder.mkdir()
    for image, _ in cohort.images[:3]:
        shutil.copy(image, folder / image.name)
    return folder


def names(scans: Cohort):
    return [image.name for image, _ in scans.images]


def assert_same_predictions(one, other, **options):
    # the line of the corrected gap depends on the company
    columns = [column for column in one if column not in KEYS and not column.startswith("age_gap") and column in other]
    pd.testing.assert_frame_equal(
        one[columns].reset_index(drop=True), other[columns].reset_index(drop=True), rtol=1e-4, atol=1e-4, **options
    )


def probabilities_of(table, target):
    return table[[f"{target.name}_probability_{label}" for label in target.classes]].to_numpy()


def test_the_model_of_this_file_has_every_kind_of_target():
    assert Counter(target.kind for target in TARGETS) == Counter(KINDS)


def test_the_columns_of_the_table(table, cohort):
    assert list(table.columns) == [
        *KEYS,
        "age",
        *("sex", "sex_probability_F", "sex_probability_M"),
        *("scanner", "scanner_probability_c", "scanner_probability_a", "scanner_probability_b"),
        *("education_level", "education", "education_probability_none", "education_probability_school"),
        *("education_probability_college", "education_probability_university"),
        *("age_observed", "sex_observed", "site"),
        *("age_gap", "age_gap_corrected", "contract"),
    ]
    pd.testing.assert_frame_equal(table[KEYS], cohort.table[KEYS])
    # seven people are too few for a line
    assert table["age_gap_corrected"].isna().all()
    assert not table.drop(columns=["age_gap_corrected", "sex_observed"]).isna().any().any()
    assert (table["contract"] == "kept").all()


@pytest.mark.parametrize("target", TARGETS[1:], ids=lambda target: target.kind)
def test_probabilities_sum_to_one_and_the_class_is_the_most_probable(table, target):
    found = probabilities_of(table, target)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(1), 1)
    assert table[target.name].tolist() == [target.classes[index] for index in found.argmax(1)]


def test_the_level_of_an_ordinal_target_is_the_expected_one(table):
    np.testing.assert_allclose(table["education_level"], probabilities_of(table, TARGETS[3]) @ [0, 1, 2, 3])
    assert table["education_level"].between(0, 3).all()


def test_people_are_told_apart(table):
    for column in ("age", "sex_probability_M", "scanner_probability_a", "education_level"):
        assert table[column].nunique() == len(table)
        assert table[column].std() > 0.05


def test_the_numbers_are_those_of_the_network(table, volumes, model):
    with torch.inference_mode():
        outs = load_model(model).network(torch.from_numpy(volumes.astype(np.float32))[:, None])
    found = {name: values.double().numpy() for name, values in outs.items()}
    np.testing.assert_allclose(table["age"], 50 + 12 * found["age"][:, 0], rtol=1e-4)
    np.testing.assert_allclose(table["sex_probability_M"], expit(found["sex"][:, 0]), atol=1e-4)
    np.testing.assert_allclose(probabilities_of(table, TARGETS[2]), softmax(found["scanner"], axis=1), atol=1e-4)
    above = np.minimum.accumulate(expit(found["education"]), axis=1)
    np.testing.assert_allclose(table["education_level"], above.sum(1), atol=1e-4)


def test_the_order_of_scans_is_the_order_of_predictions(table, cohort, model):
    order = np.array([4, 0, 6, 2, 5, 1, 3])
    shuffled = predict(model, cohort.rows(order))
    assert shuffled["image"].tolist() == cohort.table["image"].iloc[order].tolist()
    assert_same_predictions(shuffled, table.iloc[order])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_scan_is_predicted_alike_in_whatever_company(table, cohort, model, size):
    parts = [predict(model, cohort.rows(np.arange(len(cohort))[start::size])) for start in range(size)]
    together = pd.concat(parts).sort_values("image")
    assert_same_predictions(together, table.sort_values("image"))
    assert len(together) == len(cohort)


def test_more_scans_than_a_batch_holds(tiny_cohort, model):
    every = read_cohort(tiny_cohort, check=False)
    assert len(every) > 2 * 16
    found = predict(model, every)
    assert len(found) == len(every)
    last = every.rows(np.arange(len(every) - 2, len(every)))
    assert_same_predictions(found.tail(2), predict(model, last))


def test_a_model_may_be_a_folder_its_name_or_what_was_loaded(table, cohort, model):
    for given in (str(model), load_model(model)):
        pd.testing.assert_frame_equal(predict(given, cohort), table)


def test_a_model_that_was_left_in_training_mode_predicts_the_same(table, cohort, model):
    loaded = load_model(model)
    loaded.network.train()
    pd.testing.assert_frame_equal(predict(loaded, cohort), table)
    assert loaded.network.training


def test_the_cohort_is_left_as_it_was_and_nothing_stays_on_the_disk(cohort, model, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = cohort.table.copy()
    predict(model, cohort.rows(np.arange(2)))
    embed(model, cohort.rows(np.arange(2)))
    pd.testing.assert_frame_equal(cohort.table, before)
    assert not list(tmp_path.iterdir())


def test_labels_of_the_table_are_not_looked_at(table, cohort, model):
    nonsense = cohort.table.assign(age="unknown", sex="x").drop(columns=["diagnosis", "bmi"])
    found = predict(model, Cohort("nonsense", nonsense))
    pd.testing.assert_frame_equal(
        found, table.drop(columns=["age_gap", "age_gap_corrected", "age_observed", "sex_observed"])
    )


@pytest.mark.parametrize("stage", [predict, embed])
def test_progress_is_told_once_a_scan(stage, cohort, model):
    calls = []
    stage(model, cohort.rows(np.arange(3)), on_scan=lambda: calls.append(1))
    assert len(calls) == 3


def test_features_are_those_of_the_encoder_and_explain_the_predictions(table, cohort, model):
    found = embed(model, cohort)
    network = load_model(model).network
    assert network.encoder.n_features == 8
    columns = [f"feature_{index:03d}" for index in range(network.encoder.n_features)]
    assert list(found.columns) == [*KEYS, *columns]
    pd.testing.assert_frame_equal(found[KEYS], cohort.table[KEYS])
    head = network.head("age")
    by_hand = found[columns].to_numpy() @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(table["age"], 50 + 12 * by_hand[:, 0], rtol=1e-4)


def test_features_of_rows_of_a_larger_cohort_keep_their_scan(cohort, model):
    late = Cohort("late", cohort.table.iloc[4:])
    found = embed(model, late)
    assert found["image"].tolist() == late.table["image"].tolist()
    assert not found.isna().any().any()


def test_a_model_of_table_columns_takes_a_table_without_scans(regions_model, tmp_path):
    values = pd.DataFrame(
        {"participant_id": ["p1", "p2"], "right": [2.0, -1.0], "left": [0.5, 3.0], "rest": ["x", "y"]}
    )
    values.to_csv(tmp_path / "regions.csv", index=False)
    scans = read_scans(tmp_path / "regions.csv", images=False)
    found = predict(regions_model, scans)
    head = load_model(regions_model).network.head("age")
    raw = values[["left", "right"]].to_numpy() @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(found["age"], 50 + 12 * raw[:, 0], rtol=1e-5)
    np.testing.assert_allclose(embed(regions_model, scans)["feature_001"], values["right"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"left": ["high", "low"]}, "hold text"),
        ({"left": ["", "1"]}, "missing values"),
        ({"left": None}, "lacks regional columns"),
    ],
)
def test_columns_that_a_model_cannot_take_are_refused(regions_model, tmp_path, change, said):
    values = pd.DataFrame({"participant_id": ["p1", "p2"], "left": ["1", "2"], "right": ["1", "2"]}).assign(**change)
    values.dropna(axis=1).to_csv(tmp_path / "regions.csv", index=False)
    with pytest.raises(InputError, match=said):
        predict(regions_model, read_scans(tmp_path / "regions.csv", images=False))


def bids_of(heads, root):
    """The same scans as a BIDS dataset, with a mask and a second contrast that are no T1w images."""
    for index, head in enumerate(sorted(heads.iterdir()), start=1):
        folder = root / f"sub-{index:02d}" / "anat"
        folder.mkdir(parents=True)
        for suffix in ("T1w", "T2w", "desc-brain_mask"):
            shutil.copy(head, folder / f"sub-{index:02d}_{suffix}.nii.gz")
    people = pd.DataFrame({"participant_id": [f"sub-{index:02d}" for index in (1, 2, 3)]})
    people.to_csv(root / "participants.tsv", sep="\t", index=False)
    return root


def test_a_folder_a_table_a_dataset_and_single_files_give_the_same(table, heads, model, cohort, tmp_path):
    expected = table.head(3)
    pd.DataFrame({"participant_id": list("abc"), "image": [f"heads/{name}" for name in names(cohort)[:3]]}).to_csv(
        tmp_path / "scans.csv", index=False
    )
    single = [predict(model, read_scans(heads / name)) for name in names(cohort)[:3]]
    for given in (heads, str(heads), tmp_path / "scans.csv", bids_of(heads, tmp_path / "bids")):
        assert_same_predictions(predict(model, read_scans(given)), expected)
    assert_same_predictions(pd.concat(single), expected)
    assert [len(one) for one in single] == [1, 1, 1]


def test_scans_of_a_folder_are_named_by_their_files_in_order(heads):
    scans = read_scans(heads)
    assert names(scans) == sorted(path.name for path in heads.iterdir())
    assert scans.participants.tolist() == [name.removesuffix(".nii.gz") for name in names(scans)]
    assert scans.name == "heads"
    assert (scans.table["session_id"] == "").all()


# nibabel leaves it to the garbage collector to close a .mgh
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_every_format_of_a_scan_is_taken(heads, tmp_path):
    (tmp_path / "formats").mkdir()
    image = nibabel.load(next(heads.iterdir()))
    for name in ("a.nii", "b.nii.gz"):
        nibabel.save(image, tmp_path / "formats" / name)
    for name in ("c.mgz", "d.mgh"):
        voxels = np.asarray(image.dataobj, np.float32)
        nibabel.save(nibabel.MGHImage(voxels, image.affine), tmp_path / "formats" / name)
    (tmp_path / "formats" / "notes.txt").write_text("these are no scans")
    assert read_scans(tmp_path / "formats").participants.tolist() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "beside",
    [
        "sub-01_desc-brain_mask.nii.gz",
        "sub-01_mask.nii",
        "head_MASK.nii.gz",
        "mask.nii.gz",
        "sub-01_space-MNI152_dseg.nii.gz",
        "sub-01_desc-aseg_dseg.nii",
        "sub-01_label-GM_probseg.nii.gz",
        "._sub-01_T1w.nii.gz",
    ],
)
def test_masks_segmentations_and_hidden_files_are_not_taken_for_scans(heads, beside):
    before = read_scans(heads)
    image = nibabel.load(next(heads.iterdir()))
    nibabel.save(nibabel.Nifti1Image((np.asarray(image.dataobj) > 0).astype(np.uint8), image.affine), heads / beside)
    pd.testing.assert_frame_equal(read_scans(heads).table, before.table)


@pytest.mark.parametrize("name", ["unmasked.nii.gz", "sub-01_mask_T1w.nii.gz", "mask-applied.nii.gz", "masked.mgz"])
def test_a_scan_whose_name_only_speaks_of_a_mask_is_a_scan(heads, name):
    image = nibabel.load(next(heads.iterdir()))
    if name.endswith("mgz"):
        nibabel.save(nibabel.MGHImage(np.asarray(image.dataobj, np.float32), image.affine), heads / name)
    else:
        nibabel.save(image, heads / name)
    assert name in names(read_scans(heads))
    assert len(read_scans(heads)) == 4


def test_a_mask_beside_a_scan_changes_no_prediction(heads, model):
    before = predict(model, read_scans(heads))
    image = nibabel.load(next(heads.iterdir()))
    half = np.zeros(image.shape, np.uint8)
    half[: image.shape[0] // 2] = 1
    for head in sorted(heads.iterdir()):
        nibabel.save(nibabel.Nifti1Image(half, image.affine), heads / f"{head.name.split('.')[0]}_mask.nii.gz")
    pd.testing.assert_frame_equal(predict(model, read_scans(heads)), before)


def test_the_mask_of_a_table_is_applied(table, heads, model, cohort, tmp_path):
    name = names(cohort)[0]
    image = nibabel.load(heads / name)
    half = np.zeros(image.shape, np.uint8)
    half[: image.shape[0] // 2] = 1
    nibabel.save(nibabel.Nifti1Image(half, image.affine), tmp_path / "half.nii.gz")
    pd.DataFrame({"participant_id": ["a"], "image": [f"heads/{name}"], "mask": ["half.nii.gz"]}).to_csv(
        tmp_path / "scans.csv", index=False
    )
    masked = predict(model, read_scans(tmp_path / "scans.csv"))
    assert abs(masked["age"][0] - table["age"][0]) > 1e-3


@pytest.mark.parametrize("name", ["cohort.tsv", "cohort.csv", "cohort.parquet"])
def test_a_folder_with_a_table_is_read_by_its_table(heads, name):
    chosen = sorted(heads.iterdir())[1]
    rows = pd.DataFrame({"participant_id": ["only-one"], "image": [chosen.name]})
    if name.endswith("parquet"):
        rows.to_parquet(heads / name)
    else:
        rows.to_csv(heads / name, sep="\t" if name.endswith("tsv") else ",", index=False)
    assert read_scans(heads).participants.tolist() == ["only-one"]


def test_scans_that_differ_after_a_dot_are_two_people(heads, tmp_path):
    (tmp_path / "dots").mkdir()
    for name in ("p.1.nii.gz", "p.2.nii.gz"):
        shutil.copy(next(heads.iterdir()), tmp_path / "dots" / name)
    assert read_scans(tmp_path / "dots").participants.tolist() == ["p.1", "p.2"]


@pytest.mark.parametrize("single", [False, True])
def test_the_alignment_is_passed_on(heads, model, single):
    """Heads moved by 20 cm miss the grid of the model, unless they are centred on it."""
    for head in heads.iterdir():
        image = nibabel.load(head)
        affine = image.affine.copy()
        affine[0, 3] += 200
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), head)
    given = next(heads.iterdir()) if single else heads
    with pytest.raises(CohortError, match="does not meet the grid of the model"):
        predict(model, read_scans(given))
    assert predict(model, read_scans(given, alignment="centre"))["age"].notna().all()
    with pytest.raises(InputError, match=r"unknown alignment 'center'.*did you mean 'centre'"):
        read_scans(given, alignment="center")


def test_options_of_a_table_are_no_hindrance_for_files_but_a_wrong_one_is(heads):
    calls = []
    options = {"space": "MNI152", "desc": None, "mask": None, "images": True, "on_scan": lambda: calls.append(1)}
    assert len(read_scans(heads, **options)) == len(calls) == 3
    assert read_scans(heads, name="mine").name == "mine"
    with pytest.raises(TypeError, match="alignmnt"):
        read_scans(heads, alignmnt="centre")


def spoil(heads):
    """Three scans that cannot be used, by what is said of them."""
    first = nibabel.load(next(heads.iterdir()))
    (heads / "broken.nii.gz").write_bytes(gzip.compress(b"this is no image"))
    voxels = np.asarray(first.dataobj)
    nibabel.save(nibabel.Nifti1Image(np.stack([voxels] * 2, -1), first.affine), heads / "series.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.full(voxels.shape, 7, np.int16), first.affine), heads / "constant.nii.gz")
    return {"broken": "cannot read", "series": "three dimensions", "constant": "is constant"}


def test_all_scans_of_a_folder_that_cannot_be_used_are_told_at_once(heads):
    said = spoil(heads)
    with pytest.raises(CohortError) as caught:
        read_scans(heads)
    assert len(caught.value.problems) == len(said)
    for problem in caught.value.problems:
        name = next(name for name in said if f" {name}:" in problem)
        assert said.pop(name) in problem
    assert f"3 problems in {heads}:" in str(caught.value)
    assert "scans.tsv" not in str(caught.value)


@pytest.mark.parametrize("name", ["broken", "series", "constant"])
def test_a_single_scan_that_cannot_be_used_is_refused_by_its_name(heads, name):
    said = spoil(heads)[name]
    with pytest.raises(CohortError, match=said) as caught:
        read_scans(heads / f"{name}.nii.gz")
    assert f"1 problem in {heads / name}.nii.gz:" in str(caught.value)


def test_scans_of_different_shapes_are_refused_unless_they_are_in_native_space(heads):
    nibabel.save(nibabel.load(next(heads.iterdir())).slicer[:-2], heads / "smaller.nii.gz")
    with pytest.raises(CohortError, match=r'smaller: shape .*alignment = "centre"'):
        read_scans(heads)
    assert len(read_scans(heads, alignment="centre")) == 4


@pytest.mark.parametrize("name", ["absent.nii.gz", "absent", "x" * 300])
def test_what_is_not_there_is_refused_with_what_may_be_given(tmp_path, name):
    with pytest.raises(
        InputError, match=r"there is no .*\.nii\.gz, \.mgz.*a folder of scans, a cohort table or a BIDS"
    ):
        read_scans(tmp_path / name)


@pytest.mark.parametrize("beside", ["notes.txt", "sub-01_mask.nii.gz"])
def test_a_folder_without_scans_is_refused(tmp_path, beside):
    (tmp_path / beside).write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no scan \(\.nii.*no table \(participants\.tsv.*no sub-\* folder"):
        read_scans(tmp_path)


def test_a_bids_folder_without_its_table_is_told_what_it_lacks(tmp_path):
    (tmp_path / "sub-01").mkdir()
    with pytest.raises(InputError, match=r"no participants\.tsv"):
        read_scans(tmp_path)


def test_a_model_that_is_not_there_is_refused(cohort, tmp_path):
    for stage in (predict, embed):
        with pytest.raises(ModelError, match="is no model folder"):
            stage(tmp_path / "nowhere", cohort)


def test_a_scan_that_went_missing_after_the_check_is_named(heads, model):
    scans = read_scans(heads)
    lost = next(heads.iterdir())
    lost.unlink()
    for stage in (predict, embed):
        with pytest.raises(CohortError, match=rf"1 problem in heads:\n.*{lost.name}"):
            stage(model, scans)
    kept = predicted(model, scans)
    assert [scan for scan, _ in kept.refused] == [lost.name.removesuffix(".nii.gz")]
    row = kept.table["participant_id"] == kept.refused[0][0]
    assert kept.table.loc[row, "contract"].str.startswith("refused: no such image").all()
    empty = [column for column in kept.table if column not in (*KEYS, "contract")]
    assert kept.table.loc[row, empty].isna().all().all()
    assert not kept.table.loc[~row, empty].isna().any().any()
    assert (kept.table.loc[~row, "contract"] == "kept").all()


def test_scans_are_never_changed(heads, model):
    before = {path.name: path.read_bytes() for path in heads.iterdir()}
    predict(model, read_scans(heads))
    assert {path.name: path.read_bytes() for path in heads.iterdir()} == before


def test_a_transferred_head_is_predicted_as_the_network_says(cohort, tiny_model):
    model = load_model(tiny_model)
    volumes = np.stack([load_volume(image, model.card.input) for image, _ in cohort.images])
    expected, _ = model.network.targets["age"].decode(outputs(model.network, volumes, np.arange(len(volumes)))["age"])
    np.testing.assert_allclose(predict(tiny_model, cohort)["age"], expected, atol=0.05)


# --- how sure a prediction is, and whether a scan is what the model knows


def test_views_change_no_prediction_and_say_how_steady_it_is(table, cohort, model):
    found = predict(model, cohort, views=3, seed=1)
    spreads = [column for column in found if column.endswith("_sd_views")]
    assert spreads == [f"{target.name}_sd_views" for target in TARGETS]
    pd.testing.assert_frame_equal(found.drop(columns=spreads), table)
    assert (found[spreads] > 0).any().all()
    assert (found[spreads] >= 0).all().all()
    assert found["sex_sd_views"].max() <= 0.6
    # views are drawn by the scan, whatever its company
    part = predict(model, cohort.rows(np.array([5, 2])), views=3, seed=1)
    np.testing.assert_allclose(part["age_sd_views"], found["age_sd_views"].iloc[[5, 2]], rtol=1e-3)
    other = predict(model, cohort.rows(np.array([5])), views=3, seed=2)
    assert abs(other["age_sd_views"][0] - found["age_sd_views"][5]) > 1e-6


@pytest.mark.parametrize("views", [1, -1])
def test_too_few_views_are_refused(cohort, model, views):
    with pytest.raises(InputError, match=r"views is 0 for none, or 2 or more"):
        predict(model, cohort, views=views)


@pytest.fixture(scope="module")
def other_model(model, tmp_path_factory):
    """As the model, its age eight years higher; without the scanner."""
    first = load_model(model)
    targets = [target for target in TARGETS if target.name != "scanner"]
    network = Network(first.network.encoder, targets)
    for target in targets:
        network.head(target.name).load_state_dict(first.network.head(target.name).state_dict())
    network.head("age").bias.data += 8 / 12
    folder = tmp_path_factory.mktemp("others") / "higher"
    return save(network, targets, folder, architecture="sfcn", arguments=first.card.arguments, input=GRID)


def test_an_ensemble_gives_the_mean_and_how_far_its_models_are_apart(table, cohort, model, other_model):
    found = predict(model, cohort, others=[other_model])
    assert not [column for column in found if column.startswith("scanner")]
    np.testing.assert_allclose(found["age"], table["age"] + 4, atol=1e-3)
    np.testing.assert_allclose(found["age_sd_models"], np.std([0, 8], ddof=1), atol=1e-3)
    np.testing.assert_allclose(found["sex_probability_M"], table["sex_probability_M"], atol=1e-6)
    np.testing.assert_allclose(found["education_level"], table["education_level"], atol=1e-6)
    assert found["education_sd_models"].max() < 1e-6


def test_models_of_other_targets_are_no_ensemble(cohort, model, tmp_path):
    network = Network(load_model(model).network.encoder, [Target("age", "continuous", unit="months")])
    arguments = load_model(model).card.arguments
    other = save(
        network, network.targets.values(), tmp_path / "x", architecture="sfcn", arguments=arguments, input=GRID
    )
    with pytest.raises(ModelError, match="no target in common"):
        predict(model, cohort, others=[other])


def test_the_gap_is_corrected_on_those_who_are_named(tiny_cohort, model):
    every = read_cohort(tiny_cohort, check=False)
    found = predicted(model, every)
    gap = found.table["age_gap"]
    ages = pd.to_numeric(every.table["age"], errors="coerce")
    np.testing.assert_allclose(gap, found.table["age"] - ages)
    assert 0 < gap.isna().sum() < 10
    corrected = found.table["age_gap_corrected"]
    means = pd.DataFrame({"who": every.participants, "gap": corrected, "age": ages}).dropna().groupby("who").mean()
    assert abs(np.corrcoef(means["gap"], means["age"])[0, 1]) < 1e-6
    said = found.columns["age_gap_corrected"]
    np.testing.assert_allclose(gap - said["Intercept"] - said["Slope"] * ages, corrected)
    assert said["People"] == len(means)
    assert "Smith et al. 2019" in said["Description"]
    with pytest.raises(InputError, match=r"unknown column of --gap-reference 'grup'"):
        predict(model, every, gap_reference=("grup", "control"))
    with pytest.raises(InputError, match=r"nobody has diagnosis = 'ill'.*found: "):
        predict(model, every, gap_reference=("diagnosis", "ill"))
    few = predicted(model, every, Asked(gap_reference=("participant_id", every.participants[0])))
    assert "needs 20 people of known age, found 1" in few.notes[0]


def test_scans_unlike_those_that_were_learnt_from_are_listed(cohort, model, volumes):
    loaded = load_model(model)
    random = np.random.default_rng(0)
    # forty variants of the seven scans stand for what was learnt from
    many = np.clip(np.repeat(volumes, 6, 0) * random.normal(1, 0.05, (42, 1, 1, 1)), 0, 1).astype(np.float32)
    known = reference_from(loaded.network.encoder, many, np.arange(0, 42, 2), np.arange(1, 42, 2))
    loaded = Model(loaded.network, loaded.card, known)
    found = predicted(loaded, cohort)
    assert found.drift.verdict == "alike"
    assert (found.table["contract"] == "kept").all()
    assert (found.table[["drift_features", "drift_values"]] < 3).all().all()
    assert not [note for note in found.notes if "outside" in note]
    # another network of the same kind gives other features
    with torch.no_grad():
        for value in loaded.network.encoder.parameters():
            value += 0.3
    found = predicted(loaded, cohort)
    assert found.drift.verdict == "another kind"
    assert (found.table["contract"] == "kept, but outside").all()
    assert "7 of 7 scans lie outside" in found.notes[-1]


def test_every_column_says_what_it_holds(cohort, model):
    found = predicted(model, cohort, Asked(views=2))
    assert list(found.columns) == list(found.table.columns)
    assert all(said["Description"] for said in found.columns.values())
    assert found.columns["age_gap"]["Units"] == "years"
    assert found.columns["sex"]["Levels"] == ["F", "M"]
    assert "test-time augmentation" in found.columns["age_sd_views"]["Description"]


def test_views_of_an_ensemble_are_those_of_its_mean(cohort, model):
    one = predict(model, cohort, views=3, seed=1)
    twice = predict(model, cohort, views=3, seed=1, others=[model])
    np.testing.assert_allclose(twice["age_sd_views"], one["age_sd_views"], rtol=1e-6)
    np.testing.assert_allclose(twice["sex_sd_views"], one["sex_sd_views"], rtol=1e-6)


def test_views_of_models_that_move_apart_cancel_in_the_mean(cohort, model, tmp_path):
    """A model whose age goes the other way: their mean stands still, whatever the view."""
    first = load_model(model)
    network = Network(first.network.encoder, TARGETS)
    network.load_state_dict(first.network.state_dict())
    for value in network.head("age").parameters():
        value.data *= -1
    other = save(
        network, TARGETS, tmp_path / "mirrored", architecture="sfcn", arguments=first.card.arguments, input=GRID
    )
    found = predict(model, cohort, views=3, others=[other])
    assert found["age_sd_views"].max() < 1e-4
    np.testing.assert_allclose(found["age"], 50, atol=1e-4)
    assert found["age_sd_models"].min() > 0.1


def test_targets_that_not_all_models_have_are_named(cohort, model, other_model):
    assert "not all models predict scanner alike: left out" in predicted(model, cohort, Asked((other_model,))).notes


def test_bins_of_an_ensemble_are_those_of_the_mixture(cohort, model, tmp_path):
    first, folders = load_model(model), []
    options = {"architecture": "sfcn", "arguments": first.card.arguments, "input": GRID}
    for shift in (0.0, 10.0):
        target = Target("age", "continuous", reading="bins", levels=(40 + shift, 50 + shift, 60 + shift))
        with seeded(4):
            network = Network(first.network.encoder, [target])
        folders.append(save(network, [target], tmp_path / f"m{shift:g}", **options))
    one, other = (predict(folder, cohort) for folder in folders)
    both = predict(folders[0], cohort, others=folders[1:])
    np.testing.assert_allclose(other["age_sd_bins"], one["age_sd_bins"], rtol=1e-5)
    # two distributions ten years apart: their own variance, and 25 of the distance
    np.testing.assert_allclose(both["age_sd_bins"], np.sqrt(one["age_sd_bins"] ** 2 + 25), rtol=1e-5)
    np.testing.assert_allclose(both["age"], one["age"] + 5, rtol=1e-5)
