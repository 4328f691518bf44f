"""Simulated heads a second, at the sizes that networks are trained on, and what training waits for them.

    python benchmarks/simulation.py [--quick]

Each size is a process of its own with all cores; the median of several batches of 32 (8 at 2 mm) counts. The last line trains a
network of half the width on heads made meanwhile, and says which share of the time it waited for them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

SIZES = {"40x48x40": (4.0, 32), "80x96x80": (2.0, 8)}


def heads_a_second(name: str, seconds: float) -> float:
    """The median rate of batches for some seconds."""
    from neurotransfer.cohort import Grid
    from neurotransfer.simulate.synthesis import Heads
    from neurotransfer.training import Engine, use

    use(Engine(device="cpu"))
    voxel_size_mm, batch = SIZES[name]
    heads = Heads(Grid(tuple(int(side) for side in name.split("x")), voxel_size_mm))
    times, started, first = [], time.perf_counter(), 0
    while time.perf_counter() - started < seconds or len(times) < 4:
        before = time.perf_counter()
        heads.make(range(first, first + batch))
        times.append(time.perf_counter() - before)
        first += batch
    return batch / statistics.median(times[2:])


def share_of_waiting(n: int) -> tuple[float, float]:
    """Heads a second of training, and the share of the time in which the network waited for them."""
    import tempfile
    from pathlib import Path

    from neurotransfer.pretrain import simulated
    from neurotransfer.pretrain.study import parse_simulated_study

    histories, fit = [], simulated.fit

    def kept(*arguments: object, **options: object) -> object:
        histories.append(fit(*arguments, **options))  # type: ignore[arg-type]
        return histories[-1]

    simulated.fit = kept  # type: ignore[assignment]
    study = parse_simulated_study({
        "name": "speed", "network": {"width": 0.5, "pooling": "average"}, "heads": {"an_epoch": n, "validation": 16},
        "targets": {"volumes": 0.6, "contrast": 0.4}, "training": {"epochs": 2, "batch_size": 32},
    })  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        simulated.pretrain_simulated(study, Path(folder) / "model")
    return 2 * n / histories[0].training, histories[0].waiting / histories[0].training


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds instead of half a minute a size")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        found = share_of_waiting(96 if given.quick else 640) if given.one == "training" else [
            heads_a_second(given.one, 4 if given.quick else 25)
        ]  # fmt: skip
        print(json.dumps(list(found)))
        return
    print(f"{'grid':>10}  heads/s")
    for name in SIZES:
        print(f"{name:>10}  {_apart(name, given.quick)[0]:7.1f}", flush=True)
    rate, waited = _apart("training", given.quick)
    print(
        f"training half of SFCN's width at 40x48x40: {rate:.1f} heads/s, {100 * waited:.1f} % of the time waiting for heads"
    )


def _apart(name: str, quick: bool) -> list[float]:
    command = [sys.executable, __file__, "--one", name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
