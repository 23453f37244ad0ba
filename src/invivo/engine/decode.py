"""Generating text, every row at once: BASE and TWEAKs share the forward passes, the KV cache's clock, and the dice.

A row with beams takes one batch row a draft (beams.py); the cache is put in the drafts' new order after every step.
Where somebody hears how the rows read BASE's text, a row whose own text parts from it is forked: from there on a second
batch row, with the same tweak and the same past, is fed what BASE says. A step costs little more with that row in it
than without, and reading the text afterwards would cost a pass of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InvivoError
from ..tweaks import Decoding
from . import dice
from .beams import Beams
from .caches import growing
from .distributions import Predicted, entropy
from .forward import CACHE_NAMES, watched
from .living import Living
from .rows import Row, by_model, joins
from .shared import Shared

if TYPE_CHECKING:
    from .reading import Reading

STRETCH = 64  # positions of a prompt that are heard at a time
Hear = Callable[[Predicted, Sequence[int], Sequence[int]], None]


@dataclass
class Said:
    """What a row generated."""

    ids: list[int] = field(default_factory=list)
    nats: list[float] = field(default_factory=list)  # log-probability of each token under the row's own model
    choice_entropy: list[float] = field(default_factory=list)  # of the distribution the decoder drew from
    finished: bool = False  # it ended by itself


def end_tokens(living: Living) -> set[int]:
    """The tokens that end a text."""
    config = living.hf.generation_config
    ends = config.eos_token_id if config is not None else None
    if ends is None:
        ends = living.tokenizer.eos_token_id
    return set() if ends is None else {int(e) for e in (ends if isinstance(ends, list) else [ends])}


def filtered(log_probs: Tensor, decoding: Decoding) -> Tensor:
    """Log-probabilities (V,) of the decoder's choice: temperature, then top_k, then top_p, renormalised; -inf where
    a token was cut. Always keeps the likeliest token. Greedy keeps nothing else.
    """
    if decoding.greedy:
        kept = torch.full_like(log_probs, -torch.inf)
        kept[log_probs.argmax()] = 0.0
        return kept
    scores = (log_probs - log_probs.max()) / decoding.temperature
    if 0 < decoding.top_k < scores.numel():
        least = scores.topk(decoding.top_k).values[-1]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if decoding.top_p < 1:
        ordered, order = scores.softmax(-1).sort(descending=True)
        before = ordered.cumsum(-1) - ordered
        scores = scores.masked_fill(
            torch.zeros_like(before, dtype=torch.bool).scatter(0, order, before >= decoding.top_p), -torch.inf
        )
    return scores.log_softmax(-1)


def choose(log_probs: Tensor, row: Row, step: int) -> tuple[int, float]:
    """The row's next token, and the entropy of what it was drawn from. Same seed and step, same dice."""
    if row.decoding.greedy:
        return int(log_probs.argmax()), 0.0
    choice = filtered(log_probs, row.decoding)
    noise = dice.gumbel(row.seed, step, choice.numel())
    return int((choice.cpu().double() + noise).argmax()), float(entropy(choice))


@torch.no_grad()
def generate(
    living: Living, prompts: Sequence[list[int]], rows: Sequence[Row], steps: int, hear: Hear | None = None
) -> Iterator[list[Said]]:
    """Generate up to `steps` tokens a row; yields what all rows said so far after each step.

    `prompts` holds one list of ids a row; shorter ones are padded on the left. Ends early when every row has ended.
    `hear` is told what is predicted (B, T, V) at the next T positions, which batch row reads row 0's text for each row,
    and the tokens that follow there (after the text's last one, that one again). For that, all rows have one prompt and
    no beams.
    Raises InvivoError where a row's logits are not numbers.
    """
    said = [Said() for _ in rows]
    if steps < 1:
        yield said
        return
    hf, device, ends = living.hf, living.device, end_tokens(living)
    longest = max(map(len, prompts))
    padding = [longest - len(p) for p in prompts]
    pad_token = living.tokenizer.pad_token_id or 0
    ids = torch.tensor([[pad_token] * n + list(p) for n, p in zip(padding, prompts, strict=True)], device=device)
    takes = inspect.signature(hf.forward).parameters
    mask = torch.tensor([[0] * n + [1] * len(p) for n, p in zip(padding, prompts, strict=True)], device=device)
    cached_as = next((name for name in CACHE_NAMES if name in takes), CACHE_NAMES[-1])
    cache = growing(hf.config, longest + steps)
    actions = [action for row in rows for action in row.actions]
    searches = {n: Beams(row.decoding.num_beams, ends) for n, row in enumerate(rows) if row.decoding.num_beams > 1}
    owner = list(range(len(rows)))  # whose each batch row is: a row's first draft has its number, the others follow
    join = 0 if hear is None else min(joins(living, row) for row in rows)
    shared = Shared(living.anatomy, cache, join, len(rows), device)
    with shared.attached(), watched(living.anatomy, actions, prompt_lengths=[len(p) for p in prompts]) as run:
        for step in range(steps + 1):
            ended = step == steps or all(s.finished for s in said)
            if ended and hear is None:
                return
            call = {"input_ids": ids, cached_as: cache, "use_cache": True}
            if hear is None and "logits_to_keep" in takes:
                call["logits_to_keep"] = 1
            if any(padding):
                call["attention_mask"] = mask
                if "position_ids" in takes:
                    call["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            logits = hf(**call).logits[:, 0 if hear is not None else -1 :].float()  # (B, T, V)
            readers = list(range(len(rows)))  # the batch rows that read BASE's text
            for further in range(len(rows), len(owner)):
                readers[owner[further]] = further
            if any(row.biases for row in rows):
                logits = torch.stack([rows[whose].bias(x) for whose, x in zip(owner, logits, strict=True)])
            predicted = Predicted.of(logits[:, -1:])  # of what comes next
            log_probs = predicted.log_probs[:, -1]  # (B, V)
            if hear is not None and (step == steps or said[0].finished):
                hear(predicted, readers, said[0].ids[-1:])
                hear = None
                if ended:
                    return
            likely = log_probs.gather(1, predicted.top[:, -1])[:, 0].tolist()
            best = predicted.top[:, -1, 0].tolist()
            chosen, parents = [pad_token] * len(rows), list(range(len(rows)))
            owned: list[int] = list(range(len(rows)))
            for number, row in enumerate(rows):
                if said[number].finished:
                    continue
                if (search := searches.get(number)) is not None:
                    mine = [b for b, whose in enumerate(owner) if whose == number]
                    drafted = log_probs[mine]  # (drafts, V)
                    for draft, missing in zip(search.drafts, drafted.isnan().any(-1).tolist(), strict=True):
                        if missing:
                            raise NotANumber(row, [*prompts[number], *draft.ids], len(prompts[number]))
                    first, *others = [mine[parent] for parent in search.grow(drafted)] or mine[:1]
                    said[number] = Said(search.leader.ids, search.leader.nats, [0.0] * len(search.leader.ids))
                    said[number].finished = search.done
                    parents[number] = first
                    if not search.done:
                        chosen[number] = search.drafts[0].ids[-1]
                        chosen += [draft.ids[-1] for draft in search.drafts[1:]]
                        parents += others
                        owned += [number] * len(others)
                    continue
                token, nats, undecided = best[number], likely[number], 0.0
                if not row.decoding.greedy:
                    token, undecided = choose(log_probs[number], row, step)
                    nats = float(log_probs[number, token])
                if nats != nats:
                    raise NotANumber(row, [*prompts[number], *said[number].ids], len(prompts[number]))
                said[number].ids.append(token)
                said[number].nats.append(nats)
                said[number].choice_entropy.append(undecided)
                said[number].finished = token in ends
                chosen[number] = token
            if hear is not None:
                for start in range(0, logits.shape[1] - 1, STRETCH):  # of the prompt
                    part = slice(start, min(start + STRETCH, logits.shape[1] - 1))
                    hear(Predicted.of(logits[:, part]), readers, prompts[0][1:][part])
                hear(predicted, readers, chosen[:1])
                for number in range(1, len(rows)):
                    if readers[number] != number or chosen[number] != chosen[0]:
                        chosen.append(chosen[0])
                        parents.append(readers[number])
                        owned.append(number)
            yield said
            ids = torch.tensor(chosen, device=device)[:, None]
            same = list(range(len(owned)))
            if hear is not None and shared.allowed:  # whoever did not part, and whoever is fed BASE's words
                alone = set(owned[len(rows) :])
                same = [row if row in alone else 0 for row in same]
            if searches or owned != owner or same != shared.same:
                shared.follow(parents, same)
                mask, owner = mask[parents], owned
                run.lay_out(owner, padding)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)


def speak(
    living: Living, prompt: list[int], rows: Sequence[Row], steps: int, reading: Reading | None = None
) -> Iterator[list[Said]]:
    """`generate` for rows of which some have a model or a prompt of their own: all models take each step in turn.

    `reading` hears the rows that run with BASE, where that can be.
    """
    groups = by_model(living, rows)
    said = [Said() for _ in rows]
    running = []
    for model, numbers in groups:
        chosen = [rows[n] for n in numbers]
        for place, row in enumerate(chosen):
            for action in row.actions:
                action.row = place
        hear = partial(reading.hear, numbers) if reading is not None and reading.can_hear(numbers) else None
        running.append((numbers, generate(model, [row.prompt or prompt for row in chosen], chosen, steps, hear)))
    try:
        while running:
            for numbers, texts in list(running):
                found = next(texts, None)
                if found is None:
                    running.remove((numbers, texts))
                    continue
                for number, one in zip(numbers, found, strict=True):
                    said[number] = one
            if running:
                yield said
    finally:
        for _, texts in running:  # where one model's row failed, the hooks of the others are still on
            texts.close()


class NotANumber(InvivoError):
    """A row's logits are not numbers. `ids` is the text it had read, the first `prompt_length` of it the prompt."""

    def __init__(self, row: Row, ids: Sequence[int], prompt_length: int) -> None:
        self.row, self.ids, self.prompt_length = row, list(ids), prompt_length
        super().__init__(f"{row.name} makes the logits NaN")
