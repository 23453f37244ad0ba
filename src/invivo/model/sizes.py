"""The sizes of a GPT-2, as config.json has them, and from them the parameters of each of its parts.

Counted by arithmetic, so that drawing the anatomy loads no weights and no torch. What other architectures have (no
position embedding, no biases) is not counted here.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from ..errors import BadText
from ..spec import Spec


class Sizes(Spec):
    """Each property counts weights and biases of one part; those that parts share are counted once."""

    model_config = ConfigDict(extra="ignore")  # a config has much more

    layers: int = Field(alias="n_layer", ge=1)
    heads: int = Field(alias="n_head", ge=1)
    width: int = Field(alias="n_embd", ge=1)
    inner: int | None = Field(default=None, alias="n_inner", ge=1)
    context: int = Field(alias="n_positions", ge=1)
    vocabulary: int = Field(alias="vocab_size", ge=1)
    tied: bool = Field(default=True, alias="tie_word_embeddings")

    @model_validator(mode="after")
    def _divisible(self) -> Sizes:
        if self.width % self.heads:
            raise BadText(f"width {self.width} is not divisible by {self.heads} heads")
        return self

    @property
    def neurons(self) -> int:
        """F: four times the width where the config names no number."""
        return self.inner or 4 * self.width

    @property
    def embed(self) -> int:
        """A row for each token of the vocabulary."""
        return self.vocabulary * self.width

    @property
    def pos_embed(self) -> int:
        """A row for each position."""
        return self.context * self.width

    @property
    def norm(self) -> int:
        """A scale and a shift for each dimension."""
        return 2 * self.width

    @property
    def attention(self) -> int:
        """Of one layer: queries, keys and values of all heads, and the way back to the residual stream."""
        return 4 * (self.width * self.width + self.width)

    @property
    def mlp(self) -> int:
        """Of one layer: into its neurons and out of them."""
        return 2 * self.width * self.neurons + self.neurons + self.width

    @property
    def layer(self) -> int:
        """Of one layer: attention and MLP, each behind a norm."""
        return 2 * self.norm + self.attention + self.mlp

    @property
    def head(self) -> int:
        """The map to the vocabulary; none of its own where it is the embedding again."""
        return 0 if self.tied else self.embed

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.embed + self.pos_embed + self.layers * self.layer + self.norm + self.head
