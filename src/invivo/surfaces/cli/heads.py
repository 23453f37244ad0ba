"""`invivo heads`: what every attention head looks at, and what is lost without it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Html, Json, takes


@app.command(rich_help_panel=EXPERIMENTS)
@takes("seed", *MODEL)
def heads(
    flags: Any,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="How many strings to read.")] = 6,
    length: Annotated[
        int, typer.Option("--length", metavar="N", min=2, help="Tokens of a string before it is repeated.")
    ] = 24,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Score every head: induction, previous token, duplicate token, and the cost of taking it away."""
    from ...experiment.heads import HeadsRecipe
    from .running import load, settled, write_html

    settings = settled(config, flags)
    model = load(settings, allow_pickle, allow_remote_code)
    with talk.busy(f"reading repeated strings with {model.name}"):
        result = model.heads(rows=rows, length=length, seed=settings["seed"].value)
    asked = {"rows": rows, "length": length} | {
        key: settings[key].value for key in ("seed", "model", "revision", "dtype")
    }
    write_html(html, result, HeadsRecipe.of(asked))
    return talk.data(result.to_json()) if as_json else talk.show(result.document())
