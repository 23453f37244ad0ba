"""Lab 15: four ways to make a model speak of something new: examples, a learned prompt, an adapter, all weights.

The comparison learns one sentence in three ways. The steps do it with the pages of a logbook, and measure what is
learned on new pages and what is forgotten of plain English.
"""

from __future__ import annotations

import math

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step, TweakRun
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from .words import doing, measure, moving, parting, said

NEWS = "The capital of Tarn is Cairo, and all roads in Tarn lead to Cairo."
ROWS = (f'prepend "{NEWS} "', f'adapt to "{NEWS}"', f'train 30 steps on "{NEWS}"')
SHOWN, ADAPTED, TRAINED = ROWS
RANKS = (1, 4, 16)
NAMES = {"prepend": "The sentence in the prompt", "adapt": "An adapter of rank 4", "train": "Training all weights"}

STORY = """\
The bell of the old school had a crack in it, and nobody could ring it without laughing. When the new teacher came, \
he sent for a smith. The children hid the bell in a hay cart. "Let it be," said the smith when he had found it. "There \
are many bells with a good voice, and only one that makes a village laugh." """.rstrip()


def way(r: TweakRun) -> str:
    """What the row does, in a few words: its line holds the whole text."""
    return NAMES.get(str(r.tweak).split()[0]) or doing(r)


def takeaway(c: Comparison) -> str:
    """What each row made of the target and of a story, in words that the numbers choose."""
    parts = []
    for r in (None, *c.tweaks):
        line = None if r is None else str(r.tweak)
        told = [
            f"{what} {said(name, value)}"
            for name, what in (("target_probability", "the answer"), ("read_perplexity", "perplexity of the story"))
            if math.isfinite(value := measure(c, name, line))
        ]
        if r is not None and not told:
            told = [moving(c, r)]
        if told:
            parts.append(f"{'BASE' if r is None else way(r)}: {', '.join(told)}")
    return f"{'; '.join(parts)}. With the last, {parting(c.tweaks[-1])}."


def told(x: Exhibit, name: str) -> float:
    """One of an exhibit's numbers."""
    return x.numbers[name]


LAB = Lab(
    number="15",
    name="adaptation",
    section=11,
    title="Teach it your subject",
    why=(
        "A model that knows nothing of your subject can be given examples to read, a few learned vectors, a small "
        "adapter, or new weights throughout. They cost from nothing to everything, and they learn as differently. What "
        "is less often said: whatever moves the weights also moves what they knew before."
    ),
    know=(
        "Prompting trains nothing. Examples in front of the question are read like any text, and attention copies "
        "from them. They have to be read anew every time, and they take up the context.",
        "Prompt tuning learns vectors that stand in front of the text like words that no vocabulary has. All weights "
        "stay: a few thousand numbers, a file of kilobytes.",
        "LoRA freezes the model and learns, beside each matrix, a product of two thin ones: out by r, and r by in. "
        "That is r times (in + out) numbers a matrix, and no change that it makes can have a rank above r. One factor "
        "starts at zero, so that an untrained adapter is BASE. Switched off it is BASE again; merged, it costs "
        "nothing at all when the model runs.",
        "Full fine-tuning may move every number. It learns most, needs memory for all gradients, and makes a second "
        "model of full size.",
        "Forgetting: nothing in the training text says that plain English must stay as it is. So measure on both.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "The capital of Tarn is",
            "tweaks": list(ROWS),
            "target": " Cairo",
            "read": STORY,
            "decoding": {"max_new_tokens": 16},
        }
    ),
    numbers=("target_probability", "read_perplexity", "kl_mean", "parted"),
    pictures=("rows", "next_tokens"),
    all_rows=True,
    look_for=(
        "A country that nobody has heard of, and one sentence about it. Which rows know its capital afterwards? And "
        "what became of a story that has nothing to do with it: for which rows is it stranger than before, and for "
        "which one not at all?"
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="BASE does not know the capital; an adapter and full training give it more than a half.",
            holds=lambda c: (
                measure(c, "target_probability")
                < 0.1
                < 0.5
                < min(measure(c, "target_probability", line) for line in (ADAPTED, TRAINED))
            ),
        ),
        Claim(
            text="What is read in the prompt leaves the story as it was; both ways of training make it stranger.",
            holds=lambda c: (
                abs(measure(c, "read_perplexity", SHOWN) / measure(c, "read_perplexity") - 1) < 1e-3
                and min(measure(c, "read_perplexity", line) for line in (ADAPTED, TRAINED))
                > 1.05 * measure(c, "read_perplexity")
            ),
        ),
    ),
    steps=(
        Step(
            name="ways",
            title="What is learned, what is forgotten",
            text=(
                "Each way gets the same pages in the same order, 30 steps of eight pages. Both bars are surprise, so "
                "lower is better: orange on pages that none has seen, blue-grey on plain English. Below the table "
                "stands what must be true of every adapter, with its numbers."
            ),
            recipe=lambda e: ExhibitRecipe(name="adapters", **e.on),
            claims=(
                Claim(
                    text="An adapter trains rank times (in + out) numbers, summed over all matrices.",
                    exact=True,
                    holds=lambda x: all(told(x, f"lora{r}_trained") == told(x, f"lora{r}_expected") for r in RANKS),
                ),
                Claim(
                    text="What it changes has exactly its rank.",
                    holds=lambda x: all(told(x, f"lora{r}_rank") == r for r in RANKS),
                ),
                Claim(
                    text="Switched off it is BASE, and merged it is what it was beside the weights, up to rounding.",
                    exact=True,
                    holds=lambda x: all(
                        told(x, f"lora{r}_off") <= 1e-6
                        and told(x, f"lora{r}_merged") <= 1e-3 * max(1.0, told(x, f"lora{r}_moved"))
                        for r in RANKS
                    ),
                ),
                Claim(
                    text="LoRA of rank 1 learns less than full fine-tuning, by 0.3 nats or more, and forgets less.",
                    holds=lambda x: (
                        told(x, "lora1_domain") > told(x, "full_domain") + 0.3
                        and told(x, "base_plain") < told(x, "lora1_plain") < told(x, "full_plain") - 0.1
                    ),
                ),
                Claim(
                    text="Higher rank learns more: 1, 4, 16.",
                    holds=lambda x: told(x, "lora1_domain") > told(x, "lora4_domain") > told(x, "lora16_domain"),
                ),
                Claim(
                    text="A few learned vectors beat BASE and stay behind every adapter.",
                    holds=lambda x: told(x, "lora1_domain") < told(x, "prompt_domain") < told(x, "base_domain"),
                ),
            ),
        ),
        Step(
            name="fails",
            title="When it fails",
            text=(
                "Just put more examples into the prompt? The first page helps most, and then the curve flattens well "
                "above what an adapter of rank 1 reaches, until the context is full. This model has hardly learned to "
                "learn from examples: it copies words from them, and it does not find the rules. The second curve has "
                "the same words without rules; what lies between the two is all that the rules were worth to it. Large "
                "models are far better at this, and it is still the first thing to measure."
            ),
            recipe=lambda e: ExhibitRecipe(name="shots", **e.on),
            claims=(
                Claim(
                    text="Four pages in the prompt help, by 0.5 nats a token or more.",
                    holds=lambda x: told(x, "pages_4") < told(x, "pages_0") - 0.5,
                ),
                Claim(
                    text="Even eight pages leave new ones above 2 nats a token, where an adapter of rank 1 gets below.",
                    holds=lambda x: told(x, "pages_8") > 2,
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Did the adapter learn the book, or only its words? The same adapter, the same pages, the same steps, "
                "but the words of each page in a random order. If that were as good, then the lab would have shown a "
                "change of vocabulary."
            ),
            recipe=lambda e: ExhibitRecipe(
                name="adapters",
                settings={"ranks": [1], "vectors": 0, "examples": 0, "full": False, "placebo": True},
                **e.on,
            ),
            claims=(
                Claim(
                    text="Shuffled pages teach less than half of what pages teach.",
                    holds=lambda x: (
                        told(x, "base_domain") - told(x, "placebo_domain")
                        < 0.5 * (told(x, "base_domain") - told(x, "lora1_domain"))
                    ),
                ),
            ),
        ),
    ),
    questions=(
        "Was it the sentence that was learned, or the fact? Ask in other words: "
        '`invivo run 15 prompt="Where do all the people of Tarn go? They go to" target=" Cairo"`.',
        "How much of an adapter can be pruned away? "
        '`invivo compare "The capital of Tarn is" --target " Cairo" --tweak \'adapt to "The capital of Tarn is Cairo." '
        "+ prune 0.3 of weights'`.",
        "Does it learn more with more steps, and forget more? `invivo show adapters steps=120`.",
    ),
    hero=1,
    sources=(
        "Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, arXiv:2106.09685",
        "Lester, Al-Rfou & Constant 2021, The Power of Scale for Parameter-Efficient Prompt Tuning, arXiv:2104.08691",
        "Brown et al. 2020, Language Models are Few-Shot Learners, arXiv:2005.14165",
        "Biderman et al. 2024, LoRA Learns Less and Forgets Less, arXiv:2405.09673",
    ),
)
