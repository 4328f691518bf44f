"""What a scanner and its software make of a head: signals, bias field, blur, ghosts, noise, field of view and brain mask."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from neurotransfer.cohort.grid import BRAIN_CENTRE_MM
from neurotransfer.simulate.atlas import knots_mm
from neurotransfer.simulate.traits import Draws
from neurotransfer.simulate.variety import Variety

BIAS_KNOTS = (4, 4, 3)
RIM_KNOTS = (4, 5, 4)
RELATIVE = ((knots_mm() - np.reshape(BRAIN_CENTRE_MM, (3, 1, 1, 1))) / 80).astype(np.float32)
SMALLEST_BLUR = 0.15
THICKEST_SLICE = 2.5
SKULL_SIGNAL, SCALP_SIGNAL = 0.12, 0.9
FAR_MM = 1000.0


@dataclass(frozen=True)
class Scans:
    """How n heads were scanned and prepared; every array begins with n.

    `signals` (n, 3) of fluid, grey and white matter, `bias` (n, 4, 4, 3) and `slope` (n, 3), `radial` (n,) of the logarithmic
    bias field, `blur` (n, 3) in voxels, `noise` (n,), `ghost` (n, 3): strength, shift as a share of the field of view and axis,
    `distortion` (n,) in mm at 80 mm, `cut` (n, 3): lowest and highest place in view in mm, and their slope, `defaced` (n,), `rim`
    (n,) and `rim_field` (n, 4, 5, 4) in mm, `rim_signal` (n,), `skull` (n, 3): 0 or 1, thickness of skull and of scalp in mm,
    `aligned` and `registered` (n,), `turn` (n, 3) in radians, `offset` (n, 3) in mm, `places` (n, 2) where the noise begins.
    """

    signals: np.ndarray
    bias: np.ndarray
    slope: np.ndarray
    radial: np.ndarray
    blur: np.ndarray
    noise: np.ndarray
    ghost: np.ndarray
    distortion: np.ndarray
    cut: np.ndarray
    defaced: np.ndarray
    rim: np.ndarray
    rim_field: np.ndarray
    rim_signal: np.ndarray
    skull: np.ndarray
    aligned: np.ndarray
    registered: np.ndarray
    turn: np.ndarray
    offset: np.ndarray
    places: np.ndarray

    def of(self, part: slice) -> "Scans":
        """Some of them."""
        return Scans(**{name: values[part] for name, values in vars(self).items()})


def draw_scans(seed: int, indices: list[int], variety: Variety, number: int = 0) -> Scans:
    """The scans with this number of the people with these indices, whoever else is drawn.

    All scans of a person are prepared alike (aligned, registered); with sites, one scanner makes them, with one contrast.
    """
    draws = Draws(seed, "scan", indices, number)
    scanner = Draws(seed, "scanner", _scanners(seed, indices, variety, number))
    n = len(indices)
    order = scanner.uniform(3, low=0.1)
    signals = np.concatenate([scanner.uniform(1, low=0.18, high=0.42), scanner.uniform(1, low=0.62, high=0.74)], 1)
    signals = np.concatenate([signals, np.ones((n, 1))], 1)
    signals = np.where(draws.uniform()[:, None] < variety.anything, order / order.max(1, keepdims=True), signals)
    # head coils are bright at the rear and above, and corrected images bright inside
    slope = variety.bias * 1.3 * np.stack([0.3 * draws.normal(), scanner.normal(), scanner.normal()], 1)
    radial = variety.bias * 1.3 * (1.2 * scanner.normal() - 1.0)
    own = variety.bias * 0.4 * scanner.uniform(high=2.0)
    blur = np.repeat((variety.blur * scanner.uniform())[:, None], 3, 1)
    thick, axis = draws.uniform() < variety.slices, (draws.uniform() * 3).astype(int)
    blur[np.arange(n), axis] += np.where(thick, draws.uniform(high=THICKEST_SLICE / 2.355), 0)
    ghosted, phase = draws.uniform() < variety.ghosts, (draws.uniform() * 3).astype(int)
    ghost = np.stack([ghosted * draws.uniform(low=0.02, high=0.15), draws.uniform(low=0.2, high=0.8), phase], 1)
    is_cut = draws.uniform() < variety.cut
    lowest, slope_of_cut = np.where(is_cut, draws.uniform(low=-75, high=-35), -FAR_MM), 0.15 * draws.normal()
    skull = np.stack([draws.uniform() < variety.skulls, draws.uniform(low=3, high=8), draws.uniform(low=4, high=12)], 1)
    bias = own.reshape(-1, 1, 1, 1) * draws.normal(*BIAS_KNOTS)
    noise = variety.noise * scanner.uniform() * draws.uniform(low=0.7, high=1.0)
    distortion, defaced = variety.distortion * scanner.uniform(low=-1), draws.uniform() < variety.defaced
    rim, rim_field, rim_signal = draws.normal(), draws.normal(*RIM_KNOTS), draws.uniform()
    aligned, turn, offset = draws.uniform() < variety.aligned, draws.normal(3), draws.normal(3)
    places, registered = draws.uniform(2), draws.uniform() < variety.registered
    highest = np.where(draws.uniform() < variety.cropped, draws.uniform(low=45, high=80), FAR_MM)
    scans = Scans(
        signals=signals,
        bias=bias,
        slope=slope,
        radial=radial,
        blur=blur,
        noise=noise,
        ghost=ghost,
        distortion=distortion,
        cut=np.stack([lowest, highest, slope_of_cut], 1),
        defaced=defaced,
        rim=variety.rim_mm * rim,
        rim_field=variety.rim_mm * rim_field,
        rim_signal=rim_signal,
        skull=skull,
        aligned=aligned,
        registered=aligned & registered,
        turn=np.deg2rad(variety.turn_degrees) * turn,
        offset=offset * (variety.turn_degrees > 0),
        places=places,
    )
    if not number:
        return scans
    first = draw_scans(seed, indices, variety)
    if variety.sites:
        shown = np.stack([places[:, 0], first.places[:, 1]], 1)
        scans = replace(scans, signals=first.signals, places=shown)
    return replace(scans, aligned=first.aligned, registered=first.registered)


def _scanners(seed: int, indices: list[int], variety: Variety, number: int) -> list[int]:
    """The scanner of every scan: one of a few sites, or, with negative numbers, its own."""
    if not variety.sites:
        return [index + number * 10**12 + 10**6 for index in indices]
    return (Draws(seed, "site", indices).uniform() * variety.sites).astype(int).tolist()


def site_of(seed: int, indices: list[int], variety: Variety) -> np.ndarray:
    """The number of each person's site from 1; 0 where every head has a scanner of its own."""
    return np.array(_scanners(seed, indices, variety, 0)) + 1 if variety.sites else np.zeros(len(indices), int)


def log_bias(scans: Scans, coarse: Tensor) -> Tensor:
    """The logarithm of the bias field at the knots of fields (n, 12, 14, 12); `coarse` is its irregular part there."""
    relative = torch.from_numpy(RELATIVE).to(coarse.device)
    slope, radial = tensor(scans.slope, coarse.device), tensor(scans.radial, coarse.device)
    field = coarse + torch.einsum("na,axyz->nxyz", slope, relative)
    return field + radial.reshape(-1, 1, 1, 1) * relative.square().sum(0)


def outer_layers(depth: Tensor, scans: Scans) -> Tensor:
    """The signal of skull and scalp (n, x, y, z) by the depth below the surface of the brain (negative above it), in mm."""
    skull, scalp = (tensor(scans.skull[:, place], depth.device).reshape(-1, 1, 1, 1) for place in (1, 2))
    above = -depth
    in_skull = _step(above - 2) * _step(2 + skull - above)
    in_scalp = _step(above - 2 - skull) * _step(2 + skull + scalp - above)
    return SKULL_SIGNAL * in_skull + SCALP_SIGNAL * in_scalp


def _step(millimetres: Tensor) -> Tensor:
    return (millimetres / 2 + 0.5).clamp(0, 1)


def field_of_view(scans: Scans, points: tuple[Tensor, ...]) -> Tensor:
    """What lies within the field of view and was not defaced, from 0 to 1, (n, 1, y, z)."""
    y, z = points[1].reshape(1, 1, -1, 1), points[2].reshape(1, 1, 1, -1)
    device = z.device
    lowest, highest, slope = (tensor(scans.cut[:, place], device).reshape(-1, 1, 1, 1) for place in range(3))
    height = z + slope * y
    kept = ((height - lowest) / 4 + 0.5).clamp(0, 1) * ((highest - height) / 4 + 0.5).clamp(0, 1)
    face = ((z + 0.9 * y - (-62.0 + 0.9 * 62.0)) / 4 + 0.5).clamp(0, 1)
    front = ((y - 20.0) / 4 + 0.5).clamp(0, 1) * ((-z - 12.0) / 4 + 0.5).clamp(0, 1)
    defaced = tensor(scans.defaced, device).reshape(-1, 1, 1, 1)
    return kept * (1 - defaced * front * face)


def spoil(images: Tensor, scans: Scans, noise: Tensor) -> Tensor:
    """Images (n, x, y, z) after blur, ghost and complex noise (n, 2, x, y, z): magnitudes, so that noise is Rician.

    After Gudbjartsson & Patz (1995, Magn Reson Med 34:910).
    """
    images = _blurred(images, scans.blur)
    for index in np.flatnonzero(scans.ghost[:, 0]):
        strength, shift, axis = scans.ghost[index]
        steps = int(shift * images.shape[1 + int(axis)])
        images[index] = (1 - strength) * images[index] + strength * torch.roll(images[index], steps, int(axis))
    level = tensor(scans.noise, images.device).reshape(-1, 1, 1, 1)
    if not scans.noise.any():
        return images
    return torch.hypot(torch.addcmul(images, noise[:, 0], level), noise[:, 1] * level)


def _blurred(images: Tensor, sigmas: np.ndarray) -> Tensor:
    """Images under a Gaussian along each axis, where it is wide enough to matter."""
    for axis in range(3):
        rows = np.flatnonzero(sigmas[:, axis] > SMALLEST_BLUR)
        if not len(rows):
            continue
        side = images.shape[1 + axis]
        at = torch.arange(side, device=images.device, dtype=torch.float32)
        wide = tensor(sigmas[rows, axis], images.device).reshape(-1, 1, 1)
        weights = torch.exp(-0.5 * ((at[:, None] - at) / wide) ** 2)
        weights = torch.where(weights < 1e-6, 0.0, weights)
        weights = weights / weights.sum(2, keepdim=True)
        some = images[rows] if len(rows) < len(images) else images
        if axis == 0:
            found = torch.matmul(weights, some.flatten(2)).reshape(some.shape)
        elif axis == 1:
            found = torch.matmul(weights[:, None], some)
        else:
            found = torch.matmul(some.flatten(1, 2), weights.transpose(1, 2)).reshape(some.shape)
        if len(rows) < len(images):
            images[rows] = found
        else:
            images = found
    return images


def tensor(values: np.ndarray, device: torch.device) -> Tensor:
    """Values as float32 on a device."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)


def column(values: np.ndarray, device: torch.device) -> Tensor:
    """Values (n,) as float32 (n, 1, 1, 1, 1) on a device."""
    return tensor(values, device).reshape(-1, 1, 1, 1, 1)
