"""Whether it reads like English: stories that go on from twenty openings, three times each.

Two figures that a machine can count. A 4-gram is four words in a row within one continuation; it is repeated if the
same four words, in small letters, stood earlier in that continuation. A word is known if it stands anywhere in the
training text. What they cannot see is whether the story makes sense: for that, ten samples are kept for people. They
are those of the first ten openings and the first seed, not chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .behaviour import Bar, Behaviour, Found, Subject
from .sampling import continued

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
SEEDS = (1, 2, 3)
TOKENS = 80
KEPT = 10
PROMPTS = (
    "Once upon a time there was a little girl who",
    "The old man sat by the fire and",
    "One morning the children found",
    "There was once a king who had three sons. The youngest",
    "It was raining, and the cat wanted to",
    "Tom and his sister went down to the river",
    '"Where are you going?" asked the fox.',
    "The ship had been at sea for many days when",
    "Mother put the bread on the table and said",
    "In the middle of the forest stood a small house",
    "Ben had a new red ball. He",
    "The teacher looked at the boy and smiled.",
    "Late at night the door opened slowly, and",
    "A bird with a broken wing lay in the garden",
    "The farmer's dog barked all day because",
    "Lily was afraid of the dark, but",
    "When the snow began to fall, the horses",
    "Grandfather liked to tell of the time when",
    "The little frog jumped out of the pond",
    "They climbed the hill until they could see",
)


def words_of(texts: Iterable[str]) -> set[str]:
    """The words of the texts in small letters. Each text is first cut at its blanks, which is faster than it looks."""
    pieces: set[str] = set()
    for text in texts:
        pieces.update(text.lower().split())
    return set(WORD.findall(" ".join(pieces)))


def spoken(text: str) -> list[str]:
    """The words of a continuation in small letters, without a last one that the end of the sample may have cut."""
    words = WORD.findall(text.lower())
    return words[:-1] if text and text[-1].isalpha() else words


def repeated(words: Sequence[str], size: int = 4) -> tuple[int, int]:
    """How many n-grams of `words` stood there before, and how many there are."""
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return len(grams) - len(set(grams)), len(grams)


def measure(subject: Subject, seeds: Sequence[int] = SEEDS, tokens: int = TOKENS) -> Found:
    """Shares of repeated 4-grams and of known words over all continuations together."""
    texts = [(seed, continued(subject, PROMPTS, tokens, seed)) for seed in seeds]
    said = [spoken(text) for _, several in texts for text in several]
    again, grams = (sum(column) for column in zip(*map(repeated, said), strict=True))
    number = sum(map(len, said))
    known = sum(word in subject.words for words in said for word in words)
    return Found(
        {
            "repeated_4_grams": again / grams if grams else float("nan"),
            "known_words": known / number if number else float("nan"),
            "words": number,
        },
        samples=[
            {"prompt": prompt, "seed": seed, "text": text}
            for seed, several in texts[:1]
            for prompt, text in zip(PROMPTS[:KEPT], several, strict=False)
        ],
    )


ENGLISH = Behaviour(
    asked=f"{len(PROMPTS)} story openings, {len(SEEDS)} seeds, temperature 0.8, {TOKENS} new tokens: share of 4-grams "
    "of words that stood earlier in the same continuation, share of words that the training text has",
    bars=(Bar("repeated_4_grams", at_most=0.05), Bar("known_words", at_least=0.99)),
    measure=measure,
    generated=False,
)
