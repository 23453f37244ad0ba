"""The least that a sweep must multiply, and those multiplications by themselves: the machine's own speed.

What is necessary follows from causality and from where the metric looks, not from how invivo goes about it:

- BASE once; the clean prompt once, from the token on in which it differs, up to the highest place that is copied;
- a row from the layer at which it joins, with the positions from its first changed one on. In that layer a patched head
  needs no q, k, v, and a patched stream needs them at its own position only;
- in the last block q, the attention's output and the MLP at the last position only, and so the head, and of
  the head the two tokens that the metric compares;
- nothing for a row that changes nothing: the first layer's streams, away from the token that differs.

A layer's weight counts as one thing (a sum of two rows' outputs is not taken apart to save one). All rows of a grid are
multiplied together, layer by layer, each time by the faster of torch's two kernels: stock, and packed as in invivo's
engine/packed.py. Weights are random and each layer has its own, so that they come from where a model's weights come
from. Attention, norms, activations and reading are left out: a floor, which nothing can reach.
"""

from __future__ import annotations

import timeit
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from subject import Subject
from torch import Tensor

from invivo.engine.packed import available

TRIALS = 3  # of each kernel on each multiplication


@dataclass(frozen=True)
class Step:
    """One multiplication: so many rows by the weight that is called `part` in `layer`; the head is above the last."""

    layer: int
    part: str
    rows: int


def heads(subject: Subject) -> list[Step]:
    """`copy head * from clean`, all layers and heads."""
    top = subject.layers - 1
    lower = walk(subject, subject.changed, dict.fromkeys(range(top), subject.heads), fresh=0)
    highest = walk(subject, subject.length - 1, {top: subject.heads}, fresh=0)
    clean = (step for step in _clean(subject) if step.layer < top or step.part in ("q", "kv"))
    return [*_together(_base(subject)), *_together(clean), *_together([*lower, *highest])]


def positions(subject: Subject) -> list[Step]:
    """`copy L*.resid_pre at * from clean`, all layers and positions."""
    rows: list[Step] = []
    for position in range(subject.changed, subject.length):
        lowest = 0 if position == subject.changed else 1
        rows += walk(subject, position, dict.fromkeys(range(lowest, subject.layers), 1), fresh=1)
    clean = (step for step in _clean(subject) if step.layer < subject.layers - 1)
    return [*_together(_base(subject)), *_together(clean), *_together(rows)]


def walk(subject: Subject, first: int, joining: dict[int, int], fresh: int) -> Iterator[Step]:
    """Rows that share their first changed position, through the model.

    `joining`: how many join at each layer; `fresh`: at how many positions q, k and v of the layer they join at are new.
    """
    columns, rows, top = subject.length - first, 0, subject.layers - 1
    for layer in range(subject.layers):
        new = joining.get(layer, 0)
        inputs, rows = rows * columns + new * fresh, rows + new
        if layer == top:
            yield Step(layer, "kv", inputs)
            yield Step(
                layer, "q", rows if fresh == columns else rows - new
            )  # the last position is the last that is new
        else:
            yield Step(layer, "qkv", inputs)
        for part in ("out", "up", "down"):
            yield Step(layer, part, rows if layer == top else rows * columns)
    yield Step(subject.layers, "head", rows)


def _base(subject: Subject) -> Iterator[Step]:
    """BASE: one row, all of which is new."""
    return walk(subject, 0, {0: 1}, fresh=subject.length)


def _clean(subject: Subject) -> Iterator[Step]:
    """The clean prompt, as what it is: a row that leaves BASE at one token."""
    return walk(subject, subject.changed, {0: 1}, fresh=1)


def _together(steps: Iterable[Step]) -> list[Step]:
    """One multiplication for each weight."""
    rows: Counter[tuple[int, str]] = Counter()
    for step in steps:
        rows[step.layer, step.part] += step.rows
    return [Step(layer, part, count) for (layer, part), count in rows.items() if count]


def _shape(subject: Subject, part: str) -> tuple[int, int]:
    """Inputs and outputs of a part."""
    width = subject.width
    return {
        "qkv": (width, 3 * width),
        "kv": (width, 2 * width),
        "q": (width, width),
        "out": (width, width),
        "up": (width, 4 * width),
        "down": (4 * width, width),
        "head": (width, 2),
    }[part]


def flops(subject: Subject, steps: Iterable[Step]) -> int:
    """Floating-point operations of all of them."""
    total = 0
    for step in steps:
        inputs, outputs = _shape(subject, step.part)
        total += 2 * step.rows * inputs * outputs
    return total


class Floor:
    """A model's weights and nothing else, ready to be multiplied with at the present number of threads."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.ways: dict[tuple[int, str], list[Callable[[Tensor], Tensor]]] = {}  # to multiply by a layer's part

    def work(self, steps: Iterable[Step]) -> Callable[[], None]:
        """What multiplies them one after the other."""
        todo = [self._fastest(step) for step in steps]

        def multiply() -> None:
            for way, x in todo:
                way(x)

        return multiply

    def _fastest(self, step: Step) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """The faster way of a step, and something to multiply."""
        inputs, outputs = _shape(self.subject, step.part)
        ways = self.ways.setdefault((step.layer, step.part), [])
        if not ways:
            ways += kernels(torch.randn(outputs, inputs))
        x = torch.randn(step.rows, inputs)
        seconds = [min(timeit.repeat(lambda way=way: way(x), number=1, repeat=TRIALS)) for way in ways]
        return ways[seconds.index(min(seconds))], x


def kernels(weight: Tensor) -> Iterator[Callable[[Tensor], Tensor]]:
    """What multiplies by a weight (out, in)."""
    yield lambda x: F.linear(x, weight)
    if available():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        yield lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
