"""Study files: what is accepted, and that everything wrong is said in one message."""

import copy
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.benchmark import parse_study, read_study
from neurotransfer.benchmark.protocols import GOES_WITH, PROTOCOLS, ProtocolPart, resolved
from neurotransfer.benchmark.study import NAME, file_name
from neurotransfer.cohort import Choices
from neurotransfer.errors import StudyError
from neurotransfer.training.augment import preset
from neurotransfer.transfer import STRATEGIES
from neurotransfer.workflow import shipped_study

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
SMALLEST = {
    "name": "small",
    "cohort": {"path": "cohort.tsv"},
    "tasks": {"age": {"target": "age"}},
    "strategies": [{"strategy": "baseline"}],
    "protocol": {"sizes": [10]},
}


def changed(**more):
    return copy.deepcopy(SMALLEST) | more


def test_the_smallest_study_has_the_protocol_of_the_talk():
    study = parse_study(SMALLEST)
    assert study.protocol.replicates == 100
    assert study.protocol.test == "fifth"
    assert not study.protocol.stratify
    assert study.strategies[0].title == "baseline"


@pytest.mark.parametrize("name", ["demo", "development", "depression"])
def test_shipped_studies_are_valid_and_use_every_strategy_of_images(name):
    study = read_study(shipped_study(name))
    assert study.name == name
    # the demo is what a newcomer waits for: what trains networks beside heads is left out
    wanted = {
        n for n, row in STRATEGIES.items() if not row.needs_columns and not (name == "demo" and row.trains_beside)
    }
    assert {part.strategy for part in study.strategies} == wanted
    assert study.protocol.replicates >= 10
    assert len(study.protocol.sizes) >= 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"sizse": [1]}, r"unknown key in the study 'sizse'"),
        ({"protocol": {"sizes": [10], "replicate": 3}}, r"'replicate'.*did you mean 'replicates'"),
        ({"cohort": {"path": "a", "spase": "MNI"}}, r"unknown key in \[cohort\] 'spase'.*did you mean 'space'"),
        ({"tasks": {"age": {"target": "age", "kind": "number"}}}, r"tasks.age.kind.*'number'"),
        ({"tasks": {"age": {"tagret": "age"}}}, r"did you mean 'target'"),
        ({"tasks": {}}, r"tasks"),
        ({"strategies": []}, r"strategies"),
        ({"strategies": [{"strategy": "finetune"}]}, r"unknown strategy 'finetune'.*did you mean 'finetuned'"),
        ({"strategies": [{"strategy": "frozen"}]}, r"'frozen' needs model"),
        ({"strategies": [{"strategy": "perceptron"}]}, r"'perceptron' needs regional_columns = "),
        ({"strategies": [{"strategy": "frozen", "model": "x"}]}, r"unknown model of strategy 'frozen' 'x'"),
        ({"strategies": [{"strategy": "baseline"}] * 2}, r"two strategies are called 'baseline'"),
        ({"strategies": [{"strategy": "linear", "grid": {"lr": [1]}}]}, r"unknown setting 'lr'"),
        ({"strategies": [{"strategy": "baseline", "grid": {"lr": []}}]}, r"has no values"),
        ({"protocol": {"sizes": []}}, r"sizes"),
        ({"protocol": {"sizes": [20, 10]}}, r"sizes must rise and be 8 or more"),
        ({"protocol": {"sizes": [1, 10]}}, r"sizes must rise and be 8 or more"),
        ({"protocol": {"sizes": [10], "replicates": 0}}, r"replicates.*found 0"),
        ({"training": {"epochs": 0}}, r"training.epochs.*found 0"),
        ({"training": {"lr": -1}}, r"training.lr.*found -1"),
        ({"models": {"m": {}}}, r"models.m: give either path"),
        ({"models": {"m": {"cohort": {"path": "c"}}}}, r"needs targets"),
        ({"name": "a/b"}, r"name"),
        ({"grid": {"voxel_size_mm": 0}}, r"voxel_size_mm"),
        ({"network": {"pooling": "mean"}}, r"pooling.*'mean'"),
        ({"network": {"width": 0}}, r"width"),
        ({"seed": -1}, r"seed"),
        ({"fit_seed": -1}, r"fit_seed.*found -1"),
        ({"protocol": {"sizes": 10}}, r"protocol.sizes: must be a list, for example \[50, 100\], found 10"),
        ({"protocol": {"sizes": "10,15"}}, r"protocol.sizes: must be a list, for example \[50, 100\], found '10,15'"),
        ({"protocol": {"sizes": [10.5]}}, r"protocol.sizes.0: must be a whole number, found 10.5"),
        ({"cohort": "sim"}, r"cohort: must be a table of key = value, found 'sim'"),
        (
            {"strategies": [{"strategy": "linear", "grid": {"penalty": [-1.0]}}]},
            r"'penalty' is a number above 0, found -1",
        ),
        ({"strategies": [{"strategy": "baseline", "grid": {"dropout": [1]}}]}, r"from 0 to below 1, found 1"),
        (
            {"strategies": [{"strategy": "baseline", "grid": {"epochs": [2.5]}}]},
            r"whole number of 1 or more, found 2.5",
        ),
        (
            {"tasks": {"age": {"target": "age", "published": ["nope"]}}},
            r"unknown published curve 'nope'; allowed: april",
        ),
        ({"tasks": {"Age": {"target": "age"}, "age": {"target": "age"}}}, r"differ by capitals only \('age'\)"),
    ],
)
def test_wrong_studies_say_what_was_found_and_allowed(more, said):
    with pytest.raises(StudyError, match=said):
        parse_study(changed(**more))


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "a/b", "../../evil", "/absolute", "a\\b", "a:b", "a\n", "x" * 61, "-a"]
)
def test_names_that_would_leave_the_run_folder_are_refused(name):
    other = {"strategies": [{"strategy": "frozen", "model": name}], "models": {name: {"path": "m"}}}
    for more in ({"tasks": {name: {"target": "age"}}}, other):
        with pytest.raises(StudyError, match="names files; allowed are 1 to 60 letters"):
            parse_study(changed(**more))
    if name:
        with pytest.raises(StudyError, match=r"strategy .* names files"):
            parse_study(changed(strategies=[{"strategy": "baseline", "label": name}]))


@pytest.mark.parametrize("name", ["age", "MMSE score", "frozen (multi-task)", "a+b", "1.5T", "âge", "_x"])
def test_ordinary_names_are_taken(name):
    assert list(parse_study(changed(tasks={name: {"target": "age"}})).tasks) == [name]
    assert parse_study(changed(strategies=[{"strategy": "linear", "label": name}])).strategies[0].title == name


@given(st.text(min_size=1))
def test_any_text_becomes_a_name_of_a_task(text):
    assert NAME.fullmatch(file_name(text))


def test_all_problems_come_in_one_message():
    with pytest.raises(StudyError) as raised:
        parse_study(changed(sizse=3, protocol={"sizes": [10], "replicates": 0}, training={"epoch": 3}))
    message = str(raised.value)
    assert message.startswith("3 problems")
    assert all(word in message for word in ("sizse", "replicates", "epoch"))


def test_missing_parts_are_named():
    with pytest.raises(StudyError, match="cohort is missing"):
        parse_study({key: value for key, value in SMALLEST.items() if key != "cohort"})


def test_no_toml_and_no_file(tmp_path):
    with pytest.raises(StudyError, match="there is no study file"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(StudyError, match="there is no study file"):
        read_study(tmp_path)
    (tmp_path / "bad.toml").write_text("name = [")
    with pytest.raises(StudyError, match="is no TOML"):
        read_study(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="is no TOML"):
        read_study(tmp_path / "bytes.toml")


def test_a_toml_file_is_read(tmp_path):
    (tmp_path / "s.toml").write_text(
        'name = "s"\ncohort = { path = "c.tsv" }\n[tasks.age]\ntarget = "age"\n[[strategies]]\nstrategy = "linear"\n'
        "[protocol]\nsizes = [10, 20]\n"
    )
    study = read_study(tmp_path / "s.toml")
    assert study.protocol.sizes == (10, 20)
    assert study.strategies[0].strategy == "linear"


def test_a_study_survives_its_own_values():
    study = parse_study(SMALLEST)
    assert parse_study(study.model_dump(mode="json")) == study


def test_training_options_become_a_recipe():
    study = parse_study(SMALLEST | {"precision": "bfloat16", "training": {
        "warm_up": 1.0, "ema": 0.9, "micro_batch": 2, "layer_decay": 0.8, "augmentation": "light", "flip": False,
        "steps": 500, "lr_growth": 0.5, "settle": False, "head_first": 3, "anchor": 0.1,
        "early_stopping": False,
    }})  # fmt: skip
    recipe = study.training.recipe
    assert (recipe.steps, recipe.lr_growth, recipe.settle, recipe.head_first, recipe.anchor) == (
        500,
        0.5,
        False,
        3,
        0.1,
    )
    assert recipe.early_stopping is False
    assert parse_study(SMALLEST).training.recipe.early_stopping is True
    assert (recipe.warm_up, recipe.ema, recipe.micro_batch, recipe.layer_decay) == (1.0, 0.9, 2, 0.8)
    assert recipe.augmentation == preset("light", False)
    assert study.precision == "bfloat16"
    assert parse_study(SMALLEST).training.recipe.augmentation is None
    assert parse_study(SMALLEST).precision == "auto"


@pytest.mark.parametrize(
    ("more", "said"),
    [({"precision": "half"}, "precision"), ({"training": {"augmentation": "heavy"}}, "augmentation"),
     ({"training": {"epochs": 2, "warm_up": 3}}, "longer than the training"), ({"training": {"ema": 1.0}}, "ema"),
     ({"training": {"epochs": 2, "head_first": 3}}, "head_first .3 epochs.*longer than the training"),
     ({"training": {"steps": -1}}, "steps"), ({"training": {"lr_growth": 3}}, "lr_growth")],
)  # fmt: skip
def test_engines_and_recipes_that_cannot_be_are_refused_with_the_study(more, said):
    with pytest.raises(StudyError, match=said):
        parse_study(SMALLEST | more)


def test_fits_have_the_seed_of_the_study_unless_they_have_their_own():
    assert parse_study(changed(seed=4)).seed_of_fits == 4
    assert parse_study(changed(seed=4, fit_seed=0)).seed_of_fits == 0
    study = parse_study(changed(fit_seed=7))
    assert (study.seed, study.seed_of_fits) == (0, 7)
    assert parse_study(study.model_dump(mode="json")) == study


# --- the protocol as data


def protocol(**more):
    return parse_study(changed(protocol={"sizes": [10], **more})).protocol


def test_the_default_is_the_talk_and_every_choice_is_recorded():
    assert protocol() == protocol(name="talk")
    assert protocol().model_dump(mode="json") == {
        "name": "talk",
        "sizes": [10],
        "replicates": 100,
        "replacement": True,
        "count": "images",
        "images": "all",
        "test": "fifth",
        "held_out": None,
        "validation": "fifth",
        "validation_size": None,
        "folds": 5,
        "stratify": False,
        "enter": None,
        "label_noise": 0.0,
        "harmonise": None,
        "choose": "score",
        "keep": "chosen",
        "search": "full",
        "selection": 0.0,
        "seen": "keep",
    }
    assert protocol().choices == Choices()


def test_a_named_protocol_is_recorded_as_what_it_chooses():
    found = protocol(name="independent-people")
    recorded = found.model_dump(mode="json")
    assert recorded["name"] == "independent-people"
    assert {key: recorded[key] for key in PROTOCOLS["independent-people"].choices} == {
        "replacement": False, "count": "participants", "images": "one", "test": "people", "held_out": 0.2,
        "validation": "folds", "folds": 5,
    }  # fmt: skip
    assert found.choices == Choices(False, "participants", "one", "people", "folds", 5)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_named_protocols_hold_and_say_what_they_are(name):
    assert set(PROTOCOLS[name].choices) <= set(ProtocolPart.model_fields) - {"name", "sizes"}
    assert re.fullmatch(r"[^.]+\.", PROTOCOLS[name].description)
    study = parse_study(changed(protocol={"sizes": [10], "name": name}))
    assert parse_study(study.model_dump(mode="json")) == study
    # choices that are spelt out are the same choices, whatever their name
    spelt = protocol(
        **{key: value for key, value in study.protocol.model_dump().items() if key not in {"name", "sizes"}}
    )
    assert spelt.choices == study.protocol.choices


@pytest.mark.parametrize(
    "given",
    [
        {"replacement": True},
        {"count": "images"},
        {"images": "all"},
        {"held_out": 0.5},
        {"held_out": {"site": "b"}},
        {"folds": 3},
        {"test": "rest"},
        {"test": "fifth", "validation": "fifth"},
        {"test": "people", "validation": "folds"},
        {"validation": "fixed", "validation_size": 12},
    ],
)
def test_what_the_file_gives_wins_and_the_rest_stays(given):
    found = protocol(name="independent-people", **given)
    named = PROTOCOLS["independent-people"].choices
    for key, value in given.items():
        assert getattr(found, key) == value
    for key in named.keys() - given.keys():
        gone = GOES_WITH.get(key) in given and given[GOES_WITH[key]] != named[GOES_WITH[key]]
        assert getattr(found, key) == (ProtocolPart.model_fields[key].default if gone else named[key])
    assert protocol(**found.model_dump(mode="json", exclude={"sizes"})) == found


def test_no_name_that_is_not_known_adds_choices():
    assert resolved("talk", {"a": 1}) == resolved("nobody's", {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "talks"}, "protocol.name: unknown protocol 'talks'; allowed: talk, independent-people; did you mean 'talk'?"),
        ({"name": 3}, "protocol.name: Input should be a valid string, found 3"),
        ({"replacment": False}, "unknown key in [protocol] 'replacment'"),
        ({"replacement": "sometimes"}, "protocol.replacement"),
        ({"count": "people"}, "protocol.count: Input should be 'images' or 'participants', found 'people'"),
        ({"images": "two"}, "protocol.images"),
        ({"test": "all"}, "protocol.test"),
        ({"validation": "fold"}, "protocol.validation"),
        ({"validation": "folds", "folds": 1}, "protocol.folds"),
        ({"validation": "folds", "folds": 21}, "protocol.folds"),
        ({"choose": "auc"}, "protocol.choose"),
        ({"label_noise": 1.0}, "protocol.label_noise"),
        ({"enter": "site"}, "protocol.enter: must be a table of key = value, found 'site'"),
        ({"enter": {"order": ["a"]}}, "protocol.enter.column is missing"),
        ({"enter": {"column": "site", "orders": ["a"]}}, "unknown key in [protocol.enter] 'orders'; allowed: column, order; did"),
        ({"enter": {"column": "site", "order": "a"}}, "protocol.enter.order: must be a list"),
        ({"enter": {"column": "site", "order": ["a", "b", "a"]}}, "protocol.enter.order: 'a' would enter twice"),
        ({"label_noise": -0.1}, "protocol.label_noise"),
        ({"keep": "none"}, "protocol.keep"),
        ({"search": "half"}, "protocol.search"),
        ({"test": "people"}, "needs held_out"),
        ({"held_out": 0.2}, "held_out goes with test = \"people\", and test is 'fifth'"),
        ({"held_out": {"site": "b"}, "test": "rest"}, "held_out goes with test = \"people\", and test is 'rest'"),
        ({"name": "independent-people", "test": "rest", "held_out": 0.2}, "and test is 'rest'"),
        ({"folds": 3}, "folds = 3 goes with validation = \"folds\""),
        ({"validation": "folds", "search": "halving"}, 'search = "halving" needs one validation set'),
        ({"validation": "fixed"}, 'validation = "fixed" needs validation_size = how many images, for example 20'),
        ({"validation": "fixed", "count": "participants"}, "needs validation_size = how many participants"),
        ({"validation": "fixed", "validation_size": 1}, "protocol.validation_size"),
        ({"validation_size": 4}, 'validation_size = 4 goes with validation = "fixed"; add it or leave out validation_size'),
        ({"name": "independent-people", "validation_size": 4}, 'validation_size = 4 goes with validation = "fixed"'),
        ({"validation": "fixed", "validation_size": 4, "folds": 3}, 'folds = 3 goes with validation = "folds"'),
        ({"name": "independent-people", "search": "halving"}, 'search = "halving" needs one validation set'),
        *(
            ({"test": "people", "held_out": value}, "protocol.held_out: must be a share of the participants above 0 and below 1")
            for value in (0, 1, 1.5, -0.1, float("nan"), True, "0.2", [0.2], {}, {"site": 2}, {"site": ["a"]})
        ),
    ],
)  # fmt: skip
def test_choices_that_cannot_be_are_refused(given, said):
    with pytest.raises(StudyError) as error:
        protocol(**given)
    assert said in str(error.value)


def test_all_problems_of_a_protocol_come_in_one_message():
    with pytest.raises(StudyError) as error:
        protocol(name="none", count="people", replicas=3, folds=1, held_out=2, search="half")
    message = str(error.value)
    assert message.startswith("6 problems")
    assert all(word in message for word in ("'none'", "count", "replicas", "folds", "held_out", "search"))
    with pytest.raises(StudyError) as error:
        protocol(held_out=0.5, validation="folds", search="halving")
    assert all(word in str(error.value) for word in ("held_out goes with", "one validation set"))


def test_sizes_are_told_in_what_they_count():
    with pytest.raises(StudyError, match="2 participants then"):
        protocol(sizes=[4], count="participants")


def test_the_page_of_the_protocol_names_every_key_and_its_snippets_are_read():
    text = DOCS.read_text(encoding="utf-8")
    snippets = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    read = [parse_study(changed(**tomllib.loads(snippet))).protocol for snippet in snippets]
    assert [found.name for found in read] == list(PROTOCOLS)
    assert read[0] == protocol(sizes=[50, 100, 200])
    assert read[1].held_out == {"site": "oslo"}
    assert set(re.findall(r"^\| `(\w+)` \|", text.split("## Every choice")[1], re.MULTILINE)) == set(
        ProtocolPart.model_fields
    )
    for name, named in PROTOCOLS.items():
        assert re.search(rf"^\| `{name}`.* \| {re.escape(named.description)} \|$", text, re.MULTILINE)
    for name, field in ProtocolPart.model_fields.items():
        line = re.search(rf"^\| `{name}` \|(.*)$", text, re.MULTILINE)[1]
        for value in getattr(field.annotation, "__args__", ()):
            assert not isinstance(value, str) or f"`{value}`" in line
