"""Lab 00: run the model once, then run it again: what makes a text come back, and what changes it.

The first row repeats BASE; then the same dice are thrown twice, and other dice once.
"""

from __future__ import annotations

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import ExhibitRecipe
from ..experiment.trials import TrialsRecipe
from ..tweaks import Decoding, Stack
from .words import OPENINGS, ROUNDING_NATS, doing, is_base, is_greedy, likeliest, parting, row, said

GREEDY = "set greedy"
SAMPLED, AGAIN = "set top_k 40", "set top_k 40 + set temperature 1"  # one setting: the temperature is 1 anyway
OTHER = f"{SAMPLED} + set seed 1"
DRAWN = {"do_sample": True, "temperature": 1.0, "top_k": 40}


def takeaway(c: Comparison) -> str:
    """What came back and what did not; for rows of the reader's own, where the last one parted."""
    rows = {str(r.tweak): r for r in c.tweaks}
    last = c.tweaks[-1]
    if not {GREEDY, SAMPLED, AGAIN, OTHER} <= set(rows):
        return (
            f"{doing(last)}: {parting(last)}, which has perplexity {said('perplexity', last.perplexity)} here; the "
            f"likeliest token after the prompt is {likeliest(last)}."
        )
    dice = "gave the same text twice" if rows[SAMPLED].ids == rows[AGAIN].ids else "gave two texts"
    other = "another" if rows[OTHER].ids != rows[SAMPLED].ids else "the same"
    greedy = "gave BASE's text again" if rows[GREEDY].ids == c.base.ids else "gave another text than BASE"
    return f"Greedy {greedy}; the same seed {dice}; another seed gave {other}: {parting(rows[OTHER])}."


LAB = Lab(
    number="00",
    name="quick_setup_run_once",
    section=9,
    title="Run it once, run it again",
    why=(
        "You run a model, it says something striking, you run it again, and it says something else. Which of the two "
        "was the result? Before anything can be learned from changing a model, the same run must give the same "
        "text twice, and it must be clear which knob makes it give another one."
    ),
    know=(
        "A model does not say anything by itself. For a text it gives one probability per token, and for the "
        "same text always the same ones. Chance comes in where a token is picked.",
        "`do_sample` is the switch. Off: the likeliest token is taken each time (greedy), there are no dice, and the "
        "seed does not matter. On: each token is drawn.",
        "The seed says which dice are thrown. Computers throw dice by a rule that looks like chance; from the "
        "same seed it gives the same throws. Here each throw belongs to a seed and a place in the text, so a row "
        "throws the same dice alone and in a batch.",
        "Temperature, top-k and top-p shape what is drawn from. With the same seed a small turn of one of them may "
        "leave the text as it is for some tokens; once one token differs, all that follows may.",
        "The limit (`max_new_tokens`) ends a text and changes nothing before: with the same seed a shorter run is the "
        "beginning of the longer one.",
        "Rounding is what is left. Sums added up in another order differ in the last digits: another batch size, "
        "another processor or another version may do that. It hardly ever changes a token, but it can; so a result "
        "names the weights, the versions and the device it came from.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Once upon a time",
            "tweaks": [GREEDY, SAMPLED, AGAIN, OTHER],
            "decoding": {"max_new_tokens": 30},
        }
    ),
    numbers=("said", "choice_entropy", "parted", "kl_max"),
    pictures=("rows",),
    all_rows=True,
    look_for=(
        "BASE and the first row are one text: greedy twice. The next two rows are one text, too, though they were "
        "drawn: the same settings, said in other words, with the same dice. The last row has other dice. Look at KL: "
        "it is 0 everywhere, because in none of these rows was the model itself touched."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="Greedy is greedy: where BASE is, the two say the same, token by token.",
            exact=True,
            holds=lambda c: not is_greedy(c.recipe) or is_base(c, row(c, GREEDY)),
        ),
        Claim(
            text="The same seed gives the same text, token by token.",
            exact=True,
            holds=lambda c: row(c, SAMPLED).ids == row(c, AGAIN).ids,
        ),
        Claim(
            text="No knob of the decoder touches the model: KL is 0 at every position of every row.",
            exact=True,
            holds=lambda c: all(max(r.kl_nats) <= ROUNDING_NATS for r in c.tweaks),
        ),
        Claim(
            text="Another seed gives another text.",
            holds=lambda c: row(c, OTHER).ids != row(c, SAMPLED).ids,
        ),
        Claim(
            text="Greedy leaves nothing to chance, sampling does.",
            holds=lambda c: not any(c.base.choice_entropy_nats) and any(row(c, SAMPLED).choice_entropy_nats),
        ),
    ),
    steps=(
        Step(
            name="repeats",
            title="Turn one knob at a time",
            text=(
                "One greedy and one sampled run, each asked for again with a single thing changed. The first group "
                "should not matter: asked twice, in a batch, beside a longer prompt, without the cache that saves "
                "time. The last column shows what rounding does there. The second group does matter. The last table "
                "is what a result should be kept with."
            ),
            recipe=lambda e: ExhibitRecipe(
                name="repeats",
                settings={"prompt": e.prompt, "seed": e.seed},
                **e.on,
            ),
            claims=(
                Claim(
                    text="Greedy again gives the same text, with any seed.",
                    exact=True,
                    holds=lambda x: x.numbers["greedy_same"] == x.numbers["greedy_seed_same"] == 1,
                ),
                Claim(
                    text="The same seed again gives the same text, alone and in a batch.",
                    exact=True,
                    holds=lambda x: x.numbers["sampled_same"] == x.numbers["batch_same"] == 1,
                ),
                Claim(
                    text="Batch, padding and cache change no token, and no log-probability by 0.001 nats.",
                    holds=lambda x: all(
                        x.numbers[f"{name}_same"] == 1 and x.numbers[f"{name}_apart"] < 1e-3
                        for name in ("batch", "padded", "uncached")
                    ),
                ),
                Claim(
                    text="A shorter run is the beginning of the longer one.",
                    exact=True,
                    holds=lambda x: x.numbers["shorter_same"] == 1,
                ),
                Claim(
                    text="Another seed gives another text, and so does greedy.",
                    holds=lambda x: x.numbers["other_same"] == x.numbers["off_same"] == 0,
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Several prompts, three seeds each; BASE is sampled. Three rows: the same settings again, a "
                "temperature that is lower by a tenth with the same dice, and other dice. How many of their texts "
                "differ from BASE's?"
            ),
            recipe=lambda e: TrialsRecipe(
                prompts=(e.prompt, *OPENINGS[:7]),
                tweaks=tuple(map(Stack.of, (AGAIN, "set temperature 0.9", f"set seed {e.seed + 1000}"))),
                metric="differs",
                seeds=3,
                decoding=Decoding.of(DRAWN | {"max_new_tokens": min(20, e.decoding.max_new_tokens)}),
                seed=e.seed,
                **e.on,
            ),
            claims=(
                Claim(
                    text="With the same dice no text differs, on any prompt with any seed.",
                    exact=True,
                    holds=lambda t: t.mean(0).mean == 0,
                ),
                Claim(
                    text="With other dice at least nine texts in ten do.",
                    holds=lambda t: t.mean(2).mean >= 0.9,
                ),
            ),
        ),
    ),
    questions=(
        "Does the prompt decide how much the dice matter? Give one that leaves little choice: "
        '`invivo run 00 --seed 2 --set prompt="One, two, three, four,"`.',
        "How small a turn of the temperature is too small to see? With the same dice: "
        '`invivo run 00 --tweak "set temperature 1" --tweak "set temperature 1.01" --tweak "set temperature 1.1"`.',
        "Are some dice better than others? Throw a few more: "
        '`invivo run 00 --tweak "set top_k 40 + set seed 3" --tweak "set top_k 40 + set seed 4"`.',
    ),
    sources=(
        "Holtzman et al. 2020, The Curious Case of Neural Text Degeneration (sampling and its knobs), arXiv:1904.09751",
        "Pineau et al. 2021, Improving Reproducibility in Machine Learning Research, JMLR 22(164), arXiv:2003.12206",
        "Goldberg 1991, What Every Computer Scientist Should Know About Floating-Point Arithmetic, ACM Computing "
        "Surveys 23(1)",
    ),
)
