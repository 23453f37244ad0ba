"""Lab 03: turn one head's share of the output projection up and down.

The head was found by zeroing each of fruitfly's 48 in turn on six prompts like this one: no other comes near.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..errors import BadText
from ..experiment import Claim, Comparison, Experiment, Grid, Lab, Recipe, Step, Sweep
from ..experiment.attribution import Attribution, AttributionRecipe
from ..experiment.control import Control, ControlRecipe
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.look import Look, LookRecipe
from ..show.text import number, quoted
from .doses import answers, dose_of, dosed, place_of, short
from .words import ROUNDING_NATS, doing, is_base, likeliest, parting, said

HEAD = "3.5"
FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
PROMPT, RIGHT, WRONG = "When Henry and Jane came to the house, Jane gave a letter to", " Henry", " Jane"
OTHERS = (  # prompt, who gets it, who gives
    ("When Mary and John went to the store, John gave a drink to", " Mary", " John"),
    ("When Tom and Anna came to the river, Tom gave an apple to", " Anna", " Tom"),
    ("When Jack and Alice went to the garden, Jack handed a flower to", " Alice", " Jack"),
    ("When Anna and Peter walked to the market, Peter gave a basket to", " Anna", " Peter"),
    ("After Sarah and James went to the park, James gave a book to", " Sarah", " James"),
)
ELSEWHERE = (  # the same two people, other words
    "When Henry and Jane went to the store, Jane gave a drink to",
    "After Henry and Jane walked to the park, Jane handed a book to",
    "When Jane and Henry went to the garden, Jane gave a flower to",
    "When Henry and Jane were at the market, Jane gave a basket to",
    "While Henry and Jane sat in the kitchen, Jane gave a cake to",
    "When Jane and Henry came to the river, Jane handed an apple to",
)


def head_of(e: Experiment) -> str:
    """The head that the rows scale."""
    return short(place_of(e.tweaks, "z", "a head"))


def slices(e: Experiment) -> Recipe:
    """The output matrix of the head's layer, slice by slice."""
    layer = place_of(e.tweaks, "z", "a head").layer
    return ExhibitRecipe(name="projection", settings={"prompt": e.prompt, "layer": layer}, **e.on)


def written(e: Experiment) -> Recipe:
    """Some of the factors as edits of the weights."""
    lines = [f"scale head {head_of(e)} by {f:g}" for f in (0.0, 0.5, 1.5, 3.0)]
    return ExhibitRecipe(name="weight_form", settings={"prompt": e.prompt, "tweaks": lines}, **e.on)


def direct(e: Experiment) -> Recipe:
    """Who writes what into the lead."""
    if not e.target:
        raise BadText("without a target there is no logit to share out")
    return AttributionRecipe(prompt=e.prompt, target=e.target, wrong=e.wrong, **e.on)


def look(e: Experiment) -> Recipe:
    """What the head attends to."""
    place = place_of(e.tweaks, "z", "a head")
    if not (place.heads or "").isdigit():
        raise BadText(f"{head_of(e)} is not one head, so it has no one pattern")
    return LookRecipe(prompt=e.prompt, layer=place.layer or 0, head=int(place.heads or 0), **e.on)


def curve(e: Experiment) -> Recipe:
    """Every factor, on several prompts."""
    cases = [e.case]
    if (e.target, e.wrong) == (RIGHT, WRONG):  # another question has other answers
        cases += [e.case.model_copy(update={"prompt": p, "target": t, "wrong": w}) for p, t, w in OTHERS]
    line = f"scale head {head_of(e)} by *"
    return Sweep.of({"tweak": line, "cases": cases, "metric": answers(e), "values": FACTORS, **e.on})


def real(e: Experiment) -> Recipe:
    """The head zeroed, beside other heads and on other prompts."""
    same = (e.target, e.wrong) == (RIGHT, WRONG)
    prompts = tuple(p for p in ELSEWHERE if p != e.prompt) if same else ()
    line = f"scale head {head_of(e)} by 0"
    return ControlRecipe.of(
        {"tweak": line, "case": e.case, "metric": answers(e), "count": 40, "prompts": prompts, **e.on}
    )


def ahead(c: Comparison, factor: float) -> float:
    """How far the target is ahead of the wrong answer at that factor; NaN where it was not asked."""
    value = dosed(c, factor).ahead_nats
    return math.nan if value is None else value


def as_zero(c: Comparison) -> bool:
    """Whether factor 0 is what zeroing the head is: the same text, and every prediction moved as far."""
    zero = next(r for r in c.tweaks if dose_of(r.tweak) is None)
    scaled = dosed(c, 0.0)
    gaps = (abs(a - b) for a, b in zip(zero.kl_nats, scaled.kl_nats, strict=True))
    return zero.ids == scaled.ids and max(gaps) <= ROUNDING_NATS


def takeaway(c: Comparison) -> str:
    """How far the answer is ahead at factors 0, 1 and 3; for tweaks of the reader's own, the last row."""
    last = c.tweaks[-1]
    there = {dose_of(r.tweak) for r in c.tweaks}
    if c.base.ahead_nats is None or not {0.0, 1.0, 3.0} <= there:
        top, now = likeliest(last, base=True), likeliest(last)
        kept = f"the likeliest token stays {top}" if top == now else f"the likeliest token was {top}, now {now}"
        moved = said("kl_next", last.kl_nats[len(c.prompt_ids) - 1])
        return f"{doing(last)} moves the next prediction by {moved} (KL); {kept}; {parting(last)}."
    low, one, high = (ahead(c, f) for f in (0.0, 1.0, 3.0))
    head = short(place_of(c.recipe.tweaks, "z", "a head"))
    steps = {f: ahead(c, f) for f in FACTORS if f in there}
    best = max(steps, key=steps.__getitem__)
    way = "steadily up" if list(steps.values()) == sorted(steps.values()) else f"up and down again (most at {best:g})"
    names = f"{quoted(c.recipe.target or '')} over {quoted(c.recipe.wrong or '')}"
    figures = f"{number(low, 1)} nats at factor 0, {number(one, 1)} at 1 (BASE), {number(high, 1)} at 3"
    if low >= one:
        return f"Head {head} does not help {names} here: the lead is {figures}."
    return f"Turning up head {head} takes the lead of {names} {way}: {figures}."


def curve_rises(g: Grid) -> bool:
    """Whether turning the head up to its own strength helps the answer at every step."""
    effects = [e for e, f in zip(g.effects, FACTORS, strict=True) if f <= 1]
    return all(a < b for a, b in pairwise(effects))


def too_loud(g: Grid) -> bool:
    """Whether three times as loud is worse than as trained."""
    return g.effects[FACTORS.index(3.0)] < -0.5


def at_one(g: Grid) -> float:
    """How far factor 1 is from BASE: rounding."""
    return abs(g.effects[FACTORS.index(1.0)])


def own_share(a: Attribution) -> float:
    """What the lab's head writes into the lead itself; NaN where heads cannot be told apart."""
    return next((s.logit for s in a.shares if s.component == f"head {HEAD}"), math.nan)


def sees(x: Look) -> str:
    """The token that the head looks at most from the last one."""
    last = x.pattern[-1]
    return x.tokens[max(range(len(last)), key=last.__getitem__)]


def one_sum(x: Exhibit) -> bool:
    """Whether the heads' slices add up to what the matrix gives."""
    return x.numbers["deviation"] <= 1e-4 * max(1.0, x.numbers["largest_output"])


def one_form(x: Exhibit) -> bool:
    """Whether tweak and edit give the same logits, and something moved at all."""
    return x.numbers["deviation"] <= 1e-3 * max(1.0, x.numbers["largest_logit"]) and x.numbers["moved"] > 0


def beats(x: Control) -> bool:
    """Whether nearly all random heads matter less."""
    return x.beaten >= 36


LAB = Lab(
    number="03",
    name="scale_one_attention_head",
    section=2,
    title="Turn one head up and down",
    why=(
        "Heads work side by side and know nothing of each other; then one matrix, `c_proj`, makes a single vector of "
        "all they found. That makes it a mixing desk: each head has a block of rows of its own, and nothing else "
        "carries its voice. Find the fader of one head, pull it to 0, push it to 3. Does the model say more of what "
        "that head says, or does it fall apart?"
    ),
    know=(
        "Output projection: the heads' mixes `z` lie side by side (8 heads of 32 numbers in fruitfly), and `c_proj`, "
        "256 by 256, turns them into the vector that attention adds to the residual stream.",
        "Head slices: the first 32 rows of `c_proj` meet the first head only, the next 32 the second, and so on. So "
        "the product is a sum: one term a head, plus a bias. Mixing here means adding, and nothing is lost by "
        "looking at the terms one by one.",
        "Scaling: a head times a factor is the same as its rows of `c_proj` times that factor. 1 leaves it, 0 "
        "removes it (the zero of lab 02), above 1 it is louder than training ever made it.",
        "Direct effect: what a head adds goes straight up the stream to the last norm and the output matrix, which "
        "turn vectors into logits. Its share of a logit can be read off there and grows in step with the factor.",
        "Indirect effect: later layers read the stream, too, and work with what they find. A head may hardly touch "
        "the logits itself and still decide what others write. And every norm divides by the size of the whole "
        "vector, so a head that shouts makes all others quieter. That bends the curve.",
        "Lead: the logit of the right answer minus that of the wrong one. Softmax sees differences only, so this is "
        "what decides between two names.",
    ),
    experiment=Experiment.of(
        {
            "prompt": PROMPT,
            "tweaks": [f"zero head {HEAD}", *(f"scale head {HEAD} by {f:g}" for f in FACTORS)],
            "target": RIGHT,
            "wrong": WRONG,
            "decoding": {"max_new_tokens": 24},
        }
    ),
    numbers=("logit_diff", "target_probability", "kl_next", "kl_mean"),
    pictures=("next_tokens", "rows"),
    look_for=(
        "The name after the prompt: who gets the letter? Only Henry can, since Jane gives it. Does the model still "
        "know without the head? Follow the lead of ` Henry` over ` Jane` from factor 0 to 3: where is it largest, "
        "and is twice the head twice the effect? Two rows must be twins: factor 0 and `zero head`. One must be BASE: "
        "factor 1."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Factor 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, dosed(c, 1.0)),
        ),
        Claim(text="Factor 0 is zeroing the head, as in lab 02: same text, same KL.", exact=True, holds=as_zero),
        Claim(
            text="Without the head, ` Henry` is at least 3 nats less ahead of ` Jane` than in BASE.",
            holds=lambda c: ahead(c, 0.0) <= ahead(c, 1.0) - 3,
        ),
    ),
    steps=(
        Step(
            name="slices",
            title="The mixing desk",
            text=(
                "The matrix of the head's layer, cut into one slice a head. The size of a slice says how loud a head "
                "can be; the length of what it writes, how loud it is at the last token of this prompt. Each head "
                "writes a vector, and the vectors are added: that is all the mixing there is."
            ),
            recipe=slices,
            claims=(Claim(text="The heads' slices add up to what the matrix gives.", exact=True, holds=one_sum),),
        ),
        Step(
            name="look",
            title="What it has to say",
            text="What the head writes depends on where it looks. See the last row: at ` to` the name is due.",
            recipe=look,
            claims=(
                Claim(
                    text="From the last token the head looks most at ` Jane`, who gives and so cannot be the answer.",
                    holds=lambda x: sees(x) == WRONG,
                ),
            ),
        ),
        Step(
            name="weights",
            title="The same in the weights",
            text=(
                "The tweak multiplies activations while the model runs. Here the head's rows of `c_proj` themselves "
                "are multiplied instead, with no hook anywhere, and the logits are compared."
            ),
            recipe=written,
            claims=(
                Claim(
                    text="Scaling the head and scaling its rows of the matrix give the same logits.",
                    exact=True,
                    holds=one_form,
                ),
            ),
        ),
        Step(
            name="direct",
            title="What each head writes into the answer",
            text=(
                "The lead is shared out among all parts of the model. A head's share is what its vector adds "
                "directly: at factor 3 three times that, at 0 nothing. Compare it with what was lost without the "
                "head. What is missing goes by way of later layers: they read from this head who gives, and write "
                "the other name (Wang et al. found such heads in GPT-2)."
            ),
            recipe=direct,
            claims=(
                Claim(
                    text=f"Head {HEAD} itself writes less than 2 nats of the lead.",
                    holds=lambda a: abs(own_share(a)) < 2,
                ),
            ),
        ),
        Step(
            name="curve",
            title="The dose curve",
            text=(
                "The fader in six positions, on this prompt and on five with other people (on yours alone, where you "
                "ask for another answer). 0 on the y axis is BASE; the curve goes through it at factor 1."
            ),
            recipe=curve,
            claims=(
                Claim(text="At factor 1 nothing has moved.", exact=True, holds=lambda g: at_one(g) <= 1e-3),
                Claim(text="From 0 to 1 every step helps the right name, on average.", holds=curve_rises),
                Claim(text="Three times as loud is worse than as trained, on average.", holds=too_loud),
            ),
        ),
        Step(
            name="real",
            title="Is it real?",
            text=(
                "Take away any head, and something will move. So: the same at 40 random heads of all layers, and "
                "this head on other prompts with the same two people."
            ),
            recipe=real,
            claims=(
                Claim(
                    text="Losing this head moves the lead more than losing at least 36 of 40 random heads.", holds=beats
                ),
                Claim(
                    text="On most other prompts it moves the lead in the same direction.",
                    holds=lambda x: x.same_sign > len(x.prompts) / 2,
                ),
            ),
        ),
    ),
    finds={f"head {HEAD}": "answering head"},
    hero=1,
    questions=(
        f'What does the head say backwards? Give it a negative factor: `invivo run 03 --tweak "scale head {HEAD} by '
        '-1"`.',
        "Is it the prompt that needs the head, or only the last word, where the answer is chosen? "
        f'`invivo run 03 --tweak "scale head {HEAD} at -1 by 0"`.',
        "What if the whole layer is louder, all eight heads at once? "
        f'`invivo run 03 --tweak "scale head {HEAD.split(".")[0]}.0:8 by 2"`.',
    ),
    sources=(
        "Vaswani et al. 2017, Attention Is All You Need (the output projection W_O), arXiv:1706.03762",
        "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (heads add up), "
        "transformer-circuits.pub/2021/framework",
        "Wang et al. 2022, Interpretability in the Wild (who gets the drink, and heads that name the giver), "
        "arXiv:2211.00593",
        "McGrath et al. 2023, The Hydra Effect (later layers make up for what is taken away), arXiv:2307.15771",
    ),
)
