"""Lab 01: look at a head's query matrix beside the random one that training began with, then take its work away.

The head is the induction head of lab 02. What W_Q is for shows when its queries are multiplied: the scores follow.
"""

from __future__ import annotations

import math

from ..experiment import Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import ExhibitRecipe
from ..experiment.trials import TrialsRecipe
from ..experiment.wording import share_shift
from ..show.text import quoted
from .heads import TWICE, head_in
from .words import doing, is_base, likeliest, parting, said

QUERIES = "L5.q heads 2"  # of fruitfly's induction head, the head of lab 02
LAYER = QUERIES.partition(" ")[0]
CONTROL = f"scale {QUERIES} by 1"
SOFT, SHARP = f"scale {QUERIES} by 0.5", f"scale {QUERIES} by 2"
NONE, ALL = f"zero {QUERIES}", f"zero {LAYER}"


def takeaway(c: Comparison) -> str:
    """What the last row did to the answer."""
    shown = c.tweaks[-1]
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"the likeliest token stays {before}" if before == after else f"the likeliest token was {before}, now {after}"
    if c.recipe.target is None or c.base.target_nats is None or shown.target_nats is None:
        moved = said("kl_next", shown.kl_nats[len(c.prompt_ids) - 1])
        return f"{doing(shown)} moves the next prediction by {moved} (KL); {top}; {parting(shown)}."
    target = share_shift(math.exp(c.base.target_nats), math.exp(shown.target_nats))
    return f"{doing(shown)} takes {quoted(c.recipe.target)} {target}; {top}."


def _gain(c: Comparison, i: int) -> float:
    """How much likelier than BASE a row finds the target, in nats; NaN where there is none."""
    before, after = c.base.target_nats, c.tweaks[i].target_nats
    return math.nan if before is None or after is None else after - before


def _shown(e: Experiment, exhibit: str, **more: str) -> ExhibitRecipe:
    """An exhibit of the head that the experiment is about."""
    layer, head = head_in(e)
    return ExhibitRecipe(name=exhibit, settings={"layer": layer, "head": head} | more, **e.on)


def _prompts(e: Experiment) -> TrialsRecipe:
    own = ((e.prompt, e.target),) if e.target is not None else ()
    prompts, targets = zip(*own, *TWICE, strict=True)
    return TrialsRecipe(
        prompts=prompts,
        targets=targets,
        tweaks=e.tweaks[-2:],
        metric="target_probability",
        decoding={"max_new_tokens": 1},  # type: ignore[arg-type]
        **e.on,
    )


LAB = Lab(
    number="01",
    name="visualize_a_weight_matrix",
    section=1,
    title="Look at a weight matrix, and see what it is for",
    why=(
        "A trained model is nothing but matrices, and a matrix printed as numbers looks like noise. Can one see that "
        "training wrote something there, without running the model at all? Yes: the theory of random matrices says "
        "exactly what noise looks like, so whatever looks different is no noise. Then we run the model after all and "
        "take a matrix's work away, to see what it was for."
    ),
    know=(
        "Each attention head has three matrices of its own. W_Q, W_K and W_V turn the vector at a position into a "
        "query (what I look for), a key (what I can be found by) and a value (what I hand over). All three are "
        "in the first table below.",
        "Score: the query of one position times the key of another, divided by the square root of the head's width. "
        "There is one for every pair of tokens: the first square below.",
        "Mask: a position may look at itself and to its left. What lies to the right gets a score of minus infinity, "
        "so that no prediction peeks at its answer: the blank upper triangle of the second square.",
        "Softmax turns what is left of a row of scores into shares that sum to 100 %, the head's pattern. Its output "
        "is the values, mixed in these shares: the last table below.",
        "Singular values say how far a matrix stretches a vector in its strongest direction, its second strongest and "
        "so on. For independent random numbers they end at a known edge (Marchenko & Pastur): size of an entry × "
        "(√rows + √columns). A value far above it is no accident.",
        "W_QK = W_Q W_Kᵀ. A score is query times key, so the two matrices act as one table of who looks for whom. It "
        "has as many rows and columns as the stream has dimensions, but its rank is at most the head's width.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "They called Tolva, Brimsa, Kedrono, Wusto. They called Tolva, Brimsa, Kedrono,",
            "tweaks": [CONTROL, SOFT, SHARP, NONE, ALL],
            "target": " Wusto",
            "decoding": {"max_new_tokens": 8},
        }
    ),
    numbers=("target", "kl_next", "kl_mean", "parted"),
    pictures=("rows", "next_tokens"),
    look_for=(
        "BASE goes on with the list, because heads look back at what came next the first time. Multiply the queries "
        "of one such head, and its scores are multiplied: by 0.5 it looks less sharply, by 2 more so, by 0 it asks "
        "nothing. In the last row no head of the layer asks anything. The row multiplied by 1 is the control."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The queries multiplied by 1 are BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, c.tweaks[0]),
        ),
        Claim(
            text="Without this head's queries the repeated word is less likely.",
            holds=lambda c: _gain(c, -2) < -0.1,
        ),
        Claim(
            text="Without the queries of its whole layer it is less than a third as likely.",
            holds=lambda c: _gain(c, -1) < -math.log(3),
        ),
    ),
    steps=(
        Step(
            name="matrix",
            title="A matrix beside noise",
            text=(
                "Of all heads, the one whose W_Q stands out most; beside it the matrix as training began, random "
                "numbers of the size that GPT-2 starts from. First a corner of each, then their singular values."
            ),
            recipe=lambda e: ExhibitRecipe(name="spectrum", settings={}, **e.on),
            claims=(
                Claim(
                    text="The trained matrix passes the random edge by more than half.",
                    holds=lambda x: x.numbers["passes"] > 1.5,
                ),
                Claim(
                    text="The matrix at initialisation does not pass it by even 5 %, whatever its size.",
                    holds=lambda x: max(x.numbers["initial_passes"], x.numbers["matched_passes"]) < 1.05,
                ),
            ),
        ),
        Step(
            name="scores",
            title="From scores to attention",
            text=(
                "What queries and keys are for, on the prompt, in the head of the runs above. The first square holds "
                "every score, the second what mask and softmax make of them. The table follows the last token."
            ),
            recipe=lambda e: _shown(e, "attending", prompt=e.prompt),
            claims=(
                Claim(
                    text="There are scores to the right of the diagonal, and no attention: the mask hides them.",
                    exact=True,
                    holds=lambda x: x.numbers["future"] == 0 and x.numbers["future_score"] > 0,
                ),
                Claim(
                    text="Each row of the pattern sums to 1, and the values mixed with it are the head's output.",
                    exact=True,
                    holds=lambda x: x.numbers["row_sum_off"] < 0.01 and x.numbers["z_off"] < 0.02,
                ),
                Claim(
                    text="The last token gives more than half of its attention to one token.",
                    holds=lambda x: x.numbers["top"] > 0.5,
                ),
            ),
        ),
        Step(
            name="without",
            title="The same head without its queries",
            text="The last row's TWEAK, in the same head. A query of zero has a score of zero with every key.",
            recipe=lambda e: _shown(e, "attending", prompt=e.prompt, tweak=str(e.tweaks[-1])),
            claims=(
                Claim(
                    text="With queries of zero every token in sight gets the same share.",
                    exact=True,
                    holds=lambda x: x.numbers["uneven"] < 0.01,
                ),
            ),
        ),
        Step(
            name="lookup",
            title="Two matrices, one table: W_QK",
            text=(
                "The head's query and key matrix multiplied. The curve falls to nothing at the head's width: most "
                "directions of the stream do not exist for this head."
            ),
            recipe=lambda e: _shown(e, "lookup", prompt=e.prompt),
            claims=(
                Claim(
                    text="The rank of W_QK is at most the head's width.",
                    exact=True,
                    holds=lambda x: x.numbers["rank"] <= x.numbers["head_width"],
                ),
                Claim(
                    text="The score read from the table is the model's own query times key.",
                    exact=True,
                    holds=lambda x: (
                        "by_table" not in x.numbers
                        or math.isclose(x.numbers["by_table"], x.numbers["by_model"], rel_tol=0.01, abs_tol=0.05)
                    ),
                ),
            ),
        ),
        Step(
            name="prompts",
            title="On other prompts",
            text="The queries of the head, then of its whole layer, taken away on more prompts that say things twice.",
            recipe=_prompts,
            claims=(
                Claim(
                    text="On nine of the eleven prompts or more, a layer without queries finds the right word less "
                    "likely.",
                    holds=lambda t: t.lower(-1) >= 9,
                ),
            ),
        ),
        Step(
            name="real",
            title="Is it real?",
            text=(
                "The matrix above was the best of all, so luck had many tries. Here is every head, beside two hundred "
                "random matrices of that shape and each head's own entries in random order. A head below the edge is "
                "not untrained: it may use all its directions alike. Where is the head of the runs above?"
            ),
            recipe=lambda e: _shown(e, "edges"),
            claims=(
                Claim(
                    text="None of the 200 random matrices passes the edge by more than 6 %.",
                    holds=lambda x: x.numbers["random_most"] < 1.06,
                ),
                Claim(
                    text="At least half of the trained heads pass all of them.",
                    holds=lambda x: x.numbers["real"] >= x.numbers["heads"] / 2,
                ),
                Claim(
                    text="With its entries shuffled no head passes by more than 6 %: it was the places, not the sizes.",
                    holds=lambda x: x.numbers["shuffled_most"] < 1.06,
                ),
            ),
        ),
    ),
    finds={QUERIES: "induction head's queries", LAYER: "queries of its layer"},
    questions=(
        "Keys are the other half of a score. Take this head's keys instead: is its pattern even again? "
        f'`invivo run 01 --tweak "zero {QUERIES.replace(".q", ".k")}"`.',
        "What if all positions ask the same question? Give them the head's average query: "
        f'`invivo run 01 --tweak "mean {QUERIES}"`.',
        "How sharp can attention get before it breaks? Multiply the queries of the layer by 20: "
        f'`invivo run 01 --tweak "scale {LAYER} heads 0:8 by 20"`.',
    ),
    sources=(
        "Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762",
        "Marchenko & Pastur 1967, Distribution of eigenvalues for some sets of random matrices, Math. USSR-Sbornik 1",
        "Martin & Mahoney 2021, Implicit Self-Regularization in Deep Neural Networks (spectra of trained weights), "
        "arXiv:1810.01075",
        "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (W_QK), "
        "transformer-circuits.pub/2021/framework",
    ),
)
