"""What a report can be made of: a table of what is recognised, and what makes its page."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neurotransfer.errors import InputError
from neurotransfer.pages.model import Page
from neurotransfer.report import page as benchmark_page
from neurotransfer.report import predicted, prepared, pretraining


@dataclass(frozen=True)
class Kind:
    """Something that a report can be made of.

    Args:
        what: what it is, as a reader knows it.
        recognises: whether a path is one.
        page: makes its page.
    """

    what: str
    recognises: Callable[[Path], bool]
    page: Callable[[Path], Page]


def is_run(path: Path) -> bool:
    """Whether a folder is that of a benchmark run, finished or not."""
    return (path / "results.parquet").is_file() or (path / "cells").is_dir()


KINDS: dict[str, Kind] = {
    "benchmark": Kind("the run folder of neurotransfer benchmark", is_run, benchmark_page.page_of),
    "pretraining": Kind("the model folder of neurotransfer pretrain", pretraining.recognises, pretraining.page_of),
    "prepared": Kind("the folder of neurotransfer prepare", prepared.recognises, prepared.page_of),
    "predicted": Kind("the table of neurotransfer predict", predicted.recognises, predicted.page_of),
}


def kind_of(path: Path) -> str:
    """The name of the kind in KINDS of what lies at a path.

    Raises:
        InputError: when nothing is recognised, with what a report can be made of.
    """
    for name, kind in KINDS.items():
        if kind.recognises(path):
            return name
    there = "is nothing that" if path.exists() else "is not there; it must be something that"
    known = "; ".join(kind.what for kind in KINDS.values())
    raise InputError(f"{str(path)!r} {there} a report can be made of. A report is made of: {known}")
