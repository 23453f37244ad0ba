"""BASE, walked block by block, and rows that leave it where their tweak begins: the growing batch.

In a sweep everything below a tweaked layer is BASE, and, because no position sees the future, so is everything left of
a tweaked position. So BASE is run once and kept (each block's input, each layer's keys and values); then the blocks are
walked once more, and a row joins where it starts to differ: at its layer, with the positions from its first changed
one on. Blocks are called with the arguments that transformers called them with, cut to those positions; earlier keys
and values are put in front inside our attention function. The end of the model, from the last norm on, is run by the
model itself with its blocks stood in for, so that what a family does to its logits is done here too.

`fits` walks two tweaks and compares with the model's own logits under them: a family whose blocks cannot be called like
this is seen there, and the caller takes the slow way. What this module does not do: choose rows, or read
metrics.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..model import attention as inner
from ..tweaks import Decoding, Stack
from .actions import Action
from .arguments import mapped
from .end import ENDS, End
from .forward import Pass, watched
from .living import Living
from .reading import logits_of
from .rows import STARTS, prepare
from .spared import AFTER_NEURONS, BEFORE_NEURONS, Cells, Spared

TOLERANCE = 1e-4  # of the largest logit: rounding of other batch shapes; a wrong walk is off by far more

_FITS: WeakKeyDictionary[nn.Module, dict[int, str | None]] = WeakKeyDictionary()  # by length of the text


class _Stop(Exception):
    """The walk has what it wanted from the model's own forward."""


class _Keep:
    """A visitor that only keeps keys and values as attention compares them."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[str, Tensor]] = {}

    def inside(self, module: nn.Module) -> frozenset[str]:
        return frozenset(("k", "v"))

    def visit(self, module: nn.Module, site: str, x: Tensor) -> Tensor:
        self.kept.setdefault(id(module), {})[site] = x
        return x


def _cut(value: Any, total: int, first: int) -> Any:
    """An argument of a block for the positions from `first` on: whatever has all positions on its second axis."""

    def cut(x: Tensor) -> Tensor:
        if x.ndim >= 2 and x.shape[1] == total:
            return x[:, first:]
        return x[first:] if x.ndim == 1 and x.shape[0] == total else x

    return mapped(value, cut)


class Trunk:
    """BASE on one text, kept: what rows of a sweep branch off from. Make it inside `living.alone` and no_grad."""

    def __init__(self, living: Living, ids: Sequence[int], prompt_length: int, looked: int) -> None:
        """`ids` begin with a prompt of `prompt_length`; the metric looks at the last `looked` positions."""
        self.living, self.anatomy, self.looked = living, living.anatomy, looked
        self.prompt_length = prompt_length
        self.ids = torch.tensor([list(ids)], device=living.device)  # (1, T)
        self.length = len(ids)
        self.inputs: list[tuple[Tensor, tuple[Any, ...], dict[str, Any]]] = []  # of each block
        self.tuples = [False] * self.anatomy.layers
        keep, self.spared = _Keep(), Spared(living.anatomy)
        with ExitStack() as stack:
            stack.enter_context(self.spared.keeping(self.length, keep.kept))
            for number, block in enumerate(self.anatomy.blocks):
                stack.callback(block.module.register_forward_pre_hook(self._note, with_kwargs=True).remove)
                stack.callback(block.module.register_forward_hook(self._shape(number)).remove)
                if block.attention is not None:
                    inner.VISITORS[block.attention] = keep
                    stack.callback(inner.VISITORS.pop, block.attention, None)
            self.base = living.hf(input_ids=self.ids, use_cache=False, **self._only(looked)).logits[
                0, -looked:
            ]  # (P, V)
        self.before = [keep.kept.get(id(b.attention)) for b in self.anatomy.blocks]  # k, v: (1, S, H_kv, K)

    def _note(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if args:
            self.inputs.append((args[0], args[1:], kwargs))
        else:
            self.inputs.append((kwargs["hidden_states"], (), {k: v for k, v in kwargs.items() if k != "hidden_states"}))

    def _shape(self, number: int) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            self.tuples[number] = isinstance(output, tuple)

        return hook

    def _only(self, positions: int) -> dict[str, int]:
        """Ask for the last positions' logits only, where the model can be asked."""
        takes = "logits_to_keep" in inspect.signature(self.living.hf.forward).parameters
        return {"logits_to_keep": positions} if takes else {}

    # ── the walk ──

    def fits(self) -> str | None:
        """Why this model's blocks cannot be walked; None when a walk gives what it gives. Tried once a length."""
        known = _FITS.setdefault(self.living.hf, {})
        if self.length not in known:
            known[self.length] = self._misfit()
        return known[self.length]

    def _misfit(self) -> str | None:
        if any(b.attention is None for b in self.anatomy.blocks):
            return "its attention does not go through transformers' interface"
        if any(not isinstance(x, Tensor) or x.shape[:2] != self.ids.shape for x, _, _ in self.inputs):
            return "its blocks do not take one hidden state a position"
        # one row from the bottom, one that joins half-way, both changed from the middle of the text on
        layer, first = self.anatomy.layers // 2, self.length // 2
        lines = [f"scale {place} at {first}: by 1.5" for place in ("embed", f"L{layer}.resid_pre")]
        ids = self.ids[0].tolist()
        rows = prepare(self.living, [Stack.of(line) for line in lines], ids, {}, Decoding(), 0)[1:]
        whole = logits_of(self.living, rows, ids, self.prompt_length)[:, -self.looked :]
        try:
            found = self.walk([(0, rows[0].actions), (layer, rows[1].actions)], first)
        except Exception as error:
            return f"its blocks cannot be called by themselves ({type(error).__name__}: {error})"
        apart = _apart(found, whole, whole)
        return None if apart <= _loose(whole) else f"walking its blocks is off by {apart:.1e}"

    @torch.no_grad()
    def walk(
        self, rows: Sequence[tuple[int, Sequence[Action]]], first: int, tokens: Sequence[int] | None = None
    ) -> Tensor:
        """Logits (R, P, V) of rows that are BASE below their layer and left of position `first`.

        `rows` are (layer at which the row joins, its actions), sorted by layer. Layer 0 includes the embeddings. With
        `tokens`, of which `narrows` must be true, their logits alone: (R, P, tokens).
        """
        starting: list[Action] = []
        inside: list[Action] = []
        ending: list[Action] = []
        for number, (_, acting) in enumerate(rows):
            for action in acting:
                action.row = number
                (starting if action.site in STARTS else ending if action.site in ENDS else inside).append(action)
        first = min(first, self.length - self.looked)
        layers = [layer for layer, _ in rows]
        hidden: Tensor | None = None
        cells = Cells(self.length - first, self.prompt_length, first, self.ids.device)
        entered = self._entered(starting, layers.count(0), first) if starting else None  # while nobody else looks
        with self._watched(inside) as run:
            for number, block in enumerate(self.anatomy.blocks):
                joining = layers.count(number)
                if joining:
                    base = self.inputs[number][0][:, first:].expand(joining, -1, -1)  # (J, T - first, D)
                    new = base if number or entered is None else entered
                    hidden = new if hidden is None else torch.cat([hidden, new])
                    cells.join((new != base).any(-1))  # all of them BASE, but under tweaks of the embeddings
                if hidden is None:
                    continue
                _, args, kwargs = self.inputs[number]
                self._clock(run, len(hidden), first)
                acting = [action for action in inside if action.layer == number]
                stages = cells.enter(acting)
                if number == self.anatomy.layers - 1:  # nothing after it carries what is not looked at
                    for stage in (BEFORE_NEURONS, AFTER_NEURONS):
                        stages[stage][:, : -self.looked] = False
                with self._prefixed(number, first), self.spared.sparing(number, stages, first, acting):
                    output = block.module(hidden, *_cut(args, self.length, first), **self._cut_kwargs(kwargs, first))
                hidden = output[0] if isinstance(output, tuple) else output
        assert hidden is not None  # every row joins somewhere
        end = End(self.living, self.tuples)
        return end(hidden[:, -self.looked :], self.length - self.looked, ending, self.prompt_length, tokens)

    def narrows(self, tokens: Sequence[int]) -> bool:
        """Whether the model's end gives the logits of a few tokens by themselves: seen on BASE."""
        with suppress(Exception):
            found = self.walk([(self.anatomy.layers - 1, ())], self.length - self.looked, tokens)[0]
            wanted = self.base[:, list(tokens)]
            return found.shape == wanted.shape and _apart(found, wanted, self.base) <= _loose(wanted)
        return False

    @contextmanager
    def _watched(self, actions: Sequence[Action]) -> Iterator[Pass]:
        """Hooks for `actions` while the caller says where in the text each call is."""
        with watched(self.anatomy, actions, clocked=False) as run:
            yield run

    def _clock(self, run: Pass, rows: int, first: int) -> None:
        """Tell the pass that the next call brings the positions from `first` on, for so many rows."""
        run.padding, run.lengths = [0] * rows, [self.prompt_length] * rows
        run.past, run.columns = first, self.length - first

    def _cut_kwargs(self, kwargs: dict[str, Any], first: int) -> dict[str, Any]:
        """Keyword arguments for positions from `first` on. The mask stays whole: our attention cuts it itself."""
        return {k: v if k == "attention_mask" else _cut(v, self.length, first) for k, v in kwargs.items()}

    @contextmanager
    def _prefixed(self, number: int, first: int) -> Iterator[None]:
        """Inside, this layer's attention sees BASE's keys and values in front of the rows' own."""
        module, kept = self.anatomy.blocks[number].attention, self.before[number]
        assert module is not None
        assert kept is not None
        inner.PREFIXES[module] = inner.Prefix(kept["k"][:, :first], kept["v"][:, :first])
        try:
            yield
        finally:
            inner.PREFIXES.pop(module, None)

    def _entered(self, actions: Sequence[Action], rows: int, first: int) -> Tensor:
        """Block 0's input (rows, T - first, D) under tweaks of the embeddings: the model's own start, up to there."""
        found: list[Tensor] = []

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found.append(args[0] if args else kwargs["hidden_states"])
            raise _Stop

        with self._watched(actions) as run, suppress(_Stop):
            self._clock(run, rows, 0)
            handle = self.anatomy.blocks[0].module.register_forward_pre_hook(hook, with_kwargs=True)
            try:
                self.living.hf(input_ids=self.ids.expand(rows, -1), use_cache=False)
            finally:
                handle.remove()
        return found[0][:, first:]


def _apart(found: Tensor, wanted: Tensor, logits: Tensor) -> float:
    """Largest difference, in the largest of `logits`."""
    return float((found - wanted).abs().max() / logits.abs().max().clamp(min=1.0))


def _loose(logits: Tensor) -> float:
    """The difference that is rounding."""
    return TOLERANCE if logits.dtype in (torch.float32, torch.float64) else 5e-2
