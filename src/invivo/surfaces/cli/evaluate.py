"""`invivo eval`: what tweaks cost on a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Json, NoJournal, Out, Takeaway, takes

EVAL = "eval"

if TYPE_CHECKING:
    from ...experiment.exhibit import Exhibit
    from ...show.blocks import Document


@app.command("eval", rich_help_panel=EXPERIMENTS)
@takes(*MODEL)
def evaluate(
    flags: Any,
    tweak: Annotated[
        list[str] | None, typer.Option("--tweak", metavar="TWEAK", help="One TWEAK row each.", show_default=False)
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks",
            metavar="A,B,…",
            help="Names of tasks, the harness's own among them, or files: a task in YAML, or JSON lines of "
            '{"question": …, "choices": […], "answer": …}.',
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="The first N items of each task; 0 is all.")
    ] = 0,
    control: Annotated[
        int,
        typer.Option(
            "--control", metavar="K", min=0, max=50, help="Try the first tweak at K other places of its kind, too."
        ),
    ] = 0,
    untrained: Annotated[
        bool, typer.Option("--untrained", metavar="", help="Ask the same model with random weights, too.")
    ] = False,
    takeaway: Takeaway = None,
    no_journal: NoJournal = False,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    out: Out = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Ask a model and its TWEAKs the questions of a benchmark, through lm-evaluation-harness.

    For example: invivo eval --tweak "zero head 3.5" --tasks giving,opposites. Alone it lists the tasks there are.
    """
    if not tweak and not tasks:
        return _list(as_json)
    from ...experiment.exhibit import ExhibitRecipe
    from .running import keep, load, settled

    settings = settled(config, flags)
    model = {key: settings[key].value for key in ("model", "revision", "dtype")}
    chosen: dict[str, Any] = {"tweaks": _stacks(tweak or []), "limit": limit, "elsewhere": control}
    named = [name.strip() for text in tasks or () for name in text.split(",") if name.strip()]
    chosen |= {"untrained": untrained, "tasks": named}
    recipe = ExhibitRecipe.of({"name": "benchmark", "settings": {k: v for k, v in chosen.items() if v}, **model})
    if out is not None:
        from ...journal import folder_for_report

        folder_for_report(out)
    living = load(settings, allow_pickle, allow_remote_code)
    with talk.busy(f"asking {living.name}"):
        result = living.show(recipe)
    if as_json:
        talk.data(result.to_json())
    else:
        talk.show(result.document())
    if out is not None:  # first: it took minutes, and a journal may be locked
        _write(out, result)
    if not no_journal:
        keep(result, takeaway, kind=EVAL)


def _stacks(lines: list[str]) -> list[str]:
    """The lines as they are written out; a mistake is told before any model is loaded."""
    from ...tweaks import Stack

    return [str(Stack.of(line)) for line in lines]


def _write(folder: Path, result: Exhibit) -> None:
    """The report of an evaluation: what was shown, the figures, the result as JSON, and the command."""
    from ...journal import Part, write_report
    from ...show.blocks import Code, Document, Heading
    from .running import told_of

    again = Document(blocks=(Heading(text="Run it again"), Code(text=result.recipe.to_cli())))
    whole: Document = result.document() + again
    files = {"evaluation.json": result.to_json() + "\n"}
    told_of(write_report(folder, "evaluation", result.title, [Part("evaluation", result.title, whole)], files), whole)


def _list(as_json: bool) -> None:
    """The tasks that come with invivo."""
    from ...engine.evaluation.shipped import shipped
    from ...show.blocks import Document, Table

    found = shipped()
    if as_json:
        return talk.data({"tasks": [{"name": t.name, "what": t.what, "items": t.items} for t in found]})
    rows = tuple((t.name, str(t.items), t.what) for t in found)
    note = (
        "Others by name: all that lm-evaluation-harness knows, with their data from the hub. Your own: a file of JSON "
        'lines, as {"question": "2 and 2 is", "choices": ["three", "four"], "answer": "four"}.'
    )
    table = Table(columns=("task", "items", "what is asked"), rows=rows)
    return talk.show(Document(blocks=(table, talk.small_print(note))))
