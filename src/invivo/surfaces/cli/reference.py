"""The lists that errors point to: `sites`, `tweaks`, `metrics`, `pictures`. Made from the data itself, never stale."""

from __future__ import annotations

import inspect

from . import talk
from .app import LOOK, app
from .flags import Json


@app.command(rich_help_panel=LOOK)
def sites(as_json: Json = False) -> None:
    """Named places in the forward pass, and how a place is written."""
    from ...show.blocks import Document, Table
    from ...sites import SITES, places_example

    if as_json:
        return talk.data(
            {
                "sites": [
                    {"name": s.name, "axes": s.axes, "layered": s.layered, "hook": s.hook, "what": s.what}
                    for s in SITES.values()
                ],
                "places": list(places_example()),
            }
        )
    rows = tuple((f"L3.{s.name}" if s.layered else s.name, " ".join(s.axes), s.what) for s in SITES.values())
    examples = "A place is written " + ", ".join(f"`{place}`" for place in places_example()) + "."
    talk.show(
        Document(
            blocks=(
                Table(
                    columns=("site", "axes", "what"),
                    rows=rows,
                    caption="Layer 3 stands for any layer; they count from 0.",
                ),
                talk.small_print(examples),
            )
        )
    )


@app.command(rich_help_panel=LOOK)
def tweaks(as_json: Json = False) -> None:
    """Everything that can be changed, in one line of text each."""
    from ...show.blocks import Document, Table
    from ...tweaks import Tweak

    kinds = Tweak.kinds.values()
    if as_json:
        return talk.data(
            {
                "tweaks": [
                    {
                        "form": k.usage(),
                        "family": k.family,
                        "what": inspect.getdoc(k),
                        "fields": {name: field.description for name, field in k.model_fields.items()},
                    }
                    for k in kinds
                ]
            }
        )
    rows = tuple((k.family, k.usage(), (inspect.getdoc(k) or "").splitlines()[0]) for k in kinds)
    talk.show(
        Document(
            blocks=(
                Table(columns=("family", "tweak", "what"), rows=rows, caption="A part in [brackets] may be left out."),
                talk.small_print("Several stack on one row, joined by ` + `. `invivo sites` lists the places."),
            )
        )
    )


@app.command(rich_help_panel=LOOK)
def metrics(as_json: Json = False) -> None:
    """The numbers between BASE and TWEAK, with their units."""
    from ...metrics import METRICS
    from ...show.blocks import Document, Table

    if as_json:
        return talk.data(
            {
                "metrics": [
                    {"name": m.name, "label": m.label, "unit": m.unit, "gloss": m.gloss} for m in METRICS.values()
                ]
            }
        )
    rows = tuple((m.name, m.label, m.unit, m.gloss) for m in METRICS.values())
    return talk.show(Document(blocks=(Table(columns=("metric", "label", "unit", "what it says"), rows=rows),)))


@app.command(rich_help_panel=LOOK)
def pictures(as_json: Json = False) -> None:
    """What a lab can draw of a comparison."""
    from ...experiment.drawings import PICTURES
    from ...show.blocks import Document, Table

    rows = tuple((name, (inspect.getdoc(draw) or "").splitlines()[0]) for name, draw in PICTURES.items())
    if as_json:
        return talk.data({"pictures": [{"name": name, "what": what} for name, what in rows]})
    return talk.show(Document(blocks=(Table(columns=("picture", "what it shows"), rows=rows),)))
