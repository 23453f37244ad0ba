"""Texts that begin in the middle of a book: with a name that is one token later on and several at a text's start.

A word with a blank before it has other tokens than the same word where a text begins, and a rare name is cut into
pieces there: " Cecily" is one token, "Cecily" three. Only text that begins so can teach that these are one name, and
whole books begin but once. So excerpts begin at such a word, wherever it stands, if it comes again soon.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from transformers import PreTrainedTokenizerBase

from invivo.training.corpus import Source

NAME = "starts"  # of the source, and of its share in a stage's mix
SOON = 200  # characters within which the word comes again: about fifty tokens
BEHIND = 60  # characters that follow where it comes again
EACH = 150  # excerpts that begin with one word at most, so that those of a frequent name are not most of all
WORD = re.compile(r"(?<= )[A-Z][a-z]+\b")


def starts(sources: Sequence[Source], tokenizer: PreTrainedTokenizerBase) -> Source:
    """Excerpts of the training and of the held-out documents. Where the first word comes again is the answer."""

    @cache
    def is_cut(word: str) -> bool:
        return len(tokenizer.tokenize(word)) > 1 == len(tokenizer.tokenize(" " + word))

    def excerpts(documents: Iterable[str]) -> Iterator[tuple[str, int]]:
        count: Counter[str] = Counter()
        for document in documents:
            end = 0
            for found in WORD.finditer(document):
                word, at = found[0], found.start()
                if at < end or count[word] == EACH or not is_cut(word):
                    continue
                again = re.search(rf" {word}\b", document[at : at + SOON])
                if again:
                    count[word] += 1
                    end = at + again.start() + BEHIND
                    yield document[at:end], again.start()

    texts = [source for source in sources if not source.generated]
    train = list(excerpts(document for source in texts for document in source.train))
    heldout = tuple(text for text, _ in excerpts(document for source in texts for document in source.heldout))
    return Source(NAME, tuple(text for text, _ in train), heldout, True, tuple((again,) for _, again in train))
