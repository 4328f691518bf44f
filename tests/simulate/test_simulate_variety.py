"""How much heads differ: every field has a range, every preset is one."""

import pytest

from neurotransfer.errors import InputError
from neurotransfer.simulate.variety import NAMES, PRESETS, SHARES, Variety, preset_variety


@pytest.mark.parametrize("name", NAMES)
def test_no_field_may_be_negative(name):
    with pytest.raises(InputError, match=name):
        Variety(**{name: -0.1})


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_at_most_one(name):
    assert name in NAMES
    assert getattr(Variety(**{name: 1.0}), name) == 1
    with pytest.raises(InputError, match="from 0 to 1"):
        Variety(**{name: 1.01})


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InputError) as caught:
        Variety(noise=float("nan"), bias=-1, cut=2, sites=1.5)  # type: ignore[arg-type]
    assert all(name in str(caught.value) for name in ("noise", "bias", "cut", "sites"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_a_name(name):
    assert preset_variety(name) is PRESETS[name]


def test_an_unknown_preset_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="t1w"):
        preset_variety("t2w")
