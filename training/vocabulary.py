"""The byte-level BPE: trained on the corpus, saved in Hugging Face's format (Sennrich et al. 2016; GPT-2's byte alphabet)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2TokenizerFast, PreTrainedTokenizerFast

from .corpus import SEPARATOR, Source

BOOK_BYTES = 24_000_000  # of a large source, enough for merge statistics; the rest would only cost time


def sample(sources: list[Source]) -> Iterator[str]:
    """What the merges are learned from: small sources whole, large ones spread evenly up to BOOK_BYTES."""
    for source in sources:
        if source.small:
            yield from source.train
        else:
            share = min(1.0, BOOK_BYTES / sum(map(len, source.train)))
            yield from (d[: int(len(d) * share)] for d in source.train)


def train_tokenizer(sources: list[Source], size: int, folder: Path, context: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `size` pieces (256 bytes, merges, one end-of-text token), written to `folder`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[SEPARATOR], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False)
    tokenizer.train_from_iterator(sample(sources), trainer)
    fast = GPT2TokenizerFast(tokenizer_object=tokenizer, bos_token=SEPARATOR, eos_token=SEPARATOR,
                             unk_token=SEPARATOR, pad_token=SEPARATOR, model_max_length=context)
    fast.save_pretrained(folder)
    return fast
