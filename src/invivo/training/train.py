"""The training run: batch after batch, with a progress bar, a log, and a checkpoint every few minutes."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import GPT2LMHeadModel

from ..errors import InvivoError
from . import log
from .files import write_whole
from .learner import Learner
from .measure import Score
from .stream import PLAIN, Stage, Tokens, batch, stage_at

# model, row length -> the score of each held-out text, and whatever else is to stand in the log
Watch = Callable[[GPT2LMHeadModel, int], tuple[dict[str, Score], dict[str, float]]]
KEPT = 12  # moments of the run whose weights are kept


def moments(steps: int, number: int = KEPT) -> set[int]:
    """The steps whose weights are kept: the first and the last, and between them as many in each tenfold."""
    return {0, *(round(steps ** (i / (number - 2))) for i in range(number - 1))}


class Diverged(InvivoError):
    """The loss is no number any more. The last checkpoint is from before that."""


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C, collected while inside instead of obeyed, so that a step can end and be saved."""
    caught: list[int] = []
    before = {s: signal.signal(s, lambda number, _: caught.append(number)) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(
    learner: Learner,
    sources: Sequence[Tokens],
    diary: Path,
    *,
    bytes_of: np.ndarray,
    watch: Watch | None = None,
    keep: Callable[[GPT2LMHeadModel, int], None] | None = None,
    stages: Sequence[Stage] = PLAIN,
    console: Console | None = None,
    save_seconds: float = 240,
    log_seconds: float = 10,
) -> None:
    """Move `learner` to the end of its recipe, saving on the way. Loss goes to the file `diary` and the progress bar.

    `watch` scores the model on held-out text at each checkpoint, in rows as long as those it is being trained on:
    it knows nothing yet of later positions. `keep` is given the model at each of `moments`. `stages` say what is read
    when, `console` where the bar is drawn. SIGTERM and Ctrl-C save, then raise KeyboardInterrupt. Raises CannotWrite
    and Diverged; what was saved before stays.
    """
    recipe = learner.recipe
    entries = log.read(diary, until=learner.step)
    write_whole(diary, "".join(map(log.line, entries)).encode())
    columns = (
        TextColumn("step {task.completed:.0f}/{task.total:.0f}\n{task.fields[speed]}", markup=False),
        BarColumn(bar_width=10),
        TextColumn("{task.description}", markup=False),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console, refresh_per_second=1) as bar,
        diary.open("a") as lines,
        stop_signals() as stopped,
    ):

        def write(entry: log.Entry) -> None:
            lines.write(log.line({"step": learner.step, "tokens": learner.seen} | entry))
            lines.flush()

        task = bar.add_task("first batch", total=recipe.steps, completed=learner.step, speed="")
        heldout = ""
        saved_at = logged_at = time.monotonic()
        read, since, results = learner.seen, Score(0.0, 0, 0), []
        kept = moments(recipe.steps)
        if keep and learner.step == 0:
            keep(learner.model, 0)
        while learner.step < recipe.steps and not stopped:
            stage = stage_at(learner.step / recipe.steps, recipe.context, stages)
            rows = batch(sources, stage, recipe.batch_tokens, recipe.seed, learner.step)
            results.append(learner.learn(rows))
            if keep and learner.step in kept:
                keep(learner.model, learner.step)
            foreseen = rows.ids[:, 1:]
            since += Score(0.0, foreseen.size, int(bytes_of[foreseen].sum()))
            now = time.monotonic()
            saving = learner.step == recipe.steps or now - saved_at >= save_seconds
            if saving or stopped or now - logged_at >= log_seconds:
                losses, norms = torch.stack(results).unbind(1)
                nats, speed = losses.mean().item(), (learner.seen - read) / (now - logged_at)
                if not math.isfinite(nats + norms[-1].item()):
                    raise Diverged(
                        f"the loss is not finite at step {learner.step}",
                        hint="lower --muon-rate and --adam-rate; the last checkpoint is from before",
                    )
                score = Score(nats * since.tokens, since.tokens, since.bytes)
                write(
                    {
                        "train_nats": round(nats, 4),
                        "train_bits_per_byte": round(score.bits_per_byte, 4),
                        "tokens_per_s": round(speed),
                    }
                )
                if saving:
                    learner.save()
                    if watch:
                        scores, more = watch(learner.model, stage.length)
                        figures = {n: s.figures() for n, s in scores.items()}
                        write({"row_length": stage.length, "heldout": figures} | ({"does": more} if more else {}))
                        heldout = f"\nheld out {shown(sum(scores.values(), Score(0.0, 0, 0)))}"
                    saved_at = time.monotonic()
                bar.update(
                    task,
                    completed=learner.step,
                    speed=f"{speed:,.0f} tokens/s",
                    description=f"train    {shown(score)}{heldout}",
                )
                logged_at = time.monotonic()
                read, since, results = learner.seen, Score(0.0, 0, 0), []
        if stopped:
            learner.save()
    if stopped and learner.step < recipe.steps:
        raise KeyboardInterrupt(f"stopped at step {learner.step}; the same command goes on from there")


def shown(score: Score) -> str:
    """A score for the progress bar."""
    return f"{score.nats_per_token:.3f} nats/token {score.bits_per_byte:.3f} bits/byte"
