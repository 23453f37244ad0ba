"""Tweaks that make a second model by learning, or by forgetting: trained further on a text, or given random weights."""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar

from pydantic import Field

from ..spec import Number, Quoted, Whole
from .model import ModelTweak
from .prompt import File, text_of

MOST = 10_000  # steps; who wants more wants `invivo train`, which keeps what it made


class Training(ModelTweak):
    """A change that trains the whole model further on a text (full fine-tuning)."""

    steps: Annotated[Whole, Field(ge=0, le=MOST)]
    """How many steps of AdamW (Loshchilov & Hutter 2019); after 0 of them the model is BASE."""
    rate: Annotated[Number, Field(gt=0, le=1)] = 3e-4
    """The learning rate at its highest."""

    @property
    def source(self) -> str:
        """The text. Raises UnknownName or BadText for a file that cannot be read."""
        raise NotImplementedError


class Train(Training):
    """Train the model further on a text, all its weights, and compare with what comes out."""

    form: ClassVar[str] = "train {steps} steps on {text}[ at rate {rate}]"
    text: Quoted
    """What it is trained on."""

    @property
    def source(self) -> str:
        return self.text


class TrainFile(Training):
    """Train the model further on a file's text, all its weights, and compare with what comes out."""

    form: ClassVar[str] = "train {steps} steps on {file}[ at rate {rate}]"
    file: File
    """Path of a text file of at most a megabyte; for more there is `invivo train`."""

    @property
    def source(self) -> str:
        return text_of(self.file)

    @property
    def files(self) -> tuple[str, ...]:
        return (self.file,)

    def stamp(self) -> str:
        """Of the file's text."""
        return hashlib.sha256(self.source.encode()).hexdigest()


class Reset(ModelTweak):
    """Give the model new random weights, as training began with: nothing that it learned is left."""

    form: ClassVar[str] = "reset weights[ seed {seed}]"
    seed: Annotated[Whole, Field(ge=0)] = 0
    """The dice of the weights."""
