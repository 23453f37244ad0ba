"""Lab 04: add standard deviations to one neuron of an MLP and read what it has to say.

The neuron was found by looking through all of fruitfly's for those that speak for one kind of word.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import Claim, Comparison, Experiment, Grid, Lab, Recipe, Step, Sweep
from ..experiment.control import Control, ControlRecipe
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..show.text import quoted
from ..spec import number_text
from .doses import answers, dose_of, dosed, place_of, short
from .words import doing, is_base, likeliest, parting, said

NEURON = "3.474"  # verbs of speech
DOSES = (0.0, 5.0, 10.0, 20.0)
WIDE = (-10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
PROMPT, TARGET = "The old king stood up and", " said"
OTHERS = (
    "The mouse came out of its hole and",
    "The wolf came out of the wood and",
    "The fox stopped and",
    "Then the little girl",
    "The farmer shook his head and",
)


def neuron_of(e: Experiment) -> str:
    """The neuron that the rows nudge."""
    return short(place_of(e.tweaks, "mlp_post", "a neuron"))


def others(e: Experiment) -> tuple[str, ...]:
    """Other prompts that the same answer is asked of."""
    return tuple(p for p in OTHERS if p != e.prompt) if e.target == TARGET else ()


def both_sides(e: Experiment) -> Recipe:
    """What the neuron says and what makes it fire."""
    doses = [-5, 0, 5, 10, 15, 20]
    return ExhibitRecipe(name="neuron", settings={"neuron": neuron_of(e), "prompt": e.prompt, "doses": doses}, **e.on)


def curve(e: Experiment) -> Recipe:
    """Every dose, on several prompts."""
    prompts = [e.prompt, *others(e)]
    cases = [e.case.model_copy(update={"prompt": prompt}) for prompt in prompts]
    line = f"add * sd to neuron {neuron_of(e)}"
    return Sweep.of({"tweak": line, "cases": cases, "metric": answers(e), "values": WIDE, **e.on})


def real(e: Experiment) -> Recipe:
    """One dose, beside other neurons and on other prompts."""
    line = f"add 10 sd to neuron {neuron_of(e)}"
    return ControlRecipe.of(
        {"tweak": line, "case": e.case, "metric": answers(e), "count": 40, "prompts": others(e), **e.on}
    )


def targets(c: Comparison) -> list[float]:
    """The target's log-probability at each dose, from 0 up; NaN where it was not asked."""
    found = (dosed(c, dose).target_nats for dose in DOSES)
    return [math.nan if value is None else value for value in found]


def takeaway(c: Comparison) -> str:
    """What the strongest nudge did to the target and the text; for tweaks of the reader's own, the last row."""
    last = c.tweaks[-1]
    top, now = likeliest(last, base=True), likeliest(last)
    kept = f"the likeliest token stays {top}" if top == now else f"the likeliest token was {top}, now {now}"
    doses = [dose_of(r.tweak) for r in c.tweaks]
    if c.base.target_nats is None or not set(DOSES) <= set(doses):
        moved = said("kl_next", last.kl_nats[len(c.prompt_ids) - 1])
        return f"{doing(last)} moves the next prediction by {moved} (KL); {kept}; {parting(last)}."
    steps = [100 * math.exp(value) for value in targets(c)]
    way = "raises" if all(a < b for a, b in pairwise(steps)) else "does not steadily raise"
    figures = ", ".join(f"{step:.2g} %" for step in steps)
    return (
        f"Nudging neuron {short(place_of(c.recipe.tweaks, 'mlp_post', 'a neuron'))} {way} "
        f"{quoted(c.recipe.target or '')}: {figures} at {', '.join(map(number_text, DOSES))} standard deviations; "
        f"{kept}."
    )


def climbs(x: Exhibit) -> bool:
    """Whether the logit of the token it promotes most is higher at every larger dose."""
    doses = sorted(
        (float(name.removeprefix("logit_")), v) for name, v in x.numbers.items() if name.startswith("logit_")
    )
    return len(doses) > 1 and all(a < b for (_, a), (_, b) in pairwise(doses))


def rises(g: Grid) -> bool:
    """Whether each larger dose from 0 to 10 makes the target likelier on average."""
    effects = [e for e, dose in zip(g.effects, WIDE, strict=True) if 0 <= dose <= 10]
    return all(a < b for a, b in pairwise(effects))


def beats(x: Control) -> bool:
    """Whether nearly all random neurons matter less."""
    return x.beaten >= 36


LAB = Lab(
    number="04",
    name="nudge_one_mlp_neuron",
    section=3,
    title="Nudge one neuron",
    why=(
        "Two thirds of a block's weights are its MLP, and it looks at one position at a time: no word sees another "
        "here. What is there to do with a single vector? Ask a neuron. It waits for a pattern, and the better the "
        "pattern fits, the more of one fixed vector it adds to the stream. Push one by hand, where its pattern is "
        "not there, and hear what it says."
    ),
    know=(
        "Feed-forward layer: a first matrix makes many neurons of the stream (1,024 of 256 numbers in fruitfly, in "
        "each of 6 layers), a function acts on each by itself, a second matrix takes them back. Neuron 3.474 is "
        "number 474 of layer 3; both count from 0.",
        "Activation function: fruitfly's is GELU, nearly 0 below 0 and nearly the input itself above. Without it, "
        "two matrices in a row would be one matrix. With it, a neuron is silent for most tokens and speaks for some.",
        "Gated MLPs (Llama and its kin) have two first matrices: one goes through the function and opens the gate, "
        "the other says how much passes. The neuron is their product.",
        "How a feature forms: a neuron's input is a sum, too. Each part of the model below has its share in it: the "
        "token itself, what heads fetched from other words, what lower neurons found. Where the shares agree, the "
        "neuron fires.",
        "What a neuron says: its row of the second matrix, times how strongly it fires. Read through the last norm "
        "and the head of the model, that row is a list of tokens it speaks for and against.",
        "Standard deviations: neurons differ in size, so 2 means much for one and nothing for another. What is added "
        "is therefore counted in the neuron's own standard deviation over a hundred sentences. A neuron that is "
        "silent for most tokens has a small one, and may fire 20 of them above its mean where its pattern is there.",
    ),
    experiment=Experiment.of(
        {
            "prompt": PROMPT,
            "tweaks": [f"add {d:g} sd to neuron {NEURON}" for d in DOSES],
            "target": TARGET,
            "decoding": {"max_new_tokens": 30},
        }
    ),
    numbers=("target_probability", "kl_next", "perplexity", "parted"),
    pictures=("next_tokens", "rows"),
    look_for=(
        "Does the nudged text stay English, and who begins to speak? A neuron that means one thing pulls the "
        "story there; one that means many only disturbs it. Then the list of tokens it promotes: had you known only "
        "that list, would you have foreseen the text? The first row adds nothing and must be BASE."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Adding 0 standard deviations is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, dosed(c, 0.0)),
        ),
        Claim(
            text="The more is added, up to 10 standard deviations, the likelier ` said`.",
            holds=lambda c: all(a < b for a, b in pairwise(targets(c)[:3])),
        ),
        Claim(
            text="20 standard deviations add at least 3 percentage points to the probability of ` said`.",
            holds=lambda c: math.exp(targets(c)[3]) - math.exp(targets(c)[0]) >= 0.03,
        ),
    ),
    steps=(
        Step(
            name="neuron",
            title="The neuron from both sides",
            text=(
                "First what it says, read off its weights, and what becomes of that when it is turned up. Then what "
                "makes it fire among a hundred sentences and your prompt, the function between the two, and how its "
                "input came about where it fires most."
            ),
            recipe=both_sides,
            claims=(
                Claim(text="The logit of the token it promotes most rises with every dose.", holds=climbs),
                Claim(
                    text="The parts of its input add up to it.",
                    exact=True,
                    holds=lambda x: abs(x.numbers.get("input_rest", 0.0)) <= 1e-3 * max(1.0, abs(x.numbers["peak"])),
                ),
            ),
        ),
        Step(
            name="curve",
            title="The dose curve",
            text=(
                "From taking 10 standard deviations away to adding 20, on this prompt and on five others (on yours "
                "alone, where you ask for another answer). 0 on the y axis is BASE."
            ),
            recipe=curve,
            claims=(
                Claim(
                    text="Adding nothing moves nothing.",
                    exact=True,
                    holds=lambda g: abs(g.effects[WIDE.index(0.0)]) <= 1e-3,
                ),
                Claim(text="From 0 to 10 each larger dose makes ` said` likelier, on average.", holds=rises),
            ),
        ),
        Step(
            name="real",
            title="Is it real?",
            text=(
                "Any push may move a word. So: 10 standard deviations on 40 random neurons of the same layer, each "
                "its own, and on this neuron after other prompts."
            ),
            recipe=real,
            claims=(
                Claim(text="It moves ` said` more than at least 36 of 40 random neurons of its layer do.", holds=beats),
                Claim(
                    text="On most other prompts it moves ` said` in the same direction.",
                    holds=lambda x: x.same_sign > len(x.prompts) / 2,
                ),
            ),
        ),
    ),
    finds={f"neuron {NEURON}": "outspoken neuron"},
    hero=3,
    questions=(
        f'Does the neuron only push, or is it needed? Silence it: `invivo run 04 --tweak "zero neuron {NEURON}"`.',
        "Must it shout at every token, or is one nudge at the end enough? "
        f'`invivo run 04 --tweak "add 10 sd to neuron {NEURON} at -1"`.',
        "What does its neighbour say? Numbers beside each other mean nothing: "
        f'`invivo run 04 --tweak "add 10 sd to neuron {NEURON.split(".")[0]}.{int(NEURON.split(".")[1]) + 1}"`.',
    ),
    sources=(
        "Geva et al. 2021, Transformer Feed-Forward Layers Are Key-Value Memories, arXiv:2012.14913",
        "Geva et al. 2022, Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the Vocabulary "
        "Space, arXiv:2203.14680",
        "Hendrycks & Gimpel 2016, Gaussian Error Linear Units (GELU), arXiv:1606.08415",
        "Shazeer 2020, GLU Variants Improve Transformer (gated MLPs), arXiv:2002.05202",
        "Elhage et al. 2022, Toy Models of Superposition (why a neuron often means several things), arXiv:2209.10652",
    ),
)
