"""What can be run over the wire: every kind of recipe, in the experiment's own words, told as it goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ...engine import sweep as sweeping
from ...engine.decode import Said
from ...engine.exhibits import exhibit_named
from ...engine.steps import run as run_recipe
from ...errors import InvivoError, OutOfRange, Refused
from ...experiment import Experiment, Lab, LabResult, Recipe, Sweep
from ...experiment.attribution import AttributionRecipe
from ...experiment.control import ControlRecipe
from ...experiment.exhibit import ExhibitRecipe
from ...experiment.heads import HeadsRecipe
from ...experiment.lens import LensRecipe
from ...experiment.look import LookRecipe
from ...experiment.result import Result
from ...experiment.trials import TrialsRecipe
from ...tweaks import AdaptTo, Stack, Training, Tweak
from .desk import Emit, Work, done
from .events import Axes, Cells, Compared, Started, Token, Tokens

MOST_TOKENS, MOST_ROWS, MOST_CELLS, MOST_TRIALS, MOST_PLACES = 400, 16, 20_000, 500, 500
MOST_READ = 20_000  # tokens of the strings that heads are scored on
MOST_STEPS = 200  # of all tweaks that train the model
MOST_ASKED = 200  # of anything that an exhibit's setting counts, or four times what is usual


@dataclass(frozen=True)
class Kind:
    """One kind of run: its recipe, and what it is called."""

    recipe: type[Recipe]
    doing: str


KINDS = {
    "attribute": Kind(AttributionRecipe, "sharing the logit out"),
    "compare": Kind(Experiment, "comparing BASE with TWEAK"),
    "control": Kind(ControlRecipe, "trying the tweak at random places"),
    "heads": Kind(HeadsRecipe, "scoring heads"),
    "lens": Kind(LensRecipe, "reading every layer"),
    "look": Kind(LookRecipe, "reading a pattern"),
    "show": Kind(ExhibitRecipe, "looking inside"),
    "sweep": Kind(Sweep, "trying every place"),
    "trials": Kind(TrialsRecipe, "trying many prompts"),
}


def check(recipe: Recipe) -> None:
    """Refuse what would keep everybody waiting, and what names a file of this machine.

    Raises OutOfRange with the limit, or Refused.
    """
    if isinstance(recipe, LensRecipe) and recipe.text is not None:
        raise named(Refused("the page opens no file", hint="`invivo lens --tuned --text FILE` fits on a text"), "text")
    here = "the page's limit; the command line has none"

    def over(what: str, most: int, field: str) -> InvivoError:
        return named(OutOfRange(what, hint=f"at most {most:,}: {here}"), field)

    decoding = getattr(recipe, "decoding", None)
    if decoding is not None and decoding.max_new_tokens > MOST_TOKENS:
        raise over(f"{decoding.max_new_tokens:,} new tokens", MOST_TOKENS, "decoding.max_new_tokens")
    rows = len(getattr(recipe, "tweaks", ()))
    if rows > MOST_ROWS:
        raise over(f"{rows} TWEAK rows", MOST_ROWS, "tweaks")
    tweaks = list(_tweaks(recipe))
    steps = sum(tweak.steps for tweak in tweaks if isinstance(tweak, Training | AdaptTo))
    if steps > MOST_STEPS:
        raise over(f"{steps:,} steps of training", MOST_STEPS, "tweaks")
    if isinstance(recipe, ExhibitRecipe):
        _check_exhibit(recipe, over)
    for tweak in tweaks:
        if tweak.files:
            raise named(
                Refused(
                    f"`{tweak}` reads a file, and the page opens none", hint="the command line does: `invivo compare`"
                ),
                "tweaks",
            )
    if isinstance(recipe, HeadsRecipe) and 2 * recipe.rows * recipe.length > MOST_READ:
        raise over(f"{recipe.rows:,} strings of {2 * recipe.length:,} tokens", MOST_READ, "rows")
    if isinstance(recipe, ControlRecipe) and recipe.count > MOST_PLACES:
        raise over(f"{recipe.count:,} random places", MOST_PLACES, "count")
    if isinstance(recipe, ControlRecipe) and len(recipe.prompts) > MOST_TRIALS:
        raise over(f"{len(recipe.prompts):,} prompts", MOST_TRIALS, "prompts")
    if isinstance(recipe, TrialsRecipe) and len(recipe.prompts) * recipe.seeds > MOST_TRIALS:
        raise over(f"{len(recipe.prompts) * recipe.seeds:,} trials", MOST_TRIALS, "prompts")


def _check_exhibit(recipe: ExhibitRecipe, over: Callable[[str, int, str], InvivoError]) -> None:
    """Refuse settings that name something outside, and those that ask for far more work than usual."""
    kind = exhibit_named(recipe.name)
    usual = {name: field.get_default(call_default_factory=True) for name, field in kind.settings.model_fields.items()}
    for name, value in recipe.settings.items():
        at = f"settings.{name}"
        if name in kind.outside and set(texts_in(value)) - set(texts_in(_plain(usual.get(name)))) - {""}:
            told = Refused(f"{name} names something outside, and the page opens nothing", hint="the command line does")
            raise named(told, at)
        if name == "again" and value:
            raise named(Refused("what is stored is made again in minutes", hint="the command line does it"), at)
        most = max([MOST_ASKED, *(4 * n for n in _numbers(usual.get(name)))])
        if (asked := max(_numbers(value), default=0)) > most:
            raise over(f"{name} {asked:,}", most, at)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _numbers(value: Any) -> list[int]:
    """The whole numbers in a setting."""
    values = value if isinstance(value, list | tuple) else [value]
    return [n for n in values if isinstance(n, int) and not isinstance(n, bool)]


def _tweaks(recipe: Recipe) -> Iterator[Tweak]:
    """All tweaks that a recipe names."""
    for value in (*vars(recipe).values(), *getattr(recipe, "tweaks", ())):
        if isinstance(value, Stack):
            yield from value
        elif isinstance(value, Tweak):
            yield value
    if isinstance(recipe, Sweep):
        yield from recipe.stars.example
    if isinstance(recipe, ExhibitRecipe):
        for text in texts_in(recipe.plain().get("settings")):
            with suppress(InvivoError):  # most of its texts are no tweaks
                yield from Stack.of(text)


def named(error: InvivoError, field: str) -> InvivoError:
    """The error, which says which field it is about."""
    error.field = field
    return error


def texts_in(value: Any) -> list[str]:
    """Every text in plain data, however deep; names of fields are none."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in texts_in(item)]
    return [value] if isinstance(value, str) else []


def work_of(recipe: Recipe) -> Work:
    """What the model's thread does for a recipe."""
    check(recipe)

    def work(model: Any, emit: Emit) -> Result:
        if isinstance(recipe, Experiment):
            with located(recipe):
                return model.run(recipe, on_token=telling(model, emit))
        if isinstance(recipe, Sweep):
            return _sweep(model, recipe, emit)
        return run_recipe(model.living, recipe)

    return work


def lab_work(lab: Lab, experiment: Experiment | None) -> Work:
    """What the model's thread does for a lab."""
    check(experiment or lab.experiment)

    def work(model: Any, emit: Emit) -> LabResult:
        tell = telling(model, emit)

        def first(told: LabResult) -> None:
            emit(Compared(**done(told, 0.0).model_dump(include=set(Compared.model_fields) - {"event"})))

        with located(experiment or lab.experiment):
            return model.run_lab(
                lab, experiment, on_token=tell, on_step=lambda title: emit(Started(what=title)), on_result=first
            )

    return work


@contextmanager
def located(recipe: Experiment) -> Iterator[None]:
    """Inside, a refusal that only the model can give is told at its field, where its words name one."""
    try:
        yield
    except InvivoError as error:
        if error.field is None:
            error.field = meant(recipe, error.what)
        raise


def meant(recipe: Experiment, what: str) -> str | None:
    """The field that a refusal's words are about: a row's line or one of its tweaks, an answer, a prompt."""
    for number, stack in enumerate(recipe.tweaks):
        if any(f"`{line}`" in what for line in (stack, *stack)):
            return f"tweaks.{number}"
    for name in recipe.prompts:
        if f"prompt {name!r}" in what:
            return f"prompts.{name}"
    if "the prompt" in what or what.startswith("prompt and target"):
        return "prompt"
    named = (name for name in ("wrong", "target") if re.search(rf"\b{name}\b", what))
    quoted = (name for name in ("wrong", "target") if (value := getattr(recipe, name)) and repr(value) in what)
    return next(chain(named, quoted), None)


def telling(model: Any, emit: Emit) -> Callable[[list[Said]], None]:
    """A listener to a comparison that passes on what each row said since the last time."""
    told = 0

    def tell(said: list[Said]) -> None:
        nonlocal told
        last = max(len(row.ids) for row in said)
        for at in range(told, last):
            emit(Tokens(rows=tuple(token(row, at) if at < len(row.ids) else None for row in said)))
        told = last

    def token(row: Said, at: int) -> Token:
        return Token(text=model.living.piece(row.ids[at]).text, probability=min(math.exp(row.nats[at]), 1.0))

    return tell


def _sweep(model: Any, recipe: Sweep, emit: Emit) -> Result:
    done = 0

    def known(case: int, at: Any, values: Any) -> None:
        nonlocal done
        done += len(at)
        emit(
            Cells(
                case=case,
                at=tuple(at),
                values=tuple(v if math.isfinite(v) else None for v in values),
                done=done,
                total=total,
            )
        )

    axes = sweeping.axes_of(model.living, recipe)
    cases = len(recipe.cases) * recipe.seeds
    total = math.prod(len(axis.labels) for axis in axes) * cases
    if total > MOST_CELLS:
        raise OutOfRange(f"{total:,} places", hint=f"at most {MOST_CELLS:,}: the command line has no limit")
    emit(Axes(axes=axes, cases=cases))
    return sweeping.run(model.living, recipe, known=known)
