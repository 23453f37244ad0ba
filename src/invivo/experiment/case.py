"""A case of a sweep: the prompt that is run, what values are copied from, and the answers that its number is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from ..errors import BadText, unknown
from ..spec import Name, Spec

DIRECTIONS = ("denoising", "noising")


class Case(Spec):
    """One prompt that is swept, with the answers that its number is about.

    A pair may be given as `clean` and `corrupt` instead: `denoising` runs the corrupt prompt and copies from the clean
    one, `noising` (as `direction`) the other way round.
    """

    prompt: str
    """What BASE and every TWEAK read."""
    prompts: dict[Name, str] = Field(default_factory=dict)
    """Further prompts by name, which tweaks such as `copy … from clean` take values from."""
    target: str | None = None
    """The answer whose probability is asked for."""
    wrong: str | None = None
    """The answer that it is compared with."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_pair(cls, data: Any) -> Any:
        """A prompt and what is copied from, in place of a pair."""
        if not isinstance(data, Mapping) or not data.keys() & {"clean", "corrupt", "direction"}:
            return data
        case = dict(data)
        pair = {name: case.pop(name, None) for name in ("clean", "corrupt")}
        direction = case.pop("direction", DIRECTIONS[0])
        if direction not in DIRECTIONS:
            raise unknown("direction", str(direction), DIRECTIONS, "invivo sweep --help")
        missing = [name for name, text in pair.items() if not isinstance(text, str)]
        if missing or "prompt" in case:
            what = f"the pair has no {missing[0]} prompt" if missing else "a prompt and a pair are both given"
            raise BadText(what, hint="a case has a prompt, or a clean and a corrupt one")
        run, source = ("corrupt", "clean") if direction == DIRECTIONS[0] else ("clean", "corrupt")
        return case | {"prompt": pair[run], "prompts": dict(case.get("prompts") or {}) | {source: pair[source]}}
