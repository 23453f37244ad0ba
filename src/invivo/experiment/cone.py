"""The causal cone: which cells of a lens a tweak can reach at all.

A decoder's position reads only itself and what stands to its left, layer after layer. So a change in layer L at
position p can be seen in layer L at p (or from p on, where attention of that layer reads what was changed), and from
layer L + 1 on at p and to its right. Everything else is BASE, whatever the tweak does.
"""

from __future__ import annotations

from ..sites import Place, index_list
from ..tweaks import Activation, LogitBias, Send, Stack

Cells = tuple[tuple[bool, ...], ...]  # [layer][position]
READ = ("embed", "pos_embed", "resid_pre", "k", "v")  # what attention of its own layer hands on to later positions
ENDS = ("final_norm", "logits")  # a lens takes every layer through the end, and so through a change of it


def reached(stack: Stack, layers: int, positions: int) -> Cells:
    """Which of `layers` x `positions` cells of a lens the tweaks can reach.

    Raises OutOfRange for a layer or position that there is not.
    """
    cells = [[False] * positions for _ in range(layers)]
    for tweak in stack:
        if isinstance(tweak, LogitBias):
            return ((True,) * positions,) * layers
        if not isinstance(tweak, Activation):
            continue
        site, layer = _enters(tweak)
        own = _positions(tweak.place, positions)
        if not own:
            continue
        if site in ENDS:
            rows = {row: set(own) for row in range(layers)}
        else:
            start = 0 if layer is None else index_list(str(layer), layers, "layer")[0]
            later = set(range(own[0], positions))
            rows = dict.fromkeys(range(start + 1, layers), later)
            rows[start] = later if site in READ else set(own)
        for row, columns in rows.items():
            for column in columns:
                cells[row][column] = True
    return tuple(map(tuple, cells))


def _enters(tweak: Activation) -> tuple[str, int | None]:
    """The site and layer from which on a change is seen: of a sent value, where it is received."""
    if isinstance(tweak, Send):
        site = {"mlp": "mlp_out"}.get(tweak.receiver.input, tweak.receiver.input)
        return site, tweak.receiver.layer
    return tweak.place.site, tweak.place.layer


def _positions(place: Place, count: int) -> list[int]:
    """The positions at which it acts, in order."""
    own = list(range(count)) if place.at is None else index_list(place.at, count, "position")
    if place.keys is not None:  # an attention weight counts for the positions that look at its key
        first = min(index_list(place.keys, count, "position"), default=count)
        own = [position for position in own if position >= first]
    return own
