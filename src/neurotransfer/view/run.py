"""`view`: a page of this machine on which the scans of a run can be looked at."""

import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from neurotransfer.errors import InputError
from neurotransfer.view.answers import Answers
from neurotransfer.view.cache import FOLDER, Cache
from neurotransfer.view.gather import gather
from neurotransfer.view.scans import Scans
from neurotransfer.view.server import Server
from neurotransfer.view.sources import find_source


@contextmanager
def viewed(
    run: Path | str,
    *,
    data: Path | None = None,
    maps: Path | None = None,
    people: Path | None = None,
    keep: Path | None = None,
    port: int = 0,
) -> Iterator[tuple[Server, Scans]]:
    """Serve the page of a run as long as the context is open: the server, whose `address` is the page, and the scans.

    Args:
        run: a folder that `prepare`, `benchmark` or `explain maps` wrote, a table that `predict` wrote, a table of scans, a BIDS
            dataset, a folder of scans, or one scan.
        data: the folder that paths of images are relative to, as of `benchmark`.
        maps: a folder of maps of relevance to lay over the scans.
        people: a table of people, joined by participant.
        keep: a folder for thumbnails. Not given they are kept in RUN/.view where neurotransfer has made RUN, and are forgotten
            where it is the user's own, in which nothing is ever written.
        port: to listen on, any free one when 0.

    Raises:
        InputError: when there is nothing to see, or the port is taken.
    """
    run = Path(run)
    source = find_source(run, data)
    scans = gather(source, run, maps, people)
    if not len(scans):
        raise InputError(f"{str(run)!r} has no scans")
    folder = keep if keep is not None else run / FOLDER if source.ours else None
    with ExitStack() as stack:
        pictures, volumes = Cache(folder, ".jpg"), Cache(None, ".nii.gz")
        stack.callback(volumes.close)
        stack.callback(pictures.close)
        if pictures.note:
            scans = Scans(scans.title, scans.table, scans.files, scans.flags, scans.numbers,
                          (*scans.notes, pictures.note))  # fmt: skip
        yield stack.enter_context(Server(Answers(scans, pictures, volumes), port)), scans


def view(
    run: Path | str,
    *,
    data: Path | None = None,
    maps: Path | None = None,
    people: Path | None = None,
    keep: Path | None = None,
    port: int = 0,
    browser: bool = True,
    for_seconds: float | None = None,
    on_ready: Callable[[str, Scans], object] | None = None,
) -> None:
    """Show the page of a run until Ctrl-C, or for some seconds; see `viewed`.

    Args:
        run: what to look at.
        data: the folder that paths of images are relative to.
        maps: a folder of maps of relevance.
        people: a table of people.
        keep: a folder for thumbnails.
        port: to listen on, any free one when 0.
        browser: open the page in the user's browser.
        for_seconds: how long to show it; None: until Ctrl-C.
        on_ready: called with the address and the scans once the page can be opened.

    Raises:
        InputError: when there is nothing to see, or the port is taken.
    """
    if for_seconds is not None and for_seconds <= 0:
        raise InputError(f"--for-seconds is more than 0, got {for_seconds:g}")
    try:
        with viewed(run, data=data, maps=maps, people=people, keep=keep, port=port) as (server, scans):
            if on_ready is not None:
                on_ready(server.address, scans)
            with _opened(server.address) if browser else nullcontext():
                Event().wait(for_seconds)
    except KeyboardInterrupt:
        # it is how a page that is open for ever is closed
        return


@contextmanager
def _opened(address: str) -> Iterator[None]:
    """Open an address in the user's browser, by way of a file: what a process is called with, everybody on a machine can read."""
    with TemporaryDirectory(prefix="neurotransfer-view-", ignore_cleanup_errors=True) as folder:
        page = Path(folder) / "open.html"
        page.write_text(
            f'<!doctype html><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={address}">'
            f'<title>neurotransfer view</title><a href="{address}">Open the page</a>\n'
        )
        webbrowser.open(page.as_uri())
        yield
