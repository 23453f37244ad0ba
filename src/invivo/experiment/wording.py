"""Words around numbers: a tweak as the subject of a sentence, how a number moved, and what lines have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from ..show.text import decimals_for, number, with_unit
from ..tweaks import Stack

_DOING = {
    "zero": "zeroing",
    "mean": "averaging",
    "scale": "scaling",
    "add": "adding",
    "copy": "copying",
    "set": "setting",
    "retrieve": "retrieving",
    "boost": "boosting",
    "swap": "swapping",
    "quantize": "quantizing to",
    "prune": "pruning",
    "prepend": "prepending",
    "append": "appending",
    "replace": "replacing",
    "wrap": "wrapping it",
    "steer": "steering",
    "project": "projecting",
    "train": "training",
    "reset": "resetting",
}


def doing(tweak: Stack) -> str:
    """`Zeroing head 3.5`. A tweak whose verb has no such form is quoted."""
    lines = [str(one) for one in tweak]
    if len(lines) > 3:
        return f"A stack of {len(lines)} tweaks"
    words = []
    for verb, _, rest in (line.partition(" ") for line in lines):
        words.append(f"{_DOING[verb]} {rest}" if verb in _DOING else f"the tweak “{verb} {rest}”")
    text = " and ".join(words)
    return text[0].upper() + text[1:]


def percent(share: float, decimals: int = 1) -> str:
    """`62 %`: a decimal below ten, none above, unless `decimals` asks for more; what rounds to nothing is `<0.1 %`."""
    value = 100 * share
    if 0 < value < 10.0**-decimals / 2:
        return f"<{number(10.0**-decimals, decimals)} %"
    return f"{number(value, decimals if decimals > 1 or value < 9.95 else 0)} %"


def shift(before: float, after: float, unit: str = "") -> str:
    """`from 2.31 to 2.95 nats`: as many decimals as it takes to tell the two apart, within reason."""
    usual = min(decimals_for((before, after)), 3)
    texts = [(number(before, d), number(after, d)) for d in range(usual, usual + 4)]
    a, b = next((pair for pair in texts if pair[0] != pair[1]), texts[0])
    return f"from {a} to {with_unit(b, unit)}"


def share_shift(before: float, after: float) -> str:
    """`from 62 % to 31 %`, likewise."""
    texts = [(percent(before, d), percent(after, d)) for d in (1, 2, 3, 4)]
    a, b = next((pair for pair in texts if pair[0] != pair[1]), texts[0])
    return f"from {a} to {b}"


def shared(lines: Sequence[str]) -> tuple[str, list[str]]:
    """What lines have in common, with `…` for what differs, and each one's own part. `""` when there is nothing.

    `scale head 3.5 by 2`, `scale head 3.5 by 4` give `scale head 3.5 by …` and `2`, `4`.
    """
    words = [line.split(" ") for line in lines]
    start = _alike(words)
    rest = [row[start:][::-1] for row in words]
    end = _alike(rest)
    own = [" ".join(row[end:][::-1]) for row in rest]
    if len(lines) < 2 or start + end == 0 or not all(own):
        return "", list(lines)
    return " ".join([*words[0][:start], "…", *rest[0][:end][::-1]]), own


def _alike(rows: Sequence[Sequence[str]]) -> int:
    """How many words all rows begin with."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))
