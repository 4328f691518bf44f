"""DICOM folders: whose they are, which series is T1-weighted, voxels where they were, and nothing personal left."""

import os
import re
import stat
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from neurotransfer.errors import ImageError, InputError, StorageError
from neurotransfer.prepare import dicom as module
from neurotransfer.prepare.dicom import Converted, convert_dicom, dicom_participants, find_converter, is_dicom_folder

pydicom = pytest.importorskip("pydicom", reason="pydicom, which makes the DICOM files of these tests, is not installed")
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid  # noqa: E402

try:
    BINARY = find_converter()
except InputError:
    BINARY = None
converts = pytest.mark.skipif(BINARY is None, reason="dcm2niix is not installed (pip install 'neurotransfer[dicom]')")

PERSONAL = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "PID4711",
    "PatientBirthDate": "19640812",
    "PatientSex": "F",
    "PatientAge": "057Y",
    "StudyDate": "20210317",
    "SeriesDate": "20210317",
    "AcquisitionDate": "20210317",
    "StudyTime": "101112",
    "SeriesTime": "101112",
    "AcquisitionTime": "101112",
    "InstitutionName": "Klinikum Nirgendwo",
    "InstitutionAddress": "Seestrasse 1",
    "ReferringPhysicianName": "Quacksalber^Q",
    "StudyDescription": "Schaedel wegen Kopfschmerz",
    "ImageComments": "kommt wieder",
    "DeviceSerialNumber": "SN12345",
    "StationName": "MRC99999",
    "AccessionNumber": "ACC00815",
}
WORDS = ("Muster", "Erika", "4711", "1964", "0812", "2021", "0317", "1011", "10:11", "Klinik", "Nirgend", "See",
         "Quack", "Kopf", "kommt", "SN123", "MRC99", "00815", "057Y", "t1_mprage")  # fmt: skip
T1 = {"EchoTime": 2.98, "RepetitionTime": 2300.0, "InversionTime": 900.0, "FlipAngle": 9.0}
T2 = {"EchoTime": 90.0, "RepetitionTime": 5000.0}
LOCALISER = {"EchoTime": 4.0, "RepetitionTime": 8.6}
ROWS, COLUMNS = 32, 40
SPACING_MM = (1.5, 1.25)
DISTANCE_MM = 2.0
AXIAL = ([1, 0, 0], [0, 1, 0], [0, 0, 1])
SAGITTAL = ([0, 1, 0], [0, 0, -1], [-1, 0, 0])
OBLIQUE = ([1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8])
CORNER = np.array([-25.0, -24.0, -60.0])


def phantom(slices, seed=0):
    """Stored values (slice, row, column) that are alike under no turn and no mirror."""
    values = np.random.default_rng(seed).integers(1, 200, (slices, ROWS, COLUMNS))
    return (values + np.arange(slices)[:, None, None] * 10 + np.arange(ROWS)[:, None] * 7).astype(np.uint16)


def series(folder, number, description, slices=64, axes=AXIAL, facts=None, suffix=".dcm", **more):
    """Write a series as DICOM files, one a slice; returns the stored values (slice, row, column)."""
    folder.mkdir(parents=True, exist_ok=True)
    along_row, along_column, along_slice = np.array(axes, float)
    values = phantom(slices, number)
    uid, frame = generate_uid(), generate_uid()
    for index, plane in enumerate(values):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = MRImageStorage
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "1.2.3.4", uid, frame
        own = {
            "Modality": "MR", "Manufacturer": "SIEMENS", "ManufacturerModelName": "Prisma", "MagneticFieldStrength": 3.0,
            "SeriesDescription": description, "ProtocolName": description, "SeriesNumber": number,
            "InstanceNumber": index + 1, "AcquisitionNumber": 1, "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
            "MRAcquisitionType": "3D", "PatientPosition": "HFS", "SliceThickness": DISTANCE_MM,
            "Rows": ROWS, "Columns": COLUMNS, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
            "PixelSpacing": list(SPACING_MM), "ImageOrientationPatient": [*along_row, *along_column],
            "ImagePositionPatient": list(CORNER + index * DISTANCE_MM * along_slice), "PixelData": plane.tobytes(),
        }  # fmt: skip
        for name, value in (PERSONAL | own | (T1 if facts is None else facts) | more).items():
            setattr(one, name, value)
        one.save_as(folder / f"{number}_{description.replace('/', '')}_{index:04d}{suffix}", enforce_file_format=True)
    return values


def examination(folder):
    """A localiser, a T1 and a T2, as an examination has them."""
    series(folder / "loc", 1, "localizer", slices=3, facts=LOCALISER)
    series(folder / "t2", 2, "t2_tse_tra", facts=T2)
    return series(folder / "mprage", 3, "t1_mprage_sag_p2")


def values_in_space(image, values, axes):
    """What an image has at the places of the stored values, which DICOM gives in LPS millimetres."""
    along_row, along_column, along_slice = np.array(axes, float)
    k, j, i = np.indices(values.shape).reshape(3, -1)
    places = CORNER + np.outer(i * SPACING_MM[1], along_row) + np.outer(j * SPACING_MM[0], along_column)
    places = (places + np.outer(k * DISTANCE_MM, along_slice)) * [-1, -1, 1]
    voxels = nibabel.affines.apply_affine(np.linalg.inv(image.affine), places)
    assert np.abs(voxels - voxels.round()).max() < 1e-3
    return np.asarray(image.dataobj)[tuple(voxels.round().astype(int).T)].reshape(values.shape)


def script(folder, body):
    """A dcm2niix of our own."""
    path = folder / "bin" / "dcm2niix"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def install(body):
        path = script(tmp_path, body)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

    return install


def mark(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM" + content)
    return path


# ---- what is a DICOM folder


@pytest.mark.parametrize("name", ["a.dcm", "a.IMA", "IM000001", "1.2.840.113", "x y/a/b/ä.dcm", "a/b/c/d/e/f/g/h/i/k"])
def test_a_folder_with_the_mark_is_a_dicom_folder(tmp_path, name):
    mark(tmp_path / name)
    assert is_dicom_folder(tmp_path)


@pytest.mark.parametrize(
    "name", ["a.nii", "a.nii.gz", "DICOMDIR", ".a.dcm", ".git/a", "sourcedata/a.dcm", "a/" * 11 + "b"]
)
def test_marks_elsewhere_do_not_count(tmp_path, name):
    mark(tmp_path / name)
    assert not is_dicom_folder(tmp_path)


def test_other_folders_are_no_dicom_folders(tmp_path):
    (tmp_path / "short.dcm").write_bytes(b"DICM")
    (tmp_path / "other.dcm").write_bytes(bytes(200))
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "lost.dcm").symlink_to(tmp_path / "nowhere")
    assert not is_dicom_folder(tmp_path)
    assert not is_dicom_folder(tmp_path / "nowhere")
    assert not is_dicom_folder(tmp_path / "short.dcm")


def test_a_bids_dataset_is_no_dicom_folder(tmp_path):
    mark(tmp_path / "extra" / "a.dcm")
    assert is_dicom_folder(tmp_path)
    (tmp_path / "dataset_description.json").write_text("{}")
    assert not is_dicom_folder(tmp_path)


def test_few_files_are_opened(tmp_path, monkeypatch):
    for index in range(100):
        (tmp_path / f"{index}.bin").write_bytes(b"")
        (tmp_path / f"{index}.nii.gz").write_bytes(b"")
    opened = []
    monkeypatch.setattr(module, "_has_mark", lambda path, **_: opened.append(path))
    assert not is_dicom_folder(tmp_path)
    assert len(opened) == module.MOST_FILES


def test_loops_of_links_end(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert not is_dicom_folder(tmp_path)
    mark(tmp_path / "a" / "b" / "c" / "x")
    assert is_dicom_folder(tmp_path)
    assert dicom_participants(tmp_path) == [("a", tmp_path / "a")]
    assert len(module._dicom_files(tmp_path)) == 1


# ---- whose it is


def test_a_folder_of_files_is_one_participant(tmp_path, monkeypatch):
    mark(tmp_path / "Anna" / "a.dcm")
    assert dicom_participants(tmp_path / "Anna") == [("Anna", tmp_path / "Anna")]
    monkeypatch.chdir(tmp_path / "Anna")
    assert dicom_participants(Path()) == [("Anna", Path())]


def test_each_folder_below_is_a_participant(tmp_path):
    for name in ("p2/a", "p1/study/series 1/a", "p1/study/series 2/a", "p3/a/b/c/d/a", "DICOMDIR", ".trash/a"):
        mark(tmp_path / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("nothing")
    assert dicom_participants(tmp_path) == [(name, tmp_path / name) for name in ("p1", "p2", "p3")]


def test_files_beside_folders_are_ambiguous(tmp_path):
    mark(tmp_path / "a.dcm")
    mark(tmp_path / "p1" / "a.dcm")
    with pytest.raises(InputError, match=r"and the folder 'p1' with DICOM files too; allowed: .* move the files"):
        dicom_participants(tmp_path)


def test_no_participants_is_an_error(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="holds no DICOM files; give a folder of them"):
            dicom_participants(folder)


# ---- conversion


@converts
@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"])
@pytest.mark.parametrize("kind", ["2D", "3D"])
def test_voxels_lie_where_they_were(tmp_path, axes, kind):
    values = series(tmp_path / "in", 7, "t1_mprage", axes=axes, MRAcquisitionType=kind)
    image = nibabel.load(convert_dicom(tmp_path / "in", tmp_path / "out").image)
    assert sorted(image.shape) == [32, 40, 64]
    assert np.allclose(sorted(image.header.get_zooms()), [1.25, 1.5, 2.0])
    assert np.array_equal(values_in_space(image, values, axes), values)
    mirrored = nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine)
    assert not np.array_equal(values_in_space(mirrored, values, axes), values)


@converts
def test_the_t1_of_an_examination_is_chosen_with_its_facts(tmp_path):
    values = examination(tmp_path / "in")
    made = convert_dicom(tmp_path / "in", tmp_path / "out")
    assert isinstance(made, Converted)
    assert made.image == tmp_path / "out" / "T1w.nii"
    assert made.series == 3
    assert made.facts == {
        "EchoTime": 0.00298, "RepetitionTime": 2.3, "InversionTime": 0.9, "FlipAngle": 9, "MagneticFieldStrength": 3,
        "Manufacturer": "Siemens", "ManufacturersModelName": "Prisma",
    }  # fmt: skip
    assert re.match(r"v1\.0\.20\d{6}$", made.version)
    assert np.array_equal(values_in_space(nibabel.load(made.image), values, AXIAL), values)


@converts
def test_nothing_personal_is_left(tmp_path):
    folder = tmp_path / "in" / "Mustermann Erika 19640812"
    series(folder, 3, "t1_mprage Mustermann")
    out = tmp_path / "out"
    made = convert_dicom(folder, out)
    assert [path.name for path in out.rglob("*")] == ["T1w.nii"]
    content = made.image.read_bytes()
    assert len(content) == 352 + 2 * 64 * ROWS * COLUMNS
    assert not [word for word in WORDS if word.encode() in content or word in repr(made.facts)]
    header = nibabel.load(made.image).header
    assert not any(header[name].item() for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type"))


@converts
@pytest.mark.parametrize(
    "name", ["with space", "-o", "--help", "Jürgen Müßig", "日本", "a'b\"$(touch x);c", "%s", "new\nline"]
)
def test_any_name_of_a_folder_will_do(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    series(Path(name), 3, "t1_mprage", slices=32)
    made = convert_dicom(Path(name), Path(f"{name}-out"))
    assert made.image.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}-out"])


@converts
def test_deep_folders_loops_and_other_files_do_not_matter(tmp_path):
    deep = tmp_path.joinpath("in", *"abcdefghijklm")
    values = series(deep, 3, "t1_mprage", suffix="")
    (deep / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    (deep / "again").symlink_to(deep / "3_t1_mprage_0000")
    mark(tmp_path / "in" / "DICOMDIR", b"nonsense")
    mark(tmp_path / "in" / "report", os.urandom(3000))
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    image = nibabel.load(convert_dicom(tmp_path / "in", tmp_path / "out").image)
    assert np.array_equal(values_in_space(image, values, AXIAL), values)


# ---- the choice


@converts
def test_several_t1s_are_listed_and_chosen_by_number(tmp_path):
    examination(tmp_path / "in")
    series(tmp_path / "in", 12, "t1_mprage_sag_p2 repeated")
    with pytest.raises(InputError) as caught:
        convert_dicom(tmp_path / "in", tmp_path / "out")
    message = str(caught.value)
    assert "holds 2 series that may be wanted; choose one by its number (--series NUMBER)" in message
    assert message.splitlines()[1:] == [
        "  series 3 ('t1_mprage_sag_p2', 40 x 32 x 64 voxels of 1.25 x 1.5 x 2 mm)",
        "  series 12 ('t1_mprage_sag_p2 repeated', 40 x 32 x 64 voxels of 1.25 x 1.5 x 2 mm)",
    ]
    assert list((tmp_path / "out").iterdir()) == []
    made = convert_dicom(tmp_path / "in", tmp_path / "out", series=12)
    assert made.series == 12
    image = nibabel.load(made.image)
    assert np.array_equal(values_in_space(image, phantom(64, 12), AXIAL), phantom(64, 12))


@converts
def test_any_structural_series_can_be_chosen_by_number(tmp_path):
    examination(tmp_path / "in")
    assert convert_dicom(tmp_path / "in", tmp_path / "out", series=2).facts["EchoTime"] == 0.09
    with pytest.raises(
        InputError, match=r"has no series 9; choose one of these:\n  series 1 .*\n  series 2 .*\n  series 3"
    ):
        convert_dicom(tmp_path / "in", tmp_path / "other", series=9)
    with pytest.raises(
        ImageError, match=r"series 1 \('localizer', .*\) of .* has only 3 slices .*; choose a structural"
    ):
        convert_dicom(tmp_path / "in", tmp_path / "other", series=1)


@converts
def test_two_series_of_one_number_are_told(tmp_path):
    series(tmp_path / "in" / "a", 3, "t1_mprage")
    series(tmp_path / "in" / "b", 3, "t1_mprage", StudyInstanceUID="1.2.9")
    for number in (None, 3):
        with pytest.raises(InputError, match="the same series number: give a folder that holds only one of them"):
            convert_dicom(tmp_path / "in", tmp_path / "out", series=number)


GRADIENT = {"EchoTime": 3.0, "RepetitionTime": 8.0, "FlipAngle": 12.0}


@converts
@pytest.mark.parametrize(
    ("description", "facts"),
    [
        ("Sag 3D T1", GRADIENT),
        ("SAG_MPRAGE", T1),
        ("MP-RAGE", T1),
        ("Ax FSPGR BRAVO", GRADIENT),
        ("sT1W_3D_TFE", GRADIENT),
        ("ir-fspgr part2", GRADIENT),
        ("3dt1 set2", {}),
        ("HEAD", T1),
    ],
)
def test_series_that_are_t1_weighted(tmp_path, description, facts):
    series(tmp_path / "in", 4, description, slices=32, facts=facts)
    assert convert_dicom(tmp_path / "in", tmp_path / "out").series == 4


@converts
@pytest.mark.parametrize(
    ("description", "changes", "reason"),
    [
        ("t2_space_sag", {}, "it is called 't2'"),
        ("AXT2", {}, "it is called 'axt2'"),
        ("t1_flair", {}, "it is called 'flair'"),
        ("AAHead_Scout t1", {}, "it is called 'scout'"),
        ("gre_field_mapping t1", {}, "it is called 'field'"),
        ("t1_mprage", {"EchoTime": 12.0}, "its echo time is 12 ms"),
        ("t1 pure", {"RepetitionTime": 6000.0, "InversionTime": None}, "its repetition time is 6 s, without inversion"),
        ("t1_mprage", {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "its image type is DERIVED, MPR"),
        ("t1_mprage", {"SliceThickness": 5.0}, "has slices or voxels of 5 mm; at most 4 are allowed"),
        ("t1_mprage", {"slices": 20}, "has only 20 slices"),
        ("HEAD part1", {"InversionTime": None}, "nothing says that it is T1-weighted"),
    ],
)
def test_series_that_are_not_are_listed_with_the_reason(tmp_path, description, changes, reason):
    series(tmp_path / "in", 4, description, **({"slices": 32} | changes))
    with pytest.raises(
        InputError, match="looks T1-weighted and structural; if one is, choose it by its number"
    ) as caught:
        convert_dicom(tmp_path / "in", tmp_path / "out")
    assert reason in str(caught.value).splitlines()[1]
    assert list((tmp_path / "out").iterdir()) == []


@converts
def test_a_series_over_time_is_no_structural_one(tmp_path):
    folder = tmp_path / "in"
    series(folder, 4, "t1_mprage")
    for index, path in enumerate(sorted(folder.iterdir())):
        one = pydicom.dcmread(path)
        one.ImagePositionPatient = list(CORNER + np.array([0, 0, DISTANCE_MM * (index % 32)]))
        one.AcquisitionNumber = 1 + index // 32
        one.save_as(path)
    with pytest.raises(InputError, match="has 4 dimensions, not 3"):
        convert_dicom(folder, tmp_path / "out")


@converts
def test_a_name_goes_before_none(tmp_path):
    series(tmp_path / "in", 3, "HEAD")
    series(tmp_path / "in", 4, "t1_mprage")
    assert convert_dicom(tmp_path / "in", tmp_path / "out").series == 4


# ---- what can go wrong


@converts
def test_missing_slices_are_told_but_only_those_of_the_series(tmp_path):
    series(tmp_path / "in", 3, "t1_mprage")
    series(tmp_path / "in", 2, "t2", facts=T2)
    (tmp_path / "in" / "2_t2_0010.dcm").unlink()
    assert convert_dicom(tmp_path / "in", tmp_path / "out").series == 3
    (tmp_path / "in" / "3_t1_mprage_0010.dcm").unlink()
    with pytest.raises(ImageError, match=r"slices are missing in series 3 \('t1_mprage'.* export the series again"):
        convert_dicom(tmp_path / "in", tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


@converts
def test_numbers_of_instances_with_gaps_are_no_missing_slices(tmp_path):
    series(tmp_path / "in", 3, "t1_mprage")
    for index, path in enumerate(sorted((tmp_path / "in").iterdir())):
        one = pydicom.dcmread(path)
        one.InstanceNumber = 2 * index + 1
        one.save_as(path)
    assert convert_dicom(tmp_path / "in", tmp_path / "out").series == 3


@converts
def test_a_truncated_file_is_told_unless_another_series_is_chosen(tmp_path):
    series(tmp_path / "in", 3, "t1_mprage")
    series(tmp_path / "in", 4, "t1_mprage again")
    damaged = tmp_path / "in" / "4_t1_mprage again_0010.dcm"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    with pytest.raises(
        ImageError, match=r"failed on .* with exit code 8: .*Converted 64 of 128 files; export"
    ) as caught:
        convert_dicom(tmp_path / "in", tmp_path / "out")
    assert "again_0010" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []
    assert convert_dicom(tmp_path / "in", tmp_path / "out", series=3).series == 3


@converts
def test_files_with_the_mark_and_nothing_else_are_told(tmp_path):
    mark(tmp_path / "in" / "a.dcm", os.urandom(3000))
    with pytest.raises(ImageError, match=r"failed on .* with exit code 2: .*No valid DICOM images were found"):
        convert_dicom(tmp_path / "in", tmp_path / "out")


@converts
def test_a_full_disk_is_told(tmp_path, fake):
    series(tmp_path / "in", 3, "t1_mprage")
    fake(f"trap '' XFSZ; ulimit -f 40; exec '{BINARY}' \"$@\"")
    with pytest.raises(StorageError, match="no space left for what dcm2niix makes"):
        convert_dicom(tmp_path / "in", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@converts
def test_a_sidecar_that_is_no_json_leaves_the_choice_by_number(tmp_path, fake):
    series(tmp_path / "in", 3, "t1_mprage")
    fake(f"'{BINARY}' \"$@\"; printf '\\377{{' > 3.json")
    with pytest.raises(InputError, match=r"series 3 \('', .*: nothing says that it is T1-weighted"):
        convert_dicom(tmp_path / "in", tmp_path / "out")
    made = convert_dicom(tmp_path / "in", tmp_path / "out", series=3)
    assert (made.series, made.facts) == (3, {})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo one; echo two >&2; exit 7", r"failed on .* with exit code 7: one / two; export the series again"),
        ("kill -SEGV $$", r"failed on .* with exit code -11: it says nothing"),
        ("echo hello", r"made no image of .*: hello; does it hold MRI\?"),
        ("touch 3.nii", r"made no image of .*: it says nothing"),
        ("touch 3.nii 3.json", "'3.nii' that dcm2niix made is no NIfTI-1 image"),
        ("head -c 500 /dev/zero > 3.nii; touch 3.json", "'3.nii' that dcm2niix made is no NIfTI-1 image"),
    ],
)
def test_a_program_that_fails_is_told_and_nothing_left(tmp_path, fake, body, message):
    mark(tmp_path / "in" / "a.dcm")
    fake(body)
    with pytest.raises(ImageError, match=message):
        convert_dicom(tmp_path / "in", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path, fake):
    mark(tmp_path / "in" / "a.dcm")
    fake(f"sleep 60 & echo $! > '{tmp_path}/child'; touch 3.nii; wait")
    start = time.monotonic()
    with pytest.raises(ImageError, match=r"had not finished after 0.5 s; copy the DICOM files to a local disk"):
        convert_dicom(tmp_path / "in", tmp_path / "out", timeout_s=0.5)
    assert time.monotonic() - start < 10
    assert list((tmp_path / "out").iterdir()) == []
    child = Path("/proc", (tmp_path / "child").read_text().strip())
    for _ in range(100):
        if not child.exists() or "\nState:\tZ" in (child / "status").read_text():
            return
        time.sleep(0.05)
    pytest.fail("the child of the program is still there")


def test_a_program_that_cannot_be_run_is_told(tmp_path, monkeypatch):
    mark(tmp_path / "in" / "a.dcm")
    path = script(tmp_path, "")
    path.write_bytes(b"\x7fELF nothing")
    monkeypatch.setenv("PATH", str(path.parent))
    with pytest.raises(InputError, match=r"cannot run '.*dcm2niix': .*; install dcm2niix anew"):
        convert_dicom(tmp_path / "in", tmp_path / "out")


def test_the_program_on_path_goes_before_that_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    package = module.util.find_spec("dcm2niix")
    if package is not None:
        assert find_converter().parent == Path(package.origin).parent
    path = script(tmp_path, "")
    monkeypatch.setenv("PATH", str(path.parent))
    assert find_converter() == path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "bin")
    assert find_converter() == path


def test_a_program_that_is_absent_is_told(tmp_path, monkeypatch):
    mark(tmp_path / "in" / "a.dcm")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"run pip install 'neurotransfer\[dicom\]', or install the system's package"):
        convert_dicom(tmp_path / "in", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_without_dicom_is_told(tmp_path, fake):
    fake("")
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=r"holds no DICOM files .*; give their folder"):
        convert_dicom(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InputError, match=r"cannot read '.*nowhere': No such file or directory; give a folder of DICOM"):
        convert_dicom(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize("name", ["in/a.dcm", "in"])
def test_what_may_not_be_read_is_told(tmp_path, fake, monkeypatch, name):
    fake("")
    mark(tmp_path / "in" / "a.dcm")
    closed = tmp_path / name
    refusal = PermissionError(13, "Permission denied", str(closed))

    def refused(path, *_):
        if Path(path) == closed:
            raise refusal
        return real(path)

    # the tests may be run by root, who may read everything
    where, what = (Path, "open") if closed.is_file() else (module.os, "scandir")
    real = getattr(where, what)
    monkeypatch.setattr(where, what, refused)
    with pytest.raises(InputError, match=f"cannot read '{re.escape(str(closed))}': Permission denied; give a folder"):
        convert_dicom(tmp_path / "in", tmp_path / "out")
    assert not is_dicom_folder(tmp_path / "in")


def test_what_is_there_already_is_not_written_over(tmp_path, fake):
    fake("")
    (tmp_path / "T1w.nii").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        convert_dicom(tmp_path, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        convert_dicom(tmp_path, tmp_path / "file" / "out")
    assert (tmp_path / "T1w.nii").read_text() == "mine"
