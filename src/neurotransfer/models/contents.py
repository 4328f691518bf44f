"""What a file has to be: its size and checksums, and how it differs from them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

BLOCK = 1 << 20
# how what is no weights file begins: a web page, or a note of git where its large files lie
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"version https://git-lfs")


@dataclass(frozen=True)
class Contents:
    """What a file has to be; what is not known is None.

    Attributes:
        sha256: 64 hexadecimal digits.
        git_blob: 40 hexadecimal digits, the SHA-1 of `blob SIZE`, a zero byte and the file, by which git names it.
        size: in bytes.

    Example:
        >>> Contents(size=3).is_checked, Contents(git_blob="0" * 40).is_checked
        (False, True)
    """

    sha256: str | None = None
    git_blob: str | None = None
    size: int | None = None

    @property
    def is_checked(self) -> bool:
        """Whether a checksum is known."""
        return bool(self.sha256 or self.git_blob)

    def problems(self, path: Path) -> list[str]:
        """Everything in which a file is another than expected, in words; empty when it is the file."""
        size, sha256, git_blob = fingerprint(path)
        pairs = (
            ("size in bytes", self.size, size),
            ("SHA-256", self.sha256, sha256),
            ("SHA-1 of git", self.git_blob, git_blob),
        )
        found = [
            f"{what}: expected {wanted}, found {got}" for what, wanted, got in pairs if wanted not in (None, "", got)
        ]
        return found + ([] if self.is_checked else _no_weights(path))


def fingerprint(path: Path) -> tuple[int, str, str]:
    """Size in bytes, SHA-256 and git's SHA-1 of a file.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     empty = Path(folder) / "empty"
        ...     empty.touch()
        ...     fingerprint(empty)[2]
        'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    size = path.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            sha256.update(block)
            git.update(block)
    return size, sha256.hexdigest(), git.hexdigest()


def _no_weights(path: Path) -> list[str]:
    with path.open("rb") as opened:
        start = opened.read(64).lstrip().lower()
    if not start:
        return ["it is empty"]
    return ["it is a web page or a note of git, not the file itself"] if start.startswith(_PAGES) else []
