"""Scans as every command takes them that runs a model: ready ones are read, raw ones prepared by the model's recipe first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurotransfer.cli.options import say
from neurotransfer.errors import InputError, unknown


@dataclass(frozen=True, kw_only=True)
class ScansCall:
    """What a command is told of scans."""

    scans: Path
    choice: dict[str, Any]
    alignment: str
    prepare: str
    prepared: Path | None
    workers: int
    needed: tuple[str, ...] = ()

    def require_possible(self) -> None:
        """Refuse what --prepare cannot be.

        Raises:
            InputError: for another word, or for preparation and another alignment together.
        """
        from neurotransfer.predict import ALWAYS, AUTO, NEVER

        if self.prepare not in (AUTO, ALWAYS, NEVER):
            raise InputError(unknown("--prepare", self.prepare, (AUTO, ALWAYS, NEVER)))
        if self.prepare == ALWAYS and self.alignment != "world":
            raise InputError("--prepare always lays scans in MNI152: leave --alignment out, or do not prepare")


def taken(call: ScansCall, card: Any, place: Path, columns: Sequence[str]) -> tuple[Any, Any]:
    """The cohort as a model takes it, and what became of it when it was raw and had to be prepared, else None.

    Args:
        call: what was told of scans.
        card: of the model.
        place: a folder for what is prepared.
        columns: that prepared scans take along where the table of raw ones has them.

    Raises:
        InputError: when the scans cannot be used.
    """
    from neurotransfer.predict import ready_scans
    from neurotransfer.prepare.inputs import Choice
    from neurotransfer.progress import late_bar

    call.require_possible()
    if card.input is not None and call.alignment == "world":
        with late_bar("prepare") as (begin, advance):
            ready = ready_scans(
                call.scans, card, place, Choice(**call.choice), mode=call.prepare, workers=call.workers,
                columns=tuple(dict.fromkeys(columns)), needed=call.needed, on_found=begin, on_scan=advance,
            )  # fmt: skip
        if ready is not None:
            say(ready.notes)
            return ready.cohort, ready
    return read(call, card.input, images=card.input is not None), None


def read(call: ScansCall, wanted: Any, **options: bool) -> Any:
    """The cohort as it lies there; `options` are those of `read_scans`."""
    from neurotransfer.cohort.contract import alignment_for
    from neurotransfer.predict import read_scans
    from neurotransfer.progress import bar

    with bar("check", 0) as advance:
        cohort = read_scans(
            call.scans, on_scan=advance, alignment=alignment_for(wanted, call.alignment), **options, **call.choice
        )
    say(cohort.notes)
    return cohort
