"""A cohort: the table of scans as every stage sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurotransfer.cohort.people import People
from neurotransfer.errors import InputError, unknown
from neurotransfer.targets import Target

SCAN_COLUMNS = ("participant_id", "session_id", "image", "mask", "site")


@dataclass(frozen=True)
class Cohort:
    """Scans of people: one row a scan, with participant_id, session_id, image, mask, site and targets.

    `alignment` says how its scans are laid on a grid (`world`: they are in MNI space; `centre`: native space); `notes`
    are remarks for the reader (people without a scan, say). `image` is empty in a cohort of table columns only.
    `preparation` is what `neurotransfer prepare` says of how its volumes were made, empty when they were not made by it.

    Example:
        >>> Cohort("tiny", pd.DataFrame({"participant_id": ["a", "a", "b"]})).n_participants
        2
    """

    name: str
    table: pd.DataFrame
    alignment: str = "world"
    notes: tuple[str, ...] = field(default=())
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def participants(self) -> np.ndarray:
        """The participant of every row, (n,) of text."""
        return self.table["participant_id"].to_numpy(str)

    @cached_property
    def people(self) -> People:
        """The participants as whole numbers, found out once."""
        return People.of(self.participants)

    @property
    def n_participants(self) -> int:
        """How many different people there are."""
        return int(self.table["participant_id"].nunique())

    @property
    def images(self) -> list[tuple[Path, Path | None]]:
        """Image and mask (or None) of every row."""
        pairs = zip(self.table["image"], self.table["mask"], strict=True)
        return [(Path(image), Path(mask) if mask else None) for image, mask in pairs]

    @property
    def facts(self) -> dict[str, Any]:
        """What a model card says of a cohort: name, alignment, and how many images and participants."""
        counts = {"n_images": len(self), "n_participants": self.n_participants}
        return {"name": self.name, "alignment": self.alignment, **counts}

    @property
    def has_images(self) -> bool:
        """Whether any row has an image."""
        return bool((self.table["image"] != "").any())

    def labels(self, target: Target) -> np.ndarray:
        """The target's values as float64 (n,), NaN where missing; raises InputError when there is no such column."""
        if target.column not in self.table:
            raise InputError(unknown(f"column of target {target.name!r}", target.column, self.table.columns))
        return target.encode(self.table[target.column])

    def rows(self, indices: np.ndarray) -> "Cohort":
        """The same cohort with some of its rows only."""
        return replace(self, table=self.table.iloc[indices].reset_index(drop=True))
