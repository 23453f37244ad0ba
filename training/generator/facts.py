"""Facts: short texts that state what is so, one fact or a few of them, each in one of hundreds of phrasings.

They teach the model things it can be asked for without being told them first: what it says then comes out of its
weights, and one can look for where it is kept. All facts occur in training; what is held out is whole statements,
which no training text has with any subject, in any frame. So the test asks whether a fact has been learned, not whether
a sentence has. It does not ask for facts that were never stated: nobody could know them. The tables are in
`fact_table.py`.
"""

from __future__ import annotations

import random

from .fact_table import FACTS, FRAMES, HELDOUT, SCENES, STATEMENTS
from .item import Item, Split, a, capital
from .words import NAMES

__all__ = ["FACTS", "HELDOUT", "item", "partner", "test_items"]

SCENE = 0.25  # of the training sentences are scenes
SEVERAL = 0.6  # of the training texts state more than one fact
ALIKE = 0.5  # of those keep to one relation
TAILED = 0.25  # of the sentences that end in the answer go on after it

# What can follow any of the facts, so that an answer is not always the end.
TAILS = (
    ", and everyone knows it.",
    ", as you know.",
    ", of course.",
    ", and it has always been so.",
    ". That is easy.",
    ", and now you know it too.",
    ", they say.",
)

# Every fact is drawn equally often, not every relation: a day of the week is no more to be learned than a capital.
_ALL = tuple((relation, subject) for relation, table in FACTS.items() for subject in table)


def item(dice: random.Random, split: Split) -> Item:
    """A text with one fact; in training often with two to four, of which the last one is asked for."""
    if split == "test":
        relation, subject = dice.choice(_ALL)
        return _stated(relation, subject, dice.randrange(len(HELDOUT[relation])))
    several = dice.randint(2, 4) if dice.random() < SEVERAL else 1
    first = dice.choice(_ALL)
    pool = _ALL
    if several > 1 and dice.random() < ALIKE:
        pool = tuple(fact for fact in _ALL if fact[0] == first[0])
    facts = [first, *dice.sample([fact for fact in pool if fact != first], several - 1)]
    items = [_told(dice, relation, subject) for relation, subject in facts]
    *before, last = items
    others, size = [], 0
    for each in before:
        others.append(size + len(each.prompt))
        size += len(each.text) + 1
    return Item(
        key=tuple(part for each in items for part in each.key),
        prompt="".join(each.text + " " for each in before) + last.prompt,
        answer=last.answer,
        rest=last.rest,
        wrong=last.wrong,
        form=last.form,
        others=tuple(others),
    )


def test_items() -> list[Item]:
    """Every fact in every held-out phrasing."""
    return [
        _stated(relation, subject, number) for relation, subject in _ALL for number in range(len(HELDOUT[relation]))
    ]


def partner(relation: str, subject: str) -> str:
    """Another subject of the relation, with another answer: put in its place, it changes what should be said.

    The next one in the table that has as many words, or else the next. Never one whose answer is the subject itself
    (cold for hot): a model that merely repeats would be taken for one that was led astray.
    """
    table = FACTS[relation]
    names = list(table)
    place = names.index(subject)
    others = [other for other in names[place + 1 :] + names[:place] if table[other] not in (table[subject], subject)]
    return next((other for other in others if len(other.split()) == len(subject.split())), others[0])


def _told(dice: random.Random, relation: str, subject: str) -> Item:
    """One fact in a phrasing of the training texts, with people and perhaps a tail drawn for it."""
    n, m = dice.sample(NAMES, 2)
    if dice.random() < SCENE:
        return _put(relation, subject, dice.choice(SCENES[relation]), n, m)
    framed = dice.choice(FRAMES).replace("{it}", dice.choice(STATEMENTS[relation]))
    return _put(relation, subject, framed, n, m, dice.choice(TAILS) if dice.random() < TAILED else ".")


def _stated(relation: str, subject: str, number: int) -> Item:
    """One fact in a held-out statement, bare."""
    return _put(relation, subject, HELDOUT[relation][number] + ".")


def _put(relation: str, subject: str, sentence: str, n: str = "", m: str = "", tail: str = ".") -> Item:
    """One fact in one sentence; `tail` is put where the sentence would end with the answer."""
    prompt, rest = sentence.split(" *")
    named = [person for mark, person in (("{n}", n), ("{m}", m)) if mark in sentence]
    return Item(
        key=("fact", relation, sentence, subject, *named),
        prompt=capital(prompt.format(s=subject, a=a(subject), n=n, m=m)),
        answer=" " + FACTS[relation][subject],
        rest=(tail if rest == "." else rest).format(n=n, m=m),
        wrong=" " + FACTS[relation][partner(relation, subject)],
        form=relation,
    )
