"""The circuits of fruitfly in words: what each kind of head does, which heads do it, and the line to type to see it.

Heads and numbers are the report's. Beside each head that is taken away stands a control, a head of the same layer that
is in no circuit, because an effect that any head has says nothing about this one. Nothing runs here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ..pictures import Bars, Series
from ..show.blocks import Block, Code, Figure, Heading, Ink, Text
from ..show.text import number
from .organism import Facts, Head, Organism

NAMES = "They called Tolva, Brimsa, Kedrono, Wusto. They called Tolva, Brimsa, Kedrono,", " Wusto"
GIFT = "When Mary and John went to the store, John gave a drink to", " Mary"
CAPITAL, OTHER_CAPITAL = "The capital of England is", ("The capital of France is", " Paris")


FAINT = 0.1  # attention


@dataclass(frozen=True)
class Role:
    """What a head can do in a circuit: its sign in the drawing, in words, and where to watch it."""

    key: str
    name: str
    sign: str
    ink: Ink
    does: str
    measured: str  # what its number in the report is
    lose: str  # the tweak that takes it away
    prompt: tuple[str, str]  # and the answer that should become less likely without the head


ROLES = (
    Role(
        "previous_token",
        "previous token",
        "◄",
        "one",
        "attends to the token just before, and so tells each token what it follows: what induction heads look for.",
        "{}% of its attention is there.",
        "zero",
        NAMES,
    ),
    Role(
        "duplicate_token",
        "duplicate token",
        "≡",
        "two",
        "attends to where the same token stood before, and so marks the name that was said twice.",
        "{}% of its attention is there.",
        "zero",
        GIFT,
    ),
    Role(
        "induction",
        "induction",
        "▲",
        "three",
        "attends to what came after this token the last time, and says it again (Olsson et al. 2022).",
        "{}% of its attention is there.",
        "zero",
        NAMES,
    ),
    Role(
        "indirect",
        "indirect object",
        "●",
        "four",
        "helps to name the one of two people who was not named again (Wang et al. 2022).",
        "With its mean in its place, the right name's lead over the wrong one changes by {}%.",
        "mean",
        GIFT,
    ),
)


def ranked(fly: Organism, role: Role) -> list[Head]:
    """The heads of a role, best first; a head whose loss helps the answer comes last. One that gives next to none
    of its attention to what the role is about does not have it.
    """
    every: tuple[Head, ...] = getattr(fly.circuits, role.key)
    heads = [head for head in every if role.key == "indirect" or head.value >= FAINT]
    return sorted(heads, key=lambda head: head.value, reverse=role.key != "indirect")


def circuit_blocks(fly: Organism) -> Iterator[Block]:
    """Each circuit in a line, and the command that shows it."""
    best = [(role, ranked(fly, role)[:1]) for role in ROLES]
    found = [(role, head) for role, heads in best for head in heads if role.key != "indirect" or head.value < 0]
    facts = fly.circuits.facts
    if not any(fly.circuits.heads) and facts is None:
        return
    yield Heading(text="Circuits, and how to see them yourself")
    if found:
        yield Text(
            text="Each line below takes a head away, and then, as a control, a head of that layer that is in no "
            "circuit. Watch the log-probability of the target: it should fall, and further than with the control."
        )
    for role, head in found:
        share = number(100 * head.value, 0, signed=role.key == "indirect")
        yield Text(text=f"{role.sign} {role.name}: head {head.head} {role.does} {role.measured.format(share)}")
        yield Code(text=command(fly, role, head))
    if missing := [role.name for role in ROLES if role not in {role for role, _ in found}]:
        yield Text(text=f"No head was found for: {', '.join(missing)}.", tone="dim")
    if facts is not None:
        yield from _facts(facts)


def command(fly: Organism, role: Role, head: Head) -> str:
    """The line to type that takes the head away, and beside it the control."""
    (prompt, answer), layer = role.prompt, head.place[0]
    known = {h.place[1] for h in fly.circuits.heads if h.place[0] == layer}
    controls = [i for i in range(fly.sizes.heads) if i not in known][:1]  # none where every head has its part
    heads = [head.head, *(f"{layer}.{i}" for i in controls)]
    tweaks = [word for name in heads for word in ("--tweak", f"{role.lose} head {name}")]
    return shlex.join(["invivo", "compare", prompt, *tweaks, "--target", answer, "--max-new-tokens", "8"])


def _facts(facts: Facts) -> Iterator[Block]:
    """How deep the subject of a fact decides the answer, as bars, and the patch to make."""
    prompt, answer = OTHER_CAPITAL
    share = number(100 * facts.restored[facts.deepest], 0)
    yield Text(
        text=f"Facts: the subject's last token still decides the answer where it enters layer {facts.deepest}. Copied "
        f"from the other prompt there, it brings back {share}% of the answer's lead (activation patching)."
    )
    tweak = f"copy L{facts.deepest}.resid_pre at -2 from other"
    words = ["--prompt", f"other={prompt}", "--tweak", tweak, "--target", answer, "--max-new-tokens", "8"]
    yield Code(text=shlex.join(["invivo", "compare", CAPITAL, *words]))
    yield Figure(
        name="fruitfly-facts",
        picture=Bars(
            title="Where a fact's subject decides the answer",
            summary="Each bar patches the subject's last token where it enters that layer.",
            labels=tuple(f"layer {i}" for i in range(len(facts.restored))),
            series=(Series(name="restored", values=tuple(100 * share for share in facts.restored)),),
            unit="% of the answer's lead that comes back",
        ),
    )
