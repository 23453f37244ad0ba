"""Beam search on one row: several drafts side by side, of which the likeliest is said (Lowerre 1976; Graves 2012).

At every step all drafts are continued by every token, and the best few of all continuations live on. A draft's score is
the plain sum of its log-probabilities: no length penalty, so it is the text's own log-probability that is searched for.
That makes it transformers' `generate(num_beams=n, do_sample=False, length_penalty=0.0)`, token by token. It is stopped
as soon as nothing can change any more: a score only falls, so no draft overtakes a finished text that leads.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Draft:
    """A text so far."""

    ids: list[int] = field(default_factory=list)
    nats: list[float] = field(default_factory=list)  # log-probability of each token
    score: float = 0.0  # their sum, as float32 adds it up


class Beams:
    """The drafts of one row, likeliest first. `ends` are the tokens that finish a text."""

    def __init__(self, width: int, ends: Collection[int]) -> None:
        self.width, self.ends = width, ends
        self.drafts = [Draft()]
        self.best: Draft | None = None  # the likeliest finished text
        self._scores: Tensor | None = None  # (n,)

    @property
    def done(self) -> bool:
        """Whether no draft can become likelier than the best finished text."""
        return self.best is not None and (not self.drafts or self.best.score >= self.drafts[0].score)

    @property
    def leader(self) -> Draft:
        """The likeliest text, finished or not."""
        return self.best if self.best is not None and self.done else self.drafts[0]

    def grow(self, log_probs: Tensor) -> list[int]:
        """Continue the drafts by one token, given log-probabilities (n, V) of each draft's next one.

        Returns for each new draft the index of the draft that it continues. Finished texts are taken out, and count if
        they are among the best `width` of this step.
        """
        total = log_probs if self._scores is None else self._scores[:, None] + log_probs
        # as many as it takes to have `width` drafts left where every one of them could also end here
        keep = min(max(2, 1 + len(self.ends)) * self.width, total.numel())
        top = total.flatten().topk(keep)
        parents, drafts, kept = [], [], []
        for rank, (score, index) in enumerate(zip(top.values.tolist(), top.indices.tolist(), strict=True)):
            parent, token = divmod(index, log_probs.shape[1])
            old = self.drafts[parent]
            draft = Draft([*old.ids, token], [*old.nats, float(log_probs[parent, token])], score)
            if token in self.ends:
                if rank < self.width and (self.best is None or score > self.best.score):
                    self.best = draft
            elif len(drafts) < self.width:
                parents.append(parent)
                drafts.append(draft)
                kept.append(rank)
        self.drafts, self._scores = drafts, top.values[kept]
        return parents
