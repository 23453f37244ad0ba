"""Excerpts that begin with a name: which words, from where, and that they tell where the name comes again."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from invivo.training.corpus import Source
from invivo.training.stream import encode
from invivo.training.vocabulary import train_tokenizer
from training import starts as module
from training.starts import SOON, starts


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """ " Cecily" and " Will" are one token, "Cecily" and "Will" several, "The" is one with and without a blank."""
    text = "The end of The dog saw Cecily and Will"
    return train_tokenizer([Source("s", (text,) * 40, ())], 282, tmp_path_factory.mktemp("tokenizer"), 64)


def of(*documents: str, heldout: tuple[str, ...] = ()) -> Source:
    return Source("books", documents, heldout)


def test_an_excerpt_begins_with_a_word_that_is_cut_there_and_whole_later(tokenizer: PreTrainedTokenizerBase) -> None:
    assert len(tokenizer.tokenize("Cecily")) > 1 == len(tokenizer.tokenize(" Cecily"))
    found = starts(
        [of("One day Cecily ran, and The dog saw The end. Then Cecily fell." + " So it went on." * 20)], tokenizer
    )
    (text,), ((at,),) = found.train, found.answers
    assert text.startswith("Cecily ran, and The dog")
    assert text[at:].startswith(" Cecily fell.")
    assert len(text) == at + module.BEHIND
    assert (found.group, found.heldout) == ("starts", ())


def test_the_answer_is_the_whole_name_as_a_token(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    found = starts([of("and Will saw Williams, and then Will went home with Cecily")], tokenizer)
    tokens = encode(found, found.train, tokenizer, tmp_path / "starts.npy", found.answers)
    assert tokens.answers is not None
    assert [tokenizer.decode(i) for i in tokens.ids[tokens.answers == 1]] == [" Will"]
    assert str(tokenizer.decode(tokens.ids[: tokens.answers.argmax()])).endswith("Will saw Williams, and then")


@pytest.mark.parametrize(
    "document",
    [
        "and Cecily ran home alone",  # does not come again
        "and Cecily ran" + " on" * SOON + " to Cecily",  # not soon
        "and The dog saw The end",  # one token at a start, too
        "Cecily saw Cecily",  # a text of its own begins with it, and the second one stands alone
        "and Tom and the other Tom ran",  # several tokens later on, too
    ],
)
def test_other_words_begin_nothing(document: str, tokenizer: PreTrainedTokenizerBase) -> None:
    assert starts([of(document)], tokenizer).train == ()


def test_no_word_begins_most_and_excerpts_do_not_overlap(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EACH", 3)
    often = "so Cecily ran and Cecily fell and Cecily laughed. " + "The end. " * 10
    found = starts([of(often * 9), of(often, "and Will met Will")], tokenizer)
    assert [text.split()[0] for text in found.train] == ["Cecily"] * 3 + ["Will"]
    assert all(text.startswith("Cecily ran and Cecily fell") for text in found.train[:3])


def test_held_out_documents_and_generated_texts_stay_out_of_training(tokenizer: PreTrainedTokenizerBase) -> None:
    seen, never, made = (f"so Cecily {word} and Cecily fell" for word in ("ran", "hid", "sang"))
    found = starts([of(seen, heldout=(never,)), Source("facts", (made,), (made,), True)], tokenizer)
    assert [t.split()[1] for t in found.train] == ["ran"]
    assert [t.split()[1] for t in found.heldout] == ["hid"]
