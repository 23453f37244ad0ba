"""Sending along one path: a sender's change reaches one receiver and nobody else (path patching).

The residual stream carries what every component wrote to every later one. `send` patches a single edge of that graph:
the receiver reads its row's own stream plus what the sender would have written more; everybody else reads the stream as
it is. What the receiver makes of it goes on to all that follows. Sending to every receiver at once is `copy`.

A path stays at its position: the stream moves nothing along the text, so positions are the sender's.
Method: Wang et al. 2022 ("Interpretability in the Wild"), by edges as in Goldowsky-Dill et al. 2023.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ModelWrapValidatorHandler, model_serializer, model_validator

from ..errors import BadText
from ..sites import INDICES_PATTERN, Indices, Place
from ..spec import Spec, Spelling
from .activation import Copy

SENDERS = ("z", "mlp_post", "attn_out", "mlp_out", "resid_pre")  # sites whose share of the stream is known
_RECEIVERS = (
    re.compile(rf"heads?\s+(?P<layer>-?\d+)\.(?P<heads>{INDICES_PATTERN})\s+(?P<input>[qkv])", re.IGNORECASE),
    re.compile(r"(?P<input>mlp)\s+(?P<layer>-?\d+)", re.IGNORECASE),
    re.compile(r"(?P<input>logits)", re.IGNORECASE),
)


class Receiver(Spec):
    """One reader of the residual stream: heads' queries, keys or values, a layer's MLP, or the model's end.

    Written `head 4.3 k`, `head 4.0:2 q`, `mlp 5`, `logits`. Heads of k and v are key-value heads.
    """

    input: Literal["q", "k", "v", "mlp", "logits"]
    """What reads."""
    layer: int | None = None
    """Its layer, from 0; negative from the end; none for the logits."""
    heads: Indices | None = None
    """Which heads, for q, k and v."""

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return handler(read_receiver(data) if isinstance(data, str) else data)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.layer is None) != (self.input == "logits") or (self.heads is None) != (self.input not in "qkv"):
            raise BadText(f"{self.input} with layer {self.layer} and heads {self.heads} is no receiver", hint=HINT)
        return self

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    @property
    def place(self) -> Place | None:
        """The site at which heads receive; None for others."""
        return None if self.heads is None else Place(site=self.input, layer=self.layer, heads=self.heads)

    def __str__(self) -> str:
        if self.heads is not None:
            return f"head {self.layer}.{self.heads} {self.input}"
        return self.input if self.layer is None else f"{self.input} {self.layer}"


HINT = "a receiver is `head 4.3 q` (or k, or v), `mlp 4` or `logits`"


def read_receiver(text: str) -> dict[str, Any]:
    """A receiver's fields from its text. Raises BadText."""
    for pattern in _RECEIVERS:
        if found := pattern.fullmatch(text.strip()):
            fields: dict[str, Any] = found.groupdict()
            fields["input"] = fields["input"].lower()
            return fields | ({"layer": int(fields["layer"])} if "layer" in fields else {})
    raise BadText(f"cannot read the receiver {text.strip()!r}", hint=HINT)


RECEIVER = Spelling(r".+?", read_receiver, str, "RECEIVER", "head 4.3 k")


class Send(Copy):
    """Copy from a run on another prompt for one reader only (path patching): `head 4.3 q`, k or v, `mlp 4`, `logits`.

    The reader sees what the place would write more into the residual stream; all others see the stream as it is. It
    acts on the prompt, because that is what the other run has.
    """

    form: ClassVar[str] = (
        "send {place} to {receiver} from {source_name}[ at {source_at}][ aligned by {aligned}][ during {during}]"
    )
    receiver: Annotated[Receiver, RECEIVER]
    """Who reads it: `head 4.3 q` (or k, or v), `mlp 4`, `logits`."""

    @model_validator(mode="after")
    def _writes(self) -> Send:
        if self.place.site not in SENDERS:
            raise BadText(
                f"{self.place.site} is no sender: it writes nothing into the residual stream by itself",
                hint="send a head, neurons, L3.attn_out, L3.mlp_out, or L3.resid_pre (all that was written before)",
            )
        return self
