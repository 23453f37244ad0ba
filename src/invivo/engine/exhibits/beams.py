"""Beam search step by step: the drafts that live on, and whether greedy's text is among them (Lowerre 1976)."""

from __future__ import annotations

import torch
from pydantic import Field

from ...errors import OutOfRange
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number, quoted, safe
from ...spec import Spec
from ...tweaks.decoding import MOST_BEAMS
from ..beams import Beams, Draft
from ..decode import end_tokens
from ..living import Living
from . import Found, Kind

LISTED = 4  # drafts in the table


class Settings(Spec):
    """From where, how wide, how far."""

    prompt: str = "Once upon a time, there was a"
    """What is continued."""
    beams: int = Field(default=3, ge=2, le=MOST_BEAMS)
    """How many drafts."""
    steps: int = Field(default=6, ge=1, le=64)
    """How many tokens."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """Every step's best drafts with their log-probability so far, next to greedy's text."""
    prompt, ends = living.encode(settings.prompt), end_tokens(living)
    room = living.anatomy.context - len(prompt)
    if room < 1:
        raise OutOfRange(f"the prompt fills the whole context of {living.anatomy.context:,} tokens", hint="shorten it")
    search, greedy = Beams(settings.beams, ends), Beams(1, ends)
    lines: list[tuple[str, ...]] = []
    best: list[float] = []
    plain: list[float] = []
    lost = 0
    with living.alone("capture"):
        for step in range(1, min(settings.steps, room) + 1):
            for one in (search, greedy):
                if not one.done:  # no cache: every draft is read whole
                    batch = torch.tensor([[*prompt, *draft.ids] for draft in one.drafts], device=living.device)
                    one.grow(living.hf(input_ids=batch, use_cache=False).logits[:, -1].float().log_softmax(-1))
            theirs = greedy.leader
            kept = any(draft.ids == theirs.ids for draft in (*search.drafts, search.leader))
            lost = lost or (0 if kept else step)
            best.append(search.leader.score)
            plain.append(theirs.score)
            shown = [search.leader] if search.done else search.drafts[:LISTED]
            lines += [
                (
                    str(step) if place == 0 else "",
                    _text(living, draft),
                    number(draft.score),
                    "greedy's" if draft.ids == theirs.ids else "",
                )
                for place, draft in enumerate(shown)
            ]
            if search.done and greedy.done:
                break
    numbers = {"best": search.leader.score, "greedy": greedy.leader.score, "lost_at": float(lost)}
    sentence = _sentence(living, search.leader, greedy.leader, settings.beams, lost)
    picture = Lines(
        title=f"The likeliest of {settings.beams} drafts beside greedy's text",
        summary=sentence,
        x=tuple(range(1, len(best) + 1)),
        x_name="tokens said",
        y_name="log-probability so far, nats",
        series=(
            Series(name="greedy", role="base", values=tuple(plain)),
            Series(name=f"the best of {settings.beams} drafts", role="tweak", values=tuple(best)),
        ),
    )
    table = Table(
        caption="The drafts that live on after each step, likeliest first",
        columns=("token", "draft", "log-probability, nats", ""),
        rows=tuple(lines),
    )
    return Found(sentence, (table, Figure(picture=picture, name="beams")), numbers)


def _text(living: Living, draft: Draft) -> str:
    return safe("".join(living.piece(i).text for i in draft.ids))


def _sentence(living: Living, best: Draft, greedy: Draft, beams: int, lost: int) -> str:
    if best.ids == greedy.ids:
        return (
            f"With {beams} drafts the likeliest text is greedy's own, {quoted(_text(living, greedy))}: "
            f"{number(greedy.score)} nats."
        )
    verb = "more" if best.score > greedy.score else "less"
    end = f" Greedy's text fell out of the drafts at token {lost}." if lost else ""
    return (
        f"With {beams} drafts the text found, {quoted(_text(living, best))}, is {verb} likely than greedy's, "
        f"{quoted(_text(living, greedy))}: {number(best.score)} against {number(greedy.score)} nats.{end}"
    )


EXHIBIT = Kind("Beam search, step by step", Settings, show)
