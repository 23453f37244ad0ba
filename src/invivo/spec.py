"""Frozen, validated data with a text form: the one mechanism behind every tweak and every setting.

A `Spec` is frozen pydantic data; unknown fields are errors, and a mistake becomes an `InvivoError`, never a pydantic
traceback. A `Line` is a Spec that can also be written as one line of text. Its class declares the line once, as
`form`, and reading, writing and the reference docs all come from there:

    class Scale(Line):
        form = "scale {place} by {factor}[ during {during}]"

A `{slot}` is a field; a part in `[...]` is left out when its field has its default. How a field is spelled is decided
by its annotation (`Spelling`). What this module does not do: it knows no tweak, no site and no torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .errors import BadText, InvivoError, nearest


class Spec(BaseModel):
    """Frozen data with permanent field names. The string under a field is its help on every surface."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        ser_json_inf_nan="strings",
        json_schema_serialization_defaults_required=True,
        ignored_types=(cached_property,),
    )

    @classmethod
    def of(cls, data: Any) -> Self:
        """Validate plain data. Raises BadText that names the field, not a pydantic error."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise plain(error, cls) from None


def plain(error: ValidationError, model: type[BaseModel]) -> InvivoError:
    """A pydantic error in plain words: the first field that is wrong, why, and the fields there are.

    An unknown field comes before one that is missing, which is often the same one, misspelled.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvivoError):
        return cause
    where = ".".join(str(part) for part in first["loc"]) or model.__name__
    names = ", ".join(model.model_fields)
    if first["type"] == "extra_forbidden":
        guess = nearest(str(first["loc"][-1]), model.model_fields)
        return BadText(f"unknown field {where!r}", hint=f"did you mean {guess!r}?" if guess else f"fields: {names}")
    return BadText(f"{where}: {first['msg'].lower()} (got {first['input']!r})", hint=f"fields: {names}")


@dataclass(frozen=True)
class Spelling:
    """How values of one annotation are written inside a line: a regular expression, a reader and a writer."""

    pattern: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    word: str  # what the reference docs call it
    sample: str  # an example of it


LARGEST = 3e38  # float32 holds little more


def number_text(value: float) -> str:
    """A number as a person writes it: 2 rather than 2.0, and otherwise every digit."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def finite(value: float) -> float:
    """Refuse NaN and infinity, which no strength can be."""
    if not math.isfinite(value):
        raise BadText(f"a finite number is needed, not {value}")
    if abs(value) > LARGEST:
        raise BadText(f"{value:g} is too large a number", hint=f"models compute in float32, up to {LARGEST:g}")
    return value


def read_quoted(text: str) -> str:
    """A token's text out of its quotes: JSON's escapes in double quotes, plain text in single ones."""
    if text.startswith("'"):
        return text[1:-1]
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadText(
            f"cannot read {text}: {error.msg}", hint='write the text in double quotes, as in " the"'
        ) from None


NUMBER = Spelling(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?)", float, number_text, "NUMBER", "2"
)
WHOLE = Spelling(r"[+-]?\d+", int, str, "WHOLE", "7")
NAME = Spelling(r"[A-Za-z_][\w-]*", str, str, "NAME", "clean")
QUOTED = Spelling(
    r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'", read_quoted, lambda s: json.dumps(s, ensure_ascii=False), "TEXT", '","'
)

Number = Annotated[float, AfterValidator(finite), NUMBER]
Whole = Annotated[int, WHOLE]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*$"), NAME]
Quoted = Annotated[str, Field(min_length=1), QUOTED]


@cache
def spelling_of(model: type[BaseModel], field: str) -> Spelling:
    """The spelling that a field's annotation carries."""
    info = model.model_fields[field]
    members = [getattr(member, "__metadata__", ()) for member in get_args(info.annotation)]  # of `Name | None`
    return next(m for m in (*info.metadata, *(m for meta in members for m in meta)) if isinstance(m, Spelling))


class Line(Spec):
    """A Spec with one line of text. `read(str(x)) == x` for every value."""

    form: ClassVar[str]

    @classmethod
    @lru_cache
    def regex(cls) -> re.Pattern[str]:
        """The form as a regular expression with one group a slot."""

        def part(text: str) -> str:
            pieces = re.split(r"\{(\w+)\}", text)
            return "".join(
                f"(?P<{piece}>{spelling_of(cls, piece).pattern})" if i % 2 else re.escape(piece).replace(r"\ ", r"\s+")
                for i, piece in enumerate(pieces)
            )

        halves = re.split(r"\[([^\]]*)\]", cls.form)
        return re.compile("".join(f"(?:{part(h)})?" if i % 2 else part(h) for i, h in enumerate(halves)), re.IGNORECASE)

    @classmethod
    def usage(cls) -> str:
        """The form for people: slots in capitals, as in `scale PLACE by NUMBER`."""
        return re.sub(r"\{(\w+)\}", lambda m: spelling_of(cls, m[1]).word, cls.form)

    @classmethod
    def matches(cls, text: str) -> bool:
        """Whether `text` has this line's shape (its values may still be wrong)."""
        return cls.regex().fullmatch(text.strip()) is not None

    @classmethod
    def read(cls, text: str) -> Self:
        """The value a line stands for. Raises BadText when the line has another shape or a value is not allowed."""
        found = cls.regex().fullmatch(text.strip())
        if found is None:
            raise BadText(f"cannot read {text.strip()!r}", hint=f"its form is `{cls.usage()}`")
        values = {k: spelling_of(cls, k).read(v) for k, v in found.groupdict().items() if v is not None}
        return cls.of(values)

    def __str__(self) -> str:
        def fill(text: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda m: spelling_of(type(self), m[1]).write(getattr(self, m[1])), text)

        def optional(text: str) -> str:
            slots = re.findall(r"\{(\w+)\}", text)
            default = all(getattr(self, s) == type(self).model_fields[s].default for s in slots)
            return "" if default else fill(text)

        halves = re.split(r"\[([^\]]*)\]", self.form)  # each is filled once: a value may have braces of its own
        return "".join(optional(h) if i % 2 else fill(h) for i, h in enumerate(halves))
