"""Which position of one prompt belongs to which of another, so that values can be copied between them.

Prompts of one length belong together position by position. Of unequal ones the tokens say it: their longest common
beginning maps one to one, and of what is left their longest common end; what lies between has no partner and is not
copied. That is done where the tweak asks for it (`aligned by ends`) and never silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import BadText
from ..sites import index_list
from ..tweaks.activation import Copy
from ..tweaks.stars import Stars
from .living import Living

SHOWN = 8  # tokens of a stretch that are named


@dataclass(frozen=True)
class Aligned:
    """Which position is copied from which (None: the same ones), and what the reader must know about it."""

    shift: dict[int, int] | None
    note: str | None = None
    idle: str | None = None  # why nothing can be copied at all


def common_ends(here: Sequence[int], there: Sequence[int]) -> tuple[int, int]:
    """How many tokens two texts share at the beginning, and how many of the rest at the end."""
    least = min(len(here), len(there))
    first = next((i for i in range(least) if here[i] != there[i]), least)
    last = next((i for i in range(least - first) if here[-1 - i] != there[-1 - i]), least - first)
    return first, last


def align(living: Living, tweak: Copy, here: Sequence[int], there: Sequence[int]) -> Aligned:
    """The positions of a copy onto a prompt with tokens `here` from one with tokens `there`.

    Raises BadText where every position is copied between unequal lengths without an alignment, and OutOfRange for
    positions that a prompt does not have.
    """
    name, at = tweak.source_name, tweak.place.at
    if tweak.aligned is not None and len(here) != len(there):
        return _by_ends(tweak, here, there)
    if at is None:
        if len(here) != len(there):
            raise unequal(living, tweak, str(tweak), here, there)
        return Aligned(None)
    targets = index_list(at, len(here), "position", " in the prompt", as_written=True)
    sources = index_list(tweak.source_at or at, len(there), "position", f" in {name!r}", as_written=True)
    if len(targets) != len(sources):
        raise BadText(f"`{tweak}` copies {len(sources)} positions to {len(targets)}", hint="give as many as there are")
    return Aligned(dict(zip(targets, sources, strict=True)))


def _by_ends(tweak: Copy, here: Sequence[int], there: Sequence[int]) -> Aligned:
    """Unequal prompts, aligned by what they share."""
    first, last = common_ends(here, there)
    pairs = {p: p for p in range(first)}
    pairs |= {len(here) - 1 - i: len(there) - 1 - i for i in reversed(range(last))}
    alone = len(here) - len(pairs)
    missing = f"{alone} of {len(here)} positions have no partner in {tweak.source_name!r} and are not copied"
    at = tweak.place.at
    if at is not None:
        wanted = index_list(at, len(here), "position", " in the prompt")
        pairs = {p: pairs[p] for p in wanted if p in pairs}
    idle = None if pairs else f"`{tweak}` copies nothing: no position there has a partner in {tweak.source_name!r}"
    return Aligned(pairs, f"aligned by ends: {missing}" if alone else None, idle)


def check_swept(living: Living, stars: Stars, prompt: Sequence[int], prompts: Mapping[str, Sequence[int]]) -> None:
    """Raise BadText where a star goes over positions that are copied between prompts of unequal length, unaligned."""
    for tweak in stars.example:
        if isinstance(tweak, Copy) and tweak.place.at is not None and not (tweak.source_at or tweak.aligned):
            there = prompts[tweak.source_name]
            if len(there) != len(prompt):
                raise unequal(living, tweak, stars.text, prompt, there)


def unequal(living: Living, tweak: Copy, line: str, here: Sequence[int], there: Sequence[int]) -> BadText:
    """The error for prompts of unequal length: where they part, in words, and two lines that say what is meant.

    `line` is what the user wrote; it may have stars.
    """
    name, (first, last) = tweak.source_name, common_ends(here, there)
    ends = len(here) - last, len(there) - last
    what = (
        f"`{line}` copies every position, but the prompt has {len(here)} tokens and {name!r} has {len(there)}; "
        f"they part at {first}: {_words(living, here[first : ends[0]])} in the prompt, "
        f"{_words(living, there[first : ends[1]])} in {name!r}"
    )
    kinds = [(first > 0, f"0:{first}", f"0:{first}")]
    kinds += [(last > 0, f"{ends[0]}:{len(here)}", f"{ends[1]}:{len(there)}")]
    shared = [(a, b) for given, a, b in kinds if given]
    if not shared:
        return BadText(what, hint=f"say which: `copy {tweak.place} at 5 from {name} at 7`; `invivo tokens` counts them")
    if tweak.place.site in ("scores", "pattern"):
        return BadText(
            what, hint="scores and pattern are copied at the same positions only: take prompts of one length"
        )
    hint = "to copy what both have, end the line in `aligned by ends`"
    if "*" not in line:
        hint += f", as in `{line} aligned by ends`"
        at, source_at = (",".join(side) for side in zip(*shared, strict=True))
        place = tweak.place.model_copy(update={"at": at})
        hint += f"; or write `{tweak.model_copy(update={'place': place, 'source_at': source_at})}`"
    return BadText(what, hint=hint)


def _words(living: Living, ids: Sequence[int]) -> str:
    """Tokens as a reader knows them."""
    if not ids:
        return "nothing"
    shown = " ".join(repr(living.piece(i).text) for i in ids[:SHOWN])
    return shown + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
