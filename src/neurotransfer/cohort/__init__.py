"""The table of scans, splits without leakage, and the one place that reads images."""

from neurotransfer.cohort.cohort import Cohort
from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.splits import Split, bootstrap_split, check_split, holdout_split
from neurotransfer.cohort.table import read_cohort
from neurotransfer.cohort.volumes import load_volume, store_volumes

__all__ = [
    "Cohort",
    "Grid",
    "Split",
    "bootstrap_split",
    "check_split",
    "holdout_split",
    "load_volume",
    "read_cohort",
    "store_volumes",
]
