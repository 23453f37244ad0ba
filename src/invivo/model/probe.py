"""Finding a model's parts by watching one short forward pass.

No table of families. The blocks are the ModuleList with as many members as the config has layers. Inside a block the
residual stream gives everything away: the module whose output a satisfies resid_pre + a = (a later module's input) is
what attention adds, and so on. A site that cannot be found this way is refused by name, with the reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Refused
from ..sites import SITES
from . import attention as inner
from .anatomy import ATTENTION_SITES, Anatomy, Block, Point, first_tensor, is_linear, main_output


@dataclass
class _Event:
    """One module call of the probe: what went in and what came out, numbered by start and by end."""

    name: str
    module: nn.Module
    start: int
    end: int
    entering: Tensor | None
    leaving: Tensor | None

    def gives(self, like: Tensor) -> Tensor:
        """What came out, in the shape of `like`."""
        assert self.leaving is not None
        return self.leaving.reshape(like.shape)


class _Watcher:
    """Notes which attention modules call our function, and with what sizes."""

    def __init__(self) -> None:
        self.sizes: dict[int, dict[str, int]] = {}
        self.calls: dict[int, int] = {}

    def inside(self, module: nn.Module) -> frozenset[str]:
        self.calls[id(module)] = self.calls.get(id(module), 0) + 1
        return frozenset(("q", "k"))

    def visit(self, module: nn.Module, site: str, x: Tensor) -> Tensor:
        sizes = self.sizes.setdefault(id(module), {})
        if site == "q":
            sizes["H"], sizes["K"] = x.shape[2], x.shape[3]
        else:
            sizes["H_kv"] = x.shape[2]
        return x


def find_blocks(root: nn.Module, layers: int) -> nn.ModuleList:
    """The ModuleList with `layers` members that holds the most parameters."""
    lists = [m for m in root.modules() if isinstance(m, nn.ModuleList) and len(m) == layers]
    if not lists:
        raise Refused(
            f"{type(root).__name__} has no list of {layers} blocks", hint="only decoders of blocks are supported"
        )
    return max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))


def watch(root: nn.Module, ids: Tensor) -> tuple[list[_Event], _Watcher, Tensor]:
    """Run once on `ids` (1, T) and note every module call. Returns events in order of ending, and the logits."""
    events, clock, handles, starts = [], [0], [], {}

    def entering(module: nn.Module, args: Any, kwargs: Any) -> None:
        starts.setdefault(id(module), []).append((clock[0], first_tensor(args, kwargs)))
        clock[0] += 1

    def leaving(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            start, x = starts[id(module)].pop()
            y = main_output(output)
            events.append(_Event(name, module, start, clock[0], x, None if y is None else y.clone()))
            clock[0] += 1

        return hook

    watcher = _Watcher()
    try:
        for name, module in root.named_modules():
            inner.VISITORS[module] = watcher
            if module is not root:
                handles.append(module.register_forward_pre_hook(entering, with_kwargs=True))
                handles.append(module.register_forward_hook(leaving(name)))
        logits = root(input_ids=ids, use_cache=False).logits
    finally:
        for module in root.modules():
            inner.VISITORS.pop(module, None)
        for handle in handles:
            handle.remove()
    return events, watcher, logits


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two activations are one up to rounding."""
    if a.shape != b.shape:
        return False
    loose = 1e-5 if a.dtype == torch.float32 else 2e-2
    return torch.allclose(a.float(), b.float(), rtol=loose, atol=loose * (float(a.float().abs().max()) + 1e-30))


def read_block(module: nn.Module, name: str, events: list[_Event], watcher: _Watcher) -> Block:
    """Find the sites of one block from what was watched."""
    block = Block(module)
    block.points = {"resid_pre": Point(module, "in"), "resid_post": Point(module, "out")}
    own = next(e for e in events if e.module is module)
    inside = [e for e in events if e.name.startswith(name + ".")]
    calls = Counter(id(e.module) for e in inside)
    inside = [e for e in inside if calls[id(e.module)] == 1]  # a dropout that serves twice marks no place
    x, y = own.entering, own.leaving
    if x is None or y is None:
        return block
    x = x.reshape(y.shape)
    callers = [e for e in inside if watcher.calls.get(id(e.module)) == 1]
    attending = (
        callers[0] if len(callers) == 1 else next((e for e in inside if "att" in type(e.module).__name__.lower()), None)
    )
    if len(callers) == 1:
        block.attention, block.sizes = callers[0].module, dict(watcher.sizes[id(callers[0].module)])
    if attending is None:
        return block
    in_attention = [e for e in inside if e.name == attending.name or e.name.startswith(attending.name + ".")]
    outputs = [
        e for e in inside if e.leaving is not None and e.leaving.numel() == x.numel() and e.end > attending.start
    ]
    found = _serial(x, outputs, inside)
    last: list[_Event] = []
    if found is not None:
        mid, adds, reads = found
        block.points["attn_out"] = Point(adds.module, "out")
        block.points["resid_mid"] = Point(reads.module, "in", shared=True)
        last = [e for e in outputs if e.end > adds.end and same(mid + e.gives(x), y)]
    else:  # parallel: attention and MLP read the same stream
        others = [e for e in outputs if e not in in_attention]
        for attended in (e for e in reversed(outputs) if e in in_attention):
            last = [e for e in others if same(x + attended.gives(x) + e.gives(x), y)]
            if last:
                block.points["attn_out"] = Point(attended.module, "out")
                break
    if last:
        block.points["mlp_out"] = Point(last[-1].module, "out")
    _read_linears(block, inside, in_attention, x)
    for site in ("attn_out", "mlp_out"):
        given = next(
            (e.leaving for e in inside if site in block.points and e.module is block.points[site].module), None
        )
        for event in inside:
            if (
                given is not None
                and event.leaving is not None
                and is_linear(event.module)
                and event.leaving.numel() == given.numel()
                and torch.equal(event.leaving.reshape(given.shape), given)
            ):
                block.writers[site] = event.module
    return block


def _serial(x: Tensor, outputs: list[_Event], inside: list[_Event]) -> tuple[Tensor, _Event, _Event] | None:
    """resid_mid, the module that adds to it, and the first module that reads it; None in a parallel block."""
    for reader in sorted(inside, key=lambda e: e.start):
        if reader.entering is None or reader.entering.numel() != x.numel():
            continue
        mid = reader.entering.reshape(x.shape)
        added = [e for e in outputs if e.end < reader.start and same(x + e.gives(x), mid)]
        if added:
            return mid, added[-1], reader
    return None


def _read_linears(block: Block, inside: list[_Event], in_attention: list[_Event], x: Tensor) -> None:
    """Find the MLP's neurons (between its activation function and its last matrix) and attention's output matrix."""
    width = x.shape[-1]
    outside = [e for e in inside if e not in in_attention]
    down = [e for e in outside if is_linear(e.module) and e.leaving is not None and e.leaving.shape[-1] == width]
    if len({id(e.module) for e in outside if is_linear(e.module)}) in (2, 3) and down and down[-1].entering is not None:
        block.points["mlp_post"] = Point(down[-1].module, "in")
        block.readers["mlp_post"] = down[-1].module
        block.sizes["F"] = neurons = down[-1].entering.shape[-1]
        acts = [
            e
            for e in outside
            if next(e.module.parameters(), None) is None
            and next(e.module.children(), None) is None
            and e.entering is not None
            and e.leaving is not None
            and e.entering.shape[-1] == neurons
            and not torch.equal(e.entering, e.leaving)
        ]
        if len(acts) == 1:
            block.points["mlp_pre"] = Point(acts[0].module, "in")
    out = [e for e in in_attention if is_linear(e.module) and e.leaving is not None and e.leaving.shape[-1] == width]
    if out and block.attention is not None:
        block.readers["z"] = out[-1].module


def probe_ids(vocabulary: int, device: torch.device) -> Tensor:
    """A short input (1, 6) of different tokens."""
    return torch.arange(1, 7, device=device)[None] * 7919 % vocabulary


def find(root: Any, ids: Tensor) -> tuple[Anatomy, Tensor]:
    """The anatomy of a transformers causal LM whose attention implementation is already ours (where it can be).

    `ids` (1, T) is what it is watched on; the logits (1, T, V) of that run come back too, for the check that follows.
    """
    config = root.config.get_text_config()
    modules = find_blocks(root, config.num_hidden_layers)
    vocabulary = root.get_output_embeddings().weight.shape[0]
    events, watcher, logits = watch(root, ids)
    names = {id(m): n for n, m in root.named_modules()}
    blocks = [read_block(m, names[id(m)], events, watcher) for m in modules]
    points = {"logits": Point(root, "out"), "embed": Point(root.get_input_embeddings(), "out")}
    first = next(e for e in events if e.module is modules[0]).entering
    last = next(e for e in reversed(events) if e.module is modules[-1])
    head = next((e for e in reversed(events) if e.module is root.get_output_embeddings()), None)
    embedded = next((e.leaving for e in events if e.module is points["embed"].module), None)
    for event in events:
        if event.start > last.start or event.leaving is None or first is None or embedded is None:
            continue
        if (
            event.module is not points["embed"].module
            and event.leaving.shape[1:] == first.shape[1:] == embedded.shape[1:]
            and event.end < last.start
            and bool(event.leaving.any())
            and same(embedded + event.leaving, first)
        ):
            points["pos_embed"] = Point(event.module, "out")
            break
    if head is not None and head.entering is not None:
        normed = [
            e
            for e in events
            if e.start > last.end
            and e.end < head.start
            and e.leaving is not None
            and e.leaving.shape[-1] == head.entering.shape[-1]
            and torch.equal(e.leaving[:, -1], head.entering[:, -1])
            and next(e.module.children(), None) is None
        ]
        if normed:
            points["final_norm"] = Point(normed[-1].module, "out")
    missing = {}
    for name, site in SITES.items():
        if not site.layered:
            if name not in points:
                missing[name] = (
                    "its positions come in through rotation or bias, not through an embedding"
                    if name == "pos_embed"
                    else "no module gives it"
                )
        elif name in ATTENTION_SITES:
            if any(b.attention is None for b in blocks):
                missing[name] = (
                    f"{type(root).__name__} keeps its attention to itself (not through transformers' interface)"
                )
        elif any(name not in b.points for b in blocks):
            missing[name] = (
                "attention and MLP run in parallel, so there is no stream between them"
                if name == "resid_mid" and all("mlp_out" in b.points for b in blocks)
                else "its blocks have another structure (experts, or a fused layer)"
            )
    context = next(
        (getattr(config, n) for n in ("max_position_embeddings", "n_positions") if getattr(config, n, None)), 2048
    )
    anatomy = Anatomy(
        root,
        blocks,
        points,
        missing,
        int(first.shape[-1]) if first is not None else config.hidden_size,
        vocabulary,
        int(context),
    )
    return anatomy, logits
