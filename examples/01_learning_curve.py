"""A learning curve: how many scans does predicting age need, and which way is best?

    python examples/01_learning_curve.py [FOLDER]

With your own scans: leave out `simulate`, give `learning_curve` your table (and, where you have one, a `model`).
"""

import sys
import tempfile
from pathlib import Path

from neurotransfer import learning_curve
from neurotransfer.simulate import simulate


def main(folder: Path):
    cohort = simulate(folder / "heads", 60, shape=(32, 38, 32), seed=1, effect=2.0)
    run = learning_curve(
        cohort,
        "age",
        out=folder / "run",
        sizes=[10, 20, 40],
        replicates=10,
        strategies=["linear", "voxels"],
        study={"grid": {"shape": [32, 38, 32], "voxel_size_mm": 192 / 38}},
    )
    chosen = run.results[run.results["selected"]]
    print("mean absolute error in years on people who were not trained on:")
    print(chosen.pivot_table(index="n", columns="strategy", values="test_mae").round(2).to_string())
    print(f"the page with intervals and tests: {run.folder / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
