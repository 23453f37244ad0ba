"""The same tweak somewhere else: what an effect must beat to be worth a word.

A change at one head is compared with the same change at other heads, drawn at random; at a neuron, with other neurons
of the layer; at a position, with other positions; noise, with other noise. How many there are is not known here:
`elsewhere` is told. Method: a permutation test's null (Fisher 1935) with places in place of labels.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from ..errors import BadText
from ..sites import Place, index_list
from .activation import Activation, Noise
from .base import Stack
from .paths import Send

Size = Callable[[str, str, int | None], int]  # site, axis letter, layer -> how many
KINDS = {"heads": "heads", "units": "units", "at": "positions", "layer": "layers", "seed": "seeds"}


def kind_of(stack: Stack) -> str:
    """What a control of this stack draws anew: heads, units, positions, layers or seeds. BadText where nothing can."""
    changes = [t for t in stack if isinstance(t, Activation)]
    if not changes or len(changes) != len(stack):
        raise BadText(f"`{stack}` has no places to put elsewhere", hint="a control takes tweaks of activations")
    for field in ("heads", "units", "at"):
        if all(getattr(t.place, field) is not None for t in changes):
            return field
    if all(t.place.layer is not None for t in changes):
        return "layer"
    if all(isinstance(t, Noise) for t in changes):
        return "seed"
    raise BadText(f"`{stack}` has one place only", hint="name heads, neurons, positions or a layer")


def elsewhere(stack: Stack, count: int, sizes: Size, length: int, layers: int, seed: int = 0) -> list[Stack]:
    """Up to `count` different stacks that do the same at other places; fewer where there are no more.

    Heads are drawn over all layers, units and positions where they are. `length`: positions of the prompt.
    """
    kind = kind_of(stack)
    dice = random.Random(seed)
    found: dict[str, Stack] = {}
    for _ in range(50 * count):
        if len(found) == count:
            break
        moved = Stack.of([_moved(t, kind, dice, sizes, length, layers) for t in _activations(stack)])
        if str(moved) != str(stack):
            found.setdefault(str(moved), moved)
    if not found:
        raise BadText(f"there is nowhere else to put `{stack}`")
    return list(found.values())


def other_noise(stack: Stack, number: int) -> Stack:
    """The stack with every noise so many seeds further: another draw of the same."""
    return Stack.of([t.model_copy(update={"seed": t.seed + number}) if isinstance(t, Noise) else t for t in stack])


def _activations(stack: Stack) -> Iterator[Activation]:
    for tweak in stack:
        if isinstance(tweak, Activation):
            yield tweak


def _moved(tweak: Activation, kind: str, dice: random.Random, sizes: Size, length: int, layers: int) -> Activation:
    """The tweak at a random place of the same kind and extent."""
    place = tweak.place
    if kind == "seed":
        return tweak.model_copy(update={"seed": dice.randrange(1, 10**6)})
    if kind == "layer":
        return _at(tweak, place, layer=dice.randrange(_below(tweak, layers)))
    if kind == "at":
        assert place.at is not None
        chosen = index_list(place.at, length, "position")
        return _at(tweak, place, at=_indices(dice.sample(range(length), len(chosen))))
    layer = dice.randrange(_below(tweak, layers)) if kind == "heads" else place.layer
    size = sizes(place.site, "H" if kind == "heads" else place.kind.unit_axis, layer)
    text = getattr(place, kind)
    return _at(
        tweak, place, layer=layer, **{kind: _indices(dice.sample(range(size), len(index_list(text, size, kind))))}
    )


def _below(tweak: Activation, layers: int) -> int:
    """How many layers the tweak can be put in: a sender stays below its receiver, or there is no path."""
    if not isinstance(tweak, Send) or tweak.receiver.layer is None:
        return layers
    return max(1, tweak.receiver.layer % layers)


def _at(tweak: Activation, place: Place, **changes: object) -> Activation:
    return type(tweak).of(
        {n: getattr(tweak, n) for n in type(tweak).model_fields}
        | {"place": Place.of({n: getattr(place, n) for n in Place.model_fields} | changes)}
    )


def _indices(numbers: list[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
