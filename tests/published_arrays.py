"""Arrays of chance by the names that published files give them, for tests that need no network to run."""

import numpy as np

from neurotransfer.models.layouts import N_LAYERS

FILTERS = (2, 3, 4, 3, 2, 5)
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def keras_layers(filters=FILTERS, widths=(1,)):
    """Layers in their order: (kind, place, variables)."""
    random, layers = np.random.default_rng(0), []
    for place, (before, after) in enumerate(zip((1, *filters[:-1]), filters, strict=True)):
        side = 1 if place == N_LAYERS - 1 else 3
        kernel = random.normal(size=(side, side, side, before, after)).astype(np.float32)
        layers.append(("conv", place, {"kernel": kernel, "bias": random.normal(size=after)}))
        layers.append(("norm", place, {name: random.random(after) for name in NORM}))
    for place, width in enumerate(widths):
        kernel = random.normal(size=(filters[-1], width)).astype(np.float32)
        layers.append(("dense", place, {"kernel": kernel, "bias": random.normal(size=width)}))
    return layers


def published(kind, place, prefix="sfcn-reg"):
    if kind == "dense":
        return f"{prefix}_predictions" if place == 0 else f"{prefix}_predictions_{place}"
    return f"{prefix}_{f'block-{place}' if place < N_LAYERS - 1 else 'top'}_{kind}"


def numbered(kind, place):
    word = {"conv": "conv3d", "norm": "batch_normalization", "dense": "dense"}[kind]
    return word if place == 0 else f"{word}_{place}"


def later(kind, place):
    return numbered(kind, place + 8)


def keras_arrays(name=published, digits=False, **arguments):
    found = {}
    for kind, place, variables in keras_layers(**arguments):
        for number, (variable, array) in enumerate(variables.items()):
            found[f"{name(kind, place)}/{number if digits else variable}"] = array
    return found


def tensorflow_arrays(**arguments):
    """As a checkpoint has them that names no variables: layers in one row, whose numbers are no text to be sorted."""
    found = {}
    for number, (_, _, variables) in enumerate(keras_layers(**arguments)):
        found |= {f"layer_with_weights-{number}/{variable}": array for variable, array in variables.items()}
    return found


def torch_arrays(prefix="module.", filters=FILTERS, n_bins=40):
    found = {}
    for kind, place, variables in keras_layers(filters, (n_bins,)):
        if kind == "conv":
            found[f"{prefix}feature_extractor.conv_{place}.0.weight"] = variables["kernel"].transpose(4, 3, 0, 1, 2)
            found[f"{prefix}feature_extractor.conv_{place}.0.bias"] = variables["bias"]
        elif kind == "norm":
            for ours, theirs in PARTS.items():
                found[f"{prefix}feature_extractor.conv_{place}.1.{ours}"] = variables[theirs]
            found[f"{prefix}feature_extractor.conv_{place}.1.num_batches_tracked"] = np.array(3)
        else:
            found[f"{prefix}classifier.conv_6.weight"] = variables["kernel"].T[..., None, None, None]
            found[f"{prefix}classifier.conv_6.bias"] = variables["bias"]
    return found
