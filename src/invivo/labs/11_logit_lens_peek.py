"""Lab 11: let every layer speak as if it were the last one.

A fact is read layer by layer, with its subject in place (BASE) and blanked at the bottom (TWEAK). What a model does
after its last layer, scores to odds, is shown on a prompt that leaves something open: of a fact there is little to see.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.lens import Lens, LensRecipe
from ..experiment.wording import share_shift
from ..show.text import quoted
from .words import doing, is_base, likeliest, measure, parting, row, said

CONTROL, BLANK = "scale embed at -2 by 1", "zero embed at -2"
FACT, OPEN = "The capital of France is", "In the garden stood a"
ROUNDING_NATS = 1e-3  # between the lens and the model itself, in any number format


def on(e: Experiment) -> Experiment:
    """The experiment with an open prompt in place of the lab's fact; a prompt of the reader's own stays."""
    return e.model_copy(update={"prompt": OPEN}) if e.prompt == FACT else e


def lens(e: Experiment, *, tuned: bool) -> LensRecipe:
    """The lab's prompt, BASE and its last TWEAK, read at every layer and position."""
    tweak = e.tweaks[-1] if e.tweaks else None
    return LensRecipe(prompt=e.prompt, prompts=e.prompts, tweak=tweak, tuned=tuned, **e.on)


def layers(x: Exhibit, name: str) -> list[float]:
    """A number of every layer, from the bottom up."""
    return [x.numbers[f"{name}_{layer}"] for layer in range(int(x.numbers["layers"]))]


def falls(values: list[float]) -> bool:
    """Whether each is below the one before."""
    return all(after < before for before, after in pairwise(values))


def warms(x: Exhibit) -> bool:
    """Whether entropy is higher, or as high, at each higher temperature."""
    found = [(float(n.removeprefix("entropy_at_")), v) for n, v in x.numbers.items() if n.startswith("entropy_at_")]
    values = [v for _, v in sorted(found)]
    return all(after >= before - 1e-9 for before, after in pairwise(values))


def untouched(x: Lens) -> bool:
    """Whether nothing left of the last two positions has moved, at any layer."""
    moved = x.tweak.moved_nats if x.tweak is not None and x.tweak.moved_nats is not None else ()
    return all(abs(kl) < ROUNDING_NATS for layer in moved for kl in layer[:-2])


def takeaway(c: Comparison) -> str:
    """What blanking did to the answer, in words that the numbers choose."""
    shown = c.tweaks[-1]
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"the likeliest token stays {before}" if before == after else f"the likeliest token was {before}, now {after}"
    opened = (
        f"entropy {said('entropy_next', measure(c, 'entropy_next'))} (BASE) to "
        f"{said('entropy_next', measure(c, 'entropy_next', str(shown.tweak)))}"
    )
    if c.recipe.target is None or c.base.target_nats is None or shown.target_nats is None:
        return f"{doing(shown)}: {top}; {opened}; {parting(shown)}."
    target = share_shift(math.exp(c.base.target_nats), math.exp(shown.target_nats))
    return f"{doing(shown)}: {quoted(c.recipe.target)} goes {target}, and {top}; {opened}; {parting(shown)}."


LAB = Lab(
    number="11",
    name="logit_lens_peek",
    section=5,
    title="Let every layer speak",
    why=(
        "A model answers after its last layer. But every layer before it holds a vector of the same kind, at the same "
        "place, and the model's own end can read that as well. So let it: after each layer, stop, score all tokens, "
        "and see what would have been said. Does the answer grow slowly, or does it stand there at once? And when its "
        "subject is taken away, from which layer on does the model know less?"
    ),
    know=(
        "Logits: the head compares the last vector with every token's row and gives one score each, 8,192 in fruitfly. "
        "A score by itself means nothing; one nat more than another token's makes a token e (2.7) times as likely.",
        "Softmax makes odds of scores: exponentials, divided by their sum. They are positive and sum to 1, and a "
        "constant added to every score changes none of them.",
        "Entropy says how open the choice is: the mean of −ln p. It is 0 when one token is certain. Its exponential "
        "says among how many equally likely tokens a draw would be as open.",
        "The logit lens puts a layer's output straight into the last norm and the head. It can work because each layer "
        "only adds to the stream: what has been written stays there, in the same directions.",
        "The tuned lens gives each layer a map of its own first, fitted so that it lands where the last layer would. "
        "Early layers may write in directions that later ones translate; the map makes up for that.",
        "KL(last ‖ layer), in nats, says how far a layer is from what is said in the end: 0 when it would say the very "
        "same. Unlike the likeliest token it looks at all of them.",
    ),
    experiment=Experiment.of(
        {
            "prompt": FACT,
            "tweaks": [CONTROL, BLANK],
            "target": " Paris",
            "decoding": {"max_new_tokens": 12},
        }
    ),
    numbers=("target_probability", "entropy_next", "kl_next", "parted"),
    pictures=("next_tokens",),
    look_for=(
        "TWEAK blanks the vector of the last word but one, the subject, before any layer has read it. What does the "
        "model say that knows it is asked for a capital, and not whose? Compare the entropies: is it undecided now, or "
        "wrong and sure of it?"
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The blanked vector multiplied by 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(
            text="BASE knows the fact: ` Paris` has more than half of the probability.",
            holds=lambda c: measure(c, "target_probability") > 0.5,
        ),
        Claim(
            text="Without its subject ` Paris` keeps less than a tenth of what it had.",
            holds=lambda c: measure(c, "target_probability", BLANK) < 0.1 * measure(c, "target_probability"),
        ),
    ),
    steps=(
        Step(
            name="softmax",
            title="From scores to odds",
            text=(
                "What happens after the last layer, with the real numbers. A fact would leave one bar of nearly "
                "100 %, so the lab reads a prompt that leaves much open (a prompt of your own is taken as it is). "
                "Follow one token from left to right; then see how much of the sum, and of the entropy, comes from "
                "thousands of tokens that nobody would name."
            ),
            recipe=lambda e: ExhibitRecipe(name="softmax", settings={"prompt": on(e).prompt}, **e.on),
            claims=(
                Claim(
                    text="The probabilities sum to 1, and the likeliest token has 1 / sum of the exponentials.",
                    exact=True,
                    holds=lambda x: (
                        abs(x.numbers["probability_sum"] - 1) < 1e-9
                        and abs(x.numbers["probability_top"] * x.numbers["sum_of_exponentials"] - 1) < 1e-9
                    ),
                ),
                Claim(
                    text="A constant on every logit changes no probability.",
                    exact=True,
                    holds=lambda x: x.numbers["added_moves"] < 1e-9,
                ),
                Claim(text="The higher the temperature, the higher the entropy.", exact=True, holds=warms),
            ),
        ),
        Step(
            name="raw",
            title="Every layer, read as it is",
            text=(
                "Each row is a layer, each column a token that was read; a cell is what the model would say next if it "
                "ended there. Read the last column upwards or downwards: where does the answer come up? Then the "
                "difference: blanking one word moves its own column from the bottom on, and the columns to its right "
                "only from the layer on in which attention has carried something over."
            ),
            recipe=lambda e: lens(e, tuned=False),
            claims=(
                Claim(
                    text="After layer 0 the answer is not there yet: another token is the likeliest.",
                    holds=lambda x: x.settled() > 0,
                ),
                Claim(
                    text="What stands left of the blanked word does not change at any layer: nothing looks ahead.",
                    holds=untouched,
                ),
            ),
        ),
        Step(
            name="tuned",
            title="The same through a tuned lens",
            text=(
                "Now each layer goes through its map first. The maps were fitted in seconds, on text that the model "
                "said by itself, and judged on text that was put aside; a map that was no better there is dropped. "
                "Compare the last column with the raw one: what kind of word does the model have in mind before it "
                "has the answer? And is the answer itself there any earlier?"
            ),
            recipe=lambda e: lens(e, tuned=True),
            claims=(
                Claim(
                    text="On text put aside, the tuned lens is at no layer further from the output than the raw one.",
                    exact=True,
                    holds=lambda x: all(t <= r for r, t in zip(x.fit.raw_nats, x.fit.tuned_nats, strict=True)),
                ),
            ),
        ),
        Step(
            name="depth",
            title="On many prompts",
            text=(
                "One prompt is an anecdote. Here are twenty: facts, lists, two people in a store, stories. Means over "
                "all their tokens; the bands are what other prompts might have given."
            ),
            recipe=lambda e: ExhibitRecipe(name="depths", **e.on),
            claims=(
                Claim(
                    text="The last layer through the lens is the model's own output.",
                    exact=True,
                    holds=lambda x: x.numbers["last_apart"] <= ROUNDING_NATS,
                ),
                Claim(
                    text="The raw lens comes nearer to the output with every layer.",
                    holds=lambda x: falls(layers(x, "raw_kl")),
                ),
                Claim(
                    text="The tuned lens is at no layer further away than the raw one.",
                    holds=lambda x: all(
                        t <= r for r, t in zip(layers(x, "raw_kl"), layers(x, "tuned_kl"), strict=True)
                    ),
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "A lens could make up what it shows: the head turns any vector into words. So give it vectors with "
                "their slots shuffled, the same lengths and the same numbers in other places: what it says then is "
                "the head's doing alone. And a fitted map could score well by always giving the average answer. So "
                "let one do just that: it knows the other prompts and no layer of this one. What the two real lenses "
                "have beyond these is in the layers."
            ),
            recipe=lambda e: ExhibitRecipe(name="depths", settings={"blind": True}, **e.on),
            claims=(
                Claim(
                    text="At every layer, the raw lens beats shuffled slots on at least nine of ten prompts.",
                    holds=lambda x: min(layers(x, "raw_beats_shuffled")) >= 0.9 * x.numbers["prompts"],
                ),
                Claim(
                    text="At every layer, the tuned lens beats the average on at least nine of ten prompts.",
                    holds=lambda x: min(layers(x, "tuned_beats_average")) >= 0.9 * x.numbers["prompts"],
                ),
            ),
        ),
    ),
    questions=(
        "Which part looks the fact up? Silence the first MLP on the subject, and read the lens again: "
        '`invivo run 11 --tweak "zero L0.mlp_out at -2"`.',
        'Is it the word, or any word there? Blank `of` instead: `invivo run 11 --tweak "zero embed at -3"`.',
        "And where no single answer is right? Read a story's opening: "
        '`invivo run 11 prompt="Once there was a farmer who had a" target=" little" --tweak "zero embed at -3"`.',
    ),
    sources=(
        "nostalgebraist 2020, interpreting GPT: the logit lens, LessWrong",
        "Belrose et al. 2023, Eliciting Latent Predictions from Transformers with the Tuned Lens, arXiv:2303.08112",
        "Shannon 1948, A Mathematical Theory of Communication (entropy), Bell System Technical Journal 27",
        "Geva et al. 2022, Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the Vocabulary "
        "Space, arXiv:2203.14680",
    ),
)
