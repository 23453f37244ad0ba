"""One kept run: what was done, what came out, and the lines that were learned from it.

An entry is addressed by its content. Its body is canonical JSON of everything that will never change (the comparison
with its recipe, versions and revision; the numbers; the lab; the time), and its id is the first twelve hex digits of
the body's SHA-256. Takeaways are the user's words, may be changed, and stay outside the body. An old body is read as it
was written, never rewritten, or its address would break.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import Field

from ..errors import BadText, InvivoError
from ..experiment import Comparison, Experiment
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
    """What sort of run: compare, lab, …"""
    lab: str | None
    """Full name of the lab, if it was one."""
    title: str
    """The tweaks and the prompt, on one line."""
    takeaways: tuple[Takeaway, ...] = ()
    """Every takeaway it has had, oldest first; the last one counts."""
    takeaway: str = ""
    """What was learned, in one line."""
    recipe: Experiment
    """What was run; it runs again."""
    versions: dict[str, str]
    """Versions of invivo, Python, torch, transformers."""
    revision: str
    """The model's revision."""
    numbers: dict[str, tuple[float | None, ...]]
    """Each metric's values, BASE's first, then a TWEAK row each."""
    comparison: dict[str, Any] = Field(repr=False)
    """The whole comparison as plain data; `result` reads it."""

    @property
    def rows(self) -> tuple[str, ...]:
        """What the numbers' columns are."""
        return ("BASE", *map(str, self.recipe.tweaks))

    @property
    def result(self) -> Comparison:
        """The comparison. Raises BadText where this version cannot read it."""
        return Comparison.of(self.comparison)

    @classmethod
    def made(cls, comparison: Comparison, *, lab: str | None = None, takeaway: str = "", kind: str = "compare") -> Self:
        """The entry that keeping this run now would give. Nothing is kept."""
        return cls.read(body_of(comparison, kind, lab), takeaway)

    @classmethod
    def read(cls, body: bytes, takeaways: str | tuple[Takeaway, ...] = ()) -> Self:
        """The entry of a body, with its takeaways or a first one. Raises BadText when this version cannot read it."""
        try:
            data = json.loads(body)
            comparison = data["comparison"]
            if isinstance(takeaways, str):
                takeaways = (Takeaway(created=data["created"], text=one_line(takeaways)),) if takeaways.strip() else ()
            return cls.of(
                data
                | {
                    "id": address(body),
                    "recipe": comparison["recipe"],
                    "versions": comparison["versions"],
                    "revision": comparison["revision"],
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


def body_of(comparison: Comparison, kind: str, lab: str | None) -> bytes:
    """Canonical JSON of what is kept, now: sorted keys, no blanks, ASCII, and null for what is no finite number."""
    data = {
        "created": now(),
        "kind": kind,
        "lab": lab,
        "title": title_of(comparison.recipe),
        "numbers": {name: values for name, values in comparison.numbers.items() if any(v is not None for v in values)},
        "comparison": comparison.model_dump(mode="json"),
    }
    return json.dumps(_finite(data), sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def title_of(recipe: Experiment) -> str:
    """A run on one line: its tweaks, and the prompt they were tried on."""
    tweaks = safe(" | ".join(map(str, recipe.tweaks))) or "BASE"
    return f"{shorten(tweaks, 60)} on {quoted(shorten(safe(recipe.prompt), 44))}"


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
