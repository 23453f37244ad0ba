"""Run a recipe of any kind: the one place that knows which of the engine's runs belongs to which recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import BadText, InvivoError
from ..experiment import Experiment, Recipe, Step, StepResult, Sweep, Verdict
from ..experiment.attribution import AttributionRecipe
from ..experiment.control import ControlRecipe
from ..experiment.exhibit import ExhibitRecipe
from ..experiment.heads import HeadsRecipe
from ..experiment.lens import LensRecipe
from ..experiment.look import LookRecipe
from ..experiment.result import Result
from ..experiment.trials import TrialsRecipe
from . import attribution, compare, control, exhibits, heads, lens, look, sweep, trials
from .living import Living

RUNS: dict[type[Recipe], Callable[[Living, Any], Result]] = {
    AttributionRecipe: lambda living, r: attribution.attribute(living, r.prompt, r.target, r.wrong),
    ControlRecipe: lambda living, r: control.run(living, r.case, r.tweak, r.metric, r.count, r.prompts),
    ExhibitRecipe: exhibits.run,
    Experiment: compare.run,
    HeadsRecipe: lambda living, r: heads.scores(living, r.rows, r.length, r.seed),
    LensRecipe: lens.run,
    LookRecipe: look.run,
    Sweep: sweep.run,
    TrialsRecipe: trials.run,
}


def run(living: Living, recipe: Recipe) -> Result:
    """What comes out of a recipe. Raises whatever its kind raises."""
    kind = type(recipe)
    if kind not in RUNS:
        raise BadText(f"{kind.__name__} cannot be run", hint=f"one of {', '.join(k.__name__ for k in RUNS)} can")
    return RUNS[kind](living, recipe)


def step(living: Living, step: Step, experiment: Experiment, at_home: bool) -> StepResult:
    """Run a lab's step, or say why this model cannot have it. `at_home`: all its claims are expected to hold."""
    told = StepResult(name=step.name, title=step.title, text=step.text)
    try:
        recipe = step.recipe(experiment)
        result = run(living, recipe)
    except InvivoError as error:
        return told.model_copy(update={"skipped": error.what})
    verdicts = tuple(Verdict(text=c.text, holds=c.holds(result), expected=c.exact or at_home) for c in step.claims)
    kind, command = type(result).__name__, recipe.to_cli()
    return told.model_copy(update={"kind": kind, "result": result, "command": command, "verdicts": verdicts})
