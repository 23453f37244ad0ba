"""The labs as data: found by every name, and complete. Three of them on results made by hand: claims and takeaways.

What all of them do when they run is in test_all_labs.py.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from invivo import labs
from invivo.errors import InvivoError, UnknownName
from invivo.experiment import Candidate, Comparison, Experiment, Lab, Run, TweakRun
from invivo.experiment.drawings import PICTURES
from invivo.experiment.wording import doing
from invivo.labs import QUICKSTART, SECTIONS, all_labs, lab_named
from invivo.metrics import METRICS
from invivo.surfaces.cli.show import read
from invivo.tweaks import Stack

from .guide import GUIDE, check_command, prose, quoted_commands

CHECKLIST = ("05_zero_a_slice_of_token_embeddings", "02_head_ablation", "09_compare_temperature")
EMBEDDINGS, HEAD, TEMPERATURE = CHECKLIST

each_lab = pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.full_name)
by_hand = pytest.mark.parametrize("lab", [lab_named(name) for name in CHECKLIST], ids=CHECKLIST)


# ── finding them ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_guide_has_eleven_sections_and_the_next_layers():
    assert [section.number for section in SECTIONS] == list(range(12))
    assert len({section.title for section in SECTIONS}) == 12
    assert all(section.why.endswith(".") for section in SECTIONS)


def test_the_quickstart_is_the_guides_checklist():
    assert tuple(lab_named(number).full_name for number in QUICKSTART) == CHECKLIST


@pytest.mark.parametrize(
    "name",
    [
        "02",
        "2 ",
        "head_ablation",
        "Head-Ablation",
        "02_head_ablation",
        "02_head_ablation.py",
        "02-Head-Ablation.PY",
    ],
)
def test_a_lab_answers_to_every_name(name: str):
    assert lab_named(name).full_name == HEAD
    assert lab_named("09").full_name != HEAD


def test_no_two_labs_answer_to_one_name():
    names = [alias for lab in all_labs() for alias in lab.aliases]
    assert len(names) == len(set(names))


def test_an_unknown_lab_is_told_the_nearest():
    with pytest.raises(UnknownName) as told:
        lab_named("head_ablaton")
    assert "head_ablaton" in told.value.what
    assert told.value.hint == "did you mean 'head_ablation'? `invivo labs` lists them all"
    with pytest.raises(UnknownName) as lost:
        lab_named("qqq")
    assert lost.value.hint == "`invivo labs` lists them all"


def test_labs_load_no_torch():
    code = (
        "import sys, invivo.labs; invivo.labs.all_labs(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a file beside the labs, as far as the registry can tell."""
    monkeypatch.setattr(labs, "__path__", [*labs.__path__, str(tmp_path)])
    made = []

    def put(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        made.append(f"invivo.labs.{name}")
        importlib.invalidate_caches()
        all_labs.cache_clear()

    yield put
    for name in made:
        sys.modules.pop(name, None)
    all_labs.cache_clear()


COPY = (
    "from invivo.labs import lab_named\nfrom invivo.experiment import Lab\nimport importlib\n"
    "LAB = importlib.import_module('invivo.labs.02_head_ablation').LAB.model_copy(update={})\n"
)


def test_a_file_dropped_in_is_a_lab(drop: Any):
    there = [lab.number for lab in all_labs()]
    drop("77_a_lab_of_ones_own", COPY.replace("{}", "{'number': '77', 'name': 'a_lab_of_ones_own'}"))
    drop("notes", "LAB = None\n")  # no number: not a lab
    assert lab_named("77").name == "a_lab_of_ones_own"
    now = all_labs()
    assert [lab.number for lab in now if lab.number != "77"] == there
    assert [lab.section for lab in now] == sorted(lab.section for lab in now)  # section by section
    assert [lab.number for lab in now if lab.section == lab_named("02").section][-1] == "77"


def test_a_file_that_is_no_lab_is_told_so(drop: Any):
    drop("77_a_lab_of_ones_own", "lab = 1\n")
    with pytest.raises(InvivoError, match=r"77_a_lab_of_ones_own\.py defines no LAB"):
        all_labs()


def test_a_file_is_named_like_its_lab(drop: Any):
    drop("77_a_lab_of_ones_own", COPY)
    with pytest.raises(InvivoError, match="holds the lab 02_head_ablation"):
        all_labs()


# ── what each must have ──────────────────────────────────────────────────────────────────────────────────────────────


@each_lab
def test_a_lab_is_complete(lab: Lab):
    assert lab.full_name in GUIDE
    assert lab.experiment.prompt.strip()
    assert lab.experiment.model == "fruitfly"
    assert lab.experiment.tweaks
    assert len(lab.experiment.tweaks) == len({str(stack) for stack in lab.experiment.tweaks})
    assert all(Stack.of(str(stack)) == stack for stack in lab.experiment.tweaks)
    assert lab.numbers
    assert set(lab.numbers) <= set(METRICS)
    assert lab.pictures
    assert set(lab.pictures) <= set(PICTURES)
    assert 3 <= len(lab.know) <= 9
    assert len(lab.questions) == 3
    assert len(lab.sources) >= 2
    assert all(re.search(r"\b(19|20)\d\d\b", source) for source in lab.sources)
    claims = [claim for part in (lab, *lab.steps) for claim in part.claims]
    assert any(claim.exact for claim in claims)
    assert any(not claim.exact for claim in claims)
    assert len({claim.text for claim in claims}) == len(claims)
    lab.experiment.tweaks[lab.hero]


@each_lab
def test_a_labs_steps_are_recipes_and_follow_the_prompt(lab: Lab):
    for step in lab.steps:
        assert step.title.strip()
        assert step.text.strip()
        recipe = step.recipe(lab.experiment)
        assert type(recipe).of(recipe.plain()) == recipe
        step.recipe(lab.experiment.model_copy(update={"prompt": "The old king"}))  # a prompt of the reader's own


@each_lab
def test_what_a_lab_names_for_fruitfly_can_be_found_elsewhere(lab: Lab):
    from invivo.engine.finders import FINDERS

    lines = " ".join(map(str, lab.experiment.tweaks))
    for place, kind in lab.finds.items():
        assert kind in FINDERS
        assert place in lines


@each_lab
def test_a_labs_prose_is_joined_well(lab: Lab):
    for text in prose(lab):
        assert text == text.strip()
        assert "  " not in text
        assert "\n" not in text
        assert not re.search(r"[a-z][.,;:][A-Z]|[a-z],[a-z]", re.sub(r"`[^`]*`", "", text)), text  # a blank lost
        assert text.count("`") % 2 == 0


@each_lab
def test_a_labs_questions_end_in_a_command(lab: Lab):
    assert len({tuple(quoted_commands(question)[0]) for question in lab.questions}) == 3
    for question in lab.questions:
        (words,) = quoted_commands(question)
        check_command(words)
        rows = [Stack.of(words[i + 1]) for i, word in enumerate(words) if word == "--tweak" and "*" not in words[i + 1]]
        if words[1] == "run":
            assert len(words) > 3  # something new
            assert not set(map(str, rows)) & set(map(str, lab.experiment.tweaks))
            lab_named(words[2])
        if words[1] == "show":
            from invivo.engine.exhibits import exhibit_named

            exhibit_named(words[2]).settings.of(
                read([word for word in words[3:] if "=" in word and not word.startswith("-")])
            )


def test_the_story_is_long_enough_to_measure():
    story = lab_named(EMBEDDINGS).experiment.read
    assert story is not None
    assert 150 <= len(story.split()) <= 250


# ── claims: each holds on a result made for it, and alone fails on one made against it ───────────────────────────────

PROMPT_IDS, IDS = (7, 8), (1, 2, 3, 4)
STILL = (0.0,) * (len(PROMPT_IDS) + len(IDS))
NEXT = (Candidate(id=1, text=" a", base=0.6, tweak=0.1), Candidate(id=2, text="\n", base=0.1, tweak=0.5))
PLAIN: dict[str, Any] = {
    "text": " a b c d",
    "ids": IDS,
    "tokens": (" a", " b", " c", " d"),
    "said_nats": (-1.0,) * 4,
    "perplexity": 3.0,
    "choice_entropy_nats": (0.0,) * 4,
    "entropy_nats": STILL,
    "next": NEXT,
}
UNMOVED = PLAIN | {"kl_nats": STILL, "top_changed": (False,) * len(STILL), "first_divergence": None}


def result(experiment: Experiment, base: dict[str, Any], rows: dict[str, dict[str, Any]]) -> Comparison:
    """A comparison by hand: every row is BASE but for what is said of it."""
    return Comparison(
        recipe=experiment,
        prompt_ids=PROMPT_IDS,
        prompt_tokens=("x", "y"),
        versions={},
        revision="",
        device="cpu",
        seconds=0.0,
        base=Run(**PLAIN | base),
        tweaks=tuple(TweakRun(**UNMOVED | base | rows.get(str(stack), {}), tweak=stack) for stack in experiment.tweaks),
    )


def kl(after_prompt: float) -> tuple[float, ...]:
    """KL per position, all of it right after the prompt."""
    return (0.0, after_prompt, *STILL[2:])


def slices(*perplexities: float) -> dict[str, dict[str, Any]]:
    """Lab 05's rows with these perplexities of the story."""
    return {
        f"zero embed dims 0:{width}": {"read_perplexity": value}
        for width, value in zip((64, 96, 128, 160, 192), perplexities, strict=True)
    }


TEAM = " + ".join(f"mean head {head}" for head in ("5.2", "5.5", "5.0", "5.3", "5.1", "5.7"))
WARM, HOT = "set temperature 0.7 + set top_k 40", "set temperature 1.2 + set top_k 40"
SMOOTH, LOOP = {"ids": (1, 2, 3, 4)}, {"ids": (1, 2, 1, 2)}
GOOD: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    EMBEDDINGS: ({"read_perplexity": 40.0}, slices(41, 42, 45, 60, 90)),
    HEAD: (
        {"target_nats": -0.3},
        {
            "zero head 5.2": {"kl_nats": kl(1.0), "target_nats": -0.6},
            TEAM: {"kl_nats": kl(2.0), "target_nats": -4.0},
        },
    ),
    TEMPERATURE: (
        LOOP,
        {
            WARM: SMOOTH | {"said_nats": (-2.0,) * 4, "choice_entropy_nats": (1.0,) * 4},
            HOT: SMOOTH | {"said_nats": (-3.0,) * 4, "choice_entropy_nats": (2.0,) * 4},
        },
    ),
}
BAD: dict[str, list[tuple[int, dict[str, dict[str, Any]]]]] = {  # (the claim that must fail, what to change in GOOD)
    EMBEDDINGS: [
        (0, {"scale embed dims 0:192 by 1": {"kl_nats": kl(1e-3)}}),
        (0, {"scale embed dims 0:192 by 1": {"ids": (1, 2, 3, 5)}}),
        (1, slices(39, 42, 45, 60, 90)),  # the narrowest is below BASE
        (1, slices(41, 42, 42, 60, 90)),  # a tie is no rise
        (1, slices(41, 42, 45, 91, 90)),
        (2, slices(41, 42, 45, 60, 79)),
    ],
    HEAD: [
        (0, {"scale head 5.2 by 1": {"kl_nats": kl(1e-3)}}),
        (0, {"scale head 5.2 by 1": {"ids": ()}}),
        (1, {"zero head 5.2": {"target_nats": -0.32}}),  # 98 % of what it was
        (1, {"zero head 5.2": {"target_nats": -1.5}}),  # 30 %
        (2, {TEAM: {"target_nats": -2.5}}),  # 11 %
    ],
    TEMPERATURE: [
        (0, {"set temperature 0": {"ids": (1, 2, 1, 3)}}),
        (1, {HOT: {"kl_nats": kl(1e-3)}}),
        (2, {WARM: {"choice_entropy_nats": (0.0,) * 4}}),
        (2, {HOT: {"choice_entropy_nats": (1.0,) * 4}}),
        (3, {WARM: {"said_nats": (-3.5,) * 4}}),
        (3, {HOT: {"said_nats": (-1.5,) * 4}}),
        (3, {WARM: {"said_nats": (-0.1,) * 4}, HOT: {"said_nats": (-0.9,) * 4}}),
        (4, {HOT: LOOP}),
    ],
}


def altered(name: str, change: dict[str, dict[str, Any]]) -> Comparison:
    """The good result of a lab with some rows changed."""
    base, rows = GOOD[name]
    return result(
        lab_named(name).experiment, base, {line: rows.get(line, {}) | change.get(line, {}) for line in {*rows, *change}}
    )


@by_hand
def test_every_claim_can_hold_and_can_fail(lab: Lab):
    good = altered(lab.full_name, {})
    assert [claim.holds(good) for claim in lab.claims] == [True] * len(lab.claims)
    assert {index for index, _ in BAD[lab.full_name]} == set(range(len(lab.claims)))
    for index, change in BAD[lab.full_name]:
        held = [claim.holds(altered(lab.full_name, change)) for claim in lab.claims]
        assert held == [i != index for i in range(len(held))], (lab.claims[index].text, change)


def test_no_claim_holds_where_nothing_was_measured():
    lab = lab_named(EMBEDDINGS)
    empty = result(lab.experiment.model_copy(update={"read": None}), {}, {})
    assert [claim.holds(empty) for claim in lab.claims] == [True, False, False]
    lab = lab_named(HEAD)
    assert [claim.holds(result(lab.experiment, {}, {})) for claim in lab.claims] == [True, False, False]
    lab = lab_named(TEMPERATURE)
    silent = result(lab.experiment, {"ids": (), "tokens": (), "said_nats": (), "choice_entropy_nats": ()}, {})
    assert [claim.holds(silent) for claim in lab.claims] == [True, True, False, False, False]


def test_a_sampled_base_does_not_break_an_exact_claim():
    lab = lab_named(TEMPERATURE)
    decoding = lab.experiment.decoding.model_copy(update={"do_sample": True})
    sampled = lab.experiment.model_copy(update={"decoding": decoding})
    assert lab.claims[0].holds(result(sampled, {}, {"set temperature 0": {"ids": (5,)}}))
    assert not lab.claims[0].holds(result(lab.experiment, {}, {"set temperature 0": {"ids": (5,)}}))


# ── takeaways: the numbers decide the words ──────────────────────────────────────────────────────────────────────────


def takeaway(name: str, change: dict[str, dict[str, Any]]) -> str:
    return lab_named(name).takeaway(altered(name, change))


def test_the_takeaway_of_the_slices_follows_the_numbers():
    rising = takeaway(EMBEDDINGS, {})
    assert "40 (BASE) to 41, 42, 45, 60, 90 as dims 0:64, 0:96, 0:128, 0:160, 0:192 are zeroed" in rising
    for steps, opening in (
        ((41, 42, 45, 60, 90), "Each wider slice of the embeddings hurts more: "),
        ((41, 39, 45, 60, 90), "Wide slices of the embeddings hurt, though not step by step: "),
        ((40, 40, 40.1, 40, 40.2), "Slices of the embeddings hardly matter here: "),
        ((40.01, 40.02, 40.03, 40.04, 40.05), "Slices of the embeddings hardly matter here: "),
        ((40, 39, 38, 37, 30), "Slices of the embeddings do not hurt here: "),
    ):
        assert takeaway(EMBEDDINGS, slices(*steps)).startswith(opening)
    lab = lab_named(EMBEDDINGS)
    silent = lab.experiment.model_copy(update={"read": None})
    unread = result(silent, {}, {"zero embed dims 0:192": {"perplexity": 9.0}})
    assert "Zeroing embed dims 0:192 raises the perplexity of BASE's text: 3 (BASE), 9 (TWEAK)" in lab.takeaway(unread)


def test_the_takeaway_of_the_head_follows_the_numbers():
    line = takeaway(HEAD, {})
    assert line.startswith("Averaging heads 5.2, 5.5, 5.0, 5.3, 5.1 and 5.7 takes ' Wusto' from 74 % to 1.8 %; ")
    assert "; zeroing head 5.2 alone leaves 55 %; " in line
    assert "the likeliest token was ' a', now '⏎'" in line
    assert "the likeliest token stays ' a'" in takeaway(HEAD, {TEAM: {"next": NEXT[:1]}})
    alone = lab_named(HEAD).takeaway(result(Experiment.of({"prompt": "x", "tweaks": ["zero head 5.2"]}), {}, {}))
    assert "Zeroing head 5.2 moves the next prediction by 0 nats (KL);" in alone  # no target, no others told of
    assert "alone leaves" not in alone


def test_the_takeaway_of_the_temperature_follows_the_numbers():
    line = takeaway(TEMPERATURE, {})
    assert line.startswith("Setting temperature 1.2 and setting top_k 40 makes the model say what it finds less likely")
    assert "less likely (−3 nats/token; BASE −1 nats/token)" in line
    assert "repeat itself less (100.0 % of its pairs of tokens are distinct; BASE 66.7 %)" in line
    turned = takeaway(TEMPERATURE, {HOT: {"said_nats": (-0.5,) * 4, "ids": (1, 1, 1, 1)}})
    assert "finds likelier" in turned
    assert "repeat itself more" in turned
    same = takeaway(TEMPERATURE, {HOT: LOOP | {"said_nats": (-1.0,) * 4}})
    assert "finds as likely" in same
    assert "repeat itself as much" in same


@each_lab
@pytest.mark.parametrize("line", ["zero head 1.4", "set temperature 3"])
def test_a_takeaway_is_drafted_for_tweaks_and_prompts_of_ones_own(lab: Lab, line: str):
    own = Experiment.of({"prompt": "x", "tweaks": [line]})
    hostile = (Candidate(id=1, text="a\n\x1b[31m\u202e", base=0.9, tweak=0.9),)
    for change in ({}, {"ids": (), "said_nats": ()}, {"perplexity": 300.0}, {"next": hostile}, {"kl_nats": kl(1e-9)}):
        drafted = lab.takeaway(result(own, {}, {line: change}))
        assert doing(Stack.of(line)) in drafted
        assert drafted.isprintable()  # so it is one line, too
        assert "nan" not in drafted.lower().split()
        assert drafted.endswith(".")
    moved = {"perplexity": 300.0, "said_nats": (-9.0,) * 4, "kl_nats": kl(1.0), "entropy_nats": (2.0,) * 6}
    moved |= {
        "target_nats": -9.0,
        "read_perplexity": 300.0,
        "ahead_nats": -2.0,
        "text": " d c b a",
        "ids": (4, 3, 2, 1),
    }
    told = {lab.takeaway(result(own, {}, {line: change})) for change in ({}, moved)}
    assert len(told) == 2


# ── a lab with tweaks of one's own ───────────────────────────────────────────────────────────────────────────────────


@each_lab
def test_with_tweaks_of_ones_own_a_lab_claims_nothing(fruitfly: Any, lab: Lab):
    own = lab.experiment.model_copy(update={"tweaks": (Stack.of("zero head 1.4"),)})
    outcome = fruitfly.run_lab(lab, own, steps=False)
    assert outcome.verdicts == ()
    assert "Zeroing head 1.4" in outcome.takeaway
