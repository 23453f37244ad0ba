"""Lab 06: copy what a model holds in one run into another, place by place, and see which copy brings the answer along.

The pair of prompts differs in one word, so whatever decides between their answers starts at that word. The site is the
one that fruitfly's card names: the last layer that the word still enters with the answer in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..errors import InvivoError
from ..experiment import Case, Claim, Comparison, Experiment, Grid, Lab, Step, Sweep
from ..experiment.exhibit import ExhibitRecipe
from ..experiment.wording import percent
from ..model.organism import read_organism
from ..show.text import quoted
from .words import doing, likeliest, measure, row
from .words import said as metric_text

ALIGNED = " aligned by ends"


def card_layer() -> int:
    """The layer that fruitfly's card names for facts; 1 where this version's card names none."""
    try:
        facts = read_organism().circuits.facts
    except InvivoError:
        return 1
    return 1 if facts is None else facts.deepest


CLEAN, CORRUPT = "The color of blood is", "The color of grass is"  # as long in letters, so in any tokens
OWN = (CLEAN, CORRUPT, " red", " green")
SUBJECT, END = -2, -1  # where they differ, and where the answer is said
SITE = f"L{card_layer()}.resid_pre at {SUBJECT}"
EVERYTHING, TOP = "copy L0.resid_pre from clean", "copy L-1.resid_post at -1 from clean"
EARLY, HERO = f"copy L1.resid_pre at {END} from clean", f"copy {SITE} from clean"
SAME_NATS = 1e-3  # two logit differences that are one, up to float32's rounding


# ── what is asked of the results ─────────────────────────────────────────────────────────────────────────────────────


def recovered(c: Comparison, line: str | None = None) -> float:
    """The share of the way from the corrupt prompt's logit difference to the clean one's, of the last row if none is
    named: its place is another on other models.
    """
    return measure(c, "recovered", line or str(c.tweaks[-1].tweak))


def is_clean(c: Comparison, line: str) -> bool:
    """Whether a row is as far ahead with the target as the clean prompt is."""
    mine, clean = row(c, line).ahead_nats, c.source_ahead_nats
    return mine is not None and clean is not None and abs(mine - clean) <= SAME_NATS


def same_next(c: Comparison, line: str, other: str) -> bool:
    """Whether two rows, of which one at least took values from the clean prompt, predict the same after the prompt."""
    if c.source_ahead_nats is None:
        return False
    one, two, end = row(c, line), row(c, other), len(c.prompt_ids) - 1
    likely = {token.id: token.tweak for token in two.next}
    return abs(one.kl_nats[end] - two.kl_nats[end]) <= SAME_NATS and all(
        abs(token.tweak - likely[token.id]) <= SAME_NATS for token in one.next if token.id in likely
    )


def share(grid: Grid, layer: int, position: int) -> float:
    """A map's value at a layer and a position, either counted from its end if negative."""
    layers, positions = (len(axis.labels) for axis in grid.axes)
    return grid.effects[layer % layers * positions + position % positions]


def best(grid: Grid) -> tuple[int, int]:
    """Layer and position, both from 0, of a map's largest value."""
    return divmod(max(range(len(grid.effects)), key=grid.effects.__getitem__), len(grid.axes[1].labels))


def left_is_nothing(grid: Grid) -> bool:
    """Whether the tokens left of the subject restore nothing, in any layer."""
    layers, positions = (len(axis.labels) for axis in grid.axes)
    return all(
        abs(share(grid, layer, position)) < 1e-3 for layer in range(layers) for position in range(positions + SUBJECT)
    )


def takeaway(c: Comparison) -> str:
    """What the last row's copy restored, and what it made the model about to say."""
    last = c.tweaks[-1]
    restored = recovered(c)
    before, after = likeliest(last, base=True), likeliest(last)
    said = (
        f"the likeliest token stays {before}" if before == after else f"the likeliest token was {before}, now {after}"
    )
    if not math.isfinite(restored):
        moved = metric_text("kl_next", last.kl_nats[len(c.prompt_ids) - 1])
        return f"{doing(last)} moves the next prediction by {moved} (KL): {said}."
    much = (
        "all" if abs(restored - 1) < 0.005 else "most" if restored >= 0.8 else "part" if restored >= 0.2 else "little"
    )
    answer = quoted(c.recipe.target or "")
    return f"{doing(last)} restores {much} of the clean prompt's lead for {answer} ({percent(restored)}); {said}."


# ── the steps' recipes ───────────────────────────────────────────────────────────────────────────────────────────────


def _source(e: Experiment) -> str:
    """The name of the prompt that is copied from."""
    return next(iter(sorted(e.needed_prompts)), "clean")


def _map(site: str) -> Callable[[Experiment], Sweep]:
    """A copy of `site` at every layer and position; aligned by ends where the reader's own lines are."""

    def recipe(e: Experiment) -> Sweep:
        end = ALIGNED if any(ALIGNED in str(stack) for stack in e.tweaks) else ""
        line = f"copy L*.{site} at * from {_source(e)}{end}"
        return Sweep.of({"tweak": line, "cases": [e.case], "metric": "recovered", **e.on})

    return recipe


def _ablation(e: Experiment) -> Sweep:
    case = Case(prompt=e.prompts[_source(e)], target=e.target, wrong=e.wrong)
    return Sweep.of({"tweak": "zero L*.attn_out at *", "cases": [case], "metric": "logit_diff", **e.on})


def _trace(e: Experiment) -> ExhibitRecipe:
    settings = {"clean": e.prompts[_source(e)], "corrupt": e.prompt, "target": e.target}
    return ExhibitRecipe(name="causal_tracing", settings=settings, **e.on)


def _real(e: Experiment) -> ExhibitRecipe:
    own = (e.prompts[_source(e)], e.prompt, e.target or "", e.wrong or "")
    pairs = {} if own == OWN else {"pairs": (own,)}  # without any, the exhibit has fifteen, this one among them
    return ExhibitRecipe(name="patching", settings={"tweak": str(e.tweaks[-1]), **pairs}, **e.on)


LAB = Lab(
    number="06",
    name="activation_patching",
    section=8,
    title="Copy one run's thought into another",
    why=(
        "Seeing that a layer is busy does not tell what it is for. To know what a part does, change it and nothing "
        "else. Take two prompts that differ in one word and have different answers. Run one of them, but at one place "
        "put in what the model held there while it read the other. If the answer flips, whatever decides it passes "
        "through that place. Do so at every place, and the way of a single word through the layers is drawn."
    ),
    know=(
        "Ablation takes something away: zeros, or the mean, in place of what a part says. What then breaks needed that "
        "part. It does not tell what the part said, and zeros are a thing the next layers have never seen.",
        "Activation patching puts something in: from a run on the clean prompt into a run on the corrupt one (BASE "
        "here), at one layer and one position. A place that restores the clean answer is enough for it. The other way "
        "round, corrupt into clean, asks whether it is needed.",
        "The number is a logit difference: how far the clean answer's logit is ahead of the corrupt one's. Recovered "
        "share: 0 % is the corrupt run, 100 % the clean run. It can pass 100 % or fall below 0 %.",
        "Positions must belong together, so take two prompts of as many tokens. Where lengths differ, invivo names the "
        "tokens at which they part; `aligned by ends` copies what both have, and −2 counts from the end of each.",
        "Two places are known beforehand. All positions before the first layer: the clean prompt itself, 100 %. The "
        "last position after the last layer: the prediction is read from nothing else, 100 %. If these fail, the tool "
        "is broken. Left of the first different token nothing can be restored: both runs hold the same there.",
        "Causal tracing needs no second answer: noise blurs the subject's embeddings until the answer is lost, and one "
        "clean state after the other is put back. Noise is drawn at random, so several draws are averaged.",
    ),
    experiment=Experiment.of(
        {
            "prompt": CORRUPT,
            "prompts": {"clean": CLEAN},
            "tweaks": [EVERYTHING, TOP, EARLY, HERO],
            "target": OWN[2],
            "wrong": OWN[3],
            "decoding": {"max_new_tokens": 4},
        }
    ),
    numbers=("recovered", "logit_diff", "target_probability", "kl_next"),
    pictures=("rows", "next_tokens"),
    look_for=(
        "BASE reads about grass; TWEAK reads the same words, with one vector from the run on blood. What does it "
        "say? Then the maps. On the first, follow the bright cells from the top: the answer sits at the word that "
        "differs, and in some layer begins to be at the last one, too. On the second, look for the layer at which "
        "attention carries it over. Where do the MLPs come in?"
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Copying everything before the first layer restores 100 %.",
            exact=True,
            holds=lambda c: is_clean(c, EVERYTHING),
        ),
        Claim(
            text="Copying the last position after the last layer restores 100 %: the prediction is the clean one.",
            exact=True,
            holds=lambda c: same_next(c, TOP, EVERYTHING),
        ),
        Claim(
            text="The site that fruitfly's card names restores at least 80 %.",
            holds=lambda c: recovered(c) >= 0.8,
        ),
        Claim(
            text="Before layer 1 the last token has none of it yet: it restores less than 20 %.",
            holds=lambda c: recovered(c, EARLY) < 0.2,
        ),
    ),
    steps=(
        Step(
            name="grid",
            title="Where the answer is: the residual stream",
            text=(
                "One copy a cell: the whole vector that enters a layer at one position. The stream holds all that was "
                "added below, so a bright cell says that the answer has got here, not that it was made here."
            ),
            recipe=_map("resid_pre"),
            claims=(
                Claim(
                    text="Before the first layer the token that differs restores everything by itself.",
                    holds=lambda grid: abs(share(grid, 0, SUBJECT) - 1) < 1e-3,
                ),
                Claim(text="The tokens left of it restore nothing.", holds=left_is_nothing),
                Claim(
                    text="The answer moves: in the last layer that token restores less than in the first, and "
                    "the last token more.",
                    holds=lambda grid: (
                        share(grid, -1, SUBJECT) < share(grid, 0, SUBJECT) - 0.1
                        and share(grid, -1, END) > share(grid, 0, END) + 0.1
                    ),
                ),
            ),
        ),
        Step(
            name="attention",
            title="Who carries it: attention",
            text=(
                "Now a cell copies only what one layer's attention adds at one position. To change the last token's "
                "mind, something must be brought there from the subject, and only attention can."
            ),
            recipe=_map("attn_out"),
            claims=(
                Claim(
                    text="The copy that restores most is at the last token.",
                    holds=lambda grid: best(grid)[1] == len(grid.axes[1].labels) - 1,
                ),
            ),
        ),
        Step(
            name="mlp",
            title="Who works on it: the MLPs",
            text=(
                "The same for what one layer's MLP adds. An MLP reads one position, so it can add something about "
                "blood only where blood is: at its token, or where attention has brought it."
            ),
            recipe=_map("mlp_out"),
            claims=(
                Claim(
                    text="The copy that restores most is at the token that differs.",
                    holds=lambda grid: best(grid)[1] == len(grid.axes[1].labels) + SUBJECT,
                ),
            ),
        ),
        Step(
            name="ablation",
            title="What is needed: zero it out",
            text=(
                "No second run now: the clean prompt, with zeros in place of what attention adds, cell by cell. On the "
                "map of attention above, bright is enough to restore; here, strong is needed. A cell may be needed for "
                "something that all prompts share, and then no copy from another prompt shows it."
            ),
            recipe=_ablation,
            claims=(
                Claim(
                    text="Needed, though it restored nothing: without the first layer's attention at the first token "
                    "the answer loses more than a quarter of its lead.",
                    holds=lambda grid: share(grid, 0, 0) < -0.25 * grid.base[0],
                ),
                Claim(
                    text="Needed, and it restored: so it does without the last layer's at the last token.",
                    holds=lambda grid: share(grid, -1, END) < -0.25 * grid.base[0],
                ),
            ),
        ),
        Step(
            name="tracing",
            title="Noise and restore: causal tracing",
            text=(
                "The clean prompt, its subject blurred by noise of three times the embeddings' standard deviation; one "
                "state of the clean run is put back at a time. The second map restores what the MLPs of three layers "
                "add, since one alone is often too little."
            ),
            recipe=_trace,
            claims=(
                Claim(
                    text="The noise takes at least half of the answer's probability.",
                    holds=lambda shown: shown.numbers["blurred"] <= 0.5 * shown.numbers["clean"],
                ),
                Claim(
                    text="The subject's state before the first layer brings all of it back.",
                    holds=lambda shown: abs(shown.numbers["subject_layer_0"] - 1) < 0.01,
                ),
                Claim(
                    text="Before layer 1 the subject's state brings back more than the last token's.",
                    holds=lambda shown: shown.numbers["subject_layer_1"] > shown.numbers["end_layer_1"],
                ),
            ),
        ),
        Step(
            name="real",
            title="Is it real?",
            text=(
                "The last row's copy on fifteen pairs, or on yours alone, each beside the same copy at random layers "
                "and positions. A copy can also flip an answer by breaking the old one, so the same place is filled "
                "once more with the value of a third prompt, which has neither answer."
            ),
            recipe=_real,
            claims=(
                Claim(
                    text="On average over the pairs it restores at least 80 %.",
                    holds=lambda shown: shown.numbers["restored"] >= 0.8,
                ),
                Claim(
                    text="Random places restore less than half of that.",
                    holds=lambda shown: shown.numbers["elsewhere"] < 0.5 * shown.numbers["restored"],
                ),
                Claim(
                    text="It brings the answer and does not only break the other: a third thing's value brings less "
                    "than a tenth of its probability.",
                    holds=lambda shown: (
                        shown.numbers.get("answer_third", math.inf) < 0.1 * shown.numbers["answer_after"]
                    ),
                ),
            ),
        ),
    ),
    questions=(
        "Enough, or also needed? Swap the two prompts and their answers, and break the clean run instead: "
        '`invivo run 06 clean="The color of grass is" corrupt="The color of blood is" target=" green" '
        'wrong=" red" --tweak "copy L5.attn_out at -1 from clean"`.',
        "Does a name travel as a color does? Patch who gave, where the answer is whoever did not: "
        '`invivo run 06 clean="When Mary and John went to the store, John gave a drink to" corrupt="When Mary and John '
        'went to the store, Mary gave a drink to" target=" Mary" wrong=" John" --tweak "copy L4.resid_pre at -1 from '
        'clean"`.',
        "What if the corrupt prompt has a token more? Copy what both have, or count from the end: "
        '`invivo run 06 corrupt="The color of the grass is" --tweak "copy L5.resid_post from clean aligned by '
        'ends" --tweak "copy L0.resid_pre at -2 from clean"`.',
    ),
    finds={SITE: "subject's deepest place"},
    sources=(
        "Meng et al. 2022, Locating and Editing Factual Associations in GPT (causal tracing), arXiv:2202.05262",
        "Vig et al. 2020, Investigating Gender Bias in Language Models Using Causal Mediation Analysis, "
        "arXiv:2004.12265",
        "Wang et al. 2022, Interpretability in the Wild (patching, ablation, indirect objects), arXiv:2211.00593",
        "Heimersheim & Nanda 2024, How to use and interpret activation patching, arXiv:2404.15255",
        "Zhang & Nanda 2023, Towards Best Practices of Activation Patching in Language Models, arXiv:2309.16042",
    ),
)
