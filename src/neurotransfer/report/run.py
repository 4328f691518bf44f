"""`report`: what a command left on the disk to one self-contained page, and its figures as files."""

from pathlib import Path

from neurotransfer.errors import InputError
from neurotransfer.pages.model import Page
from neurotransfer.pages.written import require_page_name, write_page
from neurotransfer.report.kinds import KINDS, kind_of
from neurotransfer.report.page import Overlays, page_of


def report(
    run: Path | str,
    out: Path | str | None = None,
    *,
    published: Overlays | None = None,
    figures: Path | str | None = None,
) -> Path:
    """Write the page of what a command left on the disk and return where it lies.

    The page loads nothing; the same input gives the same page, byte for byte.

    Args:
        run: the run folder that `benchmark` wrote, or anything else of KINDS; a run that is not complete is shown as far as it goes.
        out: the page; report.html in the folder, or STEM.html beside a file, when not given.
        published: of a benchmark run, for each task the name or names of published curves to lay under its own, or a table like
            `published_curves`; the study's own choice when not given.
        figures: a folder for every figure as SVG, PDF and PNG and its numbers as CSV; not written when not given.

    Raises:
        InputError: when nothing is recognised or what is there cannot be used, a published curve is not there, or `out` is no
            name of a page.
        StorageError: when the page cannot be written.
    """
    source = Path(run)
    path = Path(out) if out is not None else _beside(source)
    # before anything that takes long
    require_page_name(path)
    write_page(_page(source, published), path, Path(figures) if figures is not None else None)
    return path


def _page(source: Path, published: Overlays | None) -> Page:
    kind = kind_of(source)
    if kind == "benchmark":
        return page_of(source, published)
    if published:
        raise InputError(
            f"published curves go with a benchmark run, and {str(source)!r} is {KINDS[kind].what}; leave them out"
        )
    return KINDS[kind].page(source)


def _beside(source: Path) -> Path:
    return source.with_suffix(".html") if source.is_file() else source / "report.html"
