"""How volumes were prepared: read where it was finished, refused where it was not, nothing made of what others write."""

import json

import pytest

from neurotransfer.cohort.preparation import COMPLETE, DESCRIPTION, KEY, identity_of, preparation_of
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import InputError


def described(folder, content, complete=True):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / DESCRIPTION).write_text(text)
    if complete:
        (folder / COMPLETE).write_text("{}")
    return folder


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_what_prepare_writes_is_read(tmp_path, name):
    facts = json.loads(json.dumps(RECIPES[name].facts()))
    found = preparation_of(described(tmp_path, {"Name": "x", KEY: facts}))
    assert found == facts
    assert identity_of(found) == RECIPES[name].identity + (" at 2 mm" if name == "template" else "")


def test_a_preparation_that_has_not_ended_is_told(tmp_path):
    described(tmp_path, {KEY: RECIPES["template"].facts()}, complete=False)
    with pytest.raises(InputError, match="has not come to its end; run the same `neurotransfer prepare` again"):
        preparation_of(tmp_path)
    (tmp_path / COMPLETE).mkdir()
    with pytest.raises(InputError, match="has not come to its end"):
        preparation_of(tmp_path)


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "3", {}, {"Name": "x"}, {KEY: None}, {KEY: "fmriprep"}, {KEY: {}}, {KEY: {"Recipe": "x"}},
     {KEY: {"RecipeVersion": 1}}],
)  # fmt: skip
def test_the_description_of_somebody_elses_dataset_is_none(tmp_path, content, complete):
    found = preparation_of(described(tmp_path, content, complete))
    assert found == {}
    assert identity_of(found) == ""


def test_a_folder_without_a_description_is_none(tmp_path):
    assert preparation_of(tmp_path) == {}
    assert preparation_of(tmp_path / "nowhere") == {}
    (tmp_path / DESCRIPTION).mkdir()
    assert preparation_of(tmp_path) == {}


def test_what_is_given_may_be_changed(tmp_path):
    described(tmp_path, {KEY: RECIPES["template"].facts()})
    preparation_of(tmp_path)["Recipe"] = "other"
    assert preparation_of(tmp_path)["Recipe"] == "template"
