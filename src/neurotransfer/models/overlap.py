"""Whom a model has seen before: the same people, or the very same images under other names."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from neurotransfer.cohort import Cohort
from neurotransfer.cohort.images import opened
from neurotransfer.models.card import Card


def image_hash(path: Path, salt: str) -> str:
    """The voxels of an image as a salted hash of 16 hexadecimal digits: the same however the file is called, typed or compressed.

    Raises:
        ImageError: when it cannot be read.
    """
    _, voxels = opened(path)
    digest = hashlib.sha256(f"{salt}|{voxels.shape}|".encode())
    digest.update(np.ascontiguousarray(voxels, np.float32).data)
    return digest.hexdigest()[:16]


def image_hashes(cohort: Cohort, salt: str, workers: int = 1) -> list[str]:
    """The hash of the image of every row of a cohort, by so many threads.

    Raises:
        ImageError: when one cannot be read.
    """
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda pair: image_hash(pair[0], salt), cohort.images))


def seen_rows(card: Card, cohort: Cohort, hashes: Sequence[str] | None = None) -> np.ndarray:
    """Whether a model was trained on the person of every row of a cohort, by name or by any of their images, (n,) bool.

    Images are read only where the card knows images and their `hashes` (with the salt of the card) are not given. Cohorts of
    another name hide people who bear another participant_id, and another preparation hides images: what is not found may still
    have been seen.

    Raises:
        ImageError: when an image cannot be read.
    """
    people, seen = cohort.participants, card.overlap(cohort)
    if card.images and cohort.has_images:
        known = set(card.images)
        hashes = image_hashes(cohort, card.salt) if hashes is None else hashes
        seen = seen | {person for person, image in zip(people, hashes, strict=True) if image in known}
    return np.isin(people, sorted(seen))
