"""What a tweak is: one change, as frozen data with one line of text. One class declares it for every surface.

A new kind is a subclass in one of this package's files: its docstring is its help, its `form` its line, its fields its
settings, `family` where it acts. It then exists in Python, YAML, the command line, the journal and the reference docs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ModelWrapValidatorHandler, RootModel, model_serializer, model_validator

from ..errors import BadText, nearest, unknown
from ..spec import Line, Spelling, plain

Family = Literal["prompt", "activation", "decoding", "model"]
LISTED_BY = "invivo tweaks"
SAID = {  # other words for a verb, and the verb
    "ablate": "zero",
    "remove": "zero",
    "multiply": "scale",
    "patch": "copy",
    "average": "mean",
}


class Tweak(Line):
    """One change to a model, its prompt, its activations or its decoder."""

    family: ClassVar[Family]
    kinds: ClassVar[dict[str, type[Tweak]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "form" in cls.__dict__:
            Tweak.kinds[cls.__name__] = cls

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Tweak):
            return data  # type: ignore[return-value]
        if isinstance(data, str):
            return read_tweak(data)  # type: ignore[return-value]
        return handler(data)

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of this machine's files that it reads: what a page may not name."""
        return ()

    @property
    def verb(self) -> str:
        """The words before its first slot: `add noise`, `set temperature`."""
        return self.form.split("{")[0].strip()


@lru_cache(maxsize=1)
def _by_verb(kinds: tuple[type[Tweak], ...]) -> dict[str, list[type[Tweak]]]:
    """The kinds by their first word, more literal words first: `add noise 1 to …` before `add 1 to …`."""
    found: dict[str, list[type[Tweak]]] = {}
    for kind in sorted(kinds, key=lambda k: -len(re.sub(r"\{\w+\}|\[.*?\]", "", k.form))):
        found.setdefault(kind.form.split()[0], []).append(kind)
    return found


def read_tweak(text: str) -> Tweak:
    """The tweak that a line stands for. Raises BadText with the nearest form, or UnknownName with the nearest verb."""
    text = text.strip()
    kinds = tuple(Tweak.kinds.values())
    problem: Exception | None = None
    for kind in _by_verb(kinds).get(text.split()[0].lower(), ()) if text else ():
        if kind.matches(text):
            try:
                return kind.read(text)
            except Exception as error:
                problem = problem or error
    if problem is not None:
        raise problem
    verbs = {k.form.split()[0] for k in kinds}
    first = text.split()[0].lower() if text else ""
    if not text:
        raise BadText("an empty tweak", hint=f"`{LISTED_BY}` lists what can be written, for example `zero head 3.5`")
    if first not in verbs:
        raise unknown("tweak", first, verbs, LISTED_BY, SAID)
    close = [k for k in kinds if k.form.split()[0] == first]
    second = text.split()[1].lower() if len(text.split()) > 1 else ""
    words = {k.form.split()[1]: k for k in close if not k.form.split()[1].startswith("{")}
    guess = nearest(second, words)
    forms = " or ".join(f"`{k.usage()}`" for k in ([words[guess]] if guess else close))
    raise BadText(f"cannot read {text!r}", hint=f"its form is {forms}")


class Stack(RootModel[tuple[Annotated[Tweak, ...], ...]]):
    """The tweaks of one TWEAK row, applied in order. One line each, or joined by ` + `."""

    model_config = {"frozen": True}

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Tweak):
            data = (data,)
        elif isinstance(data, str):
            data = tuple(read_tweak(line) for line in split_lines(data))
        elif isinstance(data, Sequence):
            data = tuple(
                t
                for item in data
                for t in (item if isinstance(item, Stack) else Stack.of(item) if isinstance(item, str) else (item,))
            )
        if not isinstance(data, Stack) and not data:
            raise BadText("a TWEAK without any tweak", hint=f"`{LISTED_BY}` lists what can be written")
        return handler(data)

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        del core_schema, handler
        return {
            "type": "string",
            "description": "Tweaks, one line each, joined by ` + `.",
            "examples": ["zero head 3.5"],
        }

    @classmethod
    def of(cls, data: Any) -> Self:
        """A stack from text, a tweak, or several of either. Raises InvivoError."""
        from pydantic import ValidationError

        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise plain(error, cls) from None

    def __iter__(self) -> Iterator[Tweak]:  # type: ignore[override]
        return iter(self.root)

    def __len__(self) -> int:
        return len(self.root)

    def __str__(self) -> str:
        return " + ".join(str(tweak) for tweak in self.root)


def split_lines(text: str) -> list[str]:
    """Cut a stack's text at line ends and at ` + `, but not inside quotes."""
    if not any(mark in text for mark in "+\n"):  # a sweep has thousands of such lines
        return [text.strip()] if text.strip() else []
    pieces = re.findall(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|\s\+\s|\n|[^\"'\n+\s]+|.|\s", text, re.DOTALL)
    lines, current = [], ""
    for piece in pieces:
        if piece == "\n" or re.fullmatch(r"\s\+\s", piece):
            lines.append(current)
            current = ""
        else:
            current += piece
    return [line.strip() for line in [*lines, current] if line.strip()]


WHEN = Spelling("prompt|generation|all", str.lower, str, "WHEN", "generation")
When = Annotated[Literal["prompt", "generation", "all"], WHEN]
