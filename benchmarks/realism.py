"""Simulated heads beside real ones: distributions in a figure, and how well, and by what, a classifier tells them apart.

    python benchmarks/realism.py DATA [--out docs/images/realism.png] [--model sim-base]

DATA holds ds000228 (see studies/sim_development.toml). As many simulated heads as there are real ones, of ages drawn as in
pretraining, are prepared as the real ones are. Both are measured alike: tissue volumes by intensity, histograms of voxels, smoothed
voxels, features of the model. The classifier is logistic regression with an L2 penalty, 10-fold; AUC 0.5: nobody can tell.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

BINS = np.linspace(0, 1, 33)


def real_heads(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Volumes (n, x, y, z) and ages (n,) of ds000228."""
    from neurotransfer.cohort import Grid, read_cohort, store_volumes

    cohort = read_cohort(data / "ds000228", space="MNI152", mask="brain", targets=["age"])
    with tempfile.TemporaryDirectory() as folder:
        volumes = np.asarray(
            store_volumes(Path(folder) / "volumes", cohort, Grid())[np.arange(len(cohort.table))], np.float32
        )
    return volumes, cohort.table["age"].astype(float).to_numpy()


def simulated_heads(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Volumes (n, x, y, z) and ages (n,) that no pretraining saw."""
    from neurotransfer.simulate.synthesis import Heads

    made = [Heads(seed=777).make(range(start, min(start + 32, n))) for start in range(0, n, 32)]
    return (np.concatenate([part.volumes[:, 0].numpy() for part in made]),
            np.concatenate([part.people.targets["age"] for part in made]))  # fmt: skip


def measures(volumes: np.ndarray, model: str) -> dict[str, np.ndarray]:
    """What a classifier may look at, (n, k) each."""
    from neurotransfer.models import build_encoder, load_model
    from neurotransfer.training import features

    sides = {"shape": list(volumes.shape[1:]), "sigma": 1.0, "stride": 2}
    return {
        "tissue volumes (4 numbers)": features(build_encoder("tissue", {"voxel_litres": 6.4e-5}), volumes),
        "histogram of voxels (32 bins)": np.array([histogram(volume) for volume in volumes]),
        "smoothed voxels": features(build_encoder("voxels", sides).eval(), volumes),
        f"features of {model}": features(load_model(model).network.encoder, volumes),
    }


def histogram(volume: np.ndarray) -> np.ndarray:
    """Shares (32,) of the voxels of a head by intensity."""
    counts = np.histogram(volume[volume > 0.02], BINS)[0]
    return counts / max(counts.sum(), 1)


def told_apart(values: np.ndarray, is_real: np.ndarray) -> float:
    """The AUC (0.5 to 1) of a classifier on people that it has not seen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=10 / values.shape[1], max_iter=2000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return float(
        roc_auc_score(is_real, cross_val_predict(classifier, values, is_real, cv=folds, method="decision_function"))
    )


def differences(real: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """Standardised differences of means (k,), real less simulated, in pooled standard deviations."""
    spread = np.sqrt((real.var(0) + simulated.var(0)) / 2)
    return (real.mean(0) - simulated.mean(0)) / np.maximum(spread, 1e-9)


def draw(real: dict[str, Any], simulated: dict[str, Any], out: Path) -> None:
    """The figure: histograms of voxels, tissue volumes, and a slice of the mean head of each."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(14, 7), layout="constrained")
    colours = {"real (ds000228)": "#0072B2", "simulated": "#D55E00"}
    for (name, colour), one in zip(colours.items(), (real, simulated), strict=True):
        mean, middle = one["histogram"].mean(0), (BINS[1:] + BINS[:-1]) / 2
        low, high = np.quantile(one["histogram"], [0.05, 0.95], axis=0)
        axes[0, 0].plot(middle, mean, color=colour, label=name)
        axes[0, 0].fill_between(middle, low, high, color=colour, alpha=0.2, linewidth=0)
        for place, tissue in enumerate(("fluid", "grey matter", "white matter")):
            axis = axes.flat[1 + place]
            axis.hist(1000 * one["tissue"][:, place], bins=20, density=True, color=colour, alpha=0.5)
            axis.set(xlabel=f"{tissue} by intensity (ml)", ylabel="density", yticks=[])
    axes[0, 0].set(xlabel="intensity (1: 99th percentile of the head)", ylabel="share of voxels")
    axes[0, 0].legend(frameon=False)
    for row, (name, one) in enumerate(zip(colours, (real, simulated), strict=True)):
        for column, (what, volume) in enumerate((("mean", one["volumes"].mean(0)), ("spread", one["volumes"].std(0)))):
            axis = axes[1, 2 * row + column]
            axis.imshow(volume[:, :, volume.shape[2] // 2].T, origin="lower", cmap="gray")
            axis.set(title=f"{what}, {name}", xticks=[], yticks=[])
    figure.savefig(out, dpi=80)
    plt.close(figure)


def main() -> None:
    """Print the table and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/realism.png"))
    parser.add_argument("--model", default="sim-base")
    given = parser.parse_args()
    real, ages = real_heads(given.data)
    simulated, sim_ages = simulated_heads(len(real))
    for name, found in (("real", ages), ("simulated", sim_ages)):
        print(f"{name}: {len(found)} heads, ages {found.min():.0f} to {found.max():.0f}, median {np.median(found):.0f}")
    both = np.concatenate([real, simulated])
    is_real = np.repeat([1, 0], len(real))
    found = measures(both, given.model)
    print(f"\n{'a classifier sees':32}  AUC   largest difference of means (pooled SD)")
    for name, values in found.items():
        apart = differences(values[: len(real)], values[len(real) :])
        at = int(np.abs(apart).argmax())
        where = f"intensity {BINS[at]:.2f} to {BINS[at + 1]:.2f}" if "histogram" in name else f"number {at + 1}"
        print(f"{name:32}  {told_apart(values, is_real):.2f}  {apart[at]:+.1f} at {where}")
    parts = ((real, slice(None, len(real))), (simulated, slice(len(real), None)))
    names = {"histogram": "histogram of voxels (32 bins)", "tissue": "tissue volumes (4 numbers)"}
    halves = [
        {"volumes": volumes} | {short: found[name][part] for short, name in names.items()} for volumes, part in parts
    ]
    for place, tissue in enumerate(("fluid", "grey", "white")):
        one, other = (1000 * half["tissue"][:, place] for half in halves)
        print(
            f"{tissue} by intensity: real {one.mean():.0f} ± {one.std():.0f} ml, simulated {other.mean():.0f} ± {other.std():.0f} ml"
        )
    draw(*halves, given.out)
    print(f"figure: {given.out}")


if __name__ == "__main__":
    main()
