"""One kept run: what was done, what came out, and the lines that were learned from it.

An entry is addressed by its content. Its body is canonical JSON of everything that will never change (the comparison
or exhibit with its recipe, versions and revision; the numbers; the lab; the time), and its id is the first twelve hex
digits of the body's SHA-256. Takeaways are the user's words, may be changed, and stay outside the body. An old body is
read as it was written, never rewritten, or its address would break.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import Field

from ..errors import BadText, InvivoError, Refused
from ..experiment import Comparison, Experiment
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..show.text import quoted, safe, shorten
from ..spec import Spec

ID_DIGITS = 12


class Takeaway(Spec):
    """One line that somebody learned, and when they wrote it."""

    created: str
    """When, in UTC."""
    text: str
    """The line."""


class Entry(Spec):
    """A run as the journal keeps it."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    """The start of the SHA-256 of everything in it but its takeaways."""
    created: str
    """When it was kept, in UTC."""
    kind: str
    """What sort of run: compare, lab, eval, …"""
    lab: str | None
    """Full name of the lab, if it was one."""
    title: str
    """The tweaks and the prompt, or what they were asked, on one line."""
    takeaways: tuple[Takeaway, ...] = ()
    """Every takeaway it has had, oldest first; the last one counts."""
    takeaway: str = ""
    """What was learned, in one line."""
    recipe: Experiment | ExhibitRecipe
    """What was run; it runs again."""
    versions: dict[str, str]
    """Versions of invivo, Python, torch, transformers."""
    revision: str
    """The model's revision."""
    numbers: dict[str, tuple[float | None, ...]]
    """Each metric's values, BASE's first, then a TWEAK row each; an exhibit's numbers have one value each."""
    comparison: dict[str, Any] = Field(default_factory=dict, repr=False)
    """The whole comparison as plain data; `result` reads it."""
    exhibit: dict[str, Any] = Field(default_factory=dict, repr=False)
    """The whole exhibit as plain data, where one was kept; `result` reads it."""

    @property
    def rows(self) -> tuple[str, ...]:
        """What the numbers' columns are."""
        return ("BASE", *map(str, self.recipe.tweaks)) if isinstance(self.recipe, Experiment) else (self.recipe.name,)

    @property
    def allowed(self) -> tuple[str, ...]:
        """What loading the model was allowed to run."""
        return tuple(self.comparison.get("allowed", ()))

    def no_comparison(self) -> Refused:
        """The error for whoever wants a comparison of it."""
        return Refused(
            f"{self.id} is no comparison: {self.title}", hint=f"`invivo journal show {self.id}` shows what came out"
        )

    @property
    def compared(self) -> Comparison:
        """The comparison. Raises Refused for an entry that is none, BadText where this version cannot read it."""
        if self.exhibit:
            raise self.no_comparison()
        return Comparison.of(self.comparison)

    @property
    def result(self) -> Comparison | Exhibit:
        """What came out. Raises BadText where this version cannot read it."""
        return Exhibit.of(self.exhibit) if self.exhibit else self.compared

    @classmethod
    def made(
        cls, result: Comparison | Exhibit, *, lab: str | None = None, takeaway: str = "", kind: str = "compare"
    ) -> Self:
        """The entry that keeping this run now would give. Nothing is kept."""
        return cls.read(body_of(result, kind, lab), takeaway)

    @classmethod
    def read(cls, body: bytes, takeaways: str | tuple[Takeaway, ...] = ()) -> Self:
        """The entry of a body, with its takeaways or a first one. Raises BadText when this version cannot read it."""
        try:
            data = json.loads(body)
            came = data["exhibit" if "exhibit" in data else "comparison"]
            if isinstance(takeaways, str):
                takeaways = (Takeaway(created=data["created"], text=one_line(takeaways)),) if takeaways.strip() else ()
            return cls.of(
                data
                | {
                    "id": address(body),
                    "recipe": came["recipe"],
                    "versions": data.get("versions") or came["versions"],
                    "revision": came["revision"],
                    "takeaways": takeaways,
                    "takeaway": takeaways[-1].text if takeaways else "",
                }
            )
        except InvivoError as error:
            raise BadText(f"entry {address(body)} cannot be read: {error.what}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise BadText(f"entry {address(body)} cannot be read: {type(error).__name__}") from None


def now() -> str:
    """The time in UTC, in a form that sorts."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def address(body: bytes) -> str:
    """The id that a body has."""
    return hashlib.sha256(body).hexdigest()[:ID_DIGITS]


def body_of(result: Comparison | Exhibit, kind: str, lab: str | None) -> bytes:
    """Canonical JSON of what is kept, now: sorted keys, no blanks, ASCII, and null for what is no finite number."""
    data: dict[str, Any] = {"created": now(), "kind": kind, "lab": lab, "title": title_of(result.recipe)}
    if isinstance(result, Comparison):
        data["numbers"] = {name: row for name, row in result.numbers.items() if any(v is not None for v in row)}
        data["comparison"] = result.model_dump(mode="json")
    else:
        from ..engine.compare import versions  # an exhibit does not tell them; whoever made it has the engine at hand

        data["numbers"] = {name: (value,) for name, value in result.numbers.items()}
        data |= {"exhibit": result.model_dump(mode="json"), "versions": versions()}
    return json.dumps(_finite(data), sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def title_of(recipe: Experiment | ExhibitRecipe) -> str:
    """A run on one line: its tweaks, and the prompt they were tried on, or the tasks they were asked."""
    if isinstance(recipe, Experiment):
        tweaks = safe(" | ".join(map(str, recipe.tweaks))) or "BASE"
        return f"{shorten(tweaks, 60)} on {quoted(shorten(safe(recipe.prompt), 44))}"
    asked = dict(recipe.settings)
    tweaks = safe(" | ".join(map(str, asked.pop("tweaks", ())))) or "BASE"
    words = [f"{name} {_plain(value)}" for name, value in asked.items()]
    return f"{shorten(tweaks, 60)} on {shorten(safe(' · '.join([recipe.name, *words])), 80)}"


def _plain(value: Any) -> str:
    """A setting as people write it."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def one_line(takeaway: str) -> str:
    """A takeaway as it is kept: blanks and line ends as single spaces. Raises BadText when nothing is left."""
    text = " ".join(takeaway.split())
    if not text:
        raise BadText("the takeaway is empty", hint="say in one line what you learned")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise BadText("the takeaway is not UTF-8", hint="check the terminal's encoding, then write it again")
    return text


def _finite(data: Any) -> Any:
    """The same data with None for NaN and infinities, which JSON does not have."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
