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
    with late_bar(description) as (begin, advance):
        begin(total)
        yield advance


@contextmanager
def late_bar(description: str) -> Iterator[tuple[Callable[[int], object], Callable[..., object]]]:
    """As `bar`, of a total that is known later: its values are a function that takes it, and one that advances.

    Without a total nothing is written in a log.
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
        task = progress.add_task(description, total=None)
        done, begun, known = 0, False, False

        def begin(total: int) -> None:
            nonlocal begun, known
            begun, known = True, total > 0
            progress.update(task, total=total or None)

        def advance(*_: object) -> None:
            nonlocal done
            done += 1
            progress.advance(task)

        yield begin, advance
        if not known:
            progress.update(task, total=done)
    if begun and not console.is_terminal:
        print(f"{description}: {done} done", file=sys.stderr)
