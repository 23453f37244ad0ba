"""Positions of a rotary model (Su et al. 2021): no vector is added, queries and keys are turned by an angle instead.

The angles come from one module that is told every token's position, once a call. Scaling positions means telling it
others: row by row, and BASE's row its own, to the bit. Whatever a family then does with the angles it does as ever.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import Refused
from ..model.anatomy import Anatomy
from ..tweaks import Boost
from .actions import Action

if TYPE_CHECKING:
    from .forward import Pass
    from .living import Living

TURNED = "positions are turned in every layer at once"  # why a sweep cannot branch off, and nothing is estimated
NOTE = (
    "this model has no position vectors: it turns queries and keys by their position, so here every position was "
    "multiplied before the turning"
)


@dataclass
class Turn(Action):
    """A boost of positions on one row (None: on every row) of a rotary model."""

    def multiply(self, positions: Tensor, first: int, prompt_length: int) -> None:
        """Change a row's positions (T,) in place. `first` is the absolute position of the first column."""
        size = len(positions)
        self.furthest = max(self.furthest, first + size - 1)
        columns = self.columns(first, size, prompt_length)
        if not columns:
            return
        if self.tweak.place.at is not None:
            self._seen.update(first + c for c in columns)
        assert isinstance(self.tweak, Boost)
        old = positions[columns]
        positions[columns] = old * self.tweak.factor
        self.reached = True
        self.changed = self.changed or not torch.equal(positions[columns], old)


def turn(living: Living, tweak: Boost, row: int | None) -> Turn:
    """The action of a boost on a model without position vectors. Raises Refused where it is not rotary."""
    if not rotary(living.anatomy):
        raise Refused(
            f"`{tweak}`: {living.name} has no positions to scale: neither vectors nor angles that are computed from a "
            "position (a bias on attention scores, a fixed table, or none at all)"
        )
    return Turn(tweak, row, None, None, None, note=NOTE)


def rotary(anatomy: Anatomy) -> list[nn.Module]:
    """The modules that compute angles from positions: they hold frequencies and are told `position_ids`."""
    return [
        module
        for module in anatomy.root.modules()
        if any(name.endswith("inv_freq") for name, _ in module.named_buffers(recurse=False))
        and "position_ids" in inspect.signature(module.forward).parameters
    ]


def frequencies(anatomy: Anatomy) -> Tensor | None:
    """How fast each pair of a head's numbers turns, in radians a position (K / 2,); None where nothing turns."""
    for module in rotary(anatomy):
        for name, buffer in module.named_buffers(recurse=False):
            if name.endswith("inv_freq") and "original" not in name:
                return buffer.float()
    return None


@contextmanager
def turning(run: Pass, turns: Sequence[Turn]) -> Iterator[None]:
    """Hooks that tell the model other positions on the rows of `turns`."""
    with ExitStack() as stack:
        for module in rotary(run.anatomy) if turns else ():
            stack.callback(module.register_forward_pre_hook(_told(run, turns), with_kwargs=True).remove)
        yield


def _told(run: Pass, turns: Sequence[Turn]) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        old = kwargs["position_ids"] if "position_ids" in kwargs else args[1]
        rows = len(run.padding)
        if old.dim() != 2:
            raise Refused(f"{type(module).__name__} is told positions of {old.dim()} axes, which are not known here")
        new = old.float().expand(rows, -1).clone()  # (B, T)
        for action in turns:
            for row in run.serving(action.row):
                action.multiply(new[row], run.first(row, new.shape[1]), run.prompt_length(row))
        if "position_ids" in kwargs:
            return args, kwargs | {"position_ids": new}
        return (args[0], new, *args[2:]), kwargs

    return hook
