"""Where the sites of sites.py are in a given model: its blocks, modules and sizes. How they are found: probe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from ..errors import OutOfRange, Refused
from ..sites import SITES, Place, index_list, site_named

ATTENTION_SITES = ("q", "k", "v", "scores", "pattern", "z")


@dataclass(frozen=True)
class Point:
    """Where to attach: a module's input or output. `shared` marks an input that the block keeps using itself, so that a
    change must be written into the very tensor.
    """

    module: nn.Module
    side: Literal["in", "out"]
    shared: bool = False


@dataclass
class Block:
    """One layer: its module, the attention module that calls our function, and its sites."""

    module: nn.Module
    attention: nn.Module | None = None
    points: dict[str, Point] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # H, H_kv, K, F
    readers: dict[str, nn.Module] = field(default_factory=dict)  # site -> the linear layer that reads it
    writers: dict[str, nn.Module] = field(default_factory=dict)  # site -> the linear layer that gives it


@dataclass
class Anatomy:
    """A model's parts and sizes."""

    root: nn.Module
    blocks: list[Block]
    points: dict[str, Point]  # sites that are in no block
    missing: dict[str, str]  # site -> why this model does not have it
    width: int
    vocabulary: int
    context: int

    @property
    def inputs(self) -> int:
        """How many token ids there are embeddings for."""
        return self.points["embed"].module.weight.shape[0]  # type: ignore[union-attr, return-value]

    @property
    def layers(self) -> int:
        """L."""
        return len(self.blocks)

    @property
    def offered(self) -> list[str]:
        """Sites that every layer (or the model) has."""
        return [name for name in SITES if name not in self.missing]

    def size(self, site: str, axis: str, layer: int | None) -> int | None:
        """How many there are along an axis of a site; None for positions."""
        if axis in ("D", "V"):
            return self.vocabulary if axis == "V" else self.width
        if axis in ("B", "T", "S"):
            return None
        sizes = self.blocks[layer or 0].sizes
        return sizes.get("H_kv" if axis == "H" and site in ("k", "v") else axis)

    def layer(self, index: int) -> int:
        """A layer index, negative ones counted from the end. Raises OutOfRange with the range there is."""
        if not -self.layers <= index < self.layers:
            raise OutOfRange(f"layer {index} does not exist: there are {self.layers}, 0 to {self.layers - 1}")
        return index % self.layers

    def locate(self, place: Place) -> tuple[int | None, list[int] | None, list[int] | None]:
        """Layer, heads and units that a place names here. Raises OutOfRange or Refused."""
        site = site_named(place.site)
        layer = None if place.layer is None else self.layer(place.layer)
        if site.name in self.missing:
            raise Refused(
                f"this model offers no {site.name}: {self.missing[site.name]}",
                hint=f"it offers {', '.join(self.offered)}",
            )
        where = "" if layer is None else f" in layer {layer}"
        heads = units = None
        if place.heads is not None:
            heads = index_list(place.heads, self.size(site.name, "H", layer) or 0, "head", where)
        if place.units is not None:
            word = "neuron" if place.unit_word == "neurons" else "dim"
            units = index_list(place.units, self.size(site.name, site.unit_axis, layer) or 0, word, where)
        return layer, heads, units

    def point(self, site: str, layer: int | None) -> Point:
        """Where a site that is not inside attention is attached."""
        return self.points[site] if layer is None else self.blocks[layer].points[site]


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The activation among a module's arguments."""
    for value in (*args, kwargs.get("hidden_states")):
        if isinstance(value, Tensor):
            return value
    return None


def main_output(output: Any) -> Tensor | None:
    """The activation among a module's outputs."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return output[0]
    return None


def is_linear(module: nn.Module) -> bool:
    """nn.Linear, or transformers' Conv1D: a weight matrix and maybe a bias."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
