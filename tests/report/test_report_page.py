"""The page as a whole: self-contained, well-formed, honest about what is missing, the same every time."""

import json
from html.parser import HTMLParser

import fake_run
import pandas as pd
import pytest

from neurotransfer.errors import InputError, StorageError
from neurotransfer.report import CITATION, published_curves, published_names, report

VOID = {"meta", "br", "img", "link", "input", "hr", "use", "path"}
FEW = ("baseline", "linear")
LOADING = {"src", "srcset", "data", "poster", "action", "background"}


class Page(HTMLParser):
    """Collects text, tags, what would be loaded, and whether tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.source, self.tags, self.loads, self.identifiers, self.anchors = text, [], [], [], []
        self.texts, self.open, self.tables = [], [], 0
        self.feed(text)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in LOADING or (name.endswith("href") and not value.startswith("#")):
                self.loads.append((tag, name, value))
            if name == "id":
                self.identifiers.append(value)
            if name == "href" and tag == "a":
                self.anchors.append(value[1:])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def page_of(folder, **options):
    return Page(report(folder, **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(fake_run.write_run(tmp_path_factory.mktemp("run")))


def test_page_lies_in_the_run_folder_and_nothing_else_is_written(tmp_path):
    run = fake_run.write_run(tmp_path / "run", strategies=FEW)
    before = {path.name for path in run.iterdir()}
    assert report(str(run)) == run / "report.html"
    assert {path.name for path in run.iterdir()} - before == {"report.html"}
    out = tmp_path / "elsewhere" / "page.html"
    assert report(run, out) == out
    assert out.read_text() == (run / "report.html").read_text()


def test_page_is_the_same_every_time(tmp_path):
    pages = [report(fake_run.write_run(tmp_path / name, strategies=FEW)).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_page_loads_nothing_and_needs_no_script(page):
    assert page.loads == []
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(page.tags)
    assert "url(" not in page.source.replace("url(#", "")
    assert "@import" not in page.source
    assert "http" not in page.source.replace("http://www.w3.org/2000/svg", "").replace(
        "http://www.w3.org/1999/xlink", ""
    )


def test_page_is_well_formed(page):
    assert page.open == []
    assert len(page.identifiers) == len(set(page.identifiers))
    assert set(page.anchors) <= set(page.identifiers)
    assert page.source.startswith("<!doctype html>")
    assert 'name="viewport"' in page.source


def test_every_figure_is_there_with_a_title(page):
    # two curves, epochs and predictions a task (five strategies of age, one ROC), the pyramid
    assert page.tags.count("svg") == 2 * 3 + 5 + 1 + 1
    assert page.source.count('<svg role="img" aria-label="') == page.tags.count("svg")


def test_text_is_escaped(page):
    assert "A fake study & its <curves>" in page.text
    assert "<curves>" not in page.source
    assert "RuntimeError: loss is <nan> & gone" in page.text


def test_page_says_what_was_found_and_what_to_be_careful_about(page):
    assert "Age. At n = 10, multi-finetuned is best" in page.text
    assert "Sex. At n = 10, multi-finetuned is best" in page.text
    assert "Only 8 replicates" in page.text
    assert "in the pretraining of model multi" in page.text
    assert "not complete" not in page.text


def test_page_says_what_was_run(page):
    for text in (
        "neurotransfer benchmark fake.toml --out RUN",
        "5 minutes",
        "What voxels does.",
        "age: mae: 3.25",
        "torch 2.13.0",
        "patience",
        "480",
    ):
        assert text in page.text


def test_subgroups_and_their_reference_are_shown(page):
    assert "Subgroups apart" in page.text
    assert "MAE of the group's own mean" in page.text
    assert "predicting the group's own mean" in page.text


def test_run_that_is_not_complete_says_so_at_the_top(tmp_path):
    page = page_of(fake_run.write_run(tmp_path, complete=False))
    assert "This run is not complete. 240 of 240 fits" in page.text
    assert page.text.index("not complete") < page.text.index("What was found")
    assert "At n = 10, multi-finetuned is best" in page.text


def test_run_without_predictions_and_cohort_says_so(tmp_path):
    page = page_of(fake_run.write_run(tmp_path, with_predictions=False, with_cohort=False))
    assert "The table of predictions is not in this folder" in page.text
    assert "The table of scans is not in this folder" in page.text
    assert page.tags.count("svg") == 6


def test_run_without_subgroups_has_no_such_table(tmp_path):
    run = fake_run.write_run(tmp_path, strategies=FEW)
    pd.read_parquet(run / "predictions.parquet").assign(subgroup=None).to_parquet(run / "predictions.parquet")
    assert "Subgroups apart" not in page_of(run).text


def test_published_curves_come_from_the_study_or_the_call(tmp_path):
    facts = json.loads(json.dumps(fake_run.study()))
    facts["tasks"]["sex"]["published"] = ["april_ad"]
    page = page_of(fake_run.write_run(tmp_path, study_facts=facts, strategies=FEW))
    assert "published: frozen (April 2025)" in page.text
    assert CITATION in page.text
    page = page_of(tmp_path, published={"sex": "november_ad", "age": published_curves("april_age")})
    assert "published: linear (November 2025)" in page.text
    assert "published: frozen (April 2025)" in page.text


def test_unknown_published_curve_or_task_is_refused(tmp_path):
    run = fake_run.write_run(tmp_path, strategies=FEW)
    with pytest.raises(InputError, match="did you mean 'april_ad'"):
        report(run, published={"sex": "april_da"})
    with pytest.raises(InputError, match=r"unknown task 'sax'.*did you mean 'sex'"):
        report(run, published={"sax": "april_ad"})


def test_single_replicate_size_and_strategy_make_a_page(tmp_path):
    run = fake_run.write_run(tmp_path, complete=False)
    results = pd.read_parquet(run / "results.parquet")
    results[(results.replicate == 0) & (results.n == 25) & (results.strategy == "linear")].to_parquet(
        run / "results.parquet"
    )
    page = page_of(run)
    assert "nothing to compare it with" in page.text
    assert "Does the row beat the column?" not in page.text


def test_run_where_everything_failed_makes_a_page(tmp_path):
    run = fake_run.write_run(tmp_path, with_predictions=False, strategies=FEW)
    results = pd.read_parquet(run / "results.parquet").assign(selected=False, error="ValueError: no")
    results.to_parquet(run / "results.parquet")
    page = page_of(run)
    assert "At n = 10 no fit has a score." in page.text
    assert "192 of 192 fits failed" in page.text


@pytest.mark.parametrize("kind", ["categorical", "ordinal"])
def test_other_kinds_of_target_make_a_page(tmp_path, kind):
    facts = json.loads(json.dumps(fake_run.study()))
    facts["tasks"]["sex"] |= {"kind": kind, "score": "balanced_accuracy", "classes": ["a", "b", "c"]}
    page = page_of(fake_run.write_run(tmp_path, study_facts=facts, strategies=FEW))
    assert ("There is nothing to draw for this kind of target" in page.text) == (kind == "categorical")


def test_place_that_cannot_be_written_is_told(tmp_path):
    run = fake_run.write_run(tmp_path / "run", strategies=FEW)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        report(run, tmp_path / "file" / "page.html")


def test_published_names_are_the_documented_ones():
    april = ["ad", "age", "age_top", "asd", "scz", "reg", "linear_ad", "linear_asd", "linear_scz"]
    assert published_names() == [f"april_{name}" for name in april] + [
        f"november_{name}" for name in ("ad", "scz", "age", "age_top")
    ]


@pytest.mark.parametrize(
    ("curve", "strategy", "n", "value"),
    [
        ("november_ad", "linear", 100, 0.945),
        ("november_ad", "multi-finetuned", 500, 0.949),
        ("november_ad", "reg-finetuned", 300, 0.910),
        ("november_scz", "linear", 100, 0.5),
        ("november_age", "baseline", 2500, 0.229),
        ("november_age_top", "multi-frozen", 100, 0.518),
        ("april_asd", "finetuned", 800, 0.666),
        ("april_linear_asd", "linear", 1500, 0.701),
        ("april_age", "transferred", 100, 0.149),
    ],
)
def test_published_values_are_those_of_the_talks(curve, strategy, n, value):
    table = published_curves(curve)
    found = table[(table["strategy"] == strategy) & (table["n"] == n)]
    assert len(found) == 1
    assert found["value"].iloc[0] == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize("name", published_names())
def test_published_tables_are_complete(name):
    table = published_curves(name)
    assert list(table.columns) == ["curve", "talk", "task", "strategy", "statistic", "score", "n", "value", "sem"]
    assert set(table["score"]) == {"rae" if "age" in name else "auc"}
    assert set(table["statistic"]) == {"mean" if name.startswith("april") else "median"}
    assert not table.duplicated(["strategy", "n"]).any()
    assert table["value"].between(0, 1.1).all()
    assert table["sem"].notna().all() == name.startswith("april")


@pytest.mark.parametrize("name", ["results.parquet", "page", "page.pdf"])
def test_a_page_is_written_under_the_name_of_a_page_only(tmp_path, name):
    run = fake_run.write_run(tmp_path)
    before = (run / "results.parquet").read_bytes()
    with pytest.raises(InputError, match=r"needs the ending .html or .htm; give another --out"):
        report(run, run / name)
    assert (run / "results.parquet").read_bytes() == before
