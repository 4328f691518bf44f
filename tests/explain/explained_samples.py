"""A made sample whose features are known: age, sex and site in some of them, repeated scans, two models."""

import numpy as np
import pandas as pd

from neurotransfer.explain.gathering import Held, Sample, in_common


def made_sample(n=60, seed=0, p=12) -> Sample:
    """Two models of some 1.3 n scans of n people: the first has age in feature 0 and site in 1, the second three things said often."""
    draws = np.random.default_rng(seed)
    scans = np.repeat(np.arange(n), np.where(np.arange(n) % 3 == 0, 2, 1))
    age, sex, site = draws.uniform(20, 80, n), draws.integers(0, 2, n), draws.integers(0, 3, n)
    person = draws.normal(size=(n, p))
    person[:, 0] += (age - 50) / 10
    person[:, 1] += 2.0 * site
    hidden = person[:, :3]
    again = np.repeat(hidden, p // 3, axis=1) + 0.3 * draws.normal(size=(n, p))
    again[:, -1] = 4.0
    first, second = (
        (values[scans] + 0.1 * draws.normal(size=(len(scans), p)) * (values.std(0) > 0)) for values in (person, again)
    )
    session = [f"ses-{1 + (place > 0 and scans[place] == scans[place - 1])}" for place in range(len(scans))]
    table = pd.DataFrame({
        "participant_id": [f"p{person:03d}" for person in scans], "session_id": session, "image": "", "mask": "",
        "site": [f"site {place}" for place in site[scans]], "age": age[scans].astype(str),
        "sex": np.where(sex[scans] == 1, "M", "F"), "same": "a",
        "left_ml": (person[scans, 2] + 5).astype(str), "right_ml": (draws.normal(size=n)[scans]).astype(str),
    })  # fmt: skip
    keys = table[["participant_id", "session_id"]]
    layers = {"layer 1": first[:, :5], "features": first}
    return in_common(table, [Held("first", keys, layers), Held("second", keys, {"features": second})])
