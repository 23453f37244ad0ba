"""A result that shows itself: the same document in a terminal, a notebook, Markdown, and as JSON."""

from __future__ import annotations

import json
from typing import Self

from ..errors import BadText
from ..show.blocks import Document
from ..spec import Spec


class Result(Spec):
    """What came out of a run. A kind of result says what to show, in order, as `document`; the doors are here."""

    def document(self) -> Document:
        """What to show of it, in order."""
        raise NotImplementedError

    def pictured(self) -> Document:
        """The same where figures can be shown: a notebook, a page."""
        return self.document()

    def to_json(self) -> str:
        """One JSON document; `from_json` gives an equal result."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read it back. Raises BadText."""
        try:
            return cls.of(json.loads(text))
        except json.JSONDecodeError as error:
            raise BadText(f"unreadable JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None

    def to_markdown(self) -> str:
        """The document as Markdown, without figures."""
        from ..show.markdown import markdown

        return markdown(self.document())

    def __rich__(self) -> object:
        from ..show.terminal import render

        return render(self.document())

    def _repr_html_(self) -> str:
        from ..show.html import fragment

        return fragment(self.pictured())

    def __str__(self) -> str:
        return self.to_markdown()
