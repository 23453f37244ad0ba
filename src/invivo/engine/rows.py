"""Rows of a batch: row 0 is BASE, each further row is one TWEAK. Here a tweak's line meets a model and a prompt."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import BadText, InvivoError, NoEffect, Refused
from ..tweaks import (
    Activation,
    AddSd,
    Boost,
    Decoding,
    DecodingTweak,
    Directed,
    LogitBias,
    ModelTweak,
    PromptTweak,
    Send,
    SetSeed,
    Stack,
)
from ..tweaks.activation import Copy, Mean
from . import directions
from .actions import Action
from .alignment import align
from .end import ENDS, read_up_to
from .forward import Where, watched
from .living import Living
from .makers import second
from .prompts import changed
from .reference import fill_spreads
from .rotation import turn
from .senders import sender

STARTS = ("embed", "pos_embed")  # sites before the first block
Taken = dict[str, dict[Where, Tensor]]  # prompt's name -> what was seen there


@dataclass
class Row:
    """What one row of the batch does differently."""

    stack: Stack | None  # None: BASE
    decoding: Decoding
    seed: int
    actions: list[Action] = field(default_factory=list)
    biases: dict[int, float] = field(default_factory=dict)  # token id -> nats
    living: Living | None = None  # the model it runs on, where that is a second one
    prompt: list[int] | None = None  # what it reads, where that is not BASE's prompt
    alike: int = 0  # how many tokens of the two prompts are the same, counted from the end
    notes: list[str] = field(default_factory=list)

    def bias(self, logits: Tensor) -> Tensor:
        """Logits (…, V) with this row's logit biases."""
        if not self.biases:
            return logits
        logits = logits.clone()
        for token, amount in self.biases.items():
            logits[..., token] += amount
        return logits

    @property
    def name(self) -> str:
        """BASE, or the tweak's line."""
        return "BASE" if self.stack is None else str(self.stack)


def prepare(
    living: Living,
    stacks: Sequence[Stack],
    prompt: list[int],
    prompts: Mapping[str, list[int]],
    decoding: Decoding,
    seed: int,
    taken: Taken | None = None,
    text: str | None = None,
) -> list[Row]:
    """BASE's row and one a stack. Raises Refused or BadText for what this model or prompt does not have.

    `taken` keeps what named prompts gave from one call to the next, so that each is run once. With `text`, the prompt
    as it was written, a row may have a prompt and a model of its own; without, tweaks of those families are refused.
    """
    rows = [Row(None, decoding, seed)]
    for number, stack in enumerate(stacks, start=1):
        row = Row(stack, decoding, seed)
        _own(living, row, prompt, text)
        for tweak in stack:
            if isinstance(tweak, PromptTweak | ModelTweak):
                continue
            if isinstance(tweak, Activation):
                row.actions.append(_action(row.living or living, tweak, number))
            elif isinstance(tweak, SetSeed):
                row.seed = tweak.seed
            elif isinstance(tweak, DecodingTweak):
                row.decoding = tweak.change(row.decoding)
            elif isinstance(tweak, LogitBias):
                token = living.single_token(tweak.token)
                row.biases[token] = row.biases.get(token, 0.0) + tweak.amount
            else:
                raise Refused(f"{tweak} cannot be run here")
        sent = next((t for t in stack if isinstance(t, Send)), None)
        if sent is not None and row.decoding.num_beams > 1:
            raise Refused(f"`{sent}` carries values along one text, and beams are several", hint="leave out the beams")
        rows.append(row)
    own = [row for row in rows if row.living or row.prompt]
    for group in ([row for row in rows if row not in own], *([row] for row in own)):
        here, read = group[0].living or living, group[0].prompt or prompt
        _fill_sources(here, group, read, prompts, {} if taken is None or group[0] in own else taken)
        actions = [action for row in group for action in row.actions]
        _fill_directions(here, actions)
        fill_spreads(here, actions)
    return rows


def by_model(living: Living, rows: Sequence[Row]) -> list[tuple[Living, list[int]]]:
    """The numbers of the rows that run on each model, BASE's first."""
    found: dict[int, tuple[Living, list[int]]] = {}
    for number, row in enumerate(rows):
        here = row.living or living
        found.setdefault(id(here), (here, []))[1].append(number)
    return list(found.values())


def _own(living: Living, row: Row, prompt: list[int], text: str | None) -> None:
    """Give a row the prompt and the model that its tweaks ask for. Raises Refused without `text`."""
    for kind in (PromptTweak, ModelTweak):
        tweak = next((t for t in row.stack or () if isinstance(t, kind)), None)
        if tweak is not None and text is None:
            raise Refused(
                f"`{tweak}` changes the {kind.family}, and what you asked for looks at one prompt and one model",
                hint="use `compare`, trials or `eval`, where a row may have its own",
            )
    models = [t for t in row.stack or () if isinstance(t, ModelTweak)]
    if models:
        made = second(living, models)
        row.living = made.living
        row.notes += made.notes
    prompted = [t for t in row.stack or () if isinstance(t, PromptTweak)]
    if prompted and text is not None:
        for tweak in prompted:
            text, notes = changed(row.living or living, tweak, text)
            row.notes += notes
        ids = (row.living or living).encode(text, f"prompt after `{' + '.join(map(str, prompted))}`")
        pairs = zip(reversed(ids), reversed(prompt), strict=False)
        row.prompt, row.alike = ids, next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(ids), len(prompt)))


def _action(living: Living, tweak: Activation, row: int | None) -> Action:
    """The tweak with its layer, heads and units resolved."""
    if isinstance(tweak, Boost) and "pos_embed" in living.anatomy.missing:
        return turn(living, tweak, row)
    try:
        layer, heads, units = living.anatomy.locate(tweak.place)
    except InvivoError as error:
        raise type(error)(f"`{tweak}`: {error.what}", hint=error.hint) from None
    if isinstance(tweak, Send) and layer is not None:
        return sender(living, tweak, row, layer, heads, units)
    return Action(tweak, row, layer, heads, units)


def joins(living: Living, row: Row) -> int:
    """The first layer at which a row may differ from BASE; the last one for what changes nothing before the end."""
    last = living.anatomy.layers - 1
    return min((0 if a.site in STARTS else last if a.layer is None else a.layer for a in row.actions), default=last)


def actions_for_all(living: Living, stack: Stack) -> list[Action]:
    """A stack's activation tweaks acting on every row of whatever is run: for calls that are not ours."""
    for tweak in stack:
        if not isinstance(tweak, Activation):
            raise Refused(f"`{tweak}` is no change of activations", hint="pass decoding settings to `generate` itself")
        if tweak.source_prompt is not None:
            raise Refused(f"`{tweak}` takes values from another run", hint="use `compare`, which knows the prompts")
    actions = [_action(living, t, None) for t in stack if isinstance(t, Activation)]
    _fill_directions(living, actions)
    if any(isinstance(action.tweak, AddSd) for action in actions):
        with living.alone("compare"):  # it is BASE's standard deviation, so no tweak may be in force
            fill_spreads(living, actions)
    for note in dict.fromkeys(a.note for a in actions if a.note):  # there is no result that could carry it
        warnings.warn(note, stacklevel=3)
    return actions


def _fill_sources(
    living: Living, rows: list[Row], prompt: list[int], prompts: Mapping[str, list[int]], taken: Taken
) -> None:
    """Run the named prompts once each, as far as they are needed, and hand `copy` and `mean` their values."""
    needed: dict[str, list[Action]] = {}
    for row in rows:
        for action in row.actions:
            name = action.tweak.source_prompt
            if name is not None:
                needed.setdefault(name, []).append(action)
    for name, actions in needed.items():
        ids = prompts[name] if name else prompt
        values = taken.setdefault(name, {})
        places: list[Where] = list({(a.layer, a.site) for a in actions} - values.keys())
        if places:
            last = None if any(site in ENDS for _, site in places) else max(layer or 0 for layer, _ in places)
            with torch.no_grad(), watched(living.anatomy, capture=places) as run:
                read_up_to(living, torch.tensor([ids], device=living.device), last)
            values |= run.tensors()
        for action in actions:
            x = values[(action.layer, action.site)][0]
            action.source = x.mean(dim=0, keepdim=True) if isinstance(action.tweak, Mean) else x
            if isinstance(action.tweak, Copy):
                aligned = align(living, action.tweak, prompt, ids)
                action.shift, action.note = aligned.shift, aligned.note
                action.idle = action.idle or aligned.idle


def _fill_directions(living: Living, actions: Sequence[Action]) -> None:
    """Read each direction once and hand it to its tweaks. Raises BadText for one of another width."""
    needed: dict[str, list[tuple[Directed, Action]]] = {}
    for action in actions:
        if isinstance(action.tweak, Directed):
            needed.setdefault(action.tweak.direction, []).append((action.tweak, action))
    for name, users in needed.items():
        record, values = directions.read(name)
        numbers = torch.from_numpy(values.astype("float32")).to(living.device)
        for tweak, action in users:
            place = tweak.place
            width = living.anatomy.size(place.site, place.kind.unit_axis, action.layer)
            if record.width != width:
                raise BadText(
                    f"`{tweak}`: the direction {name!r} has {record.width:,} numbers, and {place} of {living.name} "
                    f"{width:,}; it was made on {record.origin}",
                    hint="make one here: `invivo direction NAME --site PLACE --with FILE --without FILE`",
                )
            action.direction = numbers
            if not record.made_for(living.name, living.revision):
                action.note = (
                    f"`{tweak}`: this direction was made on {record.origin}, and this is {living.name} at "
                    f"{living.revision[:19]}: here it may mean nothing"
                )


def check_effect(rows: Sequence[Row]) -> dict[int, list[str]]:
    """Notes for tweaks that ran and changed nothing, by row. Raises NoEffect where a place was never reached."""
    notes: dict[int, list[str]] = {}
    for number, row in enumerate(rows):
        for action in row.actions:
            if action.note:
                notes.setdefault(number, []).append(action.note)
            if not action.reached:
                if action.idle:
                    raise NoEffect(action.idle)
                what = (
                    f"at {action.tweak.place.at}"
                    if action.tweak.place.at is not None
                    else f"during {action.tweak.during}"
                )
                raise NoEffect(
                    f"`{action.tweak}` was never reached: nothing ran {what} (positions 0 to {action.furthest})",
                    hint="`invivo tokens` shows a prompt's positions; generated tokens follow them",
                )
            if action.unreached:
                missed = ", ".join(map(str, action.unreached))
                notes.setdefault(number, []).append(f"`{action.tweak}` was never reached at {missed}")
            if not action.changed:
                notes.setdefault(number, []).append(
                    f"`{action.tweak}` changed nothing: the values were the same before, up to rounding"
                )
    return notes
