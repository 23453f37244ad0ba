"""One root error. It says what is wrong, and as a hint the nearest right spelling or the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InvivoError(Exception):
    """A mistake that the user can mend. Surfaces print `what` and `hint` and exit with 2; they show no traceback."""

    exit_code = 2

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        self.what, self.hint = what, hint
        super().__init__(what if hint is None else f"{what}\nhint: {hint}")


class UnknownName(InvivoError):
    """A name that nothing answers to: a lab, a site, a tweak word, a config key."""


class OutOfRange(InvivoError):
    """A layer, head, neuron, position or setting outside what exists."""


class BadText(InvivoError):
    """A line of text, a file or a prompt that cannot be read as what it should be."""


class NoEffect(InvivoError):
    """A tweak whose place was never reached: it would have changed nothing, silently."""


class Refused(InvivoError):
    """Something that is not done unless it is asked for (pickle, remote code), or that this model cannot offer."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, or None when nothing is close. Case does not count."""
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.55)
    return names[close[0]] if close else None


def unknown(kind: str, word: str, known: Iterable[str], listed_by: str) -> UnknownName:
    """The error for a name that nothing answers to; `listed_by` is the command that lists the right ones."""
    guess = nearest(word, known)
    hint = f"did you mean {guess!r}? " if guess else ""
    return UnknownName(f"no {kind} is called {word!r}", hint=f"{hint}`{listed_by}` lists them all")
