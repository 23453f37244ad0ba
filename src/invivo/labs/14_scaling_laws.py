"""Lab 14: models of many sizes on the same text, the law through their losses, and why a cut model is no small one.

The law is measured on toy models, which learn a made-up language whose entropy is known; the comparison is about the
loaded model with blocks switched off, which is what one would try first in order to have a smaller one.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from .words import doing, is_base, measure, numbered, parting, row, said, turn


def blocks(count: int, change: str = "zero", end: str = "") -> str:
    """A row for the last `count` blocks: both of what each adds to the stream."""
    return " + ".join(f"{change} L-{n}.{part}{end}" for n in range(1, count + 1) for part in ("attn_out", "mlp_out"))


CONTROL = blocks(1, "scale", " by 1")
CUTS = tuple(blocks(count) for count in (1, 3))

STORY = """\
The lighthouse keeper had a grey cat that was afraid of water. When the waves were high she sat on the top stair and \
looked at the lamp. One night a great storm came, and the lamp went out. The keeper was asleep. The cat ran down all \
the stairs and pulled at his sleeve until he woke. He climbed up, lit the lamp again, and far out on the sea a small \
ship turned away from the rocks. In the morning the captain came to the door with a basket of fish."""

LIVE = {"widths": [4, 6, 10, 16], "steps": 80, "rates": [0.03, 0.1]}
TOO_HIGH = {"rates": [0.2]}


def scaling(e: Experiment, **settings: object) -> ExhibitRecipe:
    """The exhibit on toy models of rising size, on the model of the experiment, which it does not ask anything."""
    return ExhibitRecipe(name="scaling", settings=settings, **e.on)


def each(x: Exhibit, name: str) -> list[float]:
    """A number of every size, by rising size."""
    return list(numbered(x, name).values())


def falls(values: list[float]) -> bool:
    """Whether each is below the one before."""
    return all(after < before for before, after in pairwise(values))


def rises_with_each_block(c: Comparison) -> bool:
    """Whether the story is the more surprising, the more blocks are off."""
    return falls([-measure(c, "read_perplexity", line) for line in (None, *CUTS)])


def takeaway(c: Comparison) -> str:
    """What the last cut did to a story and to the next prediction, in words that the numbers choose."""
    cut = c.tweaks[-1]
    line = str(cut.tweak)
    told = []
    for name, what in (
        ("read_perplexity", "the perplexity of a story"),
        ("entropy_next", "the entropy of the next word"),
    ):
        before, after = measure(c, name), measure(c, name, line)
        if math.isfinite(before) and math.isfinite(after):
            way = turn(before, after, "raises", "hardly moves", "lowers")
            told.append(f"{way} {what} ({said(name, before)} to {said(name, after)})")
    if line == CUTS[-1]:
        return f"Three blocks less: this {' and '.join(told)}; {parting(cut)}."
    return f"{doing(cut)} {' and '.join(told)}; {parting(cut)}."


LAB = Lab(
    number="14",
    name="scaling_laws",
    section=11,
    title="Loss by size",
    why=(
        "Before a large model is trained, many small ones are: their losses lie on a curve so regular that the large "
        "one's can be read off before it exists. Here you train the small ones. How much better does twice the size "
        "make a model, does that ever end, and in what way is a larger model better: does it know other words, or is "
        "it surer of them?"
    ),
    know=(
        "Size means N, how many numbers are learned. Toy models here have from 4,000 to 32,000 of them, fruitfly "
        "has 7 million, and the curve's form is the same further up.",
        "A power law, loss = A · N^−α, is a straight line when both axes are logarithms: each doubling of N takes the "
        "same share away. R² says how straight points lie: 1 is a line, 0 is no better than their mean.",
        "No model can guess what is left to chance. So the law has a floor: L = E + A · N^−α. For real text nobody "
        "knows E. Here the text is made up: each of 512 words has random odds for the next one, so the entropy is "
        "known exactly, and one can see whether a fit finds it.",
        "Random odds have no pattern, so more of them take more weights. Only the word before counts, so attention "
        "has nothing to do here: what is scaled is how much of a table fits in.",
        "A larger model is sharper: more of its probability is on fewer words, so its predictions have less entropy. "
        "A model whose odds are honest has as much entropy as loss, on average: it gets better by becoming surer.",
        "A training costs about C = 6 · N · D operations for D words. With C given, a larger model reads less. "
        "Losses at one C make a valley (an IsoFLOP curve), and its lowest point is the best size for that money.",
        "A fair comparison lets each size have its own best learning rate. What suits a small model can ruin a large "
        "one.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Once there was a farmer who had a",
            "tweaks": [CONTROL, *CUTS],
            "read": STORY,
            "decoding": {"max_new_tokens": 24},
        }
    ),
    numbers=("read_perplexity", "entropy_next", "kl_next", "parted"),
    pictures=("next_tokens",),
    look_for=(
        "A smaller model for nothing? TWEAK has its last block off, then its last three: half of fruitfly's. "
        "Look at how surprised each is by a story, and keep the factor in mind: below you see what half the weights "
        "cost a model that was trained with half. And look at the entropy: is a cut model less sure of itself? What "
        "is sharp need not be right."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The last block multiplied by 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(text="The more blocks are off, the more surprising the story is.", holds=rises_with_each_block),
        Claim(
            text="Without half of its blocks, the model is at least three times as surprised by each token.",
            holds=lambda c: measure(c, "read_perplexity", CUTS[-1]) >= 3 * measure(c, "read_perplexity"),
        ),
        Claim(
            text="Without its last block, it is surer of the next word than before.",
            holds=lambda c: measure(c, "entropy_next", CUTS[0]) < measure(c, "entropy_next"),
        ),
    ),
    steps=(
        Step(
            name="law",
            title="Eight sizes, one text",
            text=(
                "Eight toy models, each trained from scratch on the same text. Every size was tried with three "
                "learning rates, and the best counts: look in the table which rate that is for small and for large "
                "ones. Does every step up in size pay? And see where the curve is heading: the entropy of the "
                "language is what no model can go below, and what the text was too short to teach comes on top. "
                "Computed beforehand; `invivo show scaling again=true` does it anew."
            ),
            recipe=lambda e: scaling(e),
            claims=(
                Claim(
                    text="Each larger model has a lower loss (computed beforehand).",
                    exact=True,
                    holds=lambda x: falls(each(x, "loss")),
                ),
                Claim(
                    text="Loss over size is straight in logarithms: R² above 0.95 (computed beforehand).",
                    exact=True,
                    holds=lambda x: x.numbers["straight"] > 0.95 and x.numbers["slope"] < 0,
                ),
                Claim(
                    text="Above the language's entropy it is straighter still: R² above 0.98 (computed beforehand).",
                    exact=True,
                    holds=lambda x: x.numbers["gap_straight"] > max(0.98, x.numbers["straight"]),
                ),
                Claim(
                    text="The law fits with an exponent above 0, and so is all of its 95 % band (computed beforehand).",
                    exact=True,
                    holds=lambda x: 0 < x.numbers["exponent_low"] <= x.numbers["exponent"],
                ),
                Claim(
                    text="Its floor E is the language's entropy, give or take 0.3 nats (computed beforehand).",
                    exact=True,
                    holds=lambda x: abs(x.numbers["floor"] - x.numbers["source_entropy"]) < 0.3,
                ),
                Claim(
                    text="The language's entropy lies inside the 95 % band of E (computed beforehand).",
                    exact=True,
                    holds=lambda x: x.numbers["floor_low"] <= x.numbers["source_entropy"] <= x.numbers["floor_high"],
                ),
            ),
        ),
        Step(
            name="sharper",
            title="Larger is sharper",
            text=(
                "The same models, and how open their predictions are. More parameters make sharper distributions: "
                "that is this curve. Compare it with the loss. Where the two lie together, a model "
                "is as sure as it may be; where entropy is lower, it is too sure. "
                "Computed beforehand; `invivo show scaling about=entropy again=true` does it anew."
            ),
            recipe=lambda e: scaling(e, about="entropy"),
            claims=(
                Claim(
                    text="Entropy falls with every step up in size (computed beforehand).",
                    exact=True,
                    holds=lambda x: falls(each(x, "entropy")),
                ),
                Claim(
                    text="It falls by 0.3 nats or more each time the size grows e-fold (computed beforehand).",
                    exact=True,
                    holds=lambda x: x.numbers["slope"] <= -0.3,
                ),
                Claim(
                    text="Sureness is earned: entropy and loss differ by less than 0.3 nats at every size (computed "
                    "beforehand).",
                    exact=True,
                    holds=lambda x: (
                        max(abs(a - b) for a, b in zip(each(x, "entropy"), each(x, "loss"), strict=True)) < 0.3
                    ),
                ),
            ),
        ),
        Step(
            name="live",
            title="Now on your machine",
            text=(
                "Four small ones, trained while you wait, on a third of the text and with two rates. "
                "With less to learn from all losses are higher. Is the order still the same, and the line straight?"
            ),
            recipe=lambda e: scaling(e, **LIVE),
            claims=(
                Claim(
                    text="Here, too, each larger model has a lower loss.",
                    exact=True,
                    holds=lambda x: falls(each(x, "loss")),
                ),
                Claim(
                    text="Straight in logarithms here, too: R² above 0.9.",
                    exact=True,
                    holds=lambda x: x.numbers["straight"] > 0.9 and x.numbers["slope"] < 0,
                ),
            ),
        ),
        Step(
            name="budget",
            title="What to buy with a budget",
            text=(
                "Now the arithmetic is fixed, not the text. Left of a valley are models too small to hold "
                "what they read; right of it, models that are stopped before they have read enough. The smallest "
                "budget is spent on your machine. How does the best size move as the budget grows? "
                "The others were computed beforehand; `invivo show isoflop again=true` does it anew."
            ),
            recipe=lambda e: ExhibitRecipe(name="isoflop", **e.on),
            claims=(
                Claim(
                    text="The valleys move to the right: the more arithmetic, the larger the best model (all but the "
                    "smallest budget computed beforehand).",
                    exact=True,
                    holds=lambda x: falls([-n for n in each(x, "valley")]),
                ),
                Claim(
                    text="A larger budget buys a lower loss (all but the smallest computed beforehand).",
                    exact=True,
                    holds=lambda x: falls(each(x, "loss")),
                ),
                Claim(
                    text="Trained again here, the smallest budget gives the losses computed beforehand, to 0.1 nats.",
                    exact=True,
                    holds=lambda x: x.numbers["apart"] < 0.1,
                ),
            ),
        ),
        Step(
            name="fails",
            title="When it fails",
            text=(
                "The same eight models, and a natural shortcut: look for a good learning rate with the smallest ones, "
                "where it is cheap, and keep it for all. Someone who saw only this picture would say that size stops "
                "paying and then does harm. Nothing is wrong with the sizes: the larger ones were trained badly. A "
                "bent law is first of all a reason to look at the training. "
                "Computed beforehand; `invivo show scaling 'rates=[0.2]' again=true` does it anew."
            ),
            recipe=lambda e: scaling(e, **TOO_HIGH),
            claims=(
                Claim(
                    text="With one high rate for all, the law is bent: R² below 0.8 (computed beforehand).",
                    exact=True,
                    holds=lambda x: x.numbers["straight"] < 0.8,
                ),
                Claim(
                    text="The largest model is not the best one (computed beforehand).",
                    exact=True,
                    holds=lambda x: min(each(x, "loss")) < each(x, "loss")[-1] - 0.05,
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Perhaps larger models have lower losses on anything, because they start better or train faster. So "
                "take the structure away: the same words, as often as before, shuffled. There is nothing to "
                "know but how common each word is, which the smallest model can hold. What size buys now, it "
                "buys without learning anything."
            ),
            recipe=lambda e: scaling(e, text="shuffled", **LIVE),
            claims=(
                Claim(
                    text="On shuffled words the largest model is no better than the smallest: less than 0.05 nats.",
                    exact=True,
                    holds=lambda x: each(x, "loss")[0] - each(x, "loss")[-1] < 0.05,
                ),
                Claim(
                    text="All of them are within 0.3 nats of what knowing the words' frequencies gives.",
                    exact=True,
                    holds=lambda x: max(each(x, "loss")) - x.numbers["unordered_entropy"] < 0.3,
                ),
            ),
        ),
    ),
    questions=(
        "Is it this language, or any? Take another seed: "
        "`invivo show scaling 'widths=[4, 6, 10, 16]' steps=80 seed=1`.",
        "And a ninth size? It was trained, too, and left out, because this text is too short for it. See what it does "
        "to the line and to E: `invivo show scaling 'widths=[4, 6, 8, 10, 12, 16, 20, 24, 32]'`.",
        "Does it matter which blocks are cut? Switch one off in the middle: "
        '`invivo run 14 --tweak "zero L2.attn_out + zero L2.mlp_out"`.',
    ),
    sources=(
        "Kaplan et al. 2020, Scaling Laws for Neural Language Models, arXiv:2001.08361",
        "Hoffmann et al. 2022, Training Compute-Optimal Large Language Models (E, IsoFLOP), arXiv:2203.15556",
        "Shannon 1948, A Mathematical Theory of Communication (entropy of a source), Bell System Technical Journal 27",
        "Hutter 2021, Learning Curve Theory (power laws from Zipf), arXiv:2102.04074",
        "Yang et al. 2022, Tensor Programs V (rates that carry over from small to large), arXiv:2203.03466",
        "Porian et al. 2024, Resolving Discrepancies in Compute-Optimal Scaling of Language Models, arXiv:2406.19146",
    ),
)
