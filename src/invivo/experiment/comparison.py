"""What came out of an experiment: BASE, the TWEAKs, and the numbers between them. Pure data, to JSON and back.

Positions count from 0 over prompt and BASE's continuation. A number at position i is about the distribution over the
token after it. All per-position numbers are taken on BASE's text, read by every row alike, so they show the tweak and
not the different words that followed from it.
"""

from __future__ import annotations

from ..metrics import METRICS
from ..show.blocks import Document
from ..spec import Spec
from ..tweaks import Stack
from .plan import Experiment
from .result import Result


class Candidate(Spec):
    """A token that might come next."""

    id: int
    """Vocabulary index."""
    text: str
    """Its text, byte fragments as \\xNN."""
    base: float
    """Probability under BASE."""
    tweak: float
    """Probability under TWEAK (BASE's own, in BASE's table)."""

    @property
    def change(self) -> float:
        """TWEAK's probability minus BASE's."""
        return self.tweak - self.base


class Run(Spec):
    """What one row said, and how sure it was."""

    text: str
    """The generated text."""
    ids: tuple[int, ...]
    """Generated token ids."""
    tokens: tuple[str, ...]
    """Their texts."""
    said_nats: tuple[float, ...]
    """Log-probability of each generated token under the row's own model (before temperature and filters)."""
    choice_entropy_nats: tuple[float, ...]
    """Entropy of the distribution that the decoder drew each token from; 0 where it took the likeliest."""
    entropy_nats: tuple[float, ...]
    """Entropy of the next-token distribution, per position of BASE's text."""
    perplexity: float | None
    """Perplexity of BASE's continuation under this row; of the prompt where nothing was generated; None where that is
    a single token."""
    next: tuple[Candidate, ...]
    """Likeliest tokens after the prompt, of this row and of BASE, by larger probability."""
    target_nats: float | None = None
    """Log-probability of the target after the prompt."""
    ahead_nats: float | None = None
    """How far the target's logit is ahead of the wrong answer's, at the first token in which the two differ."""
    read_perplexity: float | None = None
    """Perplexity of the text to read."""


class TweakRun(Run):
    """A TWEAK row beside BASE."""

    tweak: Stack
    """Its tweaks."""
    kl_nats: tuple[float, ...]
    """KL(BASE ‖ TWEAK) of the next-token distributions, per position of BASE's text."""
    top_changed: tuple[bool, ...]
    """Whether the likeliest next token differs, per position of BASE's text."""
    first_divergence: int | None
    """Index of the first generated token that differs from BASE's; None when none does."""
    notes: tuple[str, ...] = ()
    """What the reader should know: a tweak that changed nothing, positions it did not reach."""


class Comparison(Result):
    """BASE and TWEAKs on the same prompt with the same dice."""

    recipe: Experiment
    """What was run."""
    prompt_ids: tuple[int, ...]
    """The prompt's token ids."""
    prompt_tokens: tuple[str, ...]
    """Their texts."""
    base: Run
    """The untouched run."""
    tweaks: tuple[TweakRun, ...]
    """The tweaked runs, in the recipe's order."""
    versions: dict[str, str]
    """Versions of invivo, Python, torch, transformers."""
    revision: str
    """The model's revision: a hash of its weights or its hub revision."""
    device: str
    """Where it ran, with the number format."""
    seconds: float
    """How long it took."""
    notes: tuple[str, ...] = ()
    """What the reader should know about the whole."""
    source_ahead_nats: float | None = None
    """How far the target's logit is ahead of the wrong answer's on the one prompt that values are copied from."""
    allowed: tuple[str, ...] = ()
    """What loading the model was allowed to run: pickle, remote-code."""

    @property
    def numbers(self) -> dict[str, tuple[float | None, ...]]:
        """Every metric: BASE's value, then each TWEAK row's."""
        rows = (None, *range(len(self.tweaks)))
        return {name: tuple(metric.of(self, row) for row in rows) for name, metric in METRICS.items()}

    def document(self) -> Document:
        """What to show of it, in order."""
        from .views import comparison_document

        return comparison_document(self)

    def pictured(self) -> Document:
        """The same with figures."""
        from .views import comparison_pictured

        return comparison_pictured(self)
