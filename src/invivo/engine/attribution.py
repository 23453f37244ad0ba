"""Direct logit attribution, computed (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits").

The last norm is made linear by holding its statistics: with what it divides by fixed, it is a gain for each dimension,
with the mean taken off before (LayerNorm) or not (RMSNorm), and a bias behind. Gain, centring and bias are found by
asking the module itself, so no family is listed. The shares are checked against the model's own logit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BadText, Refused
from ..experiment.attribution import Attribution, Share
from ..model.anatomy import Anatomy
from .forward import Where, watched
from .living import Living

LOOSE = 1e-3  # of the largest share: what float32 may leave unexplained


@dataclass(frozen=True)
class _Frozen:
    """The last norm with its statistics held at one input: linear, and a bias."""

    gain: Tensor  # (D,)
    centred: bool
    bias: Tensor  # (D,)

    def linear(self, x: Tensor) -> Tensor:
        """Its linear part on a share of the residual stream (…, D)."""
        return (x - x.mean(-1, keepdim=True) if self.centred else x) * self.gain


def frozen(norm: nn.Module, x: Tensor) -> _Frozen:
    """The norm as it acts on `x` (D,), asked for by probes. Raises Refused where it is no such norm."""
    dtype = next(norm.parameters()).dtype

    def give(v: Tensor) -> Tensor:
        return norm(v.to(dtype)[None, None])[0, 0].double()

    size = x.numel()
    sign = torch.ones(size, dtype=torch.float64, device=x.device)
    sign[1::2] = -1.0  # mean 0 and length 1 a dimension: neither centring nor scaling changes it
    bias = give(torch.zeros_like(sign))
    weight = (give(sign * 1e3) - bias) * sign  # large, so that the norm's epsilon is nothing beside it
    shifted = (give(sign * 1e3 + 1e3) - bias) * sign
    centred = bool(torch.allclose(shifted, weight, rtol=1e-3, atol=1e-4 * float(weight.abs().max())))
    there = x.double()
    there = there - there.mean() if centred else there
    out = give(x) - bias
    scale = float((weight * there) @ out / (out @ out))  # what it divided by
    found = _Frozen(weight / scale, centred, bias)
    if not torch.allclose(found.linear(x.double()) + bias, give(x), rtol=1e-3, atol=1e-3 * float(out.abs().max())):
        raise Refused("this model's last norm is not linear once its statistics are held", hint="use ablations instead")
    return found


@torch.no_grad()
def attribute(living: Living, prompt: str, target: str, wrong: str | None = None) -> Attribution:
    """Every component's share of the logit of `target` after `prompt`, or of its lead over `wrong`."""
    anatomy = living.anatomy
    for site in ("embed", "attn_out", "mlp_out", "final_norm"):
        if site in anatomy.missing:
            raise Refused(f"this model offers no {site}: {anatomy.missing[site]}")
    ids = living.encode(prompt)
    answer = living.single_token(target)
    against = None if wrong is None else living.single_token(wrong)
    if answer == against:
        raise BadText(f"{target!r} and {wrong!r} are the same token", hint="give two answers")
    layers = range(anatomy.layers)
    split = all("attn_out" in b.writers and "z" in b.readers for b in anatomy.blocks) and "z" not in anatomy.missing
    places: list[Where] = [(None, "embed"), (0, "resid_pre"), (anatomy.layers - 1, "resid_post")]
    places += [(layer, site) for layer in layers for site in ("attn_out", "mlp_out", *(("z",) if split else ()))]
    with living.alone("capture"), watched(anatomy, capture=places) as run:
        living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
        last = {where: x[0, -1].double() for where, x in run.tensors().items()}
        stream = last[(anatomy.layers - 1, "resid_post")]
        norm = frozen(anatomy.points["final_norm"].module, stream)
    head: Any = anatomy.root.get_output_embeddings()  # type: ignore[operator]
    rows = head.weight[[answer, *([] if against is None else [against])]].double()
    reads = rows[0] - (rows[1] if against is not None else 0.0)  # (D,)

    def share(component: str, x: Tensor, layer: int | None = None, head: int | None = None) -> Share:
        return Share(component=component, layer=layer, head=head, logit=float(norm.linear(x) @ reads))

    shares = [share(*part) for part in components(anatomy, last, split, anatomy.layers, anatomy.layers)]
    constant = float(norm.bias @ reads)
    if getattr(head, "bias", None) is not None:
        constant += float(head.bias[answer]) - (0.0 if against is None else float(head.bias[against]))
    if constant:
        shares.append(Share(component="biases of the end", layer=None, head=None, logit=constant))
    total = float((norm.linear(stream) + norm.bias) @ reads) + (
        0.0
        if getattr(head, "bias", None) is None
        else float(head.bias[answer]) - (0.0 if against is None else float(head.bias[against]))
    )
    apart = abs(total - sum(s.logit for s in shares))
    if apart > LOOSE * max(1.0, *(abs(s.logit) for s in shares)):
        raise Refused(
            f"the components leave {apart:.2g} of the logit unexplained: something else writes into the stream",
            hint="please report this model",
        )
    notes = () if split else ("heads cannot be told apart here: a norm follows attention's output, or nothing shows z",)
    return Attribution(
        prompt=prompt,
        target=target,
        wrong=wrong,
        shares=tuple(shares),
        total=total,
        model=living.name,
        revision=living.revision,
        notes=notes,
    )


def components(
    anatomy: Anatomy, last: Mapping[Where, Tensor], split: bool, attentions: int, mlps: int
) -> Iterator[tuple[str, Tensor, int | None, int | None]]:
    """What the stream at one position is the sum of after so many layers' attentions and MLPs: a component's name,
    what it wrote (D,), its layer, its head. `last` holds what was captured there; `split` asks for single heads.
    """
    first, embedded = last[(0, "resid_pre")], last[(None, "embed")]
    yield "embed", embedded, None, None
    if not torch.allclose(first, embedded, rtol=0, atol=1e-9):
        yield "pos_embed" if "pos_embed" not in anatomy.missing else "embed scale", first - embedded, None, None
    for layer in range(max(attentions, mlps)):
        if layer < attentions:
            whole = last[(layer, "attn_out")]
            if split:
                for number, part in enumerate(_by_head(anatomy, layer, last[(layer, "z")])):
                    yield f"head {layer}.{number}", part, layer, number
                    whole = whole - part
            yield f"L{layer}.attn_out" + (" bias" if split else ""), whole, layer, None
        if layer < mlps:
            yield f"L{layer}.mlp_out", last[(layer, "mlp_out")], layer, None


def _by_head(anatomy: Anatomy, layer: int, z: Tensor) -> Tensor:
    """(H, K) at one position -> (H, D): what each head writes, through its rows of attention's output matrix."""
    matrix = matrix_of(anatomy.blocks[layer].readers["z"])  # (H * K, D)
    heads, width = z.shape
    return torch.einsum("hk,hkd->hd", z, matrix.double().view(heads, width, -1))


def matrix_of(linear: Any) -> Tensor:
    """A linear layer's weight as (in, out), whichever way it is kept."""
    return linear.weight.t() if isinstance(linear, nn.Linear) else linear.weight
