"""What a law is tried on: a model, two texts of one length, and what BASE says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..tweaks import Activation, Decoding, Stack
from .decode import Said, end_tokens, generate
from .forward import watched
from .living import Living
from .reading import logits_of
from .rows import Row, check_effect, prepare

FIRST = "The cat sat on the mat and looked out"  # two texts that share no beginning
SECOND = "Seven ships had left one port by dawn"
STEPS = 4  # tokens generated, with a cache and without


def rounding(dtype: torch.dtype) -> float:
    """What other batch shapes and kernels may round to, as a share of the largest logit; a fault is off by far more."""
    return 1e-4 if dtype in (torch.float32, torch.float64) else 5e-2


@dataclass
class Subject:
    """What every law is tried on: a model, two texts of one length as ids, and what BASE says of them."""

    living: Living
    first: list[int]
    second: list[int]
    left: set[str] = field(default_factory=set)  # hooks and the like that were there before
    looking: set[str] = field(default_factory=set)  # visitors that a law left behind
    said: str = ""  # what a law has to say beside its number

    def __post_init__(self) -> None:
        self.layers = self.living.anatomy.layers
        self.middle = self.layers // 2
        self.base = self.plain(self.first)  # (T, V)
        self.scale = max(float(self.base.nan_to_num(0, 0, 0).abs().max()), 1e-6)
        with watched(self.living.anatomy, capture=[(self.middle, "resid_pre")]) as run:
            self.living.hf(input_ids=self._ids(self.first), use_cache=False)
        self.spread = float(run.tensors()[(self.middle, "resid_pre")].float().std())

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], device=self.living.device)

    def plain(self, ids: Sequence[int]) -> Tensor:
        """Logits (T, V) of the model itself, with nobody looking."""
        return self.living.hf(input_ids=self._ids(ids), use_cache=False).logits[0].float()

    def apart(self, one: Tensor, other: Tensor) -> float:
        """The largest difference, as a share of BASE's largest logit."""
        return float((one.float() - other.float()).masked_fill(one == other, 0.0).abs().max()) / self.scale

    @property
    def sites(self) -> list[str]:
        """Sites that this model offers."""
        return self.living.anatomy.offered

    def everywhere(self, form: str, site: str) -> str:
        """A line for a site of every layer at once: `scale {} by 1`."""
        layered = site not in ("embed", "pos_embed", "final_norm", "logits")
        places = [f"L{n}.{site}" for n in range(self.layers)] if layered else [site]
        return " + ".join(form.format(place) for place in places)

    def row(self, line: str, prompt: list[int]) -> Row:
        """A TWEAK row that is alone in its batch, and whose text does not end by itself."""
        prompts = {"itself": self.first, "other": self.second}
        row = prepare(self.living, [Stack.of(line)], prompt, prompts, Decoding(), 0)[1]
        for action in row.actions:
            action.row = 0
        row.biases = dict.fromkeys(end_tokens(self.living), -1e4)
        return row

    def tweaked(self, line: str) -> Tensor:
        """Logits (T, V) of the first text under a tweak that is reached."""
        row = self.row(line, self.first)
        logits = logits_of(self.living, [row], self.first, len(self.first))[0]
        check_effect([row])
        return logits.float()

    def lines(self, prompt: int) -> list[str]:
        """Tweaks of many kinds for a prompt of so many tokens: heads, noise, positions, prompt or generation only."""
        n = self.middle
        lines = [
            f"zero L{n}.z heads 0",
            f"scale L{n}.k by 1.5",
            f"add 0.1 to L{n}.pattern",
            f"add noise {self.spread:.3g} to L{n}.resid_pre",
            f"mean L{n}.attn_out",
            f"zero L{n}.mlp_out at 1,-1",
            f"scale L{n}.resid_post by 3 during generation",
            f"zero L{n}.resid_pre at {prompt + 1}",
        ]
        return [
            line
            for line in lines
            if all(a.place.site in self.sites for a in Stack.of(line) if isinstance(a, Activation))
        ]

    def speak(self, prompts: Sequence[list[int]], rows: Sequence[Row], steps: int = STEPS) -> list[Said]:
        """What rows say, decoded with a cache."""
        for place, row in enumerate(rows):
            for action in row.actions:
                action.row = place
        return list(generate(self.living, prompts, rows, steps))[-1]
