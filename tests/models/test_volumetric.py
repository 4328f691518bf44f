"""Networks of MONAI: equal to MONAI's own forward, refused where they cannot be, absent where MONAI is."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from neurotransfer.errors import InputError, ModelError
from neurotransfer.models.network import build_encoder, seeded

pytest.importorskip("monai", reason="the extra `monai` is not installed")


@pytest.mark.parametrize("depth", [10, 18, 50])
def test_a_resnet_is_that_of_monai(depth):
    from monai.networks import nets

    with seeded(3):
        ours = build_encoder(f"resnet{depth}", {}).eval()
    theirs = getattr(nets, f"resnet{depth}")(
        spatial_dims=3, n_input_channels=1, num_classes=2, shortcut_type="B", conv1_t_stride=2
    ).eval()
    theirs.load_state_dict({**theirs.state_dict(), **ours.body.state_dict()})
    theirs.fc = torch.nn.Identity()
    volumes = torch.rand(1, 1, 33, 40, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(volumes), theirs(volumes))
    assert ours.n_features == (2048 if depth == 50 else 512)


def test_a_densenet_is_that_of_monai():
    from monai.networks.nets import DenseNet121

    with seeded(3):
        ours = build_encoder("densenet121", {}).eval()
    theirs = DenseNet121(3, 1, 1).eval()
    theirs.features.load_state_dict(ours.body.state_dict())
    theirs.class_layers.out = torch.nn.Identity()
    volumes = torch.rand(1, 1, 33, 40, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(volumes), theirs(volumes))
    assert ours.n_features == 1024


def test_a_transformer_averages_over_the_patches_of_a_filled_volume():
    with seeded(3):
        ours = build_encoder(
            "vit", {"shape": [33, 40, 31], "patch": 16, "channels": 24, "layers": 2, "heads": 3}
        ).eval()
    volume = torch.rand(1, 1, 33, 40, 31)
    filled = torch.zeros(1, 1, 48, 48, 32)
    filled[:, :, 7:40, 4:44, 0:31] = volume
    with torch.inference_mode():
        torch.testing.assert_close(ours(volume), ours.body(filled)[0].mean(1))


def test_a_transformer_has_no_weights_that_do_nothing():
    body = build_encoder("vit", {"shape": [32, 32, 32], "channels": 12, "layers": 2, "heads": 2}).body
    assert not [name for name, _ in body.named_parameters() if "cross" in name or "cls" in name]


def test_the_last_stage_of_a_swin_transformer_is_averaged():
    with seeded(3):
        ours = build_encoder("swin", {"channels": 12, "depths": [1, 1, 1, 1]}).eval()
    volume = torch.rand(1, 1, 33, 40, 34)
    with torch.inference_mode():
        torch.testing.assert_close(ours(volume), ours.body(volume)[4].mean((2, 3, 4)))
    assert ours.n_features == 192


def test_a_swin_transformer_merges_every_patch_once():
    """Early versions of MONAI took some of eight neighbours twice, and their weights would mean something else here."""
    merging = build_encoder("swin", {"channels": 3, "depths": [1, 1, 1, 1], "window": 2}).body.layers1[0].downsample
    merging.norm = merging.reduction = torch.nn.Identity()
    patches = torch.arange(2.0 * 4 * 2 * 6 * 3).reshape(2, 4, 2, 6, 3)
    merged = merging(patches)
    assert merged.shape == (2, 2, 1, 3, 24)
    assert torch.equal(merged.flatten().sort().values, patches.flatten())
    eight = patches[0, 2:, :, 2:4].reshape(8, 3)
    assert torch.equal(merged[0, 1, 0, 1], eight.flatten())


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("resnet10", {"width": 0}, "resnet10: width is above 0"),
        ("resnet50", {"width": float("nan")}, "width is above 0"),
        ("densenet121", {"width": -1}, "densenet121: width"),
        ("resnet18", {"width": 0.1, "dropout": 1}, "resnet18: dropout is from 0 to below 1, got 1"),
        ("swin", {"channels": 25}, "channels is a multiple of 3, got 25"),
        ("resnet10", {"width": "wide"}, "width is above 0 and finite, got 'wide'"),
        ("resnet10", {"width": True, "dropout": None}, "width is .*, got True; dropout is .*, got None"),
        ("densenet121", {"dropout": float("nan")}, "dropout is from 0 to below 1, got nan"),
        ("swin", {"channels": 24.0}, "channels is a multiple of 3, got 24.0"),
        ("swin", {"depths": [1, 1]}, "depths is four whole numbers"),
        ("swin", {"depths": 3}, "depths is four whole numbers of 1 or more, got 3"),
        ("swin", {"depths": [1.5, 1, 1, 1]}, r"got \[1.5, 1, 1, 1\]"),
        ("swin", {"window": 0, "patch": 2.5}, "window is a whole number of 1 or more, got 0; patch is .*, got 2.5"),
        ("vit", {"shape": [32, 32]}, "shape is three whole numbers"),
        ("vit", {"shape": [32, 32, 0]}, "shape is three whole numbers"),
        ("vit", {"shape": "abc"}, "shape is three whole numbers"),
        ("vit", {"shape": 5, "layers": True, "heads": 0}, "shape is .*; layers is .*, got True; heads is .*, got 0$"),
        ("vit", {"shape": [32, 32, 32], "channels": 25, "heads": 6}, "channels is a multiple of heads, 6"),
        ("vit", {"shape": [32, 32, 32], "patch": 0}, "patch is a whole number of 1 or more"),
        ("vit", {}, "does not take"),
        ("resnet10", {"depth": 50}, "does not take"),
    ],
)
def test_arguments_that_cannot_be_are_refused(name, arguments, said):
    with pytest.raises((InputError, ModelError), match=said):
        build_encoder(name, arguments)


def test_a_transformer_takes_one_shape():
    encoder = build_encoder("vit", {"shape": [32, 32, 32], "patch": 16, "channels": 12, "layers": 1, "heads": 2})
    with pytest.raises(InputError, match=r"with shape \(32, 32, 32\), got \(1, 1, 32, 32, 33\)"):
        encoder(torch.zeros(1, 1, 32, 32, 33))


def test_without_monai_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    said_to_be_missing()


def test_without_einops_it_is_said_before_anything_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "einops", None)
    said_to_be_missing()


def said_to_be_missing():
    for name in ("resnet10", "densenet121", "swin", "vit"):
        arguments = {"shape": [32, 32, 32]} if name == "vit" else {}
        with pytest.raises(
            ModelError, match=rf"architecture '{name}' needs MONAI.*pip install 'neurotransfer\[monai\]'"
        ):
            build_encoder(name, arguments)


@pytest.mark.slow
def test_monai_is_imported_when_it_is_needed_only():
    code = "import sys, neurotransfer.models; print('monai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_golden_numbers():
    """Weights from a seed, a volume from a formula: the sum of features, as it was when this was written."""
    x, y, z = np.indices((32, 33, 34)) / 32
    volume = torch.from_numpy((np.sin(7 * x) * np.cos(5 * y) * z).astype(np.float32))[None, None]
    found = {}
    for name, arguments in GOLDEN_ARGUMENTS.items():
        with seeded(11):
            encoder = build_encoder(name, arguments).eval()
        if name == "vit":
            # MONAI 1.4 and 1.5 draw more numbers, for weights that we take out
            with seeded(11), torch.no_grad():
                for weight in encoder.parameters():
                    weight.normal_(0, 0.1)
        with torch.inference_mode():
            found[name] = float(encoder(volume).double().abs().sum())
    assert found == pytest.approx(GOLDEN, rel=1e-3)


GOLDEN_ARGUMENTS = {
    "resnet10": {"width": 0.125},
    "densenet121": {"width": 0.125},
    "vit": {"shape": [32, 33, 34], "patch": 8, "channels": 24, "layers": 2, "heads": 3},
    "resnet18": {"width": 0.125},
    "resnet50": {"width": 0.125},
    "swin": {"channels": 12, "depths": [1, 1, 1, 1]},
}
GOLDEN = {
    "resnet10": 3.518455,
    "densenet121": 4.656785,
    "vit": 1.613401,
    "resnet18": 7.814108,
    "resnet50": 165.624285,
    "swin": 105.330932,
}
