"""Progress on a terminal, through rich; quiet lines in a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(description: str, total: int) -> Iterator[Callable[..., object]]:
    """A progress bar on standard error; its value, called with anything, advances it by one.

    A `total` of 0 means that it is not known. Where standard error is no terminal, one line is written at the end.

    Example:
        >>> with bar("work", 2) as advance:
        ...     advance()
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total or None)
        done = 0

        def advance(*_: object) -> None:
            nonlocal done
            done += 1
            progress.advance(task)

        yield advance
        if total == 0:
            progress.update(task, total=done)
    if not console.is_terminal:
        print(f"{description}: {done} done", file=sys.stderr)
