"""A forward pass that is watched and changed: hooks that come off on every path, and the positions of every row.

`watched(anatomy, actions, capture)` attaches what is needed and nothing else: with no action and nothing to capture a
model runs exactly as transformers runs it. Inside it, call the model as you like (`model(...)`, `generate`, a
pipeline): each call tells which tokens it brings (attention mask, cache), so a tweak under a KV cache, which sees one
token, knows which one. Positions count from 0 at the first token that is not padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Refused
from ..model import attention as inner
from ..model.anatomy import ATTENTION_SITES, Anatomy, first_tensor, main_output
from ..sites import SITES
from .actions import Action
from .paths import Arrival, Aside, Sender, arrivals, carrying
from .rotation import Turn, turning

Where = tuple[int | None, str]  # layer, site
CACHE_NAMES = ("cache", "past_key_values")  # transformers 5.24 gave a decoder's argument the first name


@dataclass
class Pass:
    """The state of one watched model: what to change, what to keep, and where in the text the current call is."""

    anatomy: Anatomy
    actions: dict[Where, list[Action | Arrival]]
    capture: frozenset[Where]
    captured: dict[Where, list[Tensor]] = field(default_factory=dict)
    prompt_lengths: list[int] | None = (
        None  # given, when the text continues past the prompt; else each new text is a prompt
    )
    further: dict[int, list[int]] = field(default_factory=dict)  # batch rows that serve a row, too
    padding: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    past: int = 0
    columns: int = 0
    aside: Aside | None = None  # while a block is run once more for its own sake (paths.py)

    def __post_init__(self) -> None:
        self.layers = {id(b.attention): n for n, b in enumerate(self.anatomy.blocks) if b.attention is not None}
        self.wanted: dict[int, frozenset[str]] = {}
        for layer, site in (*self.actions, *self.capture):
            if site in ATTENTION_SITES and layer is not None:
                self.wanted[layer] = self.wanted.get(layer, frozenset()) | {site}

    # ── Visitor of the attention function ──
    def inside(self, module: nn.Module) -> frozenset[str]:
        """Which attention sites of this module's layer are wanted."""
        return self.wanted.get(self.layers.get(id(module), -1), frozenset())

    def visit(self, module: nn.Module, site: str, x: Tensor) -> Tensor:
        """Change and keep what passes an attention site."""
        return self.touch((self.layers[id(module)], site), x)

    # ── one call of the model ──
    def begin(self, kwargs: dict[str, Any], args: tuple[Any, ...]) -> None:
        """Note which tokens this call brings: (B, T) new columns after `past` cached ones."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        ids = kwargs.get("inputs_embeds") if ids is None else ids
        cache = next((kwargs[name] for name in CACHE_NAMES if kwargs.get(name) is not None), None)
        mask = kwargs.get("attention_mask")
        if ids is None:
            raise Refused("a tweaked model needs input_ids or inputs_embeds")
        rows, self.columns = int(ids.shape[0]), int(ids.shape[1])
        self.past = int(cache.get_seq_length()) if cache is not None else 0
        if self.past == 0 or len(self.padding) != rows:
            total = self.past + self.columns
            if isinstance(mask, Tensor) and mask.ndim == 2:
                seen = mask[:, :total] != 0
                self.padding = (seen.cumsum(-1) == 0).sum(-1).tolist()
                self.lengths = seen.sum(-1).tolist()
            else:
                self.padding, self.lengths = [0] * rows, [total] * rows

    def lay_out(self, owner: Sequence[int], padding: Sequence[int]) -> None:
        """Say whose each batch row of the next calls is: a row's own number comes first, what else serves it follows.
        `padding` and, until now, `prompt_lengths` count by row.
        """
        rows = len(padding)
        given = self.prompt_lengths or []
        self.prompt_lengths = [given[whose] for whose in owner]
        self.padding = [padding[whose] for whose in owner]
        self.further = {n: [b for b in range(rows, len(owner)) if owner[b] == n] for n in range(rows)}

    def serving(self, row: int | None) -> Sequence[int]:
        """The batch rows that serve a row; all of them for None."""
        return range(len(self.padding)) if row is None else (row, *self.further.get(row, ()))

    def by_row(self, x: Tensor) -> Tensor:
        """`x` with rows and positions apart, for families (OPT) that flatten them on the way."""
        flat = x.dim() == 2 and len(self.padding) * self.columns == x.shape[0]
        return x.view(len(self.padding), self.columns, -1) if flat else x

    def prompt_length(self, row: int) -> int:
        """How many tokens of a row are prompt. Given lengths may serve several rows each, as beams are laid out."""
        if self.prompt_lengths is None:
            return self.lengths[row]
        return self.prompt_lengths[row * len(self.prompt_lengths) // max(len(self.padding), 1)]

    def first(self, row: int, columns: int) -> int:
        """The absolute position of the first of a row's last `columns` so far; negative in the padding."""
        return max(self.past + self.columns - columns, 0) - self.padding[row]

    def touch(self, where: Where, x: Tensor, *, in_place: bool = False) -> Tensor:
        """Apply what acts at a place and keep it if it is to be captured. Axes of `x` as in sites.py."""
        acting = self.actions.get(where)
        if acting:
            axes = SITES[where[1]].axes
            rows = len(self.padding)
            if x.shape[0] == 1 and rows > 1:  # position embeddings of a batch without padding come once for all rows
                x = x.expand(rows, *x.shape[1:])
            x = x if in_place else x.clone()
            here = x.shape[axes.index("T") if "T" in axes else axes.index("S")]
            keys = x.shape[axes.index("S")] if "S" in axes and "T" in axes else 0
            for action in acting:
                if self.aside is not None and isinstance(action, Sender | Arrival):
                    continue
                for row in self.serving(action.row):
                    action.apply(x, row, self.first(row, here), self.prompt_length(row), self.first(row, keys))
        if self.aside is not None:
            self.aside.keep(where[1], x)
            return x
        if where in self.capture:
            self.captured.setdefault(where, []).append(x.detach().clone())  # some families add in place
        return x

    def tensors(self) -> dict[Where, Tensor]:
        """What was captured, each site's calls joined along positions."""
        return {
            where: torch.cat(parts, dim=SITES[where[1]].axes.index("T") if "T" in SITES[where[1]].axes else 1)
            if len(parts) > 1
            else parts[0]
            for where, parts in self.captured.items()
        }


@dataclass(frozen=True)
class Both:
    """Two visitors, the outer one first: a watched pass inside a tweaked model."""

    outer: inner.Visitor
    run: inner.Visitor

    def inside(self, module: nn.Module) -> frozenset[str]:
        """What either wants."""
        return self.outer.inside(module) | self.run.inside(module)

    def visit(self, module: nn.Module, site: str, x: Tensor) -> Tensor:
        """Let each look that wants to."""
        for visitor in (self.outer, self.run):
            if site in visitor.inside(module):
                x = visitor.visit(module, site, x)
        return x


def _restore(module: nn.Module, visitor: inner.Visitor | None) -> None:
    """Give an attention module back to who looked into it before."""
    if visitor is None:
        inner.VISITORS.pop(module, None)
    else:
        inner.VISITORS[module] = visitor


def _hook_output(run: Pass, where: Where) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        if where[1] == "logits":
            output.logits = run.touch(where, output.logits)
            return output
        x = main_output(output)
        if x is None:
            return output
        seen = run.by_row(x)
        new = run.touch(where, seen)
        if new is seen:
            return output
        new = new.view(x.shape) if seen is not x else new  # position embeddings may have become one a row
        return new if isinstance(output, Tensor) else (new, *output[1:])

    return hook


def _hook_input(run: Pass, where: Where, shared: bool) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = first_tensor(args, kwargs)
        if x is None:
            return None
        seen = run.by_row(x)
        new = run.touch(where, seen, in_place=shared)
        if shared or new is seen:
            return None
        new = new.view(x.shape) if seen is not x else new
        if args and args[0] is x:
            return (new, *args[1:]), kwargs
        return args, {k: new if v is x else v for k, v in kwargs.items()}

    return hook


@contextmanager
def watched(
    anatomy: Anatomy,
    actions: Sequence[Action] = (),
    capture: Sequence[Where] = (),
    prompt_lengths: list[int] | None = None,
    clocked: bool = True,
) -> Iterator[Pass]:
    """Attach hooks for `actions` and `capture` to the model; they come off on every path.

    Without `clocked`, calls of the model do not tell where in the text they are; the caller sets it on the pass.
    """
    grouped: dict[Where, list[Action | Arrival]] = {}
    turns = [action for action in actions if isinstance(action, Turn)]  # of positions that are no activation
    for action in actions:
        if not isinstance(action, Turn):
            grouped.setdefault((action.layer, action.site), []).append(action)
    senders = [action for action in actions if isinstance(action, Sender)]
    for where, arrival in arrivals(senders):
        grouped.setdefault(where, []).append(arrival)
    run = Pass(anatomy, grouped, frozenset(capture), prompt_lengths=prompt_lengths)
    with ExitStack() as stack:

        def attach(handle: Any) -> None:
            stack.callback(handle.remove)

        places = {*grouped, *capture}
        if (places or turns) and clocked:
            attach(
                anatomy.root.register_forward_pre_hook(
                    lambda _, args, kwargs: run.begin(kwargs, args), with_kwargs=True
                )
            )
        for layer, site in places:
            if site in ATTENTION_SITES:
                continue
            point = anatomy.point(site, layer)
            if point.side == "out":
                attach(point.module.register_forward_hook(_hook_output(run, (layer, site))))
            else:
                attach(
                    point.module.register_forward_pre_hook(
                        _hook_input(run, (layer, site), point.shared), with_kwargs=True
                    )
                )
        for layer in run.wanted:
            module = anatomy.blocks[layer].attention
            assert module is not None  # or locating its site had been refused
            outer = inner.VISITORS.get(module)
            inner.VISITORS[module] = run if outer is None else Both(outer, run)
            stack.callback(_restore, module, outer)
        stack.enter_context(carrying(run, senders))
        stack.enter_context(turning(run, turns))
        yield run
