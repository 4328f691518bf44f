"""What the sweep of a simulated study says: is the peak of its test error double descent?

    python benchmarks/sweep.py FOLDER [--name double-descent] [--seed 0] [--widths 1,2,4,8,16,64] [--epochs 30,300] [--sizes 40]

The study is run as a user would run it, then swept by `diagnose`; the verdict and the errors of every point are printed, and the page
lies in FOLDER/run/diagnosis.html. What is finished is not done again.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from neurotransfer.diagnose.interpolation_page import sentence_of
from neurotransfer.diagnose.planted import SWEEP, SWEPT, swept
from neurotransfer.diagnose.sweep import Sweep


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    return tuple(int(part) for part in text.split(",") if part)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and its sweep and print what they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", choices=list(SWEPT), default="double-descent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--widths", type=numbers, default=SWEEP.widths)
    parser.add_argument("--epochs", type=numbers, default=SWEEP.epochs)
    parser.add_argument("--sizes", type=numbers, default=())
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    sweep = Sweep(asked.widths, asked.epochs, asked.sizes)
    verdict = swept(asked.name, asked.seed, asked.folder, sweep, asked.workers)
    print(f"{asked.name}, seed {asked.seed}: {sentence_of(verdict)}")
    means = verdict.errors.groupby(["arm", "n", "epochs", "width"])[["train", "test"]].agg(["mean", "sem"]).round(3)
    print(means.to_string())
    print(verdict.complexity.to_string(index=False))
    print(f"{len(verdict.errors)} fits, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
