"""Linear layers that work only where a tweak has been: the other cells of a row are BASE's, and BASE's are known.

Most of what a row of a sweep holds is BASE: everything before its tweak's place, every position left of the first
changed one, and, in the last block, whatever nobody looks at. A linear layer treats each position by itself, so where
its input is BASE's its output is BASE's too, and that was kept (`Spared.keeping`). `Cells` follows which cells (row,
position) may differ; attention carries a change to every later position. An MLP that nothing looks into is treated
as one such layer, activation and all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..model.anatomy import Anatomy, Block, is_linear
from .actions import Action, as_index
from .paths import Sender
from .swap import swap

MOST_KEPT = 2**28  # bytes of BASE's outputs; what comes after them is computed as ever
# How far a block has come when one of its linear layers runs.
BEFORE_ATTENTION, BEFORE_NEURONS, AFTER_NEURONS = range(3)
REACHES = {  # site -> the first of these stages that a change there can be seen in; mlp_out, resid_post: none
    "resid_pre": BEFORE_ATTENTION,
    **dict.fromkeys(("q", "k", "v", "scores", "pattern", "z", "attn_out", "resid_mid"), BEFORE_NEURONS),
    **dict.fromkeys(("mlp_pre", "mlp_post"), AFTER_NEURONS),
}
MLP_SITES = ("mlp_pre", "mlp_post", "mlp_out")
CARRIED = frozenset({"resid_pre", "q", "k", "v", "scores", "pattern"})  # sites whose changes attention carries on


class Spared:
    """BASE's outputs of the blocks' linear layers, and when in its block each of them runs."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.outputs: dict[nn.Module, Tensor] = {}  # (1, T, out)
        self.mlps = [_mlp(block) for block in anatomy.blocks]
        self.stages: dict[nn.Module, int] = {}
        self.dropped: set[nn.Module] = set()  # layers that run twice, or are not called with one vector a position
        self.bytes = 0

    @contextmanager
    def keeping(self, length: int, attended: Any) -> Iterator[None]:
        """Inside, BASE runs on `length` tokens; `attended` holds the ids of attention modules that have run."""
        with ExitStack() as stack:
            for block in self.anatomy.blocks:
                for module in block.module.modules():
                    if is_linear(module) or module in self.mlps:
                        hook = self._keeper(block, length, attended)
                        stack.callback(module.register_forward_hook(hook).remove)
            yield

    def _keeper(self, block: Block, length: int, attended: Any) -> Any:
        own = set() if block.attention is None else set(block.attention.modules())
        down = block.readers.get("mlp_post")

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            after = id(block.attention) in attended
            cells = (*args, output)  # what goes in and what comes out, one vector a position
            fits = len(args) == 1 and all(isinstance(x, Tensor) and x.ndim == 3 for x in cells)
            fits = fits and all(x.shape[:2] == (1, length) for x in cells) and (after or module in own)
            if module in self.dropped or module in self.outputs or not fits:
                self.dropped.add(module)
                self.outputs.pop(module, None)
                return
            neurons = module is down or (down is not None and down in self.outputs and module not in self.mlps)
            self.stages[module] = AFTER_NEURONS if neurons else BEFORE_NEURONS if after else BEFORE_ATTENTION
            # An MLP gives its last layer's output, which is counted once.
            if all(output.data_ptr() != known.data_ptr() for known in self.outputs.values()):
                self.bytes += output.numel() * output.element_size()
            if self.bytes <= MOST_KEPT:
                self.outputs[module] = output

        return hook

    @contextmanager
    def sparing(self, number: int, stages: Sequence[Tensor], first: int, acting: Sequence[Action]) -> Iterator[None]:
        """Inside, block `number` runs with its linear layers on the changed cells only: one mask (R, S) a stage.

        `acting` is what changes something in this block.
        """
        chosen = [None if bool(mask.all()) else mask.flatten().nonzero()[:, 0] for mask in stages]
        with ExitStack() as stack:
            mlp = self.mlps[number]
            within = set() if mlp is None else {*mlp.modules()} - {mlp}
            passed = within if self._closed(mlp, within, acting) else {mlp}
            for module in self.anatomy.blocks[number].module.modules():
                if module in passed:
                    continue
                if module in self.outputs and (cells := chosen[self.stages[module]]) is not None:
                    swap(stack, module, _partly(module.forward, self.outputs[module][:, first:], cells, stages[0]))
            yield

    def _closed(self, mlp: nn.Module | None, within: set[nn.Module], acting: Sequence[Action]) -> bool:
        """Whether the MLP can be run as one: nothing acts within, and all that it multiplies by are linear layers."""
        linear = [module for module in within if module in self.outputs]
        return (
            mlp in self.outputs
            and {id(p) for m in linear for p in m.parameters()} == {id(p) for m in within for p in m.parameters()}
            and not any(isinstance(action, Sender) for action in acting)
            and not any(self.anatomy.point(a.site, a.layer).module in within for a in acting if a.site in MLP_SITES)
        )


def _mlp(block: Block) -> nn.Module | None:
    """The part of a block that holds its MLP and nothing of its attention; None where there is no such part."""
    down = block.readers.get("mlp_post")
    return next(
        (
            part
            for part in block.module.children()
            if down is not None
            and down is not part
            and down in part.modules()
            and block.attention not in set(part.modules())
        ),
        None,
    )


def _partly(forward: Any, base: Tensor, cells: Tensor, grid: Tensor) -> Any:
    """A linear layer that computes some cells of a grid (R, S) and gives BASE's output (1, S, out) in the others."""

    def partly(x: Tensor) -> Tensor:
        if x.shape[:-1] != grid.shape:
            return forward(x)
        out = base.expand(x.shape[0], -1, -1).clone(memory_format=torch.contiguous_format)
        if len(cells):
            out.view(-1, out.shape[-1])[cells] = forward(x.reshape(-1, x.shape[-1])[cells][None])[0]
        return out

    return partly


class Cells:
    """Which cells (row, position) of a walk may differ from BASE, block after block."""

    def __init__(self, columns: int, prompt_length: int, first: int, device: torch.device) -> None:
        self.stream = torch.zeros((0, columns), dtype=torch.bool, device=device)  # what enters the next block
        self.prompt_length, self.first = prompt_length, first

    def join(self, entering: Tensor) -> None:
        """Further rows, with the cells (J, S) that differ as they enter."""
        self.stream = torch.cat([self.stream, entering])

    def enter(self, actions: Sequence[Action]) -> list[Tensor]:
        """The cells that differ at each stage of a block in which `actions` act; `stream` is then what leaves it."""
        acting: dict[int, Tensor] = {}
        carried = self.stream.clone()
        for action in actions:
            columns = action.columns(self.first, self.stream.shape[1], self.prompt_length)
            cells = as_index(columns, self.stream.device)
            stage = REACHES.get(action.site, AFTER_NEURONS + 1)
            acting.setdefault(stage, torch.zeros_like(self.stream))[action.row, cells] = True
            if action.site in CARRIED:
                carried[action.row, cells] = True
        carried = carried.cumsum(1) > 0
        stages = [self.stream | acting.get(BEFORE_ATTENTION, False)]
        stages.append(carried | acting.get(BEFORE_NEURONS, False))
        stages.append(stages[1] | acting.get(AFTER_NEURONS, False))
        self.stream = stages[2] | acting.get(AFTER_NEURONS + 1, False)
        return stages
