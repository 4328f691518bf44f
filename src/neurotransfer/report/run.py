"""`report`: a run folder to one self-contained page."""

from pathlib import Path

from neurotransfer.artifacts import write_atomically
from neurotransfer.errors import InputError
from neurotransfer.report.folder import read_run
from neurotransfer.report.page import Overlays, render

SUFFIXES = (".html", ".htm")


def report(run: Path | str, out: Path | str | None = None, *, published: Overlays | None = None) -> Path:
    """Write the page of a benchmark run and return where it lies; nothing else is written.

    The page needs no script and loads nothing; the same run gives the same page, byte for byte.

    Args:
        run: the run folder that `benchmark` wrote; one that is not complete is shown as far as it goes.
        out: the page; RUN/report.html when not given.
        published: for each task the name or names of published curves to lay under its own, or a table like
            `published_curves`; the study's own choice when not given.

    Raises:
        InputError: when the folder, its results or a published curve are not there or cannot be used, or `out` is no
            name of a page.
        StorageError: when the page cannot be written.
    """
    found = read_run(Path(run))
    path = Path(out) if out is not None else found.path / "report.html"
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"the page {str(path)!r} needs the ending {' or '.join(SUFFIXES)}; give another --out")
    page = render(found, published or {})
    write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path
