"""Are the gradients of this machine right? Every convolution is checked against float64 before it is trusted in bfloat16.

PyTorch 2.13's bfloat16 weight gradient of a 3x3x3 convolution is garbage on some CPUs where the first side of its input is
2 voxels. Nothing says so at run time, so every layer is tried at its own size, and one that is wrong runs in float32.
"""

import copy
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional, grad

from neurotransfer.models.fused import PreciseConv3d

# the largest error of an entry, as a share of the largest entry; bfloat16 itself has 2**-8, sums of it some more
TOLERANCE = {torch.bfloat16: 0.05, torch.float32: 1e-3}
# sides from here on are tried at a shorter one with the same remainder by 4, so that the check takes no time to speak of
LONGEST = 20


def convolution_error(convolution: nn.Conv3d, shape: tuple[int, ...], kind: torch.dtype, seed: int = 0) -> float:
    """The largest error of a convolution's outputs and gradients for inputs of a shape, relative to their largest entry.

    The first and last channels are worked out again in float64, at every voxel and every tap of the filter: outputs, the
    gradient of the input, of the weights and of the bias.

    Args:
        convolution: its size is what counts; its weights are left alone.
        shape: (n, channels, x, y, z) of its input.
        kind: the type that the input and the weights are rounded to, as autocast does.
        seed: of the values that are tried.

    Returns:
        The error; infinite when something is not finite.

    Example:
        >>> convolution_error(nn.Conv3d(2, 3, 3, padding=1), (1, 2, 4, 4, 4), torch.float32) < 1e-4
        True
    """
    generator = torch.Generator().manual_seed(seed)
    device = convolution.weight.device
    weight, bias = (
        torch.randn(value.shape, generator=generator).to(device, kind).to(torch.float32).requires_grad_()
        for value in (convolution.weight, convolution.weight[:, 0, 0, 0, 0])
    )
    volumes = torch.randn(shape, generator=generator).to(device, kind)
    volumes = volumes.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    narrow = weight.to(kind).contiguous(memory_format=torch.channels_last_3d)
    found = _convolve(convolution, volumes, narrow, bias.to(kind))
    coming = torch.randn(found.shape, generator=generator).to(device, kind)
    gradients = torch.autograd.grad(
        found, (volumes, weight, bias), coming.contiguous(memory_format=torch.channels_last_3d)
    )
    return max(
        _error(one, other)
        for one, other in _pairs(convolution, volumes, weight, bias, coming, (found, *gradients))
    )  # fmt: skip


def _convolve(like: nn.Conv3d, volumes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    stride, padding, dilation = _as_lists(like)
    return functional.conv3d(volumes, weight, bias, stride, padding, dilation, like.groups)


def _as_lists(like: nn.Conv3d) -> tuple[list[int], list[int], list[int]]:
    assert not isinstance(like.padding, str)
    return list(like.stride), list(like.padding), list(like.dilation)


def _pairs(
    like: nn.Conv3d, volumes: Tensor, weight: Tensor, bias: Tensor, coming: Tensor, found: tuple[Tensor, ...]
) -> list[tuple[Tensor, Tensor]]:
    """What was found and what float64 says, for the first and last channels (all of them where channels are grouped)."""
    exact = [value.detach().double().cpu() for value in (volumes, weight, bias, coming)]
    outs, ins = (
        ([0, weight.shape[0] - 1], [0, volumes.shape[1] - 1]) if like.groups == 1 else (slice(None), slice(None))
    )
    images, filters, offsets, gradient = exact
    arguments: Any = {"stride": like.stride, "padding": like.padding, "dilation": like.dilation, "groups": like.groups}
    forward = functional.conv3d(images, filters[outs], offsets[outs], **arguments)
    taken, filters_in = (images[:, ins], filters[:, ins]) if like.groups == 1 else (images, filters)
    shape = (len(forward[0]), *filters_in.shape[1:])
    to_weight = grad.conv3d_weight(taken, shape, gradient[:, outs], **arguments)
    to_input = grad.conv3d_input(taken.shape, filters_in, gradient, **arguments)
    chosen = found[2][outs][:, ins] if like.groups == 1 else found[2]
    of_input = found[1][:, ins] if like.groups == 1 else found[1]
    return [
        (found[0][:, outs], forward),
        (of_input, to_input),
        (chosen, to_weight),
        (found[3], gradient.sum((0, 2, 3, 4))),
    ]


def _error(found: Tensor, exact: Tensor) -> float:
    found = found.detach().double().cpu()
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    return float((found - exact).abs().max() / exact.abs().max().clamp(min=1e-12))


def layer_shapes(encoder: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shape of what comes into every convolution, by its name in the encoder, for volumes of a shape (n, 1, x, y, z)."""
    found: dict[str, tuple[int, ...]] = {}
    # without weights or volumes only shapes are worked out
    weightless = copy.deepcopy(encoder).to("meta").eval()
    _undo(weightless)

    def note(name: str) -> Any:
        def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            # a hook that gives something back replaces the input
            found.setdefault(name, tuple(inputs[0].shape))

        return see

    for name, module in weightless.named_modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_pre_hook(note(name))
    with torch.inference_mode():
        weightless(torch.zeros(shape, device="meta"))
    return found


def make_safe(encoder: nn.Module, shape: tuple[int, ...], kind: torch.dtype) -> list[str]:
    """Have every convolution that is wrong in `kind` at its size run in float32 from now on; gives their names.

    Args:
        encoder: with weights.
        shape: (x, y, z) of the volumes.
        kind: the type of the convolutions.
    """
    first = next(encoder.parameters(), None)
    if kind == torch.float32 or first is None or not any(isinstance(each, nn.Conv3d) for each in encoder.modules()):
        return []
    checked = (shape, kind, str(first.device))
    if vars(encoder).get("checked") == checked:
        return [name for name, module in encoder.named_modules() if isinstance(module, PreciseConv3d)]
    _undo(encoder)
    modules, wrong = dict(encoder.named_modules()), []
    for name, taken in layer_shapes(encoder, (1, 1, *shape)).items():
        module = modules[name]
        assert isinstance(module, nn.Conv3d)
        right = _is_right(_signature(module), _shorter(taken), kind, str(module.weight.device))
        if not right:
            module.__class__ = PreciseConv3d
            wrong.append(name)
    vars(encoder)["checked"] = checked
    return wrong


def _undo(encoder: nn.Module) -> None:
    for module in encoder.modules():
        if isinstance(module, PreciseConv3d):
            # the class says how a convolution is computed; its weights and its name stay
            module.__class__ = nn.Conv3d  # type: ignore[assignment]


def _shorter(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], *(side if side < LONGEST else LONGEST - 4 + side % 4 for side in shape[2:]))


def _signature(module: nn.Conv3d) -> tuple[Any, ...]:
    return (
        module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding, module.dilation,
        module.groups,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _is_right(signature: tuple[Any, ...], shape: tuple[int, ...], kind: torch.dtype, device: str) -> bool:
    before, after, kernel, stride, padding, dilation, groups = signature
    tried = nn.Conv3d(before, after, kernel, stride, padding, dilation, groups, device=device)
    return convolution_error(tried, shape, kind) <= TOLERANCE[kind]
