"""How long cells take, learnt from those that are done: how many to hand out at once, and the time that is left."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from neurotransfer.benchmark.plan import Cell

Kind = tuple[str, str, int]


class Pace:
    """Mean seconds of the cells of every kind (task, strategy, n), and which are still to be done.

    Example:
        >>> pace = Pace([Cell("age", 10, 0, "linear"), Cell("age", 20, 0, "linear")])
        >>> pace.done(Cell("age", 10, 0, "linear"), 3.0)
        >>> pace.expected(Cell("age", 20, 1, "linear")), pace.left(workers=2)
        (6.0, 3.0)
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._open = Counter(_kind(cell) for cell in cells)
        self._count: Counter[Kind] = Counter()
        self._seconds: defaultdict[Kind, float] = defaultdict(float)

    def done(self, cell: Cell, seconds: float) -> None:
        """Note that a cell is done and how long it took."""
        self._open[_kind(cell)] -= 1
        self._count[_kind(cell)] += 1
        self._seconds[_kind(cell)] += seconds

    def given_up(self, cell: Cell) -> None:
        """Note that a cell will not be done."""
        self._open[_kind(cell)] -= 1

    def expected(self, cell: Cell) -> float | None:
        """Seconds that a cell will take; None before one of its task and strategy is done.

        From cells of another size they are taken in proportion to n.
        """
        return self._of(_kind(cell))

    def left(self, workers: int) -> float | None:
        """Seconds until all is done by so many workers; None before any cell is done."""
        if not self._count or not workers:
            return None
        average = sum(self._seconds.values()) / sum(self._count.values())
        total = 0.0
        for kind, count in self._open.items():
            found = self._of(kind) if count > 0 else None
            total += max(count, 0) * (average if found is None else found)
        return total / workers

    def _of(self, kind: Kind) -> float | None:
        task, strategy, n = kind
        known = [size for (*name, size), count in self._count.items() if name == [task, strategy] and count]
        if not known:
            return None
        nearest = min(known, key=lambda size: abs(size - n))
        near = (task, strategy, nearest)
        return self._seconds[near] / self._count[near] * n / nearest


def _kind(cell: Cell) -> Kind:
    return cell.task, cell.strategy, cell.n


def in_words(seconds: float | None) -> str:
    """A time span as a person says it.

    Example:
        >>> in_words(42), in_words(3 * 3600 + 20 * 60), in_words(None)
        ('42 s', '3 h 20 min', 'not known yet')
    """
    if seconds is None:
        return "not known yet"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"
