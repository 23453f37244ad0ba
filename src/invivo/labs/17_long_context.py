"""Lab 17: what a model does with a text longer than it was trained on, and what it costs to keep a long one in mind.

The comparison takes a name away that was said 200 tokens ago. Positions are tried on toys trained at 64 tokens and read
at 512; the cache, on the loaded model.
"""

from __future__ import annotations

import math

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.wording import share_shift
from ..show.text import quoted
from .words import doing, is_base, likeliest, measure, moving, row

CONTROL, PLACEBO, FACT = "scale embed at 2:6 by 1", "zero embed at 62:66", "zero embed at 2:6"

STORY = """\
Mr. Dombrick had a dog. On Saturday there was a market in the square. The farmers came early with eggs and cheese, and \
a woman from the coast brought two baskets of fish. A man with a drum stood beside the well and told everybody that a \
bear would dance at noon. The children did not believe him, but they stayed where they were. The baker's wife sold \
warm rolls with honey. A thin cat went from table to table and looked sad, and at each table it was given something. \
At noon the man beat his drum, and out of the wagon came a very small bear with a red ribbon. It sat down on the \
stones, looked at all the people, and went to sleep. The children laughed so loudly that the windows of the church \
shook. Nobody asked for his money back. In the evening the farmers loaded their wagons, the square was swept, and the \
lamps were lit one after the other. One morning Mr. Dom"""


def exponents(x: Exhibit, what: str) -> tuple[float, float]:
    """How tokens through the model, or the clock, grow with length: cache off, cache on."""
    return x.numbers[f"exponent_{what}_off"], x.numbers[f"exponent_{what}_on"]


def rises(x: Exhibit, *names: str, by: float) -> bool:
    """Whether each of these is more surprised by at least so many nats beyond the trained length than inside it."""
    return all(x.numbers[f"rise_{name}"] >= by for name in names)


def flat(x: Exhibit, name: str) -> bool:
    """Whether it reads beyond the trained length within 0.05 nats of what it does inside."""
    return abs(x.numbers[f"rise_{name}"]) <= 0.05


def repaired(x: Exhibit) -> bool:
    """Whether YaRN takes back at least half of what RoPE loses beyond the trained length."""
    inside, lost = x.numbers["inside_rope"], x.numbers["rise_rope"]
    return lost > 0.1 and x.numbers["beyond_yarn"] - inside <= 0.5 * lost


def gains(x: Exhibit) -> list[float]:
    """How much each trained toy reads better beyond than inside, in nats."""
    return [-x.numbers[f"rise_{n}"] for n in ("learned", "sinusoidal", "none", "alibi", "rope")]


def found(x: Exhibit) -> list[tuple[float, float]]:
    """At every distance: a name's probability where it was said, and where another was."""
    lengths = [name.removeprefix("said_") for name in x.numbers if name.startswith("said_")]
    return [(x.numbers[f"said_{n}"], x.numbers[f"other_{n}"]) for n in lengths]


def takeaway(c: Comparison) -> str:
    """What the last row did to the answer, and what the placebo did, in words that the numbers choose."""
    shown = c.tweaks[-1]
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"the likeliest token stays {before}" if before == after else f"the likeliest token was {before}, now {after}"
    if c.recipe.target is None or c.base.target_nats is None or shown.target_nats is None:
        return f"{doing(shown)}, far back in a prompt of {len(c.prompt_ids)} tokens: {top}; {moving(c, shown)}."
    target = share_shift(math.exp(c.base.target_nats), math.exp(shown.target_nats))
    other = {str(r.tweak): r for r in c.tweaks[:-1]}.get(PLACEBO)
    beside = ""
    if other is not None and other.target_nats is not None:
        change = share_shift(math.exp(c.base.target_nats), math.exp(other.target_nats))
        beside = f" (as many tokens elsewhere: {change})"
    return (
        f"{doing(shown)}, far back in a prompt of {len(c.prompt_ids)} tokens: {quoted(c.recipe.target)} goes "
        f"{target}{beside}; {top}."
    )


LAB = Lab(
    number="17",
    name="long_context",
    section=11,
    title="More text than it was made for",
    why=(
        "A model is trained on texts of one length and then handed a book. Two things decide what comes of it. One is "
        "how it is told where a token stands: some ways end at the trained length, some go on and mislead, some hardly "
        "notice. The other is memory: whoever wants to say the next token without reading everything again has to "
        "keep something of every token read, and that grows. Both can be seen in small models within seconds."
    ),
    know=(
        "The context is what a model can look back on. A fact outside of it does not exist. A fact inside of it may be "
        "used or not: the comparison takes one away that was said some 200 tokens ago.",
        "Learned positions (GPT-2): a table with a row each. Sinusoids: waves in place of rows. None: the mask alone, "
        "which lets a token see what came before it and thereby leaks a little about order.",
        "RoPE (Llama and most newer models) turns queries and keys by angles that grow with the position, so that a "
        "match depends on distance. Fast angles tell near places apart, slow ones far places. Trained on 64 tokens, "
        "the slow ones have never come round: at 512 they stand where they never stood.",
        "ALiBi (Bloom) turns nothing. It takes points off a score for every step back, in each head at another rate. "
        "A longer text only brings keys with scores so low that they do not count.",
        "YaRN repairs RoPE without training: slow angles are slowed further, by eight here, so that they stay in the "
        "range that was trained; fast ones, which tell neighbours apart, are left alone. In transformers it is one "
        "entry of the config, `rope_parameters`. To slow all of them alike (`linear`) is the mistake beside it.",
        "The KV cache: a token's keys and values never change once it is read, because it cannot see what comes later. "
        "So they are kept, and only the newest token goes through the model. Price: 2 · L · T · D numbers, 4 bytes "
        "each in float32 (layers, tokens, width), for every text that is being written.",
        "Smaller caches: keep fewer bits a number, or keep the last W tokens only (a sliding window). What W tokens "
        "back is gone for this layer; only what layers above it have picked up before lives on.",
    ),
    experiment=Experiment.of(
        {
            "prompt": STORY,
            "tweaks": [CONTROL, PLACEBO, FACT],
            "target": "brick",
            "decoding": {"max_new_tokens": 12},
        }
    ),
    numbers=("target_probability", "kl_next", "parted"),
    pictures=("next_tokens",),
    look_for=(
        "The name `Dombrick` stands in the first sentence and nowhere else. BASE completes it 200 tokens later. TWEAK "
        "blanks the name where it was said, and beside it stands a placebo: four other tokens, blanked in the same "
        "way. Which of them does the far end of the text notice?"
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The name's vectors multiplied by 1 are BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(
            text="BASE completes the name from 200 tokens back: `brick` has more than half of the probability.",
            holds=lambda c: measure(c, "target_probability") > 0.5,
        ),
        Claim(
            text="With the name blanked where it was said, `brick` keeps less than a tenth of that.",
            holds=lambda c: measure(c, "target_probability", FACT) < 0.1 * measure(c, "target_probability"),
        ),
        Claim(
            text="Four other tokens blanked leave it more than half of what it had.",
            holds=lambda c: measure(c, "target_probability", PLACEBO) > 0.5 * measure(c, "target_probability"),
        ),
    ),
    steps=(
        Step(
            name="schemes",
            title="Many ways to know the place",
            text=(
                "Toys of two layers, each told positions in its own way, all trained on texts of 64 tokens and then "
                "read at 512. Their text is made so that place is all that matters: letters by fixed odds, now and "
                "then a digit d, and after it the letter d places back again (an echo). Nothing further away than "
                "eight places is of use, so a perfect reader would draw a flat line at the text's own odds. Compare "
                "each toy with itself, 32–63 against 448–511: they differ in size and in how well they have learned. "
                "Training all of them takes minutes. So this table was computed beforehand; `invivo show schemes "
                "again=true` does it anew, and the next step trains one."
            ),
            recipe=lambda e: ExhibitRecipe(name="schemes", **e.on),
            claims=(
                Claim(
                    text="ALiBi is flat: at 512 it is within 0.05 nats of what it was at 64 (computed beforehand).",
                    exact=True,
                    holds=lambda x: flat(x, "alibi"),
                ),
                Claim(
                    text="Learned positions, sinusoids and RoPE rise, by 0.1 nats at least (computed beforehand).",
                    exact=True,
                    holds=lambda x: rises(x, "learned", "sinusoidal", "rope", by=0.1),
                ),
                Claim(
                    text="YaRN repairs RoPE without training: at least half of the rise is gone (computed beforehand).",
                    exact=True,
                    holds=repaired,
                ),
                Claim(
                    text="A sliding window repairs it, too, to within 0.05 nats: nothing far away matters here "
                    "(computed beforehand).",
                    exact=True,
                    holds=lambda x: flat(x, "window"),
                ),
                Claim(
                    text="Where nothing far away is of use, no trained toy reads better for a longer text, by 0.05 "
                    "nats (computed beforehand).",
                    exact=True,
                    holds=lambda x: max(gains(x)) <= 0.05,
                ),
            ),
        ),
        Step(
            name="live",
            title="RoPE, trained while you wait",
            text=(
                "The rotary toy from its first random weight on: 300 batches of 32 texts. Then the same weights are "
                "read four times: as they are, with all angles slowed by eight, with YaRN, and in a Mistral, which is "
                "a Llama with a sliding window. Look at the echoes: inside, it has learned to count back without a "
                "mistake; beyond, it is worse than a guess, since it is sure of wrong letters."
            ),
            recipe=lambda e: ExhibitRecipe(name="schemes", settings={"only": ["rope"], "again": True}, **e.on),
            claims=(
                Claim(
                    text="RoPE rises by 0.3 nats at least, and YaRN takes back half of it.",
                    holds=lambda x: rises(x, "rope", by=0.3) and repaired(x),
                ),
                Claim(
                    text="Slowing every angle alike mends less: it is further from RoPE at 64 than YaRN is.",
                    holds=lambda x: x.numbers["beyond_linear"] > x.numbers["beyond_yarn"] + 0.1,
                ),
            ),
        ),
        Step(
            name="cache",
            title="Reading everything again, or not",
            text=(
                "The loaded model goes on with a prompt, twice: without a cache, where every new token sends the whole "
                "text through all layers again, and with one. Tokens that enter the first block are counted by a "
                "hook; the clock runs beside them. The number to look at is the exponent: 2 means that twice the text "
                "costs four times as much. The clock's exponent is what this machine says today, and no claim hangs "
                "on it."
            ),
            recipe=lambda e: ExhibitRecipe(name="kv_cache", **e.on),
            claims=(
                Claim(
                    text="Both say the same tokens.",
                    exact=True,
                    holds=lambda x: x.numbers["same"] == x.numbers["generated"],
                ),
                Claim(
                    text="The cache's tensors are 2 · L · T · D · 4 bytes, exactly (2 instead of 4 in half precision).",
                    exact=True,
                    holds=lambda x: x.numbers["bytes"] == x.numbers["bytes_expected"],
                ),
                Claim(
                    text="Tokens through the model grow as the length to the 2 without a cache, to the 1 with one.",
                    holds=lambda x: (
                        abs(exponents(x, "through")[0] - 2) < 0.1 and abs(exponents(x, "through")[1] - 1) < 0.01
                    ),
                ),
            ),
        ),
        Step(
            name="smaller",
            title="A smaller memory",
            text=(
                "A story, read one token at a time through caches that keep less. Bits: each key and value of a head "
                "gets a lowest number, a step, and so many bits a number. Windows: the oldest token is dropped. Bytes "
                "are counted from the tensors. Where do the two ways of saving the same bytes part?"
            ),
            recipe=lambda e: ExhibitRecipe(name="small_caches", **e.on),
            claims=(
                Claim(
                    text="Eight bits a number change the surprise by less than 0.02 nats, at less than a third of the "
                    "bytes.",
                    holds=lambda x: (
                        abs(x.numbers["surprise_bits_8"] - x.numbers["surprise_whole"]) < 0.02
                        and x.numbers["bytes_bits_8"] < x.numbers["bytes_whole"] / 3
                    ),
                ),
                Claim(
                    text="Two bits are too few: KL at least ten times that of eight bits, and above 0.1 nats.",
                    holds=lambda x: x.numbers["kl_bits_2"] > max(0.1, 10 * x.numbers["kl_bits_8"]),
                ),
                Claim(
                    text="Four bits keep the answer better than a window of 64 tokens, which takes more bytes.",
                    holds=lambda x: (
                        x.numbers["kl_bits_4"] < x.numbers["kl_window_64"]
                        and x.numbers["bytes_bits_4"] < x.numbers["bytes_window_64"]
                    ),
                ),
            ),
        ),
        Step(
            name="fails",
            title="When it fails",
            text=(
                "Ask for one token more than there are positions. GPT-2's table has no such row, and the program "
                "stops: that is the good case. The plausible ways to mend it all run without a word: a longer table "
                "whose new rows nobody trained, the last row said again and again, all rotary angles slowed alike. "
                "And RoPE by itself never stops anybody. None of these tells you that something is wrong; only a "
                "text whose surprise you know does. What the toys make of it was computed beforehand; `invivo show "
                "schemes again=true` does it anew."
            ),
            recipe=lambda e: ExhibitRecipe(name="beyond", **e.on),
            claims=(
                Claim(
                    text="A table of 64 rows raises an error at the next token; sinusoids, ALiBi, RoPE and none go on.",
                    exact=True,
                    holds=lambda x: (
                        x.numbers["raises_learned"] == 1
                        and not any(x.numbers[f"raises_{n}"] for n in ("sinusoidal", "none", "alibi", "rope"))
                    ),
                ),
                Claim(
                    text="Both mended tables read on and are worse beyond than inside, by 0.1 nats at least (computed "
                    "beforehand).",
                    exact=True,
                    holds=lambda x: all(
                        x.numbers[f"beyond_{n}"] - x.numbers[f"inside_{n}"] >= 0.1 for n in ("learned", "clamped")
                    ),
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "One name is an anecdote, and a name might be guessed from its beginning. So: eight names, six "
                "distances, and the same question where another name was said at that place. Only what the upper "
                "curve has beyond the lower one came from far back."
            ),
            recipe=lambda e: ExhibitRecipe(name="far_fact", **e.on),
            claims=(
                Claim(
                    text="At every distance up to 384 tokens, a name that was said has at least 0.2 more than one that "
                    "was not.",
                    holds=lambda x: min(said - other for said, other in found(x)) >= 0.2,
                ),
            ),
        ),
    ),
    questions=(
        "And if it is told that everything is further away? Boost the positions: "
        '`invivo run 17 --tweak "boost positions by 1.3"`.',
        "Does the far end need the name's beginning, its end, or all of it? Blank one token: "
        '`invivo run 17 --tweak "zero embed at 2" --tweak "zero embed at 5"`.',
        "How narrow may a window be before a story falls apart? "
        "`invivo show small_caches bits=[8] windows=[96,48,24,12,6]`.",
    ),
    sources=(
        "Press, Smith & Lewis 2022, Train Short, Test Long: Attention with Linear Biases Enables Input Length "
        "Extrapolation (ALiBi), arXiv:2108.12409",
        "Su et al. 2021, RoFormer: Enhanced Transformer with Rotary Position Embedding, arXiv:2104.09864",
        "Chen et al. 2023, Extending Context Window of Large Language Models via Positional Interpolation (all angles "
        "slowed), arXiv:2306.15595",
        "Peng et al. 2023, YaRN: Efficient Context Window Extension of Large Language Models, arXiv:2309.00071",
        "Kazemnejad et al. 2023, The Impact of Positional Encoding on Length Generalization in Transformers (none at "
        "all), arXiv:2305.19466",
        "Beltagy, Peters & Cohan 2020, Longformer: The Long-Document Transformer (sliding windows), arXiv:2004.05150",
        "Liu et al. 2024, KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache, arXiv:2402.02750",
        "Kamradt 2023, Needle in a Haystack (facts at a distance), github.com/gkamradt/LLMTest_NeedleInAHaystack",
    ),
)
