"""Lab 07: add noise to the residual stream, at one layer at a time, and see which layer bears least.

The dose is sigma. The stream grows with depth, so the same sigma is a large share of it low down and a small one high
up: the lab measures both, equal sigma and equal share.
"""

from __future__ import annotations

from ..experiment import Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from .words import doing, is_base, measure, parting, row, said

SIGMA, LOUDER = 0.1, 100
CONTROL = "add noise 0 to L0.resid_pre"
LATE, EARLY = f"add noise {SIGMA:g} to L-1.resid_pre", f"add noise {SIGMA:g} to L0.resid_pre"
LOUD = f"add noise {LOUDER * SIGMA:g} to L-1.resid_pre"


RISES = "KL rises with sigma at every layer, until nothing is left of the prediction (2 nats)."


def layers(shown: Exhibit) -> list[int]:
    """The layers of the exhibit `fragility`."""
    return sorted(int(k.rpartition("_")[2]) for k in shown.numbers if k.startswith("rising_"))


def rises_everywhere(shown: Exhibit) -> bool:
    """Whether at every layer each sigma moves the prediction further than the one before."""
    return all(shown.numbers[f"rising_{n}"] == 1 for n in layers(shown))


def first_by_far(shown: Exhibit) -> bool:
    """Whether the first layer is the most fragile, and surely: its lead over the next has an interval above 1."""
    n = shown.numbers
    return n.get("most_fragile") == 0 and n.get("lead_low", 0.0) > 1


def grows(shown: Exhibit) -> bool:
    """Whether the stream is at least twice as long at the end as where it enters."""
    lengths = [v for k, v in shown.numbers.items() if k.startswith("length_")]
    return lengths[-1] >= 2 * lengths[0]


def takeaway(c: Comparison) -> str:
    """The same noise early and late, in one line; for tweaks of the reader's own, the last row."""
    shown = {str(r.tweak) for r in c.tweaks}
    if not {EARLY, LATE} <= shown:
        last = c.tweaks[-1]
        return f"{doing(last)} moves predictions by {said('kl_mean', mean(c, str(last.tweak)))} (KL); {parting(last)}."
    early, late = mean(c, EARLY), mean(c, LATE)
    where = "early than late" if early > 1.05 * late else "late than early" if late > 1.05 * early else ""
    loud = f", and {LOUDER} times that sigma there by {said('kl_mean', mean(c, LOUD))}" if LOUD in shown else ""
    opening = f"The same noise does more harm {where}" if where else "Early or late, the same noise does as much harm"
    return (
        f"{opening}: sigma {SIGMA:g} in front of the first layer moves predictions by {said('kl_mean', early)} (KL), "
        f"in front of the last by {said('kl_mean', late)}{loud}; with the early one {parting(row(c, EARLY))}."
    )


def mean(c: Comparison, line: str) -> float:
    """KL of that row, mean over the positions of BASE's text, in nats."""
    return measure(c, "kl_mean", line)


STEPS = (
    Step(
        name="stream",
        title="The running sum, added up",
        text=(
            "The last token's vector, followed upwards: how long it is where it enters each layer, and how long are "
            "the two things that the layer adds. The lengths do not add up, because the things added point in other "
            "directions; the vectors do, and the sum is checked."
        ),
        recipe=lambda e: ExhibitRecipe(name="stream", settings={"prompt": e.prompt}, **e.on),
        claims=(
            Claim(
                text="What enters the first layer and everything added later are, summed, what leaves the last one.",
                holds=lambda x: x.numbers.get("sum_apart", 1.0) < 1e-3,
            ),
            Claim(text="The stream is at least twice as long at the end as where it enters.", holds=grows),
        ),
    ),
    Step(
        name="layers",
        title="Which layer bears least?",
        text=(
            "Noise at one layer at a time, from a tenth of the stream's size where it is smallest to more than its "
            "size where it is largest. KL says how far the prediction after the prompt moves: your prompt and twelve "
            "openings of sentences, two draws of noise each. One curve a layer: where does each leave the ground? The "
            "table has the sigma at which KL reaches half a nat, the one number to compare layers by."
        ),
        recipe=lambda e: ExhibitRecipe(name="fragility", settings={"prompt": e.prompt}, **e.on),
        claims=(
            Claim(text=RISES, holds=rises_everywhere),
            Claim(
                text="The first layer is the most fragile: the next bears more, and its interval says so, too.",
                holds=first_by_far,
            ),
        ),
    ),
    Step(
        name="share",
        title="The same, with noise as loud as the stream allows",
        text=(
            "Equal sigma was not an equal share: the stream is small where it enters, and what is small drowns first. "
            "Here sigma is a share of the stream's own size at each layer, so the noise is equally loud for all of "
            "them. Is the order the same? A guess at why not: what the first layer reads is one of a few thousand rows "
            "of a table, and those can be told apart through much noise."
        ),
        recipe=lambda e: ExhibitRecipe(name="fragility", settings={"prompt": e.prompt, "relative": True}, **e.on),
        claims=(
            Claim(text=RISES.replace("sigma", "the share"), holds=rises_everywhere),
            Claim(
                text="At an equal share the first layer is not the most fragile one.",
                holds=lambda x: x.numbers.get("most_fragile", 0) != 0,
            ),
        ),
    ),
    Step(
        name="real",
        title="Is it real?",
        text=(
            "Twelve other openings, none of them seen so far, and other noise; equal sigma again. The same noise at "
            "the other layers is the control: if all layers bore the same, each would be the most fragile on its "
            "share of the prompts, by chance."
        ),
        recipe=lambda e: ExhibitRecipe(name="fragility", settings={"others": True}, **e.on),
        claims=(
            Claim(
                text="On other prompts, with other noise, it is the first layer again, as surely.",
                holds=first_by_far,
            ),
            Claim(
                text="It is the most fragile on at least three quarters of the prompts.",
                holds=lambda x: x.numbers.get("most_fragile") == 0 and x.numbers["wins"] >= 0.75 * x.numbers["prompts"],
            ),
        ),
    ),
)


LAB = Lab(
    number="07",
    name="add_small_gaussian_noise_to_residual_stream",
    section=0,
    title="Shake the vector on its way up",
    why=(
        "Between the first layer and the last, everything a model knows about your text is carried by one vector a "
        "token, the residual stream. Nothing else gets through. So how carefully must it be handled? Shake it a "
        "little, at one layer, and see whether the answer at the top still comes out. A path that falls over at a "
        "touch would be odd: quantised models round every number, and speak on. Guess first: is it "
        "the bottom or the top that minds most?"
    ),
    know=(
        "The residual stream starts as token row plus position row. Each layer reads it twice (attention, then MLP) "
        "and adds what it found: nothing is ever replaced. That makes the stream the only memory between "
        "layers, and a road on which early findings travel to the top.",
        "Gaussian noise: a random number added to each dimension, most of them within one standard deviation (sigma) "
        "of 0. In a stream of 256 dimensions it adds a vector of length 16 sigma, in a direction that means nothing.",
        "Equal sigma is not equal share: every layer adds, so the stream grows with depth, and noise that would drown "
        "it at the bottom is a whisper at the top.",
        "Layer norm rescales what a layer reads to a fixed spread, so a layer sees the stream's direction and not its "
        "length. What noise does is a matter of its share: as long as the stream itself, it turns it by 45 degrees.",
        "KL divergence, in nats, says how far a distribution moved: 0 is not at all. At 0.1 you would be hard put to "
        "tell; at 1 the prediction is another one.",
        "Dice that belong to places: the noise at a layer and a position depends on the seed alone. So two rows with "
        "the same seed and other sigmas are shaken in the same direction, and any run can be had again.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "The old man opened the door and saw a little girl, who",
            "tweaks": [CONTROL, LATE, LOUD, EARLY],
            "decoding": {"max_new_tokens": 30},
        }
    ),
    numbers=("kl_next", "kl_mean", "top_changed", "parted"),
    pictures=("rows", "kl_by_position", "next_tokens"),
    look_for=(
        "TWEAK is the noise in front of the first layer. Is what it says still English? Is it still about the prompt? "
        "Then the same sigma in front of the last layer: the same size, and how much less of an effect? And a hundred "
        "times that sigma, in the same place. The row with sigma 0 is the control that must be BASE."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Noise of sigma 0 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(
            text="In front of the first layer the noise moves predictions by more than 0.1 nats on average.",
            holds=lambda c: mean(c, EARLY) > 0.1,
        ),
        Claim(
            text="In front of the last layer the same sigma moves them less than half as far.",
            holds=lambda c: mean(c, LATE) < 0.5 * mean(c, EARLY),
        ),
        Claim(
            text="There, too, noise does harm, if it is a hundred times as loud: more than 0.1 nats.",
            holds=lambda c: mean(c, LOUD) > 0.1,
        ),
    ),
    questions=(
        "Is it the noise, or these dice? Throw others: "
        f'`invivo run 07 --tweak "add noise {SIGMA:g} to L0.resid_pre seed 7"`.',
        "Where does it hurt? Shake the last token only, which is the one that is about to speak: "
        f'`invivo run 07 --tweak "add noise {SIGMA:g} to L0.resid_pre at -1"`.',
        "Does it find its way back? Shake the prompt and leave what it says next alone: "
        f'`invivo run 07 --tweak "add noise {SIGMA:g} to L0.resid_pre during prompt"`.',
    ),
    steps=STEPS,
    sources=(
        "He et al. 2015, Deep Residual Learning for Image Recognition (layers that add), arXiv:1512.03385",
        "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (the residual stream), "
        "transformer-circuits.pub/2021/framework",
        "Heimersheim & Turner 2023, Residual stream norms grow exponentially over the forward pass, alignmentforum.org",
        "Meng et al. 2022, Locating and Editing Factual Associations in GPT (noise as a tool), arXiv:2202.05262",
        "Dettmers et al. 2022, LLM.int8() (what rounding does to large models), arXiv:2208.07339",
        "Efron 1979, Bootstrap Methods: Another Look at the Jackknife (the intervals), doi:10.1214/aos/1176344552",
    ),
)
