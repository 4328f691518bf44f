"""Localisation on simulated heads: scores of all maps against the planted region, with intervals over scans and controls."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.cohort.images import opened
from neurotransfer.explain.attribution import Asked
from neurotransfer.explain.group_maps import read_map
from neurotransfer.explain.one_scan import Named
from neurotransfer.explain.planted import Planted, localisation
from neurotransfer.statistics.intervals import bootstrap_interval

SCORES = {"pointing": "pointing game", "mass": "relevance mass", "rank": "relevance rank"}
# maps that know the head and not the model
MEAN = "mean of all scans"
HEAD, UNUSUAL = "control: the head itself", "control: head less mean head"


def localisation_table(out: Path, scans: Sequence[Named], methods: Sequence[Asked], planted: Planted) -> pd.DataFrame:
    """The scores of every map and of two controls that know no model: a row a scan and method, see `localisation`.

    Rows of the scan MEAN are of the mean map of all scans.

    Args:
        out: the folder of the maps.
        scans: whose maps are there.
        methods: of the maps.
        planted: what is looked for.
    """
    mean = sum(opened(out / scan.head())[1].astype(float) / len(scans) for scan in scans)
    rows, means = [], dict[str, np.ndarray]()
    for scan in scans:
        for method, values in _maps(out, scan, methods, np.asarray(mean)):
            means[method] = means.get(method, np.zeros_like(values)) + values / len(scans)
            rows.append({"method": method, "scan": scan.stem} | localisation(values, planted))
    rows += [{"method": method, "scan": MEAN} | localisation(values, planted) for method, values in means.items()]
    return pd.DataFrame(rows)


def _maps(out: Path, scan: Named, methods: Sequence[Asked], mean: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for method in methods:
        yield method.text, read_map(out / scan.map(method, "model"), mean.shape)
    head = opened(out / scan.head())[1].astype(float)
    yield HEAD, head
    yield UNUSUAL, np.where(head > 0, head - mean, 0)


def localisation_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Means over scans with 95 % bootstrap intervals: a row a method and score, with what chance gives, and the score of the mean map.

    Chance is the region's share of the brain, also for the pointing game, whose largest voxel may lie next to the region: it is
    met a little more often by chance than that.
    """
    rows = []
    for method, own in table.groupby("method", sort=False):
        of_mean = own["scan"] == MEAN
        for score, words in SCORES.items():
            values = own.loc[~of_mean, score].to_numpy(float)
            low, high = bootstrap_interval(values)
            rows.append(
                {
                    "method": method,
                    "score": words,
                    "mean": float(values.mean()),
                    "low": low,
                    "high": high,
                    "chance": float(own["chance"].mean()),
                    "of_mean_map": float(own.loc[of_mean, score].mean()),
                    "scans": len(values),
                }
            )
    return pd.DataFrame(rows)
