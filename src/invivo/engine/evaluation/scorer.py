"""One row, BASE or a TWEAK, reading and continuing many texts: what a benchmark asks of a model.

Of a question and an answer, the question is the prompt and the answer what is generated: so `during prompt` and
positions from the end mean what they mean elsewhere. Inputs of one length are read together, without any padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from typing import NamedTuple

import torch

from ...errors import OutOfRange, Refused
from ...tweaks import Activation, Decoding, DecodingTweak, PromptTweak, Stack
from ..decode import NotANumber, generate
from ..forward import watched
from ..living import Living
from ..makers import forget
from ..prompts import changed
from ..reading import LOGIT_BYTES
from ..rows import Row, prepare

ROWS = 64  # texts read at once, at most
DRAFTS = 16  # texts continued at once

Pair = tuple[Sequence[int], Sequence[int]]  # context, continuation
Input = tuple[tuple[int, ...], int]  # what is read, and how much of it is the prompt


class Heard(NamedTuple):
    """What a model thinks of a continuation."""

    nats: list[float]  # log-probability of each of its tokens
    greedy: bool  # each of them was the likeliest

    @property
    def total(self) -> float:
        """The log-probability of the whole, in nats."""
        return fsum(self.nats)


def windows(ids: Sequence[int], prefix: int, length: int, stride: int | None = None) -> Iterator[Pair]:
    """A long text in windows of at most `length` tokens, `stride` of them new: each token is predicted once.

    The first window starts with `prefix`, so that the first token has something before it; each later one is full.
    With a stride of one window (the usual one) it is cut as the harness cuts it. Raises OutOfRange.
    """
    stride = stride or length
    if not 1 <= stride <= length:
        raise OutOfRange(f"a stride of {stride} does not fit windows of {length} tokens")
    done = min(length, len(ids))
    if done:
        yield [prefix], ids[:done]
    while done < len(ids):
        end = min(done + stride, len(ids))
        yield ids[end - length - 1 : done], ids[done:end]
        done = end


@dataclass
class Scorer:
    """A model under one row."""

    living: Living
    row: Row = field(default_factory=lambda: Row(None, Decoding(), 0))
    prompted: tuple[PromptTweak, ...] = ()  # what changes every question

    @classmethod
    def of(cls, living: Living, stack: Stack | None) -> Scorer:
        """A row that does the same to every text, on a second model where its tweaks make one.

        Raises Refused for a tweak that takes values from another run, and whatever `prepare` raises.
        """
        if stack is None:
            return cls(living)
        for tweak in stack:
            if isinstance(tweak, Activation) and tweak.source_prompt is not None:
                raise Refused(f"`{tweak}` takes values from another run, and a benchmark has many prompts")
        prompted = tuple(t for t in stack if isinstance(t, PromptTweak))
        rest = [t for t in stack if not isinstance(t, PromptTweak)]
        with living.alone("make"):
            row = prepare(living, [Stack.of(rest)] if rest else [], [], {}, Decoding(), 0, text=" ")[-1]
            forget(living, 1)
        row.stack = stack
        for action in row.actions:
            action.row = None
        return cls(row.living or living, row, prompted)

    def question(self, text: str) -> str:
        """A question as this row is asked it."""
        for tweak in self.prompted:
            text, _ = changed(self.living, tweak, text)
        return text

    @property
    def prefix(self) -> int:
        """What stands before a text's first token: what begins a text, else what ends one."""
        tokenizer = self.living.tokenizer
        found = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        return 0 if found is None else int(found)

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Token ids of a text of any length, none of an empty one."""
        return self.living.tokenizer(text, add_special_tokens=special, verbose=False).input_ids if text else []

    @torch.no_grad()
    def read(self, pairs: Sequence[Pair], whole: bool = False, limit: int | None = None) -> list[Heard]:
        """What is thought of each continuation, given its context. With `whole` all of it counts as the prompt.

        A pair of more than `limit` tokens (the model's context) loses its first ones. Raises OutOfRange where not even
        the continuation fits, and NotANumber.
        """
        limit = limit or self.living.anatomy.context
        wanted: dict[Input, list[int]] = {}  # each input is read once, however many continuations end it
        for number, (context, continuation) in enumerate(pairs):
            if not 0 < len(continuation) <= limit or not context:
                raise OutOfRange(
                    f"a text of {len(continuation):,} tokens is to follow another of {len(context):,}; "
                    f"{self.living.name} reads at most {limit:,}",
                    hint="shorten it, or take a model with a longer context",
                )
            read = tuple([*context, *continuation][-(limit + 1) : -1])
            before = len(read) - len(continuation) + 1
            wanted.setdefault((read, len(read) if whole else before), []).append(number)
        found: dict[int, Heard] = {}
        for group in self._batches(list(wanted)):
            batch = torch.tensor([read for read, _ in group], device=self.living.device)  # (B, T)
            with watched(self.living.anatomy, self.row.actions, prompt_lengths=[prompt for _, prompt in group]):
                logits = self.living.hf(input_ids=batch, use_cache=False).logits
            for place, one in enumerate(group):
                log_probs = self.row.bias(logits[place].float()).log_softmax(-1)  # (T, V)
                for number in wanted[one]:
                    said = torch.tensor(pairs[number][1], device=log_probs.device)
                    there = log_probs[-len(said) :]
                    nats = there.gather(1, said[:, None])[:, 0]
                    if bool(nats.isnan().any()):
                        raise NotANumber(self.row, *one)
                    found[number] = Heard(nats.tolist(), bool((there.argmax(-1) == said).all()))
        return [found[number] for number in range(len(pairs))]

    def surprise(self, ids: Sequence[int], length: int | None = None, stride: int | None = None) -> list[float]:
        """The log-probability of every token of a text of any length, in nats, read in windows; see `windows`."""
        length = length or self.living.anatomy.context
        parts = list(windows(ids, self.prefix, length, stride))
        return [value for heard in self.read(parts, whole=True, limit=length) for value in heard.nats]

    @torch.no_grad()
    def write(self, texts: Sequence[str], steps: int, stops: Sequence[str], decoding: Decoding) -> list[str]:
        """Each text continued by up to `steps` tokens, as far as the first of `stops`. The row's own decoding wins."""
        for tweak in self.row.stack or ():
            if isinstance(tweak, DecodingTweak):
                decoding = tweak.change(decoding)
        room = self.living.anatomy.context - steps
        if room < 1:
            raise OutOfRange(f"{steps:,} tokens to write do not fit the {self.living.anatomy.context:,} of the context")
        ids = [self.encode(text)[-room:] or [self.prefix] for text in texts]
        order = sorted(range(len(ids)), key=lambda n: len(ids[n]))
        found = [""] * len(ids)
        for start in range(0, len(order), DRAFTS):
            part = order[start : start + DRAFTS]
            rows = [replace(self.row, decoding=decoding, seed=self.row.seed + n, actions=[]) for n in part]
            rows[0].actions = self.row.actions  # they act on every row
            for said in generate(self.living, [ids[n] for n in part], rows, steps):
                for number, one in zip(part, said, strict=True):
                    found[number] = self._cut(one.ids, stops)
                if all(one.finished or self._ended(one.ids, stops) for one in said):
                    break
        return found

    def _text(self, ids: Sequence[int]) -> str:
        return self.living.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _ended(self, ids: Sequence[int], stops: Sequence[str]) -> bool:
        text = self._text(ids)
        return any(stop in text for stop in stops)

    def _cut(self, ids: Sequence[int], stops: Sequence[str]) -> str:
        text = self._text(ids)
        for stop in stops:
            text = text.split(stop)[0]
        return text

    def _batches(self, inputs: list[Input]) -> Iterator[list[Input]]:
        """Inputs of one length together, as many as fit LOGIT_BYTES, the longest first."""
        by_length: dict[int, list[Input]] = {}
        for one in inputs:
            by_length.setdefault(len(one[0]), []).append(one)
        for length in sorted(by_length, reverse=True):
            most = max(1, min(ROWS, LOGIT_BYTES // (length * self.living.anatomy.vocabulary * 4)))
            same = by_length[length]
            for start in range(0, len(same), most):
                yield same[start : start + most]
