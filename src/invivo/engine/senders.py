"""A `send` where it meets a model: what the sender writes, who receives, and whether there is a path.

What a part of a block writes is computed through the block's own last matrix, and the norm behind it where a family has
one; that this is what the model does is seen once on a short text before it is believed.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import Refused
from ..model import probe
from ..model.anatomy import Anatomy
from ..tweaks.paths import Send
from .forward import watched
from .living import Living
from .paths import Sender, Writes

WRITTEN = {"z": "attn_out", "mlp_post": "mlp_out"}  # what a part of a block ends up in
LOOSE = 1e-4  # of the largest value: what float32 may leave between our writing and the model's


def sender(
    living: Living, tweak: Send, row: int | None, layer: int, heads: list[int] | None, units: list[int] | None
) -> Sender:
    """The tweak with both its ends resolved. Raises Refused or OutOfRange for what this model does not have."""
    anatomy, to = living.anatomy, tweak.receiver
    to_layer = anatomy.layers - 1 if to.layer is None else anatomy.layer(to.layer)
    to_site, to_heads = to.input, ()
    if to.place is not None:
        _, chosen, _ = anatomy.locate(to.place)
        to_heads = tuple(chosen or ())
    elif to.input == "mlp":
        offered = anatomy.blocks[to_layer].points
        to_site = next((site for site in ("resid_mid", "mlp_out") if site in offered), "")
        if not to_site:
            raise Refused(f"this model's MLPs cannot receive: {anatomy.missing.get('mlp_out', 'not found')}")
    else:
        to_site = "resid_post"
    made = Sender(tweak, row, layer, heads, units, writes=_writes(living, layer, tweak.place.site))
    made.to_layer, made.to_site, made.to_heads = to_layer, to_site, to_heads
    if not _leads(anatomy, tweak, layer, made):
        made.idle = f"`{tweak}`: there is no path, because {to} reads the stream before {tweak.place} has written"
    return made


def _leads(anatomy: Anatomy, tweak: Send, layer: int, made: Sender) -> bool:
    """Whether the sender has written by the time the receiver reads: (layer, after which half of it)."""
    written = {"resid_pre": (layer, 0), "z": (layer, 1), "attn_out": (layer, 1)}.get(tweak.place.site, (layer + 1, 0))
    read = {"resid_mid": (made.to_layer, 1), "resid_post": (anatomy.layers, 0)}.get(made.to_site, (made.to_layer, 0))
    return read >= written


_CHECKED: WeakKeyDictionary[nn.Module, set[tuple[int, str]]] = WeakKeyDictionary()  # senders seen to write as we say


def _writes(living: Living, layer: int, site: str) -> Writes:
    """How values at a site come into the stream: through the block's last matrix, and a norm where one follows."""
    if site not in WRITTEN:
        return lambda x: x
    block, out = living.anatomy.blocks[layer], WRITTEN[site]
    if site not in block.readers or out not in block.points:
        raise Refused(f"what {site} writes cannot be told here", hint=f"send L{layer}.{out}, if it is offered")
    matrix: Any = block.readers[site]
    norm: Any = None if out in block.writers else block.points[out].module

    def writes(x: Tensor) -> Tensor:
        given = matrix.forward(x.flatten(2))  # past the hooks of the pass that is running
        return given if norm is None else norm.forward(given)

    known = _CHECKED.setdefault(living.hf, set())
    if (layer, site) not in known:
        _check(living, writes, layer, site, out)
        known.add((layer, site))
    return writes


@torch.no_grad()
def _check(living: Living, writes: Writes, layer: int, site: str, out: str) -> None:
    """See on a short text that the model writes as we say. Raises Refused."""
    with watched(living.anatomy, capture=[(layer, site), (layer, out)]) as run:
        living.hf(input_ids=probe.probe_ids(living.anatomy.inputs, living.device), use_cache=False)
    values = run.tensors()
    theirs = values[(layer, out)].float()
    try:
        apart = float((writes(values[(layer, site)]).float() - theirs).abs().max() / theirs.abs().max().clamp(min=1e-9))
    except Exception as error:
        raise Refused(f"what L{layer}.{site} writes cannot be computed: {error}") from None
    if not apart <= (LOOSE if living.dtype in (torch.float32, torch.float64) else 5e-2):
        raise Refused(
            f"what L{layer}.{site} writes cannot be told: ours is off by {apart:.1e}", hint=f"send L{layer}.{out}"
        )
