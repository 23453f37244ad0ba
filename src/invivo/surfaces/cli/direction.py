"""`invivo direction` and `invivo directions`: make a direction from two sets of prompts, and list what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, KEEP, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Json, takes


@app.command(rich_help_panel=EXPERIMENTS)
@takes(*MODEL)
def direction(
    flags: Any,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name in tweaks; or the path of a .safetensors file to write.")
    ],
    site: Annotated[str, typer.Option("--site", metavar="PLACE", help="Where it is taken, as L4.resid_post.")],
    shown: Annotated[
        Path, typer.Option("--with", metavar="FILE", help="Prompts that show what it is about, one a line.")
    ],
    hidden: Annotated[Path, typer.Option("--without", metavar="FILE", help="Prompts that do not, one a line.")],
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="INDICES", help="Which positions of each prompt are averaged: -1 the last one, : all."
        ),
    ] = "-1",
    force: Annotated[bool, typer.Option("--force", metavar="", help="Overwrite the direction that is there.")] = False,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make a direction from two sets of prompts: the mean of a place over one minus its mean over the other.

    For example: invivo direction politeness --site L4.resid_post --with polite.txt --without plain.txt. Then a tweak
    can say `steer L4.resid_post with politeness by 3`, or `project politeness out of L4.resid_post`.
    """
    from ...engine import directions
    from ...sites import Place
    from .running import load, settled

    settings = settled(config, flags)
    place, one, other = Place.of(site), _lines(shown), _lines(hidden)  # mistakes are told before a model is loaded
    if not force:
        directions.check_free(name)
    model = load(settings, allow_pickle, allow_remote_code)
    with talk.busy(f"running {model.name}"):
        made = model.direction(name, with_=one, without=other, site=place, at=at, replace=force)
    if as_json:
        return talk.data(made.to_json())
    talk.show(made.document())
    return talk.say(f"kept as {directions.file_of(name)}")


def _lines(path: Path) -> list[str]:
    """The prompts of a file: its lines, but for empty ones."""
    from ..files import read_text

    return [line for line in read_text(path, "file of prompts").splitlines() if line.strip()]


@app.command(rich_help_panel=KEEP)
def directions(as_json: Json = False) -> None:
    """The directions that are kept, and what each was made from."""
    from ...engine import directions as kept
    from ...experiment.direction import directions_document

    found, broken = kept.listed()
    if as_json:
        return talk.data(
            {
                "folder": str(kept.folder()),
                "directions": [one.model_dump(mode="json") for one in found],
                "unreadable": {file: error.what for file, error in broken.items()},
            }
        )
    return talk.show(directions_document(found, broken, str(kept.folder())))
