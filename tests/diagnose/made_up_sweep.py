"""Errors of sweeps of made-up numbers."""

import itertools

import numpy as np
import pandas as pd

from neurotransfer.diagnose.sweep import DECAY, EARLY, PLAIN
from neurotransfer.diagnose.swept import COLUMNS

WIDTHS = (1, 2, 4, 8, 16, 32)
# more units than labels ask for: fitted from width 8 on, and worst just before
TRAIN = (0.8, 0.6, 0.3, 0.05, 0.0, 0.0)
PEAKED = (0.8, 0.9, 1.6, 1.2, 1.0, 0.9)
FALLING = (1.0, 0.95, 0.9, 0.86, 0.84, 0.83)
HELD = (0.75, 0.76, 0.77, 0.78, 0.79, 0.8)


def errors(test=PEAKED, train=TRAIN, *, early=HELD, decay=None, axis="width", values=WIDTHS, spread=0.05, n_replicates=8,
           seed=0, **fixed):  # fmt: skip
    """A row a fit along one axis: mean errors by arm, with noise that replicates share as they share their people."""
    fixed = {"noise": 0.2, "width": 4.0, "epochs": 100, "n": 40, "strategy": "perceptron", "task": "age"} | fixed
    generator = np.random.default_rng(seed)
    shared = spread * generator.standard_normal(n_replicates)
    rows = []
    for arm, means in ((PLAIN, test), (EARLY, early), (DECAY, decay)):
        for place, replicate in itertools.product(range(len(values)), range(n_replicates)):
            if means is None:
                continue
            own = means[place] + shared[replicate] + spread * generator.standard_normal()
            found = fixed | {axis: values[place], "arm": arm, "replicate": replicate}
            rows.append(found | {"train": train[place] if arm == PLAIN else 0.5, "test": own})
    return pd.DataFrame(rows)[COLUMNS]
