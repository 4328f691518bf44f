"""The table of scans, splits without leakage, and the one place that reads images."""

from neurotransfer.cohort.choices import Choices
from neurotransfer.cohort.cohort import Cohort
from neurotransfer.cohort.grid import Grid
from neurotransfer.cohort.people import People, effective_participants, is_selection
from neurotransfer.cohort.pool import Pool, make_pool
from neurotransfer.cohort.sampling import bootstrap_split, draw_split
from neurotransfer.cohort.splits import Split, check_split, holdout_split
from neurotransfer.cohort.store import VolumeStore
from neurotransfer.cohort.storing import store_volumes
from neurotransfer.cohort.table import read_cohort
from neurotransfer.cohort.volumes import load_volume

__all__ = [
    "Choices",
    "Cohort",
    "Grid",
    "People",
    "Pool",
    "Split",
    "VolumeStore",
    "bootstrap_split",
    "check_split",
    "draw_split",
    "effective_participants",
    "holdout_split",
    "is_selection",
    "load_volume",
    "make_pool",
    "read_cohort",
    "store_volumes",
]
