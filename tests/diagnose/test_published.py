"""Means and standard errors alone: the talk's curves, and tables of one's own."""

import numpy as np
import pandas as pd
import pytest

from neurotransfer.diagnose.published import (
    analyse_means,
    hanley_mcneil,
    is_means,
    page_of_means,
    read_means,
    spread_sentence,
    spreads,
)
from neurotransfer.diagnose.run import diagnose
from neurotransfer.errors import InputError
from neurotransfer.published import published_names
from neurotransfer.statistics.metrics import auc


@pytest.fixture(scope="module")
def autism():
    return analyse_means(read_means("published:april_asd,april_linear_asd"))


@pytest.fixture(scope="module")
def alzheimer():
    return analyse_means(read_means("published:april_ad,april_linear_ad"))


def by_strategy(analyses):
    return {each.case.strategy: each for each in analyses}


def test_the_dip_of_finetuning_in_autism_may_be_luck(autism):
    found = by_strategy(autism)["finetuned"]
    assert found.verdict.anomaly.kind == "dip"
    assert (found.case.sizes[found.test.start], found.case.sizes[found.test.end]) == (800, 1150)
    assert found.test.depth == pytest.approx(0.033)
    assert found.test.p_dip > 0.2
    assert [finding.cause for finding in found.verdict.named] == ["luck"]


def test_the_linear_model_in_autism_rises(autism):
    found = by_strategy(autism)["linear"]
    assert found.test.depth == 0
    assert found.verdict.anomaly.kind == "none"
    assert not found.verdict.named


def test_the_linear_model_falls_in_alzheimers_disease_beyond_chance(alzheimer):
    found = by_strategy(alzheimer)["linear"]
    assert found.test.depth == pytest.approx(0.023)
    assert found.test.p_dip < 0.05
    assert not found.verdict.named


def test_no_cause_but_luck_can_be_looked_for(autism):
    for each in autism:
        assert {finding.cause for finding in each.verdict.findings if finding.status != "cannot be told"} == {"luck"}
        assert all(finding.why for finding in each.verdict.findings if finding.status == "cannot be told")


def test_finetuning_in_autism_is_far_more_unsteady_than_its_tests(autism):
    found = {(each.strategy, each.n): each for each in spreads(autism)}
    assert found["finetuned", 1500].of_replicates == pytest.approx(0.22, abs=0.01)
    assert found["finetuned", 1500].share < 0.05
    assert found["linear", 1500].share > 0.9
    said = {name: spread_sentence(each) for name, each in by_strategy(autism).items()}
    assert "unsteady" in said["finetuned"]
    assert said["linear"] == ""


def test_the_standard_error_of_an_auc_is_what_drawing_people_gives():
    generator = np.random.default_rng(0)
    observed = np.repeat([0.0, 1.0], 30)
    found = [auc(observed, generator.standard_normal(60) + 0.8 * observed) for _ in range(3000)]
    assert hanley_mcneil(float(np.mean(found)), 30, 30) == pytest.approx(np.std(found), rel=0.05)


def test_the_page_says_what_cannot_be_told(autism):
    page = page_of_means("published:april_asd", autism, 0.7)
    assert page.sections[-2].name == "untold"
    assert "Published curves" in page.sections[-1].items[-1].text
    assert any("chance alone is enough" in text for text in page.found)


@pytest.mark.parametrize("name", [name for name in published_names() if name.startswith("april")])
def test_every_published_curve_with_standard_errors_can_be_looked_at(name):
    table = read_means(f"published:{name}")
    if table["sem"].notna().any():
        assert analyse_means(table)


def test_medians_without_standard_errors_are_refused():
    with pytest.raises(InputError, match="medians alone cannot be tested"):
        analyse_means(read_means("published:november_ad"))


def test_unknown_names_are_all_said():
    with pytest.raises(InputError, match="2 problems") as error:
        read_means("published:april_asdf,nothing")
    assert "april_asdf" in str(error.value)
    assert "nothing" in str(error.value)


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "means.csv"
    rows = [("net", n, value, 0.1) for n, value in zip((50, 100, 200), (5.0, 4.0, 4.6), strict=True)]
    pd.DataFrame(rows, columns=["strategy", "n", "value", "sem"]).assign(score="mae").to_csv(path, index=False)
    assert is_means(path)
    page, (found,) = diagnose(path)
    assert page == tmp_path / "means.diagnosis.html"
    assert (tmp_path / "means.diagnosis.json").is_file()
    assert found.verdict.anomaly.points == pytest.approx(0.6)
    assert found.case.sign == -1


def test_the_order_of_rows_does_not_matter():
    table = read_means("published:april_asd")
    one, other = (analyse_means(rows)[0] for rows in (table, table.sample(frac=1, random_state=2)))
    assert one.test.p_dip == other.test.p_dip
    np.testing.assert_array_equal(one.case.goods, other.case.goods)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"strategy": ["a"], "n": [50], "value": [0.7]}, "has no 'sem'"),
        ({"strategy": ["a"], "n": [50], "value": [0.7], "sem": [0.1], "score": ["acc"]}, "'acc'"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, columns, match):
    path = tmp_path / "means.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    with pytest.raises(InputError, match=match):
        analyse_means(read_means(path))


def test_experiments_need_a_run(tmp_path):
    from neurotransfer.diagnose.trials import Asked

    with pytest.raises(InputError, match="--experiments needs a run folder"):
        diagnose("published:april_asd", tmp_path / "page.html", asked=Asked(("folds",)))
    with pytest.raises(InputError, match="give --out"):
        diagnose("published:april_asd")
