"""Lab 02: switch off one attention head, and compare it with all the others of its layer.

The head was found by zeroing each of fruitfly's 48 heads in turn on prompts that end in "Mr.": one stood far out.
"""

from __future__ import annotations

import math

from ..experiment import Claim, Comparison, Experiment, Lab, TweakRun
from ..experiment.wording import share_shift
from ..show.text import quoted
from ._words import doing, is_base, likeliest, parting, row, said

HEAD, OTHERS = "0.7", "0.0:7"
CONTROL = f"scale head {HEAD} by 1"
ZERO_OTHERS, MEAN, ZERO = f"zero head {OTHERS}", f"mean head {HEAD}", f"zero head {HEAD}"


def kl_next(c: Comparison, r: TweakRun) -> float:
    """KL(BASE ‖ TWEAK) of the prediction right after the prompt, in nats."""
    return r.kl_nats[len(c.prompt_ids) - 1]


def target_gain(c: Comparison, r: TweakRun) -> float:
    """How many times as likely as BASE a row finds the target; NaN where there is none."""
    if r.target_nats is None or c.base.target_nats is None:
        return math.nan
    return math.exp(r.target_nats - c.base.target_nats)


def takeaway(c: Comparison) -> str:
    """What zeroing the head did to the next prediction, beside zeroing the others; else what the last row did."""
    rows = {str(r.tweak): r for r in c.tweaks}
    shown, beside = rows.get(ZERO, c.tweaks[-1]), rows.get(ZERO_OTHERS)
    moved = f"{doing(shown)} moves the next prediction by {said('kl_next', kl_next(c, shown))} (KL)"
    if beside is not None and beside is not shown:
        others = doing(beside)
        moved += f", {others[0].lower()}{others[1:]} (others of its layer) by {said('kl_next', kl_next(c, beside))}"
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"the likeliest token stays {before}" if before == after else f"the likeliest token was {before}, now {after}"
    if c.recipe.target is None or c.base.target_nats is None or shown.target_nats is None:
        return f"{moved}; {top}; {parting(shown)}."
    target = share_shift(math.exp(c.base.target_nats), math.exp(shown.target_nats))
    return f"{moved}; {top}; {quoted(c.recipe.target)} goes {target}."


LAB = Lab(
    number="02",
    name="head_ablation",
    section=1,
    title="Switch off one attention head",
    why=(
        "The full stop in `Mr.` is the very same token as the one that ends a sentence: same row in the embedding "
        "table. To tell which it is, a model has to look one word back, and attention is the only part of it that can "
        "look anywhere. Somewhere in fruitfly, then, something does that looking. Is it one head or a "
        "crowd? Switch one off and listen to what comes after the stop."
    ),
    know=(
        "Queries, keys, values: each head turns the vector at every position into three short ones with learned "
        "matrices W_q, W_k, W_v (side by side in GPT-2's `c_attn`). The query says what a position looks for, the key "
        "what it can be found by, the value what it hands over when found.",
        "Scores: the dot product of one position's query with another's key, divided by the square root of the head's "
        "width (32 in fruitfly) so that wide heads do not get extreme scores.",
        "Mask: a position sees itself and what stands to its left. Scores to the right are set to minus infinity, so "
        "that no prediction peeks at its answer.",
        "Softmax makes of a position's scores weights that are positive and sum to 1, the pattern. The values mixed "
        "with these weights are the head's output, `z`.",
        "Heads: a layer has several, each with matrices of its own (6 layers of 8 in fruitfly). The output projection, "
        "`c_proj`, reads all their outputs and adds one vector to the residual stream. A head is written layer.head, "
        "from 0: 0.7 is the last of the first layer.",
        "Ablation: zero puts zeros in place of `z`. Mean puts its average over the prompt there, which keeps what the "
        "head always says and drops what it says about this token. Where both hurt, the message mattered.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Once there was a farmer named Mr.",
            "tweaks": [CONTROL, ZERO_OTHERS, MEAN, ZERO],
            "target": " He",
            "decoding": {"max_new_tokens": 30},
        }
    ),
    numbers=("kl_next", "target", "kl_mean", "parted"),
    pictures=("next_tokens", "rows", "kl_by_position"),
    look_for=(
        "The first word after `Mr.`: a name, or the start of a new sentence? KL says how far a row moved that "
        "prediction; the target, ` He`, says whether it moved towards a new sentence. Compare this one head with its "
        "seven neighbours zeroed at once: much can break without this one mistake being made. The row that multiplies "
        "the head by 1 is the control that must be BASE."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The head multiplied by 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(
            text="Zeroing this one head moves the prediction after `Mr.` by more than 1 nat.",
            holds=lambda c: kl_next(c, row(c, ZERO)) > 1,
        ),
        Claim(
            text="Without the head a new sentence is at hand: ` He` is at least three times as likely as in BASE.",
            holds=lambda c: target_gain(c, row(c, ZERO)) >= 3,
        ),
        Claim(
            text="Zeroing its seven neighbours at once makes ` He` gain less than that one head does.",
            holds=lambda c: target_gain(c, row(c, ZERO_OTHERS)) < target_gain(c, row(c, ZERO)),
        ),
    ),
    questions=(
        "Is it about `Mr.`, or about every full stop? Give the head a real end of sentence: "
        '`invivo compare "The farmer went to bed." --tweak "zero head 0.7"`.',
        "Must the head read the whole prompt, or only the stop? Zero it at the last token alone: "
        '`invivo run 02 --tweak "zero head 0.7 at -1"`.',
        "More damage, more effect? Take away the whole layer, this head and all: "
        '`invivo run 02 --tweak "zero head 0.0:8"`.',
    ),
    sources=(
        "Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762",
        "Michel, Levy & Neubig 2019, Are Sixteen Heads Really Better than One?, arXiv:1905.10650",
        "Voita et al. 2019, Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy Lifting, the Rest Can "
        "Be Pruned, arXiv:1905.09418",
        "Wang et al. 2022, Interpretability in the Wild (mean ablation, and what a control is for), arXiv:2211.00593",
    ),
)
