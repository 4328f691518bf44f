"""From a pretrained network to predictions of new scans: pretrain, transfer, predict.

    python examples/02_predict.py [FOLDER]

With your own scans: leave out `simulate` and give your tables; `read_scans` takes a folder of scans without a table.
"""

import sys
import tempfile
from pathlib import Path

from neurotransfer import read_cohort
from neurotransfer.cohort import Grid
from neurotransfer.predict import predict, read_scans
from neurotransfer.pretrain import Pretraining, pretrain
from neurotransfer.simulate import simulate
from neurotransfer.training import Recipe
from neurotransfer.transfer import transfer

GRID = Grid((32, 38, 32), 192 / 38)


def main(folder: Path):
    big = simulate(folder / "big", 60, shape=GRID.shape, seed=1, effect=2.0, prefix="big")
    ours = simulate(folder / "ours", 40, shape=GRID.shape, seed=2, effect=2.0, prefix="ours")
    new = simulate(folder / "new", 8, shape=GRID.shape, seed=3, effect=2.0, prefix="new", missing=0.0)

    options = Pretraining(GRID, arguments={"width": 0.125}, recipe=Recipe(epochs=4, lr=3e-3))
    pretrain(read_cohort(big), ["age", "sex"], folder / "pretrained", options)
    made = transfer(folder / "pretrained", read_cohort(ours), "age", "frozen", folder / "age")
    print(f"chosen on validation: {made.setting}")

    table = predict(folder / "age", read_scans(new.parent / "heads"))
    table["known"] = read_cohort(new).table["age"].astype(float)
    print(table[["participant_id", "age", "known"]].round(1).to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
