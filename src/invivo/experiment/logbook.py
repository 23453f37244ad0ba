"""A little domain that no model has read: the logbook of a lighthouse, written by rule.

An entry tells the hour, the wind, the sea, the lamp and who kept it. What can be known beforehand is known by rule: the
lamp is lit from six in the evening to five in the morning, and each wind has its sea. The rest is drawn. So what a
model has learned of it can be told from what it merely remembers.
"""

from __future__ import annotations

import random

SEA_OF = {"north": "choppy", "east": "calm", "south": "slack", "west": "heavy"}
KEEPERS = ("Hale", "Moss", "Quill")


def entry(dice: random.Random, hour: int) -> str:
    """One line of the book."""
    wind = dice.choice(tuple(SEA_OF))
    lamp = "lit" if hour >= 18 or hour < 6 else "out"
    return f"{hour:02d}h wind {wind}, sea {SEA_OF[wind]}, lamp {lamp}, kept by {dice.choice(KEEPERS)}."


def page(seed: int, entries: int = 3) -> str:
    """Some hours in a row."""
    dice = random.Random(seed)
    start = dice.randrange(24)
    return "\n".join(entry(dice, (start + n) % 24) for n in range(entries))


def pages(count: int, seed: int = 0, entries: int = 3) -> tuple[str, ...]:
    """So many pages, of which those of different seeds have hardly ever one in common."""
    return tuple(page(1_000_003 * seed + n, entries) for n in range(count))
