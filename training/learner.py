"""What learns: a GPT-2 with its optimisers at some step, which can be saved, loaded, and moved on by one batch.

Weight matrices of the blocks are trained by Muon (Jordan et al. 2024, torch.optim.Muon), everything else by AdamW.
bfloat16 autocast and torch.compile: on two CPU cores the second alone nearly doubled the tokens per second.

A step depends on the checkpoint and on the batch, on nothing else: no random number is drawn after the first weights.
So a run that was killed and resumed is, on one thread without torch.compile, bit for bit the run that was not.
"""

from __future__ import annotations

import pickle
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from transformers import GPT2Config, GPT2LMHeadModel

from invivo.errors import InvivoError

from .files import write_whole
from .recipe import Recipe


class CheckpointError(InvivoError):
    """The checkpoint in the output folder cannot be read or does not fit. It is left as it is."""


def new_model(recipe: Recipe) -> GPT2LMHeadModel:
    """A GPT-2 with random weights. Trained with the fused form of its activation, saved under the usual name."""
    torch.manual_seed(recipe.seed)
    config = GPT2Config(
        vocab_size=recipe.vocabulary,
        n_positions=recipe.context,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        activation_function="gelu_pytorch_tanh",
    )
    config._attn_implementation = "eager"
    return GPT2LMHeadModel(config)


def optimizers(model: GPT2LMHeadModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".h." in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(
            matrices, lr=recipe.muon_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=recipe.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def read_checkpoint(path: Path, recipe: Recipe, device: str) -> dict[str, Any]:
    """The checkpoint at `path`, which must have been made with `recipe`; only `tokens` may differ."""
    elsewhere = "use another output folder, or delete this checkpoint to start again"
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        was, _ = state["recipe"], (state["step"], state["seen"], state["model"], state["optimizers"])
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint of this trainer ({type(error).__name__})", hint=elsewhere
        ) from error
    now = asdict(recipe)
    differ = [
        f"{name} was {was.get(name)}, is {now.get(name)}"
        for name in was | now
        if name != "tokens" and was.get(name) != now.get(name)
    ]
    if differ:
        raise CheckpointError(f"{path} was made with another recipe: {'; '.join(differ)}", hint=elsewhere)
    return state


class Learner:
    """A model after `step` batches and `seen` tokens, and what it takes to go on."""

    def __init__(self, recipe: Recipe, checkpoint: Path, *, device: str = "cpu", compile: bool = True) -> None:
        """Start anew, or where `checkpoint` stopped. Raises CheckpointError if that does not fit."""
        self.recipe, self.path, self.device = recipe, checkpoint, torch.device(device)
        self.model = new_model(recipe)
        self.model.to(self.device)  # pyright: ignore[reportArgumentType]
        self.model.train()
        self.optimizers = optimizers(self.model, recipe)
        self.step = self.seen = 0
        if checkpoint.exists():
            state = read_checkpoint(checkpoint, recipe, device)
            try:
                self.model.load_state_dict(state["model"])
                for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                    optimizer.load_state_dict(saved)
            except (RuntimeError, ValueError) as error:
                raise CheckpointError(
                    f"{checkpoint} holds weights of another shape than its recipe says: {error}",
                    hint="use another output folder, or delete this checkpoint",
                ) from error
            self.step, self.seen = state["step"], state["seen"]
        # A schedule begins by setting the rate of last_epoch + 1. The rate that it scales is kept by the optimiser.
        self.schedules = [LambdaLR(o, recipe.rate, last_epoch=self.step - 1) for o in self.optimizers]
        self.loss = torch.compile(self._loss, dynamic=False) if compile else self._loss

    def _loss(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, T) tokens -> mean nats per token."""
        hidden = self.model.transformer(ids, use_cache=False).last_hidden_state[:, :-1]  # (B, T-1, D)
        logits = self.model.lm_head(hidden)  # (B, T-1, V)
        return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())

    def learn(self, ids: np.ndarray) -> torch.Tensor:
        """One step on the rows `ids` (B, T). Returns (loss before it in nats per token, length of the gradient)."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            loss = self.loss(torch.from_numpy(ids).to(self.device))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        self.step, self.seen = self.step + 1, self.seen + ids.size
        return torch.stack((loss.detach(), norm))

    def save(self) -> None:
        """Write the checkpoint. Raises CannotWrite, and then the one before is still there."""
        file = BytesIO()
        torch.save(
            {
                "recipe": asdict(self.recipe),
                "step": self.step,
                "seen": self.seen,
                "model": self.model.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
            },
            file,
        )
        write_whole(self.path, file.getvalue())
