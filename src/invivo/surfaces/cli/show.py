"""`invivo show`: something to see in a model that is no comparison of runs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Html, Json, takes

if TYPE_CHECKING:
    from pydantic import BaseModel


@app.command(rich_help_panel=EXPERIMENTS)
@takes(*MODEL)
def show(
    flags: Any,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What to see; all are listed without it.", show_default=False)
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SETTING=VALUE]…", help="Its settings, as in layer=2.", show_default=False),
    ] = None,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show something inside a model, as in: invivo show norm layer=2. Without a name, what there is."""
    from ...engine.exhibits import exhibit_named
    from ...experiment.exhibit import ExhibitRecipe
    from .running import load, settled, write_html

    if name is None:
        return _list(as_json)
    kind = exhibit_named(name)
    settings = settled(config, flags)
    model = {key: settings[key].value for key in ("model", "revision", "dtype")}
    recipe = ExhibitRecipe.of({"name": name, "settings": read(fields or (), kind.settings), **model})
    living = load(settings, allow_pickle, allow_remote_code)
    with talk.busy(f"looking into {living.name}"):
        result = living.show(recipe)
    write_html(html, result, recipe)
    return talk.data(result.to_json()) if as_json else talk.show(result.document())


def read(fields: list[str] | tuple[str, ...], known: type[BaseModel] | None = None) -> dict[str, Any]:
    """`layer=2` and the like as plain data. A value is read as YAML, but stays text where that is none, and where a
    setting of `known` is text: neuron 3.10 is no number.
    """
    from ...errors import BadText
    from ...experiment import read_yaml

    found = {}
    for text in fields:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadText(f"{text!r} has no value", hint="write SETTING=VALUE, as in layer=2")
        try:
            plain = read_yaml(value)
        except BadText:
            plain = value
        setting = None if known is None else known.model_fields.get(key.strip())
        text_wanted = setting is not None and setting.annotation is str
        found[key.strip()] = plain if type(plain) in (int, float, list) and not text_wanted else value
    return found


def _list(as_json: bool) -> None:
    from ...engine.exhibits import all_exhibits
    from ...show.blocks import Document, Table

    kinds = all_exhibits()
    if as_json:
        return talk.data(
            {
                "exhibits": [
                    {
                        "name": name,
                        "title": kind.title,
                        "what": inspect.getdoc(kind.show),
                        "settings": {n: f.description for n, f in kind.settings.model_fields.items()},
                    }
                    for name, kind in kinds.items()
                ]
            }
        )
    rows = tuple((name, kind.title, " ".join(kind.settings.model_fields)) for name, kind in kinds.items())
    return talk.show(Document(blocks=(Table(columns=("exhibit", "what there is to see", "settings"), rows=rows),)))
