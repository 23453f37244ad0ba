"""A recipe: the numbers that decide what a training run makes."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvivoError


@dataclass(frozen=True)
class Recipe:
    """The same recipe on the same text and the same machine gives the same weights."""

    layers: int = 6
    heads: int = 8
    width: int = 256
    vocabulary: int = 8192
    context: int = 512
    tokens: int = 24_000_000
    batch_tokens: int = 8192
    muon_rate: float = 6e-3
    adam_rate: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.02
    decay: float = 0.35
    seed: int = 0
    generated: int = 1  # 1: mixed with the generator's texts; 0: the folder's text alone
    start: str = ""  # SHA-256 of the weights that training starts from; empty: random ones

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "width", "tokens", "batch_tokens", "warmup", "decay"):
            if not getattr(self, name) > 0:
                raise InvivoError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.width % self.heads:
            raise InvivoError(f"width {self.width} is not divisible by {self.heads} heads")
        if not 8 <= self.context <= self.batch_tokens:
            raise InvivoError(f"context must be from 8 to batch_tokens ({self.batch_tokens:,}), not {self.context:,}")
        if not 257 <= self.vocabulary <= 65_536:  # 256 bytes and end-of-text; token caches hold 16 bits
            raise InvivoError(f"vocabulary must be from 257 to 65,536, not {self.vocabulary:,}")

    def rate(self, step: int) -> float:
        """The learning rate's factor at `step`: up, flat, linearly down to zero."""
        share = step / self.steps
        return max(0.0, min(1.0, (share + 1 / self.steps) / self.warmup, (1 - share) / self.decay))

    @property
    def steps(self) -> int:
        """Number of batches."""
        return max(1, self.tokens // self.batch_tokens)
