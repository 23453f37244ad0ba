"""`invivo selftest`: the laws of the engine, tried on a model of the user's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import talk
from .app import SET_UP, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Json, takes


@app.command(rich_help_panel=SET_UP)
@takes(*MODEL)
def selftest(
    flags: Any,
    name: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Name or folder of the model, as --model.", show_default=False),
    ] = None,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Try the laws of the engine on a model and this machine; exit code 1 where one does not hold.

    For example: invivo selftest distilgpt2. Each law is measured, not assumed: BASE is what transformers computes,
    tweaks that should change nothing change nothing, the fast way says what the slow way says, nothing stays behind.
    """
    from ...errors import BadText
    from ..settings import given
    from .running import load, settled

    if name is not None and "model" in flags:
        raise BadText(f"two models are named: {name} and {flags['model'].value}", hint="leave --model out")
    asked = flags if name is None else flags | {"model": given("model", name, "argument MODEL")}
    settings = settled(config, asked)
    model = load(settings, allow_pickle, allow_remote_code)
    with talk.busy(f"trying the laws on {model.name}"):
        tested = model.selftest()
    if as_json:
        talk.data(tested.to_json())
    else:
        talk.show(tested.document())
    if not tested.healthy:
        raise typer.Exit(1)
