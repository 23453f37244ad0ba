"""The page's server: typed endpoints on the same recipes as the command line, and the page's files.

There is no second path to the engine: an endpoint reads a recipe, the desk runs it, and what comes out is the Result
that `--json` prints. Nothing here takes a path from a client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from ... import __version__
from ...errors import BadText, InvivoError, OutOfRange
from ...experiment import Comparison, Experiment, Recipe
from ...journal import Journal
from ...labs import lab_named
from .answers import course, read_stack, vocabulary
from .cards import Finished, add_cards
from .desk import Desk, Work
from .events import Event
from .guard import LOOPBACK, Guard
from .looks import add_looks
from .problems import Located, problem
from .runs import KINDS, lab_work, texts_in, work_of
from .shape import Like
from .texts import ReadStack, SectionText, Vocabulary
from .wire import ALine, Asked, Cut, Forms, Piece, Problem, State, ToCut

PAGE = Path(__file__).with_name("page")
LONGEST_TEXT = 20_000  # characters


class Lines(StreamingResponse):
    """A run's events, one JSON object a line."""

    media_type = "application/x-ndjson"


LINES: dict[str, Any] = {"response_class": Lines, "response_model": None, "responses": {200: {"model": Event}}}
Written = Annotated[dict[str, Any] | None, Like(Experiment | None), Body()]


def application(
    desk: Desk, *, hosts: tuple[str, ...] = LOOPBACK, token: str | None = None, journal: Journal | None = None
) -> Any:
    """The server as an ASGI application."""
    finished = Finished()
    notes = journal or Journal()
    api = APIRouter(prefix="/api", route_class=Located, responses={422: {"model": Problem}})
    number = iter(range(1, 10**12))

    async def start(model: str, what: str, work: Work) -> Lines:
        run = str(next(number))
        return Lines(await desk.stream(model, what, finished.remembering(work, run)), headers={"x-run": run})

    @api.get("/state")
    async def state() -> State:
        """Version, models and how many wait."""
        return State(version=__version__, models=tuple(desk.opened.values()), waiting=desk.waiting)

    @api.get("/labs")
    async def labs() -> list[SectionText]:
        """The guide's sections with their labs."""
        return course()

    @api.get("/vocabulary")
    async def words() -> Vocabulary:
        """Tweaks, sites, metrics and pictures: what the page's menus offer."""
        return vocabulary()

    @api.post("/tokens")
    async def tokens(asked: ToCut) -> Cut:
        """How a model cuts a text."""
        if len(asked.text) > LONGEST_TEXT:
            raise OutOfRange(f"a text of {len(asked.text):,} characters", hint=f"at most {LONGEST_TEXT:,}")
        found = await desk.ask(asked.model, lambda model: model.tokens(asked.text) if asked.text else [])
        return Cut(tokens=tuple(Piece(id=t.id, text=t.text) for t in found))

    @api.post("/tweak")
    async def tweak(asked: ALine) -> ReadStack:
        """A row's line, read: its tweaks with their slots."""
        return read_stack(asked.line)

    @api.post("/recipe")
    async def recipe(asked: Asked) -> Forms:
        """A recipe in its other forms: command line, YAML, Python."""
        made = read_recipe(asked.kind, asked.recipe)
        python = made.to_python() if isinstance(made, Experiment) else None
        return Forms(cli=made.to_cli(), yaml=made.to_yaml(), python=python)

    for name, kind in KINDS.items():
        _add_run(api, name, kind.recipe, kind.doing, start)

    @api.post("/labs/{lab}/run", **LINES)
    async def run_lab(lab: str, experiment: Written = None) -> Lines:
        """Run a lab, as it is or with another experiment. Lines of JSON."""
        chosen = lab_named(lab)
        own = None if experiment is None else Experiment.of(experiment)
        return await start((own or chosen.experiment).model, f"lab {chosen.number}", lab_work(chosen, own))

    def result_of(run: str) -> Comparison:
        return finished.runs[run].comparison if run in finished.runs else notes.show(run).compared

    add_looks(api, desk, result_of)
    add_cards(api, notes, finished)

    @api.get("/{rest:path}", include_in_schema=False)
    async def nothing(rest: str) -> JSONResponse:
        return problem(BadText(f"there is no /api/{rest}", hint="/openapi.json lists what there is"), status=404)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        desk.open()
        try:
            yield
        finally:
            desk.close()

    app = FastAPI(title="invivo", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.include_router(api)
    app.add_exception_handler(InvivoError, lambda _, error: problem(cast(InvivoError, error)))
    if PAGE.is_dir():
        app.mount("/", StaticFiles(directory=PAGE, html=True))
    return Guard(app, hosts, token)


def _add_run(api: APIRouter, name: str, recipe: type[Recipe], doing: str, start: Any) -> None:
    async def run(data: dict[str, Any]) -> Lines:
        made = read_recipe(name, data)
        return await start(made.model, doing, work_of(made))  # type: ignore[attr-defined]

    run.__annotations__["data"] = Annotated[dict[str, Any], Like(recipe), Body()]

    first = (recipe.__doc__ or "").splitlines()[0]
    api.add_api_route(
        f"/{name}", run, methods=["POST"], name=name, description=f"{first} Lines of JSON, one event each.", **LINES
    )


def read_recipe(kind: str, data: dict[str, Any]) -> Recipe:
    """A recipe from plain data. Raises BadText."""
    if kind not in KINDS:
        raise BadText(f"nothing is called {kind!r}", hint=f"one of {', '.join(KINDS)}")
    made = KINDS[kind].recipe.of(data)
    longest = max((len(text) for text in texts_in(data)), default=0)
    if longest > LONGEST_TEXT:
        raise OutOfRange(f"a text of {longest:,} characters", hint=f"at most {LONGEST_TEXT:,}")
    return made
