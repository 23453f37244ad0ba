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


def course() -> list[dict[str, Any]]:
    """The guide's sections, each with its labs."""
    return [
        {**section.model_dump(), "labs": [told(lab) for lab in all_labs() if lab.section == section.number]}
        for section in SECTIONS
    ]


def told(lab: Lab) -> dict[str, Any]:
    """A lab as plain data: its text, its experiment, and its claims in words."""
    words = lab.model_dump(
        include={"number", "name", "section", "title", "why", "know", "numbers", "look_for", "questions", "sources"}
    )
    return words | {
        "full_name": lab.full_name,
        "hero": lab.hero,
        "experiment": lab.experiment.model_dump(mode="json"),
        "claims": [claim.text for claim in lab.claims],
        "steps": [{"name": step.name, "title": step.title, "text": step.text} for step in lab.steps],
    }


def vocabulary() -> dict[str, Any]:
    """Everything that a sentence of the page can be made of."""
    return {
        "tweaks": [
            {
                "name": name,
                "family": kind.family,
                "usage": kind.usage(),
                "what": (inspect.getdoc(kind) or "").split("\n\n")[0],
                "parts": parts(kind),
            }
            for name, kind in Tweak.kinds.items()
        ],
        "sites": [{"name": s.name, "axes": s.axes, "layered": s.layered, "what": s.what} for s in SITES.values()],
        "places": list(places_example()),
        "metrics": [
            {"name": m.name, "label": m.label, "unit": m.unit, "gloss": m.gloss, "needs": list(m.needs)}
            for m in METRICS.values()
        ],
        "exhibits": [
            {
                "name": name,
                "title": kind.title,
                "what": " ".join((inspect.getdoc(kind.show) or "").split("\n\n")[0].split()),
                "settings": [
                    {"name": n, "what": f.description or "", "default": f.get_default(call_default_factory=True)}
                    for n, f in kind.settings.model_fields.items()
                ],
            }
            for name, kind in all_exhibits().items()
        ],
        "pictures": [{"name": n, "what": (inspect.getdoc(d) or "").splitlines()[0]} for n, d in PICTURES.items()],
    }


def parts(kind: type[Line]) -> list[dict[str, Any]]:
    """A tweak's form, cut where a person may put something: words and slots, each with whether it may be left out."""
    found: list[dict[str, Any]] = []
    for number, half in enumerate(re.split(r"\[([^\]]*)\]", kind.form)):
        for index, piece in enumerate(re.split(r"\{(\w+)\}", half)):
            if index % 2 == 0:
                found += [{"words": piece, "optional": bool(number % 2)}] if piece else []
                continue
            field, spelling = kind.model_fields[piece], spelling_of(kind, piece)
            found.append(
                {
                    "slot": piece,
                    "optional": bool(number % 2),
                    "word": spelling.word,
                    "sample": spelling.sample,
                    "pattern": spelling.pattern,
                    "what": field.description or "",
                }
            )
    return found


def read_stack(line: str) -> dict[str, Any]:
    """A row's line as its tweaks, each with its kind and its slots as text. Raises InvivoError."""
    stack = Stack.of(line)
    tweaks = []
    for tweak in stack:
        kind = type(tweak)
        slots = {
            part["slot"]: spelling_of(kind, part["slot"]).write(value)
            for part in parts(kind)
            if "slot" in part and (value := getattr(tweak, part["slot"])) is not None
        }
        tweaks.append({"name": kind.__name__, "family": kind.family, "line": str(tweak), "slots": slots})
    return {"line": str(stack), "tweaks": tweaks}


def field_of(data: Any, recipe: Any) -> str | None:
    """Which field of a request a mistake is in: the first one without which the rest can be read."""
    if not isinstance(data, dict) or _reads(recipe, data):
        return None
    for number, line in enumerate(data.get("tweaks") or ()):
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
        for name in data.get(group) or {}:
            rest = {**data, group: {k: v for k, v in data[group].items() if k != name}}
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
