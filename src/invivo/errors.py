"""One root error. It says what is wrong, and as a hint the nearest right spelling or the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class InvivoError(Exception):
    """A mistake that the user can mend. Surfaces print `what` and `hint` and exit with 2; they show no traceback."""

    exit_code = 2
    field: str | None = None  # the setting that is meant, where whoever raises it knows (`decoding.top_k`)

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
    """The known word closest to `word`, or None when nothing is close; nothing is to a number. Case does not count."""
    if word.strip().isdigit():
        return None
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.55)
    return names[close[0]] if close else None


def unknown(
    kind: str, word: str, known: Iterable[str], listed_by: str, said: Mapping[str, str] | None = None
) -> UnknownName:
    """The error for a name that nothing answers to; `listed_by` is the command that lists the right ones.

    `said` are other words that people say, each with what to write for it.
    """
    said = said or {}
    guess = nearest(word, [*known, *said])
    hint = f"did you mean {said.get(guess, guess)!r}? " if guess else ""
    return UnknownName(f"no {kind} is called {word!r}", hint=f"{hint}`{listed_by}` lists them all")
