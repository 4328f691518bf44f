"""A forecast in a few lines for a hurried reader, and what to change when the machine is too small."""

from collections.abc import Iterable, Mapping

from neurotransfer.benchmark.effort import Span
from neurotransfer.benchmark.forecast import Forecast
from neurotransfer.benchmark.pace import in_words

# parts that take a smaller share of the whole, or fewer seconds, are not worth a word
WORTH_A_WORD, LEAST_S = 0.005, 0.5
MOST_NAMED = 6


def lines_of(forecast: Forecast, cluster: str = "", planned: int = 0) -> list[str]:
    """What a run will take: time, fits by strategy, memory and disk.

    Args:
        forecast: from `forecast`.
        cluster: what will do the fits instead of this machine.
        planned: cells of the plan; where fewer are left to do, that is said.

    Example:
        >>> from neurotransfer.benchmark.room import Room
        >>> none = Span()
        >>> lines_of(Forecast(2, 0, 0, none, none, none, none, {}, 1, 0.0, 0.0, {}, Room(None, None)))
        ['nothing is left to do']
    """
    if not forecast.cells:
        return ["nothing is left to do"]
    measured = f" (measured on this machine; those of {cluster} may be faster or slower)" if cluster else ""
    workers = f"{forecast.workers} worker{'s' * (forecast.workers != 1)}"
    left = [f"left to do: {forecast.cells} cells, {forecast.fits} fits"] if forecast.cells < planned else []
    parts = _named(forecast.parts, _worth(forecast.parts))
    return [
        *left,
        f"on this machine with {workers}: about {in_words(forecast.total.best)} (at most "
        f"{in_words(forecast.total.most)}){measured}: {parts}",
        f"the fits by strategy: {_by_strategy(forecast.by_strategy)}",
        f"memory: {_memory(forecast)}; disk: {in_bytes(forecast.disk_bytes.best)} (at most "
        f"{in_bytes(forecast.disk_bytes.most)})",
    ]


def _worth(parts: Mapping[str, Span]) -> list[str]:
    return [name for name, part in parts.items() if part.best >= max(LEAST_S, WORTH_A_WORD * _all(parts.values()))]


def _named(parts: Mapping[str, Span], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {in_words(parts[name].best)}" for name in names)


def _by_strategy(found: Mapping[str, Span]) -> str:
    named = sorted(_worth(found), key=lambda title: -found[title].best)[:MOST_NAMED]
    others = [title for title in found if title not in named]
    if not named:
        return f"all of them {in_words(_all(found.values()))}"
    if not others:
        return _named(found, named)
    left = in_words(_all(found[title] for title in others))
    return f"{_named(found, named)}, {len(others)} other{'s' * (len(others) != 1)} {left}"


def _all(spans: Iterable[Span]) -> float:
    return sum(span.best for span in spans)


def _memory(forecast: Forecast) -> str:
    shared = f"{in_bytes(forecast.shared_bytes)} of volumes and features that workers of a machine share"
    if not forecast.worker_bytes:
        return f"that of a worker cannot be told here, and {shared}"
    every = forecast.workers * forecast.worker_bytes
    own = f"about {in_bytes(forecast.worker_bytes)} a worker"
    return (
        f"{own}, {in_bytes(every)} for {forecast.workers}, and {shared}"
        if forecast.workers > 1
        else f"{own}, and {shared}"
    )


def warnings_of(forecast: Forecast, cluster: str = "") -> list[str]:
    """What this machine has too little of, and what to change; memory is that of other machines where a cluster does the fits."""
    found, room = [*forecast.notes], forecast.room
    if not cluster and room.memory is not None and forecast.memory > room.memory:
        fit = (
            int(max(0.0, room.memory - forecast.shared_bytes) // forecast.worker_bytes) if forecast.worker_bytes else 0
        )
        few = f"--workers {fit}" if fit else "a coarser grid, a smaller batch_size or a micro_batch"
        found.append(
            f"{forecast.workers} workers need about {in_bytes(forecast.memory)} of memory and {in_bytes(room.memory)} are free; "
            f"give {few}, or end other programs"
        )
    if room.disk is not None and forecast.disk_left.most > room.disk:
        found.append(
            f"the run folder needs up to {in_bytes(forecast.disk_left.most)} more and {in_bytes(room.disk)} are free; free "
            'some space, give another --out, a coarser grid, fewer replicates, or keep = "chosen"'
        )
    return found


def in_bytes(size: float) -> str:
    """Bytes as a person says them, in powers of ten.

    Example:
        >>> in_bytes(9.1e8), in_bytes(2.34e9), in_bytes(123e9), in_bytes(5e4)
        ('0.9 GB', '2.3 GB', '123 GB', '0.1 MB')
    """
    if size < 1e8:
        return f"{max(size / 1e6, 0.1):.{0 if size >= 1e7 else 1}f} MB"
    return f"{size / 1e9:.{0 if size >= 1e10 else 1}f} GB"
