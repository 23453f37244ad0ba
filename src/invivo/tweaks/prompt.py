"""Tweaks of the prompt: a row that reads another text than BASE.

BASE's continuation is then read by that row behind its own prompt, so the numbers between the two are about what the
other prompt does to the same words. Positions are BASE's; they are compared from where both texts are the same again,
and after the prompt in any case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from ..errors import BadText, UnknownName
from ..spec import Quoted, Spelling
from .base import Family, Tweak

GAP = "\n\n"  # between a file's text and the prompt
LARGEST = 2**20  # bytes of a file that is put into a prompt
SLOT = "{}"


def one_word(text: str) -> str:
    """A path without blanks or quotes, as it stands in a tweak's line. Raises BadText."""
    if not text.isprintable() or any(c.isspace() or c in "\"'" for c in text) or not text.strip("+"):
        raise BadText(f"{text!r} cannot stand in a tweak's line", hint="a path without blanks or quotes is needed")
    return text


FILE = Spelling(r"[^\s\"']+", str, str, "FILE", "examples.txt")
File = Annotated[str, Field(min_length=1), AfterValidator(one_word), FILE]


def text_of(path: str) -> str:
    """The text of a file. Raises UnknownName where there is none, and BadText for what is no text."""
    place = Path(path).expanduser()
    if not place.is_file():
        kind = "a folder" if place.is_dir() else "no file here"
        raise UnknownName(f"{path} is {kind}", hint='give the path of a text file, or the text itself in "quotes"')
    if place.stat().st_size > LARGEST:
        raise BadText(f"{path} has {place.stat().st_size:,} bytes", hint=f"at most {LARGEST:,} go into a prompt")
    try:
        text = place.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise BadText(f"{path} cannot be read as text: {error}") from None
    if not text.strip():
        raise BadText(f"{path} is empty", hint="give a file with at least one character to read")
    return text


class PromptTweak(Tweak):
    """A change of what a row reads."""

    family: ClassVar[Family] = "prompt"

    def change(self, text: str) -> str:
        """The row's prompt. Raises BadText where that is not possible."""
        raise NotImplementedError


class Prepend(PromptTweak):
    """Put a text in front of the prompt, exactly as it stands."""

    form: ClassVar[str] = "prepend {before}"
    before: Quoted
    """What comes first."""

    def change(self, text: str) -> str:
        return self.before + text


class PrependFile(PromptTweak):
    """Put a file's text in front of the prompt, with an empty line between: examples, or something to read."""

    form: ClassVar[str] = "prepend {file}"
    file: File
    """Path of a text file."""

    @property
    def files(self) -> tuple[str, ...]:
        return (self.file,)

    def change(self, text: str) -> str:
        return text_of(self.file).strip("\n") + GAP + text


class Append(PromptTweak):
    """Put a text behind the prompt, exactly as it stands."""

    form: ClassVar[str] = "append {after}"
    after: Quoted
    """What comes last."""

    def change(self, text: str) -> str:
        return text + self.after


class Replace(PromptTweak):
    """Put another text in the place of one that the prompt has, wherever it has it."""

    form: ClassVar[str] = "replace {old} with {new}"
    old: Quoted
    """What is taken out."""
    new: Quoted
    """What comes in its place."""

    def change(self, text: str) -> str:
        if self.old not in text:
            raise BadText(f"`{self}`: the prompt has no {self.old!r}", hint="capitals and blanks count")
        return text.replace(self.old, self.new)


class Wrap(PromptTweak):
    """Put the prompt into a template, where its `{}` stands."""

    form: ClassVar[str] = "wrap in {template}"
    template: Quoted
    """The text around it, with one `{}`."""

    @model_validator(mode="after")
    def _one_slot(self) -> Wrap:
        if self.template.count(SLOT) != 1:
            raise BadText(
                f"{self.template!r} has {self.template.count(SLOT)} places for the prompt",
                hint='write one {} where it goes, as in "Question: {} Answer:"',
            )
        return self

    def change(self, text: str) -> str:
        return self.template.replace(SLOT, text)
