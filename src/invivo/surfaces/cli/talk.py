"""What the commands print: data on stdout, talk on stderr.

Text from prompts and models goes through `show`, which escapes it; nothing here reads markup.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...show.blocks import Document


def show(document: Document, *, gap: bool = False) -> None:
    """Print a document for people, after an empty line where something stands above it."""
    from ...show.terminal import console, render

    console().print(*([""] if gap else []), render(document), sep="\n")


def data(value: Any) -> None:
    """Print one JSON document."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """Tell something on stderr. It may quote a prompt or a file: what cannot be seen is shown as its escape."""
    from ...show.text import safe_lines

    sys.stderr.write(safe_lines(text) + "\n")
    sys.stderr.flush()


def fail(what: str, hint: str | None = None) -> None:
    """Tell what is wrong, and the next step."""
    say(f"error: {what}" + (f"\nhint: {hint}" if hint else ""))


@contextlib.contextmanager
def busy(text: str) -> Iterator[None]:
    """Show that work goes on, where a person watches; nothing of it stays on the screen."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.text import Text

    from ...show.terminal import console

    with console(stderr=True).status(Text(text)):
        yield


def small_print(text: str) -> Any:
    """A dim paragraph under what was shown."""
    from ...show.blocks import Text

    return Text(text=text, tone="dim")
