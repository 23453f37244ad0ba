"""BASE against TWEAK: run an Experiment and measure what lies between its rows.

First every row speaks (decode.py). Then every row reads BASE's text in one forward pass, so that the numbers between
them are about the tweak and not about the different words that followed from it.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from .. import __version__
from ..errors import InvivoError, OutOfRange
from ..experiment import Candidate, Comparison, Experiment, Run, TweakRun
from ..sites import SITES
from .decode import NotANumber, Said, entropy, generate
from .forward import watched
from .living import Living
from .packed import packed
from .rows import Row, check_effect, prepare

LOGIT_BYTES = 2**28  # of logits held at a time while rows read a text
OnToken = Callable[[list[Said]], None]


def run(living: Living, experiment: Experiment, on_token: OnToken | None = None) -> Comparison:
    """Run an experiment. `on_token` sees what every row said so far after each step.

    Raises InvivoError for whatever this model or prompt does not have, for a tweak that was never reached, and for one
    that makes the logits NaN.
    """
    start = time.perf_counter()
    prompt = living.encode(experiment.prompt)
    prompts = {name: living.encode(text, f"prompt {name!r}") for name, text in experiment.prompts.items()}
    target = living.encode(experiment.target, "target", special=False) if experiment.target else []
    read = living.encode(experiment.read, "text to read") if experiment.read else []
    steps, notes = _room(living, len(prompt), experiment.decoding.max_new_tokens)
    rows = prepare(living, experiment.tweaks, prompt, prompts, experiment.decoding, experiment.seed)
    said: list[Said] = []
    try:
        for said in generate(living, [prompt] * len(rows), rows, steps):
            if on_token is not None:
                on_token(said)
        spoken = Reading(living, rows, prompt + said[0].ids, len(prompt), experiment.top)
        aimed = [read_only(living, rows, prompt + target, len(prompt)) if target else None][0]
        seen = [read_only(living, rows, read, 1) if len(read) > 1 else None][0]
    except NotANumber as error:
        raise where_it_broke(living, error.row, prompt) from None
    quiet = check_effect(rows)
    runs = []
    for number, row in enumerate(rows):
        pieces = tuple(living.piece(i).text for i in said[number].ids)
        common: dict[str, Any] = dict(
            text=living.tokenizer.decode(
                said[number].ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            ),
            ids=tuple(said[number].ids),
            tokens=pieces,
            said_nats=tuple(said[number].nats),
            choice_entropy_nats=tuple(said[number].choice_entropy),
            entropy_nats=tuple(spoken.entropy[number]),
            perplexity=spoken.perplexity[number],
            next=spoken.candidates(number),
            target_nats=sum(aimed[number]) if aimed else None,
            read_perplexity=math.exp(-sum(seen[number]) / len(seen[number])) if seen else None,
        )
        if row.stack is None:
            runs.append(Run(**common))
        else:
            runs.append(
                TweakRun(
                    **common,
                    tweak=row.stack,
                    kl_nats=tuple(spoken.kl[number]),
                    top_changed=tuple(spoken.top_changed[number]),
                    first_divergence=parted(said[0].ids, said[number].ids),
                    notes=tuple(quiet.get(number, ())),
                )
            )
    return Comparison(
        recipe=experiment,
        prompt_ids=tuple(prompt),
        prompt_tokens=tuple(living.piece(i).text for i in prompt),
        base=runs[0],
        tweaks=tuple(runs[1:]),
        versions=versions(),
        revision=living.revision,
        device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
        notes=tuple(notes),
        seconds=round(time.perf_counter() - start, 4),
    )


def _room(living: Living, prompt_length: int, wanted: int) -> tuple[int, list[str]]:
    """How many tokens fit behind the prompt, and a note where that is fewer than wanted."""
    room = living.anatomy.context - prompt_length
    if wanted and room < 1:
        raise OutOfRange(
            f"the prompt fills the whole context of {living.anatomy.context:,} tokens",
            hint="shorten it, or ask for no new tokens",
        )
    if wanted > room:
        return room, [
            f"stopped at {room} new tokens: the context of {living.name} is {living.anatomy.context:,} tokens"
        ]
    return wanted, []


def parted(base: Sequence[int], tweak: Sequence[int]) -> int | None:
    """Index of the first token that differs; where one text ends before the other, the first that is missing."""
    for index, (a, b) in enumerate(zip(base, tweak, strict=False)):
        if a != b:
            return index
    return None if len(base) == len(tweak) else min(len(base), len(tweak))


def batches(living: Living, rows: Sequence[Row], length: int) -> Iterator[list[int]]:
    """Row numbers in groups whose logits over `length` positions fit LOGIT_BYTES; BASE is in every group."""
    most = max(2, LOGIT_BYTES // max(1, length * living.anatomy.vocabulary * 4))
    rest = list(range(1, len(rows)))
    if not rest:
        yield [0]
    for start in range(0, len(rest), most - 1):
        yield [0, *rest[start : start + most - 1]]


@torch.no_grad()
def logits_of(living: Living, rows: Sequence[Row], ids: list[int], prompt_length: int) -> Tensor:
    """Logits (rows, T, V) of every row on the same text of which the first `prompt_length` tokens are the prompt."""
    actions = []
    for place, row in enumerate(rows):
        for action in row.actions:
            action.row = place
            actions.append(action)
    batch = torch.tensor([ids], device=living.device).expand(len(rows), -1)
    with packed(living.hf), watched(living.anatomy, actions, prompt_lengths=[prompt_length] * len(rows)):
        return living.hf(input_ids=batch, use_cache=False).logits


class Reading:
    """Every row's next-token distributions on BASE's text, and the numbers between them. Lists are [row][position]."""

    def __init__(self, living: Living, rows: Sequence[Row], ids: list[int], prompt_length: int, top: int) -> None:
        count = len(rows)
        self.living, self.top = living, top
        self.entropy: list[list[float]] = [[] for _ in range(count)]
        self.kl: list[list[float]] = [[] for _ in range(count)]
        self.top_changed: list[list[bool]] = [[] for _ in range(count)]
        self.perplexity: list[float | None] = [None] * count
        self.next: list[Tensor] = [torch.empty(0)] * count  # log-probabilities (V,) after the prompt
        first = prompt_length if len(ids) > prompt_length else 1
        following = torch.tensor(ids[1:], device=living.device)
        for group in batches(living, rows, len(ids)):
            logits = logits_of(living, [rows[n] for n in group], ids, prompt_length)
            base = logits[0].float().log_softmax(-1)  # (T, V)
            weight = base.exp()
            for place, number in enumerate(group):
                if place == 0 and number == 0 and self.entropy[0]:
                    continue
                mine = base if number == 0 else rows[number].bias(logits[place].float()).log_softmax(-1)
                if bool(torch.isnan(mine[:, 0]).any()):
                    raise NotANumber(rows[number])
                self.entropy[number] = (entropy(mine) if number else torch.linalg.vecdot(weight, -base)).tolist()
                kl = torch.linalg.vecdot(weight, base - mine) if number else torch.zeros(len(ids))
                self.kl[number] = kl.clamp(min=0).tolist()
                self.top_changed[number] = (base.argmax(-1) != mine.argmax(-1)).tolist()
                nats = mine[:-1].gather(1, following[:, None])[first - 1 :, 0]
                self.perplexity[number] = float(torch.exp(-nats.mean())) if len(nats) else None
                self.next[number] = mine[prompt_length - 1].clone()

    def candidates(self, number: int) -> tuple[Candidate, ...]:
        """Likeliest next tokens of BASE and of a row, likeliest first."""
        base, mine = self.next[0].exp(), self.next[number].exp()
        size = min(self.top, base.numel())
        ids = {int(i) for x in (base, mine) for i in x.topk(size).indices}
        ordered = sorted(ids, key=lambda i: (-max(float(base[i]), float(mine[i])), i))
        return tuple(
            Candidate(id=i, text=self.living.piece(i).text, base=float(base[i]), tweak=float(mine[i])) for i in ordered
        )


def read_only(living: Living, rows: Sequence[Row], ids: list[int], first: int) -> list[list[float]]:
    """Each row's log-probabilities of ids[first:], in nats. What stands before counts as the prompt."""
    out: list[list[float]] = [[] for _ in rows]
    following = torch.tensor(ids[1:], device=living.device)
    for group in batches(living, rows, len(ids)):
        logits = logits_of(living, [rows[n] for n in group], ids, first if first > 1 else len(ids))
        for place, number in enumerate(group):
            mine = rows[number].bias(logits[place, :-1].float()).log_softmax(-1)
            out[number] = mine.gather(1, following[:, None])[first - 1 :, 0].tolist()
            if any(math.isnan(n) for n in out[number]):
                raise NotANumber(rows[number])
    return out


@torch.no_grad()
def where_it_broke(living: Living, row: Row, prompt: list[int]) -> InvivoError:
    """The error for a row whose logits are NaN: which tweak, and the first place that is no longer finite."""
    order = [name for name in SITES if name not in living.anatomy.missing and name not in ("scores", "pattern")]
    places = [(None, n) for n in order if not SITES[n].layered and n in ("embed", "pos_embed")]
    places += [(layer, n) for layer in range(living.anatomy.layers) for n in order if SITES[n].layered]
    places += [(None, n) for n in ("final_norm", "logits") if n in order]
    for action in row.actions:
        action.row = 0
    with watched(living.anatomy, row.actions, capture=places) as run:
        living.hf(input_ids=torch.tensor([prompt], device=living.device), use_cache=False)
    values = run.tensors()
    for layer, site in places:
        x = values[(layer, site)][0]
        if not bool(torch.isfinite(x).all()):
            at = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0])
            name = site if layer is None else f"L{layer}.{site}"
            return InvivoError(
                f"`{row.name}` makes the logits NaN; the first place that is not finite is {name} at {at}",
                hint="a smaller strength, or float32 (`--dtype float32`), may help",
            )
    return InvivoError(f"`{row.name}` makes the logits NaN", hint="a smaller strength may help")


def versions() -> dict[str, str]:
    """Versions of what the numbers came out of."""
    found = {"invivo": __version__, "python": platform.python_version(), "torch": torch.__version__}
    return found | {name: metadata.version(name) for name in ("transformers", "tokenizers")}
