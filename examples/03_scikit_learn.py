"""A strategy as a scikit-learn estimator: cross-validation in which nobody is in two folds.

python examples/03_scikit_learn.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold, cross_val_score

from neurotransfer import TransferRegressor, read_cohort
from neurotransfer.cohort import Grid, load_volume
from neurotransfer.simulate import simulate

GRID = Grid((32, 38, 32), 192 / 38)


def main(folder: Path):
    table = simulate(folder / "heads", 60, shape=GRID.shape, seed=1, effect=2.0, missing=0.0)
    cohort = read_cohort(table, targets=["age"])
    volumes = np.stack([load_volume(image, GRID) for image, _ in cohort.images])
    age, people = cohort.table["age"].astype(float).to_numpy(), cohort.participants

    regressor = TransferRegressor(strategy="voxels", grid={"penalty": [0.01, 0.1, 1.0]})
    # some people have two scans: `groups` keeps them together between folds, `params` within the fit of a fold
    found = cross_val_score(regressor, volumes, age, groups=people, cv=GroupKFold(3), params={"groups": people})
    print(f"{len(age)} scans of {cohort.n_participants} people; R squared of age in every fold: {found.round(2)}")

    last = people == people[-1]
    regressor.fit(volumes[~last], age[~last], groups=people[~last])
    print(f"chosen: {regressor.setting_}")
    print(f"who was left out is {age[last][0]:.0f}, predicted {regressor.predict(volumes[last])[0]:.0f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
