"""Networks of MONAI as encoders: residual, densely connected and transformers; MONAI is imported when one is built."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from neurotransfer.errors import InputError, ModelError

RESNETS = {10: ("basic", (1, 1, 1, 1)), 18: ("basic", (2, 2, 2, 2)), 50: ("bottleneck", (3, 4, 6, 3))}
FILTERS = (64, 128, 256, 512)
SMALLEST_SIDE = 32
# heads of attention at the four stages of a Swin transformer, for its smallest number of channels
SWIN_HEADS = (3, 6, 12, 24)


def _monai(name: str) -> Any:
    try:
        # MONAI asks for einops only when a transformer runs, and then in its own words
        import einops  # noqa: F401
        from monai.networks import nets
    except ImportError:
        raise ModelError(
            f"architecture {name!r} needs MONAI and einops, which are not installed; run `pip install 'neurotransfer[monai]'`"
        ) from None
    return nets


class VolumetricEncoder(nn.Module):
    """A network of MONAI without its head: volumes (n, 1, x, y, z) to features (n, n_features).

    Args:
        body: the network.
        n_features: of its last maps.
        groups: names of the parts of the body from input to output, every weight in one of them.
        dropout: of the features.
        filling: voxels that are added before and behind, from the last axis on, as torch counts them.
        shape: that volumes must have; None for any with sides of 32 voxels or more.

    Raises:
        InputError: for volumes of another shape.
    """

    def __init__(
        self,
        body: nn.Module,
        n_features: int,
        groups: Sequence[Sequence[str]],
        dropout: float = 0.0,
        filling: Sequence[int] = (),
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.body, self.n_features = _without_dropout(body), n_features
        self.dropout = nn.Dropout(dropout)
        self.groups, self.filling, self.shape = groups, list(filling), shape

    def forward(self, volumes: Tensor) -> Tensor:
        """Features (n, n_features) of volumes (n, 1, x, y, z)."""
        sides = tuple(volumes.shape[2:])
        small = volumes.ndim == 5 and min(sides) < SMALLEST_SIDE
        if volumes.ndim != 5 or volumes.shape[1] != 1 or (small if self.shape is None else sides != self.shape):
            wanted = f"sides of {SMALLEST_SIDE} voxels or more" if self.shape is None else f"shape {self.shape}"
            raise InputError(f"this encoder takes volumes (n, 1, x, y, z) with {wanted}, got {tuple(volumes.shape)}")
        maps = self.maps(functional.pad(volumes, self.filling) if any(self.filling) else volumes).float()
        return self.dropout(maps.flatten(2).mean(2) if maps.ndim > 2 else maps)

    def maps(self, volumes: Tensor) -> Tensor:
        """The last maps (n, n_features, ...) of volumes."""
        return self.body(volumes)  # type: ignore[no-any-return]

    def layer_groups(self) -> list[nn.Module]:
        """The parts with weights from input to output, for learning rates that differ by depth."""
        return [nn.ModuleList([self.body.get_submodule(name) for name in group]) for group in self.groups]


def _without_dropout(body: nn.Module) -> nn.Module:
    # whoever sets the dropout of an encoder later means that of its features, and sets every one that there is
    for module in list(body.modules()):
        # named_children gives a part that serves in two places once
        for name, part in list(module._modules.items()):
            if isinstance(part, nn.Dropout):
                setattr(module, name, nn.Identity())
    return body


class _Rectified(VolumetricEncoder):
    def maps(self, volumes: Tensor) -> Tensor:
        return functional.relu(self.body(volumes))


class _LastStage(VolumetricEncoder):
    def maps(self, volumes: Tensor) -> Tensor:
        return self.body(volumes)[-1]  # type: ignore[no-any-return]


class _Tokens(VolumetricEncoder):
    def maps(self, volumes: Tensor) -> Tensor:
        return self.body(volumes)[0].transpose(1, 2)  # type: ignore[no-any-return]


def resnet(depth: int, width: float = 1.0, dropout: float = 0.0) -> VolumetricEncoder:
    """A residual network of 10, 18 or 50 layers (He et al. 2016; in 3D Chen et al. 2019, Med3D).

    Args:
        depth: 10, 18 or 50.
        width: multiplies the numbers of filters.
        dropout: of the features.

    Raises:
        ModelError: when MONAI is not installed.
        InputError: with all values that cannot be.

    Example:
        >>> resnet(10, width=0.125).n_features
        64
    """
    _require(f"resnet{depth}", dropout, width=_positive(width))
    block, layers = RESNETS[depth]
    filters = [max(1, round(width * count)) for count in FILTERS]
    body = _monai(f"resnet{depth}").ResNet(block, list(layers), filters, n_input_channels=1, conv1_t_size=7, conv1_t_stride=2,
                                           feed_forward=False)  # fmt: skip
    groups = [["conv1", "bn1"], ["layer1"], ["layer2"], ["layer3"], ["layer4"]]
    return VolumetricEncoder(body, filters[-1] * (4 if block == "bottleneck" else 1), groups, dropout)


def densenet121(width: float = 1.0, dropout: float = 0.0) -> VolumetricEncoder:
    """A densely connected network of 121 layers (Huang et al. 2017).

    Args:
        width: multiplies the numbers of filters.
        dropout: of the features.

    Raises:
        ModelError: when MONAI is not installed.
        InputError: with all values that cannot be.

    Example:
        >>> densenet121(width=0.125).n_features
        128
    """
    _require("densenet121", dropout, width=_positive(width))
    whole = _monai("densenet121").DenseNet121(
        spatial_dims=3, in_channels=1, out_channels=1, init_features=max(2, round(64 * width)), growth_rate=max(1, round(32 * width))
    )  # fmt: skip
    body, n_features = whole.features, whole.class_layers.out.in_features
    names = [name for name, _ in body.named_children()]
    bounds = [
        *(names.index(first) for first in ("conv0", *(f"denseblock{block}" for block in range(1, 5)))),
        len(names),
    ]
    groups = [names[first:last] for first, last in pairwise(bounds)]
    return _Rectified(body, n_features, groups, dropout)


def swin(
    channels: int = 24, window: int = 7, patch: int = 2, depths: Sequence[int] = (2, 2, 2, 2), dropout: float = 0.0
) -> VolumetricEncoder:
    """A Swin transformer, the encoder of Swin UNETR (Hatamizadeh et al. 2022; Liu et al. 2021).

    Args:
        channels: of the first stage, a multiple of 3; each stage has twice those of the one before.
        window: voxels of the attention's windows.
        patch: voxels of the first patches.
        depths: blocks of the four stages.
        dropout: of the features.

    Raises:
        ModelError: when MONAI is not installed.
        InputError: with all values that cannot be.

    Example:
        >>> swin(channels=12, depths=(1, 1, 1, 1)).n_features
        192
    """
    _require(
        "swin", dropout, channels=_multiple(channels, SWIN_HEADS[0], "3"), window=_whole(window), patch=_whole(patch),
        depths=_several(depths, len(SWIN_HEADS), "four"),
    )  # fmt: skip
    from importlib import import_module

    _monai("swin")
    transformer = import_module("monai.networks.nets.swin_unetr").SwinTransformer
    # what "merging" merges differs between versions of MONAI; early ones leave out some patches and take others twice
    body = transformer(1, channels, [window] * 3, [patch] * 3, list(depths), list(SWIN_HEADS), drop_path_rate=0.0,
                       downsample="mergingv2")  # fmt: skip
    groups = [["patch_embed"], ["layers1"], ["layers2"], ["layers3"], ["layers4"]]
    return _LastStage(body, channels * 2 ** len(SWIN_HEADS), groups, dropout)


def vit(
    shape: Sequence[int], patch: int = 16, channels: int = 384, layers: int = 12, heads: int = 6, dropout: float = 0.0
) -> VolumetricEncoder:
    """A vision transformer (Dosovitskiy et al. 2021) whose features are the mean over its patches.

    Args:
        shape: (x, y, z) of the volumes, which its positions are learnt for; they are filled up to whole patches.
        patch: voxels of a patch.
        channels: of a patch, a multiple of heads.
        layers: of attention.
        heads: of attention.
        dropout: of the features.

    Raises:
        ModelError: when MONAI is not installed.
        InputError: with all values that cannot be.

    Example:
        >>> vit((40, 48, 40), patch=8, channels=24, layers=2, heads=3).n_features
        24
    """
    _require(
        "vit", dropout, shape=_several(shape, 3, "three"), patch=_whole(patch), layers=_whole(layers), heads=_whole(heads),
        channels=_multiple(channels, heads, f"heads, {heads!r}"),
    )  # fmt: skip
    sides = [patch * -(-side // patch) for side in shape]
    body = _monai("vit").ViT(
        1, sides, patch, hidden_size=channels, mlp_dim=4 * channels, num_layers=layers, num_heads=heads
    )
    for block in body.blocks:
        # some versions of MONAI have weights for an attention that is not there; they would never learn
        block.norm_cross_attn, block.cross_attn = nn.Identity(), nn.Identity()
    gaps = [side - given for side, given in zip(sides, shape, strict=True)]
    # torch fills from the last axis on, before and behind
    filling = [part for gap in reversed(gaps) for part in (gap // 2, gap - gap // 2)]
    groups = [["patch_embedding"], *([f"blocks.{layer}"] for layer in range(layers)), ["norm"]]
    return _Tokens(body, channels, groups, dropout, filling, tuple(shape))


# an argument's value, whether it can be, and what it has to be
_Checked = tuple[Any, bool, str]


def _is_whole(value: Any) -> bool:
    return type(value) is int and value > 0


def _whole(value: Any) -> _Checked:
    return value, _is_whole(value), "a whole number of 1 or more"


def _several(values: Any, n: int, word: str) -> _Checked:
    fits = isinstance(values, list | tuple) and len(values) == n and all(_is_whole(value) for value in values)
    return values, fits, f"{word} whole numbers of 1 or more"


def _multiple(value: Any, of: Any, words: str) -> _Checked:
    # what is wrong with the divisor is said of the divisor
    return value, _is_whole(value) and (not _is_whole(of) or value % of == 0), f"a multiple of {words}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> _Checked:
    return value, _is_number(value) and 0 < value < float("inf"), "above 0 and finite"


def _require(name: str, dropout: Any, **arguments: _Checked) -> None:
    checked = {**arguments, "dropout": (dropout, _is_number(dropout) and 0 <= dropout < 1, "from 0 to below 1")}
    wrong = [f"{argument} is {words}, got {value!r}" for argument, (value, fits, words) in checked.items() if not fits]
    if wrong:
        raise InputError(f"{name}: {'; '.join(wrong)}")
