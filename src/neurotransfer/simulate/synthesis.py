"""Heads by the batch, on any device: where tissue lies in a person, and what a scanner makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.regions import REGIONS
from neurotransfer.simulate.appearance import (
    RIM_KNOTS,
    Scans,
    draw_scans,
    field_of_view,
    outer_layers,
    spoil,
    tensor,
)
from neurotransfer.simulate.atlas import DEPTHS_MM, FIELD_KNOTS, GREY, SPACING_MM, WHITE, load_atlas
from neurotransfer.simulate.fields import everywhere, exponential
from neurotransfer.simulate.form import FINE_KNOTS, Form
from neurotransfer.simulate.traits import People, draw_people
from neurotransfer.simulate.variety import Variety

# voxels that are made at once on a CPU: as many as stay in its cache
AT_ONCE = 4 * 40 * 48 * 40
MOST_AT_ONCE = 2**26
LANES = 4
LEAST_VOXELS = 1.0
LESION_SIGNAL = 0.8
# a little fluid lies everywhere, so that atrophy can open where the average brain has none
EVERYWHERE = 0.04
LOOSEST_MM = 6.0
# the normal distribution function is the logistic one of a * x + b * x**3 to 2e-4 (Page 1977, Appl Stat 26:75)
LOGISTIC = (1.5976, 0.070566)
DEVIATIONS_OF_A_VOXEL = 2.355
NEARLY_ZERO = 1e-3
VISIBLE = 0.03
PERCENTILE, EVERY = 0.01, 4


@dataclass(frozen=True)
class Made:
    """Heads and all that is true of them.

    `volumes` (n, 1, x, y, z) from 0 to 1; `people` and `scans` that they were made of; of what is in view, by region:
    `tissue_ml` (n, 3, regions) of fluid, grey and white matter, `signals` (n, 2, regions) of grey and white matter before
    noise; `lesion_ml` (n,); `displacement_mm` (n, 3, 22, 26, 22): where, from the knots of the fine field, a head's tissue lies in
    the average brain.
    """

    volumes: Tensor
    people: People
    scans: Scans
    tissue_ml: Tensor
    signals: Tensor
    lesion_ml: Tensor
    displacement_mm: Tensor


class Heads:
    """Simulated heads on a grid; a seed and an index are a head, on every machine and in every batch.

    Args:
        grid: of the volumes.
        variety: how much heads differ.
        seed: another seed, other people.
        device: where they are made.

    Example:
        >>> heads = Heads(Grid((32, 40, 32), 5.0))
        >>> made = heads.make([7])
        >>> made.volumes.shape, bool(600 < made.tissue_ml.sum() < 2500)
        (torch.Size([1, 1, 32, 40, 32]), True)
    """

    def __init__(
        self, grid: Grid | None = None, variety: Variety | None = None, *, seed: int = 0, device: str | torch.device = "cpu"
    ) -> None:  # fmt: skip
        self.grid, self.variety, self.seed = grid or Grid(), variety or Variety(), seed
        self.device = torch.device(device)
        atlas = load_atlas()
        sigma = np.sqrt(max(self.grid.voxel_size_mm**2 - SPACING_MM**2, 0) / (8 * np.log(2))) / SPACING_MM
        maps = [ndimage.gaussian_filter(each, sigma) for each in atlas.tissues] + [atlas.depth_mm]
        # numbers that are nearly zero make every product many times slower
        maps = [np.where(np.abs(each) < NEARLY_ZERO, 0, each) for each in maps]
        template = torch.from_numpy(np.stack(maps)[None]).to(self.device)
        # with its maps side by side in memory a voxel is interpolated in almost half the time
        self.template = template.contiguous(memory_format=torch.channels_last_3d)
        self.labels = torch.from_numpy(atlas.labels).flatten().to(self.device)
        # the mask of no head reaches further out than this, so that nothing needs to be known of places beyond
        reach = LOOSEST_MM + self.grid.voxel_size_mm * max(0.5, self.variety.halo) + SPACING_MM
        within = np.full(atlas.depth_mm.size, True) if self.variety.skulls else atlas.depth_mm.ravel() > -reach
        self.within = torch.from_numpy(within).to(self.device)
        self.origin = atlas.origin_mm.tolist()
        places = [
            self.grid.affine[axis, 3] + self.grid.voxel_size_mm * np.arange(side)
            for axis, side in enumerate(self.grid.shape)
        ]
        self.points = tuple(torch.from_numpy(place.astype(np.float32)).to(self.device) for place in places)
        self.form = Form(self.variety, self.device)
        n_voxels = int(np.prod(self.grid.shape))
        self.lanes = torch.arange(n_voxels, device=self.device) % LANES
        self.at_once = max(1, AT_ONCE // n_voxels) if self.device.type == "cpu" else MOST_AT_ONCE // n_voxels + 1
        self.from_coarse, self.from_fine, self.from_rim = (
            self.form.spread(knots, places) for knots in (FIELD_KNOTS, FINE_KNOTS, RIM_KNOTS)
        )

    def make(self, indices: Sequence[int] | np.ndarray, number: int = 0) -> Made:
        """The heads with these indices; `number` counts the scans of the same people."""
        chosen = [int(index) for index in indices]
        with torch.inference_mode():
            people = draw_people(self.seed, chosen, self.variety)
            scans = draw_scans(self.seed, chosen, self.variety, number)
            moved = exponential(self.form.velocity(people, scans))
            knots = self.form.fields(people, scans)
            lesions = self.form.lesion_level(people)
            made: list[tuple[Tensor, ...]] = []
            for start in range(0, len(chosen), self.at_once):
                part = slice(start, start + self.at_once)
                load = lesions[part] if lesions is not None and people.lesions[part].any() else None
                made.append(
                    self._voxels(
                        moved[part], knots[part], load, people.lesions[part] > 0, scans.of(part), people.places[part, 4]
                    )
                )
            volumes, sums, lesion_ml = (torch.cat(parts) for parts in zip(*made, strict=True))
            millilitres = self.grid.voxel_size_mm**3 / 1000
            signals = sums[:, 3:] / sums[:, 1:3].clamp(min=LEAST_VOXELS)
            return Made(volumes, people, scans, sums[:, :3] * millilitres, signals, lesion_ml * millilitres, moved)

    def _voxels(
        self,
        moved: Tensor,
        knots: Tensor,
        lesion_level: Tensor | None,
        has_lesions: np.ndarray,
        scans: Scans,
        places: np.ndarray,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Volumes, sums of tissues and of their signals by region, and of lesions; in voxels."""
        found, labels = self._template_at(everywhere(moved, self.from_fine))
        fields = everywhere(knots, self.from_coarse)
        furrows = self.form.bank.take(places, self.grid.shape) if self.variety.sulci else None
        grey, white, fluid = self._tissues(found, fields, furrows)
        kept = self._kept(found[:, 2], scans)
        signals = [tensor(scans.signals[:, place], self.device).reshape(-1, 1, 1, 1) for place in range(3)]
        grey_signal, white_signal = fields[:, 2].exp_().mul_(signals[1]), fields[:, 3].exp_().mul_(signals[2])
        bright_grey, bright_white = grey * grey_signal, white * white_signal
        images = torch.add(bright_grey, bright_white).addcmul_(fluid, signals[0])
        lesion_voxels = torch.zeros(len(moved), device=self.device)
        if lesion_level is not None:
            share = everywhere(lesion_level[:, None], self.from_fine)[:, 0].sigmoid_()
            share *= tensor(has_lesions, self.device).reshape(-1, 1, 1, 1) * (white > 0.5)
            images += white * share * (LESION_SIGNAL * signals[1] - white_signal)
            lesion_voxels = (white * share * kept).sum((1, 2, 3))
        images += self._rim(found[:, 2], grey, white, fluid, signals[0], scans)
        sums = self._by_region(labels, [each.mul_(kept) for each in (fluid, grey, white, bright_grey, bright_white)])
        images *= fields[:, 4].exp_()
        # what is smoothed with its mask fades with it, noise and all; else an edge is where something can be seen
        mask = kept
        if not self.variety.halo:
            images *= kept
            mask = (images > VISIBLE).float()
        noise = self.form.bank.take(scans.places[:, 0], (2, *self.grid.shape))
        images = spoil(images, scans, noise)
        images *= mask
        return _scaled(images)[:, None], sums, lesion_voxels

    def _template_at(self, displacement: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of the average brain (n, 3, x, y, z) at displaced places, and the region (n, voxels) of these places.

        Places that no brain mask reaches are left without tissue.
        """
        sides = self.template.shape[2:]
        at = torch.empty(len(displacement), *self.grid.shape, 3, device=self.device)
        # whole numbers below 2**24 are exact as float32
        flat = torch.zeros(len(displacement), *self.grid.shape, device=self.device)
        for axis, side in enumerate(sides):
            line = (self.points[axis] - self.origin[axis]) / SPACING_MM
            line = line.reshape([-1 if other == axis else 1 for other in range(3)])
            place = torch.add(line, displacement[:, axis], alpha=1 / SPACING_MM)
            torch.mul(place, 2 / (side - 1), out=at[..., 2 - axis]).sub_(1)
            flat.mul_(side).add_(place.round_().clamp_(0, side - 1))
        nearest = flat.flatten(1).int()
        wanted = self.within[nearest].flatten().nonzero()[:, 0]
        some = at.reshape(-1, 3)[wanted].reshape(1, 1, 1, -1, 3)
        some = functional.grid_sample(self.template, some, padding_mode="border", align_corners=True).reshape(3, -1)
        found = torch.zeros(3, nearest.numel(), device=self.device)
        found[2] = DEPTHS_MM[0]
        found[:, wanted] = some
        return found.reshape(3, *flat.shape).transpose(0, 1), self.labels[nearest].long()

    def _tissues(self, found: Tensor, fields: Tensor, furrows: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of grey, white and fluid of every voxel, after tissue was exchanged."""
        if furrows is not None:
            fields[:, 0].add_(furrows, alpha=self.variety.sulci)
        inside = (found[:, 2] / self.grid.voxel_size_mm + 0.5).clamp_(0, 1)
        grey, white = found[:, GREY] * fields[:, 1].exp_(), found[:, WHITE]
        fluid = (inside - found[:, GREY] - white).clamp_(0).add_(inside, alpha=EVERYWHERE) * fields[:, 0].exp_()
        norm = inside / (fluid + grey + white).clamp_(min=1e-6)
        return grey * norm, white * norm, fluid * norm

    def _kept(self, depth: Tensor, scans: Scans) -> Tensor:
        """What the brain mask and the field of view leave, from 0 to 1."""
        looseness = everywhere(tensor(scans.rim_field, self.device)[:, None], self.from_rim)[:, 0]
        looseness = looseness.add_(tensor(scans.rim, self.device).reshape(-1, 1, 1, 1)).clamp_(-4, LOOSEST_MM)
        looseness = looseness.add_(depth).div_(self.grid.voxel_size_mm)
        if self.variety.halo:
            deviations = looseness.mul_(DEVIATIONS_OF_A_VOXEL / self.variety.halo)
            brain = (deviations.square().mul_(LOGISTIC[1]).add_(LOGISTIC[0])).mul_(deviations).sigmoid_()
            brain = torch.threshold(brain, NEARLY_ZERO, 0)
        else:
            brain = looseness.add_(0.5).clamp_(0, 1)
        whole = tensor(scans.skull[:, 0], self.device).reshape(-1, 1, 1, 1)
        if scans.skull[:, 0].any():
            brain = torch.maximum(brain, whole.expand_as(brain))
        return brain * field_of_view(scans, self.points)

    def _rim(
        self, depth: Tensor, grey: Tensor, white: Tensor, fluid: Tensor, fluid_signal: Tensor, scans: Scans
    ) -> Tensor:
        """The signal of what lies outside the brain: fluid where the mask is loose, skull and scalp where they were left."""
        outside = (1 - grey - white - fluid).clamp_(0)
        found = outside * fluid_signal * tensor(scans.rim_signal, self.device).reshape(-1, 1, 1, 1)
        if scans.skull[:, 0].any():
            whole = tensor(scans.skull[:, 0], self.device).reshape(-1, 1, 1, 1)
            found = torch.where(whole > 0, outside * (outer_layers(depth, scans) + fluid_signal * (depth > -3)), found)
        return found

    def _by_region(self, labels: Tensor, maps: list[Tensor]) -> Tensor:
        """Sums (n, maps, regions) of maps over the voxels of every region."""
        # neighbours add to different places, or a processor would wait for every sum before the next
        total = torch.zeros(len(labels), len(maps), LANES * (len(REGIONS) + 1), device=self.device)
        places = labels * LANES + self.lanes
        for place, values in enumerate(maps):
            total[:, place].scatter_add_(1, places, values.flatten(1))
        return total.unflatten(2, (-1, LANES)).sum(3)[:, :, 1:]


class SimulatedVolumes:
    """Heads from index `first` on as an array (n, x, y, z) that makes the rows it is asked for; `number` as in `Heads.make`.

    Example:
        >>> volumes = SimulatedVolumes(Heads(Grid((32, 40, 32), 5.0)), 0, 100)
        >>> volumes.shape, volumes[np.array([3, 4])].shape
        ((100, 32, 40, 32), (2, 32, 40, 32))
    """

    ndim = 4

    def __init__(self, heads: Heads, first: int, n: int, number: int = 0) -> None:
        self.heads, self.first, self.number, self.shape = heads, first, number, (n, *heads.grid.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.heads.make(self.first + np.asarray(rows), self.number).volumes[:, 0].cpu().numpy()


def _scaled(images: Tensor) -> Tensor:
    """Images (n, x, y, z) divided by the 99th percentile of what is not 0, of every fourth voxel, and cut at 1."""
    flat = images.flatten(1)
    some = flat[:, ::EVERY]
    most = max(1, int(PERCENTILE * some.shape[1]))
    highest = some.topk(most, 1).values
    rank = ((some > 0).sum(1, keepdim=True) * PERCENTILE).long().clamp_(0, most - 1)
    return (images / highest.gather(1, rank).clamp(min=1e-6)[..., None, None]).clamp_(0, 1)
