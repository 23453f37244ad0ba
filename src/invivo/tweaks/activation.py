"""Tweaks of activations: change what a place holds while the model runs.

Each says how old values become new ones (`change`), with tensor methods only, so that reading a tweak never loads
torch. Which row, which positions and which units are meant is the engine's business: it hands over the selected values
and puts the new ones back.

A tweak acts on prompt tokens and on generated ones alike; `during prompt` or `during generation` restricts it, `at`
names absolute positions. The last prompt position belongs to the prompt: it chooses the first generated token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol

from pydantic import model_validator

from ..errors import BadText
from ..sites import APlace, Indices
from ..spec import Name, Number, Quoted, Spelling, Whole
from .base import Family, Tweak, When

if TYPE_CHECKING:
    from torch import Tensor


class Here(Protocol):
    """What the engine offers a tweak about the selected values: shapes are those of the values themselves."""

    def normal(self, seed: int) -> Tensor:
        """Standard normal noise, a function of (seed, site, absolute position, unit) alone."""
        ...

    def source(self) -> Tensor:
        """For `copy` and `mean`: the values to put here, from the run the tweak names."""
        ...

    def spread(self) -> Tensor:
        """For `add … sd`: each unit's standard deviation, of size 1 along positions."""
        ...

    def direction(self) -> Tensor:
        """For tweaks along a direction: its numbers for the selected units (width,), the last axis of the values."""
        ...

    def positions(self) -> list[int]:
        """The absolute positions of the values."""
        ...


WeightForm = Literal["scale", "shift"]


class Activation(Tweak):
    """A change of the values at one place."""

    family: ClassVar[Family] = "activation"
    place: APlace
    """Where."""
    during: When = "all"
    """When: on prompt tokens, on generated tokens, or on all."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        """New values for `old`, of the same shape."""
        raise NotImplementedError

    @property
    def source_prompt(self) -> str | None:
        """The named prompt it takes values from; the empty name is BASE's own prompt; None when it takes none."""
        return None

    @property
    def as_weights(self) -> tuple[WeightForm, float] | None:
        """The same change as an edit of weights: the part that produces (or reads) the place scaled by a factor or
        shifted by a constant. None when it cannot be written so. The engine knows which weights those are.
        """
        return None

    @property
    def everywhere(self) -> bool:
        """Whether it acts at every position and all the time, as weights do."""
        return self.place.at is None and self.place.keys is None and self.during == "all"


class Zero(Activation):
    """Set the values to zero (zero ablation)."""

    form: ClassVar[str] = "zero {place}[ during {during}]"

    def change(self, old: Tensor, here: Here) -> Tensor:
        return old.new_zeros(old.shape)

    @property
    def as_weights(self) -> tuple[WeightForm, float] | None:
        return ("scale", 0.0) if self.everywhere else None


class Mean(Activation):
    """Replace the values by their mean over a prompt's positions (mean ablation), the same at every position.

    The mean is taken once, over BASE's own prompt or the named one, and then holds for every token, generated ones too.
    """

    form: ClassVar[str] = "mean {place}[ from {source_name}][ during {during}]"
    source_name: Name | None = None
    """The named prompt whose mean it is; BASE's own prompt when left out."""

    @property
    def source_prompt(self) -> str | None:
        return self.source_name or ""

    def change(self, old: Tensor, here: Here) -> Tensor:
        return here.source()

    @model_validator(mode="after")
    def _has_a_mean(self) -> Mean:
        if self.place.site in ("scores", "pattern"):
            raise BadText(f"{self.place.site} has no mean over positions", hint="average z or attn_out instead")
        return self


class Scale(Activation):
    """Multiply the values by a factor."""

    form: ClassVar[str] = "scale {place} by {factor}[ during {during}]"
    factor: Number
    """The factor; 1 changes nothing."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        return old * self.factor

    @property
    def as_weights(self) -> tuple[WeightForm, float] | None:
        return ("scale", self.factor) if self.everywhere else None


class Add(Activation):
    """Add a constant to each value."""

    form: ClassVar[str] = "add {amount} to {place}[ during {during}]"
    amount: Number
    """What is added."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        return old + self.amount

    @property
    def as_weights(self) -> tuple[WeightForm, float] | None:
        return ("shift", self.amount) if self.everywhere else None


class AddSd(Activation):
    """Add so many standard deviations to each value: sizes differ from neuron to neuron, and this makes them alike.

    The standard deviation is the unit's own in BASE, over a hundred short sentences that come with invivo
    (`invivo.tweaks.sentences`), or over a text given in quotes; a text's first token is left out, because many models
    treat it unlike all others.
    """

    form: ClassVar[str] = "add {amount} sd to {place}[ from {text}][ during {during}]"
    amount: Number
    """How many standard deviations; 0 changes nothing, negative ones lead the other way."""
    text: Quoted | None = None
    """The text that the standard deviation is taken over, in quotes; invivo's sentences when left out."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        return old + self.amount * here.spread()

    @model_validator(mode="after")
    def _has_a_spread(self) -> AddSd:
        if self.place.site in ("scores", "pattern"):
            raise BadText(f"{self.place.site} is as wide as the text is long, so it has no standard deviation")
        return self


class Noise(Activation):
    """Add Gaussian noise of a given standard deviation. The same seed gives the same noise at a place and position."""

    form: ClassVar[str] = "add noise {sigma} to {place}[ seed {seed}][ during {during}]"
    sigma: Number
    """Standard deviation, in the units of the activation."""
    seed: Whole = 0
    """Which noise."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        return old + self.sigma * here.normal(self.seed)

    @model_validator(mode="after")
    def _not_negative(self) -> Noise:
        if self.sigma < 0:
            raise BadText(f"a standard deviation is not negative: {self.sigma}")
        return self


class RelativeNoise(Noise):
    """Add to each vector a random one so many times as long: noise that means the same at every place and model."""

    form: ClassVar[str] = "add relative noise {sigma} to {place}[ seed {seed}][ during {during}]"
    sigma: Number
    """Length of the random vector, in lengths of the vector that is there."""

    def change(self, old: Tensor, here: Here) -> Tensor:
        dice = here.normal(self.seed)
        return old + dice * (self.sigma * old.norm(dim=-1, keepdim=True) / dice.norm(dim=-1, keepdim=True))


ENDS = Spelling("ends", str.lower, str, "ends", "ends")


class Copy(Activation):
    """Copy the values from a run on another prompt (activation patching).

    Aligned by ends, prompts of unequal length have their common beginning and their common end copied one to one.
    """

    form: ClassVar[str] = "copy {place} from {source_name}[ at {source_at}][ aligned by {aligned}][ during {during}]"
    source_name: Name
    """The named prompt to copy from."""
    source_at: Indices | None = None
    """Positions to copy from, as many as there are to copy to; the same ones when left out."""
    aligned: Annotated[Literal["ends"] | None, ENDS] = None
    """How positions of prompts of unequal length belong together: by common beginning and end, in tokens."""

    @property
    def source_prompt(self) -> str | None:
        return self.source_name

    def change(self, old: Tensor, here: Here) -> Tensor:
        return here.source()

    @model_validator(mode="after")
    def _whole_positions(self) -> Copy:
        if self.source_at is not None and self.aligned is not None:
            raise BadText(f"`{self.place}` is given both positions to copy from and an alignment", hint="give one")
        if self.place.site in ("scores", "pattern") and (self.source_at is not None or self.aligned is not None):
            raise BadText("scores and pattern are copied at the same positions only")
        if self.source_at is not None and self.place.at is None:
            raise BadText(
                "copying from given positions needs positions to copy to",
                hint=f"write `copy {self.place} at 5 from {self.source_name} at {self.source_at}`",
            )
        return self
