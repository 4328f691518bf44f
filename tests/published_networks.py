"""Published networks built anew for tests, from what their authors have written: Keras for Keras, PyTorch for PyTorch."""

import os
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

# before anybody imports Keras, which would look for TensorFlow
os.environ.setdefault("KERAS_BACKEND", "torch")
NARROW = (2, 3, 4, 3, 4, 3)
WIDE = (32, 64, 128, 256, 256, 64)
MULTI = ("age", "sex", "handedness", "bmi", "fluid_intelligence", "neuroticism")
SIGMOIDS = ("sex", "handedness")
# name of the network, global pooling, and what its volumes are at most
KERAS = {
    "sfcn-reg-2022": ("sfcn-reg", "average", 1.0),
    "sfcn-sm-2022": ("sfcn-sm", "average", 1.0),
    "sfcn-rank-2022": ("sfcn-rank", "average", 1.0),
    "sfcn-bin-2024": ("sfcn-bin", "average", 1.0),
    "multi-2025": ("SFCNMulti", "maximum", 255.0),
    "reg-2025": ("SFCN", "average", 255.0),
}
HIGHEST_UKB = 20.0
# of scans that networks take their statistics from
SEEN = (64, 48, 48)


def keras():
    """Keras, imported only where it is used: that takes seconds."""
    import keras

    return keras


def scans(shape, n=2, seed=0):
    """Volumes (n, x, y, z), 0 to 1: blobs of chance that differ from image to image, zero on one side as outside a head."""
    random = np.random.default_rng(seed)
    volumes = np.zeros((n, *shape), np.float32)
    for place, volume in enumerate(volumes):
        coarse = random.random([side // (6 + 4 * place) + 1 for side in shape], np.float32)
        index = np.ix_(*[np.arange(side) * few // side for side, few in zip(shape, coarse.shape, strict=True)])
        volume[:] = coarse[index] * (0.7 + 0.3 * random.random(shape, np.float32)) / (1 + place)
    volumes[:, : shape[0] // 5] = 0
    return volumes


def _heads(layers, kind, name, x, n_ranks):
    if kind == "sfcn-reg-2022":
        return layers.ReLU(max_value=92)(layers.Dense(1, name=f"{name}_predictions")(x)) + 3.0
    if kind == "sfcn-sm-2022":
        return layers.Dense(93, activation="softmax", name=f"{name}_predictions")(x)
    if kind == "sfcn-rank-2022":
        return layers.Dense(n_ranks, activation="sigmoid", name=f"{name}_predictions")(x)
    if kind == "sfcn-bin-2024":
        return layers.Dense(1, activation="sigmoid", name=f"{name}_predictions")(x)
    if kind == "reg-2025":
        return layers.Dense(1, name=f"{name}_predictions_predictions")(x)
    heads = [
        layers.Dense(
            1, activation="sigmoid" if target in SIGMOIDS else None, name=f"{name}_predictions_predictions_{target}"
        )
        for target in MULTI
    ]
    return layers.Concatenate()([head(x) for head in heads])


def keras_network(kind, filters=NARROW, seed=0, n_ranks=91):
    """The Keras network of a release with weights and statistics of chance, for volumes of any shape (x, y, z, 1)."""
    layers = keras().layers
    name, pooling, highest = KERAS[kind]
    inputs = x = layers.Input((None, None, None, 1), name=f"{name}_inputs")
    for place, count in enumerate(filters[:-1]):
        x = layers.Conv3D(count, (3, 3, 3), padding="same", name=f"{name}_block-{place}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_block-{place}_norm")(x)
        x = layers.Activation("relu", name=f"{name}_block-{place}_relu")(x)
        x = layers.MaxPooling3D((2, 2, 2), name=f"{name}_block-{place}_pool")(x)
    x = layers.Conv3D(filters[-1], (1, 1, 1), padding="same", name=f"{name}_top_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_top_norm")(x)
    x = layers.Activation("relu", name=f"{name}_top_relu")(x)
    pool = layers.GlobalAveragePooling3D if pooling == "average" else layers.GlobalMaxPooling3D
    x = layers.Dropout(0.2, name=f"{name}_top_dropout")(pool(name=f"{name}_top_pool")(x))
    made = keras().Model(inputs, _heads(layers, kind, name, x, n_ranks))
    random = np.random.default_rng(seed)
    norms = []
    for layer in made.layers:
        weights = layer.get_weights()
        if len(weights) == 2:
            layer.set_weights(_of_chance(random, weights, highest))
        elif len(weights) == 4:
            n = len(weights[0])
            layer.set_weights([random.uniform(0.2, 0.5, n), random.normal(0.2, 0.2, n), *weights[2:]])
            layer.momentum = 0.0
            norms.append(layer)
    if kind == "sfcn-rank-2022":
        # ranks that rise, as trained ones do
        head = made.get_layer(f"{name}_predictions")
        kernel = head.get_weights()[0][:, :1]
        head.set_weights([np.tile(kernel, n_ranks), random.permutation(np.linspace(-20, 20, n_ranks))])
    if kind == "sfcn-rank-2022":
        # ranks that rise, as trained ones do
        head = made.get_layer(f"{name}_predictions")
        kernel = head.get_weights()[0][:, :1]
        head.set_weights([np.tile(kernel, n_ranks), random.permutation(np.linspace(-20, 20, n_ranks))])
    if kind == "sfcn-reg-2022":
        # between its limits
        head = made.get_layer(f"{name}_predictions")
        head.set_weights([head.get_weights()[0] * 5, np.array([40.0])])
    # statistics near those of scans, or little would get through a network of chance
    with torch.no_grad():
        made(scans(SEEN, 2, 99)[..., None] * np.float32(highest), training=True)
    for norm in norms:
        gamma, beta, mean, variance = norm.get_weights()
        moved = mean + random.normal(0, 0.3, mean.shape) * np.sqrt(variance)
        norm.set_weights([gamma, beta, moved, variance * random.uniform(0.5, 2, mean.shape)])
    return made


def _of_chance(random, weights, highest):
    kernel, bias = weights
    fan = np.prod(kernel.shape[:-1])
    if kernel.ndim == 2:
        # over bins and ranks the scores have to differ, or nothing but the middle would ever be predicted
        return [random.normal(0, 8 if bias.size > 1 else 2, kernel.shape), random.normal(1, 1, bias.shape)]
    # small enough that an epsilon of 1e-3 is felt beside the variances
    scale = 0.3 * np.sqrt(2 / fan) / (highest if kernel.shape[-2] == 1 else 1)
    return [random.normal(0, scale, kernel.shape), random.normal(0, 0.1, bias.shape)]


def keras_outputs(kind, network, volumes):
    """What a Keras network and the reading of its authors give for volumes (n, x, y, z), 0 to 1: (n, n_targets)."""
    given = network.predict(volumes[..., None] * np.float32(KERAS[kind][2]), verbose=0, batch_size=1)
    if kind == "sfcn-sm-2022":
        return 3 + (given * np.arange(93)).sum(1, keepdims=True)
    if kind == "sfcn-rank-2022":
        return 3 + np.round(given).sum(1, keepdims=True)
    return given


def write_keras_2(network, path, root=None, repeated=True):
    """Weights as Keras 2 writes them in HDF5: LAYER/LAYER/kernel:0, with attributes that list layers and weights."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file if root is None else file.create_group(root)
        group.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        group.attrs["backend"], group.attrs["keras_version"] = b"tensorflow", b"2.7.0"
        for layer in network.layers:
            below = group.create_group(layer.name)
            names = [f"{layer.name}/{variable.name}:0" for variable in layer.variables if "seed" not in variable.name]
            below.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=False):
                below.create_dataset(name if repeated else name.rpartition("/")[2], data=value)


class Peng(nn.Module):
    """The network of Peng et al. (2021) as its paper draws it: pooling before the ReLU, log-softmax of filters of one voxel."""

    def __init__(self, filters=WIDE, n_bins=40, pool=(5, 6, 5)):
        super().__init__()
        parts = OrderedDict()
        for place, (before, after) in enumerate(zip((1, *filters[:-1]), filters, strict=True)):
            last = place == len(filters) - 1
            convolution = nn.Conv3d(before, after, 1 if last else 3, padding=0 if last else 1)
            pooled = [] if last else [nn.MaxPool3d(2, stride=2)]
            parts[f"conv_{place}"] = nn.Sequential(convolution, nn.BatchNorm3d(after), *pooled, nn.ReLU())
        self.feature_extractor = nn.Sequential(parts)
        head = nn.Conv3d(filters[-1], n_bins, 1)
        self.classifier = nn.Sequential(
            OrderedDict(average_pool=nn.AvgPool3d(pool), dropout=nn.Dropout(0.5), conv_6=head)
        )

    def forward(self, volumes):
        """Logarithms of probabilities (n, n_bins)."""
        return self.classifier(self.feature_extractor(volumes)).log_softmax(1).flatten(1)


def peng_network(n_bins=40, filters=NARROW, shape=(160, 192, 160), seed=0):
    """A network of Peng with weights and statistics of chance, for volumes of a shape (x, y, z) up to 20."""
    torch.manual_seed(seed)
    network = Peng(filters, n_bins, tuple(side // 32 for side in shape))
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]
    with torch.no_grad():
        network.feature_extractor.conv_0[0].weight.div_(HIGHEST_UKB)
        network.classifier.conv_6.weight.normal_(0, 4)
        for norm in norms:
            norm.weight.uniform_(-1.5, 1.5)
            norm.bias.normal_(0.4, 0.4)
            norm.momentum = None
        network.feature_extractor(torch.from_numpy(scans(SEEN, 2, 99))[:, None] * HIGHEST_UKB)
        for norm in norms:
            norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.5, 2))
            norm.num_batches_tracked.fill_(1234)
    network.eval()
    return network


def of_many_gpus(network):
    """The state as DataParallel keeps it."""
    return OrderedDict((f"module.{name}", value) for name, value in network.state_dict().items())
