"""Lab 05: blank part of every token's vector, and watch how far the language carries.

The dose is the width of the slice. The texts to read were written for this, so no model can know them by heart.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from .words import doing, is_base, measure, parting, row, said, turn

STORY = """\
On the hill above the harbour lived an old woman named Marta, who mended nets for the fishermen. Her kitchen had one \
window, and in the window stood a lamp. Every evening, when the sky turned grey, she lit the lamp and set it where the \
boats could see it. "A light costs little," she used to say, "and the sea is very dark."

One night a storm came down from the north. The rain beat upon the roof, and the wind pushed at the door as if it \
wanted to come in. Marta poured the last of the oil into the lamp. It burned low, and then lower still. Just as it \
went out, she heard a small knock.

A boy stood on the step, wet to the skin, with a lantern in his hand. "My father saw your window from his boat," he \
said. "He says it brought him home. He told me to bring you this, so that you would not sit in the dark."

Marta laughed until she had to wipe her eyes. She set the lantern in the window and gave the boy a bowl of hot soup, \
and the two of them listened to the storm until it grew tired and went to sleep."""

CONTROL = "scale embed dims 0:192 by 1"
WIDTHS = (64, 96, 128, 160, 192)  # narrower ones hardly show on a text this short
SLICES = tuple(f"zero embed dims 0:{width}" for width in WIDTHS)


BLANKED = 64  # dimensions set to zero in front of one norm
SAME_NATS = 1e-3  # float32 arithmetic in another order stays well below this
DRAWS = 20  # random sets of dimensions that the slice is compared with


def perplexities(c: Comparison) -> list[float]:
    """Perplexity of the story for BASE, then for each slice from narrow to wide."""
    return [measure(c, "read_perplexity", line) for line in (None, *SLICES)]


def rises(c: Comparison) -> bool:
    """Whether every slice, from narrow to wide, makes the story more surprising than the one before."""
    return all(before < after for before, after in pairwise(perplexities(c)))


def takeaway(c: Comparison) -> str:
    """The dose curve in one line; for tweaks of the reader's own, the last row."""
    if c.base.read_perplexity is None or not set(SLICES) <= {str(r.tweak) for r in c.tweaks}:
        return own(c)
    before, *after = perplexities(c)
    hurt = (
        "Each wider slice of the embeddings hurts more"
        if rises(c)
        else ("Wide slices of the embeddings hurt, though not step by step")
    )
    trend = turn(
        before,
        after[-1],
        hurt,
        "Slices of the embeddings hardly matter here",
        "Slices of the embeddings do not hurt here",
    )
    return (
        f"{trend}: perplexity of the text read goes from {said('read_perplexity', before)} (BASE) to "
        f"{', '.join(said('read_perplexity', value) for value in after)} as dims "
        f"{', '.join(f'0:{width}' for width in WIDTHS)} are zeroed."
    )


def own(c: Comparison) -> str:
    """What the last row did to the perplexity of the text read, or of BASE's text where none was."""
    last = c.tweaks[-1]
    read = c.base.read_perplexity is not None
    name, what = ("read_perplexity", "the text read") if read else ("perplexity", "BASE's text")
    before, after = getattr(c.base, name), getattr(last, name)
    return (
        f"{doing(last)} {turn(before, after, 'raises', 'hardly moves', 'lowers')} the perplexity of {what}: "
        f"{said(name, before)} (BASE), {said(name, after)} (TWEAK); {parting(last)}."
    )


def curve(shown: Exhibit, name: str) -> list[float]:
    """A measured curve of the exhibits `slices` and `tied`, BASE first, from narrow to wide: `first`, `table`."""
    found = {int(k.rpartition("_")[2]): v for k, v in shown.numbers.items() if k.rpartition("_")[0] == name}
    return [shown.numbers["base"], *(found[width] for width in sorted(found))]


def climbs(values: list[float]) -> bool:
    """Whether each is above the one before."""
    return all(before < after for before, after in pairwise(values))


def worse_everywhere(shown: Exhibit) -> bool:
    """Whether the widest slice made every text more surprising."""
    widest = max(int(k.rpartition("_")[2]) for k in shown.numbers if k.startswith("worse_"))
    return shown.numbers[f"worse_{widest}"] == shown.numbers["texts"]


def like_random(shown: Exhibit) -> bool:
    """Whether random dimensions raise perplexity, too: more than half as much as the first ones do, on a log scale."""
    n = shown.numbers
    (first,) = (v for k, v in n.items() if k.startswith("first_") and k.count("_") == 1)
    (mean,) = (v for k, v in n.items() if k.startswith("random_") and k.count("_") == 1)
    return mean > 0 and math.log(mean / n["base"]) > 0.5 * math.log(first / n["base"]) > 0


def half(e: Experiment) -> ExhibitRecipe:
    """The first half of the dimensions, beside random halves."""
    return ExhibitRecipe(name="slices", settings={"part": 0.5, "draws": DRAWS}, **e.on)


STEPS = (
    Step(
        name="pieces",
        title="What the model gets to see of your prompt",
        text=(
            "The joins that make tokens of the prompt, replayed from the tokenizer's own rules. Rules are numbered in "
            "the order in which they were learned: a low number is a pair that was common in the text the tokenizer "
            "was trained on. The ids in the second table are all that the model is given."
        ),
        recipe=lambda e: ExhibitRecipe(name="pieces", settings={"prompt": e.prompt}, **e.on),
        claims=(
            Claim(
                text="Every join takes one piece away: pieces at the start less joins are the tokens.",
                exact=True,
                holds=lambda x: (
                    "joins" not in x.numbers or x.numbers["starts"] - x.numbers["joins"] == x.numbers["plain_tokens"]
                ),
            ),
        ),
    ),
    Step(
        name="rows",
        title="What an id stands for",
        text=(
            "Each id picks a row of the embedding table. The numbers of one row say little by themselves. Compare rows "
            "and they do: tokens used alike have rows that point the same way. The cosine of two rows is 1 where they "
            "point the same way and 0 where they have nothing to do with each other."
        ),
        recipe=lambda e: ExhibitRecipe(name="embedding", settings={"prompt": e.prompt}, **e.on),
        claims=(
            Claim(
                text="The nearest row is much nearer than two rows taken at random (at least three times the cosine).",
                holds=lambda x: x.numbers["cosine"] >= 3 * x.numbers["usual"],
            ),
        ),
    ),
    Step(
        name="norm",
        title="What a block reads is not quite the vector",
        text=(
            "In front of attention and MLP stands a norm. Here it is at work on the last token's vector: shifted and "
            "rescaled to a fixed spread, then multiplied by one learned number for each dimension. So a block cannot "
            "tell a long vector from a short one. Below the table, a quarter of the vector is blanked in front of "
            "this norm: see what becomes of the rest."
        ),
        recipe=lambda e: ExhibitRecipe(
            name="norm", settings={"prompt": e.prompt, "layer": 1, "blank": BLANKED}, **e.on
        ),
        claims=(
            Claim(
                text="Before its learned scale, the vector has standard deviation 1, to one part in a hundred.",
                holds=lambda x: abs(x.numbers["sd_bare"] - 1) < 0.01,
            ),
            Claim(
                text="Blank a part of it, and the rest comes out louder.",
                holds=lambda x: x.numbers.get("louder", 0.0) > 1,
            ),
        ),
    ),
    Step(
        name="dose",
        title="How much can it lose?",
        text=(
            "One story is one case. Here are eight short texts, by a letter-writer, a fisherman's neighbour, a teller "
            "of fairy tales. For each width the mean over all of them, with an interval: how far that mean would "
            "wander if other texts like these were read. How much goes before it shows at all?"
        ),
        recipe=lambda e: ExhibitRecipe(name="slices", **e.on),
        claims=(
            Claim(
                text="From three eighths of the width on, perplexity rises with width at every step, from above BASE.",
                holds=lambda x: climbs([curve(x, "first")[0], *curve(x, "first")[3:]]),
            ),
            Claim(
                text="Three quarters of the width gone makes every one of the texts more surprising.",
                holds=worse_everywhere,
            ),
        ),
    ),
    Step(
        name="tied",
        title="The same slice, cut out of the table itself",
        text=(
            "Zeroing an activation changes what flows; zeroing a weight changes the part it flows through. For most "
            "parts the two come to the same. Not for this one, where the model is tied: a model that scores the next "
            "token by comparing its last vector with the rows of the very same table reads the blank columns a second "
            "time, on the way out. Zero the head's input on those dimensions as a second activation, and the "
            "difference is gone."
        ),
        recipe=lambda e: ExhibitRecipe(name="tied", **e.on),
        claims=(
            Claim(
                text="Blanking the table is blanking the way in and, where head and table are one, the way out: the "
                "same numbers.",
                exact=True,
                holds=lambda x: x.numbers.get("apart", 0.0) < SAME_NATS,
            ),
            Claim(
                text="The head is tied to the table, and blanking the table hurts more than blanking the way in.",
                holds=lambda x: (
                    x.numbers["tied"] == 1
                    and all(a > b for a, b in zip(curve(x, "table")[1:], curve(x, "way_in")[1:], strict=True))
                ),
            ),
        ),
    ),
    Step(
        name="real",
        title="Is it real?",
        text=(
            f"Half of the vector, on all eight texts: the first half, beside {DRAWS} halves drawn at random. If the "
            "first dimensions were special, they would stand outside of what random ones do. If a meaning sat in one "
            "slot, some draws would be harmless and others a disaster."
        ),
        recipe=half,
        claims=(
            Claim(
                text="Blanking half of the vector makes every one of the texts more surprising.",
                holds=worse_everywhere,
            ),
            Claim(
                text="Random halves hurt, too: on a log scale at least half as much as the first one.",
                holds=like_random,
            ),
        ),
    ),
)


LAB = Lab(
    number="05",
    name="zero_a_slice_of_token_embeddings",
    section=0,
    title="Blank a slice of every word's vector",
    why=(
        "A model never sees a word. For each token it looks up one row of numbers, and everything it goes on to say is "
        "built on those rows. So blank the same slots in every row and ask what is missing. If each slot held a "
        "meaning of its own, certain words would drop out; if meaning is spread over all of them, the language should "
        "thin out as a whole. Guess first: how much can you take before it stops making sense?"
    ),
    know=(
        "Tokens: text is cut into pieces from a fixed list: whole common words, parts of rarer ones, single bytes "
        "where nothing else fits. The blank before a word belongs to its token.",
        "BPE (byte-pair encoding) makes that list: start from the 256 bytes, join the pair of neighbours that occurs "
        "most often into a new entry, and repeat. Each join is a rule, and the rules are kept: cutting a new text is "
        "applying them in the order in which they were learned. fruitfly stops at 8,192 entries.",
        "The embedding matrix (`wte` in GPT-2) has one row per token, as wide as the model: 256 numbers in fruitfly. "
        "Training places tokens that are used alike near each other, and a meaning is a direction across many slots, "
        "seldom one slot. GPT-2 uses the same table again at the very end to score the next token (tied weights); "
        "this tweak blanks only the way in.",
        "The residual stream is the running sum that starts as token row plus position row. Each block reads it and "
        "adds its own output, so a slot blanked at the bottom can be written again higher up. Lab 07 looks at it.",
        "Layer norm stands before attention and before the MLP of each block: it shifts the vector to mean 0, "
        "rescales it to variance 1, then applies a learned scale and shift. Blank part of the vector, and what is "
        "left gets louder.",
        "Perplexity is the exponential of the mean surprise per token, in nats. A model with perplexity 50 is as "
        "unsure as one that picks blindly among 50 tokens.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Once upon a time",
            "tweaks": [CONTROL, *SLICES],
            "read": STORY,
            "decoding": {"max_new_tokens": 40},
        }
    ),
    numbers=("read_perplexity", "perplexity", "kl_mean", "parted"),
    pictures=("dose", "next_tokens"),
    look_for=(
        "The TWEAK text has lost half of every vector. What went first: the topic, the grammar, or the words "
        "themselves? Then the dose curve, from BASE to three quarters gone: is it a slope or a cliff? It starts at a "
        "quarter, because on a text this short a narrower slice may be lost in the noise. It is measured on a story "
        "that no model has read; the opening of the prompt is so well worn that its text may hold up for longer. One "
        "row is no slice but the widest one multiplied by 1: a control, which must be BASE."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The slice multiplied by 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(
            text="From a quarter of the width on, each wider slice makes the story more surprising than the last, and "
            "than BASE.",
            holds=rises,
        ),
        Claim(
            text="Three quarters of the width gone at least doubles the perplexity of the story.",
            holds=lambda c: perplexities(c)[-1] >= 2 * perplexities(c)[0],
        ),
    ),
    questions=(
        'Are the first slots special? Blank as many at the other end: `invivo run 05 --tweak "zero embed dims '
        '64:256"`.',
        "Is it the missing meaning, or only a smaller vector? Shrink all of it instead of blanking part: "
        '`invivo run 05 --tweak "scale embed by 0.5"`.',
        "Does a sentence recover once it is under way? Blank the prompt only: "
        '`invivo run 05 --tweak "zero embed dims 0:192 during prompt"`.',
    ),
    steps=STEPS,
    hero=-3,
    sources=(
        "Sennrich, Haddow & Birch 2016, Neural Machine Translation of Rare Words with Subword Units (BPE), "
        "arXiv:1508.07909",
        "Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2, bytes as the alphabet)",
        "Ba, Kiros & Hinton 2016, Layer Normalization, arXiv:1607.06450",
        "Press & Wolf 2017, Using the Output Embedding to Improve Language Models (one table at both ends), "
        "arXiv:1608.05859",
        "Mikolov, Yih & Zweig 2013, Linguistic Regularities in Continuous Space Word Representations (meanings as "
        "directions), aclanthology.org/N13-1090",
        "Mu & Viswanath 2018, All-but-the-Top (why the mean row is taken off), arXiv:1702.01417",
        "Efron 1979, Bootstrap Methods: Another Look at the Jackknife (the intervals), doi:10.1214/aos/1176344552",
        "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (the residual stream), "
        "transformer-circuits.pub/2021/framework",
    ),
)
