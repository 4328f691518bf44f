"""Studies of pretraining on simulated heads: what they may say, and every mistake in one message."""

from pathlib import Path

import pytest

from neurotransfer.errors import StudyError
from neurotransfer.pretrain.study import parse_simulated_study, read_simulated_study
from neurotransfer.simulate.measures import GROUPS
from neurotransfer.simulate.variety import PRESETS, Variety

SMALLEST = {"name": "small", "targets": {"age": 1.0}}
COMMITTED = Path(__file__).resolve().parents[2] / "studies" / "sim_base.toml"


def test_the_smallest_study_has_the_default_heads_and_network():
    study = parse_simulated_study(SMALLEST)
    assert study.heads.values == Variety()
    assert study.volume_grid.shape == (40, 48, 40)
    assert study.network.of_panel == {
        "members": 1, "mirrored": False, "joined": 0, "normalised": False, "width": 1.0, "pooling": "maximum", "dropout": 0.0,
    }  # fmt: skip
    assert study.real is None


def test_the_committed_study_is_read_and_names_what_the_issue_of_a_model_needs():
    study = read_simulated_study(COMMITTED)
    assert study.name == "sim-base"
    assert study.licence == "BSD-3-Clause"
    assert set(study.targets) <= set(GROUPS)
    assert study.real is not None
    assert 0 < study.real.share < 1


def test_a_variety_is_a_preset_with_changes():
    study = parse_simulated_study(SMALLEST | {"heads": {"variety": "any-contrast", "changes": {"noise": 0.5}}})
    expected = vars(PRESETS["any-contrast"]) | {"noise": 0.5}
    assert vars(study.heads.values) == expected


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"targets": {}}, "targets: must not be empty"),
        ({"targets": {"volume": 1.0}}, "unknown group of pretraining targets 'volume'"),
        ({"targets": {"age": 0.0}}, "the weight of age is above 0, got 0.0"),
        ({"targets": {"volumes": 1.0, "volumes_by_side": 1.0}}, "name the same regions"),
        ({"heads": {"variety": "t2w"}}, "unknown variety 't2w'"),
        ({"heads": {"changes": {"noises": 1}}}, "unknown change of the variety 'noises'"),
        ({"heads": {"changes": {"cut": 2}}}, "cut is from 0 to 1, got 2"),
        ({"heads": {"an_epoch": 1}}, "heads.an_epoch"),
        ({"head": {}}, "unknown key in the study 'head'"),
        ({"network": {"joined": 6}}, "network.joined"),
        ({"network": {"members": 0}}, "network.members"),
        ({"network": {"architecture": "voxels"}}, "network.architecture"),
        ({"training": {"warm_up": 99}}, "warm_up"),
        ({"real": {"path": "x", "target": "age", "share": 0}}, "real.share"),
        ({"real": {"path": "x"}}, "real.target is missing"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_studies_say_what_was_found_and_allowed(more, said):
    with pytest.raises(StudyError) as error:
        parse_simulated_study(SMALLEST | more)
    assert said in str(error.value)


def test_all_problems_come_in_one_message():
    with pytest.raises(StudyError) as error:
        parse_simulated_study({"name": "a b", "targets": {"age": 1.0}, "grid": {"voxel_size_mm": 0}, "sed": 1})
    assert str(error.value).startswith("3 problems in the study")


def test_a_file_that_is_not_there_names_one_that_is():
    with pytest.raises(StudyError, match=r"sim_base\.toml"):
        read_simulated_study("nowhere.toml")


def test_unknown_changes_and_impossible_ones_are_said_at_once():
    with pytest.raises(StudyError) as caught:
        parse_simulated_study(SMALLEST | {"heads": {"changes": {"registerd": 0.5, "halo": -1, "cropped": 3}}})
    said = str(caught.value)
    assert "registerd" in said
    assert "halo is 0 or more, got -1" in said
    assert "cropped is from 0 to 1, got 3" in said
