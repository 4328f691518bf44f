"""A scan on its way: what a step adds stays, what it does not touch stays the same."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepare_phantoms import known_affine

from neurotransfer.prepare.scan import PROPERTIES, Scan

SIDES = st.tuples(*[st.floats(0.1, 10)] * 3)
TURNS = st.tuples(*[st.floats(-180, 180)] * 3)


def scan(affine=None):
    return Scan(np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.eye(4) if affine is None else affine)


@given(SIDES, TURNS)
def test_the_sides_of_a_voxel_do_not_depend_on_how_the_head_is_turned(sides, degrees):
    turned = scan(known_affine(degrees, 1.0, (5, 6, 7)) @ np.diag([*sides, 1]))
    np.testing.assert_allclose(turned.sides_mm, sides, rtol=1e-9)
    assert turned.voxel_mm3 == pytest.approx(np.prod(sides), rel=1e-9)


def test_a_mirrored_voxel_has_a_volume_too():
    assert scan(np.diag([-2.0, 3, 4, 1])).voxel_mm3 == pytest.approx(24)


def test_a_new_scan_knows_nothing():
    new = scan()
    assert new.brain is None
    assert new.to_template is None
    assert new.properties == frozenset()
    assert new.log == ()


def test_a_step_adds_its_property_its_line_and_its_changes():
    new, brain = scan(), np.ones((2, 3, 4), bool)
    after = new.after("masked", "stripped", facts={"Level": 3}, brain=brain)
    assert after.properties == {"stripped"}
    assert after.log == ({"Step": "masked", "Done": True, "Level": 3},)
    assert after.brain is brain
    assert after.voxels is new.voxels
    # the scan before is what it was
    assert (new.properties, new.log, new.brain) == (frozenset(), (), None)


def test_a_step_that_is_passed_over_changes_nothing_but_the_log():
    new = scan().after("bias_field", "unbiased")
    after = new.passed_over("register", "registered before")
    assert after.log == (*new.log, {"Step": "register", "Done": False, "Why": "registered before"})
    for field in dataclasses.fields(Scan):
        if field.name != "log":
            assert getattr(after, field.name) is getattr(new, field.name)


@given(st.lists(st.tuples(st.sampled_from(PROPERTIES), st.booleans()), max_size=8))
def test_properties_are_never_lost_and_every_step_has_a_line(steps):
    each, wanted = scan(), set()
    for name, done in steps:
        each = each.after(name, name) if done else each.passed_over(name, "why not")
        wanted |= {name} if done else set()
        assert each.properties == wanted
    assert [(line["Step"], line["Done"]) for line in each.log] == steps


def test_a_scan_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        scan().voxels = None


def test_scans_are_compared_by_identity_not_voxel_by_voxel():
    one = scan()
    assert one == one
    assert one != scan()
    assert len({one, one.passed_over("a", "b")}) == 2
