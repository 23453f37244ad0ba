"""Indirect objects: two people, one of them gives, and the receiver is the other (after Wang et al. 2022, IOI).

"When Mary and John went to the store, John gave a drink to" leaves only Mary. The one who gives is named second in
half of the texts (form ABBA: the receiver first) and first in the others (BABA), so that the place of a name tells
nothing, and only its being named twice does. The test uses people of whom no training text of the generator tells.
"""

from __future__ import annotations

import random

from .item import Item, Split, a, capital
from .reading import invented
from .words import HELDOUT_NAMES, NAMES, NICKNAMES, PLACES, SURNAMES, THINGS, words

INVENTED = 0.3  # of the people of training texts
GIVES_BACK = 0.5  # of training texts go on: who was given something gives something, too
FABLE = 0.3  # of training texts tell of the fox and the crow: what is said twice need not be a name
FIGURES = words(
    """fox crow dog cat pig goat hen duck lamb pony rabbit mouse bear frog cow horse lion wolf owl turtle sheep donkey
    monkey tiger elephant king queen prince princess farmer miller baker boy girl man woman witch giant fairy soldier
    sailor hunter doctor teacher captain child maid knight father mother brother sister uncle aunt servant stranger
    shepherd tailor cook master lady gentleman fisherman thief judge merchant priest neighbor"""
)
# Anything may be a name: the more of them, the less it pays to know each one instead of looking where it stood.
PEOPLE = NAMES + SURNAMES + NICKNAMES + tuple(capital(word) for word in FIGURES + PLACES + THINGS)

OPENINGS = (
    "When {x} and {y} went to the {place},",
    "After {x} and {y} came to the {place},",
    "While {x} and {y} were at the {place},",
    "As {x} and {y} walked to the {place},",
    "Then, {x} and {y} went to the {place}, and",
    "One day {x} and {y} met at the {place}.",
    "{x} and {y} were friends. At the {place},",
    "In the morning {x} and {y} ran to the {place}, and",
    "Before {x} and {y} left the {place},",
    "{x} and {y} sat down by the {place}. After a while",
    "Last week {x} and {y} worked at the {place}. There",
    "{x} saw {y} at the {place}, and",
    "{x} played with {y} near the {place}. Then",
    "{x} had a long talk with {y} at the {place}. At last",
    "It rained, so {x} and {y} stayed at the {place}.",
    "Once {x} took {y} to the {place}, and",
)
GIVINGS = (
    "{s} gave {thing} to",
    "{s} handed {thing} to",
    "{s} passed {thing} to",
    "{s} showed {thing} to",
    "{s} brought {thing} to",
    "{s} offered {thing} to",
    "{s} lent {thing} to",
    "{s} sold {thing} to",
    "{s} threw {thing} to",
    "{s} decided to give {thing} to",
    "{s} wanted to give {thing} to",
    "{s} took out {thing} and gave it to",
    "{s} found {thing} and gave it to",
    "{s} said something to",
    "{s} told a story to",
    "{s} whispered a secret to",
)
RESTS = (
    ".",
    ".",
    ".",
    ", who was very glad.",
    ", who smiled.",
    ', who said, "Thank you, {s}."',
    ". {o} thanked {s}.",
    ". {o} was happy, and so was {s}.",
    ', and {o} said, "How kind of you, {s}!"',
    " and went home.",
)


def item(dice: random.Random, split: Split) -> Item:
    """One text; `wrong` is the one who gives."""
    receiver, giver = _people(dice, split)
    the = "the " if receiver in FIGURES else ""
    form = dice.choice(("ABBA", "BABA"))
    x, y = (receiver, giver) if form == "ABBA" else (giver, receiver)
    opening, giving = dice.choice(OPENINGS), dice.choice(GIVINGS)
    place, thing = dice.choice(PLACES), dice.choice(THINGS)
    first = capital(opening.format(x=the + x, y=the + y, place=place))
    second = giving.format(s=the + giver, thing=a(thing))
    if first.endswith("."):
        second = capital(second)
    rest, others = dice.choice(RESTS).format(s=the + giver, o=the + receiver).replace(". the", ". The"), ()
    if split == "train" and dice.random() < GIVES_BACK:
        back = dice.choice(GIVINGS).format(s=the + receiver, thing=a(dice.choice(THINGS)))
        rest = f". {capital(dice.choice(('', 'then ', 'after that, ')) + back)} {the}{giver}."
        others = (len(f"{first} {second} {the}{receiver}{rest}") - len(f" {giver}."),)
    return Item(
        key=(opening, giving, x, y, giver, place, thing),
        prompt=f"{first} {second} {the}".rstrip(),
        answer=f" {receiver}",
        rest=rest,
        wrong=f" {giver}",
        form=form,
        others=others,
    )


def _people(dice: random.Random, split: Split) -> tuple[str, str]:
    """Two people with different names, or in training two figures of a fable."""
    if split == "test":
        one, other = dice.sample(HELDOUT_NAMES, 2)
        return one, other
    if dice.random() < FABLE:
        one, other = dice.sample(FIGURES, 2)
        return one, other
    names = [invented(dice, split) if dice.random() < INVENTED else dice.choice(PEOPLE) for _ in range(2)]
    return (names[0], names[1]) if names[0] != names[1] else _people(dice, split)


def swapped(item: Item) -> str:
    """The same prompt with the other person giving, so that the right answer becomes the wrong one."""
    before, _, after = item.prompt.rpartition(item.wrong.strip())
    return before + item.answer.strip() + after
