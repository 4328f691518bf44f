"""Progress on a terminal, through rich; quiet lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY_S = 600.0


@contextmanager
def bar(description: str, total: int) -> Iterator[Callable[..., object]]:
    """A progress bar on standard error; its value, called with anything, advances it by one.

    A `total` of 0 means that it is not known. Its `left` is a function that takes the time that is left as a text, to be shown
    in place of a guess. Where standard error is no terminal, a line is written now and then and at the end.

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
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class _Left(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            left = task.fields.get("left")
            return Text(f"{left} left", style="progress.remaining") if left else super().render(task)

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _Left(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=None)
        done, begun, known, said = 0, False, False, time.monotonic()

        def begin(total: int) -> None:
            nonlocal begun, known
            begun, known = True, total > 0
            progress.update(task, total=total or None)

        def advance(*_: object) -> None:
            nonlocal done, said
            done += 1
            progress.advance(task)
            if not console.is_terminal and known and time.monotonic() - said > LINE_EVERY_S:
                said, left = time.monotonic(), progress.tasks[0].fields.get("left")
                total = f" of {progress.tasks[0].total:.0f}"
                print(
                    f"{description}: {done}{total} done{f', {left} left' if left else ''}", file=sys.stderr, flush=True
                )

        advance.left = lambda text: progress.update(task, left=text)  # type: ignore[attr-defined]
        yield begin, advance
        if not known:
            progress.update(task, total=done)
    if begun and not console.is_terminal:
        print(f"{description}: {done} done", file=sys.stderr)
