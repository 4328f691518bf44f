"""Numbers of quality against numbers by hand and the formulas of MRIQC; what a bad scan looks like in them."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from prepare_phantoms import T1, T2, head, known_affine

from neurotransfer.cohort.mni import average_brain
from neurotransfer.prepare import quality
from neurotransfer.prepare.quality import (
    AIR_GAP_MM,
    FLUID,
    GREY,
    LEAST_AIR_VOXELS,
    WHITE,
    air_of,
    as_row,
    efc,
    examine,
    inside_of,
    similarity,
    snr,
)
from neurotransfer.prepare.tissue import Tissues, find_tissues

VOLUMES = arrays(np.float64, st.tuples(*[st.integers(2, 4)] * 3), elements=st.floats(0.01, 1e4))
MANY = settings(max_examples=50, deadline=None)


def examined(phantom, raw=None, **changes):
    """What is seen of a phantom whose place is known."""
    scan = replace(phantom.scan("aligned"), to_template=phantom.to_template, **changes)
    return examine(scan, phantom.voxels if raw is None else raw)


@pytest.fixture(scope="module")
def raw_head():
    return head(known_affine((6, 3, -4), 1.02, (3, -5, 2)), 2.0, skull=True, noise=0.03, air=0.01)


@pytest.fixture(scope="module")
def seen(raw_head):
    return examined(raw_head)


# --- formulas


def mriqc_efc(volume):
    """As MRIQC writes it (anatomical.py), without its frame."""
    n = volume.size
    most = 1.0 * n * (1.0 / np.sqrt(n)) * np.log(1.0 / np.sqrt(n))
    top = np.sqrt((volume**2).sum())
    return float((1.0 / most) * np.sum((volume / top) * np.log((volume + 1e-16) / top)))


@MANY
@given(VOLUMES)
def test_efc_is_that_of_mriqc_between_0_and_1(volume):
    assert efc(volume) == pytest.approx(mriqc_efc(volume), abs=1e-9)
    assert -1e-9 <= efc(volume) <= 1 + 1e-9


@MANY
@given(VOLUMES, st.floats(0.01, 100))
def test_efc_has_no_unit(volume, factor):
    assert efc(volume * factor) == pytest.approx(efc(volume), abs=1e-9)


def test_efc_by_hand():
    assert efc(np.ones((2, 2, 2))) == pytest.approx(1)
    one = np.zeros((2, 2, 2))
    one[0, 0, 0] = 9
    assert efc(one) == pytest.approx(0)
    # two of eight: 2 x sqrt(1/2) ln(sqrt 2) by sqrt(8) ln(sqrt 8)
    one[1, 1, 1] = 9
    assert efc(one) == pytest.approx(math.sqrt(2) * math.log(math.sqrt(2)) / (math.sqrt(8) * math.log(math.sqrt(8))))
    assert efc(np.zeros((2, 2, 2))) == 0
    assert efc(np.ones((1, 1, 1))) == 0


def test_efc_rises_with_ghosts_and_noise():
    clean = head(sides_mm=4.0, noise=0.0)
    noisy = head(sides_mm=4.0, noise=0.0, air=0.05)
    assert efc(noisy.voxels) > efc(clean.voxels) + 0.1


def test_efc_takes_negative_values_for_nothing():
    volume = np.random.default_rng(0).normal(0, 1, (5, 5, 5))
    assert efc(volume) == pytest.approx(efc(np.clip(volume, 0, None)))


@pytest.mark.parametrize(
    ("middle", "deviation", "n", "wanted"), [(100, 10, 2, 7.0711), (100, 10, 101, 9.9504), (0, 1, 9, 0)]
)
def test_snr_by_hand(middle, deviation, n, wanted):
    assert snr(middle, deviation, n) == pytest.approx(wanted, abs=1e-3)


@MANY
@given(st.floats(1, 1000), st.floats(0.1, 100), st.integers(2, 10**6))
def test_snr_is_that_of_mriqc(middle, deviation, n):
    assert snr(middle, deviation, n) == pytest.approx(middle / (deviation * math.sqrt(n / (n - 1))), rel=1e-6)


def test_a_summary_by_hand():
    middle, deviation, n, spread = quality._summary(np.array([1.0, 2, 3, 4, 100]))
    assert (middle, n) == (3, 5)
    assert deviation == pytest.approx(np.std([1, 2, 3, 4, 100]))
    # the middle of |-2|, |-1|, 0, 1, 97
    assert spread == pytest.approx(1.4826)
    for values in ([], [5.0]):
        middle, deviation, n, spread = quality._summary(np.array(values))
        assert np.isnan([middle, deviation, spread]).all()
        assert n == len(values)


def test_noise_and_contrast_are_those_of_mriqc(monkeypatch):
    """Boxes of tissue whose every number is known, with the air around them."""
    generator = np.random.default_rng(0)
    shape, cuts = (40, 40, 40), {FLUID: slice(5, 15), GREY: slice(15, 25), WHITE: slice(25, 35)}
    masks, voxels = np.zeros((3, *shape), bool), np.abs(generator.normal(0, 2, shape))
    for which, cut in cuts.items():
        masks[which, cut, 10:30, 10:30] = True
        voxels[masks[which]] = generator.normal(T1[which], 3 + which, masks[which].sum())
    voxels = voxels.astype(np.float32)
    air = generator.rayleigh(2.0, 5000)
    monkeypatch.setattr(quality, "tissue_masks", lambda *_: masks)
    monkeypatch.setattr(quality, "air_of", lambda *_: air)
    phantom = head(sides_mm=4.0)
    scan = replace(phantom.scan(), voxels=voxels, brain=masks.any(0))
    tissues = Tissues(np.ones((3, 2, 2, 2)) * np.array([1, 3, 4]).reshape(3, 1, 1, 1), np.zeros(3), np.ones(3), 1.0)
    found = quality._noise(scan, voxels, tissues, np.eye(4))

    inner = [voxels[quality._eroded(mask)].astype(float) for mask in masks]
    middles = [np.median(values) for values in inner]
    stds = [values.std() for values in inner]
    mads = [1.4826 * np.median(np.abs(values - np.median(values))) for values in inner]
    for which, name in ((FLUID, "fluid"), (GREY, "grey"), (WHITE, "white")):
        n = len(inner[which])
        assert found[f"snr_{name}"] == pytest.approx(middles[which] / (stds[which] * math.sqrt(n / (n - 1))), rel=1e-4)
    contrast = abs(middles[WHITE] - middles[GREY])
    assert found["cnr"] == pytest.approx(
        contrast / math.sqrt(air.std() ** 2 + stds[WHITE] ** 2 + stds[GREY] ** 2), rel=1e-4
    )
    assert found["cjv"] == pytest.approx((mads[WHITE] + mads[GREY]) / contrast, rel=1e-4)
    factor = 1.0 / math.sqrt(2 / (4 - math.pi))
    assert found["snr_dietrich"] == pytest.approx(factor * middles[WHITE] / air.std(), rel=1e-4)
    assert found["contrast"] == pytest.approx(
        (middles[WHITE] - middles[GREY]) / (middles[WHITE] + middles[GREY]), rel=1e-4
    )
    assert [found[f"{name}_share"] for name in ("fluid", "grey", "white")] == pytest.approx([1 / 8, 3 / 8, 4 / 8])
    # air of a scan whose tissue was made twice as bright since is twice as bright too
    twice = quality._noise(replace(scan, voxels=voxels * 2), voxels, tissues, np.eye(4))
    assert twice == pytest.approx(found, rel=1e-4)


# --- a phantom


def test_a_good_head_has_good_numbers(raw_head, seen):
    found = seen.quality
    assert found["orientation"] == "RAS"
    assert (found["voxel_x_mm"], found["voxel_y_mm"], found["voxel_z_mm"]) == (2, 2, 2)
    assert found["brain_litres"] == pytest.approx(raw_head.brain.sum() * 8e-6)
    assert found["overlap"] > 0.97
    assert found["inside"] == 1
    assert found["turned_degrees"] == 0
    assert found["similarity"] > 0.7
    assert 0.1 < found["contrast"] < 0.35
    assert found["snr_white"] > found["snr_fluid"]
    assert sum(found[f"{name}_share"] for name in ("fluid", "grey", "white")) == pytest.approx(1)
    assert all(np.isfinite(value) for value in found.values() if not isinstance(value, str))


@pytest.mark.slow
def test_noise_is_seen():
    less, more = (examined(head(sides_mm=2.5, noise=noise)).quality for noise in (0.01, 0.08))
    assert less["snr_white"] > more["snr_white"]
    assert less["cnr"] > more["cnr"]
    assert less["cjv"] < more["cjv"]


def test_a_t2_weighted_head_has_the_contrast_of_one():
    found = examined(head(sides_mm=2.5, brightness=T2)).quality
    assert found["contrast"] < -0.02
    assert found["similarity"] < 0


def test_numbers_have_no_unit(raw_head, seen):
    times = replace(raw_head.scan("aligned"), voxels=raw_head.voxels * np.float32(8), to_template=raw_head.to_template)
    found = examine(times, raw_head.voxels * np.float32(8)).quality
    for name, value in seen.quality.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value, rel=0.02))


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["LPS", "SAR"])
def test_the_order_of_voxels_does_not_matter(raw_head, seen, codes):
    found = examined(raw_head.reoriented(codes)).quality
    assert found.pop("orientation") == codes
    for name in ("overlap", "similarity", "inside", "brain_litres", "snr_white", "snr_grey", "cjv", "contrast", "efc"):
        assert found[name] == pytest.approx(seen.quality[name], rel=0.02)
    # the air is drawn from every second voxel
    assert found["snr_dietrich"] == pytest.approx(seen.quality["snr_dietrich"], rel=0.1)


@pytest.mark.slow
def test_a_scan_that_was_not_aligned_is_aligned_here(raw_head, seen):
    found = examine(raw_head.scan(), raw_head.voxels)
    assert found.quality["overlap"] == pytest.approx(seen.quality["overlap"], abs=0.01)
    np.testing.assert_allclose(found.to_template, raw_head.to_template, atol=1.5)


def test_an_angle_that_registration_found_is_told(raw_head):
    log = ({"Step": "register", "Done": True, "AxesTurnedByDegrees": 90},)
    assert examined(raw_head, log=log).quality["turned_degrees"] == 90


# --- field of view


def cut(phantom, keep):
    """A phantom whose field of view ends below a share `keep` of its height."""
    stop = int(phantom.voxels.shape[2] * keep)
    brain, voxels = phantom.brain[..., :stop], phantom.voxels[..., :stop]
    return replace(phantom.scan(), voxels=voxels, brain=brain)


def test_inside_falls_when_a_head_is_cut_off():
    phantom = head(sides_mm=3.0)
    shares = [inside_of(cut(phantom, keep), phantom.to_template) for keep in (1.0, 0.75, 0.6, 0.4)]
    assert shares[0] == 1
    assert all(one > other for one, other in pairwise(shares))
    kept = cut(phantom, 0.6).brain.sum() / phantom.brain.sum()
    assert shares[2] == pytest.approx(kept, abs=0.02)


def test_a_brain_that_was_cropped_to_itself_is_not_cut_off():
    phantom = head(known_affine(scale=0.97), 2.0)
    box = tuple(
        slice(side.min(), side.max() + 1)
        for side in (np.flatnonzero(phantom.brain.any(tuple({0, 1, 2} - {axis}))) for axis in range(3))
    )
    affine = phantom.affine.copy()
    affine[:3, 3] += 2.0 * np.array([side.start for side in box])
    tight = replace(phantom.scan("stripped"), voxels=phantom.voxels[box], brain=phantom.brain[box], affine=affine)
    assert inside_of(tight, phantom.to_template) == 1
    # as if it were the same person, but placed by a head that is somewhat larger
    assert inside_of(tight, np.linalg.inv(known_affine(scale=1.03))) > 0.97


def test_nothing_is_inside_elsewhere():
    phantom = head(sides_mm=4.0)
    assert inside_of(phantom.scan(), known_affine(shift_mm=(900, 0, 0))) == 0


def test_similarity_is_a_correlation():
    average = average_brain(2)
    scan = replace(head(sides_mm=4.0).scan(), voxels=average.t1, affine=average.affine, brain=average.mask)
    assert similarity(scan, np.eye(4)) == pytest.approx(1, abs=1e-5)
    upside_down = replace(scan, voxels=np.where(average.mask, 2 - average.t1, 0).astype(np.float32))
    assert similarity(upside_down, np.eye(4)) == pytest.approx(-1, abs=1e-3)
    for voxels in (np.zeros_like(average.t1), average.mask.astype(np.float32)):
        assert similarity(replace(scan, voxels=voxels), np.eye(4)) == 0
    assert similarity(scan, known_affine(shift_mm=(900, 0, 0))) == 0


# --- air


def test_air_is_found_in_a_raw_head(raw_head, seen):
    air = air_of(raw_head.voxels, raw_head.scan())
    assert len(air) > LEAST_AIR_VOXELS
    # a Rayleigh distribution has a deviation of sqrt(2 - pi / 2) times its scale
    assert air.std() == pytest.approx(0.01 * max(T1) * math.sqrt(2 - math.pi / 2), rel=0.1)
    assert air.max() < 10
    # and by it the signal to noise of Dietrich is that of the Gaussian noise behind it
    assert seen.quality["snr_dietrich"] == pytest.approx(max(T1) / (0.01 * max(T1)), rel=0.15)


@pytest.mark.slow
def test_there_is_no_air_where_it_was_zeroed():
    phantom = head(sides_mm=2.0, skull=True)
    assert len(air_of(phantom.voxels, phantom.scan())) == 0
    found = examined(phantom).quality
    assert math.isnan(found["snr_dietrich"])
    assert np.isfinite(found["cnr"])


@pytest.mark.parametrize("sides_mm", [(1.0, 1.0, 1.0), (3.0, 3.0, 3.0), (1.0, 2.0, 6.0)])
def test_air_is_beyond_a_gap_in_millimetres(sides_mm):
    """A bright ball in a medium whose brightness is the distance from it: none nearer than the gap is air."""
    shape = tuple(int(110 / side) for side in sides_mm)
    places = (np.indices(shape) - (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2) * np.reshape(sides_mm, (3, 1, 1, 1))
    away = np.sqrt((places**2).sum(0)) - 20
    voxels = np.where(away < 0, 1e6, np.maximum(away, 0.01)).astype(np.float32)
    scan = replace(head(sides_mm=4.0).scan(), voxels=voxels, affine=np.diag([*sides_mm, 1.0]), brain=away < 0)
    air = air_of(voxels, scan)
    assert len(air) > 100
    # blurred by a voxel or two of about 4 mm
    assert air.min() > AIR_GAP_MM - 4
    assert air.min() < AIR_GAP_MM + 10


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_volume_without_a_head_has_no_air(value):
    phantom = head(sides_mm=4.0)
    assert len(air_of(np.full(phantom.voxels.shape, value, np.float32), phantom.scan())) == 0


# --- rows


def test_a_row_is_rounded_and_what_is_no_number_stays():
    row = as_row({"orientation": "RAS", "a": 1234.5678, "b": 0.000123456, "c": float("nan"), "n": 7})
    assert row == {"orientation": "RAS", "a": 1235.0, "b": 0.0001235, "c": None, "n": 7}


def test_tissues_are_those_of_the_place(raw_head, seen):
    again = find_tissues(raw_head.voxels, raw_head.affine, raw_head.brain, raw_head.to_template)
    np.testing.assert_array_equal(seen.tissues.shares, again.shares)
    np.testing.assert_array_equal(seen.to_template, raw_head.to_template)
