"""What learns: a GPT-2 with its optimisers at some step, which can be saved, loaded, and moved on by one batch.

Weight matrices of the blocks are trained by Muon (`muon.py`), everything else by AdamW. Where the machine has
instructions for bfloat16, it is used, and torch.compile with it. Elsewhere float32 in pieces that stay in the
processor's cache (1,024 tokens, and the head's loss by the piece, `loss.py`), where compiling gained 3 % and cost a
minute.

A step depends on the checkpoint and on the batch, on nothing else: no random number is drawn after the first weights.
So a run that was killed and resumed is, on one thread without torch.compile, bit for bit the run that was not.
"""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from transformers import GPT2Config, GPT2LMHeadModel

from ..errors import InvivoError
from .files import write_whole
from .loss import head_loss
from .muon import Muon
from .recipe import Recipe
from .stream import Batch

PIECE = 1024  # tokens that go through a CPU without bfloat16 at a time


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
    return GPT2LMHeadModel(config)


def has_bfloat16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32 there."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type != "cpu" or bool(supported())


def optimizers(model: GPT2LMHeadModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".h." in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Muon(matrices, lr=recipe.muon_rate, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(rest, lr=recipe.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def begin_from(model: GPT2LMHeadModel, start: dict[str, torch.Tensor]) -> None:
    """Give `model` the weights `start`, which must be all of its own and no others."""
    own = {name: tuple(p.shape) for name, p in model.named_parameters()}  # the head is the embedding, named once
    given = {name: tuple(p.shape) for name, p in start.items() if name != "lm_head.weight"}
    for name in own | given:
        if own.get(name) != given.get(name):
            raise CheckpointError(
                "the weights to start from have another shape than the recipe: "
                f"{name} is {given.get(name, 'missing')} there, {own.get(name, 'missing')} here",
                hint="give --layers, --width, --vocabulary and --context as they were made with",
            )
    model.load_state_dict({name: start[name] for name in own}, strict=False)


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
    was, now = ({name: "none" if value == "" else value for name, value in r.items()} for r in (was, asdict(recipe)))
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

    def __init__(
        self,
        recipe: Recipe,
        checkpoint: Path,
        *,
        start: dict[str, torch.Tensor] | None = None,
        device: str = "cpu",
        compile: bool = True,
    ) -> None:
        """Start anew, from the weights `start`, or where `checkpoint` stopped. CheckpointError if that does not fit."""
        self.recipe, self.path, self.device = recipe, checkpoint, torch.device(device)
        self.model = new_model(recipe)
        self.half = has_bfloat16(self.device)
        self.workers = ThreadPoolExecutor(torch.get_num_threads())
        # Compiled, eager attention is a little faster: bfloat16 SDPA is slow backwards on a CPU.
        self.model.config._attn_implementation = "eager" if self.half else "sdpa"
        if start is not None:
            begin_from(self.model, start)
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
        self.loss = torch.compile(self._loss, dynamic=False) if compile and self.half else self._loss

    def _loss(self, ids: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T) tokens and how much each counts -> the weighted loss, and the mean nats per token."""
        hidden = self.model.transformer(ids, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)  # (B(T-1), D)
        targets, counts = ids[:, 1:].flatten(), weights[:, 1:].flatten()
        if not self.half:
            return head_loss(hidden, self.model.lm_head.weight, targets, counts)
        nats = F.cross_entropy(self.model.lm_head(hidden).float(), targets, reduction="none")
        return (nats * counts).mean(), nats.detach().mean()

    def _halved(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Nats and gradients of all rows at once, in bfloat16."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            loss, nats = self.loss(rows, weights)
        loss.backward()
        return nats

    def _pieces(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Nats and gradients piece by piece, each core at its own piece, summed in the order of the pieces.

        Threads inside an operation wait for each other some hundred times a step; with other work on the machine that
        made a step five times slower. Here they wait once.
        """
        params = list(self.model.parameters())

        def one(piece: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            torch.set_num_threads(1)  # counts for this worker's operations
            loss, nats = (x * (len(piece) / len(rows)) for x in self.loss(piece, counts))
            return nats.detach(), torch.autograd.grad(loss, params)

        size = max(1, PIECE // rows.shape[1])
        done = self.workers.map(one, rows.split(size), weights.split(size))
        total, grads = next(done)
        for p, grad in zip(params, grads, strict=True):
            p.grad = grad
        for nats, more in done:
            total = total + nats
            for grad, other in zip(grads, more, strict=True):
                grad.add_(other)
        return total

    def learn(self, batch: Batch) -> torch.Tensor:
        """One step on a batch. Returns (nats per token before it, all tokens alike; length of the gradient)."""
        rows, weights = (torch.from_numpy(x).to(self.device) for x in batch)
        nats = self._halved(rows, weights) if self.half else self._pieces(rows, weights)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        self.step, self.seen = self.step + 1, self.seen + batch.ids.size
        return torch.stack((nats, norm))

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
