"""`invivo attribute`: what each component writes straight into the answer's logit."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Html, Json, takes


@app.command(rich_help_panel=EXPERIMENTS)
@takes("target", *MODEL)
def attribute(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is read.")],
    flags: Any,
    wrong: Annotated[
        str | None,
        typer.Option("--wrong", metavar="TEXT", help="An answer to compare the target with.", show_default=False),
    ] = None,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Share the answer's logit out among embeddings, heads and MLPs; the shares add up to it.

    For example: invivo attribute "Once upon a" --target " time" --wrong " day".
    """
    from ...errors import BadText
    from ...experiment.attribution import AttributionRecipe
    from .running import load, settled, write_html

    settings = settled(config, flags)
    target = settings["target"].value if "target" in settings else None
    if not target:
        raise BadText("no target is given", hint='for example: --target " time"')
    result = load(settings, allow_pickle, allow_remote_code).attribute(prompt, target, wrong)
    asked = {"prompt": prompt, "target": target, "wrong": wrong}
    asked |= {key: settings[key].value for key in ("model", "revision", "dtype")}
    write_html(html, result, AttributionRecipe.of(asked))
    return talk.data(result.to_json()) if as_json else talk.show(result.document())
