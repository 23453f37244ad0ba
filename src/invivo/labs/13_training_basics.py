"""Lab 13: what training does. A model that knows nothing, one that was taught a sentence, and the gradient under both.

The comparison trains copies of the loaded model; the steps train small models of their own on a little language made by
rule, of which it is known how much anybody can foresee.
"""

from __future__ import annotations

import math

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..show.text import number, quoted
from .words import doing, is_base, measure, moving, row, said

SENTENCE = "The name of the lighthouse keeper is Otto Quill."
STEPS = 24
CONTROL, NOTHING = f'train 0 steps on "{SENTENCE}"', "reset weights"
TAUGHT = f'train {STEPS} steps on "{SENTENCE}"'
ONLY = f"{NOTHING} + {TAUGHT}"

STORY = """\
Tom had lost his left shoe again. He looked under the bed, behind the door and in the garden, but it was not there. \
Then the dog came in with something brown in its mouth. "So it was you!" said Tom. The dog wagged its tail and ran \
away with the shoe, and Tom ran after it in one sock."""


def show(e: Experiment, name: str, **settings: object) -> ExhibitRecipe:
    """An exhibit on the lab's model."""
    return ExhibitRecipe(name=name, settings=settings, **e.on)


def near(value: float, other: float, apart: float) -> bool:
    """Whether two numbers are so near, on either side."""
    return abs(value - other) <= apart


def first_is_ln_v(x: Exhibit) -> bool:
    """Whether an untrained model loses ln V, on stories put aside and on the first batch."""
    return all(near(x.numbers[name], x.numbers["ln_v"], 0.1) for name in ("first", "first_batch"))


def in_order(x: Exhibit) -> bool:
    """Whether what follows by rule is learned before facts, and those before copies."""
    return x.numbers["by_rule_learned"] <= x.numbers["fact_learned"] < x.numbers["copy_learned"]


def takeaway(c: Comparison) -> str:
    """What training did to the answer and to another text, in words that the numbers choose."""
    shown = c.tweaks[-1]
    line = str(shown.tweak)
    parts = []
    if c.recipe.target is not None and shown.target_nats is not None:
        before, after = (said("target_probability", measure(c, "target_probability", at)) for at in (None, line))
        moved = f"leaves {quoted(c.recipe.target)} at {after}"
        parts.append(moved if before == after else f"takes {quoted(c.recipe.target)} from {before} to {after}")
    ends = measure(c, "read_perplexity"), measure(c, "read_perplexity", line)
    if all(map(math.isfinite, ends)):
        parts.append(f"the perplexity of another text from {number(ends[0])} to {number(ends[1])}")
    if not parts:
        return f"{doing(shown)}: {moving(c, shown)}."
    return f"{doing(shown)} {', and '.join(parts)}."


LAB = Lab(
    number="13",
    name="training_basics",
    section=11,
    title="Train it",
    why=(
        "Everything that the other labs find inside a model was put there by one loop: foresee the next token, see "
        "which one came, move every weight a little so that it would have been less surprising, repeat. Nobody told "
        "fruitfly what a heron is. How little does a model know before that loop, how much does one sentence change, "
        "and how do we know that the arithmetic under it is right?"
    ),
    know=(
        "Cross-entropy: the loss at a token is −ln p, p being the probability that the token which came was given. The "
        "loss of a text is the mean. All of p on the right token costs 0; a guess among V equally likely tokens costs "
        "ln V, 9.01 nats with fruitfly's 8,192.",
        "Untrained weights know nothing, and a good start knows that it does: the first loss of a run is ln V. If it "
        "is higher, the weights begin too large; if it is lower, the answer leaks into the question.",
        "Backpropagation: the gradient says for every weight how the loss moves when the weight does, all of them in "
        "one pass backwards. It begins at the logits, where it is p − 1 for the token that came and p for each other "
        "one.",
        "A gradient can be checked against its definition: move one weight by h both ways and divide the difference of "
        "the losses by 2h. Too large an h misses the bend of the curve; too small a one drowns in rounding.",
        "Teacher forcing: in training every token is foreseen behind the true text, whatever the model would have "
        "said. As the mask hides what comes later, one pass trains all positions at once. In use nobody forces: the "
        "model reads its own words.",
        "AdamW, a warm-up and a falling learning rate are used here throughout; a step is one batch. What decides is "
        "on what, and how often: a model that sees one sentence again and again learns it by heart, and pays "
        "elsewhere.",
    ),
    experiment=Experiment.of(
        {
            "prompt": SENTENCE.removesuffix(" Otto Quill."),
            "tweaks": [CONTROL, NOTHING, ONLY, TAUGHT],
            "target": " Otto",
            "read": STORY,
            "decoding": {"max_new_tokens": 12},
        }
    ),
    numbers=("target_probability", "read_perplexity", "perplexity", "kl_next"),
    pictures=("next_tokens",),
    look_for=(
        "Four second models beside BASE. One was trained for 0 steps: it must be BASE. One has random weights: what "
        f"does it say, and is the perplexity of the story near 8,192? That one was then trained {STEPS} steps on one "
        "sentence, and BASE was, too. Both now say how the sentence goes on. Which of the two still reads a story, "
        "and what did learning one sentence by heart cost it?"
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Trained for 0 steps it is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(
            text="With random weights the story costs ln V a token, give or take a quarter of a nat.",
            holds=lambda c: near(math.log(measure(c, "read_perplexity", NOTHING)), math.log(8192), 0.25),
        ),
        Claim(
            text="BASE gives ` Otto` less than 5 %; trained on the sentence it gives more than 80 %.",
            holds=lambda c: measure(c, "target_probability") < 0.05 and measure(c, "target_probability", TAUGHT) > 0.8,
        ),
        Claim(
            text="It pays: the story is more surprising than before, but nowhere near as to a model that knew nothing.",
            holds=lambda c: (
                1.02 * measure(c, "read_perplexity")
                < measure(c, "read_perplexity", TAUGHT)
                < 0.1 * measure(c, "read_perplexity", ONLY)
            ),
        ),
    ),
    steps=(
        Step(
            name="loss",
            title="What a loss is made of",
            text=(
                "The loaded model reads a sentence, and each bar is what one token costs. Their mean is the loss. "
                "Below stands what the most surprising token sends back: the start of the gradient. Add up the pushes: "
                "what one logit gains, the others lose."
            ),
            recipe=lambda e: show(e, "cross_entropy"),
            claims=(
                Claim(
                    text="The mean of −ln p is the loss that transformers computes.",
                    exact=True,
                    holds=lambda x: x.numbers["theirs_apart"] < 1e-3,
                ),
                Claim(
                    text="The gradient at the logits is p minus what came, and sums to 0.",
                    exact=True,
                    holds=lambda x: x.numbers["gradient_apart"] < 1e-12 and x.numbers["gradient_sum"] < 1e-12,
                ),
                Claim(
                    text="One pass over the text gives every token the surprise that a pass of its own gives it.",
                    exact=True,
                    holds=lambda x: x.numbers["one_by_one_apart"] < 1e-2,
                ),
            ),
        ),
        Step(
            name="curve",
            title="From nothing, in three hundred steps",
            text=(
                "A model of two layers and random weights learns a language of 89 words. Its stories are made by rule: "
                "`one day NAME found a COLOUR THING at the PLACE . NAME gave the THING to the ANIMAL …`. So the curve "
                "has a ceiling, ln 89, and a floor that nobody gets under, since a name is drawn and not said before. "
                "The curve falls in steps. What is learned in each: words in their places, facts (an owl always "
                "watches), and who it was that was named before? Read the stories that it tells."
            ),
            recipe=lambda e: show(e, "learning"),
            claims=(
                Claim(text="The first loss is ln V, give or take 0.1 nats.", exact=True, holds=first_is_ln_v),
                Claim(
                    text="The last loss is within 0.1 nats of the least possible, and not below it.",
                    exact=True,
                    holds=lambda x: -0.02 < x.numbers["last"] - x.numbers["floor"] < 0.1,
                ),
                Claim(
                    text="What follows by rule is learned first, then facts, then copies.", exact=True, holds=in_order
                ),
            ),
        ),
        Step(
            name="gradient",
            title="Is the gradient right?",
            text=(
                "Some weights of a small model, each moved a little up and a little down, in float64. The table has "
                "one weight of each part: count the digits that agree. The curve says how far to move. To the left the "
                "error falls a hundredfold for each tenth of h; then rounding takes over."
            ),
            recipe=lambda e: show(e, "gradients"),
            claims=(
                Claim(
                    text="In float64, differences give the gradient to 8 digits: relative error below 1e-8.",
                    exact=True,
                    holds=lambda x: x.numbers["float64_checked"] < 1e-8,
                ),
                Claim(
                    text="A tenth of the distance, from 0.01 to 0.001, makes the error a hundredth, as theory says.",
                    exact=True,
                    holds=lambda x: 60 < x.numbers["float64_-2"] / x.numbers["float64_-3"] < 160,
                ),
            ),
        ),
        Step(
            name="prefixes",
            title="Behind the true words, and behind its own",
            text=(
                "Eight texts that the model has never read. All begin with 16 true tokens. From there the true next "
                "tokens are foreseen behind the true text, as in training, and behind what the model itself went on "
                "with, as in use. The two part at once and do not meet again. That is less bad than it looks: a story "
                "that went another way is not wrong. So the third row reads the words of another text, with nothing "
                "wrong in them but that they are of another text."
            ),
            recipe=lambda e: show(e, "prefixes"),
            claims=(
                Claim(
                    text="At the first token there is no gap: both have read the same.",
                    exact=True,
                    holds=lambda x: x.numbers["first_apart"] < 1e-3,
                ),
                Claim(
                    text="The gap opens and stays: above 2 nats in tokens 2 to 5, and wider in the second half.",
                    holds=lambda x: 2 < x.numbers["early_gap"] < x.numbers["late_gap"],
                ),
                Claim(
                    text="Most of it is having gone another way: another text's words leave half of that gap or more.",
                    holds=lambda x: x.numbers["other_late"] - x.numbers["gold_late"] > 0.5 * x.numbers["late_gap"],
                ),
            ),
        ),
        Step(
            name="fails",
            title="When it fails",
            text=(
                "The same check with one innocent line in it: the logits are turned to float32 before the loss is "
                "taken, as training code does everywhere. The model is as exact as before and its gradient is right, "
                "but the loss now has seven digits, and a small step moves none of them. So the smaller the step, the "
                "worse: whoever believes this check finds a fault in code that has none. The mistake is in the check."
            ),
            recipe=lambda e: show(e, "gradients", loss="both"),
            claims=(
                Claim(
                    text="Through float32 the same differences are off by a tenth of the gradient or more: garbage.",
                    exact=True,
                    holds=lambda x: x.numbers["float32_checked"] > 0.1 and x.numbers["float64_checked"] < 1e-8,
                ),
                Claim(
                    text="Through float32 no step of any size gets below 1 in 10,000.",
                    exact=True,
                    holds=lambda x: x.numbers["float32_best"] > 1e-4,
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "A falling curve alone proves little: any model falls that learns which words there are. So another "
                "one is trained as long on the same stories with the words of each in random order, and judged on "
                "true stories. It can learn which words belong to one story, and no order; how far that can lead is "
                "known exactly. A third one learns true stories with other dice, so that one lucky start explains "
                "nothing."
            ),
            recipe=lambda e: show(e, "learning", placebo=True),
            claims=(
                Claim(
                    text="Shuffled stories teach no order: on true ones that model stays above what words alone allow.",
                    exact=True,
                    holds=lambda x: x.numbers["shuffled"] > x.numbers["unordered"] - 0.05,
                ),
                Claim(
                    text="With other dice the end is the same, to 0.2 nats, and far below that.",
                    exact=True,
                    holds=lambda x: (
                        near(x.numbers["other_dice"], x.numbers["last"], 0.2)
                        and x.numbers["other_dice"] < x.numbers["shuffled"] - 1.5
                    ),
                ),
            ),
        ),
    ),
    questions=(
        "How many times must it read the sentence? Fewer steps: "
        f"`invivo run 13 --tweak 'train 3 steps on \"{SENTENCE}\"' --tweak 'train 6 steps on \"{SENTENCE}\"'`.",
        "Has it learned a fact or a string? Ask the other way round: "
        '`invivo run 13 prompt="Otto Quill is the name of the lighthouse" target=" keeper"`.',
        "And a text of your own? Let fruitfly go on from its beginning, before and after: "
        '`invivo run 13 prompt="My cat" target=" is" --tweak \'train 20 steps on "My cat is afraid of tea."\'`.',
    ),
    sources=(
        "Shannon 1948, A Mathematical Theory of Communication (entropy), Bell System Technical Journal 27",
        "Rumelhart, Hinton & Williams 1986, Learning Representations by Back-propagating Errors, Nature 323",
        "Williams & Zipser 1989, A Learning Algorithm for Continually Running Fully Recurrent Neural Networks (teacher "
        "forcing), Neural Computation 1",
        "Bengio et al. 2015, Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, "
        "arXiv:1506.03099",
        "Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization (AdamW), arXiv:1711.05101",
    ),
)
