"""lm-evaluation-harness around a row: its model class (Gao et al., 2021 to 2026), and silence while it works."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from types import SimpleNamespace
from typing import Any

from ...errors import Refused
from ...tweaks import Decoding
from ..extras import extra, silence
from .scorer import Scorer

EXTRA = "eval"
TOKENS = 256  # written where a task does not say how many, as in the harness
ALIASES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


def harness(module: str) -> Any:
    """A module of the harness. Raises Refused, with the line that installs it, where it is missing."""
    try:
        return extra(f"lm_eval.{module}", EXTRA)
    except Refused as error:  # a lab's step that is left out tells one line
        raise Refused(f"{error.what}: {error.hint}") from None


def hushed() -> AbstractContextManager[None]:
    """Inside, the harness draws no bars, and neither logs nor warns: what matters is raised, and said once."""
    return silence(logging.ERROR)


@cache
def _reader() -> Any:
    """The class, which exists only where the harness does."""

    class Reader(harness("api.model").TemplateLM):
        """A scorer as the harness's model: tokens in, log-probabilities out, on the model as it stands tweaked."""

        def __init__(self, scorer: Scorer) -> None:
            super().__init__()
            self.scorer = scorer
            self.tokenizer = scorer.living.tokenizer

        @property
        def eot_token_id(self) -> int:
            return self.scorer.prefix if self.tokenizer.eos_token_id is None else int(self.tokenizer.eos_token_id)

        @property
        def prefix_token_id(self) -> int:
            return self.scorer.prefix

        @property
        def max_length(self) -> int:
            """Longest input in tokens."""
            return self.scorer.living.anatomy.context

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            return self.scorer.encode(string, special=add_special_tokens is not False)

        def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> list[tuple[float, bool]]:
            pairs = [(self.scorer.question(r.args[0]), r.args[1]) if r.args[0] else r.args for r in requests]
            return super().loglikelihood([SimpleNamespace(args=pair) for pair in pairs], disable_tqdm=True)

        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            heard = self.scorer.read([(context, continuation) for _, context, continuation in requests])
            return [(one.total, one.greedy) for one in heard]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> list[float]:
            return [math.fsum(self.scorer.surprise(self.tok_encode(r.args[0]))) for r in requests]

        def generate_until(self, requests: Any, disable_tqdm: bool = True) -> list[str]:
            found: list[str] = [""] * len(requests)
            for kwargs, numbers in _by_settings(requests):
                texts = [self.scorer.question(requests[n].args[0]) for n in numbers]
                for n, text in zip(numbers, self.scorer.write(texts, *_settings(kwargs)), strict=True):
                    found[n] = text
            return found

    return Reader


def reader(scorer: Scorer) -> Any:
    """The harness's model for a scorer. Raises Refused where the harness is missing."""
    return _reader()(scorer)


def _by_settings(requests: Sequence[Any]) -> list[tuple[dict[str, Any], list[int]]]:
    """Requests that want to be continued in the same way, by their number."""
    groups: list[tuple[dict[str, Any], list[int]]] = []
    for number, request in enumerate(requests):
        for kwargs, numbers in groups:
            if kwargs == request.args[1]:
                numbers.append(number)
                break
        else:
            groups.append((request.args[1], [number]))
    return groups


def _settings(kwargs: dict[str, Any]) -> tuple[int, list[str], Decoding]:
    """How many tokens, where to stop, and how to choose. Raises Refused for what this decoder has not."""
    kwargs = dict(kwargs)
    stops = kwargs.pop("until", None) or []
    given = [kwargs.pop(name) for name in ALIASES if name in kwargs]
    temperature = float(kwargs.pop("temperature", 0.0) or 0.0)
    sample = bool(kwargs.pop("do_sample", temperature > 0)) and temperature > 0
    chosen = {name: kwargs.pop(name) for name in ("top_k", "top_p", "num_beams") if name in kwargs}
    if kwargs:
        raise Refused(f"a task wants text with {', '.join(kwargs)}, which this decoder does not have")
    decoding = Decoding.of({"do_sample": sample, "temperature": temperature if sample else 1.0, **chosen})
    return int(given[0] if given else TOKENS), [stops] if isinstance(stops, str) else list(stops), decoding
