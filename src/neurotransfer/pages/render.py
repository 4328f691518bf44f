"""A page as one HTML file that loads nothing: its style, its scripts, its data and its pictures are inside."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from neurotransfer.errors import InputError
from neurotransfer.pages.contents import as_data, figures_of, volumes_of
from neurotransfer.pages.model import Figure, Item, Page, Row, Table

_ASSETS = "assets"


def render(page: Page, statics: Mapping[str, str] | None = None) -> str:
    """The page as the text of an HTML file, the same for the same page.

    It opens from a file share, asks no other address for anything (its content security policy forbids it), and shows the static
    figures where scripts do not run.

    Args:
        page: what stands on it.
        statics: figures as SVG elements, `{name of the figure: SVG}`, from `pages.static`.

    Raises:
        InputError: when two parts of the page have the same name, or a static figure is of none of its figures.

    Example:
        >>> from neurotransfer.pages.model import Page
        >>> render(Page("Ages", ["All are known."], [])).startswith("<!doctype html>")
        True
    """
    statics = statics or {}
    _check_names(page, statics)
    script = _asset("page.js")
    viewer = _asset("niivue.js") if volumes_of(page) else ""
    text = _template().render(
        page=page,
        statics={name: Markup(svg) for name, svg in statics.items()},
        style=Markup(_asset("page.css")),
        script=Markup(script),
        viewer=Markup(viewer),
        hashes=" ".join(_hash(each) for each in (script, viewer) if each),
    )
    return text + "\n"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("neurotransfer.pages", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"kind": _kind, "json_of": _json_of, "base64": _base64}
    return environment.get_template("page.html.j2")


@cache
def _asset(name: str) -> str:
    text = (files("neurotransfer.pages") / _ASSETS / name).read_text(encoding="utf-8")
    return text.strip()


@cache
def _hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _kind(item: Item) -> str:
    return type(item).__name__.lower()


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _json_of(figure: Figure) -> Markup:
    """A figure as JSON that nothing in it can end early: every `<` is written as its number."""
    text = json.dumps(as_data(figure), ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _plain(value: Any) -> Any:
    """What JSON does not know: numbers of numpy, mappings that are no dict, dates."""
    if hasattr(value, "item"):
        return value.item()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _check_names(page: Page, statics: Mapping[str, str]) -> None:
    figures = [figure.name for figure in figures_of(page)]
    names = figures + [volume.name for volume in volumes_of(page)] + _names_of_others(page)
    problems = [f"{name!r} is the name of several parts" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [f"the static figure {name!r} is of no figure" for name in statics if name not in figures]
    if problems:
        raise InputError(
            f"The page {page.title!r} cannot be made: {'; '.join(problems)}. Give every part a name of its own."
        )


def _names_of_others(page: Page) -> list[str]:
    tables = [item.name for section in page.sections for item in _tables(section.items)]
    return tables + [section.name for section in page.sections]


def _tables(items: Sequence[Item]) -> list[Table]:
    inside = [table for item in items if isinstance(item, Row) for table in _tables(item.items)]
    return [item for item in items if isinstance(item, Table)] + inside
