"""A page as a file, with its figures drawn for who has no scripts, and beside it each figure in files for papers."""

from pathlib import Path

from neurotransfer.artifacts import write_atomically
from neurotransfer.errors import InputError
from neurotransfer.pages.contents import figures_of
from neurotransfer.pages.model import Page
from neurotransfer.pages.render import render
from neurotransfer.pages.static import save_figures, static_svg

SUFFIXES = (".html", ".htm")


def require_page_name(path: Path) -> None:
    """Refuse a path that is no name of a page; raises InputError."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"the page {str(path)!r} needs the ending {' or '.join(SUFFIXES)}; give another --out")


def write_page(page: Page, path: Path, figures: Path | None = None) -> None:
    """Write a page whole or not at all, and its figures into a folder where one is given.

    Raises:
        InputError: when the path has another ending than a page.
        StorageError: when the page cannot be written.
    """
    require_page_name(path)
    text = render(page, {figure.name: static_svg(figure) for figure in figures_of(page)})
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    if figures is not None:
        save_figures(page, figures)
