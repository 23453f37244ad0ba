"""Where `retrieve 3 from notes/` meets a prompt: what the row reads, and which passages these were."""

from __future__ import annotations

from ...show.text import safe, shorten
from ...tweaks import Retrieve
from ..living import Living
from .collection import collection, query_of

ROOM = 60  # cells of a passage in a note


def retrieved(living: Living, tweak: Retrieve, text: str) -> tuple[str, tuple[str, ...]]:
    """The text with what was found in front, and a note with the sources; the text alone where nothing was found.

    Nobody else may be running the model. Raises UnknownName, BadText for the folder, Refused for what is missing.
    """
    hits = collection(living, tweak.folder, tweak.embedder or None).search(query_of(text), tweak.count, tweak.how)
    if not hits:
        return text, (f"`{tweak}` found nothing: no passage shares a word of weight with the prompt",)
    best = f"{hits[0].passage.source}, “{shorten(safe(hits[0].passage.text), ROOM)}”"
    rest = f", then {', '.join(safe(hit.passage.source) for hit in hits[1:])}" if hits[1:] else ""
    return tweak.put(" ".join(hit.passage.text for hit in hits), text), (f"`{tweak}` found {best}{rest}",)
