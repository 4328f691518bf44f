"""Scans, labels and people that the tests of estimators share."""

import numpy as np
import pytest

from neurotransfer.cohort import read_cohort, store_volumes
from neurotransfer.models import load_model


@pytest.fixture(scope="session")
def cohort(tiny_cohort):
    """The scans of the tiny cohort whose age and sex are known; some people have two."""
    every = read_cohort(tiny_cohort)
    known = (every.table["age"] != "") & (every.table["sex"] != "")
    found = every.rows(np.flatnonzero(known))
    assert len(found) > found.n_participants
    return found


@pytest.fixture(scope="session")
def volumes(cohort, tiny_model, tmp_path_factory):
    return store_volumes(tmp_path_factory.mktemp("store"), cohort, load_model(tiny_model).card.input)


@pytest.fixture(scope="session")
def ages(cohort):
    return cohort.table["age"].astype(float).to_numpy()


@pytest.fixture(scope="session")
def sexes(cohort):
    return cohort.table["sex"].to_numpy(str)


@pytest.fixture(scope="session")
def regions():
    """Six regional volumes of 90 scans of 45 people, and a number and a class that the first two tell."""
    generator = np.random.default_rng(2)
    values = generator.normal(size=(90, 6))
    people = np.repeat([f"p{index}" for index in range(45)], 2)
    return values, 60 + 5 * values[:, 0] - 3 * values[:, 1], np.digitize(values[:, 0], [-0.4, 0.4]), people
