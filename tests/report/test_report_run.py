"""`report` from a folder to files: what is recognised, where the page lies, figures as files, a run of 22,500 fits."""

import json
import re
import time
from xml.etree import ElementTree

import fake_run
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neurotransfer.errors import InputError, StorageError
from neurotransfer.pages.model import Page
from neurotransfer.report import kinds, report
from neurotransfer.statistics import SCORES

VALUES = {"baseline": np.linspace(0.6, 0.7, 6), "linear": np.linspace(0.8, 0.9, 6) ** 2}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = fake_run.write_crafted(tmp_path_factory.mktemp("run"), VALUES)
    before = {path.name for path in folder.iterdir()}
    figures = folder.parent / f"{folder.name}-figures"
    return report(str(folder), figures=figures), before, figures


def test_page_lies_in_the_run_folder_and_nothing_else_is_written(written, tmp_path):
    page, before, _ = written
    assert page.name == "report.html"
    assert {path.name for path in page.parent.iterdir()} - before == {"report.html"}
    out = tmp_path / "elsewhere" / "page.htm"
    assert report(page.parent, out) == out
    assert out.read_bytes() == page.read_bytes()


def test_page_is_the_same_every_time(written, tmp_path):
    again = report(fake_run.write_crafted(tmp_path, VALUES))
    assert again.read_bytes() == written[0].read_bytes()


def test_page_loads_nothing_and_has_a_static_figure_for_each(written):
    text = written[0].read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|srcset|poster|action)="(?!data:)[^"]+"', text)
    assert not re.findall(r"<(?:link|iframe|object|embed)\b", text)
    names = set(re.findall(r'id="(sex-[a-z]+)"', text))
    assert {"sex-curves", "sex-pairs", "sex-differences"} <= names
    assert text.count('<svg role="img"') == len({name for name in names if name != "sex-scores"})


@pytest.mark.slow
def test_figures_are_saved_for_every_combination_of_choices_with_their_numbers(written):
    names = sorted(path.name for path in written[2].iterdir())
    curves = [name for name in names if name.startswith("sex-curves")]
    # both statistics of one score: others have no value
    assert curves == sorted(
        [f"sex-curves-{statistic}-auc.{ending}" for statistic in ("mean", "median") for ending in ("svg", "pdf", "png")]
        + ["sex-curves.csv", "sex-curves-Replicates.csv"]
    )
    assert {"sex-pairs-n10-auc-holm.svg", "sex-pairs-n10-auc-raw.pdf", "sex-pairs.csv"} <= set(names)
    for path in written[2].iterdir():
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        elif path.suffix == ".png":
            with Image.open(path) as image:
                assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
                assert len(image.convert("RGB").getcolors(10**7)) > 20
        elif path.suffix == ".pdf":
            content = path.read_bytes()
            assert content.startswith(b"%PDF")
            assert b"CreationDate" not in content
    table = pd.read_csv(written[2] / "sex-curves.csv", na_values="n/a")
    row = table[(table["statistic"] == "mean") & (table["strategy"] == "linear")].iloc[0]
    assert row["shown"] == pytest.approx(VALUES["linear"].mean())


def test_a_page_is_written_under_the_name_of_a_page_only(tmp_path):
    run = fake_run.write_crafted(tmp_path, VALUES)
    before = (run / "results.parquet").read_bytes()
    for name in ("results.parquet", "page", "page.pdf"):
        with pytest.raises(InputError, match=r"needs the ending .html or .htm; give another --out"):
            report(run, run / name)
    assert (run / "results.parquet").read_bytes() == before


def test_place_that_cannot_be_written_is_told(tmp_path):
    run = fake_run.write_crafted(tmp_path / "run", VALUES)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        report(run, tmp_path / "file" / "page.html")


def test_what_is_not_recognised_is_told_what_a_report_can_be_made_of(tmp_path):
    for path, found in ((tmp_path / "gone", "is not there"), (tmp_path, "is nothing that a report can be made of")):
        with pytest.raises(InputError) as error:
            report(path)
        text = str(error.value)
        assert str(path) in text
        assert found in text
        for kind in kinds.KINDS.values():
            assert kind.what in text


def test_published_curves_go_with_a_benchmark_only(tmp_path, monkeypatch):
    other = kinds.Kind("something else", lambda path: True, lambda path: Page("x", ["y"], []))
    monkeypatch.setitem(
        kinds.KINDS, "benchmark", kinds.Kind("a run", lambda path: False, lambda path: Page("", [], []))
    )
    monkeypatch.setitem(kinds.KINDS, "pretraining", other)
    with pytest.raises(InputError, match="published curves go with a benchmark run"):
        report(tmp_path, tmp_path / "p.html", published={"age": "april_age"})
    assert "<title>x" in report(tmp_path, tmp_path / "p.html").read_text()


def test_every_kind_is_told_apart(tmp_path):
    run = fake_run.write_crafted(tmp_path / "run", VALUES)
    assert kinds.kind_of(run) == "benchmark"
    assert [name for name, kind in kinds.KINDS.items() if kind.recognises(run)] == ["benchmark"]
    assert set(kinds.KINDS) == {"benchmark", "pretraining", "prepared", "predicted"}


def large_run(folder, sizes=(50, 100, 200, 400, 800), replicates=100, n_settings=9):
    """Five strategies, five sizes, a hundred replicates and nine settings: 22,500 fits."""
    folder.mkdir()
    draws = np.random.default_rng(0)
    kinds = ("baseline", "finetuned", "frozen", "linear", "voxels")
    index = pd.MultiIndex.from_product(
        [sizes, range(replicates), kinds, range(n_settings)], names=["n", "replicate", "strategy", "setting_index"]
    )
    table = index.to_frame(index=False).assign(task="sex", epochs=20, seconds=3.0, error=None, n_train_images=1)
    table["setting"] = [json.dumps({"lr": 10.0 ** -(i // 3 + 2), "dropout": i % 3 / 4}) for i in table["setting_index"]]
    cells = table.groupby(["n", "replicate", "strategy"], sort=False).ngroup()
    table["selected"] = table["setting_index"].to_numpy() == draws.integers(0, n_settings, cells.max() + 1)[cells]
    for part in ("validation", "test"):
        for name in SCORES:
            known = "binary" in SCORES[name].kinds and (table["selected"] | (part == "validation"))
            table[f"{part}_{name}"] = np.where(known, draws.uniform(0.5, 1, len(table)), np.nan)
    table.to_parquet(folder / "results.parquet")
    facts = fake_run.study() | {"tasks": {"sex": fake_run.TASKS["sex"]}, "sizes": list(sizes), "strategies": []}
    (folder / "study.json").write_text(json.dumps(facts))
    (folder / "manifest.json").write_text("{}")
    return len(table)


@pytest.mark.slow
def test_a_run_of_22500_fits_makes_a_small_page_soon(tmp_path):
    assert large_run(tmp_path / "run") == 22_500
    started = time.process_time()
    page = report(tmp_path / "run")
    seconds = time.process_time() - started
    assert page.stat().st_size < 5e6
    # about five on an idle core
    assert seconds < 30
