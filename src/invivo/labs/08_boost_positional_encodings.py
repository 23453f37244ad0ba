"""Lab 08: turn up what tells a model where each word stands, and see whether it can still count a list.

Lists are what positions are for: the next number depends on how far the list has come, not on what it lists. `boost`
scales the position vectors of a model that has them, and the positions themselves of a rotary one.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.trials import Trials, TrialsRecipe
from ..tweaks import Decoding, Stack
from .words import doing, is_base, likeliest, measure, parting, row, said, turn

DOSES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
BOOSTS = tuple(f"boost positions by {dose:g}" for dose in DOSES)
CONTROL, SHOWN, STRONGEST = BOOSTS[0], BOOSTS[-2], BOOSTS[-1]
SWAP, NONE = "swap positions for sinusoids", "zero positions"
TESTED, AS_LONG = "boost positions by 3", "add relative noise 2 to positions"  # 3 is 1 and 2 more

STORY = """\
The baker of our village had a clever donkey. Every morning the donkey carried two sacks of flour up the hill, and \
every evening it carried the empty sacks down again. One day the baker was ill. The donkey waited at the door until \
the sun was high. Then it walked to the mill by itself, stood still while the miller tied on the sacks, and came home \
before dinner. The baker laughed so much that he felt better at once, and from then on he slept an hour longer."""

# A heading and what is listed; each list is cut behind its last entry, and the next number is asked for.
LISTS = (
    ("What to carry to the old mill", "a rope; a lamp"),
    ("Things the fisherman sold", "a net; a boat; an oar"),
    ("To buy before the storm", "bread; candles; water; rope"),
    ("Animals behind the barn", "a goat; two hens; a cat; a pony; a goose"),
    (
        "Jobs for the new boy",
        "sweep the yard; feed the pigs; carry the wood; shut the gate; fill the bucket; oil the door",
    ),
    ("Gifts for the twins", "a kite; a drum"),
    ("Trees on our hill", "oak; pine; birch"),
    ("What the captain packed", "a map; a coat; a knife; a cup"),
    ("Food for the long walk", "apples; cheese; nuts; bread; a pie"),
    ("Birds at the pond", "a swan; a duck; a crow; a robin; an owl; a goose; a hawk"),
    ("Who sat on the bench", "the baker; the nurse"),
    ("Rooms with a window", "the hall; the kitchen; the attic"),
    ("Tools under the bed", "a saw; a hammer; a file; a drill"),
    ("Clothes on the line", "a shirt; a sock; a red hat; a scarf; a glove"),
    ("Places on the way", "the bridge; the church; the inn; the well; the mill; the market"),
    ("Toys that float", "a boat; a ball"),
    ("Soup for the whole street", "onions; carrots; beans"),
    ("Work before breakfast", "light the fire; milk the cow; wash the cups; set the table"),
    ("Things in the blue box", "a key; a button; a ring; a coin; a letter"),
    ("What the king asked for", "a crown; a horse; a cake; a song; a bath; a nap"),
    ("Flowers along the wall", "roses; lilies"),
    ("Lost in the snow", "a glove; a boot; a sled"),
    ("For the picnic by the stream", "a blanket; a basket; two cups; some tea"),
    ("Seen from the train", "a cow; a tower; a lake; a dog; a farm"),
)
PROMPTS = tuple(
    f"{head}:\n" + "".join(f"{n}. {entry}\n" for n, entry in enumerate(entries.split("; "), 1))
    for head, entries in LISTS
)
NEXT = tuple(str(len(entries.split("; ")) + 1) for _, entries in LISTS)


def lists(e: Experiment, *lines: str, doses: tuple[float, ...] = (), seeds: int = 1) -> TrialsRecipe:
    """The rows on every list, and whether the next number is the likeliest token."""
    return TrialsRecipe(
        prompts=PROMPTS,
        targets=NEXT,
        tweaks=tuple(map(Stack.of, lines)),
        metric="right",
        doses=doses,
        seeds=seeds,
        dose_name="factor of the boost",
        decoding=Decoding(max_new_tokens=1),
        **e.on,
    )


def falls(t: Trials) -> bool:
    """Whether no stronger boost gets more lists right than a weaker one (one list is forgiven), nor any than BASE."""
    rates = [t.mean(None).mean, *(t.mean(row).mean for row in range(len(t.values)))]
    slack = 1.01 / len(t.recipe.prompts)
    return all(after <= before + slack for before, after in pairwise(rates))


def noise_harms_as_much(t: Trials) -> bool:
    """Whether random vectors as long cost at least as many lists as the boost, its own row before them."""
    return t.effect(1).mean <= t.effect(0).mean + 1.01 / len(t.recipe.prompts)


def sinusoids_fall(x: Exhibit) -> bool:
    """Whether sinusoidal vectors of neighbours are more alike than those of positions far apart."""
    return x.numbers["neighbours_sinusoidal"] > x.numbers["far_sinusoidal"]


def takeaway(c: Comparison) -> str:
    """What the shown row did to the next number and to a text, in words that the numbers choose."""
    shown = {str(r.tweak): r for r in c.tweaks}.get(SHOWN, c.tweaks[-1])
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"keeps {before} the likeliest next token" if before == after else f"makes {after} likeliest, not {before}"
    line = str(shown.tweak)
    for name, what in (("read_perplexity", "the text read"), ("perplexity", "BASE's text")):
        values = measure(c, name), measure(c, name, line)
        if all(map(math.isfinite, values)):
            way = turn(*values, "raises", "hardly moves", "lowers")
            moved = f"{way} the perplexity of {what} ({said(name, values[0])} to {said(name, values[1])})"
            return f"{doing(shown)} {top}, and {moved}; {parting(shown)}."
    return f"{doing(shown)} {top}; {parting(shown)}."


LAB = Lab(
    number="08",
    name="boost_positional_encodings",
    section=4,
    title="Turn up the positions",
    why=(
        "Attention mixes what it finds by how well it matches, wherever it stands. To it, `the dog bit the man` is a "
        "bag of five words. So a model has to be told where each word stands, and how it is told was for years among "
        "the first things that new models changed. A numbered list lives on it: what comes next depends on which "
        "number was last. Tell the model its positions more loudly: does it count better, or worse?"
    ),
    know=(
        "Order is an input. Without it, attention's output is a weighted sum, which is the same in any order; only the "
        "mask, which hides what stands to the right, gives something away. How much, the row `zero positions` below "
        "shows.",
        "Learned encodings: GPT-2 has a second table beside the tokens', `wpe`, with one row for each position (512 in "
        "fruitfly). Token row plus position row is what enters the first block. Training alone decides what is in it, "
        "and there is no row for position 513.",
        "Sinusoidal encodings: nothing is learned. Each pair of slots is the sine and cosine of a wave, fast in the "
        "first slots and slow in the last, as the hands of a clock are. How alike two such vectors are depends on "
        "their distance alone, and there is one for any position.",
        "Rotary encodings, in most newer models: no vector is added. Queries and keys are turned by waves like these, "
        "so that their match depends on how far apart they are. Here `boost` makes every distance longer.",
        "Boosting does two things at once. Position vectors grow against token vectors, and layer norm brings the sum "
        "back to its usual length: so the louder the position, the fainter the word.",
        "Right answers: the share of lists for which the next number is the likeliest token. Each is a yes or a no, so "
        "it takes many lists to tell 90 % from 80 %.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Things on the kitchen table:\n1. a jug\n2. two plates\n3. a spoon\n4. a loaf of bread\n",
            "tweaks": list(BOOSTS),
            "target": "5",
            "wrong": "6",
            "read": STORY,
            "decoding": {"max_new_tokens": 24},
        }
    ),
    numbers=("target_probability", "logit_diff", "read_perplexity", "kl_next"),
    pictures=("next_tokens", "dose"),
    look_for=(
        "The numbers of each list: BASE should count on with 5. Does TWEAK skip one, repeat one, start over? The logit "
        "difference says how far 5 is ahead of 6, the number after next. The dose curve is about plain prose, where "
        "order matters, too: does a little hurt at all?"
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Factor 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, row(c, CONTROL)),
        ),
        Claim(
            text="The strongest boost makes a plain story at least half as surprising again as it was.",
            holds=lambda c: measure(c, "read_perplexity", STRONGEST) >= 1.5 * measure(c, "read_perplexity"),
        ),
        Claim(
            text="The strongest boost makes the right number less likely.",
            holds=lambda c: measure(c, "target_probability", STRONGEST) < measure(c, "target_probability"),
        ),
    ),
    steps=(
        Step(
            name="vectors",
            title="What the model is told",
            text=(
                "How alike are the vectors of two positions? Near the diagonal of a matrix stand neighbours. Sinusoids "
                "of the same width show what a clock would give: smooth, and the same along every diagonal. A learned "
                "table owes nothing to that, and yet it comes to something like it, because text rewards knowing what "
                "is near. If even distant vectors look alike, they have a part in common that says nothing of where. "
                "A rotary model has a curve here and no matrices."
            ),
            recipe=lambda e: ExhibitRecipe(name="positions", **e.on),
            claims=(
                Claim(
                    text="Neighbours are more alike than positions far apart: by 0.1 in cosine similarity at least.",
                    holds=lambda x: x.numbers["neighbours"] > x.numbers["far"] + 0.1,
                ),
                Claim(
                    text="With sinusoids, neighbours are more alike than positions far apart, too.",
                    holds=sinusoids_fall,
                ),
            ),
        ),
        Step(
            name="dose",
            title="How many lists survive",
            text=(
                f"{len(PROMPTS)} lists of two to seven entries, each cut behind an entry. The curve is the share whose "
                "next number is the likeliest token. The band is what other lists might have given."
            ),
            recipe=lambda e: lists(e, *BOOSTS, doses=DOSES),
            claims=(
                Claim(
                    text="Factor 1 changes no answer on any list.",
                    exact=True,
                    holds=lambda t: t.higher(0) == t.lower(0) == 0,
                ),
                Claim(text="List accuracy falls as the boost grows: no stronger boost does better.", holds=falls),
                Claim(
                    text="The strongest boost loses at least half of all lists.",
                    holds=lambda t: t.effect(-1).mean <= -0.5,
                ),
            ),
        ),
        Step(
            name="sinusoids",
            title="Another code, just as loud",
            text=(
                "Put sinusoids where the learned vectors were, each as long as the one it replaces. They tell the same "
                "thing, and perfectly well: the first Transformer used them. But this model learned to read its own "
                "table. Beside it stands a row with no positions at all. Look at the perplexity of the story: is a "
                "code that one cannot read worth more than silence?"
            ),
            recipe=lambda e: e.model_copy(update={"tweaks": (Stack.of(SWAP), Stack.of(NONE))}),
            claims=(
                Claim(
                    text="Sinusoids in place of the learned vectors at least double the perplexity of the story.",
                    holds=lambda c: measure(c, "read_perplexity", SWAP) >= 2 * measure(c, "read_perplexity"),
                ),
            ),
        ),
        Step(
            name="unread",
            title="Lists in the other code",
            text=(
                "The same two changes on all lists. A model without positions may still count: the mask lets each "
                "token see only what came before, and the last number in the list says what comes next. Is a "
                "code that it cannot read worth more to it than none?"
            ),
            recipe=lambda e: lists(e, NONE, SWAP),
            claims=(
                Claim(text="Sinusoids cost at least half of all lists.", holds=lambda t: t.effect(1).mean <= -0.5),
                Claim(
                    text="They are worth no more than having no positions at all, give or take a quarter of the lists.",
                    holds=lambda t: t.effect(1).mean <= t.effect(0).mean + 0.25,
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Factor 3 adds to each position's vector twice its own length, straight ahead. Add a random vector of "
                "that same length instead, other at every position, with three dice. If random ones do more harm, "
                "then the harm is not in the loudness alone: a model reads order from the direction of these "
                "vectors. A boost keeps the directions and drowns the words; noise as loud drowns the words and "
                "scrambles the directions, too. So a boost is the mild form of being too loud, and this lab must not "
                "be read as if counting hung on one exact length."
            ),
            recipe=lambda e: lists(e, TESTED, AS_LONG, seeds=3),
            claims=(
                Claim(
                    text="Random vectors as long do at least as much harm as the boost, on average over three dice.",
                    holds=noise_harms_as_much,
                ),
            ),
        ),
    ),
    questions=(
        "And too quiet? Halve the positions, and a quarter: "
        '`invivo run 08 --tweak "boost positions by 0.5" --tweak "boost positions by 0.25"`.',
        "Is it the whole text that must be loud, or the end? Boost from the last line on: "
        '`invivo run 08 --tweak "boost positions at -6: by 6"`.',
        "Does generation suffer once the list was read in peace? Boost what is generated only: "
        '`invivo run 08 --tweak "boost positions by 6 during generation"`.',
    ),
    hero=-2,
    sources=(
        "Vaswani et al. 2017, Attention Is All You Need (sinusoidal encodings, section 3.5), arXiv:1706.03762",
        "Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2: learned positions)",
        "Wang & Chen 2020, What Do Position Embeddings Learn?, arXiv:2010.04903",
        "Su et al. 2021, RoFormer: Enhanced Transformer with Rotary Position Embedding, arXiv:2104.09864",
        "Press, Smith & Lewis 2022, Train Short, Test Long (ALiBi), arXiv:2108.12409",
    ),
)
