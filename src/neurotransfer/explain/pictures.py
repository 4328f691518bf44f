"""Small pictures of scans for a page: three slices each, as many bytes as a page can bear."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neurotransfer.cohort.contract import Input
from neurotransfer.cohort.volumes import load_volume
from neurotransfer.errors import ImageError

MOST_BYTES = 2_500_000
# pixels of the tallest slice, from what is shown at best to what is still a head
HEIGHTS = (72, 56, 40, 28)
QUALITY = 60
MIDDLE = 0.5


def picture(volume: np.ndarray, height: int) -> str:
    """The middle slices of a volume (x, y, z), 0 to 1: sagittal, coronal and axial, as the address of a JPEG (`data:`).

    Example:
        >>> picture(np.ones((8, 10, 8)), 16)[:22]
        'data:image/jpeg;base64'
    """
    from PIL import Image

    cuts = [np.flipud(np.take(volume, round(MIDDLE * (side - 1)), axis).T) for axis, side in enumerate(volume.shape)]
    tall = max(len(cut) for cut in cuts)
    whole = np.concatenate([np.pad(cut, ((tall - len(cut), 0), (0, 0))) for cut in cuts], axis=1)
    image = Image.fromarray((np.clip(whole, 0, 1) * 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.resize((max(1, round(image.width * height / tall)), height), Image.Resampling.BILINEAR).save(
        buffer, "JPEG", quality=QUALITY
    )
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def pictures(load: Callable[[int], np.ndarray | None], n: int, most_bytes: int = MOST_BYTES) -> tuple[list[str], str]:
    """Pictures of n scans that together have no more than some bytes, "" where there is none, and what to say of them.

    They are made smaller until they fit; when the smallest do not, there are none.

    Args:
        load: gives the volume (x, y, z) of a scan by its place, None when it cannot be read.
        n: how many there are.
        most_bytes: of all.

    Example:
        >>> found, note = pictures(lambda place: np.ones((8, 10, 8)), 3)
        >>> len(found), note
        (3, '')
        >>> pictures(lambda place: np.ones((8, 10, 8)), 3, 100)[0]
        ['', '', '']
    """
    sizes = [_made(load(place)) for place in range(n)]
    for level, height in enumerate(HEIGHTS):
        if sum(len(each[level]) for each in sizes) <= most_bytes:
            small = f"Pictures are {height} pixels high so that the page stays small." if level else ""
            return [each[level] for each in sizes], small
    return [""] * n, f"Pictures of {n} scans would make the page too large; it has none."


def _made(volume: np.ndarray | None) -> Sequence[str]:
    return [""] * len(HEIGHTS) if volume is None else [picture(volume, height) for height in HEIGHTS]


def pictures_of(table: pd.DataFrame, taken: Input | None, alignment: str, n_times: int) -> tuple[list[str], str]:
    """Pictures of the scans of a table as a model takes them, each shown so many times on a page; and what to say of them.

    Args:
        table: with the columns image and mask; a scan that cannot be read has no picture.
        taken: the input of the model; None for no pictures.
        alignment: of the cohort.
        n_times: how often each picture stands on the page.
    """
    if taken is None or "image" not in table or not (table["image"] != "").any():
        return [], ""
    masks = table["mask"] if "mask" in table else pd.Series([""] * len(table))

    def load(place: int) -> np.ndarray | None:
        try:
            mask = Path(masks.iloc[place]) if masks.iloc[place] else None
            return load_volume(Path(table["image"].iloc[place]), taken, mask, alignment)
        except ImageError:
            return None

    found, note = pictures(load, len(table), MOST_BYTES // max(n_times, 1))
    return (found if any(found) else []), note
