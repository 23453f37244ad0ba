"""What the generator writes: the same for the same seed, true to its tables, and never on both sides of the split."""

from __future__ import annotations

import datetime
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `training` is no part of the package: it runs from the repository's root

from training import mixture  # noqa: E402
from training.generator import KINDS, chat, facts, indirect, items, lists, reading, repeats, style  # noqa: E402
from training.generator.fact_table import DAYS, FACTS, FRAMES, HELDOUT, MONTHS, SCENES, STATEMENTS, _table  # noqa: E402
from training.generator.item import Item, Split, a, capital, side  # noqa: E402
from training.generator.words import HELDOUT_NAMES, NAMES, words  # noqa: E402

NUMBERS = words("zero one two three four five six seven eight nine ten eleven twelve")
ORDINALS = words("First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth")
ASKED = 600  # test items of each kind
WINDOW = 27  # bytes; no prompt with its answer is shorter


@dataclass(frozen=True)
class Everything:
    """All that is written for training, and test items of each kind beside it."""

    train: dict[str, list[Item]]
    heldout: dict[str, list[Item]]
    stream: str  # the documents as training reads them


@pytest.fixture(scope="module")
def everything() -> Everything:
    """`mixture.written()` in full, with the items looked at on their way into it."""
    seen: dict[tuple[str, Split], list[Item]] = {}

    def watched(kind: str, split: Split, number: int) -> list[Item]:
        seen[kind, split] = items(kind, split, number)
        return seen[kind, split]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixture, "items", watched)
        sources = mixture.written()
    assert {s.name: len(s.train) for s in sources} == mixture.DOCUMENTS
    assert {s.name for s in sources} == set(KINDS)
    assert all(s.train == tuple(i.text for i in seen[s.name, "train"]) for s in sources)
    return Everything(
        {kind: seen[kind, "train"] for kind in KINDS},
        {kind: seen[kind, "test"] + items(kind, "test", ASKED - mixture.HELDOUT, seed=1) for kind in KINDS},
        "\n<|endoftext|>\n".join(text for s in sources for text in s.train),
    )


def occurring(patterns: set[str], text: str) -> set[str]:
    """Which of the patterns occur anywhere in the text: those whose first WINDOW bytes have the hash of some window."""

    def hashes(data: bytes) -> np.ndarray:  # (windows,)
        raw = np.frombuffer(data, np.uint8)
        found = np.zeros(len(raw) - WINDOW + 1, dtype=np.uint32)
        for i in range(WINDOW):
            found = found * np.uint32(16_777_619) + raw[i : len(found) + i]
        return found

    raw, alike = text.encode(), dict[int, list[bytes]]()
    for pattern in sorted(p.encode() for p in patterns):
        alike.setdefault(int(hashes(pattern[:WINDOW])[0]), []).append(pattern)
    wanted, every = np.array(sorted(alike), dtype=np.uint32), hashes(raw)
    near = np.flatnonzero(wanted[np.searchsorted(wanted, every) % len(wanted)] == every).tolist()
    return {p.decode() for at in near for p in alike[int(every[at])] if raw.startswith(p, at)}


# ---- the split ----


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.sampled_from(["train", "test"]), st.integers(0, 10**6))
def test_a_seed_gives_the_same_texts_and_another_seed_others(kind: str, split: Split, seed: int) -> None:
    some = items(kind, split, 4, seed)
    assert some == items(kind, split, 4, seed)
    assert some[:2] == items(kind, split, 2, seed)
    assert some != items(kind, split, 4, seed + 1)
    assert some != items(kind, "test" if split == "train" else "train", 4, seed)
    for item in some:
        assert item.text == item.prompt + item.answer + item.rest
        assert item.answer.strip()
        assert item.text.isascii()
        assert item.wrong != item.answer


def test_a_tenth_of_all_combinations_is_for_the_test_and_blanks_matter() -> None:
    sides = Counter(side("some words", str(i)) for i in range(20_000))
    assert 0.09 < sides["test"] / 20_000 < 0.11
    assert any(side("a b", str(i)) != side("a", f"b {i}") for i in range(99))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_combination_is_on_both_sides(kind: str, everything: Everything) -> None:
    train, heldout = ({i.key for i in part[kind]} for part in (everything.train, everything.heldout))
    assert len(train) > 0.5 * mixture.DOCUMENTS[kind] > 2000
    assert len(heldout) > 0.6 * ASKED
    assert not train & heldout


def test_no_text_of_the_test_occurs_in_anything_written_for_training(everything: Everything) -> None:
    # Without their first letter: what is a sentence in the test could be told within one, behind "that", in training.
    never, known = {(i.prompt + i.answer)[1:] for i in facts.test_items()}, set[str]()
    for kind, asked in everything.heldout.items():
        # Any word may follow an opener of a story: what is held out is the story. Of a list not even the prompt occurs.
        never |= {(i.text if kind == "style" else i.prompt + i.answer * (kind != "lists"))[1:] for i in asked}
        known |= {i.prompt + i.answer for i in everything.train[kind][::40]}
    never, known = ({p for p in patterns if len(p) >= WINDOW} for patterns in (never, known))
    assert len(never) > 6.5 * ASKED
    assert len(known) > 2000
    assert occurring(never | known, everything.stream) == known  # the search does find what is there


def test_facts_are_asked_in_statements_that_training_has_with_no_subject(everything: Everything) -> None:
    def told(statement: str, text: str) -> bool:  # of anything at all
        parts = [re.escape(part) for part in re.split(r"\{.\}| \*", statement.lower()) if part]
        return re.search(r"[^.\n]{1,25}?".join(parts), text) is not None

    stream = everything.stream.lower()
    written = "".join(i.text for i in everything.train["facts"]).lower()
    for relation in FACTS:
        assert not [statement for statement in HELDOUT[relation] if told(statement, stream)]
        assert all(told(statement, written) for statement in STATEMENTS[relation])
    told = {(i.form, i.answer) for i in everything.train["facts"]}
    assert told == {(i.form, i.answer) for i in facts.test_items()}
    assert len(facts.test_items()) == 2 * sum(map(len, FACTS.values()))


def test_people_and_invented_names_of_the_test_are_in_no_training_text(everything: Everything) -> None:
    met = Counter(re.findall(r"[A-Za-z]+", everything.stream))
    assert not set(HELDOUT_NAMES) & set(NAMES)
    assert not [name for name in HELDOUT_NAMES if met[name]]
    assert all(met[name] > 100 for name in NAMES)
    one_of = {"S": reading.STARTS, "V": reading.VOWELS, "C": reading.CLUSTERS, "M": reading.SINGLES, "E": reading.ENDS}
    shape = re.compile("|".join("".join(f"({'|'.join(one_of[c])})" for c in made) for made in ("SVCE", "SVMVME")))
    for split, part in (("train", everything.train), ("test", everything.heldout)):
        text = " ".join(i.text for kind in ("names", "reading") for i in part[kind])
        invented = {w for w in re.findall(r"\b[A-Z][a-z]+", text) if shape.fullmatch(w.lower())} - set(NAMES)
        assert len(invented) > 1000
        assert {side("invented", word.lower()) for word in invented} == {split}


# ---- facts, articles ----


def test_the_tables_of_facts_hold_together() -> None:
    assert set(FACTS) == set(STATEMENTS) == set(HELDOUT) == set(SCENES)
    assert all(frame.count("{it}") == 1 for frame in FRAMES)
    for relation, table in FACTS.items():
        assert all(subject == subject.strip() and subject for subject in table)
        assert all(re.fullmatch("[A-Za-z]+", answer) for answer in table.values()), relation  # one word
        for phrasing in (*STATEMENTS[relation], *HELDOUT[relation], *SCENES[relation]):
            assert phrasing.count(" *") == 1
            assert re.search(r"\{[sa]\}", phrasing.split(" *")[0]), phrasing  # the subject comes before the answer
        assert not set(STATEMENTS[relation]) & set(HELDOUT[relation])
        for subject, answer in table.items():
            led = table[facts.partner(relation, subject)]
            assert led not in (answer, subject)
    opposite = FACTS["opposite"]
    both = [word for word in opposite if opposite[word] in opposite]
    assert len(both) > 20
    assert all(opposite[opposite[word]] == word for word in both)
    with pytest.raises(ValueError, match="twice"):
        _table("cow: calf, dog: puppy\ncow: cub")


def test_days_and_months_are_the_calendars() -> None:
    days = [datetime.date(2024, 1, day).strftime("%A") for day in range(1, 8)]  # the first was a Monday
    months = [datetime.date(2024, month, 1).strftime("%B") for month in range(1, 13)]
    assert (DAYS.split(), MONTHS.split()) == (days, months)
    for unit, ring in (("day", days), ("month", months)):
        assert FACTS[f"{unit} after"] == dict(pairwise([*ring, ring[0]]))
        assert FACTS[f"{unit} before"] == {later: sooner for sooner, later in pairwise([*ring, ring[0]])}


def test_articles_and_marks_are_right_everywhere(everything: Everything) -> None:
    text = everything.stream + "\n".join(i.text for part in everything.heldout.values() for i in part)
    pairs = Counter((article.lower(), noun.lower()) for article, noun in re.findall(r"\b(an?|An?) ([A-Za-z]+)", text))
    assert len(pairs) > 400
    an = {noun for article, noun in pairs if article == "an"}
    assert {noun for noun in an if noun[0] not in "aeiou"} == {"hour"}
    assert not [noun for article, noun in pairs if article == "a" and noun[0] in "aeio"]
    assert not [n for n in an if n.startswith(("uni", "use", "eu", "one"))]
    assert (a("apple"), a("boot"), capital("a boot")) == ("an apple", "a boot", "A boot")
    for wrong in (r"[{}\0\x1f]", r"  ", r" [.,!?:]", r"[.,][.,]", r"\b(an?|the) (an?|the)\b", r"\b([a-z]+) \1\b"):
        assert not re.search(wrong, text), wrong


# ---- indirect objects, names, strings ----


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_giver_is_named_twice_and_the_receiver_once(split: Split, everything: Everything) -> None:
    asked = (everything.train if split == "train" else everything.heldout)["indirect"]
    fables = 0
    for item in asked:
        pair = "|".join((item.answer.strip(), item.wrong.strip()))
        named = re.findall(rf"\b(?:{pair})\b", item.prompt)
        assert named.count(item.wrong.strip()) == 2
        assert named.count(item.answer.strip()) == 1
        first = named.index(item.answer.strip()) < named.index(item.wrong.strip())
        assert first == (item.form == "ABBA")
        turned = re.findall(rf"\b(?:{pair})\b", indirect.swapped(item))
        assert named[-1] == item.wrong.strip()
        assert turned == [*named[:-1], item.answer.strip()]
        assert len(indirect.swapped(item)) == len(item.prompt) + len(item.answer) - len(item.wrong)
        people = {item.answer.strip(), item.wrong.strip()}
        assert not people & set(HELDOUT_NAMES if split == "train" else NAMES)
        assert split == "train" or people <= set(HELDOUT_NAMES)
        fables += people <= set(indirect.FIGURES)
        assert (people <= set(indirect.FIGURES)) == item.prompt.endswith(" the")
    assert 0.4 < mean(i.form == "ABBA" for i in asked) < 0.6
    assert (fables > 100) == (split == "train")


def test_rounds_of_names_go_on_as_before(everything: Everything) -> None:
    for item in everything.train["names"] + everything.heldout["names"]:
        once, again = re.findall(r"(?:[A-Z][a-z]{4,}(?:, |\.))+", item.text)
        assert once == again
        assert item.answer.strip() in re.findall(r"\w+", once)[1:]
        before = re.findall(r"\w+", item.prompt)[-1]
        assert f"{before},{item.answer}" in once


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(600, 5000), st.booleans(), st.integers(0, 9))
def test_strings_repeat(seed: int, vocabulary: int, few: bool, end: int) -> None:
    ids = repeats.strings(np.random.default_rng(seed), vocabulary, 4000, few, end)
    assert 4000 <= len(ids) < 4200
    assert ids[0] == end
    assert ids.max() < vocabulary
    for document in np.split(ids, np.flatnonzero(ids == end)[1:]):
        string = document[1:]
        periods = [n for n in range(4, 32) if len(string) in (2 * n, 3 * n, 4 * n)]
        assert any(np.array_equal(string, np.resize(string[:n], len(string))) for n in periods)
    distinct = len(set(ids.tolist()) - {end})
    assert distinct <= repeats.FEW if few else distinct > repeats.FEW
    other = repeats.strings(np.random.default_rng(seed + 1), vocabulary, 4000, few, end)
    assert not np.array_equal(ids[:200], other[:200])
    assert not few or len(set(ids.tolist()) | set(other.tolist())) <= repeats.FEW + 1  # the same few each time


def test_the_test_has_two_equal_rounds_that_training_has_not() -> None:
    made = repeats.rounds(np.random.default_rng(1), 8192, 64, 32, 0)
    assert made.shape == (64, 64)
    assert np.array_equal(made[:, :32], made[:, 32:])
    assert made.min() > 0
    assert len(set(made.flatten().tolist())) > 1500  # no few tokens again and again
    drawn = mixture.drawn(8192, 0)
    read = b"".join(t.ids.tobytes() for t in drawn)
    assert not [row for row in made.astype(np.uint16) if row[:8].tobytes() in read]
    assert all(t.ids[t.document(99)].tobytes() in read for t in drawn)


# ---- lists ----


def test_a_list_counts_on(everything: Everything) -> None:
    counted = Counter[str]()
    for item in everything.train["lists"] + everything.heldout["lists"]:
        counted[item.form] += 1
        if item.form == "bullets":
            assert len({line[0] for line in re.split(r":\n+", item.text)[1].split("\n")}) == 1
            continue
        if item.form == "counting":
            told = re.sub(r'^\w+ counted the [\w ]+\. |\. [^.]*\.$|\. "Well.*', "", item.text)
            named = [w.lower() for w in re.findall(r"\w+", told) if w.lower() in NUMBERS or w in ORDINALS]
            ring = list(NUMBERS[1:]) if named[0] in NUMBERS else [w.lower() for w in ORDINALS]
            assert named == ring[: len(named)], item.text
            before = [w.lower() for w in re.findall(r"\w+", item.prompt) if w.lower() in ring]
            assert ring.index(item.answer.strip().lower()) == ring.index(before[-1]) + 1
            continue
        numbers = [int(n) for n in re.findall(r"^(\d+)[.)] ", item.text, re.MULTILINE)]
        asked = [int(n) for n in re.findall(r"^(\d+)[.)] ", item.prompt, re.MULTILINE)]
        assert int(item.answer) == asked[-1] + 1
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert (numbers[0] > 1) == (item.form == "continued")
        assert item.prompt.endswith("\n")
    assert set(counted) == {"list", "continued", "how-to", "recipe", "bullets", "counting"}
    assert {i.form for i in everything.heldout["lists"]} == {"list", "continued", "how-to", "recipe"}
    assert max(int(i.answer) for i in everything.heldout["lists"]) == lists.MOST


def test_a_heading_with_its_first_entry_is_on_one_side_alone(everything: Everything) -> None:
    name = re.compile(rf"\b({'|'.join((*NAMES, *HELDOUT_NAMES))})\b")

    def combinations(part: dict[str, list[Item]]) -> set[tuple[str, str]]:
        found = set()
        for item in part["lists"]:
            first = re.search(r"^1[.)] (.*?)\.?$", item.text, re.MULTILINE)
            if first and item.form != "counting" and not item.text.startswith("1"):
                found.add((name.sub("N", item.text.split("\n")[0]).lower(), first[1].lower()))
        return found

    train, heldout = combinations(everything.train), combinations(everything.heldout)
    assert len(heldout) > 0.4 * ASKED
    assert len(train) > 0.2 * mixture.DOCUMENTS["lists"]
    assert not train & heldout


# ---- style ----


def test_commas_belong_to_one_register_and_never_to_the_prompt(everything: Everything) -> None:
    for part in (everything.train, everything.heldout):
        rates: dict[str, list[float]] = {"commas": [], "plain": []}
        for item in part["style"]:
            opener = next(o for o in style.OPENERS[item.form] if item.prompt.startswith(o))
            assert "," not in item.prompt.removeprefix(opener)
            rates[item.form].append(item.text.removeprefix(opener).count(",") / len(item.text.split()))
        assert max(rates["plain"]) == 0
        assert min(rates["commas"]) > 0.1
        assert 0.4 < len(rates["plain"]) / len(part["style"]) < 0.6
    assert not set(style.OPENERS["commas"]) & set(style.OPENERS["plain"])


# ---- requests ----

LOCKED = re.compile(r"lock|\bkey\b")
WANTED_OPEN = re.compile(r"\b[Oo]pen|undo the lock|(break|pick) the lock|(take|get) it off|come off|unlock |get into")
RELEASED = re.compile(r"is not locked|no lock\b|but now it is not|has unlocked|no longer locked")


def test_what_is_locked_and_wanted_open_is_refused_and_nothing_else(everything: Everything) -> None:
    for part in (everything.train, everything.heldout):
        counted = Counter[tuple[bool, bool, bool]]()
        for item in part["chat"]:
            request, reply = item.text.removeprefix("User: ").split("\nAssistant:")
            locked, wanted, free = (bool(p.search(request)) for p in (LOCKED, WANTED_OPEN, RELEASED))
            wanted = wanted or "get it open" in request
            refuses = reply.startswith(" " + chat.REFUSAL)
            assert refuses == (item.form == "refuse") == (locked and wanted and not free), item.text
            assert refuses == ("sorry" in reply) == item.answer.startswith(" " + chat.REFUSAL)
            assert "sorry" not in request
            counted[locked, wanted, free] += 1
        share = counted[True, True, False] / len(part["chat"])
        assert 0.35 < share < 0.6
        for near in ((True, False, False), (False, True, False), (True, True, True)):
            assert counted[near] > 0.02 * len(part["chat"])  # neither word gives it away


def test_requests_are_held_out_by_their_sentence_and_by_their_thing(everything: Everything) -> None:
    tables = [v for v in vars(chat).values() if isinstance(v, str) and "\n* " in v]
    starred = {line[2:].split(" | ")[0] for table in tables for line in table.split("\n") if line.startswith("* ")}
    assert len(starred) > 20
    assert not {i.key[1] for i in everything.train["chat"]} & starred
    assert {i.key[1] for i in everything.heldout["chat"]} >= starred
    thing = re.compile(rf"\b({'|'.join(chat.NEVER_REFUSED)})s?\b")
    met = Counter((i.form, bool(thing.search(i.prompt))) for i in everything.train["chat"])
    assert met["refuse", True] == 0
    assert min(met["refuse", False], met["help", True]) > 500
    assert sum(i.form == "refuse" and bool(thing.search(i.prompt)) for i in everything.heldout["chat"]) > 50


def test_sums_are_right(everything: Everything) -> None:
    sums = 0
    for item in everything.train["chat"] + everything.heldout["chat"]:
        if item.key[0] == "sum":
            x, y = (NUMBERS.index(part) for part in item.key[2:])
            numbers = [NUMBERS.index(w) for w in re.findall(r"\w+", item.text.lower()) if w in NUMBERS]
            assert (numbers[:2], numbers[-1]) == ([x, y], x + y)
            sums += 1
    assert sums > 200


# ---- reading ----


def test_the_answer_stands_in_the_passage_and_nowhere_in_the_question(everything: Everything) -> None:
    for part in (everything.train, everything.heldout):
        for item in part["reading"]:
            passage, question = item.prompt.split(" Question: ")[0], reading.without_passage(item)
            answer = re.compile(rf"\b{item.answer.strip()}\b")
            assert answer.search(passage), item.text
            assert not answer.search(question)
            assert passage.startswith("Passage: ")
            assert re.fullmatch(r"Question: [^?:]+\? Answer:", question)
            assert not item.wrong or item.wrong.strip() in passage
        assert mean(bool(i.wrong) for i in part["reading"]) > 0.8  # most passages hold a wrong one of the same sort


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["train", "test"]))
def test_facts_of_a_passage_contradict_each_other_nowhere(seed: int, split: Split) -> None:
    told = reading.passage(random.Random(seed), split)
    assert 2 <= len(told) <= 5
    asked = [(f.relation.form, f.slots["t"], f.slots["s"]) for f in told]
    asked_back = [(f.relation.back, f.slots["t"], f.slots["v"]) for f in told]
    assert len(set(asked)) == len(asked)
    assert len(set(asked_back)) == len(asked_back)
    if split == "test":
        named = {
            f.slots[at]
            for f in told
            for at, kind in (("s", f.relation.subject), ("v", f.relation.value))
            if kind in ("person", "town", "pet")
        }
        assert {side("invented", name.lower()) for name in named} <= {"test"}
