"""What the page reads without running anything: labs, tweaks, metrics, places, and a line's parts."""

from __future__ import annotations

import inspect
import re
from typing import Any

from ...engine.exhibits import all_exhibits
from ...errors import InvivoError
from ...experiment import Lab
from ...experiment.drawings import PICTURES
from ...labs import SECTIONS, all_labs
from ...metrics import METRICS
from ...sites import SITES, places_example
from ...spec import Line, spelling_of
from ...tweaks import Stack, Tweak
from .texts import (
    ExhibitText,
    Form,
    LabText,
    MetricText,
    Part,
    PictureText,
    ReadStack,
    ReadTweak,
    SectionText,
    Setting,
    SiteText,
    Told,
    Vocabulary,
)


def course() -> list[SectionText]:
    """The guide's sections, each with its labs."""
    return [
        SectionText(
            number=section.number,
            title=section.title,
            why=section.why,
            labs=tuple(told(lab) for lab in all_labs() if lab.section == section.number),
        )
        for section in SECTIONS
    ]


def told(lab: Lab) -> LabText:
    """A lab as plain data."""
    words = ("number", "name", "section", "title", "why", "know", "numbers", "look_for", "questions", "sources")
    return LabText(
        **{name: getattr(lab, name) for name in words},
        full_name=lab.full_name,
        hero=lab.hero,
        experiment=lab.experiment,
        claims=tuple(claim.text for claim in lab.claims),
        steps=tuple(Told(name=step.name, title=step.title, text=step.text) for step in lab.steps),
    )


def vocabulary() -> Vocabulary:
    """Everything that a sentence of the page can be made of."""
    return Vocabulary(
        tweaks=tuple(
            Form(name=name, family=kind.family, usage=kind.usage(), what=_first(kind), parts=parts(kind))
            for name, kind in Tweak.kinds.items()
        ),
        sites=tuple(SiteText(name=s.name, axes=s.axes, layered=s.layered, what=s.what) for s in SITES.values()),
        places=tuple(places_example()),
        metrics=tuple(
            MetricText(name=m.name, label=m.label, unit=m.unit, gloss=m.gloss, needs=tuple(m.needs))
            for m in METRICS.values()
        ),
        exhibits=tuple(
            ExhibitText(
                name=name,
                title=kind.title,
                what=" ".join(_first(kind.show).split()),
                settings=tuple(
                    Setting(name=n, what=f.description or "", default=f.get_default(call_default_factory=True))
                    for n, f in kind.settings.model_fields.items()
                ),
            )
            for name, kind in all_exhibits().items()
        ),
        pictures=tuple(PictureText(name=n, what=_first(d).splitlines()[0]) for n, d in PICTURES.items()),
    )


def _first(thing: Any) -> str:
    """The first paragraph of its help."""
    return (inspect.getdoc(thing) or "").split("\n\n")[0]


def parts(kind: type[Line]) -> tuple[Part, ...]:
    """A tweak's form, cut where a person may put something: words and slots, each with whether it may be left out."""
    found: list[Part] = []
    for number, half in enumerate(re.split(r"\[([^\]]*)\]", kind.form)):
        optional = bool(number % 2)
        for index, piece in enumerate(re.split(r"\{(\w+)\}", half)):
            if index % 2 == 0:
                found += [Part(words=piece, optional=optional)] if piece else []
                continue
            field, spelling = kind.model_fields[piece], spelling_of(kind, piece)
            found.append(
                Part(
                    slot=piece,
                    optional=optional,
                    word=spelling.word,
                    sample=spelling.sample,
                    pattern=spelling.pattern,
                    what=field.description or "",
                )
            )
    return tuple(found)


def read_stack(line: str) -> ReadStack:
    """A row's line as its tweaks, each with its kind and its slots as text. Raises InvivoError."""
    stack = Stack.of(line)
    tweaks = []
    for tweak in stack:
        kind = type(tweak)
        slots = {
            slot: spelling_of(kind, slot).write(value)
            for part in parts(kind)
            if (slot := part.slot) is not None and (value := getattr(tweak, slot)) is not None
        }
        tweaks.append(ReadTweak(name=kind.__name__, family=kind.family, line=str(tweak), slots=slots))
    return ReadStack(line=str(stack), tweaks=tuple(tweaks))


def field_of(data: Any, recipe: Any) -> str | None:
    """Which field of a request a mistake is in: the first one without which the rest can be read."""
    if not isinstance(data, dict) or _reads(recipe, data):
        return None
    lines = data.get("tweaks")
    for number, line in enumerate(lines if isinstance(lines, list) else ()):
        try:
            Stack.of(line)
        except InvivoError:
            return f"tweaks.{number}"
    if isinstance(data.get("tweak"), str) and "*" not in data["tweak"]:
        try:
            Stack.of(data["tweak"])
        except InvivoError:
            return "tweak"
    if data.get("prompt") == "":
        return "prompt"
    for group in ("decoding", "prompts"):
        inner = data.get(group)
        inner = inner if isinstance(inner, dict) else {}
        for name in inner:
            rest = {**data, group: {k: v for k, v in inner.items() if k != name}}
            if _reads(recipe, rest):
                return f"{group}.{name}"
    for name in data:
        if _reads(recipe, {k: v for k, v in data.items() if k != name}):
            return name
    return None


def _reads(recipe: Any, data: Any) -> bool:
    try:
        recipe.of(data)
    except InvivoError:
        return False
    return True
