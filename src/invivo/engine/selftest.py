"""The laws of the engine, tried on a model as it is loaded: what a test-suite proves of tiny models, seen on this one.

A law is a function here that measures one thing the engine promises, as a difference that ought to be rounding; what
surrounds it decides whether that holds. Laws go through the same doors as the user's own runs (rows, decoding, sweeps,
packed layers), so a fault in one of them shows. A law that cannot be broken by this model (no heads are offered, no
layer is packed) is not offered and counts for nothing; one that ends in an error does not hold.

Differences of logits and of log-probabilities are shares of BASE's largest logit, because rounding grows with it. What
this module does not do: measure speed, or judge a model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import InvivoError
from ..experiment.selftest import Law, SelfTest
from ..experiment.sweep import Sweep
from ..model import attention
from ..model.anatomy import is_linear
from ..model.load import quiet
from ..tweaks import Activation, Decoding, Stack
from . import sweep as sweeping
from .compare import versions
from .decode import Said, end_tokens, generate
from .forward import watched
from .living import Living
from .packed import available, packed
from .reading import logits_of
from .rows import Row, check_effect, prepare
from .weights import can_edit, edited

FIRST = "The cat sat on the mat and looked out"  # two texts that share no beginning
SECOND = "Seven ships had left one port by dawn"
LONGEST = 12  # tokens read of each
STEPS = 4  # tokens generated, with a cache and without
CHECKED = 4  # places of a sweep that are run again the slow way


class _NotOffered(Exception):
    """The model gives no occasion to break a law."""


@dataclass
class _Subject:
    """What every law is tried on: a model, two texts of one length as ids, and what BASE says of them."""

    living: Living
    first: list[int]
    second: list[int]
    left: set[str] = field(default_factory=set)  # hooks and the like that were there before
    looking: set[str] = field(default_factory=set)  # visitors that a law left behind
    said: str = ""  # what a law has to say beside its number

    def __post_init__(self) -> None:
        self.layers = self.living.anatomy.layers
        self.middle = self.layers // 2
        self.base = self.plain(self.first)  # (T, V)
        self.scale = max(float(self.base.nan_to_num(0, 0, 0).abs().max()), 1e-6)
        with watched(self.living.anatomy, capture=[(self.middle, "resid_pre")]) as run:
            self.living.hf(input_ids=self._ids(self.first), use_cache=False)
        self.spread = float(run.tensors()[(self.middle, "resid_pre")].float().std())

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], device=self.living.device)

    def plain(self, ids: Sequence[int]) -> Tensor:
        """Logits (T, V) of the model itself, with nobody looking."""
        return self.living.hf(input_ids=self._ids(ids), use_cache=False).logits[0].float()

    def apart(self, one: Tensor, other: Tensor) -> float:
        """The largest difference, as a share of BASE's largest logit."""
        return float((one.float() - other.float()).masked_fill(one == other, 0.0).abs().max()) / self.scale

    @property
    def sites(self) -> list[str]:
        """Sites that this model offers."""
        return self.living.anatomy.offered

    def everywhere(self, form: str, site: str) -> str:
        """A line for a site of every layer at once: `scale {} by 1`."""
        layered = site not in ("embed", "pos_embed", "final_norm", "logits")
        places = [f"L{n}.{site}" for n in range(self.layers)] if layered else [site]
        return " + ".join(form.format(place) for place in places)

    def row(self, line: str, prompt: list[int]) -> Row:
        """A TWEAK row that is alone in its batch, and whose text does not end by itself."""
        prompts = {"itself": self.first, "other": self.second}
        row = prepare(self.living, [Stack.of(line)], prompt, prompts, Decoding(), 0)[1]
        for action in row.actions:
            action.row = 0
        row.biases = dict.fromkeys(end_tokens(self.living), -1e4)
        return row

    def tweaked(self, line: str) -> Tensor:
        """Logits (T, V) of the first text under a tweak that is reached."""
        row = self.row(line, self.first)
        logits = logits_of(self.living, [row], self.first, len(self.first))[0]
        check_effect([row])
        return logits.float()

    def lines(self, prompt: int) -> list[str]:
        """Tweaks of many kinds for a prompt of so many tokens: heads, noise, positions, prompt or generation only."""
        n = self.middle
        lines = [
            f"zero L{n}.z heads 0",
            f"scale L{n}.k by 1.5",
            f"add 0.1 to L{n}.pattern",
            f"add noise {self.spread:.3g} to L{n}.resid_pre",
            f"mean L{n}.attn_out",
            f"zero L{n}.mlp_out at 1,-1",
            f"scale L{n}.resid_post by 3 during generation",
            f"zero L{n}.resid_pre at {prompt + 1}",
        ]
        return [
            line
            for line in lines
            if all(a.place.site in self.sites for a in Stack.of(line) if isinstance(a, Activation))
        ]

    def speak(self, prompts: Sequence[list[int]], rows: Sequence[Row], steps: int = STEPS) -> list[Said]:
        """What rows say, decoded with a cache."""
        for place, row in enumerate(rows):
            for action in row.actions:
                action.row = place
        return list(generate(self.living, prompts, rows, steps))[-1]


@dataclass(frozen=True)
class _Rule:
    """A law before it is tried. `limit` None: as much as rounding explains."""

    name: str
    says: str
    measure: Callable[[_Subject], float]
    unit: str
    limit: float | None
    above: bool


RULES: list[_Rule] = []


def _law(name: str, says: str, unit: str = "logits", limit: float | None = None, above: bool = False) -> Any:
    """Make a function that returns a difference a law."""

    def enter(measure: Callable[[_Subject], float]) -> Callable[[_Subject], float]:
        RULES.append(_Rule(name, says, measure, unit, limit, above))
        return measure

    return enter


@torch.no_grad()
def run(living: Living) -> SelfTest:
    """Try every law on a model that nobody else is using meanwhile. Raises Refused inside `model.tweaked`."""
    with living.alone("compare"):  # refused where a comparison would be, for the same reasons
        pass
    start = time.perf_counter()
    with living.alone("selftest"):
        texts = [living.encode(text) for text in (FIRST, SECOND)]
        length = min(LONGEST, *map(len, texts), max(2, living.anatomy.context - STEPS))
        left = leftovers(living)
        subject = _Subject(living, texts[0][:length], texts[1][:length], left)
        laws = tuple(_tried(rule, subject) for rule in RULES)
    return SelfTest(
        model=living.name,
        revision=living.revision,
        device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
        laws=laws,
        versions=versions(),
        seconds=round(time.perf_counter() - start, 4),
    )


def rounding(dtype: torch.dtype) -> float:
    """What other batch shapes and kernels may round to, as a share of the largest logit; a fault is off by far more."""
    return 1e-4 if dtype in (torch.float32, torch.float64) else 5e-2


def _tried(rule: _Rule, subject: _Subject) -> Law:
    """What became of one law here."""
    limit = rounding(subject.living.dtype) if rule.limit is None else rule.limit
    subject.said = ""
    told: dict[str, Any] = {"name": rule.name, "says": rule.says, "unit": rule.unit, "above": rule.above}
    try:
        try:
            found = rule.measure(subject)
        finally:  # at once, because a later law may take it away
            subject.looking |= still_looking(subject.living)
    except _NotOffered as reason:
        return Law(**told, outcome="not offered", note=str(reason))
    except Exception as error:  # an engine that cannot do it does not keep its law
        what = error.what if isinstance(error, InvivoError) else f"{type(error).__name__}: {error}"
        return Law(**told, outcome="does not hold", limit=limit, note=f"it ended in an error: {what.strip()}")
    holds = found > limit if rule.above else found <= limit  # NaN keeps neither
    return Law(**told, outcome="holds" if holds else "does not hold", difference=found, limit=limit, note=subject.said)


def _worst(subject: _Subject, found: dict[str, float], *, least: bool = False) -> float:
    """The largest (or least) difference of several; which one it was is told. NaN is the worst there is."""
    name = next((n for n, x in found.items() if x != x), None) or (min if least else max)(found, key=found.__getitem__)
    subject.said = f"{'least' if least else 'most'} by `{name}`"
    return found[name]


# ── BASE ──


@_law("stock", "BASE is what transformers computes with its own attention.")
def _stock(subject: _Subject) -> float:
    if subject.living.hf.config._attn_implementation != attention.NAME:
        raise _NotOffered("its attention is its own, and is run as it is")
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
def _scale(subject: _Subject) -> float:
    return _unmoved(subject, "scale {} by 1")


@_law("noise of 0", "Noise of strength 0, at any site of every layer, leaves the logits as they are.")
def _noise(subject: _Subject) -> float:
    return _unmoved(subject, "add noise 0 to {}")


@_law("patch from itself", "Copying any site of every layer from the same text leaves the logits as they are.")
def _itself(subject: _Subject) -> float:
    return _unmoved(subject, "copy {} from itself")


def _unmoved(subject: _Subject, form: str) -> float:
    lines = {site: subject.everywhere(form, site) for site in subject.sites}
    return _worst(subject, {form.format(s): subject.apart(subject.tweaked(x), subject.base) for s, x in lines.items()})


@_law("patch everything", "Copying the whole stream from another text, first layer or last, gives that text's logits.")
def _everything(subject: _Subject) -> float:
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
def _acts(subject: _Subject) -> float:
    found = {"another text": subject.apart(subject.plain(subject.second), subject.base)}
    for site in subject.sites:
        found[f"zero {site}"] = subject.apart(subject.tweaked(subject.everywhere("zero {}", site)), subject.base)
    return _worst(subject, found, least=True)


@_law("weights", "Zeroing heads is zeroing their rows of attention's output matrix.")
def _weights(subject: _Subject) -> float:
    parts = subject.living.anatomy
    if "z" in parts.missing:
        raise _NotOffered(f"it offers no z: {parts.missing['z']}")
    line = f"zero L{subject.middle}.z heads 0:{max(1, parts.blocks[subject.middle].sizes['H'] // 2)}"
    (tweak,) = Stack.of(line)
    assert isinstance(tweak, Activation)
    reason = can_edit(parts, tweak)
    if reason is not None:
        raise _NotOffered(reason)
    acted = subject.tweaked(line)
    with edited(parts, tweak):
        weighed = subject.plain(subject.first)
    return subject.apart(acted, weighed)


# ── cache, batch, padding ──


@_law("cache", "With a KV cache a tweaked row says what it says without one, token by token.")
def _cache(subject: _Subject) -> float:
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
def _batch(subject: _Subject) -> float:
    prompt, text = len(subject.first), subject.first + subject.second[:2]
    lines = subject.lines(prompt)
    rows = [Row(None, Decoding(), 0), *(subject.row(line, subject.first) for line in lines)]
    together = logits_of(subject.living, rows, text, prompt).float()
    found = {}
    for number, (line, row) in enumerate(zip(["BASE", *lines], rows, strict=True)):
        found[line] = subject.apart(logits_of(subject.living, [row], text, prompt)[0], together[number])
    return _worst(subject, found)


@_law("left padding", "A prompt padded on the left says what it says unpadded.")
def _padding(subject: _Subject) -> float:
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
def _fast(subject: _Subject) -> float:
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
def _packed(subject: _Subject) -> float:
    living = subject.living
    if not available():
        raise _NotOffered("packed layers are off: INVIVO_EXACT is set, or this torch lacks them")
    if living.device.type != "cpu" or living.dtype != torch.float32:
        raise _NotOffered("they run on a CPU in float32 only")
    texts = (subject.first, subject.first[:1])  # a single token takes another kernel
    stock = [subject.plain(text) for text in texts]
    before = {m for m in living.hf.modules() if "forward" in vars(m)}
    with packed(living.hf):
        swapped = sum(is_linear(m) and "forward" in vars(m) and m not in before for m in living.hf.modules())
        if not swapped:
            raise _NotOffered("its layers are too small to gain from it, or too large for the memory that is free")
        fast = [subject.plain(text) for text in texts]
    subject.said = f"{swapped} layers are packed"
    return max(subject.apart(a, b) for a, b in zip(fast, stock, strict=True))


# ── dice ──


@_law("same seed", "One seed gives one text.", unit="tokens", limit=0)
def _same_seed(subject: _Subject) -> float:
    return float(_differing(_sampled(subject, 0), _sampled(subject, 0)))


@_law("another seed", "Another seed gives another text.", unit="tokens", limit=0, above=True)
def _another_seed(subject: _Subject) -> float:
    first = _sampled(subject, 0)
    return float(next((n for seed in (1, 2, 3) if (n := _differing(first, _sampled(subject, seed)))), 0))


def _sampled(subject: _Subject, seed: int) -> list[int]:
    """Some tokens drawn at a temperature that leaves even a sure model some choice."""
    row = Row(None, Decoding(do_sample=True, temperature=2.0), seed)
    row.biases = dict.fromkeys(end_tokens(subject.living), -1e4)
    return subject.speak([subject.first], [row])[0].ids


def _differing(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


# ── nothing is left behind: these two are tried last ──


@_law("nothing left", "No hook, visitor or stand-in stays on the model after all this.", unit="left", limit=0)
def _nothing_left(subject: _Subject) -> float:
    found = sorted(leftovers(subject.living) ^ subject.left | subject.looking)
    if found:
        subject.said = "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return float(len(found))


@_law("BASE again", "After all this BASE's logits are what they were.")
def _again(subject: _Subject) -> float:
    return subject.apart(subject.plain(subject.first), subject.base)


def leftovers(living: Living) -> set[str]:
    """Whatever is attached to a model and is not of its making, by name. The user's own hooks are among it."""
    found = set()
    for name, module in living.hf.named_modules():
        where = name or "the model"
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            found |= {f"{kind.strip('_').replace('_', ' ')[:-1]} {key} on {where}" for key in getattr(module, kind)}
        found |= {f"a stand-in for {f} on {where}" for f in ("forward", "generate") if f in vars(module)}
    if (attends := living.hf.config._attn_implementation) != attention.NAME:
        found.add(f"attention by {attends}")
    return found


def still_looking(living: Living) -> set[str]:
    """Attention modules that somebody looks into, or that are given earlier keys and values: none between runs."""
    found = set()
    with suppress(RuntimeError):  # another model's entry went away meanwhile
        for name, module in living.hf.named_modules():
            found |= {f"a visitor in {name}"} if module in attention.VISITORS else set()
            found |= {f"a prefix in {name}"} if module in attention.PREFIXES else set()
    return found
