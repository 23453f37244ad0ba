"""Path patching, run: a sender's difference is carried past the stream to one reader (tweaks/paths.py, senders.py).

A `Sender` stands at its site, changes nothing there, and keeps what a copy would have written more into the stream. An
`Arrival` stands where a receiver gives what it made of its input, and puts the value there that it would have given,
had it read the stream plus that difference. An MLP behind attention and the model's end are handed the sum itself. For
queries, keys and values (and MLPs beside attention) the block is run once more, aside, on the sum, up to what is
wanted: so norms, rotations and grouped heads are the model's own and no family is listed here.

Keys and values that arrived stay for later calls of the same run, as a KV cache asks for; the rest is about the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..model.anatomy import first_tensor
from .actions import Action

if TYPE_CHECKING:
    from .forward import Pass

Writes = Callable[[Tensor], Tensor]  # values at a site (1, T, …) -> their share of the stream (1, T, D), and a constant


class Enough(Exception):
    """A block that is run aside has given what was wanted of it."""


@dataclass
class Strip:
    """Values (T, …) of one row at the positions from `first` on."""

    first: int
    values: Tensor

    def over(self, first: int, count: int) -> tuple[slice, Tensor]:
        """Which of `count` columns from position `first` on it covers, and its values there."""
        low, high = max(self.first, first), min(self.first + len(self.values), first + count)
        high = max(low, high)
        return slice(low - first, high - first), self.values[low - self.first : high - self.first]


@dataclass
class Sender(Action):
    """A `send` on one row: what it carries, and to whom."""

    writes: Writes = lambda x: x
    to_layer: int = 0
    to_site: str = ""  # where the receiver's answer is seen: q, k, v, mlp_out, resid_mid or resid_post
    to_heads: tuple[int, ...] = ()
    carried: Strip | None = None  # (T, D), of the call that is running
    found: dict[int | None, Strip] = field(default_factory=dict)  # head -> what it gives; None: an MLP

    def apply(self, x: Tensor, row: int, first: int, prompt_length: int, keys_first: int) -> None:
        """Keep what a copy would have written more; change nothing."""
        self.carried = None
        if self.idle:
            return
        old = x[row : row + 1]
        new = old.clone()
        super().apply(new, 0, first, prompt_length, keys_first)
        if not torch.equal(new, old):
            self.carried = Strip(first, (self.writes(new) - self.writes(old))[0])

    @property
    def aside(self) -> bool:
        """Whether the receiver's block is run once more to see what it makes of the sum."""
        return self.to_site in ("q", "k", "v", "mlp_out")

    def forget(self) -> None:
        """Another text comes."""
        self.carried, self.found = None, {}


@dataclass
class Arrival:
    """Where a receiver gives its answer: stands among the actions of that place."""

    sender: Sender

    @property
    def row(self) -> int | None:
        """The sender's row."""
        return self.sender.row

    def apply(self, x: Tensor, row: int, first: int, prompt_length: int, keys_first: int) -> None:
        """Change x[row] in place, at the positions that something arrived for."""
        sender, view = self.sender, x[row]
        if not sender.aside:
            if sender.carried is not None:
                columns, more = sender.carried.over(first, len(view))
                view[columns] += more
            return
        for head, strip in sender.found.items():
            columns, values = strip.over(first, len(view))
            view[columns if head is None else (columns, head)] = values


def arrivals(senders: Sequence[Sender]) -> Iterator[tuple[tuple[int, str], Arrival]]:
    """Where what is sent arrives, among the actions of these places. Forgets what came before."""
    for sending in senders:
        sending.forget()
        if sending.idle is None and sending.to_site != "resid_mid":
            yield (sending.to_layer, sending.to_site), Arrival(sending)


@contextmanager
def carrying(run: Pass, senders: Sequence[Sender]) -> Iterator[None]:
    """Hooks that hand receivers their input; attach them behind those of the places themselves."""
    leading = [s for s in senders if s.idle is None]
    with ExitStack() as stack:
        for layer in {s.to_layer for s in leading if s.aside}:
            module = run.anatomy.blocks[layer].module
            here = [s for s in leading if s.aside and s.to_layer == layer]
            stack.callback(module.register_forward_pre_hook(_run_aside(run, here), with_kwargs=True).remove)
        for layer in {s.to_layer for s in leading if s.to_site == "resid_mid"}:
            module = run.anatomy.blocks[layer].points["resid_mid"].module
            here = [s for s in leading if s.to_site == "resid_mid" and s.to_layer == layer]
            stack.callback(module.register_forward_pre_hook(_hand_over(run, here), with_kwargs=True).remove)
        yield


def _sum(run: Pass, x: Tensor, senders: Sequence[Sender]) -> Tensor:
    """The stream (B, T, D) with what is sent added on each sender's row."""
    new = x.clone()
    for sending in senders:
        assert sending.row is not None  # a tweak that takes values from elsewhere is on one row
        if sending.carried is not None:
            columns, more = sending.carried.over(run.first(sending.row, x.shape[1]), x.shape[1])
            new[sending.row, columns] += more
    return new


def _with(args: tuple[Any, ...], kwargs: dict[str, Any], old: Tensor, new: Tensor) -> tuple[Any, dict[str, Any]]:
    """A call's arguments with one activation in place of another."""
    return tuple(new if a is old else a for a in args), {k: new if v is old else v for k, v in kwargs.items()}


def _hand_over(run: Pass, senders: Sequence[Sender]) -> Any:
    """For the reader of an MLP behind attention: it reads the sum; the block goes on with its own stream."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = first_tensor(args, kwargs)
        if x is None or not any(s.carried for s in senders):
            return None
        seen = run.by_row(x)
        return _with(args, kwargs, x, _sum(run, seen, senders).view(x.shape))

    return hook


@dataclass
class Aside:
    """A block that is run once more: what it is wanted for, and what it has given so far."""

    wanted: frozenset[str]
    given: dict[str, Tensor] = field(default_factory=dict)

    def keep(self, site: str, x: Tensor) -> None:
        """Note a value. Raises Enough when all are there."""
        if site in self.wanted:
            self.given[site] = x
            if len(self.given) == len(self.wanted):
                raise Enough


@dataclass
class _Group:
    """Receivers of one row that read the same sum."""

    senders: list[Sender]
    readers: list[tuple[str, int | None]] = field(default_factory=list)  # site, head


def _rounds(senders: Sequence[Sender]) -> Iterator[list[_Group]]:
    """What can be run at once: in each round one group a row, because a row has one stream."""
    edges: dict[int | None, dict[tuple[str, int | None], list[Sender]]] = {}
    for sending in senders:
        for head in sending.to_heads or (None,):
            edges.setdefault(sending.row, {}).setdefault((sending.to_site, head), []).append(sending)
    rows = []
    for readers in edges.values():
        groups: dict[tuple[int, ...], _Group] = {}
        for reader, who in readers.items():
            groups.setdefault(tuple(map(id, who)), _Group(who)).readers.append(reader)
        rows.append(list(groups.values()))
    for groups_of_rows in zip_longest(*rows):
        yield [group for group in groups_of_rows if group is not None]


def _run_aside(run: Pass, senders: Sequence[Sender]) -> Any:
    """For a block with receivers that read its input: run it on the sum, and keep what each of them gives."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = first_tensor(args, kwargs)
        if x is None:
            return
        for groups in _rounds([s for s in senders if s.carried is not None]):
            new = _sum(run, x, [s for group in groups for s in group.senders])
            run.aside = aside = Aside(frozenset(site for group in groups for site, _ in group.readers))
            try:
                positional, named = _with(_cacheless(args), _cacheless(kwargs), x, new)
                with suppress(Enough):
                    module.forward(*positional, **named)
            finally:
                run.aside = None
            for group in groups:
                row = group.senders[0].row
                assert row is not None
                for site, head in group.readers:
                    values = aside.given[site][row]
                    strip = Strip(run.first(row, len(values)), (values if head is None else values[:, head]).clone())
                    for sending in group.senders:
                        sending.found[head] = strip

    return hook


def _cacheless(given: Any) -> Any:
    """A call's arguments without the cache: what is run aside leaves no trace in it."""
    if isinstance(given, dict):
        return {k: None if hasattr(v, "get_seq_length") else v for k, v in given.items()}
    return tuple(None if hasattr(v, "get_seq_length") else v for v in given)
