"""`invivo replay`: run what a report says was run, and say whether the numbers agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import AllowPickle, AllowRemoteCode, Json


@app.command(rich_help_panel=EXPERIMENTS)
def replay(
    report: Annotated[Path, typer.Argument(metavar="REPORT.html", help="A report that `--out` or `--html` wrote.")],
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Run a report again: invivo replay report/02-head-ablation.html. Exits with 1 where a number differs."""
    from ...engine.steps import RUNS
    from ...engine.steps import run as run_recipe
    from ...errors import BadText
    from ...journal import Kept, Replay, again, again_of, runs_in
    from ..files import read_text
    from ..settings import flatten
    from .running import load

    kinds = {kind.__name__: kind for kind in RUNS}
    done, models = [], {}
    for one in runs_in(read_text(report, "report")):
        if not isinstance(one, Kept) and one.kind not in kinds:
            raise BadText(f"{one.kind} cannot be run", hint="the report is of another version of invivo")
        recipe: Any = one.recipe if isinstance(one, Kept) else kinds[one.kind].of(one.recipe)
        key = (recipe.model, recipe.revision, recipe.dtype)
        if key not in models:
            settings = flatten({"model": key[0], "revision": key[1], "dtype": key[2], "device": None}, "report")
            models[key] = load(settings, allow_pickle, allow_remote_code)
        if isinstance(one, Kept):
            with talk.busy(f"running {one.lab or 'the comparison'} again"):
                done.append(again(one, models[key].run(recipe)))
        else:
            with talk.busy(f"running {one.name} again"):
                done.append(again_of(one, run_recipe(models[key].living, recipe)))
    result = Replay(runs=tuple(done))
    if as_json:
        talk.data(result.to_json())
    else:
        talk.show(result.document())
    if not result.agrees:
        raise typer.Exit(1)
