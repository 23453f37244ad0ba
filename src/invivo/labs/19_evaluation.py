"""Lab 19: a tweak's cost on a benchmark, what perplexity depends on, and how many items a verdict needs.

The tweak switches off the head that does most to find out who is given something. On one prompt nothing is to be seen;
over eighty questions of that kind it is. The harness that asks them is the one that most papers use.
"""

from __future__ import annotations

import math

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step, wording
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..show.text import quoted
from .words import doing, is_base, likeliest, measure, moving

CONTROL, HEAD = "scale head 3.5 by 1", "zero head 3.5"
TASKS = ("giving", "opposites", "young_animals", "tales")
CHOICES = ("giving", "opposites")


def shown(e: Experiment) -> str:
    """The row that is asked the questions: the last one."""
    return str(e.tweaks[-1])


def asked(e: Experiment, tasks: tuple[str, ...], **more: object) -> ExhibitRecipe:
    """The last row on tasks, beside BASE."""
    return ExhibitRecipe(name="benchmark", settings={"tweaks": [shown(e)], "tasks": list(tasks), **more}, **e.on)


def overlap_helps(x: Exhibit) -> bool:
    """Whether every overlap gives a lower perplexity than none."""
    strides = {int(k.removeprefix("stride_")): v for k, v in x.numbers.items() if k.startswith("stride_")}
    none = max(strides)
    return all(v < strides[none] for stride, v in strides.items() if stride != none)


def beyond_harms(x: Exhibit) -> bool:
    """Whether windows of twice the trained length raise perplexity by a fifth at least."""
    longest = {
        kind: max((int(name.removeprefix(kind)), value) for name, value in x.numbers.items() if name.startswith(kind))
        for kind in ("window_", "beyond_")
    }
    return longest["beyond_"][1] > 1.2 * longest["window_"][1]


def at_chance(x: Exhibit, within: float = 0.2) -> bool:
    """Whether random weights choose about as often right as guessing does."""
    return all(abs(x.numbers[f"{t}_acc_untrained"] - x.numbers[f"{t}_acc_chance"]) < within for t in CHOICES)


def takeaway(c: Comparison) -> str:
    """What one prompt shows, and that it is one prompt."""
    shown = c.tweaks[-1]
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"leaves {before} the likeliest next token" if before == after else f"makes {after} likeliest, not {before}"
    if c.recipe.target is None or c.base.target_nats is None or shown.target_nats is None:
        return f"{doing(shown)} {top} on this one prompt; {moving(c, shown)}."
    share = wording.share_shift(math.exp(c.base.target_nats), math.exp(shown.target_nats))
    return f"{doing(shown)} {top} on this one prompt ({quoted(c.recipe.target)} {share}); a task asks more than once."


LAB = Lab(
    number="19",
    name="evaluation",
    section=11,
    title="One prompt is no benchmark",
    why=(
        "You changed something, tried a prompt, and all was well. Was it? A pruned, quantized or fine-tuned model can "
        "answer your favourite prompt as before and fail one question in eight. So people ask many questions and "
        "count. But how many? And is a difference of two points a difference? Let a tweak pass a small exam, and then "
        "look at the exam."
    ),
    know=(
        "Perplexity: the exponential of the mean surprise per token. It depends on the tokenizer, and on how much "
        "stood before each token when it was read; so two perplexities compare only if both were measured alike.",
        "Sliding window: a text longer than the context is read in windows. Windows that overlap give every token more "
        "to go by, and cost more reading. Windows longer than those of training are another matter.",
        "Bits per byte: the same surprise, in bits, divided by bytes. It does not care how a text was cut into tokens, "
        "so it can be compared between models.",
        "Multiple choice: no answer is written. The model reads each choice behind the question, and the likeliest one "
        "counts as its answer. Guessing is right in one of so many; what is below that is no knowledge.",
        "Generation: the answer is written and compared. It is harder: nobody says which answers there are.",
        "A benchmark is a sample of questions. The bootstrap shows what another sample might have given: draw the "
        "items anew, with replacement, a few thousand times. The middle 95 % of the results is the interval.",
        "BASE and TWEAK answer the same items, so look at the difference item by item. What makes an item hard for "
        "both cancels, and a paired interval is narrower than the two scores' own would suggest.",
        "lm-evaluation-harness holds hundreds of tasks and asks them in the same way of every model. Here it asks the "
        "tweaked model itself: `invivo eval` takes its tasks, the four of this lab, and a file of your own.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "When Ruth and Emma went to the garden, Emma gave a lamp to",
            "tweaks": [CONTROL, HEAD],
            "target": " Ruth",
            "wrong": " Emma",
            "decoding": {"max_new_tokens": 12},
        }
    ),
    numbers=("target_probability", "logit_diff", "kl_next"),
    pictures=("next_tokens",),
    look_for=(
        "The right name is as good as certain in both rows. The logit difference shows that something went: how far is "
        "the right name still ahead of the wrong one? A prompt with a wide lead does not tell what happens where it is "
        "narrow."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The head multiplied by 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, c.tweaks[0]),
        ),
        Claim(
            text="On this prompt TWEAK looks harmless: the right name keeps three quarters of its probability.",
            holds=lambda c: (
                measure(c, "target_probability", str(c.tweaks[1].tweak)) >= 0.75 * measure(c, "target_probability")
            ),
        ),
    ),
    steps=(
        Step(
            name="windows",
            title="What perplexity depends on",
            text=(
                "First the number that needs no questions. The text is stories that no model has read, under BASE. "
                "Read the first table downwards: more overlap, more before each token. The second says one surprise in "
                "four units, and what the harness makes of the same text. In the picture, windows grow to the length "
                "that the model was trained on and past it: a table of positions gets new rows there, drawn at random, "
                "as training would find them; positions that are computed are simply computed further."
            ),
            recipe=lambda e: ExhibitRecipe(name="windows", **e.on),
            claims=(
                Claim(
                    text="Our surprise of the text is the harness's, to one part in a hundred thousand.",
                    exact=True,
                    holds=lambda x: x.numbers.get("harness_apart", 0.0) < 1e-5,
                ),
                Claim(text="Every overlap gives a lower perplexity than none.", holds=overlap_helps),
                Claim(
                    text="In windows of twice the trained length, perplexity is at least a fifth higher.",
                    holds=beyond_harms,
                ),
            ),
        ),
        Step(
            name="tasks",
            title="The exam",
            text=(
                "Four tasks, asked by lm-evaluation-harness. `giving` has eighty questions like the one above, "
                "`opposites` four words to choose from; in `young_animals` a word is to be written, and `tales` are "
                "only read. Which of them feels the tweak? In the last column stands how many items TWEAK lost and "
                "won. A benchmark without the right task would have found nothing."
            ),
            recipe=lambda e: asked(e, TASKS),
            claims=(
                Claim(
                    text="BASE knows who is given something: it is right in nine of ten items at least.",
                    holds=lambda x: x.numbers["giving_acc_base"] >= 0.9,
                ),
                Claim(
                    text="What looked harmless is not: on `giving` the whole interval of the difference is below 0.",
                    holds=lambda x: x.numbers["giving_acc_gain_high_1"] < 0,
                ),
                Claim(
                    text="On `opposites` it costs less than half as much.",
                    holds=lambda x: x.numbers["opposites_acc_gain_1"] > 0.5 * x.numbers["giving_acc_gain_1"],
                ),
            ),
        ),
        Step(
            name="fails",
            title="When it fails: too few items",
            text=(
                "Now the mistake on purpose: stop after five questions. The table shows what the first items say, and "
                "what would come of drawing that many at random. How often does the loss not show at all? The picture "
                "shows the price of being sure: for half the width, four times the items."
            ),
            recipe=lambda e: ExhibitRecipe(name="few_items", settings={"tweak": shown(e), "task": "giving"}, **e.on),
            claims=(
                Claim(
                    text="Five items show no loss in at least a quarter of all draws.",
                    holds=lambda x: x.numbers["unseen_5"] >= 0.25,
                ),
                Claim(
                    text="All eighty items show it in nearly every draw.",
                    holds=lambda x: x.numbers["unseen_80"] <= 0.05,
                ),
                Claim(
                    text="Four times the items give an interval of at most 0.7 times the width (20 and 80).",
                    holds=lambda x: x.numbers["width_80"] <= 0.7 * x.numbers["width_20"],
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Two controls. The same change at other heads of the layer: if each of them cost as much, the head "
                "would be nothing special. And the same model with random weights, which knows nothing: what it gets "
                "is what guessing gets, and a score has to be read from there, not from 0."
            ),
            recipe=lambda e: asked(e, CHOICES, elsewhere=4, untrained=True),
            claims=(
                Claim(
                    text="No other head of the layer that was tried costs half as much on `giving`.",
                    holds=lambda x: x.numbers["giving_acc_elsewhere_least"] > 0.5 * x.numbers["giving_acc_gain_1"],
                ),
                Claim(
                    text="With random weights both tasks come out within 20 points of guessing.",
                    holds=at_chance,
                ),
            ),
        ),
    ),
    finds={"head 3.5": "answering head"},
    questions=(
        "Is a model with four bits a weight still fit for the exam? "
        '`invivo eval --tweak "quantize int4" --tasks giving,opposites,tales`.',
        "To choose is easier than to write. Take away an MLP, and compare the two: "
        '`invivo eval --tweak "zero L2.mlp_out" --tasks opposites,young_animals`.',
        'Another head, another weakness? Try one two layers below: `invivo run 19 --tweak "zero head 1.1"`.',
    ),
    sources=(
        "Gao et al. 2021 to 2026, A framework for few-shot language model evaluation (lm-evaluation-harness)",
        "Biderman et al. 2024, Lessons from the Trenches on Reproducible Evaluation of Language Models, "
        "arXiv:2405.14782",
        "Miller 2024, Adding Error Bars to Evals: A Statistical Approach to Language Model Evaluations, "
        "arXiv:2411.00640",
        "Efron 1979, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 7",
        "Jelinek et al. 1977, Perplexity: a measure of the difficulty of speech recognition tasks, JASA 62",
        "Press, Smith & Lewis 2022, Train Short, Test Long (positions beyond the trained length), arXiv:2108.12409",
        "Wang et al. 2022, Interpretability in the Wild: a Circuit for Indirect Object Identification, "
        "arXiv:2211.00593",
    ),
)
