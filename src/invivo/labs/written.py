"""A lab in YAML: the fields of an experiment and of a lab side by side, as data.

`like: 02` starts from a lab of the guide, its takeaway, claims and further steps among them; every other key replaces
what that lab says. Only `prompt` and `tweaks` are needed without it. A mistake is told with its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from ..errors import BadText, InvivoError, unknown
from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Recipe, Step, Sweep, read_yaml
from ..experiment.attribution import AttributionRecipe
from ..experiment.control import ControlRecipe
from ..experiment.drawings import PICTURES
from ..experiment.exhibit import ExhibitRecipe
from ..experiment.heads import HeadsRecipe
from ..experiment.lens import LensRecipe
from ..experiment.look import LookRecipe
from ..experiment.trials import TrialsRecipe
from ..metrics import metric_named
from ..spec import Spec
from ..tweaks import Stack
from . import lab_named, words

NUMBERS = ("kl_next", "kl_mean", "entropy_next", "perplexity", "parted")
DRAWN = ("next_tokens", "kl_by_position")

# A step's kind: its recipe, and what of it follows from the lab's experiment.
KINDS: dict[str, tuple[type[Recipe], Callable[[Experiment], dict[str, Any]]]] = {
    "attribute": (AttributionRecipe, lambda e: {"prompt": e.prompt, "target": e.target, "wrong": e.wrong, **e.on}),
    "compare": (Experiment, lambda e: e.plain()),
    "control": (ControlRecipe, lambda e: {"case": e.case, "tweak": e.tweaks[-1], **e.on}),
    "heads": (HeadsRecipe, lambda e: e.on),
    "lens": (LensRecipe, lambda e: {"prompt": e.prompt, **e.on}),
    "look": (LookRecipe, lambda e: {"prompt": e.prompt, **e.on}),
    "show": (ExhibitRecipe, lambda e: e.on),
    "sweep": (Sweep, lambda e: {"cases": [e.case], **e.on}),
    "trials": (TrialsRecipe, lambda e: {"prompts": (e.prompt,), "tweaks": e.tweaks, **e.on}),
}


class WrittenClaim(Spec):
    """A claim as data: a number of a row that must be above or below something."""

    metric: str
    """The number's name."""
    row: str | None = None
    """The tweak's line of the row; the last row when left out."""
    above: float | str | None = None
    """A number, `BASE`, or the line of another row, which it must be above."""
    below: float | str | None = None
    """Likewise, which it must be below."""
    text: str = ""
    """The claim in words."""
    exact: bool = False
    """Whether it is true of any model."""

    @model_validator(mode="after")
    def _checked(self) -> WrittenClaim:
        metric_named(self.metric)
        if (self.above is None) == (self.below is None):
            raise BadText("a claim needs `above` or `below`, one of them", hint="as in {metric: kl_next, above: 1}")
        return self


class WrittenLab(Spec):
    """What a lab in YAML says beside its experiment."""

    like: str | None = None
    """The lab of the guide that it starts from."""
    title: str | None = None
    """A few words."""
    section: int | None = Field(default=None, ge=0, le=11)
    """Section of the guide that it belongs to."""
    why: str | None = None
    """Why anyone should care."""
    know: tuple[str, ...] | None = None
    """What to know beforehand."""
    numbers: tuple[str, ...] | None = None
    """Names of the metrics that matter."""
    pictures: tuple[str, ...] | None = None
    """Names of the pictures to draw."""
    look_for: str | None = None
    """Where to look in the result."""
    takeaway: str | None = None
    """One line; it is drafted from the numbers when left out."""
    claims: tuple[WrittenClaim, ...] | None = None
    """What must be true of the result."""
    questions: tuple[str, ...] | None = None
    """What to try next."""
    sources: tuple[str, ...] | None = None
    """Papers or pages."""
    steps: tuple[dict[str, Any], ...] | None = None
    """Further experiments: a title, a text, and one of the kinds with its fields."""
    finds: dict[str, str] | None = None
    """What the tweaks name for the model they were written for."""
    hero: int | None = None
    """Which row the texts and pictures show."""

    @field_validator("like", mode="before")
    @classmethod
    def _a_number(cls, value: Any) -> Any:
        """`like: 02` is a number to YAML."""
        return str(value) if type(value) is int else value

    @model_validator(mode="after")
    def _checked(self) -> WrittenLab:
        for name in self.numbers or ():
            metric_named(name)
        for name in self.pictures or ():
            if name not in PICTURES:
                raise unknown("picture", name, PICTURES, "invivo pictures")
        for step in self.steps or ():
            kind_of(step)
        if self.like is not None:
            lab_named(self.like)
        return self


def lab_from_yaml(text: str, *, name: str, where: str, file: str = "") -> Lab:
    """The lab that a YAML text describes. `where` is what its mistakes are told with. Raises BadText."""
    try:
        data = read_yaml(text)
    except InvivoError as error:
        raise type(error)(f"{where}: {error.what}", hint=error.hint) from None
    if not isinstance(data, dict) or not data:
        raise BadText(f"{where} holds no lab", hint="it needs at least `prompt: …` and `tweaks: […]`")
    lines = dict(_lines(text))
    for key, value in data.items():
        try:
            _check(str(key), value)
        except InvivoError as error:
            raise type(error)(f"{where}, line {lines.get(key, 1)}: {error.what}", hint=error.hint) from None
    try:
        return _built(data, name, file)
    except InvivoError as error:
        raise type(error)(f"{where}: {error.what}", hint=error.hint) from None


def _lines(text: str) -> Iterator[tuple[Any, int]]:
    """The line on which each key of the mapping stands, counted from 1."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, _ in getattr(node, "value", ()):
        yield (
            yaml.safe_load(str(key.value)) if key.tag.endswith((":int", ":bool")) else key.value,
            (key.start_mark.line + 1),
        )


def _check(key: str, value: Any) -> None:
    """Raise where a single key is wrong, whatever the others say."""
    if key in WrittenLab.model_fields:
        WrittenLab.of({key: value})
    elif key == "tweaks":
        for row in value if isinstance(value, list) else [value]:
            Stack.of(row)
    elif key in Experiment.model_fields:
        Experiment.of({"prompt": "-"} | {key: value})
    else:
        raise unknown(
            "field of a lab", key, (*WrittenLab.model_fields, *Experiment.model_fields), "invivo copy 02 --as yaml"
        )


def _built(data: dict[str, Any], name: str, file: str) -> Lab:
    said = WrittenLab.of({key: value for key, value in data.items() if key in WrittenLab.model_fields})
    parent = None if said.like is None else lab_named(said.like)
    own = {key: value for key, value in data.items() if key in Experiment.model_fields}
    if isinstance(own.get("tweaks"), str):
        own["tweaks"] = [own["tweaks"]]
    experiment = Experiment.of(({} if parent is None else parent.experiment.model_dump(exclude_unset=True)) | own)
    if not experiment.tweaks:
        raise BadText("the lab has no tweaks", hint='for example: tweaks: ["zero head 1.1"]')
    hero = -1 if said.hero is None else said.hero
    if not -len(experiment.tweaks) <= hero < len(experiment.tweaks):
        raise BadText(f"hero: there is no row {hero}", hint=f"{len(experiment.tweaks)} rows, counted from 0")
    lab = Lab(
        name=name,
        section=10,
        title=name.replace("_", " "),
        why="",
        know=(),
        experiment=experiment,
        numbers=NUMBERS,
        pictures=DRAWN,
        look_for="",
        takeaway=drafted,
        claims=(),
        questions=(),
        sources=(),
    )
    if parent is not None:
        lab = parent.model_copy(
            update={"number": "", "name": name, "experiment": experiment} | _inherited(parent, experiment)
        )
    plain = (
        "title",
        "section",
        "why",
        "know",
        "numbers",
        "pictures",
        "look_for",
        "questions",
        "sources",
        "finds",
        "hero",
    )
    changed = {key: getattr(said, key) for key in plain if getattr(said, key) is not None}
    if said.takeaway is not None:
        changed["takeaway"] = _saying(said.takeaway)
    if said.claims is not None:
        changed["claims"] = tuple(_claim(one, experiment) for one in said.claims)
    if said.steps is not None:
        last = len(said.steps) - 1
        changed["steps"] = tuple(_step(one, n, n == last, experiment) for n, one in enumerate(said.steps))
    return lab.model_copy(update=changed | {"file": file})


def _inherited(parent: Lab, experiment: Experiment) -> dict[str, Any]:
    """What of a lab's claims survives another experiment: all, those true of any model, or none about its rows."""
    if experiment == parent.experiment:
        return {}
    exact = tuple(claim for claim in parent.claims if claim.exact)
    steps = (s.model_copy(update={"claims": tuple(c for c in s.claims if c.exact)}) for s in parent.steps)
    same = experiment.tweaks == parent.experiment.tweaks
    return {"claims": exact if same else (), "steps": tuple(steps), "hero": parent.hero if same else -1}


def _saying(line: str) -> Callable[[Comparison], str]:
    return lambda c: line


def drafted(c: Comparison) -> str:
    """What the last row did, for a lab that says nothing itself."""
    last = c.tweaks[-1]
    moved = words.said("kl_next", metric_named("kl_next").of(c, len(c.tweaks) - 1))
    before, after = words.likeliest(last, base=True), words.likeliest(last)
    top = f"the likeliest token stays {before}" if before == after else f"the likeliest token was {before}, now {after}"
    return f"{words.doing(last)} moves the next prediction by {moved} (KL); {top}; {words.parting(last)}."


def _claim(written: WrittenClaim, experiment: Experiment) -> Claim:
    """The claim as a function of a comparison."""
    metric = metric_named(written.metric)
    rows = [str(stack) for stack in experiment.tweaks]

    def number_of(line: str) -> int:
        wanted = str(Stack.of(line))
        if wanted not in rows:
            raise unknown("row of this lab", line, rows, "invivo copy 02 --as yaml")
        return rows.index(wanted)

    row = len(rows) - 1 if written.row is None else number_of(written.row)
    limit = written.above if written.above is not None else written.below
    beside: int | None = None
    if isinstance(limit, str) and limit != "BASE":
        beside = number_of(limit)

    def holds(c: Comparison) -> bool:
        value = metric.of(c, row)
        other = metric.of(c, beside) if isinstance(limit, str) else limit
        if value is None or other is None:
            return False
        return value > other if written.above is not None else value < other

    which = "above" if written.above is not None else "below"
    what = f"that of `{limit}`" if beside is not None else str(limit)
    text = written.text or f"`{rows[row]}`: {metric.label} is {which} {what}."
    return Claim(text=text, holds=holds, exact=written.exact)


def kind_of(step: dict[str, Any]) -> str:
    """Which kind of experiment a step is. Raises BadText unless it is just one."""
    kinds = [key for key in step if key in KINDS]
    strange = [key for key in step if key not in (*KINDS, "name", "title", "text")]
    if strange:
        raise unknown("kind of step", str(strange[0]), (*KINDS, "name", "title", "text"), "invivo copy 02 --as yaml")
    if len(kinds) != 1:
        raise BadText("a step has one experiment", hint=f"one of {', '.join(KINDS)}, as in control: {{count: 20}}")
    if not isinstance(step[kinds[0]] or {}, dict):
        raise BadText(f"the step's {kinds[0]} needs fields", hint="as in control: {count: 20}")
    return kinds[0]


def _step(written: dict[str, Any], number: int, last: bool, experiment: Experiment) -> Step:
    kind = kind_of(written)
    recipe, given = KINDS[kind]
    fields = written[kind] or {}

    def made(e: Experiment) -> Recipe:
        return recipe.of(given(e) | fields)

    made(experiment)  # now, so that a mistake is told before anything runs
    name = REAL if last and kind in ("control", "trials") else f"{kind}_{number + 1}"
    return Step.of(
        {
            "name": written.get("name", name),
            "title": written.get("title", "Is it real?" if name == REAL else kind.capitalize()),
            "text": written.get("text", ""),
            "recipe": made,
        }
    )
