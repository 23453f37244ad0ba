"""Lab 16: fewer bits a weight, down to where the model breaks; and a small model taught by a large one.

`quantize` makes a second model with rounded weights, which runs beside BASE. Distillation is shown on toy models that
are trained on the spot.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from .words import doing, likeliest, measure, moving, parting, said, turn

EIGHT, FOUR, THREE, TWO = ROWS = tuple(f"quantize int{bits}" for bits in (8, 4, 3, 2))
DRAWS = 12

STORY = """\
The smith had two apprentices, and they could not agree on anything. One wanted to begin early and stop early, the \
other to sleep long and work until the stars came out. "Then work at both ends," said the smith, and gave each of them \
a key. From that day the fire never went out, and the neighbours wondered how one old man could sell so many nails."""


def near(x: Exhibit) -> bool:
    """Whether rounding costs between a third and three times what random changes of the same size cost, in nats."""
    cost, chance = (math.log(x.numbers[name] / x.numbers["base"]) for name in ("row_int4", "random"))
    return 0 < chance / 3 < cost < 3 * chance


def takeaway(c: Comparison) -> str:
    """What the shown row did to the answer and to a text, in words that the numbers choose."""
    shown = c.tweaks[-1]
    line = str(shown.tweak)
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"leaves {before} the likeliest next token" if before == after else f"makes {after} likeliest, not {before}"
    values = measure(c, "read_perplexity"), measure(c, "read_perplexity", line)
    if all(map(math.isfinite, values)):
        way = turn(*values, "raises", "hardly moves", "lowers")
        told = f"{way} the perplexity of the text read ({' to '.join(said('read_perplexity', v) for v in values)})"
        return f"{doing(shown)} {top}, and {told}; {parting(shown)}."
    return f"{doing(shown)} {top}; {moving(c, shown)}, and {parting(shown)}."


LAB = Lab(
    number="16",
    name="compression",
    section=11,
    title="Fewer bits, smaller models",
    why=(
        "A model that needs 16 GB in half precision needs 4 GB at four bits a weight, and then it fits a laptop. What "
        "does it lose? Less than one would think for a long way, and then everything at once. The other way to a small "
        "model is to teach one. A teacher's odds say far more than the text alone: not only what came next, but what "
        "might have."
    ),
    know=(
        "Quantizing: each weight becomes a whole number times a scale that its row, or a group of its row, shares. "
        "With b bits there are 2 to the b such numbers, and the error is up to half a step. Per halving of bits, the "
        "number of steps falls to its root.",
        "Groups: one large weight makes the scale of its whole row coarse. A scale for every 32 weights costs one bit "
        "a weight more and keeps such outliers to themselves.",
        "nf4 does not space its 16 levels evenly but as a normal distribution is dense, since weights are nearly "
        "normal.",
        "What is rounded here: the matrices of the blocks. Embeddings, head, norms and biases stay. The arithmetic is "
        "done with the rounded values, so what you see is the effect of rounding, not of a faster kernel.",
        "Distillation: the student is trained towards the teacher's distribution at every token, instead of towards "
        "the one token that the text had. On little data, that is the difference between odds and anecdotes.",
        "Always look at what was changed. A tool that rounds `nn.Linear` finds a single one in a GPT-2.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "The capital of France is",
            "tweaks": list(ROWS),
            "target": " Paris",
            "read": STORY,
            "decoding": {"max_new_tokens": 24},
        }
    ),
    numbers=("target_probability", "read_perplexity", "kl_mean", "kl_next"),
    pictures=("rows", "next_tokens"),
    all_rows=True,
    look_for=(
        "Go down the rows: at which one does the text change, at which one the fact, and at which one does it stop "
        "being English? They are not the same. The note under each row says how far its weights are off, and what they "
        "weigh."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="At 8 bits the text read is as surprising as for BASE, within 3 %.",
            holds=lambda c: (
                abs(math.log(measure(c, "read_perplexity", EIGHT) / measure(c, "read_perplexity"))) < math.log(1.03)
            ),
        ),
        Claim(
            text="At 4 bits Paris is still the likeliest; at 2 bits it has lost nine tenths of its probability.",
            holds=lambda c: (
                measure(c, "right", FOUR) == 1
                and measure(c, "target_probability", TWO) < 0.1 * measure(c, "target_probability")
            ),
        ),
        Claim(
            text="Each step down moves BASE's predictions further: 8, 4, 3, 2 bits.",
            holds=lambda c: all(
                measure(c, "kl_mean", more) < measure(c, "kl_mean", fewer) for more, fewer in pairwise(ROWS)
            ),
        ),
    ),
    steps=(
        Step(
            name="bits",
            title="Where it breaks",
            text=(
                "Eight passages, read with ever fewer bits. The axis is surprise, the logarithm of perplexity, because "
                "perplexity itself leaves any axis at the end. Look for the bend, and for how much later it comes when "
                "32 weights share a scale."
            ),
            recipe=lambda e: ExhibitRecipe(name="bits", **e.on),
            claims=(
                Claim(
                    text="8 bits are flat: perplexity within 2 % of BASE's.",
                    holds=lambda x: abs(math.log(x.numbers["row_int8"] / x.numbers["base"])) < math.log(1.02),
                ),
                Claim(
                    text="4 bits cost something, and less than half of it again.",
                    holds=lambda x: 1.02 < x.numbers["row_int4"] / x.numbers["base"] < 1.5,
                ),
                Claim(
                    text="2 bits are broken: perplexity is ten times BASE's or more.",
                    holds=lambda x: x.numbers["row_int2"] > 10 * x.numbers["base"],
                ),
                Claim(
                    text="At 4, 3 and 2 bits, a scale for every 32 weights beats a scale for a row.",
                    holds=lambda x: all(x.numbers[f"group_int{b}"] < x.numbers[f"row_int{b}"] for b in (4, 3, 2)),
                ),
                Claim(
                    text="nf4 beats int4 with a scale for a row.",
                    holds=lambda x: x.numbers["row_nf4"] < x.numbers["row_int4"],
                ),
            ),
        ),
        Step(
            name="students",
            title="A student and its teacher",
            text=(
                "Two toy students with equal weights at the start read the same few rows equally often. One is told "
                "what came next, the other what its teacher thought might come. A third has a teacher that never "
                "learned anything: odds by themselves teach nothing. These are small models on an invented language, "
                "trained while you wait, so they do not depend on the model that you loaded."
            ),
            recipe=lambda e: ExhibitRecipe(name="students", **e.on),
            claims=(
                Claim(
                    text="The student of the odds is at most half as far from the teacher as the student of the text.",
                    exact=True,
                    holds=lambda x: x.numbers["odds_kl"] < 0.5 * x.numbers["text_kl"],
                ),
                Claim(
                    text="On little data it is also better at the language itself, by 0.1 nats or more.",
                    exact=True,
                    holds=lambda x: x.numbers["odds_loss"] < x.numbers["text_loss"] - 0.1,
                ),
                Claim(
                    text="An untaught teacher's student is further from the teacher than the student of real odds.",
                    exact=True,
                    holds=lambda x: x.numbers["untaught_kl"] > 2 * x.numbers["odds_kl"],
                ),
            ),
        ),
        Step(
            name="fails",
            title="When it fails",
            text=(
                "Hand the whole model to a quantizer, as a tutorial for newer models has it. It goes through, "
                "perplexity looks perfect, and a table in a report would say: four bits, no loss. Look at what was "
                "rounded. GPT-2's blocks are of a class that the tool does not know. So it rounded the head, which "
                "until then was the embedding table, too. Now there are two tables, and the model is larger than "
                "before. On newer models the blocks are rounded, and the head with them."
            ),
            recipe=lambda e: ExhibitRecipe(name="untied", **e.on),
            claims=(
                Claim(
                    text="Not one matrix of a block was rounded, and the head was untied from the embeddings.",
                    holds=lambda x: (
                        x.numbers["blocks_changed"] == 0 and x.numbers["tied_before"] and not x.numbers["tied_after"]
                    ),
                ),
                Claim(
                    text="The model grew, and perplexity stayed within 10 %: nothing to see in that number.",
                    holds=lambda x: (
                        x.numbers["bytes_after"] > x.numbers["bytes_before"]
                        and x.numbers["after"] < 1.1 * x.numbers["base"]
                    ),
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Is it the rounding, or would any change of that size do? In every matrix a random change is drawn "
                "that is as large as the rounding to 4 bits, twelve times. If rounding lies among them, then what a "
                "number format costs is a question of how far it moves the weights, and little else."
            ),
            recipe=lambda e: ExhibitRecipe(
                name="bits", settings={"formats": ["int4"], "group": 0, "draws": DRAWS}, **e.on
            ),
            claims=(
                Claim(
                    text="Rounding to 4 bits costs, in nats, between a third and three times what random changes cost.",
                    holds=near,
                ),
                Claim(
                    text="At least seven of the eight passages become more surprising at 4 bits.",
                    holds=lambda x: x.numbers["row_worse_int4"] >= x.numbers["texts"] - 1,
                ),
            ),
        ),
    ),
    questions=(
        "Does a scale for every 32 weights save the fact at 2 bits? And for every 16? "
        '`invivo run 16 --tweak "quantize int2 in groups of 32" --tweak "quantize int2 in groups of 16"`.',
        "Is pruning gentler? Take away the smallest weights instead: "
        '`invivo run 16 --tweak "prune 0.3 of weights" --tweak "prune 0.6 of weights" --tweak "prune 0.8 of weights"`.',
        "With how much text does the teacher stop being worth it? Give the students more: "
        "`invivo show students rows=1024`.",
    ),
    hero=1,
    sources=(
        "Dettmers, Pagnoni, Holtzman & Zettlemoyer 2023, QLoRA: Efficient Finetuning of Quantized LLMs (nf4), "
        "arXiv:2305.14314",
        "Frantar, Ashkboos, Hoefler & Alistarh 2023, GPTQ: Accurate Post-Training Quantization for Generative "
        "Pre-trained Transformers, arXiv:2210.17323",
        "Hinton, Vinyals & Dean 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531",
        "Han, Pool, Tran & Dally 2015, Learning both Weights and Connections for Efficient Neural Networks, "
        "arXiv:1506.02626",
    ),
)
