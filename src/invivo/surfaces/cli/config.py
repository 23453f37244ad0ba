"""`invivo config`: what the settings come to and who decided each, and a file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import talk
from .app import SET_UP, group
from .flags import ConfigFile, Json, takes

config = group("config", SET_UP, "Settings: what they come to, and where each value came from.")


@config.command()
@takes()
def show(
    flags: Any,
    lab: Annotated[
        str | None,
        typer.Option("--lab", metavar="LAB", show_default=False, help="The settings that this lab would run with."),
    ] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Print the outcome of defaults < config file < flags."""
    from ...errors import UnknownName
    from ..settings import Config, outcome, read_config

    chosen = None
    if lab is not None:
        from ...labs.own import find

        chosen = find(lab)
    wrong: UnknownName | None = None
    try:
        found = read_config(config)
    except UnknownName as error:  # its hint sends people here: show the settings there are, then say it again
        found, wrong = Config(), error
    settings = outcome(found, flags, chosen)
    if chosen is None:
        settings |= {f"labs.{number}.{key}": v for number, layer in found.labs.items() for key, v in layer.items()}
    if as_json:
        talk.data(
            {
                "config": found.name or None,
                "settings": {key: {"value": v.value, "source": v.source} for key, v in settings.items()},
            }
        )
    else:
        from ...show.blocks import Document, Table

        rows = tuple((key, "" if v.value is None else _plain(v.value), v.source) for key, v in settings.items())
        talk.show(Document(blocks=(Table(columns=("setting", "value", "from"), rows=rows),)))
    if wrong:
        raise wrong


def _plain(value: Any) -> str:
    from ...show.text import visible

    if isinstance(value, bool):
        return str(value).lower()
    return " | ".join(map(str, value)) if isinstance(value, list | tuple) else visible(str(value))


@config.command()
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("config.yaml"),
    force: Annotated[bool, typer.Option("--force", metavar="", help="Overwrite the file that is there.")] = False,
) -> None:
    """Write a config file in which every setting is explained and none is changed."""
    from ...errors import Refused
    from ...files import replace
    from ..settings import template

    if file.exists() and not force:
        raise Refused(f"{str(file)!r} is already there", hint="--force overwrites it")
    replace(file, template().encode())
    talk.say(f"wrote {file}; `invivo config show` tells what it comes to")
