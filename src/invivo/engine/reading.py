"""Every row reading one text: the numbers that BASE and TWEAK are compared by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..errors import OutOfRange
from ..experiment import Candidate
from .decode import NotANumber
from .distributions import Predicted, crossed_entropy, divergence
from .forward import watched
from .living import Living
from .packed import exact
from .paths import Sender
from .rows import Row

LOGIT_BYTES = 2**28  # of logits held at a time while rows read a text
STRETCH = 256  # positions whose distributions are worked on at a time


def batches(living: Living, rows: Sequence[Row], length: int) -> Iterator[list[int]]:
    """Row numbers in groups whose logits over `length` positions fit LOGIT_BYTES; BASE is in every group."""
    most = max(2, LOGIT_BYTES // max(1, length * living.anatomy.vocabulary * 4))
    rest = list(range(1, len(rows)))
    if not rest:
        yield [0]
    for start in range(0, len(rest), most - 1):
        yield [0, *rest[start : start + most - 1]]


def perplexity(nats: Sequence[float]) -> float:
    """The exponential of the mean surprise; infinite where it is past what a float holds."""
    try:
        return math.exp(-sum(nats) / len(nats))
    except OverflowError:
        return math.inf


@torch.no_grad()
def logits_of(living: Living, rows: Sequence[Row], ids: list[int], prompt_length: int, own: bool = True) -> Tensor:
    """Logits (rows, T, V) of every row on the same text of which the first `prompt_length` tokens are the prompt.

    A row with a model of its own runs on that one. A row with a prompt of its own reads that in the prompt's place,
    unless `own` says no; its logits are put where BASE's text ends, and before the first token that it has there they
    are its first ones: Row.alike says from where on the two can be compared.
    """
    if all(row.living is None and (row.prompt is None or not own) for row in rows):
        return _logits(living, rows, ids, prompt_length)
    out: list[Tensor] = []
    for row in rows:
        prompt = row.prompt if own and row.prompt is not None else ids[:prompt_length]
        found = _logits(row.living or living, [row], [*prompt, *ids[prompt_length:]], len(prompt))[0]
        missing = max(0, len(ids) - len(found))
        out.append(torch.cat((found[:1].expand(missing, -1), found[-(len(ids) - missing) :])))
    return torch.stack(out)


def _logits(living: Living, rows: Sequence[Row], ids: list[int], prompt_length: int) -> Tensor:
    """The same where all rows read the same text on the same model."""
    actions = []
    for place, row in enumerate(rows):
        for action in row.actions:
            action.row = place
            actions.append(action)
    batch = torch.tensor([ids], device=living.device).expand(len(rows), -1)
    with watched(living.anatomy, actions, prompt_lengths=[prompt_length] * len(rows)):
        return living.hf(input_ids=batch, use_cache=False).logits


class Reading:
    """Every row's next-token distributions on BASE's text, and the numbers between them. Lists are [row][position].

    Rows may be heard while BASE speaks (decode.py); `read` takes what was not heard from passes of its own.
    """

    def __init__(self, living: Living, rows: Sequence[Row], prompt: list[int], top: int) -> None:
        self.living, self.rows, self.prompt, self.top = living, rows, prompt, top
        self.entropy: list[list[float]] = [[] for _ in rows]
        self.kl: list[list[float]] = [[] for _ in rows]
        self.top_changed: list[list[bool]] = [[] for _ in rows]
        self.nats: list[list[float]] = [[] for _ in rows]  # of the text's token that follows
        self.perplexity: list[float | None] = [None] * len(rows)
        self.next: list[Tensor] = [torch.empty(0)] * len(rows)  # log-probabilities (V,) after the prompt
        self.heard = list(prompt)  # BASE's text so far

    def can_hear(self, numbers: Sequence[int]) -> bool:
        """Whether rows that run together can be heard while they speak: BASE among them, one prompt, a text each."""
        rows = [self.rows[n] for n in numbers]
        size = 2 * len(rows) * len(self.prompt) * self.living.anatomy.vocabulary * 4  # logits, and a copy in float32
        return (
            numbers[0] == 0
            and size <= LOGIT_BYTES
            and not exact()
            and all(row.prompt is None and row.decoding.num_beams == 1 for row in rows)
            and not any(isinstance(action, Sender) for row in rows for action in row.actions)
        )

    def hear(
        self, numbers: Sequence[int], predicted: Predicted, readers: Sequence[int], following: Sequence[int]
    ) -> None:
        """What is predicted (B, T, V) at the text's next T positions, which of it is predicted by these rows on BASE's
        text (BASE's first), and what follows there.
        """
        after = torch.tensor(following, device=self.living.device)
        self._add(numbers, predicted.at(0), predicted, readers, after, self.heard)
        if len(self.nats[0]) == len(self.heard):  # the prompt is heard in stretches
            self.heard.append(following[-1])

    def read(self, ids: list[int]) -> None:
        """Let every row that was not heard on all of `ids`, which begins with the prompt, read it now."""
        missing = [n for n, known in enumerate(self.nats) if len(known) != len(ids)]
        for number in missing:
            for known in (self.entropy, self.kl, self.top_changed, self.nats):
                known[number].clear()
        following = torch.tensor([*ids[1:], ids[-1]], device=self.living.device)
        asked = [self.rows[0], *(self.rows[n] for n in missing if n)]
        numbers = [0, *(n for n in missing if n)]
        for group in batches(self.living, asked, len(ids)) if missing else ():
            logits = logits_of(self.living, [asked[place] for place in group], ids, len(self.prompt))
            for start in range(0, len(ids), STRETCH):
                part = slice(start, start + STRETCH)
                base = Predicted.of(logits[0, part].float())
                for at, place in enumerate(group):
                    number = numbers[place]
                    if len(self.nats[number]) > start:  # BASE is in every group, and is taken once
                        continue
                    row = self.rows[number].bias(logits[at, part].float())
                    mine = base if number == 0 else Predicted.of(row)
                    self._add([number], base, mine.alone(), [0], following[part], ids)
        first = len(self.prompt) if len(ids) > len(self.prompt) else 1
        for number, row in enumerate(self.rows):
            said = self.nats[number][first - 1 : len(ids) - 1]
            unread = row.prompt is not None and first == 1
            self.perplexity[number] = perplexity(said) if said and not unread else None

    def _add(
        self,
        numbers: Sequence[int],
        base: Predicted,
        predicted: Predicted,
        readers: Sequence[int],
        following: Tensor,
        ids: Sequence[int],
    ) -> None:
        """What rows give at their next T positions of `ids`, `following` behind each: BASE's (T, V), and what is
        predicted in a batch (B, T, V) of which `readers` are theirs.
        """
        log_probs, probs, top = predicted
        start, rows, count = len(self.nats[numbers[0]]), *log_probs.shape[:2]
        spreads = crossed_entropy(probs, log_probs).tolist()  # (B, T); of a few batch rows in vain, but none is copied
        for number, reader in zip(numbers, readers, strict=True):
            if any(math.isnan(n) for n in spreads[reader]):
                raise NotANumber(self.rows[number], ids, len(self.prompt))
        apart = divergence(base.log_probs, log_probs, base.probs).tolist()
        wanted = torch.stack((following.expand(rows, -1), base.top[:, 0].expand(rows, -1), top[..., 0]), -1)
        found = log_probs.gather(2, wanted)  # (B, T, 3)
        nats, other = found[..., 0].tolist(), (found[..., 1] < found[..., 2]).tolist()
        for number, reader in zip(numbers, readers, strict=True):
            row = self.rows[number]
            # texts that are not the same cannot be compared
            unlike = 0 if row.prompt is None else max(0, len(self.prompt) - max(1, row.alike) - start)
            unlike = count if number == 0 else min(unlike, count)
            if start < len(self.prompt) <= start + count:
                self.next[number] = log_probs[reader, len(self.prompt) - 1 - start].clone()
            self.entropy[number] += spreads[reader]
            self.kl[number] += [0.0] * unlike + apart[reader][unlike:]
            self.top_changed[number] += [False] * unlike + other[reader][unlike:]
            self.nats[number] += nats[reader]  # last: its length tells how far the row has come

    def candidates(self, number: int) -> tuple[Candidate, ...]:
        """Likeliest next tokens of BASE and of a row, likeliest first."""
        return candidates(self.living, self.next[0].exp(), self.next[number].exp(), self.top)


def candidates(living: Living, base: Tensor, mine: Tensor, top: int) -> tuple[Candidate, ...]:
    """The `top` likeliest tokens of two distributions (V,), by the larger of a token's two probabilities."""
    size = min(top, base.numel())
    ids = {int(i) for x in (base, mine) for i in x.topk(size).indices}
    ordered = sorted(ids, key=lambda i: (-max(float(base[i]), float(mine[i])), i))
    return tuple(Candidate(id=i, text=living.piece(i).text, base=float(base[i]), tweak=float(mine[i])) for i in ordered)


def read_only(living: Living, rows: Sequence[Row], ids: list[int], first: int | None = None) -> list[list[float]]:
    """Each row's log-probabilities of ids[first:], in nats, where what stands before `first` is the prompt.

    Without `first`, the whole text is the prompt, read from its second token on.
    """
    out: list[list[float]] = [[] for _ in rows]
    following = torch.tensor(ids[1:], device=living.device)[:, None]
    start, prompt_length = (1, len(ids)) if first is None else (first, first)
    for group in batches(living, rows, len(ids)):
        try:
            logits = logits_of(living, [rows[n] for n in group], ids, prompt_length, own=first is not None)
        except OutOfRange as error:
            if first is not None:
                raise
            raise OutOfRange(
                f"in the text to read, {error.what}", hint="a tweak at fixed positions acts there too"
            ) from None
        for place, number in enumerate(group):
            log_probs = rows[number].bias(logits[place, :-1].float()).log_softmax(-1)
            out[number] = log_probs.gather(1, following)[start - 1 :, 0].tolist()
            if any(math.isnan(n) for n in out[number]):
                raise NotANumber(rows[number], ids, prompt_length)
    return out
