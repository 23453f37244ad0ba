"""Tweaks that add an adapter to the model: a small change of large matrices (LoRA, Hu et al. 2021), from a file or
learned on the spot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from ..spec import Number, Quoted, Whole
from .model import ModelTweak
from .prompt import File

MOST = 10_000  # steps
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Adapt(ModelTweak):
    """Add an adapter in peft's format (`invivo adapt` makes one), merged into the weights."""

    form: ClassVar[str] = "adapt with {file}"
    file: File
    """Its folder, or the file adapter_model.safetensors in it."""

    @property
    def files(self) -> tuple[str, ...]:
        return (self.file,)

    @property
    def folder(self) -> Path:
        """Where adapter_config.json and the weights are."""
        place = Path(self.file).expanduser()
        return place.parent if place.suffix == ".safetensors" else place

    def stamp(self) -> str:
        """Where the two files are, when they were written, and how large they are."""
        places = [(self.folder / name).resolve() for name in (CONFIG, WEIGHTS)]
        told = [(place, place.stat()) for place in places if place.is_file()]
        return " ".join(f"{place} {seen.st_mtime_ns} {seen.st_size}" for place, seen in told)


class AdaptTo(ModelTweak):
    """Learn a text with a LoRA adapter on the matrices of the blocks, everything else frozen, and add it."""

    form: ClassVar[str] = "adapt to {text}[ with rank {rank}][ in {steps} steps][ at rate {rate}]"
    text: Quoted
    """What is learned."""
    rank: Annotated[Whole, Field(ge=1, le=4096)] = 4
    """How many directions each change has: it is a product of matrices (out, rank) and (rank, in)."""
    steps: Annotated[Whole, Field(ge=0, le=MOST)] = 30
    """How many steps of AdamW; after 0 of them the model is BASE."""
    rate: Annotated[Number, Field(gt=0, le=1)] = 2e-3
    """The learning rate at its highest; an adapter takes a larger one than the weights themselves."""
