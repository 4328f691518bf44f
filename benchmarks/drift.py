"""How often the verdict on drift errs on real heads: `python benchmarks/drift.py DATA`, the folder with ds000228 and ds002748.

A reference is made of 60 + 20 people of ds000228 (features of sim-base), and held against the others of the same cohort, against
the same people with something done to their scans, and against another cohort. Ten draws of people; some minutes on two cores.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from neurotransfer.cohort import read_cohort, store_volumes
from neurotransfer.models import load_model
from neurotransfer.models.reference import drift_of, reference_of, values_of
from neurotransfer.seeding import stream
from neurotransfer.training import features

N_TRAIN, N_HELD_OUT, N_DRAWS = 60, 20, 10


def moved(volume: np.ndarray, voxels: float) -> np.ndarray:
    """A volume (x, y, z) moved along y."""
    return ndimage.shift(volume, (0, voxels, 0), order=1)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "others of the same cohort, as they are": lambda volume: volume,
    "moved by 2 mm": lambda volume: moved(volume, 0.5),
    "moved by 8 mm": lambda volume: moved(volume, 2.0),
    "turned by 10 degrees": lambda volume: ndimage.rotate(volume, 10, (0, 1), reshape=False, order=1).clip(0, 1),
    "contrast: power of 1.3": lambda volume: volume**1.3,
    "contrast: power of 2": lambda volume: volume**2,
    "noise of 5 %": lambda volume: np.where(
        volume > 0, volume + stream(0, "noise", float(volume.sum())).normal(0, 0.05, volume.shape), 0
    ).clip(0, 1),
    "smoothed by 6 mm": lambda volume: ndimage.gaussian_filter(volume, 6 / 4 / 2.355),
    "left for right": lambda volume: volume[::-1].copy(),
    "front for back": lambda volume: volume[:, ::-1].copy(),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    model = load_model("sim-base")
    cohorts = {
        "ds000228": read_cohort(data / "ds000228", mask="brain"),
        "ds000228 with skull": read_cohort(data / "ds000228"),
        "ds002748, centred only": read_cohort(data / "ds002748", alignment="centre"),
    }
    with tempfile.TemporaryDirectory() as place:
        volumes = {
            name: np.asarray(store_volumes(Path(place) / str(number), cohort, model.card.input)[:])
            for number, (name, cohort) in enumerate(cohorts.items())
        }
    own = volumes.pop("ds000228")
    kinds = {name: np.stack([change(volume) for volume in own]).astype(np.float32) for name, change in CHANGES.items()}
    kinds |= volumes
    found = {name: (features(model.network.encoder, each), values_of(each)) for name, each in kinds.items()}
    plain = found["others of the same cohort, as they are"]
    print("| scans | outside, % | verdicts: alike, partly, another kind |\n|---|---|---|")
    for name, (seen, spread) in found.items():
        shares, verdicts = [], []
        for draw in range(N_DRAWS):
            order = stream(draw, "drift").permutation(len(own))
            known, rest = order[: N_TRAIN + N_HELD_OUT], order[N_TRAIN + N_HELD_OUT :]
            reference = reference_of(plain[0][known], plain[1][known], np.arange(len(known)) >= N_TRAIN)
            rows = rest if len(seen) == len(own) else np.arange(len(seen))
            drift = drift_of(reference, seen[rows], spread[rows])
            shares.append(drift.outside.mean())
            verdicts.append(drift.verdict)
        counted = ", ".join(str(verdicts.count(verdict)) for verdict in ("alike", "partly", "another kind"))
        print(f"| {name} | {100 * np.mean(shares):.1f} | {counted} |", flush=True)


if __name__ == "__main__":
    main()
