"""A direction as plain data: how it was made and how long it is. Its numbers stay in its file.

A direction holds whatever the two sets of prompts do not share, wanted or not, so its record carries what tells a
reader how far to trust it: how many prompts, how long it is beside what is usual at the place, and whether every other
prompt alone gives the same one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field

from ..errors import BadText, InvivoError
from ..show import shell
from ..show.blocks import Block, Code, Document, Heading, Table, Text
from ..sites import APlace, Indices
from ..spec import Number
from ..tweaks.steering import ADirection, Project, Steer
from .result import Result

MEAN_DIFFERENCE = "mean difference"
LEVEL = "mean difference, less what lies along the mean without"


class Direction(Result):
    """One direction: where it was found, from what, and its size. A file made elsewhere may not say all of it."""

    name: ADirection
    """Its name, or the path of its file."""
    width: int
    """How many numbers it has."""
    norm: Number
    """Its length (Euclidean), in the units of the activation."""
    place: APlace | None = None
    """Where it was found."""
    at: Indices | None = None
    """Which positions of each prompt were averaged."""
    how: str = ""
    """How it was made: "mean difference"."""
    with_prompts: int = 0
    """How many prompts showed what it is about."""
    without_prompts: int = 0
    """How many did not."""
    usual_norm: Number | None = None
    """Mean length of the activations that it was made from."""
    agreement: Number | None = None
    """Cosine between the directions that the even and the odd prompts give alone."""
    model: str = ""
    """Name of the model it was made on."""
    revision: str = ""
    """Which weights exactly."""
    device: str = ""
    """Where, and in which number format."""
    versions: dict[str, str] = Field(default_factory=dict)
    """What computed it."""

    def metadata(self) -> dict[str, str]:
        """What its file says about it, as text; site and layer also by themselves, for other readers."""
        plain = self.model_dump(mode="json", exclude={"name", "width"}, exclude_defaults=True)
        if self.place is not None:
            plain |= {"site": self.place.site, "layer": self.place.layer}
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in plain.items() if v is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str, width: int, norm: float) -> Self:
        """The record of a file. Raises BadText where what it says cannot be read."""
        told = {k: v for k, v in metadata.items() if k in cls.model_fields}
        try:
            versions = json.loads(told.pop("versions", "{}"))
        except json.JSONDecodeError as error:
            raise BadText(f"versions: no JSON ({error.msg})") from None
        return cls.of(told | {"versions": versions, "name": name, "width": width, "norm": norm})

    def made_for(self, model: str, revision: str) -> bool:
        """Whether it was made on these weights; where a revision says nothing, on a model of that name."""
        known = "unknown" not in (self.revision, revision) and self.revision
        return self.revision == revision if known else self.model == model

    @property
    def origin(self) -> str:
        """Where it was made, in words."""
        made = f"{self.model} at {self.revision[:19]}" if self.model else "a model that its file does not name"
        return f"{made}, {self.place}" if self.place is not None else made

    def document(self) -> Document:
        """What to show of it, in order."""
        return _document(self)


def _document(one: Direction) -> Document:
    """How it was made, how far to trust it, and the lines that use it."""
    blocks: list[Block] = [Heading(text=f"Direction {one.name}")]
    if one.place is not None:
        at = "all positions" if one.at == ":" else f"position {one.at}"
        blocks.append(
            Text(
                text=f"Mean of {one.place} over {one.with_prompts} prompts minus its mean over {one.without_prompts} "
                f"others, {at} of each."
            )
        )
    size = f"Its length is {one.norm:.3g}"
    if one.usual_norm:
        size += f", {one.norm / one.usual_norm:.0%} of what an activation there has ({one.usual_norm:.3g})"
    blocks.append(Text(text=f"{size}; strength 1 adds that much."))
    if one.agreement is not None:
        blocks.append(
            Text(
                text=f"The even prompts alone and the odd ones alone give directions with a cosine of "
                f"{one.agreement:.2f}: 1 is the same one, 0 is chance."
            )
        )
    if one.place is not None:
        lines = (
            Steer(place=one.place, direction=one.name, strength=1),
            Steer(place=one.place, direction=one.name, strength=-1),
            Project(place=one.place, direction=one.name),
        )
        model = [] if one.model == "fruitfly" else ["--model", one.model]
        words = [w for line in lines for w in ("--tweak", str(line))]
        blocks += [
            Heading(text="Use it"),
            Code(text=shell.join(["invivo", "compare", "Once upon a time", *words, *model])),
        ]
    versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
    where = f", on {one.device}" if one.device else ""
    blocks.append(Text(text=f"{one.origin}{where}; {versions}", tone="dim"))
    return Document(blocks=tuple(blocks))


def directions_document(found: Sequence[Direction], broken: Mapping[str, InvivoError], folder: str) -> Document:
    """The directions that are kept, and the files that cannot be read."""
    blocks: list[Block] = []
    if found:
        rows = tuple(
            (
                one.name,
                str(one.place or "?"),
                f"{one.norm:.3g}" + (f", {one.norm / one.usual_norm:.0%} of usual" if one.usual_norm else ""),
                "?" if one.agreement is None else f"{one.agreement:.2f}",
                f"{one.with_prompts}, {one.without_prompts}",
                one.model or "?",
            )
            for one in found
        )
        columns = ("direction", "place", "length", "halves agree", "prompts", "model")
        blocks.append(Table(columns=columns, rows=rows))
    else:
        blocks.append(Text(text="No direction is kept yet. Make one from two files with one prompt a line:"))
        blocks.append(Code(text="invivo direction NAME --site L4.resid_post --with FILE --without FILE"))
    blocks += [Text(text=f"{file}: {error.what}", tone="note") for file, error in broken.items()]
    blocks.append(Text(text=f"They are kept in {folder}.", tone="dim"))
    return Document(blocks=tuple(blocks))
