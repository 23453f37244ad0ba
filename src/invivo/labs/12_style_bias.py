"""Lab 12: a thumb on the scale. One number added to one logit at every step, and the style of a text tilts.

Commas, because they are everywhere, mean little, and set the pace. The bias is in nats, so what it is worth in odds is
known beforehand: e^b. What it is worth in a text has to be measured.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import ExhibitRecipe
from ..experiment.trials import Trials, TrialsRecipe
from ..metrics import rate
from ..show.text import number
from ..tweaks import LogitBias, Stack
from .words import doing, is_base, measure, row, said, turn

COMMA = ","


def line(amount: float, token: str = COMMA) -> str:
    """The tweak that adds `amount` to a token's logit."""
    return str(LogitBias(amount=amount, token=token))


FEWER, MORE, MUCH = -3, 2, 4
TOKENS = 32  # of each text in the steps
NONE = line(0)
DOSES = (-4.0, -2.0, 1.0, 3.0)
OTHERS = (" the", " was")  # words, which say nothing about commas
OPENINGS = (
    "Once upon a time",
    "One day the old farmer",
    "The little girl looked at the sky",
    "In the middle of the forest",
    "The king was very angry",
    "It was a cold night",
    "When the boy came home",
    "The fox said to the crow",
)
RICH = (
    "Told slowly, with many a pause: The old fox",
    "Told slowly, by the fire: Tom",
    "Told slowly, for a long evening: The little hen",
)
PLAIN = (
    "Told in short words: The old fox",
    "Told in plain words: Tom",
    "Told in one breath: The little hen",
)


# ── what is asked of the results ─────────────────────────────────────────────────────────────────────────────────────


def odds_gain(c: Comparison, tweak: str) -> float:
    """By how many nats a row raises the target's log-odds after the prompt; NaN where there is no target."""
    before, after = c.base.target_nats, row(c, tweak).target_nats
    if before is None or after is None:
        return math.nan
    return _log_odds(after) - _log_odds(before)


def _log_odds(nats: float) -> float:
    return nats - math.log(-math.expm1(nats)) if nats < 0 else math.inf


def mean_of(trials: Trials, prompts: tuple[str, ...], tweak: int | None = None) -> float:
    """A row's mean over some of the prompts; BASE's where it is None."""
    values = trials.base if tweak is None else trials.values[tweak]
    by_prompt = zip(trials.recipe.prompts, values, strict=True)
    found = [value for prompt, drawn in by_prompt if prompt in prompts for value in drawn if value is not None]
    return sum(found) / len(found) if found else math.nan


def rises(trials: Trials) -> bool:
    """Whether the mean rate rises from each strength to the next, BASE among them as 0."""
    doses = [*trials.recipe.doses, 0.0]
    means = [trials.mean(i).mean for i in range(len(trials.recipe.doses))] + [trials.mean(None).mean]
    ordered = [mean for _, mean in sorted(zip(doses, means, strict=True))]
    return all(before <= after for before, after in pairwise(ordered)) and ordered[0] < ordered[-1]


def takeaway(c: Comparison) -> str:
    """How often the row that is shown says the token, beside BASE."""
    rows = {str(r.tweak): r for r in c.tweaks}
    shown = rows.get(line(MORE), c.tweaks[-1])
    token = biased(c.recipe)
    metric = rate(token)
    before, after = metric.of(c, None), metric.of(c, c.tweaks.index(shown))
    trend = turn(before, after, "raises", "does not change", "lowers")
    text = f"{doing(shown)} {trend} its share of the text: {metric.text(before)} (BASE), {metric.text(after)} (TWEAK)"
    gain = odds_gain(c, str(shown.tweak))
    if not math.isfinite(gain):
        return f"{text}; the next prediction moves by {said('kl_next', shown.kl_nats[len(c.prompt_ids) - 1])} (KL)."
    return f"{text}; after the prompt its odds are {number(math.exp(gain), 2)} times BASE's."


# ── the steps' recipes ───────────────────────────────────────────────────────────────────────────────────────────────


def biased(e: Experiment) -> str:
    """The token that the experiment's rows bias."""
    return next((t.token for stack in e.tweaks for t in stack if isinstance(t, LogitBias)), COMMA)


def _aloud(e: Experiment) -> Experiment:
    token = biased(e)
    return e.model_copy(update={"tweaks": tuple(Stack.of(line(b, token)) for b in (FEWER, MUCH)), "top": 2})


def _same(e: Experiment) -> ExhibitRecipe:
    settings = {"prompt": e.prompt, "token": biased(e), "draws": 6, "tokens": TOKENS}
    return ExhibitRecipe(name="output_bias", settings=settings, **e.on)


def _trials(
    e: Experiment, prompts: tuple[str, ...], lines: tuple[str, ...], seeds: int = 1, doses: tuple[float, ...] = ()
) -> TrialsRecipe:
    return TrialsRecipe(
        prompts=prompts,
        tweaks=tuple(map(Stack.of, lines)),
        metric=rate(biased(e)).name,
        seeds=seeds,
        doses=doses,
        dose_name="bias, nats",
        decoding=e.decoding.model_copy(update={"max_new_tokens": TOKENS}),
        seed=e.seed,
        **e.on,
    )


def _dose(e: Experiment) -> TrialsRecipe:
    prompts = (e.prompt, *(p for p in OPENINGS if p != e.prompt))[:6]
    return _trials(e, prompts, tuple(line(b, biased(e)) for b in DOSES), doses=DOSES)


def _style(e: Experiment) -> TrialsRecipe:
    return _trials(e, (*RICH, *PLAIN), (line(MORE, biased(e)),), seeds=2)


def _real(e: Experiment) -> TrialsRecipe:
    token = biased(e)
    return _trials(e, OPENINGS, tuple(line(MORE, t) for t in (*(o for o in OTHERS if o != token), token)), seeds=2)


def _fewer(c: Comparison) -> bool:
    """Whether the first row says its token less often than the second."""
    first, second = (rate(biased(c.recipe)).of(c, row) for row in (0, 1))
    return first is not None and second is not None and first < second


def _moves(trials: Trials, tweak: int) -> float:
    return abs(trials.effect(tweak).mean)


def _odds_are_as_foretold(shown: object) -> bool:
    numbers: dict[str, float] = shown.numbers  # type: ignore[attr-defined]
    pairs = [(float(n.removeprefix("odds_")), v) for n, v in numbers.items() if n.startswith("odds_")]
    return all(abs(value / math.exp(b) - 1) < 1e-3 for b, value in pairs)


LAB = Lab(
    number="12",
    name="style_bias",
    section=7,
    title="A thumb on the comma",
    why=(
        "Style looks like the hardest thing to reach into a model for. Some of it is not: how often a mark of "
        "punctuation comes is one number a token, at the very end. Add to it and leave all else alone. No weights are "
        "trained, no prompt is changed, and yet the prose has another pace. Hosted models offer the same as "
        "`logit_bias`. What does one unit of it buy, and when does it turn into noise?"
    ),
    know=(
        "Output layer: the last vector of the residual stream, through the final norm, times one row per vocabulary "
        "entry. The result is a logit a token.",
        "Output bias: an output layer may add a number of its own to each logit, the same in every text: how usual a "
        "token is, before anything was read. GPT-2's, like most today, has none: it must say that with its vectors.",
        "Logit bias is such a number added from outside while the decoder chooses. To the model it is the same as a "
        "bias in the layer. The step below puts a real one in, and compares all logits.",
        "Odds: p / (1 − p). A bias of b nats multiplies a token's odds by e^b at every position: 1 nat by 2.7, 2 nats "
        "by 7.4. A token without a chance stays without one, and one that is nearly certain cannot gain. So the bias "
        "tilts close calls and leaves clear ones alone.",
        "In a text the gain is smaller than the odds say. After a comma hardly ever comes another, and each comma "
        "bends the sentence to one that has fewer places for the next.",
        "Temperature divides logits after the bias has been added: at temperature 0.5 two nats count as four. A bias "
        "is set by hand for one token; a prompt can ask for a whole style, if the model has learned one.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Once upon a time",
            "tweaks": [NONE, line(MORE)],
            "target": COMMA,
            "decoding": {"do_sample": True, "temperature": 0.7, "max_new_tokens": 60},
        }
    ),
    numbers=("comma_rate", "target_probability", "top_changed", "parted"),
    pictures=("next_tokens",),
    look_for=(
        "BASE and TWEAK threw the same dice, so they say the same until a comma falls where none was. Read both aloud. "
        "Does +2 sound like another writer, or like a fault? The next step has the texts with −3 and +4."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="A bias of 0 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, NONE)),
        ),
        Claim(
            text="After the prompt, the comma's odds are e^b times BASE's in every row.",
            exact=True,
            holds=lambda c: all(abs(odds_gain(c, line(b)) - b) < 1e-2 for b in (0, MORE)),
        ),
        Claim(
            text="The thumb is light: with +2 the likeliest token stays the same at three of four positions.",
            holds=lambda c: measure(c, "top_changed", line(MORE)) <= 0.25,
        ),
    ),
    steps=(
        Step(
            name="aloud",
            title="Too little, too much",
            text=(
                "The same dice again, with hardly a comma and with far too many. Where does the bias put one that no "
                "writer would, and what does the sentence do next?"
            ),
            recipe=_aloud,
            claims=(
                Claim(
                    text="The text with −3 has fewer commas than the one with +4.",
                    holds=_fewer,
                ),
            ),
        ),
        Step(
            name="same",
            title="The same as a bias on the output layer",
            text=(
                "For each strength the output layer gets a real bias, a parameter of the model, and reads one text; "
                "its logits are compared with those of the tweak. Then texts are sampled, at temperature 1. The upper "
                "curve is what the odds alone would give; the other one is what is said."
            ),
            recipe=_same,
            claims=(
                Claim(
                    text="The logits are equal, to rounding.",
                    exact=True,
                    holds=lambda shown: shown.numbers["deviation"] < 1e-3,
                ),
                Claim(
                    text="The odds at each position are multiplied by e^b, within 0.1 %.",
                    exact=True,
                    holds=_odds_are_as_foretold,
                ),
                Claim(
                    text="In what is said, the odds gain less than that.",
                    holds=lambda shown: shown.numbers.get("said_odds_3", math.inf) < 0.5 * math.exp(3),
                ),
            ),
        ),
        Step(
            name="dose",
            title="How much is enough?",
            text="Six openings, four strengths, one draw each. The band is a 95 % interval over openings.",
            recipe=_dose,
            claims=(
                Claim(text="The comma rate rises with the bias.", holds=rises),
                Claim(
                    text="With −4 nats there is hardly a comma: fewer than a quarter of BASE's.",
                    holds=lambda trials: trials.mean(0).mean < 0.25 * trials.mean(None).mean,
                ),
            ),
        ),
        Step(
            name="style",
            title="Or ask for it: bias against prompt",
            text=(
                "fruitfly has read stories in two styles, and how a text starts says which: three openings that ask "
                "for many commas, and the same three for none. Compare BASE down the table with TWEAK across it. Which "
                "moves more, and which one knows where a comma belongs?"
            ),
            recipe=_style,
            claims=(
                Claim(
                    text="The prompt alone moves the comma rate: at least twice as many after an opening that asks for "
                    "them.",
                    holds=lambda trials: mean_of(trials, RICH) >= 2 * mean_of(trials, PLAIN),
                ),
                Claim(
                    text="Where the prompt asks for none, the bias wins less than the prompt does: plain openings with "
                    "+2 stay below the others without it.",
                    holds=lambda trials: mean_of(trials, PLAIN, 0) < mean_of(trials, RICH),
                ),
            ),
        ),
        Step(
            name="real",
            title="Is it real?",
            text=(
                "Eight openings with two dice each. Beside the comma, the same bias on words that have nothing to do "
                "with it: were the comma rate to rise with any bias, it would say nothing about commas."
            ),
            recipe=_real,
            claims=(
                Claim(
                    text="The interval of the comma's effect is above 0.",
                    holds=lambda trials: trials.effect(-1).low > 0,
                ),
                Claim(
                    text="The same bias on each of the other tokens moves the comma rate by less than half as much.",
                    holds=lambda trials: all(
                        _moves(trials, i) < 0.5 * _moves(trials, -1) for i in range(len(trials.recipe.tweaks) - 1)
                    ),
                ),
            ),
        ),
    ),
    questions=(
        "Is it about commas? Bias another mark, and every step follows: "
        """`invivo run 12 --tweak 'add 3 to logit "!"'`.""",
        "Can a bias take a word away? Make ` the` nearly impossible and see what stands in for it: "
        """`invivo run 12 --tweak 'add -10 to logit " the"'`.""",
        "Does a greedy decoder feel it? Only where the comma was a close second: "
        """`invivo compare "Once upon a time" --tweak 'add 1 to logit ","' --tweak 'add 3 to logit ","'`.""",
    ),
    sources=(
        "Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2: a tied output layer without "
        "bias)",
        "Keskar et al. 2019, CTRL: A Conditional Transformer Language Model for Controllable Generation (style by "
        "prompt), arXiv:1909.05858",
        "Pascual et al. 2021, A Plug-and-Play Method for Controlled Text Generation (shifting logits), "
        "arXiv:2109.09707",
    ),
)
