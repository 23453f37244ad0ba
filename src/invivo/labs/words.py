"""What lab files share: finding a row of a comparison, and saying measured numbers in plain words.

A takeaway is drafted for whatever model was run, so each word that judges (rises, stays) is chosen by the numbers.
"""

from __future__ import annotations

import math

from ..errors import unknown
from ..experiment import Comparison, Experiment, TweakRun, wording
from ..experiment.exhibit import Exhibit
from ..experiment.trials import TrialsRecipe
from ..metrics import metric_named
from ..show.text import quoted, safe
from ..tweaks import DecodingTweak, LogitBias, SetBeams, Stack

OPENINGS = (  # of stories, to try a lab on more than one prompt
    "The dog ran to the door and",
    "It was a cold night, and the wind",
    "One morning the girl woke up and",
    "The king called his three sons and said",
    "In the middle of the forest there was",
    "She opened the box and found",
    "The old man sat by the fire and",
    "When the rain had stopped, the boy",
    "The ship sailed away from the",
    "My mother told me that",
    "At the end of the road stood",
    "The teacher looked at the children and",
)
ROUNDING_NATS = 1e-6  # float32 arithmetic on equal logits stays well below this


def row(c: Comparison, line: str) -> TweakRun:
    """The TWEAK row with that line of text. Raises UnknownName when the comparison has none."""
    rows = {str(r.tweak): r for r in c.tweaks}
    if line not in rows:
        raise unknown("row of this comparison", line, rows, "invivo run --json")
    return rows[line]


def measure(c: Comparison, name: str, line: str | None = None) -> float:
    """A metric of the row with that line, or of BASE; NaN where it has none, so that no inequality holds of it."""
    value = metric_named(name).of(c, None if line is None else c.tweaks.index(row(c, line)))
    return math.nan if value is None else value


def is_base(c: Comparison, r: TweakRun) -> bool:
    """Whether a row is BASE: the same tokens, and no prediction moved by more than rounding."""
    return r.ids == c.base.ids and max(r.kl_nats) <= ROUNDING_NATS


def is_greedy(recipe: Experiment | TrialsRecipe) -> bool:
    """Whether BASE takes the likeliest token at every step."""
    return recipe.decoding.greedy and recipe.decoding.num_beams == 1


def said(name: str, value: float | None) -> str:
    """A metric's value as people read it."""
    return metric_named(name).text(value)


def turn(before: float | None, after: float | None, up: str, same: str, down: str) -> str:
    """The word for going from `before` to `after`; within 1 %, or where one is missing, it is `same`."""
    if before is None or after is None or abs(after - before) <= 0.01 * abs(before):
        return same
    return up if after > before else down


def decoders(e: Experiment) -> list[Stack]:
    """The rows of an experiment that change nothing but how one token is chosen: no activations, no beams."""
    return [
        stack
        for stack in e.tweaks
        if all(isinstance(t, DecodingTweak | LogitBias) and not isinstance(t, SetBeams) for t in stack)
    ]


def numbered(shown: Exhibit, name: str) -> dict[int, float]:
    """An exhibit's numbers of that name, which it gives one a row, by the row's number: `kept_1`, `kept_2`."""
    found = (key.rpartition("_") for key in shown.numbers)
    return {int(n): shown.numbers[f"{name}_{n}"] for what, _, n in found if what == name and n.isdigit()}


def doing(r: TweakRun) -> str:
    """A row's tweak as the subject of a sentence, on one line: `Zeroing head 3.5`."""
    return safe(wording.doing(r.tweak))


def moving(c: Comparison, r: TweakRun) -> str:
    """How far a row moved the prediction after the prompt."""
    return f"the next prediction moves by {said('kl_next', r.kl_nats[len(c.prompt_ids) - 1])} (KL)"


def parting(r: TweakRun) -> str:
    """Where its text leaves BASE's."""
    if r.first_divergence is None:
        return "its text is BASE's"
    return f"its text leaves BASE's at generated token {r.first_divergence}"


def likeliest(r: TweakRun, *, base: bool = False) -> str:
    """The likeliest token after the prompt, of a row or of its BASE, quoted."""
    return quoted(max(r.next, key=lambda candidate: candidate.base if base else candidate.tweak).text)
