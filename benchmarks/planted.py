"""How often `diagnose` names the cause that was planted, and how often none in clean studies.

    python benchmarks/planted.py --seeds 10 [--only clean,luck] [--out rates.tsv] [--keep FOLDER]

Every study is run by `benchmark` with all experiments on causes, and diagnosed as a user would. A planted cause is hit when it is the
first that is named, of the strategy that has it; a clean study is hit when nothing is named. The bar is 9 of 10. Studies that are
kept are not run again: a second call only diagnoses them.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neurotransfer.diagnose.planted import PLANTED, diagnosed


def rows_of(names: Sequence[str], seeds: int, keep: Path | None = None) -> pd.DataFrame:
    """A row a study: its cause, seed, what was named, whether that is right, seconds."""
    rows = []
    for name in names:
        for seed in range(seeds):
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                named = diagnosed(name, seed, Path(folder) if keep is None else keep / f"{name}-{seed}")
            first = named[0] if named else ""
            row = (name, seed, ", ".join(named) or "none", first == PLANTED[name].cause, time.perf_counter() - began)
            print(
                "{:14} seed {:<3} named: {:30} {} {:.0f} s".format(*row[:3], "hit" if row[3] else "MISS", row[4]),
                flush=True,
            )
            rows.append(row)
    return pd.DataFrame(rows, columns=["planted", "seed", "named", "hit", "seconds"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the studies and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default=",".join(PLANTED))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args(arguments)
    names = asked.only.split(",")
    wrong = [name for name in names if name not in PLANTED]
    if wrong:
        sys.exit(f"no planted study {', '.join(wrong)}; there are {', '.join(PLANTED)}")
    table = rows_of(names, asked.seeds, asked.keep)
    for name, own in table.groupby("planted", sort=False):
        print(f"{name}: {int(own['hit'].sum())} of {len(own)}")
    if asked.out is not None:
        table.to_csv(asked.out, sep="\t", index=False)


if __name__ == "__main__":
    main()
