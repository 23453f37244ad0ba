"""`invivo lens`: what each layer would say if the model ended there."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Html, Json, takes


@app.command(rich_help_panel=EXPERIMENTS)
@takes("prompts", "target", *MODEL)
def lens(
    flags: Any,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What is read.", show_default=False)] = None,
    tweak: Annotated[
        str | None,
        typer.Option("--tweak", metavar="LINE", help="A TWEAK to look at beside BASE.", show_default=False),
    ] = None,
    tuned: Annotated[
        bool,
        typer.Option("--tuned", metavar="", help="Take each layer through a map of its own first: the tuned lens."),
    ] = False,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="FILE",
            help="Fit the maps on this text; without it, on text that the model itself generates.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="N", help="How many of the likeliest tokens are kept.")] = 5,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Read every layer as if the model ended there: the logit lens, raw or tuned.

    For example: invivo lens "Once upon a time" --target " there". Maps of a tuned lens are fitted once and kept.
    """
    from ...errors import BadText
    from ...experiment.lens import LensRecipe
    from .running import load, settled, write_html

    settings = settled(config, flags)
    asked = {key: settings[key].value for key in ("prompt", "target") if key in settings}
    asked |= {} if prompt is None else {"prompt": prompt}
    if "prompt" not in asked:
        raise BadText("no prompt is given", hint='for example: invivo lens "Once upon a time"')
    prompts = {key.removeprefix("prompts."): v.value for key, v in settings.items() if key.startswith("prompts.")}
    model = {key: settings[key].value for key in ("model", "revision", "dtype")}
    chosen = {"tweak": tweak, "prompts": prompts, "tuned": tuned, "text": text, "top": top}
    recipe = LensRecipe.of(asked | model | chosen)
    living = load(settings, allow_pickle, allow_remote_code)
    with talk.busy(f"looking into {living.name}"):
        result = living.lens(recipe)
    write_html(html, result, recipe)
    return talk.data(result.to_json()) if as_json else talk.show(result.document())
