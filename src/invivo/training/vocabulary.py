"""The byte-level BPE (Sennrich et al. 2016, on GPT-2's alphabet of bytes), saved in Hugging Face's format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Tokenizer, PreTrainedTokenizerBase

from .corpus import SEPARATOR, CorpusError, Source
from .files import write_folder

BOOK_BYTES = 24_000_000  # of a large source, enough for merge statistics; the rest would only cost time


def sample(sources: list[Source]) -> Iterator[str]:
    """What the merges are learned from: small sources whole, large ones spread evenly up to BOOK_BYTES."""
    for source in sources:
        if source.group != "large":
            yield from source.train
        else:
            share = min(1.0, BOOK_BYTES / source.characters)
            yield from (d[: int(len(d) * share)] for d in source.train)


def train_tokenizer(sources: list[Source], size: int, folder: Path, context: int) -> PreTrainedTokenizerBase:
    """A byte-level BPE of `size` pieces (256 bytes, merges, one end-of-text token), written to `folder`.

    A merge must have been seen twice. CorpusError where the text has fewer such merges than `size` asks for.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample(sources), trainer)
    if (learned := tokenizer.get_vocab_size()) < size:
        raise CorpusError(
            f"too little text for a vocabulary of {size:,}: only {learned:,} pieces occur in it twice",
            hint=f"give more text, or --vocabulary {learned}",
        )
    fast = GPT2Tokenizer(
        tokenizer_object=tokenizer,
        bos_token=SEPARATOR,
        eos_token=SEPARATOR,
        unk_token=SEPARATOR,
        pad_token=SEPARATOR,
        model_max_length=context,
    )
    write_folder(folder, fast.save_pretrained)
    return fast
