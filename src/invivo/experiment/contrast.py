"""Directions that a lab makes for itself, on whatever model it runs: one in every layer, from two sets of prompts."""

from __future__ import annotations

from pydantic import Field

from ..spec import Spec


class Contrast(Spec):
    """What tells one set of prompts from another in every layer, made anew before a lab runs."""

    name: str = Field(pattern=r"^[A-Za-z_]\w*\*$")
    """What the directions are kept as; the star is the layer's number, as in `lab20_L*`."""
    with_: tuple[str, ...] = Field(min_length=2)
    """Prompts that show what the directions are about."""
    without: tuple[str, ...] = Field(min_length=2)
    """Prompts that do not."""
    site: str = "resid_post"
    """Where in each layer; the last token of each prompt counts."""
    level: bool = False
    """Whether what lies along the mean of the prompts without is taken out, so that zero means like them."""
