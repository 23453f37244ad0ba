"""The loss of a text, token by token: how surprised the model is by each, and which way each logit is pushed for it.

Cross-entropy is the mean of −ln p of the tokens that came. Its gradient at the logits is what the model said minus what
came (p − 1 for the token that came, p for every other one), divided by how many tokens the mean is of: the first step
backwards of every training run. Both are taken in float64 from the model's own logits.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from ...errors import BadText
from ...model.load import quiet
from ...pictures import Bars, Series
from ...show.blocks import Figure, Table, Text
from ...show.text import number, quoted, visible
from ...spec import Spec
from ..living import Living
from . import Found, Kind

SHOWN = 24  # tokens at most, so that bars can be read
PUSHED = 5  # other tokens whose push is shown


class Settings(Spec):
    """Of which text."""

    text: str = "Once upon a time there was a little girl who had a red ball."
    """What is read; of a long text the first 25 tokens."""
    tokens: int = Field(default=SHOWN + 1, ge=2, le=SHOWN + 1)
    """How many of its tokens are read at most."""


def show(living: Living, settings: Settings) -> Found:
    """How surprised the model is by each token, their mean, and the gradient that the last one sends back."""
    ids = torch.tensor([living.encode(settings.text, "text")[: settings.tokens]], device=living.device)
    many = ids.shape[1] - 1
    if many < 1:
        raise BadText("the text is a single token: nothing stands before it", hint="give a longer one")
    with living.alone("capture"), torch.no_grad(), quiet():
        said = living.hf(input_ids=ids, labels=ids, use_cache=False)
        alone = [living.hf(input_ids=ids[:, :n], use_cache=False).logits[0, -1] for n in range(1, many + 1)]
    logits, came = said.logits[0, :-1].double().cpu(), ids[0, 1:].cpu()
    one_by_one = _nats(torch.stack(alone).double().cpu(), came)
    logits.requires_grad_(True)
    loss = nn.functional.cross_entropy(logits, came)
    loss.backward()
    nats = _nats(logits.detach(), came)
    push = logits.grad
    assert push is not None
    rule = logits.detach().softmax(-1)
    rule[torch.arange(many), came] -= 1
    mean, open_ = float(nats.mean()), math.log(living.anatomy.inputs)
    numbers = {
        "tokens": float(many),
        "loss": mean,
        "perplexity": math.exp(min(mean, 700.0)),
        "ln_v": open_,
        "theirs_apart": abs(float(said.loss) - mean),
        "one_by_one_apart": float((one_by_one - nats).abs().max()),
        "gradient_apart": float((push - rule / many).abs().max()),
        "gradient_sum": float(push.sum(-1).abs().max()),
        "largest": float(nats.max()),
    }
    pieces = [living.piece(int(i)).text for i in came]
    worst, best = int(nats.argmax()), int(nats.argmin())
    sentence = (
        f"The loss of this text is the mean of {many} surprises, {number(mean)} nats (a guess among all "
        f"{living.anatomy.inputs:,} tokens: {number(open_)}). The largest is {quoted(pieces[worst])} with "
        f"{number(float(nats[worst]))}, the smallest {quoted(pieces[best])} with {number(float(nats[best]))}."
    )
    drawn = Bars(
        title="What each token costs",
        summary=sentence,
        labels=tuple(map(visible, pieces)),
        unit="surprise, nats",
        series=(Series(name="−ln p", values=tuple(nats.tolist())),),
    )
    checked = Text(
        text=f"One pass over the whole text and {many} passes over longer and longer beginnings give the same "
        f"surprises (apart by {_small(numbers['one_by_one_apart'])} nats at most): the mask hides what comes later, so "
        "one pass trains all positions at once, each behind the true words."
    )
    pushed = _pushes(living, rule[worst], int(came[worst]), pieces[worst])
    return Found(sentence, (Figure(picture=drawn, name="cross-entropy"), checked, pushed), numbers)


def _nats(logits: Tensor, came: Tensor) -> Tensor:
    """−ln p of the tokens that came (T,), from logits (T, V)."""
    return -logits.log_softmax(-1).gather(-1, came[:, None])[:, 0]


def _small(value: float) -> str:
    return "0" if value == 0 else f"10^{math.ceil(math.log10(value))}".replace("-", "−")


def _pushes(living: Living, push: Tensor, came: int, word: str) -> Table:
    """What training does to the logits at the token that surprised most: `push` (V,) is p minus one for what came."""
    others = push.clone()
    others[came] = 0
    best = others.topk(min(PUSHED, len(push) - 1)).indices.tolist()
    rest = float(others.sum() - others[best].sum())
    rows = [(f"{visible(word)} (came)", _percent(1 + float(push[came])), _signed(-float(push[came])))]
    rows += [(visible(living.piece(i).text), _percent(float(push[i])), _signed(-float(push[i]))) for i in best]
    rows += [(f"{len(push) - 1 - len(best):,} others", _percent(rest), _signed(-rest))]
    return Table(
        caption=f"Where {quoted(word)} came: a step downhill moves each logit by this, times the learning rate",
        columns=("token", "p", "push: what came − p"),
        rows=tuple(rows),
    )


def _percent(chance: float) -> str:
    return f"{number(100 * chance, 1)} %" if chance >= 0.0005 else "<0.1 %"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


EXHIBIT = Kind("The loss, token by token, and its gradient", Settings, show)
