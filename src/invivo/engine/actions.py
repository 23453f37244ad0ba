"""A tweak made ready for one row of one model: where exactly, on which positions, with which values to copy.

An `Action` is what a tweak's one line means once model and prompt are known. It changes its own row and nothing else,
and it remembers whether it was ever reached and whether it ever changed a value: silence is not an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import InvivoError
from ..sites import SITES, Positions
from ..tweaks import Activation
from ..tweaks.activation import Copy, Mean
from . import dice

SITE_NUMBER = {name: number for number, name in enumerate(SITES)}
Index = slice | Tensor
EVERYTHING = slice(None)


def as_index(chosen: Sequence[int] | None, device: torch.device) -> Index:
    """A list of indices as a slice where it is one run, else as a tensor; None is everything."""
    if chosen is None:
        return EVERYTHING
    if len(chosen) == 0:
        return slice(0, 0)
    if chosen[-1] - chosen[0] + 1 == len(chosen) and list(chosen) == sorted(chosen):
        return slice(chosen[0], chosen[-1] + 1)
    return torch.tensor(chosen, device=device)


def crossed(indices: Sequence[Index], shape: Sequence[int], device: torch.device) -> tuple[Index, ...]:
    """Indices that select all combinations, as numpy.ix_ does. Slices stay slices while one tensor is enough."""
    if sum(isinstance(i, Tensor) for i in indices) < 2:
        return tuple(indices)
    grid = []
    for axis, (index, size) in enumerate(zip(indices, shape, strict=True)):
        flat = index if isinstance(index, Tensor) else torch.arange(size, device=device)[index]
        grid.append(flat.view([-1 if a == axis else 1 for a in range(len(indices))]))
    return tuple(grid)


def _along(site: str) -> int:
    """Which axis of a row's activation the tweak's positions count: queries, and keys where there are no queries."""
    axes = SITES[site].axes[1:]
    return axes.index("T") if "T" in axes else axes.index("S")


def same(new: Tensor, old: Tensor) -> bool:
    """Whether two activations are one but for the rounding between a row alone and a row in a batch."""
    loose = 8 * torch.finfo(old.dtype).eps
    return bool(torch.allclose(new, old, rtol=loose, atol=loose * float(old.abs().max())))


@dataclass
class Action:
    """One activation tweak on one row (None: on every row)."""

    tweak: Activation
    row: int | None
    layer: int | None
    heads: list[int] | None
    units: list[int] | None
    source: Tensor | None = None  # copy: (P, …) values of the named run; mean: (1, …)
    shift: dict[int, int] | None = None  # copy: position here -> position there, when they differ
    direction: Tensor | None = None  # tweaks along a direction: (width,)
    spread: Tensor | None = None  # add … sd: each unit's standard deviation, the site's shape without B and T
    note: str | None = None  # what the reader must know before anything has run
    idle: str | None = None  # why it can do nothing here, and leaves its row as it is
    reached: bool = False
    changed: bool = False
    furthest: int = -1  # the last position that passed by
    _seen: set[int] = field(default_factory=set)
    _positions: dict[int, Positions] = field(default_factory=dict)
    _columns: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)

    @property
    def site(self) -> str:
        """Short name of its site."""
        return self.tweak.place.site

    @property
    def unreached(self) -> list[int]:
        """Single positions that its place names and that no call ever brought."""
        named = {p for positions in self._positions.values() for p in positions.single}
        return sorted(named - self._seen) if self.tweak.during == "all" else []

    def columns(self, first: int, size: int, prompt_length: int) -> list[int]:
        """Which of `size` columns, of which the first is at the absolute position `first` (negative in the padding), it
        acts on, given how long the row's prompt is.
        """
        if (known := self._columns.get((first, size, prompt_length))) is None:
            known = [p - first for p in self._named(max(first, 0), first + size, prompt_length) if self._may(p)]
            self._columns = {(first, size, prompt_length): known}  # asked for again at once, if ever
        return known

    def _named(self, first: int, end: int, prompt_length: int) -> Sequence[int]:
        """The positions from `first` to before `end` that its place names, in the part of the text that it acts in."""
        if self.tweak.during == "prompt":
            end = min(end, prompt_length)
        elif self.tweak.during == "generation":
            first = max(first, prompt_length)
        at = self.tweak.place.at
        if at is None or first >= end:
            return range(first, end)
        if prompt_length not in self._positions:
            self._positions[prompt_length] = Positions.of(at, prompt_length)
        return self._positions[prompt_length].within(first, end)

    def _may(self, position: int) -> bool:
        """Whether what it copies has a value for a position."""
        if not isinstance(self.tweak, Copy) or self.source is None:
            return True
        there = position if self.shift is None else self.shift.get(position, -1)
        return 0 <= there < self.source.shape[_along(self.site)]

    def apply(self, x: Tensor, row: int, first: int, prompt_length: int, keys_first: int) -> None:
        """Change x[row] in place. `first` is the absolute position of the first column (negative in the padding),
        `keys_first` the same for keys (scores and pattern).
        """
        axes = SITES[self.site].axes[1:]
        view = x[row]
        along = _along(self.site)
        size = view.shape[along]
        self.furthest = max(self.furthest, first + size - 1)
        columns = self.columns(first, size, prompt_length)
        if not columns:
            return
        if self.tweak.place.at is not None:
            self._seen.update(first + c for c in columns)
        indices: list[Index] = []
        counted: list[
            list[int] | range
        ] = []  # what each selected index stands for: absolute positions, head and unit numbers
        for number, axis in enumerate(axes):
            if number == along:
                chosen = None if len(columns) == size else columns
                stands = [first + c for c in columns]
            elif axis == "H":
                chosen, stands = self.heads, self.heads if self.heads is not None else range(view.shape[number])
            elif axis == "S":
                chosen = self._keys(view.shape[number], keys_first, prompt_length)
                stands = [keys_first + c for c in (range(view.shape[number]) if chosen is None else chosen)]
            else:
                chosen, stands = self.units, self.units if self.units is not None else range(view.shape[number])
            indices.append(as_index(chosen, x.device))
            counted.append(stands)
        index = crossed(indices, view.shape, x.device)
        old = view[index]
        if old.numel() == 0:
            self.reached = True
            return
        here = _Here(self, counted, along, old)
        new = self.tweak.change(old, here)
        if new.shape != old.shape:
            try:
                new = new.expand(old.shape)
            except RuntimeError:
                raise InvivoError(
                    f"{self.tweak} gave values of shape {tuple(new.shape)} at {self.site}, "
                    f"where {tuple(old.shape)} belong"
                ) from None
        self.reached = True
        if not self.changed:
            rounded = isinstance(self.tweak, Copy | Mean)  # from another run, where a batch may round otherwise
            self.changed = not (same(new.to(old.dtype), old) if rounded else torch.equal(new.to(old.dtype), old))
        view[index] = new.to(old.dtype)

    def _keys(self, size: int, keys_first: int, prompt_length: int) -> list[int] | None:
        """The key columns that the place names; None for all."""
        if self.tweak.place.keys is None:
            return None
        keys = Positions.of(self.tweak.place.keys, prompt_length)
        return [c for c in range(size) if keys_first + c >= 0 and keys_first + c in keys]


@dataclass
class _Here:
    """What a tweak may ask about the values that were selected for it."""

    action: Action
    counted: list[list[int] | range]  # per axis, the numbers of what was selected
    along: int  # the axis of positions
    old: Tensor

    def normal(self, seed: int) -> Tensor:
        """Standard normal noise, a function of (seed, site, layer, and the numbers of what was selected)."""
        counters = []
        for axis, numbers in enumerate(self.counted):
            flat = torch.tensor(list(numbers))
            counters.append(flat.view([-1 if a == axis else 1 for a in range(len(self.counted))]))
        place = SITE_NUMBER[self.action.site] * 100_003 + (self.action.layer or 0)
        return dice.normal(seed, place, *counters).to(self.old.dtype).to(self.old.device)

    def source(self) -> Tensor:
        """The values to put here, in the shape of what was selected (or of size 1 along positions, for a mean)."""
        values: Any = self.action.source
        for axis, numbers in enumerate(self.counted):
            chosen = list(numbers)
            if axis == self.along:
                if isinstance(self.action.tweak, Mean):
                    continue
                if self.action.shift is not None:
                    chosen = [self.action.shift[n] for n in chosen]
            if (axes := SITES[self.action.site].axes[1:])[axis] == "S" and axis != self.along:
                # keys that the other run did not have are in these queries' future or in the padding: weight zero
                keys = torch.tensor(chosen, device=values.device)
                there = (keys >= 0) & (keys < values.shape[axis])
                shape = [-1 if a == axis else 1 for a in range(len(axes))]
                values = values.index_select(axis, keys.clamp(0, values.shape[axis] - 1)) * there.view(shape)
            else:
                values = values[(*(EVERYTHING,) * axis, as_index(chosen, values.device))]
        return values.to(self.old.device, self.old.dtype)

    def spread(self) -> Tensor:
        """The selected units' standard deviations, in the shape of what was selected, of size 1 along positions."""
        values: Any = self.action.spread
        assert values is not None  # rows.py fills it
        values = values.unsqueeze(self.along)
        for axis, numbers in enumerate(self.counted):
            if axis != self.along:
                values = values[(*(EVERYTHING,) * axis, as_index(list(numbers), values.device))]
        return values.to(self.old.device, self.old.dtype)

    def positions(self) -> list[int]:
        """The absolute positions of what was selected."""
        return list(self.counted[self.along])

    def direction(self) -> Tensor:
        """The direction's numbers (width,) for the selected units, in float32."""
        values = self.action.direction
        assert values is not None  # rows.py fills it, or refuses the tweak
        return values[as_index(self.action.units, values.device)].to(self.old.device)
