"""Where a tweak of the prompt meets a text: what the row reads, and notes for the reader."""

from __future__ import annotations

import hashlib

from ..tweaks import PrependFile, PromptTweak, Retrieve
from ..tweaks.prompt import text_of
from .living import Living
from .retrieval import retrieved


def changed(living: Living, tweak: PromptTweak, text: str) -> tuple[str, tuple[str, ...]]:
    """The text after `tweak`, for a row on `living`. Raises BadText or UnknownName where that is not possible."""
    notes: tuple[str, ...] = ()
    if isinstance(tweak, Retrieve):
        return retrieved(living, tweak, text)
    if isinstance(tweak, PrependFile):  # the file may be another one tomorrow
        put = text_of(tweak.file)
        notes = (f"{tweak.file}: {len(put):,} characters, sha256 {hashlib.sha256(put.encode()).hexdigest()[:12]}",)
    return tweak.change(text), notes
