"""Lab 05: blank part of every token's vector, and watch how far the language carries.

The dose is the width of the slice. The text to read was written for this lab, so no model can know it by heart.
"""

from __future__ import annotations

from itertools import pairwise

from ..experiment import Claim, Comparison, Experiment, Lab
from ._words import doing, is_base, measure, parting, row, said, turn

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
        "where nothing else fits. The blank before a word belongs to its token. "
        'Try `invivo tokens "Once upon a time"`.',
        "BPE (byte-pair encoding) makes that list: start from the 256 bytes, join the pair of neighbours that occurs "
        "most often into a new entry, and repeat. fruitfly stops at 8,192 entries.",
        "The embedding matrix (`wte` in GPT-2) has one row per token, as wide as the model: 256 numbers in fruitfly. "
        "Training places tokens that are used alike near each other, and a meaning is a direction across many slots, "
        "seldom one slot. GPT-2 uses the same table again at the very end to score the next token; this tweak blanks "
        "only the way in.",
        "The residual stream is the running sum that starts as token row plus position row. Each block reads it and "
        "adds its own output, so a slot blanked at the bottom can be written again higher up.",
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
    hero=-3,
    sources=(
        "Sennrich, Haddow & Birch 2016, Neural Machine Translation of Rare Words with Subword Units (BPE), "
        "arXiv:1508.07909",
        "Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2, bytes as the alphabet)",
        "Ba, Kiros & Hinton 2016, Layer Normalization, arXiv:1607.06450",
        "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (the residual stream), "
        "transformer-circuits.pub/2021/framework",
    ),
)
