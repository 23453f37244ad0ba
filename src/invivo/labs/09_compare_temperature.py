"""Lab 09: the same model, the same prompt, other ways to choose: greedy against warm and hot sampling.

Only the decoder is tweaked, so KL is 0 in every row: what differs is what was picked, and what followed from it.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.trials import Trials, TrialsRecipe
from ..tweaks import Stack
from .words import (
    OPENINGS,
    ROUNDING_NATS,
    decoders,
    doing,
    is_base,
    is_greedy,
    measure,
    numbered,
    parting,
    row,
    said,
    turn,
)

COLD, WARM, HOT = "set temperature 0", "set temperature 0.7 + set top_k 40", "set temperature 1.2 + set top_k 40"
HEATS = (0.4, 0.8, 1.2, 1.6)
NEAR_ZERO = (0.0, 0.001, 0.1, 1.0)


def takeaway(c: Comparison) -> str:
    """How likely and how varied the last row's text is, beside BASE's."""
    last = c.tweaks[-1]
    likely, likely_now = measure(c, "said"), measure(c, "said", str(last.tweak))
    varied, varied_now = measure(c, "distinct_2"), measure(c, "distinct_2", str(last.tweak))
    if not all(map(math.isfinite, (likely, likely_now, varied, varied_now))):
        return f"{doing(last)} cannot be judged here, too little was generated; {parting(last)}."
    how_likely = turn(likely, likely_now, "likelier", "as likely", "less likely")
    how_often = turn(varied, varied_now, "less", "as much", "more")
    return (
        f"{doing(last)} makes the model say what it finds {how_likely} ({said('said', likely_now)}; BASE "
        f"{said('said', likely)}) and repeat itself {how_often} ({said('distinct_2', varied_now)} of its pairs of "
        f"tokens are distinct; BASE {said('distinct_2', varied)})."
    )


def trials(e: Experiment, metric: str, heats: tuple[float, ...], tokens: int, filtered: str = "") -> TrialsRecipe:
    """The same number at several temperatures, on the reader's prompt and others, with two dice each."""
    return TrialsRecipe(
        prompts=(e.prompt, *[opening for opening in OPENINGS if opening != e.prompt][:5]),
        tweaks=tuple(Stack.of(f"set temperature {heat}{filtered}") for heat in heats),
        metric=metric,
        seeds=2,
        doses=heats,
        dose_name="temperature",
        decoding=e.decoding.model_copy(update={"max_new_tokens": min(tokens, e.decoding.max_new_tokens)}),
        seed=e.seed,
        **e.on,
    )


def cold_keeps_one(shown: Exhibit) -> bool:
    """Whether temperature 0 leaves a single token."""
    kept = numbered(shown, "kept")
    return all(kept[n] == 1 for n, heat in numbered(shown, "t").items() if heat == 0)


def heat_flattens(shown: Exhibit) -> bool:
    """Whether a hotter row gives the likeliest token less, and leaves more entropy."""
    heat, top, spread = (numbered(shown, name) for name in ("t", "top", "entropy"))
    rows = sorted(heat, key=heat.__getitem__)
    return all(top[a] > top[b] and spread[a] < spread[b] for a, b in pairwise(rows))


def means(t: Trials) -> list[float]:
    """The rows' means, in their order."""
    return [t.mean(n).mean for n in range(len(t.values))]


LAB = Lab(
    number="09",
    name="compare_temperature",
    section=6,
    title="Turn up the temperature",
    why=(
        "A language model does not speak. It hands out probabilities, and a few lines of ordinary code choose. Those "
        "lines decide whether the same weights sound dull, lively or drunk. Always taking the likeliest token is safe, "
        "and often goes round in circles; dice bring life, and slips. A large model talks its way out of a slip. A "
        "small one has to go on from whatever it just said, and wanders."
    ),
    know=(
        "Logits: the last layer gives one number per vocabulary entry. Only differences between them count: adding the "
        "same amount to all of them changes nothing.",
        "Softmax turns them into probabilities: take the exponential of each, divide by the sum of all. One nat more "
        "in a logit multiplies that token's odds by e, about 2.7.",
        "Entropy says how open a choice is, in nats: 0 when one token is certain, ln 8,192 = 9.0 when every token of "
        "fruitfly is equally likely.",
        "Greedy decoding takes the likeliest token each time. It can be repeated exactly, but the likeliest next "
        "token, taken again and again, need not make a likely text: small models fall into loops.",
        "Temperature divides the logits before the softmax. Below 1 it widens the gaps, above 1 it narrows them; "
        "towards 0 it becomes greedy. It never changes which token is likelier than which.",
        "Top-k keeps the k likeliest tokens and shares out their probability anew. It cuts the long tail: thousands of "
        "tokens, each hopeless by itself, that together are drawn quite often.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "She opened the box and found",
            "tweaks": [COLD, WARM, HOT],
            "decoding": {"max_new_tokens": 60},
        }
    ),
    numbers=("said", "choice_entropy", "distinct_2", "parted"),
    pictures=("rows", "entropy_by_position"),
    look_for=(
        "Read BASE, which is greedy, to its end: does it come back to something it has said? Then read TWEAK, the "
        "hottest row, and find the first word that does not fit; whatever follows has to live with it. The model "
        "itself is the same in every row, so its entropy curve is, too. Where BASE goes round in a loop, the curve "
        "sinks: the model has been there, and knows what comes next."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Temperature 0 is greedy: where BASE is greedy, the two say the same, token by token.",
            exact=True,
            holds=lambda c: not c.recipe.decoding.greedy or is_base(c, row(c, COLD)),
        ),
        Claim(
            text="The decoder changes the choice, not the model: KL is 0 at every position of every row.",
            exact=True,
            holds=lambda c: all(max(r.kl_nats) <= ROUNDING_NATS for r in c.tweaks),
        ),
        Claim(
            text="The hotter, the more is left to chance: the entropy of the choice rises from greedy to 0.7 to 1.2.",
            holds=lambda c: (
                measure(c, "choice_entropy") < measure(c, "choice_entropy", WARM) < measure(c, "choice_entropy", HOT)
            ),
        ),
        Claim(
            text="At 1.2 the model finds its own words less likely than at 0.7, and than greedy's.",
            holds=lambda c: measure(c, "said", HOT) < min(measure(c, "said", WARM), measure(c, "said")),
        ),
        Claim(
            text="Greedy repeats itself more: fewer of its pairs of tokens are distinct than at 1.2.",
            holds=lambda c: measure(c, "distinct_2") < measure(c, "distinct_2", HOT),
        ),
    ),
    steps=(
        Step(
            name="choices",
            title="What does heat do to one choice?",
            text=(
                "The distribution over the very next token, before and after. Temperature 0 leaves one token. Above 0 "
                "every temperature keeps the order of the tokens and changes the gaps; top-k then cuts the tail. The "
                "last bar holds all other tokens together."
            ),
            recipe=lambda e: ExhibitRecipe(
                name="choices",
                settings={"prompt": e.prompt, "rows": [str(stack) for stack in decoders(e)] or [COLD, WARM, HOT]},
                **e.on,
            ),
            claims=(
                Claim(text="Temperature 0 leaves one token to choose from.", exact=True, holds=cold_keeps_one),
                Claim(
                    text="The hotter the row, the less the likeliest token gets, and the more entropy is left.",
                    holds=heat_flattens,
                ),
            ),
        ),
        Step(
            name="cold",
            title="Does cold sampling become greedy?",
            text=(
                "How many texts differ from greedy's, from temperature 0 to 1, without any filter. At 0 there is "
                "nothing to draw; at 0.001 only a token within a few thousandths of a nat "
                "of the leader has a chance."
            ),
            recipe=lambda e: trials(e, "differs", NEAR_ZERO, 16),
            claims=(
                Claim(
                    text="At temperature 0 no text differs from greedy's, on any prompt with any dice.",
                    exact=True,
                    holds=lambda t: not is_greedy(t.recipe) or means(t)[0] == 0,
                ),
                Claim(
                    text="At 0.001 at most one text in five differs, at 1 at least four in five.",
                    holds=lambda t: means(t)[1] <= 0.2 and means(t)[-1] >= 0.8,
                ),
            ),
        ),
        Step(
            name="variety",
            title="Does variety rise with the heat?",
            text="The share of neighbouring pairs of tokens that do not repeat, with top-k 40. BASE is greedy.",
            recipe=lambda e: trials(e, "distinct_2", HEATS, 40, " + set top_k 40"),
            claims=(
                Claim(
                    text="At 1.2 and at 1.6 texts are more varied than greedy's, on average.",
                    holds=lambda t: min(means(t)[2:]) > t.mean(None).mean,
                ),
                Claim(
                    text="Variety is higher at 1.6 than at 0.4.",
                    holds=lambda t: means(t)[-1] > means(t)[0],
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "One hot text that the model finds unlikely may be bad luck. Here are several prompts, with two dice "
                "each: how likely does the model find its own words, temperature by temperature? The same dice are "
                "thrown at every temperature, so that heat is all that differs."
            ),
            recipe=lambda e: trials(e, "said", HEATS, 24, " + set top_k 40"),
            claims=(
                Claim(
                    text="The hotter, the less likely: the mean log-probability falls at every step of temperature.",
                    holds=lambda t: all(before > after for before, after in pairwise(means(t))),
                ),
                Claim(
                    text="At 1.2 it is below greedy's on every prompt.",
                    holds=lambda t: t.lower(2) == len(t.recipe.prompts),
                ),
            ),
        ),
    ),
    questions=(
        "Was it luck? Roll other dice, and then others again: `invivo run 09 --seed 1`.",
        "Is it the heat or the tail? Keep the heat, and cut the tail by probability instead of by count: "
        '`invivo run 09 --tweak "set temperature 1.2 + set top_p 0.8"`.',
        "And with no filter at all? Let every token of the vocabulary play: "
        '`invivo run 09 --tweak "set temperature 1.2"`.',
    ),
    sources=(
        "Ackley, Hinton & Sejnowski 1985, A Learning Algorithm for Boltzmann Machines (temperature), "
        "Cognitive Science 9(1)",
        "Fan, Lewis & Dauphin 2018, Hierarchical Neural Story Generation (top-k), arXiv:1805.04833",
        "Holtzman et al. 2020, The Curious Case of Neural Text Degeneration (loops, tails, top-p), arXiv:1904.09751",
        "Li et al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models (distinct pairs), "
        "arXiv:1510.03055",
    ),
)
