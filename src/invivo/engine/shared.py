"""Rows that read the same text are one row below the first tweaked block, while a text is generated.

Down there nothing tells BASE and its TWEAKs apart but their tokens, and a row that has not parted from BASE, or
that reads BASE's text besides its own, has BASE's. So one batch row stands for all of them there, in the blocks and in
what these keep of the past, and every row gets its own where the tweaks begin. The prompt is read by every row, because
it shows whether a family's blocks can be given fewer rows at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from ..model.anatomy import Anatomy, first_tensor
from .arguments import mapped, tensors

LEAST = 3  # rows for which it pays


class Shared:
    """Which batch rows stand for which others in the blocks below `join`."""

    def __init__(self, anatomy: Anatomy, cache: Any, join: int, rows: int, device: torch.device) -> None:
        self.anatomy, self.cache = anatomy, cache
        self.join = join if rows >= LEAST and len(cache.layers) == anatomy.layers else 0
        self.same = list(range(rows))  # for each batch row, the one that stands for it
        self.index = torch.arange(rows, device=device)  # (B,) where that one is among those that are left
        self.chosen = self.index  # (U,) the batch rows that are left

    @property
    def allowed(self) -> bool:
        """Whether rows may be shared; known once the prompt was read."""
        return self.join > 0

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Inside, the blocks below `join` are given the rows that are left."""
        with ExitStack() as stack:
            if self.join:
                for number, block in enumerate(self.anatomy.blocks[: self.join + 1]):
                    hook = self._expand if number == self.join else self._narrow
                    stack.callback(block.module.register_forward_pre_hook(hook, with_kwargs=True).remove)
            yield

    def follow(self, parents: Sequence[int], same: Sequence[int]) -> None:
        """Put what was kept of the past in a new order: for each new batch row the old one that it continues, and the
        new one that stands for it.
        """
        left = {row: place for place, row in enumerate(sorted(set(self.same)))}
        unique = sorted(set(same))
        below = [left[self.same[parents[row]]] for row in unique]
        device = self.index.device
        for number, layer in enumerate(self.cache.layers):
            order, had = (below, len(left)) if number < self.join else (parents, len(self.same))
            if list(order) != list(range(had)):
                layer.reorder_cache(torch.tensor(order, device=device))
        self.same = list(same)
        self.chosen = torch.tensor(unique, device=device)
        self.index = torch.tensor([unique.index(row) for row in same], device=device)
        if len(unique) == len(same):  # BASE has ended, and nobody reads its text any more
            self.join = 0

    def _narrow(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.join:
            return None
        rows = len(self.same)
        if len(self.chosen) == rows:  # the prompt
            if not _by_row(args, kwargs, rows):
                self.join = 0
            return None
        return mapped((args, kwargs), lambda x: x[self.chosen] if x.ndim > 1 and x.shape[0] == rows else x)

    def _expand(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        stream = first_tensor(args, kwargs)
        if len(self.chosen) == len(self.same) or stream is None:
            return None
        whole = stream[self.index]
        return mapped((args, kwargs), lambda x: whole if x is stream else x)


def _by_row(args: tuple[Any, ...], kwargs: dict[str, Any], rows: int) -> bool:
    """Whether a block, as rows read one text, is given one vector a row and position, and beside it only what serves
    all rows or is alike in each: what differs along its first axis counts something else, heads for one.
    """
    stream = first_tensor(args, kwargs)
    if stream is None or stream.ndim != 3 or stream.shape[0] != rows:
        return False
    beside = [x for x in tensors((args, kwargs)) if x is not stream and x.ndim > 1 and x.shape[0] != 1]
    return all(x.shape[0] == rows and torch.equal(x, x[:1].expand_as(x)) for x in beside)
