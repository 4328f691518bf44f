"""The table METHODS: ways to say how much every voxel counts for what a network gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotransfer.errors import InputError, unknown
from neurotransfer.explain.lrp import relevance
from neurotransfer.explain.readout import Explained
from neurotransfer.explain.rules import COMPOSITES
from neurotransfer.models.network import seeded

AIR, MEAN = "air", "mean"
INSTALL = "pip install 'neurotransfer[explain]'"
# what captum computes at once
VOLUMES_AT_ONCE = 8


@dataclass(frozen=True)
class Around:
    """What a method may know beside the network and the scan.

    Attributes:
        voxel_mm: the side of a voxel.
        mean: the mean of all scans (1, 1, x, y, z); None where none is known.
        seed: of what is drawn.
    """

    voxel_mm: float = 1.0
    mean: Tensor | None = None
    seed: int = 0


Compute = Callable[[Explained, Tensor, Around, Mapping[str, Any]], Tensor]


@dataclass(frozen=True)
class Method:
    """A way to make maps.

    Attributes:
        name: of the method.
        title: for a reader.
        citation: of its paper.
        compute: from the explained number, one volume (1, 1, x, y, z), what is around and the options to a map like the volume.
        options: by their defaults, which are of the kind that a value must have.
        is_complete: whether the map adds up to the explained number (less that of the baseline).
    """

    name: str
    title: str
    citation: str
    compute: Compute = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    is_complete: bool = False


@dataclass(frozen=True)
class Asked:
    """A method with the values of its options.

    Example:
        >>> asked("occlusion:patch_mm=30").options["patch_mm"], asked("lrp-gamma").text
        (30.0, 'lrp-gamma')
    """

    method: Method
    options: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The name, and the options that are not the defaults; `asked` reads it."""
        other = [f"{name}={value}" for name, value in self.options.items() if value != self.method.options[name]]
        return f"{self.method.name}:{','.join(other)}" if other else self.method.name

    @property
    def label(self) -> str:
        """The text with letters and digits only, for names of files."""
        return "".join(sign for sign in self.text.title() if sign.isalnum())

    def map_of(self, explained: Explained, volume: Tensor, around: Around | None = None) -> Tensor:
        """The map (1, 1, x, y, z) of one volume (1, 1, x, y, z), in the unit of what is explained.

        Raises:
            InputError: when captum is needed and not there, or the method is not defined for the encoder.
        """
        return self.method.compute(explained, volume, around or Around(), self.options).detach()

    def baseline_of(self, volume: Tensor, around: Around) -> Tensor | None:
        """The volume from which a complete method counts; None for an explained number that is zero by itself."""
        return (
            _baseline(volume, around, self.options) if "baseline" in self.options and self.method.is_complete else None
        )


def asked(text: str) -> Asked:
    """A method as it is written: NAME, or NAME:option=value,option=value.

    Raises:
        InputError: for an unknown method or option, or a value that cannot be, with what is allowed.
    """
    name, _, rest = text.strip().partition(":")
    if name not in METHODS:
        raise InputError(unknown("method", name, METHODS))
    method = METHODS[name]
    options = dict(method.options)
    for part in filter(None, rest.split(",")):
        key, _, value = (each.strip() for each in part.partition("="))
        if key not in options:
            known = ", ".join(f"{each}={default}" for each, default in options.items()) or "none"
            raise InputError(f"method {name!r} has no option {key!r}; its options: {known}")
        options[key] = _value(f"{name}:{key}", value, options[key])
    return Asked(method, options)


def _value(name: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        if text not in (AIR, MEAN):
            raise InputError(unknown(name, text, (AIR, MEAN)))
        return text
    try:
        value = type(default)(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        kind = "whole number of 1 or more" if isinstance(default, int) else "number above 0"
        raise InputError(f"{name} is a {kind}, got {text!r}")
    return value


def _captum() -> Any:
    try:
        import captum.attr
    except ImportError:
        raise InputError(
            f"this method needs captum, which is not installed: {INSTALL}; gradient-x-input and all lrp methods need nothing more"
        ) from None
    return captum.attr


def _gradient_x_input(explained: Explained, volume: Tensor, around: Around, options: Mapping[str, Any]) -> Tensor:
    seen = volume.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(explained(seen).sum(), seen)
    return gradient * volume


def _integrated_gradients(explained: Explained, volume: Tensor, around: Around, options: Mapping[str, Any]) -> Tensor:
    method = _captum().IntegratedGradients(explained.__call__)
    return method.attribute(  # type: ignore[no-any-return]
        volume.detach().clone().requires_grad_(),
        baselines=_baseline(volume, around, options),
        n_steps=options["steps"],
        internal_batch_size=VOLUMES_AT_ONCE,
    )


def _smoothgrad(explained: Explained, volume: Tensor, around: Around, options: Mapping[str, Any]) -> Tensor:
    captum = _captum()
    method = captum.NoiseTunnel(captum.Saliency(explained.__call__))
    with seeded(around.seed):
        return method.attribute(  # type: ignore[no-any-return]
            volume.detach().clone().requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=options["samples"],
            nt_samples_batch_size=VOLUMES_AT_ONCE,
            stdevs=options["noise"] * float(volume.max() - volume.min()),
            abs=False,
        )


def _occlusion(explained: Explained, volume: Tensor, around: Around, options: Mapping[str, Any]) -> Tensor:
    sides = [_voxels(options[name], around.voxel_mm, volume) for name in ("patch_mm", "stride_mm")]
    if any(step > side for side, step in zip(*sides, strict=True)):
        raise InputError(
            f"occlusion: a stride of {options['stride_mm']:g} mm leaves gaps between patches of {options['patch_mm']:g} mm; "
            "give a stride as long as the patch, or a shorter one"
        )
    method = _captum().Occlusion(explained.__call__)
    with torch.no_grad():
        return method.attribute(  # type: ignore[no-any-return]
            volume,
            sliding_window_shapes=(1, *sides[0]),
            strides=(1, *sides[1]),
            baselines=_baseline(volume, around, options),
            perturbations_per_eval=VOLUMES_AT_ONCE,
        )


def _voxels(length_mm: float, voxel_mm: float, volume: Tensor) -> tuple[int, ...]:
    return tuple(min(max(1, round(length_mm / voxel_mm)), side) for side in volume.shape[2:])


def _baseline(volume: Tensor, around: Around, options: Mapping[str, Any]) -> Tensor:
    if options["baseline"] == MEAN:
        if around.mean is None:
            raise InputError("a baseline of the mean brain needs the mean of several scans; use baseline=air")
        return around.mean.to(volume)
    return torch.zeros_like(volume)


def _lrp(explained: Explained, volume: Tensor, around: Around, options: Mapping[str, Any], *, composite: str) -> Tensor:
    return relevance(explained, volume, composite)


_LRP = "Bach et al. 2015, PLOS ONE 10:e0130140; Montavon et al. 2019, in: Explainable AI, Springer, 193-209"

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *(
            Method(f"lrp-{name}", f"LRP, {name}", _LRP, partial(_lrp, composite=name), {}, is_complete=True)
            for name in COMPOSITES
        ),
        Method("gradient-x-input", "gradient x input", "Shrikumar et al. 2016, arXiv:1605.01713", _gradient_x_input),
        Method(
            "integrated-gradients",
            "integrated gradients",
            "Sundararajan, Taly & Yan 2017, ICML, 3319-3328",
            _integrated_gradients,
            {"steps": 32, "baseline": AIR},
            is_complete=True,
        ),
        Method(
            "smoothgrad",
            "SmoothGrad",
            "Smilkov et al. 2017, arXiv:1706.03825",
            _smoothgrad,
            {"samples": 16, "noise": 0.1},
        ),
        Method(
            "occlusion",
            "occlusion",
            "Zeiler & Fergus 2014, ECCV, 818-833",
            _occlusion,
            {"patch_mm": 24.0, "stride_mm": 12.0, "baseline": AIR},
        ),
    )
}
DEFAULT = ("lrp-gamma", "gradient-x-input")


def as_map(found: Tensor) -> np.ndarray:
    """A map (1, 1, x, y, z) as float32 (x, y, z)."""
    return found[0, 0].float().cpu().numpy()
