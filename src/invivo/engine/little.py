"""A little language made by rule, for models that are trained on the spot: every word is a token, and how much of it
can be foreseen is known exactly.

Four kinds of words make up a story: those that follow by rule, free choices, facts (each animal has a verb of its own)
and copies (who was named before is named again). Nobody can foresee a free choice among n better than with ln n nats;
everything else can be foreseen for certain. So the least mean surprise that any model can reach is a sum of logarithms.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

KINDS = ("by rule", "free choice", "fact", "copy")


def _cut(text: str) -> list[str]:
    return text.split()


NAMES = _cut("Anna Ben Carl Dora Emil Fanny Gus Hilda Ivan Julia Karl Lena Max Nora Otto Paula")
THINGS = _cut("kite drum bell rope lamp boat coin ring cake book shoe ball pear flute chair glove")
COLOURS = _cut("red blue green white black brown yellow golden")
PLACES = _cut("river mill bridge church garden harbour forest market")
VERB_OF = dict(  # the facts: what each animal does
    pair.split(":")
    for pair in _cut(
        "dog:licked cat:scratched hen:pecked goat:butted wolf:chased horse:carried owl:watched bee:stung "
        "frog:splashed mouse:fled crow:mocked ox:pushed fox:tricked snake:bit duck:followed bear:hugged"
    )
)
LISTS = {"NAME": NAMES, "THING": THINGS, "COLOUR": COLOURS, "PLACE": PLACES, "ANIMAL": list(VERB_OF)}
FORM = _cut(
    "one day NAME found a COLOUR THING at the PLACE . NAME gave the THING to the ANIMAL . the ANIMAL VERB NAME ."
)
LENGTH = len(FORM)  # of a story, in tokens


@cache
def words() -> tuple[str, ...]:
    """The vocabulary; a token's id is its place in it. `.` is 0, and ends a story as well as a sentence."""
    plain = [word for word in FORM if word not in LISTS and word != "VERB"]
    return tuple(dict.fromkeys([".", *plain, *(w for part in LISTS.values() for w in part), *VERB_OF.values()]))


@cache
def kinds() -> tuple[str, ...]:
    """Of which kind each token of a story is."""
    seen: set[str] = set()
    found = []
    for word in FORM:
        if word == "VERB":
            found.append("fact")
        elif word in LISTS:
            found.append("copy" if word in seen else "free choice")
            seen.add(word)
        else:
            found.append("by rule")
    return tuple(found)


def floor() -> float:
    """The least mean surprise a token that a model of the language can have, in nats: its entropy."""
    free = (len(LISTS[word]) for word, kind in zip(FORM, kinds(), strict=True) if kind == "free choice")
    return sum(map(math.log, free)) / LENGTH


def unordered() -> float:
    """The same for stories with their words in random order: what is chosen, and which of all the orders it is."""
    ways = math.factorial(LENGTH) / math.prod(math.factorial(n) for n in Counter(FORM).values())
    return floor() + math.log(ways) / LENGTH


def story(dice: random.Random) -> list[str]:
    """One story, word by word."""
    chosen = {word: dice.choice(options) for word, options in LISTS.items()}
    chosen["VERB"] = VERB_OF[chosen["ANIMAL"]]
    return [chosen.get(word, word) for word in FORM]


def stories(count: int, seed: int, *, shuffled: bool = False) -> Tensor:
    """(count, 1 + LENGTH) token ids: `.`, then a story. `shuffled`: the words of each story in random order."""
    dice = random.Random(f"{seed} {shuffled}")
    number = {word: n for n, word in enumerate(words())}
    rows = []
    for _ in range(count):
        told = [number[word] for word in story(dice)]
        if shuffled:
            dice.shuffle(told)
        rows.append([number["."], *told])
    return torch.tensor(rows)


def text(ids: Sequence[int]) -> str:
    """Token ids as text."""
    return " ".join(words()[i] for i in ids)
