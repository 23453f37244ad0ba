"""Lab 02: find fruitfly's induction head from its attention alone, switch it off, and then its helpers, too.

HEAD is the best one by attention on repeated random tokens, AIDES the next five: what `invivo heads` prints first.
"""

from __future__ import annotations

import math
from statistics import fmean

from ..experiment import Claim, Comparison, Experiment, Grid, Lab, Step, Sweep, TweakRun
from ..experiment.control import ControlRecipe
from ..experiment.exhibit import ExhibitRecipe
from ..experiment.heads import HeadScores, HeadsRecipe
from ..experiment.look import LookRecipe
from ..experiment.trials import Trials, TrialsRecipe
from ..experiment.wording import percent, share_shift
from ..show.text import quoted
from ..tweaks import Mean, Stack
from .heads import TRIED, TWICE, head_in, metric_for, same_answer, team_in
from .words import doing, is_base, likeliest, parting, said

HEAD, AIDES = "5.2", ("5.5", "5.0", "5.3", "5.1", "5.7")
BACK = "2.7"  # looks one token back
CONTROL, ZERO, MEAN = f"scale head {HEAD} by 1", f"zero head {HEAD}", f"mean head {HEAD}"
RANDOM = f"copy head {HEAD} at -1 from other at -1"
TEAM = " + ".join(f"mean head {head}" for head in (HEAD, *AIDES))


def kl_next(c: Comparison, r: TweakRun) -> float:
    """KL(BASE ‖ TWEAK) of the prediction right after the prompt, in nats."""
    return r.kl_nats[len(c.prompt_ids) - 1]


def target_gain(c: Comparison, r: TweakRun) -> float:
    """How many times as likely as BASE a row finds the target; NaN where there is none."""
    if r.target_nats is None or c.base.target_nats is None:
        return math.nan
    return math.exp(r.target_nats - c.base.target_nats)


def acting(r: TweakRun) -> str:
    """The row as the subject of a sentence; several heads that are averaged are named together."""
    if len(r.tweak) > 1 and all(isinstance(tweak, Mean) for tweak in r.tweak):
        places = [str(tweak).removeprefix("mean head ") for tweak in r.tweak]
        return f"Averaging heads {', '.join(places[:-1])} and {places[-1]}"
    return doing(r)


def takeaway(c: Comparison) -> str:
    """What the last row did to the answer, beside what zeroing the first of its heads did alone."""
    shown, subject = c.tweaks[-1], acting(c.tweaks[-1])
    before, after = likeliest(shown, base=True), likeliest(shown)
    top = f"the likeliest token stays {before}" if before == after else f"the likeliest token was {before}, now {after}"
    if c.recipe.target is None or c.base.target_nats is None or shown.target_nats is None:
        moved = said("kl_next", kl_next(c, shown))
        return f"{subject} moves the next prediction by {moved} (KL); {top}; {parting(shown)}."
    change = share_shift(math.exp(c.base.target_nats), math.exp(shown.target_nats))
    first = str(shown.tweak).partition(" + ")[0].replace("mean", "zero", 1)
    one = {str(r.tweak): r for r in c.tweaks[:-1]}.get(first)
    alone = ""
    if one is not None and one.target_nats is not None:
        alone = f"; {first.replace('zero', 'zeroing', 1)} alone leaves {percent(math.exp(one.target_nats))}"
    return f"{subject} takes {quoted(c.recipe.target)} {change}{alone}; {top}."


def _layer(e: Experiment) -> ExhibitRecipe:
    layer, _ = head_in(e)
    return ExhibitRecipe(name="glances", settings={"prompt": e.prompt, "layer": layer}, **e.on)


def _pattern(e: Experiment) -> LookRecipe:
    layer, head = head_in(e)
    return LookRecipe(prompt=e.prompt, layer=layer, head=head, **e.on)


def _grid(e: Experiment) -> Sweep:
    cases = [e.case, *TRIED] if e.target is not None else [e.case]
    return Sweep.of({"tweak": "mean head *", "cases": cases, "metric": metric_for(e), **e.on})


def _team(e: Experiment) -> TrialsRecipe:
    lines = team_in(e)
    alone = [Stack.of(line) for line in lines] if len(lines) > 1 else []
    own = ((e.prompt, e.target),) if e.target is not None else ()
    prompts, targets = zip(*own, *TWICE, strict=True)
    return TrialsRecipe(
        prompts=prompts,
        targets=targets,
        tweaks=(*alone, e.tweaks[-1]),
        metric="target_probability",
        decoding={"max_new_tokens": 1},  # type: ignore[arg-type]
        **e.on,
    )


def _found_again(grid: Grid) -> bool:
    """Whether, in the upper half of the layers, the head found from attention is among the three that matter most."""
    layers, heads = grid.shape
    upper = [grid.lines[i] for i in grid.ranked() if i // heads >= layers / 2]
    return MEAN in upper[:3]


def _is_found(scores: HeadScores) -> bool:
    return scores.ranked("induction")[0][0] == HEAD


def _odds(share: float | None) -> float:
    """A probability as log-odds, where pushes for and against a word add up; in nats."""
    share = min(max(share or 0.0, 1e-9), 1 - 1e-9)
    return math.log(share / (1 - share))


def _losses(trials: Trials) -> tuple[float, float]:
    """What the heads of the team cost one by one, added up, and what they cost together; mean log-odds, in nats."""
    base = [_odds(prompt[0]) for prompt in trials.base]
    lost = [
        fmean(before - _odds(prompt[0]) for before, prompt in zip(base, values, strict=True))
        for values in trials.values
    ]
    return sum(lost[:-1]), lost[-1]


def _leaves(trials: Trials, row: int) -> float:
    """Which share of the right words' mean probability a row leaves."""
    before = trials.mean(None).mean
    return trials.mean(row).mean / before if before > 0 else math.nan


def _outvoted(trials: Trials) -> bool:
    """Whether each head alone leaves most of the right words, and all together next to nothing."""
    *alone, together = (_leaves(trials, row) for row in range(len(trials.values)))
    return len(alone) > 1 and min(alone) > 0.7 and together < 0.05


def _more_than_the_sum(trials: Trials) -> bool:
    """Whether all together cost more than the sum of what they cost one by one."""
    alone, together = _losses(trials)
    return together > alone > 0


LAB = Lab(
    number="02",
    name="head_ablation",
    section=1,
    title="Switch off one attention head",
    why=(
        "Say a few names, start the same list again, and a language model knows how it goes on, even if nobody ever "
        "said these names before. No training text can have told it; it must look back at the list. "
        "Attention is the only part that looks anywhere. So somewhere in fruitfly heads do this looking: find the best "
        "one, switch it off, and see whether the list is forgotten."
    ),
    know=(
        "Attention: at each position a head compares its query with the keys of the positions before, and takes the "
        "values of those that fit. How much it takes from where is its pattern. Lab 01 shows every step.",
        "Multi-head attention: a layer has several heads side by side, each with matrices of its own (6 layers of 8 in "
        "fruitfly). Each reads the same stream and their outputs are added to it. A head is written layer.head, both "
        "from 0.",
        "Induction head: one that looks for the last time this token was here and then at what came next. Its "
        "pattern on a repeated text is a stripe beside the diagonal (Olsson et al. 2022).",
        "Ablation takes a part away to see what it was for. Zero: silence in place of the head's output. Mean: its "
        "average over the prompt, which drops what it says about this token. Random: what it says on another prompt.",
        "Several heads may push for the same word. Take one away and the others still carry it, so its loss shows less "
        "than it did: the last row takes away six.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "They called Tolva, Brimsa, Kedrono, Wusto. They called Tolva, Brimsa, Kedrono,",
            "prompts": {"other": "They called Garro, Wendle, Pisk, Lumo. They called Garro, Wendle, Pisk,"},
            "tweaks": [CONTROL, RANDOM, MEAN, ZERO, TEAM],
            "target": " Wusto",
            "decoding": {"max_new_tokens": 12},
        }
    ),
    numbers=("target_probability", "kl_next", "parted"),
    pictures=("rows", "next_tokens"),
    look_for=(
        "BASE goes on with the list. Does TWEAK? Compare the rows: one head replaced in three ways, then six heads "
        "at once. The row that multiplies the head by 1 is the control and must be BASE."
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="The head multiplied by 1 is BASE: the same text, and KL 0 everywhere.",
            exact=True,
            holds=lambda c: is_base(c, c.tweaks[0]),
        ),
        Claim(
            text="Without this one head, zeroed, the right word is less likely, and still the likeliest.",
            holds=lambda c: 0.5 < target_gain(c, c.tweaks[-2]) < 0.95,
        ),
        Claim(
            text="Without six such heads less than a tenth of its probability is left.",
            holds=lambda c: target_gain(c, c.tweaks[-1]) < 0.1,
        ),
    ),
    steps=(
        Step(
            name="found",
            title="How the head was found",
            text=(
                "Nothing was switched off to find it. fruitfly reads random tokens twice, and each head's attention is "
                "scored: how much goes to what came after the same token last time? The last map alone takes heads "
                "away. Losses in the first layer are large, too: all later heads read what those heads write."
            ),
            recipe=lambda e: HeadsRecipe(**e.on),
            claims=(
                Claim(text=f"By attention alone, head {HEAD} is the best one.", holds=_is_found),
                Claim(
                    text="The best one gives more than half of its attention to what came next last time.",
                    holds=lambda h: h.ranked("induction")[0][1] > 0.5,
                ),
                Claim(
                    text="Read a second time, random tokens cost at least 2 nats less each.",
                    holds=lambda h: h.drop_nats > 2,
                ),
            ),
        ),
        Step(
            name="pattern",
            title="What it looks at here",
            text="One row for each token that looks. Follow the second round of the list: where does each word look?",
            recipe=_pattern,
        ),
        Step(
            name="layer",
            title="And its neighbours",
            text="The heads of its layer, all from the last token. Do they divide the work, or do they agree?",
            recipe=_layer,
            claims=(
                Claim(
                    text="At least three heads of the layer look at the same place: a team.",
                    holds=lambda x: x.numbers["agree"] >= 3,
                ),
            ),
        ),
        Step(
            name="grid",
            title="Every head in turn",
            text=(
                "Each head averaged away by itself, on this prompt and on ten others. Some low ones "
                "cost most: all later heads read what they write. Look at the upper half."
            ),
            recipe=_grid,
            claims=(
                Claim(
                    text="In the upper half of the layers, the head found from attention alone is among the three "
                    "whose loss matters most.",
                    holds=_found_again,
                ),
            ),
        ),
        Step(
            name="team",
            title="One vote among several",
            text=(
                "The six heads averaged away one by one, then all at once, on the same prompts. Heads of one layer "
                "work side by side and cannot notice that another is gone, so nobody steps in. But each votes for the "
                "same word, and five votes are enough. (The last norm helps: it divides by the length of the whole "
                "vector, so where one voice is missing the others sound louder.) Whoever takes away one head and sees "
                "little happen has not shown that it does nothing."
            ),
            recipe=_team,
            claims=(
                Claim(
                    text="Each of the six alone leaves more than 70 % of the right words' probability, all together "
                    "leave less than 5 %.",
                    holds=_outvoted,
                ),
                Claim(
                    text="Together they cost more than the sum of what each costs alone, counted in log-odds.",
                    holds=_more_than_the_sum,
                ),
            ),
        ),
        Step(
            name="real",
            title="Is it real?",
            text="Any six heads might do. Here are twenty random sixes, and the same six on five other lists.",
            recipe=lambda e: ControlRecipe(
                tweak=e.tweaks[-1], case=e.case, metric=metric_for(e), count=20, prompts=same_answer(e), **e.on
            ),
            claims=(
                Claim(
                    text="The loss is larger than with 19 of 20 random sixes.",
                    holds=lambda x: x.beaten >= 19,
                ),
                Claim(
                    text="On all five other lists the right name becomes less likely, too.",
                    holds=lambda x: len(x.elsewhere) == 5 and all(effect < 0 for effect in x.elsewhere),
                ),
            ),
        ),
    ),
    finds={
        f"head {HEAD}": "induction head",
        **{f"head {head}": f"induction head, number {n}" for n, head in enumerate(AIDES, 2)},
    },
    questions=(
        "Must the head read the whole prompt, or only the last word? Zero it at the last token alone: "
        f'`invivo run 02 --tweak "zero head {HEAD} at -1"`.',
        "An induction head needs to be told what stood before each token. Take away the head that looks one token "
        f'back: `invivo run 02 --tweak "mean head {BACK}"`.',
        "Does the head do anything where nothing is said twice? "
        f'`invivo compare "The farmer went to bed." --tweak "zero head {HEAD}"`.',
    ),
    sources=(
        "Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895",
        "Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762",
        "Michel, Levy & Neubig 2019, Are Sixteen Heads Really Better than One?, arXiv:1905.10650",
        "Wang et al. 2022, Interpretability in the Wild (mean ablation, heads that back each other up), "
        "arXiv:2211.00593",
    ),
)
