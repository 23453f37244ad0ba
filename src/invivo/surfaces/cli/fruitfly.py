"""`invivo fruitfly`: the model organism explained, and its card. Reads files, loads no model."""

from __future__ import annotations

import typer

from . import talk
from .app import LOOK, group
from .flags import Json

fruitfly = group("fruitfly", LOOK, "The model that comes with invivo: its anatomy, what it was taught, its circuits.")


@fruitfly.callback(invoke_without_command=True)
def explain(ctx: typer.Context, as_json: Json = False) -> None:
    """The model that comes with invivo: its anatomy, what it was taught, its circuits."""
    from ...model import organism

    ctx.obj = as_json  # `invivo fruitfly --json card` means it too
    if ctx.invoked_subcommand is not None:
        return
    if as_json:
        talk.data(organism.read_report(organism.FRUITFLY))
        return
    from ...model.portrait import portrait

    talk.show(portrait(organism.read_organism(organism.FRUITFLY)))


@fruitfly.command()
def card(ctx: typer.Context, as_json: Json = False) -> None:
    """Print fruitfly's card: how it was made, what was measured, credits, limits. With --json, all the figures."""
    from ...model import organism

    if as_json or ctx.obj:
        talk.data(organism.read_report(organism.FRUITFLY))
        return
    from ...model.card import card_document

    talk.show(card_document(organism.FRUITFLY))
