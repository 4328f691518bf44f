"""Heads by the batch: the same head in every batch, truth that is what the volume shows, every knob turns something."""

import dataclasses

import numpy as np
import pytest
import torch

from neurotransfer.cohort import Grid
from neurotransfer.cohort.regions import REGIONS
from neurotransfer.simulate.synthesis import Heads, SimulatedVolumes
from neurotransfer.simulate.variety import NAMES, PRESETS, Variety

GRID = Grid((32, 40, 32), 5.0)
PLAIN = PRESETS["plain"]


@pytest.fixture(scope="module")
def made():
    return Heads(GRID).make(range(24))


def test_volumes_are_what_a_model_takes(made):
    assert made.volumes.shape == (24, 1, *GRID.shape)
    assert made.volumes.dtype == torch.float32
    assert float(made.volumes.min()) == 0
    assert float(made.volumes.max()) == 1
    inside = (made.volumes > 0).float().mean((1, 2, 3, 4))
    assert float(inside.min()) > 0.15
    assert float(inside.max()) < 0.55


def test_a_head_is_the_same_in_every_batch(made):
    heads = Heads(GRID)
    for indices in ([5], [20, 5], range(5, 16)):
        place = list(indices).index(5)
        again = heads.make(indices)
        # products of matrices round by the size of the batch
        assert torch.allclose(again.volumes[place], made.volumes[5], atol=1e-4)
        assert torch.allclose(again.tissue_ml[place], made.tissue_ml[5], rtol=1e-3, atol=1e-2)


def test_the_same_call_gives_the_same_bytes():
    first, again = (Heads(GRID, seed=4).make([1, 2]) for _ in range(2))
    assert torch.equal(first.volumes, again.volumes)


def test_another_seed_and_another_index_are_other_heads(made):
    assert not torch.allclose(Heads(GRID, seed=1).make([5]).volumes, made.volumes[5:6], atol=0.1)
    assert not torch.allclose(made.volumes[4], made.volumes[5], atol=0.1)


def test_a_second_scan_has_the_brain_of_the_first():
    heads = Heads(GRID, dataclasses.replace(PLAIN, aligned=1, turn_degrees=0))
    first, second = heads.make([3]), heads.make([3], number=1)
    assert torch.allclose(first.tissue_ml, second.tissue_ml, rtol=1e-3, atol=0.01)
    assert np.array_equal(first.people.shape, second.people.shape)
    noisy = Heads(GRID)
    assert not torch.allclose(noisy.make([3]).volumes, noisy.make([3], number=1).volumes, atol=0.02)


def test_tissue_adds_up_to_the_volume_that_is_seen():
    heads = Heads(GRID, PLAIN)
    some = heads.make(range(8))
    seen = (some.volumes > 0).float().sum((1, 2, 3, 4)) * GRID.voxel_size_mm**3 / 1000
    # partial voxels at the surface count whole in what is seen
    share = some.tissue_ml.sum((1, 2)) / seen
    assert float(share.min()) > 0.75
    assert float(share.max()) < 1.02


def test_tissue_volumes_are_those_of_people(made):
    whole = Heads(GRID, PLAIN).make(range(24)).tissue_ml.sum(2)
    fluid, grey, white = whole.mean(0).tolist()
    assert 100 < fluid < 600
    assert 600 < grey < 1100
    assert 400 < white < 900


def test_regions_of_both_sides_are_of_one_size():
    volumes = Heads(GRID, PLAIN).make(range(24)).tissue_ml.sum(1).mean(0)
    for place, name in enumerate(REGIONS):
        if name.startswith("left_"):
            other = list(REGIONS).index("right_" + name.removeprefix("left_"))
            assert 0.7 < float(volumes[place] / volumes[other]) < 1.4


def test_the_signals_are_those_of_a_t1_weighted_image(made):
    grey, white = made.signals[:, 0].mean(), made.signals[:, 1].mean()
    assert 0.5 < float(grey / white) < 0.9


def changed(heads: Heads, indices=range(12)) -> torch.Tensor:
    return heads.make(indices).volumes


@pytest.mark.parametrize("name", [name for name in NAMES if name != "age"])
def test_every_knob_changes_the_volumes(name):
    before = dataclasses.replace(PLAIN, skulls=0, sites=0)
    value = {
        "sites": 2,
        "skulls": 1.0,
        "aligned": 0.0,
        "focal": 1.0,
        "lesions": 1.0,
        "cut": 1.0,
        "cropped": 1.0,
        "defaced": 1.0,
    }.get(name)
    old = getattr(before, name)
    value = value if value is not None else 1.0 if old == 0 and name in synthesis_shares() else (old or 0.5) * 2
    if name == "sites":
        before = dataclasses.replace(before, bias=0.1)
    after = dataclasses.replace(before, **{name: value})
    assert not torch.allclose(changed(Heads(GRID, before)), changed(Heads(GRID, after)), atol=0.01)


def synthesis_shares():
    from neurotransfer.simulate.variety import SHARES

    return SHARES


def test_age_shows_in_the_tissue():
    ages, shares = [], []
    for age in (1.0, 0.0):
        made = Heads(GRID, dataclasses.replace(PLAIN, age=age)).make(range(64))
        total = made.tissue_ml.sum(2)
        shares.append((total[:, 0] / total.sum(1)).numpy())
        ages.append(made.people.targets["age"])
    assert np.corrcoef(ages[0], shares[0])[0, 1] > 0.5
    assert abs(np.corrcoef(ages[1], shares[1])[0, 1]) < 0.3


def test_a_cropped_head_ends_in_a_plane_above():
    heads = Heads(GRID, dataclasses.replace(PLAIN, cropped=1.0, turn_degrees=0))
    made, whole = heads.make(range(12)), Heads(GRID, dataclasses.replace(PLAIN, turn_degrees=0)).make(range(12))
    z = GRID.affine[2, 3] + GRID.voxel_size_mm * np.arange(GRID.shape[2])
    y = GRID.affine[1, 3] + GRID.voxel_size_mm * np.arange(GRID.shape[1])
    for number, (_, highest, slope) in enumerate(made.scans.cut):
        assert 45 <= highest <= 80
        beyond = torch.from_numpy((z + slope * y[:, None] > highest + 4)[None].repeat(GRID.shape[0], 0))
        assert float(made.volumes[number, 0][beyond].max()) == 0
        assert float(made.volumes[number, 0][~beyond].max()) == 1
    assert made.tissue_ml.sum() < whole.tissue_ml.sum()


def test_heads_bent_to_the_template_vary_less_in_shape():
    def spread(registered):
        variety = dataclasses.replace(PLAIN, aligned=1.0, registered=registered)
        return Heads(GRID, variety).make(range(16)).displacement_mm.std()

    assert 0.3 < float(spread(1.0) / spread(0.0)) < 0.5


def test_the_mask_has_the_halo_that_smoothing_gives():
    """At a surface the volume falls off as a step under a Gaussian one voxel wide at half its height."""
    from scipy import ndimage, stats

    heads = Heads(GRID, dataclasses.replace(PLAIN, halo=1.0))
    depth = torch.linspace(-8, 8, GRID.shape[2])
    scans = heads.make([0]).scans
    assert (scans.rim == 0).all()
    kept = heads._kept(depth.expand(1, *GRID.shape).clone(), scans)[0, 0, 0].numpy()
    sigma = GRID.voxel_size_mm / np.sqrt(8 * np.log(2))
    assert np.allclose(kept, stats.norm.cdf(depth.numpy() / sigma), atol=2e-3)
    fine = np.linspace(-8, 8, 3201)
    smooth = ndimage.gaussian_filter1d((fine > 0).astype(float), sigma / 0.005, mode="nearest")
    assert np.allclose(kept, np.interp(depth, fine, smooth), atol=4e-3)


def test_noise_ends_with_the_mask():
    noisy, clean = (
        Heads(GRID, dataclasses.replace(PLAIN, halo=1.0, noise=noise)).make(range(4)).volumes for noise in (0.5, 0)
    )
    assert torch.equal(noisy > 0, clean > 0)
    assert 0.2 < float((noisy > 0).float().mean()) < 0.6


@pytest.mark.parametrize("halo", [0.0, 1.0])
def test_a_mask_is_applied_once(halo, monkeypatch):
    heads = Heads(GRID, dataclasses.replace(PLAIN, halo=halo))
    monkeypatch.setattr("neurotransfer.simulate.synthesis._scaled", lambda images: images.clone())
    whole = heads.make([1, 2]).volumes
    kept = Heads._kept
    monkeypatch.setattr(Heads, "_kept", lambda *given: 0.5 * kept(*given))
    half = heads.make([1, 2]).volumes
    assert torch.allclose(half[half > 0], 0.5 * whole[half > 0], atol=1e-5)


def test_scans_of_a_person_are_prepared_alike_by_one_scanner():
    variety = Variety(aligned=0.5, registered=0.5, anything=0.5, sites=10_000)
    first, second = (Heads(GRID, variety).make(range(12), number).scans for number in (0, 1))
    for name in ("aligned", "registered", "signals", "radial"):
        assert np.allclose(getattr(first, name), getattr(second, name))
    assert np.array_equal(first.places[:, 1], second.places[:, 1])
    for name in ("turn", "offset", "rim", "bias"):
        assert not np.isclose(getattr(first, name), getattr(second, name)).any()
    alone = Heads(GRID, Variety(aligned=0.5)).make(range(12), 1).scans
    assert not np.allclose(alone.signals, Heads(GRID, Variety(aligned=0.5)).make(range(12)).scans.signals)


def test_an_array_of_heads_makes_the_rows_it_is_asked_for():
    heads = Heads(GRID)
    for number in (0, 1):
        array = SimulatedVolumes(heads, 10, 100, number)
        assert len(array) == 100
        rows = array[np.array([3, 7])]
        assert np.allclose(rows, heads.make([13, 17], number).volumes[:, 0], atol=1e-6)


def test_lesions_darken_white_matter_and_are_measured():
    with_lesions = Heads(GRID, dataclasses.replace(PLAIN, lesions=1.0)).make(range(40))
    has = torch.from_numpy(with_lesions.people.lesions > 0)
    assert has.any()
    assert (with_lesions.lesion_ml[has] > 0).all()
    assert (with_lesions.lesion_ml[~has] == 0).all()


def test_a_skull_lies_around_the_brain():
    bare = Heads(GRID, PLAIN).make([2]).volumes
    whole = Heads(GRID, dataclasses.replace(PLAIN, skulls=1.0)).make([2]).volumes
    assert float((whole > 0).float().mean()) > 1.25 * float((bare > 0).float().mean())


def test_sites_share_a_scanner():
    heads = Heads(GRID, Variety(sites=2))
    made = heads.make(range(30))
    assert len(np.unique(made.scans.signals[:, 1].round(6))) == 2
    assert len(np.unique(Heads(GRID).make(range(30)).scans.signals[:, 1].round(6))) == 30


def test_any_contrast_breaks_the_order_of_the_tissues():
    made = Heads(GRID, PRESETS["any-contrast"]).make(range(40))
    brighter = made.scans.signals[:, 1] > made.scans.signals[:, 2]
    assert 0.2 < brighter.mean() < 0.8


def test_finer_grids_show_the_same_head():
    coarse = Heads(Grid((32, 40, 32), 5.0), PLAIN).make([1]).tissue_ml.sum(2)
    fine = Heads(Grid((64, 80, 64), 2.5), PLAIN).make([1]).tissue_ml.sum(2)
    assert torch.allclose(coarse, fine, rtol=0.08)


def test_no_volume_is_empty_or_unknown_whatever_the_variety():
    wild = Variety(**{name: (1.0 if getattr(Variety(), name) <= 1 else 3.0) for name in NAMES if name != "sites"})
    volumes = Heads(GRID, wild).make(range(12)).volumes
    assert torch.isfinite(volumes).all()
    assert (volumes.amax((1, 2, 3, 4)) == 1).all()


def test_the_displacement_is_where_the_tissue_came_from():
    still = dataclasses.replace(PLAIN, warp_mm=0, fold_mm=0, shape=0, growth=0, turn_degrees=0)
    assert Heads(GRID, still).make([0]).displacement_mm.abs().max() < 1e-4
    moved = Heads(GRID, dataclasses.replace(still, warp_mm=3)).make(range(8)).displacement_mm
    assert 1 < float(moved.std()) < 6
