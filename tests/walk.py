"""Every lab, made short, on a random model of every family: what comes of it, and what a model cannot have."""

from __future__ import annotations

from functools import cache
from typing import Any

from invivo.errors import InvivoError
from invivo.experiment import LabResult
from invivo.labs import all_labs

from . import tiny
from .guide import reasons, short

LABS = {lab.full_name: lab for lab in all_labs()}
LETTERS = "gpt2 reading letters"  # another tokenizer: an answer is many tokens, and prompts differ in length
MODELS = (*tiny.FAMILIES, LETTERS)


def whole(model: str, name: str) -> bool:
    """Whether the tests run a lab's steps on a model, too: each lab's on one or two models, by turns, because all of
    them would take an hour.
    """
    return (MODELS.index(model) + list(LABS).index(name)) % len(LABS) == 0


@cache
def outcome_on(model: str, name: str, steps: bool = True) -> LabResult | InvivoError:
    """What comes of a lab, made short, on a random model: a result, or the error that says why there is none."""
    living = tiny.roomy("gpt2", letters=True) if model == LETTERS else tiny.roomy(model)
    try:
        return living.run_lab(short(LABS[name]), steps=steps)
    except InvivoError as error:
        return error


def cell(model: str, name: str, steps: bool = True) -> dict[str, Any]:
    """What of a lab a model cannot have, and why; empty where it has all of it."""
    outcome = outcome_on(model, name, steps)
    if isinstance(outcome, InvivoError):
        return {"refused": outcome.what}
    return {"without": reasons(outcome)} if reasons(outcome) else {}


def broken(model: str, name: str, steps: bool = True) -> list[str]:
    """Claims for any model that do not hold on this one."""
    outcome = outcome_on(model, name, steps)
    verdicts = () if isinstance(outcome, InvivoError) else outcome.all_verdicts
    return [verdict.text for verdict in verdicts if verdict.expected and not verdict.holds]
