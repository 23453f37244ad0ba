"""Tweaks of the decoder: how the next token is chosen from the model's distribution.

`Decoding` holds a run's settings; each tweak here changes one of them on its own row. The names are Hugging Face's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field, model_validator

from ..errors import BadText, OutOfRange
from ..spec import Number, Quoted, Spec, Whole
from .base import Family, Tweak

MOST_BEAMS = 64  # each is a row of the batch, with a cache of its own


class Decoding(Spec):
    """How tokens are chosen. Filters act in this order: temperature, top_k, top_p (Holtzman et al. 2020)."""

    do_sample: bool = False
    """Sample from the distribution; otherwise take the likeliest token (greedy)."""
    temperature: Number = 1.0
    """Divides the logits before sampling; 0 is greedy."""
    top_k: int = Field(default=0, ge=0)
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: Number = 1.0
    """Keep the fewest tokens whose probability reaches p; 1 keeps all."""
    num_beams: int = Field(default=1, ge=1, le=MOST_BEAMS)
    """Search for the likeliest text with as many drafts side by side (beam search); 1 is none."""
    max_new_tokens: int = Field(default=40, ge=0)
    """How many tokens to generate."""

    @model_validator(mode="after")
    def _in_range(self) -> Decoding:
        if self.temperature < 0:
            raise OutOfRange(f"temperature {self.temperature} is negative", hint="0 is greedy, 1 the model's own")
        if not 0 < self.top_p <= 1:
            raise OutOfRange(f"top_p {self.top_p} is outside (0, 1]", hint="1 keeps every token")
        if self.num_beams > 1 and not self.greedy:
            raise BadText(
                f"{self.num_beams} beams search for the likeliest text, sampling draws one: they cannot be combined",
                hint="leave out the sampling, or the beams",
            )
        return self

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance: the likeliest token is taken, or beams search for the likeliest text."""
        return not self.do_sample or self.temperature == 0


class DecodingTweak(Tweak):
    """A change of the decoder's settings on one row."""

    family: ClassVar[Family] = "decoding"

    def settings(self) -> dict[str, object]:
        """The fields of Decoding that it sets (`seed` too)."""
        raise NotImplementedError

    def change(self, decoding: Decoding) -> Decoding:
        """The row's decoding."""
        changed = {k: v for k, v in self.settings().items() if k != "seed"}
        return Decoding.of(decoding.model_dump() | changed)

    @model_validator(mode="after")
    def _possible(self) -> DecodingTweak:
        self.change(Decoding())
        return self


class SetGreedy(DecodingTweak):
    """Take the likeliest token at every step."""

    form: ClassVar[str] = "set greedy"

    def settings(self) -> dict[str, object]:
        return {"do_sample": False, "num_beams": 1}


class SetBeams(DecodingTweak):
    """Search for the likeliest text with several drafts side by side; 1 is greedy. The score is the plain sum of
    log-probabilities, without a length penalty (beam search: Lowerre 1976; Graves 2012).
    """

    form: ClassVar[str] = "set beams {num_beams}"
    num_beams: Whole
    """How many drafts."""

    def settings(self) -> dict[str, object]:
        return {"do_sample": False, "num_beams": self.num_beams}


class SetTemperature(DecodingTweak):
    """Sample at a temperature; 0 is greedy."""

    form: ClassVar[str] = "set temperature {temperature}"
    temperature: Number
    """Divides the logits."""

    def settings(self) -> dict[str, object]:
        return {"do_sample": self.temperature > 0, "temperature": self.temperature, "num_beams": 1}


class SetTopK(DecodingTweak):
    """Sample from the k likeliest tokens (Fan et al. 2018)."""

    form: ClassVar[str] = "set top_k {top_k}"
    top_k: Whole
    """How many; 0 is all."""

    def settings(self) -> dict[str, object]:
        return {"do_sample": True, "top_k": self.top_k, "num_beams": 1}


class SetTopP(DecodingTweak):
    """Sample from the nucleus: the fewest tokens whose probability reaches p (Holtzman et al. 2020)."""

    form: ClassVar[str] = "set top_p {top_p}"
    top_p: Number
    """The probability to reach."""

    def settings(self) -> dict[str, object]:
        return {"do_sample": True, "top_p": self.top_p, "num_beams": 1}


class SetSeed(DecodingTweak):
    """Sample with other dice."""

    form: ClassVar[str] = "set seed {seed}"
    seed: Whole
    """Which dice."""

    def settings(self) -> dict[str, object]:
        return {"seed": self.seed}

    @model_validator(mode="after")
    def _not_negative(self) -> SetSeed:
        if self.seed < 0:
            raise BadText(f"a seed is not negative: {self.seed}")
        return self


def check_beams(tweaks: Iterable[Tweak]) -> None:
    """Refuse a row whose own tweaks ask for beams and for another way to choose. Raises BadText."""
    choosing = [t for t in tweaks if isinstance(t, DecodingTweak) and not isinstance(t, SetSeed)]
    beams = next((t for t in choosing if isinstance(t, SetBeams)), None)
    other = next((t for t in choosing if not isinstance(t, SetBeams)), None)
    if beams is not None and other is not None:
        raise BadText(
            f"`{beams}` and `{other}` are two ways to choose, and a row has one",
            hint="make them two TWEAK rows; beams draw nothing, so there is nothing to filter or to heat",
        )


class LogitBias(Tweak):
    """Add a constant to the logit of one token, at every step."""

    family: ClassVar[Family] = "decoding"
    form: ClassVar[str] = "add {amount} to logit {token}"
    amount: Number
    """What is added, in nats."""
    token: Quoted
    """The token's text; it must be one token of the model."""
