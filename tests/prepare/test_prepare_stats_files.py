"""Stats files of every version: one person has one set of names, values are as written, damage is an InputError."""

import math
import re

import numpy as np
import pytest

from neurotransfer.errors import InputError
from neurotransfer.prepare.stats_files import read_stats, regional_table, regional_values

VOLUMES = {"Left-Lateral-Ventricle": 8012.3, "Left-Thalamus": 7280.7, "3rd-Ventricle": 593.3, "Brain-Stem": 21691.3,
           "Left-Hippocampus": 4112.9, "Left-VentralDC": 4163.8, "Right-Hippocampus": 4269.5, "5th-Ventricle": 0.0,
           "WM-hypointensities": 1079.1, "CC_Mid_Anterior": 681.8}  # fmt: skip
SEGMENTED = ["left_lateral_ventricle_mm3", "left_thalamus_mm3", "3rd_ventricle_mm3", "brain_stem_mm3",
             "left_hippocampus_mm3", "left_ventraldc_mm3", "right_hippocampus_mm3", "5th_ventricle_mm3",
             "wm_hypointensities_mm3", "cc_mid_anterior_mm3"]  # fmt: skip
MEASURES = {
    "5.3": [
        ("BrainSeg", "BrainSegVol", "Brain Segmentation Volume", "1118981.000000", "mm^3"),
        ("BrainSegNotVent", "BrainSegVolNotVent", "Brain Segmentation Volume Without Ventricles", "1107684.5", "mm^3"),
        ("lhCortex", "lhCortexVol", "Left hemisphere cortical gray matter volume", "239141.691447", "mm^3"),
        ("CorticalWhiteMatter", "CorticalWhiteMatterVol", "Total cortical white matter volume", "420878.14", "mm^3"),
        ("SupraTentorial", "SupraTentorialVol", "Supratentorial volume", "968506.790189", "mm^3"),
        ("Mask", "MaskVol", "Mask Volume", "1579089.000000", "mm^3"),
        ("BrainSegVol-to-eTIV", "BrainSegVol-to-eTIV", "Ratio of BrainSegVol to eTIV", "0.764228", "unitless"),
        ("IntraCranialVol", "ICV", "Intracranial Volume", "1464199.032007", "mm^3"),
    ],
    "7.4.1": [
        ("BrainSeg", "BrainSegVol", "Brain Segmentation Volume", "1118981.000000", "mm^3"),
        ("BrainSegNotVent", "BrainSegVolNotVent", "Brain Segmentation Volume Without Ventricles", "1107684.5", "mm^3"),
        ("lhCortex", "lhCortexVol", "Left hemisphere cortical gray matter volume", "239141.691447", "mm^3"),
        ("CerebralWhiteMatter", "CerebralWhiteMatterVol", "Total cerebral white matter volume", "420878.14", "mm^3"),
        ("SupraTentorial", "SupraTentorialVol", "Supratentorial volume", "968506.790189", "mm^3"),
        ("Mask", "MaskVol", "Mask Volume", "1579089.000000", "mm^3"),
        ("BrainSegVol-to-eTIV", "BrainSegVol-to-eTIV", "Ratio of BrainSegVol to eTIV", "0.764228", "unitless"),
        ("EstimatedTotalIntraCranialVol", "eTIV", "Estimated Total Intracranial Volume", "1464199.032007", "mm^3"),
    ],
}
MEASURED = {"measure_brain_seg_mm3": 1118981.0, "measure_brain_seg_not_vent_mm3": 1107684.5,
            "measure_lh_cortex_mm3": 239141.691447, "measure_cerebral_white_matter_mm3": 420878.14,
            "measure_supra_tentorial_mm3": 968506.790189, "measure_mask_mm3": 1579089.0,
            "measure_brain_seg_to_etiv": 0.764228, "etiv_mm3": 1464199.032007}  # fmt: skip
REGIONS = {"bankssts": (1057, 2430, 2.512), "superiorfrontal": (6994, 22380, 2.624), "insula": (1819, 5823, 3.017)}
FAST_MEASURES = [measure for measure in MEASURES["7.4.1"] if measure[1] in ("BrainSegVol", "MaskVol")]


def measure_lines(measures):
    return [f"# Measure {', '.join(measure)}" for measure in measures]


def voxels(volumes, measures=(), program="mri_segstats", intensities=True):
    """A table of segmented volumes, as mri_segstats and FastSurfer's segstats.py lay it out."""
    columns = ["Index", "SegId", "NVoxels", "Volume_mm3", "StructName"]
    columns += ["normMean", "normStdDev", "normMin", "normMax", "normRange"] * intensities
    head = ["# Title Segmentation Statistics ", "# ", f"# generating_program {program}", "# user     someone",
            "# anatomy_type volume", "# ", *measure_lines(measures), "# SegVolFile mri/aseg.mgz ", "# ExcludeSegId 0 ",
            "# TableCol  4 ColHeader Volume_mm3", "# TableCol  4 Units     mm^3",
            f"# NRows {len(volumes)} ", f"# NTableCols {len(columns)} ", f"# ColHeaders  {' '.join(columns)}  "]  # fmt: skip
    rows = [
        f"{index:3d} {index + 3:3d} {round(volume):9d} {volume:10.1f}  {name:30s}"
        + "   66.8489     7.4816    28.0000    95.0000    67.0000 " * intensities
        for index, (name, volume) in enumerate(volumes.items(), 1)
    ]
    return "\n".join([*head, *rows, ""])


def surface(regions, side="lh", measures=()):
    """A table of a hemisphere's regions, as mris_anatomical_stats lays it out."""
    head = ["# Table of FreeSurfer cortical parcellation anatomical statistics ", "# ", "# anatomy_type surface",
            f"# hemi {side}", "# Measure Cortex, NumVert, Number of Vertices, 254920, unitless",
            "# Measure Cortex, WhiteSurfArea, White Surface Total Area, 85184.4, mm^2",
            "# Measure Cortex, MeanThickness, Mean Thickness, 2.38119, mm", *measure_lines(measures), "# NTableCols 10",
            "# TableCol  3 Units     mm^2",
            "# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd"]  # fmt: skip
    rows = [
        f"{name:36s} 3563 {area:6d} {volume:6d}  {thickness:.3f} 0.704    -0.065     0.017       21     2.6"
        for name, (area, volume, thickness) in regions.items()
    ]
    return "\n".join([*head, *rows, ""])


def old_names(volumes):
    return {f"{name}-Proper" if name.endswith("Thalamus") else name: volume for name, volume in volumes.items()}


SURFACES = {f"{side}.aparc.stats": surface(REGIONS, side) for side in ("lh", "rh")}
# one person, as each version writes them
ONE = {
    "FreeSurfer 5.3": {
        **SURFACES,
        "aseg.stats": voxels(old_names(VOLUMES), MEASURES["5.3"]),
        "lh.aparc.DKTatlas40.stats": surface(REGIONS),
        "lh.aparc.a2009s.stats": surface({"G_and_S_frontomargin": (789, 1903, 2.142)}),
    },
    "FreeSurfer 6": {
        **SURFACES,
        "aseg.stats": voxels(old_names(VOLUMES), MEASURES["7.4.1"]),
        "lh.aparc.DKTatlas.stats": surface(REGIONS, measures=MEASURES["7.4.1"]),
        "lh.aparc.a2009s.stats": surface({"G&S_frontomargin": (789, 1903, 2.142)}),
    },
    "FreeSurfer 7": {
        **SURFACES,
        "aseg.stats": voxels(VOLUMES, MEASURES["7.4.1"]),
        "lh.aparc.DKTatlas.stats": surface(REGIONS, measures=MEASURES["7.4.1"]),
        "lh.aparc.a2009s.stats": surface({"G_and_S_frontomargin": (789, 1903, 2.142)}),
    },
    "FastSurfer": {
        **SURFACES,
        "aseg.stats": voxels(VOLUMES, MEASURES["7.4.1"], "segstats.py"),
        "lh.aparc.DKTatlas.mapped.stats": surface(REGIONS),
        "lh.aparc.a2009s.stats": surface({"G_and_S_frontomargin": (789, 1903, 2.142)}),
    },
}
SEGMENTED_ONLY = {**VOLUMES, "Left-Hippocampus": 4000.5, "ctx-lh-insula": 6001.5, "ctx-rh-insula": 6100.0}


def written(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def subject(folder, files, version=""):
    for name, content in files.items():
        written(folder / "stats", name, content)
    if version:
        written(folder / "scripts", "build-stamp.txt", version)
    return folder


@pytest.mark.parametrize("version", [version for version in ONE if version != "FreeSurfer 7"])
def test_one_person_has_the_same_names_and_values_in_every_version(tmp_path, version):
    expected = regional_values(subject(tmp_path / "a", ONE["FreeSurfer 7"]))
    assert len(expected) == len(SEGMENTED) + len(MEASURED) + 6 * len(REGIONS) + 6 + 3 * len(REGIONS) + 3
    assert regional_values(subject(tmp_path / "b", ONE[version])) == expected


@pytest.mark.parametrize("version", ONE)
def test_segmented_volumes_and_measures_are_as_written(tmp_path, version):
    path = written(tmp_path, "aseg.stats", ONE[version]["aseg.stats"])
    assert read_stats(path) == {**MEASURED, **dict(zip(SEGMENTED, VOLUMES.values(), strict=True))}


@pytest.mark.parametrize("side", ["lh", "rh"])
@pytest.mark.parametrize(
    ("name", "atlas"),
    [("aparc", "aparc"), ("aparc.DKTatlas", "dkt"), ("aparc.DKTatlas.mapped", "dkt"), ("aparc.DKTatlas40", "dkt")],
)
def test_surfaces_are_as_written(tmp_path, side, name, atlas):
    path = written(tmp_path, f"{side}.{name}.stats", surface({"insula": REGIONS["insula"]}, side))
    assert read_stats(path) == {
        f"measure_{side}_num_vert": 254920,
        f"measure_{side}_white_surf_area_mm2": 85184.4,
        f"measure_{side}_mean_thickness_mm": 2.38119,
        f"{side}_{atlas}_insula_thickness_mm": 3.017,
        f"{side}_{atlas}_insula_area_mm2": 1819,
        f"{side}_{atlas}_insula_volume_mm3": 5823,
    }


@pytest.mark.parametrize(
    ("name", "structure", "expected"),
    [
        ("aseg+DKT.stats", "ctx-lh-insula", "dkt_ctx_lh_insula_mm3"),
        ("aseg+DKT.VINN.stats", "ctx-rh-superiorfrontal", "dkt_ctx_rh_superiorfrontal_mm3"),
        ("aseg+DKT.stats", "Left-Cerebral-White-Matter", "left_cerebral_white_matter_mm3"),
        ("aseg.VINN.stats", "Left-Amygdala", "left_amygdala_mm3"),
        ("aseg.stats", "Left-Thalamus-Proper*", "left_thalamus_mm3"),
        ("wmparc.stats", "wm-lh-bankssts", "wmparc_wm_lh_bankssts_mm3"),
        ("wmparc.stats", "Left-UnsegmentedWhiteMatter", "wmparc_left_unsegmentedwhitematter_mm3"),
        ("wmparc.DKTatlas.mapped.stats", "wm-lh-cuneus", "wmparc_dkt_wm_lh_cuneus_mm3"),
        ("cerebellum.CerebNet.stats", "Left_I_IV", "cerebellum_left_i_iv_mm3"),
        ("hypothalamus.HypVINN.stats", "L-N.opticus", "hypothalamus_l_n_opticus_mm3"),
        ("hypothalamus.HypVINN.stats", "3rd-Ventricle", "hypothalamus_3rd_ventricle_mm3"),
        ("hypothalamus.HypVINN.stats", "Third-Ventricle", "hypothalamus_3rd_ventricle_mm3"),
    ],
)
def test_names_of_structures(tmp_path, name, structure, expected):
    assert read_stats(written(tmp_path, name, voxels({structure: 12.5}))) == {expected: 12.5}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("BrainMask, BrainMaskVol, Brain Mask Volume, 5.0, mm^3", "measure_mask_mm3"),
        ("SuperTentorial, SuperTentorialVol, Volume, 5.0, mm^3", "measure_supra_tentorial_mm3"),
        ("rhCorticalWhiteMatter, rhCorticalWhiteMatterVol, Volume, 5.0, mm^3", "measure_rh_cerebral_white_matter_mm3"),
        ("VentricleChoroidVol, VentricleChoroidVol, Volume, 5.0, mm^3", "measure_ventricle_choroid_mm3"),
        ("MaskVol-to-eTIV, MaskVol-to-eTIV, Ratio, 5.0, unitless", "measure_mask_to_etiv"),
        ("lhSurfaceHoles, lhSurfaceHoles, Holes in lh, prior to fixing, 5, unitless", "measure_lh_surface_holes"),
        ("BrainSeg, BrainSegNVox, Number of Brain Segmentation Voxels,    5, unitless", "measure_brain_seg_nvox"),
    ],
)
def test_names_of_measures(tmp_path, line, expected):
    assert read_stats(written(tmp_path, "aseg.stats", f"# Measure {line}\n" + voxels({"CSF": 1.0})))[expected] == 5


def test_other_layouts_that_are_right_are_read(tmp_path):
    plain = voxels(VOLUMES, MEASURES["5.3"])
    expected = read_stats(written(tmp_path, "aseg.stats", plain))
    for content in [
        plain.replace("\n", "\r\n"),
        "\ufeff" + plain,
        plain + "\n  \n",
        voxels(VOLUMES, MEASURES["5.3"], intensities=False),
        plain.replace("# user     someone", "# user     Zoë"),
        plain.replace(" 7.4816", "    nan"),
    ]:
        assert read_stats(written(tmp_path, "aseg.stats", content)) == expected


def test_what_is_no_structure_is_left_out(tmp_path):
    text = voxels({"Unknown-Label": 7.0, "CSF": 1.0, "unknown": 3.0, "Background": 2.0})
    assert read_stats(written(tmp_path, "aseg+DKT.stats", text)) == {"csf_mm3": 1.0}


GOOD = voxels(VOLUMES, MEASURES["7.4.1"])
ROW = re.search(r".*Left-Hippocampus.*\n", GOOD)[0]
LINE = GOOD[: GOOD.index(ROW)].count("\n") + 1
SHORT = ROW.rsplit(None, 1)[0] + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: the file is empty"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "line 1: there are signs that are not UTF-8"),
        (GOOD.replace("someone", "m\xfcller").encode("latin-1"), "line 4: there are signs that are not UTF-8"),
        (GOOD.replace("someone", "some\0one"), "line 4: the sign '\\x00' is not text"),
        (GOOD[:-1], f"line {len(GOOD.splitlines())}: the file is cut off in the middle of a line"),
        (GOOD[: GOOD.index(ROW)], f"line {LINE - 1}: the file ends after 4 rows of 10"),
        (GOOD[: GOOD.index("# NRows")], "one line '# ColHeaders' must say what the columns are"),
        (GOOD.replace("# ColHeaders", "# ColHeader"), "one line '# ColHeaders' must say what the columns are"),
        (GOOD + "# ColHeaders Index\n", "one line '# ColHeaders' must say what the columns are"),
        (GOOD.replace(" Volume_mm3 StructName", " Volume StructName"), "wanted are the columns StructName, Volume_mm3"),
        (GOOD.replace("normMin ", "normMax "), "wanted are the columns StructName, Volume_mm3, each once"),
        (GOOD.replace(ROW, SHORT), f"line {LINE}: 9 columns instead of 10"),
        (GOOD.replace(ROW, ROW.replace("\n", " 1\n")), f"line {LINE}: 11 columns instead of 10"),
        (GOOD.replace(ROW, ROW + ROW), f"line {LINE + 1}: left_hippocampus_mm3 stands there twice"),
        (GOOD.replace("Left-Hippocampus", "----------------"), f"line {LINE}: '----------------' is no name"),
        (GOOD.replace("1464199.032007, mm^3", "1464199.032007"), "a measure is name, short name, description"),
        (GOOD.replace("1464199.032007, mm^3", "1464199.032007, litres"), "a measure is name, short name, description"),
        (GOOD.replace("1464199.032007", "nan"), "eTIV is 'nan'; allowed are numbers from 0"),
        *[(GOOD.replace(" 4112.9 ", f" {bad} "), f"line {LINE}: left_hippocampus is '{bad}'; allowed are numbers from 0")
          for bad in ("-4112.9", "inf", "NaN", "4e999", "4112,9", "1_000", "--", "0x12", "٤")],
    ],
)  # fmt: skip
def test_damage_is_told_with_file_and_line(tmp_path, content, message):
    path = written(tmp_path, "aseg.stats", content)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_stats(path)
    assert repr(str(path)) in str(error.value)
    assert str(error.value).endswith("copy the file again, or let the tool write it anew")


def test_a_hemisphere_under_the_name_of_the_other_is_refused(tmp_path):
    path = written(tmp_path, "rh.aparc.stats", surface(REGIONS, "lh"))
    with pytest.raises(InputError, match=r"line 4: the file is of hemisphere 'lh' and named 'rh.aparc.stats'"):
        read_stats(path)


def test_a_header_without_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 10: the file ends after 0 rows;"):
        read_stats(written(tmp_path, "lh.aparc.stats", surface({})))


@pytest.mark.parametrize("name", ["lh.curv.stats", "aparc.stats", "lh.aseg.stats", "lh.aparc.pial.stats", "aseg.txt"])
def test_other_files_are_refused_with_the_names_that_are_read(tmp_path, name):
    with pytest.raises(InputError, match=r"unknown stats file .*; allowed: aseg.stats, .*lh.aparc.stats"):
        read_stats(written(tmp_path, name, surface(REGIONS)))


def test_what_is_no_file_is_an_input_error(tmp_path, monkeypatch):
    (tmp_path / "aseg.stats").mkdir()
    for path in (tmp_path / "aseg.stats", tmp_path / "nowhere" / "aseg.stats", tmp_path / "a\0"):
        with pytest.raises(InputError, match="there is no file"):
            read_stats(path)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, "lh.aparc.stats", surface(REGIONS))
    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(InputError, match=r"cannot read .*Permission denied"):
        read_stats(path)


def test_of_two_files_the_one_made_with_surfaces_counts(tmp_path):
    files = {**ONE["FastSurfer"], "aseg+DKT.VINN.stats": voxels(SEGMENTED_ONLY, FAST_MEASURES, "segstats.py")}
    values = regional_values(subject(tmp_path / "a", files))
    assert values["left_hippocampus_mm3"] == 4112.9
    assert values["dkt_ctx_lh_insula_mm3"] == 6001.5
    assert values["lh_dkt_insula_volume_mm3"] == 5823
    del files["aseg.stats"]
    assert regional_values(subject(tmp_path / "b", files))["left_hippocampus_mm3"] == 4000.5


def test_a_subject_without_values_or_with_damage_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has none of the stats files .* let the tool finish"):
        regional_values(subject(tmp_path / "a", {"lh.curv.stats": "x"}))
    with pytest.raises(InputError, match=r"lh.aparc.stats', line 1: the file is empty"):
        regional_values(subject(tmp_path / "b", {"aseg.stats": GOOD, "lh.aparc.stats": ""}))
    with pytest.raises(InputError, match="is no subject"):
        regional_values(tmp_path / "nowhere")


def test_subjects_that_are_alike_give_a_table_without_remarks(tmp_path):
    names = ["sub-02_ses-1", "sub-01_ses-1", "sub-01_ses-2"]
    table, remarks = regional_table([subject(tmp_path / name, ONE["FreeSurfer 7"], "v7.4.1") for name in names])
    assert remarks == []
    assert list(table["participant_id"]) == ["sub-02", "sub-01", "sub-01"]
    assert list(table["session_id"]) == ["ses-1", "ses-1", "ses-2"]
    values = regional_values(tmp_path / names[0])
    assert list(table.columns) == ["participant_id", "session_id", *values]
    assert set(table.dtypes.iloc[2:].astype(str)) == {"float64"}
    assert (table[list(values)].to_numpy() == np.array(list(values.values()))).all()


def test_what_is_missing_is_nan_and_said(tmp_path):
    paths = [
        subject(tmp_path / "sub-01", {"aseg.stats": GOOD, "lh.aparc.stats": SURFACES["lh.aparc.stats"]}),
        subject(tmp_path / "sub-02", {"aseg.stats": voxels({**VOLUMES, "Left-vessel": 30.3})}),
        subject(tmp_path / "sub-03", {"lh.curv.stats": "x"}),
        subject(tmp_path / "sub-04", {"aseg.stats": GOOD[:-1], "lh.aparc.stats": SURFACES["lh.aparc.stats"]}),
    ]
    table, remarks = regional_table(paths)
    assert table["left_hippocampus_mm3"].isna().tolist() == [False, False, True, True]
    assert table["left_vessel_mm3"].isna().tolist() == [True, False, True, True]
    assert table.columns[-1] == "left_vessel_mm3"
    assert table.iloc[2, 2:].isna().all()
    assert table.loc[3, "lh_aparc_insula_thickness_mm"] == 3.017
    cut, bare, sizeless, *missing = remarks
    assert cut.startswith("sub-04: left out: ")
    assert "aseg.stats', line" in cut
    assert bare == "1 of 4 subjects have no values of regions: sub-03"
    assert sizeless.startswith("2 of 4 subjects have no etiv_mm3")
    assert sizeless.endswith(": sub-02, sub-04")
    assert missing == [
        "1 of 31 columns are missing in sub-01: left_vessel_mm3",
        "20 of 31 columns are missing in sub-02: measure_brain_seg_mm3, measure_brain_seg_not_vent_mm3, "
        "measure_lh_cortex_mm3, measure_cerebral_white_matter_mm3, measure_supra_tentorial_mm3 and 15 more",
        "19 of 31 columns are missing in sub-04: measure_brain_seg_mm3, measure_brain_seg_not_vent_mm3, "
        "measure_lh_cortex_mm3, measure_cerebral_white_matter_mm3, measure_supra_tentorial_mm3 and 14 more",
    ]


def test_a_mixture_of_tools_versions_and_files_is_said(tmp_path):
    fast = {"aseg+DKT.stats": voxels(VOLUMES, MEASURES["7.4.1"], "segstats.py")}
    whole = {"aseg.stats": GOOD}
    paths = [
        subject(tmp_path / "sub-01", whole, "v5.3"),
        subject(tmp_path / "sub-02", whole, "v7"),
        subject(tmp_path / "sub-03", whole, "v7"),
        subject(tmp_path / "sub-04", fast),
    ]
    assert regional_table(paths[1:3])[1] == []
    _, (tools, files) = regional_table(paths)
    assert "FreeSurfer v5.3 (1), FreeSurfer v7 (2), FastSurfer (version not known) (1)" in tools
    assert files.startswith("18 columns are of aseg+DKT.stats in some subjects, of aseg.stats in others: measure_brain")


def test_one_person_twice_is_said(tmp_path):
    paths = [subject(tmp_path / name, {"aseg.stats": GOOD}) for name in ("sub-01_ses-2", "sub-01_ses-2.long.sub-01")]
    table, (remark,) = regional_table(paths)
    assert len(table) == 2
    assert remark.startswith("1 participants and sessions stand there more than once: sub-01 ses-2;")


def test_a_table_needs_subjects(tmp_path):
    with pytest.raises(InputError, match="no subject is given"):
        regional_table([])
    with pytest.raises(InputError, match="is no subject"):
        regional_table([tmp_path])


def test_subjects_of_whom_nothing_is_known_are_rows_all_the_same(tmp_path):
    table, remarks = regional_table([subject(tmp_path / "sub-01", {"aseg.stats": b""})])
    assert table.to_dict("records") == [{"participant_id": "sub-01", "session_id": ""}]
    assert len(remarks) == 2


FUZZED = {"aseg.stats": GOOD, "lh.aparc.stats": SURFACES["lh.aparc.stats"],
          "aseg+DKT.stats": voxels(SEGMENTED_ONLY, FAST_MEASURES, intensities=False)}  # fmt: skip


@pytest.mark.parametrize("name", FUZZED)
def test_a_file_cut_anywhere_gives_no_value_that_was_not_written(tmp_path, name):
    data = FUZZED[name].encode()
    whole = read_stats(written(tmp_path, name, data))
    for end in range(len(data)):
        try:
            values = read_stats(written(tmp_path, name, data[:end]))
        except InputError:
            continue
        assert values.items() <= whole.items()


@pytest.mark.parametrize("name", FUZZED)
def test_bytes_turned_over_give_finite_numbers_or_an_input_error(tmp_path, name):
    rng = np.random.default_rng(7)
    path = subject(tmp_path / "sub-01", {name: ""}) / "stats" / name
    refused = 0
    for _ in range(400):
        data = bytearray(FUZZED[name].encode())
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256) if rng.random() < 0.5 else data[place] ^ (1 << rng.integers(7))
        path.write_bytes(data)
        try:
            values = read_stats(path)
        except InputError:
            refused += 1
        else:
            assert all(type(value) is float and math.isfinite(value) and value >= 0 for value in values.values())
            assert all(re.fullmatch(r"[a-z0-9_]+", key) for key in values)
    assert 50 < refused < 400
    table, _ = regional_table([path.parents[1]])
    assert len(table) == 1
