"""The laws of the engine: each a function that measures one thing it promises, a difference that ought to be rounding.

Laws go through the same doors as the user's own runs (rows, decoding, sweeps, packed layers), so a fault in one of them
shows. A law that cannot be broken by a model (no heads are offered, no layer is packed) raises NotOffered. Differences
of logits and of log-probabilities are shares of BASE's largest logit, because rounding grows with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import InvivoError
from ..experiment.sweep import Sweep
from ..model import attention
from ..model.anatomy import is_linear
from ..model.load import quiet
from ..tweaks import Activation, Decoding, Stack
from . import sweep as sweeping
from .decode import end_tokens
from .leftovers import leftovers
from .packed import available, packed
from .reading import logits_of
from .rows import Row, check_effect
from .subject import FIRST, STEPS, Subject, rounding
from .weights import can_edit, edited

CHECKED = 4  # places of a sweep that are run again the slow way


class NotOffered(Exception):
    """The model gives no occasion to break a law."""


@dataclass(frozen=True)
class Rule:
    """A law before it is tried. `limit` None: as much as rounding explains."""

    name: str
    says: str
    measure: Callable[[Subject], float]
    unit: str
    limit: float | None
    above: bool


RULES: list[Rule] = []


def _law(name: str, says: str, unit: str = "logits", limit: float | None = None, above: bool = False) -> Any:
    """Make a function that returns a difference a law."""

    def enter(measure: Callable[[Subject], float]) -> Callable[[Subject], float]:
        RULES.append(Rule(name, says, measure, unit, limit, above))
        return measure

    return enter


def _worst(subject: Subject, found: dict[str, float], *, least: bool = False) -> float:
    """The largest (or least) difference of several; which one it was is told. NaN is the worst there is."""
    name = next((n for n, x in found.items() if x != x), None) or (min if least else max)(found, key=found.__getitem__)
    subject.said = f"{'least' if least else 'most'} by `{name}`"
    return found[name]


# ── BASE ──


@_law("stock", "BASE is what transformers computes with its own attention.")
def _stock(subject: Subject) -> float:
    if subject.living.hf.config._attn_implementation != attention.NAME:
        raise NotOffered("its attention is its own, and is run as it is")
    with stock_attention(subject.living.hf):
        stock = subject.plain(subject.first)
    return subject.apart(subject.base, stock)


@contextmanager
def stock_attention(hf: Any) -> Iterator[None]:
    """Inside, transformers' own attention runs: SDPA, or the plain one where a family (Gemma 2) needs it."""
    try:
        with quiet():
            try:
                hf.set_attn_implementation("sdpa")
            except ValueError:
                hf.set_attn_implementation("eager")
        yield
    finally:
        with quiet():
            hf.set_attn_implementation(attention.NAME)


# ── tweaks that change nothing, and tweaks that change everything ──


@_law("scale by 1", "Scaling by 1, at any site of every layer, leaves the logits as they are.")
def _scale(subject: Subject) -> float:
    return _unmoved(subject, "scale {} by 1")


@_law("noise of 0", "Noise of strength 0, at any site of every layer, leaves the logits as they are.")
def _noise(subject: Subject) -> float:
    return _unmoved(subject, "add noise 0 to {}")


@_law("patch from itself", "Copying any site of every layer from the same text leaves the logits as they are.")
def _itself(subject: Subject) -> float:
    return _unmoved(subject, "copy {} from itself")


def _unmoved(subject: Subject, form: str) -> float:
    lines = {site: subject.everywhere(form, site) for site in subject.sites}
    return _worst(subject, {form.format(s): subject.apart(subject.tweaked(x), subject.base) for s, x in lines.items()})


@_law("patch everything", "Copying the whole stream from another text, first layer or last, gives that text's logits.")
def _everything(subject: Subject) -> float:
    wanted = subject.plain(subject.second)
    first, last = "copy L0.resid_pre from other", f"copy L{subject.layers - 1}.resid_post at -1 from other"
    return _worst(
        subject,
        {
            first: subject.apart(subject.tweaked(first), wanted),
            last: subject.apart(subject.tweaked(last)[-1], wanted[-1]),
        },
    )


@_law("a tweak acts", "Zeroing any site of every layer, or reading another text, does change the logits.", above=True)
def _acts(subject: Subject) -> float:
    found = {"another text": subject.apart(subject.plain(subject.second), subject.base)}
    for site in subject.sites:
        found[f"zero {site}"] = subject.apart(subject.tweaked(subject.everywhere("zero {}", site)), subject.base)
    return _worst(subject, found, least=True)


@_law("weights", "Zeroing heads is zeroing their rows of attention's output matrix.")
def _weights(subject: Subject) -> float:
    parts = subject.living.anatomy
    if "z" in parts.missing:
        raise NotOffered(f"it offers no z: {parts.missing['z']}")
    line = f"zero L{subject.middle}.z heads 0:{max(1, parts.blocks[subject.middle].sizes['H'] // 2)}"
    (tweak,) = Stack.of(line)
    assert isinstance(tweak, Activation)
    reason = can_edit(parts, tweak)
    if reason is not None:
        raise NotOffered(reason)
    acted = subject.tweaked(line)
    with edited(parts, tweak):
        weighed = subject.plain(subject.first)
    return subject.apart(acted, weighed)


# ── cache, batch, padding ──


@_law("cache", "With a KV cache a tweaked row says what it says without one, token by token.")
def _cache(subject: Subject) -> float:
    found = {}
    for line in subject.lines(len(subject.first)):
        row = subject.row(line, subject.first)
        (said,) = subject.speak([subject.first], [row])
        check_effect([row])
        full = logits_of(subject.living, [row], subject.first + said.ids, len(subject.first))[0].float()
        full = row.bias(full).log_softmax(-1)[len(subject.first) - 1 : -1].cpu()  # (STEPS, V)
        nats = full.gather(1, torch.tensor(said.ids)[:, None])[:, 0]
        likelier = subject.apart(full.max(-1).values, nats)  # greedy took the likeliest, but for rounding
        found[line] = max(subject.apart(torch.tensor(said.nats), nats), likelier)
    return _worst(subject, found)


@_law("batch", "A row in a batch is the row alone.")
def _batch(subject: Subject) -> float:
    prompt, text = len(subject.first), subject.first + subject.second[:2]
    lines = subject.lines(prompt)
    rows = [Row(None, Decoding(), 0), *(subject.row(line, subject.first) for line in lines)]
    together = logits_of(subject.living, rows, text, prompt).float()
    found = {}
    for number, (line, row) in enumerate(zip(["BASE", *lines], rows, strict=True)):
        found[line] = subject.apart(logits_of(subject.living, [row], text, prompt)[0], together[number])
    return _worst(subject, found)


@_law("left padding", "A prompt padded on the left says what it says unpadded.")
def _padding(subject: Subject) -> float:
    short = subject.first[: max(2, len(subject.first) // 3)]
    lines = subject.lines(len(short))
    rows = [Row(None, Decoding(), 0), *(subject.row(line, short) for line in lines)]
    _, *padded = subject.speak([subject.second, *[short] * len(lines)], rows)  # BASE reads the longer text
    check_effect(rows)
    found = {}
    for line, said in zip(lines, padded, strict=True):
        (alone,) = subject.speak([short], [subject.row(line, short)])
        # up to where they part, should two tokens be likeliest but for rounding
        same = next((i for i, (a, b) in enumerate(zip(alone.ids, said.ids, strict=True)) if a != b), STEPS - 1) + 1
        found[line] = subject.apart(torch.tensor(alone.nats[:same]), torch.tensor(said.nats[:same]))
    return _worst(subject, found)


# ── fast paths ──


@_law("fast = slow", "A sweep finds at every place what the whole stock model finds there, one row at a time.")
def _fast(subject: Subject) -> float:
    n = subject.middle
    lines = [f"scale L{n}.z heads * by 8"] if "z" in subject.sites else []
    found, path = {}, ""
    for line in [*lines, f"scale L{n}.attn_out at * by 8"]:
        asked = Sweep.of({"tweak": line, "metric": "target", "cases": [{"prompt": FIRST, "target": " a"}]})
        grid = sweeping.run(subject.living, asked, check=CHECKED)
        assert grid.checked is not None
        path = grid.path
        found[line] = grid.checked / subject.scale
        if not max(map(abs, grid.effects)) / subject.scale > rounding(subject.living.dtype) / 100:
            raise InvivoError(f"`{line}` had no effect at any place, fast or slow")
    largest = _worst(subject, found)
    subject.said += f"; {path}"
    return largest


@_law("packed layers", "Linear layers run from packed weights give what the stock layers give.")
def _packed(subject: Subject) -> float:
    living = subject.living
    if not available():
        raise NotOffered("packed layers are off: INVIVO_EXACT is set, or this torch lacks them")
    if living.device.type != "cpu" or living.dtype != torch.float32:
        raise NotOffered("they run on a CPU in float32 only")
    texts = (subject.first, subject.first[:1])  # a single token takes another kernel
    stock = [subject.plain(text) for text in texts]
    before = {m for m in living.hf.modules() if "forward" in vars(m)}
    with packed(living.hf):
        swapped = sum(is_linear(m) and "forward" in vars(m) and m not in before for m in living.hf.modules())
        if not swapped:
            raise NotOffered("its layers are too small to gain from it, or too large for the memory that is free")
        fast = [subject.plain(text) for text in texts]
    subject.said = f"{swapped} layers are packed"
    return max(subject.apart(a, b) for a, b in zip(fast, stock, strict=True))


# ── dice ──


@_law("same seed", "One seed gives one text.", unit="tokens", limit=0)
def _same_seed(subject: Subject) -> float:
    return float(_differing(_sampled(subject, 0), _sampled(subject, 0)))


@_law("another seed", "Another seed gives another text.", unit="tokens", limit=0, above=True)
def _another_seed(subject: Subject) -> float:
    first = _sampled(subject, 0)
    return float(next((n for seed in (1, 2, 3) if (n := _differing(first, _sampled(subject, seed)))), 0))


def _sampled(subject: Subject, seed: int) -> list[int]:
    """Some tokens drawn at a temperature that leaves even a sure model some choice."""
    row = Row(None, Decoding(do_sample=True, temperature=2.0), seed)
    row.biases = dict.fromkeys(end_tokens(subject.living), -1e4)
    return subject.speak([subject.first], [row])[0].ids


def _differing(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


# ── nothing is left behind: these two are tried last ──


@_law("nothing left", "No hook, visitor or stand-in stays on the model after all this.", unit="left", limit=0)
def _nothing_left(subject: Subject) -> float:
    found = sorted(leftovers(subject.living) ^ subject.left | subject.looking)
    if found:
        subject.said = "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return float(len(found))


@_law("BASE again", "After all this BASE's logits are what they were.")
def _again(subject: Subject) -> float:
    return subject.apart(subject.plain(subject.first), subject.base)
