"""How the files of tensorflow/ were made: by TensorFlow 2.21 and tf_keras 2.21, the Keras 2 that the authors of the releases used.

    python -m venv tf && tf/bin/pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0
    tf/bin/python tests/data/make_tensorflow_fixtures.py

Networks are narrow; names, shapes of layers, orders and formats are those of the releases. NAME.npz holds what the network
gives for `volumes()`, which are not kept because numpy draws them again.
"""

import os
from pathlib import Path

import numpy as np

FILTERS = (2, 3, 4, 3, 4, 3)
SHAPE = (33, 47, 41)
FOLDER = Path(__file__).parent / "tensorflow"
MULTI = ("age", "sex", "handedness", "bmi", "fluid_intelligence", "neuroticism")


def volumes(highest=1.0, n=2, shape=SHAPE):
    """Scans of chance (n, x, y, z), 0 to `highest`; RandomState draws the same numbers for ever."""
    return (np.random.RandomState(5).rand(n, *shape) * highest).astype(np.float32)


def shaken(model, seed, highest=1.0):
    """Weights and statistics that are anything but fresh, with outputs that are neither all alike nor all at a limit."""
    random = np.random.RandomState(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        if len(weights) == 2:
            scale = np.sqrt(2 / np.prod(weights[0].shape[:-1])) / (highest if weights[0].shape[-2] == 1 else 1)
            layer.set_weights([random.normal(0, scale, weights[0].shape), random.normal(0, 0.1, weights[1].shape)])
        if len(weights) == 4:
            n = len(weights[0])
            # variances so small that Keras' epsilon of 1e-3 is felt
            statistics = [random.normal(0, 0.2, n), random.uniform(0.02, 0.2, n)]
            layer.set_weights([random.uniform(0.2, 0.5, n), random.normal(0.4, 0.4, n), *statistics])
    return model


def network(keras, name, shape, pooling, heads):
    layers = keras.layers
    inputs = layers.Input(shape, name=f"{name}_inputs")
    x = layers.Reshape((*shape, 1), name=f"{name}_expand-dims")(inputs)
    for place, count in enumerate(FILTERS[:-1]):
        x = layers.Conv3D(count, (3, 3, 3), padding="SAME", name=f"{name}_block-{place}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_block-{place}_norm")(x)
        x = layers.Activation("relu", name=f"{name}_block-{place}_relu")(x)
        x = layers.MaxPooling3D((2, 2, 2), name=f"{name}_block-{place}_pool")(x)
    x = layers.Conv3D(FILTERS[-1], (1, 1, 1), padding="SAME", name=f"{name}_top_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_top_norm")(x)
    x = layers.Activation("relu", name=f"{name}_top_relu")(x)
    x = pooling(name=f"{name}_top_pool")(x)
    x = layers.Dropout(0.0, name=f"{name}_top_dropout")(x)
    return keras.Model(inputs, heads(layers, x))


def multi(layers, x):
    name = "SFCNMulti_predictions_predictions"
    made = [
        layers.Dense(1, "sigmoid" if target in ("sex", "handedness") else None, name=f"{name}_{target}")
        for target in MULTI
    ]
    return layers.Concatenate()([head(x) for head in made])


def limited(layers, x):
    return layers.ReLU(max_value=92)(layers.Dense(1, name="sfcn-reg_predictions")(x)) + 3.0


def main():
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras as keras

    layers = keras.layers
    FOLDER.mkdir(exist_ok=True)
    made = shaken(network(keras, "SFCNMulti", SHAPE, layers.GlobalMaxPooling3D, multi), 1, 255.0)
    made.save_weights(str(FOLDER / "multi-2025"))
    np.savez(FOLDER / "multi-2025.npz", outputs=made.predict(volumes(255.0), verbose=0))
    made = shaken(
        network(
            keras, "SFCN", SHAPE, layers.GlobalAveragePooling3D,
            lambda layers, x: layers.Dense(1, name="SFCN_predictions/predictions")(x),
        ),
        2,
        255.0,
    )  # fmt: skip
    # with the state of its optimiser, as a callback leaves it in the middle of a training
    made.compile("adam", "mse")
    made.train_on_batch(volumes(255.0), np.ones((2, 1), np.float32))
    made.save_weights(str(FOLDER / "reg-2025"))
    np.savez(FOLDER / "reg-2025.npz", outputs=made.predict(volumes(255.0), verbose=0))
    made = shaken(network(keras, "sfcn-reg", SHAPE, layers.GlobalAveragePooling3D, limited), 7)
    made.layers[-3].set_weights([made.layers[-3].get_weights()[0] * 20, np.array([40.0])])
    made.save_weights(str(FOLDER / "sfcn-reg-2022.h5"))
    np.savez(FOLDER / "sfcn-reg-2022.npz", outputs=made.predict(volumes(), verbose=0))
    (FOLDER / "checkpoint").unlink()


if __name__ == "__main__":
    main()
