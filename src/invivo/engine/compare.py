"""BASE against TWEAK: run an Experiment and measure what lies between its rows.

Every row speaks (decode.py), and every row reads BASE's text (reading.py), so that the numbers between them are about
the tweak and not about the different words that followed from it. Both in the same passes, where that is possible.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from importlib import metadata
from typing import Any, TypeVar

import torch

from .. import __version__
from ..errors import BadText, InvivoError, OutOfRange
from ..experiment import Comparison, Experiment, LabResult, Recipe, Run, TweakRun
from ..sites import SITES
from ..tweaks import ModelTweak, Stack
from .decode import NotANumber, Said, speak
from .forward import watched
from .living import Living
from .makers import forget, second
from .packed import packed
from .reading import Reading, perplexity, read_only
from .rows import Row, check_effect, prepare

ROUNDING_NATS = 1e-6  # what float32 alone may put between two equal rows
OnToken = Callable[[list[Said]], None]


def run(living: Living, experiment: Experiment, on_token: OnToken | None = None) -> Comparison:
    """Run an experiment on a model that nobody else is using meanwhile. See `_run`."""
    made = seconds(living, experiment.tweaks)
    with ExitStack() as held:
        for model in (living, *made):
            held.enter_context(model.alone("compare"))
            held.enter_context(packed(model.hf))
        return _run(living, as_run(living, experiment), on_token)


def seconds(living: Living, stacks: Sequence[Stack]) -> list[Living]:
    """The models that the stacks make of `living`, each once. Raises whatever their makers raise."""
    with living.alone("make"):
        lists = [[t for t in stack if isinstance(t, ModelTweak)] for stack in stacks]
        found = {id(m): m for m in (second(living, tweaks).living for tweaks in lists if tweaks)}
        forget(living, len(found))
    return list(found.values())


R = TypeVar("R", bound=Recipe)


def as_run(living: Living, experiment: R) -> R:
    """The recipe with the model and number format that it really ran on, so that its recipe is true."""
    usual = "float32" if living.device.type == "cpu" else None
    dtype = str(living.dtype).removeprefix("torch.")
    return experiment.model_copy(update={"model": living.name, "dtype": None if dtype == usual else dtype})


def _run(living: Living, experiment: Experiment, on_token: OnToken | None) -> Comparison:
    """Run an experiment. `on_token` sees what every row said so far after each step.

    Raises InvivoError for whatever this model or prompt does not have, for a tweak that was never reached, and for one
    that makes the logits NaN.
    """
    start = time.perf_counter()
    prompt = living.encode(experiment.prompt)
    prompts = {name: living.encode(text, f"prompt {name!r}") for name, text in experiment.prompts.items()}
    target = living.encode(experiment.target, "target", special=False) if experiment.target else []
    read = living.encode(experiment.read, "text to read") if experiment.read else []
    if len(prompt) + len(target) > living.anatomy.context:
        raise OutOfRange(
            f"prompt and target together have {len(prompt) + len(target):,} tokens; "
            f"{living.name} reads at most {living.anatomy.context:,}",
            hint="shorten the prompt",
        )
    rows = prepare(
        living, experiment.tweaks, prompt, prompts, experiment.decoding, experiment.seed, text=experiment.prompt
    )
    longest = max(len(row.prompt or prompt) for row in rows)
    if longest + len(target) > living.anatomy.context:
        raise OutOfRange(
            f"a TWEAK's prompt and the target together have {longest + len(target):,} tokens; {living.name} reads at "
            f"most {living.anatomy.context:,}",
            hint="shorten what it puts into the prompt",
        )
    steps, notes = _room(living, longest, experiment.decoding.max_new_tokens)
    said: list[Said] = []
    spoken = Reading(living, rows, prompt, experiment.top)
    stopped = False
    try:
        try:
            for said in speak(living, prompt, rows, steps, spoken):
                if on_token is not None:
                    on_token(said)
        except KeyboardInterrupt:
            if not said or not all(row.ids for row in said):
                raise
            stopped = True
            experiment, note = cut_short(experiment, said)
            notes.append(note)
        spoken.read(prompt + said[0].ids)
        quiet = check_effect(rows)  # before other texts are read: a tweak must be reached on this one
        aimed = read_only(living, rows, prompt + target, len(prompt)) if target else []
        ahead = _ahead(living, rows, prompt, target, experiment) if experiment.wrong else []
        source = _source_ahead(living, rows[0], prompts, target, experiment) if experiment.wrong else None
        seen = read_only(living, rows, read) if len(read) > 1 else []
    except NotANumber as error:
        raise where_it_broke(living, error) from None
    if len(read) == 1:
        notes.append("the text to read is a single token, which has no perplexity: nothing stands before it")
    runs = []
    for number, row in enumerate(rows):
        pieces = tuple(living.piece(i).text for i in said[number].ids)
        common: dict[str, Any] = dict(
            text=living.tokenizer.decode(
                said[number].ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            ),
            ids=tuple(said[number].ids),
            tokens=pieces,
            said_nats=tuple(said[number].nats),
            choice_entropy_nats=tuple(said[number].choice_entropy),
            entropy_nats=tuple(spoken.entropy[number]),
            perplexity=spoken.perplexity[number],
            next=spoken.candidates(number),
            target_nats=sum(aimed[number]) if aimed else None,
            ahead_nats=ahead[number] if ahead else None,
            read_perplexity=perplexity(seen[number]) if seen else None,
        )
        if row.stack is None:
            runs.append(Run(**common))
        else:
            runs.append(
                TweakRun(
                    **common,
                    tweak=row.stack,
                    kl_nats=tuple(spoken.kl[number]),
                    top_changed=tuple(spoken.top_changed[number]),
                    first_divergence=parted(said[0].ids, said[number].ids),
                    notes=(*row.notes, *(quiet.get(number) or _nothing(rows, said, spoken, number))),
                )
            )
    result = Comparison(
        recipe=experiment,
        prompt_ids=tuple(prompt),
        prompt_tokens=tuple(living.piece(i).text for i in prompt),
        base=runs[0],
        tweaks=tuple(runs[1:]),
        versions=versions(),
        revision=living.revision,
        device=f"{living.device.type}, {str(living.dtype).removeprefix('torch.')}",
        notes=tuple(notes),
        source_ahead_nats=source,
        allowed=living.allowed,
        seconds=round(time.perf_counter() - start, 4),
    )
    if stopped:
        raise Interrupted(result)
    return result


def _ahead(
    living: Living, rows: Sequence[Row], prompt: list[int], target: list[int], experiment: Experiment
) -> list[float]:
    """How far each row's logit of the target is ahead of the wrong answer's, where the two first differ."""
    if not target:
        raise BadText("a wrong answer is given, and no target to compare it with", hint='add --target " Mary"')
    wrong = living.encode(experiment.wrong or "", "wrong answer", special=False)
    common = next((i for i, (a, b) in enumerate(zip(target, wrong, strict=False)) if a != b), None)
    if common is None:
        raise BadText(
            f"{experiment.target!r} and {experiment.wrong!r} never differ: one begins with the other",
            hint="give answers of which neither begins with the other",
        )
    ends = [read_only(living, rows, prompt + answer[: common + 1], len(prompt)) for answer in (target, wrong)]
    return [right[-1] - other[-1] for right, other in zip(*ends, strict=True)]


def _source_ahead(
    living: Living, base: Row, prompts: Mapping[str, list[int]], target: list[int], experiment: Experiment
) -> float | None:
    """The same of BASE on the prompt that values are copied from; None where there is none, or more than one."""
    needed = experiment.needed_prompts
    if len(needed) != 1:
        return None
    (name,) = needed
    return _ahead(living, [base], prompts[name], target, experiment)[0]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while rows were speaking. `kept` is the comparison, or the lab's result, of what they had said by then."""

    def __init__(self, kept: Comparison | LabResult) -> None:
        self.kept = kept
        super().__init__()


def cut_short(experiment: Experiment, said: Sequence[Said]) -> tuple[Experiment, str]:
    """Cut what rows said to the steps that all of them finished; the recipe of that much, and a note."""
    steps = min((len(row.ids) for row in said if not row.finished), default=max(len(row.ids) for row in said))
    for row in said:
        row.finished = row.finished and len(row.ids) <= steps
        del row.ids[steps:], row.nats[steps:], row.choice_entropy[steps:]
    wanted = experiment.decoding.max_new_tokens
    decoding = experiment.decoding.model_copy(update={"max_new_tokens": steps})
    return experiment.model_copy(
        update={"decoding": decoding}
    ), f"stopped by Ctrl-C after {steps} of {wanted} new tokens"


def _nothing(rows: Sequence[Row], said: Sequence[Said], spoken: Reading, number: int) -> list[str]:
    """A note where a row is BASE in all that was measured."""
    base, mine = said[0], said[number]
    spread = (abs(a - b) for a, b in zip(base.choice_entropy, mine.choice_entropy, strict=False))
    if mine.ids != base.ids or max(spoken.kl[number]) > ROUNDING_NATS or max(spread, default=0.0) > ROUNDING_NATS:
        return []
    return [f"`{rows[number].name}` changed nothing that was measured here: the same text from the same distributions"]


def _room(living: Living, prompt_length: int, wanted: int) -> tuple[int, list[str]]:
    """How many tokens fit behind the prompt, and a note where that is fewer than wanted."""
    room = living.anatomy.context - prompt_length
    if wanted and room < 1:
        raise OutOfRange(
            f"the prompt fills the whole context of {living.anatomy.context:,} tokens",
            hint="shorten it, or ask for no new tokens",
        )
    if wanted > room:
        return room, [
            f"stopped at {room} new tokens: the context of {living.name} is {living.anatomy.context:,} tokens"
        ]
    return wanted, []


def parted(base: Sequence[int], tweak: Sequence[int]) -> int | None:
    """Index of the first token that differs; where one text ends before the other, the first that is missing."""
    for index, (a, b) in enumerate(zip(base, tweak, strict=False)):
        if a != b:
            return index
    return None if len(base) == len(tweak) else min(len(base), len(tweak))


@torch.no_grad()
def where_it_broke(living: Living, broke: NotANumber) -> InvivoError:
    """The error for a row whose logits are NaN: which tweak, and the first place that is no longer finite."""
    row, text = broke.row, broke.ids
    living = row.living or living
    order = [name for name in SITES if name not in living.anatomy.missing and name not in ("scores", "pattern")]
    places = [(None, n) for n in order if not SITES[n].layered and n in ("embed", "pos_embed")]
    places += [(layer, n) for layer in range(living.anatomy.layers) for n in order if SITES[n].layered]
    places += [(None, n) for n in ("final_norm", "logits") if n in order]
    for action in row.actions:
        action.row = 0
    with watched(living.anatomy, row.actions, capture=places, prompt_lengths=[broke.prompt_length]) as run:
        living.hf(input_ids=torch.tensor([text], device=living.device), use_cache=False)
    values = run.tensors()
    for layer, site in places:
        x = values[(layer, site)][0]
        if not bool(torch.isfinite(x).all()):
            at = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0])
            name = site if layer is None else f"L{layer}.{site}"
            said = "" if at < broke.prompt_length else ", a generated token"
            return InvivoError(
                f"`{row.name}` makes the logits NaN; the first place that is not finite is {name} at {at}{said}",
                hint="a smaller strength may help" + (", or --dtype float32" if living.dtype != torch.float32 else ""),
            )
    return InvivoError(f"`{row.name}` makes the logits NaN", hint="a smaller strength may help")


@cache
def _installed() -> dict[str, str]:
    """Reading what is installed takes milliseconds, and it stays what it is while a process runs."""
    return {name: metadata.version(name) for name in ("transformers", "tokenizers")}


def versions() -> dict[str, str]:
    """Versions of what the numbers came out of."""
    found = {"invivo": __version__, "python": platform.python_version(), "torch": torch.__version__}
    return found | _installed()
