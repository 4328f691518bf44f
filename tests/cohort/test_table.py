"""Reading cohort tables: every format the same, every problem told at once, nothing but our errors."""

import re

import nibabel
import numpy as np
import pandas as pd
import pytest
from cohort_phantoms import SHARED, noise, reoriented, rows_of, save, write_rows
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from neurotransfer.cohort import read_cohort
from neurotransfer.cohort.text_table import read_text_table
from neurotransfer.errors import CohortError, InputError
from neurotransfer.targets import MISSING, infer_target

SUFFIXES = (".tsv", ".csv", ".parquet")
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def problems_of(path, **options):
    with pytest.raises(CohortError) as caught:
        read_cohort(path, **options)
    error = caught.value
    assert str(path) in str(error)
    assert all(problem in str(error) for problem in error.problems)
    return error.problems


@pytest.fixture
def rows(tmp_path):
    return rows_of(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_cohort(tmp_path, rows, suffix):
    cohort = read_cohort(write_rows(tmp_path / f"cohort{suffix}", rows), targets=["age", "sex"])
    assert (len(cohort), cohort.n_participants, cohort.alignment, cohort.name) == (6, 6, "world", tmp_path.name)
    assert list(cohort.table["image"]) == [str(tmp_path / row["image"]) for row in rows]
    assert list(cohort.table["age"]) == [row["age"] for row in rows]
    assert set(cohort.table[["session_id", "site", "mask"]].to_numpy().ravel()) == {""}
    assert cohort.notes == ()


@pytest.mark.parametrize(
    ("suffix", "mark", "said"), [(".csv", ";", "';'"), (".tsv", ",", "','"), (".csv", "\t", "tabs")]
)
def test_another_separator_is_named(tmp_path, rows, suffix, mark, said):
    path = tmp_path / f"cohort{suffix}"
    pd.DataFrame(rows).to_csv(path, sep=mark, index=False)
    with pytest.raises(CohortError, match=f"seem to be separated by {said}"):
        read_cohort(path)


def test_a_sheet_and_another_encoding_are_told_how_to_be_saved(tmp_path):
    (tmp_path / "cohort.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"allowed: .tsv, .csv, .parquet.*save the sheet as .csv"):
        read_cohort(tmp_path / "cohort.xlsx")
    (tmp_path / "cohort.csv").write_bytes("participant_id,image\nJürgen,a.nii\n".encode("latin-1"))
    with pytest.raises(InputError, match="save it as UTF-8"):
        read_cohort(tmp_path / "cohort.csv")


def test_one_target_may_be_given_as_a_word(tmp_path, rows):
    path = write_rows(tmp_path / "cohort.csv", rows)
    assert len(read_cohort(path, targets="age")) == 6
    assert problems_of(path, targets="aeg") == problems_of(path, targets=["aeg"])


@pytest.mark.parametrize("column", ["participant_id", "image", "mask"])
def test_what_names_a_scan_is_no_target(tmp_path, rows, column):
    (problem,) = problems_of(write_rows(tmp_path / "cohort.csv", rows), targets=[column])
    assert "says which scan a row is" in problem


@pytest.mark.parametrize("name", ["cohort.tsv", "cohort.csv", "cohort.parquet"])
def test_a_folder_with_a_cohort_table_is_that_table(tmp_path, rows, name):
    path = write_rows(tmp_path / name, rows)
    pd.testing.assert_frame_equal(read_cohort(tmp_path).table, read_cohort(path).table)
    assert read_cohort(str(tmp_path)).name == tmp_path.name
    assert read_cohort(tmp_path, name="mine").name == "mine"


def test_image_paths_are_relative_to_the_table_or_absolute(tmp_path, rows):
    (tmp_path / "tables").mkdir()
    rows[0]["image"] = str(tmp_path / rows[0]["image"])
    for row in rows[1:]:
        row["image"] = f"../{row['image']}"
    assert len(read_cohort(write_rows(tmp_path / "tables" / "cohort.tsv", rows))) == 6


def test_on_scan_is_called_for_every_image_and_never_without_a_check(tmp_path, rows):
    path, calls = write_rows(tmp_path / "cohort.tsv", rows), []
    read_cohort(path, on_scan=lambda: calls.append(1))
    assert len(calls) == 6
    read_cohort(path, on_scan=lambda: calls.append(1), check=False)
    assert len(calls) == 6


def test_columns_are_renamed_and_recoded(tmp_path, rows):
    for row in rows:
        row["gender"] = {"F": "2", "M": "1"}[row.pop("sex")]
    path = write_rows(tmp_path / "cohort.tsv", rows)
    cohort = read_cohort(path, columns={"sex": "gender"}, recode={"sex": {"1": "M", "2": "F"}}, targets=["sex"])
    assert list(cohort.table["sex"]) == ["F", "M"] * 3
    assert list(cohort.table["gender"]) == ["2", "1"] * 3
    numbers = read_cohort(path, columns={"sex": "gender"}, recode={"sex": {1: "M", 2: "F"}})
    assert list(numbers.table["sex"]) == ["F", "M"] * 3


def test_labels_can_change_places_and_become_missing(tmp_path, rows):
    path = write_rows(tmp_path / "cohort.tsv", rows)
    assert list(read_cohort(path, recode={"sex": {"F": "M", "M": "F"}}).table["sex"]) == ["M", "F"] * 3
    assert list(read_cohort(path, recode={"age": {"20": "n/a", "": "99"}}).table["age"]) == [
        "",
        *map(str, range(21, 26)),
    ]


def test_columns_to_rename_and_recode_must_be_there(tmp_path, rows):
    path = write_rows(tmp_path / "cohort.tsv", rows)
    found = problems_of(path, columns={"sex": "sexx"}, recode={"agee": {"1": "2"}})
    assert len(found) == 2
    assert "unknown column for 'sex' 'sexx'; allowed: participant_id, image, age, sex; did you mean 'sex'?" in found[0]
    assert "did you mean 'age'?" in found[1]


def test_a_table_of_columns_alone_needs_no_images(tmp_path):
    path = write_rows(
        tmp_path / "regions.csv", [{"participant_id": f"s{index}", "thickness": index} for index in range(4)]
    )
    cohort = read_cohort(path, images=False, targets=["thickness"])
    assert list(cohort.table["image"]) == [""] * 4
    assert problems_of(path) == ["no column 'image'"]


# --- missing values and what formats do to labels


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
@pytest.mark.parametrize("marker", MISSING)
def test_every_missing_marker_is_missing(tmp_path, rows, suffix, marker):
    rows[2]["age"], rows[3]["sex"] = marker, f" {marker} "
    cohort = read_cohort(write_rows(tmp_path / f"cohort{suffix}", rows), targets=["age", "sex"])
    assert cohort.table["age"].iloc[2] == cohort.table["sex"].iloc[3] == ""
    np.testing.assert_array_equal(np.isnan(cohort.labels(infer_target("age", cohort.table))), np.arange(6) == 2)


@pytest.mark.parametrize(
    "values", [[0, 1, None, 1, 0, 1], [0.0, 1.0, np.nan, 1.0, 0.0, 1.0], pd.array([0, 1, pd.NA, 1, 0, 1])]
)
def test_numbers_of_a_parquet_file_are_the_labels_of_a_text_file(tmp_path, rows, values):
    table = pd.DataFrame(rows).assign(case=values)
    table.to_parquet(tmp_path / "cohort.parquet", index=False)
    cohort = read_cohort(tmp_path / "cohort.parquet", targets=["case"])
    assert list(cohort.table["case"]) == ["0", "1", "", "1", "0", "1"]
    assert infer_target("case", cohort.table).classes == ("0", "1")


def test_numbers_as_participants_stay_themselves(tmp_path, rows):
    for index, row in enumerate(rows):
        row["participant_id"] = f"{index:03d}"
    assert list(read_cohort(write_rows(tmp_path / "a.tsv", rows)).participants) == [
        f"{index:03d}" for index in range(6)
    ]
    table = pd.DataFrame(rows).assign(participant_id=np.arange(6.0))
    table.to_parquet(tmp_path / "a.parquet", index=False)
    assert list(read_cohort(tmp_path / "a.parquet").participants) == list("012345")


def test_what_a_spreadsheet_writes_is_read(tmp_path, rows):
    text = "\r\n".join(
        ["participant_id , image,age", *[f" {row['participant_id']},{row['image']} ,{row['age']}" for row in rows]]
    )
    (tmp_path / "cohort.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    cohort = read_cohort(tmp_path / "cohort.csv", targets=["age"])
    assert list(cohort.participants) == [row["participant_id"] for row in rows]
    assert list(cohort.table["age"]) == [row["age"] for row in rows]


def test_text_beyond_ascii_is_kept(tmp_path, rows):
    rows[0]["site"], rows[1]["site"] = "Tübingen", "札幌"
    for suffix in SUFFIXES:
        assert list(read_cohort(write_rows(tmp_path / f"cohort{suffix}", rows)).table["site"][:3]) == [
            "Tübingen",
            "札幌",
            "",
        ]


def test_the_number_of_a_row_written_by_pandas_does_no_harm(tmp_path, rows):
    pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv")
    assert list(read_cohort(tmp_path / "cohort.csv").table.columns[:4]) == ["participant_id", "image", "age", "sex"]


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_rows_that_are_longer_than_the_header_do_not_shift_the_columns(tmp_path, rows, suffix):
    separator = "\t" if suffix == ".tsv" else ","
    lines = [separator.join(row.values()) + separator + "x" for row in rows]
    (tmp_path / f"a{suffix}").write_text("\n".join([separator.join(rows[0]), *lines]) + "\n")
    with pytest.raises(InputError, match="Expected 4 fields in line 2, saw 5"):
        read_cohort(tmp_path / f"a{suffix}")


def test_rows_that_are_shorter_than_the_header_have_missing_values(tmp_path, rows):
    lines = ["\t".join(list(row.values())[:3]) for row in rows]
    (tmp_path / "a.tsv").write_text("\n".join(["\t".join(rows[0]), *lines]) + "\n")
    assert list(read_cohort(tmp_path / "a.tsv").table["sex"]) == [""] * 6


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_two_columns_of_one_name_are_refused(tmp_path, rows, suffix):
    table = pd.DataFrame(rows)
    table = pd.concat([table, table[["age"]]], axis=1)
    table.to_csv(tmp_path / f"a{suffix}", sep="\t" if suffix == ".tsv" else ",", index=False)
    with pytest.raises(InputError, match="has several columns named age; rename or remove"):
        read_cohort(tmp_path / f"a{suffix}")


# --- what is no cohort


@pytest.mark.parametrize("name", ["absent.tsv", "absent", "x" * 300 + ".tsv", "nul\0.tsv"])
def test_a_path_that_is_not_there_is_told(tmp_path, name):
    with pytest.raises(InputError, match=r"there is no cohort at .*give a table .* or a BIDS folder"):
        read_cohort(tmp_path / name)


@pytest.mark.parametrize("name", ["cohort.xlsx", "cohort", "scan.nii.gz"])
def test_a_file_that_is_no_table_is_told(tmp_path, name):
    (tmp_path / name).write_text("participant_id\n")
    with pytest.raises(InputError, match=r"is not a table of scans; allowed: .tsv, .csv, .parquet, or a BIDS folder"):
        read_cohort(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows_is_told(tmp_path, rows, suffix):
    path = tmp_path / f"cohort{suffix}"
    empty = pd.DataFrame(rows).iloc[:0]
    empty.to_parquet(path) if suffix == ".parquet" else empty.to_csv(
        path, sep="\t" if suffix == ".tsv" else ",", index=False
    )
    with pytest.raises(InputError, match="has no rows; a cohort needs one row a scan"):
        read_cohort(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_a_byte_is_told(tmp_path, suffix):
    (tmp_path / f"cohort{suffix}").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot read .* as a .* table .*; write it again"):
        read_cohort(tmp_path / f"cohort{suffix}")


def test_a_table_without_participants_or_images_is_told_with_its_columns(tmp_path):
    path = write_rows(tmp_path / "cohort.tsv", [{"subject": "a", "file": "b"}])
    with pytest.raises(CohortError, match="columns found: subject, file") as caught:
        read_cohort(path)
    assert caught.value.problems == ["no column 'participant_id'", "no column 'image'"]


def test_a_table_of_many_columns_alone_is_told_what_to_do_and_not_all_their_names(tmp_path):
    row = {"participant_id": "a"} | {f"area {number}": "1" for number in range(218)}
    path = write_rows(tmp_path / "cohort.csv", [row])
    with pytest.raises(
        CohortError, match=r"area 38 and 179 more; a study of columns alone says images = false"
    ) as caught:
        read_cohort(path)
    assert caught.value.problems == ["no column 'image'"]
    assert len(read_cohort(path, images=False)) == 1


def test_an_unknown_alignment_is_refused(tmp_path):
    with pytest.raises(InputError, match="unknown alignment 'center'; allowed: world, centre; did you mean 'centre'"):
        read_cohort(tmp_path, alignment="center")


# --- problems of rows, targets and images


def change_image(write):
    def change(folder, rows):
        write(folder / rows[2]["image"])

    return change


def truncate(path):
    path.write_bytes(path.read_bytes()[:-50])


def voxels(values, affine=None):
    return lambda path: save(noise(0).__class__(values, noise(0).affine if affine is None else affine), path)


NAN = noise(2).get_fdata().astype(np.float32)
NAN[1, 1, 1] = np.nan
PROBLEMS_OF_IMAGES = {
    "missing": (lambda path: path.unlink(), "no such image .*scan2.nii'"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "no such image .*scan2.nii'"),
    "truncated": (truncate, "cannot read .*scan2.nii' as an image"),
    "empty file": (lambda path: path.write_bytes(b""), "cannot read"),
    "text": (lambda path: path.write_text("no image"), "cannot read"),
    "constant": (voxels(np.full((6, 7, 8), 7, np.int16)), "is constant, every voxel is 7"),
    "4D": (voxels(np.ones((6, 7, 8, 3), np.int16)), "has shape .6, 7, 8, 3.; a T1-weighted scan has three dimensions"),
    "NaN": (voxels(NAN), "has NaN or infinite values"),
    "negative": (voxels(-noise(0).get_fdata().astype(np.int16)), "has no voxel above zero"),
    "another shape": (
        voxels(noise(2, (7, 6, 8)).get_fdata().astype(np.int16)),
        "shape .7, 6, 8. RAS, most others .6, 7, 8. RAS",
    ),
    "another orientation": (
        lambda path: save(reoriented(noise(2), "LAS"), path),
        'shape .6, 7, 8. LAS, most others .6, 7, 8. RAS; .* alignment = "centre"',
    ),
}


@pytest.mark.parametrize("kind", PROBLEMS_OF_IMAGES)
def test_an_image_that_cannot_be_used_is_told_with_its_row(tmp_path, rows, kind):
    damage, message = PROBLEMS_OF_IMAGES[kind]
    damage(tmp_path / rows[2]["image"])
    path = write_rows(tmp_path / "cohort.tsv", rows)
    (found,) = problems_of(path)
    assert found.startswith("row 3: sub-02: ")
    assert re.search(message, found)
    if kind.startswith("another"):
        assert read_cohort(path, alignment="centre").alignment == "centre"
    else:
        assert problems_of(path, alignment="centre") == [found]


def test_a_text_named_like_a_compressed_scan_is_told(tmp_path):
    rows = rows_of(tmp_path, suffix=".nii.gz")
    (tmp_path / rows[0]["image"]).write_text("this is no scan")
    (found,) = problems_of(write_rows(tmp_path / "cohort.csv", rows))
    assert found.startswith("row 1: sub-00: cannot read")


def repeat_row(rows):
    rows[4] |= {"participant_id": rows[1]["participant_id"]}


def repeat_image(rows):
    rows[4]["image"] = rows[1]["image"]


PROBLEMS_OF_ROWS = {
    "the same participant": (repeat_row, "row 5: sub-01: the same participant and session stand in an earlier row"),
    "the same image": (repeat_image, "row 5: sub-04: its image stands in an earlier row"),
    "the same image by another way": (
        lambda rows: rows[4].update(image=f"../{{}}/{rows[1]['image']}"),
        "row 5: sub-04: its image stands in an earlier row",
    ),
    "no participant": (lambda rows: rows[4].update(participant_id="n/a"), "row 5: ?: participant_id is empty"),
    "no image": (lambda rows: rows[4].update(image=""), "row 5: sub-04: image is empty"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", PROBLEMS_OF_ROWS)
def test_a_row_that_cannot_be_is_told(tmp_path, rows, kind, suffix):
    change, message = PROBLEMS_OF_ROWS[kind]
    change(rows)
    rows[4]["image"] = rows[4]["image"].format(tmp_path.name)
    assert problems_of(write_rows(tmp_path / f"cohort{suffix}", rows)) == [message]


def test_a_link_to_the_same_scan_is_the_same_scan(tmp_path, rows):
    (tmp_path / "scan4.nii").unlink()
    (tmp_path / "scan4.nii").symlink_to(tmp_path / "scan1.nii")
    found = problems_of(write_rows(tmp_path / "cohort.tsv", rows))
    assert found == ["row 5: sub-04: its image stands in an earlier row"]


def test_sessions_of_one_participant_are_rows_of_their_own(tmp_path, rows):
    for index, row in enumerate(rows):
        row |= {"participant_id": f"sub-{index // 2}", "session_id": f"ses-{index % 2}"}
    cohort = read_cohort(write_rows(tmp_path / "cohort.tsv", rows))
    assert (len(cohort), cohort.n_participants) == (6, 3)
    rows[5]["session_id"] = "ses-0"
    found = problems_of(write_rows(tmp_path / "cohort.tsv", rows))
    assert found == ["row 6: sub-2 ses-0: the same participant and session stand in an earlier row"]


@pytest.mark.parametrize(
    ("change", "target", "message"),
    [
        ({"sex": "F"}, "sex", "found only the value 'F'; a target needs two different values"),
        ({"sex": "n/a"}, "sex", "found no value at all"),
        ({}, "sexx", "unknown target column 'sexx'; allowed: .*; did you mean 'sex'?"),
        ({"age": "old"}, "age", "found only the value 'old'"),
    ],
)
def test_a_target_that_cannot_be_is_told(tmp_path, rows, change, target, message):
    path = write_rows(tmp_path / "cohort.tsv", [row | change for row in rows])
    (found,) = problems_of(path, targets=[target])
    assert re.search(message, found)
    assert read_cohort(path).n_participants == 6


def test_text_where_numbers_belong_is_told_with_every_row(tmp_path, rows):
    rows[1]["age"], rows[4]["age"] = "old", "3,5"
    (found,) = problems_of(write_rows(tmp_path / "cohort.tsv", rows), targets=["age"])
    assert "column 'age': found 'old' (row 2), '3,5' (row 5); allowed: numbers" in found


def test_all_problems_of_a_table_are_told_in_one_error(tmp_path):
    rows = rows_of(tmp_path, 12)
    (tmp_path / "scan0.nii").unlink()
    truncate(tmp_path / "scan1.nii")
    save(reoriented(noise(2), "PIR"), tmp_path / "scan2.nii")
    (tmp_path / "scan3.nii").write_text("text")
    rows[5] |= {"participant_id": "sub-04"}
    rows[7]["image"] = rows[6]["image"]
    rows[8]["participant_id"] = ""
    rows[9]["image"] = ""
    rows[10]["age"] = "old"
    for row in rows:
        row["case"] = "yes"
    path = write_rows(tmp_path / "cohort.tsv", rows)
    found = problems_of(path, targets=["age", "case", "iq"])
    assert len(found) == 11
    told = {int(number) for problem in found for number in re.findall(r"row (\d+)", problem)}
    assert told == {1, 2, 3, 4, 6, 8, 9, 10, 11}
    with pytest.raises(CohortError, match=r"11 problems in .*cohort.tsv:\n"):
        read_cohort(path, targets=["age", "case", "iq"])


# --- masks of a table


def with_masks(folder, rows):
    for index, row in enumerate(rows):
        inside = noise(index)
        save(inside.__class__((inside.get_fdata() > 300).astype(np.uint8), inside.affine), folder / f"mask{index}.nii")
        row["mask"] = f"mask{index}.nii"
    return rows


def test_masks_of_a_table_are_taken_where_there_are_some(tmp_path, rows):
    with_masks(tmp_path, rows)[3]["mask"] = "n/a"
    cohort = read_cohort(write_rows(tmp_path / "cohort.tsv", rows))
    assert [mask for _, mask in cohort.images] == [
        None if index == 3 else tmp_path / f"mask{index}.nii" for index in range(6)
    ]


def test_masks_that_do_not_fit_are_told(tmp_path, rows):
    with_masks(tmp_path, rows)
    (tmp_path / "mask0.nii").unlink()
    mask = noise(0).__class__((noise(1).get_fdata() > 300).astype(np.uint8), noise(0).affine)
    save(reoriented(mask, "LAS"), tmp_path / "mask1.nii")
    save(mask.slicer[1:], tmp_path / "mask2.nii")
    truncate(tmp_path / "mask3.nii")
    found = problems_of(write_rows(tmp_path / "cohort.tsv", rows))
    assert [problem.split(":")[0] for problem in found] == ["row 1", "row 2", "row 3", "row 4"]
    assert "no such image" in found[0]
    assert all("image and mask differ in shape or orientation" in problem for problem in found[1:3])
    assert "cannot read" in found[3]


# --- fuzz


@FUZZ
@given(content=st.binary(max_size=400), suffix=st.sampled_from(SUFFIXES))
@example(content=b"participant_id\timage\n\0\t\0\n", suffix=".tsv")
@example(content=b"participant_id,image\n" + b"x," + b"y" * 300 + b"\n", suffix=".csv")
@example(content=b'participant_id,image\n"x', suffix=".csv")
@example(content=b"\xff\xfep\0", suffix=".csv")
@example(content=b"PAR1PAR1", suffix=".parquet")
def test_random_bytes_give_nothing_but_our_errors(tmp_path, content, suffix):
    path = tmp_path / f"cohort{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_cohort(path, targets=["age"])


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@FUZZ
@given(
    lines=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5), suffix=st.sampled_from(SUFFIXES)
)
@example(lines=[["a", "NAN", "inf"], ["b", "1e999", "9" * 400]], suffix=".tsv")
def test_random_cells_give_nothing_but_our_errors(tmp_path, lines, suffix):
    path = tmp_path / f"cohort{suffix}"
    write_rows(path, [dict(zip(("participant_id", "image", "age"), line, strict=True)) for line in lines])
    with pytest.raises(InputError):
        read_cohort(path, targets=["age"])


@FUZZ
@given(changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=4), cut=st.integers(0, 3000))
@example(changes=[(24, 128)], cut=0)
def test_a_damaged_parquet_file_is_read_or_refused(tmp_path, changes, cut):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"participant_id": ["a", "b"], "age": [1.5, 2.0]}).to_parquet(path, index=False)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(bytes(content[: -cut or None] if cut < 1500 else content))
    try:
        table = read_text_table(path)
    except InputError:
        return
    assert all(isinstance(value, str) for value in table.to_numpy().ravel())


# --- real cohorts


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "ds000228").is_dir(), reason="../shared/data/ds000228 is not here")
def test_children_and_adults_in_mni_space_are_read():
    calls = []
    cohort = read_cohort(
        SHARED / "ds000228", space="MNI152", mask="brain", targets=["age", "sex"], on_scan=lambda: calls.append(1)
    )
    assert len(cohort) == cohort.n_participants == len(calls) == 123
    assert all(mask is not None for _, mask in cohort.images)
    ages = cohort.labels(infer_target("age", cohort.table))
    assert np.nanmin(ages) > 3
    assert np.nanmax(ages) < 40
    assert infer_target("sex", cohort.table).classes == ("F", "M")


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "ds002748").is_dir(), reason="../shared/data/ds002748 is not here")
def test_depression_in_native_space_is_read():
    options = {
        "columns": {"sex": "gender"},
        "recode": {"sex": {"m": "M", "f": "F"}},
        "targets": ["age", "sex", "group"],
    }
    cohort = read_cohort(SHARED / "ds002748", alignment="centre", **options)
    assert len(cohort) == cohort.n_participants == 48
    assert set(cohort.table["sex"]) == {"F", "M"}
    assert infer_target("group", cohort.table).classes == ("control", "depr")
    found = problems_of(SHARED / "ds002748", **options)
    assert all('alignment = "centre"' in problem for problem in found)


def test_heads_with_a_skull_are_told_and_those_within_their_mask_are_not(tmp_path):
    rows = []
    for index, side in enumerate((30, 30, 26)):
        voxels = np.zeros((32, 32, 32), np.int16)
        voxels[1:side, 1:side, 1:side] = 500 + np.arange(side - 1)
        image = nibabel.Nifti1Image(voxels, np.diag([4.75, 4.75, 4.75, 1]))
        save(image, tmp_path / f"scan{index}.nii")
        inside = np.zeros((32, 32, 32), np.uint8)
        inside[4:24, 4:24, 4:24] = 1
        save(nibabel.Nifti1Image(inside, image.affine), tmp_path / f"mask{index}.nii")
        rows.append({"participant_id": f"s{index}", "image": f"scan{index}.nii"})
    (note,) = read_cohort(write_rows(tmp_path / "heads.tsv", rows)).notes
    assert note.startswith("2 of 3 scans fill more than 2.3 litres")
    assert "give brain masks" in note
    masked = [{**row, "mask": f"mask{index}.nii"} for index, row in enumerate(rows)]
    assert read_cohort(write_rows(tmp_path / "masked.tsv", masked)).notes == ()
