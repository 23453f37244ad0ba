"""The training loop: a GPT-2 from random weights, resumable at any moment.

Weight matrices of the blocks are trained by Muon (Jordan et al. 2024, torch.optim.Muon), everything else by AdamW.
The learning rate warms up, stays, and falls to zero over the last third, so a run can be given more tokens while it
stays. bfloat16 autocast and torch.compile: on two CPU cores the second alone nearly doubled the tokens per second.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import GPT2Config, GPT2LMHeadModel

from .stream import Tokens, batch, stage_at


@dataclass(frozen=True)
class Recipe:
    """What decides the outcome: the same recipe on the same machine gives the same weights."""

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

    def rate(self, step: int) -> float:
        """The learning rate's factor at `step`: up, flat, linearly down to zero."""
        share = step / self.steps
        return max(0.0, min(1.0, (share + 1 / self.steps) / self.warmup, (1 - share) / self.decay))

    @property
    def steps(self) -> int:
        """Number of batches."""
        return max(1, self.tokens // self.batch_tokens)


def new_model(recipe: Recipe) -> GPT2LMHeadModel:
    """A GPT-2 with random weights. Trained with the fused form of its activation, saved under the usual name."""
    torch.manual_seed(recipe.seed)
    config = GPT2Config(
        vocab_size=recipe.vocabulary, n_positions=recipe.context, n_embd=recipe.width, n_layer=recipe.layers,
        n_head=recipe.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        pad_token_id=0, activation_function="gelu_pytorch_tanh", attn_implementation="eager")
    return GPT2LMHeadModel(config)


def optimizers(model: GPT2LMHeadModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".h." in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=recipe.muon_rate, weight_decay=recipe.weight_decay,
                         adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=recipe.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write to a temporary name, then rename: a kill leaves the old file or the new one, never half of one."""
    part = path.with_name(path.name + ".part")
    write(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def train(
    recipe: Recipe, sources: list[Tokens], folder: Path, *, threads: int, device: str, every_seconds: float = 240,
    watch: Callable[[GPT2LMHeadModel], dict[str, float]] | None = None, compile: bool = True,
) -> GPT2LMHeadModel:
    """Train, or go on where `folder/checkpoint.pt` stopped; log one JSON line at a time to `folder/log.jsonl`.

    `watch` measures the model (held-out loss, say) at each checkpoint. SIGTERM and Ctrl-C save before they stop.
    """
    torch.set_num_threads(threads)
    model = new_model(recipe).to(device).train()
    steppers = optimizers(model, recipe)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, recipe.rate) for o in steppers]
    path, log = folder / "checkpoint.pt", folder / "log.jsonl"
    step = seen = 0
    if path.exists():
        state = torch.load(path, map_location=device, weights_only=True)
        was = state["recipe"] | {"tokens": recipe.tokens}
        if was != asdict(recipe):
            raise ValueError(f"{path} was made with another recipe: {was}. Use another output folder, or delete it.")
        model.load_state_dict(state["model"])
        for stepper, saved in zip(steppers, state["optimizers"], strict=True):
            stepper.load_state_dict(saved)
        step, seen = state["step"], state["seen"]
        for schedule in schedules:
            schedule.last_epoch = step - 1
            schedule.step()

    def loss_of(ids: torch.Tensor) -> torch.Tensor:  # (B, T) -> mean nats per token
        hidden = model.transformer(ids, use_cache=False).last_hidden_state[:, :-1]  # (B, T-1, D)
        logits = model.lm_head(hidden)  # (B, T-1, V)
        return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())

    fast_loss = torch.compile(loss_of, dynamic=False) if compile else loss_of

    def save() -> None:
        write_whole(path, lambda part: torch.save({
            "recipe": asdict(recipe), "step": step, "seen": seen, "model": model.state_dict(),
            "optimizers": [o.state_dict() for o in steppers]}, part))

    stopping = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopping.append(True))
    columns = (TextColumn("step {task.completed:.0f}/{task.total:.0f}"), BarColumn(),
               TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, refresh_per_second=1) as bar, log.open("a") as lines:
        task = bar.add_task("compiling", total=recipe.steps, completed=step)
        saved_at = mark = time.monotonic()
        mark_seen, losses = seen, []
        while step < recipe.steps and not stopping:
            ids = torch.from_numpy(batch(sources, stage_at(step / recipe.steps), recipe.batch_tokens, recipe.seed, step))
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = fast_loss(ids.to(device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for stepper, schedule in zip(steppers, schedules, strict=True):
                stepper.step()
                schedule.step()
                stepper.zero_grad(set_to_none=True)
            step, seen = step + 1, seen + ids.numel()
            losses.append(loss.item())
            now = time.monotonic()
            if now - mark > 10 or step == recipe.steps:
                rate, mean = (seen - mark_seen) / (now - mark), sum(losses) / len(losses)
                bar.update(task, completed=step, description=f"{mean:.3f} nats  {rate:,.0f} tokens/s")
                lines.write(json.dumps({"step": step, "tokens": seen, "train_nats": round(mean, 4),
                                        "tokens_per_s": round(rate)}) + "\n")
                lines.flush()
                mark, mark_seen, losses = now, seen, []
            if now - saved_at > every_seconds or step == recipe.steps or stopping:
                save()
                if watch and not stopping:
                    lines.write(json.dumps({"step": step, "tokens": seen} | watch(model)) + "\n")
                    lines.flush()
                saved_at = time.monotonic()
    if stopping:
        raise KeyboardInterrupt(f"stopped at step {step}; the same command goes on from there")
    return model
