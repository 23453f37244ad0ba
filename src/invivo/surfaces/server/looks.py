"""What the page asks about a run that is there: the tokens along its text, a figure as a file, the run as HTML."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field

from ...engine.along import along
from ...errors import BadText, InvivoError, OutOfRange
from ...experiment import Candidate, Experiment
from ...journal import one_file
from ...pictures import Heatmap, Picture, check_lengths
from ...show.figures import WRITERS
from ...spec import Spec
from .desk import Desk
from .runs import MOST_CELLS, MOST_TOKENS, check
from .shape import Like

TYPES = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv; charset=utf-8"}


class Spoken(Spec):
    """A text that a row of a comparison said, and who is asked about it."""

    recipe: Annotated[dict[str, Any], Like(Experiment)]
    """The comparison's recipe, as its result has it."""
    ids: Annotated[tuple[int, ...], Field(max_length=MOST_TOKENS)]
    """The tokens that followed the prompt."""
    row: int | None = None
    """Which TWEAK is set beside BASE, from 0; BASE alone where none is named."""


class Wanted(Spec):
    """A picture as a file."""

    picture: Picture
    """What to draw."""
    format: Literal["svg", "png", "csv"] = "svg"
    """As what."""


class ARun(Spec):
    """A run that was made or kept."""

    run: str
    """Its number, as its stream said it in `x-run`, or the journal's name for it."""


def add_looks(api: APIRouter, desk: Desk, result_of: Any) -> None:
    """Add the endpoints. `result_of(run)` finds a result by its number or name, or raises InvivoError."""

    @api.post("/along")
    async def tables(asked: Spoken) -> dict[str, list[tuple[Candidate, ...]]]:
        """The likeliest tokens before each token of a text, as BASE and a TWEAK row read it."""
        recipe = Experiment.of(asked.recipe)
        check(recipe)
        found = await desk.ask(recipe.model, lambda model: along(model.living, recipe, asked.ids, asked.row))
        return {"tables": found}

    @api.post("/figure", response_class=Response)
    async def figure(asked: Wanted) -> Response:
        """A picture as SVG, PNG or CSV: drawn by what draws the command line's reports."""
        content = await run_in_threadpool(drawn, asked.picture, asked.format)
        return Response(content, media_type=TYPES[asked.format])

    @api.post("/html", response_class=PlainTextResponse)
    async def html(asked: ARun) -> PlainTextResponse:
        """A run as one HTML file that needs nothing else, and that `invivo replay` runs again."""
        result = result_of(asked.run)
        return PlainTextResponse(await run_in_threadpool(one_file, result))


def drawn(picture: Picture, ending: str) -> bytes:
    """The picture as a file's content. Raises BadText or OutOfRange for one that cannot be drawn."""
    if isinstance(picture, Heatmap):
        widths = {len(row) for row in picture.values}
        if len(picture.values) != len(picture.rows) or widths != {len(picture.columns)}:
            raise BadText(f"{picture.title}: rows and columns are not as many as the values")
        size = len(picture.rows) * len(picture.columns)
    else:
        check_lengths(picture)
        size = sum(len(series.values) for series in picture.series)
    if not 0 < size <= MOST_CELLS:
        raise OutOfRange(f"a picture of {size:,} numbers", hint=f"1 to {MOST_CELLS:,}")
    try:
        return WRITERS[f".{ending}"](picture)
    except InvivoError:
        raise
    except Exception as error:
        raise BadText(f"{picture.title}: these numbers cannot be drawn ({error})") from None
