"""A tweak's line with stars in it: the same change at every place. `zero head *` means every head of every layer.

A star stands where a number could stand, and what varies is whatever that number would have set: so no grammar is
written twice, and every tweak, old or new, can be swept. `copy L*.resid_pre at * from clean` is a grid of layers and
positions; two stars that set the same thing move together. How many layers, heads or positions there are is not known
here: `Stars.lines` is told.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import BadText, InvivoError
from ..sites import Place
from .activation import Activation
from .base import Stack, Tweak, split_lines
from .paths import Receiver, Send

STAR = "*"
# Axes in the order in which a grid shows them: rows first. "value" is a setting of the tweak: a strength, a seed.
AXES = ("layer", "head", "unit", "position", "key", "to layer", "to head", "value")
_FIELDS = {"layer": "layer", "heads": "head", "units": "unit", "at": "position", "keys": "key"}
_TO = {"receiver.layer": "to layer", "receiver.heads": "to head"}
_LETTER = {"layers": "layer", "heads": "head", "neurons": "unit", "dims": "unit", "positions": "position"}
_LETTER |= {"tokens": "position", "values": "value", "strengths": "value", "keys": "key"}
_LETTER |= {"to layers": "to layer", "to heads": "to head", "receivers": "to head"}
PATCHES = {  # what is copied where only the axes are named
    "layers x positions": "copy L*.resid_pre at * from {}",
    "positions": "copy L0.resid_pre at * from {}",
    "layers x heads": "copy head * from {}",
    "heads": "copy head * from {}",
    "neurons": "copy neuron * from {}",
}


@dataclass(frozen=True)
class Stars:
    """A line with stars, and which axis each of its numbers follows."""

    text: str
    pieces: tuple[str, ...]  # the text around the numbers: one more than there are numbers
    follows: tuple[str, ...]  # each number's axis
    example: Stack  # the line with 0 in every place: its site, and what it needs

    @property
    def axes(self) -> tuple[str, ...]:
        """What varies, in the order of AXES."""
        return tuple(axis for axis in AXES if axis in self.follows)

    @property
    def sources(self) -> set[str]:
        """Names of the prompts that the line takes values from."""
        return {t.source_prompt for t in self.example if isinstance(t, Activation) and t.source_prompt}

    def line(self, at: Mapping[str, str]) -> str:
        """The tweak's line where each axis has the number `at` says."""
        numbers = (at[axis] for axis in self.follows)
        return "".join(itertools.chain(*zip(self.pieces, (*numbers, ""), strict=True)))

    def lines(self, sizes: Mapping[str, Sequence[str]], window: int = 1) -> Iterator[tuple[tuple[int, ...], str]]:
        """Every cell's indices along `axes` and its line, last axis fastest; `sizes` lists the numbers of each axis.

        With a `window`, what a starred layer changes is changed in so many layers around it, fewer at the ends.
        """
        for cell in itertools.product(*(range(len(sizes[axis])) for axis in self.axes)):
            at = {axis: sizes[axis][i] for axis, i in zip(self.axes, cell, strict=True)}
            if window == 1 or "layer" not in at:
                yield cell, self.line(at)
                continue
            first = cell[self.axes.index("layer")] - window // 2
            near = sizes["layer"][max(first, 0) : first + window]
            tweaks = zip(*(split_lines(self.line(at | {"layer": layer})) for layer in near), strict=True)
            yield cell, " + ".join(line for copies in tweaks for line in dict.fromkeys(copies))

    def place(self, axis: str) -> Place:
        """The first place in the line that `axis` varies; for a value, the first place there is."""
        tweaks = [t for t in self.example if isinstance(t, Activation)]
        if axis == "to head":
            return next(t.receiver.place for t in tweaks if isinstance(t, Send) and t.receiver.place is not None)
        if not tweaks:
            raise BadText(f"`{self.text}` changes no activation", hint="a sweep goes over places in the model")
        return next((t.place for t in tweaks if _set_fields(t, axis)), tweaks[0].place)


def _set_fields(tweak: Activation, axis: str) -> bool:
    return any(_FIELDS[f] == axis and getattr(tweak.place, f) is not None for f in _FIELDS)


def _plain(tweak: Tweak) -> dict[str, object]:
    """Every setting of a tweak by name; a place's fields one by one."""
    found: dict[str, object] = {}
    for name in type(tweak).model_fields:
        value = getattr(tweak, name)
        if isinstance(value, Place | Receiver):
            found |= {f"{name}.{field}": getattr(value, field) for field in type(value).model_fields}
        else:
            found[name] = value
    return found


def _changed(one: Stack, other: Stack) -> set[str]:
    """The axes of whatever differs between two lines."""
    axes = set()
    for a, b in zip(one, other, strict=True):
        before, after = _plain(a), _plain(b)
        for name in before.keys() & after.keys():
            if before[name] != after[name]:
                known = _FIELDS | _TO | {"source_at": "position"}
                axes.add(known.get(name.removeprefix("place."), "value"))
    return axes


def read_stars(text: str) -> Stars:
    """A line with stars. Raises BadText where there is none, or where a star stands for nothing that could vary."""
    # Quoted text keeps its stars. Below, a star may also stand for a whole LAYER.INDEX, which is two numbers.
    parts = re.split(r"(\"(?:[^\"\\]|\\.)*\"|'[^']*')|\*", text)
    pieces = [""]
    for piece in parts:  # None at a star
        if piece is None:
            pieces.append("")
        else:
            pieces[-1] += piece
    stars = len(pieces) - 1
    if stars == 0:
        raise BadText(f"nothing varies in `{text}`", hint="put a star where it should, as in `zero head *`")
    problem: InvivoError | None = None
    for shape in itertools.product((1, 2), repeat=stars):
        spread = _spread(pieces, shape)
        try:
            example = Stack.of(_filled(spread, {}))
        except InvivoError as error:
            problem = problem or error
            continue
        follows = []
        for number in range(len(spread) - 1):
            axes = _changed(example, Stack.of(_filled(spread, {number: "1"})))
            if len(axes) != 1:
                raise BadText(f"a star in `{text}` changes nothing", hint="put it where a number belongs")
            follows.append(axes.pop())
        return Stars(text, tuple(spread), tuple(follows), example)
    assert problem is not None
    raise type(problem)(f"`{text}`: {problem.what.replace(' 0', ' *')}", hint=problem.hint)


def _spread(pieces: Sequence[str], shape: Sequence[int]) -> list[str]:
    """The pieces where some stars are two numbers with a full stop between."""
    spread = [pieces[0]]
    for count, piece in zip(shape, pieces[1:], strict=True):
        spread += [".", piece] if count == 2 else [piece]
    return spread


def _filled(pieces: Sequence[str], chosen: Mapping[int, str]) -> str:
    numbers = (chosen.get(i, "0") for i in range(len(pieces) - 1))
    return "".join(itertools.chain(*zip(pieces, (*numbers, ""), strict=True)))


def patch_over(over: str, source: str) -> str:
    """The line that copies from the prompt `source` at every one of the places that `over` names."""
    said = " x ".join(word.strip().lower() for word in re.split(r"\s*[x×,]\s*", over))
    if said not in PATCHES:
        raise BadText(
            f"there is no usual line for --over {over!r}",
            hint=f"give --tweak, or one of {', '.join(PATCHES)}",
        )
    return PATCHES[said].format(source)


def check_over(stars: Stars, over: str) -> None:
    """Raise BadText where `over` ("heads", "layers x positions") is not what the stars vary."""
    named = [word.strip().lower() for word in re.split(r"\s*[x×,]\s*", over) if word.strip()]
    wanted = {_LETTER.get(word, word) for word in named}
    # all heads are a grid of layers and heads, and people say "heads" for it; likewise neurons, receivers
    if wanted != set(stars.axes) and not any(wanted | {axis} == set(stars.axes) for axis in ("layer", "to layer")):
        raise BadText(
            f"`{stars.text}` varies {' x '.join(stars.axes)}, not {over}",
            hint="leave --over out, or move the star",
        )
