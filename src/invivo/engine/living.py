"""A model that is awake: weights, tokenizer and anatomy together, with its attention opened and checked.

`wake` switches a loaded model to our attention function and ends with a check on a short input: BASE gives stock
logits, and attention weights sum to one. A model that fails is refused, because every number after that would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import torch
from torch import Tensor

from ..errors import BadText, OutOfRange, Refused
from ..model import anatomy as parts
from ..model import attention, probe
from ..model.load import Loaded, quiet
from .forward import watched


@dataclass(frozen=True)
class TokenInfo:
    """One token of a text."""

    id: int
    text: str
    bytes: bytes


@dataclass(frozen=True)
class Living:
    """A checked model: what the engine works on."""

    hf: Any
    tokenizer: Any
    anatomy: parts.Anatomy
    name: str
    revision: str
    allowed: tuple[str, ...] = ()
    _lock: RLock = field(default_factory=RLock, repr=False, compare=False)
    _doing: list[str] = field(default_factory=list, repr=False, compare=False)
    seconds: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # models that tweaks made of it
    collections: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)  # passages, with their vectors

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        """Inside, no other thread runs this model, because hooks are seen by all of them; and it is in evaluation mode.

        Raises Refused where the same thread is already inside something that `doing` would disturb: BASE is never
        tweaked, and a run does not start within another.
        """
        with self._lock:
            if "compare" in self._doing:
                raise Refused(f"a comparison is running on {self.name}", hint="wait for it, or load the model twice")
            if doing == "compare" and "tweaked" in self._doing:
                raise Refused(
                    "a comparison inside `model.tweaked` would have a tweaked BASE",
                    hint="leave the `with` block first, or give the tweaks to `compare`",
                )
            training = self.hf.training
            self.hf.eval()
            self._doing.append(doing)
            try:
                yield
            finally:
                self._doing.pop()
                self.hf.train(training)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.hf.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of its weights."""
        return self.hf.dtype

    def encode(self, text: str, what: str = "prompt", special: bool = True) -> list[int]:
        """Token ids. Raises BadText for a text that is empty or no Unicode, OutOfRange for one beyond the context."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadText(f"the {what} is not Unicode text, from character {error.start} on") from None
        ids = self.tokenizer(text, add_special_tokens=special, verbose=False).input_ids if text else []
        if not ids:
            raise BadText(f"the {what} is empty", hint="give at least one character to read")
        if max(ids) >= self.anatomy.inputs:
            raise BadText(
                f"the {what} has a token that {self.name} has no embedding for (id {max(ids)})",
                hint="its tokenizer and its weights do not belong together",
            )
        if len(ids) > self.anatomy.context:
            raise OutOfRange(
                f"the {what} has {len(ids):,} tokens; {self.name} reads at most {self.anatomy.context:,}",
                hint="shorten it, or take a model with a longer context",
            )
        return ids

    def single_token(self, text: str) -> int:
        """The id of a text that is one token. Raises BadText, with the pieces it is made of."""
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        if len(ids) != 1:
            pieces = " ".join(repr(self.piece(i).text) for i in ids)
            raise BadText(
                f"{text!r} is {len(ids)} tokens for {self.name}: {pieces}",
                hint=f'name one of them, for example {self.piece(ids[0]).text!r}; a leading space counts: " the"',
            )
        return ids[0]

    def piece(self, token: int) -> TokenInfo:
        """A token's text, and its bytes where the vocabulary is byte-level. A part of a character is shown in hex."""
        text = self.tokenizer.decode([token], clean_up_tokenization_spaces=False)
        raw = text.encode()
        symbol = self.tokenizer.convert_ids_to_tokens(token)
        if symbol is None:  # the vocabulary is padded past the tokenizer
            return TokenInfo(token, f"<id {token}>", b"")
        if isinstance(symbol, str) and symbol and all(c in BYTE_OF for c in symbol):
            raw = bytes(BYTE_OF[c] for c in symbol)
        elif isinstance(symbol, str) and len(symbol) == 6 and symbol.startswith("<0x"):
            raw = bytes([int(symbol[3:5], 16)])
        elif isinstance(symbol, str) and symbol.startswith("\u2581"):  # SentencePiece drops the space of a lone token
            text = symbol.replace("\u2581", " ")
            raw = text.encode()
        if "\ufffd" in text:
            text = raw.decode("utf-8", errors="backslashreplace")
        return TokenInfo(token, text, raw)


def _byte_alphabet() -> dict[str, int]:
    """The printable stand-ins that byte-level BPE writes bytes with (Radford et al. 2019), back to the bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(rest)}


BYTE_OF = _byte_alphabet()


@torch.no_grad()
def wake(loaded: Loaded) -> Living:
    """Open a loaded model's attention, find its parts, and check that BASE still is what transformers gives."""
    attention.register()
    hf = loaded.hf
    vocabulary = hf.get_input_embeddings().weight.shape[0]
    ids = probe.probe_ids(vocabulary, hf.device)
    stock = hf(input_ids=ids, use_cache=False).logits
    with quiet(), suppress(ValueError):  # families outside the interface are told apart by the anatomy, by name
        hf.set_attn_implementation(attention.NAME)
    anatomy, ours = probe.find(hf, ids)
    living = Living(hf, loaded.tokenizer, anatomy, loaded.name, loaded.revision, loaded.allowed)
    check(living, ids, stock, ours)
    return living


def check(living: Living, ids: Tensor, stock: Tensor, ours: Tensor) -> None:
    """Refuse a model in which our view is not what the model computes."""
    loose = 1e-5 if stock.dtype in (torch.float32, torch.float64) else 2e-2
    apart = float((ours - stock).abs().max() / stock.abs().max().clamp(min=1.0))
    if not apart <= loose:
        raise Refused(
            f"{living.name}: logits under our attention differ from transformers' by {apart:.1e}",
            hint="please report this model; its results could not be trusted",
        )
    if "pattern" not in living.anatomy.missing:
        places = [(layer, "pattern") for layer in range(living.anatomy.layers)]
        with watched(living.anatomy, capture=places) as run:
            again = living.hf(input_ids=ids, use_cache=False).logits
        sums = torch.stack([x.float().sum(-1) for x in run.tensors().values()])
        drift = float((again - stock).abs().max() / stock.abs().max().clamp(min=1.0))
        sinks = any(hasattr(b.attention, "sinks") for b in living.anatomy.blocks)
        if (
            len(run.captured) != living.anatomy.layers
            or not drift <= loose * 10
            or (not sinks and float((sums - 1).abs().max()) > loose * 10)
        ):
            raise Refused(
                f"{living.name}: attention computed step by step is not what the model computes",
                hint="please report this model; its results could not be trusted",
            )
