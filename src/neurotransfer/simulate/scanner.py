"""The scanner of a site: contrast, blur, uneven sensitivity and noise turn tissue into a T1-weighted image."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from neurotransfer.simulate.anatomy import FLUID, GREY, WHITE

BRIGHTEST = 30000


@dataclass(frozen=True)
class Scanner:
    """What a site does to an image; the intensities are shares of `gain`, blur is a standard deviation.

    `unevenness` is the standard deviation of the coefficients of the log bias field, `noise` that of the two channels
    of the Rician noise, as a share of `gain`.
    """

    site: str
    fluid: float
    grey: float
    white: float
    blur_mm: float
    unevenness: float
    noise: float
    gain: float


def draw_scanner(generator: np.random.Generator, site: str) -> Scanner:
    """A scanner somewhat unlike the others.

    Example:
        >>> scanner = draw_scanner(np.random.default_rng(0), "site-1")
        >>> scanner.fluid < scanner.grey < scanner.white
        True

    """
    return Scanner(
        site,
        fluid=float(generator.uniform(0.20, 0.28)),
        grey=float(generator.uniform(0.60, 0.68)),
        white=float(generator.uniform(0.88, 0.96)),
        blur_mm=float(generator.uniform(0.8, 1.6)),
        unevenness=float(generator.uniform(0.02, 0.06)),
        noise=float(generator.uniform(0.015, 0.035)),
        gain=float(generator.uniform(800, 1200)),
    )


def scan(tissues: np.ndarray, scanner: Scanner, voxel_size_mm: float, generator: np.random.Generator) -> np.ndarray:
    """A T1-weighted image int16 (x, y, z) of the tissues (3, x, y, z): 0 around the brain, positive in it."""
    bright = scanner.fluid * tissues[FLUID] + scanner.grey * tissues[GREY] + scanner.white * tissues[WHITE]
    bright = ndimage.gaussian_filter(bright, scanner.blur_mm / voxel_size_mm, truncate=3)
    bright = bright * _sensitivity(bright.shape, scanner.unevenness, generator)
    noise = scanner.noise * generator.standard_normal((2, *bright.shape), dtype=np.float32)
    measured = scanner.gain * np.hypot(bright + noise[0], noise[1])
    inside = tissues.sum(0) > 0.5
    return np.where(inside, np.clip(measured.round(), 1, BRIGHTEST), 0).astype(np.int16)


def _sensitivity(shape: tuple[int, ...], unevenness: float, generator: np.random.Generator) -> np.ndarray:
    x, y, z = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
    x, y, z = x[:, None, None], y[:, None], z
    terms = (x, y, z, x * y, x * z, y * z, x * x, y * y, z * z)
    weights = unevenness * generator.standard_normal(len(terms)).astype(np.float32)
    return np.exp(
        sum((weight * term for weight, term in zip(weights, terms, strict=True)), np.zeros(shape, np.float32))
    )
