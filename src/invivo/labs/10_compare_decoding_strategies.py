"""Lab 10: one model, one prompt, four ways to decode: greedy, top-k, top-p, beam search.

The model is the same in every row, so KL is 0 throughout; what differs is what was kept, drawn and searched for.
"""

from __future__ import annotations

import math

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.trials import TrialsRecipe
from ..tweaks import Stack
from .words import (
    OPENINGS,
    ROUNDING_NATS,
    decoders,
    doing,
    is_base,
    is_greedy,
    measure,
    numbered,
    parting,
    row,
    said,
    turn,
)

ONE, PLAIN, TOP_K, TOP_P = "set beams 1", "set temperature 1", "set top_k 40", "set top_p 0.9"
BEAMS = "set beams 4"
WIDTHS = (2, 4, 8)


def takeaway(c: Comparison) -> str:
    """How likely and how varied the last row's text is as a whole, beside BASE's."""
    last = c.tweaks[-1]
    likely, likely_now = measure(c, "said_total"), measure(c, "said_total", str(last.tweak))
    varied, varied_now = measure(c, "distinct_2"), measure(c, "distinct_2", str(last.tweak))
    if not all(map(math.isfinite, (likely, likely_now, varied, varied_now))):
        return f"{doing(last)} cannot be judged here, too little was generated; {parting(last)}."
    how_likely = turn(
        likely, likely_now, "a likelier text than BASE's", "a text as likely as BASE's", "a less likely one"
    )
    how_varied = turn(varied, varied_now, "more", "as", "less")
    return (
        f"{doing(last)} gives {how_likely}: {said('said_total', likely_now)} in all, BASE "
        f"{said('said_total', likely)}; it is {how_varied} varied ({said('distinct_2', varied_now)} of its pairs of "
        f"tokens are distinct, BASE {said('distinct_2', varied)})."
    )


def filters(e: Experiment) -> list[str]:
    """The rows that cut the distribution; the lab's own where the reader has none."""
    return [str(stack) for stack in decoders(e) if "top_" in str(stack)] or [TOP_K, TOP_P]


def top_p_is_tight(shown: Exhibit) -> bool:
    """Whether each top-p keeps at least p of what it was given, and less than p without its last token."""
    reach, spare = numbered(shown, "reach"), numbered(shown, "spare")
    return all(reach[n] >= p - 1e-5 and spare[n] < p + 1e-5 for n, p in numbered(shown, "p").items() if p < 1)


def top_k_is_k(shown: Exhibit) -> bool:
    """Whether each top-k without a top-p keeps k tokens, or all there are."""
    kept, p = numbered(shown, "kept"), numbered(shown, "p")
    return all(
        kept[n] == min(k, shown.numbers["vocabulary"]) for n, k in numbered(shown, "k").items() if k and p[n] == 1
    )


def nucleus_breathes(shown: Exhibit) -> bool:
    """Whether some top-p keeps five times as many tokens at one place of the prompt as at another."""
    fewest, most = numbered(shown, "fewest"), numbered(shown, "most")
    return any(p < 1 and n in most and most[n] >= 5 * fewest[n] for n, p in numbered(shown, "p").items())


def widths(e: Experiment, metric: str, prompts: tuple[str, ...]) -> TrialsRecipe:
    """The same number for two, four and eight beams, on the reader's prompt and others, beside BASE."""
    return TrialsRecipe(
        prompts=(e.prompt, *prompts),
        tweaks=tuple(Stack.of(f"set beams {width}") for width in WIDTHS),
        metric=metric,
        doses=tuple(map(float, WIDTHS)),
        dose_name="beams",
        decoding=e.decoding.model_copy(update={"max_new_tokens": min(24, e.decoding.max_new_tokens)}),
        seed=e.seed,
        **e.on,
    )


LAB = Lab(
    number="10",
    name="compare_decoding_strategies",
    section=6,
    title="Greedy, top-k, top-p, beam",
    why=(
        "A model hands out probabilities for one token at a time. Which text comes out is the business of a few lines "
        "of code around it, and they can want two different things: the likeliest text there is, or a text as people "
        "would write it. It sounds like the same thing. Let four decoders loose on the same weights and see "
        "whether it is."
    ),
    know=(
        "Greedy takes the likeliest token at each step. It never looks ahead: a token that leads the next step by a "
        "hair may lead the text into a corner.",
        "Top-k draws from the k likeliest tokens and shares out their probability anew. The k is fixed: it is "
        "too many where the model is sure, and too few where it is not.",
        "Top-p (nucleus) draws from the fewest tokens whose probability adds up to p. How many those are is up to the "
        "distribution: one token, or a thousand.",
        "Beam search keeps several drafts, continues each by every token, and lets the best few of all continuations "
        "live on. Its score is the sum of the log-probabilities of all tokens: the logarithm of the probability "
        "of the whole text. One beam is greedy. It needs no dice, so there is nothing in it to heat or to filter.",
        "A sum of logarithms only falls as a text grows, so beams favour texts that end early. Many programs divide "
        "by the length to make up for that (a length penalty); here nothing is divided, so that the number means "
        "what it says.",
        "Likely is not good. People write texts that their readers could not have guessed; the likeliest text of a "
        "language model is often a loop or a commonplace.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Once upon a time, there was a",
            "tweaks": [ONE, PLAIN, TOP_K, TOP_P, BEAMS],
            "decoding": {"max_new_tokens": 40},
        }
    ),
    numbers=("said_total", "length", "distinct_2", "parted"),
    pictures=("rows",),
    all_rows=True,
    look_for=(
        "Read the rows aloud. Those that draw throw the same dice, so they part only where a filter took away what the "
        "dice had picked. Plain sampling, temperature 1 without a filter, draws from all of the vocabulary, and "
        "somewhere a token from the far end gets through. Beams and greedy leave nothing to chance. Then compare the "
        "log-probabilities of the whole texts: the row that the model itself likes best is seldom the one you would "
        "like to read on."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="One beam is greedy: where BASE is greedy, the two say the same, token by token.",
            exact=True,
            holds=lambda c: not is_greedy(c.recipe) or is_base(c, row(c, ONE)),
        ),
        Claim(
            text="The decoder changes the choice, not the model: KL is 0 at every position of every row.",
            exact=True,
            holds=lambda c: all(max(r.kl_nats) <= ROUNDING_NATS for r in c.tweaks),
        ),
        Claim(
            text="The model finds what beams say likelier, as a whole, than anything that was drawn.",
            holds=lambda c: (
                measure(c, "said_total", BEAMS) > max(measure(c, "said_total", line) for line in (PLAIN, TOP_K, TOP_P))
            ),
        ),
    ),
    steps=(
        Step(
            name="choices",
            title="What is kept of the very next token?",
            text=(
                "The distribution after the prompt, and what each filter leaves of it before the dice fall. The last "
                "bar holds all other tokens together. Below, the same filters at every place of the prompt: watch "
                "how many tokens top-p needs after a word that settles what comes, and after one that does not."
            ),
            recipe=lambda e: ExhibitRecipe(name="choices", settings={"prompt": e.prompt, "rows": filters(e)}, **e.on),
            claims=(
                Claim(
                    text="Top-p keeps at least p, and no token more than it needs: without its last one it is below p.",
                    exact=True,
                    holds=top_p_is_tight,
                ),
                Claim(text="Top-k keeps k tokens, whatever they weigh.", exact=True, holds=top_k_is_k),
                Claim(
                    text="Along the prompt, top-p keeps at one place at least five times as many tokens as at another.",
                    holds=nucleus_breathes,
                ),
            ),
        ),
        Step(
            name="beams",
            title="How do beams find a likelier text?",
            text=(
                "Three drafts, step by step. Greedy's text is marked as long as it is among them. At first it leads; "
                "watch whether a draft behind it overtakes. When greedy's text drops out of the drafts, it is gone for "
                "good, even if it would have come back later: for a single prompt beams may thus end up below greedy. "
                "On average they do not, as the last step shows."
            ),
            recipe=lambda e: ExhibitRecipe(name="beams", settings={"prompt": e.prompt, "beams": 3, "steps": 8}, **e.on),
            claims=(
                Claim(
                    text="As long as greedy's text was never dropped, what beams found is at least as likely.",
                    exact=True,
                    holds=lambda x: x.numbers["lost_at"] > 0 or x.numbers["best"] >= x.numbers["greedy"] - 1e-3,
                ),
            ),
        ),
        Step(
            name="variety",
            title="Who repeats himself?",
            text=(
                "The share of neighbouring pairs of tokens that do not repeat, on several prompts. BASE is greedy. "
                "Read the bar of the beams with care: a text of six words has little room to repeat itself."
            ),
            recipe=lambda e: TrialsRecipe(
                prompts=(e.prompt, *OPENINGS),
                tweaks=tuple(map(Stack.of, (BEAMS, TOP_K, TOP_P))),
                metric="distinct_2",
                decoding=e.decoding,
                seed=e.seed,
                **e.on,
            ),
            claims=(
                Claim(
                    text="What is drawn, with top-k as with top-p, repeats itself less than greedy, on average.",
                    holds=lambda t: min(t.mean(1).mean, t.mean(2).mean) > t.mean(None).mean,
                ),
            ),
        ),
        Step(
            name="short",
            title="What is the price?",
            text=(
                "How many tokens a text has before it ends by itself, or at the limit. Each further token costs "
                "log-probability, so the likeliest text is a short one, and the wider the search, the surer it is "
                "found. In translation the likeliest of all texts is often the empty one."
            ),
            recipe=lambda e: widths(e, "length", OPENINGS[:7]),
            claims=(
                Claim(
                    text="With eight beams texts are shorter than greedy's, on average.",
                    holds=lambda t: t.effect(2).mean < 0,
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Do beams find likelier texts than greedy on other prompts, too? The log-probability of the whole text "
                "for two, four and eight beams. For a single prompt nothing guarantees it: greedy's own text "
                "can be dropped along the way by drafts that look better and turn out worse; look for such a prompt in "
                "the table. Beam search is greedy with a wider view, not a search through everything."
            ),
            recipe=lambda e: widths(e, "said_total", OPENINGS),
            claims=(
                Claim(
                    text="With four beams the texts are likelier than greedy's, on average over the prompts: the whole "
                    "95 % interval is above 0.",
                    holds=lambda t: t.effect(1).low > 0,
                ),
                Claim(
                    text="Eight beams find likelier texts than two, on average.",
                    holds=lambda t: t.effect(2).mean > t.effect(0).mean,
                ),
            ),
        ),
    ),
    questions=(
        "Where is the point at which more beams stop helping? Try many: "
        '`invivo run 10 --tweak "set beams 16" --tweak "set beams 32"`.',
        "How small may the nucleus be before it is greedy? "
        '`invivo run 10 --tweak "set top_p 0.5" --tweak "set top_p 0.1"`.',
        "Do beams notice that a part of the model is gone? Search with it, and without: "
        '`invivo run 10 --tweak "zero L3.mlp_out + set beams 4"`.',
    ),
    sources=(
        "Lowerre 1976, The Harpy Speech Recognition System (beam search), Carnegie Mellon University",
        "Fan, Lewis & Dauphin 2018, Hierarchical Neural Story Generation (top-k), arXiv:1805.04833",
        "Holtzman et al. 2020, The Curious Case of Neural Text Degeneration (top-p; why likely is not good), "
        "arXiv:1904.09751",
        "Stahlberg & Byrne 2019, On NMT Search Errors and Model Errors: Cat Got Your Tongue? (the likeliest text is "
        "often empty), arXiv:1908.10090",
    ),
)
