"""Averages of maps: of all scans, of groups, and what tells groups apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurotransfer.cohort.images import opened
from neurotransfer.cohort.mni import SPACE
from neurotransfer.cohort.writing import write_image
from neurotransfer.errors import ImageError
from neurotransfer.explain.attribution import Asked
from neurotransfer.explain.one_scan import ENDING, Named
from neurotransfer.prepare.source import bids_label

ALL = "all"
HEAD = Path("groups") / f"mean_T1w{ENDING}"


@dataclass(frozen=True, eq=False)
class Averages:
    """The mean head (x, y, z), mean maps by group and method, differences by words and method, and the scans a group."""

    head: np.ndarray
    maps: Mapping[tuple[str, str], np.ndarray]
    differences: Mapping[tuple[str, str], np.ndarray]
    sizes: Mapping[str, int]


def group_averages(out: Path, scans: Sequence[Named], groups: Sequence[str], methods: Sequence[Asked]) -> Averages:
    """The mean of the maps of all scans, of every group, and of each group less the others.

    Args:
        out: the folder of the maps, which are read one by one.
        scans: whose maps are there.
        groups: of each scan; all "" for none.
        methods: of the maps.
    """
    named = [name for name in dict.fromkeys(groups) if name]
    sizes = {ALL: len(scans)} | {name: sum(group == name for group in groups) for name in named}
    head = sum(opened(out / scan.head())[1].astype(float) / len(scans) for scan in scans)
    shape = np.shape(head)
    maps: dict[tuple[str, str], np.ndarray] = {}
    for scan, group in zip(scans, groups, strict=True):
        for method in methods:
            values = read_map(out / scan.map(method, "model"), shape)
            for name in (ALL, group) if group else (ALL,):
                maps[name, method.text] = maps.get((name, method.text), 0.0) + values / sizes[name]
    differences = {}
    for name in named if len(named) > 2 else named[1:2]:
        others = [other for other in named if other != name]
        words = f"{name} less {others[0] if len(others) == 1 else 'the others'}"
        n = sum(sizes[other] for other in others)
        for method in methods:
            rest = sum(maps[other, method.text] * (sizes[other] / n) for other in others)
            differences[words, method.text] = maps[name, method.text] - rest
    return Averages(np.asarray(head), maps, differences, sizes)


def write_averages(
    out: Path, averages: Averages, methods: Sequence[Asked], affine: np.ndarray, in_mni152: bool
) -> None:
    """Write the mean head and all averages as images on the model's voxels."""
    space = SPACE if in_mni152 else ""
    write_image(out / HEAD, averages.head.astype(np.float32), affine, space=space)
    labels = {method.text: method.label for method in methods}
    for kind, found in (("group", averages.maps), ("difference", averages.differences)):
        for (name, method), values in found.items():
            path = Path("groups") / f"{kind}-{bids_label(name)}_map-{labels[method]}{ENDING}"
            write_image(out / path, values.astype(np.float32), affine, space=space)


def read_map(path: Path, shape: Sequence[int]) -> np.ndarray:
    """A map of a shape as float64 (x, y, z); one that says nothing anywhere is zeros.

    Raises:
        ImageError: when it is absent or damaged.
    """
    try:
        return opened(path)[1].astype(float)
    except ImageError as error:
        # whoever reads scans refuses an image of one value
        if "is constant" not in str(error):
            raise
        return np.zeros(tuple(shape))
