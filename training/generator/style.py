"""Little stories in two registers, chosen by how the text starts: with many commas, or with none at all.

Both tell of the same people, animals, places, things and events, in the same order of sentences; only the opener and
the way of telling differ, so that what follows an opener is a matter of style alone. The first words of the story,
which belong to the prompt, never hold a comma.

Openers occur in both splits. What is held out are combinations of register, opener, people, place, thing and event.
The stories are no more than a row of sentences: nobody in them wants anything for long.
"""

from __future__ import annotations

import random
import re

from .item import Item, Split, a, capital, draw
from .words import NAMES, PLACES, THINGS

OPENERS = {
    "commas": (
        "Told slowly, with many a pause:",
        "Told slowly, as old people tell it:",
        "Told slowly, with a rest here and there:",
        "Told slowly, by the fire:",
        "Told slowly, with a nod and a smile:",
        "Told slowly, for a long evening:",
        "Told slowly, as if there were no end:",
    ),
    "plain": (
        "Told in short words:",
        "Told in few words:",
        "Told in a quick way:",
        "Told in one breath:",
        "Told in plain words:",
        "Told in a short time:",
        "Told in great haste:",
    ),
}

GIRLS = frozenset(
    re.findall(
        r"[A-Za-z]+",
        """Alice Amy Anna Anne Becky Bessie Betty Caroline Charlotte Clara Daisy Diana Dora Dorothy Eliza Elizabeth
    Ellen Emily Fanny Florence Grace Helen Jane Janet Jean Jessie Jill Judy Katy Kitty Laura Lily Louise Lucy Mabel
    Margaret Maria Marion Martha Mary Meg Molly Nancy Patty Polly Rose Ruth Sally Sara Sarah Sue Susan Sylvia""",
    )
)
# Told of as he, and told of as she.
HE_ANIMALS = ("fox", "dog", "bear", "frog", "rabbit", "wolf", "pig", "crow", "donkey", "mouse", "lion", "horse")
SHE_ANIMALS = ("hen", "cat", "duck", "goose", "cow", "goat", "sheep", "owl", "bee")
SIZES = ("old", "little", "big", "young", "gray", "brown", "white", "small")
GIFTS = tuple(thing for thing in THINGS if thing not in ("drink", "glass", "apple", "cake", "rope"))

TIMES = tuple(
    """early one morning|late one evening|one fine day|on a cold day|on a warm day|one day in spring|one day in autumn
    |one quiet afternoon|on a gray morning|not long ago|some time ago|the other day""".replace("\n    ", "").split("|")
)

# {x} what one says by the way; {w} how one goes; {k} how one is; {m} what the weather was. All stand between commas.
ASIDES = tuple(
    """as you may know|I am told|as they say|of course|if you please|so I have heard|well, you see|I think
    |strange to say|as it happened|to be sure|my dears""".replace("\n    ", "").split("|")
)
WAYS = tuple(
    """step by step|slowly and softly|all alone|with a little song|up and down|over the grass|not too fast
    |by the long road|past the trees|over the stones|little by little""".replace("\n    ", "").split("|")
)
MOODS = tuple(
    """tired and hungry|kind and merry|quick and clever|shy and quiet|happy and proud|full of joy|a little sad
    |warm and well|fond of walks|half asleep""".replace("\n    ", "").split("|")
)
SKIES = tuple(
    """when the sun was out|when the grass was wet|while the birds sang|when the wind was still
    |while the clouds went by|when all was quiet""".replace("\n    ", "").split("|")
)

# The way there. {L} is the first word of the story: "Tom", "The old fox", "One fine day Tom"; {P} the place.
GO = {
    "plain": (
        "{L} went to the {P}.",
        "{L} walked to the {P}.",
        "{L} ran to the {P}.",
        "{L} came to the {P}.",
        "{L} set out for the {P}.",
    ),
    "commas": (
        "{L} went, {x}, to the {P}, {w}.",
        "{L} walked, {w}, {w2}, to the {P}.",
        "{L} ran, {x}, to the {P}, {m}.",
        "{L} came to the {P}, {w}, {w2}, {m}.",
        "{L} set out for the {P}, {m}, {k}, {x}.",
        "{L}, {k}, came, {w}, to the {P}.",
        "{L}, {m}, went to the {P}, {w}.",
    ),
}

# What happened: for each register the same two or three sentences. {s} and {o} are the two, {O} and {S} with a capital,
# {n} the other at first sight ("a small duck"), {N} with a capital, {h} and {H} he or she, {t} "drum".
EVENTS = {
    "find": (
        "There {h} found {at}. {N} came by and looked at it. The {t} was old but good.",
        "There {h} found, {x}, {at}, {m}. {N}, {k}, came by, {x2}, and looked at it. The {t}, {x}, was old, but good.",
    ),
    "gift": (
        "{N} sat there. {O} gave {s} {at}.",
        "{N}, {k}, sat there, {m}. {O} gave {s}, {x}, {at}, a bell of brass, and a kind word.",
    ),
    "lost": (
        "On the way {h} lost {at}. {N} looked for it too. They found the {t} under a tree.",
        "On the way {h} lost, {x}, {at}. {N}, {k}, looked for it, high and low. They found the {t}, {x2}, under a tree,"
        " between the roots.",
    ),
    "water": (
        "{N} stood by the water. The {t} of {s} fell in. {O} pulled it out.",
        "{N}, {k}, stood by the water, {m}. The {t} of {s}, {x}, fell in, with a splash. {O}, {k2}, pulled it out,"
        " wet and cold.",
    ),
    "rain": (
        "{N} was there too. It began to rain. They sat under a tree.",
        "{N}, {x}, was there too, {k}. It began to rain, softly at first, then hard. They sat, {x2}, under a tree,"
        " side by side.",
    ),
    "race": (
        "{N} wanted to run a race. They ran to a tree and back. {O} won and got {at}.",
        "{N}, {k}, wanted to run a race, {x}. They ran to a tree, round it, and back, {x2}. {O}, {w}, won, and got"
        " {at}.",
    ),
    "song": (
        "{N} sang a song there. {S} sang too. They sang all day.",
        "{N}, {k}, sang a song there, {m}. {S} sang too, high and low, loud and soft. They sang, {x}, all day, and all"
        " evening.",
    ),
    "meal": (
        "{N} had some bread. {S} had some cheese. They ate by the wall.",
        "{N}, {k}, had bread, nuts, and honey. {S} had cheese, plums, and a pear, {x}. They ate, {x2}, by the wall.",
    ),
    "noise": (
        "There was a noise in the dark. {S} was afraid. It was only {n} with {at}.",
        "There was a noise, {x}, in the dark, a thump and a bump. {S}, {k}, was afraid, very much afraid. It was only"
        " {n}, {x2}, with {at}.",
    ),
    "wind": (
        "The wind took the {t} of {s}. {N} ran after it. {O} brought it back.",
        "The wind, wild and loud, took the {t} of {s}, {x}. {N}, {k}, ran after it, fast and far. {O}, {x2}, brought it"
        " back, safe and dry.",
    ),
    "work": (
        "{N} had much wood to carry. {S} helped all day. {O} gave {s} {at}.",
        "{N}, {k}, had wood to carry, {x}. {S} helped all day, {w}, log after log. {O} gave {s}, {x2}, {at}, and"
        " a cup of milk.",
    ),
    "dance": (
        "{N} played a tune. {S} danced in the sun.",
        "{N}, {k}, played a tune, {x}. {S} danced, {w}, in the sun, round and round.",
    ),
    "sleep": (
        "There {h} sat down and fell asleep. {N} came by with {at}. {O} woke {s}.",
        "There {h} sat down, {k}, and fell asleep, {m}. {N}, {k2}, came by, {x}, with {at}. {O}, {x2}, woke {s},"
        " softly.",
    ),
    "tale": (
        "{N} told a tale of {at}. {S} laughed.",
        "{N}, {k}, told a tale of {at}, a king, and a bear. {S} laughed, {x}, long and loud.",
    ),
}

# In the order in which they may follow one another.
END = {
    "plain": (
        "{S} was glad.",
        "It was a good day.",
        "Then the moon came up.",
        "{O} waved and went away.",
        "Then they went home.",
        "That night both slept well.",
        "They came back the next day.",
        "They were good friends from that day.",
    ),
    "commas": (
        "{S}, {x}, was glad, very glad.",
        "It was, {x}, a good day, a very good day.",
        "Then the moon came up, round, white, and bright.",
        "{O} waved, once, twice, and went away.",
        "Then they went home, {x}, {w}.",
        "That night both slept well, warm, dry, and happy.",
        "They came back, {x}, the next day, {m}.",
        "They were good friends, {x}, from that day, the two of them.",
    ),
}


def item(dice: random.Random, split: Split) -> Item:
    """One story, in either register with the same chance."""
    register = dice.choice(("commas", "plain"))
    return draw(dice, split, lambda dice: story(dice, register))


def story(dice: random.Random, register: str) -> Item:
    """The way there, what happened, and an end or two: three to six sentences."""
    opener = dice.choice(OPENERS[register])
    lead, subject, he = somebody(dice)
    first, other, _ = somebody(dice)
    while other == subject:
        first, other, _ = somebody(dice)
    place, thing, event = dice.choice(PLACES), dice.choice(GIFTS), dice.choice(list(EVENTS))
    time = dice.choice(TIMES) if dice.random() < 0.5 or " " not in lead else ""
    marks = {
        "L": capital(f"{time} {lead}".strip()),
        "P": place,
        "t": thing,
        "at": a(thing),
        "s": subject,
        "S": capital(subject),
        "o": other,
        "O": capital(other),
        "n": a(first[4:]) if first.startswith("the ") else first,
        "h": he,
    }
    marks["N"] = capital(marks["n"])
    ends = dice.sample(range(len(END[register])), dice.choice((1, 1, 2)))
    told = EVENTS[event][register == "commas"]
    lines = [dice.choice(GO[register]), *sentences(told), *(END[register][i] for i in sorted(ends))]
    text = " " + " ".join(fill(dice, line, marks) for line in lines)
    # The prompt ends before the first comma, and leaves a word to come before it.
    words = re.match(r"(?: [A-Za-z]+)+", text)
    count = len(words[0].split()) if words else 0
    cut = dice.randint(2, min(4, count - 1))
    start, answer, rest = parts(text, cut)
    return Item((register, opener, lead, time, place, first, thing, event), opener + start, answer, rest, form=register)


def somebody(dice: random.Random) -> tuple[str, str, str]:
    """How someone comes in ("the old fox"), is called later ("the fox"), and he or she."""
    if dice.random() < 0.4:
        name = dice.choice(NAMES)
        return name, name, "she" if name in GIRLS else "he"
    animal = dice.choice(HE_ANIMALS + SHE_ANIMALS)
    return f"the {dice.choice(SIZES)} {animal}", f"the {animal}", "she" if animal in SHE_ANIMALS else "he"


def sentences(text: str) -> list[str]:
    """The sentences of an event."""
    return re.split(r"(?<=\.) ", text)


def fill(dice: random.Random, line: str, marks: dict[str, str]) -> str:
    """A sentence with all its marks replaced; no aside comes twice within one, and four commas are enough."""
    (x, x2), (w, w2), (k, k2) = (dice.sample(pool, 2) for pool in (ASIDES, WAYS, MOODS))
    told = line.format(**marks, x=x, x2=x2, w=w, w2=w2, k=k, k2=k2, m=dice.choice(SKIES))
    return told if told.count(",") <= 4 else fill(dice, line, marks)


def parts(text: str, count: int) -> tuple[str, str, str]:
    """The first `count` words, the next word with its blank, and what is left."""
    found = re.match(rf"((?: [A-Za-z]+){{{count}}})( [A-Za-z]+)(.*)", text)
    assert found is not None, text
    return found[1], found[2], found[3]
