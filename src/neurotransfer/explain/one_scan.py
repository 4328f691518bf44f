"""The maps of one scan: made, written on the model's voxels and on the scan's own, and what is known of each as a row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotransfer.artifacts import is_file, read_json, write_json
from neurotransfer.cohort.mni import SPACE
from neurotransfer.cohort.writing import write_image
from neurotransfer.explain.attribution import Around, Asked, as_map
from neurotransfer.explain.places import Place
from neurotransfer.explain.readout import Explained
from neurotransfer.explain.shares import region_shares, share_inside
from neurotransfer.seeding import integer_seed

ENDING = ".nii.gz"


@dataclass(frozen=True)
class Named:
    """One scan among others: its row in the cohort, who and when it is, and what its files are called.

    Example:
        >>> Named(0, "sub-1", "ses-2", "a.nii", "sub-1_ses-2").folder.as_posix()
        'maps/sub-1/ses-2'
    """

    row: int
    participant_id: str
    session_id: str
    image: str
    stem: str

    @property
    def folder(self) -> Path:
        """The folder of its files, below that of the maps."""
        parts = [part for part in self.stem.split("_") if part.startswith(("sub-", "ses-"))]
        return Path("maps", *parts)

    def head(self) -> Path:
        """The volume that the model saw."""
        return self.folder / f"{self.stem}_space-model_T1w{ENDING}"

    def map(self, method: Asked, space: str) -> Path:
        """A map: `space` is `model` or `scan`."""
        return self.folder / f"{self.stem}_space-{space}_map-{method.label}{ENDING}"


@dataclass(frozen=True, eq=False)
class Looker:
    """What maps of all scans have in common."""

    explained: Explained
    methods: Sequence[Asked]
    around: Around
    out: Path
    in_mni152: bool

    def look(self, scan: Named, volume: np.ndarray, place: Place) -> list[dict[str, Any]]:
        """Make and write the maps of a volume (x, y, z); a row a method."""
        device = next(self.explained.network.parameters(), torch.zeros(0)).device
        seen = torch.from_numpy(volume)[None, None].to(device)
        around = replace(self.around, seed=integer_seed(self.around.seed, "map", scan.participant_id, scan.stem))
        facts = self._facts(scan, seen)
        space = SPACE if self.in_mni152 else ""
        write_image(self.out / scan.head(), volume, place.to_space if self.in_mni152 else place.to_scan, space=space)
        rows = []
        for method in self.methods:
            values = as_map(method.map_of(self.explained, seen, around))
            write_image(
                self.out / scan.map(method, "model"),
                values,
                place.to_space if self.in_mni152 else place.to_scan,
                space=space,
            )
            write_image(self.out / scan.map(method, "scan"), place.own(values), place.affine)
            rows.append(facts | self._of_map(method, values, volume, seen, around, place))
        return rows

    def _facts(self, scan: Named, seen: Tensor) -> dict[str, Any]:
        target = self.explained.readout.target
        with torch.no_grad(), torch.autocast(seen.device.type, enabled=False):
            outputs = self.explained.network(seen)[target.name]
            number = float(self.explained.readout.value(outputs))
        predicted = float(target.decode(outputs.cpu().numpy())[0][0])
        return {
            "participant_id": scan.participant_id,
            "session_id": scan.session_id,
            "image": scan.image,
            "stem": scan.stem,
            "target": target.name,
            "predicted": predicted,
            "explained": number,
        }

    def _of_map(
        self, method: Asked, values: np.ndarray, volume: np.ndarray, seen: Tensor, around: Around, place: Place
    ) -> dict[str, Any]:
        inside = volume > 0
        total = float(values.sum(dtype=float))
        row = {
            "method": method.text,
            "sum": total,
            "conservation_error": self._error(method, total, seen, around),
            "largest": float(np.abs(values).max()),
            "inside_head": share_inside(values, inside),
        }
        shares = region_shares(values, inside, place.to_space) if self.in_mni152 else {}
        return row | {f"share_{name}": share for name, share in shares.items()}

    def _error(self, method: Asked, total: float, seen: Tensor, around: Around) -> float:
        """By how much a map that should add up to the explained number does not, as a share of it; NaN for other methods."""
        if not method.method.is_complete:
            return float("nan")
        baseline = method.baseline_of(seen, around)
        with torch.no_grad():
            wanted = float(self.explained(seen)) - (0.0 if baseline is None else float(self.explained(baseline)))
        return abs(total - wanted) / max(abs(wanted), 1e-12)


def part_path(out: Path, row: int) -> Path:
    """Where the rows of a scan lie until all are done."""
    return out / ".parts" / f"{row:07d}.json"


def keep_rows(out: Path, row: int, rows: list[dict[str, Any]]) -> None:
    """Keep the rows of a scan whose files are all there."""
    write_json(part_path(out, row), rows)


def kept_rows(out: Path, scan: Named, methods: Sequence[Asked]) -> list[dict[str, Any]] | None:
    """The rows of a scan that was done before; None when it, or a file of it, is not there."""
    path = part_path(out, scan.row)
    files = [scan.head(), *(scan.map(method, space) for method in methods for space in ("model", "scan"))]
    if not is_file(path) or not all(is_file(out / file) for file in files):
        return None
    return list(read_json(path))
