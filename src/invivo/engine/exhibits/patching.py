"""Is a patch real? The same copy on other pairs of prompts, at random places, and of something else's value.

A patch can raise an answer in two ways: it brings the answer, or it breaks what spoke for another one. The same place
copied from a prompt about a third thing tells them apart, as it breaks as much and brings nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from statistics import fmean

import torch
from pydantic import Field, field_validator

from ...errors import BadText
from ...experiment import Case
from ...experiment.trials import interval
from ...pictures import Bars, Role, Series
from ...show.blocks import Figure, Table
from ...show.text import number, quoted, safe, shorten
from ...spec import Spec
from ...tweaks import Stack
from ...tweaks.activation import Copy
from ..control import effects
from ..living import Living
from ..sweep import answer, ask
from . import Found, Kind

ENOUGH = 0.8  # the share that counts as restored


def ring(form: str, table: str) -> tuple[tuple[str, str, str, str], ...]:
    """Pairs of each entry with the next: clean and corrupt prompt, the clean one's answer, the corrupt one's."""
    entries = [entry.split() for entry in table.split("|")]
    return tuple(
        (form.format(a), form.format(b), f" {x}", f" {y}")
        for (a, x), (b, y) in zip(entries, [*entries[1:], entries[0]], strict=True)
    )


PAIRS = (
    *ring("The capital of {} is", "France Paris|England London"),
    *ring("The opposite of {} is", "hot cold|big small|wet dry|rich poor|early late|empty full|loud quiet|love hate"),
    *ring("The color of {} is", "blood red|grass green|butter yellow|coal black|mud brown"),
)


class Settings(Spec):
    """Which copy, and on what."""

    tweak: str = "copy L2.resid_pre at -2 from clean"
    """The copy, at one layer and position, from the prompt called clean."""
    pairs: tuple[tuple[str, str, str, str], ...] = Field(default=PAIRS, min_length=1)
    """Clean prompt, corrupt prompt, the clean one's answer, the corrupt one's; of as many tokens."""
    places: int = Field(default=20, ge=1, le=500)
    """How many random layers and positions are tried on each pair."""

    @field_validator("tweak")
    @classmethod
    def _one_place(cls, text: str) -> str:
        _parts(text)
        return text


def _parts(text: str) -> Copy:
    """The one copy that a line makes. Raises BadText for anything else."""
    copies = list(Stack.of(text))
    only = copies[0]
    if len(copies) != 1 or not isinstance(only, Copy) or only.place.layer is None or only.place.at is None:
        raise BadText(f"`{text}` is no copy at one layer and position", hint="`copy L2.resid_pre at -2 from clean`")
    return only


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """What the copy restores on each pair; the clean answer's probability under it, elsewhere, and of another value."""
    copy = _parts(settings.tweak)
    name, pairs = copy.source_name, settings.pairs
    shares, corrupt, patched, other, random_places, as_good = [], [], [], [], [], []
    dice = random.Random(0)
    for index, (clean, wrong_prompt, target, wrong) in enumerate(pairs):
        lengths = len(living.encode(wrong_prompt)), len(living.encode(clean))
        case = Case(prompt=wrong_prompt, prompts={name: clean}, target=target, wrong=wrong)
        lines = [settings.tweak, *_elsewhere(living, copy, lengths, settings.places, dice)]
        with living.alone("compare"):
            share, *elsewhere = effects(living, case, "recovered", {name}, [Stack.of(line) for line in lines])
            shares.append(share)
            random_places.append(fmean(elsewhere))
            as_good.append(sum(s >= share for s in elsewhere) / len(elsewhere))
            corrupt.append(_base(living, case))
            patched.append(corrupt[-1] + _moved(living, case, settings.tweak, name))
            third = _third(pairs, index)
            if third is not None:
                there = case.model_copy(update={"prompts": {name: third}})
                other.append(corrupt[-1] + _moved(living, there, settings.tweak, name))
    spread = interval(shares)
    good = sum(share >= ENOUGH for share in shares)
    sentence = (
        f"`{settings.tweak}` restores {_percent(spread.mean)} on average over {len(pairs)} "
        f"pair{'s' if len(pairs) > 1 else ''} (95 % interval {_percent(spread.low)} to {_percent(spread.high)}), "
        f"at least {_percent(ENOUGH)} on {good} of {len(pairs)}; random layers and positions restore "
        f"{_percent(fmean(random_places))}."
    )
    if other:
        sentence += (
            f" It takes the clean prompt's answer from {_percent(fmean(corrupt))} to {_percent(fmean(patched))}; the "
            f"same place copied from a prompt about a third thing, to {_percent(fmean(other))}."
        )
    numbers = {
        "pairs": len(pairs),
        "restored": spread.mean,
        "low": spread.low,
        "high": spread.high,
        "good": good,
        "elsewhere": fmean(random_places),
        "as_good_elsewhere": fmean(as_good),
        "answer_before": fmean(corrupt),
        "answer_after": fmean(patched),
    }
    numbers |= {"answer_third": fmean(other)} if other else {}
    table = Table(
        caption="Pair by pair",
        columns=("clean", "corrupt", "answer", "restored, %", "answer before, %", "after, %", "of a third thing, %"),
        rows=tuple(
            (
                shorten(safe(clean), 32),
                shorten(safe(wrong_prompt), 32),
                quoted(target),
                number(100 * shares[i], 0),
                number(100 * corrupt[i], 1),
                number(100 * patched[i], 1),
                number(100 * other[i], 1) if other else "–",
            )
            for i, (clean, wrong_prompt, target, _) in enumerate(pairs)
        ),
    )
    return Found(sentence, (Figure(picture=_bars(sentence, corrupt, patched, other), name="patching"), table), numbers)


def _elsewhere(living: Living, copy: Copy, lengths: tuple[int, int], count: int, dice: random.Random) -> list[str]:
    """The copy at other layers and positions, up to `count` of them; positions count from the end of both prompts."""
    at, site = copy.place.at or "", copy.place.site
    own = int(at) if re.fullmatch(r"-?\d+", at) else None
    mine = (living.anatomy.layer(copy.place.layer or 0), own - lengths[0] if own is not None and own >= 0 else own)
    places = [(layer, p) for layer in range(living.anatomy.layers) for p in range(-min(lengths), 0)]
    places = [place for place in places if place != mine]
    return [
        f"copy L{layer}.{site} at {position} from {copy.source_name}"
        for layer, position in dice.sample(places, min(count, len(places)))
    ]


def _third(pairs: Sequence[tuple[str, str, str, str]], index: int) -> str | None:
    """A clean prompt with neither of the pair's answers, of another pair; None where there is none."""
    _, _, target, wrong = pairs[index]
    there = (*pairs[index + 1 :], *pairs[:index])
    return next((clean for clean, _, answer, _ in there if answer not in (target, wrong)), None)


def _base(living: Living, case: Case) -> float:
    """BASE's probability of the target."""
    base, _, _ = answer(living, ask(living, "target_probability", (), case), [], {}, lambda *_: None)
    return base


def _moved(living: Living, case: Case, line: str, name: str) -> float:
    return effects(living, case, "target_probability", {name}, [Stack.of(line)])[0]


def _bars(sentence: str, corrupt: Sequence[float], patched: Sequence[float], other: Sequence[float]) -> Bars:
    groups: list[tuple[str, Role, Sequence[float]]] = [("BASE", "base", corrupt), ("TWEAK", "tweak", patched)]
    if other:
        groups.append(("a third thing", "other", other))
    spots = [interval(values) for _, _, values in groups]
    return Bars(
        title="Probability of the clean prompt's answer",
        summary=sentence,
        unit="mean over pairs, %",
        labels=tuple(label for label, _, _ in groups),
        series=tuple(
            Series(
                name=label,
                role=role,
                values=tuple(100 * spots[i].mean if i == n else None for i in range(len(groups))),
                low=tuple(100 * spots[i].low if i == n else 0.0 for i in range(len(groups))),
                high=tuple(100 * spots[i].high if i == n else 0.0 for i in range(len(groups))),
            )
            for n, (label, role, _) in enumerate(groups)
        ),
    )


def _percent(share: float) -> str:
    return f"{number(100 * share, 1 if abs(share) < 0.0995 else 0)} %"


EXHIBIT = Kind("A patch on other pairs, at other places, and of another value", Settings, show)
