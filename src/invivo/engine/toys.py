"""Toy models: small GPT-2s with random weights, and the loop that trains them, for labs that train on the spot."""

from __future__ import annotations

from ..model import light as light  # before anything of transformers is imported

# isort: split
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from ..errors import OutOfRange
from ..model.load import quiet

WARMUP = 0.05  # of the steps: the rate goes up, then down a half cosine to a tenth (Loshchilov & Hutter 2017)
LONGEST = 1.0  # gradients are cut to this length (Pascanu et al. 2013)

M = TypeVar("M", bound=nn.Module)
State = dict[str, Any]  # of a training run: losses so far, the optimiser's state, what was learned


def gpt2(
    *, layers: int, width: int, vocabulary: int, context: int, heads: int = 4, seed: int = 0, **config: object
) -> GPT2LMHeadModel:
    """A GPT-2 of that shape with the random weights of `seed`, without dropout. Raises OutOfRange for a bad shape."""
    if width % heads:
        raise OutOfRange(f"width {width} is not divisible by {heads} heads")
    shape = GPT2Config(
        n_layer=layers,
        n_embd=width,
        n_head=heads,
        vocab_size=vocabulary,
        n_positions=context,
        bos_token_id=0,
        eos_token_id=0,
        **({"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} | config),  # pyright: ignore[reportArgumentType]
    )
    return seeded(lambda: GPT2LMHeadModel(shape), seed)


def seeded(make: Callable[[], M], seed: int) -> M:
    """What `make` makes with the dice of `seed`, in evaluation mode; the caller's dice are left as they were."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        return make().eval()


def weights(model: nn.Module) -> int:
    """How many numbers are learned in its blocks: all but embeddings and head (Kaplan et al. 2020 count so)."""
    return sum(
        p.numel() for name, p in model.named_parameters() if not any(part in name for part in ("wte", "wpe", "lm_head"))
    )


def loss(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Mean surprise in nats at each token of (B, T) ids but the first, given those before it."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


@torch.no_grad()
def measured(model: PreTrainedModel, ids: Tensor, rows: int = 32) -> float:
    """The same over all of `ids`, `rows` at a time."""
    parts = ids.split(rows)
    return sum(float(loss(model, part)) * len(part) for part in parts) / len(ids)


def fit(
    model: PreTrainedModel,
    batches: Iterable[Tensor],
    *,
    steps: int,
    rate: float,
    objective: Callable[[PreTrainedModel, Tensor], Tensor] = loss,
    decay: float = 0.0,
    on_step: Callable[[int, float], None] | None = None,
    start: State | None = None,
    keep: Callable[[State], None] | None = None,
    every: int = 50,
) -> list[float]:
    """Train what of `model` asks for a gradient with AdamW (Loshchilov & Hutter 2019) for `steps` batches.

    Returns the objective before each step. `on_step` is told (step, objective) after each. The model is left in
    evaluation mode, also when interrupted. `keep` is given what is needed to go on, after `every` steps, at the end
    and when interrupted; given back as `start`, with the same batches, training goes on as if it had never stopped.
    """
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=rate, betas=(0.9, 0.98), weight_decay=decay)
    found: list[float] = [] if start is None else list(start["found"])
    if start is not None:
        optimizer.load_state_dict(start["optimizer"])
        with torch.no_grad():
            for parameter, value in zip(learned, start["learned"], strict=True):
                parameter.copy_(value)
    first = len(found)

    def state() -> State:
        return {"found": found, "optimizer": optimizer.state_dict(), "learned": [p.detach() for p in learned]}

    devices = [p.device for p in learned[:1] if p.device.type == "cuda"]
    with torch.random.fork_rng(devices=devices):
        model.train()
        try:
            for step, batch in zip(range(steps), batches, strict=False):
                if step < first:
                    continue
                for group in optimizer.param_groups:
                    group["lr"] = rate * _factor(step, steps)
                torch.manual_seed(step)  # for dropout, where there is any
                with torch.enable_grad():
                    value = objective(model, batch)
                    optimizer.zero_grad(set_to_none=True)
                    value.backward()
                nn.utils.clip_grad_norm_(learned, LONGEST)
                optimizer.step()
                found.append(float(value.detach()))
                if on_step is not None:
                    on_step(step, found[-1])
                if keep is not None and (step + 1) % every == 0:
                    keep(state())
        finally:
            model.eval()
            if keep is not None and len(found) > first:
                keep(state())
    return found


def _factor(step: int, steps: int) -> float:
    """The learning rate's factor at `step`."""
    up = (step + 1) / max(1.0, WARMUP * steps)
    return min(1.0, up, 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
