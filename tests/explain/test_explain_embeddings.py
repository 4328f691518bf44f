"""The folder and the page of a made sample: every number that is shown is a table's."""

import re

import numpy as np
import pandas as pd
import pytest
from explained_samples import made_sample

from neurotransfer.cohort import Cohort
from neurotransfer.errors import InputError
from neurotransfer.explain.asking import Asked
from neurotransfer.explain.embeddings import PARTS, begin, default_targets, explain_embeddings, slugs, with_volumes
from neurotransfer.explain.embeddings_figures import colour_columns, coloured, evenly, signed
from neurotransfer.explain.embeddings_page import page_of, write_page
from neurotransfer.explain.embeddings_words import effect_of, power
from neurotransfer.explain.measuring import RAW
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Row

QUICK = {"n_permutations": 99, "n_halves": 30}
PICTURE = "data:image/jpeg;base64,AAAA"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    explained = explain_embeddings(made_sample(), Asked(("age",), ("*_ml",), ("age", "sex", "site"), **QUICK), folder)
    page = page_of(explained, cohort="made", pictures=[PICTURE] * 80, facts={"seed": "0"}, command="the command")
    write_page(page, folder)
    return folder, explained, page


def test_the_folder_holds_all_numbers(made):
    folder, explained, _ = made
    assert {path.name for path in folder.iterdir()} == {
        "features.parquet", "summary.parquet", "spectrum.parquet", "targets.parquet", "similarity.parquet", "traces.parquet",
        "map.parquet", "correlations_first.parquet", "correlations_second.parquet", "columns_first.parquet",
        "columns_second.parquet", "report.html",
    }  # fmt: skip
    features = pd.read_parquet(folder / "features.parquet")
    np.testing.assert_allclose(features["second.feature_003"], explained.sample.models[1].features[:, 3])
    matrix = pd.read_parquet(folder / "correlations_second.parquet")
    raw = matrix[matrix["view"] == RAW].set_index("feature").drop(columns="view")
    assert list(raw.columns) == list(raw.index) == [f"feature_{place:03d}" for place in range(11)]
    np.testing.assert_allclose(raw, explained.numbers.models[1].views[RAW].matrix, atol=1e-6)
    columns = pd.read_parquet(folder / "columns_first.parquet")
    assert columns["column"].tolist() == ["left_ml", "right_ml"] * 2
    assert len(pd.read_parquet(folder / "map.parquet")) >= 160
    spectrum = pd.read_parquet(folder / "spectrum.parquet")
    np.testing.assert_allclose(spectrum.groupby(["model", "view"])["share"].sum(), 1)


def test_sentences_say_what_the_tables_say(made):
    folder, _, page = made
    summary = pd.read_parquet(folder / "summary.parquet").set_index(["model", "view"])
    row = summary.loc[("second", RAW)]
    ends = f"{row['participation']:.1f} ({row['participation_low']:.1f} to {row['participation_high']:.1f})"
    assert f"The 11 features of second behave like {ends} independent ones" in page.found[0]
    assert "Those of first say more different things" in page.found[0]
    assert f"{row['redundancy']:.2f} (" in page.found[1]
    assert "The features of first are less redundant" in page.found[1]
    targets = pd.read_parquet(folder / "targets.parquet")
    own = targets.query("model == 'first' and view == 'raw' and target == 'age'")
    assert f"age: {(own['p_holm'] < 0.05).sum()} of 12 features of first go with it" in page.found[2]
    assert f"r {own['effect'].iloc[0]:.2f}" in page.found[2]
    traces = pd.read_parquet(folder / "traces.parquet").set_index("read_from")
    assert f"AUC {traces.loc['first', 'auc']:.2f}" in page.found[-1]
    likeness = (
        pd.read_parquet(folder / "similarity.parquet")
        .query("layer == 'features' and view == 'raw'")
        .set_index("measure")
    )
    assert f"linear CKA {likeness.loc['cka', 'value']:.2f}" in page.found[-2]
    assert any("80 scans are of 60 people" in caution for caution in page.cautions)
    assert any("1 of second" in caution for caution in page.cautions)
    assert not any("nan" in sentence for sentence in page.found)


def test_figures_show_the_tables(made):
    _, explained, page = made
    figures = {figure.name: figure for figure in figures_of(page)}
    assert list(figures) == ["features-first", "features-second", "columns-first", "columns-second", "spectrum", "targets-first",
                             "targets-second", "similarity", "map-first", "map-second"]  # fmt: skip
    view = explained.numbers.models[0].views[RAW]
    cells = figures["features-first"].layers[0].table
    assert len(cells) == 2 * 12 * 12
    assert list(dict.fromkeys(cells["feature"])) == list(dict.fromkeys(cells["other"]))
    for row in cells[cells["view"] == RAW].sample(20, random_state=1).itertuples():
        assert row.r == pytest.approx(view.matrix[int(row.feature), int(row.other)], abs=6e-4)
    # raw and without covariates in the same order
    orders = [list(dict.fromkeys(part["feature"])) for _, part in cells.groupby("view")]
    assert orders[0] == orders[1]
    grid = (
        figures["similarity"]
        .layers[0]
        .table.query("view == 'raw' and measure == 'cka'")
        .pivot(index="one", columns="two", values="value")
    )
    np.testing.assert_allclose(grid, grid.T)
    assert (np.diag(grid) == 1).all()
    dots = figures["map-second"].layers[0]
    assert dots.picture == "picture"
    assert list(figures["map-second"].colour_by)[:3] == ["age", "sex", "site"]
    assert not {"image", "participant_id", "same", "left_ml"} & set(figures["map-second"].colour_by)
    side_by_side = [item for section in page.sections for item in section.items if isinstance(item, Row)]
    assert all(len(row.items) == 2 for row in side_by_side)


def test_the_page_is_one_small_file(made):
    folder, _, _ = made
    text = (folder / "report.html").read_text()
    assert len(text) < 2_000_000
    assert PICTURE in text
    assert "the command" in text
    assert "the share of 99 shuffles of people" in text
    assert not re.search(r"(src|href)=[\"']?https?://", text)


def test_without_pictures_there_are_none(made):
    _, explained, _ = made
    page = page_of(explained, cohort="made")
    dots = [figure.layers[0] for figure in figures_of(page) if figure.name.startswith("map-")]
    assert all(layer.picture is None and "picture" not in layer.table for layer in dots)


def test_one_model_alone_has_no_pair(tmp_path):
    sample = made_sample(n=15, p=24)
    alone = type(sample)(sample.table, sample.models[1:], sample.people, 0)
    explained = explain_embeddings(alone, Asked(nuisance="", **QUICK), tmp_path)
    page = page_of(explained, cohort="made")
    assert "similarity" not in [figure.name for figure in figures_of(page)]
    assert len(page.found) == 2
    assert "fewer people (15) than features of second (23)" in page.cautions[0]
    assert list(pd.read_parquet(tmp_path / "features.parquet"))[3:5] == ["feature_000", "feature_001"]


def test_folders_are_begun_gone_on_with_and_protected(tmp_path):
    assert begin(tmp_path / "new") == tmp_path / "new" / PARTS
    (tmp_path / "new" / "features.parquet").write_text("")
    assert begin(tmp_path / "new").is_dir()
    (tmp_path / "new" / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="is complete already"):
        begin(tmp_path / "new")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.docx").write_text("")
    with pytest.raises(InputError, match=r"holds something else .thesis.docx.; give a new or an empty folder"):
        begin(tmp_path / "other")
    with pytest.raises(InputError, match="is a file"):
        begin(tmp_path / "other" / "thesis.docx")


def test_regional_volumes_are_joined(tmp_path):
    cohort = Cohort(
        "c", pd.DataFrame({"participant_id": ["a", "a", "b"], "session_id": ["1", "2", ""], "age": ["3", "4", "5"]})
    )
    path = tmp_path / "volumes.tsv"
    path.write_text("participant_id\tsession_id\tage\tgrey_mm3\na\t2\t9\t20\nb\t\t9\t30\n")
    table, names = with_volumes(cohort, path)
    assert names == ["grey_mm3"]
    assert table["grey_mm3"].tolist() == ["", "20", "30"]
    assert table["age"].tolist() == ["3", "4", "5"]
    for text, said in (
        ("id\tx\n1\t2\n", "has no column 'participant_id'"),
        ("participant_id\tx\na\t2\na\t3\n", "has a twice"),
        ("participant_id\tx\nz\t2\n", "no row of these scans"),
        ("participant_id\tage\na\t2\n", "no column that is new"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            with_volumes(cohort, path)


def test_small_things():
    assert slugs(["a b", "a_b", "ü"]) == ["a_b", "a_b-2", "model"]
    assert evenly(100, 64)[[0, -1]].tolist() == [0, 99]
    assert len(set(evenly(100, 64).tolist())) == 64
    assert power(20) == pytest.approx(0.444, abs=1e-3)
    assert effect_of("eta", 0.3, "") == "eta 0.30"
    rows = pd.DataFrame({"r2": [0.25, 0.25, 0.25], "measure": ["AUC", "r", "eta"], "effect": [0.2, -0.5, 0.5]})
    assert signed(rows).tolist() == [-0.5, -0.5, 0.5]
    table = pd.DataFrame(
        {"age": map(str, range(20)), "site": ["a", ""] * 10, "id": [f"x{k}" for k in range(20)], "one": "1"}
    )
    assert colour_columns(table, ["site", "nothing"], ["one"]) == {"site": "site", "age": "age"}
    assert coloured(table["site"]).tolist()[:2] == ["a", "unknown"]
    assert default_targets(table.assign(sex="F"), ["id"]) == ("id", "age")
