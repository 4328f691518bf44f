from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.simulate.anatomy import FLUID, GREY, WHITE
from neurotransfer.simulate.scanner import Scanner, draw_scanner, scan

PERFECT = Scanner("perfect", 0.25, 0.65, 0.9, blur_mm=0.0, unevenness=0.0, noise=0.0, gain=1000.0)


@pytest.fixture
def layers():
    """Three slabs of pure tissue in an empty box."""
    tissues = np.zeros((3, 32, 32, 32), np.float32)
    for tissue, start in ((FLUID, 6), (GREY, 12), (WHITE, 18)):
        tissues[tissue, start : start + 6, 4:28, 4:28] = 1
    return tissues


def scanned(tissues, scanner, seed=0, voxel_size_mm=4.0):
    return scan(tissues, scanner, voxel_size_mm, np.random.default_rng(seed))


def test_a_perfect_scanner_shows_the_tissues(layers):
    image = scanned(layers, PERFECT)
    assert image.dtype == np.int16
    assert [image[start + 2, 10, 10] for start in (6, 12, 18)] == [250, 650, 900]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_scanners_keep_the_order_of_tissues(seed):
    scanner = draw_scanner(np.random.default_rng(seed), "site-1")
    assert 0 < scanner.fluid < scanner.grey < scanner.white < 1
    assert min(scanner.blur_mm, scanner.unevenness, scanner.noise, scanner.gain) > 0


def test_around_the_brain_is_exactly_0_and_in_it_nothing_is(layers):
    image = scanned(layers, replace(PERFECT, noise=0.3, blur_mm=3.0, unevenness=0.1))
    inside = layers.sum(0) > 0.5
    assert (image[~inside] == 0).all()
    assert (image[inside] > 0).all()


def test_the_same_generator_gives_the_same_image(layers):
    noisy = replace(PERFECT, noise=0.03, unevenness=0.05)
    np.testing.assert_array_equal(scanned(layers, noisy, 1), scanned(layers, noisy, 1))
    assert (scanned(layers, noisy, 1) != scanned(layers, noisy, 2)).any()


def test_noise_has_its_size(layers):
    image = scanned(layers, replace(PERFECT, noise=0.03))
    assert image[layers[WHITE] == 1].std() == pytest.approx(30, rel=0.1)


def test_noise_is_rician_and_lifts_what_is_dark(layers):
    dark = replace(PERFECT, fluid=0.0, noise=0.1)
    assert scanned(layers, dark)[layers[FLUID] == 1].mean() == pytest.approx(100 * (np.pi / 2) ** 0.5, rel=0.05)


def test_unevenness_is_smooth(layers):
    image = scanned(layers, replace(PERFECT, unevenness=0.1)).astype(float)
    white = image[18:24, 4:28, 4:28]
    assert white.std() > 10
    assert np.abs(np.diff(white, axis=1)).max() < 60


def test_blur_softens_edges_and_is_measured_in_millimetres(layers):
    def step(blur_mm, voxel_size_mm):
        image = scanned(layers, replace(PERFECT, blur_mm=blur_mm), voxel_size_mm=voxel_size_mm).astype(int)
        return image[12, 16, 16] - image[11, 16, 16]

    assert step(0.0, 4.0) == 400
    assert step(4.0, 4.0) < 300
    assert step(4.0, 4.0) == step(2.0, 2.0)


def test_gain_is_a_factor(layers):
    once, twice = scanned(layers, PERFECT), scanned(layers, replace(PERFECT, gain=2000.0))
    np.testing.assert_allclose(twice, 2.0 * once, atol=1)


def test_an_enormous_gain_stays_in_the_type(layers):
    assert scanned(layers, replace(PERFECT, gain=1e6)).max() == 30000
