"""One text, read in windows: perplexity depends on how much stands before each token, and so on how it is measured.

A text longer than a model's context is read in windows. Where they do not overlap, the first tokens of each have little
before them. A stride shorter than the window gives every token more, and takes more reading (Hugging Face, Perplexity
of fixed-length models, 2020). Windows longer than a model was trained on give it positions that it has never met.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from pydantic import Field
from torch import nn

from ...errors import BadText, InvivoError, OutOfRange, Refused
from ...experiment.passages import PASSAGES
from ...pictures import Lines, Series
from ...show.blocks import Block, Figure, Table, Text
from ...show.text import number
from ...spec import Spec
from ...tweaks import DecodingTweak, PromptTweak, Stack
from ..evaluation.harness import harness, hushed, reader
from ..evaluation.scorer import Scorer, windows
from ..evaluation.shipped import tales
from ..living import Living
from ..packed import packed
from . import Found, Kind
from ._texts import read_well

LONGEST = 1280  # tokens that are read of the text
SHORTEST = 16  # tokens of a window
SAID_BY_HARNESS = "lm-evaluation-harness"


class Settings(Spec):
    """What is read, and how."""

    text: str = ""
    """The text; stories written for this when left out."""
    tweak: str = ""
    """A tweak under which it is read; BASE when left out. What changes prompts or decoding is idle here."""
    window: int = Field(default=32, ge=2)
    """Tokens of a window, for the strides."""


def show(living: Living, settings: Settings) -> Found:
    """Perplexity by stride and by window length, beyond the trained one too; in four units, with the harness beside."""
    stack = Stack.of(settings.tweak) if settings.tweak else None
    idle = _idle(stack)
    scorer = Scorer.of(living, stack)
    ids = scorer.encode(settings.text or "\n\n".join((*PASSAGES, *tales())))[:LONGEST]
    context, length = living.anatomy.context, len(ids)
    text = living.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if settings.window > context:
        raise OutOfRange(f"a window of {settings.window} tokens; {living.name} reads at most {context:,}")
    if length < 2 * settings.window:
        raise BadText(f"the text has {length} tokens", hint=f"{2 * settings.window} or more are needed for windows")
    with living.alone("compare"), packed(living.hf):
        usual = scorer.surprise(ids)
        strides = [s for s in (settings.window // k for k in (1, 2, 4, 8)) if s >= 1]
        by_stride = {s: _mean(scorer.surprise(ids, settings.window, s)) for s in strides}
        lengths = [n for n in (SHORTEST * 2**k for k in range(20)) if n <= min(context, length)]
        by_length = {n: _mean(scorer.surprise(ids, n)) for n in lengths}
        beyond = _beyond(scorer, ids)
    numbers = {"tokens": float(length), "context": float(context), "nats": _mean(usual)}
    numbers |= {f"stride_{s}": math.exp(v) for s, v in by_stride.items()}
    numbers |= {f"window_{n}": math.exp(v) for n, v in by_length.items()}
    numbers |= {f"beyond_{n}": math.exp(min(v, 700)) for n, v in beyond.items()}
    units, more = _units(scorer, text, ids, usual)
    numbers |= more
    first, last = strides[0], strides[-1]
    sentence = (
        f"In windows of {settings.window} tokens the text has a perplexity of {read_well(numbers[f'stride_{first}'])}, "
        f"and of {read_well(numbers[f'stride_{last}'])} where each window brings only {last} new tokens."
    )
    if beyond:
        n = max(beyond)
        sentence += (
            f" In windows of {context:,}, the trained length, it has {read_well(numbers[f'window_{context}'])}; in "
            f"windows of {n:,} {read_well(numbers[f'beyond_{n}'])}."
        )
    blocks: list[Block] = [
        _strides(ids, settings.window, by_stride, scorer),
        units,
        *_lengths(sentence, by_length, beyond),
        *idle,
    ]
    return Found(sentence, tuple(blocks), numbers)


def _idle(stack: Stack | None) -> list[Block]:
    """A note on tweaks that a text which is only read does not meet. Raises Refused where there are no others."""
    idle = [tweak for tweak in stack or () if isinstance(tweak, PromptTweak | DecodingTweak)]
    if not idle:
        return []
    names = ", ".join(f"`{tweak}`" for tweak in idle)
    what = dict.fromkeys("the prompt" if isinstance(tweak, PromptTweak) else "the decoding" for tweak in idle)
    did = f"{'changes' if len(idle) == 1 else 'change'} {' and '.join(what)}"
    why = "a text is read here as it stands, and nothing is generated"
    if stack is not None and len(idle) == len(list(stack)):
        raise Refused(
            f"{names} {did}: {why}, so all numbers would be BASE's",
            hint='a tweak of the model acts here, as tweak="zero head 3.5"; `invivo eval` asks under changed prompts',
        )
    return [Text(text=f"{names} {did} and did nothing: {why}.", tone="note")]


def _mean(nats: Sequence[float]) -> float:
    """Mean surprise in nats."""
    return -math.fsum(nats) / len(nats)


# ── beyond the trained length ──


def _beyond(scorer: Scorer, ids: Sequence[int]) -> dict[int, float]:
    """Mean surprise in windows of one and a half and two contexts, where the text is that long and the model runs."""
    context = scorer.living.anatomy.context
    found: dict[int, float] = {}
    for n in (context * 3 // 2, context * 2):
        if n <= len(ids):
            with suppress(InvivoError, RuntimeError, IndexError, ValueError), _longer(scorer.living, n):
                nats = _mean(scorer.surprise(ids, n))
                found |= {n: nats} if math.isfinite(nats) else {}
    return found


@contextmanager
def _longer(living: Living, positions: int) -> Iterator[None]:
    """Inside, a table of positions has enough rows: the new ones are as training would find them, drawn at random.

    Models that compute positions instead of keeping them are left as they are.
    """
    table = _table_of(living)
    if table is None:
        yield
        return
    weight = table.weight
    missing = positions - living.anatomy.context  # some keep a few rows for other things
    dice = torch.Generator().manual_seed(0)
    spread = float(getattr(living.hf.config, "initializer_range", 0.02))
    rows = spread * torch.randn(missing, weight.shape[1], generator=dice)
    table.weight = nn.Parameter(torch.cat([weight.data, rows.to(weight)]), requires_grad=False)
    try:
        yield
    finally:
        table.weight = weight


def _table_of(living: Living) -> Any:
    """The module that keeps one vector a position, if the model has one."""
    if "pos_embed" in living.anatomy.missing:
        return None
    module = living.anatomy.point("pos_embed", None).module
    weight = getattr(module, "weight", None)
    return module if weight is not None and weight.dim() == 2 else None


# ── units ──


def _units(scorer: Scorer, text: str, ids: Sequence[int], usual: Sequence[float]) -> tuple[Table, dict[str, float]]:
    """The same surprise per token, word and byte, and what the harness makes of the same text."""
    total = -math.fsum(usual)
    words, size = len(text.split()), len(text.encode())
    numbers = {
        "perplexity": math.exp(total / len(ids)),
        "word_perplexity": math.exp(min(total / words, 700)),
        "bits_per_byte": total / size / math.log(2),
    }
    rows = [
        ("surprise of the whole text", f"{number(total, 1)} nats", ""),
        (
            "perplexity of tokens",
            read_well(numbers["perplexity"]),
            f"e to the {number(total, 1)} / {len(ids):,} tokens",
        ),
        (
            "perplexity of words",
            read_well(numbers["word_perplexity"]),
            f"e to the {number(total, 1)} / {words:,} words",
        ),
        ("bits per byte", number(numbers["bits_per_byte"], 3), f"{number(total, 1)} / ln 2 / {size:,} bytes"),
    ]
    try:
        said = _of_the_harness(scorer, text)
    except Refused as error:
        rows.append((f"{SAID_BY_HARNESS} says", "—", error.what))
    else:
        numbers |= {"harness_bits_per_byte": said / size / math.log(2)}
        numbers["harness_apart"] = abs(said - total) / abs(total) if scorer.encode(text) == list(ids) else math.nan
        rows.append(
            (
                f"{SAID_BY_HARNESS} says",
                f"{number(numbers['harness_bits_per_byte'], 3)} bits per byte",
                "its own windows, on the same text",
            )
        )
    caption = "the whole text, read in the longest windows there are: one sum, divided by different counts"
    table = Table(columns=("", "value", "from"), rows=tuple(rows), caption=caption)
    return table, {k: v for k, v in numbers.items() if math.isfinite(v)}


def _of_the_harness(scorer: Scorer, text: str) -> float:
    """The harness's surprise of a text in nats: its windows around our model. Raises Refused where it is missing."""
    utils = harness("utils")
    model = reader(scorer)
    with hushed():
        parts = utils.get_rolling_token_windows(
            token_list=model.tok_encode(text),
            prefix_token=model.prefix_token_id,
            max_seq_len=model.max_length,
            context_len=1,
        )
        pairs = [(None, *utils.make_disjoint_window(part)) for part in parts]
    return -math.fsum(nats for nats, _ in model._loglikelihood_tokens(pairs))


# ── to show ──


def _strides(ids: Sequence[int], window: int, by_stride: dict[int, float], scorer: Scorer) -> Table:
    rows = []
    for stride, nats in by_stride.items():
        parts = list(windows(ids, scorer.prefix, window, stride))
        read = sum(len(a) + len(b) - 1 for a, b in parts)
        least = min(len(a) for a, _ in parts[1:])
        rows.append((str(stride), str(least), f"{number(read / len(ids), 1)}", read_well(math.exp(nats))))
    return Table(
        columns=("stride, new tokens a window", "tokens before each, at least", "tokens read for each", "perplexity"),
        rows=tuple(rows),
        caption=f"windows of {window} tokens over {len(ids):,}",
    )


def _lengths(summary: str, by_length: dict[int, float], beyond: dict[int, float]) -> list[Block]:
    """Perplexity by window length, with what lies beyond the trained length as a curve of its own."""
    x = [*by_length, *beyond]
    inside = [math.exp(v) for v in by_length.values()] + [None] * len(beyond)
    outside = [None] * len(by_length) + [math.exp(min(v, 700)) for v in beyond.values()]
    series = [Series(name="trained", values=tuple(inside))]
    if beyond:
        series.append(Series(name="longer", values=tuple(outside)))
    picture = Lines(
        title="Perplexity by length of the window, without overlap",
        summary=summary,
        x=tuple(map(float, x)),
        x_name="tokens of a window",
        y_name="perplexity of tokens",
        x_labels=tuple(f"{n:,}" for n in x),
        series=tuple(series),
    )
    found: list[Block] = [Figure(picture=picture, name="windows")]
    if not beyond:
        found.append(
            Text(
                text="The text is too short, or the model cannot read, beyond the length it was trained on.", tone="dim"
            )
        )
    return found


EXHIBIT = Kind("Perplexity by windows: overlap, length, units", Settings, show)
