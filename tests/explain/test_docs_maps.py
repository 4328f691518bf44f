"""docs/maps.md says what is: every method and option, and its commands are commands."""

import re
import shlex
from pathlib import Path

import typer

from neurotransfer.explain.attribution import METHODS, asked
from neurotransfer.explain.rules import COMPOSITES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "maps.md").read_text(encoding="utf-8")


def test_every_method_is_there_with_its_options_and_defaults():
    written = re.findall(
        r"`((?:lrp-|gradient|integrated|smoothgrad|occlusion)[\w=:,.-]*)`", PAGE.split("## The checks")[0]
    )
    found = {asked(text).method.name: asked(text) for text in written}
    assert set(found) == set(METHODS)
    assert {f"lrp-{name}" for name in COMPOSITES} <= set(found)
    for name, way in found.items():
        assert way.options == METHODS[name].options


def test_its_commands_have_only_options_that_there_are():
    import neurotransfer.cli.explaining_maps  # noqa: F401
    from neurotransfer.cli.explaining import explain_app

    command = typer.main.get_command(explain_app)
    maps = command.commands["maps"] if hasattr(command, "commands") else command
    known = {option for parameter in maps.params for option in (*parameter.opts, *parameter.secondary_opts)}
    lines = [line for line in PAGE.splitlines() if line.startswith("neurotransfer explain maps")]
    assert len(lines) == 3
    for line in lines:
        given = {word for word in shlex.split(line) if word.startswith("--")}
        assert given <= known, given - known
    for option in re.findall(r"`(--[\w-]+)`", PAGE):
        assert option in known
