"""What the labs have in common, for the tests that walk over all of them: the guide's list, a lab made short, results
altered on purpose, commands read without running them.
"""

from __future__ import annotations

import json
import math
import random
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from typer.main import get_command

from invivo.errors import InvivoError
from invivo.experiment import Experiment, Lab, LabResult, Recipe, Step, Sweep
from invivo.experiment.control import ControlRecipe
from invivo.experiment.exhibit import ExhibitRecipe
from invivo.experiment.heads import HeadsRecipe
from invivo.experiment.result import Result
from invivo.experiment.trials import TrialsRecipe
from invivo.tweaks import Decoding

GUIDE = {  # every lab of the guide, and its section
    "00_quick_setup_run_once": 9,
    "01_visualize_a_weight_matrix": 1,
    "02_head_ablation": 1,
    "03_scale_one_attention_head": 2,
    "04_nudge_one_mlp_neuron": 3,
    "05_zero_a_slice_of_token_embeddings": 0,
    "06_activation_patching": 8,
    "07_add_small_gaussian_noise_to_residual_stream": 0,
    "08_boost_positional_encodings": 4,
    "09_compare_temperature": 6,
    "10_compare_decoding_strategies": 6,
    "11_logit_lens_peek": 5,
    "12_style_bias": 7,
    "13_training_basics": 11,
    "14_scaling_laws": 11,
    "15_adaptation": 11,
    "16_compression": 11,
    "17_long_context": 11,
    "18_retrieval": 11,
    "19_evaluation": 11,
    "20_safety": 11,
}


# ── a lab made short: the same places and rows, on fewer prompts, draws and tokens ───────────────────────────────────

TOKENS, LETTERS, PROMPTS, DRAWS = 6, 240, 2, 2
COUNTED, LISTED = ("count", "draws", "samples", "seeds"), ("prompts", "sentences", "texts")  # settings of exhibits


def short(lab: Lab) -> Lab:
    """The lab with less work in it. Nothing that a claim for any model is about is left out."""
    steps = tuple(each.model_copy(update={"recipe": _shortening(each.recipe)}) for each in lab.steps)
    return lab.model_copy(update={"experiment": _experiment(lab.experiment), "steps": steps})


def _shortening(recipe: Callable[[Experiment], Recipe]) -> Callable[[Experiment], Recipe]:
    return lambda experiment: shorter(recipe(experiment))


def shorter(recipe: Recipe) -> Recipe:
    """A recipe of any kind on fewer prompts, draws and tokens."""
    match recipe:
        case Experiment():
            return _experiment(recipe)
        case TrialsRecipe():
            less = {"prompts": recipe.prompts[:PROMPTS], "targets": recipe.targets[:PROMPTS]}
            less |= {"seeds": min(recipe.seeds, DRAWS), "decoding": _decoding(recipe.decoding)}
            return recipe.model_copy(update=less | {"read": _beginning(recipe.read)})
        case ControlRecipe():
            return recipe.model_copy(update={"count": min(recipe.count, DRAWS), "prompts": recipe.prompts[:1]})
        case Sweep():
            return recipe.model_copy(update={"cases": recipe.cases[:1], "seeds": min(recipe.seeds, DRAWS)})
        case HeadsRecipe():
            return recipe.model_copy(update={"rows": 1, "length": min(recipe.length, 12)})
        case ExhibitRecipe():
            return recipe.model_copy(update={"settings": _settings(recipe)})
        case _:
            return recipe


def _experiment(e: Experiment) -> Experiment:
    return e.model_copy(update={"decoding": _decoding(e.decoding), "read": _beginning(e.read)})


def _decoding(d: Decoding) -> Decoding:
    return d.model_copy(update={"max_new_tokens": min(d.max_new_tokens, TOKENS)})


def _beginning(text: str | None) -> str | None:
    return None if text is None else text[:LETTERS]


def _settings(recipe: ExhibitRecipe) -> dict[str, Any]:
    from invivo.engine.exhibits import exhibit_named

    kind = exhibit_named(recipe.name).settings
    usual, found = kind.of(recipe.settings), dict(recipe.settings)
    for name in kind.model_fields:
        value = getattr(usual, name)
        less = {}
        if name in COUNTED and isinstance(value, int):
            less = {name: min(value, DRAWS)}
        elif name in LISTED and isinstance(value, list | tuple):
            less = {name: list(value[:PROMPTS])}
        with suppress(InvivoError):  # where so few are not allowed, they are left
            kind.of(found | less)
            found |= less
    return found


# ── results altered on purpose: a claim that is true of all of them says nothing ─────────────────────────────────────

ASKED = {"recipe", "case", "tweak", "lines", "versions", "allowed", "kind", "name", "x", "seed", "seconds"}
Change = Callable[[float], float]


def altered(result: Result) -> Iterator[Result]:
    """The result with other outcomes, what was asked being the same: every number 0, turned round, or drawn anew, small
    or large; the order of the numbers in each list reversed; rows that say what BASE says, or something else; every
    list one shorter. What the result's class does not accept is left out.
    """
    plain = json.loads(result.to_json())
    dice = random.Random(0)
    numbers: list[Change] = [lambda v: 0.0, lambda v: -v, lambda v: 1.0, lambda v: 1e6]
    numbers += [lambda v, size=size: dice.gauss(0, size) for size in (0.1, 1.0, 1.0, 10.0, 100.0)]
    numbers += [lambda v: abs(dice.gauss(0, 1)), lambda v: v * math.exp(dice.gauss(0, 1))]
    changed = [_floats(plain, change) for change in numbers]
    changed += [_reversed(plain), _others(plain), _shortened(plain)]
    if "base" in plain and "tweaks" in plain:
        changed += [_all_base(plain), _floats(_all_base(plain), lambda v: abs(dice.gauss(0, 1)))]
    for one in changed:
        try:
            yield type(result).of(one)
        except (InvivoError, ValueError, ArithmeticError):
            continue


def can_fail(holds: Callable[[Any], bool], result: Result) -> bool:
    """Whether the claim is false of some altered result. One that cannot be judged proves nothing."""
    for one in altered(result):
        try:
            if not holds(one):
                return True
        except (ArithmeticError, InvivoError, LookupError, TypeError, ValueError):
            continue
    return False


def _walk(node: Any, leaf: Callable[[Any], Any], every: Callable[[list[Any]], list[Any]] = list) -> Any:
    """A copy of plain data with its leaves and lists changed, but for what was asked."""
    if isinstance(node, dict):
        return {key: value if key in ASKED else _walk(value, leaf, every) for key, value in node.items()}
    if isinstance(node, list):
        return every([_walk(value, leaf, every) for value in node])
    return leaf(node)


def _floats(plain: Any, change: Change) -> Any:
    return _walk(plain, lambda leaf: change(leaf) if isinstance(leaf, float) else leaf)


def _reversed(plain: Any) -> Any:
    return _walk(plain, lambda leaf: leaf, lambda items: items[::-1] if _all_numbers(items) else items)


def _all_numbers(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, float) or _deep(item) for item in items)


def _deep(item: Any) -> bool:
    return isinstance(item, list) and _all_numbers(item)


def _shortened(plain: Any) -> Any:
    return _walk(plain, lambda leaf: leaf, lambda items: items[:-1])


def _others(plain: Any) -> Any:
    """Other tokens, other words, the other truth; whole numbers one larger."""

    def other(leaf: Any) -> Any:
        if isinstance(leaf, bool):
            return not leaf
        if isinstance(leaf, int):
            return leaf + 1
        return leaf + "'" if isinstance(leaf, str) else leaf

    found = _walk(plain, other)
    rows = found.get("tweaks", [])
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict) and row.get("ids"):
            row["ids"] = [i + number for i in row["ids"]]
    return found


def _all_base(plain: Any) -> Any:
    """Every row says what BASE says, with BASE's numbers and none between the two."""
    base = plain["base"]
    if not isinstance(base, dict):
        return plain
    rows = []
    for row in plain["tweaks"]:
        still = {key: [0.0] * len(row[key]) for key in ("kl_nats",)} | {"first_divergence": None}
        rows.append(row | base | still | {"top_changed": [False] * len(row["top_changed"])})
    return plain | {"tweaks": rows}


# ── commands, read without running them ──────────────────────────────────────────────────────────────────────────────


def quoted_commands(text: str) -> list[list[str]]:
    """The command lines a text quotes, cut into words."""
    return [shlex.split(line) for line in re.findall(r"`(invivo [^`]*)`", text)]


def check_command(words: list[str]) -> dict[str, Any]:
    """What the command line makes of the words; nothing is run. Raises what click raises for a wrong one."""
    from invivo.surfaces.cli import app

    command: Any = get_command(app)
    rest = list(words[1:])
    while getattr(command, "commands", None) and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    alone = getattr(command, "invoke_without_command", True)
    assert alone or not getattr(command, "commands", None), f"no such command: {shlex.join(words)}"
    return command.make_context(command.name or "invivo", rest).params


# ── what a lab says of a model ───────────────────────────────────────────────────────────────────────────────────────


def reasons(outcome: LabResult) -> dict[str, str]:
    """The steps that could not be run, and why."""
    return {step.name: step.skipped for step in outcome.steps if step.result is None}


def prose(lab: Lab) -> tuple[str, ...]:
    """Every text of a lab that a reader sees."""
    steps: tuple[Step, ...] = lab.steps
    of_steps = [text for s in steps for text in (s.title, s.text, *(c.text for c in s.claims))]
    claims = [claim.text for claim in lab.claims]
    return (lab.title, lab.why, lab.look_for, *lab.know, *lab.questions, *lab.sources, *claims, *of_steps)
