"""Anyone's own text to an adapter: LoRA on the matrices of a model's blocks, kept in peft's format with a card.

The folder that comes out is what `adapt with FOLDER` and peft open. `checkpoint.pt` in it holds what is needed to go on
where it was stopped or killed; it is deleted at the end.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InvivoError, OutOfRange, Refused
from ..training.corpus import Source, read_folder
from ..training.files import write_folder, write_whole
from . import adapters, toys
from .extras import silence
from .living import Living
from .makers import copied
from .reading import perplexity

LEAST, PIECE, HELDOUT = 1_000, 1_000, 0.1  # characters at least, characters of a piece, share held out
ROWS, LENGTH = 8, 128  # of a batch
CHECKPOINT, REPORT = "checkpoint.pt", "report.json"
Report = dict[str, Any]


class Diverged(InvivoError):
    """Training came to numbers that are none."""


def tune(
    living: Living,
    corpus: Path,
    out: Path,
    *,
    rank: int = 8,
    steps: int = 200,
    rate: float = 2e-3,
    seed: int = 0,
    on_step: Callable[[int, float], None] | None = None,
) -> Report:
    """Learn the texts of a folder with an adapter and write it to `out`; its report, which is in the folder, too.

    Raises CorpusError, CannotWrite, OutOfRange for a rank larger than a matrix, Refused where `out` holds something
    else, and KeyboardInterrupt after saving.
    """
    for name, value in (("steps", steps), ("rank", rank), ("rate", rate)):
        if not (value > 0 and math.isfinite(value)):
            raise OutOfRange(f"{name} {value:g}", hint=f"--{name} is above 0")
    if seed < 0:
        raise OutOfRange(f"seed {seed}", hint="a seed is not negative")
    out = out.resolve()
    told: dict[str, Any] = {"model": living.name, "revision": living.revision}
    told |= {"rank": rank, "steps": steps, "rate": rate, "seed": seed}
    if (out / adapters.CONFIG).exists():
        raise Refused(f"{out} holds an adapter already", hint="give another folder with --out")
    sources = read_folder(corpus, HELDOUT, LEAST, PIECE)
    length = min(LENGTH, living.anatomy.context)
    read, held = (_ids(living, sources, which) for which in ("train", "heldout"))
    if len(read) <= length:
        raise OutOfRange(f"{corpus} has {len(read)} tokens to read, and a row has {length}", hint="give more text")
    told["text"] = hashlib.sha256(torch.cat((read, held)).cpu().numpy().tobytes()).hexdigest()[:16]
    start = _begun(out, told)
    with living.alone("make"):
        adapted = adapters.put_on(living, copied(living.hf), rank, seed)
        before = _surprise(living.hf, held, length)
        losses = toys.fit(
            adapted,
            _batches(read, steps, length, seed),
            steps=steps,
            rate=rate,
            on_step=on_step,
            start=start,
            keep=lambda state: _keep(out, told, state),
        )
        after = _surprise(adapted, held, length)
    if not all(math.isfinite(value) for value in (*losses, after or 0.0)):
        (out / CHECKPOINT).unlink(missing_ok=True)
        raise Diverged("the loss is no number any more; nothing was written", hint="lower --rate")
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    report = told | {
        "trained": trained,
        "parameters": sum(p.numel() for p in living.hf.parameters()),
        "tokens": len(read),
        "heldout_tokens": len(held),
        "losses": [round(loss, 4) for loss in losses],
        "heldout_before": before,
        "heldout_after": after,
    }

    def write(folder: Path) -> None:
        with silence():
            adapted.save_pretrained(str(folder))
        (folder / "README.md").write_text(card(report), encoding="utf-8")
        (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

    write_folder(out, write)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return report


def _ids(living: Living, sources: list[Source], which: str) -> Tensor:
    """All documents of one half as one row of token ids, each with an end behind it."""
    end = living.tokenizer.eos_token_id
    found: list[int] = []
    for source in sources:
        for document in getattr(source, which):
            found += [*living.tokenizer(document, verbose=False).input_ids, *([] if end is None else [end])]
    return torch.tensor(found, dtype=torch.long, device=living.device)


def _batches(ids: Tensor, steps: int, length: int, seed: int) -> Iterator[Tensor]:
    """Rows from places drawn anew; batch n is a function of (seed, n)."""
    for step in range(steps):
        dice = torch.Generator().manual_seed(1_000_003 * seed + step)
        starts = torch.randint(len(ids) - length + 1, (ROWS,), generator=dice)
        yield torch.stack([ids[start : start + length] for start in starts.tolist()])


def _surprise(model: Any, ids: Tensor, length: int) -> float | None:
    """Nats a token on held-out text, read in rows; None where nothing was held out."""
    rows = [row for row in ids.split(length) if len(row) > 1]
    if not rows:
        return None
    told = [(toys.measured(model, row[None]), len(row) - 1) for row in rows]
    return sum(nats * count for nats, count in told) / sum(count for _, count in told)


def _keep(out: Path, told: dict[str, Any], state: toys.State) -> None:
    file = io.BytesIO()
    torch.save({"told": told, "state": state}, file)
    write_whole(out / CHECKPOINT, file.getvalue())


def _begun(out: Path, told: dict[str, Any]) -> toys.State | None:
    """What a run that was stopped left there. Raises Refused for one with other settings, and names them."""
    if not (out / CHECKPOINT).exists():
        return None
    found = torch.load(out / CHECKPOINT, weights_only=True)
    was = found["told"]
    other = [f"{name} was {was[name]}, not {now}" for name, now in told.items() if was[name] != now]
    if other:
        raise Refused(f"{out} holds the beginning of another adapter: {'; '.join(other)}", hint="give another --out")
    return found["state"]


def card(report: Report) -> str:
    """The adapter's card: for which model, what it learned, how to use it."""
    before, after = report["heldout_before"], report["heldout_after"]
    held = (
        "Nothing was held out: the text is too short for that."
        if before is None
        else f"On held-out text ({report['heldout_tokens']:,} tokens) the model loses {after:.2f} nats a token with "
        f"it, and {before:.2f} without (perplexity {perplexity([-after]):,.1f} and {perplexity([-before]):,.1f})."
    )
    return f"""---
base_model: {report["model"]}
library_name: peft
tags:
- lora
---

# An adapter for {report["model"]}

LoRA of rank {report["rank"]} on every matrix of the blocks: {report["trained"]:,} numbers beside the model's
{report["parameters"]:,}. Made by `invivo adapt` for the weights {report["revision"]}, in {report["steps"]} steps on
{report["tokens"]:,} tokens.

{held}

```sh
invivo compare "Once upon a time" --tweak "adapt with path/to/this/folder" --model {report["model"]}
```

It knows what these texts repeat, and can repeat them word for word. Their licences decide what may be done with it.
"""
