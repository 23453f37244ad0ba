"""Ways to adapt a model to a new domain, side by side: what each learns, what it forgets, and how much it trains.

The domain is the logbook of `experiment/logbook.py`; what is forgotten is measured on passages of plain English. Full
fine-tuning trains every weight; LoRA (Hu et al. 2021) a product of two thin matrices beside each matrix of the blocks;
prompt tuning (Lester et al. 2021) a few vectors in front of the text; examples in the prompt train nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from ...errors import BadText, OutOfRange
from ...experiment.logbook import pages
from ...experiment.passages import PASSAGES
from ...pictures import Bars, Series
from ...show.blocks import Figure, Points, Table
from ...show.text import number
from ...spec import Spec
from .. import adapters, toys
from ..extras import extra, silence
from ..living import Living
from ..makers import block_matrices, copied
from . import Found, Kind

ROWS, READ = 8, 16  # pages in a batch, and new ones that are measured
RATES = {"full": 5e-4, "lora": 3e-3, "prompt": 3e-2}  # each the best of a few for its own kind


class Settings(Spec):
    """How much is learned, and in which ways."""

    steps: int = Field(default=30, ge=0, le=2000)
    """Steps of training, each on eight pages of the logbook."""
    ranks: tuple[int, ...] = (1, 4, 16)
    """Ranks of the LoRA adapters."""
    vectors: int = Field(default=8, ge=0, le=128)
    """Learned vectors in front of the text (prompt tuning); 0 leaves it out."""
    examples: int = Field(default=4, ge=0, le=64)
    """Pages in the prompt of the untrained model; 0 leaves that out."""
    full: bool = True
    """Whether full fine-tuning is among them."""
    placebo: bool = False
    """Whether the first adapter also learns pages whose words are shuffled, to see what the words alone give."""
    texts: tuple[str, ...] = PASSAGES
    """Plain English, to see what is forgotten."""


Texts = Sequence[Tensor]


def batches(living: Living, steps: int, shuffled: bool = False) -> Iterator[Tensor]:
    """Pages of the logbook (ROWS, T), others in every batch; each row is cut to the shortest of its batch."""
    dice = torch.Generator().manual_seed(0)
    for step in range(steps):
        rows = [torch.tensor(living.encode(page)) for page in pages(ROWS, seed=step + 10)]
        length = min(map(len, rows))
        rows = [row[:length] for row in rows]
        if shuffled:
            rows = [row[torch.randperm(length, generator=dice)] for row in rows]
        yield torch.stack(rows).to(living.device)


@torch.no_grad()
def surprise(model: Any, texts: Texts, before: Texts = ()) -> float:
    """Mean surprise in nats a token over `texts` from their second token on, each with all of `before` in front."""
    nats = []
    for ids in texts:
        row = torch.cat((*before, ids))[None]
        logits = model(input_ids=row, use_cache=False).logits[0, -len(ids) : -1].float().log_softmax(-1)
        nats.append(-float(logits.gather(1, ids[1:, None]).mean()))
    return sum(nats) / len(nats)


def _behind(model: Any, ids: Tensor) -> Tensor:
    """The loss where the model has put vectors in front of the text."""
    logits = model(input_ids=ids, use_cache=False).logits[:, -ids.shape[1] : -1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


def show(living: Living, settings: Settings) -> Found:
    """Full fine-tuning, LoRA, prompt tuning and examples in the prompt on pages of a logbook."""
    if not settings.texts:
        raise BadText("there is no text to see what is forgotten", hint="leave out texts for the usual ones")
    book, plain, given = (
        [torch.tensor(living.encode(text), device=living.device) for text in texts]
        for texts in (pages(READ, seed=1), settings.texts, [page + "\n" for page in pages(settings.examples, seed=2)])
    )
    longest = max(map(len, (*book, *plain))) + sum(map(len, given)) + settings.vectors
    if longest > living.anatomy.context:
        raise OutOfRange(
            f"{settings.examples} pages and a text are {longest} tokens; {living.name} reads {living.anatomy.context}",
            hint="take fewer examples",
        )
    whole = sum(p.numel() for p in living.hf.parameters())
    names, numbers = {"base": "BASE"}, {"parameters": float(whole)}
    notes: list[str] = []
    with living.alone("make"):
        numbers |= _measured("base", living.hf, book, plain, 0)
        if settings.examples:
            names["examples"] = f"{settings.examples} pages in the prompt"
            numbers |= _measured("examples", living.hf, book, plain, 0, given)
        if settings.vectors:
            names["prompt"] = f"{settings.vectors} learned vectors"
            tuned = _prompt_tuned(living, settings.vectors, settings.steps)
            numbers |= _measured("prompt", tuned, book, plain, living.anatomy.width * settings.vectors)
        for rank in settings.ranks:
            name = f"lora{rank}"
            names[name] = f"LoRA, rank {rank}"
            numbers |= _lora(living, name, rank, settings.steps, book, plain)
            notes.append(_checked(name, rank, numbers))
        if settings.full:
            names["full"] = "all weights"
            hf = copied(living.hf)
            hf.requires_grad_(True)
            toys.fit(hf, batches(living, settings.steps), steps=settings.steps, rate=RATES["full"])
            numbers |= _measured("full", hf, book, plain, whole)
        if settings.placebo and settings.ranks:
            names["placebo"] = f"LoRA, rank {settings.ranks[0]}, shuffled pages"
            numbers |= _lora(living, "placebo", settings.ranks[0], settings.steps, book, plain, shuffled=True)
    sentence = _sentence(names, numbers)
    picture = Bars(
        title="What each way learns, and what it forgets",
        summary=sentence,
        unit="surprise, nats a token",
        labels=tuple(names.values()),
        series=(
            Series(name="the logbook, new pages", role="tweak", values=tuple(numbers[f"{n}_domain"] for n in names)),
            Series(name="plain English", role="base", values=tuple(numbers[f"{n}_plain"] for n in names)),
        ),
    )
    table = Table(
        columns=("way", "numbers trained", "of the model", "logbook, nats", "plain English, nats"),
        rows=tuple(
            (
                names[n],
                f"{numbers[f'{n}_trained']:,.0f}",
                f"{number(100 * numbers[f'{n}_trained'] / whole, 2)} %",
                number(numbers[f"{n}_domain"], 2),
                number(numbers[f"{n}_plain"], 2),
            )
            for n in names
        ),
    )
    checked = (Points(items=tuple(notes)),) if notes else ()
    return Found(sentence, (Figure(picture=picture, name="adapters"), table, *checked), numbers)


def _measured(name: str, model: Any, book: Texts, plain: Texts, trained: int, before: Texts = ()) -> dict[str, float]:
    return {
        f"{name}_domain": surprise(model, book, before),
        f"{name}_plain": surprise(model, plain, before),
        f"{name}_trained": float(trained),
    }


def _lora(
    living: Living, name: str, rank: int, steps: int, book: Texts, plain: Texts, *, shuffled: bool = False
) -> dict[str, float]:
    """An adapter learned, measured and checked: what it trains, the rank of what it changes, off and merged."""
    adapted = adapters.put_on(living, copied(living.hf), rank)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    expected = sum(rank * sum(m.weight.shape) for _, m in block_matrices(living, living.hf))  # type: ignore[union-attr]
    toys.fit(adapted, batches(living, steps, shuffled), steps=steps, rate=RATES["lora"])
    ids = book[0][None]
    with torch.no_grad():
        on, base = (m(input_ids=ids, use_cache=False).logits for m in (adapted, living.hf))
        with adapted.disable_adapter():
            off = adapted(input_ids=ids, use_cache=False).logits
        merged = adapters.merge(adapted)
        together = merged(input_ids=ids, use_cache=False).logits
    ranks = [adapters.rank_of(change) for change in adapters.changes(living.hf, merged, living).values()]
    return _measured(name, merged, book, plain, trained) | {
        f"{name}_expected": float(expected),
        f"{name}_rank": float(max(ranks)),
        f"{name}_off": float((off - base).abs().max()),
        f"{name}_merged": float((together - on).abs().max()),
        f"{name}_moved": float((on - base).abs().max()),
    }


def _prompt_tuned(living: Living, vectors: int, steps: int) -> Any:
    """The model behind learned vectors, which start as embeddings of usual tokens."""
    peft = extra("peft", "adapt")
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=vectors)
    with silence():
        tuned = toys.seeded(lambda: peft.get_peft_model(copied(living.hf), config), 0)
        toys.fit(tuned, batches(living, steps), steps=steps, rate=RATES["prompt"], objective=_behind)
    return tuned


def _checked(name: str, rank: int, numbers: dict[str, float]) -> str:
    """The four things that must be true of an adapter, with their numbers."""
    return (
        f"Rank {rank}: {numbers[f'{name}_trained']:,.0f} numbers trained, which is rank times inputs plus outputs over "
        f"all matrices; what the largest change has of independent directions: {numbers[f'{name}_rank']:.0f}; switched "
        f"off, logits differ from BASE's by {numbers[f'{name}_off']:.1g}, merged from unmerged by "
        f"{numbers[f'{name}_merged']:.1g}, where the adapter moves them by {numbers[f'{name}_moved']:.1f}."
    )


def _sentence(names: dict[str, str], numbers: dict[str, float]) -> str:
    """What BASE, and the ways with most and least training, say."""
    ways = [n for n in names if n not in ("base", "placebo")]
    told = "; ".join(
        f"{names[n]} {number(numbers[f'{n}_domain'], 2)} and {number(numbers[f'{n}_plain'], 2)}" for n in ways
    )
    return (
        f"Nats a token on new pages of the logbook and on plain English: BASE {number(numbers['base_domain'], 2)} and "
        f"{number(numbers['base_plain'], 2)}" + (f"; {told}." if told else ".")
    )


EXHIBIT = Kind("Ways to adapt a model", Settings, show)
