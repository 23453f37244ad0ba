"""What makes a run repeatable: the same text asked for again in ways that should not matter, and in ways that do."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch
from pydantic import Field

from ...errors import OutOfRange
from ...show.blocks import Block, Strip, Table
from ...show.text import number
from ...spec import Number, Spec
from ...tweaks import Decoding
from ..compare import parted, versions
from ..decode import Said, choose, end_tokens, generate
from ..living import Living
from ..packed import packed
from ..rows import Row
from . import Found, Kind

ROUNDING = 1e-9  # differences below it are shown as 0


class Settings(Spec):
    """The run that is repeated."""

    prompt: str = "Once upon a time"
    """What is read."""
    seed: int = Field(default=0, ge=0)
    """The dice."""
    temperature: Number = 1.0
    """The temperature of what is drawn."""
    top_k: int = Field(default=40, ge=0)
    """Its filter; 0 is none."""
    tokens: int = Field(default=20, ge=2, le=200)
    """How many tokens."""


@dataclass(frozen=True)
class Again:
    """One repetition."""

    name: str
    label: str
    of: str  # which run it repeats
    said: Said
    limit: int | None = None  # it was told to stop there


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """A greedy and a sampled run, each asked for again with one thing changed: the batch, the cache, seed, limits."""
    prompt, steps = living.encode(settings.prompt), settings.tokens
    longer = [*prompt, *prompt[:3]]
    if len(longer) + steps > living.anatomy.context:
        raise OutOfRange(f"{living.name} has no room for {steps} tokens behind this prompt", hint="shorten it")
    drawn = Decoding(do_sample=True, temperature=settings.temperature, top_k=settings.top_k)
    warmer = drawn.model_copy(update={"temperature": settings.temperature + 0.5})

    def sampled(seed: int = settings.seed) -> Row:
        return Row(None, drawn, seed)

    def greedy(seed: int = settings.seed) -> Row:
        return Row(None, Decoding(), seed)

    def say(*rows: Row, first: list[int] = prompt, limit: int = steps) -> list[Said]:
        return list(generate(living, [first, *[prompt] * (len(rows) - 1)], rows, limit))[-1]

    half, seed = steps // 2, settings.seed
    with living.alone("compare"), packed(living.hf):
        (plain,), (first,) = say(greedy()), say(sampled())
        runs = [
            Again("greedy", "greedy, once more", "greedy", say(greedy())[0]),
            Again("greedy_seed", f"greedy with seed {seed + 1}: it throws no dice", "greedy", say(greedy(seed + 1))[0]),
            Again("sampled", "sampled, same seed, once more", "sampled", say(sampled())[0]),
            Again(
                "batch",
                "same seed, third of four rows",
                "sampled",
                say(greedy(), sampled(seed + 1), sampled(), sampled(seed + 2))[2],
            ),
            Again("padded", "same seed, beside a longer prompt", "sampled", say(greedy(), sampled(), first=longer)[1]),
            Again("uncached", "same seed, without a KV cache", "sampled", _uncached(living, prompt, sampled(), steps)),
            Again("shorter", f"same seed, at most {half} tokens", "sampled", say(sampled(), limit=half)[0], half),
            Again("warmer", "same seed, temperature higher by 0.5", "sampled", say(Row(None, warmer, seed))[0]),
            Again("other", f"sampled, seed {seed + 1}", "sampled", say(sampled(seed + 1))[0]),
            Again("off", "do_sample off: greedy", "sampled", plain),
        ]
    numbers: dict[str, float] = {}
    lines = []
    for run in runs:
        model = plain if run.of == "greedy" else first
        wanted = model.ids[: run.limit]
        at = parted(wanted, run.said.ids)
        common = len(wanted) if at is None else at
        apart = max((abs(a - b) for a, b in zip(model.nats[:common], run.said.nats, strict=False)), default=0.0)
        numbers |= {f"{run.name}_same": float(at is None), f"{run.name}_apart": apart}
        numbers[f"{run.name}_parted"] = float("nan") if at is None else float(at)
        same = "yes" if at is None else "no"
        same = "yes, as far as it goes" if at is None and run.limit else same
        lines.append((run.label, same, "–" if at is None else str(at), _apart(apart)))
    numbers = {name: value for name, value in numbers.items() if value == value}
    kept = sum(numbers[f"{run.name}_same"] for run in runs)
    sentence = (
        f"{number(kept, 0)} of {len(runs)} repetitions gave the same text. What may change it: the seed, the "
        "temperature, do_sample. What may not: batch, padding, cache, and a limit as far as the text goes."
    )
    texts: list[Block] = [
        _strip(living, settings.prompt, "greedy", plain, None),
        _strip(living, settings.prompt, f"sampled, seed {seed}", first, plain),
        _strip(living, settings.prompt, f"sampled, seed {seed + 1}", runs[-2].said, plain),
    ]
    table = Table(
        caption="Asked again",
        columns=("run", "same text?", "parts at token", "log-probabilities apart by, nats"),
        rows=tuple(lines),
    )
    return Found(sentence, (*texts, table, _where(living)), numbers)


def _apart(value: float) -> str:
    return "0" if value < ROUNDING else f"{value:.0e}"


def _uncached(living: Living, prompt: list[int], row: Row, steps: int) -> Said:
    """The slow way: at every step the whole text is read anew."""
    said, ends = Said(), end_tokens(living)
    for step in range(steps):
        ids = torch.tensor([[*prompt, *said.ids]], device=living.device)
        log_probs = living.hf(input_ids=ids, use_cache=False).logits[0, -1].float().log_softmax(-1)
        token, _ = choose(log_probs, row, step)
        said.ids.append(token)
        said.nats.append(float(log_probs[token]))
        if token in ends:
            break
    return said


def _strip(living: Living, prompt: str, label: str, said: Said, base: Said | None) -> Strip:
    return Strip(
        role="base" if base is None else "tweak",
        label=label,
        prompt=prompt,
        tokens=tuple(living.piece(i).text for i in said.ids),
        parted_at=None if base is None else parted(base.ids, said.ids),
    )


def _where(living: Living) -> Table:
    """What computed it: everything that a report of a run should name."""
    kind, colon, digits = living.revision.rpartition(":")
    rows = [
        ("model", living.name),
        ("weights", f"{kind}{colon}{digits[:12]}"),
        ("device", f"{living.device.type}, {platform.machine()}"),
        ("number format", str(living.dtype).removeprefix("torch.")),
        ("threads", str(torch.get_num_threads())),
        *versions().items(),
    ]
    return Table(caption="What computed it: keep this with a result", columns=("", "here"), rows=tuple(rows))


EXHIBIT = Kind("The same text again", Settings, show)
